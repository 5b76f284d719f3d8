//! Rosenblatt's perceptron.

use ir::{Error, Value};

use super::logistic::linear_scores;
use crate::{Context, Layer, Loss};

/// Scores `x W^T + b` of which the greatest is the answer (F. Rosenblatt, 1958; with a row of weights per class, R. O. Duda
/// and P. E. Hart, 1973, section 5.12). It differs from [`Logistic`](super::Logistic) in what it minimises: the perceptron
/// criterion, which is 0 as soon as all rows are classified right and cares for no margin.
///
/// ```
/// use nn::{Loss, models::Perceptron};
/// assert_eq!(Perceptron::LOSS, Loss::MultiClassPerceptron);
/// assert_eq!(Perceptron::new(64, 10).classes, 10);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Perceptron {
    /// The number of values in a row.
    pub features: usize,
    /// The number of classes.
    pub classes: usize,
}

impl Perceptron {
    /// The loss that goes with the model.
    pub const LOSS: Loss = Loss::MultiClassPerceptron;

    /// From `features` values to `classes` scores.
    pub fn new(features: usize, classes: usize) -> Perceptron {
        Perceptron { features, classes }
    }
}

impl Layer for Perceptron {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        linear_scores(cx, x, self.features, self.classes)
    }
}
