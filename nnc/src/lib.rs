//! A neural-network compiler for CPUs: a graph becomes one program of native SIMD kernels, in milliseconds.
//!
//! | module | what it holds |
//! |---|---|
//! | [`driver`] | the compiler on one page: [`compile`] |
//! | [`dump`] | graphs, plans and machine code as dot, JSON and assembly |
//! | [`trainer`], [`data`] | training, evaluation and prediction, and on what |
//! | [`checkpoint`], [`report`] | what training leaves: files to go on from and to use; a table and pictures |
//! | [`mod@visualize`] | what a layer of a trained model sees |
//! | [`models`] | the models that have a name |
//! | [`mod@bench`] | the workloads that `nnc bench` measures |
//! | [`modules`] | files of the text form |
//! | [`fuzz`] | random programs that put the compiler to the test |
//! | [`npy`] | tensors in NumPy's files |
//! | [`files`] | reading and writing files safely |
//! | [`error`] | what can go wrong for a user |

pub mod bench;
pub mod checkpoint;
pub mod data;
pub mod driver;
pub mod dump;
pub mod error;
pub mod files;
pub mod fuzz;
pub mod models;
pub mod modules;
pub mod npy;
pub mod report;
pub mod trainer;
pub mod visualize;

pub use driver::{Options, compile, compile_on, compile_plan};
pub use error::Error;
pub use passes::Convolution;
pub use runtime::{Executable, KernelTime, PhaseTime, Pool, RunError, State};
pub use trainer::{Trainer, TrainerOptions};
