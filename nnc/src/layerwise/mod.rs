//! Greedy layer-wise training: each layer learns, without labels, from what the layer below makes of the rows, and a network of these layers
//! is then trained as a whole (G. Hinton, S. Osindero and Y.-W. Teh, "A fast learning algorithm for deep belief nets", 2006; Y. Bengio et al.,
//! "Greedy layer-wise training of deep networks", 2007).
//!
//! | module | what it holds |
//! |---|---|
//! | `belief_network` | samples of stacked Boltzmann machines |
//! | [`few_labels`] | what this start is worth where few rows have labels |

mod belief_network;
pub mod few_labels;

use ir::Tensor;
use nn::models::rbm::{CODE, Chain, RECONSTRUCTION_ERROR};
use nn::models::{DenoisingLayer, Rbm, VisibleUnits};
use nn::supervised::ROWS;
use nn::{Activation, Adam, Corruption};

use crate::data::Arrays;
use crate::trainer::{FitOptions, silent};
use crate::{Error, Options, Trainer, TrainerOptions};

/// What a layer is while it is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// A restricted Boltzmann machine: together a deep belief network.
    Rbm {
        /// Where samples come from.
        chain: Chain,
    },
    /// An autoencoder of one layer with tied weights: stacked autoencoders, denoising where there is a corruption.
    Autoencoder {
        /// What follows each layer; what is reconstructed is from 0 to 1 where it is the sigmoid.
        activation: Activation,
        /// The noise on what a layer takes.
        corruption: Corruption,
    },
}

/// How layers are trained one after another.
#[derive(Clone, Debug)]
pub struct Pretraining {
    /// The number of values of a row, and of the code of each layer.
    pub sizes: Vec<usize>,
    /// What the values of a row are: from 0 to 1, or standardised.
    pub units: VisibleUnits,
    /// What layers are.
    pub method: Method,
    /// Epochs for each layer.
    pub epochs: usize,
    /// The number of rows in a batch.
    pub batch: usize,
    /// The learning rate of [`Adam`].
    pub learning_rate: f64,
    /// What the initial weights, the order of rows and all draws depend on; each layer has a seed of its own.
    pub seed: u64,
    /// How programs are compiled.
    pub compile: Options,
}

impl Pretraining {
    /// 100 epochs for each layer of these sizes, in batches of 50, of rows from 0 to 1, at a learning rate of 0.005, from seed 0.
    pub fn new(sizes: &[usize], method: Method) -> Pretraining {
        Pretraining {
            sizes: sizes.to_vec(),
            units: VisibleUnits::Binary,
            method,
            epochs: 100,
            batch: 50,
            learning_rate: 5e-3,
            seed: 0,
            compile: Options::default(),
        }
    }

    /// A deep belief network of machines that are trained by contrastive divergence with chains of one step, at a learning rate of 0.01.
    pub fn machines(sizes: &[usize]) -> Pretraining {
        let method = Method::Rbm { chain: Chain::Contrastive { steps: 1 } };
        Pretraining { learning_rate: 1e-2, ..Pretraining::new(sizes, method) }
    }

    /// Stacked denoising autoencoders with sigmoid codes that are shown rows with a fifth of the values at 0, for 50 epochs at a learning
    /// rate of 0.002.
    pub fn denoising(sizes: &[usize]) -> Pretraining {
        let corruption = Corruption::Masking { rate: 0.2 };
        let method = Method::Autoencoder { activation: Activation::Sigmoid, corruption };
        Pretraining { epochs: 50, learning_rate: 2e-3, ..Pretraining::new(sizes, method) }
    }
}

/// A layer that has been trained.
#[derive(Clone, Debug, PartialEq)]
pub struct PretrainedLayer {
    /// `f32[hidden, visible]`
    pub weight: Tensor,
    /// `f32[hidden]`
    pub hidden_bias: Tensor,
    /// `f32[visible]`
    pub visible_bias: Tensor,
    /// What its reconstructions lack, on what it has been trained on: see [`Rbm`] and [`DenoisingLayer`].
    pub reconstruction_error: f64,
}

/// Layers that have been trained, the lowest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Pretrained {
    /// What the values of a row are.
    pub units: VisibleUnits,
    /// What layers are.
    pub method: Method,
    /// The layers.
    pub layers: Vec<PretrainedLayer>,
}

