//! The gradient rule of every op, and the gradient of its gradient, against central differences in the interpreter.

use std::collections::{BTreeMap, BTreeSet};

use ir::ops::{Op, Sample, SampleOperand};
use ir::scalar::{Derivative, uniform};
use ir::text::parse_graph;
use ir::{Builder, DType, Graph, Scalar, ScalarFn, Tensor, Type, Value};
use passes::autodiff::autodiff;
use tests::gradients::{check, gradient, run};

/// The number of shapes (and attributes) that each op is checked with.
const LEAST_SAMPLES: usize = 20;

#[test]
fn gradients_agree_with_central_differences() {
    for (sample, function) in functions() {
        let inputs = random_inputs(&sample);
        check(&function, &differentiable(&sample), &inputs);
    }
}

#[test]
fn gradients_of_gradients_agree_with_central_differences() {
    for (sample, function) in functions() {
        let (names, inputs) = (differentiable(&sample), random_inputs(&sample));
        check(&gradient(&function, &names, 1), &names, &inputs);
    }
}

#[test]
fn every_op_is_checked_at_twenty_shapes_or_has_no_gradient() {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (sample, _) in functions() {
        *counts.entry(sample.op.name()).or_default() += 1;
    }
    let without_gradient =
        ["argmax", "constant", "fused", "grad", "input", "iota", "random", "state", "stop_gradient"];
    let functions_without = (ScalarFn::ALL.iter())
        .filter(|function| matches!(function.row().derivative, Derivative::Zero))
        .map(|function| function.name());
    // Rounding to `f32` makes steps, which differences of this width see; it has a test of its own.
    let unchecked: BTreeSet<&str> =
        without_gradient.into_iter().chain(functions_without).chain(["cast_f32"]).collect();
    for name in Op::names() {
        let count = counts.get(name).copied().unwrap_or(0);
        match unchecked.contains(name) {
            true => assert_eq!(count, 0, "{name} has a gradient"),
            false => assert!(count >= LEAST_SAMPLES, "{name} is checked {count} times"),
        }
    }
}

#[test]
fn gradients_of_products_are_right_where_factors_are_zero() {
    let text = "graph @g {
        %x0 = input : f64[3, 5]
        %y = reduce_prod %x0 axes=[1] : f64[3]
        output y = %y
    }";
    let rows = [[2.0, 3.0, -1.0, 0.5, 4.0], [2.0, 0.0, -1.0, 0.5, 4.0], [2.0, 0.0, -1.0, 0.0, 4.0]];
    let x = Tensor::new([3, 5], rows.concat()).expect("fifteen elements");
    let (function, inputs) = (parse_graph(text).expect("a graph"), BTreeMap::from([("x0".to_owned(), x)]));
    let names = ["x0".to_owned()];
    check(&function, &names, &inputs);
    check(&gradient(&function, &names, 1), &names, &inputs);
}

#[test]
fn the_gradient_of_a_conversion_is_converted_back() {
    let text = "graph @g {
        %x = input : f64[2]
        %0 = cast_f32 %x : f32[2]
        %1 = square %0 : f32[2]
        %2 = cast_f64 %1 : f64[2]
        %3 = reduce_sum %2 axes=[0] : f64[]
        %4 = grad %3, %x : f64[2]
        output gradient = %4
    }";
    let x = Tensor::new([2], vec![0.25, -3.0]).expect("two elements");
    let graph = autodiff(&parse_graph(text).expect("a graph")).expect("it can be differentiated");
    let outputs = run(&graph, &BTreeMap::from([("x".to_owned(), x)]));
    assert_eq!(outputs["gradient"].as_slice::<f64>(), Some(&[0.5, -6.0][..]));
}

#[test]
fn elements_that_have_the_maximum_share_its_gradient() {
    let text = "graph @g {
        %x = input : f64[2, 3]
        %0 = reduce_max %x axes=[1] : f64[2]
        %1 = reduce_min %x axes=[0, 1] : f64[]
        %2 = reduce_sum %0 axes=[0] : f64[]
        %3 = add %1, %2 : f64[]
        %4 = grad %3, %x : f64[2, 3]
        output gradient = %4
    }";
    let x = Tensor::new([2, 3], vec![5.0, 1.0, 5.0, 1.0, 3.0, 2.0]).expect("six elements");
    let graph = autodiff(&parse_graph(text).expect("a graph")).expect("it can be differentiated");
    let outputs = run(&graph, &BTreeMap::from([("x".to_owned(), x)]));
    assert_eq!(outputs["gradient"].as_slice::<f64>(), Some(&[0.5, 0.5, 0.5, 0.5, 1.0, 0.0][..]));
}

/// Every sample that can be differentiated in `f64`, once, as a function of inputs `x0`, `x1`, ..
fn functions() -> Vec<(Sample, Graph)> {
    let mut seen = BTreeSet::new();
    let is_new = |(_, function): &(Sample, Graph)| seen.insert(function.to_string());
    Op::samples().iter().filter_map(in_f64).filter(is_new).collect()
}

/// A sample with operands of `f64` in the place of `f32`, where its op takes them.
fn in_f64(sample: &Sample) -> Option<(Sample, Graph)> {
    let mut sample = sample.clone();
    for operand in sample.operands.iter_mut().filter(|operand| operand.ty.dtype.is_float()) {
        operand.ty.dtype = DType::F64;
    }
    if !sample.operands.iter().any(|operand| operand.differentiable) {
        return None;
    }
    let body = sample.body.map(|body| parse_graph(&body.to_string().replace("f32", "f64")));
    sample.body = body.map(|body| body.expect("bodies read back"));
    let mut builder = Builder::new("function");
    let operands: Vec<Value> = (sample.operands.iter().enumerate())
        .map(|(i, operand)| {
            let Type { dtype, shape } = operand.ty.clone();
            builder.input(&format!("x{i}"), dtype, shape).expect("samples have types that inputs can have")
        })
        .collect();
    let node = sample.push(&mut builder, &operands).ok()?;
    if builder.graph().node(node).results.iter().any(|ty| ty.dtype == DType::F32) {
        return None;
    }
    for (i, result) in builder.graph().results(node).enumerate() {
        builder.output(&format!("y{i}"), result).expect("each output has a name of its own");
    }
    Some((sample, builder.finish()))
}

/// The names of the inputs that a sample is differentiated by.
fn differentiable(sample: &Sample) -> Vec<String> {
    let operands = sample.operands.iter().enumerate().filter(|(_, operand)| operand.differentiable);
    operands.map(|(i, _)| format!("x{i}")).collect()
}

fn random_inputs(sample: &Sample) -> BTreeMap<String, Tensor> {
    let operands = sample.operands.iter().enumerate();
    operands.map(|(i, operand)| (format!("x{i}"), random_tensor(operand, i as u32))).collect()
}

fn random_tensor(operand: &SampleOperand, stream: u32) -> Tensor {
    let (low, high) = operand.interval;
    Tensor::from_fn(&operand.ty, |i| {
        let unit = uniform(17, stream, i as u32, DType::F64);
        let value = low + (high - low) * unit;
        match operand.ty.dtype {
            DType::F32 | DType::F64 => Scalar::from_f64(operand.ty.dtype, value),
            DType::I32 | DType::I64 => Scalar::from_f64(operand.ty.dtype, value.floor()),
            DType::Bool => Scalar::Bool(unit < 0.5),
        }
    })
}
