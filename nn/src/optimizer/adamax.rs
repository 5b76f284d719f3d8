//! AdaMax: Adam with the greatest gradient in the place of the root of their mean square.

use ir::Error;

use super::adam::{bias_correction, count_steps};
use super::{Gradient, Optimizer, check_decay, check_size, decayed, descend, learning_rate, moment};
use crate::Context;

/// AdaMax (D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", 2015, section 7.1, algorithm 2), as PyTorch
/// has it. With `g` the gradient plus `weight_decay` times the parameter, in step t = 1, 2, ..:
///
/// ```text
/// m = beta1 m + (1 - beta1) g
/// u = max(beta2 u, |g| + eps)
/// p -= learning_rate / (1 - beta1^t) * m / u
/// ```
///
/// `m` and `u` are the states `exp_avg` and `exp_inf` of each parameter; t is the state `adam.step`.
///
/// ```
/// assert_eq!(nn::AdaMax::new(0.01), nn::AdaMax { learning_rate: 0.01, ..nn::AdaMax::default() });
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdaMax {
    /// The size of a step.
    pub learning_rate: f64,
    /// The decay of the mean of gradients, from 0 to below 1.
    pub beta1: f64,
    /// The decay of the greatest gradient, from 0 to below 1.
    pub beta2: f64,
    /// What keeps the division from zero.
    pub eps: f64,
    /// What is added to the gradient per unit of the parameter.
    pub weight_decay: f64,
}

impl Default for AdaMax {
    /// The settings of the paper, 0.002, 0.9 and 0.999, with PyTorch's eps of 1e-8, and no weight decay.
    fn default() -> AdaMax {
        AdaMax { learning_rate: 2e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 }
    }
}

impl AdaMax {
    /// The default but for the learning rate.
    pub fn new(learning_rate: f64) -> AdaMax {
        AdaMax { learning_rate, ..AdaMax::default() }
    }

    /// With weight decay.
    pub fn weight_decay(self, weight_decay: f64) -> AdaMax {
        AdaMax { weight_decay, ..self }
    }
}

impl Optimizer for AdaMax {
    fn follow(&self, cx: &mut Context, gradients: &[Gradient]) -> Result<(), Error> {
        check_size("adamax", "the learning rate", self.learning_rate)?;
        check_decay("adamax", "beta1", self.beta1)?;
        check_decay("adamax", "beta2", self.beta2)?;
        check_size("adamax", "eps", self.eps)?;
        check_size("adamax", "the weight decay", self.weight_decay)?;
        let rate = learning_rate(cx, gradients, self.learning_rate)?;
        let step = count_steps(cx, cx.dtype(rate))?;
        let correction = bias_correction(cx, step, self.beta1)?;
        let corrected_rate = cx.eval(rate / correction)?;
        for gradient in gradients {
            let g = decayed(cx, gradient, self.weight_decay)?;
            let mean = moment(cx, &gradient.parameter, "exp_avg")?;
            let next_mean = cx.eval(mean * self.beta1 + g * (1.0 - self.beta1))?;
            cx.update(mean, next_mean)?;

            let greatest = moment(cx, &gradient.parameter, "exp_inf")?;
            let [beta2, eps] = [self.beta2, self.eps].map(|number| cx.float_like(g, number));
            let next_greatest = cx.eval((greatest * beta2).max(g.abs() + eps))?;
            cx.update(greatest, next_greatest)?;

            descend(cx, gradient, next_mean / next_greatest, corrected_rate)?;
        }
        Ok(())
    }
}
