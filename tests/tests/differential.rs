//! Random graphs, differentiated: the interpreter, unoptimised and optimised machine code on one and two threads all
//! agree. A failure is shrunk and printed as a text graph; it belongs in `tests/golden/fuzz/`.

use std::fs;
use std::path::{Path, PathBuf};

use ir::text::parse_graph;
use ir::{DType, Graph};
use nnc::Options;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use tests::compare::{difference, execute, interpret, same_bits, seeded_inputs};
use tests::random_graph::{Recipe, build, recipes};

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

/// Checks the graph of one recipe.
fn recipe_agrees(recipe: &Recipe) -> Result<(), TestCaseError> {
    let graph = build(recipe).map_err(|error| TestCaseError::fail(format!("{recipe:?}: {error}")))?;
    graph_agrees(&graph)
}

/// Checks a graph; what fails is said with its text.
fn graph_agrees(graph: &Graph) -> Result<(), TestCaseError> {
    let seed = 11;
    let inputs = seeded_inputs(graph, seed);
    let fail = |what: &str, problem: String| TestCaseError::fail(format!("{what}: {problem}\n{graph}"));
    let reference =
        interpret(graph, &inputs, seed).map_err(|error| fail("interpreter", error.to_string()))?;
    let mut one_thread = None;
    for (what, optimize, threads) in
        [("unoptimised", false, 1), ("optimised", true, 1), ("two threads", true, 2)]
    {
        let options = Options { optimize, threads, ..Options::default() };
        let result =
            execute(graph, &inputs, seed, &options).map_err(|error| fail(what, error.to_string()))?;
        if let Some(problem) = difference(&result, &reference, tolerance) {
            return Err(fail(what, problem));
        }
        match one_thread.take().filter(|_| threads > 1) {
            Some(expected) => prop_assert!(same_bits(&result, &expected), "bits depend on threads:\n{graph}"),
            None => one_thread = Some(result),
        }
    }
    Ok(())
}

/// A runner whose cases are the same in every run.
fn runner(cases: u32, seed: u8) -> TestRunner {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]))
}

/// Checks random graphs. The smallest that fails is written among the golden files, to stay a test.
fn check(cases: u32, seed: u8) {
    let Err(failure) = runner(cases, seed).run(&recipes(14), |recipe| recipe_agrees(&recipe)) else { return };
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
    check(500, 1);
}

#[test]
fn random_graphs_agree_second_half() {
    check(500, 2);
}
