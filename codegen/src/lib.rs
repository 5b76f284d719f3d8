//! Machine code for kernels.
//!
//! In: the kernels of a plan that the verifier has passed, each complete in itself. Out: functions in one executable memory.
//! Codegen knows nothing of graphs and ops: the kernel language and the vector programs of elementwise functions are all
//! that it sees.
//!
//! | module | what it holds |
//! |---|---|
//! | [`target`] | the CPU that code is generated for |
//! | [`nest`] | kernels with flat addresses, invariant values moved out of loops |
//! | [`schedule`] | which axis runs on the lanes of vectors, and what a chunk is |
//! | [`emit`] | nests and vector programs as Cranelift instructions |
//! | `cache` | kernels that are alike, compiled once |
//! | [`contraction`] | sums of products: register tiles, cache blocks, packing |
//! | [`transpose`] | copies in another order of axes, in blocks on registers |
//! | [`emulate_fma`] | fused multiply-add for CPUs that lack it |
//! | [`wide`] | AVX2 and AVX-512 code |
//! | [`load_before_compare`] | unaligned operands of comparisons on CPUs without AVX |
//! | [`jit`] | executable memory |
//! | [`listing`] | machine code for dumps |

mod cache;
pub mod contraction;
pub mod emit;
pub mod emulate_fma;
pub mod error;
pub mod jit;
mod kernel;
pub mod listing;
pub mod load_before_compare;
pub mod nest;
pub mod schedule;
pub mod target;
pub mod transpose;
pub mod wide;
mod winograd;

use std::fmt;
use std::time::{Duration, Instant};

use ir::VerifiedPlan;

pub use cache::forget_compiled;
pub use error::Error;
pub use target::Target;

/// A compiled kernel. `args[i]` is the address of parameter `i`; `scratch` is memory of this thread alone, 64-byte
/// aligned, of [`Entry::scratch_bytes`]; chunks `begin .. end` are run.
pub type KernelFn = unsafe extern "C" fn(args: *const *mut u8, scratch: *mut u8, begin: u64, end: u64);

/// What running a kernel once takes, by count.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Floating-point and integer operations on vectors, loads and stores among them; a multiply-add of a tile is
    /// 0.6 of one.
    pub operations: f64,
    /// The bytes of its parameters, each counted once.
    pub bytes: f64,
}

impl Cost {
    /// Tiles keep both multipliers busy, which other code does not.
    const MULTIPLY_ADD: f64 = 0.6;

    /// A rough guess at the time on one thread, in nanoseconds: two operations a nanosecond, and memory at 16 bytes a
    /// nanosecond, whichever takes longer. It decides whether other threads are worth waking.
    pub fn time_ns(&self) -> f64 {
        (self.operations / 2.0).max(self.bytes / 16.0)
    }
}

/// A kernel in executable memory.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The kernel's name.
    pub name: String,
    /// Its function.
    pub function: KernelFn,
    /// The number of chunks. They depend on shapes alone and may run in any order, or at the same time.
    pub chunks: u64,
    /// The scratch memory that a thread needs, in bytes.
    pub scratch_bytes: usize,
    /// What running it takes.
    pub cost: Cost,
}

/// Machine code of the kernels of a plan, with the plan and with the executable memory that it is in.
pub struct Code {
    plan: VerifiedPlan,
    entries: Vec<Entry>,
    /// How long compiling took.
    pub times: CompileTimes,
    parts: cache::Parts,
    _memory: jit::ExecutableMemory,
}

/// How long compiling kernels took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompileTimes {
    /// Until all kernels were machine code, on the caller's clock.
    pub kernels: Duration,
    /// Emitting Cranelift's IR and wide code, added up over the threads that did it.
    pub emit: Duration,
    /// Cranelift's compiling, added up likewise.
    pub cranelift: Duration,
    /// Until the code was in executable memory, on the caller's clock.
    pub link: Duration,
}

/// What to keep beside the code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CompileOptions {
    /// Whether to keep the text of Cranelift's IR, for dumps.
    pub keep_clif: bool,
}

/// Compiles the kernels of a plan.
///
/// # Errors
/// See [`Error`].
pub fn compile(plan: &VerifiedPlan, target: &Target) -> Result<Code, Error> {
    compile_with(plan, target, CompileOptions::default())
}

/// Compiles the kernels of a plan, on as many threads as the machine has cores. Kernels that are alike but for names share one
/// function, and what the process has compiled before is not compiled again.
///
/// # Errors
/// See [`Error`].
pub fn compile_with(plan: &VerifiedPlan, target: &Target, options: CompileOptions) -> Result<Code, Error> {
    target.check()?;
    let start = Instant::now();
    let parts = cache::compile_all(&plan.kernels, target, options)?;
    let mut times = CompileTimes { kernels: start.elapsed(), ..parts.times };
    let start = Instant::now();
    let compiled: Vec<&jit::Compiled> = parts.unique.iter().map(|part| &part.compiled).collect();
    let memory = jit::ExecutableMemory::new(target, &compiled)?;
    let entries = plan.kernels.iter().zip(&parts.of_kernel).map(|(kernel, &place)| {
        let part = &parts.unique[place];
        Entry {
            name: kernel.name.clone(),
            function: memory.function(place),
            chunks: part.chunks,
            scratch_bytes: part.scratch_bytes,
            cost: part.cost,
        }
    });
    let entries = entries.collect();
    times.link = start.elapsed();
    Ok(Code { plan: plan.clone(), entries, times, parts, _memory: memory })
}

impl Code {
    /// The plan whose kernels these are.
    pub fn plan(&self) -> &VerifiedPlan {
        &self.plan
    }

    /// The kernels, in the order of the plan.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How many kernels were compiled for it; the others are like one of these, or like one of an earlier program.
    pub fn compiled_kernels(&self) -> usize {
        self.parts.compiled
    }

    /// The size of the machine code, constants included.
    pub fn bytes(&self) -> usize {
        let of_part = |compiled: &jit::Compiled| {
            compiled.bytes.len() + compiled.wide.iter().map(|wide| wide.bytes.len()).sum::<usize>()
        };
        self.parts.unique.iter().map(|part| of_part(&part.compiled)).sum()
    }

    fn part(&self, index: usize) -> &kernel::Part {
        &self.parts.unique[self.parts.of_kernel[index]]
    }

    /// The functions of kernel `index`: its own, then the wide code that it calls.
    pub fn functions(&self, index: usize) -> Vec<listing::MachineFunction<'_>> {
        listing::functions(&self.part(index).compiled)
    }

    /// The text of Cranelift's IR of kernel `index`; empty where it was not kept.
    pub fn clif(&self, index: usize) -> &str {
        &self.part(index).clif
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Code").field("entries", &self.entries).finish_non_exhaustive()
    }
}
