//! How often this thread has looked at a node of a graph, a slot or a kernel of a plan: the work of a pass, counted.
//!
//! Times differ from machine to machine and from run to run; this count does not. A test holds every pass to a number of
//! visits per node that does not grow with the graph. Counting costs one addition per visit.

use std::cell::Cell;

thread_local! {
    static VISITS: Cell<u64> = const { Cell::new(0) };
}

/// The number of visits of this thread so far.
pub fn count() -> u64 {
    VISITS.get()
}

/// Counts `visits` more. It is inlined wherever a node is looked at, in all crates: a call would cost more than it.
#[inline]
pub fn add(visits: u64) {
    VISITS.set(VISITS.get().wrapping_add(visits));
}
