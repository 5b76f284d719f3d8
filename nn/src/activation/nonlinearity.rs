//! Whatever can stand between two layers, by its name.

use std::str::FromStr;

use ir::names::choices;
use ir::{Error, Value};

use super::{Activation, PRelu, RRelu};
use crate::{Context, Layer};

/// What stands between two layers: an activation, or a rectifier whose slope below 0 is learned or drawn.
///
/// ```
/// use nn::{Activation, Nonlinearity};
/// assert_eq!("tanh".parse(), Ok(Nonlinearity::from(Activation::Tanh)));
/// assert_eq!("prelu".parse::<Nonlinearity>()?.name(), "prelu");
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Nonlinearity {
    /// The same function of each element in each step.
    Activation(Activation),
    /// With a learned slope.
    PRelu(PRelu),
    /// With slopes that are drawn in training.
    RRelu(RRelu),
}

impl Nonlinearity {
    /// All, with the settings that PyTorch has as defaults.
    pub fn all() -> impl Iterator<Item = Nonlinearity> {
        let rectifiers = [Nonlinearity::PRelu(PRelu::new(1)), Nonlinearity::RRelu(RRelu::default())];
        Activation::ALL.into_iter().map(Nonlinearity::from).chain(rectifiers)
    }

    /// The name on the command line: `leaky_relu`, `prelu`.
    pub fn name(&self) -> &'static str {
        match self {
            Nonlinearity::Activation(activation) => activation.name(),
            Nonlinearity::PRelu(_) => "prelu",
            Nonlinearity::RRelu(_) => "rrelu",
        }
    }
}

impl From<Activation> for Nonlinearity {
    fn from(activation: Activation) -> Nonlinearity {
        Nonlinearity::Activation(activation)
    }
}

impl FromStr for Nonlinearity {
    type Err = Error;

    /// The one of a [name](Nonlinearity::name), with the settings of [`Nonlinearity::all`].
    fn from_str(name: &str) -> Result<Nonlinearity, Error> {
        Nonlinearity::all().find(|known| known.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Nonlinearity::all().map(|known| known.name()).collect();
            let help = choices(name, "the activations are", names);
            Error::new(name, "there is no activation of this name", help)
        })
    }
}

impl Layer for Nonlinearity {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        match self {
            Nonlinearity::Activation(activation) => activation.forward(cx, x),
            Nonlinearity::PRelu(prelu) => prelu.forward(cx, x),
            Nonlinearity::RRelu(rrelu) => rrelu.forward(cx, x),
        }
    }

    fn description(&self) -> String {
        match self {
            Nonlinearity::Activation(activation) => activation.description(),
            Nonlinearity::PRelu(prelu) => prelu.description(),
            Nonlinearity::RRelu(rrelu) => rrelu.description(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonlinearities_are_found_by_their_names() {
        for known in Nonlinearity::all() {
            assert_eq!(known.name().parse(), Ok(known));
        }
        let error = "rulu".parse::<Nonlinearity>().unwrap_err().to_string();
        let start = "rulu: there is no activation of this name; did you mean `relu`? the activations are sigmoid, tanh, ";
        assert!(error.starts_with(start) && error.ends_with(", softmax, prelu, rrelu"), "{error}");
    }
}
