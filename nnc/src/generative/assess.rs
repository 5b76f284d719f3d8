//! What a model's samples are worth beside the rows that it has learnt from.

use ir::{DType, Init, Tensor, Type};
use nn::supervised::TARGETS;
use serde::Serialize;

use super::{CHAIN_STEPS, Judge, Sampling, draw, sample};
use crate::data::Dataset;
use crate::models::{Architecture, generative_of};
use crate::{Error, Model, Options};

/// At most so many rows are compared with as many: neighbours are searched among all pairs.
const MOST_ROWS: usize = 2000;
/// The neighbours of [`Features::precision_recall`](super::Features::precision_recall), as in its paper.
const NEIGHBOURS: usize = 3;
/// The stream of noise, far from those of initial weights and codes.
const STREAM: u32 = 0xC0DF_0000;

/// Measures that are not the model's own loss, in the features of a classifier of the rows for training; all distances are to these
/// rows, and of as many rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Assessment {
    /// The number of samples.
    pub samples: usize,
    /// The [Fréchet distance](super::Features::frechet_distance) of samples.
    pub frechet_distance: f64,
    /// That of the rows for testing.
    pub of_test_rows: f64,
    /// That of noise, uniform between the least and the greatest value of the rows.
    pub of_noise: f64,
    /// The part of the samples that are among the rows.
    pub precision: f64,
    /// The part of the rows that are among the samples.
    pub recall: f64,
    /// The part of the samples that the classifier takes for the class that was asked for, where the model knows classes.
    pub as_asked: Option<f64>,
}

/// Assesses the samples of a model, as it was trained and is tested on rows of classes; `None` of one that draws no rows, and of rows
/// without classes.
///
/// # Errors
/// Where the model does not make such rows, or the classifier cannot be trained.
pub fn assess(
    model: &Model,
    train: &Dataset,
    test: &Dataset,
    options: &Options,
) -> Result<Option<Assessment>, Error> {
    if train.labels().is_none() || test.len() < 2 * NEIGHBOURS {
        return Ok(None);
    }
    let samples = test.len().min(MOST_ROWS);
    let Some(made) = draw_rows(model, samples, options)? else { return Ok(None) };
    let first = |data: &Dataset, count: usize| data.subset(&(0..count as u32).collect::<Vec<u32>>()).tensor();
    let mut judge = Judge::train(train, options)?;
    let known = judge.features(&first(train, train.len().min(MOST_ROWS)))?;
    let of_made = judge.features(&made)?;
    let of_test = judge.features(&first(test, samples))?;
    let values = train.rows().iter().copied().map(f64::from);
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    let noise = Init::Uniform { low, high, stream: STREAM };
    let noise = noise.materialize(&Type::new(DType::F32, [samples, train.features()]), 0);
    let of_noise = judge.features(&noise)?;
    let quality = known.precision_recall(&of_made, NEIGHBOURS)?;
    let as_asked = match model.inputs().any(|(name, _)| name == TARGETS) {
        true => Some(part_as_asked(&mut judge, &made, train.outputs())?),
        false => None,
    };
    Ok(Some(Assessment {
        samples,
        frechet_distance: known.frechet_distance(&of_made)?,
        of_test_rows: known.frechet_distance(&of_test)?,
        of_noise: known.frechet_distance(&of_noise)?,
        precision: quality.precision,
        recall: quality.recall,
        as_asked,
    }))
}

/// Rows that a model draws, by codes or by chains; `None` where it draws none.
fn draw_rows(model: &Model, count: usize, options: &Options) -> Result<Option<Tensor>, Error> {
    let architecture = Architecture::find(model.name())?;
    if architecture.sampler.is_some() {
        return draw(model, count, CHAIN_STEPS, 0, options).map(Some);
    }
    let has_prior =
        architecture.generative.is_some() && generative_of(model.name(), model.description())?.has_prior();
    if has_prior { sample(model, count, &Sampling::default(), options).map(Some) } else { Ok(None) }
}

/// The part of samples, of each class in turn, that are of their class.
fn part_as_asked(judge: &mut Judge, made: &Tensor, classes: usize) -> Result<f64, Error> {
    let labels = judge.labels(made)?;
    let right = labels.iter().enumerate().filter(|&(row, &label)| label == row % classes).count();
    Ok(right as f64 / labels.len() as f64)
}
