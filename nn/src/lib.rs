//! Layers, losses, optimizers and models. All of it is graph building: what comes out is a graph with `grad` nodes,
//! updates of states and outputs, and nothing has been computed.
//!
//! | module | what it holds |
//! |---|---|
//! | [`context`] | the builder that knows the states of a model: [`Context`] |
//! | [`layer`] | the trait [`Layer`], and [`Sequential`] |
//! | [`linear`], [`embedding`], [`activation`], [`norm`], [`dropout`], [`flatten`] | layers |
//! | [`conditional`] | layers that depend on the class of each row |
//! | [`spectral_norm`] | layers whose weights have a spectral norm of 1 |
//! | [`linear`], [`embedding`], [`activation`], [`norm`], [`dropout`], [`corruption`], [`flatten`] | layers |
//! | [`conv`], [`pool`], [`upsample`], [`residual`] | layers of convolutional networks |
//! | [`rnn`] | recurrent layers and their cells; loops of one's own are [`Context::scan`] |
//! | [`functional`] | what those compute, as functions of values |
//! | [`init`] | how parameters start |
//! | [`loss`], [`metric`] | what is minimised, and what is reported |
//! | [`domain`] | the numbers that an input is for |
//! | [`optimizer`], [`schedule`] | how parameters follow their gradients, and how fast |
//! | [`pattern`] | patterns of names |
//! | [`models`] | whole models |
//! | [`network`] | what can be trained and used, and the graphs of that |
//! | [`game`] | networks of several players, each with a loss and an optimizer of its own |
//! | [`sequence`] | networks that tell a class at each step of a sequence |
//! | [`supervised`] | networks that learn from examples with targets |
//! | [`summary`] | a model layer by layer |
//! | [`deconvolution`] | what feature maps of a model look for |
//!
//! A training step of a small model, by hand:
//!
//! ```
//! use ir::DType;
//! use nn::{Activation, Adam, Context, Layer, Linear, Loss, Optimizer, Sequential};
//!
//! let mut cx = Context::training("two_layers");
//! let x = cx.input("x", DType::F32, [32, 64])?;
//! let labels = cx.input("y", DType::I64, [32])?;
//! let model = Sequential::new().add(Linear::new(64, 16)).add(Activation::Relu).add(Linear::new(16, 10));
//! let logits = model.forward(&mut cx, x)?;
//! let loss = Loss::cross_entropy().mean(&mut cx, logits, labels)?;
//! cx.output("loss", loss)?;
//! Adam::default().step(&mut cx, loss)?;
//! assert_eq!(cx.parameters()[0].name, "layers.0.weight");
//! let graph = cx.finish();
//! assert_eq!(graph.updates.len(), 3 * 4 + 1); // each parameter and its two moments, and the number of steps
//! # Ok::<(), ir::Error>(())
//! ```

pub mod activation;
pub mod conditional;
pub mod context;
pub mod conv;
pub mod corruption;
pub mod deconvolution;
pub mod domain;
pub mod dropout;
pub mod embedding;
pub mod flatten;
pub mod functional;
pub mod game;
pub mod init;
pub mod layer;
pub mod linear;
pub mod loss;
pub mod metric;
pub mod models;
pub mod network;
pub mod norm;
pub mod optimizer;
pub mod pattern;
pub mod pool;
pub mod residual;
pub mod rnn;
pub mod schedule;
pub mod sequence;
pub mod spectral_norm;
pub mod summary;
pub mod supervised;
pub mod upsample;

pub use activation::Activation::{self, Relu, Sigmoid, Tanh};
pub use activation::{Nonlinearity, PRelu, RRelu};
pub use conditional::{ConditionalBatchNorm, Conditioned};
pub use context::{Context, Mode, Parameter};
pub use conv::{Conv, Conv1d, Conv2d, ConvTranspose, ConvTranspose2d};
pub use corruption::Corruption;
pub use domain::Domain;
pub use dropout::{Dropout, Dropout2d};
pub use embedding::Embedding;
pub use flatten::Flatten;
pub use game::Player;
pub use layer::{Layer, Sequential};
pub use linear::Linear;
pub use loss::Loss;
pub use network::{Generative, Network, Outputs, Sampler};
pub use norm::{BatchNorm, LayerNorm};
pub use optimizer::{
    AdaMax, Adagrad, Adam, AdamW, Clip, Gradient, Group, Lamb, Lion, Optimizer, RmsProp, Sgd, TrainStep,
};
pub use pool::{AdaptiveAvgPool2d, AvgPool2d, MaxPool2d};
pub use residual::Residual;
pub use rnn::{Elman, Gru, Jordan, Lstm, Mgu, Peephole, Recurrent, RecurrentInputs, RecurrentOutputs};
pub use schedule::{Decay, Plateau, Schedule};
pub use spectral_norm::SpectralNorm;
pub use summary::Summary;
pub use supervised::Supervised;
pub use upsample::Upsample;
