//! Packing: the columns of a panel, depth by depth, in dense memory.

use cranelift_codegen::ir::{InstBuilder, StackSlotData, StackSlotKind, Value, types};
use smallvec::SmallVec;

use super::emit::{CurrentBlock, Panel};
use super::limits::{DepthRange, range};
use super::{ContractionPlan, LANES};
use crate::emit::loops::each;
use crate::emit::{Emitter, memory};
use crate::nest::Bound;
use crate::wide::pack::{PackSpec, emit_pack};

/// A loop of packing.
#[derive(Clone, Copy)]
struct PackLoop {
    extent: usize,
    range: DepthRange,
    /// The step of the first place in the panel.
    origin: Option<Value>,
    /// From a step to the next in the source, in bytes.
    step: i64,
}

/// Packs what the current block needs of a panel whose first column is at `source`.
pub fn pack_panel(
    emitter: &mut Emitter<'_, '_>,
    plan: &ContractionPlan<'_>,
    source: Value,
    panel: &Panel,
    block: Option<CurrentBlock>,
) {
    let mut loops: Vec<PackLoop> = Vec::new();
    for level in plan.first_inner()..plan.loops.len() {
        let depth = &plan.loops[level];
        let bounds: Vec<&Bound> = depth.right_limits.iter().collect();
        let range = range(emitter, plan, level, block, &bounds);
        let step = depth.axis.map_or(0, |axis| plan.contraction.right.offset.coefficient(axis) * 4);
        let is_cut = plan.block.is_some_and(|cut| cut.level == level);
        let origin = block.filter(|_| is_cut).map(|block| block.steps.0);
        let next = PackLoop { extent: plan.steps(level), range, origin, step };
        match loops.last_mut() {
            Some(last) if last.is_one_loop_with(&next) => {
                last.extent *= next.extent;
                last.step = next.step;
            }
            _ => loops.push(next),
        }
    }
    let step_bytes = panel.padded(plan) as i64 * 4;
    pack_loops(emitter, plan, &loops, source, panel.right, panel, step_bytes);
}

impl PackLoop {
    /// Whether this loop and one inside of it step through the source as one.
    fn is_one_loop_with(&self, inner: &PackLoop) -> bool {
        let are_whole = matches!((self.range, inner.range), (DepthRange::All, DepthRange::All));
        are_whole && self.step == inner.step * inner.extent as i64
    }
}

fn pack_loops(
    emitter: &mut Emitter<'_, '_>,
    plan: &ContractionPlan<'_>,
    loops: &[PackLoop],
    from: Value,
    to: Value,
    panel: &Panel,
    step_bytes: i64,
) {
    let column_step = plan.contraction.right.offset.coefficient(plan.contraction.column) * 4;
    let (first, inner) = match loops {
        [] => return pack_straight(emitter, plan, from, to, panel, (1, column_step, 0)),
        [PackLoop { range: DepthRange::All, extent, step, .. }] => {
            return pack_straight(emitter, plan, from, to, panel, (*extent, column_step, *step));
        }
        [first, inner @ ..] => (first, inner),
    };
    let inner_depth: usize = inner.iter().map(|pack| pack.extent).product();
    let (start, end) = match first.range {
        DepthRange::Some(start, end) => (start, end),
        DepthRange::All => {
            let [start, end] = [0, first.extent as i64].map(|at| emitter.b.ins().iconst(types::I64, at));
            (start, end)
        }
    };
    each(emitter, start, end, &mut |emitter, index| {
        let offset = emitter.b.ins().imul_imm_s(index, first.step);
        let from = emitter.b.ins().iadd(from, offset);
        let place = first.origin.map_or(index, |origin| emitter.b.ins().isub(index, origin));
        let offset = emitter.b.ins().imul_imm_s(place, inner_depth as i64 * step_bytes);
        let to = emitter.b.ins().iadd(to, offset);
        pack_loops(emitter, plan, inner, from, to, panel, step_bytes);
    });
}

/// Packs depths that follow each other: how many, and the steps from a column and from a depth to the next, in bytes.
pub fn pack_straight(
    emitter: &mut Emitter<'_, '_>,
    plan: &ContractionPlan<'_>,
    from: Value,
    to: Value,
    panel: &Panel,
    (depth, column_step, depth_step): (usize, i64, i64),
) {
    let spec = PackSpec { columns: panel.columns, depth, column_step, depth_step, panel_step: None };
    let Some(isa) = plan.wide.filter(|_| spec.is_packable()) else {
        let sizes = (depth, panel.columns, panel.padded(plan));
        return pack_by_element(emitter, from, to, sizes, (column_step, depth_step));
    };
    let function = emit_pack(isa, &spec);
    let slot = emitter.b.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, 16, 3));
    for (word, value) in [from, to].into_iter().enumerate() {
        emitter.b.ins().stack_store(types::I64, value, slot, 8 * word as i32);
    }
    let frame = emitter.b.ins().stack_addr(types::I64, slot, 0);
    emitter.call_wide(function, frame);
}

/// Copies `columns` columns of all depths to a dense panel, zeros up to `padded` columns.
fn pack_by_element(
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
