//! What a run starts from besides its seed: a checkpoint of itself, or weights that have been trained before.

use std::collections::BTreeMap;
use std::path::Path;

use ir::{Tensor, Type};

use super::{Trainer, predictor};
use crate::Error;
use crate::checkpoint::{self, Checkpoint};

/// The most differences that an error lists.
const SHOWN_DIFFERENCES: usize = 8;

impl Trainer {
    /// Goes to where the run was that has written a checkpoint. What follows has the same bits as in that run.
    ///
    /// # Errors
    /// Where the checkpoint holds no run, or is of another run: of another network, with other settings, on other data than the
    /// trainer has been [told of](Trainer::describe). The error says what differs, and nothing has changed.
    pub fn resume(&mut self, checkpoint: &Checkpoint) -> Result<(), Error> {
        let Some(position) = &checkpoint.metadata.position else {
            let help = "give a file checkpoint-STEP.safetensors, as `nnc train --checkpoint-every` writes them, or start a run from the weights (--init)";
            return Err(Error::invalid(
                "the checkpoint",
                "it holds a finished model, and no run to go on from",
                help,
            ));
        };
        if self.description.is_none() {
            self.description = Some(checkpoint.metadata.description.clone());
        }
        let here = self.metadata(Some(self.position()?))?;
        if let Some(difference) = checkpoint.metadata.difference(&here) {
            let help = "give what the run was started with, or start another";
            return Err(Error::invalid("the checkpoint", difference, help));
        }
        self.make_states()?;
        let mut expected = self.predictor.states().to_vec();
        for graph in self.graphs(self.options.batch)? {
            for (name, ty) in predictor::states_of(&graph) {
                if !expected.iter().any(|(known, _)| *known == name) {
                    expected.push((name, ty));
                }
            }
        }
        checkpoint::set_states(&mut self.state, &checkpoint.states, &expected)?;
        self.run = position.run.clone();
        self.set_base_rates()?;
        self.best.clone_from(&checkpoint.best);
        Ok(())
    }

    /// Sets the weights to those of a model or a checkpoint that nnc has written, before the first step: parameters and buffers by name.
    /// All else is as at the start of a run: the moments of the optimizer, its learning rate, the order of rows. Of the checkpoint of a run
    /// the weights are those after its last step.
    ///
    /// ```
    /// use nn::{Adam, Loss, Relu, Supervised, models::Mlp};
    /// use nnc::data::digits;
    /// use nnc::trainer::{FitOptions, Trainer, TrainerOptions, silent};
    /// let (train, test) = digits();
    /// let new = || {
    ///     let network = Supervised::new([64], Mlp::new(&[64, 16, 10], Relu), Loss::cross_entropy());
    ///     Trainer::new("small", network, Adam::new(0.01), TrainerOptions::default())
    /// };
    /// let mut first = new()?;
    /// first.fit(&train, None, &FitOptions::epochs(2), &mut silent)?;
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("small.safetensors");
    /// first.save(&path)?;
    ///
    /// let mut second = new()?;
    /// second.start_from(&path)?;
    /// assert_eq!(second.weights_hash()?, first.weights_hash()?);
    /// assert_eq!(second.run().steps, 0);
    /// # Ok::<(), nnc::Error>(())
    /// ```
    ///
    /// # Errors
    /// Where the run has begun; the file cannot be read; or its weights are not those of this network: all that are missing, that this network
    /// has not, or that are of another type are listed by their layers. Then nothing has been set.
    pub fn start_from(&mut self, path: impl AsRef<Path>) -> Result<Checkpoint, Error> {
        let path = path.as_ref();
        let invalid = |problem: String, help: &str| Error::invalid(path.display().to_string(), problem, help);
        if self.run.steps > 0 {
            let problem = format!("the run is at step {}, and starts from its own weights", self.run.steps);
            return Err(invalid(problem, "set weights before the first step"));
        }
        let checkpoint = Checkpoint::read(path)?;
        self.make_states()?;
        let given = weights_of(&checkpoint)?;
        let mut values = Vec::new();
        let mut differences = Vec::new();
        for name in &self.weights {
            let expected = self.state.get(name)?.ty();
            match given.get(name.as_str()) {
                None => differences.push(format!("{} is missing", in_words(name))),
                Some(tensor) if tensor.ty() != expected => {
                    let there = tensor.ty();
                    differences.push(format!("{} is {there} there and {expected} here", in_words(name)));
                }
                Some(tensor) => values.push((name, *tensor)),
            }
        }
        let others = given.keys().filter(|name| !self.weights.iter().any(|known| known == *name));
        differences
            .extend(others.map(|name| format!("{} is not in {}", in_words(name), self.predictor.name())));
        if differences.is_empty() {
            values.into_iter().try_for_each(|(name, tensor)| self.state.set(name, tensor))?;
            return Ok(checkpoint);
        }
        let more = differences.len().saturating_sub(SHOWN_DIFFERENCES);
        differences.truncate(SHOWN_DIFFERENCES);
        if more > 0 {
            differences.push(format!("and {more} more differ"));
        }
        let (model, data) = (&checkpoint.metadata.model, &checkpoint.metadata.description.data);
        let of = if data.rows > 0 { format!("{model} on {data}") } else { model.clone() };
        let problem =
            format!("these are not the weights of the model (they are of {of}): {}", differences.join("; "));
        Err(invalid(problem, "give weights of a model with the same layers, and as many outputs"))
    }
}

/// The weights among the states of a file, without what belongs to the optimizer.
fn weights_of(checkpoint: &Checkpoint) -> Result<BTreeMap<&str, &Tensor>, Error> {
    let known: Option<Vec<(String, Type)>> = match &checkpoint.metadata.graph {
        Some(template) => Some(predictor::states_of(&template.graph(1)?)),
        None => None, // it holds a run, or states that are all weights
    };
    let is_weight =
        |name: &str| known.as_ref().is_none_or(|known| known.iter().any(|(weight, _)| weight == name));
    let states = checkpoint.states.iter().map(|(name, tensor)| (name.as_str(), tensor));
    Ok(states.filter(|(name, _)| is_weight(name)).collect())
}

/// ``` `weight` of layer `fc3` ```
fn in_words(name: &str) -> String {
    match name.rsplit_once('.') {
        Some((layer, weight)) => format!("`{weight}` of layer `{layer}`"),
        None => format!("`{name}`"),
    }
}
