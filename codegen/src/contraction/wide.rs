//! Tiles and packing as calls of wide code.

use cranelift_codegen::ir::{InstBuilder, StackSlotData, StackSlotKind, Value, types};
use ir::AxisId;
use smallvec::SmallVec;

use super::ContractionPlan;
use super::emit::Operands;
use super::recognise::Contraction;
use crate::emit::Emitter;
use crate::emit::runs::is_epilogue;
use crate::emit::strips::StripBuilder;
use crate::nest::{Nest, Place};
use crate::wide::Isa;
use crate::wide::pack::{PackSpec, emit_pack};
use crate::wide::tile::{self, TileSpec, emit_tile};

/// A panel of columns.
#[derive(Clone, Copy)]
pub struct Panel {
    /// The first column.
    pub column: Value,
    /// The columns.
    pub columns: usize,
    /// From a depth to the next, in bytes.
    pub right_step: i64,
    /// Whether it is packed, with zeros up to the next whole vector.
    pub is_packed: bool,
}

/// Whether a contraction can run as tiles of wide code, its epilogue on their registers.
pub fn is_tile(nest: &Nest, contraction: &Contraction<'_>) -> bool {
    has_short_steps(contraction)
        && is_epilogue(nest, contraction.column, contraction.row, contraction.sum, &contraction.epilogue)
}

/// Whether the steps between rows and depths fit into instructions. All that tiles read and write has four bytes per
/// element.
fn has_short_steps(contraction: &Contraction<'_>) -> bool {
    let fits = |place: &Place, axis: AxisId| tile::is_step(place.offset.coefficient(axis).saturating_mul(4));
    let mut all = [contraction.left, contraction.right].iter().all(|place| fits(place, contraction.depth));
    if let Some(row) = contraction.row {
        all &= fits(contraction.left, row);
        Nest::accesses(&contraction.epilogue, &mut |place, _| all &= fits(place, row));
    }
    all
}

/// Packs a panel where there is wide code for it; whether there was. `steps` are those from a column and from a depth to
/// the next, in bytes.
pub fn pack(
    emitter: &mut Emitter<'_, '_>,
    plan: &ContractionPlan<'_>,
    source: Value,
    panel: Value,
    columns: usize,
    steps: (i64, i64),
) -> bool {
    let spec = PackSpec { columns, depth: plan.depth, column_step: steps.0, depth_step: steps.1 };
    let Some(isa) = plan.wide.filter(|_| spec.is_packable()) else { return false };
    let function = emit_pack(isa, &spec);
    let slot = emitter.b.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, 16, 3));
    for (word, value) in [source, panel].into_iter().enumerate() {
        emitter.b.ins().stack_store(types::I64, value, slot, 8 * word as i32);
    }
    let frame = emitter.b.ins().stack_addr(types::I64, slot, 0);
    emitter.call_wide(function, frame);
    true
}

/// Emits the tiles of a panel for rows `rows.0 .. rows.1`: those of full height, then that of the rows that are left.
pub fn emit_tiles(
    emitter: &mut Emitter<'_, '_>,
    isa: Isa,
    plan: &ContractionPlan<'_>,
    operands: Operands,
    panel: Panel,
    rows: (Value, Value),
) {
    let count = emitter.b.ins().isub(rows.1, rows.0);
    let height = emitter.b.ins().iconst(types::I64, plan.tile_rows as i64);
    let tiles = emitter.b.ins().udiv(count, height);
    call_tiles(emitter, isa, plan, operands, panel, (rows.0, tiles, plan.tile_rows));
    // The rows that are left: their number is the same for every chunk that has any.
    let rest = plan.rows % plan.tile_rows;
    if rest > 0 {
        let done = emitter.b.ins().imul(tiles, height);
        let row = emitter.b.ins().iadd(rows.0, done);
        let left = emitter.b.ins().isub(rows.1, row);
        let rest_height = emitter.b.ins().iconst(types::I64, rest as i64);
        let tiles = emitter.b.ins().udiv(left, rest_height);
        call_tiles(emitter, isa, plan, operands, panel, (row, tiles, rest));
    }
}

/// Calls the function of tiles of some height: the first row, the number of tiles, the height.
fn call_tiles(
    emitter: &mut Emitter<'_, '_>,
    isa: Isa,
    plan: &ContractionPlan<'_>,
    operands: Operands,
    panel: Panel,
    (row, tiles, height): (Value, Value, usize),
) {
    let contraction = &plan.contraction;
    let builder =
        StripBuilder::of_epilogue(emitter.nest(), contraction.column, contraction.row, contraction.sum);
    let open: SmallVec<[_; 2]> = contraction
        .row
        .map(|axis| (axis, row))
        .into_iter()
        .chain([(contraction.column, panel.column)])
        .collect();
    let epilogue = emitter.epilogue_strip(builder, &open, &contraction.epilogue);
    let row_steps: SmallVec<[i64; 4]> = epilogue.row_steps.iter().map(|step| step * 4).collect();
    let spec = TileSpec {
        rows: height,
        columns: panel.columns,
        depth: plan.depth,
        left_row_step: plan.left_row_step,
        left_depth_step: contraction.left.offset.coefficient(contraction.depth) * 4,
        right_depth_step: panel.right_step,
        is_padded: panel.is_packed,
        epilogue: &epilogue.strip,
        row_steps: &row_steps,
    };
    let function = emit_tile(isa, &spec);
    let words = tile::frame_words(&epilogue.strip);
    let data = StackSlotData::new(StackSlotKind::ExplicitSlot, 8 * words as u32, 3);
    let slot = emitter.b.create_sized_stack_slot(data);
    let offset = emitter.b.ins().imul_imm_s(row, spec.left_row_step);
    let left = emitter.b.ins().iadd(operands.left, offset);
    let first = [left, operands.right, tiles];
    let words = first.into_iter().chain(epilogue.pointers).chain(epilogue.uniforms);
    for (word, value) in words.enumerate() {
        emitter.b.ins().stack_store(types::I64, value, slot, 8 * word as i32);
    }
    let frame = emitter.b.ins().stack_addr(types::I64, slot, 0);
    emitter.call_wide(function, frame);
}
