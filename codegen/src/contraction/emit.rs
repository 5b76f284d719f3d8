//! The loops around the tiles: batches, panels, blocks of the depth, packing, lines, rows.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use ir::AxisId;

use super::ahead::Ahead;
use super::chunks::Chunks;
use super::limits::{DepthRange, depth_ranges};
use super::pack::pack_panel;
use super::rows_first::emit_rows_first;
use super::sweep::{self, emit_sweep};
use super::tile::{Operands, Tile, emit_tile};
use super::tree::{self, Waiting};
use super::{ContractionPlan, LANES, Order, wide};
use crate::Target;
use crate::emit::function::{Emitted, emit_function};
use crate::emit::loops::{each, steps};
use crate::emit::{Emitter, Limit};
use crate::nest::Nest;

/// Memory of this thread.
#[derive(Clone, Copy)]
pub struct Scratch {
    /// The address of what is packed: the panel, or the left operand where the lanes of sums are rows.
    pub packed: Value,
    /// The address of the sums of a tile, where they go through memory to the epilogue.
    pub sums: Value,
    /// The address of the sums that wait between blocks of the depth.
    pub waiting: Value,
}

/// The part of a result that is computed.
#[derive(Clone, Copy)]
pub struct Part {
    /// The first panel and the end.
    pub panels: (Value, Value),
    /// The first line and the end.
    pub lines: (Value, Value),
    /// The first row and the end.
    pub rows: (Value, Value),
}

/// A panel of columns.
#[derive(Clone, Copy)]
pub struct Panel {
    /// The first column.
    pub column: Value,
    /// The columns.
    pub columns: usize,
    /// Its address, packed or in place.
    pub right: Value,
    /// Whether it is packed, with zeros up to the next whole vector.
    pub is_packed: bool,
}

impl Panel {
    /// The columns that a depth of a packed panel has room for.
    pub fn padded(&self, plan: &ContractionPlan<'_>) -> usize {
        self.columns.next_multiple_of(plan.lanes)
    }
}

/// Emits the function of a contraction.
pub fn emit(plan: &ContractionPlan<'_>, nest: &Nest, target: &Target) -> Emitted {
    emit_function(nest, target, |emitter, call| {
        let width = panel_columns(plan);
        let packed_bytes = if plan.is_crosswise() {
            sweep::packed_bytes(plan)
        } else if needs_panel(plan) {
            plan.inner_depth() * width * 4
        } else {
            0
        };
        let waiting_bytes = tree::pieces(plan.tree) * piece_bytes(plan, nest);
        let scratch = Scratch {
            packed: call.take_scratch(emitter, packed_bytes),
            sums: call.take_scratch(emitter, plan.tile_rows * width * 4),
            waiting: call.take_scratch(emitter, waiting_bytes),
        };
        let (begin, end) = (call.begin, call.end);
        emitter.nodes(plan.contraction.prelude);
        let mut batches = emitter.whole(&plan.contraction.batch);
        if let Chunks::Batches(size) = plan.chunks {
            let axis = plan.contraction.batch[0];
            let (from, to) = chunk_limits(emitter, begin, end, size, nest.extent(axis));
            batches[0] = (axis, Limit::Dynamic(from), Limit::Dynamic(to));
        }
        emitter.at_each_point(&batches, &mut |emitter| emit_batch(emitter, plan, scratch, begin, end));
        match plan.chunks {
            Chunks::Batches(size) => nest.extent(plan.contraction.batch[0]).div_ceil(size),
            Chunks::Grid { panels, lines } => {
                panel_count(plan).div_ceil(panels) * plan.lines(nest).div_ceil(lines)
            }
            Chunks::Rows(size) => plan.rows.div_ceil(size),
        }
    })
}

/// What the sums take that wait at the same time, in bytes.
pub fn piece_bytes(plan: &ContractionPlan<'_>, nest: &Nest) -> usize {
    let panels = match plan.order {
        Order::Sweep(sweep) => sweep.panels,
        Order::Panels | Order::RowsFirst => 1,
    };
    match plan.block {
        Some(_) => panels * plan.lines(nest) * wide::waiting_bytes(plan, panel_columns(plan)),
        None => 0,
    }
}

/// The columns of a whole panel.
pub fn panel_columns(plan: &ContractionPlan<'_>) -> usize {
    plan.tile_vectors * plan.lanes
}

