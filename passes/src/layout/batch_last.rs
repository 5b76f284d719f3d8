//! Convolutions to few channels, with the images of a batch side by side.
//!
//! The columns of a tile are the channels of the result. Where they are few, as in the gradient of what a convolution of few
//! channels has read, most lanes of a vector multiply nothing. With the batch innermost in the operand and in the result
//! all lanes work, no bound of an image is within a vector, and the filter is read as it is. The operand is copied into that
//! order before, and the result out of it afterwards.

use ir::plan::flat_steps;
use ir::{Access, Affine, AxisId, BufferId, Index, Kernel, KernelId, Plan, SlotId, Step, Stmt};
use smallvec::smallvec;

use super::classes::accesses;
use super::convert::{LEAST_MULTIPLY_ADDS, converted_slot, copy_kernel, multiply_adds};
use super::rewrite::{order_loops, permute};

/// The lanes that a row of channels is thought to be cut into.
const LANES: usize = 16;
/// What idle lanes could do has to be so many times the work of the copies: these also take out of the caches what is in
/// them.
const WORTH: usize = 4;

/// An operand or a result with a batch.
#[derive(Clone, Copy, Debug)]
struct Images {
    buffer: BufferId,
    /// The axis of its shape that is the batch.
    batch: usize,
}

/// Puts the batch last in convolutions where it pays.
pub fn put_batches_last(plan: &mut Plan) {
    let mut steps = Vec::with_capacity(plan.steps.len());
    for step in plan.steps.clone() {
        let Step::Call { kernel, slots } = &step else {
            steps.push(step);
            continue;
        };
        let Some([operand, result]) = images(plan.kernel(*kernel)).filter(|_| calls(plan, *kernel) == 1)
        else {
            steps.push(step);
            continue;
        };
        let mut slots = slots.clone();
        let (copy, from, to) = convert(plan, *kernel, operand, &mut slots);
        steps.push(Step::Call { kernel: copy, slots: smallvec![from, to] });
        let (copy, to, from) = convert(plan, *kernel, result, &mut slots);
        order_loops(&mut plan.kernels[kernel.0 as usize]);
        steps.push(Step::Call { kernel: *kernel, slots });
        steps.push(Step::Call { kernel: copy, slots: smallvec![from, to] });
    }
    plan.steps = steps;
}

/// How many steps call a kernel.
fn calls(plan: &Plan, id: KernelId) -> usize {
    flat_steps(&plan.steps).filter(|step| matches!(step, Step::Call { kernel, .. } if *kernel == id)).count()
}

/// Puts the batch of some images last in a kernel and gives them a slot of their own; a kernel that copies, the slot that was,
/// and the new one. Operands are copied into the new slot, results out of it.
fn convert(
    plan: &mut Plan,
    kernel: KernelId,
    images: Images,
    slots: &mut [SlotId],
) -> (KernelId, SlotId, SlotId) {
    let parameter = plan.kernel(kernel).parameters().position(|(id, _)| id == images.buffer);
    let parameter = parameter.expect("images are not in local memory");
    let buffer = &plan.kernel(kernel).buffers[images.buffer.0 as usize];
    let (ty, is_result) = (buffer.ty.clone(), buffer.access == Access::Write);
    let others = (0..ty.shape.rank()).filter(|&axis| axis != images.batch);
    let axes: Vec<usize> = others.chain([images.batch]).collect();
    let copy = copy_kernel(plan, &ty);
    permute(&mut plan.kernels[copy.0 as usize], BufferId(if is_result { 0 } else { 1 }), &axes);
    order_loops(&mut plan.kernels[copy.0 as usize]);
    permute(&mut plan.kernels[kernel.0 as usize], images.buffer, &axes);
    let old = slots[parameter];
    let new = converted_slot(plan, old);
    plan.slots[new.0 as usize].ty = plan.kernel(kernel).buffers[images.buffer.0 as usize].ty.clone();
    slots[parameter] = new;
    (copy, old, new)
}

/// The operand and the result of a convolution for which it pays to have the batch last.
fn images(kernel: &Kernel) -> Option<[Images; 2]> {
    let work = multiply_adds(kernel);
    let [Stmt::For { axes, sequential: false, .. }] = kernel.body.as_slice() else { return None };
    if work == 0 {
        return None;
    }
    axes.iter().find_map(|&axis| {
        let [operand, result] = images_along(kernel, axis)?;
        let shape = |images: Images| &kernel.buffers[images.buffer.0 as usize].ty.shape;
        let channels = *shape(result).last()?;
        let idle = work * (channels.next_multiple_of(LANES) - channels) / channels;
        let copied = shape(operand).elements() + shape(result).elements();
        let pays = kernel.extent(axis).is_multiple_of(LANES) && idle >= WORTH * LEAST_MULTIPLY_ADDS * copied;
        pays.then_some([operand, result])
    })
}

/// The operand and the result that an axis is the outermost axis of, where there is one of each and nothing else runs along
/// it.
fn images_along(kernel: &Kernel, axis: AxisId) -> Option<[Images; 2]> {
    let is_along = |index: &Index| index.affine.coefficient(axis) != 0;
    let is_batch = |index: &Index| index.affine == Affine::axis(axis) && index.var.is_none();
    let (mut found, mut fits) = ([None, None], true);
    accesses(&kernel.body, &mut |buffer, indices| {
        let number = usize::from(kernel.buffers[buffer.0 as usize].access != Access::Read);
        if !indices.iter().any(is_along) {
            fits &= number == 0;
            return;
        }
        let shape = &kernel.buffers[buffer.0 as usize].ty.shape;
        let batch = indices.iter().position(is_along).expect("there is one");
        let is_alone = indices.iter().filter(|index| is_along(index)).count() == 1;
        let is_outermost = shape[..batch].iter().all(|&extent| extent == 1) && batch + 1 < shape.rank();
        fits &= found[number].is_none() && is_alone && is_outermost && is_batch(&indices[batch]);
        found[number] = Some(Images { buffer, batch });
    });
    let [Some(operand), Some(result)] = found else { return None };
    let is_written = kernel.buffers[result.buffer.0 as usize].access == Access::Write;
    (fits && is_written).then_some([operand, result])
}
