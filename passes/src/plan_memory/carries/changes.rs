//! Changes to the slots and steps of a plan that are made together.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use ir::plan::flat_steps;
use ir::{Place, Plan, Slot, SlotId, Step};

use crate::plan_memory::{slots_with_parts, visit_parts, visit_slots};

/// What changes. Calls and copies go by their number in the order of the text, those that prepare included.
pub struct Changes {
    /// The slots as they will be.
    slots: Vec<Slot>,
    /// The slots that are part of a change already.
    taken: BTreeSet<SlotId>,
    /// The slots whose rows have become values of a carry: they may still become another slot.
    hosts: BTreeSet<SlotId>,
    /// The slots that others are parts of.
    with_parts: BTreeSet<SlotId>,
    /// The calls and copies that go.
    removed: BTreeSet<usize>,
    /// Slots that become another slot.
    renamed: BTreeMap<SlotId, SlotId>,
    /// Slots that are other slots outside of a loop.
    split: BTreeMap<SlotId, Ends>,
}

/// What a slot is outside of a loop.
pub struct Ends {
    /// The loop, by the calls and copies in it.
    pub within: Range<usize>,
    /// The slot before it.
    pub first: SlotId,
    /// The slot behind it.
    pub last: SlotId,
}

impl Changes {
    /// No changes.
    pub fn new(plan: &Plan) -> Changes {
        Changes {
            slots: plan.slots.clone(),
            taken: BTreeSet::new(),
            hosts: BTreeSet::new(),
            with_parts: slots_with_parts(plan),
            removed: BTreeSet::new(),
            renamed: BTreeMap::new(),
            split: BTreeMap::new(),
        }
    }

    /// Whether none of these slots is part of a change.
    pub fn are_free(&self, slots: &[SlotId]) -> bool {
        slots.iter().all(|slot| self.may_be_renamed(*slot) && !self.hosts.contains(slot))
    }

    /// Whether a slot is part of no change, but that its rows have become values of a carry.
    pub fn may_be_renamed(&self, slot: SlotId) -> bool {
        !self.taken.contains(&slot)
    }

    /// Whether other slots are parts of a slot.
    pub fn has_parts(&self, slot: SlotId) -> bool {
        self.with_parts.contains(&slot)
    }

    /// Notes that rows of a slot have become values of a carry.
    pub fn host(&mut self, slot: SlotId) {
        self.hosts.insert(slot);
        self.with_parts.insert(slot);
    }

    /// Adds a slot.
    pub fn push(&mut self, slot: Slot) -> SlotId {
        self.slots.push(slot);
        SlotId(self.slots.len() as u32 - 1)
    }

    /// Puts a slot in another place.
    pub fn place(&mut self, slot: SlotId, place: Place) {
        self.slots[slot.0 as usize].place = place;
        self.taken.insert(slot);
    }

    /// Removes a call or a copy.
    pub fn remove(&mut self, site: usize) {
        self.removed.insert(site);
    }

    /// Makes `slot` another name for `target`, which stays.
    pub fn rename(&mut self, slot: SlotId, target: SlotId) {
        self.renamed.insert(slot, target);
        self.taken.extend([slot, target]);
    }

    /// Makes a slot others outside of a loop.
    pub fn split(&mut self, slot: SlotId, ends: Ends) {
        self.split.insert(slot, ends);
    }

    /// The plan with all changes made; as it was where parts of parts would be in too long a chain. Slots that nothing touches
    /// any more are still there.
    pub fn apply(self, mut plan: Plan) -> Plan {
        let old = std::mem::replace(&mut plan.slots, self.slots.clone());
        visit_parts(&mut plan, |slot| *slot = self.renamed.get(slot).copied().unwrap_or(*slot));
        let ends = |slot: u32| !matches!(plan.slot(plan.root(SlotId(slot))).place, Place::Part { .. });
        if !(0..plan.slots.len() as u32).all(ends) {
            plan.slots = old;
            return plan;
        }
        let mut site = flat_steps(&plan.prepare).count();
        let steps = std::mem::take(&mut plan.steps);
        plan.steps = self.changed(steps, &mut site);
        plan
    }

    fn changed(&self, steps: Vec<Step>, site: &mut usize) -> Vec<Step> {
        let mut changed = Vec::with_capacity(steps.len());
        for mut step in steps {
            if let Step::Loop { count, reversed, body } = step {
                let body = self.changed(body, site);
                changed.push(Step::Loop { count, reversed, body });
                continue;
            }
            if !self.removed.contains(site) {
                visit_slots(&mut step, &mut |slot| *slot = self.slot_at(*slot, *site));
                changed.push(step);
            }
            *site += 1;
        }
        changed
    }

    fn slot_at(&self, slot: SlotId, site: usize) -> SlotId {
        match self.split.get(&slot) {
            Some(ends) if site < ends.within.start => ends.first,
            Some(ends) if site >= ends.within.end => ends.last,
            _ => self.renamed.get(&slot).copied().unwrap_or(slot),
        }
    }
}
