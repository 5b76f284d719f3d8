//! Every op, compiled, agrees with the interpreter: on every target, optimised or not, on one thread and on two.

use std::collections::BTreeMap;

use ir::{Builder, DType, Graph, Sample, Scalar, Tensor};
use nnc::Options;
use tests::compare::{StepResult, difference, execute, interpret, same_bits};
use tests::targets::{for_each_target, options_for};

/// What initial states and random numbers depend on.
const SEED: u64 = 5;

/// Elementwise functions have bounds of their own; sums here are of at most a few hundred terms below 2.
fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::F32 => 2e-5,
        DType::F64 => 1e-11,
        _ => 0.0,
    }
}

/// A graph of one sample, its operands as inputs, and tensors for them.
fn graph_of(sample: &Sample, number: usize) -> (Graph, BTreeMap<String, Tensor>) {
    let mut b = Builder::new("sample");
    let mut inputs = BTreeMap::new();
    let mut operands = Vec::new();
    for (index, operand) in sample.operands.iter().enumerate() {
        let name = format!("x{index}");
        operands.push(b.input(&name, operand.ty.dtype, operand.ty.shape.clone()).expect("names are unique"));
        let (low, high) = operand.interval;
        let tensor = Tensor::from_fn(&operand.ty, |i| {
            let unit = ir::scalar::uniform(number as u64, index as u32, i as u32, DType::F64);
            match operand.ty.dtype {
                DType::Bool => Scalar::Bool(unit < 0.5),
                dtype if dtype.is_float() => Scalar::from_f64(dtype, low + (high - low) * unit),
                dtype => Scalar::from_i64(dtype, (low + (high - low) * unit).floor() as i64),
            }
        });
        inputs.insert(name, tensor);
    }
    let node = sample.push(&mut b, &operands).unwrap_or_else(|error| panic!("{sample:?}: {error}"));
    let results: Vec<_> = b.graph().results(node).collect();
    for (index, value) in results.into_iter().enumerate() {
        b.output(&format!("y{index}"), value).expect("names are unique");
    }
    (b.finish(), inputs)
}

#[test]
fn every_op_compiled_agrees_with_the_interpreter() {
    let samples = ir::Op::samples();
    assert!(samples.len() > 400, "{} samples", samples.len());
    for (number, sample) in samples.iter().enumerate() {
        let (graph, inputs) = graph_of(sample, number);
        let reference = interpret(&graph, &inputs, SEED).unwrap_or_else(|error| panic!("{error}\n{graph}"));
        for_each_target(|target| agrees(&graph, &inputs, &reference, &options_for(target)));
    }
}

/// Checks a graph on one target.
fn agrees(graph: &Graph, inputs: &BTreeMap<String, Tensor>, reference: &StepResult, options: &Options) {
    let mut first = None;
    for (optimize, threads) in [(false, 1), (true, 1), (true, 2)] {
        let options = Options { optimize, threads, ..options.clone() };
        let result =
            execute(graph, inputs, SEED, &options).unwrap_or_else(|error| panic!("{error}\n{graph}"));
        if let Some(problem) = difference(&result, reference, tolerance) {
            panic!("optimize {optimize}, {threads} threads: {problem}\n{graph}");
        }
        if threads == 1 {
            first = Some(result);
        } else if let Some(first) = &first {
            assert!(same_bits(first, &result), "bits depend on threads:\n{graph}");
        }
    }
}
