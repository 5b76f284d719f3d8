//! What runs a compiled plan: memory, states, threads and the scheduler.
//!
//! | module | what it holds |
//! |---|---|
//! | [`buffer`] | aligned, zeroed memory; the arena |
//! | [`memory`] | how much memory there is |
//! | [`state`] | parameters and other values that are kept from run to run |
//! | [`pool`] | pinned threads with a static schedule |
//! | [`executable`] | a plan with its machine code, ready to run |
//! | [`profile`] | kernel times |
//! | [`error`] | what a caller can do wrong |
//!
//! In: an [`ir::Plan`] of stage `plan` and the machine code of its kernels. Out: an [`Executable`], whose `run` does
//! nothing but call them: it walks no graph, and after the first run it allocates nothing.

pub mod buffer;
pub mod error;
pub mod executable;
pub mod memory;
mod moves;
pub mod pool;
pub mod profile;
mod program;
mod reorder;
pub mod state;

pub use buffer::{Arena, Buffer};
pub use error::RunError;
pub use executable::{Executable, Memory};
pub use pool::Pool;
pub use profile::{KernelTime, PhaseTime};
pub use state::State;
