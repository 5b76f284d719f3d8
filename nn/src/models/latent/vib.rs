//! The variational information bottleneck.

use ir::{DType, Error};

use super::gaussian::hidden;
use super::{CODE, Gaussian, KL};
use crate::supervised::{ACCURACY, PREDICTION, ROWS, TARGETS};
use crate::{Context, Linear, Loss, Network, Nonlinearity, Outputs, metric};

/// A classifier whose code keeps as little of a row as it can (A. Alemi et al., "Deep variational information bottleneck", 2017,
/// equation 17): an encoder tells a normal distribution of codes, a dense layer the logits of the classes for a code that is drawn
/// from it. The loss is the cross entropy with the label and beta times the divergence from the standard normal distribution, both in nats; the mean
/// divergence, the metric `kl`, bounds what the code tells of the row, I(x; z), from above, and the entropy of the labels less the cross
/// entropy bounds what it tells of the label, I(z; y), from below.
///
/// Its inputs are `x`, `[rows, values]`, and the labels `y`, `i64[rows]`; its results are `prediction`, the logits for the mean code, and
/// `code`, the means. In use the loss is the cross entropy alone, with one code drawn for each row.
#[derive(Clone, Debug, PartialEq)]
pub struct Vib {
    /// The number of values of a row.
    pub values: usize,
    /// The sizes of the hidden layers of the encoder.
    pub hidden: Vec<usize>,
    /// The number of values of a code.
    pub code: usize,
    /// What follows hidden layers.
    pub activation: Nonlinearity,
    /// The number of classes.
    pub classes: usize,
    /// What the divergence from the prior counts in training.
    pub beta: f64,
}

impl Network for Vib {
    fn build(&self, cx: &mut Context, rows: usize) -> Result<Outputs, Error> {
        let x = cx.input(ROWS, DType::F32, [rows, self.values])?;
        let labels = cx.input(TARGETS, DType::I64, [rows])?;
        let posterior = cx.scope("encoder", |cx| {
            let seen = hidden(cx, &self.hidden, &self.activation, x)?;
            Gaussian::of(cx, seen, self.code)
        })?;
        let code = posterior.draw(cx)?;
        let classifier = Linear::new(self.code, self.classes);
        let logits = cx.layer("classifier", &classifier, code)?;
        let cross_entropy = Loss::cross_entropy().mean(cx, logits, labels)?;
        let kl = posterior.divergence(cx)?;
        let kl = cx.eval(kl.mean_all())?;
        let loss = if cx.is_training() { cx.eval(cross_entropy + kl * self.beta)? } else { cross_entropy };
        let prediction = cx.shared("classifier", &classifier, posterior.mean)?;
        let correct = Loss::cross_entropy().correct_count(cx, prediction, labels)?;
        let outputs = Outputs::new().result(PREDICTION, prediction).result(CODE, posterior.mean);
        let outputs = outputs.loss(loss).metric(KL, kl);
        Ok(match correct {
            Some(correct) => outputs.metric(ACCURACY, metric::part_of(cx, correct, rows)?),
            None => outputs,
        })
    }
}