fn panel_count(plan: &ContractionPlan<'_>) -> usize {
    plan.columns.div_ceil(panel_columns(plan))
}

/// Whether any panel is packed: the last one is where it is not whole.
fn needs_panel(plan: &ContractionPlan<'_>) -> bool {
    plan.is_packed || (plan.wide.is_none() && !plan.columns.is_multiple_of(panel_columns(plan)))
}

/// The part of one batch that chunks `begin .. end` cover.
fn emit_batch(
    emitter: &mut Emitter<'_, '_>,
    plan: &ContractionPlan<'_>,
    scratch: Scratch,
    begin: Value,
    end: Value,
) {
    let [zero, panels, lines, rows] = [0, panel_count(plan), plan.lines(emitter.nest()), plan.rows]
        .map(|value| emitter.b.ins().iconst(types::I64, value as i64));
    let whole = Part { panels: (zero, panels), lines: (zero, lines), rows: (zero, rows) };
    match plan.chunks {
        Chunks::Batches(_) => emit_part(emitter, plan, scratch, whole),
        Chunks::Rows(size) => {
            let rows = chunk_limits(emitter, begin, end, size, plan.rows);
            emit_part(emitter, plan, scratch, Part { rows, ..whole });
        }
        Chunks::Grid { panels: size, lines: line_size } if line_size >= plan.lines(emitter.nest()) => {
            let panels = chunk_limits(emitter, begin, end, size, panel_count(plan));
            emit_part(emitter, plan, scratch, Part { panels, ..whole });
        }
        Chunks::Grid { panels: size, lines: line_size } => {
            let line_count = plan.lines(emitter.nest());
            let groups = line_count.div_ceil(line_size);
            each_of_grid(emitter, (begin, end), groups as i64, &mut |emitter, chunks| {
                let panels = group_limits(emitter, chunks.row, size, panel_count(plan));
                let lines = chunk_limits(emitter, chunks.from, chunks.to, line_size, line_count);
                emit_part(emitter, plan, scratch, Part { panels, lines, ..whole });
            });
        }
    }
}

/// Neighbouring chunks of a grid: the number of their row, the first of them in it and the end.
#[derive(Clone, Copy)]
struct NeighbouringChunks {
    row: Value,
    from: Value,
    to: Value,
}

/// The chunks `begin .. end` of a grid, `groups` of them in a row: those of a row together, so that a panel is packed once
/// for all of them.
fn each_of_grid(
    emitter: &mut Emitter<'_, '_>,
    (begin, end): (Value, Value),
    groups: i64,
    body: &mut dyn FnMut(&mut Emitter<'_, '_>, NeighbouringChunks),
) {
    let [first, above] = [(begin, 0), (end, groups - 1)].map(|(chunk, added)| {
        let chunk = emitter.b.ins().iadd_imm_s(chunk, added);
        emitter.b.ins().udiv_imm_u(chunk, groups)
    });
    let [zero, all] = [0, groups].map(|at| emitter.b.ins().iconst(types::I64, at));
    each(emitter, first, above, &mut |emitter, row| {
        let start = emitter.b.ins().imul_imm_s(row, groups);
        let from = emitter.b.ins().isub(begin, start);
        let from = emitter.b.ins().smax(from, zero);
        let to = emitter.b.ins().isub(end, start);
        let to = emitter.b.ins().smin(to, all);
        body(emitter, NeighbouringChunks { row, from, to });
    });
}

/// A part, in the order of the plan.
fn emit_part(emitter: &mut Emitter<'_, '_>, plan: &ContractionPlan<'_>, scratch: Scratch, part: Part) {
    match plan.order {
        Order::Panels => emit_panels(emitter, plan, scratch, part),
        Order::Sweep(sweep) => emit_sweep(emitter, plan, sweep, scratch, part),
        Order::RowsFirst => emit_rows_first(emitter, plan, scratch, part),
    }
}

/// The panels of a part, one after the other.
pub fn emit_panels(emitter: &mut Emitter<'_, '_>, plan: &ContractionPlan<'_>, scratch: Scratch, part: Part) {
    each_panel(emitter, plan, part.panels, &mut |emitter, panel, columns| {
        emit_panel(emitter, plan, scratch, part, panel, columns);
    });
}

