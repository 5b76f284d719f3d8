//! The states of optimizers: what they are called, and how rules make them.
//!
//! An optimizer with a [name](super::Optimizer::named) has states of its own. One without has states under fixed names, and
//! those that count or set its steps are private: a program of another name does not get them.

use ir::{DType, Error, Init, Value};

use super::Gradient;
use crate::{Context, Parameter};

/// The name of the state that holds the learning rate, a float of rank 0; see [`own_name`].
pub const LEARNING_RATE: &str = "optimizer.learning_rate";

/// What something of an optimizer is called, given what it is called for one without a name.
///
/// ```
/// use nn::optimizer::{LEARNING_RATE, own_name};
/// assert_eq!(own_name(LEARNING_RATE, None), "optimizer.learning_rate");
/// assert_eq!(own_name(LEARNING_RATE, Some("critic")), "optimizer.critic.learning_rate");
/// assert_eq!(own_name("adam.step", Some("critic")), "optimizer.critic.step");
/// ```
pub fn own_name(unnamed: &str, optimizer: Option<&str>) -> String {
    let last = unnamed.rsplit('.').next().unwrap_or(unnamed);
    optimizer.map_or(unnamed.to_owned(), |optimizer| format!("optimizer.{optimizer}.{last}"))
}

/// The learning rate, a float of rank 0 and a state that starts at `base`: every step reads it.
///
/// ```
/// # use ir::{DType, Error, Init};
/// use nn::optimizer::{Gradient, learning_rate};
/// use nn::{Context, Optimizer};
/// /// Steps of one size against the sign of the gradient.
/// struct SignDescent(f64);
/// impl Optimizer for SignDescent {
///     fn follow(&self, cx: &mut Context, gradients: &[Gradient]) -> Result<(), Error> {
///         let rate = learning_rate(cx, gradients, self.0)?;
///         for gradient in gradients {
///             let p = gradient.parameter.value;
///             cx.update(p, p - gradient.value.sign() * rate)?;
///         }
///         Ok(())
///     }
/// }
/// let mut cx = Context::training("step");
/// let loss = cx.parameter("p", [], Init::Constant(1.0))?;
/// SignDescent(0.1).named("signs").step(&mut cx, loss)?;
/// assert!(cx.graph().find("optimizer.signs.learning_rate").is_some());
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// Where the graph has an optimizer of this name, or one without a name, already.
pub fn learning_rate(cx: &mut Context, gradients: &[Gradient], base: f64) -> Result<Value, Error> {
    let name = own_name(LEARNING_RATE, cx.optimizer());
    if cx.graph().find(&name).is_some() {
        let which = cx.optimizer().map_or(String::new(), |name| format!(" `{name}`"));
        let help = "give each a name of its own, as in `Adam::new(1e-3).named(\"critic\")`; or minimise one loss: add the \
                    others to it";
        return Err(Error::new(cx.graph().name.clone(), format!("it has an optimizer{which} already"), help));
    }
    let dtype = gradients.first().map_or(DType::F32, |gradient| cx.dtype(gradient.value));
    own_state(cx, LEARNING_RATE, dtype, base)
}

/// A state of the parameter's own type that starts at zero: `fc1.weight.momentum`, or, of an optimizer with a name,
/// `fc1.weight.critic.momentum`.
///
/// ```
/// use ir::Init;
/// let mut cx = nn::Context::training("step");
/// cx.scope("fc1", |cx| cx.parameter("weight", [2], Init::Constant(0.0)))?;
/// let parameter = cx.parameters()[0].clone();
/// nn::optimizer::moment(&mut cx, &parameter, "momentum")?;
/// assert!(cx.graph().find("fc1.weight.momentum").is_some());
/// # Ok::<(), ir::Error>(())
/// ```
///
/// # Errors
/// Where there is a state of this name, or the name cannot stand in the text form.
pub fn moment(cx: &mut Context, parameter: &Parameter, name: &str) -> Result<Value, Error> {
    let ty = cx.ty(parameter.value).clone();
    let name = match cx.optimizer() {
        Some(optimizer) => format!("{}.{optimizer}.{name}", parameter.name),
        None => format!("{}.{name}", parameter.name),
    };
    cx.state(&name, ty.dtype, ty.shape, Init::Constant(0.0))
}

/// A number that counts from 1, by one in each step: an `i64[]`.
pub(super) fn count(cx: &mut Context, unnamed: &str) -> Result<Value, Error> {
    let before = counter(cx, unnamed)?;
    let count = cx.eval(before + 1)?;
    cx.update(before, count)?;
    Ok(count)
}

/// A state that starts at 0, an `i64[]`.
pub(super) fn counter(cx: &mut Context, unnamed: &str) -> Result<Value, Error> {
    own_state(cx, unnamed, DType::I64, 0.0)
}

/// A state of rank 0 of the optimizer that builds, private to the program where that has no name.
fn own_state(cx: &mut Context, unnamed: &str, dtype: DType, start: f64) -> Result<Value, Error> {
    let name = own_name(unnamed, cx.optimizer());
    match cx.optimizer() {
        Some(_) => cx.state(&name, dtype, [], Init::Constant(start)),
        None => cx.private_state(&name, dtype, [], Init::Constant(start)),
    }
}
