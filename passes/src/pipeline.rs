//! The pipeline: the one list of passes, and what runs them.
//!
//! In: a graph as its author wrote it, or a graph or plan of a later stage, from which the pipeline goes on. Out: a plan.
//! Each pass says which stage it takes and which it establishes. The verifier checks what comes in and, in tests and debug
//! builds, what each pass gives; a failure there is a mistake of the pass, and an assertion. Timing, `--after PASS`,
//! bisection and tests all read [`PASSES`].

use std::fmt;
use std::time::{Duration, Instant};

use ir::Stage::{self, Canonical, Differentiated, Fused, Kernels, Source};
use ir::names::choices;
use ir::verify::{verify_graph, verify_plan};
use ir::{Error, Graph, Plan};

use crate::autodiff::autodiff;
use crate::cse::cse;
use crate::dce::dce;
use crate::expand::expand;
use crate::fold::fold;
use crate::fuse::fuse;
use crate::layout::layout;
use crate::loops::{hoist, segment, sink};
use crate::lower::lower;
use crate::pad::pad;
use crate::plan_memory::plan_memory;
use crate::prepack::prepack;
use crate::scale_weights::scale_weights;
use crate::simplify::simplify;
use crate::split_reduce::split_reduce;
use crate::transpose_left::transpose_left;
use crate::winograd::winograd;

/// The passes in their order.
pub static PASSES: &[Pass] = &[
    Pass::new("autodiff", Source, Differentiated, Run::Graph(autodiff_in_segments)),
    Pass::new("expand", Differentiated, Differentiated, Run::Graph(|graph, _| expand(graph))),
    Pass::new(
        "fold",
        Differentiated,
        Differentiated,
        Run::Graph(|graph, options| fold(graph, options.fold_budget)),
    )
    .optional(),
    Pass::new(
        "hoist",
        Differentiated,
        Differentiated,
        Run::Graph(|graph, options| hoist(graph, options.stack_bytes)),
    )
    .optional(),
    Pass::new(
        "sink",
        Differentiated,
        Differentiated,
        Run::Graph(|graph, options| sink(graph, options.stack_bytes)),
    )
    .optional(),
    Pass::new("scale_weights", Differentiated, Differentiated, Run::Graph(scale_weights_where_allowed))
        .optional(),
    Pass::new(
        "simplify",
        Differentiated,
        Differentiated,
        Run::Graph(|graph, options| simplify(graph, options.strict)),
    )
    .optional(),
    Pass::new("pad", Differentiated, Differentiated, Run::Graph(|graph, _| pad(graph))).optional(),
    Pass::new("cse", Differentiated, Differentiated, Run::Graph(|graph, _| cse(graph))).optional(),
    Pass::new("dce", Differentiated, Canonical, Run::Graph(|graph, _| dce(graph))),
    Pass::new("split_reduce", Canonical, Canonical, Run::Graph(|graph, _| split_reduce(graph))),
    Pass::new("transpose_left", Canonical, Canonical, Run::Graph(|graph, _| transpose_left(graph)))
        .optional(),
    Pass::new("fuse", Canonical, Fused, Run::Graph(|graph, options| fuse(graph, options.optimize))),
    Pass::new("lower", Fused, Kernels, Run::Lower(lower)),
    Pass::new("layout", Kernels, Kernels, Run::Plan(|plan, _| layout(plan))).optional(),
    Pass::new("winograd", Kernels, Kernels, Run::Plan(winograd_where_allowed)).optional(),
    Pass::new("prepack", Kernels, Kernels, Run::Plan(|plan, _| prepack(plan))).optional(),
    Pass::new(
        "plan_memory",
        Kernels,
        Stage::Plan,
        Run::Plan(|plan, options| plan_memory(plan, options.optimize)),
    ),
];

/// Loops are cut into segments where they are differentiated in this very graph.
fn autodiff_in_segments(graph: &Graph, options: &Options) -> Result<Graph, Error> {
    match options.checkpoint_every {
        Some(every) if graph.nodes().any(|(_, node)| matches!(node.op, ir::Op::Grad(_))) => {
            autodiff(&segment(graph, every)?)
        }
        _ => autodiff(graph),
    }
}

fn scale_weights_where_allowed(graph: &Graph, options: &Options) -> Result<Graph, Error> {
    if options.strict { Ok(graph.clone()) } else { scale_weights(graph) }
}

