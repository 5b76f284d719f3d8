//! Optimizers: how the parameters of a context follow their gradients. The moments that they keep are states named
//! after the parameter: `fc1.weight.momentum`.

mod adam;
mod sgd;

use ir::{Error, Init, Value};

pub use adam::Adam;
pub use sgd::Sgd;

use crate::{Context, Parameter};

/// A rule by which parameters change from step to step.
pub trait Optimizer {
    /// Makes every parameter of `cx` change so that `loss`, a float of rank 0, falls: one `grad` node for all of them,
    /// and an update of each. Parameters that are made later are not trained.
    ///
    /// # Errors
    /// Where there are no parameters, `loss` is no float of rank 0, a setting is out of its range, or the parameters
    /// are updated already.
    fn step(&self, cx: &mut Context, loss: Value) -> Result<(), Error>;
}

impl<T: Optimizer + ?Sized> Optimizer for Box<T> {
    fn step(&self, cx: &mut Context, loss: Value) -> Result<(), Error> {
        (**self).step(cx, loss)
    }
}

/// A state of the parameter's own type that starts at zero.
fn moment(cx: &mut Context, parameter: &Parameter, name: &str) -> Result<Value, Error> {
    let ty = cx.ty(parameter.value).clone();
    cx.state(&format!("{}.{name}", parameter.name), ty.dtype, ty.shape, Init::Constant(0.0))
}

/// Checks a setting.
fn check(optimizer: &str, setting: &str, value: f64, is_valid: bool, range: &str) -> Result<(), Error> {
    if is_valid {
        return Ok(());
    }
    Err(Error::new(optimizer, format!("{setting} is {value}"), format!("give {range}")))
}

/// Checks a learning rate.
fn check_learning_rate(optimizer: &str, value: f64) -> Result<(), Error> {
    check(
        optimizer,
        "the learning rate",
        value,
        value.is_finite() && value >= 0.0,
        "a finite number of at least 0",
    )
}

/// Checks the decay of a moving average.
fn check_decay(optimizer: &str, setting: &str, value: f64) -> Result<(), Error> {
    check(optimizer, setting, value, (0.0..1.0).contains(&value), "a number of at least 0 and below 1")
}
