//! Contractions of which other code wants parts: a panel of columns at some lines.
//!
//! Winograd's algorithm computes some results directly after all. Panels are as wide as that code wants them, and follow each
//! other; columns are packed where they are not contiguous.

use cranelift_codegen::ir::{InstBuilder, Value};

use super::chunks::Chunks;
use super::emit::{CurrentBlock, Panel, Scratch, each_block_of_depth, emit_line};
use super::pack::pack_panel;
use super::tree::{block_of_run, pieces};
use super::wide::{is_tile, waiting_bytes};
use super::{
    Contraction, ContractionPlan, Order, ahead::Ahead, depth_loops, left_row_step, panel_columns, tree_of,
};
use crate::Target;
use crate::emit::Emitter;
use crate::nest::Nest;

/// Plans a contraction that is computed in parts, on tiles of these rows and columns; `None` where it is none for tiles of wide
/// code. The columns are whole vectors, and divide those of the result.
pub fn plan_in_parts<'a>(
    nest: &Nest,
    target: &Target,
    contraction: Contraction<'a>,
    (tile_rows, columns): (usize, usize),
) -> Option<ContractionPlan<'a>> {
    let isa = target.wide().filter(|_| is_tile(nest, &contraction))?;
    let rows = contraction.row.map_or(1, |axis| nest.extent(axis));
    let loops = depth_loops(nest, &contraction)?;
    let block = block_of_run(&loops, None);
    Some(ContractionPlan {
        block,
        tree: block.and_then(|block| tree_of(&loops, block)),
        loops,
        rows,
        columns: nest.extent(contraction.column),
        wide: Some(isa),
        lanes: isa.lanes(),
        left_row_step: left_row_step(nest, &contraction),
        tile_rows,
        tile_vectors: columns / isa.lanes(),
        has_fma: target.has_fma,
        is_packed: contraction.right.offset.coefficient(contraction.column) != 1,
        spills: false,
        chunks: Chunks::Rows(rows),
        ahead: None,
        order: Order::Panels,
        contraction,
    })
}

/// Opens the loops over lines around what it is given.
pub type AtEachLine<'f> = dyn Fn(&mut Emitter<'_, '_>, &mut dyn FnMut(&mut Emitter<'_, '_>)) + 'f;

/// The memory that a panel needs, in bytes: for what is packed of it, and behind that for sums that wait.
pub fn scratch_bytes(plan: &ContractionPlan<'_>) -> usize {
    packed_bytes(plan) + if plan.block.is_some() { pieces(plan.tree) * piece_bytes(plan) } else { 0 }
}

fn packed_bytes(plan: &ContractionPlan<'_>) -> usize {
    if plan.is_packed { plan.inner_depth() * panel_columns(plan) * 4 } else { 0 }
}

/// What the sums of a line take, in bytes.
fn piece_bytes(plan: &ContractionPlan<'_>) -> usize {
    waiting_bytes(plan, panel_columns(plan))
}

/// Emits rows `rows.0 .. rows.1` of a panel, which has [memory](scratch_bytes) at `memory`, at each of the lines whose loops
/// `at_each_line` opens. Where the depth is done in blocks, the panel is packed for each line again.
pub fn emit_panel_at_lines(
    emitter: &mut Emitter<'_, '_>,
    plan: &ContractionPlan<'_>,
    (memory, panel): (Value, Value),
    rows: (Value, Value),
    at_each_line: &AtEachLine<'_>,
) {
    let contraction = &plan.contraction;
    let columns = panel_columns(plan);
    let column = emitter.b.ins().imul_imm_s(panel, columns as i64);
    let right = emitter.base_address(contraction.right);
    let column_step = contraction.right.offset.coefficient(contraction.column);
    let offset = emitter.b.ins().imul_imm_s(column, column_step * 4);
    let source = emitter.b.ins().iadd(right, offset);
    let right = if plan.is_packed { memory } else { source };
    let panel = Panel { column, columns, right, is_packed: plan.is_packed };
    let pack = |emitter: &mut Emitter<'_, '_>, block: Option<CurrentBlock>| {
        if plan.is_packed {
            pack_panel(emitter, plan, source, &panel, block);
        }
    };
    let waiting = emitter.b.ins().iadd_imm_s(memory, packed_bytes(plan) as i64);
    let scratch = Scratch { packed: memory, sums: memory, waiting };
    let tile = Ahead::no_tile(emitter);
    if plan.block.is_none() {
        pack(emitter, None);
    }
    at_each_line(emitter, &mut |emitter| match plan.block {
        None => emit_line(emitter, plan, scratch, &panel, None, (rows, tile)),
        Some(_) => each_block_of_depth(emitter, plan, piece_bytes(plan), &mut |emitter, block| {
            pack(emitter, Some(block));
            emit_line(emitter, plan, scratch, &panel, Some(block), (rows, tile));
        }),
    });
}
