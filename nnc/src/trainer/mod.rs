//! Training of models that learn from examples with targets.
//!
//! A step (forward, backward, optimizer) is one program; so is inference. Programs are specialised to the size of a
//! batch: the last short batch of an epoch has one of its own, which works on the same states. Where a run is, is in its
//! states and in [`Run`]: both together are a checkpoint, from which a run goes on to the same bits.
//!
//! | module | what it holds |
//! |---|---|
//! | [`options`] | how a model is trained |
//! | `fit` | the epochs of a run, and its checkpoints |
//! | [`predictor`] | a model in use: predictions and evaluation |
//! | [`run`] | where a run is, and what came of it |
//! | [`progress`] | what training reports while it goes on |
//! | [`evaluation`], [`metrics`], [`confusion`] | what a model is worth |
//! | [`not_finite`] | the error that numbers have overflowed |
//! | [`shuffle`] | the order of rows in an epoch |

pub mod confusion;
pub mod evaluation;
mod fit;
pub mod metrics;
pub mod not_finite;
pub mod options;
pub mod predictor;
pub mod progress;
pub mod run;
pub mod shuffle;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use ir::{Graph, Tensor};
use nn::optimizer::{GRADIENT_NORM, own_name};
use nn::{Layer, Optimizer, supervised};
use runtime::{Executable, State};
use sha2::{Digest, Sha256};

use crate::Error;
use crate::checkpoint::{self, Checkpoint, Description, Metadata, Position};
use crate::data::Dataset;
pub use confusion::ConfusionMatrix;
pub use evaluation::Evaluation;
pub use not_finite::NotFinite;
pub use options::{CheckpointOptions, FitOptions, TrainerOptions};
pub use predictor::Predictor;
pub use progress::{Event, Progress};
pub use run::{Epoch, History, Run};

/// What is told of each [`Event`], with the trainer as it is then, and says whether to go on.
pub type Callback<'a> = dyn FnMut(&Event, &Trainer) -> ControlFlow<()> + 'a;

/// A callback that says nothing and goes on.
pub fn silent(_: &Event, _: &Trainer) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// A model with its weights, its optimizer and the programs of both.
///
/// ```
/// use nnc::trainer::{FitOptions, Trainer, TrainerOptions, silent};
/// use nnc::data::digits;
/// let (train, test) = digits();
/// let model = nn::models::Mlp::new(&[64, 16, 10], nn::Relu);
/// let mut trainer = Trainer::new("small", &[64], model, nn::Adam::new(0.01), TrainerOptions::default())?;
/// let history = trainer.fit(&train, None, &FitOptions::epochs(2), &mut silent)?;
/// assert!(history.epochs[1].loss < history.epochs[0].loss);
/// assert!(trainer.evaluate(&test)?.accuracy > Some(0.5));
/// # Ok::<(), nnc::Error>(())
/// ```
pub struct Trainer {
    predictor: Predictor,
    optimizer: Box<dyn Optimizer>,
    options: TrainerOptions,
    /// The names of parameters and buffers.
    weights: Vec<String>,
    state: State,
    /// By the size of the batch.
    programs: BTreeMap<usize, Executable>,
    /// What the learning rate is at the start of a run, where the optimizer has one.
    base_rate: Option<f64>,
    /// What it was last multiplied by; NaN where that is not known.
    factor: f64,
    run: Run,
    /// The weights of the best epoch so far, where they are kept.
    best: Vec<(String, Tensor)>,
}

impl Trainer {
    /// A trainer of `model`, which takes rows of shape `row`.
    ///
    /// # Errors
    /// Where the model does not take such rows or does not return `[batch, outputs]`, the loss does not take that, a
    /// setting is out of range, the batch is 0, or the threads cannot be started.
    pub fn new(
        name: &str,
        row: &[usize],
        model: impl Layer + 'static,
        optimizer: impl Optimizer + 'static,
        options: TrainerOptions,
    ) -> Result<Trainer, Error> {
        if options.batch == 0 {
            return Err(Error::invalid("batch", "it is 0", "give at least 1"));
        }
        let predictor = Predictor::new(name, row, Box::new(model), options.loss.clone(), &options.compile)?;
        let trainer = Trainer {
            weights: predictor.states().iter().map(|(name, _)| name.clone()).collect(),
            predictor,
            optimizer: Box::new(optimizer),
            state: State::empty(),
            programs: BTreeMap::new(),
            base_rate: None,
            factor: 1.0,
            run: Run::default(),
            best: Vec::new(),
            options,
        };
        trainer.graph(trainer.options.batch)?; // that a step can be built is known before data are looked at
        Ok(trainer)
    }

