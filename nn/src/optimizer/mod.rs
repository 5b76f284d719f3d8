//! Optimizers: how the parameters of a context follow their gradients.
//!
//! Each is a rule from a parameter, its gradient and a few moments to the next value of the parameter. The moments are
//! states named after the parameter, `fc1.weight.momentum`; the learning rate is the state [`LEARNING_RATE`], from which
//! every step reads it, so that a [schedule](crate::schedule) can be written there between steps and a checkpoint holds it.
//!
//! How many examples a step sees is not the optimizer's affair but the batch's: with all of the data in one batch, [`Sgd`]
//! is gradient descent; with one example, stochastic gradient descent; with some, the mini-batch method between them.
//!
//! What is done to gradients before an optimizer follows them (clipping, accumulation over batches, settings for some of
//! the parameters) is a [`TrainStep`] around it, which is an optimizer, too.

mod adagrad;
mod adam;
mod rmsprop;
mod sgd;
mod train_step;

use ir::{Error, Init, Value};

pub use adagrad::Adagrad;
pub use adam::{Adam, AdamW};
pub use rmsprop::RmsProp;
pub use sgd::Sgd;
pub use train_step::{Clip, GRADIENT_NORM, Group, TrainStep};

use crate::{Context, Parameter};

/// The name of the state that holds the learning rate, a float of rank 0.
pub const LEARNING_RATE: &str = "optimizer.learning_rate";

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
}

impl<T: Optimizer + ?Sized> Optimizer for Box<T> {
    fn follow(&self, cx: &mut Context, gradients: &[Gradient]) -> Result<(), Error> {
        (**self).follow(cx, gradients)
    }
}

/// The learning rate, which starts at `base`.
fn learning_rate(cx: &mut Context, gradients: &[Gradient], base: f64) -> Result<Value, Error> {
    if cx.graph().find(LEARNING_RATE).is_some() {
        let graph = cx.graph().name.clone();
        return Err(Error::new(
            graph,
            "it has an optimizer already",
            "minimise one loss: add the others to it",
        ));
    }
    let dtype = gradients.first().map_or(ir::DType::F32, |gradient| cx.dtype(gradient.value));
    cx.state(LEARNING_RATE, dtype, [], Init::Constant(base))
}

/// A state of the parameter's own type that starts at zero.
fn moment(cx: &mut Context, parameter: &Parameter, name: &str) -> Result<Value, Error> {
    let ty = cx.ty(parameter.value).clone();
    cx.state(&format!("{}.{name}", parameter.name), ty.dtype, ty.shape, Init::Constant(0.0))
}

/// The parameter less `rate` times `direction`, `rate` scaled as the parameter's settings say: its next value.
fn descend(cx: &mut Context, gradient: &Gradient, direction: Value, rate: Value) -> Result<(), Error> {
    let rate = scaled(cx, rate, gradient.learning_rate)?;
    let change = cx.mul(direction, rate)?;
    let next = cx.sub(gradient.parameter.value, change)?;
    cx.update(gradient.parameter.value, next)
}

/// `x` times a factor, which is mostly 1.
fn scaled(cx: &mut Context, x: Value, factor: f64) -> Result<Value, Error> {
    if factor == 1.0 {
        return Ok(x);
    }
    let factor = cx.float_like(x, factor);
    cx.mul(x, factor)
}

/// The gradient of the loss with `decay / 2 * |parameter|^2` added to it: `g + decay p`.
fn decayed(cx: &mut Context, gradient: &Gradient, decay: f64) -> Result<Value, Error> {
    let decay = decay * gradient.weight_decay;
    if decay == 0.0 {
        return Ok(gradient.value);
    }
    let pull = scaled(cx, gradient.parameter.value, decay)?;
    cx.add(gradient.value, pull)
}

/// `w0 x0 + w1 x1`.
fn weighted_sum(cx: &mut Context, terms: [(f64, Value); 2]) -> Result<Value, Error> {
    let [first, second] = terms.map(|(weight, x)| {
        let weight = cx.float_like(x, weight);
        cx.mul(x, weight)
    });
    cx.add(first?, second?)
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
