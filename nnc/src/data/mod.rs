//! Data sets: rows of numbers with a class or with values each, checked when they are made so that training need not.
//!
//! | module | what it holds |
//! |---|---|
//! | [`dataset`] | rows with their targets |
//! | [`mod@digits`] | the embedded handwritten digits |

pub mod dataset;
pub mod digits;

pub use dataset::{Dataset, Targets};
pub use digits::digits;
