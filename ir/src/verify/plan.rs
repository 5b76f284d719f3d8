//! What holds of plans.

use std::collections::HashSet;

use super::memory::verify_memory;
use super::{Stage, verify_kernel};
use crate::in_place::Call;
use crate::{Error, KernelId, Place, Plan, SlotId, Step};

/// Checks a plan at stage `kernels` or `plan`.
///
/// - Always: its kernels are valid, and each is called; a call has a slot for each parameter, of its dtype and number
///   of elements; inputs and constants are never written; a call writes no slot twice; a slot is written before it is
///   read; every output is written; names of inputs, of states and of outputs are unique; updates are of states.
/// - Of `prepare`: its steps read constants, states that the plan never writes nor updates, and what earlier ones have
///   written; they write to the arena, where nothing else writes to their slots.
/// - At `kernels`: no step writes a state; its update says what it becomes.
/// - At `plan`: every slot has a place, aligned and within the arena; values that are alive at the same time do not
///   overlap; a kernel that writes a value over one that it reads does so after its last read; no update is left.
///
/// # Errors
/// The first of these that does not hold.
pub fn verify_plan(plan: &Plan, stage: Stage) -> Result<(), Error> {
    plan.kernels.iter().try_for_each(verify_kernel)?;
    verify_slots(plan)?;
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

/// All steps in the order in which they run first, as errors call them: `prepare step 0`, .., `step 0`, ..
pub(super) fn numbered_steps(plan: &Plan) -> impl Iterator<Item = (String, &Step)> {
    let prepare =
        plan.prepare.iter().enumerate().map(|(number, step)| (format!("prepare step {number}"), step));
    let steps = plan.steps.iter().enumerate().map(|(number, step)| (format!("step {number}"), step));
    prepare.chain(steps)
}

fn verify_slots(plan: &Plan) -> Result<(), Error> {
    let mut names = HashSet::new();
    for slot in &plan.slots {
        if !slot.ty.is_within_limit() {
            let problem = format!("it has too many elements, {}", slot.ty);
            return fail(&format!("slot %{}", slot.name), problem, "use at most 2^31");
        }
        if let Place::State { order, .. } = &slot.place
            && !order.is_permutation(slot.ty.shape.rank())
        {
            let problem = format!("its axes are not in an order of {} axes", slot.ty.shape.rank());
            return fail(&format!("slot %{}", slot.name), problem, "name each axis once, counted from 0");
        }
        let role = match slot.place {
            Place::Input => "input",
            Place::Output => "output",
            Place::State { .. } => "state",
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

fn verify_steps(plan: &Plan, stage: Stage) -> Result<(), Error> {
    let mut is_called = vec![false; plan.kernels.len()];
    let has_value = |place: &Place| matches!(place, Place::Input | Place::State { .. } | Place::Constant(_));
    let mut is_written: Vec<bool> = plan.slots.iter().map(|slot| has_value(&slot.place)).collect();
    for (name, step) in numbered_steps(plan) {
        let subject = match step {
            Step::Call { kernel, slots } => {
                verify_call(plan, *kernel, slots, &name)?;
                is_called[kernel.0 as usize] = true;
                format!("{name} (call @{})", plan.kernel(*kernel).name)
            }
            Step::Copy { from, to } => {
                let subject = format!("{name} (copy)");
                verify_copy(plan, *from, *to, &subject)?;
                subject
            }
        };
        for slot in plan.reads(step) {
            if !is_written[slot.0 as usize] {
                return fail(
                    &subject,
                    format!("{} is read before it is written", slot_name(plan, slot)),
                    "order the steps",
                );
            }
        }
        let mut distinct = HashSet::new();
        for slot in plan.writes(step) {
            if matches!(plan.slot(slot).place, Place::Input | Place::Constant(_)) {
                let problem = format!("{} is written, but it is read only", slot_name(plan, slot));
                return fail(&subject, problem, "write to a slot of the arena, an output or a state");
            }
            if stage < Stage::Plan && matches!(plan.slot(slot).place, Place::State { .. }) {
                let problem =
                    format!("{} is written, which is for pass `plan_memory` to do", slot_name(plan, slot));
                return fail(
                    &subject,
                    problem,
                    "write to a slot of its own, and make that the update of the state",
                );
            }
            if !distinct.insert(slot) {
                let problem = format!("{} is written as two parameters", slot_name(plan, slot));
                return fail(&subject, problem, "give each written parameter a slot of its own");
            }
            is_written[slot.0 as usize] = true;
        }
    }
    if let Some(kernel) = is_called.iter().position(|is_called| !is_called) {
        return fail(&format!("kernel @{}", plan.kernels[kernel].name), "no step calls it", "remove it");
    }
    for (id, _) in plan.slots_where(|place| *place == Place::Output) {
        if !is_written[id.0 as usize] {
            return fail(&slot_name(plan, id), "the output is never written", "write it by a call or a copy");
        }
    }
    Ok(())
}

/// Checks that a kernel that writes a slot over one that it reads has read each element before it writes it.
fn verify_in_place(plan: &Plan) -> Result<(), Error> {
    // Where two slots are, as far as they can be the same memory: the arena's by offset, others by themselves.
    let memory = |slot: SlotId| match plan.slot(slot).place {
        Place::Arena { offset } => (None, offset),
        _ => (Some(slot), 0),
    };
    let has_bytes = |slot: &SlotId| plan.slot(*slot).ty.size_bytes() > 0;
    for (name, step) in numbered_steps(plan) {
        let Step::Call { kernel, .. } = step else { continue };
        let read = plan.reads(step);
        for value in plan.writes(step).into_iter().filter(has_bytes) {
            let mut shared =
                read.iter().copied().filter(|&old| memory(old) == memory(value) && has_bytes(&old));
            let Some(old) =
                shared.find(|&old| !Call::of(plan, step).is_some_and(|call| call.may_write_over(old, value)))
            else {
                continue;
            };
            let problem = format!(
                "@{} writes {} over {}, which it has not read to the end",
                plan.kernel(*kernel).name,
                slot_name(plan, value),
                slot_name(plan, old)
            );
            return fail(&name, problem, "place them apart");
        }
    }
    Ok(())
}

/// Checks what holds of the steps that prepare beyond what holds of all steps.
fn verify_prepare(plan: &Plan) -> Result<(), Error> {
    let mut changes = vec![false; plan.slots.len()];
    let written = plan.steps.iter().flat_map(|step| plan.writes(step));
    for slot in written.chain(plan.updates.iter().map(|&(state, _)| state)) {
        changes[slot.0 as usize] = true;
    }
    for (number, step) in plan.prepare.iter().enumerate() {
        let subject = format!("prepare step {number}");
        for slot in plan.reads(step) {
            if plan.slot(slot).place == Place::Input || changes[slot.0 as usize] {
                let problem = format!("{} is read, which is not the same in each run", slot_name(plan, slot));
                return fail(&subject, problem, "read it in a step that runs each time");
            }
        }
        for slot in plan.writes(step) {
            if !matches!(plan.slot(slot).place, Place::Unplaced | Place::Arena { .. }) {
                let problem = format!("{} is written, which is not in the arena", slot_name(plan, slot));
                return fail(&subject, problem, "keep the result in a slot of the arena");
            }
            if changes[slot.0 as usize] {
                let problem = format!("{} is written, which a step overwrites", slot_name(plan, slot));
                return fail(&subject, problem, "give the result a slot of its own");
            }
        }
    }
    Ok(())
}

fn verify_call(plan: &Plan, kernel: KernelId, slots: &[SlotId], subject: &str) -> Result<(), Error> {
    let Some(called) = plan.kernels.get(kernel.0 as usize) else {
        return fail(subject, format!("there is no kernel {}", kernel.0), "call a kernel of the plan");
    };
    let parameters = called.parameters().count();
    if parameters != slots.len() {
        let problem = format!("{} slots for the {parameters} parameters of @{}", slots.len(), called.name);
        return fail(subject, problem, "give a slot for each parameter");
    }
    for ((_, parameter), &id) in called.parameters().zip(slots) {
        let slot = existing(plan, id, subject)?;
        let fits =
            slot.ty.dtype == parameter.ty.dtype && slot.ty.shape.elements() == parameter.ty.shape.elements();
        if !fits {
            let problem = format!(
                "{} is {}, parameter %{} of @{} is {}",
                slot_name(plan, id),
                slot.ty,
                parameter.name,
                called.name,
                parameter.ty
            );
            return fail(subject, problem, "give a slot of this dtype and number of elements");
        }
    }
    Ok(())
}

fn verify_copy(plan: &Plan, from: SlotId, to: SlotId, subject: &str) -> Result<(), Error> {
    let (source, target) = (existing(plan, from, subject)?, existing(plan, to, subject)?);
    let fits = source.ty.dtype == target.ty.dtype && source.ty.shape.elements() == target.ty.shape.elements();
    if !fits {
        let (from, to) = (slot_name(plan, from), slot_name(plan, to));
        let problem = format!("{from} is {}, {to} is {}", source.ty, target.ty);
        return fail(subject, problem, "copy between slots of one dtype and number of elements");
    }
    Ok(())
}

fn existing<'a>(plan: &'a Plan, id: SlotId, subject: &str) -> Result<&'a crate::Slot, Error> {
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
