//! An order of tasks that stays topological while dependences are added.
//!
//! The algorithm is that of Pearce and Kelly, "A Dynamic Topological Sort Algorithm for Directed Acyclic Graphs" (JEA 11,
//! 2006): a new dependence that the order violates moves only the tasks between its two ends, so tasks stay as near to the
//! order that they came in as the dependences allow.

use std::ops::RangeInclusive;

/// Tasks numbered from 0 in the order of [`Order::push`], and an order in which they can run.
#[derive(Default)]
pub struct Order {
    successors: Vec<Vec<usize>>,
    predecessors: Vec<Vec<usize>>,
    /// A topological order, and the place of each task in it.
    order: Vec<usize>,
    positions: Vec<usize>,
    /// Whether a search has met a task; all false between searches.
    met: Vec<bool>,
}

impl Order {
    /// Adds a task after all others.
    pub fn push(&mut self) -> usize {
        let task = self.order.len();
        self.successors.push(Vec::new());
        self.predecessors.push(Vec::new());
        self.positions.push(task);
        self.order.push(task);
        self.met.push(false);
        task
    }

    /// The tasks in their order.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.order.iter().copied()
    }

    /// Makes each of `before` run before `after`, where none of them depends on it; else the dependences stay as they
    /// were, and the answer is false.
    #[must_use]
    pub fn run_before(&mut self, before: &[usize], after: usize) -> bool {
        for (done, &task) in before.iter().enumerate() {
            if !self.add_edge(task, after) {
                for &task in before[..done].iter().rev() {
                    self.successors[task].pop();
                    self.predecessors[after].pop();
                }
                return false;
            }
        }
        true
    }

    /// Adds a dependence; false where it would close a circle.
    fn add_edge(&mut self, before: usize, after: usize) -> bool {
        let (low, high) = (self.positions[after], self.positions[before]);
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
        self.successors[before].push(after);
        self.predecessors[after].push(before);
        true
    }

    /// Puts `first` before `second`, each in its own order, at the places that they have together.
    fn reorder(&mut self, mut first: Vec<usize>, mut second: Vec<usize>) {
        first.sort_unstable_by_key(|&task| self.positions[task]);
        second.sort_unstable_by_key(|&task| self.positions[task]);
        let moved = [first, second].concat();
        let mut places: Vec<usize> = moved.iter().map(|&task| self.positions[task]).collect();
        places.sort_unstable();
        for (task, place) in moved.into_iter().zip(places) {
            self.order[place] = task;
            self.positions[task] = place;
        }
    }
}

/// The tasks that can be reached from `start` through tasks at places of `range`, `start` among them.
fn search(
    edges: &[Vec<usize>],
    positions: &[usize],
    met: &mut [bool],
    start: usize,
    range: RangeInclusive<usize>,
) -> Vec<usize> {
    let mut reached = vec![start];
    met[start] = true;
    let mut next = 0;
    while let Some(&task) = reached.get(next) {
        for &other in &edges[task] {
            if range.contains(&positions[other]) && !std::mem::replace(&mut met[other], true) {
                reached.push(other);
            }
        }
        next += 1;
    }
    reached.iter().for_each(|&task| met[task] = false);
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn four() -> (Order, [usize; 4]) {
        let mut order = Order::default();
        let tasks = [(); 4].map(|()| order.push());
        (order, tasks)
    }

    #[test]
    fn a_violated_dependence_moves_only_what_lies_between() {
        let (mut order, [a, b, c, d]) = four();
        assert!(order.run_before(&[a], b));
        assert!(order.run_before(&[c], a));
        assert!(order.iter().eq([c, a, b, d]));
    }

    #[test]
    fn a_circle_is_refused_and_leaves_no_trace() {
        let (mut order, [a, b, c, d]) = four();
        assert!(order.run_before(&[a], b));
        assert!(!order.run_before(&[d, c, b], a));
        assert!(!order.run_before(&[a], a));
        assert!(order.run_before(&[a], d), "the dependence of a on d is gone again");
    }
}
