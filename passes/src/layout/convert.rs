//! Conversions: copies into another order of axes, where what the user sees lies in another order than convolutions want.
//!
//! A convolution whose result does not have its channels last, or whose filter does not have its output channels last, is
//! slow: no tile of registers is contiguous in memory. An image is read element by element anyway, which is fast in any
//! order where lines of cache are used as a whole, so its conversion saves less. A conversion reads and writes each
//! element once. So it pays where convolutions multiply each element of what is converted with enough others; one
//! conversion of an input serves all kernels that read it.

use ir::{
    Access, Affine, AxisId, Index, Indices, Inst, Kernel, KernelId, Place, Plan, ReduceOp, ScalarFn, Slot,
    SlotId, Step, Stmt, StoreMode, Type,
};
use smallvec::{SmallVec, smallvec};

/// Conversions pay from this many multiply-adds on per element. A conversion moves 8 bytes per element, as long as tiles
/// take for 16 multiply-adds where memory gives 16 bytes a nanosecond; without it a multiply-add takes some 20 times as
/// long.
pub const LEAST_MULTIPLY_ADDS: usize = 16;

/// An input is converted where so many channels at least lie side by side then: a cache line. Of fewer, convolutions read
/// a few rows of the image as it is just as well.
const LEAST_INPUT_CHANNELS: usize = 16;
/// An output is where there are so many: tiles are no narrower.
const LEAST_OUTPUT_CHANNELS: usize = 4;

/// Inserts the conversions that pay: inputs are copied first thing, and outputs are copied from what they become.
/// `channels` is, of slots that convolutions want in another order than row-major, the extent of what lies side by side in
/// that order, and 0 of the others.
pub fn insert_conversions(plan: &mut Plan, channels: &[usize]) {
    let work = multiply_adds_of_slots(plan);
    let pays = |plan: &Plan, slot: SlotId, least: usize| {
        let elements = plan.slot(slot).ty.shape.elements();
        channels[slot.0 as usize] >= least && work[slot.0 as usize] >= LEAST_MULTIPLY_ADDS * elements
    };
    for index in 0..plan.steps.len() {
        if let Step::Copy { from, to } = plan.steps[index]
            && plan.slot(to).place == Place::Output
            && pays(plan, from, LEAST_OUTPUT_CHANNELS)
        {
            let kernel = copy_kernel(plan, &plan.slot(from).ty.clone());
            plan.steps[index] = Step::Call { kernel, slots: smallvec![from, to] };
        }
    }
    let inputs = plan.slots_where(|place| *place == Place::Input).map(|(id, _)| id);
    let inputs: Vec<SlotId> = inputs.filter(|&input| pays(plan, input, LEAST_INPUT_CHANNELS)).collect();
    for (at, input) in inputs.into_iter().enumerate() {
        let converted = converted_slot(plan, input);
        for step in &mut plan.steps {
            if let Step::Call { slots, .. } = step {
                slots.iter_mut().filter(|slot| **slot == input).for_each(|slot| *slot = converted);
            }
        }
        let kernel = copy_kernel(plan, &plan.slot(input).ty.clone());
        plan.steps.insert(at, Step::Call { kernel, slots: smallvec![input, converted] });
    }
}

/// A slot for an input in another order.
pub fn converted_slot(plan: &mut Plan, input: SlotId) -> SlotId {
    let Slot { name, ty, .. } = plan.slot(input);
    let (name, ty) = (format!("{name}.ordered"), ty.clone());
    plan.slots.push(Slot { name, ty, place: Place::Unplaced });
    SlotId(plan.slots.len() as u32 - 1)
}

/// A kernel that copies: `r[i, j, ..] = x[i, j, ..]`.
pub fn copy_kernel(plan: &mut Plan, ty: &Type) -> KernelId {
    let id = KernelId(plan.kernels.len() as u32);
    let mut kernel = Kernel::new(format!("k{}_reorder", id.0));
    let from = kernel.buffer("x", ty.clone(), Access::Read);
    let to = kernel.buffer("r", ty.clone(), Access::Write);
    let axes: SmallVec<[AxisId; 4]> =
        ty.shape.iter().enumerate().map(|(at, &extent)| kernel.axis(format!("i{at}"), extent)).collect();
    let indices: Indices = axes.iter().map(|&axis| Index { affine: Affine::axis(axis), var: None }).collect();
    let var = kernel.var(ty.dtype);
    let load = Inst::Load { buffer: from, indices: indices.clone(), fill: None };
    let body = vec![
        Stmt::Let { var, inst: load },
        Stmt::Store { value: var, buffer: to, indices, mode: StoreMode::Set },
    ];
    kernel.body = vec![Stmt::For { axes, sequential: false, body }];
    plan.kernels.push(kernel.numbered());
    id
}

/// For each slot, the multiply-adds of the steps that have to do with it.
fn multiply_adds_of_slots(plan: &Plan) -> Vec<usize> {
    let mut work = vec![0; plan.slots.len()];
    for step in &plan.steps {
        let Step::Call { kernel, slots } = step else { continue };
        let of_kernel = multiply_adds(plan.kernel(*kernel));
        slots.iter().for_each(|slot| work[slot.0 as usize] += of_kernel);
    }
    work
}

/// The multiply-adds of the sums of products in a kernel.
pub fn multiply_adds(kernel: &Kernel) -> usize {
    let points = |axes: &[AxisId]| axes.iter().map(|&axis| kernel.extent(axis)).product::<usize>();
    let of = |outer: usize, stmt: &Stmt| match stmt {
        Stmt::Reduce { axes, accumulators, body } => {
            let is_sum = accumulators.len() == 1 && accumulators[0].op == ReduceOp::Add;
            if is_sum && is_product(body) { outer * points(axes) } else { 0 }
        }
        _ => 0,
    };
    let of_loop = |stmt: &Stmt| match stmt {
        Stmt::For { axes, body, .. } => body.iter().map(|stmt| of(points(axes), stmt)).sum(),
        _ => 0,
    };
    kernel.body.iter().map(of_loop).sum()
}

/// Whether the body of a reduction gives the product of two loads.
fn is_product(body: &[Stmt]) -> bool {
    matches!(
        body,
        [
            Stmt::Let { inst: Inst::Load { .. }, .. },
            Stmt::Let { inst: Inst::Load { .. }, .. },
            Stmt::Let { inst: Inst::Apply { function: ScalarFn::Mul, .. }, .. },
        ]
    )
}
