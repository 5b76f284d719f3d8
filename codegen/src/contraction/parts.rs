//! Contractions of which other code wants parts: a panel of columns at some lines.
//!
//! Winograd's algorithm computes some results directly after all. Panels are as wide as that code wants them, and follow each
//! other; columns are packed where they are not contiguous.

use cranelift_codegen::ir::{InstBuilder, Value, types};

use super::chunks::Chunks;
use super::emit::{Panel, Scratch, emit_line};
use super::pack::pack_panel;
use super::wide::is_tile;
use super::{Contraction, ContractionPlan, Order, ahead::Ahead, depth_loops, left_row_step, panel_columns};
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
    Some(ContractionPlan {
        loops: depth_loops(nest, &contraction)?,
        block: None,
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

/// The size of a packed panel, in bytes.
pub fn packed_bytes(plan: &ContractionPlan<'_>) -> usize {
    if plan.is_packed { plan.inner_depth() * panel_columns(plan) * 4 } else { 0 }
}

/// Emits rows `rows.0 .. rows.1` of a panel, packed at `packed`, at each of the lines whose loops `at_each_line` opens.
pub fn emit_panel_at_lines(
    emitter: &mut Emitter<'_, '_>,
    plan: &ContractionPlan<'_>,
    (packed, panel): (Value, Value),
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
    let mut panel = Panel { column, columns, right: source, is_packed: false };
    if plan.is_packed {
        panel = Panel { right: packed, is_packed: true, ..panel };
        pack_panel(emitter, plan, source, &panel, None);
    }
    let nothing = emitter.b.ins().iconst(types::I64, 0);
    let scratch = Scratch { packed, sums: nothing, waiting: nothing };
    at_each_line(emitter, &mut |emitter| {
        let tile = Ahead::no_tile(emitter);
        emit_line(emitter, plan, scratch, &panel, None, (rows, tile));
    });
}
