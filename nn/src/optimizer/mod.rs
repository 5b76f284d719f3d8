//! Optimizers: how the parameters of a context follow their gradients.
//!
//! Each is a rule from a parameter, its gradient and a few moments to the next value of the parameter. The moments are
//! states named after the parameter, `fc1.weight.momentum`; the learning rate is the state [`LEARNING_RATE`], from which
//! every step reads it, so that a [schedule](crate::schedule) can be written there between steps and a checkpoint holds it.
//!
//! Several optimizers work on the states of one model where each has a [name](Optimizer::named): then its learning rate, its
//! moments and its count of steps are its own ([`own_name`]). Without names, two programs that would share them are an error.
//!
//! How many examples a step sees is not the optimizer's affair but the batch's: with all of the data in one batch, [`Sgd`]
//! is gradient descent; with one example, stochastic gradient descent; with some, the mini-batch method between them.
//!
//! What is done around an optimizer (its name, which parameters are its own, clipping, accumulation over batches, settings for
//! some of the parameters, averages of weights) is a [`TrainStep`] around it, which is an optimizer, too.

mod adagrad;
mod adam;
mod adamax;
mod average;
mod lamb;
mod lion;
mod rmsprop;
mod sgd;
mod states;
mod train_step;

use ir::{Error, Expr, Value};

pub use adagrad::Adagrad;
pub use adam::{Adam, AdamW};
pub use adamax::AdaMax;
pub use average::AVERAGE;
pub use lamb::Lamb;
pub use lion::Lion;
pub use rmsprop::RmsProp;
pub use sgd::Sgd;
pub use states::{LEARNING_RATE, learning_rate, moment, own_name};
pub use train_step::{Clip, GRADIENT_NORM, Group, TrainStep};

use crate::{Context, Parameter};

/// A parameter with the gradient that it is to follow.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradient {
    /// The parameter.
    pub parameter: Parameter,
    /// The gradient, of the parameter's own type.
    pub value: Value,
    /// What the learning rate is multiplied by for this parameter.
    pub learning_rate: f64,
    /// What the weight decay is multiplied by for this parameter.
    pub weight_decay: f64,
}

/// A rule by which parameters change from step to step. It is a description, which threads may share.
pub trait Optimizer: Send + Sync {
    /// Makes each parameter follow its gradient: an update of it and of the moments that go with it.
    ///
    /// # Errors
    /// Where a setting is out of its range, or the parameters are updated already.
    fn follow(&self, cx: &mut Context, gradients: &[Gradient]) -> Result<(), Error>;

    /// Makes every parameter of `cx` change so that `loss`, a float of rank 0, falls: one `grad` node for all of them,
    /// and an update of each. Parameters that are made later are not trained.
    ///
    /// # Errors
    /// As [`Optimizer::follow`]; and where there are no parameters, or `loss` is no float of rank 0.
    fn step(&self, cx: &mut Context, loss: Value) -> Result<(), Error> {
        let values = cx.gradients(loss)?;
        let parameters = cx.parameters().iter().cloned();
        let gradients: Vec<Gradient> = (parameters.zip(values))
            .map(|(parameter, value)| Gradient { parameter, value, learning_rate: 1.0, weight_decay: 1.0 })
            .collect();
        self.follow(cx, &gradients)
    }

    /// Its name, where it has one.
    fn name(&self) -> Option<&str> {
        None
    }

    /// The number of batches over which it averages gradients for one change of the parameters.
    fn batches_per_step(&self) -> usize {
        1
    }

    /// This optimizer under a name, with a learning rate, moments and a count of steps of its own: of several that work on the
    /// states of one model, each needs one. Letters, digits and `_` make a name.
    ///
    /// ```
    /// use nn::{Adam, Context, Optimizer};
    /// let mut cx = Context::training("two_players");
    /// let [painter, critic] = ["painter", "critic"].map(|name| {
    ///     cx.scope(name, |cx| cx.parameter("weight", [], ir::Init::Constant(1.0)))
    /// });
    /// let score = cx.mul(painter?, critic?)?;
    /// let lost = cx.neg(score)?;
    /// Adam::new(2e-4).named("painter").only("painter.*").step(&mut cx, score)?;
    /// Adam::new(1e-4).named("critic").only("critic.*").step(&mut cx, lost)?;
    /// let states = cx.finish();
    /// for name in ["optimizer.critic.learning_rate", "optimizer.critic.step", "critic.weight.critic.exp_avg"] {
    ///     assert!(states.find(name).is_some(), "{name}");
    /// }
    /// # Ok::<(), ir::Error>(())
    /// ```
    fn named(self, name: impl Into<String>) -> TrainStep
    where
        Self: Sized + 'static,
    {
        TrainStep::new(self).named(name)
    }
}

impl<T: Optimizer + ?Sized> Optimizer for Box<T> {
    fn follow(&self, cx: &mut Context, gradients: &[Gradient]) -> Result<(), Error> {
        (**self).follow(cx, gradients)
    }

    fn name(&self) -> Option<&str> {
        (**self).name()
    }

    fn batches_per_step(&self) -> usize {
        (**self).batches_per_step()
    }
}

/// The parameter less `rate` times `direction`, `rate` scaled as the parameter's settings say: its next value.
fn descend(
    cx: &mut Context,
    gradient: &Gradient,
    direction: impl Into<Expr>,
    rate: impl Into<Expr>,
) -> Result<(), Error> {
    let p = gradient.parameter.value;
    cx.update(p, p - direction.into() * scaled(rate, gradient.learning_rate))
}

/// `x` times a factor, which is mostly 1.
fn scaled(x: impl Into<Expr>, factor: f64) -> Expr {
    if factor == 1.0 { x.into() } else { x.into() * factor }
}

/// The gradient of the loss with `decay / 2 * |parameter|^2` added to it: `g + decay p`.
fn decayed(cx: &mut Context, gradient: &Gradient, decay: f64) -> Result<Value, Error> {
    let decay = decay * gradient.weight_decay;
    if decay == 0.0 {
        return Ok(gradient.value);
    }
    cx.eval(gradient.value + scaled(gradient.parameter.value, decay))
}

/// Checks a setting.
fn check(optimizer: &str, setting: &str, value: f64, is_valid: bool, range: &str) -> Result<(), Error> {
    if is_valid {
        return Ok(());
    }
    Err(Error::new(optimizer, format!("{setting} is {value}"), format!("give {range}")))
}

/// Checks a setting that may be any size: a learning rate, a weight decay, an eps.
fn check_size(optimizer: &str, setting: &str, value: f64) -> Result<(), Error> {
    let is_valid = value.is_finite() && value >= 0.0;
    check(optimizer, setting, value, is_valid, "a finite number of at least 0")
}

/// Checks the decay of a moving average.
fn check_decay(optimizer: &str, setting: &str, value: f64) -> Result<(), Error> {
    check(optimizer, setting, value, (0.0..1.0).contains(&value), "a number of at least 0 and below 1")
}
