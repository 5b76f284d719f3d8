//! Models that take the values of a row along one axis, whatever its shape.

use ir::Shape;
use nn::Loss;
use nn::models::{Logistic, Mlp, Perceptron};

use super::{Model, ModelOptions};
use crate::Error;

/// A multilayer perceptron.
pub const MLP: Model = Model {
    name: "mlp",
    doc: "a multilayer perceptron: dense layers with an activation after each but the last",
    options: &["hidden", "activation", "dropout", "batch-norm"],
    defaults: "",
    loss: Loss::cross_entropy(),
    row: flat,
    build: |row, outputs, options| {
        let sizes: Vec<usize> =
            [row.elements()].into_iter().chain(options.hidden.iter().copied()).chain([outputs]).collect();
        let ModelOptions { activation, dropout, batch_norm, .. } = *options;
        Box::new(Mlp { dropout, batch_norm, ..Mlp::new(&sizes, activation) })
    },
};

/// Multinomial logistic regression.
pub const LOGISTIC: Model = Model {
    name: "logistic",
    doc: "multinomial logistic regression: a dense layer, and cross entropy as the loss",
    options: &[],
    defaults: "",
    loss: Logistic::LOSS,
    row: flat,
    build: |row, outputs, _| Box::new(Logistic::new(row.elements(), outputs)),
};

/// Rosenblatt's perceptron.
pub const PERCEPTRON: Model = Model {
    name: "perceptron",
    doc: "Rosenblatt's perceptron: a dense layer, and the perceptron criterion as the loss",
    options: &[],
    defaults: "",
    loss: Perceptron::LOSS,
    row: flat,
    build: |row, outputs, _| Box::new(Perceptron::new(row.elements(), outputs)),
};

/// All values of a row along one axis.
fn flat(_: &str, row: &Shape) -> Result<Shape, Error> {
    Ok([row.elements()].into())
}
