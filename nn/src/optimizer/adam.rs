//! Adam: steps scaled by running moments of the gradient.

use ir::{DType, Error, Init, Value};

use super::{Optimizer, check, check_decay, check_learning_rate, moment};
use crate::Context;

/// Adam (D. P. Kingma and J. Ba, 2015, algorithm 1), as PyTorch has it. With `g` the gradient, in step t = 1, 2, ..:
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
}

impl Default for Adam {
    /// The settings of the paper: 0.001, 0.9, 0.999 and 1e-8.
    fn default() -> Adam {
        Adam { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8 }
    }
}

impl Adam {
    /// The default but for the learning rate.
    pub fn new(learning_rate: f64) -> Adam {
        Adam { learning_rate, ..Adam::default() }
    }
}

impl Optimizer for Adam {
    fn step(&self, cx: &mut Context, loss: Value) -> Result<(), Error> {
        check_learning_rate("adam", self.learning_rate)?;
        check_decay("adam", "beta1", self.beta1)?;
        check_decay("adam", "beta2", self.beta2)?;
        check(
            "adam",
            "eps",
            self.eps,
            self.eps.is_finite() && self.eps >= 0.0,
            "a finite number of at least 0",
        )?;
        let gradients = cx.gradients(loss)?;
        let number = |cx: &mut Context, value: f64| cx.float_like(loss, value);

        // What depends on the number of the step alone: scalars, computed once for all parameters.
        let step = count_steps(cx)?;
        let dtype = cx.dtype(loss);
        let step = cx.cast(step, dtype)?;
        let c1 = bias_correction(cx, step, self.beta1)?;
        let c2 = bias_correction(cx, step, self.beta2)?;
        let rate = number(cx, self.learning_rate);
        let rate = cx.div(rate, c1)?;
        let inverse_root = cx.rsqrt(c2)?;

        let [beta1, rest1, beta2, rest2, eps] =
            [self.beta1, 1.0 - self.beta1, self.beta2, 1.0 - self.beta2, self.eps]
                .map(|value| number(cx, value));
        for (parameter, gradient) in cx.parameters().to_vec().iter().zip(gradients) {
            let mean = moment(cx, parameter, "exp_avg")?;
            let next_mean = weighted_sum(cx, [(beta1, mean), (rest1, gradient)])?;
            cx.update(mean, next_mean)?;

            let square = moment(cx, parameter, "exp_avg_sq")?;
            let gradient_square = cx.square(gradient)?;
            let next_square = weighted_sum(cx, [(beta2, square), (rest2, gradient_square)])?;
            cx.update(square, next_square)?;

            let root = cx.sqrt(next_square)?;
            let root = cx.mul(root, inverse_root)?;
            let divisor = cx.add(root, eps)?;
            let direction = cx.div(next_mean, divisor)?;
            let change = cx.mul(direction, rate)?;
            let next = cx.sub(parameter.value, change)?;
            cx.update(parameter.value, next)?;
        }
        Ok(())
    }
}

/// The number of this step, from 1: an `i64[]`.
fn count_steps(cx: &mut Context) -> Result<Value, Error> {
    let before = cx.state("adam.step", DType::I64, [], Init::Constant(0.0))?;
    let one = cx.scalar(ir::Scalar::I64(1));
    let step = cx.add(before, one)?;
    cx.update(before, step)?;
    Ok(step)
}

/// `1 - beta^t` as `-expm1(t ln beta)`, so that it is as precise in step 1, where it is near 0, as after millions; a
/// running product of an `f32` near 1 is not. 1 where `beta` is 0.
fn bias_correction(cx: &mut Context, step: Value, beta: f64) -> Result<Value, Error> {
    if beta == 0.0 {
        return Ok(cx.float_like(step, 1.0));
    }
    let log_beta = cx.float_like(step, beta.ln());
    let exponent = cx.mul(step, log_beta)?;
    let power_minus_one = cx.expm1(exponent)?;
    cx.neg(power_minus_one)
}

/// `w0 x0 + w1 x1` with scalar weights.
fn weighted_sum(cx: &mut Context, terms: [(Value, Value); 2]) -> Result<Value, Error> {
    let [first, second] = terms.map(|(weight, x)| cx.mul(x, weight));
    cx.add(first?, second?)
}
