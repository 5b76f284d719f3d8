//! Data sets: rows of numbers with a class or with values each, checked when they are made so that training need not.
//!
//! What reads files is there with the features `data-csv`, `data-images` and `data-npy`, [`source`] with `data`.
//!
//! | module | what it holds |
//! |---|---|
//! | [`arrays`] | named arrays of as many rows each |
//! | [`augment`] | images that are changed while they are trained on |
//! | [`batches`] | rows gathered ahead of the steps that use them |
//! | [`csv`] | tables with a column to predict |
//! | [`dataset`] | rows with their targets |
//! | [`mod@domains`] | whether they hold the numbers that a loss is for |
//! | `exact` | numbers before they are rounded |
//! | [`mod@digits`] | the embedded handwritten digits |
//! | [`few_labels`] | data of which few rows have labels |
//! | [`idx`] | MNIST and its kin |
//! | [`normalisation`] | the scaling of features |
//! | [`mod@images`] | pictures in folders |
//! | [`labels`] | which arrays of targets are classes, and which are values |
//! | [`npz`] | arrays of NumPy |
//! | [`parts`] | rows for training and for testing |
//! | [`preparation`] | what is done to rows and targets before a model sees them |
//! | [`mod@pixels`] | which numbers of images are black and white |
//! | [`prices`] | daily prices of shares, read or drawn |
//! | [`rows`] | rows without targets, to predict these |
//! | [`sequences`] | rows of tokens with a class at each step: texts, tests of memory |
//! | [`source`] | data sets by name, as `--data` takes them |
//! | [`synthetic`] | data sets that are drawn, for examples that run alone |
//! | [`targets`] | classes or values |
//! | `validation` | rows set aside to choose settings by |
//! | [`zip`] | the digits of envelopes |

pub mod arrays;
pub mod augment;
pub mod batches;
#[cfg(feature = "data-csv")]
pub mod csv;
pub mod dataset;
#[cfg(feature = "data-csv")]
pub mod digits;
pub mod domains;
mod exact;
pub mod few_labels;
#[cfg(feature = "data-csv")]
pub(crate) mod gzip;
#[cfg(feature = "data-csv")]
pub mod idx;
#[cfg(feature = "data-images")]
pub mod images;
#[cfg(feature = "data-npy")]
pub mod labels;
pub mod normalisation;
#[cfg(feature = "data-npy")]
pub mod npz;
pub mod parts;
pub mod pixels;
pub mod preparation;
#[cfg(feature = "data-csv")]
pub mod prices;
#[cfg(feature = "data-csv")]
mod records;
#[cfg(any(feature = "data-csv", feature = "data-npy"))]
pub mod rows;
pub mod sequences;
#[cfg(feature = "data")]
pub mod source;
pub mod synthetic;
pub mod targets;
mod validation;
#[cfg(feature = "data-csv")]
pub mod zip;

pub use arrays::{Arrays, Examples};
pub use augment::Augment;
pub use batches::{Batch, Batches};
pub use dataset::Dataset;
#[cfg(feature = "data-csv")]
pub use digits::digits;
pub use domains::check_domain;
pub use normalisation::Normalisation;
pub use parts::Parts;
pub use pixels::Pixels;
pub use preparation::Preparation;
pub use sequences::Sequences;
#[cfg(feature = "data")]
pub use source::{Loaded, Loading, Source};
pub use targets::Targets;
