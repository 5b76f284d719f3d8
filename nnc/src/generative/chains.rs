//! Rows that a trained model draws by chains.

use ir::Tensor;
use nn::network::drawing_graph;

use crate::models::sampler_of;
use crate::{Error, Model, Options, compile};

/// The steps of a chain where no other number is chosen.
pub const CHAIN_STEPS: usize = 1000;

/// Whether a model draws rows by chains.
pub fn draws(model: &Model) -> bool {
    sampler_of(model.name(), model.description()).is_ok()
}

/// The rows at the ends of `count` chains of so many steps, `f32[count, values]`: means, not states of 0 and 1. The same seed gives the
/// same chains, whatever their length.
///
/// # Errors
/// Where the model draws no rows by chains, or nothing is to be drawn.
pub fn draw(
    model: &Model,
    count: usize,
    steps: usize,
    seed: u64,
    options: &Options,
) -> Result<Tensor, Error> {
    let network = sampler_of(model.name(), model.description())?;
    let mut program = compile(&drawing_graph(model.name(), &*network, count, steps)?, options)?;
    let mut state = model.state_for(&program, seed)?;
    program.run(&mut state, &[])?;
    Ok(program.outputs()[0].clone())
}
