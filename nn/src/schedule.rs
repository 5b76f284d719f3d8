//! Schedules: how the learning rate changes while training goes on. They are plain functions of numbers; who trains writes
//! what they give into the state [`LEARNING_RATE`](crate::optimizer::LEARNING_RATE) before a step.

use std::f64::consts::PI;

/// A factor of the learning rate as a function of the number of the step: a warm-up, and what follows it.
///
/// ```
/// use nn::schedule::{Decay, Schedule};
/// let schedule = Schedule { warm_up: 10, decay: Decay::Cosine { steps: 100, least: 0.0 } };
/// assert_eq!(schedule.factor(0), 0.1);
/// assert_eq!(schedule.factor(9), 1.0);
/// assert_eq!(schedule.factor(60), 0.5);
/// assert_eq!(schedule.factor(1000), 0.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// In the first so many steps the factor rises linearly to 1, its value in the last of them.
    pub warm_up: u64,
    /// What follows.
    pub decay: Decay,
}

/// How the learning rate falls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decay {
    /// Not at all.
    Constant,
    /// It is multiplied by `factor` after every `steps` steps. PyTorch calls it `StepLR`.
    Step {
        /// The number of steps between two falls, at least 1.
        steps: u64,
        /// What remains.
        factor: f64,
    },
    /// Along half a cosine from 1 to `least` over so many steps, and `least` from there on (I. Loshchilov and F. Hutter,
    /// "SGDR", 2017, equation 5). PyTorch calls it `CosineAnnealingLR`.
    Cosine {
        /// The number of steps, at least 1.
        steps: u64,
        /// What remains of the learning rate.
        least: f64,
    },
}

impl Default for Schedule {
    /// The same learning rate in all steps.
    fn default() -> Schedule {
        Schedule { warm_up: 0, decay: Decay::Constant }
    }
}

impl Schedule {
    /// What the learning rate is multiplied by in step `step`, counted from 0.
    pub fn factor(&self, step: u64) -> f64 {
        if step < self.warm_up {
            return (step + 1) as f64 / self.warm_up as f64;
        }
        let step = step - self.warm_up;
        match self.decay {
            Decay::Constant => 1.0,
            Decay::Step { steps, factor } => factor.powf((step / steps.max(1)) as f64),
            Decay::Cosine { steps, least } => {
                let part = (step as f64 / steps.max(1) as f64).min(1.0);
                least + (1.0 - least) * (1.0 + (PI * part).cos()) / 2.0
            }
        }
    }
}

/// A factor of the learning rate that falls when a loss has stopped falling, as PyTorch's `ReduceLROnPlateau`. All of it is
/// in its fields, so that it can be kept with a checkpoint.
///
/// ```
/// use nn::schedule::Plateau;
/// let mut plateau = Plateau { patience: 1, ..Plateau::default() };
/// for loss in [1.0, 1.1, 1.1] {
///     plateau.observe(loss);
/// }
/// assert_eq!(plateau.scale, 0.1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plateau {
    /// What the scale is multiplied by where the loss has stopped falling.
    pub factor: f64,
    /// So many losses in a row may be no better than the best before the scale falls.
    pub patience: u64,
    /// A loss is better than the best where it is below `(1 - threshold)` of it.
    pub threshold: f64,
    /// The least loss so far.
    pub best: f64,
    /// How many losses in a row were no better.
    pub waited: u64,
    /// What the learning rate is multiplied by now.
    pub scale: f64,
}

impl Default for Plateau {
    /// PyTorch's settings: a factor of 0.1 after more than 10 losses that are not better by 1e-4 of the best.
    fn default() -> Plateau {
        Plateau { factor: 0.1, patience: 10, threshold: 1e-4, best: f64::INFINITY, waited: 0, scale: 1.0 }
    }
}

impl Plateau {
    /// Takes note of a loss, mostly that of an epoch on held-out examples, and returns the scale from now on.
    pub fn observe(&mut self, loss: f64) -> f64 {
        if loss < self.best * (1.0 - self.threshold) {
            self.best = loss;
            self.waited = 0;
        } else {
            self.waited += 1;
        }
        if self.waited > self.patience {
            self.scale *= self.factor;
            self.waited = 0;
        }
        self.scale
    }
}
