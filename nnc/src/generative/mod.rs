//! Rows that a trained model makes of codes, and what rows and models are worth by measures that are not the model's own loss.
//!
//! | module | what it holds |
//! |---|---|
//! | `rows` | rows that a trained model makes of codes |
//! | `chains` | rows that a trained model draws by chains |
//! | [`modes`] | which modes of a mixture samples cover, and how near they are |
//! | [`likelihood`] | the likelihood of rows under restricted Boltzmann machines, and under independent units |

mod chains;
pub mod likelihood;
pub mod modes;
mod rows;

pub use chains::{CHAIN_STEPS, draw, draws};
pub use modes::Modes;
pub use rows::{code_size, decode, sample};
