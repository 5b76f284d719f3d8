//! Steps with their dependences, in an order that stays topological while dependences are added.

use ir::{Plan, Step};
use smallvec::SmallVec;

use crate::order::Order;

/// A step, by the order in which it was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepId(pub usize);

/// Steps, which must run before which, and an order in which they can run.
pub struct Steps {
    /// The steps, by id; `None` for one that was removed.
    steps: Vec<Option<Step>>,
    order: Order,
}

impl Steps {
    /// The steps of a plan, in its order. Two that touch the same slot, or parts of it, depend on each other unless both
    /// read it. A loop is one step.
    pub fn new(plan: &Plan) -> Steps {
        let mut steps = Steps { steps: Vec::new(), order: Order::default() };
        let mut writer: Vec<Option<StepId>> = vec![None; plan.slots.len()];
        let mut readers: Vec<Vec<StepId>> = vec![Vec::new(); plan.slots.len()];
        for step in &plan.steps {
            let id = steps.push(step.clone());
            for slot in plan.roots_read(step) {
                steps.extend_edges(writer[slot.0 as usize], id);
                readers[slot.0 as usize].push(id);
            }
            for slot in plan.roots_written(step) {
                steps.extend_edges(writer[slot.0 as usize].replace(id), id);
                let before = std::mem::take(&mut readers[slot.0 as usize]);
                before.into_iter().for_each(|reader| steps.extend_edges(Some(reader), id));
            }
        }
        steps
    }

    /// Adds a step after all others.
    pub fn push(&mut self, step: Step) -> StepId {
        self.steps.push(Some(step));
        StepId(self.order.push())
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
        self.order.iter().filter_map(|id| self.steps[id].take()).collect()
    }

    /// Makes each of `before` run before `after`, where none of them depends on it; else changes nothing and returns
    /// false.
    #[must_use]
    pub fn run_before(&mut self, before: &[StepId], after: StepId) -> bool {
        let before: SmallVec<[usize; 4]> = before.iter().map(|step| step.0).collect();
        self.order.run_before(&before, after.0)
    }

    /// Adds a dependence that the order already respects.
    fn extend_edges(&mut self, before: Option<StepId>, after: StepId) {
        if let Some(before) = before.filter(|&before| before != after) {
            let fits = self.run_before(&[before], after);
            assert!(fits, "pass plan_memory: a step depends on a later one");
        }
    }
}
