//! Boltzmann machines, and layers that are trained one after another.

use std::sync::Arc;

use ir::Shape;
use nn::models::layerwise::{LayerwiseStack, Method};
use nn::models::rbm::Chain;
use nn::models::{Likelihood, Rbm, VisibleUnits};
use nn::{Corruption, Player, TrainStep};

use super::vectors::flat;
use super::{Architecture, Body, ChainName, Learns, ModelOptions};

/// The number of persistent chains.
const CHAINS: usize = 100;

/// The restricted Boltzmann machine.
pub const RBM: Architecture = Architecture {
    name: "rbm",
    doc: "a restricted Boltzmann machine: hidden units from which rows are drawn, and back",
    options: &["hidden", "likelihood", "chain", "cd-steps"],
    defaults: "--hidden 128 --chain pcd --epochs 200 --lr 0.005",
    learns: Learns::Rows,
    row: flat,
    build: |row, _, options| Body::Network(Arc::new(machine(row, options))),
    generative: None,
    sampler: Some(|row, _, options| Arc::new(machine(row, options))),
    game: None,
    sequences: None,
};

/// The deep belief network.
pub const DBN: Architecture = Architecture {
    name: "dbn",
    doc: "a deep belief network: Boltzmann machines, one after another, and a classifier that starts from them",
    options: &["hidden", "likelihood", "chain", "cd-steps", "pretrain-epochs"],
    defaults: "--hidden 256,128 --chain pcd --pretrain-epochs 100 --epochs 30 --lr 0.01",
    learns: Learns::Labels,
    row: flat,
    build: |row, classes, options| Body::Network(Arc::new(belief_network(row, classes, options))),
    generative: None,
    sampler: Some(|row, classes, options| Arc::new(belief_network(row, classes, options))),
    game: Some(|options, step| players(belief_network(&row_of_players(), 1, options), options, step)),
    sequences: None,
};

/// The stacked denoising autoencoder.
pub const STACKED_AUTOENCODER: Architecture = Architecture {
    name: "stacked-autoencoder",
    doc: "denoising autoencoders of one layer, one after another, and a classifier that starts from them",
    options: &["hidden", "activation", "likelihood", "noise", "pretrain-epochs"],
    defaults: "--hidden 256,128 --activation sigmoid --noise masking:0.3 --pretrain-epochs 60 --epochs 40 --lr 0.005",
    build: |row, classes, options| Body::Network(Arc::new(autoencoders(row, classes, options))),
    sampler: None,
    game: Some(|options, step| players(autoencoders(&row_of_players(), 1, options), options, step)),
    ..DBN
};

/// Any row: who plays does not depend on it.
fn row_of_players() -> Shape {
    [1].into()
}

fn players(stack: LayerwiseStack, options: &ModelOptions, step: &dyn Fn() -> TrainStep) -> Vec<Player> {
    stack.players(options.pretrain_epochs, step)
}

fn machine(row: &Shape, options: &ModelOptions) -> Rbm {
    let hidden = options.hidden.first().copied().unwrap_or(0);
    Rbm { units: units(options), chain: chain(options), ..Rbm::new(row.elements(), hidden) }
}

fn belief_network(row: &Shape, classes: usize, options: &ModelOptions) -> LayerwiseStack {
    stack(row, classes, options, Method::Rbm { chain: chain(options) })
}

fn autoencoders(row: &Shape, classes: usize, options: &ModelOptions) -> LayerwiseStack {
    let corruption = options.noise.unwrap_or(Corruption::None);
    stack(row, classes, options, Method::Autoencoder { activation: options.activation, corruption })
}

fn stack(row: &Shape, classes: usize, options: &ModelOptions, method: Method) -> LayerwiseStack {
    let sizes = [&[row.elements()], &options.hidden[..]].concat();
    LayerwiseStack { units: units(options), ..LayerwiseStack::new(&sizes, method).classifier(classes) }
}

fn units(options: &ModelOptions) -> VisibleUnits {
    match options.likelihood {
        Some(Likelihood::Gaussian) => VisibleUnits::Gaussian,
        _ => VisibleUnits::Binary,
    }
}

fn chain(options: &ModelOptions) -> Chain {
    let steps = options.cd_steps;
    match options.chain {
        ChainName::Cd => Chain::Contrastive { steps },
        ChainName::Pcd => Chain::Persistent { chains: CHAINS, steps },
    }
}
