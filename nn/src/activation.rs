//! Activations as layers. As functions they are the builder's: `cx.relu(x)`, `cx.tanh(x)`, `cx.sigmoid(x)`.

use ir::{Error, ScalarFn, Value};

use crate::{Context, Layer};

/// A function of each element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// max(x, 0)
    Relu,
    /// The hyperbolic tangent.
    Tanh,
    /// 1 / (1 + exp(-x))
    Sigmoid,
}

impl Activation {
    /// The function.
    pub fn function(self) -> ScalarFn {
        match self {
            Activation::Relu => ScalarFn::Relu,
            Activation::Tanh => ScalarFn::Tanh,
            Activation::Sigmoid => ScalarFn::Sigmoid,
        }
    }
}

impl Layer for Activation {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        cx.apply(self.function(), &[x])
    }
}
