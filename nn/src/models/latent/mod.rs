//! Models that learn a code of rows, without targets or with them: autoencoders, variational autoencoders and the variational
//! information bottleneck.
//!
//! | module | what it holds |
//! |---|---|
//! | `likelihood` | what the last layer of a decoder says of a row |
//! | `gaussian` | codes that are drawn, and how far their distribution is from the prior |
//! | `autoencoder` | plain, tied, denoising, sparse and contractive autoencoders |
//! | `conv_autoencoder` | autoencoders of images |
//! | `vae` | variational autoencoders, and those that know labels |
//! | `semi_supervised` | variational autoencoders that classify, with few labels |
//! | `vib` | the variational information bottleneck |

mod autoencoder;
mod conv_autoencoder;
mod gaussian;
mod likelihood;
mod semi_supervised;
mod vae;
mod vib;

pub use autoencoder::{Autoencoder, Sparsity};
pub use conv_autoencoder::ConvAutoencoder;
pub use gaussian::Gaussian;
pub use likelihood::Likelihood;
pub use semi_supervised::{SemiSupervisedVae, UNLABELLED};
pub use vae::Vae;
pub use vib::Vib;

/// The name of the code among the results of these models, `[rows, code]`.
pub const CODE: &str = "code";
/// The name of what a decoder makes of the code, `[rows, values]`.
pub const RECONSTRUCTION: &str = "reconstruction";
/// The name of the metric that is the mean squared difference of a reconstruction from its row, per value.
pub const SQUARED_ERROR: &str = "squared_error";
/// The name of the metric that is the mean Kullback-Leibler divergence of codes from the prior, in nats per row.
pub const KL: &str = "kl";
