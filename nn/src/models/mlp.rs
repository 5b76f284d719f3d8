//! The multilayer perceptron.

use ir::{Error, Init, Value};

use crate::{Activation, BatchNorm, Context, Dropout, Layer, Linear, Nonlinearity, init};

/// Dense layers `fc1`, `fc2`, .. with an activation after each but the last; where asked for, batch normalisation before
/// each activation (`bn1`, ..) and dropout after it. Layers that are normalised have no bias: the mean that is taken off
/// would hold it.
///
/// Weights start as suits the activation: He et al. for relu and its kin, 1 / fan_in for SELU, Glorot and Bengio otherwise.
/// Biases start at zero.
///
/// ```
/// use ir::DType;
/// use nn::{Activation, Context, Layer, models::Mlp};
/// let model = Mlp { dropout: 0.2, ..Mlp::new(&[784, 512, 256, 10], Activation::Relu) };
/// let mut cx = Context::new("mlp");
/// let x = cx.input("x", DType::F32, [128, 784])?;
/// let logits = model.forward(&mut cx, x)?;
/// assert_eq!(cx.ty(logits).to_string(), "f32[128, 10]");
/// assert_eq!(cx.parameters()[4].name, "fc3.weight");
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Mlp {
    /// The number of values before and after each layer.
    pub sizes: Vec<usize>,
    /// What follows each layer but the last.
    pub activation: Nonlinearity,
    /// What follows the last.
    pub output_activation: Option<Activation>,
    /// The part of the values after each activation that is dropped in training; 0 for none.
    pub dropout: f64,
    /// Whether values are normalised before each activation.
    pub batch_norm: bool,
}

/// The model that `nnc train mlp` trains on 8x8 digits: 64-128-64-10 with relu.
pub fn mlp() -> Mlp {
    Mlp::new(&[64, 128, 64, 10], Activation::Relu)
}

impl Mlp {
    /// With nothing after the last layer, without dropout and batch normalisation.
    pub fn new(sizes: &[usize], activation: impl Into<Nonlinearity>) -> Mlp {
        let activation = activation.into();
        Mlp { sizes: sizes.to_vec(), activation, output_activation: None, dropout: 0.0, batch_norm: false }
    }

    /// With an activation after the last layer.
    pub fn output_activation(self, activation: Activation) -> Mlp {
        Mlp { output_activation: Some(activation), ..self }
    }

    fn weight_init(&self, fan_in: usize, fan_out: usize) -> Init {
        use Activation::{Elu, Gelu, GeluTanh, LeakyRelu, Relu, Selu, Sigmoid, Softmax, Softplus, Tanh};
        let Nonlinearity::Activation(activation) = self.activation else { return init::he_uniform(fan_in) };
        match activation {
            Relu | LeakyRelu { .. } | Elu { .. } | Gelu | GeluTanh => init::he_uniform(fan_in),
            Selu => init::uniform((3.0 / fan_in.max(1) as f64).sqrt()),
            Sigmoid | Tanh | Softplus | Softmax => init::glorot_uniform(fan_in, fan_out),
        }
    }

    /// What follows hidden layer `number`.
    fn hidden(&self, cx: &mut Context, number: usize, x: Value) -> Result<Value, Error> {
        let mut x = x;
        if self.batch_norm {
            let norm = BatchNorm::new(cx.shape(x).last().copied().unwrap_or(0));
            x = cx.layer(format!("bn{number}"), &norm, x)?;
        }
        x = cx.layer(format!("act{number}"), &self.activation, x)?;
        if self.dropout != 0.0 {
            x = cx.layer(format!("drop{number}"), &Dropout::new(self.dropout), x)?;
        }
        Ok(x)
    }
}

impl Layer for Mlp {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        let last = self.sizes.len().saturating_sub(1);
        (self.sizes.windows(2).zip(1..)).try_fold(x, |x, (sizes, number)| {
            let linear = Linear::new(sizes[0], sizes[1]).weight_init(self.weight_init(sizes[0], sizes[1]));
            let is_normalised = self.batch_norm && number < last;
            let linear = if is_normalised { linear.without_bias() } else { linear.bias_init(init::zeros()) };
            let y = cx.layer(format!("fc{number}"), &linear, x)?;
            match self.output_activation {
                _ if number < last => self.hidden(cx, number, y),
                Some(activation) => cx.layer(format!("act{number}"), &activation, y),
                None => Ok(y),
            }
        })
    }
}
