//! Batch normalisation and dropout in a convolutional network with few digits to learn from: what each does to the speed
//! of training, and to the error on digits that it has not seen.

mod support;

use std::path::Path;
use std::process::ExitCode;

use nn::{Adam, BatchNorm, Conv2d, Dropout, Flatten, Linear, Loss, MaxPool2d, Relu, Sequential, Supervised};
use nnc::data::{Dataset, digits};
use nnc::report::{Axis, Corner, Line, PALETTE, Panel, Scale, figure};
use nnc::trainer::{Epoch, FitOptions, silent};
use nnc::{Error, Trainer, TrainerOptions, files};

/// One of so many digits of the training part is trained on; all others are held out.
const STRIDE: usize = 7;
const EPOCHS: usize = 40;
/// Curves are means over runs of so many seeds.
const SEEDS: u64 = 3;

/// What a network has of the two.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    has_norm: bool,
    dropout: f64,
}

const KINDS: [Kind; 4] = [
    Kind { name: "neither", has_norm: false, dropout: 0.0 },
    Kind { name: "batch norm", has_norm: true, dropout: 0.0 },
    Kind { name: "dropout", has_norm: false, dropout: 0.5 },
    Kind { name: "both", has_norm: true, dropout: 0.5 },
];

/// Two convolutions and two dense layers; dropout is before the dense layers, where most weights are.
fn layers(kind: Kind) -> Sequential {
    let mut layers = Sequential::new();
    for (inputs, outputs) in [(1, 16), (16, 32)] {
        layers = layers.add(Conv2d::new(inputs, outputs, 3).padding(1));
        if kind.has_norm {
            layers = layers.add(BatchNorm::new(outputs));
        }
        layers = layers.add(Relu).add(MaxPool2d::new(2));
    }
    let drop = || Dropout::new(kind.dropout);
    let layers = layers.add(Flatten).add(drop()).add(Linear::new(128, 128)).add(Relu);
    layers.add(drop()).add(Linear::new(128, 10))
}

/// The epochs of a run.
fn train(kind: Kind, seed: u64, few: &Dataset, others: &Dataset) -> Result<Vec<Epoch>, Error> {
    let options = TrainerOptions { batch: 20, seed, ..TrainerOptions::default() };
    let network = Supervised::new([1, 8, 8], layers(kind), Loss::cross_entropy());
    let mut trainer = Trainer::new("net", network, Adam::new(1e-3), options)?;
    Ok(trainer.fit(few, Some(others), &FitOptions::epochs(EPOCHS), &mut silent)?.epochs)
}

/// The mean over runs of a value of each epoch.
fn means(runs: &[Vec<Epoch>], value: fn(&Epoch) -> f64) -> Vec<(f64, f64)> {
    let mean = |epoch: usize| runs.iter().map(|run| value(&run[epoch])).sum::<f64>() / runs.len() as f64;
    (0..EPOCHS).map(|epoch| ((epoch + 1) as f64, mean(epoch))).collect()
}

fn error(epoch: &Epoch) -> f64 {
    1.0 - epoch.held_out.as_ref().and_then(|held_out| held_out.accuracy).unwrap_or_default()
}

fn batchnorm_vs_dropout(out: &Path) -> Result<(), Error> {
    let (train_part, _) = digits();
    let (others, few) = train_part.split(|row| row.is_multiple_of(STRIDE));
    println!("{:<11} training loss  error on others", "network");
    let (mut losses, mut errors) = (Vec::new(), Vec::new());
    for (kind, color) in KINDS.into_iter().zip(PALETTE) {
        let runs = (0..SEEDS).map(|seed| train(kind, seed, &few, &others)).collect::<Result<Vec<_>, _>>()?;
        let (loss, wrong) = (means(&runs, |epoch| epoch.loss), means(&runs, error));
        println!("{:<11} {:>13.4}  {:>12.2} %", kind.name, loss[EPOCHS - 1].1, 100.0 * wrong[EPOCHS - 1].1);
        losses.push(Line::new(kind.name, color, loss));
        errors.push(Line::new(kind.name, color, wrong));
    }
    let epochs = || Axis::new("epoch", Scale::Whole);
    let loss =
        Panel::new("training loss", epochs(), Axis::new("", Scale::Log), losses).legend(Corner::LowerLeft);
    let y = Axis::new("", Scale::Percent).within(0.0..0.3);
    let error = Panel::new("error on the others", epochs(), y, errors).legend(Corner::UpperRight);
    let title = format!("{} digits to learn from, means over {SEEDS} runs", few.len());
    files::write_text(
        &out.join("batchnorm_vs_dropout.svg"),
        &figure(&title, 2, (560, 420), vec![loss, error]),
    )
}

fn main() -> ExitCode {
    support::run("batchnorm_vs_dropout", batchnorm_vs_dropout)
}
