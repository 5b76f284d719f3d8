//! Steps with their dependences, in an order that stays topological while dependences are added.
//!
//! The order is kept by the algorithm of Pearce and Kelly, "A Dynamic Topological Sort Algorithm for Directed Acyclic
//! Graphs" (JEA 11, 2006): a new dependence that the order violates moves only the steps between its two ends, so the
//! steps stay as near to the order that they came in as the dependences allow.

use ir::{Access, Plan, SlotId, Step};
use smallvec::SmallVec;

/// A step, by the order in which it was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepId(pub usize);

/// The slots that a step reads.
pub fn reads(plan: &Plan, step: &Step) -> SmallVec<[SlotId; 6]> {
    slots_with(plan, step, Access::Read)
}

/// The slots that a step writes.
pub fn writes(plan: &Plan, step: &Step) -> SmallVec<[SlotId; 6]> {
    slots_with(plan, step, Access::Write)
}

fn slots_with(plan: &Plan, step: &Step, access: Access) -> SmallVec<[SlotId; 6]> {
    match step {
        Step::Call { kernel, slots } => {
            let parameters = plan.kernel(*kernel).parameters().zip(slots);
            parameters.filter(|((_, buffer), _)| buffer.access == access).map(|(_, &slot)| slot).collect()
        }
        Step::Copy { from, to } => SmallVec::from_elem(if access == Access::Read { *from } else { *to }, 1),
    }
}

/// Steps, which must run before which, and an order in which they can run.
pub struct Steps {
    /// The steps, by id; `None` for one that was removed.
    steps: Vec<Option<Step>>,
    successors: Vec<Vec<StepId>>,
    predecessors: Vec<Vec<StepId>>,
    /// A topological order, and the place of each step in it.
    order: Vec<StepId>,
    positions: Vec<usize>,
    /// Whether a search has met a step; all false between searches.
    met: Vec<bool>,
}

impl Steps {
    /// The steps of a plan, in its order. Two that touch the same slot depend on each other unless both read it.
    pub fn new(plan: &Plan) -> Steps {
        let mut steps = Steps {
            steps: Vec::new(),
            successors: Vec::new(),
            predecessors: Vec::new(),
            order: Vec::new(),
            positions: Vec::new(),
            met: Vec::new(),
        };
        let mut writer: Vec<Option<StepId>> = vec![None; plan.slots.len()];
        let mut readers: Vec<Vec<StepId>> = vec![Vec::new(); plan.slots.len()];
        for step in &plan.steps {
            let id = steps.push(step.clone());
            for slot in reads(plan, step) {
                steps.extend_edges(writer[slot.0 as usize], id);
                readers[slot.0 as usize].push(id);
            }
            for slot in writes(plan, step) {
                steps.extend_edges(writer[slot.0 as usize].replace(id), id);
                let before = std::mem::take(&mut readers[slot.0 as usize]);
                before.into_iter().for_each(|reader| steps.extend_edges(Some(reader), id));
            }
        }
        steps
    }

    /// Adds a step after all others.
    pub fn push(&mut self, step: Step) -> StepId {
        let id = StepId(self.steps.len());
        self.steps.push(Some(step));
        self.successors.push(Vec::new());
        self.predecessors.push(Vec::new());
        self.positions.push(self.order.len());
        self.order.push(id);
        self.met.push(false);
        id
    }

    /// A step that was not removed.
    pub fn step(&self, id: StepId) -> &Step {
        self.steps[id.0].as_ref().expect("pass plan_memory asks for no step that it has removed")
    }

    /// Puts another step in the place of one; its dependences stay.
    pub fn replace(&mut self, id: StepId, step: Step) {
        self.steps[id.0] = Some(step);
    }

    /// Removes a step; what it ordered stays ordered.
    pub fn remove(&mut self, id: StepId) {
        self.steps[id.0] = None;
    }

    /// All steps that were not removed, by id.
    pub fn iter(&self) -> impl Iterator<Item = (StepId, &Step)> {
        self.steps.iter().enumerate().filter_map(|(id, step)| Some((StepId(id), step.as_ref()?)))
    }

