//! Lion: steps of one size, against the sign of an average of gradients.

use ir::Error;

use super::{Gradient, Optimizer, check_decay, check_size, learning_rate, moment, scaled};
use crate::Context;

/// Lion (X. Chen et al., "Symbolic discovery of optimization algorithms", 2023, algorithm 2):
///
/// ```text
/// p -= learning_rate (sign(beta1 m + (1 - beta1) g) + weight_decay p)
/// m = beta2 m + (1 - beta2) g
/// ```
///
/// `m` is the state `exp_avg` of each parameter. Every element moves by the learning rate, which is therefore three to ten times
/// smaller than that of [`AdamW`](super::AdamW), and the weight decay as much larger.
///
/// ```
/// let optimizer = nn::Lion::new(1e-4);
/// assert_eq!((optimizer.beta1, optimizer.beta2), (0.9, 0.99));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lion {
    /// The size of a step.
    pub learning_rate: f64,
    /// What the average weighs in the direction of a step, from 0 to below 1; the gradient weighs the rest.
    pub beta1: f64,
    /// The decay of the average, from 0 to below 1.
    pub beta2: f64,
    /// What each step takes of the parameter, per unit of the learning rate.
    pub weight_decay: f64,
}

impl Default for Lion {
    /// The settings of the paper: 0.0001, 0.9, 0.99, and no weight decay.
    fn default() -> Lion {
        Lion { learning_rate: 1e-4, beta1: 0.9, beta2: 0.99, weight_decay: 0.0 }
    }
}

impl Lion {
    /// The default but for the learning rate.
    pub fn new(learning_rate: f64) -> Lion {
        Lion { learning_rate, ..Lion::default() }
    }

    /// With weight decay.
    pub fn weight_decay(self, weight_decay: f64) -> Lion {
        Lion { weight_decay, ..self }
    }
}

impl Optimizer for Lion {
    fn follow(&self, cx: &mut Context, gradients: &[Gradient]) -> Result<(), Error> {
        check_size("lion", "the learning rate", self.learning_rate)?;
        check_decay("lion", "beta1", self.beta1)?;
        check_decay("lion", "beta2", self.beta2)?;
        check_size("lion", "the weight decay", self.weight_decay)?;
        let rate = learning_rate(cx, gradients, self.learning_rate)?;
        for gradient in gradients {
            let (p, g) = (gradient.parameter.value, gradient.value);
            let rate = cx.eval(scaled(rate, gradient.learning_rate))?;
            let mean = moment(cx, &gradient.parameter, "exp_avg")?;
            let mut step = (mean * self.beta1 + g * (1.0 - self.beta1)).sign();
            let decay = self.weight_decay * gradient.weight_decay;
            if decay != 0.0 {
                step = step + scaled(p, decay);
            }
            cx.update(p, p - step * rate)?;
            cx.update(mean, mean * self.beta2 + g * (1.0 - self.beta2))?;
        }
        Ok(())
    }
}
