//! Products of few rows with a large right operand, as dense layers have them in training: bringing that operand from memory
//! takes longer than multiplying it, so it is read once, in long pieces.
//!
//! The depth is done in blocks, each for all panels before the next, and the sums of the panels wait in memory meanwhile: few
//! rows have few sums. Where the right operand is contiguous along the columns, a block is some of its rows, which are then
//! read side by side from their beginning to their end, a little ahead of the tiles. Where it is contiguous along the depth,
//! nothing of it is packed: the lanes of the sums are the rows of the left operand, which is packed instead, each element of
//! the right one is repeated in all lanes, and the sums are transposed for the epilogue. A block is then so deep that what it
//! has of the packed operand stays in the second level of cache.
//!
//! Cost model: a core multiplies an element of the right operand by a row in every lane of two vectors each cycle, and
//! memory brings it an element or two per cycle; so up to about two vectors of rows, time is that of memory.

use cranelift_codegen::ir::{InstBuilder, Value, types};
use ir::AxisId;

use super::blocks::{Block, ELEMENT};
use super::emit::{CurrentBlock, Panel, Part, Scratch, each_panel, emit_block, group_limits, piece_bytes};
use super::pack::pack_straight;
use super::recognise::Contraction;
use super::wide::waiting_bytes;
use super::{ContractionPlan, panel_columns, tree};
use crate::Target;
use crate::emit::Emitter;
use crate::emit::loops::each;
use crate::wide::Isa;

/// How the right operand is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// The panels whose sums wait at the same time.
    pub panels: usize,
    /// Whether the lanes of the sums are rows.
    pub is_crosswise: bool,
}

/// How far ahead rows of the right operand are fetched that are read side by side, in bytes: a few panels.
pub const DISTANCE: i64 = 768;
/// The most rows.
const MOST_ROWS: usize = 32;
/// The depth of a block whose rows are read side by side: as many streams as CPUs follow.
const STREAMS: usize = 32;
/// Rows that are this far apart are not brought ahead of their use by the CPU itself.
const FAR: usize = 4096;

/// Which order pays for the product of `rows` rows of a sum of this depth, if any does: whether the lanes are rows.
pub fn is_crosswise(
    contraction: &Contraction<'_>,
    depth_axis: Option<AxisId>,
    (rows, columns, depth): (usize, usize, usize),
    target: &Target,
) -> Option<bool> {
    let step = |axis: AxisId| contraction.right.offset.coefficient(axis).unsigned_abs() as usize;
    let (along_depth, along_columns) = (step(depth_axis?), step(contraction.column));
    if rows > MOST_ROWS || depth * columns * ELEMENT <= target.l2_bytes {
        return None;
    }
    match (along_depth, along_columns) {
        (1, far) if far >= depth => Some(true),
        (far, 1) if far * ELEMENT >= FAR && depth > STREAMS => Some(false),
        _ => None,
    }
}

/// The rows and vectors of a tile whose lanes are rows.
pub fn crosswise_tile(isa: Isa, rows: usize) -> (usize, usize) {
    (rows.min(isa.lanes()), 1)
}

/// The order itself, and how the depth is cut, for panels of so many columns.
pub fn sweep(
    is_crosswise: bool,
    (rows, columns, depth): (usize, usize, usize),
    (panel, lanes): (usize, usize),
    target: &Target,
) -> (Sweep, Option<Block>) {
    let (rows, most_steps) = match is_crosswise {
        true => {
            let rows = rows.next_multiple_of(lanes);
            (rows, (target.l2_bytes / 4 / (rows * ELEMENT)).max(STREAMS))
        }
        false => (rows, STREAMS),
    };
    let steps = depth.div_ceil(depth.div_ceil(most_steps)).next_multiple_of(STREAMS);
    let most_panels = (target.l2_bytes / 2 / (rows * panel * ELEMENT)).max(1);
    let panels = columns.div_ceil(panel);
    let panels = panels.div_ceil(panels.div_ceil(most_panels));
    let block = (steps < depth).then_some(Block { level: 0, steps });
    (Sweep { panels, is_crosswise }, block)
}

