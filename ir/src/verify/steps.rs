//! What holds of the steps of plans, those in loops included.

use std::collections::HashSet;

use smallvec::SmallVec;

use super::Stage;
use super::plan::{existing, fail, slot_name};
use crate::in_place::Call;
use crate::plan::{Site, sites};
use crate::{Alias, Error, KernelId, Place, Plan, Row, SlotId, Step};

/// Checks how deep loops are nested and how often they run; what comes after may follow them by recursion.
pub(super) fn verify_nesting(plan: &Plan) -> Result<(), Error> {
    let mut blocks = vec![(plan.prepare.as_slice(), 0), (plan.steps.as_slice(), 0)];
    while let Some((steps, depth)) = blocks.pop() {
        for step in steps {
            let Step::Loop { count, body, .. } = step else { continue };
            if depth == Plan::MAX_LOOP_DEPTH {
                let problem = format!("more than {} loops are nested", Plan::MAX_LOOP_DEPTH);
                return fail(&format!("plan @{}", plan.name), problem, "nest fewer loops");
            }
            if !(1..=Plan::MAX_LOOP_COUNT).contains(count) {
                let problem = format!("a loop has {count} iterations");
                return fail(
                    &format!("plan @{}", plan.name),
                    problem,
                    "give it one at least and 2^31 at most",
                );
            }
            blocks.push((body, depth + 1));
        }
    }
    Ok(())
}

/// Checks each step, and the order in which slots are written and read.
pub(super) fn verify_steps(plan: &Plan, stage: Stage) -> Result<(), Error> {
    let mut is_called = vec![false; plan.kernels.len()];
    let has_value = |place: &Place| matches!(place, Place::Input | Place::State { .. } | Place::Constant(_));
    let mut is_written: Vec<bool> = plan.slots.iter().map(|slot| has_value(&slot.place)).collect();
    for site in sites(plan) {
        let subject = verify_site(plan, &site)?;
        if let Step::Call { kernel, .. } = site.step {
            is_called[kernel.0 as usize] = true;
        }
        for slot in plan.reads(site.step) {
            if !is_written[plan.root(slot).0 as usize] {
                let problem = format!("{} is read before it is written", slot_name(plan, slot));
                return fail(&subject, problem, "order the steps");
            }
        }
        for slot in plan.writes(site.step) {
            let root = plan.root(slot);
            verify_is_writable(plan, slot, stage, &subject)?;
            is_written[root.0 as usize] = true;
        }
        verify_results_are_apart(plan, site.step, &subject)?;
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

/// Checks that a call or a copy has the slots that it needs, and loops for them; how errors call it.
fn verify_site(plan: &Plan, site: &Site<'_>) -> Result<String, Error> {
    let name = site.name();
    let (subject, touched) = match site.step {
        Step::Call { kernel, slots } => {
            verify_call(plan, *kernel, slots, &name)?;
            (format!("{name} (call @{})", plan.kernel(*kernel).name), slots.clone())
        }
        Step::Copy { from, to } => {
            let subject = format!("{name} (copy)");
            verify_copy(plan, *from, *to, &subject)?;
            (subject, SmallVec::from_slice(&[*from, *to]))
        }
        Step::Loop { .. } => (name, SmallVec::new()),
    };
    for slot in touched {
        if let Some(problem) = row_of_no_loop(plan, slot, site.loops.len()) {
            return fail(&subject, problem, "touch it in such a loop, or use a row that stays");
        }
    }
    Ok(subject)
}

/// What is wrong where a slot is a row that counts with a loop which is not among `loops` loops.
pub(super) fn row_of_no_loop(plan: &Plan, slot: SlotId, loops: usize) -> Option<String> {
    let depth = plan.chain(slot).into_iter().find_map(|part| match plan.slot(part).place {
        Place::Part { row: Row::Step { depth, .. }, .. } if depth as usize >= loops => Some(depth),
        _ => None,
    })?;
    Some(format!("{} counts with the loop of depth {depth}, which is not around it", slot_name(plan, slot)))
}

fn verify_is_writable(plan: &Plan, slot: SlotId, stage: Stage, subject: &str) -> Result<(), Error> {
    let place = &plan.slot(plan.root(slot)).place;
    if matches!(place, Place::Input | Place::Constant(_)) {
        let problem = format!("{} is written, but it is read only", slot_name(plan, slot));
        return fail(subject, problem, "write to a slot of the arena, an output or a state");
    }
    if stage < Stage::Plan && matches!(place, Place::State { .. }) {
        let problem = format!("{} is written, which is for pass `plan_memory` to do", slot_name(plan, slot));
        return fail(subject, problem, "write to a slot of its own, and make that the update of the state");
    }
    Ok(())
}

/// Checks that a call writes no memory as two parameters.
fn verify_results_are_apart(plan: &Plan, step: &Step, subject: &str) -> Result<(), Error> {
    let written = plan.writes(step);
    let mut distinct = HashSet::new();
    if let Some(&slot) = written.iter().find(|slot| !distinct.insert(**slot)) {
        let problem = format!("{} is written as two parameters", slot_name(plan, slot));
        return fail(subject, problem, "give each written parameter a slot of its own");
    }
    let mut roots = HashSet::new();
    if written.iter().all(|&slot| roots.insert(plan.root(slot))) {
        return Ok(());
    }
    for (number, &a) in written.iter().enumerate() {
        let others = &written[number + 1..];
        let Some(&b) =
            others.iter().find(|&&b| plan.root(a) == plan.root(b) && plan.alias(a, b) != Alias::No)
        else {
            continue;
        };
        let problem =
            format!("{} and {} are written, which may overlap", slot_name(plan, a), slot_name(plan, b));
        return fail(subject, problem, "give each written parameter memory of its own");
    }
    Ok(())
}

/// Checks that what a step writes is apart from what it reads, or is the same memory, of which a kernel has read each element
/// before it writes it.
pub(super) fn verify_in_place(plan: &Plan) -> Result<(), Error> {
    for site in sites(plan) {
        let mut call = None;
        let read = plan.reads(site.step);
        for value in plan.writes(site.step) {
            for &old in &read {
                let problem = match (plan.alias(old, value), site.step) {
                    (Alias::No, _) | (Alias::Must, Step::Copy { .. } | Step::Loop { .. }) => continue,
                    (Alias::Must, Step::Call { kernel, .. }) => {
                        let call = call.get_or_insert_with(|| Call::of(plan, site.step));
                        if call.as_ref().is_some_and(|call| call.may_write_over(old, value)) {
                            continue;
                        }
                        let (kernel, value) = (&plan.kernel(*kernel).name, slot_name(plan, value));
                        let old = slot_name(plan, old);
                        format!("@{kernel} writes {value} over {old}, which it has not read to the end")
                    }
                    (Alias::May, _) => {
                        let (value, old) = (slot_name(plan, value), slot_name(plan, old));
                        format!("{value} is written, which may overlap {old}, which is read")
                    }
                };
                return fail(&site.name(), problem, "place them apart");
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
