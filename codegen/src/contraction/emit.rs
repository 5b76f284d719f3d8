//! The loops around the tiles: batches, panels, packing, rows.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{BlockArg, InstBuilder, Value, types};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use ir::AxisId;
use smallvec::SmallVec;

use super::tile::{Tile, emit_tile};
use super::{Chunks, ContractionPlan, LANES, wide};
use crate::Target;
use crate::emit::{Emitter, Limit, memory};
use crate::jit::kernel_function;
use crate::kernel::{Emitted, buffer_addresses};
use crate::nest::Nest;

/// The operands of a contraction at the current batch, and memory of this thread.
#[derive(Clone, Copy)]
pub struct Operands {
    /// The address of `left[0, 0]`.
    pub left: Value,
    /// The address of `right[0, 0]`.
    pub right: Value,
    /// The address of the packed panel.
    pub panel: Value,
    /// The address of the sums of a tile, where they are spilled.
    pub sums: Value,
}

/// Emits the function of a contraction.
pub fn emit(plan: &ContractionPlan<'_>, nest: &Nest, target: &Target) -> Emitted {
    let mut function = kernel_function(target);
    let mut context = FunctionBuilderContext::new();
    let mut b = FunctionBuilder::new(&mut function, &mut context);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    let [args, scratch, begin, end] = [0, 1, 2, 3].map(|i| b.block_params(entry)[i]);
    let (bases, local_bytes) = buffer_addresses(&mut b, nest, args, scratch);
    let panel_bytes = if needs_panel(plan) { plan.depth * panel_columns(plan) * 4 } else { 0 };
    let panel = b.ins().iadd_imm_s(scratch, local_bytes as i64);
    let sums = b.ins().iadd_imm_s(panel, panel_bytes.next_multiple_of(64) as i64);
    let mut emitter = Emitter::new(&mut b, nest, &bases, target.wide());
    emitter.nodes(plan.contraction.prelude);
    let mut batches: Vec<(AxisId, Limit, Limit)> = (plan.contraction.batch.iter())
        .map(|&axis| (axis, Limit::Static(0), Limit::Static(nest.extent(axis) as i64)))
        .collect();
    if let Chunks::Batches(size) = plan.chunks {
        let axis = plan.contraction.batch[0];
        let (from, to) = chunk_limits(&mut emitter, begin, end, size, nest.extent(axis));
        batches[0] = (axis, Limit::Dynamic(from), Limit::Dynamic(to));
    }
    emitter.batches(&batches, &mut |emitter| {
        let left = emitter.base_address(plan.contraction.left);
        let right = emitter.base_address(plan.contraction.right);
        emit_batch(emitter, plan, Operands { left, right, panel, sums }, begin, end);
    });
    let wide = std::mem::take(&mut emitter.functions);
    b.ins().return_(&[]);
    b.seal_all_blocks();
    b.finalize(target.isa.frontend_config());
    let sums_bytes = plan.tile_rows * panel_columns(plan) * 4;
    let scratch_bytes = local_bytes + panel_bytes.next_multiple_of(64) + sums_bytes.next_multiple_of(64);
    let chunks = match plan.chunks {
        Chunks::Batches(size) => nest.extent(plan.contraction.batch[0]).div_ceil(size),
        Chunks::Panels(size) => panels(plan).div_ceil(size),
        Chunks::Rows(size) => plan.rows.div_ceil(size),
    };
    Emitted { function, wide, chunks: chunks as u64, scratch_bytes }
}

/// The columns of a whole panel.
fn panel_columns(plan: &ContractionPlan<'_>) -> usize {
    plan.tile_vectors * plan.lanes
}

fn panels(plan: &ContractionPlan<'_>) -> usize {
    plan.columns.div_ceil(panel_columns(plan))
}

