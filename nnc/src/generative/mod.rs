//! What samples of a generative model are worth, by measures that are not the model's own loss.
//!
//! | module | what it holds |
//! |---|---|
//! | [`modes`] | which modes of a mixture samples cover, and how near they are |

pub mod modes;

pub use modes::Modes;
