//! The graphs of the workloads.

use ir::{Builder, DType, Error, Graph, Init, Value};
use nn::activation::softmax;
use nn::models::Mlp;
use nn::{Activation, Adam, Context, Layer, Loss, Optimizer, Sgd};

use super::workload::{Kind, Mode};

/// Learning rates are so small that thousands of steps on the same data change little.
const LEARNING_RATE: f64 = 1e-6;
const MOMENTUM: f64 = 0.9;
/// What is added to the variance in layer normalisation.
const LAYER_NORM_EPSILON: f64 = 1e-5;

/// What a workload runs.
pub struct Model {
    /// Its inputs are `x` and, where it has a second one, `y0`; it has one output.
    pub graph: Graph,
    /// The names of the states that the peers' archives call `p0`, `p1`, ..
    pub parameters: Vec<String>,
}

/// The model of a workload.
pub fn model(name: &str, kind: &Kind) -> Result<Model, Error> {
    let mut cx = Context::new(name);
    match *kind {
        Kind::Network { sizes, batch, activation, mode } => network(&mut cx, sizes, batch, activation, mode)?,
        _ => {
            let y = micro(&mut cx, kind)?;
            cx.output("y", y)?;
        }
    }
    let parameters = cx.parameters().iter().map(|parameter| parameter.name.clone()).collect();
    Ok(Model { graph: cx.finish(), parameters })
}

/// A network: its output, or a training step that returns the loss.
fn network(
    cx: &mut Context,
    sizes: &[usize],
    batch: usize,
    activation: Activation,
    mode: Mode,
) -> Result<(), Error> {
    let x = cx.input("x", DType::F32, [batch, sizes[0]])?;
    let mut layers = Mlp::new(sizes, activation);
    if mode == Mode::Reconstruct {
        layers = layers.output_activation(activation);
    }
    let y = layers.forward(cx, x)?;
    let loss = match mode {
        Mode::Infer => return cx.output("y", y),
        Mode::TrainAdam | Mode::TrainMomentum => {
            let labels = cx.input("y0", DType::I64, [batch])?;
            Loss::cross_entropy().mean(cx, y, labels)?
        }
        Mode::Reconstruct => {
            let target = cx.input("y0", DType::F32, [batch, sizes[0]])?;
            Loss::SquaredError.mean(cx, y, target)?
        }
    };
    cx.output("loss", loss)?;
    match mode {
        Mode::TrainMomentum => Sgd::new(LEARNING_RATE).momentum(MOMENTUM).step(cx, loss),
        _ => Adam::new(LEARNING_RATE).step(cx, loss),
    }
}

/// The result of a workload of one operation.
fn micro(b: &mut Context, kind: &Kind) -> Result<Value, Error> {
    match *kind {
        Kind::Elementwise(n) => {
            let x = b.input("x", DType::F32, [n])?;
            elementwise_chain(b, x)
        }
        Kind::Softmax(shape) => {
            let x = b.input("x", DType::F32, shape)?;
            softmax(b, x, 1)
        }
        Kind::LayerNorm(shape) => {
            let x = b.input("x", DType::F32, shape)?;
            layer_norm(b, x)
        }
        Kind::Sum { shape, axis } => {
            let x = b.input("x", DType::F32, shape)?;
            b.reduce_sum(x, &[axis], false)
        }
        Kind::Product { m, n, k } => {
            let x = b.input("x", DType::F32, [m, k])?;
            let y = b.input("y0", DType::F32, [k, n])?;
            b.matmul(x, y)
        }
        Kind::Network { .. } => unreachable!("networks are not built here"),
    }
}

/// `tanh(1.1 x + 0.3) sigmoid(0.7 x) + exp(-x x)`
fn elementwise_chain(b: &mut Builder, x: Value) -> Result<Value, Error> {
    let [slope, offset, scale] = [1.1, 0.3, 0.7].map(|c| b.float(DType::F32, c));
    let product = b.mul(slope, x)?;
    let sum = b.add(product, offset)?;
    let left = b.tanh(sum)?;
    let scaled = b.mul(scale, x)?;
    let right = b.sigmoid(scaled)?;
    let square = b.mul(x, x)?;
    let negative = b.neg(square)?;
    let bell = b.exp(negative)?;
    let gated = b.mul(left, right)?;
    b.add(gated, bell)
}

/// `(x - mean) / sqrt(variance + epsilon) * scale + offset` over the last axis.
fn layer_norm(b: &mut Context, x: Value) -> Result<Value, Error> {
    let columns = b.shape(x)[1];
    let scale = b.parameter("scale", [columns], Init::Constant(1.0))?;
    let offset = b.parameter("offset", [columns], Init::Constant(0.0))?;
    let epsilon = b.float(DType::F32, LAYER_NORM_EPSILON);
    let mean = b.reduce_mean(x, &[1], true)?;
    let centred = b.sub(x, mean)?;
    let square = b.square(centred)?;
    let variance = b.reduce_mean(square, &[1], true)?;
    let variance = b.add(variance, epsilon)?;
    let inverse = b.rsqrt(variance)?;
    let normal = b.mul(centred, inverse)?;
    let scaled = b.mul(normal, scale)?;
    b.add(scaled, offset)
}
