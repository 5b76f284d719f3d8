//! Training and evaluation of classifiers over mini-batches.
//!
//! A step (forward, backward, optimizer) is one program; so is inference. Programs are specialised to the size of a
//! batch: the last short batch of an epoch has one of its own, which works on the same states.
//!
//! | module | what it holds |
//! |---|---|
//! | [`history`] | what training reports: while it goes on, and at its end |
//! | [`not_finite`] | the error that numbers have overflowed |
//! | [`shuffle`] | the order of rows in an epoch |

pub mod history;
pub mod not_finite;
mod program;
pub mod shuffle;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ir::{Tensor, Value};
use nn::{Batch, Layer, Loss, Optimizer, supervised};
use runtime::{Pool, State};

use crate::data::Dataset;
use crate::{Error, Options};
pub use history::{Epoch, Evaluation, History, Progress};
pub use not_finite::NotFinite;
use program::Program;

/// The size of batches in evaluation.
const EVALUATION_BATCH: usize = 512;

/// How a model is trained.
#[derive(Clone, Debug)]
pub struct TrainerOptions {
    /// The number of rows in a batch.
    pub batch: usize,
    /// What the initial weights and the order of rows depend on: the same seed gives the same bits.
    pub seed: u64,
    /// How programs are compiled, and on how many threads they run.
    pub compile: Options,
}

impl Default for TrainerOptions {
    /// Batches of 32, seed 0, one thread.
    fn default() -> TrainerOptions {
        TrainerOptions { batch: 32, seed: 0, compile: Options::default() }
    }
}

/// A model with its weights, its optimizer and the programs of both.
///
/// ```
/// use nnc::trainer::{Trainer, TrainerOptions};
/// use nnc::data::digits;
/// let (train, test) = digits();
/// let model = nn::models::Mlp::new(&[64, 16, 10], nn::Relu);
/// let mut trainer = Trainer::new("small", 64, model, nn::Adam::new(0.01), TrainerOptions::default())?;
/// let history = trainer.fit(&train, None, 2, &mut |_| {})?;
/// assert!(history.epochs[1].loss < history.epochs[0].loss);
/// assert!(trainer.evaluate(&test)?.accuracy > 0.5);
/// # Ok::<(), nnc::Error>(())
/// ```
pub struct Trainer {
    name: String,
    model: Box<dyn Layer>,
    optimizer: Box<dyn Optimizer>,
    options: TrainerOptions,
    pool: Arc<Pool>,
    features: usize,
    classes: usize,
    weights: Vec<String>,
    weight_count: usize,
    state: State,
    /// By the size of the batch.
    training: BTreeMap<usize, Program>,
    inference: BTreeMap<usize, Program>,
    compile_time: Duration,
    steps: u64,
    epochs: u64,
}

impl Trainer {
    /// A trainer of `model`, which takes rows of `features` values and returns a logit per class.
    ///
    /// # Errors
    /// Where the model does not take such rows or does not return [rows, classes], a setting of the optimizer is out
    /// of range, the batch is 0, or the threads cannot be started.
    pub fn new(
        name: &str,
        features: usize,
        model: impl Layer + 'static,
        optimizer: impl Optimizer + 'static,
        options: TrainerOptions,
    ) -> Result<Trainer, Error> {
        if options.batch == 0 {
            return Err(Error::invalid("batch", "it is 0", "give at least 1"));
        }
        // Built once for what it says of the model; that the step can be built is known before data is looked at.
        let batch = Batch::new(options.batch, [features]);
        let graph = supervised::inference_graph(name, &model, &batch)?;
        supervised::training_graph(name, &model, &batch, &Loss::cross_entropy(), &optimizer)?;
        let weights = graph.states().map(|(_, node)| node.name.clone().unwrap_or_default()).collect();
        let elements = graph.states().map(|(id, _)| graph.ty(Value { node: id, result: 0 }).shape.elements());
        Ok(Trainer {
            name: name.to_owned(),
            pool: Arc::new(Pool::new(options.compile.threads)?),
            features,
            classes: graph.ty(graph.outputs[0].value).shape[1],
            weights,
            weight_count: elements.sum(),
            state: State::empty(),
            training: BTreeMap::new(),
            inference: BTreeMap::new(),
            compile_time: Duration::ZERO,
            steps: 0,
            epochs: 0,
            model: Box::new(model),
            optimizer: Box::new(optimizer),
            options,
        })
    }

    /// Trains for `epochs` epochs, each over all rows of `train` in a shuffled order, and evaluates on `held_out` after
    /// each. Calls `observe` after each step.
    ///
    /// # Errors
    /// Where a data set does not fit the model or is smaller than a batch, or the numbers overflow ([`NotFinite`]).
    pub fn fit(
        &mut self,
        train: &Dataset,
        held_out: Option<&Dataset>,
        epochs: usize,
        observe: &mut dyn FnMut(&Progress),
    ) -> Result<History, Error> {
        self.check_fits(train)?;
        let (batch, rows) = (self.options.batch, train.len());
        if batch > rows {
            let problem = format!("it is {batch}, and there are {rows} rows to train on");
            return Err(Error::invalid("batch", problem, format!("give from 1 to {rows}")));
        }
        let sizes = [batch, rows % batch];
        for size in sizes.into_iter().filter(|&size| size > 0) {
            self.training_program(size)?;
        }
        if let Some(held_out) = held_out {
            self.evaluate(held_out)?; // compiles, so that the time of an epoch holds no compiling
        }
        let mut recorder = history::Recorder::new(epochs, rows, batch);
        for _ in 0..epochs {
            let order = shuffle::permutation(rows, self.options.seed, self.epochs);
            for rows in order.chunks(batch) {
                let start = Instant::now();
                let (loss, correct) = self.step_on(train, rows)?;
                recorder.record(loss, correct, rows.len(), start.elapsed(), observe);
            }
            self.epochs += 1;
            not_finite::check_weights(&self.state, &self.weights, self.steps)?;
            let evaluation = held_out.map(|held_out| self.evaluate(held_out)).transpose()?;
            recorder.end_epoch(evaluation);
        }
        Ok(recorder.finish())
    }

