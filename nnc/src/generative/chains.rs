//! Rows that a trained model draws by chains.

use std::sync::Arc;

use ir::Tensor;
use nn::Sampler;
use nn::network::drawing_graph;
use runtime::State;

use crate::checkpoint::Description;
use crate::model::states_for;
use crate::models::{Architecture, sampler_of};
use crate::{Error, Model, Options, compile};

/// The steps of a chain where no other number is chosen.
pub const CHAIN_STEPS: usize = 1000;

/// What draws rows by chains, with weights that may change from call to call as they do in training.
pub struct Chains<'a> {
    name: &'a str,
    network: Arc<dyn Sampler>,
    options: &'a Options,
}

impl<'a> Chains<'a> {
    /// Those of a model of this name that is trained as described; `None` where it draws no rows so.
    ///
    /// # Errors
    /// Where there is no such model, or its settings are others.
    pub fn of(
        name: &'a str,
        description: &Description,
        options: &'a Options,
    ) -> Result<Option<Chains<'a>>, Error> {
        if Architecture::find(name)?.sampler.is_none() {
            return Ok(None);
        }
        Ok(Some(Chains { name, network: sampler_of(name, description)?, options }))
    }

    /// The rows at the ends of `count` chains of so many steps, `f32[count, values]`: means, not states of 0 and 1. The same seed gives
    /// the same chains, whatever their length.
    ///
    /// # Errors
    /// Where nothing is to be drawn, or the weights are those of another model.
    pub fn draw(&self, weights: &State, count: usize, steps: usize, seed: u64) -> Result<Tensor, Error> {
        let graph = drawing_graph(self.name, &*self.network, count, steps)?;
        let mut program = compile(&graph, self.options)?;
        let mut state = states_for(&program, weights, seed)?;
        program.run(&mut state, &[])?;
        Ok(program.outputs()[0].clone())
    }
}

/// Rows that a model draws by chains: see [`Chains::draw`].
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
    Chains { name: model.name(), network, options }.draw(model.state(), count, steps, seed)
}
