//! A plan flattened: steps with their function and the addresses of their parameters in one array, so that a run is a
//! loop over calls.
//!
//! Addresses in the arena and of constants never change. Those of inputs, outputs and states are set once they are
//! known, and again where they have changed: `uses` says where in the array each slot stands.
//!
//! A loop is an action before those of its body. At the start of each of its iterations it moves the arguments that are rows
//! which count with it.

use std::collections::BTreeMap;
use std::ops::Range;

use codegen::KernelFn;
use ir::{Place, SlotId, Step, VerifiedPlan, with_elements};

use crate::moves::{Iterations, Move};
use crate::{Arena, RunError, memory};

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

/// A share of a kernel that is estimated (by `codegen::Cost`) to take less than this on one thread is not worth handing
/// to another: that takes a fraction of a microsecond.
pub(crate) const MIN_SHARE_NS: f64 = 1_000.0;

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
        let context = Context { plan, machines, arena, sharing };
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
                        let shares = context.sharing.shares(time_ns);
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
    /// The least time that a share takes on one thread, in nanoseconds.
    pub min_share_ns: f64,
}

impl Sharing {
    /// On how many threads a kernel that takes `time_ns` on one of them is run.
    fn shares(self, time_ns: f64) -> usize {
        ((time_ns / self.min_share_ns) as usize).clamp(1, self.threads)
    }
}

/// The memory of its own that each thread needs: the most that any kernel wants.
pub(crate) fn scratch_bytes(machines: &[Machine]) -> usize {
    machines.iter().map(|machine| machine.scratch_bytes).max().unwrap_or(0)
}

/// A tensor of type `ty` to be written by kernels: zeroed, and in large pages where it is large.
pub(crate) fn output_tensor(ty: &ir::Type) -> Result<ir::Tensor, RunError> {
    fn zeroed<T: ir::Element + Default>(ty: &ir::Type) -> Result<ir::Tensor, RunError> {
        let count = ty.shape.elements();
        let bytes = ty.size_bytes();
        memory::check(bytes)?;
        let mut probe: Vec<T> = Vec::new();
        probe.try_reserve_exact(count).map_err(|_| RunError::OutOfMemory { bytes, available: None })?;
        crate::buffer::advise_large_pages(probe.as_ptr().cast(), bytes);
        probe.resize(count, T::default());
        Ok(ir::Tensor::new(ty.shape.clone(), probe).expect("as many elements as the shape has"))
    }
    match ty.dtype {
        ir::DType::F32 => zeroed::<f32>(ty),
        ir::DType::F64 => zeroed::<f64>(ty),
        ir::DType::I32 => zeroed::<i32>(ty),
        ir::DType::I64 => zeroed::<i64>(ty),
        ir::DType::Bool => zeroed::<bool>(ty),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_kernel_wakes_nobody() {
        let sharing = Sharing { threads: 8, min_share_ns: MIN_SHARE_NS };
        assert_eq!(sharing.shares(0.0), 1);
        assert_eq!(sharing.shares(1.9 * MIN_SHARE_NS), 1);
        assert_eq!(sharing.shares(2.0 * MIN_SHARE_NS), 2);
        assert_eq!(sharing.shares(1e9), 8);
    }
}
