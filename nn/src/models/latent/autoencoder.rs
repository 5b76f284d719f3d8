//! Autoencoders.

use std::fmt;
use std::str::FromStr;

use ir::ops::Distribution::Normal;
use ir::{DType, Error, Value};

use super::{CODE, RECONSTRUCTION, SQUARED_ERROR};
use crate::supervised::ROWS;
use crate::{
    Activation, Context, Corruption, Generative, Layer, Linear, Loss, Network, Nonlinearity, Outputs, init,
};

/// An autoencoder: dense layers that make a code of a row, and dense layers that make the row of the code again (G. Hinton and R.
/// Salakhutdinov, "Reducing the dimensionality of data with neural networks", 2006).
///
/// Its input is `x`, `[rows, values]`; its results are `reconstruction`, `[rows, values]`, and `code`, `[rows, code]`. The loss is
/// that of the reconstruction with the row as the target, a mean over all values, and what sparsity and contraction add; in use
/// it is the former alone. The metric `squared_error` is the mean of the squared differences.
///
/// Layers are `encoder.fc1`, .. and `decoder.fc1`, .. in the order in which they are applied; tied ones share their weights, and the
/// decoder's have biases alone.
///
/// ```
/// use nn::models::Autoencoder;
/// use nn::{Activation, network::inference_graph};
/// let network = Autoencoder::new(&[64, 32, 8], Activation::Relu);
/// let graph = inference_graph("autoencoder", &network, 2)?;
/// let types: Vec<String> = graph.outputs.iter().map(|output| graph.ty(output.value).to_string()).collect();
/// assert_eq!(types, ["f32[2, 64]", "f32[2, 8]"]);
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Autoencoder {
    /// The number of values of a row, of each hidden layer of the encoder, and of the code; the decoder has the same sizes, backwards.
    pub sizes: Vec<usize>,
    /// What follows hidden layers.
    pub activation: Nonlinearity,
    /// What follows the code.
    pub code_activation: Option<Activation>,
    /// Whether the decoder multiplies by the encoder's weights, transposed.
    pub is_tied: bool,
    /// How far a reconstruction is from its row: [`Loss::SquaredError`], or [`Loss::BinaryCrossEntropy`] for values from 0 to 1.
    pub loss: Loss,
    /// What is done to rows in training, which are to be told as they were before.
    pub noise: Corruption,
    /// What keeps codes sparse.
    pub sparsity: Sparsity,
    /// How much `|J|_F^2 / values` counts, with J the derivative of the code by the row (S. Rifai et al., "Contractive auto-encoders",
    /// 2011, equation 2); 0 for not at all. It is estimated without bias by the squared gradient of the code's projection onto a
    /// normal direction that is drawn for each row, so that the loss holds one gradient, whatever the size of the code.
    pub contraction: f64,
}

/// What keeps the units of a code at 0 most of the time, with what it counts in the loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sparsity {
    /// Nothing.
    None,
    /// The mean magnitude of the units.
    L1(f64),
    /// `sum_j KL(target || mean of unit j over the batch)`, of units from 0 to 1 (A. Ng, "Sparse autoencoder", 2011, section 3),
    /// divided by the number of units.
    Kl {
        /// What it counts.
        weight: f64,
        /// The wanted mean of a unit.
        target: f64,
    },
}

impl fmt::Display for Sparsity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sparsity::None => f.write_str("none"),
            Sparsity::L1(weight) => write!(f, "l1:{weight}"),
            Sparsity::Kl { weight, target } => write!(f, "kl:{weight}:{target}"),
        }
    }
}

impl FromStr for Sparsity {
    type Err = Error;

    /// `none`, `l1:WEIGHT` or `kl:WEIGHT:TARGET`.
    fn from_str(text: &str) -> Result<Sparsity, Error> {
        let unknown = || {
            let help = "give none, l1:WEIGHT or kl:WEIGHT:TARGET, of weights of at least 0 and a target between 0 and 1";
            Error::new(text, "it is no kind of sparsity", help)
        };
        let weight = |text: &str| text.parse().ok().filter(|weight| (0.0..f64::MAX).contains(weight));
        let target = |text: &str| text.parse().ok().filter(|&target: &f64| target > 0.0 && target < 1.0);
        let parts: Vec<&str> = text.split(':').collect();
        match parts[..] {
            ["none"] => Some(Sparsity::None),
            ["l1", amount] => weight(amount).map(Sparsity::L1),
            ["kl", amount, mean] => {
                weight(amount).zip(target(mean)).map(|(weight, target)| Sparsity::Kl { weight, target })
            }
            _ => None,
        }
        .ok_or_else(unknown)
    }
}

impl Autoencoder {
    /// With these sizes, from a row to its code, and squared error; nothing else.
    pub fn new(sizes: &[usize], activation: impl Into<Nonlinearity>) -> Autoencoder {
        Autoencoder {
            sizes: sizes.to_vec(),
            activation: activation.into(),
            code_activation: None,
            is_tied: false,
            loss: Loss::SquaredError,
            noise: Corruption::None,
            sparsity: Sparsity::None,
            contraction: 0.0,
        }
    }

    /// The code of rows.
    ///
    /// # Errors
    /// Where rows are of another size.
    pub fn encode(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        let layers = self.sizes.len().saturating_sub(1);
        cx.scope("encoder", |cx| {
            (self.sizes.windows(2).zip(1..)).try_fold(x, |x, (sizes, number)| {
                let y = cx.layer(format!("fc{number}"), &dense(sizes[0], sizes[1]), x)?;
                match self.code_activation {
                    _ if number < layers => self.activation.forward(cx, y),
                    Some(activation) => activation.forward(cx, y),
                    None => Ok(y),
                }
            })
        })
    }

