//! The steps of random graphs, by what they do.

mod blocks;
mod elementwise;
mod loops;
mod moves;
mod sums;
mod whole;
mod windows;
