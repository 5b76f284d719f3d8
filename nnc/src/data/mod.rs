//! Data sets: rows of numbers with a class or with values each, checked when they are made so that training need not.
//!
//! | module | what it holds |
//! |---|---|
//! | [`batches`] | rows gathered ahead of the steps that use them |
//! | [`csv`] | tables with a column to predict |
//! | [`dataset`] | rows with their targets |
//! | [`mod@digits`] | the embedded handwritten digits |
//! | [`idx`] | MNIST and its kin |
//! | [`zip`] | the digits of envelopes |

pub mod batches;
pub mod csv;
pub mod dataset;
pub mod digits;
mod gzip;
pub mod idx;
mod records;
pub mod zip;

pub use batches::{Batch, Batches};
pub use dataset::{Dataset, Targets};
pub use digits::digits;
