//! What the layers of convolutional networks compute, as functions of values: images are `[batch, channels, ..]` with one
//! spatial axis or more, filters are laid out as PyTorch has them.
//!
//! | module | what it holds |
//! |---|---|
//! | [`mod@conv`] | convolutions and transposed ones, with groups and padding |
//! | [`pool`] | maxima and averages of windows, and of whole images |
//! | [`mod@resize`] | images of another size |
//! | [`response`] | local response normalisation |

pub mod conv;
pub mod pool;
pub mod resize;
pub mod response;

pub use conv::{ConvOptions, Padding, conv, conv_transpose};
pub use pool::{PoolOptions, adaptive_avg_pool, avg_pool, global_avg_pool, max_pool, max_unpool};
pub use resize::{Interpolation, resize};
pub use response::local_response_norm;
