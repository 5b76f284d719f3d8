//! The graphs of the workloads.

use ir::{Builder, DType, Error, Graph, Init, Value};

use super::workload::{Activation, Kind, Mode};

/// Learning rates are so small that thousands of steps on the same data change little.
const LEARNING_RATE: f64 = 1e-6;
const MOMENTUM: f64 = 0.9;
/// Adam's decay rates of its two moments, and what keeps it from dividing by zero.
const DECAY: [f64; 2] = [0.9, 0.999];
const ADAM_EPSILON: f64 = 1e-8;
/// What is added to the variance in layer normalisation.
const LAYER_NORM_EPSILON: f64 = 1e-5;

/// The graph of a workload.
pub fn graph(name: &str, kind: &Kind) -> Result<Graph, Error> {
    let mut b = Builder::new(name);
    match *kind {
        Kind::Network { sizes, batch, activation, mode } => network(&mut b, sizes, batch, activation, mode)?,
        _ => {
            let y = micro(&mut b, kind)?;
            b.output("y", y)?;
        }
    }
    Ok(b.finish())
}

/// A network: its output, or a training step that returns the loss.
fn network(
    b: &mut Builder,
    sizes: &[usize],
    batch: usize,
    activation: Activation,
    mode: Mode,
) -> Result<(), Error> {
    let input = b.input("x", DType::F32, [batch, sizes[0]])?;
    let mut parameters = Vec::new();
    let mut x = input;
    for (layer, pair) in sizes.windows(2).enumerate() {
        x = linear(b, x, pair, &mut parameters)?;
        let is_last = layer + 2 == sizes.len();
        x = match activation {
            Activation::Sigmoid => b.sigmoid(x)?,
            Activation::Relu if !is_last => b.relu(x)?,
            Activation::Tanh if !is_last => b.tanh(x)?,
            Activation::Relu | Activation::Tanh => x,
        };
    }
    let loss = match mode {
        Mode::Infer => return b.output("y", x),
        Mode::TrainAdam | Mode::TrainMomentum => {
            let labels = b.input("y0", DType::I64, [batch])?;
            cross_entropy(b, x, labels)?
        }
        Mode::Reconstruct => {
            let target = b.input("y0", DType::F32, [batch, sizes[0]])?;
            let difference = b.sub(x, target)?;
            let square = b.square(difference)?;
            b.reduce_mean(square, &[0, 1], false)?
        }
    };
    b.output("loss", loss)?;
    let gradients = b.grad(loss, &parameters)?;
    match mode {
        Mode::TrainMomentum => momentum(b, &parameters, &gradients),
        _ => adam(b, &parameters, &gradients),
    }
}

/// `x @ weight^T + bias`, with the next two parameters: weight `[outputs, inputs]` and bias `[outputs]`. They start from
/// the distributions that the peers' benchmark draws from.
fn linear(b: &mut Builder, x: Value, sizes: &[usize], parameters: &mut Vec<Value>) -> Result<Value, Error> {
    let (inputs, outputs) = (sizes[0], sizes[1]);
    let mut parameter = |b: &mut Builder, shape: &[usize], bound: f64| {
        let stream = parameters.len() as u32;
        let init = Init::Uniform { low: -bound, high: bound, stream };
        let parameter = b.state(&format!("p{stream}"), DType::F32, shape, init)?;
        parameters.push(parameter);
        Ok::<Value, Error>(parameter)
    };
    let weight = parameter(b, &[outputs, inputs], (6.0 / inputs as f64).sqrt())?;
    let bias = parameter(b, &[outputs], 0.05)?;
    let product = b.matmul_transposed(x, weight, false, true)?;
    b.add(product, bias)
}

/// The mean over samples of `-log(softmax(logits)[label])`.
fn cross_entropy(b: &mut Builder, logits: Value, labels: Value) -> Result<Value, Error> {
    let shape = b.shape(logits).clone();
    let greatest = b.reduce_max(logits, &[1], true)?;
    let greatest = b.stop_gradient(greatest)?;
    let shifted = b.sub(logits, greatest)?;
    let exponentials = b.exp(shifted)?;
    let sum = b.reduce_sum(exponentials, &[1], false)?;
    let log_sum = b.log(sum)?;
    let classes = b.iota(DType::I64, shape.clone(), 1)?;
    let labels = b.reshape(labels, [shape[0], 1])?;
    let is_label = b.eq(classes, labels)?;
    let zero = b.zeros_like(shifted)?;
    let picked = b.select(is_label, shifted, zero)?;
    let picked = b.reduce_sum(picked, &[1], false)?;
    let losses = b.sub(log_sum, picked)?;
    b.reduce_mean(losses, &[0], false)
}

