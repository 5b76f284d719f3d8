//! An order of tasks that stays topological while dependences are added.
//!
//! The algorithm is that of Pearce and Kelly, "A Dynamic Topological Sort Algorithm for Directed Acyclic Graphs" (JEA 11,
//! 2006): a new dependence that the order violates moves only the tasks between its two ends, so tasks stay as near to the
//! order that they came in as the dependences allow. A search that follows too many dependences gives up, so that each new
//! dependence is a bounded amount of work.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use smallvec::SmallVec;

/// Tasks numbered from 0 in the order of [`Order::push`], and an order in which they can run.
#[derive(Default)]
pub struct Order {
    successors: Vec<Vec<usize>>,
    predecessors: Vec<Vec<usize>>,
    /// All dependences, each as the task that runs before and the one that runs after.
    edges: BTreeSet<(usize, usize)>,
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

    /// Makes each of `before` run before `after`, where none of them depends on it and that is found out within
    /// [`MOST_MET`] dependences; else the dependences stay as they were, and the answer is false.
    #[must_use]
    pub fn run_before(&mut self, before: &[usize], after: usize) -> bool {
        let mut added: SmallVec<[usize; 4]> = SmallVec::new();
        for &task in before {
            if self.edges.contains(&(task, after)) {
                continue;
            }
            if !self.add_edge(task, after) {
                for task in added.into_iter().rev() {
                    self.successors[task].pop();
                    self.predecessors[after].pop();
                    self.edges.remove(&(task, after));
                }
                return false;
            }
            added.push(task);
        }
        true
    }

    /// Adds a dependence; false where it would close a circle, or where finding out takes too long.
    fn add_edge(&mut self, before: usize, after: usize) -> bool {
        let (low, high) = (self.positions[after], self.positions[before]);
        if low == high || self.edges.contains(&(after, before)) {
            return false;
        }
        if low < high {
            let mut reached = |edges, start| search(edges, &self.positions, &mut self.met, start, low..=high);
            let Some(forward) = reached(&self.successors, after) else { return false };
            if forward.contains(&before) {
                return false;
            }
            let Some(backward) = reached(&self.predecessors, before) else { return false };
            self.reorder(backward, forward);
        }
        self.successors[before].push(after);
        self.predecessors[after].push(before);
        self.edges.insert((before, after));
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

/// A search gives up after as many dependences.
const MOST_MET: usize = 256;

/// The tasks that can be reached from `start` through tasks at places of `range`, `start` among them; `None` where that
/// takes more than [`MOST_MET`] dependences.
fn search(
    edges: &[Vec<usize>],
    positions: &[usize],
    met: &mut [bool],
    start: usize,
    range: RangeInclusive<usize>,
) -> Option<Vec<usize>> {
    let mut reached = vec![start];
    met[start] = true;
    let (mut next, mut followed) = (0, 0);
    while let Some(&task) = reached.get(next).filter(|_| followed <= MOST_MET) {
        for &other in edges[task].iter().take(MOST_MET + 1) {
            followed += 1;
            if range.contains(&positions[other]) && !std::mem::replace(&mut met[other], true) {
                reached.push(other);
            }
        }
        next += 1;
    }
    reached.iter().for_each(|&task| met[task] = false);
    ir::visits::add(followed as u64);
    (followed <= MOST_MET).then_some(reached)
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

    #[test]
    fn a_dependence_whose_search_is_too_long_is_refused() {
        let mut order = Order::default();
        let tasks: Vec<usize> = (0..MOST_MET + 10).map(|_| order.push()).collect();
        for pair in tasks.windows(2) {
            assert!(order.run_before(&pair[..1], pair[1]));
        }
        let late = order.push();
        assert!(!order.run_before(&[late], tasks[0]), "all tasks follow the first");
        assert!(order.run_before(&[late], tasks[MOST_MET]), "ten tasks follow");
        assert!(order.iter().take(MOST_MET).eq(0..MOST_MET));
    }
}