fn winograd_where_allowed(plan: Plan, options: &Options) -> Plan {
    match options.convolution {
        Convolution::Auto if !options.strict => winograd(plan),
        Convolution::Auto | Convolution::Direct => plan,
    }
}

/// What passes transform.
#[derive(Clone, Debug, PartialEq)]
pub enum Program {
    /// Up to stage `fused`.
    Graph(Graph),
    /// From stage `kernels` on.
    Plan(Plan),
}

impl Program {
    /// What the passes so far have established.
    pub fn stage(&self) -> Stage {
        match self {
            Program::Graph(graph) => graph.stage,
            Program::Plan(plan) => plan.stage(),
        }
    }

    /// The plan that all passes end with.
    ///
    /// # Errors
    /// Where it is a graph.
    pub fn into_plan(self) -> Result<Plan, Error> {
        match self {
            Program::Plan(plan) => Ok(plan),
            Program::Graph(graph) => {
                let problem = format!("a graph of stage {} is no plan", graph.stage);
                Err(Error::new(format!("@{}", graph.name), problem, "run all passes on it"))
            }
        }
    }

    /// Its name and what it is, as errors say it.
    fn described(&self) -> (String, String) {
        let (kind, name) = match self {
            Program::Graph(graph) => ("graph", &graph.name),
            Program::Plan(plan) => ("plan", &plan.name),
        };
        (format!("@{name}"), format!("a {kind} of stage {}", self.stage()))
    }
}

impl From<Graph> for Program {
    fn from(graph: Graph) -> Program {
        Program::Graph(graph)
    }
}

impl From<Plan> for Program {
    fn from(plan: Plan) -> Program {
        Program::Plan(plan)
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Program::Graph(graph) => graph.fmt(f),
            Program::Plan(plan) => plan.fmt(f),
        }
    }
}

/// How programs are compiled.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether optional passes run, ops are fused and memory is reused. Without it every op is a kernel of its own.
    pub optimize: bool,
    /// Constants of more elements than this are not computed at compile time.
    pub fold_budget: usize,
    /// Whether the verifier runs after each pass; on what comes in, it runs in any case.
    pub verify: bool,
    /// Values of loops that together take more bytes than this are not kept for all steps at once where a pass could choose so.
    pub stack_bytes: usize,
    /// The gradient of a loop keeps the carries of every so many steps, and computes the steps between again: less memory for
    /// more time. Where the number of steps is no multiple, the greatest divisor that is less. `None` keeps what it needs of each.
    pub checkpoint_every: Option<usize>,
    /// How convolutions are computed.
    pub convolution: Convolution,
    /// Whether nothing is rewritten that rounds otherwise, and no convolution is computed by Winograd's algorithm: what that
    /// promises is in `docs/IR.md` under "Algebra".
    pub strict: bool,
}

/// How convolutions are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Convolution {
    /// By Winograd's algorithm where that is faster, else directly.
    #[default]
    Auto,
    /// As sums of products. Errors are about half of those of Winograd's algorithm, which are relative to the largest sums
    /// around an element.
    Direct,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            optimize: true,
            fold_budget: 4096,
            verify: cfg!(debug_assertions),
            stack_bytes: 1 << 30,
            checkpoint_every: None,
            convolution: Convolution::Auto,
            strict: false,
        }
    }
}

/// A row of the list.
pub struct Pass {
    /// The name on the command line and in reports.
    pub name: &'static str,
    /// What must hold before it.
    pub takes: Stage,
    /// What holds after it.
    pub stage: Stage,
    /// Whether it is skipped when not optimising.
    pub optional: bool,
    run: Run,
}

/// The function of a pass.
enum Run {
    Graph(fn(&Graph, &Options) -> Result<Graph, Error>),
    Lower(fn(&Graph) -> Result<Plan, Error>),
    Plan(fn(Plan, &Options) -> Plan),
}

impl Pass {
    const fn new(name: &'static str, takes: Stage, stage: Stage, run: Run) -> Pass {
        Pass { name, takes, stage, optional: false, run }
    }

    const fn optional(self) -> Pass {
        Pass { optional: true, ..self }
    }

