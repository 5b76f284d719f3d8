//! Pass `plan_memory`: gives every slot its place, and makes every update of a state happen.
//!
//! In: a plan of stage `kernels`, with slots that have no place yet, a copy per output, and the updates of states. Out:
//! a plan of stage `plan`. Which kernels run, and on which values, stays the same.
//!
//! 1. `updates`: the next value of a state is written in place where that is proven to be safe, and copied at the end
//!    otherwise.
//! 2. `outputs`: a value that is copied to an output is written there to begin with.
//! 3. `carries`: what a loop hands from one iteration to the next is written where the next one reads it.
//! 4. `arena`: what is left gets an offset in the arena; memory is reused once its value has been read for the last
//!    time, by the very kernel that reads it last where that kernel may ([`ir::in_place`]). Results of `prepare` are kept
//!    from run to run: their memory is theirs alone.

mod arena;
mod carries;
mod outputs;
mod steps;
mod updates;

use std::collections::BTreeSet;

use ir::{Place, Plan, Slot, SlotId, Step, Type};

use steps::Steps;

/// Places the slots of `plan`. Without `reuse`, every value has memory of its own and states are updated by copies:
/// slower and larger, with the same bits, which tests compare.
pub fn plan_memory(plan: Plan, reuse: bool) -> Plan {
    let steps = Steps::new(&plan);
    let is_kept = kept_slots(&plan);
    let carried = carries::carried_slots(&plan);
    let renamed = (0..plan.slots.len() as u32).map(SlotId).collect();
    let with_parts = slots_with_parts(&plan);
    let mut draft = Draft { renamed, is_kept, with_parts, plan, steps };
    updates::apply_updates(&mut draft, reuse);
    if reuse {
        outputs::write_outputs_directly(&mut draft, &carried);
    }
    let mut plan = draft.finish();
    if reuse {
        plan = carries::carry_without_copies(plan);
    }
    drop_unused_slots(&mut plan);
    arena::place_slots(&mut plan, reuse);
    plan
}

/// A plan whose steps are being reordered and whose slots are being merged.
struct Draft {
    /// The slots and kernels. The steps are in `steps`.
    plan: Plan,
    steps: Steps,
    /// The slot in whose memory each slot is; itself for most.
    renamed: Vec<SlotId>,
    /// Whether each slot is written by a step that prepares.
    is_kept: Vec<bool>,
    /// The slots that others are parts of.
    with_parts: BTreeSet<SlotId>,
}

/// The slots that others are parts of.
fn slots_with_parts(plan: &Plan) -> BTreeSet<SlotId> {
    let of = |slot: &Slot| if let Place::Part { of, .. } = slot.place { Some(of) } else { None };
    plan.slots.iter().filter_map(of).collect()
}

/// For each slot, whether it is written by a step that prepares.
fn kept_slots(plan: &Plan) -> Vec<bool> {
    let mut is_kept = vec![false; plan.slots.len()];
    plan.prepare.iter().flat_map(|step| plan.writes(step)).for_each(|slot| is_kept[slot.0 as usize] = true);
    is_kept
}

impl Draft {
    /// Whether `slot` is in the arena, is written in each run, and has been merged with no other slot.
    fn is_free(&self, slot: SlotId) -> bool {
        let index = slot.0 as usize;
        self.plan.slot(slot).place == Place::Unplaced && self.renamed[index] == slot && !self.is_kept[index]
    }

    /// Whether the value of one slot can be in the memory of the other: it is as large, and has the same rows where other slots
    /// are rows of it.
    fn is_alike(&self, a: SlotId, b: SlotId) -> bool {
        let has_rows = self.with_parts.contains(&a) || self.with_parts.contains(&b);
        let are_rows_alike = !has_rows || self.plan.rows(a) == self.plan.rows(b);
        let (a, b): (&Type, &Type) = (&self.plan.slot(a).ty, &self.plan.slot(b).ty);
        a.dtype == b.dtype && a.shape.elements() == b.shape.elements() && are_rows_alike
    }

    /// Makes `slot` another name for the memory of `target`.
    fn rename(&mut self, slot: SlotId, target: SlotId) {
        self.renamed[slot.0 as usize] = self.renamed[target.0 as usize];
    }

    /// A new slot in the arena for a value like that of `slot`.
    fn temporary(&mut self, slot: SlotId) -> SlotId {
        let Slot { name, ty, .. } = self.plan.slot(slot);
        let temporary = Slot { name: format!("{name}.next"), ty: ty.clone(), place: Place::Unplaced };
        let id = SlotId(self.plan.slots.len() as u32);
        self.plan.slots.push(temporary);
        self.renamed.push(id);
        self.is_kept.push(false);
        id
    }

    /// The plan with its steps in their final order and its slots merged.
    fn finish(mut self) -> Plan {
        let renamed = &self.renamed;
        let rename = |slot: &mut SlotId| *slot = renamed[slot.0 as usize];
        self.plan.steps = self.steps.into_ordered();
        self.plan.steps.iter_mut().for_each(|step| visit_slots(step, &mut { rename }));
        visit_parts(&mut self.plan, rename);
        self.plan
    }
}

/// Calls `visit` with each slot of a step, or of the steps of a loop.
pub(crate) fn visit_slots(step: &mut Step, visit: &mut dyn FnMut(&mut SlotId)) {
    match step {
        Step::Call { slots, .. } => slots.iter_mut().for_each(visit),
        Step::Copy { from, to } => {
            visit(from);
            visit(to);
        }
        Step::Loop { body, .. } => body.iter_mut().for_each(|step| visit_slots(step, visit)),
    }
}

/// Calls `visit` with each slot of each step, those that prepare included.
fn visit_all_slots(plan: &mut Plan, visit: &mut dyn FnMut(&mut SlotId)) {
    plan.prepare.iter_mut().chain(&mut plan.steps).for_each(|step| visit_slots(step, visit));
}

/// Calls `visit` with each slot that another is a part of.
fn visit_parts(plan: &mut Plan, mut visit: impl FnMut(&mut SlotId)) {
    for slot in &mut plan.slots {
        if let Place::Part { of, .. } = &mut slot.place {
            visit(of);
        }
    }
}

/// Removes the slots of the arena, and the parts of slots, that no step touches.
pub(crate) fn drop_unused_slots(plan: &mut Plan) {
    let is_placed = |slot: &Slot| !matches!(slot.place, Place::Unplaced | Place::Part { .. });
    let mut is_used: Vec<bool> = plan.slots.iter().map(is_placed).collect();
    let mut touched = Vec::new();
    visit_all_slots(plan, &mut |slot| touched.push(*slot));
    for slot in touched {
        plan.chain(slot).into_iter().for_each(|slot| is_used[slot.0 as usize] = true);
    }
    let mut kept = 0;
    let ids: Vec<SlotId> = (is_used.iter())
        .map(|&is_used| {
            kept += u32::from(is_used);
            SlotId(kept.saturating_sub(1))
        })
        .collect();
    let mut used = is_used.iter();
    plan.slots.retain(|_| *used.next().expect("there is a flag per slot"));
    visit_all_slots(plan, &mut |slot| *slot = ids[slot.0 as usize]);
    visit_parts(plan, |slot| *slot = ids[slot.0 as usize]);
}

#[cfg(test)]
mod tests;
