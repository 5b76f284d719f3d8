//! The multilayer perceptron.

use ir::{Error, Init, Value};

use crate::{Activation, Context, Layer, Linear, init};

/// Dense layers `fc1`, `fc2`, .. with an activation after each but the last.
///
/// Weights start as suits the activation (He et al. for relu, Glorot and Bengio otherwise), uniform; biases at zero.
///
/// ```
/// use ir::DType;
/// use nn::{Activation, Context, Layer, models::Mlp};
/// let model = Mlp::new(&[784, 512, 256, 10], Activation::Relu);
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
    pub activation: Activation,
    /// What follows the last.
    pub output_activation: Option<Activation>,
}

/// The model that `nnc train mlp` trains on 8x8 digits: 64-128-64-10 with relu.
pub fn mlp() -> Mlp {
    Mlp::new(&[64, 128, 64, 10], Activation::Relu)
}

impl Mlp {
    /// With nothing after the last layer.
    pub fn new(sizes: &[usize], activation: Activation) -> Mlp {
        Mlp { sizes: sizes.to_vec(), activation, output_activation: None }
    }

    /// With an activation after the last layer.
    pub fn output_activation(self, activation: Activation) -> Mlp {
        Mlp { output_activation: Some(activation), ..self }
    }

    fn weight_init(&self, fan_in: usize, fan_out: usize) -> Init {
        match self.activation {
            Activation::Relu => init::he_uniform(fan_in),
            Activation::Tanh | Activation::Sigmoid => init::glorot_uniform(fan_in, fan_out),
        }
    }
}

impl Layer for Mlp {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        let last = self.sizes.len().saturating_sub(1);
        (self.sizes.windows(2).zip(1..)).try_fold(x, |x, (sizes, number)| {
            let linear = Linear::new(sizes[0], sizes[1])
                .weight_init(self.weight_init(sizes[0], sizes[1]))
                .bias_init(init::zeros());
            let y = cx.scope(format!("fc{number}"), |cx| linear.forward(cx, x))?;
            let activation = if number == last { self.output_activation } else { Some(self.activation) };
            activation.map_or(Ok(y), |activation| activation.forward(cx, y))
        })
    }
}
