//! Codes that are drawn from normal distributions.

use std::f64::consts::TAU;

use ir::ops::Distribution::Normal;
use ir::{Error, Value};

use crate::{Context, Layer, Linear};

/// Independent normal distributions: a code for each row, of which an encoder tells means and variances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gaussian {
    /// `[rows, code]`
    pub mean: Value,
    /// The logarithm of the variance, `[rows, code]`.
    pub log_variance: Value,
}

impl Gaussian {
    /// What two dense layers, `mean` and `log_variance`, make of the last hidden layer of an encoder, `[rows, hidden]`.
    ///
    /// # Errors
    /// Where there is a layer of such a name already.
    pub fn of(cx: &mut Context, hidden: Value, code: usize) -> Result<Gaussian, Error> {
        let layer = Linear::new(cx.shape(hidden)[1], code);
        let mean = cx.layer("mean", &layer, hidden)?;
        let log_variance = cx.layer("log_variance", &layer, hidden)?;
        Ok(Gaussian { mean, log_variance })
    }

    /// `mean + exp(log_variance / 2) noise`, a code for each row that gradients go through (D. Kingma and M. Welling,
    /// "Auto-encoding variational Bayes", 2014, section 2.4); `noise` is normal, `[rows, code]`.
    ///
    /// # Errors
    /// Where the noise is of another type.
    pub fn with_noise(self, cx: &mut Context, noise: Value) -> Result<Value, Error> {
        cx.eval(self.mean + (self.log_variance * 0.5).exp() * noise)
    }

    /// The same with noise that is drawn: in each step of training other numbers, elsewhere the same whenever it is run.
    ///
    /// # Errors
    /// As [`Context::draw`].
    pub fn draw(self, cx: &mut Context) -> Result<Value, Error> {
        let shape = cx.shape(self.mean).clone();
        let noise = cx.draw(Normal, shape)?;
        self.with_noise(cx, noise)
    }

    /// How far each row's distribution is from the standard normal one, in nats, `[rows]`:
    /// `KL = (sum_j mean_j^2 + variance_j - 1 - log variance_j) / 2` (the same, appendix B).
    ///
    /// # Errors
    /// None, where the two are of one type.
    pub fn divergence(self, cx: &mut Context) -> Result<Value, Error> {
        let Gaussian { mean, log_variance } = self;
        cx.eval((mean.square() + log_variance.exp() - log_variance - 1.0).sum(&[1]) * 0.5)
    }

    /// The logarithm of the density at a code, of each row, `[rows]`.
    ///
    /// # Errors
    /// Where the code is of another type.
    pub fn log_density(self, cx: &mut Context, code: Value) -> Result<Value, Error> {
        let distance = (code - self.mean).square() * (-self.log_variance).exp();
        cx.eval((distance + self.log_variance + TAU.ln()).sum(&[1]) * -0.5)
    }
}

/// The logarithm of the density of the standard normal distribution at codes `[rows, code]`: `[rows]`.
pub(super) fn log_prior(cx: &mut Context, code: Value) -> Result<Value, Error> {
    cx.eval((code.square() + TAU.ln()).sum(&[1]) * -0.5)
}

/// Hidden layers `fc1`, .. of these sizes, each with its activation, on `x`.
pub(super) fn hidden(
    cx: &mut Context,
    sizes: &[usize],
    activation: &dyn Layer,
    x: Value,
) -> Result<Value, Error> {
    (sizes.iter().zip(1..)).try_fold(x, |x, (&size, number)| {
        let y = cx.layer(format!("fc{number}"), &Linear::new(cx.shape(x)[1], size), x)?;
        activation.forward(cx, y)
    })
}
