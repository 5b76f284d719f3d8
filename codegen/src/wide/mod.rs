//! Wide vectors: the innermost vector programs of kernels as AVX2 and AVX-512 code, beside Cranelift's, whose vectors end
//! at 128 bits.
//!
//! In: strips, which are programs over a contiguous run, and tiles of contractions. Out: bytes of functions that the
//! kernel's own function calls.
//!
//! | module | what it holds |
//! |---|---|
//! | [`strip`] | what is computed, whatever the width |
//! | [`function`] | the loop over a run |
//! | [`tile`], [`pack`] | register tiles of contractions, and their panels |
//! | [`transform`] | the transforms of Winograd's convolution |
//! | [`body`] | a vector program as straight-line code |
//! | `access` | how it reads and writes memory |
//! | `registers` | where its values are |
//! | `primitive` | the instructions of each primitive |
//! | `cold` | what few lanes want, behind the code |
//! | [`isa`] | the instruction sets, a row per instruction |
//! | [`writer`], [`assembler`] | instructions to bytes |

mod access;
pub mod assembler;
pub mod body;
mod cold;
pub mod filters;
pub mod function;
pub mod isa;
pub mod pack;
mod primitive;
mod registers;
pub mod strip;
#[cfg(all(test, target_arch = "x86_64"))]
mod tests;
pub mod tile;
pub mod transform;
pub mod writer;

use std::fmt;

pub use isa::Isa;

/// The namespace of the names under which a kernel's function calls functions of wide code; they are numbered per kernel.
pub const WIDE_NAMESPACE: u32 = 1;

/// A function of wide code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WideFunction {
    /// What it does.
    pub kind: Kind,
    /// Its instructions, then the constants that they read.
    pub bytes: Vec<u8>,
    /// The size of the instructions.
    pub code_bytes: usize,
}

/// What a function of wide code does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// See [`strip`].
    Strip,
    /// See [`tile`].
    Tile,
    /// See [`pack`].
    Pack,
    /// See [`transform`].
    Transform,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Strip => "strip",
            Kind::Tile => "tile",
            Kind::Pack => "pack",
            Kind::Transform => "transform",
        })
    }
}
