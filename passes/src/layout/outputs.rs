//! Results of convolutions that the user sees: they are computed with their channels last, and a kernel of its own puts them
//! in the user's order. A convolution that wrote along the row of an image would have no columns for tiles.

use ir::{
    Access, Affine, Index, Indices, Inst, Kernel, KernelId, Place, Plan, SlotId, Step, Stmt, StoreMode,
};
use smallvec::smallvec;

use super::classes::Kind;

/// Makes kernels of the copies to outputs from results of convolutions that should lie in another order than the user's.
pub fn convert_outputs(plan: &mut Plan, kinds: &[Vec<Kind>], has_own_order: impl Fn(SlotId) -> bool) {
    let mut converted: Vec<(usize, SlotId, SlotId)> = Vec::new();
    for (at, step) in plan.steps.iter().enumerate() {
        if let Step::Copy { from, to } = *step
            && plan.slot(to).place == Place::Output
            && has_own_order(from)
            && is_result_of_convolution(plan, kinds, from)
        {
            converted.push((at, from, to));
        }
    }
    for (at, from, to) in converted {
        let kernel = KernelId(plan.kernels.len() as u32);
        plan.kernels.push(copy_kernel(plan, from));
        plan.steps[at] = Step::Call { kernel, slots: smallvec![from, to] };
    }
}

/// Whether a kernel that reads a filter writes the slot.
fn is_result_of_convolution(plan: &Plan, kinds: &[Vec<Kind>], slot: SlotId) -> bool {
    let has_taps = |slot: &SlotId| kinds[slot.0 as usize].contains(&Kind::Tap);
    let mut writers = plan.steps.iter().filter(|step| plan.writes(step).contains(&slot));
    writers.any(|step| matches!(step, Step::Call { .. }) && plan.reads(step).iter().any(has_taps))
}

/// A kernel that copies what is of the type of a slot, element by element.
fn copy_kernel(plan: &Plan, slot: SlotId) -> Kernel {
    let ty = &plan.slot(slot).ty;
    let mut kernel = Kernel::new(format!("k{}_convert", plan.kernels.len()));
    let source = kernel.buffer("x", ty.clone(), Access::Read);
    let target = kernel.buffer("r", ty.clone(), Access::Write);
    let axes: Vec<_> =
        (0..).zip(ty.shape.iter()).map(|(at, &extent)| kernel.axis(format!("i{at}"), extent)).collect();
    let indices: Indices = axes.iter().map(|&axis| Index { affine: Affine::axis(axis), var: None }).collect();
    let var = kernel.var(ty.dtype);
    let load = Stmt::Let { var, inst: Inst::Load { buffer: source, indices: indices.clone(), fill: None } };
    let store = Stmt::Store { value: var, buffer: target, indices, mode: StoreMode::Set };
    kernel.body = vec![Stmt::For { axes: axes.into(), sequential: false, body: vec![load, store] }];
    kernel.numbered()
}