/// Panels `from .. to`: whole ones, and that at the edge, each with its columns.
pub fn each_panel(
    emitter: &mut Emitter<'_, '_>,
    plan: &ContractionPlan<'_>,
    (from, to): (Value, Value),
    body: &mut dyn FnMut(&mut Emitter<'_, '_>, Value, usize),
) {
    let width = panel_columns(plan);
    let edge = plan.columns % width;
    let last_whole = emitter.b.ins().iconst(types::I64, (plan.columns / width) as i64);
    let until = emitter.b.ins().smin(to, last_whole);
    each(emitter, from, until, &mut |emitter, panel| {
        body(emitter, panel, width);
    });
    if edge > 0 {
        let is_last = emitter.b.ins().icmp(IntCC::SignedGreaterThan, to, last_whole);
        let [then, after] = [(); 2].map(|()| emitter.b.create_block());
        emitter.b.ins().brif(is_last, then, &[], after, &[]);
        emitter.b.switch_to_block(then);
        body(emitter, last_whole, edge);
        emitter.b.ins().jump(after, &[]);
        emitter.b.switch_to_block(after);
    }
}

/// The items that chunks `begin .. end` of `size` items cover, of `count`.
fn chunk_limits(
    emitter: &mut Emitter<'_, '_>,
    begin: Value,
    end: Value,
    size: usize,
    count: usize,
) -> (Value, Value) {
    let from = emitter.b.ins().imul_imm_s(begin, size as i64);
    let to = emitter.b.ins().imul_imm_s(end, size as i64);
    let count = emitter.b.ins().iconst(types::I64, count as i64);
    (from, emitter.b.ins().smin(to, count))
}

/// One item of each group of `size` items, of `count`.
pub fn group_limits(
    emitter: &mut Emitter<'_, '_>,
    group: Value,
    size: usize,
    count: usize,
) -> (Value, Value) {
    let next = emitter.b.ins().iadd_imm_s(group, 1);
    chunk_limits(emitter, group, next, size, count)
}

/// One panel: the blocks of its depth, one after the other.
fn emit_panel(
    emitter: &mut Emitter<'_, '_>,
    plan: &ContractionPlan<'_>,
    scratch: Scratch,
    part: Part,
    panel: Value,
    columns: usize,
) {
    let column = emitter.b.ins().imul_imm_s(panel, panel_columns(plan) as i64);
    let is_packed = plan.is_packed || (plan.wide.is_none() && columns < panel_columns(plan));
    let panel = |right: Value| Panel { column, columns, right, is_packed };
    if plan.block.is_none() {
        return emit_block(emitter, plan, scratch, part, None, &panel);
    }
    let piece_bytes = piece_bytes(plan, emitter.nest());
    each_block_of_depth(emitter, plan, piece_bytes, &mut |emitter, block| {
        emit_block(emitter, plan, scratch, part, Some(block), &panel);
    });
}

/// Runs `body` for the blocks of the depth, one after the other; the pieces of memory in which sums wait are so many bytes apart.
pub fn each_block_of_depth(
    emitter: &mut Emitter<'_, '_>,
    plan: &ContractionPlan<'_>,
    piece_bytes: usize,
    body: &mut dyn FnMut(&mut Emitter<'_, '_>, CurrentBlock),
) {
    let block = plan.block.expect("the depth is done in blocks");
    let outside: Vec<AxisId> = plan.loops[..block.level].iter().filter_map(|depth| depth.axis).collect();
    let extent = plan.loops[block.level].extent;
    let blocks = extent.div_ceil(block.steps);
    let loops = emitter.whole(&outside);
    emitter.at_each_point(&loops, &mut |emitter| {
        let [zero, all] = [0, blocks as i64].map(|at| emitter.b.ins().iconst(types::I64, at));
        each(emitter, zero, all, &mut |emitter, number| {
            let steps = group_limits(emitter, number, block.steps, extent);
            let mut round = number;
            let mut size = blocks as i64;
            for &axis in outside.iter().rev() {
                let index = emitter.index_of(axis);
                let ahead = emitter.b.ins().imul_imm_s(index, size);
                round = emitter.b.ins().iadd(round, ahead);
                size *= emitter.nest().extent(axis) as i64;
            }
            let waiting = tree::waiting(emitter, plan.tree, (round, plan.blocks()), piece_bytes);
            body(emitter, CurrentBlock { steps, waiting });
        });
    });
}

