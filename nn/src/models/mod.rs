//! Whole models.
//!
//! Those of images take images of any size that leaves something to see: layers are made for the image that comes in.

mod alexnet;
mod alphago_zero;
pub mod gan;
pub mod latent;
pub mod layerwise;
mod lenet;
mod logistic;
mod mlp;
mod perceptron;
pub mod rbm;
mod resnet;
mod row_reader;
mod vgg;

use ir::Value;

pub use alexnet::AlexNet;
pub use alphago_zero::AlphaGoZero;
pub use gan::Gan;
pub use latent::{Autoencoder, ConvAutoencoder, Likelihood, SemiSupervisedVae, Sparsity, Vae, Vib};
pub use layerwise::LayerwiseStack;
pub use lenet::LeNet;
pub use logistic::Logistic;
pub use mlp::{Mlp, mlp};
pub use perceptron::Perceptron;
pub use rbm::{Rbm, RbmWeights, VisibleUnits};
pub use resnet::{Block, ResNet, Stem};
pub use row_reader::RowReader;
pub use vgg::Vgg;

use crate::Context;

/// The channels of an image `[batch, channels, ..]`. An `x` of other axes is the first layer's error.
fn channels(cx: &Context, x: Value) -> usize {
    cx.shape(x).get(1).copied().unwrap_or(0)
}

/// The number of values in a row of what has been flattened.
fn features(cx: &Context, x: Value) -> usize {
    cx.shape(x).get(1).copied().unwrap_or(0)
}
