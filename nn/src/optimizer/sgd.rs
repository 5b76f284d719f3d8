//! Stochastic gradient descent, with or without momentum.

use ir::{Error, Value};

use super::{Optimizer, check_decay, check_learning_rate, moment};
use crate::Context;

/// Stochastic gradient descent with heavy-ball momentum, as PyTorch has it: `v = momentum v + g; p -= learning_rate v`,
/// with `v` zero at first. Without momentum there is no `v`: `p -= learning_rate g`.
///
/// ```
/// use nn::{Sgd, Optimizer};
/// let optimizer = Sgd::new(0.1).momentum(0.9);
/// assert_eq!(optimizer, Sgd { learning_rate: 0.1, momentum: 0.9 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// What a gradient is multiplied by.
    pub learning_rate: f64,
    /// The part of the last step's velocity that stays, from 0 to below 1.
    pub momentum: f64,
}

impl Default for Sgd {
    /// A learning rate of 0.001 (PyTorch's default) and no momentum.
    fn default() -> Sgd {
        Sgd { learning_rate: 1e-3, momentum: 0.0 }
    }
}

impl Sgd {
    /// Without momentum.
    pub fn new(learning_rate: f64) -> Sgd {
        Sgd { learning_rate, ..Sgd::default() }
    }

    /// With momentum.
    pub fn momentum(self, momentum: f64) -> Sgd {
        Sgd { momentum, ..self }
    }
}

impl Optimizer for Sgd {
    fn step(&self, cx: &mut Context, loss: Value) -> Result<(), Error> {
        check_learning_rate("sgd", self.learning_rate)?;
        check_decay("sgd", "the momentum", self.momentum)?;
        let gradients = cx.gradients(loss)?;
        let rate = cx.float_like(loss, self.learning_rate);
        let momentum = cx.float_like(loss, self.momentum);
        for (parameter, gradient) in cx.parameters().to_vec().iter().zip(gradients) {
            let direction = if self.momentum == 0.0 {
                gradient
            } else {
                let old = moment(cx, parameter, "momentum")?;
                let kept = cx.mul(old, momentum)?;
                let velocity = cx.add(kept, gradient)?;
                cx.update(old, velocity)?;
                velocity
            };
            let step = cx.mul(direction, rate)?;
            let next = cx.sub(parameter.value, step)?;
            cx.update(parameter.value, next)?;
        }
        Ok(())
    }
}
