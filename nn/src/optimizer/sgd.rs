//! Gradient descent, with or without momentum.

use ir::{Error, Value};

use super::{
    Gradient, Optimizer, check, check_decay, check_size, decayed, descend, learning_rate, moment, scaled,
};
use crate::Context;

/// Gradient descent, as PyTorch's `SGD` has it. With `g` the gradient plus `weight_decay` times the parameter:
///
/// ```text
/// v = momentum v + (1 - dampening) g        v = 0 at first
/// p -= learning_rate v                      heavy ball: B. T. Polyak, 1964
/// p -= learning_rate (g + momentum v)       with Nesterov's momentum, as I. Sutskever et al., 2013
/// ```
///
/// Without momentum there is no `v`: `p -= learning_rate g`. With a dampening equal to the momentum, `v` is the exponential
/// average `m = beta m + (1 - beta) g`, see [`Sgd::average`]. PyTorch leaves the first gradient undamped; here the formula
/// holds from the first step on.
///
/// ```
/// use nn::Sgd;
/// let optimizer = Sgd::new(0.1).momentum(0.9);
/// assert_eq!(optimizer, Sgd { learning_rate: 0.1, momentum: 0.9, ..Sgd::default() });
/// assert!(optimizer.nesterov().is_nesterov);
/// assert_eq!(Sgd::new(0.1).average(0.9).dampening, 0.9);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// What a gradient is multiplied by.
    pub learning_rate: f64,
    /// The part of the last step's velocity that stays, from 0 to below 1.
    pub momentum: f64,
    /// The part of a gradient that does not enter the velocity, from 0 to 1.
    pub dampening: f64,
    /// Whether the step looks ahead by the velocity.
    pub is_nesterov: bool,
    /// What is added to the gradient per unit of the parameter.
    pub weight_decay: f64,
}

impl Default for Sgd {
    /// A learning rate of 0.001 (PyTorch's default), and nothing else.
    fn default() -> Sgd {
        Sgd { learning_rate: 1e-3, momentum: 0.0, dampening: 0.0, is_nesterov: false, weight_decay: 0.0 }
    }
}

impl Sgd {
    /// Without momentum.
    pub fn new(learning_rate: f64) -> Sgd {
        Sgd { learning_rate, ..Sgd::default() }
    }

    /// With the momentum of a heavy ball.
    pub fn momentum(self, momentum: f64) -> Sgd {
        Sgd { momentum, ..self }
    }

    /// With momentum as an exponential average of gradients, `m = beta m + (1 - beta) g`.
    pub fn average(self, beta: f64) -> Sgd {
        Sgd { momentum: beta, dampening: beta, ..self }
    }

    /// With Nesterov's momentum.
    pub fn nesterov(self) -> Sgd {
        Sgd { is_nesterov: true, ..self }
    }

    /// With weight decay.
    pub fn weight_decay(self, weight_decay: f64) -> Sgd {
        Sgd { weight_decay, ..self }
    }

    fn check(&self) -> Result<(), Error> {
        check_size("sgd", "the learning rate", self.learning_rate)?;
        check_decay("sgd", "the momentum", self.momentum)?;
        let is_part = (0.0..=1.0).contains(&self.dampening);
        check("sgd", "the dampening", self.dampening, is_part, "a number from 0 to 1")?;
        check_size("sgd", "the weight decay", self.weight_decay)
    }

    /// What the parameter moves along, and the update of its velocity.
    fn direction(&self, cx: &mut Context, gradient: &Gradient) -> Result<Value, Error> {
        let g = decayed(cx, gradient, self.weight_decay)?;
        if self.momentum == 0.0 {
            return Ok(g);
        }
        let old = moment(cx, &gradient.parameter, "momentum")?;
        let momentum = cx.float_like(old, self.momentum);
        let velocity = cx.eval(old * momentum + scaled(g, 1.0 - self.dampening))?;
        cx.update(old, velocity)?;
        if !self.is_nesterov {
            return Ok(velocity);
        }
        cx.eval(g + velocity * momentum)
    }
}

impl Optimizer for Sgd {
    fn follow(&self, cx: &mut Context, gradients: &[Gradient]) -> Result<(), Error> {
        self.check()?;
        let rate = learning_rate(cx, gradients, self.learning_rate)?;
        for gradient in gradients {
            let direction = self.direction(cx, gradient)?;
            descend(cx, gradient, direction, rate)?;
        }
        Ok(())
    }
}
