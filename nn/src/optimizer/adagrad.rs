//! Adagrad: steps scaled by the sum of all squared gradients so far.

use ir::Error;

use super::{Gradient, Optimizer, check_size, decayed, descend, learning_rate, moment};
use crate::Context;

/// Adagrad (J. Duchi, E. Hazan and Y. Singer, "Adaptive subgradient methods for online learning and stochastic
/// optimization", 2011, with the diagonal matrix), as PyTorch has it. With `g` the gradient plus `weight_decay` times the
/// parameter:
///
/// ```text
/// s += g^2
/// p -= learning_rate g / (sqrt(s) + eps)
/// ```
///
/// `s` is the state `square_sum` of each parameter.
///
/// ```
/// assert_eq!(nn::Adagrad::new(0.1).eps, 1e-10);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adagrad {
    /// The size of the first step.
    pub learning_rate: f64,
    /// What keeps the division from zero.
    pub eps: f64,
    /// What is added to the gradient per unit of the parameter.
    pub weight_decay: f64,
}

impl Default for Adagrad {
    /// PyTorch's settings: 0.01, 1e-10, and no weight decay.
    fn default() -> Adagrad {
        Adagrad { learning_rate: 1e-2, eps: 1e-10, weight_decay: 0.0 }
    }
}

impl Adagrad {
    /// The default but for the learning rate.
    pub fn new(learning_rate: f64) -> Adagrad {
        Adagrad { learning_rate, ..Adagrad::default() }
    }

    /// With weight decay.
    pub fn weight_decay(self, weight_decay: f64) -> Adagrad {
        Adagrad { weight_decay, ..self }
    }
}

impl Optimizer for Adagrad {
    fn follow(&self, cx: &mut Context, gradients: &[Gradient]) -> Result<(), Error> {
        check_size("adagrad", "the learning rate", self.learning_rate)?;
        check_size("adagrad", "eps", self.eps)?;
        check_size("adagrad", "the weight decay", self.weight_decay)?;
        let rate = learning_rate(cx, gradients, self.learning_rate)?;
        for gradient in gradients {
            let g = decayed(cx, gradient, self.weight_decay)?;
            let sum = moment(cx, &gradient.parameter, "square_sum")?;
            let next_sum = cx.eval(sum + g.square())?;
            cx.update(sum, next_sum)?;
            descend(cx, gradient, g / (next_sum.sqrt() + self.eps), rate)?;
        }
        Ok(())
    }
}
