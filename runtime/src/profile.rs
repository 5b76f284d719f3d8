//! Where time goes: in kernels, collected where [`crate::Executable::set_profiling`] asks for it, and in compiling.

use std::time::Duration;

/// How long the calls of one kernel took. Times of threads that work on one call are not added up: this is time on
/// the caller's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelTime {
    /// The name of the kernel; `copy` stands for all steps that copy.
    pub name: String,
    /// Which kernel of the plan it is; `None` for copies.
    pub kernel: Option<ir::KernelId>,
    /// How often it was called.
    pub calls: u64,
    /// How long these calls took.
    pub time: Duration,
}

/// How long one phase of compiling took, on the caller's clock: a pass, or what follows after the passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhaseTime {
    /// The name of the phase; of a pass, that of the pass.
    pub name: &'static str,
    /// How long it took.
    pub time: Duration,
}
