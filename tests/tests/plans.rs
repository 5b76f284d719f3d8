//! Random graphs through all passes: the plan, run by an interpreter of kernels on the bytes of its memory, agrees with
//! the reference interpreter of the graph, optimised and not. What fails here is no mistake of code generation.

use ir::DType;
use passes::pipeline::{Options, run};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tests::compare::{difference, interpret, seeded_inputs};
use tests::random_graph::{Recipe, build, recipes};
use tests::run_plan::run_plan;

/// Sums of `f32` are rounded after each addition in plans, and only at the end in the reference.
fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::F32 => 1e-4,
        DType::F64 => 1e-10,
        _ => 0.0,
    }
}

fn agrees(recipe: &Recipe) -> Result<(), TestCaseError> {
    let graph = build(recipe).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let seed = 5;
    let fail = |what: &str, problem: String| TestCaseError::fail(format!("{what}: {problem}\n{graph}"));
    let reference = interpret(&graph, &seeded_inputs(&graph, seed), seed);
    let reference = reference.map_err(|error| fail("interpreter", error.to_string()))?;
    for (what, optimize) in [("unoptimised", false), ("optimised", true)] {
        let options = Options { optimize, verify: true, ..Options::default() };
        let plan = run(graph.clone(), &options).map_err(|error| fail(what, error.to_string()))?;
        let found = run_plan(&plan, seed).map_err(|problem| fail(what, problem))?;
        if let Some(problem) = difference(&found, &reference, tolerance) {
            return Err(fail(what, format!("{problem}\n{plan}")));
        }
    }
    Ok(())
}

#[test]
fn plans_of_random_graphs_agree_with_the_reference() {
    let config = Config { cases: 400, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[3; 32]));
    if let Err(failure) = runner.run(&recipes(14), |recipe| agrees(&recipe)) {
        panic!("{failure}");
    }
}
