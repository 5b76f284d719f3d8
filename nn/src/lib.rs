//! Layers, losses, optimizers and models. All of it is graph building: what comes out is a graph with `grad` nodes,
//! updates of states and outputs, and nothing has been computed.
//!
//! | module | what it holds |
//! |---|---|
//! | [`context`] | the builder that knows the parameters of a model: [`Context`] |
//! | [`layer`] | the trait [`Layer`], and [`Sequential`] |
//! | [`linear`], [`activation`] | layers |
//! | [`init`] | how parameters start |
//! | [`loss`], [`metric`] | what is minimised, and what is reported |
//! | [`optimizer`] | [`Sgd`] and [`Adam`] |
//! | [`models`] | whole models: [`models::Mlp`] |
//! | [`classifier`] | the graphs with which a classifier is trained and used |
//!
//! A training step of a small model, by hand:
//!
//! ```
//! use ir::DType;
//! use nn::{Adam, Context, Layer, Linear, Optimizer, Relu, Sequential, loss};
//!
//! let mut cx = Context::new("two_layers");
//! let x = cx.input("x", DType::F32, [32, 64])?;
//! let labels = cx.input("y", DType::I64, [32])?;
//! let model = Sequential::new().add(Linear::new(64, 16)).add(Relu).add(Linear::new(16, 10));
//! let logits = model.forward(&mut cx, x)?;
//! let loss = loss::softmax_cross_entropy(&mut cx, logits, labels)?;
//! cx.output("loss", loss)?;
//! Adam::default().step(&mut cx, loss)?;
//! assert_eq!(cx.parameters()[0].name, "layers.0.weight");
//! let graph = cx.finish();
//! assert_eq!(graph.updates.len(), 3 * 4 + 1); // each parameter and its two moments, and the number of steps
//! # Ok::<(), ir::Error>(())
//! ```

pub mod activation;
pub mod classifier;
pub mod context;
pub mod init;
pub mod layer;
pub mod linear;
pub mod loss;
pub mod metric;
pub mod models;
pub mod optimizer;

pub use activation::Activation::{self, Relu, Sigmoid, Tanh};
pub use context::{Context, Parameter};
pub use layer::{Layer, Sequential};
pub use linear::Linear;
pub use optimizer::{Adam, Optimizer, Sgd};
