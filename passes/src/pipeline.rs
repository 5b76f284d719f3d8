//! The pipeline: the one list of passes, and what runs them.
//!
//! In: a graph as its author wrote it. Out: a plan. After each pass the verifier checks the stage that the pass has
//! established; a failure there is a mistake of the pass, and an assertion. Timing, `--after PASS`, bisection and
//! tests all read [`PASSES`].

use std::fmt;
use std::time::{Duration, Instant};

use ir::verify::{verify_graph, verify_plan};
use ir::{Error, Graph, Plan, Stage};

use crate::autodiff::autodiff;
use crate::cse::cse;
use crate::dce::dce;
use crate::expand::expand;
use crate::fold::fold;
use crate::fuse::fuse;
use crate::layout::layout;
use crate::lower::lower;
use crate::pad::pad;
use crate::plan_memory::plan_memory;
use crate::prepack::prepack;
use crate::scale_weights::scale_weights;
use crate::simplify::simplify;
use crate::split_reduce::split_reduce;
use crate::winograd::winograd;

/// The passes in their order.
pub static PASSES: &[Pass] = &[
    Pass::graph("autodiff", Stage::Differentiated, |graph, _| autodiff(graph)),
    Pass::graph("expand", Stage::Differentiated, |graph, _| expand(graph)),
    Pass::graph("fold", Stage::Differentiated, |graph, options| fold(graph, options.fold_budget)).optional(),
    Pass::graph("scale_weights", Stage::Differentiated, |graph, _| scale_weights(graph)).optional(),
    Pass::graph("simplify", Stage::Differentiated, |graph, _| simplify(graph)).optional(),
    Pass::graph("pad", Stage::Differentiated, |graph, _| pad(graph)).optional(),
    Pass::graph("cse", Stage::Differentiated, |graph, _| cse(graph)).optional(),
    Pass::graph("dce", Stage::Canonical, |graph, _| Ok(dce(graph))),
    Pass::graph("split_reduce", Stage::Canonical, |graph, _| split_reduce(graph)),
    Pass::graph("fuse", Stage::Fused, |graph, options| fuse(graph, options.optimize)),
    Pass { name: "lower", stage: Stage::Kernels, optional: false, run: Run::Lower(lower) },
    Pass { name: "layout", stage: Stage::Kernels, optional: true, run: Run::Plan(|plan, _| layout(plan)) },
    Pass {
        name: "winograd",
        stage: Stage::Kernels,
        optional: true,
        run: Run::Plan(|plan, options| match options.convolution {
            Convolution::Auto => winograd(plan),
            Convolution::Direct => plan,
        }),
    },
    Pass { name: "prepack", stage: Stage::Kernels, optional: true, run: Run::Plan(|plan, _| prepack(plan)) },
    Pass {
        name: "plan_memory",
        stage: Stage::Plan,
        optional: false,
        run: Run::Plan(|plan, options| plan_memory(plan, options.optimize)),
    },
];

/// What passes transform.
#[derive(Clone, Debug, PartialEq)]
pub enum Program {
    /// Up to stage `fused`.
    Graph(Graph),
    /// From stage `kernels` on.
    Plan(Plan),
}

impl Program {
    /// The plan that all passes end with.
    ///
    /// # Panics
    /// Where it is a graph.
    pub fn into_plan(self) -> Plan {
        match self {
            Program::Plan(plan) => plan,
            Program::Graph(graph) => panic!("the last pass gives a graph:\n{graph}"),
        }
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
    /// Whether the verifier runs after each pass.
    pub verify: bool,
    /// How convolutions are computed.
    pub convolution: Convolution,
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
            convolution: Convolution::Auto,
        }
    }
}

/// A row of the list.
pub struct Pass {
    /// The name on the command line and in reports.
    pub name: &'static str,
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
    const fn graph(
        name: &'static str,
        stage: Stage,
        run: fn(&Graph, &Options) -> Result<Graph, Error>,
    ) -> Pass {
        Pass { name, stage, optional: false, run: Run::Graph(run) }
    }

    const fn optional(self) -> Pass {
        Pass { optional: true, ..self }
    }

    /// The pass of this name; the error lists the names.
    pub fn find(name: &str) -> Result<&'static Pass, Error> {
        PASSES.iter().find(|pass| pass.name == name).ok_or_else(|| {
            let names: Vec<&str> = PASSES.iter().map(|pass| pass.name).collect();
            Error::new(name, "there is no pass of this name", format!("the passes are {}", names.join(", ")))
        })
    }

    /// The last pass that establishes `stage`; `None` for `source`, which needs none.
    pub fn last_of(stage: Stage) -> Option<&'static Pass> {
        PASSES.iter().rev().find(|pass| pass.stage == stage)
    }

    /// Runs this pass alone.
    ///
    /// # Panics
    /// Where the program is of another stage than the pass takes, or does not hold what the pass promises.
    pub fn run(&self, program: Program, options: &Options) -> Result<Program, Error> {
        let result = match (&self.run, program) {
            (Run::Graph(run), Program::Graph(graph)) => Program::Graph(run(&graph, options)?),
            (Run::Lower(run), Program::Graph(graph)) => Program::Plan(run(&graph)?),
            (Run::Plan(run), Program::Plan(plan)) => Program::Plan(run(plan, options)),
            (_, program) => panic!("pass {} does not take this:\n{program}", self.name),
        };
        if options.verify
            && let Err(error) = verify(&result, self.stage)
        {
            panic!("pass {}: {error}\n{}", self.name, around(&result.to_string(), &error.subject));
        }
        Ok(result)
    }
}

/// Compiles a graph to a plan.
pub fn run(graph: Graph, options: &Options) -> Result<Plan, Error> {
    Ok(run_observed(graph, options, None, &mut |_, _, _| {})?.into_plan())
}

/// Runs all passes up to and with `last`. Where `last` is skipped, so are those after it.
pub fn run_until(graph: Graph, options: &Options, last: &Pass) -> Result<Program, Error> {
    run_observed(graph, options, Some(last), &mut |_, _, _| {})
}

/// Runs the passes up to and with `last`, or all, and calls `observe` after each with the time that it took, the
/// verifier included.
pub fn run_observed(
    graph: Graph,
    options: &Options,
    last: Option<&Pass>,
    observe: &mut dyn FnMut(&'static Pass, Duration, &Program),
) -> Result<Program, Error> {
    if options.verify {
        verify_graph(&graph, Stage::Source)?;
    }
    let mut program = Program::Graph(graph);
    for pass in PASSES {
        if options.optimize || !pass.optional {
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
    fn names_of_passes_are_unique() {
        for pass in PASSES {
            assert_eq!(PASSES.iter().filter(|other| other.name == pass.name).count(), 1, "{}", pass.name);
        }
    }

    #[test]
    fn an_unknown_pass_lists_the_names() {
        let Err(error) = Pass::find("fuze") else { panic!("there is a pass fuze") };
        assert!(error.to_string().contains("autodiff, expand, fold"), "{error}");
    }

    #[test]
    fn every_stage_but_the_source_is_established_by_a_pass() {
        for stage in Stage::ALL {
            assert_eq!(Pass::last_of(stage).is_none(), stage == Stage::Source);
        }
    }

    #[test]
    fn messages_show_the_lines_around_the_value_at_fault() {
        let text: String = (0..100).map(|line| format!("%{line} = neg %x\n")).collect();
        let shown = around(&text, "%50");
        assert!(shown.contains("%50 =") && !shown.contains("%5 =") && shown.lines().count() == 60);
    }
}
