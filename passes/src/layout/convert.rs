//! Conversions: copies into another order of axes, where what the user sees lies in another order than convolutions want.
//!
//! A convolution whose result does not have its channels last, or whose filter does not have its output channels last, is
//! slow: no tile of registers is contiguous in memory. An image is read element by element anyway, which is fast in any
//! order where lines of cache are used as a whole, so its conversion saves less. A conversion reads and writes each
//! element once. So it pays where convolutions multiply each element of what is converted with enough others; one
//! conversion of an input serves all kernels that read it.

use std::collections::{BTreeMap, BTreeSet};

use ir::{
    Access, Affine, AxisId, Buffer, BufferId, Index, Indices, Inst, Kernel, KernelId, Place, Plan, ReduceOp,
    ScalarFn, Shape, Slot, SlotId, Step, Stmt, StoreMode, Type,
};
use smallvec::{SmallVec, smallvec};

use super::bundles::{Bundles, flattens};
use super::classes::{accesses, reduced_axes};

/// Conversions pay from this many multiply-adds on per element. A conversion moves 8 bytes per element, as long as tiles
/// take for 16 multiply-adds where memory gives 16 bytes a nanosecond; without it a multiply-add takes some 20 times as
/// long.
pub const LEAST_MULTIPLY_ADDS: usize = 16;

/// An input is converted where so many channels at least lie side by side then: a cache line. Of fewer, convolutions read
/// a few rows of the image as it is just as well.
const LEAST_INPUT_CHANNELS: usize = 16;
/// An output is where there are so many: tiles are no narrower.
const LEAST_OUTPUT_CHANNELS: usize = 4;

/// Inserts the conversions that pay: inputs are copied first thing, outputs are copied from what they become, and images that
/// others see flattened, whose axes stay as they are, from and to a slot whose axes need not. `channels` is, of slots that convolutions want in another order than row-major, the extent of what lies side by side in
/// that order, and 0 of the others.
pub fn insert_conversions(plan: &mut Plan, bundles: &[Bundles], channels: &[usize]) {
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
    convert_flattened(plan, bundles);
    convert_for_flattening(plan, bundles);
}

/// Copies images of convolutions that others see flattened from and to slots of their own.
fn convert_flattened(plan: &mut Plan, bundles: &[Bundles]) {
    // What stands for a slot until that is written again.
    let mut converted: BTreeMap<SlotId, (Shape, SlotId)> = BTreeMap::new();
    for mut step in std::mem::take(&mut plan.steps) {
        match &step {
            Step::Loop { .. } => converted.clear(),
            _ => plan.writes(&step).iter().for_each(|slot| drop(converted.remove(slot))),
        }
        let (mut before, mut after) = (Vec::new(), Vec::new());
        if let Step::Call { kernel, slots } = &mut step {
            let kernel = plan.kernel(*kernel);
            let (work, images) = (multiply_adds(kernel), images(kernel));
            let is_flattened = |(slot, (id, buffer)): (SlotId, (BufferId, &Buffer))| {
                let is_bound =
                    bundles.get(slot.0 as usize).is_some_and(|it| it.merge_axes_of(&buffer.ty.shape));
                is_bound
                    && matches!(plan.slot(slot).place, Place::Unplaced | Place::Input)
                    && work >= LEAST_MULTIPLY_ADDS * buffer.ty.shape.elements()
                    && images.contains(&id)
            };
            let flattened: Vec<(usize, Access, Type)> =
                (slots.iter().copied().zip(kernel.parameters()).enumerate())
                    .filter(|(_, parameter)| is_flattened(*parameter))
                    .map(|(at, (_, (_, buffer)))| (at, buffer.access, buffer.ty.clone()))
                    .collect();
            for (at, access, ty) in flattened {
                let slot = slots[at];
                if let Some((_, known)) = converted.get(&slot).filter(|(shape, _)| *shape == ty.shape) {
                    slots[at] = *known;
                    continue;
                }
                slots[at] = converted_slot(plan, slot);
                converted.insert(slot, (ty.shape.clone(), slots[at]));
                plan.slots[slots[at].0 as usize].ty = ty.clone();
                let kernel = copy_kernel(plan, &ty);
                if access == Access::Read {
                    before.push(Step::Call { kernel, slots: smallvec![slot, slots[at]] });
                } else {
                    after.push(Step::Call { kernel, slots: smallvec![slots[at], slot] });
                }
            }
        }
        plan.steps.extend(before.into_iter().chain([step]).chain(after));
    }
}

