//! States that lie in memory as they are packed: there is one copy of such a weight, and nothing to prepare.
//!
//! The order in which a pack leaves the elements of a state is often one that the state can have itself: its axes in some
//! order, one of them cut into blocks. Where the plan writes no state, and nothing but products that want the same order read
//! this one, the state gets that order. The user knows it as before: states are given and asked for in their own order.
//!
//! A plan that trains keeps its states in the order in which the other one, which writes them, has them: it would have to
//! reorder them before each run otherwise.

use ir::plan::flat_steps;
use ir::{Affine, AxisOrder, AxisPart, Inst, Kernel, Place, Plan, Shape, SlotId, Stmt};

use super::Pack;
use crate::fixed::writes_states;
use crate::plan_memory::{drop_unused_slots, visit_slots};
use crate::sum_of_products::offset;

/// Gives states the order of their packs, and returns the packs that are left.
pub fn pack_states(plan: &mut Plan, packs: Vec<Pack>) -> Vec<Pack> {
    if writes_states(plan) {
        return packs;
    }
    let is_read = slots_read(plan);
    let mut packs_of = vec![0; plan.slots.len()];
    packs.iter().for_each(|pack| packs_of[pack.operand.0 as usize] += 1);
    let mut renamed: Vec<SlotId> = (0..plan.slots.len() as u32).map(SlotId).collect();
    let mut left = Vec::new();
    for pack in &packs {
        let operand = pack.operand.0 as usize;
        let alone = !is_read[operand] && packs_of[operand] == 1;
        let Some(order) = alone.then(|| packed_order(plan, pack)).flatten() else {
            left.push(pack.clone());
            continue;
        };
        let slot = &mut plan.slots[operand];
        if let Place::State { order: of_state, .. } = &mut slot.place {
            slot.ty.shape = order.in_memory(&of_state.known(&slot.ty.shape));
            *of_state = order;
        }
        renamed[pack.packed.0 as usize] = pack.operand;
    }
    let rename = |slot: &mut SlotId| *slot = renamed[slot.0 as usize];
    plan.steps.iter_mut().for_each(|step| visit_slots(step, &mut { rename }));
    left
}

/// Removes the slots that held what states hold now.
pub fn drop_packed_slots(plan: &mut Plan) {
    drop_unused_slots(plan);
}

/// For each slot, whether it, or a part of it, is read by a step.
fn slots_read(plan: &Plan) -> Vec<bool> {
    let mut is_read = vec![false; plan.slots.len()];
    for step in flat_steps(&plan.prepare).chain(flat_steps(&plan.steps)) {
        plan.roots_read(step).into_iter().for_each(|slot| is_read[slot.0 as usize] = true);
    }
    is_read
}

/// A part of an axis that the user knows: `place / step % extent`.
#[derive(Clone, Copy)]
struct Digit {
    axis: usize,
    step: usize,
    extent: usize,
}

/// The order in which the state that a pack reads lies as the pack leaves it, where it is one that states can have.
fn packed_order(plan: &Plan, pack: &Pack) -> Option<AxisOrder> {
    let slot = plan.slot(pack.operand);
    let Place::State { order, .. } = &slot.place else { return None };
    let known = order.known(&slot.ty.shape);
    let mut digits: Vec<Digit> = Vec::new();
    for (step, extent) in runs(&pack.kernel, &slot.ty.shape)? {
        let digit = digit(order, &slot.ty.shape, (step, extent))?;
        match digits.last_mut() {
            Some(last) if last.axis == digit.axis && last.step == digit.step * digit.extent => {
                *last = Digit { extent: last.extent * digit.extent, ..digit };
            }
            _ => digits.push(digit),
        }
    }
    let part = |&Digit { axis, step, extent }: &Digit| match step {
        1 if extent == known[axis] => AxisPart::Whole(axis),
        1 => AxisPart::InBlock { axis, size: extent },
        size => AxisPart::Block { axis, size },
    };
    // Nothing tells where an axis of one place lies.
    let single = (0..known.rank()).filter(|&axis| known[axis] == 1).map(AxisPart::Whole);
    let order = AxisOrder::of_parts(single.chain(digits.iter().map(part)));
    let in_memory = order.in_memory(&known);
    (order.fits(&in_memory) && order.known(&in_memory) == known).then_some(order)
}

/// What a pack goes through, from the outermost loop on: steps, in elements of the operand, and extents, none of which crosses
/// the end of an axis of the operand. `None` where it leaves elements out, or reads one twice.
fn runs(kernel: &Kernel, in_memory: &Shape) -> Option<Vec<(usize, usize)>> {
    let [Stmt::For { axes, body, .. }] = kernel.body.as_slice() else { return None };
    let [Stmt::Let { inst: Inst::Load { buffer, indices, .. }, .. }, _] = body.as_slice() else {
        return None;
    };
    let from: Affine = offset(kernel, *buffer, indices);
    let loops = axes.iter().map(|&axis| (from.coefficient(axis), kernel.extent(axis)));
    let mut loops: Vec<(usize, usize)> =
        loops.map(|(step, extent)| Some((usize::try_from(step).ok()?, extent))).collect::<Option<_>>()?;
    loops.retain(|&(_, extent)| extent != 1);
    let mut ascending = loops.clone();
    ascending.sort_unstable();
    let elements =
        ascending.iter().try_fold(1, |dense, &(step, extent)| (step == dense).then_some(dense * extent))?;
    if from.offset() != 0 || elements != in_memory.elements() {
        return None;
    }
    let mut strides: Vec<usize> = in_memory.strides().to_vec();
    strides.sort_unstable_by_key(|&stride| std::cmp::Reverse(stride));
    let mut runs = Vec::new();
    for (step, mut extent) in loops {
        for &stride in strides.iter().filter(|&&stride| stride > step) {
            let end = step * extent;
            if stride < end {
                if stride % step != 0 || end % stride != 0 {
                    return None;
                }
                runs.push((stride, end / stride));
                extent = stride / step;
            }
        }
        runs.push((step, extent));
    }
    runs.retain(|&(_, extent)| extent != 1);
    Some(runs)
}

/// What a run over an operand is of the axes that the user knows; `None` where it is of an axis that is cut already.
fn digit(order: &AxisOrder, in_memory: &Shape, (step, extent): (usize, usize)) -> Option<Digit> {
    let strides = in_memory.strides();
    let holds = |&axis: &usize| strides[axis] <= step && step * extent <= strides[axis] * in_memory[axis];
    let at = (0..in_memory.rank()).filter(|&axis| in_memory[axis] != 1).find(holds)?;
    match order.part(at) {
        AxisPart::Whole(axis) if step.is_multiple_of(strides[at]) => {
            Some(Digit { axis, step: step / strides[at], extent })
        }
        _ => None,
    }
}
