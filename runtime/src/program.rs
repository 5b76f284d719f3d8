//! A plan flattened: steps with their function and the addresses of their parameters in one array, so that a run is a
//! loop over calls.
//!
//! Addresses in the arena and of constants never change. Those of inputs, outputs and states are set once they are
//! known, and again where they have changed: `uses` says where in the array each slot stands.
//!
//! A loop is an action before those of its body. At the start of each of its iterations it moves the arguments that are rows
//! which count with it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use codegen::KernelFn;
use ir::{Place, SlotId, Step, VerifiedPlan, with_elements};

use crate::Arena;
use crate::moves::{Iterations, Move};

/// What the scheduler knows of a compiled kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine {
    /// Its code.
    pub function: KernelFn,
    /// The number of chunks, any of which can be done on any thread.
    pub chunks: u64,
    /// How much memory of its own each thread needs.
    pub scratch_bytes: usize,
    /// An estimate of its time on one thread, in nanoseconds.
    pub time_ns: f64,
}

/// The steps of a plan, ready to be run.
pub(crate) struct Program {
    /// What prepares, then what runs each time.
    pub actions: Vec<Action>,
    /// The number of actions that prepare.
    pub preparing: usize,
    /// The addresses of the parameters of all actions, one action's after the other's.
    pub arguments: Vec<*mut u8>,
    /// Where in `arguments` each slot stands that is no part of another, and how many bytes behind its address.
    uses: Vec<Vec<(u32, usize)>>,
    /// The arguments that each loop moves, one loop's after the other's.
    moves: Vec<Move>,
    /// Arguments that no action has: the addresses of slots whose rows move.
    roots: BTreeMap<SlotId, u32>,
}

/// A step.
#[derive(Clone, Copy)]
pub(crate) enum Action {
    /// Calls a kernel with the arguments from `first` on.
    Call { function: KernelFn, first: u32, chunks: u64, shares: usize, kernel: u32 },
    /// Copies from argument `first` to argument `first + 1`.
    Copy { first: u32, bytes: usize },
    /// Runs the actions behind it, up to `end`, `count` times, after these moves each time; there are `depth` loops around it.
    Loop { count: usize, reversed: bool, depth: usize, end: usize, first_move: u32, moves: u32 },
}

/// What does not change while a program is made.
struct Context<'a> {
    plan: &'a VerifiedPlan,
    machines: &'a [Machine],
    arena: &'a Arena,
    sharing: Sharing,
    /// The slots, no parts of others, that steps write.
    written: BTreeSet<SlotId>,
}

impl Context<'_> {
    /// The bytes of what a call reads and writes, but for what no step writes: each thread keeps that in a cache of its own.
    fn moved_bytes(&self, slots: &[SlotId]) -> usize {
        let is_kept = |root: SlotId| {
            let place = &self.plan.slot(root).place;
            matches!(place, Place::State { .. } | Place::Constant(_)) && !self.written.contains(&root)
        };
        let moved = slots.iter().filter(|&&slot| !is_kept(self.plan.root(slot)));
        moved.map(|&slot| self.plan.slot(slot).ty.size_bytes()).sum()
    }
}

impl Program {
    /// The program of a plan on `threads` threads. Arguments that are inputs, outputs or states are
    /// null until they are set.
    pub fn new(plan: &VerifiedPlan, machines: &[Machine], arena: &Arena, sharing: Sharing) -> Program {
        assert_eq!(plan.kernels.len(), machines.len(), "a function per kernel of @{}", plan.name);
        let mut program = Program {
            actions: Vec::new(),
            preparing: 0,
            arguments: Vec::new(),
            uses: vec![Vec::new(); plan.slots.len()],
            moves: Vec::new(),
            roots: BTreeMap::new(),
        };
        let written = plan.steps.iter().flat_map(|step| plan.roots_written(step)).collect();
        let context = Context { plan, machines, arena, sharing, written };
        let mut moving = Vec::new();
        program.push_steps(&context, &plan.prepare, &mut moving, 0);
        program.preparing = program.actions.len();
        program.push_steps(&context, &plan.steps, &mut moving, 0);
        assert!(moving.is_empty(), "the plan is verified: rows count with loops around them");
        program
    }

    /// Adds the actions of steps with `depth` loops around them. The moves of their arguments that loops around them make
    /// come to `moving`.
    fn push_steps(&mut self, context: &Context<'_>, steps: &[Step], moving: &mut Vec<Move>, depth: usize) {
        for step in steps {
            let first = self.arguments.len() as u32;
            match step {
                Step::Call { kernel, slots } => {
                    self.push_arguments(context, slots, moving);
                    let Machine { function, chunks, time_ns, .. } = context.machines[kernel.0 as usize];
                    if chunks > 0 {
                        let shares = context.sharing.shares(time_ns, context.moved_bytes(slots));
                        self.actions.push(Action::Call { function, first, chunks, shares, kernel: kernel.0 });
                    }
                }
                Step::Copy { from, to } => {
                    self.push_arguments(context, &[*from, *to], moving);
                    let bytes = context.plan.slot(*from).ty.size_bytes();
                    self.actions.push(Action::Copy { first, bytes });
                }
                Step::Loop { count, reversed, body } => {
                    let at = self.actions.len();
                    self.actions.push(Action::Copy { first, bytes: 0 }); // until its end is known
                    let mut moved = Vec::new();
                    self.push_steps(context, body, &mut moved, depth + 1);
                    let (own, outer) =
                        moved.into_iter().partition(|moved: &Move| moved.depth() == Some(depth));
                    moving.extend::<Vec<Move>>(outer);
                    let first_move = self.moves.len() as u32;
                    self.moves.extend::<Vec<Move>>(own);
                    let moves = self.moves.len() as u32 - first_move;
                    let (count, reversed, end) = (*count, *reversed, self.actions.len());
                    self.actions[at] = Action::Loop { count, reversed, depth, end, first_move, moves };
                }
            }
        }
    }

