//! Random graphs, differentiated: the interpreter, unoptimised and optimised machine code on one and two threads all
//! agree, on every target, with the same bits where nothing is prepared; and what is computed without sums has the same
//! bits on all targets. A failure is shrunk and printed as a text graph; it belongs in `tests/golden/fuzz/`.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use codegen::Target;
use ir::text::parse_graph;
use ir::{DType, Graph, Op, Output, Plan, Value};
use nnc::{Options, Pool};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use tests::compare::{
    StepResult, difference, execute, execute_program, interpret, plan_without, same_bits, seeded_inputs,
};
use tests::random_graph::convolutions::{network, networks};
use tests::random_graph::{build, recipes};
use tests::targets::options_for;

/// Rounding errors accumulate over at most a few dozen ops on values below 30, against the greatest element.
fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::F32 => 3e-4,
        DType::F64 => 1e-9,
        _ => 0.0,
    }
}

/// The folder of graphs that once failed.
fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/fuzz")
}

/// What initial states and random numbers depend on.
const SEED: u64 = 11;

/// Checks a graph on every target; what fails is said with its text.
fn graph_agrees(graph: &Graph) -> Result<(), TestCaseError> {
    let reference = interpret(graph, &seeded_inputs(graph, SEED), SEED)
        .map_err(|error| fail(graph, "interpreter", error.to_string()))?;
    let targets = Target::available();
    for target in &targets {
        agrees_on(target, graph, &reference)?;
    }
    same_bits_unprepared(&targets, graph)?;
    same_bits_on(&targets, &without_sums(graph))
}

/// Checks a graph on one target.
fn agrees_on(target: &Target, graph: &Graph, reference: &StepResult) -> Result<(), TestCaseError> {
    let mut one_thread = None;
    for (what, optimize, threads) in
        [("unoptimised", false, 1), ("optimised", true, 1), ("two threads", true, 2)]
    {
        let what = format!("{}, {what}", target.name);
        let result = run(graph, &what, &Options { optimize, threads, ..options_for(target) })?;
        if let Some(problem) = difference(&result, reference, tolerance) {
            return Err(fail(graph, &what, problem));
        }
        match one_thread.take().filter(|_| threads > 1) {
            Some(expected) => {
                prop_assert!(same_bits(&result, &expected), "{what}: bits depend on threads:\n{graph}");
            }
            None => one_thread = Some(result),
        }
    }
    Ok(())
}

/// Checks that pass `prepack` changes no bits on any target, where it does anything.
fn same_bits_unprepared(targets: &[Target], graph: &Graph) -> Result<(), TestCaseError> {
    let passes = Options::default().for_passes();
    let error = |error: ir::Error| fail(graph, "passes", error.to_string());
    let prepared = passes::run(graph.clone(), &passes).map_err(error)?;
    if prepared.prepare.is_empty() {
        return Ok(());
    }
    let unprepared = plan_without("prepack", graph, &passes).map_err(error)?;
    let inputs = seeded_inputs(graph, SEED);
    let pool = Arc::new(Pool::new(1).expect("a pool of one thread starts none"));
    for target in targets {
        let run = |plan: &Plan| {
            let program = nnc::compile_plan(plan.clone(), &options_for(target), Arc::clone(&pool));
            program.and_then(|program| execute_program(graph, &inputs, SEED, program))
        };
        let error = |error: nnc::Error| fail(graph, target.name, error.to_string());
        let (a, b) = (run(&prepared).map_err(error)?, run(&unprepared).map_err(error)?);
        prop_assert!(same_bits(&a, &b), "{}: bits depend on what is prepared:\n{graph}", target.name);
    }
    Ok(())
}

/// Checks that a graph without sums gives the same bits on all targets: their order alone may depend on the width.
fn same_bits_on(targets: &[Target], graph: &Graph) -> Result<(), TestCaseError> {
    let results = targets.iter().map(|target| run(graph, target.name, &options_for(target)));
    let results: Vec<StepResult> = results.collect::<Result<_, _>>()?;
    for (target, result) in targets.iter().zip(&results) {
        prop_assert!(
            same_bits(result, &results[0]),
            "bits on {} differ from those on {}:\n{graph}",
            target.name,
            targets[0].name
        );
    }
    Ok(())
}

