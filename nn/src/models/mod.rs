//! Whole models.

mod mlp;

pub use mlp::{Mlp, mlp};
