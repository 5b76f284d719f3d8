//! Whether the compiler holds for one graph: all ways to run it agree, its text and that of each stage read back, and nothing
//! panics.
//!
//! | fault | what it says |
//! |---|---|
//! | `text` | a graph or plan is not what its printed text reads back as |
//! | `error` | a valid graph is refused |
//! | `panic` | a pass, the verifier, code generation or the interpreter panics |
//! | `value` | machine code is farther from the interpreter than rounding can explain |
//! | `threads` | bits depend on the number of threads |
//! | `targets` | bits of what depends on no sum differ between targets |
//! | `prepare` | bits depend on what is computed ahead of steps |

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use codegen::Target;
use ir::text::{Module, parse_file};
use ir::{Graph, Plan, Tensor};
use passes::Convolution;
use passes::pipeline::{PASSES, Pass, Program};

use super::panics::{Panic, catch};
use super::reference::{Reference, is_free_of_sums};
use super::right::Right;
use super::values;
use crate::{Error, Executable, Options, Pool, State, compile_plan};

/// What initial states, random numbers and inputs depend on.
pub const SEED: u64 = 11;
/// The numbers of threads of the pools. The first is one.
const THREADS: [usize; 3] = [1, 2, 8];

/// What is wrong with a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which of the faults above it is.
    pub kind: &'static str,
    /// What was being done: the target, whether optimised, on how many threads.
    pub at: String,
    /// What was found.
    pub problem: String,
    /// What tells it from other faults: where it panics, or else the kind.
    pub signature: String,
}

impl Fault {
    /// A fault of a kind.
    pub fn new(kind: &'static str, at: impl Into<String>, problem: impl Into<String>) -> Fault {
        Fault { kind, at: at.into(), problem: problem.into(), signature: kind.to_owned() }
    }

    /// The fault that something panics.
    pub fn panic(at: &str, panic: Panic) -> Fault {
        let signature = panic
            .place
            .clone()
            .unwrap_or_else(|| panic.message.chars().filter(|c| !c.is_ascii_digit()).take(80).collect());
        let place = panic.place.map(|place| format!(" ({place})")).unwrap_or_default();
        Fault { kind: "panic", at: at.to_owned(), problem: format!("{}{place}", panic.message), signature }
    }
}

impl Fault {
    /// The fault in one line.
    pub fn title(&self) -> String {
        let line = self.problem.lines().next().unwrap_or_default();
        let place = if self.kind == "panic" { format!(" ({})", self.signature) } else { String::new() };
        format!("{}: {}: {line}{place}", self.kind, self.at)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.kind, self.at, self.problem)
    }
}

/// Outputs and states by name.
type Results = BTreeMap<String, Tensor>;

/// What graphs are run on. Its threads are started once.
pub struct Judge {
    targets: Vec<Target>,
    pools: Vec<Arc<Pool>>,
}

impl Judge {
    /// A judge on every target that this machine has.
    ///
    /// # Errors
    /// Where threads cannot be started.
    pub fn new() -> Result<Judge, Error> {
        let pools = THREADS.iter().map(|&threads| Ok(Arc::new(Pool::new(threads)?)));
        Ok(Judge { targets: Target::available(), pools: pools.collect::<Result<_, Error>>()? })
    }