    /// One step on rows `x`, `f32[rows, features]`, of classes `y`, `i64[rows]`. Returns the loss before the step and
    /// the number of rows that were classified right.
    ///
    /// # Errors
    /// Where the types differ from these, a class is out of range, or the loss is not finite: the error
    /// ([`NotFinite`]) names the step and the value.
    pub fn step(&mut self, x: &Tensor, y: &Tensor) -> Result<(f64, u64), Error> {
        let rows = x.shape().first().copied().unwrap_or(0);
        let labels = y.as_slice::<i64>().unwrap_or_default();
        let is_class = |label: &i64| usize::try_from(*label).is_ok_and(|label| label < self.classes);
        if let Some(row) = labels.iter().position(|label| !is_class(label)) {
            let problem = format!("the label of row {row} is {}", labels[row]);
            return Err(Error::invalid("y", problem, format!("give labels from 0 to {}", self.classes - 1)));
        }
        self.training_program(rows)?;
        let program = self.training.get_mut(&rows).expect("it has just been compiled");
        let (loss, correct) = program.train(&mut self.state, x, y)?;
        self.steps += 1;
        not_finite::check_loss(loss, self.steps, &[("x", x)], &self.state, &self.weights)?;
        Ok((loss, correct))
    }

    /// As [`Trainer::step`], on these rows of a data set; allocates nothing once the program is there.
    fn step_on(&mut self, data: &Dataset, rows: &[u32]) -> Result<(f64, u64), Error> {
        let program = self.training.get_mut(&rows.len()).expect("`fit` has compiled both sizes");
        let (loss, correct) = program.train_on(&mut self.state, data, rows)?;
        self.steps += 1;
        not_finite::check_loss(loss, self.steps, &[("x", program.rows())], &self.state, &self.weights)?;
        Ok((loss, correct))
    }

    /// Loss and accuracy of the model as it is on a data set.
    ///
    /// # Errors
    /// Where the data set does not fit the model or is empty.
    pub fn evaluate(&mut self, data: &Dataset) -> Result<Evaluation, Error> {
        self.check_fits(data)?;
        let rows: Vec<u32> = (0..data.len() as u32).collect();
        let mut sum = Evaluation::default();
        for rows in rows.chunks(EVALUATION_BATCH) {
            self.inference_program(rows.len())?;
            let program = self.inference.get_mut(&rows.len()).expect("it has just been compiled");
            let logits = program.infer_on(&mut self.state, data, rows)?;
            sum.add(logits, rows.iter().map(|&row| data.label(row as usize)));
        }
        Ok(sum.finish())
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
        self.training_program(self.options.batch)?;
        Ok(&mut self.state)
    }

    /// The names of the weights among the states, in the order of the layers.
    pub fn weights(&self) -> &[String] {
        &self.weights
    }

    /// The number of elements of all weights.
    pub fn weight_count(&self) -> usize {
        self.weight_count
    }

    /// The time spent on compiling so far.
    pub fn compile_time(&self) -> Duration {
        self.compile_time
    }

    fn training_program(&mut self, batch: usize) -> Result<(), Error> {
        if self.training.contains_key(&batch) {
            return Ok(());
        }
        let Trainer { name, model, features, optimizer, .. } = self;
        let examples = Batch::new(batch, [*features]);
        let loss = Loss::cross_entropy();
        let graph = supervised::training_graph(name, &**model, &examples, &loss, &**optimizer)?;
        let program = self.compile(&graph, batch)?;
        self.training.insert(batch, program);
        Ok(())
    }

    fn inference_program(&mut self, batch: usize) -> Result<(), Error> {
        if self.inference.contains_key(&batch) {
            return Ok(());
        }
        let examples = Batch::new(batch, [self.features]);
        let graph = supervised::inference_graph(&self.name, &*self.model, &examples)?;
        let program = self.compile(&graph, batch)?;
        self.inference.insert(batch, program);
        Ok(())
    }

    /// Compiles a graph, and makes the states that it brings along.
    fn compile(&mut self, graph: &ir::Graph, batch: usize) -> Result<Program, Error> {
        let executable = crate::compile_on(graph, &self.options.compile, Arc::clone(&self.pool))?;
        self.compile_time += executable.compile_time();
        self.state.adopt(executable.plan(), self.options.seed)?;
        Ok(Program::new(executable, batch, self.features))
    }

    fn check_fits(&self, data: &Dataset) -> Result<(), Error> {
        let name = data.name();
        if data.is_empty() {
            return Err(Error::invalid(name, "the data set has no rows", "give at least one"));
        }
        if data.features() != self.features {
            let problem = format!("a row has {} values, the model takes {}", data.features(), self.features);
            return Err(Error::invalid(name, problem, "make the first layer of the model as wide as a row"));
        }
        if data.classes() > self.classes {
            let problem =
                format!("there are {} classes, the model returns {} logits", data.classes(), self.classes);
            return Err(Error::invalid(
                name,
                problem,
                "make the last layer of the model as wide as there are classes",
            ));
        }
        Ok(())
    }
}