    /// One step on rows `x`, `f32[rows, ..row]`, with targets `y` of the type that the loss wants. Returns the loss before
    /// the step and, of a loss of classification, the number of rows that were classified right. It is no part of a
    /// [`Run`].
    ///
    /// # Errors
    /// Where the types differ from these, a class is out of range, or an input, the loss or the norm by which gradients are
    /// clipped is not finite: the error ([`NotFinite`]) names the step and the value. Then all states are what they were
    /// before, and training can go on from there. (Gradients that overflow where the loss does not are noticed in time
    /// where they are clipped by their norm, and in the step after this elsewhere.)
    pub fn step(&mut self, x: &Tensor, y: &Tensor) -> Result<(f64, Option<u64>), Error> {
        let outputs = self.predictor.outputs();
        let labels = y.as_slice::<i64>().unwrap_or_default();
        let is_class = |label: &i64| usize::try_from(*label).is_ok_and(|label| label < outputs);
        if let Some(row) = labels.iter().position(|label| !is_class(label)) {
            let problem = format!("the label of row {row} is {}", labels[row]);
            return Err(Error::invalid("y", problem, format!("give labels from 0 to {}", outputs - 1)));
        }
        not_finite::check_inputs(self.run.steps + 1, &[("x", x), ("y", y)])?;
        let rows = x.shape().first().copied().unwrap_or(0);
        self.compile_step(rows)?;
        let result = self.run_step(x, y)?;
        self.run.steps += 1;
        Ok(result)
    }

    /// Runs the step that has been compiled for batches of this size. The program leaves states as they are where the
    /// step is not finite (see [`supervised::training_graph`]).
    fn run_step(&mut self, x: &Tensor, y: &Tensor) -> Result<(f64, Option<u64>), Error> {
        let program = self.programs.get_mut(&x.shape()[0]).expect("it has been compiled");
        program.run(&mut self.state, &[x, y])?;
        let loss = program.outputs()[0].get(0).as_f64();
        let correct = program.output("correct").map(|correct| correct.get(0).bits());
        let norm =
            program.output(&own_name(GRADIENT_NORM, self.optimizer.name())).map(|norm| norm.get(0).as_f64());
        not_finite::check_step(self.run.steps + 1, loss, norm, &self.state, &self.weights)?;
        Ok((loss, correct))
    }

    /// What the model as it is returns of each row of a data set: `f32[rows, outputs]`, row-major.
    ///
    /// # Errors
    /// Where the rows do not fit the model.
    pub fn predict(&mut self, data: &Dataset) -> Result<Vec<f32>, Error> {
        self.compile_step(self.options.batch)?; // the states start from the seed
        self.predictor.predict(&mut self.state, data)
    }

    /// Loss and metrics of the model as it is on a data set.
    ///
    /// # Errors
    /// Where the data set does not fit the model or is empty.
    pub fn evaluate(&mut self, data: &Dataset) -> Result<Evaluation, Error> {
        Ok(self.predict_and_evaluate(data)?.1)
    }

    /// What [`Trainer::predict`] and [`Trainer::evaluate`] return.
    ///
    /// # Errors
    /// As these.
    pub fn predict_and_evaluate(&mut self, data: &Dataset) -> Result<(Vec<f32>, Evaluation), Error> {
        self.compile_step(self.options.batch)?;
        self.predictor.predict_and_evaluate(&mut self.state, data)
    }

    /// The states: weights, moments of the optimizer, the number of steps. Empty before the first step.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The states, to restore them for one.
    ///
    /// # Errors
    /// Where the step cannot be compiled, without which it is not known what states there are.
    pub fn state_mut(&mut self) -> Result<&mut State, Error> {
        self.compile_step(self.options.batch)?;
        Ok(&mut self.state)
    }

    /// The names of the weights among the states, in the order of the layers: parameters and buffers.
    pub fn weights(&self) -> &[String] {
        &self.weights
    }

    /// The number of elements of all parameters.
    pub fn parameter_count(&self) -> usize {
        self.predictor.parameter_count()
    }