    /// Judges a graph of stage `source` on the values that the names of its inputs ask for ([`super::values`]).
    ///
    /// # Errors
    /// The first fault that is found.
    pub fn judge(&self, graph: &Graph) -> Result<(), Fault> {
        reads_back("source", &Program::Graph(graph.clone()))?;
        let inputs = values::inputs(graph, SEED);
        let differentiated = caught("autodiff", || passes::autodiff::autodiff(graph))?
            .map_err(|error| Fault::new("error", "autodiff", error.to_string()))?;
        // The judge looks at each step of a loop.
        let unrolled = caught("unroll", || passes::loops::unroll(&differentiated))?
            .map_err(|error| Fault::new("error", "unroll", error.to_string()))?;
        let reference = caught("interpreter", || Reference::new(&unrolled, &inputs, SEED))?
            .map_err(|error| Fault::new("error", "interpreter", error.to_string()))?;
        let right = Right::new(&reference);
        let mut free: Option<(&str, Results)> = None;
        for optimize in [false, true] {
            let plans = Plans::new(graph, optimize)?;
            for target in &self.targets {
                let plan = plans.of(target);
                let results = self.judge_plan(target, optimize, plan, graph, &inputs, &right)?;
                if optimize && let Some((first, expected)) = &free {
                    let names = is_free_of_sums(&differentiated);
                    let is_free = |name: &str| names.get(name).copied().unwrap_or(false);
                    if let Some(problem) = different_bits(&results, expected, is_free) {
                        return Err(Fault::new("targets", format!("{} and {first}", target.name), problem));
                    }
                }
                if optimize && !plan.prepare.is_empty() {
                    self.judge_prepared(target, graph, &inputs, &results)?;
                }
                if optimize && free.is_none() {
                    free = Some((target.name, results));
                }
            }
        }
        Ok(())
    }

    /// Runs a plan on a target on all numbers of threads; the results on one.
    fn judge_plan(
        &self,
        target: &Target,
        optimize: bool,
        plan: &Plan,
        graph: &Graph,
        inputs: &Results,
        right: &Right<'_>,
    ) -> Result<Results, Fault> {
        let mode = if optimize { "optimised" } else { "unoptimised" };
        let at = format!("{}, {mode}", target.name);
        let mut program = self.compiled(&at, target, plan)?;
        let one = step(&at, &mut program, graph, inputs)?;
        if let Some(problem) = caught(&at, || right.difference(&one))? {
            return Err(Fault::new("value", at, problem));
        }
        for pool in &self.pools[1..] {
            let at = format!("{at}, {} threads", pool.threads());
            program = caught(&at, || program.cut_for(Arc::clone(pool)))?
                .map_err(|error| Fault::new("error", &at, error.to_string()))?;
            let several = step(&at, &mut program, graph, inputs)?;
            if let Some(problem) = different_bits(&several, &one, |_| true) {
                return Err(Fault::new("threads", at, problem));
            }
        }
        Ok(one)
    }

    /// Checks that results are the same to the bit where nothing is computed ahead of steps.
    fn judge_prepared(
        &self,
        target: &Target,
        graph: &Graph,
        inputs: &Results,
        prepared: &Results,
    ) -> Result<(), Fault> {
        let at = format!("{}, nothing prepared", target.name);
        let options = Options { target: Some(target.clone()), ..Options::default() }.for_passes();
        let passes = PASSES.iter().filter(|pass| pass.name != "prepack");
        let plan = caught(&at, || {
            let start = Program::Graph(graph.clone());
            let run = |program: Program, pass: &Pass| pass.run(program, &options);
            passes.into_iter().try_fold(start, run).and_then(Program::into_plan)
        })?;
        let plan = plan.map_err(|error| Fault::new("error", &at, error.to_string()))?;
        let mut program = self.compiled(&at, target, &plan)?;
        let results = step(&at, &mut program, graph, inputs)?;
        match different_bits(&results, prepared, |_| true) {
            Some(problem) => Err(Fault::new("prepare", at, problem)),
            None => Ok(()),
        }
    }

    fn compiled(&self, at: &str, target: &Target, plan: &Plan) -> Result<Executable, Fault> {
        let options = Options { target: Some(target.clone()), ..Options::default() };
        caught(at, || compile_plan(plan.clone(), &options, Arc::clone(&self.pools[0])))?
            .map_err(|error| Fault::new("error", at, error.to_string()))
    }
}

/// The plans of a graph. Convolutions by Winograd's algorithm are for targets with wide vectors alone.
struct Plans {
    plan: Plan,
    /// The plan with direct convolutions, where the other has transformed filters.
    direct: Option<Plan>,
}