/// What the left operand takes in memory where it is packed, in bytes.
pub fn packed_bytes(plan: &ContractionPlan<'_>) -> usize {
    plan.rows.div_ceil(plan.tile_rows) * plan.depth() * plan.lanes * ELEMENT
}

/// The panels of a part, block by block of the depth.
pub fn emit_sweep(
    emitter: &mut Emitter<'_, '_>,
    plan: &ContractionPlan<'_>,
    sweep: Sweep,
    scratch: Scratch,
    part: Part,
) {
    if sweep.is_crosswise {
        pack_left(emitter, plan, scratch.packed);
    }
    let count = emitter.b.ins().isub(part.panels.1, part.panels.0);
    let count = emitter.b.ins().iadd_imm_s(count, sweep.panels as i64 - 1);
    let groups = emitter.b.ins().udiv_imm_u(count, sweep.panels as i64);
    let zero = emitter.b.ins().iconst(types::I64, 0);
    let piece_bytes = piece_bytes(plan, emitter.nest());
    each(emitter, zero, groups, &mut |emitter, group| {
        let done = emitter.b.ins().imul_imm_s(group, sweep.panels as i64);
        let first = emitter.b.ins().iadd(part.panels.0, done);
        let end = emitter.b.ins().iadd_imm_s(first, sweep.panels as i64);
        let end = emitter.b.ins().smin(end, part.panels.1);
        let part = Part { panels: (first, end), ..part };
        let Some(block) = plan.block else { return emit_panels(emitter, plan, scratch, part, None) };
        let all = emitter.b.ins().iconst(types::I64, plan.blocks() as i64);
        each(emitter, zero, all, &mut |emitter, number| {
            let steps = group_limits(emitter, number, block.steps, plan.depth());
            let waiting = tree::waiting(emitter, plan.tree, (number, plan.blocks()), piece_bytes);
            emit_panels(emitter, plan, scratch, part, Some(CurrentBlock { steps, waiting }));
        });
    });
}

/// A block of the depth for some panels.
fn emit_panels(
    emitter: &mut Emitter<'_, '_>,
    plan: &ContractionPlan<'_>,
    scratch: Scratch,
    part: Part,
    block: Option<CurrentBlock>,
) {
    let width = panel_columns(plan);
    each_panel(emitter, plan, part.panels, &mut |emitter, panel, columns| {
        let column = emitter.b.ins().imul_imm_s(panel, width as i64);
        let number = emitter.b.ins().isub(panel, part.panels.0);
        let offset = emitter.b.ins().imul_imm_s(number, waiting_bytes(plan, width) as i64);
        let waiting = emitter.b.ins().iadd(scratch.waiting, offset);
        let panel = |right: Value| Panel { column, columns, right, is_packed: false };
        emit_block(emitter, plan, Scratch { waiting, ..scratch }, part, block, &panel);
    });
}

/// Packs the left operand, tile by tile: the rows side by side, depth by depth.
fn pack_left(emitter: &mut Emitter<'_, '_>, plan: &ContractionPlan<'_>, to: Value) {
    let left = emitter.base_address(plan.contraction.left);
    let step = |axis: Option<AxisId>| {
        axis.map_or(0, |axis| plan.contraction.left.offset.coefficient(axis) * ELEMENT as i64)
    };
    let (row_step, depth_step) = (step(plan.contraction.row), step(plan.loops[0].axis));
    for first in (0..plan.rows).step_by(plan.tile_rows) {
        let from = emitter.b.ins().iadd_imm_s(left, first as i64 * row_step);
        let right = emitter.b.ins().iadd_imm_s(to, (first * plan.depth() * ELEMENT) as i64);
        let columns = plan.tile_rows.min(plan.rows - first);
        let panel = Panel { column: right, columns, right, is_packed: true };
        pack_straight(emitter, plan, from, right, &panel, (plan.depth(), row_step, depth_step));
    }
}
