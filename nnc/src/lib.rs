//! A neural-network compiler for CPUs: a graph becomes one program of native SIMD kernels, in milliseconds.
//!
//! | module | what it holds |
//! |---|---|
//! | [`driver`] | the compiler on one page: [`compile`] |
//! | [`bench`] | the workloads that `nnc bench` measures |
//! | [`modules`] | files of the text form |
//! | [`npy`] | tensors in NumPy's files |
//! | [`files`] | reading and writing files safely |
//! | [`error`] | what can go wrong for a user |

pub mod bench;
pub mod driver;
pub mod error;
pub mod files;
pub mod modules;
pub mod npy;

pub use driver::{Options, compile, compile_on, compile_plan};
pub use error::Error;
pub use runtime::{Executable, KernelTime, Pool, RunError, State};
