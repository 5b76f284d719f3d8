//! Helpers that the tests across the crates share.

pub mod compare;
pub mod golden;
pub mod gradients;
pub mod large_graphs;
pub mod run_plan;
pub mod targets;
pub mod worst;

/// The programs in docs/EXPRESSIONS.md, which the tests of the documentation run.
#[doc = include_str!("../../docs/EXPRESSIONS.md")]
pub mod expressions_doc {}
