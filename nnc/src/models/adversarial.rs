//! Generative adversarial networks: of dense layers for rows of any shape, and of convolutions for images.

use std::sync::Arc;

use ir::Shape;
use nn::models::gan::bigan::ENCODER;
use nn::models::gan::{BiGan, ConvDiscriminator, ConvGenerator, Divergence, Gan, Objective};
use nn::models::{Likelihood, Mlp};
use nn::{Activation, Conditioned, Network, Player, SpectralNorm, TrainStep};

use super::images::image;
use super::vectors::flat;
use super::{Architecture, Body, Learns, ModelOptions};

/// The values of the embedding of a class.
const EMBEDDING: usize = 16;
/// The paper's weight of the penalty on a critic's gradient.
const PENALTY: Objective = Objective::GradientPenalty { weight: 10.0 };
/// The paper's bound of a critic's weights.
const CLIPPING: Objective = Objective::WeightClipping { bound: 0.01 };

/// What those of dense layers have.
const DENSE_OPTIONS: &[&str] = &["hidden", "activation", "code", "likelihood", "batch-norm", "critic-steps"];
/// What those of convolutions have.
const CONV_OPTIONS: &[&str] = &["channels", "code", "likelihood", "critic-steps"];

/// The game as it was first.
pub const GAN: Architecture = Architecture {
    name: "gan",
    doc: "a generator of rows against a discriminator that tells them from those of the data",
    options: DENSE_OPTIONS,
    defaults: "--hidden 128,128 --code 16 --activation leaky_relu --batch-norm --epochs 300 --batch 64 --lr 0.0005 --beta1 0.5",
    learns: Learns::Rows,
    row: flat,
    build: |row, _, options| body(dense(row, options, Objective::NonSaturating)),
    generative: Some(|row, _, options| Arc::new(dense(row, options, Objective::NonSaturating))),
    sampler: None,
    game: Some(|options, step| players(Objective::NonSaturating, options, step)),
    sequences: None,
};

/// The game of any f-divergence.
pub const FGAN: Architecture = Architecture {
    name: "fgan",
    doc: "a generator of rows whose f-divergence from the data, as a discriminator bounds it, becomes small",
    options: &["hidden", "activation", "code", "likelihood", "batch-norm", "critic-steps", "divergence"],
    build: |row, _, options| body(dense(row, options, divergence(options))),
    generative: Some(|row, _, options| Arc::new(dense(row, options, divergence(options)))),
    game: Some(|options, step| players(divergence(options), options, step)),
    ..GAN
};

/// Wasserstein's distance, with bounds for the critic's weights.
pub const WGAN: Architecture = Architecture {
    name: "wgan",
    doc: "a generator of rows against a critic of bounded weights, which estimates Wasserstein's distance",
    defaults: "--hidden 128,128 --code 16 --activation leaky_relu --batch-norm --critic-steps 5 --epochs 400 --batch 64 --optimizer rmsprop --lr 0.0005",
    build: |row, _, options| body(dense(row, options, CLIPPING)),
    generative: Some(|row, _, options| Arc::new(dense(row, options, CLIPPING))),
    game: Some(|options, step| players(CLIPPING, options, step)),
    ..GAN
};

/// Wasserstein's distance, with a penalty on the critic's gradient.
pub const WGAN_GP: Architecture = Architecture {
    name: "wgan-gp",
    doc: "a generator of rows against a critic that estimates Wasserstein's distance, with a penalty on its gradient",
    defaults: "--hidden 128,128 --code 16 --activation leaky_relu --critic-steps 5 --epochs 400 --batch 64 --lr 0.0005",
    build: |row, _, options| body(dense(row, options, PENALTY)),
    generative: Some(|row, _, options| Arc::new(dense(row, options, PENALTY))),
    game: Some(|options, step| players(PENALTY, options, step)),
    ..GAN
};

/// The conditional game.
pub const CGAN: Architecture = Architecture {
    name: "cgan",
    doc: "a generator against a critic, both of which know the class of a row",
    learns: Learns::Labels,
    build: |row, classes, options| body(conditional(row, classes, options)),
    generative: Some(|row, classes, options| Arc::new(conditional(row, classes, options))),
    ..WGAN_GP
};

/// The bidirectional game.
pub const BIGAN: Architecture = Architecture {
    name: "bigan",
    doc: "a generator and an encoder, which is to be its inverse, against a discriminator of pairs of rows and codes",
    defaults: "--hidden 128,128 --code 8 --activation leaky_relu --batch-norm --critic-steps 2 --epochs 600 --batch 64 --lr 0.0002 --beta1 0.5",
    build: |row, _, options| body(bidirectional(row, options)),
    generative: Some(|row, _, options| Arc::new(bidirectional(row, options))),
    game: Some(|options, step| {
        let [critic, generator] = Objective::NonSaturating.players(step(), step(), options.critic_steps);
        vec![critic, generator.moves(format!("{ENCODER}.*"))]
    }),
    ..GAN
};