    /// The pass of this name; the error lists the names.
    pub fn find(name: &str) -> Result<&'static Pass, Error> {
        PASSES.iter().find(|pass| pass.name == name).ok_or_else(|| {
            let help = choices(name, "the passes are", PASSES.iter().map(|pass| pass.name));
            Error::new(name, "there is no pass of this name", help)
        })
    }

    /// The last pass that establishes `stage`; `None` for `source`, which needs none.
    pub fn last_of(stage: Stage) -> Option<&'static Pass> {
        PASSES.iter().rev().find(|pass| pass.stage == stage)
    }

    /// Runs this pass alone.
    ///
    /// # Errors
    /// Where the program is of another stage than the pass takes, and what the pass finds wrong with it.
    ///
    /// # Panics
    /// Where what it gives does not hold what the pass promises; checked if the options say so.
    pub fn run(&self, program: Program, options: &Options) -> Result<Program, Error> {
        if program.stage() != self.takes {
            return Err(self.refuse(&program));
        }
        let result = match (&self.run, program) {
            (Run::Graph(run), Program::Graph(graph)) => {
                let mut graph = with_loops(graph, &|graph| run(graph, options))?;
                graph.stage = self.stage;
                Program::Graph(graph)
            }
            (Run::Lower(run), Program::Graph(graph)) => Program::Plan(run(&graph)?),
            (Run::Plan(run), Program::Plan(plan)) => Program::Plan(run(plan, options)),
            (_, program) => return Err(self.refuse(&program)),
        };
        if options.verify
            && let Err(error) = verify(&result, self.stage)
        {
            panic!("pass {}: {error}\n{}", self.name, around(&result.to_string(), &error.subject));
        }
        Ok(result)
    }

    /// The error that this pass does not take a program.
    fn refuse(&self, program: &Program) -> Error {
        let (subject, what) = program.described();
        let problem = format!("{what}, and pass {} takes stage {}", self.name, self.takes);
        let help = match program.stage() > self.takes {
            true => {
                format!("go on from stage {}; `nnc list passes` shows what comes after it", program.stage())
            }
            false => format!("run the passes before {} first", self.name),
        };
        Error::new(subject, problem, help)
    }
}

/// Runs a pass on the bodies of the loops of a graph, innermost first, and then on the graph.
fn with_loops(mut graph: Graph, run: &dyn Fn(&Graph) -> Result<Graph, Error>) -> Result<Graph, Error> {
    graph.map_loops(|body| with_loops(body.clone(), run))?;
    run(&graph)
}

/// Compiles a graph, or a plan of stage `kernels`, to a plan of stage `plan`.
///
/// # Errors
/// As [`run_observed`].
pub fn run(program: impl Into<Program>, options: &Options) -> Result<Plan, Error> {
    run_observed(program, options, None, &mut |_, _, _| {})?.into_plan()
}

/// Runs all passes up to and with `last`. Where `last` is skipped, so are those after it.
///
/// # Errors
/// As [`run_observed`].
pub fn run_until(program: impl Into<Program>, options: &Options, last: &Pass) -> Result<Program, Error> {
    run_observed(program, options, Some(last), &mut |_, _, _| {})
}

