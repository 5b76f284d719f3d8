//! Helpers that the tests across the crates share.

pub mod compare;
pub mod random_graph;
