//! The plan: which kernels run in which order on which memory. Plain data; the runtime does nothing but follow it.
//!
//! Pass `lower` writes a plan whose buffers have no places in the arena yet (stage `kernels`); pass `plan_memory`
//! gives them places and decides which updates happen in place (stage `plan`).

mod order;
mod part;
mod site;

use std::collections::BTreeSet;

pub use order::{AxisOrder, AxisPart};
pub use part::{Alias, Row};
pub use site::{Site, homes, loops, sites};
use smallvec::SmallVec;

use crate::{Access, Buffer, Init, Kernel, Stage, Tensor, Type, visits};

/// A kernel of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KernelId(pub u32);

/// A buffer of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotId(pub u32);

/// Where the bytes of a slot are.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// In the arena, the place yet to be found by `plan_memory`.
    Unplaced,
    /// In the arena, from this byte on (a multiple of [`Plan::ALIGNMENT`]).
    Arena {
        /// The first byte.
        offset: usize,
    },
    /// The caller's, read only: the input of the slot's name.
    Input,
    /// The caller's, written: the output of the slot's name.
    Output,
    /// Kept from run to run: the state of the slot's name.
    State {
        /// What it holds before the first run.
        init: Init,
        /// The order of its axes in memory.
        order: AxisOrder,
        /// Whether it belongs to programs of this plan's name alone.
        is_private: bool,
    },
    /// Part of the plan.
    Constant(Tensor),
    /// Rows of another slot, whose leading axis counts its rows. Wherever that one is, they are there.
    Part {
        /// The slot of which it is a part.
        of: SlotId,
        /// Which of its rows. In a loop it may be another row in each iteration.
        row: Row,
    },
}

/// A piece of memory that holds one value.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// The name in the text form; of inputs, outputs and states, the name that the user knows.
    pub name: String,
    /// What it holds.
    pub ty: Type,
    /// Where it is.
    pub place: Place,
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Runs a kernel.
    Call {
        /// Which.
        kernel: KernelId,
        /// A slot for each of its parameters, in order. A slot may have another shape than the parameter, of as many
        /// elements (reshape moves nothing). A written slot overlaps no other slot of the call, except one that it
        /// equals: then the kernel reads each element before it writes it, in the same iteration.
        slots: SmallVec<[SlotId; 6]>,
    },
    /// Copies all bytes of one slot to another of the same type.
    Copy {
        /// The source.
        from: SlotId,
        /// The destination.
        to: SlotId,
    },
    /// Runs steps again and again. What one iteration hands to the next is memory that the one writes and the other
    /// reads; slots that are [rows of others](Place::Part) may be other rows in each iteration.
    Loop {
        /// The number of iterations, at least 1: `t` is 0, 1, .. in them.
        count: usize,
        /// Whether `t` goes down to 0 instead.
        reversed: bool,
        /// What each iteration runs, in order.
        body: Vec<Step>,
    },
}

/// The calls and copies of `steps` in the order of the text, those in loops once.
///
/// ```
/// let source = "plan @p { slot %x : f32[2] = input  slot %y : f32[2] = output
///     steps { loop 3 { copy %x -> %y  loop 2 reversed { copy %y -> %y } } } }";
/// let plan = ir::text::parse_plan(source)?;
/// assert_eq!(ir::plan::flat_steps(&plan.steps).count(), 2);
/// # Ok::<(), ir::text::ParseError>(())
/// ```
pub fn flat_steps(steps: &[Step]) -> impl Iterator<Item = &Step> {
    let mut blocks = vec![steps.iter()];
    std::iter::from_fn(move || {
        loop {
            match blocks.last_mut()?.next() {
                Some(Step::Loop { body, .. }) => blocks.push(body.iter()),
                Some(step) => return Some(step),
                None => drop(blocks.pop()),
            }
        }
    })
}

/// A program ready to be compiled: kernels, memory, and the order of calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The name of the graph that it came from.
    pub name: String,
    /// The kernels, each called at least once.
    pub kernels: Vec<Kernel>,
    /// The memory.
    pub slots: Vec<Slot>,
    /// What runs before the steps, in order, whenever a state may have changed since it last ran. It reads constants,
    /// states that the plan never writes, and earlier results of its own; it writes slots of the arena that nothing
    /// else writes and that share their places with no other slot, so its results are kept from run to run.
    pub prepare: Vec<Step>,
    /// What runs, in order.
    pub steps: Vec<Step>,
    /// The size of the arena, in bytes; 0 before `plan_memory`.
    pub arena_bytes: usize,
    /// `(state, slot)`: what the state of that slot becomes at the end of a run, where no step has written it in
    /// place. Empty after `plan_memory`, which turns each into an update in place or a copy.
    pub updates: Vec<(SlotId, SlotId)>,
}

