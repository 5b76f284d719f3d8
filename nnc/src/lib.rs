//! A neural-network compiler for CPUs: a graph becomes one program of native SIMD kernels, in milliseconds.
//!
//! A crate that uses it depends on this crate alone: graphs and their values are [`ir`], layers, losses and optimizers are
//! [`nn`], and [`prelude`] has what most programs name.
//!
//! | module | what it holds |
//! |---|---|
//! | [`prelude`] | what most programs name |
//! | [`mod@ir`], [`mod@nn`] | graphs, types and tensors; layers, losses and optimizers |
//! | [`driver`] | the compiler on one page: [`compile`] |
//! | [`dump`] | graphs, plans and machine code as dot, JSON and assembly |
//! | [`trainer`], [`data`] | training, evaluation and prediction, and on what |
//! | [`mod@weights`] | weights by the names of another program |
//! | [`checkpoint`], [`report`] | what training leaves: files to go on from and to use; a table and pictures |
//! | [`mod@visualize`] | what a layer of a trained model sees |
//! | [`layerwise`] | layers that are trained one after another |
//! | [`model`] | models that come back from files: [`load`] |
//! | [`models`] | the models that have a name |
//! | [`generative`] | how likely models find rows |
//! | [`generator`] | models of texts that write |
//! | [`information`] | what one thing tells of another, in bits |
//! | [`mod@generative`] | rows that a trained model makes of codes, and what they are worth |
//! | [`mod@bench`] | the workloads that `nnc bench` measures |
//! | [`modules`] | files of the text form |
//! | [`fuzz`] | random programs that put the compiler to the test |
//! | [`npy`] | tensors in NumPy's files |
//! | [`memory`] | how much memory there is for what files and options ask for |
//! | [`files`] | reading and writing files safely |
//! | [`error`] | what can go wrong for a user |
//!
//! # Features
//!
//! All are on by default. `default-features = false` leaves the compiler, the trainer and drawn data; features add to that and
//! to each other.
//!
//! | feature | what it adds |
//! |---|---|
//! | `plots` | pictures in [`report`], and [`mod@visualize`] |
//! | `data-csv` | the embedded digits, tables, images of the IDX format, prices: files of numbers, gzipped or not |
//! | `data-npy` | [`npy`], and data sets in archives of NumPy |
//! | `data-images` | pictures in folders: [`data::images`] |
//! | `data` | all three, and data sets by name: [`data::Source`] |
//! | `cli` | all of these and the program `nnc` |

pub mod bench;
pub mod checkpoint;
pub mod data;
pub mod driver;
pub mod dump;
pub mod error;
pub mod files;
pub mod fuzz;
pub mod generative;
pub mod generator;
pub mod information;
pub mod layerwise;
pub mod memory;
pub mod model;
pub mod models;
pub mod modules;
#[cfg(feature = "data-npy")]
pub mod npy;
pub mod prelude;
pub mod report;
pub mod trainer;
#[cfg(feature = "plots")]
pub mod visualize;
pub mod weights;

pub use codegen::Target;
pub use driver::{Options, compile, compile_on, compile_plan};
pub use error::Error;
pub use generator::{Generator, Sampling};
pub use model::{Model, load, load_with};
pub use passes::Convolution;
pub use runtime::{Executable, KernelTime, Memory, PhaseTime, Pool, RunError, State};
pub use trainer::{Trainer, TrainerOptions};
pub use {ir, nn};
