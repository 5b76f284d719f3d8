//! What can go wrong in code generation.

use thiserror::Error;

/// A failure of code generation.
#[derive(Debug, Error)]
pub enum Error {
    /// The CPU is none that code can be generated for.
    #[error("no code can be generated for this machine: {0}")]
    Target(String),
    /// Cranelift refused a kernel.
    #[error("kernel `{kernel}` could not be compiled: {reason}")]
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
