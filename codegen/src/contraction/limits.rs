//! How often the loops over the depth run at the current place in the loops around them.

use cranelift_codegen::ir::{InstBuilder, Value, types};
use ir::AxisId;

use super::ContractionPlan;
use super::bounds::split;
use super::emit::CurrentBlock;
use crate::emit::Emitter;
use crate::nest::Bound;

/// The steps that a loop over the depth does: all of them, or those from one on and before another.
#[derive(Clone, Copy)]
pub enum DepthRange {
    /// All.
    All,
    /// From the first to before the second; none where that is not larger.
    Some(Value, Value),
}

/// The steps of each loop that runs inside of tiles, at the current place.
pub fn depth_ranges(
    emitter: &mut Emitter<'_, '_>,
    plan: &ContractionPlan<'_>,
    block: Option<CurrentBlock>,
) -> Vec<DepthRange> {
    (plan.first_inner()..plan.loops.len())
        .map(|level| {
            let depth = &plan.loops[level];
            let bounds: Vec<&Bound> = depth.left_limits.iter().chain(&depth.right_limits).collect();
            range(emitter, plan, level, block, &bounds)
        })
        .collect()
}

/// The steps of a loop that are within these bounds, and within the current block.
pub fn range(
    emitter: &mut Emitter<'_, '_>,
    plan: &ContractionPlan<'_>,
    level: usize,
    block: Option<CurrentBlock>,
    bounds: &[&Bound],
) -> DepthRange {
    let depth = &plan.loops[level];
    let block = block.filter(|_| plan.block.is_some_and(|cut| cut.level == level));
    if bounds.is_empty() && block.is_none() {
        return DepthRange::All;
    }
    let (mut from, mut to) = match block {
        Some(block) => block.steps,
        None => {
            let [from, to] = [0, depth.extent as i64].map(|at| emitter.b.ins().iconst(types::I64, at));
            (from, to)
        }
    };
    for bound in bounds {
        let (first, end) = steps_inside(emitter, bound, depth.axis);
        from = emitter.b.ins().smax(from, first);
        to = emitter.b.ins().smin(to, end);
    }
    DepthRange::Some(from, to)
}

/// The first step, and the one after the last, at which `0 <= base + step * k < extent`.
fn steps_inside(emitter: &mut Emitter<'_, '_>, bound: &Bound, axis: Option<AxisId>) -> (Value, Value) {
    let (base, step) = split(bound, axis);
    let base = emitter.affine(&base);
    let extent = bound.extent as i64;
    match step {
        // One step, which is inside or not.
        0 => {
            let last = emitter.b.ins().iconst(types::I64, extent - 1);
            let above = emitter.b.ins().isub(last, base);
            let lowest = emitter.b.ins().smin(base, above);
            let is_outside = emitter.b.ins().sshr_imm_u(lowest, 63);
            let zero = emitter.b.ins().iconst(types::I64, 0);
            (zero, emitter.b.ins().iadd_imm_s(is_outside, 1))
        }
        step if step > 0 => {
            let below = emitter.b.ins().ineg(base);
            let above = emitter.b.ins().iadd_imm_s(below, extent);
            (div_ceil(emitter, below, step), div_ceil(emitter, above, step))
        }
        step => {
            // base - |step| k > -1 and <= extent - 1
            let above = emitter.b.ins().iadd_imm_s(base, 1 - extent);
            let end = emitter.b.ins().iadd_imm_s(base, 1);
            (div_ceil(emitter, above, -step), div_ceil(emitter, end, -step))
        }
    }
}

/// `x / step`, rounded up, for a positive step.
fn div_ceil(emitter: &mut Emitter<'_, '_>, x: Value, step: i64) -> Value {
    /// Indices are far smaller than this.
    const FAR: i64 = 1 << 40;
    if step == 1 {
        return x;
    }
    let shifted = emitter.b.ins().iadd_imm_s(x, FAR * step + step - 1);
    let divisor = emitter.b.ins().iconst(types::I64, step);
    let quotient = emitter.b.ins().udiv(shifted, divisor);
    emitter.b.ins().iadd_imm_s(quotient, -FAR)
}
