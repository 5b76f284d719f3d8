//! A deep network before and after training: the gradients at each of its layers, and the units that are dead.

use ir::{DType, Value};
use nn::models::Mlp;
use nn::{Activation, BatchNorm, Context, Linear, Loss, Sgd, Supervised};
use nnc::data::{Batch, Dataset, Examples};
use nnc::trainer::{FitOptions, silent};
use nnc::{Error, Options, State, Trainer, TrainerOptions, compile};

pub const DEPTH: usize = 16;
pub const WIDTH: usize = 64;
pub const EPOCHS: usize = 15;
/// A unit is dead where its activation's slope is below this for every image: whatever comes from above is lost there.
const DEAD_SLOPE: f64 = 1e-3;

/// What is measured at each hidden layer, from the input on.
pub struct Health {
    /// The root mean square of the loss's gradient with respect to what goes into the activation.
    pub gradients: Vec<f64>,
    /// The part of the units that are dead.
    pub dead: Vec<f64>,
}

/// What a training run did to a deep network.
pub struct DeepRun {
    /// Before the first step.
    pub start: Health,
    /// After the last.
    pub end: Health,
    /// The mean loss of each epoch.
    pub losses: Vec<f64>,
    /// The part of the test images that are classified right.
    pub accuracy: f64,
}

/// Trains a network with this activation.
pub fn deep_run(
    activation: Activation,
    batch_norm: bool,
    train: &Dataset,
    test: &Dataset,
) -> Result<DeepRun, Error> {
    let sizes: Vec<usize> = [64].into_iter().chain([WIDTH; DEPTH]).chain([10]).collect();
    let model = Mlp { batch_norm, ..Mlp::new(&sizes, activation) };
    let optimizer = Sgd::new(0.02).momentum(0.9);
    let network = Supervised::new([64], model, Loss::cross_entropy());
    let mut trainer = Trainer::new("deep", network, optimizer, TrainerOptions::default())?;
    let start = health(activation, batch_norm, trainer.state_mut()?, train)?;
    let history = trainer.fit(train, None, &FitOptions::epochs(EPOCHS), &mut silent)?;
    let accuracy = trainer.evaluate(test)?.accuracy.unwrap_or_default();
    let end = health(activation, batch_norm, trainer.state_mut()?, train)?;
    Ok(DeepRun { start, end, losses: history.epochs.iter().map(|epoch| epoch.loss).collect(), accuracy })
}

/// A second program on the states of the trainer: the same layers under the same names, with other outputs.
fn health(
    activation: Activation,
    batch_norm: bool,
    state: &mut State,
    data: &Dataset,
) -> Result<Health, Error> {
    let rows = data.len();
    let mut cx = Context::training("health");
    let x = cx.input("x", DType::F32, [rows, 64])?;
    let y = cx.input("y", DType::I64, [rows])?;
    let (mut hidden, mut before): (Value, Vec<Value>) = (x, Vec::new());
    for number in 1..=DEPTH {
        let linear = Linear::new(if number == 1 { 64 } else { WIDTH }, WIDTH);
        let linear = if batch_norm { linear.without_bias() } else { linear };
        let mut z = cx.layer(format!("fc{number}"), &linear, hidden)?;
        if batch_norm {
            z = cx.layer(format!("bn{number}"), &BatchNorm::new(WIDTH), z)?;
        }
        hidden = activation.apply(&mut cx, z)?;
        before.push(z);
    }
    let logits = cx.layer(format!("fc{}", DEPTH + 1), &Linear::new(WIDTH, 10), hidden)?;
    let loss = Loss::cross_entropy().mean(&mut cx, logits, y)?;
    let gradients = cx.grad(loss, &before)?;
    for (number, (z, gradient)) in before.into_iter().zip(gradients).enumerate() {
        cx.output(&format!("gradient{number}"), gradient.square().mean_all().sqrt())?;
        // The slope of the activation at each value; of all images, the greatest.
        let value = activation.apply(&mut cx, z)?;
        let slope = cx.grad(value.sum_all(), &[z])?[0];
        let is_dead = slope.abs().amax(&[0]).lt(DEAD_SLOPE);
        cx.output(&format!("dead{number}"), is_dead.cast(DType::F32).mean(&[0]))?;
    }
    let mut program = compile(&cx.finish(), &Options::default())?;
    let data = data.reshaped([64])?.arrays();
    let mut batch = Batch::zeros(&data, rows);
    batch.gather(&data, &(0..rows as u32).collect::<Vec<_>>());
    program.run_named(state, &batch.named())?;
    let outputs: Vec<f64> = program.outputs().iter().map(|output| output.get(0).as_f64()).collect();
    let every_second = |first: usize| outputs.iter().skip(first).step_by(2).copied().collect();
    Ok(Health { gradients: every_second(0), dead: every_second(1) })
}