/// One step in machine code, on seeded inputs.
fn run(graph: &Graph, what: &str, options: &Options) -> Result<StepResult, TestCaseError> {
    execute(graph, &seeded_inputs(graph, SEED), SEED, options)
        .map_err(|error| fail(graph, what, error.to_string()))
}

fn fail(graph: &Graph, what: &str, problem: String) -> TestCaseError {
    TestCaseError::fail(format!("{what}: {problem}\n{graph}"))
}

/// The part of a graph that depends on no sum: every result of a node that has no reduction, contraction or gradient
/// among its ancestors is an output.
fn without_sums(graph: &Graph) -> Graph {
    let mut is_free = Vec::with_capacity(graph.len());
    let mut part = graph.clone();
    part.outputs.clear();
    part.updates.clear();
    for (id, node) in graph.nodes() {
        let sums = matches!(
            node.op,
            Op::Reduce(_)
                | Op::ArgMax(_)
                | Op::MatMul(_)
                | Op::Conv(_)
                | Op::Pool(_)
                | Op::ScatterAdd(_)
                | Op::Grad(_)
        );
        is_free.push(!sums && node.operands.iter().all(|operand| is_free[operand.node.0 as usize]));
        if is_free[id.0 as usize] && !node.operands.is_empty() {
            let values = (0..node.results.len() as u32).map(|result| Value { node: id, result });
            part.outputs
                .extend(values.map(|value| Output { name: format!("y{}_{}", id.0, value.result), value }));
        }
    }
    part
}

/// A runner whose cases are the same in every run.
fn runner(cases: u32, seed: u8) -> TestRunner {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]))
}

/// Checks the graphs that `build` makes of random recipes. The smallest that fails is written among the golden files, to stay a
/// test.
fn check<R: Strategy>(
    (cases, seed): (u32, u8),
    recipes: R,
    build: impl Fn(&R::Value) -> Result<Graph, ir::Error>,
    agrees: impl Fn(&Graph) -> Result<(), TestCaseError>,
) {
    let recipe_agrees = |recipe: R::Value| {
        let graph = build(&recipe).map_err(|error| TestCaseError::fail(format!("{recipe:?}: {error}")))?;
        agrees(&graph)
    };
    let Err(failure) = runner(cases, seed).run(&recipes, recipe_agrees) else { return };
    if let TestError::Fail(_, recipe) = &failure
        && let Ok(graph) = build(recipe)
    {
        let path = golden().join(format!("shrunk_{seed}.nnir"));
        let written = fs::create_dir_all(golden()).and_then(|()| fs::write(&path, graph.to_string()));
        println!("the smallest graph that fails: {} ({written:?})", path.display());
    }
    panic!("{failure}");
}

#[test]
fn graphs_that_once_failed_agree() {
    let files = fs::read_dir(golden()).expect("the folder is part of the repository");
    let mut paths: Vec<PathBuf> = files.map(|file| file.expect("the folder is readable").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "nnir"));
    paths.sort();
    assert!(!paths.is_empty(), "no golden graphs");
    for path in paths {
        let text = fs::read_to_string(&path).expect("the file is readable");
        let graph = parse_graph(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        graph_agrees(&graph).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

#[test]
fn random_graphs_agree_first_half() {
    check((500, 1), recipes(14), build, graph_agrees);
}

#[test]
fn random_graphs_agree_second_half() {
    check((500, 2), recipes(14), build, graph_agrees);
}

/// Whether a convolution of a graph has transformed filters.
fn has_winograd(graph: &Graph) -> bool {
    let plan = passes::run(graph.clone(), &Options::default().for_passes());
    plan.is_ok_and(|plan| plan.kernels.iter().any(|kernel| kernel.winograd.is_some()))
}

#[test]
fn random_networks_of_convolutions_agree() {
    const CASES: u32 = 5;
    let chosen = Cell::new(0);
    let agrees = |graph: &Graph| {
        chosen.set(chosen.get() + u32::from(has_winograd(graph)));
        graph_agrees(graph)
    };
    check((CASES, 3), networks(), network, agrees);
    assert!(chosen.get() >= CASES / 2, "{} of {CASES} have transformed filters", chosen.get());
}
