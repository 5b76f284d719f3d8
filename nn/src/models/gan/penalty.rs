//! The gradient penalty (I. Gulrajani et al., "Improved training of Wasserstein GANs", 2017, equation 3).

use ir::ops::Distribution::Uniform;
use ir::{Error, Shape, Value};

use crate::Context;

/// Keeps the norm's own derivative finite where a gradient is 0. It moves a norm of 1 by 5e-13.
const SQUARE_EPS: f64 = 1e-12;

/// The mean over rows of `(|d D(u) / d u| - 1)^2` where `u = e x + (1 - e) G(z)`, with `e` uniform on 0..1 for each row: `f32[]`.
/// The norm is over all values of a row. `judge` gives the scores of rows; a row's score must depend on that row alone, which with
/// batch normalisation it does not.
pub(super) fn gradient_penalty(
    cx: &mut Context,
    real: Value,
    made: Value,
    judge: &dyn Fn(&mut Context, Value) -> Result<Value, Error>,
) -> Result<Value, Error> {
    let mut shape = vec![1; cx.shape(real).rank()];
    shape[0] = cx.shape(real)[0];
    let share = cx.draw(Uniform, Shape::from(shape.as_slice()))?;
    let between = cx.eval(share * real + (1.0 - share) * made)?;
    let scores = judge(cx, between)?;
    let total = cx.eval(scores.sum_all())?;
    let gradient = cx.grad(total, &[between])?[0];
    let axes: Vec<usize> = (1..cx.shape(gradient).rank()).collect();
    let norm = cx.eval((gradient.square().sum(&axes) + SQUARE_EPS).sqrt())?;
    cx.eval((norm - 1.0).square().mean_all())
}
