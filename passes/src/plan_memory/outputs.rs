//! Outputs written where they belong.

use std::collections::BTreeSet;

use ir::{Place, SlotId, Step};

use super::Draft;
use super::steps::StepId;

/// Removes each copy of a value of the arena to an output: the value is computed in the output's memory to begin with.
/// A value that is given twice is computed in the first output and copied to the others; inputs, states and constants
/// are copied, and so is what a loop carries, which is better off elsewhere.
pub fn write_outputs_directly(draft: &mut Draft, carried: &BTreeSet<SlotId>) {
    let copies: Vec<(StepId, SlotId, SlotId)> = (draft.steps.iter())
        .filter_map(|(id, step)| match *step {
            Step::Copy { from, to } if draft.plan.slot(to).place == Place::Output => Some((id, from, to)),
            _ => None,
        })
        .collect();
    for (id, from, to) in copies {
        if draft.is_free(from) && !carried.contains(&from) && draft.is_alike(from, to) {
            draft.rename(from, to);
            draft.steps.remove(id);
        }
    }
}