    /// Where the run is.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The time spent on compiling so far.
    pub fn compile_time(&self) -> Duration {
        self.predictor.compile_time()
    }

    /// The SHA-256, in hexadecimal digits, of the weights: see [`checkpoint::hash`].
    ///
    /// # Errors
    /// Where the step cannot be compiled.
    pub fn weights_hash(&mut self) -> Result<String, Error> {
        self.state_mut()?;
        checkpoint::hash(&self.state, &self.weights)
    }

    /// The finished model, as `nnc eval` and `nnc predict` take it.
    ///
    /// # Errors
    /// Where the step cannot be compiled.
    pub fn model_checkpoint(&mut self, description: &Description) -> Result<Checkpoint, Error> {
        self.state_mut()?;
        let metadata = self.metadata(description, None);
        let states = checkpoint::states_of(&self.state, &self.weights)?;
        Ok(Checkpoint { metadata, states, best: Vec::new() })
    }

    /// The run as it is, from which it can go on.
    ///
    /// # Errors
    /// Where the step cannot be compiled.
    pub fn run_checkpoint(&mut self, description: &Description) -> Result<Checkpoint, Error> {
        self.state_mut()?;
        let metadata = self.metadata(description, Some(self.position()?));
        let names: Vec<String> = self.state.iter().map(|(name, _)| name.to_owned()).collect();
        let states = checkpoint::states_of(&self.state, &names)?;
        Ok(Checkpoint { metadata, states, best: self.best.clone() })
    }

    /// Goes to where the run was that has written a checkpoint. What follows has the same bits as in that run.
    ///
    /// # Errors
    /// Where the checkpoint holds no run, or is of another run: of another model, with other settings, on other data.
    /// The error says what differs, and nothing has changed.
    pub fn resume(&mut self, checkpoint: &Checkpoint, description: &Description) -> Result<(), Error> {
        let Some(position) = &checkpoint.metadata.position else {
            let help =
                "give a file checkpoint-STEP.safetensors, as `nnc train --checkpoint-every` writes them";
            return Err(Error::invalid(
                "the checkpoint",
                "it holds a finished model, and no run to go on from",
                help,
            ));
        };
        let here = self.metadata(description, Some(self.position()?));
        if let Some(difference) = checkpoint.metadata.difference(&here) {
            let help = "give what the run was started with, or start another";
            return Err(Error::invalid("the checkpoint", difference, help));
        }
        self.compile_step(self.options.batch)?;
        let expected = predictor::states_of(&self.graph(self.options.batch)?);
        checkpoint::set_states(&mut self.state, &checkpoint.states, &expected)?;
        self.factor = f64::NAN;
        self.run = position.run.clone();
        self.best.clone_from(&checkpoint.best);
        Ok(())
    }

    fn metadata(&self, description: &Description, position: Option<Position>) -> Metadata {
        Metadata {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            model: self.predictor.name().to_owned(),
            description: description.clone(),
            position,
            file_sha256: String::new(),
        }
    }

    fn position(&self) -> Result<Position, Error> {
        let mut sha = Sha256::new();
        sha.update(self.graph(self.options.batch)?.to_string());
        sha.update(self.options.seed.to_le_bytes());
        sha.update(self.options.augment.to_string());
        Ok(Position {
            fingerprint: checkpoint::hexadecimal(sha),
            target: self.options.compile.target()?.name.to_owned(),
            run: self.run.clone(),
        })
    }

    /// The graph of a step on a batch of this size.
    fn graph(&self, batch: usize) -> Result<Graph, Error> {
        let predictor = &self.predictor;
        let batch = nn::Batch::new(batch, predictor.row().clone());
        let TrainerOptions { loss, .. } = &self.options;
        Ok(supervised::training_graph(predictor.name(), predictor.model(), &batch, loss, &*self.optimizer)?)
    }

    /// Compiles the step on batches of this size, and makes the states that it brings along.
    fn compile_step(&mut self, batch: usize) -> Result<(), Error> {
        if self.programs.contains_key(&batch) {
            return Ok(());
        }
        let graph = self.graph(batch)?;
        let program = self.predictor.compile(&graph)?;
        self.state.adopt(program.plan(), self.options.seed)?;
        if self.programs.is_empty() {
            self.base_rate = self.state.get(&self.rate_name()).ok().map(|rate| rate.get(0).as_f64());
        }
        self.programs.insert(batch, program);
        Ok(())
    }
}