/// Trains layers on `rows`, `f32[rows, sizes[0]]`: the first on these, each other on the codes of the one below.
///
/// ```
/// use nn::{Activation, Corruption, Loss, Supervised, models::Mlp};
/// use nnc::layerwise::{Method, Pretraining, pretrain};
/// use nnc::prelude::*;
/// let (train, _) = nnc::data::synthetic::blobs(3, 4, 300, 0)?.split_off_every_fifth();
/// let method = Method::Autoencoder { activation: Activation::Tanh, corruption: Corruption::Gaussian { deviation: 0.1 } };
/// let layers = Pretraining { units: nn::models::VisibleUnits::Gaussian, ..Pretraining::new(&[4, 8, 6], method) };
/// let pretrained = pretrain(&train.tensor(), &layers)?;
/// let network = Supervised::new([4], Mlp::new(&[4, 8, 6, 3], Activation::Tanh), Loss::cross_entropy());
/// let mut trainer = Trainer::new("blobs", network, Adam::new(0.01), TrainerOptions::default())?;
/// pretrained.start(&mut trainer)?;
/// assert_eq!(trainer.state().get("fc2.weight")?, pretrained.layers[1].weight);
/// # Ok::<(), nnc::Error>(())
/// ```
///
/// # Errors
/// Where there are fewer than two sizes, rows are of another type than the first, or training fails (see [`Trainer::fit`]).
pub fn pretrain(rows: &Tensor, pretraining: &Pretraining) -> Result<Pretrained, Error> {
    let Pretraining { sizes, units, method, .. } = pretraining;
    if sizes.len() < 2 {
        let problem = format!("the sizes are {sizes:?}");
        return Err(Error::invalid(
            "pre-training",
            problem,
            "give the size of a row and of at least one layer",
        ));
    }
    let mut rows = rows.clone();
    let mut layers = Vec::new();
    for (number, sizes) in sizes.windows(2).enumerate() {
        let units = if number == 0 { *units } else { method.code_units() };
        let (layer, code) = train_layer(&rows, (sizes[0], sizes[1]), units, pretraining, number as u64)?;
        layers.push(layer);
        rows = code;
    }
    Ok(Pretrained { units: *units, method: *method, layers })
}

impl Method {
    /// What the code of a layer is to the next one.
    fn code_units(self) -> VisibleUnits {
        match self {
            Method::Rbm { .. } | Method::Autoencoder { activation: Activation::Sigmoid, .. } => {
                VisibleUnits::Binary
            }
            Method::Autoencoder { .. } => VisibleUnits::Gaussian,
        }
    }
}

/// A layer, and what it makes of the rows.
fn train_layer(
    rows: &Tensor,
    (visible, hidden): (usize, usize),
    units: VisibleUnits,
    pretraining: &Pretraining,
    number: u64,
) -> Result<(PretrainedLayer, Tensor), Error> {
    let Pretraining { method, epochs, batch, learning_rate, seed, compile, .. } = pretraining;
    let seed = seed.wrapping_add(number.wrapping_mul(LAYER_INCREMENT));
    let options =
        TrainerOptions { batch: *batch, seed, compile: compile.clone(), ..TrainerOptions::default() };
    let name = format!("layer{}", number + 1);
    let adam = Adam::new(*learning_rate);
    let mut trainer = match *method {
        Method::Rbm { chain } => {
            let rbm = Rbm { units, chain, ..Rbm::new(visible, hidden) };
            Trainer::new(&name, rbm, adam, options)?
        }
        Method::Autoencoder { activation, corruption } => {
            let layer =
                DenoisingLayer { units, activation, corruption, ..DenoisingLayer::new(visible, hidden) };
            Trainer::new(&name, layer, adam, options)?
        }
    };
    let arrays = Arrays::new(&name, [(ROWS, rows.clone())])?;
    trainer.fit(&arrays, None, &FitOptions::epochs(*epochs), &mut silent)?;
    let error = trainer.evaluate(&arrays)?.metrics.get(RECONSTRUCTION_ERROR).copied();
    let results = trainer.results(&arrays)?;
    let code = results.into_iter().find(|(name, _)| name == CODE).map(|(_, code)| code);
    let state = trainer.state();
    let layer = PretrainedLayer {
        weight: state.get("weight")?,
        hidden_bias: state.get("hidden_bias")?,
        visible_bias: state.get("visible_bias")?,
        reconstruction_error: error.expect("each kind of layer reports it"),
    };
    Ok((layer, code.expect("each kind of layer has a code")))
}

/// What the seed moves by from layer to layer. It is no multiple of that by which keys move from step to step, so that layers share no draws
/// (the first 64 bits of the fraction of sqrt(3)).
const LAYER_INCREMENT: u64 = 0xBB67_AE85_84CA_A73B;

impl Pretrained {
    /// The weights from which an [`Mlp`](nn::models::Mlp) starts, of which the first layers have these sizes: `fc1.weight`, `fc1.bias` and so
    /// on.
    pub fn mlp_weights(&self) -> Vec<(String, Tensor)> {
        let of_layer = |(number, layer): (usize, &PretrainedLayer)| {
            let name = |what: &str| format!("fc{}.{what}", number + 1);
            [(name("weight"), layer.weight.clone()), (name("bias"), layer.hidden_bias.clone())]
        };
        self.layers.iter().enumerate().flat_map(of_layer).collect()
    }

    /// Puts [these weights](Pretrained::mlp_weights) into the `Mlp` that a trainer is about to train.
    ///
    /// # Errors
    /// Where it has no such layers.
    pub fn start(&self, trainer: &mut Trainer) -> Result<(), Error> {
        let state = trainer.state_mut()?;
        for (name, tensor) in self.mlp_weights() {
            state.set(&name, &tensor)?;
        }
        Ok(())
    }
}