    /// The steps in their order.
    pub fn into_ordered(mut self) -> Vec<Step> {
        self.order.iter().filter_map(|id| self.steps[id.0].take()).collect()
    }

    /// Makes each of `before` run before `after`, where none of them depends on it; else changes nothing and returns
    /// false.
    #[must_use]
    pub fn run_before(&mut self, before: &[StepId], after: StepId) -> bool {
        for (done, &step) in before.iter().enumerate() {
            if !self.add_edge(step, after) {
                for &step in before[..done].iter().rev() {
                    self.successors[step.0].pop();
                    self.predecessors[after.0].pop();
                }
                return false;
            }
        }
        true
    }

    /// Adds a dependence that the order already respects.
    fn extend_edges(&mut self, before: Option<StepId>, after: StepId) {
        if let Some(before) = before.filter(|&before| before != after) {
            self.successors[before.0].push(after);
            self.predecessors[after.0].push(before);
        }
    }

    /// Adds a dependence; false where it would close a circle.
    fn add_edge(&mut self, before: StepId, after: StepId) -> bool {
        let (low, high) = (self.positions[after.0], self.positions[before.0]);
        if low == high {
            return false;
        }
        if low < high {
            let forward = search(&self.successors, &self.positions, &mut self.met, after, low..=high);
            if forward.contains(&before) {
                return false;
            }
            let backward = search(&self.predecessors, &self.positions, &mut self.met, before, low..=high);
            self.reorder(backward, forward);
        }
        self.extend_edges(Some(before), after);
        true
    }

    /// Puts `first` before `second`, each in its own order, at the places that they have together.
    fn reorder(&mut self, mut first: Vec<StepId>, mut second: Vec<StepId>) {
        first.sort_unstable_by_key(|id| self.positions[id.0]);
        second.sort_unstable_by_key(|id| self.positions[id.0]);
        let moved = [first, second].concat();
        let mut places: Vec<usize> = moved.iter().map(|id| self.positions[id.0]).collect();
        places.sort_unstable();
        for (id, place) in moved.into_iter().zip(places) {
            self.order[place] = id;
            self.positions[id.0] = place;
        }
    }
}

/// The steps that can be reached from `start` through steps at places of `range`, `start` among them.
fn search(
    edges: &[Vec<StepId>],
    positions: &[usize],
    met: &mut [bool],
    start: StepId,
    range: std::ops::RangeInclusive<usize>,
) -> Vec<StepId> {
    let mut reached = vec![start];
    met[start.0] = true;
    let mut next = 0;
    while let Some(&id) = reached.get(next) {
        for &other in &edges[id.0] {
            if range.contains(&positions[other.0]) && !std::mem::replace(&mut met[other.0], true) {
                reached.push(other);
            }
        }
        next += 1;
    }
    reached.iter().for_each(|id| met[id.0] = false);
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn four() -> (Steps, [StepId; 4]) {
        let plan = Plan {
            name: String::new(),
            kernels: Vec::new(),
            slots: Vec::new(),
            steps: Vec::new(),
            arena_bytes: 0,
            updates: Vec::new(),
        };
        let mut steps = Steps::new(&plan);
        let ids = [0, 1, 2, 3].map(|i| steps.push(Step::Copy { from: SlotId(i), to: SlotId(i) }));
        (steps, ids)
    }

    #[test]
    fn a_violated_dependence_moves_only_what_lies_between() {
        let (mut steps, [a, b, c, d]) = four();
        assert!(steps.run_before(&[a], b));
        assert!(steps.run_before(&[c], a));
        assert_eq!(steps.order, [c, a, b, d]);
    }

    #[test]
    fn a_circle_is_refused_and_leaves_no_trace() {
        let (mut steps, [a, b, c, d]) = four();
        assert!(steps.run_before(&[a], b));
        assert!(!steps.run_before(&[d, c, b], a));
        assert!(!steps.run_before(&[a], a));
        assert!(steps.run_before(&[a], d), "the dependence of a on d is gone again");
    }
}