/// The game of convolutions.
pub const DCGAN: Architecture = Architecture {
    name: "dcgan",
    doc: "a generator of images by transposed convolutions against a discriminator of convolutions",
    options: CONV_OPTIONS,
    defaults: "--channels 32,64 --code 32 --epochs 150 --batch 64 --lr 0.001 --beta1 0.5 --average-weights 0.99",
    row: image,
    build: |row, _, options| body(convolutional(row, options)),
    generative: Some(|row, _, options| Arc::new(convolutional(row, options))),
    ..GAN
};

/// The parts of BigGAN.
pub const BIGGAN: Architecture = Architecture {
    name: "biggan",
    doc: "dcgan with BigGAN's parts: classes, spectral normalisation, hinge loss, orthogonal and averaged weights",
    options: &["channels", "code", "likelihood", "critic-steps", "orthogonality"],
    defaults: "--channels 32,64 --code 32 --epochs 200 --batch 64 --lr 0.002 --beta1 0 --critic-steps 2 --orthogonality 0.0001 --average-weights 0.99",
    learns: Learns::Labels,
    build: |row, classes, options| body(big(row, classes, options)),
    generative: Some(|row, classes, options| Arc::new(big(row, classes, options))),
    game: Some(|options, step| players(Objective::Hinge, options, step)),
    ..DCGAN
};

fn body(network: impl Network + 'static) -> Body {
    Body::Network(Arc::new(network))
}

fn players(objective: Objective, options: &ModelOptions, step: &dyn Fn() -> TrainStep) -> Vec<Player> {
    objective.players(step(), step(), options.critic_steps).into()
}

fn divergence(options: &ModelOptions) -> Objective {
    Objective::Divergence(options.divergence.unwrap_or(Divergence::Gan))
}

/// What makes values probabilities, where rows are some.
fn output_activation(options: &ModelOptions) -> Option<Activation> {
    (options.likelihood != Some(Likelihood::Gaussian)).then_some(Activation::Sigmoid)
}

/// Dense layers from `inputs` to `values`.
fn generator(inputs: usize, values: usize, options: &ModelOptions) -> Mlp {
    let sizes = [&[inputs], &options.hidden[..], &[values]].concat();
    Mlp {
        output_activation: output_activation(options),
        batch_norm: options.batch_norm,
        ..Mlp::new(&sizes, options.activation)
    }
}

/// Dense layers from `inputs` to `values` that depend on each row alone.
fn dense_layers(inputs: usize, values: usize, options: &ModelOptions) -> Mlp {
    Mlp::new(&[&[inputs], &options.hidden[..], &[values]].concat(), options.activation)
}

fn dense(row: &Shape, options: &ModelOptions, objective: Objective) -> Gan<Mlp, Mlp> {
    let values = row.elements();
    let made = generator(options.code, values, options);
    Gan::new(row.clone(), options.code, made, dense_layers(values, 1, options), objective)
}

fn conditional(
    row: &Shape,
    classes: usize,
    options: &ModelOptions,
) -> Gan<Conditioned<Mlp>, Conditioned<Mlp>> {
    let values = row.elements();
    let made = Conditioned::new(generator(options.code + EMBEDDING, values, options), classes, EMBEDDING);
    let judged = Conditioned::new(dense_layers(values + EMBEDDING, 1, options), classes, EMBEDDING);
    Gan::new(row.clone(), options.code, made, judged, PENALTY).conditional()
}

fn bidirectional(row: &Shape, options: &ModelOptions) -> BiGan<Mlp, Mlp, Mlp> {
    let (values, latent) = (row.elements(), options.code);
    BiGan {
        row: row.clone(),
        latent,
        generator: generator(latent, values, options),
        encoder: dense_layers(values, latent, options),
        discriminator: dense_layers(values + latent, 1, options),
        objective: Objective::NonSaturating,
    }
}

/// The generator of images that `row` is one of.
fn conv_generator(row: &Shape, options: &ModelOptions) -> ConvGenerator {
    let image = [0, 1, 2].map(|axis| row.get(axis).copied().unwrap_or(1));
    ConvGenerator {
        output_activation: output_activation(options),
        ..ConvGenerator::new(image, &options.channels)
    }
}

fn convolutional(row: &Shape, options: &ModelOptions) -> Gan<ConvGenerator, ConvDiscriminator> {
    let judged = ConvDiscriminator::new(&options.channels);
    Gan::new(row.clone(), options.code, conv_generator(row, options), judged, Objective::NonSaturating)
}

fn big(
    row: &Shape,
    classes: usize,
    options: &ModelOptions,
) -> Gan<ConvGenerator, SpectralNorm<ConvDiscriminator>> {
    let made = ConvGenerator { classes: Some((classes, EMBEDDING)), ..conv_generator(row, options) };
    let judged =
        ConvDiscriminator { channels: options.channels.clone(), batch_norm: false, classes: Some(classes) };
    let game = Gan::new(row.clone(), options.code, made, SpectralNorm::new(judged), Objective::Hinge);
    Gan { orthogonality: options.orthogonality, ..game.conditional() }
}