/// The block of the depth that is being done.
#[derive(Clone, Copy)]
pub struct CurrentBlock {
    /// Its first step and its end.
    pub steps: (Value, Value),
    /// What becomes of the sums.
    pub waiting: Waiting,
}

/// A block of the depth of a panel: packing, then its lines.
pub fn emit_block(
    emitter: &mut Emitter<'_, '_>,
    plan: &ContractionPlan<'_>,
    scratch: Scratch,
    part: Part,
    block: Option<CurrentBlock>,
    panel: &dyn Fn(Value) -> Panel,
) {
    let contraction = &plan.contraction;
    let right = emitter.base_address(contraction.right);
    let Panel { column, is_packed, .. } = panel(right);
    let column_step = contraction.right.offset.coefficient(contraction.column);
    let offset = emitter.b.ins().imul_imm_s(column, column_step * 4);
    let source = emitter.b.ins().iadd(right, offset);
    let here = if is_packed {
        let packed = panel(scratch.packed);
        pack_panel(emitter, plan, source, &packed, block);
        packed
    } else {
        panel(source)
    };
    if contraction.lines.is_empty() {
        let tile = Ahead::no_tile(emitter);
        return emit_line(emitter, plan, scratch, &here, block, (part.rows, tile));
    }
    let tiles = plan.rows.div_ceil(plan.tile_rows) as i64;
    each(emitter, part.lines.0, part.lines.1, &mut |emitter, line| {
        let done = emitter.b.ins().isub(line, part.lines.0);
        let bytes = wide::waiting_bytes(plan, here.columns) as i64;
        let offset = emitter.b.ins().imul_imm_s(done, bytes);
        let waiting = emitter.b.ins().iadd(scratch.waiting, offset);
        let tile = emitter.b.ins().imul_imm_s(done, tiles);
        emitter.at_point(&contraction.lines, line, &mut |emitter| {
            emit_line(emitter, plan, Scratch { waiting, ..scratch }, &here, block, (part.rows, tile));
        });
    });
}

/// The tiles of some rows of a line, the first of which has this number in the panel.
pub fn emit_line(
    emitter: &mut Emitter<'_, '_>,
    plan: &ContractionPlan<'_>,
    scratch: Scratch,
    panel: &Panel,
    block: Option<CurrentBlock>,
    (rows, tile): ((Value, Value), Value),
) {
    let left = match plan.is_crosswise() {
        true => scratch.packed,
        false => emitter.base_address(plan.contraction.left),
    };
    if let Some(isa) = plan.wide {
        let ranges: Vec<DepthRange> = depth_ranges(emitter, plan, block);
        let ahead = plan.ahead.map(|ahead| ahead.of_tile(emitter, tile));
        let line =
            wide::Line { left, panel: *panel, waiting: scratch.waiting, block, ahead, ranges: &ranges };
        return wide::emit_tiles(emitter, isa, plan, &line, rows);
    }
    let contraction = &plan.contraction;
    let padded = panel.columns.next_multiple_of(LANES);
    let [depth] = contraction.depth.as_slice() else {
        unreachable!("narrow tiles have one loop over the depth")
    };
    let tile = |rows: usize| Tile {
        rows,
        vectors: padded / LANES,
        columns: panel.columns,
        depth: plan.depth(),
        left_row_step: plan.left_row_step,
        left_depth_step: contraction.left.offset.coefficient(*depth) * 4,
        right_depth_step: match panel.is_packed {
            true => padded as i64 * 4,
            false => contraction.right.offset.coefficient(*depth) * 4,
        },
        has_fma: plan.has_fma,
        spills: plan.spills || !panel.columns.is_multiple_of(LANES),
    };
    let operands = Operands { left, right: panel.right, sums: scratch.sums };
    let main = tile(plan.tile_rows);
    let left_over = steps(emitter, rows.0, rows.1, plan.tile_rows as i64, &mut |emitter, row| {
        emit_tile(emitter, contraction, &main, operands, row, panel.column);
    });
    // The rows that are left: their number is the same for every chunk that has any.
    let rest = plan.rows % plan.tile_rows;
    if rest > 0 {
        steps(emitter, left_over, rows.1, rest as i64, &mut |emitter, row| {
            emit_tile(emitter, contraction, &tile(rest), operands, row, panel.column);
        });
    }
}
