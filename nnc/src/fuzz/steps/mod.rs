//! The steps of random graphs, by what they do.

mod blocks;
mod elementwise;
mod moves;
mod sums;
mod whole;
mod windows;
