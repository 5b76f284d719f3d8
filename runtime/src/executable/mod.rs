//! A plan with its machine code, ready to be run.

#![allow(
    unsafe_code,
    reason = "this is where compiled kernels are called, with the addresses of their parameters"
)]

mod bind;
mod memory;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ir::plan::flat_steps;
use ir::{KernelId, Place, SlotId, Tensor, Type, VerifiedPlan};

pub use memory::Memory;

use crate::buffer::zeroed_tensor;
use crate::moves::Iterations;
use crate::program::{Action, Machine, Program, Sharing, scratch_bytes};
use crate::state::Stamp;
use crate::{Arena, Buffer, KernelTime, PhaseTime, Pool, RunError, State};

/// A compiled program: what [`Executable::run`] does is call its kernels one after the other.
///
/// What depends only on states that the program never writes is computed in the first run, and again in a run that finds
/// them changed, by [`State::set`] or by another program.
///
/// It owns the memory of its intermediate values and of its outputs; states belong to the caller, and so do inputs.
/// After the first run with the same `State`, a run allocates nothing.
///
/// A program that writes no state runs on a shared `State` ([`Executable::infer`]); each thread runs a
/// [fork](Executable::fork) of it.
pub struct Executable {
    plan: VerifiedPlan,
    program: Program,
    /// What the scheduler knows of each kernel of the plan.
    machines: Arc<[Machine]>,
    /// Whether kernels are shared by all threads, however little work they are.
    shares_all: bool,
    /// Keeps the functions in memory.
    code: Option<Arc<codegen::Code>>,
    pool: Arc<Pool>,
    /// Keeps the intermediate values in memory.
    _arena: Arena,
    /// Memory of its own for each thread.
    scratch: Vec<Buffer>,
    inputs: Vec<External>,
    outputs: Vec<External>,
    tensors: Vec<Tensor>,
    states: Vec<SlotId>,
    /// A state that a step writes, where there is one.
    written_state: Option<SlotId>,
    /// States whose axes the program wants in another order than the bound `State` has them in, which is shared.
    reordered: BTreeMap<SlotId, Buffer>,
    /// The `State` whose addresses the program holds, as it was when the program last prepared.
    bound_state: Option<Stamp>,
    times: Option<Vec<(u64, Duration)>>,
    compile_time: Duration,
    compile_phases: Vec<PhaseTime>,
}

/// A slot of the caller's with the address that the program holds for it.
struct External {
    slot: SlotId,
    address: *mut u8,
}

// SAFETY: the addresses that it holds are of memory that it owns (arena, scratch, outputs, constants of the plan), or
// of inputs and states that are borrowed whenever kernels run: shared where no kernel writes them, else exclusively.
unsafe impl Send for Executable {}
// SAFETY: a shared executable only answers questions and forks; what runs kernels or binds addresses takes `&mut self`.
unsafe impl Sync for Executable {}

impl std::fmt::Debug for Executable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executable").field("plan", &self.plan.name).finish_non_exhaustive()
    }
}

impl Executable {
    /// Makes a program of machine code and the plan that it was made for.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use runtime::{Executable, Pool, State};
    /// let source = "plan @double { arena 0  slot %x : f32[3] = input  slot %y : f32[3] = output
    ///     kernel @double(%a: f32[3]) -> (%b: f32[3]) {
    ///         for i in 3 { %0 = load %a[i]  %1 = add %0, %0  store %1, %b[i] }
    ///     }
    ///     steps { call @double(%x, %y) } }";
    /// let plan = ir::VerifiedPlan::new(ir::text::parse_plan(source)?)?;
    /// let code = codegen::compile(&plan, &codegen::Target::host()?)?;
    /// let mut state = State::new(&plan, 0)?;
    /// let mut program = Executable::new(code, Arc::new(Pool::new(1)?))?;
    /// let x = ir::Tensor::new([3], vec![1.0f32, 2.0, 3.0]).unwrap();
    /// program.run(&mut state, &[&x])?;
    /// assert_eq!(program.output("y").unwrap().as_slice::<f32>().unwrap(), [2.0, 4.0, 6.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Where there is no memory for its values.
    pub fn new(code: codegen::Code, pool: Arc<Pool>) -> Result<Executable, RunError> {
        let machines = code.entries().iter().map(machine_of).collect();
        Executable::assemble(code.plan().clone(), machines, Some(Arc::new(code)), pool, false)
    }

