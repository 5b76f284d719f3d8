//! What a model is worth on a data set.

use std::collections::BTreeMap;

use nn::supervised::ACCURACY;
use serde::{Deserialize, Deserializer, Serialize};

use super::metrics;
use crate::data::{Dataset, Targets};

/// The k of [`Evaluation::top_3_accuracy`].
const TOP: usize = 3;

/// The loss on examples, the metrics that the network reports, and those that suit the targets of a data set: of classes `accuracy`, `top_3_accuracy` (where there
/// are more than three) and `area_under_curve`; of values `mean_absolute_error` and `r2`. [`metrics`] defines them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The mean loss, without class weights and label smoothing.
    #[serde(deserialize_with = "null_as_nan")]
    pub loss: f64,
    /// The number of rows.
    pub rows: usize,
    /// The number of rows that were classified right.
    pub correct: Option<usize>,
    /// The part of the rows that were.
    pub accuracy: Option<f64>,
    /// The part of the rows whose class is among the three of the greatest scores.
    pub top_3_accuracy: Option<f64>,
    /// The area under the ROC curve.
    pub area_under_curve: Option<f64>,
    /// The mean of |prediction - target|.
    pub mean_absolute_error: Option<f64>,
    /// The coefficient of determination.
    pub r2: Option<f64>,
    /// The means of the network's own metrics.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
}

impl Evaluation {
    /// That of a mean loss over so many rows.
    pub fn of_loss(loss: f64, rows: usize) -> Evaluation {
        Evaluation { loss, rows, ..Evaluation::default() }
    }

    /// With what predictions, `f32[rows, outputs]`, are worth for the targets of `data`; of values that were scaled, in the scale that they
    /// had before.
    pub fn with_predictions(mut self, outputs: &[f32], data: &Dataset) -> Evaluation {
        let rows = data.len();
        let width = outputs.len() / rows.max(1);
        self.metrics.remove(ACCURACY);
        let none = self;
        match data.targets() {
            Targets::Classes { labels, .. } => {
                let correct = metrics::top_k_correct(outputs, labels, 1);
                Evaluation {
                    correct: Some(correct),
                    accuracy: Some(correct as f64 / rows.max(1) as f64),
                    top_3_accuracy: (width > TOP).then(|| metrics::top_k_accuracy(outputs, labels, TOP)),
                    area_under_curve: metrics::classifier_area(outputs, labels, width),
                    ..none
                }
            }
            Targets::Values { values, names } => {
                let scaled_back = |values: &[f32]| match data.target_normalisation() {
                    Some(normalisation) => normalisation.undo(values),
                    None => values.to_vec(),
                };
                let (outputs, values) = (scaled_back(outputs), scaled_back(values));
                Evaluation {
                    mean_absolute_error: Some(metrics::mean_absolute_error(&outputs, &values)),
                    r2: metrics::r2(&outputs, &values, names.len()),
                    ..none
                }
            }
        }
    }

    /// With the accuracy that the network itself reports, of sequences that of the steps that count.
    pub(super) fn with_own_accuracy(mut self) -> Evaluation {
        self.accuracy = self.metrics.remove(ACCURACY).or(self.accuracy);
        self
    }

    /// The metrics that there are, with their names for people. The values are numbers or, where `true`, parts of a whole.
    pub fn named_metrics(&self) -> Vec<(&str, f64, bool)> {
        let all = [
            ("accuracy", self.accuracy, true),
            ("top-3 accuracy", self.top_3_accuracy, true),
            ("area under ROC", self.area_under_curve, false),
            ("mean abs. error", self.mean_absolute_error, false),
            ("R2", self.r2, false),
        ];
        let known = all.into_iter().filter_map(|(name, value, is_part)| Some((name, value?, is_part)));
        known.chain(self.metrics.iter().map(|(name, &value)| (name.as_str(), value, false))).collect()
    }
}

/// JSON has no number for what is not finite, and `null` instead.
pub(super) fn null_as_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_suit_the_targets() {
        let classes = Targets::classes(vec![0, 1], 2);
        let data = Dataset::new("toy", [1], vec![0.0, 1.0], classes).unwrap();
        let evaluation = Evaluation::of_loss(0.5, 2).with_predictions(&[1.0, 0.0, 1.0, 0.5], &data);
        let names: Vec<&str> = evaluation.named_metrics().iter().map(|(name, ..)| *name).collect();
        assert_eq!(names, ["accuracy", "area under ROC"]);
        assert_eq!((evaluation.correct, evaluation.area_under_curve), (Some(1), Some(1.0)));
        let data = Dataset::new("toy", [1], vec![0.0, 1.0], Targets::values(vec![1.0, 3.0], 1)).unwrap();
        let evaluation = Evaluation::of_loss(0.5, 2).with_predictions(&[1.0, 2.0], &data);
        assert_eq!((evaluation.accuracy, evaluation.mean_absolute_error), (None, Some(0.5)));
        assert_eq!(evaluation.r2, Some(0.5));
    }

    #[test]
    fn a_loss_that_is_not_finite_can_be_kept() {
        let evaluation = Evaluation { loss: f64::INFINITY, ..Evaluation::default() };
        let text = serde_json::to_string(&evaluation).unwrap();
        assert!(serde_json::from_str::<Evaluation>(&text).unwrap().loss.is_nan(), "{text}");
    }
}
