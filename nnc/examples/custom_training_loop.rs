//! A training loop by hand, for what a trainer does not foresee. Here the loss holds its own gradient: a model is also
//! punished for how much its loss changes with the image (H. Drucker and Y. LeCun, "Improving generalization
//! performance using double backpropagation", 1992), which makes it harder to deceive.
//!
//! Three programs (a step, predictions, and an attack on the model) are compiled and share one set of states.

mod support;

use std::path::Path;
use std::process::ExitCode;

use ir::{DType, Graph, Scalar, Tensor};
use nn::models::Mlp;
use nn::optimizer::LEARNING_RATE;
use nn::schedule::{Decay, Schedule};
use nn::{Context, Layer, Loss, Optimizer, Sgd, Tanh};
use nnc::data::{Batch, Batches, Dataset, Examples, digits};
use nnc::report::{Axis, Corner, Line, PALETTE, Panel, Scale, figure};
use nnc::trainer::{metrics, shuffle};
use nnc::{Error, Options, State, compile, files};

const BATCH: usize = 32;
const EPOCHS: u64 = 20;
const LEARNING_RATE_AT_START: f64 = 0.1;
/// By so much an attack changes each pixel, of a range from 0 to 1.
const ATTACK: f64 = 0.1;

fn model() -> Mlp {
    Mlp::new(&[64, 128, 10], Tanh)
}

/// A step: forward, backward through the backward pass, and the optimizer.
fn step_graph(penalty: f64) -> Result<Graph, ir::Error> {
    let mut cx = Context::training("step");
    let x = cx.input("x", DType::F32, [BATCH, 64])?;
    let y = cx.input("y", DType::I64, [BATCH])?;
    let logits = model().forward(&mut cx, x)?;
    let loss = Loss::cross_entropy().mean(&mut cx, logits, y)?;
    let slope = cx.grad(loss, &[x])?[0]; // a value like any other: it can be differentiated again
    let sum = cx.eval(slope.square().sum_all())?;
    let total = cx.eval(loss + sum * (penalty * BATCH as f64))?; // a row's gradient is 1 / BATCH of its own
    cx.output("loss", loss)?;
    cx.output("slope", sum)?;
    Sgd::new(LEARNING_RATE_AT_START).momentum(0.9).nesterov().step(&mut cx, total)?;
    Ok(cx.finish())
}

/// Logits of `rows` images; and the images, each pixel moved by `ATTACK` so that the loss grows (I. Goodfellow et al.,
/// "Explaining and harnessing adversarial examples", 2015).
fn use_graph(rows: usize) -> Result<Graph, ir::Error> {
    let mut cx = Context::new("use");
    let x = cx.input("x", DType::F32, [rows, 64])?;
    let y = cx.input("y", DType::I64, [rows])?;
    let logits = model().forward(&mut cx, x)?;
    let loss = Loss::cross_entropy().mean(&mut cx, logits, y)?;
    let slope = cx.grad(loss, &[x])?[0];
    cx.output("logits", logits)?;
    cx.output("attacked", x + slope.sign() * ATTACK)?;
    Ok(cx.finish())
}

/// What a run gave: the loss of each step, and the parts of the test images that are classified right, as they are and
/// attacked.
struct Outcome {
    losses: Vec<f64>,
    accuracy: f64,
    accuracy_attacked: f64,
}

fn train(train: &Dataset, test: &Dataset, penalty: f64) -> Result<Outcome, Error> {
    let mut step = compile(&step_graph(penalty)?, &Options::default())?;
    let mut state = State::new(step.plan(), 1)?; // weights from seed 1
    let steps_per_epoch = (train.len() / BATCH) as u64;
    let schedule =
        Schedule { warm_up: 20, decay: Decay::Cosine { steps: EPOCHS * steps_per_epoch, least: 0.0 } };
    let mut losses = Vec::new();
    for epoch in 0..EPOCHS {
        let order = shuffle::permutation(train.len(), 1, epoch);
        let mut batches = Batches::new(train, order, BATCH, 1)?;
        while let Some(batch) = batches.next_batch().filter(|batch| batch.len() == BATCH) {
            let rate = LEARNING_RATE_AT_START * schedule.factor(losses.len() as u64);
            state.set(LEARNING_RATE, &Tensor::scalar(Scalar::F32(rate as f32)))?;
            step.run_named(&mut state, &batch.named())?;
            losses.push(step.outputs()[0].get(0).as_f64());
        }
    }

    // The states belong to this function: another program finds the trained weights there by their names.
    let mut program = compile(&use_graph(test.len())?, &Options::default())?;
    let rows = test.arrays();
    let mut images = Batch::zeros(&rows, test.len());
    images.gather(&rows, &(0..test.len() as u32).collect::<Vec<_>>());
    let [images, answers] = images.tensors()[..] else { unreachable!("a data set has rows and targets") };
    let labels = test.labels().expect("digits are classes");
    let mut accuracy_on = |x: &Tensor| -> Result<(f64, Tensor), Error> {
        program.run(&mut state, &[x, answers])?;
        let [logits, attacked] = program.outputs() else { unreachable!("the graph has two outputs") };
        let logits = logits.as_slice::<f32>().expect("logits are f32");
        Ok((metrics::top_k_accuracy(logits, labels, 1), attacked.clone()))
    };
    let (accuracy, attacked) = accuracy_on(images)?;
    let (accuracy_attacked, _) = accuracy_on(&attacked)?;
    Ok(Outcome { losses, accuracy, accuracy_attacked })
}

fn main() -> ExitCode {
    support::run("custom_training_loop", custom_training_loop)
}

fn custom_training_loop(out: &Path) -> Result<(), Error> {
    let (train_set, test_set) = digits();
    let (train_set, test_set) = (train_set.reshaped([64])?, test_set.reshaped([64])?);
    let mut lines = Vec::new();
    println!("penalty  test accuracy  each pixel moved by {ATTACK}");
    for (penalty, color) in [0.0, 0.03, 0.3].into_iter().zip(PALETTE) {
        let outcome = train(&train_set, &test_set, penalty)?;
        let percent = |part: f64| format!("{:.1} %", 100.0 * part);
        println!(
            "{penalty:<7}  {:>13}  {:>24}",
            percent(outcome.accuracy),
            percent(outcome.accuracy_attacked)
        );
        let name =
            format!("penalty {penalty}: {} of attacked images right", percent(outcome.accuracy_attacked));
        lines.push(Line::new(&name, color, smoothed(&outcome.losses)));
    }
    let axes = (Axis::new("step", Scale::Linear), Axis::new("cross entropy, mean of 25 steps", Scale::Log));
    let panel = Panel::new("Loss in training, without the penalty", axes.0, axes.1, lines);
    let panel = panel.legend(Corner::UpperRight);
    files::write_text(
        &out.join("loss.svg"),
        &figure("Double backpropagation on digits", 1, (760, 460), vec![panel]),
    )
}

/// Means of 25 neighbours, at their middles.
fn smoothed(losses: &[f64]) -> impl Iterator<Item = (f64, f64)> {
    let mean = |(index, chunk): (usize, &[f64])| {
        (25.0 * index as f64 + 12.0, chunk.iter().sum::<f64>() / chunk.len() as f64)
    };
    losses.chunks(25).enumerate().map(mean)
}