/// `moment = 0.9 moment + gradient; parameter -= rate moment`
fn momentum(b: &mut Builder, parameters: &[Value], gradients: &[Value]) -> Result<(), Error> {
    let [decay, rate] = [MOMENTUM, LEARNING_RATE].map(|x| b.float(DType::F32, x));
    for (index, (&parameter, &gradient)) in parameters.iter().zip(gradients).enumerate() {
        let shape = b.shape(parameter).clone();
        let moment = b.state(&format!("momentum{index}"), DType::F32, shape, Init::Constant(0.0))?;
        let decayed = b.mul(decay, moment)?;
        let next_moment = b.add(decayed, gradient)?;
        let change = b.mul(rate, next_moment)?;
        let next = b.sub(parameter, change)?;
        b.update(moment, next_moment)?;
        b.update(parameter, next)?;
    }
    Ok(())
}

/// Adam (arXiv 1412.6980, algorithm 1), with the scalars of the bias correction computed once per step.
fn adam(b: &mut Builder, parameters: &[Value], gradients: &[Value]) -> Result<(), Error> {
    let [one, rate, epsilon] = [1.0, LEARNING_RATE, ADAM_EPSILON].map(|x| b.float(DType::F32, x));
    let step = b.state("step", DType::F32, [], Init::Constant(0.0))?;
    let next_step = b.add(step, one)?;
    b.update(step, next_step)?;
    let decays = DECAY.map(|decay| b.float(DType::F32, decay));
    let rests = DECAY.map(|decay| b.float(DType::F32, 1.0 - decay));
    let [first_correction, second_correction] = {
        let mut correction = |decay| {
            let power = b.pow(decay, next_step)?;
            b.sub(one, power)
        };
        [correction(decays[0])?, correction(decays[1])?]
    };
    let rate = b.div(rate, first_correction)?;
    let scale = b.rsqrt(second_correction)?;
    for (index, (&parameter, &gradient)) in parameters.iter().zip(gradients).enumerate() {
        let shape = b.shape(parameter).clone();
        let first = b.state(&format!("first_moment{index}"), DType::F32, shape.clone(), Init::Constant(0.0))?;
        let second = b.state(&format!("second_moment{index}"), DType::F32, shape, Init::Constant(0.0))?;
        let square = b.mul(gradient, gradient)?;
        let next_first = blend(b, decays[0], first, rests[0], gradient)?;
        let next_second = blend(b, decays[1], second, rests[1], square)?;
        let root = b.sqrt(next_second)?;
        let root = b.mul(root, scale)?;
        let divisor = b.add(root, epsilon)?;
        let scaled = b.mul(rate, next_first)?;
        let change = b.div(scaled, divisor)?;
        let next = b.sub(parameter, change)?;
        b.update(first, next_first)?;
        b.update(second, next_second)?;
        b.update(parameter, next)?;
    }
    Ok(())
}

/// `u x + v y`
fn blend(b: &mut Builder, u: Value, x: Value, v: Value, y: Value) -> Result<Value, Error> {
    let left = b.mul(u, x)?;
    let right = b.mul(v, y)?;
    b.add(left, right)
}

/// The result of a workload of one operation.
fn micro(b: &mut Builder, kind: &Kind) -> Result<Value, Error> {
    match *kind {
        Kind::Elementwise(n) => {
            let x = b.input("x", DType::F32, [n])?;
            elementwise_chain(b, x)
        }
        Kind::Softmax(shape) => {
            let x = b.input("x", DType::F32, shape)?;
            let greatest = b.reduce_max(x, &[1], true)?;
            let shifted = b.sub(x, greatest)?;
            let exponentials = b.exp(shifted)?;
            let sum = b.reduce_sum(exponentials, &[1], true)?;
            b.div(exponentials, sum)
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

/// `(x - mean) / sqrt(variance + epsilon) * p0 + p1` over the last axis.
fn layer_norm(b: &mut Builder, x: Value) -> Result<Value, Error> {
    let columns = b.shape(x)[1];
    let scale = b.state("p0", DType::F32, [columns], Init::Constant(1.0))?;
    let offset = b.state("p1", DType::F32, [columns], Init::Constant(0.0))?;
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
