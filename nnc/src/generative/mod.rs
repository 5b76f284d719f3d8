//! Models of what rows are like: how likely they find them.
//!
//! | module | what it holds |
//! |---|---|
//! | [`likelihood`] | the likelihood of rows under restricted Boltzmann machines, and under independent units |

pub mod likelihood;
