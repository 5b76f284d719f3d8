//! Generative adversarial networks of dense layers.

use std::sync::Arc;

use ir::Shape;
use nn::models::gan::{Gan, Objective};
use nn::models::{Likelihood, Mlp};
use nn::{Activation, Conditioned, Network, Player, TrainStep};

use super::vectors::flat;
use super::{Architecture, Body, Learns, ModelOptions};

/// The values of the embedding of a class.
const EMBEDDING: usize = 16;

/// Wasserstein's distance, with a penalty on the critic's gradient.
pub const WGAN_GP: Architecture = Architecture {
    name: "wgan-gp",
    doc: "a generator of rows against a critic that estimates Wasserstein's distance, with a penalty on its gradient",
    options: &["hidden", "activation", "code", "likelihood", "critic-steps"],
    defaults: "--hidden 128,128 --code 16 --activation leaky_relu --critic-steps 5 --epochs 400 --batch 64 --lr 0.0005",
    learns: Learns::Rows,
    row: flat,
    build: |row, _, options| body(plain(row, options)),
    generative: Some(|row, _, options| Arc::new(plain(row, options))),
    sampler: None,
    game: Some(players),
    sequences: None,
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

const OBJECTIVE: Objective = Objective::GradientPenalty { weight: 10.0 };

fn body(network: impl Network + 'static) -> Body {
    Body::Network(Arc::new(network))
}

fn players(options: &ModelOptions, step: &dyn Fn() -> TrainStep) -> Vec<Player> {
    OBJECTIVE.players(step(), step(), options.critic_steps).into()
}

/// Dense layers from `inputs` to `values`, which are probabilities where rows are.
fn generator(inputs: usize, values: usize, options: &ModelOptions) -> Mlp {
    let sizes = [&[inputs], &options.hidden[..], &[values]].concat();
    let layers = Mlp::new(&sizes, options.activation);
    match options.likelihood {
        Some(Likelihood::Gaussian) => layers,
        _ => layers.output_activation(Activation::Sigmoid),
    }
}

fn critic(inputs: usize, options: &ModelOptions) -> Mlp {
    Mlp::new(&[&[inputs], &options.hidden[..], &[1]].concat(), options.activation)
}

fn plain(row: &Shape, options: &ModelOptions) -> Gan<Mlp, Mlp> {
    let values = row.elements();
    let made = generator(options.code, values, options);
    Gan::new(row.clone(), options.code, made, critic(values, options), OBJECTIVE)
}

fn conditional(
    row: &Shape,
    classes: usize,
    options: &ModelOptions,
) -> Gan<Conditioned<Mlp>, Conditioned<Mlp>> {
    let values = row.elements();
    let made = generator(options.code + EMBEDDING, values, options);
    let made = Conditioned::new(made, classes, EMBEDDING);
    let judged = Conditioned::new(critic(values + EMBEDDING, options), classes, EMBEDDING);
    Gan::new(row.clone(), options.code, made, judged, OBJECTIVE).conditional()
}
