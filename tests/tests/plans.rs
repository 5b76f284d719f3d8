//! Random graphs through all passes. What each pass gives is run, graphs by the reference interpreter and plans by an
//! interpreter of kernels on the bytes of their memory, and agrees with the source, optimised and not. The first pass
//! after which it does not is named; what fails here is no mistake of code generation.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ir::DType;
use passes::pipeline::{Options, Pass, Program, run_observed};
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
    let inputs = seeded_inputs(&graph, seed);
    let fail = |what: &str, problem: String| TestCaseError::fail(format!("{what}: {problem}\n{graph}"));
    let reference = interpret(&graph, &inputs, seed);
    let reference = reference.map_err(|error| fail("interpreter", error.to_string()))?;
    for (mode, optimize) in [("unoptimised", false), ("optimised", true)] {
        let options = Options { optimize, verify: true, ..Options::default() };
        let mut problems = Vec::new();
        let mut observe = |pass: &'static Pass, _, program: &Program| {
            let found = match program {
                Program::Graph(graph) => interpret(graph, &inputs, seed).map_err(|error| error.to_string()),
                Program::Plan(plan) => run_plan(plan, seed),
            };
            let difference = found.map_or_else(Some, |found| difference(&found, &reference, tolerance));
            problems.extend(difference.map(|problem| format!("after {}: {problem}\n{program}", pass.name)));
        };
        let compile = || run_observed(graph.clone(), &options, None, &mut observe);
        match catch_unwind(AssertUnwindSafe(compile)) {
            Ok(compiled) => compiled.map(drop).map_err(|error| fail(mode, error.to_string()))?,
            Err(_) => return Err(fail(mode, "a pass panics".to_owned())),
        }
        if let Some(problem) = problems.into_iter().next() {
            return Err(fail(mode, problem));
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
