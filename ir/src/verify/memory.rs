//! What holds of the memory of a plan: places are within the arena, and what is alive at the same time is apart.

use std::collections::BTreeMap;
use std::ops::Range;

use super::plan::{fail, numbered_steps, slot_name};
use crate::{Error, Place, Plan, SlotId};

/// Checks the places of a plan, of which all else has been checked.
///
/// A value is alive from the step that first writes its slot to the last that uses it. A step may write a value to
/// the very place of one that it reads and that ends with it: an operation in place. What a step of `prepare` writes is
/// alive for good, so nothing else is ever placed there.
pub fn verify_memory(plan: &Plan) -> Result<(), Error> {
    let ids = (0..plan.slots.len() as u32).map(SlotId);
    let places = ids.map(|id| place(plan, id)).collect::<Result<Vec<_>, _>>()?;
    let uses: Vec<_> =
        numbered_steps(plan).map(|(name, step)| (name, plan.reads(step), plan.writes(step))).collect();
    let mut last_use = vec![0; plan.slots.len()];
    for (number, (_, read, written)) in uses.iter().enumerate() {
        read.iter().chain(written).for_each(|slot| last_use[slot.0 as usize] = number);
    }
    for slot in plan.prepare.iter().flat_map(|step| plan.writes(step)) {
        last_use[slot.0 as usize] = usize::MAX;
    }
    // The places of the values alive after the steps so far, by their first byte. They are disjoint.
    let mut alive: BTreeMap<usize, (usize, SlotId)> = BTreeMap::new();
    for (number, (name, read, written)) in uses.iter().enumerate() {
        let mut begun: Vec<(Range<usize>, SlotId)> = Vec::new();
        for &slot in written {
            let Some(bytes) = places[slot.0 as usize].clone().filter(|bytes| !bytes.is_empty()) else {
                continue;
            };
            if alive.get(&bytes.start).is_some_and(|&(_, other)| other == slot) {
                continue; // It is written again while it is alive.
            }
            let in_place = |start: usize, end: usize, other: SlotId| {
                bytes == (start..end) && read.contains(&other) && last_use[other.0 as usize] == number
            };
            let overlap = alive
                .range(..bytes.end)
                .rev()
                .take_while(|&(_, &(end, _))| end > bytes.start)
                .find(|&(&start, &(end, other))| !in_place(start, end, other))
                .map(|(_, &(_, other))| other);
            let beside = begun.iter().find(|(other, _)| other.start < bytes.end && bytes.start < other.end);
            if let Some(other) = overlap.or(beside.map(|&(_, other)| other)) {
                let problem = format!(
                    "{} is written over {}, which is alive",
                    slot_name(plan, slot),
                    slot_name(plan, other)
                );
                return fail(name, problem, "place them apart, or order the steps");
            }
            begun.push((bytes, slot));
        }
        for slot in read.iter().chain(written) {
            if let Some(bytes) = &places[slot.0 as usize]
                && last_use[slot.0 as usize] == number
                && alive.get(&bytes.start).is_some_and(|&(_, other)| other == *slot)
            {
                alive.remove(&bytes.start);
            }
        }
        let lasting = begun.into_iter().filter(|(_, slot)| last_use[slot.0 as usize] > number);
        alive.extend(lasting.map(|(bytes, slot)| (bytes.start, (bytes.end, slot))));
    }
    Ok(())
}

/// The bytes of the arena where a slot is; `None` where it is elsewhere.
fn place(plan: &Plan, id: SlotId) -> Result<Option<Range<usize>>, Error> {
    let slot = plan.slot(id);
    let offset = match slot.place {
        Place::Arena { offset } => offset,
        Place::Unplaced => return fail(&slot_name(plan, id), "it has no place", "run pass `plan_memory`"),
        _ => return Ok(None),
    };
    if offset % Plan::ALIGNMENT != 0 {
        let problem = format!("offset {offset} is no multiple of {}", Plan::ALIGNMENT);
        return fail(&slot_name(plan, id), problem, "align it");
    }
    match offset.checked_add(slot.ty.size_bytes()) {
        Some(end) if end <= plan.arena_bytes => Ok(Some(offset..end)),
        _ => {
            let size = slot.ty.size_bytes();
            let problem =
                format!("{size} bytes from {offset} on end after the arena of {} bytes", plan.arena_bytes);
            fail(&slot_name(plan, id), problem, "make the arena larger")
        }
    }
}
