//! Adam: steps scaled by running moments of the gradient; and AdamW, which decays weights apart from them.

use ir::{DType, Error, Value};

use super::{
    Gradient, Optimizer, check_decay, check_size, decayed, learning_rate, moment, scaled, states::count,
};
use crate::{Context, Parameter};

/// Adam (D. P. Kingma and J. Ba, 2015, algorithm 1), as PyTorch has it. With `g` the gradient plus `weight_decay` times
/// the parameter, in step t = 1, 2, ..:
///
/// ```text
/// m = beta1 m + (1 - beta1) g            c1 = 1 - beta1^t
/// v = beta2 v + (1 - beta2) g^2          c2 = 1 - beta2^t
/// p -= learning_rate / c1 * m / (sqrt(v) / sqrt(c2) + eps)
/// ```
///
/// `m` and `v` are the states `exp_avg` and `exp_avg_sq` of each parameter; t is the state `adam.step`.
///
/// ```
/// let optimizer = nn::Adam::new(3e-3);
/// assert_eq!((optimizer.beta1, optimizer.beta2, optimizer.eps), (0.9, 0.999, 1e-8));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// The size of a step.
    pub learning_rate: f64,
    /// The decay of the mean of gradients, from 0 to below 1.
    pub beta1: f64,
    /// The decay of the mean of squared gradients, from 0 to below 1.
    pub beta2: f64,
    /// What keeps the division from zero.
    pub eps: f64,
    /// What is added to the gradient per unit of the parameter.
    pub weight_decay: f64,
}

impl Default for Adam {
    /// The settings of the paper: 0.001, 0.9, 0.999, 1e-8, and no weight decay.
    fn default() -> Adam {
        Adam { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 }
    }
}

impl Adam {
    /// The default but for the learning rate.
    pub fn new(learning_rate: f64) -> Adam {
        Adam { learning_rate, ..Adam::default() }
    }

    /// With weight decay, which enters the moments; [`AdamW`] keeps it out of them.
    pub fn weight_decay(self, weight_decay: f64) -> Adam {
        Adam { weight_decay, ..self }
    }
}

/// Adam with weight decay apart from the moments (I. Loshchilov and F. Hutter, "Decoupled weight decay regularization",
/// 2019, algorithm 2), as PyTorch has it: `p -= learning_rate weight_decay p`, and then the step of [`Adam`] with the
/// gradient alone.
///
/// ```
/// let optimizer = nn::AdamW::new(3e-3);
/// assert_eq!(optimizer.0, nn::Adam::new(3e-3).weight_decay(0.01));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW(pub Adam);

impl Default for AdamW {
    /// Those of [`Adam`], and a weight decay of 0.01.
    fn default() -> AdamW {
        AdamW::new(1e-3)
    }
}

impl AdamW {
    /// The default but for the learning rate.
    pub fn new(learning_rate: f64) -> AdamW {
        AdamW(Adam::new(learning_rate).weight_decay(0.01))
    }

    /// With another weight decay.
    pub fn weight_decay(self, weight_decay: f64) -> AdamW {
        AdamW(self.0.weight_decay(weight_decay))
    }
}

impl Optimizer for Adam {
    fn follow(&self, cx: &mut Context, gradients: &[Gradient]) -> Result<(), Error> {
        follow(self, "adam", cx, gradients, |cx, gradient, _| {
            let g = decayed(cx, gradient, self.weight_decay)?;
            Ok((g, gradient.parameter.value))
        })
    }
}

impl Optimizer for AdamW {
    fn follow(&self, cx: &mut Context, gradients: &[Gradient]) -> Result<(), Error> {
        follow(&self.0, "adamw", cx, gradients, |cx, gradient, rate| {
            let decay = scaled(rate, -self.0.weight_decay * gradient.weight_decay);
            Ok((gradient.value, cx.eval(gradient.parameter.value * (decay + 1.0))?))
        })
    }
}

/// The step. `decay` gives, for a gradient and the learning rate of its parameter, the gradient that enters the moments
/// and the value from which the parameter moves.
fn follow(
    adam: &Adam,
    name: &str,
    cx: &mut Context,
    gradients: &[Gradient],
    decay: impl Fn(&mut Context, &Gradient, Value) -> Result<(Value, Value), Error>,
) -> Result<(), Error> {
    adam.check(name)?;
    // What depends on the number of the step alone: scalars, computed once for all parameters.
    let rate = learning_rate(cx, gradients, adam.learning_rate)?;
    let step = count_steps(cx, cx.dtype(rate))?;
    let c1 = bias_correction(cx, step, adam.beta1)?;
    let c2 = bias_correction(cx, step, adam.beta2)?;
    let corrected_rate = cx.eval(rate / c1)?;
    let inverse_root = cx.eval(c2.rsqrt())?;
    let eps = cx.float_like(rate, adam.eps);

    for gradient in gradients {
        let rate = cx.eval(scaled(rate, gradient.learning_rate))?;
        let (g, from) = decay(cx, gradient, rate)?;
        let (next_mean, next_square) = moments(cx, adam, &gradient.parameter, g)?;
        let direction = next_mean / (next_square.sqrt() * inverse_root + eps);
        let change = direction * scaled(corrected_rate, gradient.learning_rate);
        cx.update(gradient.parameter.value, from - change)?;
    }
    Ok(())
}

/// The next moments of a parameter whose gradient is `g`: the mean of gradients and that of their squares.
pub(super) fn moments(
    cx: &mut Context,
    adam: &Adam,
    parameter: &Parameter,
    g: Value,
) -> Result<(Value, Value), Error> {
    let mean = moment(cx, parameter, "exp_avg")?;
    let next_mean = cx.eval(mean * adam.beta1 + g * (1.0 - adam.beta1))?;
    cx.update(mean, next_mean)?;

    let square = moment(cx, parameter, "exp_avg_sq")?;
    let gradient_square = cx.eval(g.square())?;
    let next_square = cx.eval(square * adam.beta2 + gradient_square * (1.0 - adam.beta2))?;
    cx.update(square, next_square)?;
    Ok((next_mean, next_square))
}

impl Adam {
    pub(super) fn check(&self, name: &str) -> Result<(), Error> {
        check_size(name, "the learning rate", self.learning_rate)?;
        check_decay(name, "beta1", self.beta1)?;
        check_decay(name, "beta2", self.beta2)?;
        check_size(name, "eps", self.eps)?;
        check_size(name, "the weight decay", self.weight_decay)
    }
}

/// The number of this step, from 1, as a float of rank 0; it is counted as an `i64[]`.
pub(super) fn count_steps(cx: &mut Context, dtype: DType) -> Result<Value, Error> {
    let step = count(cx, "adam.step")?;
    cx.cast(step, dtype)
}

/// `1 - beta^t` as `-expm1(t ln beta)`, so that it is as precise in step 1, where it is near 0, as after millions; a
/// running product of an `f32` near 1 is not. 1 where `beta` is 0.
pub(super) fn bias_correction(cx: &mut Context, step: Value, beta: f64) -> Result<Value, Error> {
    if beta == 0.0 {
        return Ok(cx.float_like(step, 1.0));
    }
    cx.eval(-(step * beta.ln()).expm1())
}
