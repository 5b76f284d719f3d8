//! Random programs that put the compiler to the test: `nnc fuzz`, and tests with fixed seeds.
//!
//! | module | what it holds |
//! |---|---|
//! | `recipe`, `build`, `steps` | random graphs: recipes of small choices, and what each builds |
//! | [`networks`] | networks of convolutions that Winograd's algorithm is for |
//! | [`values`] | what their inputs hold |
//! | [`judge`], [`right`], [`mod@reference`] | all ways to run a graph, what they should give, and how exactly |
//! | [`mod@reduce`] | making a failure small |
//! | [`session`] | many cases on several threads |
//! | [`panics`] | panics as values |

mod build;
pub mod judge;
pub mod networks;
pub mod panics;
mod recipe;
pub mod reduce;
pub mod reference;
pub mod right;
mod rng;
pub mod session;
mod steps;
pub mod values;

pub use build::build;
pub use judge::{Fault, Judge};
pub use recipe::{Choice, Kind, Recipe};
pub use reduce::reduce;
pub use rng::Rng;
pub use session::{Event, Failure, Settings, graph_of_case};
