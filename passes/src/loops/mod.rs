//! Work out of loops: what a step computes without the carries, and sums over all steps.

mod body;
pub mod hoist;
mod merge;
mod segment;
pub mod sink;
mod sums;
mod tails;
mod unroll;

pub use hoist::hoist;
pub use merge::merge_loops;
pub use segment::segment;
pub use sink::sink;
pub use unroll::unroll;
