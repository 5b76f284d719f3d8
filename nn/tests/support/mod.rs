//! Running graphs of `nn` through the reference interpreter, in f64.

pub mod recurrent;

use std::collections::BTreeMap;

use ir::eval::{Bindings, Evaluation, evaluate};
use ir::{DType, Graph, Scalar, Tensor, Type, Value, scalar};
use nn::{Context, Layer, Mode};

/// Runs a graph once, after autodiff, from these inputs and states.
#[allow(dead_code, reason = "not every test file runs graphs")]
pub fn run(graph: &Graph, inputs: &[(&str, Tensor)], states: &BTreeMap<String, Tensor>) -> Evaluation {
    let graph = passes::autodiff::autodiff(graph).expect("the graph can be differentiated");
    let inputs = inputs.iter().map(|(name, tensor)| ((*name).to_owned(), tensor.clone())).collect();
    evaluate(&graph, &Bindings { inputs, states: states.clone(), seed: 1 }).expect("the graph can be run")
}

/// A layer on x from these states: its result `y`, and the gradients of the sum of it times `weights` with respect to x,
/// `dx`, and to the parameters, `dweight` and so on.
#[allow(dead_code, reason = "not every test file has layers")]
pub fn differentiate(
    layer: &dyn Layer,
    mode: Mode,
    x: &Tensor,
    weights: &Tensor,
    states: &BTreeMap<String, Tensor>,
) -> Evaluation {
    let build = || -> Result<Graph, ir::Error> {
        let mut cx = Context::with("layer", mode, DType::F64);
        let input = cx.input("x", DType::F64, x.shape().clone())?;
        let y = layer.forward(&mut cx, input)?;
        let weights = cx.constant(weights.clone());
        let product = cx.mul(y, weights)?;
        let axes: Vec<usize> = (0..x.shape().rank()).collect();
        let sum = cx.reduce_sum(product, &axes, false)?;
        let parameters = cx.parameters().to_vec();
        let values: Vec<Value> = [input].into_iter().chain(parameters.iter().map(|p| p.value)).collect();
        let gradients = cx.grad(sum, &values)?;
        cx.output("y", y)?;
        cx.output("dx", gradients[0])?;
        for (parameter, &gradient) in parameters.iter().zip(&gradients[1..]) {
            cx.output(&format!("d{}", parameter.name), gradient)?;
        }
        Ok(cx.finish())
    };
    run(&build().expect("the layer can be built"), &[("x", x.clone())], states)
}

/// An f64 tensor with elements uniform on [-2, 2), the same ones for the same stream.
#[allow(dead_code, reason = "not every test file draws")]
pub fn draw(shape: &[usize], stream: u32) -> Tensor {
    let element = |i: usize| Scalar::F64(4.0 * scalar::uniform(5, stream, i as u32, DType::F64) - 2.0);
    Tensor::from_fn(&Type::new(DType::F64, shape), element)
}

/// The elements of a tensor of floats.
#[allow(dead_code, reason = "not every test file runs graphs")]
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

/// What PyTorch computes, by name; see `nn/tests/torch_constants.py`.
#[allow(dead_code, reason = "not every test file compares with PyTorch")]
pub fn torch(name: &str) -> Vec<f64> {
    list(include_str!("../torch_constants.txt"), name)
}

/// The same of images; see `nn/tests/torch_images.py`.
#[allow(dead_code, reason = "not every test file compares with PyTorch")]
pub fn torch_images(name: &str) -> Vec<f64> {
    list(include_str!("../torch_images.txt"), name)
}

fn list(file: &str, name: &str) -> Vec<f64> {
    let list = file.lines().filter_map(|line| line.split_once(" = ")).find(|(known, _)| *known == name);
    let (_, numbers) = list.unwrap_or_else(|| panic!("there is no `{name}`"));
    numbers.split(' ').map(|number| number.parse().expect("it is a number")).collect()
}

/// An f64 tensor with these elements.
#[allow(dead_code, reason = "not every test file makes tensors")]
pub fn tensor(shape: &[usize], elements: Vec<f64>) -> Tensor {
    Tensor::new(shape, elements).expect("as many elements as the shape has")
}
