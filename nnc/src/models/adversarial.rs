//! Generative adversarial networks of dense layers.

use std::sync::Arc;

use ir::Shape;
use nn::models::gan::{Gan, Objective};
use nn::models::{Likelihood, Mlp};
use nn::{Activation, Conditioned, Network, Player, SpectralNorm, TrainStep};

use super::vectors::flat;
use super::{Architecture, Body, Learns, ModelOptions};

const OPTIONS: &[&str] = &["hidden", "activation", "code", "likelihood", "critic-steps"];
/// The values of the embedding of a class.
const EMBEDDING: usize = 16;

/// The game of the paper, with the generator's loss that does not vanish.
pub const GAN: Architecture = Architecture {
    name: "gan",
    doc: "a generator of rows against a discriminator of bounded slope, with the non-saturating loss",
    options: OPTIONS,
    defaults: "--hidden 128,128 --code 16 --activation leaky_relu --epochs 300 --batch 64 --lr 0.0005",
    learns: Learns::Rows,
    row: flat,
    build: |row, _, options| body(smooth(row, options)),
    generative: Some(|row, _, options| Arc::new(smooth(row, options))),
    game: Some(|options, steps| two(options, Objective::NonSaturating, steps)),
    sequences: None,
};

/// Wasserstein's distance, with bounds for the critic's weights.
pub const WGAN: Architecture = Architecture {
    name: "wgan",
    doc: "a generator against a critic that estimates Wasserstein's distance, its weights within bounds",
    defaults: "--hidden 128,128 --code 16 --activation leaky_relu --critic-steps 5 --epochs 400 --batch 64 --lr 0.0005",
    build: |row, _, options| body(plain(row, options, CLIPPED)),
    generative: Some(|row, _, options| Arc::new(plain(row, options, CLIPPED))),
    game: Some(|options, steps| two(options, CLIPPED, steps)),
    ..GAN
};

/// Wasserstein's distance, with a penalty on the critic's gradient.
pub const WGAN_GP: Architecture = Architecture {
    name: "wgan-gp",
    doc: "the same with a penalty on the critic's gradient",
    build: |row, _, options| body(plain(row, options, PENALISED)),
    generative: Some(|row, _, options| Arc::new(plain(row, options, PENALISED))),
    game: Some(|options, steps| two(options, PENALISED, steps)),
    ..WGAN
};

/// The conditional game.
pub const CGAN: Architecture = Architecture {
    name: "cgan",
    doc: "a generator against a discriminator, both of which know the class of a row",
    learns: Learns::Labels,
    build: |row, classes, options| body(conditional(row, classes, options)),
    generative: Some(|row, classes, options| Arc::new(conditional(row, classes, options))),
    ..GAN
};

const CLIPPED: Objective = Objective::WeightClipping { bound: 0.05 };
const PENALISED: Objective = Objective::GradientPenalty { weight: 10.0 };

fn body(network: impl Network + 'static) -> Body {
    Body::Network(Arc::new(network))
}

fn two(options: &ModelOptions, objective: Objective, [generator, critic]: [TrainStep; 2]) -> [Player; 2] {
    // The layers say nothing of the players.
    let game = Gan::new([1], 1, Activation::Relu, Activation::Relu, objective);
    game.players(generator, critic, options.critic_steps)
}

/// Dense layers from `inputs` to `values`, which are probabilities where rows are.
fn generator(inputs: usize, values: usize, options: &ModelOptions) -> Mlp {
    let sizes = [&[inputs], &options.hidden[..], &[values]].concat();
    let layers = Mlp { batch_norm: true, ..Mlp::new(&sizes, options.activation) };
    match options.likelihood {
        Some(Likelihood::Gaussian) => layers,
        _ => layers.output_activation(Activation::Sigmoid),
    }
}

fn critic(inputs: usize, options: &ModelOptions) -> Mlp {
    Mlp::new(&[&[inputs], &options.hidden[..], &[1]].concat(), options.activation)
}

/// A critic without steep slopes, which would be sure of itself at once and teach nothing.
fn smooth(row: &Shape, options: &ModelOptions) -> Gan<Mlp, SpectralNorm<Mlp>> {
    let values = row.elements();
    let (made, judged) = (generator(options.code, values, options), critic(values, options));
    Gan::new(row.clone(), options.code, made, SpectralNorm::new(judged), Objective::NonSaturating)
}

fn plain(row: &Shape, options: &ModelOptions, objective: Objective) -> Gan<Mlp, Mlp> {
    let values = row.elements();
    let made = generator(options.code, values, options);
    Gan::new(row.clone(), options.code, made, critic(values, options), objective)
}

fn conditional(
    row: &Shape,
    classes: usize,
    options: &ModelOptions,
) -> Gan<Conditioned<Mlp>, Conditioned<SpectralNorm<Mlp>>> {
    let values = row.elements();
    let made = generator(options.code + EMBEDDING, values, options);
    let made = Conditioned::new(made, classes, EMBEDDING);
    let judged = SpectralNorm::new(critic(values + EMBEDDING, options));
    let judged = Conditioned::new(judged, classes, EMBEDDING);
    Gan::new(row.clone(), options.code, made, judged, Objective::NonSaturating).conditional()
}
