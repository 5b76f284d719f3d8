//! Activations as layers. As functions they are the builder's: `cx.relu(x)`, `cx.tanh(x)`, `cx.sigmoid(x)`.

use ir::{Builder, Error, ScalarFn, Value};

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

/// `exp(x - max x) / sum exp(x - max x)` along an axis: positive values that sum to 1. The shape is that of `x`.
///
/// One division makes the reciprocal of the sum, which each exponential is multiplied by: within a unit in the last
/// place of the quotient, at a fraction of its time.
///
/// ```
/// use ir::{Builder, DType};
/// let mut b = Builder::new("probabilities");
/// let logits = b.input("logits", DType::F32, [32, 10])?;
/// let probabilities = nn::activation::softmax(&mut b, logits, 1)?;
/// assert_eq!(b.shape(probabilities)[..], [32, 10]);
/// # Ok::<(), ir::Error>(())
/// ```
///
/// # Errors
/// Where `x` has no such axis, or holds no floats.
pub fn softmax(b: &mut Builder, x: Value, axis: usize) -> Result<Value, Error> {
    let greatest = b.reduce_max(x, &[axis], true)?;
    let shifted = b.sub(x, greatest)?;
    let exponentials = b.exp(shifted)?;
    let sum = b.reduce_sum(exponentials, &[axis], true)?;
    let one = b.float_like(sum, 1.0);
    let reciprocal = b.div(one, sum)?;
    b.mul(exponentials, reciprocal)
}
