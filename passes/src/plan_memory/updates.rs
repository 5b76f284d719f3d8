//! Updates of states, as steps that write the states' own memory.
//!
//! Every step that reads the old value of a state must run before the one that writes the next value over it. Where
//! these demands contradict each other, as they do when two states exchange their values, a copy is made first.

use std::collections::BTreeSet;

use ir::in_place::Call;
use ir::{Place, SlotId, Step};

use super::Draft;
use super::steps::StepId;

/// Turns each update of the plan into a write in place, where `in_place` allows it and it is safe, or into a copy.
pub fn apply_updates(draft: &mut Draft, in_place: bool) {
    let updates = std::mem::take(&mut draft.plan.updates);
    let mut touching = Touching::new(draft);
    let mut claimed: BTreeSet<SlotId> = BTreeSet::new();
    let (mut direct, mut copied) = (Vec::new(), Vec::new());
    for (state, value) in updates.into_iter().filter(|(state, value)| state != value) {
        let writer = if in_place { direct_writer(draft, &touching, state, value) } else { None };
        match writer.filter(|_| claimed.insert(value)) {
            Some(writer) => direct.push((state, value, writer)),
            None => copied.push((state, value)),
        }
    }
    // Copies read, and some read states: they all must be known before anything writes a state.
    let copies: Vec<(SlotId, SlotId, StepId)> = (copied.into_iter())
        .map(|(state, value)| (state, value, touching.push_copy(draft, value, state)))
        .collect();
    for (state, value, copy) in copies {
        if !draft.steps.run_before(&touching.readers_but(state, copy), copy) {
            through_temporary(draft, &touching, state, value, copy);
        }
    }
    for (state, value, writer) in direct {
        if draft.steps.run_before(&touching.readers_but(state, writer), writer) {
            draft.rename(value, state);
        } else {
            let copy = touching.push_copy(draft, value, state);
            let is_last = draft.steps.run_before(&touching.readers_but(state, copy), copy);
            assert!(is_last, "pass plan_memory: nothing depends on the copy to a state, so it can run last");
        }
    }
}

/// The one step that writes `value`, where it may write it over `state`.
fn direct_writer(draft: &Draft, touching: &Touching, state: SlotId, value: SlotId) -> Option<StepId> {
    let &[writer] = touching.writers[value.0 as usize].as_slice() else { return None };
    let step = draft.steps.step(writer);
    let is_fit = draft.is_free(value) && draft.is_alike(state, value);
    // What the call does to parts of slots says nothing of the whole.
    let has_no_parts = |slot: SlotId| {
        let mut touched = draft.plan.reads(step).into_iter().chain(draft.plan.writes(step));
        !touched.any(|other| other != slot && draft.plan.root(other) == slot)
    };
    let call =
        Call::of(&draft.plan, step).filter(|_| is_fit && has_no_parts(state) && has_no_parts(value))?;
    call.may_write_over(state, value).then_some(writer)
}

/// Makes `copy` keep the old value of a state in a temporary, and copies it to `state` when all have read that.
fn through_temporary(draft: &mut Draft, touching: &Touching, state: SlotId, value: SlotId, copy: StepId) {
    let temporary = draft.temporary(state);
    draft.steps.replace(copy, Step::Copy { from: value, to: temporary });
    let last = draft.steps.push(Step::Copy { from: temporary, to: state });
    let mut before = touching.readers_but(state, copy);
    before.push(copy);
    let is_last = draft.steps.run_before(&before, last);
    assert!(is_last, "pass plan_memory: nothing depends on the copy to a state, so it can run last");
}

/// Which steps read the value that a slot has first, and which write it.
struct Touching {
    readers: Vec<Vec<StepId>>,
    writers: Vec<Vec<StepId>>,
}

impl Touching {
    fn new(draft: &Draft) -> Touching {
        let none = vec![Vec::new(); draft.plan.slots.len()];
        let mut touching = Touching { readers: none.clone(), writers: none };
        for (id, step) in draft.steps.iter() {
            for slot in draft.plan.roots_read(step) {
                touching.readers[slot.0 as usize].push(id);
            }
            for slot in draft.plan.roots_written(step) {
                let is_state = matches!(draft.plan.slot(slot).place, Place::State { .. });
                assert!(
                    !is_state,
                    "pass plan_memory: a step writes state `{}`:\n{}",
                    draft.plan.slot(slot).name,
                    draft.plan
                );
                touching.writers[slot.0 as usize].push(id);
            }
        }
        touching
    }

    /// The steps that read the old value of a state, without `writer`, which will write the next one.
    fn readers_but(&self, state: SlotId, writer: StepId) -> Vec<StepId> {
        self.readers[state.0 as usize].iter().copied().filter(|&reader| reader != writer).collect()
    }

    /// Adds a copy of `value` to a state, after all that compute the value.
    fn push_copy(&mut self, draft: &mut Draft, value: SlotId, state: SlotId) -> StepId {
        let copy = draft.steps.push(Step::Copy { from: value, to: state });
        let root = draft.plan.root(value);
        let is_last = draft.steps.run_before(&self.writers[root.0 as usize], copy);
        assert!(is_last, "pass plan_memory: nothing depends on a step that was just added");
        self.readers[root.0 as usize].push(copy);
        copy
    }
}
