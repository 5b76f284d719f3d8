//! Rows that a trained model makes of codes, and what rows and models are worth by measures that are not the model's own loss.
//!
//! | module | what it holds |
//! |---|---|
//! | `rows` | rows that a trained model makes of codes, and codes of rows |
//! | `chains` | rows that a trained model draws by chains |
//! | [`plane`] | codes of two values that cover a plane |
//! | [`modes`] | which modes of a mixture samples cover, and how near they are |
//! | [`assess`](mod@assess) | what samples are worth beside the rows that a model has learnt from |
//! | [`judge`] | the Fréchet distance, precision and recall, in the features of a classifier |
//! | [`likelihood`] | the likelihood of rows under restricted Boltzmann machines, and under independent units |

pub mod assess;
mod chains;
pub mod judge;
pub mod likelihood;
pub mod modes;
pub mod plane;
mod rows;

pub use assess::{Assessment, assess};
pub use chains::{CHAIN_STEPS, Chains, draw};
pub use judge::{Features, Judge};
pub use modes::Modes;
pub use rows::{Decoder, Sampling, code_size, decode, encode, sample};
