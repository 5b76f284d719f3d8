//! From text to graphs, kernels and plans.
//!
//! A source is cut into tokens (`lexer`), over which one function per rule of the grammar walks (`graph`, `kernel`,
//! `plan`). Graphs are built with [`crate::Builder`], so that types are inferred and checked here as everywhere.
//! Names are looked up in tables; the time is linear in the size of the source.

pub mod cursor;
pub mod graph;
pub mod index;
pub mod kernel;
pub mod lexer;
pub mod literal;
pub mod plan;

pub use crate::names::{did_you_mean, nearest};