/// Gives those who see the filters of convolutions flattened a copy, so that they do not bind the axes of these states.
fn convert_for_flattening(plan: &mut Plan, bundles: &[Bundles]) {
    let mut bound = BTreeSet::new();
    for step in &plan.steps {
        let Step::Call { kernel, slots } = step else { continue };
        let kernel = plan.kernel(*kernel);
        if images(kernel).is_empty() {
            continue;
        }
        let work = multiply_adds(kernel);
        for (&slot, (_, buffer)) in slots.iter().zip(kernel.parameters()) {
            let is_bound = bundles.get(slot.0 as usize).is_some_and(|it| it.merge_axes_of(&buffer.ty.shape));
            let is_state = matches!(plan.slot(slot).place, Place::State { .. });
            if is_bound && is_state && work >= LEAST_MULTIPLY_ADDS * buffer.ty.shape.elements() {
                bound.insert(slot);
            }
        }
    }
    let mut copies: BTreeMap<SlotId, SlotId> = BTreeMap::new();
    for mut step in std::mem::take(&mut plan.steps) {
        if let Step::Call { kernel, slots } = &mut step {
            let shapes: Vec<Shape> =
                plan.kernel(*kernel).parameters().map(|(_, buffer)| buffer.ty.shape.clone()).collect();
            for (slot, seen) in slots.iter_mut().zip(shapes) {
                if bound.contains(slot) && flattens(&plan.slot(*slot).ty.shape, &seen) {
                    let state = *slot;
                    *slot = copies.get(&state).copied().unwrap_or_else(|| {
                        let kernel = copy_kernel(plan, &plan.slot(state).ty.clone());
                        let copy = converted_slot(plan, state);
                        plan.steps.push(Step::Call { kernel, slots: smallvec![state, copy] });
                        copy
                    });
                    copies.insert(state, *slot);
                }
            }
        }
        plan.steps.push(step);
    }
}

/// The buffers of a convolution that are images: its operand, in which places are read as windows, its result, and what is like it. None
/// where there are few output channels, those of the filter alone.
fn images(kernel: &Kernel) -> Vec<BufferId> {
    let reduced = reduced_axes(&kernel.body);
    let mut windows = BTreeSet::new();
    let (mut of_operand, mut of_filter) = (BTreeSet::new(), BTreeSet::new());
    let mut others: Vec<(BufferId, BTreeSet<AxisId>)> = Vec::new();
    let mut images = Vec::new();
    accesses(&kernel.body, &mut |buffer, indices| {
        let is_long = |axis: &AxisId| kernel.extent(*axis) > 1;
        let axes_of =
            |index: &Index| index.affine.terms().iter().map(|term| term.0).filter(is_long).collect();
        let axes: Vec<Vec<AxisId>> = indices.iter().map(axes_of).collect();
        let all = axes.concat();
        if axes.iter().any(|axes| axes.len() > 1) {
            windows.extend(axes.into_iter().filter(|axes| axes.len() > 1).flatten());
            of_operand.extend(all);
            images.push(buffer);
        } else if all.iter().any(|axis| reduced.contains(axis)) {
            of_filter.extend(all);
        } else {
            others.push((buffer, all.into_iter().collect()));
        }
    });
    let channels = of_filter.difference(&of_operand).map(|&axis| kernel.extent(axis)).product::<usize>();
    if windows.is_empty() || channels < LEAST_OUTPUT_CHANNELS {
        return Vec::new();
    }
    let has_places = |axes: &BTreeSet<AxisId>| axes.intersection(&windows).next().is_some();
    images.extend(others.into_iter().filter(|(_, axes)| has_places(axes)).map(|(buffer, _)| buffer));
    images
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
