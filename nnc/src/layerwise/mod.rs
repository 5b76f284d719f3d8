//! Layers that are trained one after another without labels ([`nn::models::layerwise`]), for a network of one's own to start from. A
//! classifier on top of them, trained in the same run, is `nnc train dbn` or `nnc train stacked-autoencoder`.
//!
//! | module | what it holds |
//! |---|---|
//! | [`few_labels`] | what this start is worth where few rows have labels |

pub mod few_labels;

use ir::Tensor;
use nn::models::VisibleUnits;
use nn::models::layerwise::layer_name;
pub use nn::models::layerwise::{LayerwiseStack, Method};
use nn::models::rbm::{Chain, RECONSTRUCTION_ERROR};
use nn::network::drawing_graph;
use nn::supervised::ROWS;
use nn::{Activation, Adam, Corruption, TrainStep};
use runtime::State;

use crate::data::Arrays;
use crate::trainer::{FitOptions, silent};
use crate::{Error, Options, Trainer, TrainerOptions, compile};

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
    /// What the initial weights, the order of rows and all draws depend on.
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
        let method = Method::Autoencoder { activation: Activation::Sigmoid.into(), corruption };
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
    /// What its reconstructions lack, on what it has been trained on: see [`LayerwiseStack`].
    pub reconstruction_error: f64,
}

/// Layers that have been trained, the lowest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Pretrained {
    /// The network of which these are the weights.
    pub stack: LayerwiseStack,
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
/// let method = Method::Autoencoder { activation: Activation::Tanh.into(), corruption: Corruption::Gaussian { deviation: 0.1 } };
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
    let Pretraining { sizes, units, method, epochs, batch, learning_rate, seed, compile } = pretraining;
    let stack = LayerwiseStack { units: *units, ..LayerwiseStack::new(sizes, *method) };
    let players = stack.players(*epochs, || TrainStep::new(Adam::new(*learning_rate)));
    let options =
        TrainerOptions { batch: *batch, seed: *seed, compile: compile.clone(), ..TrainerOptions::default() };
    let mut trainer = Trainer::of_game("pretraining", stack.clone(), players, options)?;
    let arrays = Arrays::new("pretraining", [(ROWS, rows.clone())])?;
    trainer.fit(&arrays, None, &FitOptions::epochs(epochs * stack.layer_count()), &mut silent)?;
    let metrics = trainer.evaluate(&arrays)?.metrics;
    let layer = |number: usize| {
        let name = layer_name(number);
        let error = metrics.get(&format!("{name}_{RECONSTRUCTION_ERROR}"));
        let state = |what: &str| trainer.state().get(&format!("{name}.{what}"));
        Ok(PretrainedLayer {
            weight: state("weight")?,
            hidden_bias: state("hidden_bias")?,
            visible_bias: state("visible_bias")?,
            reconstruction_error: *error.expect("each kind of layer reports it"),
        })
    };
    let layers = (0..stack.layer_count()).map(layer).collect::<Result<_, Error>>()?;
    Ok(Pretrained { stack, layers })
}

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

    /// The means of the visible units of `count` samples of stacked Boltzmann machines, `f32[count, visible]`: each after `steps` steps of
    /// a chain in the uppermost machine. They depend on the seed and on nothing else.
    ///
    /// # Errors
    /// Where the layers are no Boltzmann machines, or there is nothing to draw.
    pub fn sample(&self, count: usize, steps: usize, seed: u64, options: &Options) -> Result<Tensor, Error> {
        let mut program = compile(&drawing_graph("samples", &self.stack, count, steps)?, options)?;
        let mut state = State::new(program.plan(), seed)?;
        for (number, layer) in self.layers.iter().enumerate() {
            let PretrainedLayer { weight, hidden_bias, visible_bias, .. } = layer;
            let named = [("weight", weight), ("hidden_bias", hidden_bias), ("visible_bias", visible_bias)];
            for (name, tensor) in named {
                let name = format!("{}.{name}", layer_name(number));
                if state.contains(&name) {
                    state.set(&name, tensor)?;
                }
            }
        }
        program.run(&mut state, &[])?;
        Ok(program.outputs()[0].clone())
    }
}
