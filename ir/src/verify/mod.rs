//! What holds at each stage of the compiler, checked: after every pass in tests and debug builds, and on what a user
//! writes as text.
//!
//! In: a graph, kernel or plan, and the stage that it should have reached. Out: the first thing that does not hold. What
//! is to run is verified in every build, and has a type that says so: [`VerifiedPlan`].

mod graph;
mod kernel;
mod memory;
mod plan;
mod stage;
mod steps;
#[cfg(test)]
mod tests;
mod verified;

pub use graph::verify_graph;
pub use kernel::verify_kernel;
pub use plan::verify_plan;
pub use stage::Stage;
pub use verified::VerifiedPlan;
