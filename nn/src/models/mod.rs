//! Whole models.

mod logistic;
mod mlp;
mod perceptron;

pub use logistic::Logistic;
pub use mlp::{Mlp, mlp};
pub use perceptron::Perceptron;