    /// Sets the address of a slot, which is no part of another, wherever it is used.
    pub fn set(&mut self, slot: SlotId, address: *mut u8) {
        for &(at, offset) in &self.uses[slot.0 as usize] {
            self.arguments[at as usize] = address.wrapping_add(offset);
        }
    }

    /// Makes the moves of a loop at the start of an iteration.
    #[inline]
    pub fn make_moves(&mut self, moves: Range<u32>, iterations: &Iterations) {
        for moved in &self.moves[moves.start as usize..moves.end as usize] {
            let root = self.arguments[moved.root as usize];
            self.arguments[moved.at as usize] = root.wrapping_add(moved.bytes(iterations));
        }
    }

    /// Adds arguments side by side. Those that move get their addresses in the loops that move them.
    fn push_arguments(&mut self, context: &Context<'_>, slots: &[SlotId], moving: &mut Vec<Move>) {
        let first = self.arguments.len() as u32;
        let plan = context.plan;
        self.arguments.resize(self.arguments.len() + slots.len(), std::ptr::null_mut());
        for (at, &slot) in (first..).zip(slots) {
            let root = plan.root(slot);
            let mut moved = Move::new(plan, slot, at);
            if moved.depth().is_some() {
                moved.root = self.root_argument(context, root);
                moving.push(moved);
            } else {
                let offset = moved.bytes(&Iterations::default());
                self.uses[root.0 as usize].push((at, offset));
                self.arguments[at as usize] = address_of(context, root).wrapping_add(offset);
            }
        }
    }

    /// The argument that has the address of a slot for the moves of its rows.
    fn root_argument(&mut self, context: &Context<'_>, root: SlotId) -> u32 {
        let next = self.arguments.len() as u32;
        let at = *self.roots.entry(root).or_insert(next);
        if at == next {
            self.uses[root.0 as usize].push((at, 0));
            self.arguments.push(address_of(context, root));
        }
        at
    }
}

/// The address of a slot that is no part of another; null where it is yet to be set.
fn address_of(context: &Context<'_>, slot: SlotId) -> *mut u8 {
    let described = context.plan.slot(slot);
    match &described.place {
        Place::Arena { offset } => context.arena.place(*offset, described.ty.size_bytes()),
        Place::Constant(tensor) => {
            with_elements!(tensor.elements(), elements => elements.as_ptr().cast::<u8>().cast_mut())
        }
        Place::Input | Place::Output | Place::State { .. } => std::ptr::null_mut(),
        Place::Unplaced | Place::Part { .. } => unreachable!("the plan is verified: its roots have places"),
    }
}

/// Among how many threads kernels are shared out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sharing {
    /// The number of threads.
    pub threads: usize,
    /// What it takes to hand a share to another thread and to hear that it is done, in nanoseconds; `None` to share whatever can be.
    pub hand_over_ns: Option<f64>,
}

impl Sharing {
    /// On how many threads a kernel that takes `time_ns` on one of them is run, by an estimate of both ways. Where it is shared, a part
    /// of what it reads comes from the caches of other threads, and of what it writes goes there: `moved_bytes` in all.
    fn shares(self, time_ns: f64, moved_bytes: usize) -> usize {
        /// As many lines of the cache are on their way from another core at the same time.
        const LINES_AT_ONCE: f64 = 8.0;
        const LINE_BYTES: f64 = 64.0;
        /// What is larger comes in long runs, which are fetched ahead of their use, or from memory.
        const MOST_BYTES: f64 = 65_536.0;
        /// The estimate is a rough one: sharing has to be better by this much.
        const MARGIN: f64 = 0.8;
        let Some(hand_over_ns) = self.hand_over_ns else { return self.threads };
        let line_ns = hand_over_ns / LINES_AT_ONCE;
        let lines = (moved_bytes as f64).min(MOST_BYTES) / LINE_BYTES;
        let shared_ns = |threads: usize| {
            let others = (threads - 1) as f64 / threads as f64;
            time_ns / threads as f64 + hand_over_ns * (threads as f64 / 2.0) + lines * others * line_ns
        };
        let best = (2..=self.threads).min_by(|&a, &b| shared_ns(a).total_cmp(&shared_ns(b)));
        best.filter(|&threads| shared_ns(threads) < MARGIN * time_ns).unwrap_or(1)
    }
}

/// The memory of its own that each thread needs: the most that any kernel wants.
pub(crate) fn scratch_bytes(machines: &[Machine]) -> usize {
    machines.iter().map(|machine| machine.scratch_bytes).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_shared_where_that_is_faster_by_the_estimate_of_both_ways() {
        let sharing = Sharing { threads: 8, hand_over_ns: Some(100.0) };
        assert_eq!(sharing.shares(0.0, 0), 1);
        assert_eq!(sharing.shares(300.0, 0), 1);
        assert_eq!((sharing.shares(400.0, 0), sharing.shares(600.0, 0)), (3, 3));
        assert_eq!(sharing.shares(1e9, 1 << 30), 8);
        // Four microseconds are not worth it where as many lines have to come over.
        let sharing = Sharing { threads: 2, ..sharing };
        assert_eq!((sharing.shares(4e3, 1 << 10), sharing.shares(4e3, 1 << 15)), (2, 1));
        let slow = Sharing { hand_over_ns: Some(400.0), ..sharing };
        assert_eq!((slow.shares(600.0, 0), slow.shares(4e3, 1 << 13)), (1, 1));
        assert_eq!(Sharing { hand_over_ns: None, ..sharing }.shares(0.0, 1 << 30), 2);
    }
}
