//! Activations: functions of each element, as layers. All but a few are compositions of ops, which fuse into the kernels
//! around them.

mod nonlinearity;
mod slopes;

use ir::{Builder, Error, Value};

use crate::{Context, Layer};

pub use nonlinearity::Nonlinearity;
pub(crate) use slopes::along_axis_1;
pub use slopes::{PRelu, RRelu};

/// The scale and the alpha of SELU, for which mean 0 and variance 1 are a fixed point (G. Klambauer et al.,
/// "Self-normalizing neural networks", 2017, equation 14).
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;

/// A function of each element, without parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// 1 / (1 + exp(-x))
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
    /// max(x, 0)
    Relu,
    /// x where it is above 0, slope x elsewhere (A. L. Maas et al., 2013).
    LeakyRelu {
        /// PyTorch's default is 0.01.
        slope: f64,
    },
    /// x where it is above 0, alpha (exp(x) - 1) elsewhere (D.-A. Clevert et al., 2016).
    Elu {
        /// PyTorch's default is 1.
        alpha: f64,
    },
    /// ELU with alpha 1.673 times 1.051, which keeps mean 0 and variance 1 through layers (G. Klambauer et al., 2017).
    Selu,
    /// x Phi(x), with the distribution function of the normal distribution: x (1 + erf(x / sqrt 2)) / 2
    /// (D. Hendrycks and K. Gimpel, 2016).
    Gelu,
    /// The approximation of GELU in the same paper, x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2: within 5e-4.
    GeluTanh,
    /// log(1 + exp(x))
    Softplus,
    /// exp(x) over its sum along the last axis: [`Builder::softmax`].
    Softmax,
}

impl Activation {
    /// All, with the settings that PyTorch has as defaults.
    pub const ALL: [Activation; 10] = [
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Relu,
        Activation::LeakyRelu { slope: 0.01 },
        Activation::Elu { alpha: 1.0 },
        Activation::Selu,
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Softplus,
        Activation::Softmax,
    ];

    /// The name on the command line: `leaky_relu`.
    pub fn name(self) -> &'static str {
        match self {
            Activation::Sigmoid => "sigmoid",
            Activation::Tanh => "tanh",
            Activation::Relu => "relu",
            Activation::LeakyRelu { .. } => "leaky_relu",
            Activation::Elu { .. } => "elu",
            Activation::Selu => "selu",
            Activation::Gelu => "gelu",
            Activation::GeluTanh => "gelu_tanh",
            Activation::Softplus => "softplus",
            Activation::Softmax => "softmax",
        }
    }

    /// The function of each element of `x`, floats.
    ///
    /// # Errors
    /// Where `x` holds no floats.
    pub fn apply(self, b: &mut Builder, x: Value) -> Result<Value, Error> {
        match self {
            Activation::Sigmoid => b.sigmoid(x),
            Activation::Tanh => b.tanh(x),
            Activation::Relu => b.relu(x),
            Activation::LeakyRelu { slope } => {
                let slope = b.float_like(x, slope);
                slopes::sloped(b, x, slope)
            }
            Activation::Elu { alpha } => elu(b, x, 1.0, alpha),
            Activation::Selu => elu(b, x, SELU_SCALE, SELU_SCALE * SELU_ALPHA),
            Activation::Gelu => gelu(b, x),
            Activation::GeluTanh => gelu_tanh(b, x),
            Activation::Softplus => {
                let (positive, log) = softplus_parts(b, x)?;
                b.eval(positive + log)
            }
            Activation::Softmax => b.softmax(x, b.shape(x).rank().saturating_sub(1)),
        }
    }
}

impl Layer for Activation {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        self.apply(cx, x)
    }

    fn description(&self) -> String {
        format!("{self:?}")
    }
}

/// `positive x` where x is above 0, `negative (exp(x) - 1)` elsewhere.
fn elu(b: &mut Builder, x: Value, positive: f64, negative: f64) -> Result<Value, Error> {
    let zero = b.float_like(x, 0.0);
    let is_positive = b.eval(x.gt(zero))?;
    // The branch that is not taken must be finite: its gradient is multiplied by 0.
    let below = b.eval(is_positive.select(zero, x).expm1())?;
    let times = |x: Value, factor: f64| if factor == 1.0 { x.into() } else { x * factor };
    b.eval(is_positive.select(times(x, positive), times(below, negative)))
}

/// x (1 + erf(x / sqrt 2)) / 2
fn gelu(b: &mut Builder, x: Value) -> Result<Value, Error> {
    let gate = b.eval((x * std::f64::consts::FRAC_1_SQRT_2).erf())?;
    half_gated(b, x, gate)
}

/// x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2
fn gelu_tanh(b: &mut Builder, x: Value) -> Result<Value, Error> {
    let [scale, cubic, one] =
        [(2.0 / std::f64::consts::PI).sqrt(), 0.044715, 1.0].map(|number| b.float_like(x, number));
    let bend = b.eval(x.square() * cubic + one)?;
    let gate = b.eval((x * scale * bend).tanh())?;
    half_gated(b, x, gate)
}

/// x (1 + gate) / 2
fn half_gated(b: &mut Builder, x: Value, gate: Value) -> Result<Value, Error> {
    let [one, half] = [1.0, 0.5].map(|number| b.float_like(x, number));
    let open = b.eval(gate + one)?;
    b.eval(x * half * open)
}

/// `max(x, 0)` and `log(1 + exp(-|x|))`, of which the sum is softplus: no exponential overflows, and both tails are
/// precise. Both take the same branch at 0, so that the derivative of the sum there is 1/2.
pub(crate) fn softplus_parts(b: &mut Builder, x: Value) -> Result<(Value, Value), Error> {
    let zero = b.float_like(x, 0.0);
    let is_negative = b.eval(x.lt(zero))?;
    let positive = b.eval(is_negative.select(zero, x))?;
    let minus_magnitude = is_negative.select(x, -x);
    Ok((positive, b.eval(minus_magnitude.exp().log1p())?))
}