/// Whether any panel is packed: the last one is where it is not whole.
fn needs_panel(plan: &ContractionPlan<'_>) -> bool {
    plan.is_packed || (plan.wide.is_none() && !plan.columns.is_multiple_of(panel_columns(plan)))
}

/// The panels and rows of one batch that chunks `begin .. end` cover.
fn emit_batch(
    emitter: &mut Emitter<'_, '_>,
    plan: &ContractionPlan<'_>,
    operands: Operands,
    begin: Value,
    end: Value,
) {
    let width = panel_columns(plan);
    let whole = plan.columns / width;
    let edge = plan.columns % width;
    let constant =
        |emitter: &mut Emitter<'_, '_>, value: usize| emitter.b.ins().iconst(types::I64, value as i64);
    if let Chunks::Rows(size) = plan.chunks {
        // Chunks of rows: every chunk does all panels.
        let rows = chunk_limits(emitter, begin, end, size, plan.rows);
        let (zero, last) = (constant(emitter, 0), constant(emitter, whole));
        each(emitter, zero, last, &mut |emitter, panel| {
            emit_panel(emitter, plan, operands, panel, width, rows)
        });
        if edge > 0 {
            emit_panel(emitter, plan, operands, last, edge, rows);
        }
        return;
    }
    let (zero, rows) = (constant(emitter, 0), constant(emitter, plan.rows));
    let (from, to) = match plan.chunks {
        Chunks::Panels(size) => chunk_limits(emitter, begin, end, size, panels(plan)),
        _ => (zero, constant(emitter, panels(plan))),
    };
    let last_whole = emitter.b.ins().iconst(types::I64, whole as i64);
    let until = emitter.b.ins().smin(to, last_whole);
    each(emitter, from, until, &mut |emitter, panel| {
        emit_panel(emitter, plan, operands, panel, width, (zero, rows))
    });
    if edge > 0 {
        let is_last = emitter.b.ins().icmp(IntCC::SignedGreaterThan, to, last_whole);
        let [then, after] = [(); 2].map(|()| emitter.b.create_block());
        emitter.b.ins().brif(is_last, then, &[], after, &[]);
        emitter.b.switch_to_block(then);
        emit_panel(emitter, plan, operands, last_whole, edge, (zero, rows));
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

/// A loop over `from .. to`.
pub fn each(
    emitter: &mut Emitter<'_, '_>,
    from: Value,
    to: Value,
    body: &mut dyn FnMut(&mut Emitter<'_, '_>, Value),
) {
    steps(emitter, from, to, 1, body);
}

/// A loop over `from .. to` in steps of `step` as long as a whole step fits; gives the first index that is left.
pub fn steps(
    emitter: &mut Emitter<'_, '_>,
    from: Value,
    to: Value,
    step: i64,
    body: &mut dyn FnMut(&mut Emitter<'_, '_>, Value),
) -> Value {
    let [header, inside, after] = [(); 3].map(|()| emitter.b.create_block());
    let index = emitter.b.append_block_param(header, types::I64);
    emitter.b.ins().jump(header, &[BlockArg::Value(from)]);
    emitter.b.switch_to_block(header);
    let next = emitter.b.ins().iadd_imm_s(index, step);
    let fits = emitter.b.ins().icmp(IntCC::SignedLessThanOrEqual, next, to);
    emitter.b.ins().brif(fits, inside, &[], after, &[]);
    emitter.b.switch_to_block(inside);
    body(emitter, index);
    emitter.b.ins().jump(header, &[BlockArg::Value(next)]);
    emitter.b.switch_to_block(after);
    index
}

/// One panel: packing, then its tiles.
fn emit_panel(
    emitter: &mut Emitter<'_, '_>,
    plan: &ContractionPlan<'_>,
    operands: Operands,
    panel: Value,
    columns: usize,
    rows: (Value, Value),
) {
    let width = panel_columns(plan);
    let column = emitter.b.ins().imul_imm_s(panel, width as i64);
    let contraction = &plan.contraction;
    let column_step = contraction.right.offset.coefficient(contraction.column);
    let depth_step = contraction.right.offset.coefficient(contraction.depth);
    let offset = emitter.b.ins().imul_imm_s(column, column_step * 4);
    let source = emitter.b.ins().iadd(operands.right, offset);
    let padded = columns.next_multiple_of(plan.lanes);
    let is_packed = plan.is_packed || (plan.wide.is_none() && columns < width);
    let (right, right_step) = match is_packed {
        true => {
            let steps = (column_step * 4, depth_step * 4);
            if !wide::pack(emitter, plan, source, operands.panel, columns, steps) {
                pack(emitter, source, operands.panel, (plan.depth, columns, padded), steps);
            }
            (operands.panel, padded as i64 * 4)
        }
        false => (source, depth_step * 4),
    };
    let here = Operands { right, ..operands };
    if let Some(isa) = plan.wide {
        let panel = wide::Panel { column, columns, right_step, is_packed };
        return wide::emit_tiles(emitter, isa, plan, here, panel, rows);
    }
    let tile = |rows: usize| Tile {
        rows,
        vectors: padded / LANES,
        columns,
        depth: plan.depth,
        left_row_step: plan.left_row_step,
        left_depth_step: contraction.left.offset.coefficient(contraction.depth) * 4,
        right_depth_step: right_step,
        has_fma: plan.has_fma,
        spills: plan.spills || !columns.is_multiple_of(LANES),
    };
    let main = tile(plan.tile_rows);
    let left_over = steps(emitter, rows.0, rows.1, plan.tile_rows as i64, &mut |emitter, row| {
        emit_tile(emitter, contraction, &main, here, row, column);
    });
    // The rows that are left: their number is the same for every chunk that has any.
    let rest = plan.rows % plan.tile_rows;
    if rest > 0 {
        steps(emitter, left_over, rows.1, rest as i64, &mut |emitter, row| {
            emit_tile(emitter, contraction, &tile(rest), here, row, column);
        });
    }
}

/// Copies `columns` columns of all depths to a dense panel, zeros up to `padded` columns.
fn pack(
    emitter: &mut Emitter<'_, '_>,
    source: Value,
    panel: Value,
    (depth, columns, padded): (usize, usize, usize),
    (column_bytes, depth_bytes): (i64, i64),
) {
    let [zero, all] = [0, depth as i64].map(|k| emitter.b.ins().iconst(types::I64, k));
    each(emitter, zero, all, &mut |emitter, k| {
        let offset = emitter.b.ins().imul_imm_s(k, depth_bytes);
        let from = emitter.b.ins().iadd(source, offset);
        let offset = emitter.b.ins().imul_imm_s(k, padded as i64 * 4);
        let to = emitter.b.ins().iadd(panel, offset);
        let mut column = 0;
        if column_bytes == 4 {
            while column + LANES <= columns {
                let vector = emitter.b.ins().load(types::F32X4, memory::flags(), from, column as i32 * 4);
                emitter.b.ins().store(memory::flags(), vector, to, column as i32 * 4);
                column += LANES;
            }
        }
        let values: SmallVec<[Value; 16]> = (column..columns)
            .map(|column| {
                let from_offset = column as i64 * column_bytes;
                match i32::try_from(from_offset) {
                    Ok(offset) => emitter.b.ins().load(types::F32, memory::flags(), from, offset),
                    Err(_) => {
                        let from = emitter.b.ins().iadd_imm_s(from, from_offset);
                        emitter.b.ins().load(types::F32, memory::flags(), from, 0)
                    }
                }
            })
            .collect();
        let nothing = emitter.b.ins().f32const(0.0);
        for at in column..padded {
            let value = values.get(at - column).copied().unwrap_or(nothing);
            emitter.b.ins().store(memory::flags(), value, to, at as i32 * 4);
        }
    });
}
