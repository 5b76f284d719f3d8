//! Models that take the values of a row along one axis, whatever its shape.

use ir::Shape;
use nn::Loss;
use nn::models::{Logistic, Mlp, Perceptron};

use super::{Architecture, Learns, ModelOptions};
use crate::Error;

/// A multilayer perceptron.
pub const MLP: Architecture = Architecture {
    name: "mlp",
    doc: "a multilayer perceptron: dense layers with an activation after each but the last",
    options: &["hidden", "activation", "dropout", "batch-norm"],
    defaults: "",
    learns: Learns::Targets(Loss::cross_entropy()),
    row: flat,
    build: |row, outputs, options| {
        let sizes: Vec<usize> =
            [row.elements()].into_iter().chain(options.hidden.iter().copied()).chain([outputs]).collect();
        let ModelOptions { activation, dropout, batch_norm, .. } = *options;
        Mlp { dropout, batch_norm, ..Mlp::new(&sizes, activation) }.into()
    },
    generative: None,
    sampler: None,
    game: None,
    sequences: None,
};

/// Multinomial logistic regression.
pub const LOGISTIC: Architecture = Architecture {
    name: "logistic",
    doc: "multinomial logistic regression: a dense layer, and cross entropy as the loss",
    options: &[],
    defaults: "",
    learns: Learns::Targets(Logistic::LOSS),
    row: flat,
    build: |row, outputs, _| Logistic::new(row.elements(), outputs).into(),
    generative: None,
    sampler: None,
    game: None,
    sequences: None,
};

/// Rosenblatt's perceptron.
pub const PERCEPTRON: Architecture = Architecture {
    name: "perceptron",
    doc: "Rosenblatt's perceptron: a dense layer, and the perceptron criterion as the loss",
    options: &[],
    defaults: "",
    learns: Learns::Targets(Perceptron::LOSS),
    row: flat,
    build: |row, outputs, _| Perceptron::new(row.elements(), outputs).into(),
    generative: None,
    sampler: None,
    game: None,
    sequences: None,
};

/// All values of a row along one axis.
pub(super) fn flat(_: &str, row: &Shape) -> Result<Shape, Error> {
    Ok([row.elements()].into())
}