impl Plan {
    /// Arena offsets are multiples of this many bytes: a cache line.
    pub const ALIGNMENT: usize = 64;
    /// The greatest number of loops around a step.
    pub const MAX_LOOP_DEPTH: usize = 4;
    /// The greatest number of iterations of a loop.
    pub const MAX_LOOP_COUNT: usize = 1 << 31;
    /// The greatest number of parts in a chain, each of which is a part of the next.
    pub const MAX_PART_DEPTH: usize = 8;
    /// The greatest shift of a row, up or down.
    pub const MAX_SHIFT: i64 = 1 << 31;

    /// The plan that calls a kernel once, on a slot of the caller's for each of its parameters.
    pub fn of_kernel(kernel: Kernel) -> Plan {
        let slot = |(_, buffer): (_, &Buffer)| Slot {
            name: buffer.name.clone(),
            ty: buffer.ty.clone(),
            place: if buffer.access == Access::Write { Place::Output } else { Place::Input },
        };
        let slots: Vec<Slot> = kernel.parameters().map(slot).collect();
        let arguments = (0..slots.len() as u32).map(SlotId).collect();
        Plan {
            name: kernel.name.clone(),
            kernels: vec![kernel],
            slots,
            prepare: Vec::new(),
            steps: vec![Step::Call { kernel: KernelId(0), slots: arguments }],
            arena_bytes: 0,
            updates: Vec::new(),
        }
    }

    /// The stage that it has reached: `kernels` where a slot has no place or an update is left, else `plan`.
    pub fn stage(&self) -> Stage {
        let is_unplaced = self.slots.iter().any(|slot| slot.place == Place::Unplaced);
        if is_unplaced || !self.updates.is_empty() { Stage::Kernels } else { Stage::Plan }
    }

    /// A slot.
    pub fn slot(&self, id: SlotId) -> &Slot {
        visits::add(1);
        &self.slots[id.0 as usize]
    }

    /// A kernel.
    pub fn kernel(&self, id: KernelId) -> &Kernel {
        visits::add(1);
        &self.kernels[id.0 as usize]
    }

    /// The slots that a step reads; those that the steps of a loop read, whoever has written them, each once.
    pub fn reads(&self, step: &Step) -> SmallVec<[SlotId; 6]> {
        self.slots_with(step, Access::Read)
    }

    /// The slots that a step writes; those that the steps of a loop write, each once.
    pub fn writes(&self, step: &Step) -> SmallVec<[SlotId; 6]> {
        self.slots_with(step, Access::Write)
    }

    /// The roots of the slots that a step reads, each once.
    pub fn roots_read(&self, step: &Step) -> SmallVec<[SlotId; 6]> {
        self.roots_of(self.reads(step))
    }

    /// The roots of the slots that a step writes, each once.
    pub fn roots_written(&self, step: &Step) -> SmallVec<[SlotId; 6]> {
        self.roots_of(self.writes(step))
    }

    fn roots_of(&self, slots: SmallVec<[SlotId; 6]>) -> SmallVec<[SlotId; 6]> {
        let mut met = BTreeSet::new();
        slots.into_iter().map(|slot| self.root(slot)).filter(|&root| met.insert(root)).collect()
    }

    fn slots_with(&self, step: &Step, access: Access) -> SmallVec<[SlotId; 6]> {
        match step {
            Step::Call { kernel, slots } => {
                let parameters = self.kernel(*kernel).parameters().zip(slots);
                parameters.filter(|((_, buffer), _)| buffer.access == access).map(|(_, &slot)| slot).collect()
            }
            Step::Copy { from, to } => {
                SmallVec::from_elem(if access == Access::Read { *from } else { *to }, 1)
            }
            Step::Loop { body, .. } => {
                let mut met = BTreeSet::new();
                let all = flat_steps(body).flat_map(|step| self.slots_with(step, access));
                all.filter(|&slot| met.insert(slot)).collect()
            }
        }
    }

    /// The slots whose place satisfies `is`, in order.
    pub fn slots_where(&self, is: impl Fn(&Place) -> bool) -> impl Iterator<Item = (SlotId, &Slot)> {
        let ids = (0..self.slots.len() as u32).map(SlotId);
        ids.zip(&self.slots).filter(move |(_, slot)| is(&slot.place))
    }
}
