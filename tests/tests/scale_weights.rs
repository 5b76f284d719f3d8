//! Batch normalisation in use, whose factors have moved into the weights before it: results agree with the interpreter, and
//! they see what training makes of the statistics.

use ir::{DType, Error, Graph, Op};
use nn::{BatchNorm, Context, Conv2d, Layer, Linear, Relu, Residual, Sequential};
use nnc::{Options, State};
use tests::compare::{difference, execute, interpret, seeded_inputs, tensor_difference};
use tests::targets::{for_each_target, options_for};

const SEED: u64 = 5;
/// Relative to the greatest element: sums of at most 288 terms, rounded in another place.
const TOLERANCE: f64 = 1e-4;

/// A network with each kind of contraction before a batch normalisation.
fn network() -> Sequential {
    let body = Sequential::new()
        .add(Conv2d::new(32, 32, 3).padding(1).groups(2))
        .add(BatchNorm::new(32))
        .add(Relu)
        .add(Conv2d::new(32, 32, 1).without_bias())
        .add(BatchNorm::new(32));
    Sequential::new()
        .add(Conv2d::new(3, 32, 3).stride(2).without_bias())
        .add(BatchNorm::new(32))
        .add(Relu)
        .add(Residual::new(body))
        .add(nn::Flatten)
        .add(Linear::new(32 * 16, 10))
        .add(BatchNorm::new(10))
}

/// What the network computes, and with `trains` a step of its statistics.
fn graph(trains: bool) -> Result<Graph, Error> {
    let mut cx = if trains { Context::training("network") } else { Context::new("network") };
    let x = cx.input("x", DType::F32, [3, 3, 9, 9])?;
    let y = network().forward(&mut cx, x)?;
    cx.output("y", y)?;
    Ok(cx.finish())
}

/// The multiplications of a graph with elements that depend on its inputs.
fn factors_of_results(graph: &Graph) -> usize {
    let mut depends = vec![false; graph.len()];
    let mut count = 0;
    for (id, node) in graph.nodes() {
        let mut operands = node.operands.iter();
        let is_of_input = operands.any(|operand| depends[operand.node.0 as usize]);
        depends[id.0 as usize] = is_of_input || matches!(node.op, Op::Input(_));
        count += usize::from(is_of_input && node.op.name() == "mul");
    }
    count
}

/// The graph after pass `scale_weights`, without what nothing needs any more.
fn scaled(graph: &Graph) -> Graph {
    let source = passes::expand::expand(&passes::autodiff::autodiff(graph).expect("it has no gradients"));
    let scaled = passes::scale_weights::scale_weights(&source.expect("it expands"));
    passes::dce::dce(&scaled.expect("it is well-typed")).expect("it is well-typed")
}

#[test]
fn no_factor_is_left_in_use_and_all_are_in_training() {
    let [inference, training] = [false, true].map(|trains| graph(trains).expect("the shapes fit"));
    assert_eq!(factors_of_results(&inference), 4);
    assert_eq!(factors_of_results(&scaled(&inference)), 0);
    assert_eq!(factors_of_results(&scaled(&training)), factors_of_results(&training));
}

#[test]
fn results_are_those_of_the_interpreter() {
    let graph = graph(false).expect("the shapes fit");
    let inputs = seeded_inputs(&graph, SEED);
    let expected = interpret(&graph, &inputs, SEED).expect("it runs");
    for_each_target(|target| {
        let found = execute(&graph, &inputs, SEED, &options_for(target)).expect("it runs");
        assert_eq!(difference(&found, &expected, |_| TOLERANCE), None, "{}", target.name);
    });
}

#[test]
fn inference_sees_the_statistics_of_each_step_of_training() {
    let [inference, training] = [false, true].map(|trains| graph(trains).expect("the shapes fit"));
    let x = &seeded_inputs(&inference, SEED)["x"];
    for_each_target(|target| {
        let scaled = options_for(target);
        let plain = Options { optimize: false, ..options_for(target) };
        let mut training = nnc::compile(&training, &scaled).expect("it compiles");
        let [mut scaled, mut plain] =
            [scaled, plain].map(|options| nnc::compile(&inference, &options).expect("it compiles"));
        let mut state = State::new(training.plan(), SEED).expect("there is memory");
        let mut before = None;
        for step in 0..3 {
            let [found, expected] = [&mut scaled, &mut plain].map(|program| {
                program.run(&mut state, &[x]).expect("it runs");
                program.outputs()[0].clone()
            });
            assert_eq!(tensor_difference(&found, &expected, TOLERANCE), None, "{step} on {}", target.name);
            let change = before.map(|before| tensor_difference(&found, &before, 10.0 * TOLERANCE));
            assert_ne!(change, Some(None), "step {step} on {} changes nothing", target.name);
            before = Some(found);
            training.run(&mut state, &[x]).expect("it runs");
        }
    });
}
