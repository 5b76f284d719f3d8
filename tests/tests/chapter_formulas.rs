//! The gradients of a network with one hidden layer under squared error, as a textbook writes them out by hand
//! (Friedman, Hastie and Tibshirani, "The Elements of Statistical Learning", section 11.4), equal autodiff's.
//!
//! For `f(x) = sum_j beta_j sigmoid(w_j x)`, `l = sum_i (y_i - f(x_i))^2` and `delta_i = y_i - f(x_i)`:
//!
//! - `dl/dbeta_j = -2 sum_i delta_i sigmoid(w_j x_i)`
//! - `dl/dw_jk = -2 sum_i delta_i beta_j sigmoid'(w_j x_i) x_ik`

use std::collections::BTreeMap;

use ir::eval::{Bindings, evaluate};
use ir::scalar::uniform;
use ir::{Builder, DType, Error, Graph, Tensor};
use passes::autodiff::autodiff;

/// The number of examples, of inputs, and of units in the hidden layer.
const EXAMPLES: usize = 11;
const INPUTS: usize = 5;
const HIDDEN: usize = 7;

/// The network with its loss and the gradients by autodiff, from inputs `x[i, k]`, `y[i]`, `w[j, k]` and `beta[j]`.
fn network() -> Result<Graph, Error> {
    let mut b = Builder::new("network");
    let x = b.input("x", DType::F64, [EXAMPLES, INPUTS])?;
    let y = b.input("y", DType::F64, [EXAMPLES])?;
    let w = b.input("w", DType::F64, [HIDDEN, INPUTS])?;
    let beta = b.input("beta", DType::F64, [HIDDEN])?;
    let product = b.matmul_transposed(x, w, false, true)?;
    let hidden = b.sigmoid(product)?;
    let weighted = b.mul(hidden, beta)?;
    let f = b.reduce_sum(weighted, &[1], false)?;
    let delta = b.sub(y, f)?;
    let squared = b.square(delta)?;
    let loss = b.reduce_sum(squared, &[0], false)?;
    let gradients = b.grad(loss, &[w, beta])?;
    b.output("loss", loss)?;
    b.output("dw", gradients[0])?;
    b.output("dbeta", gradients[1])?;
    autodiff(&b.finish())
}

fn sigmoid(t: f64) -> f64 {
    1.0 / (1.0 + (-t).exp())
}

fn sigmoid_derivative(t: f64) -> f64 {
    sigmoid(t) * (1.0 - sigmoid(t))
}

/// `count` numbers in -1..1.
fn numbers(stream: u32, count: usize) -> Vec<f64> {
    (0..count).map(|i| 2.0 * uniform(3, stream, i as u32, DType::F64) - 1.0).collect()
}

#[test]
fn the_gradients_written_out_by_hand_equal_those_of_autodiff() {
    let (x, y) = (numbers(0, EXAMPLES * INPUTS), numbers(1, EXAMPLES));
    let (w, beta) = (numbers(2, HIDDEN * INPUTS), numbers(3, HIDDEN));

    let product =
        |j: usize, i: usize| -> f64 { (0..INPUTS).map(|k| w[j * INPUTS + k] * x[i * INPUTS + k]).sum() };
    let f = |i: usize| -> f64 { (0..HIDDEN).map(|j| beta[j] * sigmoid(product(j, i))).sum() };
    let delta: Vec<f64> = (0..EXAMPLES).map(|i| y[i] - f(i)).collect();
    let loss: f64 = delta.iter().map(|delta| delta * delta).sum();
    let dbeta = (0..HIDDEN).map(|j| {
        let terms = (0..EXAMPLES).map(|i| delta[i] * sigmoid(product(j, i)));
        -2.0 * terms.sum::<f64>()
    });
    let dw = (0..HIDDEN * INPUTS).map(|jk| {
        let (j, k) = (jk / INPUTS, jk % INPUTS);
        let term = |i: usize| delta[i] * beta[j] * sigmoid_derivative(product(j, i)) * x[i * INPUTS + k];
        -2.0 * (0..EXAMPLES).map(term).sum::<f64>()
    });

    let tensors = [
        ("x", Tensor::new([EXAMPLES, INPUTS], x.clone())),
        ("y", Tensor::new([EXAMPLES], y.clone())),
        ("w", Tensor::new([HIDDEN, INPUTS], w.clone())),
        ("beta", Tensor::new([HIDDEN], beta.clone())),
    ];
    let inputs: BTreeMap<String, Tensor> = (tensors.into_iter())
        .map(|(name, tensor)| (name.to_owned(), tensor.expect("as many elements as the shape has")))
        .collect();
    let bindings = Bindings { inputs, ..Bindings::default() };
    let graph = network().expect("the network can be built and differentiated");
    let outputs = evaluate(&graph, &bindings).expect("all inputs are there").outputs;
    assert_close("loss", &outputs, &[loss]);
    assert_close("dbeta", &outputs, &dbeta.collect::<Vec<_>>());
    assert_close("dw", &outputs, &dw.collect::<Vec<_>>());
}

/// Both sides are computed in `f64` and differ in the order of additions only.
fn assert_close(name: &str, outputs: &BTreeMap<String, Tensor>, expected: &[f64]) {
    let found = outputs[name].as_slice::<f64>().expect("the network is of f64");
    assert_eq!(found.len(), expected.len(), "{name}");
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (found - expected).abs() <= 1e-12 * (1.0 + expected.abs()),
            "{name}[{i}]: {found}, by hand {expected}"
        );
    }
}
