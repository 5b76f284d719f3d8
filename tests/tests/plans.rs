//! Random graphs through all passes. What each pass gives is run, graphs by the reference interpreter and plans by an
//! interpreter of kernels on the bytes of their memory, and agrees with the source, optimised and not. The first pass
//! after which it does not is named; what fails here is no mistake of code generation.

use std::collections::BTreeMap;

use ir::{Graph, Tensor};
use nnc::fuzz::panics::catch;
use nnc::fuzz::reference::Reference;
use nnc::fuzz::right::Right;
use nnc::fuzz::{Recipe, Rng, build};
use passes::pipeline::{Options, Pass, Program, run_observed};
use tests::compare::{StepResult, interpret, seeded_inputs};
use tests::run_plan::run_plan;

const SEED: u64 = 5;

/// Outputs and states as the reference names them.
fn named(found: StepResult) -> BTreeMap<String, Tensor> {
    let states = found.states.into_iter().map(|(name, tensor)| (format!("state {name}"), tensor));
    found.outputs.into_iter().chain(states).collect()
}

/// Checks what each pass makes of a graph.
fn agrees(graph: &Graph) -> Result<(), String> {
    let inputs = seeded_inputs(graph, SEED);
    let differentiated = passes::autodiff::autodiff(graph).map_err(|error| error.to_string())?;
    // The reference looks at each step of a loop.
    let unrolled = passes::loops::unroll(&differentiated).map_err(|error| error.to_string())?;
    let reference = Reference::new(&unrolled, &inputs, SEED).map_err(|error| error.to_string())?;
    let right = Right::new(&reference);
    for (mode, optimize) in [("unoptimised", false), ("optimised", true)] {
        let options = Options { optimize, verify: true, ..Options::default() };
        let mut problems = Vec::new();
        let mut observe = |pass: &'static Pass, _, program: &Program| {
            let found = match program {
                Program::Graph(graph) => interpret(graph, &inputs, SEED).map_err(|error| error.to_string()),
                Program::Plan(plan) => run_plan(plan, SEED),
            };
            let difference = found.map_or_else(Some, |found| right.difference(&named(found)));
            problems.extend(difference.map(|problem| format!("after {}: {problem}\n{program}", pass.name)));
        };
        let compile = || run_observed(graph.clone(), &options, None, &mut observe);
        match catch(compile) {
            Ok(compiled) => drop(compiled.map_err(|error| format!("{mode}: {error}"))?),
            Err(panic) => return Err(format!("{mode}: a pass panics: {}", panic.message)),
        }
        if let Some(problem) = problems.into_iter().next() {
            return Err(format!("{mode}: {problem}"));
        }
    }
    Ok(())
}

#[test]
fn plans_of_random_graphs_agree_with_the_reference() {
    for case in 0..300 {
        // Inputs are what `tests::compare` draws, so what their names ask for is of no account.
        let recipe = Recipe { flavours: [0; 3], ..Recipe::draw(&mut Rng::of_case(3, case)) };
        if recipe.largest > 1000 {
            continue;
        }
        let graph = build(&recipe).unwrap_or_else(|error| panic!("case {case}: {error}"));
        if let Err(problem) = agrees(&graph) {
            panic!("case {case}: {problem}\n{graph}");
        }
    }
}
