//! The passes: from a graph as its author wrote it to a plan of kernels over placed memory.

pub mod access;
pub mod autodiff;
pub mod cost;
pub mod cse;
pub mod dce;
pub mod expand;
mod fixed;
pub mod fold;
pub mod fuse;
pub mod layout;
pub mod loops;
pub mod lower;
mod order;
pub mod pad;
pub mod pipeline;
pub mod plan_memory;
pub mod prepack;
pub mod rewrite;
pub mod rules;
pub mod scale_weights;
pub mod simplify;
pub mod split_reduce;
mod sum_of_products;
pub mod transpose_left;
pub mod winograd;

pub use pipeline::{Convolution, Options, PASSES, Pass, Program, run, run_observed, run_until};