/// Runs the passes that take the stage of the program or a later one, up to and with `last`, or all, and calls `observe`
/// after each with the time that it took, the verifier included.
///
/// # Errors
/// Where the program does not hold what its stage promises, or is past the stage that `last` takes, and what passes find
/// wrong with it.
pub fn run_observed(
    program: impl Into<Program>,
    options: &Options,
    last: Option<&Pass>,
    observe: &mut dyn FnMut(&'static Pass, Duration, &Program),
) -> Result<Program, Error> {
    let mut program: Program = program.into();
    verify(&program, program.stage())?;
    if let Some(last) = last.filter(|last| program.stage() > last.takes) {
        return Err(last.refuse(&program));
    }
    for pass in PASSES {
        let is_done = pass.takes < program.stage();
        if !is_done && (options.optimize || !pass.optional) {
            let start = Instant::now();
            program = pass.run(program, options)?;
            observe(pass, start.elapsed(), &program);
        }
        if last.is_some_and(|last| last.name == pass.name) {
            break;
        }
    }
    Ok(program)
}

/// Checks that a program holds what its stage promises.
pub fn verify(program: &Program, stage: Stage) -> Result<(), Error> {
    match program {
        Program::Graph(graph) => verify_graph(graph, stage),
        Program::Plan(plan) => verify_plan(plan, stage),
    }
}

/// The lines of a text around the first that names `subject`; all of a short text, and the start where none does.
fn around(text: &str, subject: &str) -> String {
    const MARGIN: usize = 30;
    let lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().position(|line| line.contains(subject)).unwrap_or(0);
    let (from, to) = (at.saturating_sub(MARGIN), (at + MARGIN).min(lines.len()));
    lines[from..to].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_only_rise_along_the_list() {
        assert!(PASSES.is_sorted_by_key(|pass| pass.stage));
    }

    #[test]
    fn each_pass_takes_what_the_one_before_it_establishes() {
        assert_eq!(PASSES[0].takes, Source);
        assert!(PASSES.windows(2).all(|pair| pair[1].takes == pair[0].stage));
    }

    #[test]
    fn names_of_passes_are_unique() {
        for pass in PASSES {
            assert_eq!(PASSES.iter().filter(|other| other.name == pass.name).count(), 1, "{}", pass.name);
        }
    }

    /// `y = neg x` at a stage.
    fn negated(stage: Stage) -> Program {
        let source = "graph @g { %x = input : f32[2] %y = neg %x output y = %y }";
        let graph = ir::text::parse_graph(source).expect("the text is valid");
        let last = PASSES.iter().rev().find(|pass| pass.stage == stage);
        last.map_or(graph.clone().into(), |last| {
            run_until(graph, &Options::default(), last).expect("it compiles")
        })
    }

    #[test]
    fn each_pass_takes_programs_of_its_stage_and_refuses_the_others() {
        for pass in PASSES {
            for stage in Stage::ALL {
                let result = pass.run(negated(stage), &Options::default());
                if stage == pass.takes {
                    assert!(result.is_ok(), "{} at {stage}", pass.name);
                    continue;
                }
                let error = result.expect_err("it is of another stage").to_string();
                let kind = if stage <= Fused { "graph" } else { "plan" };
                let expected = format!(
                    "@g: a {kind} of stage {stage}, and pass {} takes stage {}; ",
                    pass.name, pass.takes
                );
                let help = if stage > pass.takes { "go on from stage" } else { "run the passes before" };
                assert!(error.starts_with(&(expected + help)), "{error}");
            }
        }
    }

    #[test]
    fn the_pipeline_goes_on_from_every_stage_to_the_same_plan() {
        let expected = run(negated(Source), &Options::default()).expect("it compiles");
        for stage in Stage::ALL {
            let plan = run(negated(stage), &Options::default()).expect("it compiles");
            assert_eq!(plan, expected, "{stage}");
        }
    }

    #[test]
    fn a_pass_that_is_past_is_refused_before_anything_runs() {
        let pass = Pass::find("simplify").expect("there is such a pass");
        let error = run_until(negated(Fused), &Options::default(), pass).expect_err("it is past");
        assert_eq!(
            error.to_string(),
            "@g: a graph of stage fused, and pass simplify takes stage differentiated; \
             go on from stage fused; `nnc list passes` shows what comes after it"
        );
    }

    #[test]
    fn what_comes_in_is_verified_in_every_build() {
        let mut graph = Graph::new("g");
        graph.outputs.push(ir::Output { name: "y".into(), value: ir::Value::new(ir::NodeId(7), 0) });
        let error =
            run(graph, &Options { verify: false, ..Options::default() }).expect_err("it is malformed");
        assert!(error.to_string().contains("node 7, which does not exist"), "{error}");
    }

    #[test]
    fn a_graph_is_no_plan() {
        let error = negated(Canonical).into_plan().expect_err("it is a graph").to_string();
        assert_eq!(error, "@g: a graph of stage canonical is no plan; run all passes on it");
    }

    #[test]
    fn an_unknown_pass_lists_the_names() {
        let Err(error) = Pass::find("fuze") else { panic!("there is a pass fuze") };
        assert!(error.to_string().contains("autodiff, expand, fold"), "{error}");
    }

    #[test]
    fn every_stage_but_the_source_is_established_by_a_pass() {
        for stage in Stage::ALL {
            assert_eq!(Pass::last_of(stage).is_none(), stage == Source);
        }
    }

    #[test]
    fn messages_show_the_lines_around_the_value_at_fault() {
        let text: String = (0..100).map(|line| format!("%{line} = neg %x\n")).collect();
        let shown = around(&text, "%50");
        assert!(shown.contains("%50 =") && !shown.contains("%5 =") && shown.lines().count() == 60);
    }
}
