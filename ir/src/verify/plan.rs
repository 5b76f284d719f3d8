//! What holds of plans.

use std::collections::HashSet;

use super::memory::verify_memory;
use super::steps::{row_of_no_loop, verify_in_place, verify_nesting, verify_steps};
use super::{Stage, verify_kernel};
use crate::plan::{flat_steps, sites};
use crate::{Error, Place, Plan, Row, Shape, Slot, SlotId};

/// Checks a plan at stage `kernels` or `plan`.
///
/// - Always: its kernels are valid, and each is called; a call has a slot for each parameter, of its dtype and number
///   of elements; inputs and constants are never written; what a call writes is apart; a slot is written before it is
///   read; every output is written; names of inputs, of states and of outputs are unique; updates are of states.
/// - Of loops: they are nested at most [`Plan::MAX_LOOP_DEPTH`] deep, and each has an iteration. All that holds of steps
///   holds in loops, of their first iteration. Parts are rows of slots of their dtype that end within them; one whose row
///   counts with a loop is touched in such a loop alone. A part is written, or has been, where its root is.
/// - Of `prepare`: its steps read constants, states that the plan never writes nor updates, and what earlier ones have
///   written; they write to the arena, where nothing else writes to their slots.
/// - At `kernels`: no step writes a state; its update says what it becomes.
/// - At `plan`: every slot has a place, aligned and within the arena; values that are alive at the same time do not
///   overlap, what is alive from one iteration to the next included; a kernel that writes a value over one that it reads
///   does so after its last read; no update is left.
///
/// # Errors
/// The first of these that does not hold.
pub fn verify_plan(plan: &Plan, stage: Stage) -> Result<(), Error> {
    plan.kernels.iter().try_for_each(verify_kernel)?;
    verify_slots(plan)?;
    verify_nesting(plan)?;
    verify_steps(plan, stage)?;
    verify_updates(plan)?;
    verify_prepare(plan)?;
    if stage < Stage::Plan {
        return Ok(());
    }
    if let Some(&(state, _)) = plan.updates.first() {
        return fail(&slot_name(plan, state), "its update is left", "run pass `plan_memory`");
    }
    verify_memory(plan)?;
    verify_in_place(plan)
}

pub(super) fn fail<T>(subject: &str, problem: impl Into<String>, help: &str) -> Result<T, Error> {
    Err(Error::new(subject, problem, help))
}

/// How errors call a slot.
pub(super) fn slot_name(plan: &Plan, id: SlotId) -> String {
    plan.slots
        .get(id.0 as usize)
        .map_or_else(|| format!("slot {}", id.0), |slot| format!("slot %{}", slot.name))
}

fn verify_slots(plan: &Plan) -> Result<(), Error> {
    let mut names = HashSet::new();
    for slot in &plan.slots {
        if !slot.ty.is_within_limit() {
            let problem = format!("it has too many elements, {}", slot.ty);
            return fail(&format!("slot %{}", slot.name), problem, "use at most 2^31");
        }
        if let Place::State { order, .. } = &slot.place
            && !order.fits(&slot.ty.shape)
        {
            let problem = format!("`{order}` is no order of the axes {}", slot.ty.shape);
            let help = "name each axis once, counted from 0, or its blocks and the places in them";
            return fail(&format!("slot %{}", slot.name), problem, help);
        }
        let role = match slot.place {
            Place::Input => "input",
            Place::Output => "output",
            Place::State { .. } => "state",
            Place::Part { of, row } => {
                verify_part(plan, slot, of, row)?;
                continue;
            }
            Place::Constant(ref tensor) if tensor.ty() != slot.ty => {
                let problem = format!("it is {}, its constant {}", slot.ty, tensor.ty());
                return fail(
                    &format!("slot %{}", slot.name),
                    problem,
                    "give the slot the type of the constant",
                );
            }
            _ => continue,
        };
        if !names.insert((role, &slot.name)) {
            let help = "a name stands for one tensor of the user";
            return fail(
                &format!("slot %{}", slot.name),
                format!("there are two {role}s of this name"),
                help,
            );
        }
    }
    Ok(())
}

