//! What pre-training is worth where few rows have labels: classifiers that differ in nothing but where they start, each trained on the same
//! few labelled rows.

use std::ops::Range;

use ir::Tensor;
use nn::models::Mlp;
use nn::{Activation, Adam, Loss, Supervised};

use super::{Pretrained, Pretraining, pretrain};
use crate::data::Dataset;
use crate::trainer::shuffle::permutation;
use crate::trainer::{FitOptions, silent};
use crate::{Error, Options, Trainer, TrainerOptions};

/// The classifier, and how it is trained, with and without pre-training alike.
#[derive(Clone, Debug)]
pub struct FineTuning {
    /// The sizes of its layers: of a row, of each hidden layer, the number of classes.
    pub sizes: Vec<usize>,
    /// What follows each hidden layer.
    pub activation: Activation,
    /// Epochs over the rows that have labels. Nothing ends it earlier.
    pub epochs: usize,
    /// The number of rows in a batch.
    pub batch: usize,
    /// The learning rate of [`Adam`].
    pub learning_rate: f64,
    /// How programs are compiled.
    pub compile: Options,
}

impl FineTuning {
    /// A sigmoid network of these sizes, in batches of 20 for 100 epochs at a learning rate of 0.003.
    pub fn new(sizes: &[usize]) -> FineTuning {
        FineTuning {
            sizes: sizes.to_vec(),
            activation: Activation::Sigmoid,
            epochs: 100,
            batch: 20,
            learning_rate: 3e-3,
            compile: Options::default(),
        }
    }
}

/// Accuracies, one for each seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Accuracies {
    /// The part of the test rows that is classified right, for each seed.
    pub all: Vec<f64>,
}

impl Accuracies {
    /// Their mean.
    pub fn mean(&self) -> f64 {
        self.all.iter().sum::<f64>() / self.all.len() as f64
    }

    /// Their standard deviation, over one less than their number; 0 of one.
    pub fn deviation(&self) -> f64 {
        let squares: f64 = self.all.iter().map(|it| (it - self.mean()).powi(2)).sum();
        (squares / (self.all.len() as f64 - 1.0).max(1.0)).sqrt()
    }
}

/// The accuracies on `test` of classifiers that have been trained on so many `labelled` rows of `train` with their labels: for each of these
/// numbers, one for each seed. A seed decides which rows these are (the fewer are among the more), the initial weights, and all draws.
/// Where there is a pre-training, layers are first trained on all rows of `train` without their labels, with the seed in the
/// place of its own.
///
/// # Errors
/// Where there are fewer rows than are to have labels, or training fails.
pub fn accuracies(
    train: &Dataset,
    test: &Dataset,
    labelled: &[usize],
    seeds: Range<u64>,
    pretraining: Option<&Pretraining>,
    fine_tuning: &FineTuning,
) -> Result<Vec<Accuracies>, Error> {
    if let Some(count) = labelled.iter().find(|count| !(1..=train.len()).contains(count)) {
        let problem = format!("{count} of {} rows are to have labels", train.len());
        return Err(Error::invalid("few labels", problem, format!("give from 1 to {}", train.len())));
    }
    if seeds.is_empty() {
        return Err(Error::invalid("few labels", "there are no seeds", "give at least one"));
    }
    let mut found = vec![Accuracies { all: Vec::new() }; labelled.len()];
    let rows = Tensor::new([train.len(), train.features()], train.rows().to_vec());
    let rows = rows.expect("as many as there are");
    for seed in seeds {
        let of_this_seed = |pretraining: &Pretraining| Pretraining { seed, ..pretraining.clone() };
        let pretrained = pretraining.map(|it| pretrain(&rows, &of_this_seed(it))).transpose()?;
        let order = permutation(train.len(), seed, LABELLED_STREAM);
        for (count, accuracies) in labelled.iter().zip(&mut found) {
            let part = train.subset(&order[..*count]);
            accuracies.all.push(fine_tune(&part, test, seed, pretrained.as_ref(), fine_tuning)?);
        }
    }
    Ok(found)
}

/// No epoch has this number, so that which rows have labels does not depend on how they are shuffled.
const LABELLED_STREAM: u64 = u64::MAX;

/// The accuracy on `test` of a classifier that has been trained on `labelled` rows, from pre-trained layers where there are some.
///
/// # Errors
/// Where layers do not fit the classifier, or training fails.
pub fn fine_tune(
    labelled: &Dataset,
    test: &Dataset,
    seed: u64,
    pretrained: Option<&Pretrained>,
    fine_tuning: &FineTuning,
) -> Result<f64, Error> {
    let FineTuning { sizes, activation, epochs, batch, learning_rate, compile } = fine_tuning;
    let row = [labelled.features()];
    let network = Supervised::new(row, Mlp::new(sizes, *activation), Loss::cross_entropy());
    let options = TrainerOptions {
        batch: (*batch).min(labelled.len()),
        seed,
        compile: compile.clone(),
        ..TrainerOptions::default()
    };
    let mut trainer = Trainer::new("classifier", network, Adam::new(*learning_rate), options)?;
    if let Some(pretrained) = pretrained {
        pretrained.start(&mut trainer)?;
    }
    trainer.fit(labelled, None, &FitOptions::epochs(*epochs), &mut silent)?;
    let accuracy = trainer.evaluate(test)?.accuracy;
    accuracy.ok_or_else(|| Error::invalid(test.name(), "its targets are values", "give classes"))
}
