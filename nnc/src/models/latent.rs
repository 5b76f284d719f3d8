//! Models that learn a code of rows, and make rows of codes.

use std::sync::Arc;

use ir::Shape;
use nn::models::{Autoencoder, ConvAutoencoder, Likelihood, SemiSupervisedVae, Sparsity, Vae, Vib};
use nn::{Activation, Corruption, Loss};

use super::images::image;
use super::vectors::flat;
use super::{Architecture, Body, Learns, ModelOptions};

/// What all of them have.
const AUTOENCODER_OPTIONS: &[&str] =
    &["hidden", "activation", "code", "tied", "likelihood", "noise", "sparsity", "contraction"];
const VAE_OPTIONS: &[&str] = &["hidden", "activation", "code", "likelihood", "beta"];

/// A plain autoencoder.
pub const AUTOENCODER: Architecture = Architecture {
    name: "autoencoder",
    doc: "dense layers to a code and back to the row",
    options: AUTOENCODER_OPTIONS,
    defaults: "--hidden 128 --code 16 --activation elu --epochs 100 --lr 0.003",
    learns: Learns::Rows,
    row: flat,
    build: |row, _, options| network(autoencoder(row, options, None)),
    generative: Some(|row, _, options| Arc::new(autoencoder(row, options, None))),
    sampler: None,
    game: None,
    sequences: None,
};

/// A denoising autoencoder.
pub const DENOISING: Architecture = Architecture {
    name: "denoising",
    doc: "an autoencoder that tells rows from what noise leaves of them",
    defaults: "--hidden 128 --code 32 --activation elu --noise masking:0.3 --epochs 100 --lr 0.003",
    ..AUTOENCODER
};

/// A sparse autoencoder.
pub const SPARSE: Architecture = Architecture {
    name: "sparse",
    doc: "an autoencoder of a wide code, of which each row uses a few units",
    defaults: "--hidden 128 --code 64 --activation elu --sparsity kl:0.1:0.05 --epochs 100 --lr 0.003",
    build: |row, _, options| network(autoencoder(row, options, Some(Activation::Sigmoid))),
    ..AUTOENCODER
};

/// A contractive autoencoder.
pub const CONTRACTIVE: Architecture = Architecture {
    name: "contractive",
    doc: "an autoencoder whose code changes little where rows do",
    defaults: "--hidden 128 --code 32 --activation tanh --contraction 0.1 --epochs 100 --lr 0.003",
    build: |row, _, options| network(autoencoder(row, options, Some(Activation::Sigmoid))),
    ..AUTOENCODER
};

/// A variational autoencoder.
pub const VAE: Architecture = Architecture {
    name: "vae",
    doc: "a variational autoencoder: normal codes, from which rows are drawn",
    options: VAE_OPTIONS,
    defaults: "--hidden 128 --code 8 --activation elu --epochs 150 --lr 0.003",
    learns: Learns::Rows,
    row: flat,
    build: |row, _, options| network(vae(row, 0, options)),
    generative: Some(|row, _, options| Arc::new(vae(row, 0, options))),
    sampler: None,
    game: None,
    sequences: None,
};

/// A variational autoencoder whose divergence counts more.
pub const BETA_VAE: Architecture = Architecture {
    name: "beta-vae",
    doc: "a variational autoencoder whose codes are kept near the prior: axes that mean something alone",
    defaults: "--hidden 128 --code 8 --activation elu --beta 2 --epochs 150 --lr 0.003",
    ..VAE
};

/// A conditional variational autoencoder.
pub const CVAE: Architecture = Architecture {
    name: "cvae",
    doc: "a variational autoencoder that knows the class of a row, and draws rows of a class",
    learns: Learns::Labels,
    build: |row, classes, options| network(vae(row, classes, options)),
    generative: Some(|row, classes, options| Arc::new(vae(row, classes, options))),
    ..VAE
};

