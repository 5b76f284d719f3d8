//! Digits of which a hundred have labels: the semi-supervised variational autoencoder M2 of D. P. Kingma et al., 2014, learns from all of them; a
//! classifier of the same layers learns from the hundred alone.
//!
//! The table has the mean and the standard deviation over seeds of the accuracy on the test part. A seed decides which digits have labels, as
//! many of each class, the initial weights and all draws. Nothing but the number of epochs ends training. Settings were chosen with
//! a fifth of the training part held out.

use nn::models::{Likelihood, SemiSupervisedVae, Vae};
use nn::schedule::{Decay, Schedule};
use nn::supervised::{PREDICTION, ROWS, TARGETS};
use nn::{Activation, Adam, Context, Loss, Network, Outputs};
use nnc::data::few_labels::{balanced_rows, with_labels_of};
use nnc::data::{Dataset, Examples, digits};
use nnc::ir::DType;
use nnc::layerwise::few_labels::Accuracies;
use nnc::trainer::{FitOptions, silent};
use nnc::{Error, Options, Trainer, TrainerOptions};

/// The number of runs of each kind, where no other is given as an argument.
const SEEDS: u64 = 5;
/// The digits that have labels.
const LABELS: usize = 100;

fn main() -> Result<(), Error> {
    let seeds = std::env::args().nth(1).and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    let (train, test) = digits();
    let (train, test) = (train.reshaped([64])?, test.reshaped([64])?);
    let vae = Vae::new(64, &[256], 8, Activation::Relu, Likelihood::Bernoulli);
    let model = SemiSupervisedVae { vae: Vae { classes: 10, ..vae }, alpha: 10.0 };
    let (mut alone, mut both) = (Accuracies { all: Vec::new() }, Accuracies { all: Vec::new() });
    for seed in 0..seeds {
        let rows = balanced_rows(&train, LABELS, seed)?;
        let classifier = classifier(model.clone());
        alone.all.push(accuracy(classifier, &train.subset(&rows), &test, (300, 20), seed)?);
        both.all.push(accuracy(model.clone(), &with_labels_of(&train, &rows)?, &test, (100, 32), seed)?);
    }
    println!("test accuracy with {LABELS} labels, mean and standard deviation of {seeds} seeds");
    for (name, found) in [("the classifier alone", &alone), ("with a variational autoencoder", &both)] {
        println!("{name:<32} {:.2} +- {:.2} %", 100.0 * found.mean(), 100.0 * found.deviation());
    }
    Ok(())
}

/// The classifier of the model as a network of its own.
fn classifier(model: SemiSupervisedVae) -> impl Network {
    move |cx: &mut Context, rows: usize| {
        let x = cx.input(ROWS, DType::F32, [rows, model.vae.values])?;
        let labels = cx.input(TARGETS, DType::I64, [rows])?;
        let logits = model.classify(cx, x)?;
        let loss = Loss::cross_entropy().mean(cx, logits, labels)?;
        Ok(Outputs::new().result(PREDICTION, logits).loss(loss))
    }
}

/// The accuracy on `test` after so many epochs, in batches of so many rows.
fn accuracy(
    network: impl Network + 'static,
    train: &impl Examples,
    test: &Dataset,
    (epochs, batch): (usize, usize),
    seed: u64,
) -> Result<f64, Error> {
    let compile = Options { threads: 2, ..Options::default() };
    let options = TrainerOptions { batch, seed, compile, ..TrainerOptions::default() };
    let mut trainer = Trainer::new("digits", network, Adam::new(0.003), options)?;
    let steps = (epochs * train.arrays().len().div_ceil(batch)) as u64;
    let schedule = Schedule { warm_up: 0, decay: Decay::Cosine { steps, least: 0.0 } };
    trainer.fit(train, None, &FitOptions { schedule, ..FitOptions::epochs(epochs) }, &mut silent)?;
    Ok(trainer.evaluate(test)?.accuracy.unwrap_or(0.0))
}