    /// The same program for another thread: it shares the machine code and the constants, has an arena, outputs and scratch
    /// memory of its own, and runs on the threads of `pool`. Nothing is compiled.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use runtime::{Executable, Pool, State};
    /// let source = "plan @scale { arena 0  slot %x : f32[3] = input  slot %w : f32[3] = state constant(2)
    ///     slot %y : f32[3] = output
    ///     kernel @mul(%a: f32[3], %b: f32[3]) -> (%c: f32[3]) {
    ///         for i in 3 { %0 = load %a[i]  %1 = load %b[i]  %2 = mul %0, %1  store %2, %c[i] }
    ///     }
    ///     steps { call @mul(%x, %w, %y) } }";
    /// let plan = ir::VerifiedPlan::new(ir::text::parse_plan(source)?)?;
    /// let state = State::new(&plan, 0)?;
    /// let code = codegen::compile(&plan, &codegen::Target::host()?)?;
    /// let program = Executable::new(code, Arc::new(Pool::new(1)?))?;
    /// let double = &|x: f32| -> Result<f64, runtime::RunError> {
    ///     let mut program = program.fork(Arc::new(Pool::new(1)?))?;
    ///     program.infer(&state, &[&ir::Tensor::splat([3], ir::Scalar::F32(x))])?;
    ///     Ok(program.outputs()[0].get(0).as_f64())
    /// };
    /// let doubled = std::thread::scope(|scope| {
    ///     [1.0, 2.0].map(|x| scope.spawn(move || double(x))).map(|thread| thread.join().unwrap())
    /// });
    /// assert_eq!(doubled, [Ok(2.0), Ok(4.0)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Where there is no memory for its values.
    pub fn fork(&self, pool: Arc<Pool>) -> Result<Executable, RunError> {
        let (plan, code) = (self.plan.clone(), self.code.clone());
        let mut fork = Executable::assemble(plan, Arc::clone(&self.machines), code, pool, self.shares_all)?;
        fork.set_compile_time(self.compile_time, self.compile_phases.clone());
        Ok(fork)
    }

    /// The same program on the threads of `pool`, with every kernel of several chunks cut into as many shares as there are
    /// threads, however little work it is. So tests find out whether results depend on the number of threads.
    ///
    /// # Errors
    /// Where there is no memory for its values.
    pub fn cut_for(self, pool: Arc<Pool>) -> Result<Executable, RunError> {
        Executable::assemble(self.plan, self.machines, self.code, pool, true)
    }

    /// Makes a program of functions that do what the plan's kernels say, in their order; `code` keeps them in memory.
    fn assemble(
        plan: VerifiedPlan,
        machines: Arc<[Machine]>,
        code: Option<Arc<codegen::Code>>,
        pool: Arc<Pool>,
        shares_all: bool,
    ) -> Result<Executable, RunError> {
        let arena = Arena::new(plan.arena_bytes)?;
        let hand_over_ns = (!shares_all).then(|| pool.hand_over_ns());
        let sharing = Sharing { threads: pool.threads(), hand_over_ns };
        let program = Program::new(&plan, &machines, &arena, sharing);
        let bytes = scratch_bytes(&machines);
        let scratch = (0..pool.threads()).map(|_| Buffer::zeroed(bytes)).collect::<Result<_, _>>()?;
        let external = |is: fn(&Place) -> bool| -> Vec<External> {
            plan.slots_where(is).map(|(slot, _)| External { slot, address: std::ptr::null_mut() }).collect()
        };
        let inputs = external(|place| matches!(place, Place::Input));
        let outputs = external(|place| matches!(place, Place::Output));
        let states =
            plan.slots_where(|place| matches!(place, Place::State { .. })).map(|(slot, _)| slot).collect();
        let is_state = |slot: &SlotId| matches!(plan.slot(*slot).place, Place::State { .. });
        let mut steps = plan.prepare.iter().chain(&plan.steps);
        let written_state = steps.find_map(|step| plan.roots_written(step).into_iter().find(is_state));
        let tensors = outputs
            .iter()
            .map(|output| zeroed_tensor(&plan.slot(output.slot).ty))
            .collect::<Result<_, _>>()?;
        Ok(Executable {
            plan,
            program,
            machines,
            shares_all,
            code,
            pool,
            _arena: arena,
            scratch,
            inputs,
            outputs,
            tensors,
            states,
            written_state,
            reordered: BTreeMap::new(),
            bound_state: None,
            times: None,
            compile_time: Duration::ZERO,
            compile_phases: Vec::new(),
        })
    }

