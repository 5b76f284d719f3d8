//! RMSProp: steps scaled by a running mean of squared gradients.

use ir::Error;

use super::{Gradient, Optimizer, check_decay, check_size, decayed, descend, learning_rate, moment};
use crate::Context;

/// RMSProp (T. Tieleman and G. Hinton, "Neural networks for machine learning", lecture 6.5, 2012), as PyTorch has it. With
/// `g` the gradient plus `weight_decay` times the parameter:
///
/// ```text
/// v = alpha v + (1 - alpha) g^2
/// p -= learning_rate g / (sqrt(v) + eps)
/// ```
///
/// `v` is the state `square_avg` of each parameter.
///
/// ```
/// assert_eq!(nn::RmsProp::new(1e-3).alpha, 0.99);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsProp {
    /// The size of a step.
    pub learning_rate: f64,
    /// The decay of the mean of squared gradients, from 0 to below 1.
    pub alpha: f64,
    /// What keeps the division from zero.
    pub eps: f64,
    /// What is added to the gradient per unit of the parameter.
    pub weight_decay: f64,
}

impl Default for RmsProp {
    /// PyTorch's settings: 0.01, 0.99, 1e-8, and no weight decay.
    fn default() -> RmsProp {
        RmsProp { learning_rate: 1e-2, alpha: 0.99, eps: 1e-8, weight_decay: 0.0 }
    }
}

impl RmsProp {
    /// The default but for the learning rate.
    pub fn new(learning_rate: f64) -> RmsProp {
        RmsProp { learning_rate, ..RmsProp::default() }
    }

    /// With weight decay.
    pub fn weight_decay(self, weight_decay: f64) -> RmsProp {
        RmsProp { weight_decay, ..self }
    }
}

impl Optimizer for RmsProp {
    fn follow(&self, cx: &mut Context, gradients: &[Gradient]) -> Result<(), Error> {
        check_size("rmsprop", "the learning rate", self.learning_rate)?;
        check_decay("rmsprop", "alpha", self.alpha)?;
        check_size("rmsprop", "eps", self.eps)?;
        check_size("rmsprop", "the weight decay", self.weight_decay)?;
        let rate = learning_rate(cx, gradients, self.learning_rate)?;
        for gradient in gradients {
            let g = decayed(cx, gradient, self.weight_decay)?;
            let mean = moment(cx, &gradient.parameter, "square_avg")?;
            let square = cx.eval(g.square())?;
            let next_mean = cx.eval(mean * self.alpha + square * (1.0 - self.alpha))?;
            cx.update(mean, next_mean)?;
            descend(cx, gradient, g / (next_mean.sqrt() + self.eps), rate)?;
        }
        Ok(())
    }
}
