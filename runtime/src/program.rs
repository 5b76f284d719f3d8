//! A plan flattened: steps with their function and the addresses of their parameters in one array, so that a run is a
//! loop over calls.
//!
//! Addresses in the arena and of constants never change. Those of inputs, outputs and states are set once they are
//! known, and again where they have changed: `uses` says where in the array each slot stands.

use codegen::KernelFn;
use ir::{Place, SlotId, Step, VerifiedPlan, with_elements};

use crate::{Arena, RunError};

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
    /// Where in `arguments` each slot stands.
    uses: Vec<Vec<u32>>,
}

/// A step.
#[derive(Clone, Copy)]
pub(crate) enum Action {
    /// Calls a kernel with the arguments from `first` on.
    Call { function: KernelFn, first: u32, chunks: u64, shares: usize, kernel: u32 },
    /// Copies from argument `first` to argument `first + 1`.
    Copy { first: u32, bytes: usize },
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
        };
        program.push_steps(plan, &plan.prepare, machines, arena, sharing);
        program.preparing = program.actions.len();
        program.push_steps(plan, &plan.steps, machines, arena, sharing);
        program
    }

    fn push_steps(
        &mut self,
        plan: &VerifiedPlan,
        steps: &[Step],
        machines: &[Machine],
        arena: &Arena,
        sharing: Sharing,
    ) {
        for step in steps {
            let first = self.arguments.len() as u32;
            match step {
                Step::Call { kernel, slots } => {
                    slots.iter().for_each(|&slot| self.push_argument(plan, arena, slot));
                    let Machine { function, chunks, time_ns, .. } = machines[kernel.0 as usize];
                    if chunks > 0 {
                        let shares = sharing.shares(time_ns);
                        self.actions.push(Action::Call { function, first, chunks, shares, kernel: kernel.0 });
                    }
                }
                Step::Copy { from, to } => {
                    self.push_argument(plan, arena, *from);
                    self.push_argument(plan, arena, *to);
                    self.actions.push(Action::Copy { first, bytes: plan.slot(*from).ty.size_bytes() });
                }
            }
        }
    }

    /// Sets the address of a slot wherever it is used.
    pub fn set(&mut self, slot: SlotId, address: *mut u8) {
        for &at in &self.uses[slot.0 as usize] {
            self.arguments[at as usize] = address;
        }
    }

    fn push_argument(&mut self, plan: &VerifiedPlan, arena: &Arena, slot: SlotId) {
        let at = self.arguments.len() as u32;
        self.uses[slot.0 as usize].push(at);
        let described = plan.slot(slot);
        self.arguments.push(match &described.place {
            Place::Arena { offset } => arena.place(*offset, described.ty.size_bytes()),
            Place::Constant(tensor) => {
                with_elements!(tensor.elements(), elements => elements.as_ptr().cast::<u8>().cast_mut())
            }
            Place::Input | Place::Output | Place::State { .. } => std::ptr::null_mut(),
            Place::Unplaced => unreachable!("the plan is verified: its slots have places"),
        });
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
        let mut probe: Vec<T> = Vec::new();
        probe.try_reserve_exact(count).map_err(|_| RunError::OutOfMemory { bytes: ty.size_bytes() })?;
        crate::buffer::advise_large_pages(probe.as_ptr().cast(), ty.size_bytes());
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