    /// Runs the program once: reads `inputs` (in the order of [`Executable::inputs`]), updates `state`, and leaves the
    /// results in [`Executable::outputs`].
    ///
    /// # Errors
    /// Where an input is missing or of another type, or `state` lacks a state of the program or has it with another
    /// type. Then nothing has been run.
    pub fn run(&mut self, state: &mut State, inputs: &[&Tensor]) -> Result<(), RunError> {
        if self.written_state.is_none() {
            return self.infer(state, inputs);
        }
        self.bind_inputs(inputs)?;
        let is_prepared = self.bind_state(state)?;
        self.run_bound(is_prepared);
        state.note_change();
        // What this program prepares depends on no state that it writes.
        self.bound_state = Some(state.stamp());
        Ok(())
    }

    /// As [`Executable::run`], with inputs by name in any order.
    ///
    /// # Errors
    /// As `run`; all inputs that are missing are named.
    pub fn run_named(&mut self, state: &mut State, inputs: &[(&str, &Tensor)]) -> Result<(), RunError> {
        let inputs = self.ordered(inputs)?;
        self.run(state, &inputs)
    }

    /// Runs a program that writes no state once, on states that others may read meanwhile: many threads, each with a
    /// [fork](Executable::fork) of its own, infer from one set of weights. The results are in [`Executable::outputs`].
    ///
    /// # Errors
    /// As [`Executable::run`]; and where the program writes a state.
    pub fn infer(&mut self, state: &State, inputs: &[&Tensor]) -> Result<(), RunError> {
        if let Some(slot) = self.written_state {
            let (program, state) = (self.plan.name.clone(), self.plan.slot(slot).name.clone());
            return Err(RunError::WritesState { program, state });
        }
        self.bind_inputs(inputs)?;
        let is_prepared = self.bind_shared_state(state)?;
        self.run_bound(is_prepared);
        Ok(())
    }

    /// As [`Executable::infer`], with inputs by name in any order.
    ///
    /// # Errors
    /// As `infer`; all inputs that are missing are named.
    pub fn infer_named(&mut self, state: &State, inputs: &[(&str, &Tensor)]) -> Result<(), RunError> {
        let inputs = self.ordered(inputs)?;
        self.infer(state, &inputs)
    }

