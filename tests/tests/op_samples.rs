//! Every sample of every op: what `infer`, `eval` and `lower` say of it agrees.
//!
//! The operands are constants, drawn from the intervals of the sample. The reference interpreter evaluates the op; the
//! passes make a plan of it, without optimisation (so that the op is lowered by itself) and with it (folded, and not
//! folded); and the interpreter of plans runs that.

use std::collections::BTreeSet;

use ir::eval::{Bindings, evaluate};
use ir::ops::{Op, Sample, SampleOperand};
use ir::scalar::uniform;
use ir::{Builder, DType, Graph, Scalar, Tensor, Value};
use passes::pipeline::{Options, run};
use tests::compare::{StepResult, difference};
use tests::run_plan::run_plan;

#[test]
fn every_op_has_samples_or_is_part_of_every_graph() {
    let sampled: BTreeSet<&str> = Op::samples().iter().map(|sample| sample.op.name()).collect();
    let names: BTreeSet<&str> = Op::names().into_iter().collect();
    let without: Vec<&&str> = names.difference(&sampled).collect();
    assert_eq!(without, [&"fused", &"grad", &"input", &"state"]);
}

#[test]
fn plans_of_every_sample_agree_with_the_reference() {
    let unoptimized = Options { optimize: false, verify: true, ..Options::default() };
    let unfolded = Options { fold_budget: 0, verify: true, ..Options::default() };
    let folded = Options { verify: true, ..Options::default() };
    for (number, sample) in Op::samples().iter().enumerate() {
        let graph = graph_of(sample, number as u64);
        let reference = reference(&graph);
        for (mode, options) in [("unoptimised", &unoptimized), ("unfolded", &unfolded), ("folded", &folded)] {
            let plan = run(graph.clone(), options).unwrap_or_else(|error| panic!("{mode}: {error}\n{graph}"));
            let found = run_plan(&plan, 0).unwrap_or_else(|problem| panic!("{mode}: {problem}\n{plan}"));
            if let Some(problem) = difference(&found, &reference, tolerance) {
                panic!("{mode}: {problem}\n{graph}\n{plan}");
            }
        }
    }
}

/// Sums of `f32` are rounded after each addition in plans, and only at the end in the reference.
fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::F32 => 1e-5,
        DType::F64 => 1e-12,
        _ => 0.0,
    }
}

/// The op of a sample, applied to constants.
fn graph_of(sample: &Sample, seed: u64) -> Graph {
    let mut builder = Builder::new("sample");
    let operands: Vec<Value> = (sample.operands.iter().enumerate())
        .map(|(i, operand)| builder.constant(random_tensor(operand, seed, i as u32)))
        .collect();
    let node = sample.push(&mut builder, &operands).expect("samples are valid");
    for (i, result) in builder.graph().results(node).enumerate() {
        builder.output(&format!("y{i}"), result).expect("each output has a name of its own");
    }
    builder.finish()
}

fn random_tensor(operand: &SampleOperand, seed: u64, stream: u32) -> Tensor {
    let (low, high) = operand.interval;
    Tensor::from_fn(&operand.ty, |i| {
        let unit = uniform(seed, stream, i as u32, DType::F64);
        let value = low + (high - low) * unit;
        match operand.ty.dtype {
            DType::F32 | DType::F64 => Scalar::from_f64(operand.ty.dtype, value),
            DType::I32 | DType::I64 => Scalar::from_f64(operand.ty.dtype, value.floor()),
            DType::Bool => Scalar::Bool(unit < 0.5),
        }
    })
}

/// What the interpreter computes, which is of the types that the graph states.
fn reference(graph: &Graph) -> StepResult {
    let evaluation = evaluate(graph, &Bindings::default()).unwrap_or_else(|error| panic!("{error}\n{graph}"));
    for output in &graph.outputs {
        assert_eq!(evaluation.outputs[&output.name].ty(), *graph.ty(output.value), "{graph}");
    }
    StepResult { outputs: evaluation.outputs, states: evaluation.states }
}