/// Checks that a slot is rows of another, and that the chain of parts ends.
fn verify_part(plan: &Plan, part: &Slot, of: SlotId, row: Row) -> Result<(), Error> {
    let name = format!("slot %{}", part.name);
    let whole = existing(plan, of, &name)?;
    if part.ty.dtype != whole.ty.dtype {
        let problem = format!("it is {}, and a part of {}, {}", part.ty, slot_name(plan, of), whole.ty);
        return fail(&name, problem, "give a part the dtype of what it is of");
    }
    let Some((&rows, row_shape)) = whole.ty.shape.split_first().filter(|(rows, _)| **rows > 0) else {
        let problem = format!("{} has no rows, {}", slot_name(plan, of), whole.ty);
        return fail(&name, problem, "make it a part of a slot whose leading axis counts rows");
    };
    let (elements, row_elements) = (part.ty.shape.elements(), Shape::new(row_shape).elements());
    let fits = match row {
        Row::At(first) => {
            let is_whole_rows = elements.checked_rem(row_elements).unwrap_or(elements) == 0;
            let filled = elements.checked_div(row_elements).unwrap_or(0);
            is_whole_rows && first.checked_add(filled).is_some_and(|end| end <= rows)
        }
        Row::Step { .. } => elements == row_elements,
    };
    if !fits {
        let problem = format!("it is {}, which is no rows of {}, {}", part.ty, slot_name(plan, of), whole.ty);
        return fail(&name, problem, "make it as large as rows that end within it, or as one row of a loop");
    }
    if let Row::Step { shift, .. } = row
        && !(-Plan::MAX_SHIFT..=Plan::MAX_SHIFT).contains(&shift)
    {
        return fail(&name, format!("its row is shifted by {shift}"), "shift it by at most 2^31");
    }
    let mut last = of;
    for _ in 0..Plan::MAX_PART_DEPTH {
        let Place::Part { of, .. } = existing(plan, last, &name)?.place else { return Ok(()) };
        last = of;
    }
    let problem = format!("it is a part of a part, more than {} times", Plan::MAX_PART_DEPTH);
    fail(&name, problem, "make it a part of a slot that has memory of its own")
}

/// Checks what holds of the steps that prepare beyond what holds of all steps.
fn verify_prepare(plan: &Plan) -> Result<(), Error> {
    let mut changes = vec![false; plan.slots.len()];
    let written = flat_steps(&plan.steps).flat_map(|step| plan.writes(step));
    for slot in written.chain(plan.updates.iter().map(|&(state, _)| state)) {
        changes[plan.root(slot).0 as usize] = true;
    }
    for site in sites(plan).into_iter().filter(|site| site.is_prepare) {
        for slot in plan.reads(site.step) {
            let root = plan.root(slot);
            if plan.slot(root).place == Place::Input || changes[root.0 as usize] {
                let problem = format!("{} is read, which is not the same in each run", slot_name(plan, slot));
                return fail(&site.name(), problem, "read it in a step that runs each time");
            }
        }
        for slot in plan.writes(site.step) {
            let root = plan.root(slot);
            if !matches!(plan.slot(root).place, Place::Unplaced | Place::Arena { .. }) {
                let problem = format!("{} is written, which is not in the arena", slot_name(plan, slot));
                return fail(&site.name(), problem, "keep the result in a slot of the arena");
            }
            if changes[root.0 as usize] {
                let problem = format!("{} is written, which a step overwrites", slot_name(plan, slot));
                return fail(&site.name(), problem, "give the result a slot of its own");
            }
        }
    }
    Ok(())
}

pub(super) fn existing<'a>(plan: &'a Plan, id: SlotId, subject: &str) -> Result<&'a Slot, Error> {
    match plan.slots.get(id.0 as usize) {
        Some(slot) => Ok(slot),
        None => fail(subject, format!("there is no slot {}", id.0), "use a slot of the plan"),
    }
}

fn verify_updates(plan: &Plan) -> Result<(), Error> {
    let mut updated = HashSet::new();
    for &(state, value) in &plan.updates {
        let name = slot_name(plan, state);
        let (slot, next) = (existing(plan, state, &name)?, existing(plan, value, &name)?);
        if !matches!(slot.place, Place::State { .. }) {
            return fail(&name, "only a state can be updated", "make it a state");
        }
        if !updated.insert(state) {
            return fail(&name, "the state is updated twice", "update each state once");
        }
        if let Some(problem) = row_of_no_loop(plan, value, 0) {
            return fail(&name, problem, "update it from a row that stays");
        }
        let fits = slot.ty.dtype == next.ty.dtype && slot.ty.shape.elements() == next.ty.shape.elements();
        if !fits {
            return fail(
                &name,
                format!("the state is {}, its update {}", slot.ty, next.ty),
                "give an update of its type",
            );
        }
    }
    Ok(())
}