    /// Names and types of the inputs, in order.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, &Type)> {
        self.inputs.iter().map(|input| self.described(input.slot))
    }

    /// Names and types of the outputs, in order.
    pub fn output_types(&self) -> impl Iterator<Item = (&str, &Type)> {
        self.outputs.iter().map(|output| self.described(output.slot))
    }

    /// The outputs of the last run, in order; zeros before the first.
    pub fn outputs(&self) -> &[Tensor] {
        &self.tensors
    }

    /// The output of this name of the last run.
    pub fn output(&self, name: &str) -> Option<&Tensor> {
        let index = self.output_types().position(|(known, _)| known == name)?;
        self.tensors.get(index)
    }

    /// The plan.
    pub fn plan(&self) -> &VerifiedPlan {
        &self.plan
    }

    /// The machine code.
    pub fn code(&self) -> Option<&codegen::Code> {
        self.code.as_deref()
    }

    /// The threads that it runs on.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// How long compiling took, as whoever compiled it has stated.
    pub fn compile_time(&self) -> Duration {
        self.compile_time
    }

    /// The phases of compiling in their order, as whoever compiled it has stated.
    pub fn compile_phases(&self) -> &[PhaseTime] {
        &self.compile_phases
    }

    /// States how long compiling took, and each phase of it.
    pub fn set_compile_time(&mut self, time: Duration, phases: Vec<PhaseTime>) {
        self.compile_time = time;
        self.compile_phases = phases;
    }

    /// Starts to collect kernel times from nothing, or stops.
    pub fn set_profiling(&mut self, profile: bool) {
        self.times = profile.then(|| vec![(0, Duration::ZERO); self.plan.kernels.len() + 1]);
    }

    /// The times of kernels since profiling began, in the order of the plan's kernels, copies last; empty where none
    /// are collected.
    pub fn kernel_times(&self) -> Vec<KernelTime> {
        let names = self.plan.kernels.iter().map(|kernel| kernel.name.as_str()).chain(["copy"]);
        let times = self.times.iter().flatten().zip(names).enumerate();
        times
            .filter(|(_, ((calls, _), _))| *calls > 0)
            .map(|(index, (&(calls, time), name))| {
                let kernel = (index < self.plan.kernels.len()).then_some(KernelId(index as u32));
                KernelTime { name: name.to_owned(), kernel, calls, time }
            })
            .collect()
    }

    /// The memory that it has, by what it is for.
    pub fn memory(&self) -> Memory {
        let written: BTreeSet<SlotId> =
            flat_steps(&self.plan.prepare).flat_map(|step| self.plan.roots_written(step)).collect();
        let prepared = written.into_iter().map(|slot| self.plan.slot(slot).ty.size_bytes()).sum();
        Memory {
            arena_bytes: self.plan.arena_bytes.saturating_sub(prepared),
            prepared_bytes: prepared,
            reordered_bytes: self.reordered.values().map(Buffer::len).sum(),
            output_bytes: self.output_types().map(|(_, ty)| ty.size_bytes()).sum(),
            scratch_bytes: self.scratch.iter().map(Buffer::len).sum(),
            code_bytes: self.code.as_ref().map_or(0, |code| code.bytes()),
        }
    }

    fn described(&self, slot: SlotId) -> (&str, &Type) {
        let slot = self.plan.slot(slot);
        (&slot.name, &slot.ty)
    }

    /// Runs what is bound, without the steps that prepare where that has been done.
    fn run_bound(&mut self, is_prepared: bool) {
        self.bind_outputs();
        let first = if is_prepared { self.program.preparing } else { 0 };
        self.run_actions(first..self.program.actions.len(), &mut Iterations::default());
        self.normalise_booleans();
    }

    /// Runs a range of actions in these iterations of the loops around them.
    fn run_actions(&mut self, range: Range<usize>, iterations: &mut Iterations) {
        let mut next = range.start;
        while next < range.end {
            let action = self.program.actions[next];
            if let Action::Loop { count, reversed, depth, end, first_move, moves } = action {
                for iteration in 0..count {
                    iterations[depth] = if reversed { count - 1 - iteration } else { iteration };
                    self.program.make_moves(first_move..first_move + moves, iterations);
                    self.run_actions(next + 1..end, iterations);
                }
                next = end;
                continue;
            }
            match self.times.is_some() {
                true => self.run_profiled(&action),
                false => self.run_action(&action),
            }
            next += 1;
        }
    }

    fn run_profiled(&mut self, action: &Action) {
        let start = Instant::now();
        self.run_action(action);
        let elapsed = start.elapsed();
        let index = match action {
            Action::Call { kernel, .. } => *kernel as usize,
            Action::Copy { .. } | Action::Loop { .. } => self.plan.kernels.len(),
        };
        if let Some(times) = &mut self.times {
            times[index].0 += 1;
            times[index].1 += elapsed;
        }
    }

    #[inline]
    fn run_action(&self, action: &Action) {
        match *action {
            Action::Call { function, first, chunks, shares, .. } => {
                let arguments = Arguments(self.program.arguments[first as usize..].as_ptr());
                let scratch = &self.scratch;
                if shares == 1 {
                    return call(function, arguments, &scratch[0], 0, chunks);
                }
                self.pool.run(chunks, shares, &|thread, begin, end| {
                    call(function, arguments, &scratch[thread], begin, end);
                });
            }
            Action::Copy { first, bytes } => {
                let first = first as usize;
                let (from, to) = (self.program.arguments[first], self.program.arguments[first + 1]);
                // SAFETY: both slots have `bytes` bytes (checked when the program was made) and are bound. They may
                // be one and the same.
                unsafe { std::ptr::copy(from, to, bytes) };
            }
            Action::Loop { .. } => unreachable!("loops are run by `run_actions`"),
        }
    }

    /// On how many threads each call runs.
    #[cfg(test)]
    fn shares(&self) -> Vec<usize> {
        let shares =
            |action: &Action| if let Action::Call { shares, .. } = action { Some(*shares) } else { None };
        self.program.actions.iter().filter_map(shares).collect()
    }
}

/// The addresses of the parameters of a call, which all its threads read.
#[derive(Clone, Copy)]
struct Arguments(*const *mut u8);

// SAFETY: the array is not written while a kernel runs: loops move arguments between calls.
unsafe impl Send for Arguments {}
// SAFETY: as above.
unsafe impl Sync for Arguments {}

/// Does chunks `begin..end` of a kernel.
#[inline]
fn call(function: codegen::KernelFn, arguments: Arguments, scratch: &Buffer, begin: u64, end: u64) {
    // SAFETY: the arguments are the addresses of the kernel's parameters, each of the size that the plan states (the
    // verifier has checked places in the arena, `bind_*` the rest). The scratch memory is that of this thread alone
    // and as large as the kernel wants. Chunks are independent of each other, and the code is alive with `self`.
    unsafe { function(arguments.0, scratch.as_ptr(), begin, end) }
}

/// What the scheduler has to know of a compiled kernel.
fn machine_of(entry: &codegen::Entry) -> Machine {
    Machine {
        function: entry.function,
        chunks: entry.chunks,
        scratch_bytes: entry.scratch_bytes,
        time_ns: entry.cost.time_ns(),
    }
}

#[cfg(test)]
mod tests;
