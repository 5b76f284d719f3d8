//! What can go wrong in code generation.

use ir::names::{choices, printable};
use thiserror::Error;

/// A failure of code generation.
#[derive(Debug, Error)]
pub enum Error {
    /// The CPU is none that code can be generated for.
    #[error("no code can be generated for this machine: {0}")]
    Target(String),
    /// There is no target of this name.
    #[error("there is no target `{}`; {help}", printable(.0), help = choices(.0, "the targets are", crate::Target::names()))]
    UnknownTarget(String),
    /// This machine lacks features of a target.
    #[error("this machine cannot run code for {target}: it lacks {features}; take the target `native`")]
    MissingFeatures {
        /// The name of the target.
        target: &'static str,
        /// The features that are missing, with commas between them.
        features: String,
    },
    /// Cranelift refused a kernel.
    #[error("kernel `{}` could not be compiled: {reason}", printable(.kernel))]
    Kernel {
        /// The name of the kernel.
        kernel: String,
        /// What Cranelift says.
        reason: String,
    },
    /// Executable memory could not be had.
    #[error("no executable memory: {0}")]
    Memory(String),
}
