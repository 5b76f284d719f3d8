//! Networks as workloads: in use, and in training steps, without dropout.

use ir::{DType, Error};
use nn::models::{AlexNet, AlphaGoZero, Vae, Vgg};
use nn::rnn::{Cell, Recurrent};
use nn::{Context, Layer, Linear, Loss, Optimizer, Sequential};

/// The planes, the height and the width of a position of Go.
const POSITION: [usize; 3] = [17, 19, 19];

/// The result `y` of a model for `x` of this shape.
pub fn infer(name: &str, model: &dyn Layer, x: &[usize]) -> Result<Context, Error> {
    let mut cx = Context::new(name);
    let x = cx.input("x", DType::F32, x)?;
    let y = model.forward(&mut cx, x)?;
    cx.output("y", y)?;
    Ok(cx)
}

/// A step that returns the cross entropy of a model's logits with the labels `y0`.
pub fn classify(
    name: &str,
    model: &dyn Layer,
    x: &[usize],
    optimizer: &dyn Optimizer,
) -> Result<Context, Error> {
    learn(name, model, x, &Loss::cross_entropy(), optimizer)
}

/// A step that returns the mean square error of what a model makes of `x`, measured by `y0`, for which the peers take
/// `x`.
pub fn reconstruct(
    name: &str,
    model: &dyn Layer,
    x: &[usize],
    optimizer: &dyn Optimizer,
) -> Result<Context, Error> {
    learn(name, model, x, &Loss::SquaredError, optimizer)
}

fn learn(
    name: &str,
    model: &dyn Layer,
    x: &[usize],
    loss: &Loss,
    optimizer: &dyn Optimizer,
) -> Result<Context, Error> {
    let mut cx = Context::training(name);
    let x = cx.input("x", DType::F32, x)?;
    let y = model.forward(&mut cx, x)?;
    let ty = loss.target(cx.ty(y));
    let target = cx.input("y0", ty.dtype, ty.shape)?;
    let mean = loss.mean(&mut cx, y, target)?;
    cx.output("loss", mean)?;
    optimizer.step(&mut cx, mean)?;
    Ok(cx)
}

/// A step that returns minus the evidence lower bound of rows `x`, with the noise `y0` of their codes.
pub fn encode_and_decode(
    name: &str,
    model: &Vae,
    rows: usize,
    optimizer: &dyn Optimizer,
) -> Result<Context, Error> {
    let mut cx = Context::training(name);
    let x = cx.input("x", DType::F32, [rows, model.values])?;
    let noise = cx.input("y0", DType::F32, [rows, model.code])?;
    let posterior = model.encode(&mut cx, x, None)?;
    let code = posterior.with_noise(&mut cx, noise)?;
    let decoded = model.decode(&mut cx, code, None)?;
    let surprise = model.likelihood.negative_log(&mut cx, decoded, x)?;
    let divergence = posterior.divergence(&mut cx)?;
    let loss = cx.eval((surprise + divergence).mean_all())?;
    cx.output("loss", loss)?;
    optimizer.step(&mut cx, loss)?;
    Ok(cx)
}

/// The policy and the value of a batch of positions.
pub fn infer_go(name: &str, model: &AlphaGoZero, batch: usize) -> Result<Context, Error> {
    let mut cx = Context::new(name);
    let x = cx.input("x", DType::F32, positions(batch))?;
    let [policy, value] = model.forward(&mut cx, x)?;
    cx.output("policy", policy)?;
    cx.output("value", value)?;
    Ok(cx)
}

/// A step that returns the loss of policy and value, measured by the probabilities `y0` and the outcomes `y1`.
pub fn learn_go(
    name: &str,
    model: &AlphaGoZero,
    batch: usize,
    optimizer: &dyn Optimizer,
) -> Result<Context, Error> {
    let mut cx = Context::training(name);
    let x = cx.input("x", DType::F32, positions(batch))?;
    let [policy, value] = model.forward(&mut cx, x)?;
    let [policy_shape, value_shape] = [policy, value].map(|head| cx.shape(head).clone());
    let probabilities = cx.input("y0", DType::F32, policy_shape)?;
    let outcome = cx.input("y1", DType::F32, value_shape)?;
    let loss = AlphaGoZero::loss(&mut cx, [policy, value], [probabilities, outcome])?;
    cx.output("loss", loss)?;
    optimizer.step(&mut cx, loss)?;
    Ok(cx)
}

fn positions(batch: usize) -> [usize; 4] {
    let [planes, height, width] = POSITION;
    [batch, planes, height, width]
}

/// The values of a step of the sequences that recurrent networks are measured on.
pub const STEP: usize = 64;
/// The hidden values of their cells.
pub const HIDDEN: usize = 256;

/// The shape of a batch of these sequences: 64 steps, time first.
pub const fn sequences(batch: usize) -> [usize; 3] {
    [64, batch, STEP]
}

/// A cell over time, and a dense layer of ten classes on its last output.
pub fn recurrent(cell: impl Cell + 'static) -> Sequential {
    let over_time = Recurrent::with_cell(STEP, cell).last();
    let classes = Linear::new(over_time.output_size(), 10);
    Sequential::new().add(over_time).add(classes)
}

/// AlexNet for ImageNet's classes, without dropout.
pub fn alexnet() -> AlexNet {
    AlexNet { dropout: 0.0, ..AlexNet::new(1000) }
}

/// VGG-16 for ImageNet's classes, without dropout.
pub fn vgg16() -> Vgg {
    Vgg { dropout: 0.0, ..Vgg::vgg16(1000) }
}
