//! The compiler on one page: a graph goes through the passes and becomes a plan, the verifier passes the plan, its kernels
//! become machine code, and both become an executable.

use std::sync::Arc;
use std::time::Instant;

use ir::{Graph, Plan, VerifiedPlan};
use passes::{Convolution, Pass, Program};
use runtime::{Executable, PhaseTime, Pool};

use crate::Error;

/// How a graph is compiled.
#[derive(Clone, Debug)]
pub struct Options {
    /// The number of threads that the program runs on, the caller's included.
    pub threads: usize,
    /// Whether to optimise. Without, every op is a kernel of its own; results differ by rounding at most.
    pub optimize: bool,
    /// Whether to verify the program after each pass; what comes in and the plan that comes out always are.
    pub verify: bool,
    /// The processor to make code for; `None` is the one that this runs on.
    pub target: Option<codegen::Target>,
    /// How convolutions are computed.
    pub convolution: Convolution,
    /// Whether results are those of the graph's own operations: see [`passes::Options::strict`].
    pub strict: bool,
    /// See [`passes::Options::checkpoint_every`].
    pub checkpoint_every: Option<usize>,
}

impl Default for Options {
    /// One thread, optimised, verified in debug builds, for this processor.
    fn default() -> Options {
        Options {
            threads: 1,
            optimize: true,
            verify: cfg!(debug_assertions),
            target: None,
            convolution: Convolution::Auto,
            strict: false,
            checkpoint_every: None,
        }
    }
}

impl Options {
    /// The processor to make code for.
    ///
    /// # Errors
    /// Where it is the one that this runs on, and no code can be made for that.
    pub fn target(&self) -> Result<codegen::Target, Error> {
        match &self.target {
            Some(target) => Ok(target.clone()),
            None => Ok(codegen::Target::host()?),
        }
    }

    /// What the passes want to know.
    pub fn for_passes(&self) -> passes::Options {
        // Without wide vectors, code generation computes all convolutions directly.
        let is_wide = self.target().map_or(true, |target| target.has_wide_vectors());
        let convolution = if is_wide { self.convolution } else { Convolution::Direct };
        passes::Options {
            optimize: self.optimize,
            verify: self.verify,
            convolution,
            strict: self.strict,
            checkpoint_every: self.checkpoint_every,
            ..passes::Options::default()
        }
    }
}

/// Compiles a graph, `grad` nodes and updates of states included, to a program that runs on a pool of its own.
///
/// ```
/// use ir::{Builder, DType, Tensor};
/// use nnc::{Options, State, compile};
/// let mut b = Builder::new("double");
/// let x = b.input("x", DType::F32, [3])?;
/// let y = b.add(x, x)?;
/// b.output("y", y)?;
/// let mut program = compile(&b.finish(), &Options::default())?;
/// let mut state = State::new(program.plan(), 0)?;
/// let x = Tensor::new([3], vec![1.0f32, 2.0, 3.0]).unwrap();
/// program.run(&mut state, &[&x])?;
/// assert_eq!(program.output("y").unwrap().as_slice::<f32>().unwrap(), [2.0, 4.0, 6.0]);
/// # Ok::<(), nnc::Error>(())
/// ```
///
/// # Errors
/// Where the graph is malformed (an expression that no rule can differentiate, for one), there is no memory, or the
/// threads cannot be started.
pub fn compile(graph: &Graph, options: &Options) -> Result<Executable, Error> {
    compile_on(graph, options, Arc::new(Pool::new(options.threads)?))
}

/// As [`compile`], on threads that several programs share. [`Options::threads`] is not looked at.
pub fn compile_on(graph: &Graph, options: &Options, pool: Arc<Pool>) -> Result<Executable, Error> {
    compile_program(graph.clone().into(), options, pool)
}

/// Compiles a plan: one of stage `kernels` goes through the passes that are left, one of stage `plan` becomes code as it is.
///
/// # Errors
/// As [`compile`], and where the plan does not hold what its stage promises.
pub fn compile_plan(plan: Plan, options: &Options, pool: Arc<Pool>) -> Result<Executable, Error> {
    compile_program(plan.into(), options, pool)
}

/// Compiles a graph or a plan of any stage, from which the pipeline goes on.
fn compile_program(program: Program, options: &Options, pool: Arc<Pool>) -> Result<Executable, Error> {
    let start = Instant::now();
    let mut phases = Vec::new();
    let mut observe = |pass: &Pass, time, _: &Program| phases.push(PhaseTime { name: pass.name, time });
    let program = passes::run_observed(program, &options.for_passes(), None, &mut observe)?;
    let verifying = Instant::now();
    let plan = VerifiedPlan::new(program.into_plan()?)?;
    phases.push(PhaseTime { name: "verify", time: verifying.elapsed() });
    let code = codegen::compile(&plan, &options.target()?)?;
    let times = code.times;
    let memory = Instant::now();
    let mut program = Executable::new(code, pool)?;
    let after = [("kernels", times.kernels), ("link", times.link), ("memory", memory.elapsed())];
    phases.extend(after.map(|(name, time)| PhaseTime { name, time }));
    program.set_compile_time(start.elapsed(), phases);
    Ok(program)
}
