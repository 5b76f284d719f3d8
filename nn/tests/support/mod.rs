//! Running graphs of `nn` through the reference interpreter, in f64.

use std::collections::BTreeMap;

use ir::eval::{Bindings, Evaluation, evaluate};
use ir::{DType, Graph, Scalar, Tensor, Type, scalar};

/// Runs a graph once, after autodiff, from these inputs and states.
pub fn run(graph: &Graph, inputs: &[(&str, Tensor)], states: &BTreeMap<String, Tensor>) -> Evaluation {
    let graph = passes::autodiff::autodiff(graph).expect("the graph can be differentiated");
    let inputs = inputs.iter().map(|(name, tensor)| ((*name).to_owned(), tensor.clone())).collect();
    evaluate(&graph, &Bindings { inputs, states: states.clone(), seed: 1 }).expect("the graph can be run")
}

/// An f64 tensor with elements uniform on [-2, 2), the same ones for the same stream.
#[allow(dead_code, reason = "not every test file draws")]
pub fn draw(shape: &[usize], stream: u32) -> Tensor {
    let element = |i: usize| Scalar::F64(4.0 * scalar::uniform(5, stream, i as u32, DType::F64) - 2.0);
    Tensor::from_fn(&Type::new(DType::F64, shape), element)
}

/// The elements of a tensor of floats.
pub fn floats(tensor: &Tensor) -> Vec<f64> {
    (0..tensor.shape().elements()).map(|i| tensor.get(i).as_f64()).collect()
}

/// Asserts that two lists agree to within rounding in f64.
#[allow(dead_code, reason = "not every test file compares lists")]
pub fn assert_close(what: &str, left: &[f64], right: &[f64]) {
    assert_eq!(left.len(), right.len(), "{what}");
    for (i, (&a, &b)) in left.iter().zip(right).enumerate() {
        assert!((a - b).abs() <= 1e-12 * (1.0 + a.abs().max(b.abs())), "{what}[{i}]: {a} and {b}");
    }
}