impl Plans {
    fn new(graph: &Graph, optimize: bool) -> Result<Plans, Fault> {
        let options = passes::Options { optimize, verify: true, ..passes::Options::default() };
        let plan = plan_of(graph, &options)?;
        let has_winograd = plan.kernels.iter().any(|kernel| kernel.winograd.is_some());
        let direct = passes::Options { convolution: Convolution::Direct, ..options };
        let direct = if has_winograd { Some(plan_of(graph, &direct)?) } else { None };
        Ok(Plans { plan, direct })
    }

    fn of(&self, target: &Target) -> &Plan {
        self.direct.as_ref().filter(|_| !target.has_wide_vectors()).unwrap_or(&self.plan)
    }
}

/// The plan of a graph; every stage on the way is verified, and its text reads back.
fn plan_of(graph: &Graph, options: &passes::Options) -> Result<Plan, Fault> {
    let mode = if options.optimize { "passes, optimised" } else { "passes, unoptimised" };
    let mut fault = None;
    let mut observe = |pass: &'static Pass, _, program: &Program| {
        if fault.is_none() && Pass::last_of(pass.stage).is_some_and(|last| last.name == pass.name) {
            fault = reads_back(pass.name, program).err();
        }
    };
    let program = caught(mode, || passes::run_observed(graph.clone(), options, None, &mut observe))?;
    let plan = program.and_then(Program::into_plan);
    let plan = plan.map_err(|error| Fault::new("error", mode, error.to_string()))?;
    fault.map_or(Ok(plan), Err)
}

/// Checks that the text of a program reads back as the same.
fn reads_back(at: &str, program: &Program) -> Result<(), Fault> {
    caught(at, || {
        let text = program.to_string();
        match parse_file(&text) {
            Err(error) => Err(Fault::new("text", at, error.render(&text, "text"))),
            Ok(module) if text_of(&module) == text => Ok(()),
            Ok(_) => Err(Fault::new("text", at, format!("it reads back as another:\n{text}"))),
        }
    })?
}

fn text_of(module: &Module) -> String {
    match module {
        Module::Graph(graph) => graph.to_string(),
        Module::Kernel(kernel) => kernel.to_string(),
        Module::Plan(plan) => plan.to_string(),
    }
}

/// One step from the initial states.
fn step(at: &str, program: &mut Executable, graph: &Graph, inputs: &Results) -> Result<Results, Fault> {
    let done = caught(at, || -> Result<Results, Error> {
        let mut state = State::new(program.plan(), SEED)?;
        let named: Vec<(&str, &Tensor)> =
            inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        program.run_named(&mut state, &named)?;
        let outputs = graph
            .outputs
            .iter()
            .filter_map(|output| Some((output.name.clone(), program.output(&output.name)?.clone())));
        let mut results: Results = outputs.collect();
        for (_, node) in graph.states() {
            let name = node.name.clone().unwrap_or_default();
            if let Ok(tensor) = state.get(&name) {
                results.insert(format!("state {name}"), tensor);
            }
        }
        Ok(results)
    })?;
    done.map_err(|error| Fault::new("error", at, error.to_string()))
}

fn caught<T>(at: &str, work: impl FnOnce() -> T) -> Result<T, Fault> {
    catch(work).map_err(|panic| Fault::panic(at, panic))
}

/// Where two results differ in bits, among the names that are asked for. Every NaN is like every other.
fn different_bits(a: &Results, b: &Results, is_asked: impl Fn(&str) -> bool) -> Option<String> {
    b.iter().filter(|(name, _)| is_asked(name)).find_map(|(name, expected)| {
        let found = a.get(name)?;
        (0..expected.shape().elements()).find_map(|position| {
            let (x, y) = (found.get(position), expected.get(position));
            let is_same = x == y || (x.as_f64().is_nan() && y.as_f64().is_nan());
            (!is_same).then(|| format!("{name}: element {position} is {x:?} and {y:?}"))
        })
    })
}