    /// What the decoder makes of codes: of values from 0 to 1 their logits. Tied layers are there once [`Autoencoder::encode`] is.
    ///
    /// # Errors
    /// Where codes are of another size.
    pub fn decode(&self, cx: &mut Context, code: Value) -> Result<Value, Error> {
        let layers = self.sizes.len().saturating_sub(1);
        (self.sizes.windows(2).rev().zip(1..)).try_fold(code, |x, (sizes, number)| {
            let y = if self.is_tied {
                let name = format!("encoder.fc{}.weight", layers + 1 - number);
                let known = cx.parameters().iter().find(|parameter| parameter.name == name);
                let weight = known.map(|parameter| parameter.value).ok_or_else(|| {
                    Error::new(&name, "tied layers share the weights of an encoder", "encode first")
                })?;
                let product = cx.matmul(x, weight)?;
                let bias = cx.scope(format!("decoder.fc{number}"), |cx| {
                    cx.parameter("bias", [sizes[0]], init::zeros())
                })?;
                cx.add(product, bias)?
            } else {
                cx.layer(format!("decoder.fc{number}"), &dense(sizes[1], sizes[0]), x)?
            };
            if number < layers { self.activation.forward(cx, y) } else { Ok(y) }
        })
    }

    /// What sparsity and contraction add to the loss.
    fn penalties(&self, cx: &mut Context, x: Value, code: Value) -> Result<Option<Value>, Error> {
        let mut penalties = Vec::new();
        match self.sparsity {
            Sparsity::None => {}
            Sparsity::L1(weight) => penalties.push(cx.eval(code.abs().mean_all() * weight)?),
            Sparsity::Kl { weight, target } => {
                // Means of 0 and 1 are as far as the logarithm is told.
                let mean = cx.eval(code.mean(&[0]).clamp(1e-6, 1.0 - 1e-6))?;
                let entropy = target * target.ln() + (1.0 - target) * (1.0 - target).ln();
                let divergence = entropy - mean.log() * target - (1.0 - mean).log() * (1.0 - target);
                penalties.push(cx.eval(divergence.mean_all() * weight)?);
            }
        }
        if self.contraction > 0.0 {
            let direction = cx.draw(Normal, cx.shape(code).clone())?;
            let projection = cx.eval((code * direction).sum_all())?;
            let gradient = cx.grad(projection, &[x])?[0];
            penalties.push(cx.eval(gradient.square().mean_all() * self.contraction)?);
        }
        penalties.into_iter().map(Ok).reduce(|sum, penalty| cx.add(sum?, penalty?)).transpose()
    }
}

/// A layer whose weight starts as Glorot and Bengio have it, and whose bias starts at 0.
pub(super) fn dense(inputs: usize, outputs: usize) -> Linear {
    Linear::new(inputs, outputs).weight_init(init::glorot_uniform(inputs, outputs)).bias_init(init::zeros())
}

impl Network for Autoencoder {
    fn build(&self, cx: &mut Context, rows: usize) -> Result<Outputs, Error> {
        let x = cx.input(ROWS, DType::F32, [rows, self.sizes.first().copied().unwrap_or(0)])?;
        let seen = self.noise.forward(cx, x)?;
        let code = self.encode(cx, seen)?;
        let decoded = self.decode(cx, code)?;
        let outputs = outputs(cx, &self.loss, x, [code, decoded])?;
        let penalty = if cx.is_training() { self.penalties(cx, seen, code)? } else { None };
        match (outputs.loss, penalty) {
            (Some(loss), Some(penalty)) => Ok(outputs.loss(cx.add(loss, penalty)?)),
            _ => Ok(outputs),
        }
    }
}

impl Generative for Autoencoder {
    fn code_size(&self) -> usize {
        self.sizes.last().copied().unwrap_or(0)
    }

    fn has_prior(&self) -> bool {
        false
    }

    fn generate(&self, cx: &mut Context, code: Value) -> Result<Value, Error> {
        if self.is_tied {
            for (sizes, number) in self.sizes.windows(2).zip(1..) {
                let init = init::glorot_uniform(sizes[0], sizes[1]);
                cx.scope(format!("encoder.fc{number}"), |cx| {
                    cx.parameter("weight", [sizes[1], sizes[0]], init)
                })?;
            }
        }
        let decoded = self.decode(cx, code)?;
        reconstruction(cx, &self.loss, decoded)
    }
}

/// What an autoencoder makes of rows `x`, of which it has made a code, and of that what is decoded.
pub(super) fn outputs(
    cx: &mut Context,
    loss: &Loss,
    x: Value,
    [code, decoded]: [Value; 2],
) -> Result<Outputs, Error> {
    let mean = loss.mean(cx, decoded, x)?;
    let reconstruction = reconstruction(cx, loss, decoded)?;
    let squared_error = cx.eval((reconstruction - x).square().mean_all())?;
    let outputs = Outputs::new().result(RECONSTRUCTION, reconstruction).result(CODE, code).loss(mean);
    Ok(outputs.of_domain(ROWS, loss.domain()).metric(SQUARED_ERROR, squared_error))
}

/// The values of rows, where those that are decoded may be logits.
pub(super) fn reconstruction(cx: &mut Context, loss: &Loss, decoded: Value) -> Result<Value, Error> {
    if *loss == Loss::BinaryCrossEntropy { cx.sigmoid(decoded) } else { Ok(decoded) }
}