/// An autoencoder of images.
pub const CONV_AUTOENCODER: Architecture = Architecture {
    name: "conv-autoencoder",
    doc: "convolutions to a code of an image, and transposed ones back",
    options: &["channels", "activation", "code", "likelihood", "noise"],
    defaults: "--channels 24,48 --code 16 --activation elu --epochs 60 --lr 0.003",
    row: image,
    build: |row, _, options| network(conv_autoencoder(row, options)),
    generative: Some(|row, _, options| Arc::new(conv_autoencoder(row, options))),
    ..AUTOENCODER
};

/// A variational autoencoder that classifies.
pub const SS_VAE: Architecture = Architecture {
    name: "ss-vae",
    doc: "a variational autoencoder with a classifier, for data of which few rows have labels",
    options: &["hidden", "activation", "code", "likelihood", "beta", "labels", "alpha"],
    defaults: "--hidden 256 --code 8 --activation relu --epochs 100 --lr 0.003",
    learns: Learns::Labels,
    build: |row, classes, options| network(ss_vae(row, classes, options)),
    generative: Some(|row, classes, options| Arc::new(ss_vae(row, classes, options))),
    ..VAE
};

/// The variational information bottleneck.
pub const VIB: Architecture = Architecture {
    name: "vib",
    doc: "a classifier by a drawn code that keeps as little of a row as it can",
    options: &["hidden", "activation", "code", "beta"],
    defaults: "--hidden 128,64 --code 16 --activation relu --beta 0.01 --epochs 60 --lr 0.003",
    learns: Learns::Labels,
    row: flat,
    build: |row, classes, options| {
        network(Vib {
            values: row.elements(),
            hidden: options.hidden.clone(),
            code: options.code,
            activation: options.activation,
            classes,
            beta: options.beta,
        })
    },
    generative: None,
    sampler: None,
    game: None,
    sequences: None,
};

fn network(network: impl nn::Network + 'static) -> Body {
    Body::Network(Arc::new(network))
}

fn autoencoder(row: &Shape, options: &ModelOptions, code_activation: Option<Activation>) -> Autoencoder {
    let sizes = [&[row.elements()], &options.hidden[..], &[options.code]].concat();
    Autoencoder {
        code_activation,
        is_tied: options.tied,
        loss: loss(options),
        noise: options.noise.unwrap_or(Corruption::None),
        sparsity: options.sparsity.unwrap_or(Sparsity::None),
        contraction: options.contraction,
        ..Autoencoder::new(&sizes, options.activation)
    }
}

fn conv_autoencoder(row: &Shape, options: &ModelOptions) -> ConvAutoencoder {
    let image = [0, 1, 2].map(|axis| row.get(axis).copied().unwrap_or(1));
    ConvAutoencoder {
        loss: loss(options),
        noise: options.noise.unwrap_or(Corruption::None),
        ..ConvAutoencoder::new(image, &options.channels, options.code, options.activation)
    }
}

fn ss_vae(row: &Shape, classes: usize, options: &ModelOptions) -> SemiSupervisedVae {
    SemiSupervisedVae { vae: vae(row, classes, options), alpha: options.alpha }
}

fn vae(row: &Shape, classes: usize, options: &ModelOptions) -> Vae {
    let (hidden, code) = (&options.hidden, options.code);
    let plain = Vae::new(row.elements(), hidden, code, options.activation, likelihood(options));
    Vae { beta: options.beta, classes, ..plain }
}

/// That of the values which a decoder gives by themselves.
fn loss(options: &ModelOptions) -> Loss {
    match likelihood(options) {
        Likelihood::Bernoulli => Loss::BinaryCrossEntropy,
        Likelihood::Gaussian => Loss::SquaredError,
    }
}

/// That of values from 0 to 1, unless another is chosen.
fn likelihood(options: &ModelOptions) -> Likelihood {
    options.likelihood.unwrap_or(Likelihood::Bernoulli)
}
