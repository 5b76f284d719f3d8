//! What is the same in each run. A value is *fixed* where it is a constant, a state that the plan never writes, or a result
//! of a step that is fixed: one of `prepare`, or one that can be moved there.
//!
//! Pass `prepack` moves such steps; `winograd`, which runs before, wants to know what will be fixed then.

use ir::{Place, Plan, Slot, SlotId, Step};

/// The fixed slots and steps of a plan.
pub struct Fixed {
    /// For each slot, whether it holds the same in each run.
    pub slots: Vec<bool>,
    /// For each step, whether it reads something, all of it fixed, and writes slots of the arena that no other step writes.
    /// Loops stay where they are.
    pub steps: Vec<bool>,
}

impl Fixed {
    /// What is fixed in a plan.
    pub fn of(plan: &Plan) -> Fixed {
        let mut fixed = Fixed { slots: kept_slots(plan), steps: Vec::with_capacity(plan.steps.len()) };
        let mut writers = vec![0; plan.slots.len()];
        plan.steps
            .iter()
            .flat_map(|step| plan.roots_written(step))
            .for_each(|slot| writers[slot.0 as usize] += 1);
        for step in &plan.steps {
            let (read, written) = (plan.roots_read(step), plan.roots_written(step));
            let is_own =
                |slot: &SlotId| plan.slot(*slot).place == Place::Unplaced && writers[slot.0 as usize] == 1;
            let is_fixed = !matches!(step, Step::Loop { .. })
                && !read.is_empty()
                && read.iter().all(|slot| fixed.slots[slot.0 as usize])
                && written.iter().all(is_own);
            if is_fixed {
                written.iter().for_each(|slot| fixed.slots[slot.0 as usize] = true);
            }
            fixed.steps.push(is_fixed);
        }
        for (id, _) in plan.slots_where(|place| matches!(place, Place::Part { .. })) {
            fixed.slots[id.0 as usize] = fixed.slots[plan.root(id).0 as usize];
        }
        fixed
    }
}

/// Whether a plan writes states. One that does not is free to choose the order of their axes: one that trains, and writes them,
/// would have to reorder those of others before each run.
pub fn writes_states(plan: &Plan) -> bool {
    let is_state = |slot: SlotId| matches!(plan.slot(slot).place, Place::State { .. });
    !plan.updates.is_empty()
        || plan.steps.iter().any(|step| plan.roots_written(step).into_iter().any(is_state))
}

/// For each slot that is no part of another, whether it holds the same in each run before any step is moved.
fn kept_slots(plan: &Plan) -> Vec<bool> {
    let is_kept = |slot: &Slot| matches!(slot.place, Place::State { .. } | Place::Constant(_));
    let mut is_fixed: Vec<bool> = plan.slots.iter().map(is_kept).collect();
    let written = plan.steps.iter().flat_map(|step| plan.roots_written(step));
    for slot in written.chain(plan.updates.iter().map(|&(state, _)| state)) {
        is_fixed[slot.0 as usize] = false;
    }
    let prepared = plan.prepare.iter().flat_map(|step| plan.roots_written(step));
    prepared.for_each(|slot| is_fixed[slot.0 as usize] = true);
    is_fixed
}
