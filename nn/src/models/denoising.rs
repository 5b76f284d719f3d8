//! One layer of an autoencoder, as it is trained before the next one is put on top of it.

use ir::{Error, Value};

use super::rbm::{CODE, RECONSTRUCTION, RECONSTRUCTION_ERROR, RbmWeights, VisibleUnits};
use crate::loss::binary_cross_entropy;
use crate::supervised::ROWS;
use crate::{Activation, Context, Corruption, Layer, Network, Outputs, init};

/// A layer that learns to reconstruct its input from a noisy version of it (P. Vincent et al., "Stacked denoising autoencoders", 2010), with tied
/// weights: with `x~` as `x` with [noise](Corruption),
///
/// ```text
/// code = f(c + W x~)      reconstruction = sigmoid(b + W' code), or b + W' code
/// ```
///
/// Its input is `x`, `[rows, visible]`; its parameters, `weight`, `[hidden, visible]`, `hidden_bias` and `visible_bias`, are those of an
/// [`Rbm`](super::Rbm), and so are its results, `code` and `reconstruction`. Its loss is what the reconstruction lacks of `x`, a mean over
/// the rows of the sum over all values: the cross entropy, where these are [binary](VisibleUnits) or from 0 to 1, otherwise the
/// squared error. In use there is no noise.
///
/// ```
/// use nn::models::DenoisingLayer;
/// use nn::{Adam, Corruption, network::training_graph};
/// let layer = DenoisingLayer { corruption: Corruption::Masking { rate: 0.3 }, ..DenoisingLayer::new(64, 100) };
/// let step = training_graph("layer", &layer, 32, &Adam::default())?;
/// assert_eq!(step.inputs().count(), 1);
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct DenoisingLayer {
    /// The number of values of a row.
    pub visible: usize,
    /// The number of values of its code.
    pub hidden: usize,
    /// What the values of a row are.
    pub units: VisibleUnits,
    /// The `f` of the code.
    pub activation: Activation,
    /// The noise.
    pub corruption: Corruption,
}

impl DenoisingLayer {
    /// Of values from 0 to 1, with a sigmoid code and without noise: a plain autoencoder.
    pub fn new(visible: usize, hidden: usize) -> DenoisingLayer {
        DenoisingLayer {
            visible,
            hidden,
            units: VisibleUnits::Binary,
            activation: Activation::Sigmoid,
            corruption: Corruption::None,
        }
    }

    fn weights(&self, cx: &mut Context) -> Result<RbmWeights, Error> {
        if self.visible == 0 || self.hidden == 0 {
            let problem = format!("it takes {} values and gives {}", self.visible, self.hidden);
            return Err(Error::new(cx.scoped("denoising layer"), problem, "give at least one of each"));
        }
        let weight = init::glorot_uniform(self.visible, self.hidden);
        Ok(RbmWeights {
            units: self.units,
            weight: cx.parameter("weight", [self.hidden, self.visible], weight)?,
            hidden_bias: cx.parameter("hidden_bias", [self.hidden], init::zeros())?,
            visible_bias: cx.parameter("visible_bias", [self.visible], init::zeros())?,
        })
    }

    fn code(&self, cx: &mut Context, weights: &RbmWeights, x: Value) -> Result<Value, Error> {
        let fields = weights.hidden_fields(cx, x)?;
        self.activation.apply(cx, fields)
    }
}

impl Network for DenoisingLayer {
    fn build(&self, cx: &mut Context, rows: usize) -> Result<Outputs, Error> {
        let weights = self.weights(cx)?;
        let dtype = cx.dtype(weights.weight);
        let x = cx.input(ROWS, dtype, [rows, self.visible])?;
        let noisy = self.corruption.forward(cx, x)?;
        let code = self.code(cx, &weights, noisy)?;
        let field = weights.visible_fields(cx, code)?;
        let (reconstruction, terms) = match self.units {
            VisibleUnits::Binary => (cx.sigmoid(field)?, binary_cross_entropy(cx, field, x)?),
            VisibleUnits::Gaussian => (field, cx.eval((field - x).square())?),
        };
        let error = cx.eval(terms.sum(&[1]).mean_all())?;
        let outputs = Outputs::new().result(CODE, code).result(RECONSTRUCTION, reconstruction);
        Ok(outputs.loss(error).metric(RECONSTRUCTION_ERROR, error))
    }
}
