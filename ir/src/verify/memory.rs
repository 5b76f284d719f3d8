//! What holds of the memory of a plan: places are within the arena, and what is alive at the same time is apart.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use smallvec::SmallVec;

use super::plan::{fail, slot_name};
use crate::plan::{Site, homes, sites};
use crate::{Error, Place, Plan, SlotId};

/// Checks the places of a plan, of which all else has been checked.
///
/// A value is alive from the step that first writes its slot to the last that uses it. A step may write a value to
/// the very place of one that it reads and that ends with it: an operation in place. What a step of `prepare` writes is
/// alive for good, so nothing else is ever placed there. A part of a slot is that slot here.
///
/// Of each loop, two iterations are looked at, one after the other, which is all that there is to see: a slot that each
/// iteration writes before it reads it, and that nothing outside of the loop touches, holds a value per iteration; every
/// other slot holds one value, alive from the first of these iterations to the second.
pub fn verify_memory(plan: &Plan) -> Result<(), Error> {
    let ids = (0..plan.slots.len() as u32).map(SlotId);
    let places = ids.map(|id| place(plan, id)).collect::<Result<Vec<_>, _>>()?;
    let sites = sites(plan);
    let values = Values::of(plan, &sites, &places);
    // The places of the values alive after the steps so far, by their first byte. They are disjoint.
    let mut alive: BTreeMap<usize, (usize, ValueId)> = BTreeMap::new();
    for (number, Use { site, read, written }) in values.uses.iter().enumerate() {
        let mut begun: Vec<(Range<usize>, ValueId)> = Vec::new();
        for touch in written {
            let bytes = values.bytes(touch.value, &places);
            if alive.get(&bytes.start).is_some_and(|&(_, other)| other == touch.value) {
                continue; // It is written again while it is alive.
            }
            let in_place = |start: usize, end: usize, other: ValueId| {
                let is_read_whole = read.contains(&Touch { value: other, is_whole: true });
                let ends = values.last_use[other] == number;
                bytes == (start..end) && touch.is_whole && is_read_whole && ends
            };
            let overlap = alive
                .range(..bytes.end)
                .rev()
                .take_while(|&(_, &(end, _))| end > bytes.start)
                .find(|&(&start, &(end, other))| !in_place(start, end, other))
                .map(|(_, &(_, other))| other);
            let beside = begun.iter().find(|(other, value)| {
                *value != touch.value && other.start < bytes.end && bytes.start < other.end
            });
            if let Some(other) = overlap.or(beside.map(|&(_, other)| other)) {
                let problem = format!(
                    "{} is written over {}, which is alive",
                    slot_name(plan, values.slots[touch.value]),
                    slot_name(plan, values.slots[other])
                );
                return fail(&sites[*site].name(), problem, "place them apart, or order the steps");
            }
            begun.push((bytes, touch.value));
        }
        for touch in read.iter().chain(written) {
            let start = values.bytes(touch.value, &places).start;
            let is_last = values.last_use[touch.value] == number;
            if is_last && alive.get(&start).is_some_and(|&(_, other)| other == touch.value) {
                alive.remove(&start);
            }
        }
        let lasting = begun.into_iter().filter(|(_, value)| values.last_use[*value] > number);
        alive.extend(lasting.map(|(bytes, value)| (bytes.start, (bytes.end, value))));
    }
    Ok(())
}

/// A value in the arena: what a slot holds in one iteration of its home, the loop that it is local to, or throughout.
type ValueId = usize;

/// A value that a step touches.
#[derive(Clone, Copy, PartialEq)]
struct Touch {
    value: ValueId,
    /// Whether it is touched as its slot, not as a part of it.
    is_whole: bool,
}

/// What a call or a copy does to the arena when it runs.
struct Use {
    /// Its number among the sites.
    site: usize,
    read: SmallVec<[Touch; 4]>,
    written: SmallVec<[Touch; 4]>,
}

/// The values of the arena, empty ones left out.
#[derive(Default)]
struct Values {
    /// What runs, with two iterations of each loop.
    uses: Vec<Use>,
    /// The slot of each value.
    slots: Vec<SlotId>,
    /// The last of `uses` that touches each value.
    last_use: Vec<usize>,
    /// By slot and iteration of its home.
    ids: HashMap<(SlotId, usize), ValueId>,
}

impl Values {
    fn of(plan: &Plan, sites: &[Site<'_>], places: &[Option<Range<usize>>]) -> Values {
        let homes = homes(plan, sites);
        let mut values = Values::default();
        let in_arena = |slot: SlotId| places[slot.0 as usize].as_ref().is_some_and(|bytes| !bytes.is_empty());
        let mut order = Vec::new();
        unroll(sites, 0, 0..sites.len(), &mut SmallVec::new(), &mut 0, &mut order);
        for (number, (site, iterations)) in order.into_iter().enumerate() {
            let mut touches = |slots: SmallVec<[SlotId; 6]>| -> SmallVec<[Touch; 4]> {
                let roots = slots.into_iter().map(|slot| (slot, plan.root(slot)));
                roots
                    .filter(|&(_, root)| in_arena(root))
                    .map(|(slot, root)| {
                        let home = homes[root.0 as usize];
                        let iteration = if home == 0 { 0 } else { iterations[home - 1] };
                        let value = values.value(root, iteration);
                        values.last_use[value] = values.last_use[value].max(number);
                        Touch { value, is_whole: slot == root }
                    })
                    .collect()
            };
            let read = touches(plan.reads(sites[site].step));
            let written = touches(plan.writes(sites[site].step));
            values.uses.push(Use { site, read, written });
        }
        for slot in sites.iter().filter(|site| site.is_prepare).flat_map(|site| plan.writes(site.step)) {
            if let Some(&value) = values.ids.get(&(plan.root(slot), 0)) {
                values.last_use[value] = usize::MAX;
            }
        }
        values
    }

    /// What a slot holds in an iteration.
    fn value(&mut self, slot: SlotId, iteration: usize) -> ValueId {
        *self.ids.entry((slot, iteration)).or_insert_with(|| {
            self.slots.push(slot);
            self.last_use.push(0);
            self.slots.len() - 1
        })
    }

    fn bytes(&self, value: ValueId, places: &[Option<Range<usize>>]) -> Range<usize> {
        places[self.slots[value].0 as usize].clone().unwrap_or_default()
    }
}

/// Lists the sites of a range in the order in which they run, with two iterations of each loop that has `depth` loops around
/// it or more; for each, the iterations that it is in, numbered from 1 on.
fn unroll(
    sites: &[Site<'_>],
    depth: usize,
    range: Range<usize>,
    iterations: &mut SmallVec<[usize; 4]>,
    begun: &mut usize,
    order: &mut Vec<(usize, SmallVec<[usize; 4]>)>,
) {
    let mut next = range.start;
    while next < range.end {
        let Some(&within) = sites[next].loops.get(depth) else {
            order.push((next, iterations.clone()));
            next += 1;
            continue;
        };
        let is_within = |site: &Site<'_>| site.loops.get(depth) == Some(&within);
        let length = sites[next..range.end].iter().take_while(|site| is_within(site)).count();
        for _ in 0..2 {
            *begun += 1;
            iterations.push(*begun);
            unroll(sites, depth + 1, next..next + length, iterations, begun, order);
            iterations.pop();
        }
        next += length;
    }
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
