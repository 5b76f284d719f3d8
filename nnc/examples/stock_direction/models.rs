//! Three ways to score how likely a share is to rise, each fitted to past days alone.

use nn::models::{Logistic, Mlp};
use nn::{Activation, AdamW, Layer, Loss, Supervised};
use nnc::data::{Dataset, Normalisation, Targets};
use nnc::trainer::{FitOptions, silent};
use nnc::{Error, Trainer, TrainerOptions};
use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::xgboost::{XGRegressor, XGRegressorParameters};

use crate::features::{FEATURES, Observation};

/// The models, by name.
pub const MODELS: [(&str, Fit); 3] =
    [("logistic regression", logistic), ("feed-forward network", network), ("boosted trees", trees)];

/// Fits a model to the first and returns the scores of the second: the greater, the likelier the share rises, above 0
/// where that is likelier than not. Both are in the order of their days.
type Fit = fn(&[Observation], &[Observation]) -> Result<Vec<f64>, Error>;

/// The last part of the past, on which the network is watched while it learns from the rest.
const WATCHED: f64 = 0.15;

fn logistic(past: &[Observation], future: &[Observation]) -> Result<Vec<f64>, Error> {
    let options = FitOptions::epochs(8);
    learned(Logistic::new(FEATURES.len(), 2), AdamW::new(2e-3), past, future, &options)
}

fn network(past: &[Observation], future: &[Observation]) -> Result<Vec<f64>, Error> {
    let model = Mlp { dropout: 0.1, ..Mlp::new(&[FEATURES.len(), 32, 16, 2], Activation::Relu) };
    let options = FitOptions { patience: Some(4), keep_best: true, ..FitOptions::epochs(25) };
    learned(model, AdamW::new(2e-3).weight_decay(0.05), past, future, &options)
}

/// Logit of "rises" less that of "falls".
fn learned(
    model: impl Layer + 'static,
    optimizer: AdamW,
    past: &[Observation],
    future: &[Observation],
    options: &FitOptions,
) -> Result<Vec<f64>, Error> {
    let known = past.len() - (WATCHED * past.len() as f64) as usize;
    let train = dataset(&past[..known])?;
    let scaling = Normalisation::standardise(&train); // chosen from the past, as all else
    let [train, watched, future] =
        [train, dataset(&past[known..])?, dataset(future)?].map(|set| scaling.apply(&set));
    let trainer_options = TrainerOptions { batch: 128, seed: 1, ..TrainerOptions::default() };
    let network = Supervised::new([FEATURES.len()], model, Loss::cross_entropy());
    let mut trainer = Trainer::new("direction", network, optimizer, trainer_options)?;
    trainer.fit(&train?, Some(&watched?), options, &mut silent)?;
    let logits = trainer.predict(&future?)?;
    Ok(logits.chunks_exact(2).map(|row| f64::from(row[1]) - f64::from(row[0])).collect())
}

fn dataset(observations: &[Observation]) -> Result<Dataset, Error> {
    let rows = observations.iter().flat_map(|observation| observation.features).collect();
    let labels = observations.iter().map(|observation| i64::from(observation.next_return > 0.0)).collect();
    let names = ["falls", "rises"].map(str::to_owned).to_vec();
    Dataset::new("prices", [FEATURES.len()], rows, Targets::Classes { labels, names })
}

/// Trees that are fitted, one after the other, to what is left of the directions 0 and 1 (T. Chen and C. Guestrin,
/// "XGBoost", 2016, with the squared error as its loss).
fn trees(past: &[Observation], future: &[Observation]) -> Result<Vec<f64>, Error> {
    let matrix = |observations: &[Observation]| {
        let rows = observations.iter().flat_map(|observation| observation.features.map(f64::from)).collect();
        DenseMatrix::new(observations.len(), FEATURES.len(), rows, false)
    };
    let failed = |error| Error::invalid("boosted trees", format!("{error}"), "give more days");
    let directions: Vec<f64> = past.iter().map(|it| f64::from(u8::from(it.next_return > 0.0))).collect();
    let parameters = XGRegressorParameters::default()
        .with_n_estimators(50)
        .with_max_depth(3)
        .with_learning_rate(0.05)
        .with_min_child_weight(50)
        .with_subsample(0.3);
    let fitted = XGRegressor::fit(&matrix(past).map_err(failed)?, &directions, parameters).map_err(failed)?;
    let parts = fitted.predict(&matrix(future).map_err(failed)?).map_err(failed)?;
    Ok(parts.into_iter().map(|part: f64| part - 0.5).collect())
}
