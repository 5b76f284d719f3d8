//! Training of networks on rows of named arrays, of which a data set with targets is one kind.
//!
//! A step (forward, backward, optimizer) is one program; so is inference. Programs are specialised to the size of a
//! batch: the last short batch of an epoch has one of its own, which works on the same states. Where a run is, is in its
//! states and in [`Run`]: both together are a checkpoint, from which a run goes on to the same bits.
//!
//! In a game ([`nn::game`]) each batch is the turn of one player, whose step is a program of its own on the states that all share;
//! a network with one loss is a game of one, who has all turns.
//!
//! | module | what it holds |
//! |---|---|
//! | [`options`] | how a model is trained |
//! | `fit` | the epochs of a run, and its checkpoints |
//! | `start` | what a run starts from |
//! | `turns` | whose turn a step is, and its programs |
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
mod start;
mod turns;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ir::{Graph, Tensor};
use nn::network;
use nn::optimizer::AVERAGE;
use nn::sequence::LENGTHS;
use nn::supervised::{ROWS, TARGETS};
use nn::{Network, Optimizer, Player, game};
use runtime::State;
use sha2::{Digest, Sha256};

use crate::checkpoint::{self, Checkpoint, Description, Metadata, Position, Template};
use crate::data::{Dataset, Examples};
use crate::weights::averaged;
use crate::{Error, memory};
pub use confusion::ConfusionMatrix;
pub use evaluation::Evaluation;
pub use not_finite::NotFinite;
pub use options::{CheckpointOptions, FitOptions, TrainerOptions};
pub use predictor::Predictor;
pub use progress::{Event, Progress};
pub use run::{Epoch, History, Run, StepResult};
use turns::Turn;

/// What is told of each [`Event`], with the trainer as it is then, and says whether to go on.
pub type Callback<'a> = dyn FnMut(&Event, &Trainer) -> ControlFlow<()> + 'a;

/// A callback that says nothing and goes on.
pub fn silent(_: &Event, _: &Trainer) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// A network with its weights, its optimizer and the programs of both. It can move to another thread.
///
/// ```
/// use nn::{Adam, Loss, Relu, Supervised, models::Mlp};
/// use nnc::trainer::{FitOptions, Trainer, TrainerOptions, silent};
/// use nnc::data::digits;
/// let (train, test) = digits();
/// let network = Supervised::new([64], Mlp::new(&[64, 16, 10], Relu), Loss::cross_entropy());
/// let mut trainer = Trainer::new("small", network, Adam::new(0.01), TrainerOptions::default())?;
/// let history = trainer.fit(&train, None, &FitOptions::epochs(2), &mut silent)?;
/// assert!(history.epochs[1].loss < history.epochs[0].loss);
/// assert!(trainer.evaluate(&test)?.accuracy > Some(0.5));
/// # Ok::<(), nnc::Error>(())
/// ```
pub struct Trainer {
    network: Arc<dyn Network>,
    predictor: Predictor,
    /// Those who make steps, in the order of their turns: one, but in a game.
    turns: Vec<Turn>,
    options: TrainerOptions,
    /// What checkpoints say of the run; of what it is first trained on, where nobody has said it.
    description: Option<Description>,
    template: OnceLock<Option<Template>>,
    /// The names of parameters and buffers.
    weights: Vec<String>,
    state: State,
    /// What is used where the optimizer keeps averages of weights: these in the place of the weights.
    averaged: Option<State>,
    run: Run,
    /// The weights of the best epoch so far, where they are kept.
    best: Vec<(String, Tensor)>,
}

impl Trainer {
    /// A trainer of a network, as [`Supervised`](nn::Supervised) or a function, that ends in a loss.
    ///
    /// # Errors
    /// Where the network cannot be built or has no loss, a result does not have the rows of the batch along its first axis, a
    /// setting is out of range, the batch is 0, or the threads cannot be started.
    pub fn new(
        name: &str,
        network: impl Network + 'static,
        optimizer: impl Optimizer + 'static,
        options: TrainerOptions,
    ) -> Result<Trainer, Error> {
        Trainer::of_turns(name, Arc::new(network), vec![Turn::alone(optimizer)], options)
    }

    /// A trainer of a game: each batch is the turn of one player, in the order in which they are given, each for as many steps as it
    /// has each round of its epochs; whose it is follows from the number of the epoch and of steps done so far. The loss of an epoch is that
    /// of the game, and the losses of the players are among its metrics, each averaged over the steps that report it (see
    /// [`nn::game`]).
    ///
    /// Players may have epochs one after the other ([`Player::epochs`]). Then the game is judged in the last of these phases alone: the
    /// best epoch, which `patience`, `plateau` and `keep_best` go by, is one of those in which no player's turns are yet to begin.
    ///
    /// ```
    /// use ir::{DType, ops::Distribution::Normal};
    /// use nn::{Adam, Context, Linear, Outputs, Player};
    /// use nnc::data::synthetic;
    /// use nnc::trainer::{FitOptions, Trainer, TrainerOptions, silent};
    /// /// One learns to tell rows from noise, the other to make noise of which it cannot be told.
    /// fn game(cx: &mut Context, rows: usize) -> Result<Outputs, ir::Error> {
    ///     let x = cx.input("x", DType::F32, [rows, 2])?;
    ///     let noise = cx.draw(Normal, [rows, 2])?;
    ///     let made = cx.layer("maker", &Linear::new(2, 2), noise)?;
    ///     let judge = Linear::new(2, 1);
    ///     let [of_row, of_made] = [cx.layer("judge", &judge, x)?, cx.shared("judge", &judge, made)?];
    ///     let fooled = cx.eval((of_made - 1.0).square().mean_all())?;
    ///     let mistaken = cx.eval(((of_row - 1.0).square() + of_made.square()).mean_all())?;
    ///     Ok(Outputs::new().result("score", of_row).player("judge", mistaken).player("maker", fooled))
    /// }
    /// let players = ["judge", "maker"].map(|name| Player::new(name, Adam::new(0.01)).moves(format!("{name}.*")));
    /// let mut trainer = Trainer::of_game("points", game, players, TrainerOptions::default())?;
    /// let points = synthetic::blobs(1, 2, 320, 0)?;
    /// let history = trainer.fit(&points, None, &FitOptions::epochs(2), &mut silent)?;
    /// assert_eq!(history.epochs[1].metrics["maker_loss"], history.epochs[1].loss);
    /// assert!(history.epochs[1].metrics.contains_key("judge_loss"));
    /// # Ok::<(), nnc::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Trainer::new`]; and where the players are not those of the network, or one moves no parameter.
    pub fn of_game(
        name: &str,
        network: impl Network + 'static,
        players: impl IntoIterator<Item = Player>,
        options: TrainerOptions,
    ) -> Result<Trainer, Error> {
        let players: Vec<Player> = players.into_iter().collect();
        game::check_players(name, &network, &players)?;
        let turns = players.into_iter().map(Turn::of_player).collect();
        Trainer::of_turns(name, Arc::new(network), turns, options)
    }

    fn of_turns(
        name: &str,
        network: Arc<dyn Network>,
        turns: Vec<Turn>,
        options: TrainerOptions,
    ) -> Result<Trainer, Error> {
        if options.batch == 0 {
            return Err(Error::invalid("batch", "it is 0", "give at least 1"));
        }
        let predictor = Predictor::new(name, Arc::clone(&network), &options.compile)?;
        let trainer = Trainer {
            weights: predictor.states().iter().map(|(name, _)| name.clone()).collect(),
            network,
            predictor,
            turns,
            description: None,
            template: OnceLock::new(),
            state: State::empty(),
            averaged: None,
            run: Run::default(),
            best: Vec::new(),
            options,
        };
        trainer.graphs(trainer.options.batch)?; // that steps can be built is known before data are looked at
        Ok(trainer)
    }

    /// Says what checkpoints and saved models state of the run. Where nobody says it, it is that of the examples that it is first
    /// trained on.
    pub fn describe(&mut self, description: Description) {
        self.description = Some(description);
    }

    /// One step on a batch: an array `[rows, ..]` for each input of the network, by name. Returns the loss and the metrics before the
    /// step. It is no part of a [`Run`], and ends no epoch: of a game it is a step of a player who has turns in the first.
    ///
    /// # Errors
    /// Where an array is missing or of another type, a class is out of range, the loss is not for a number that is there, or an input, the loss or the norm by which gradients
    /// are clipped is not finite: the error ([`NotFinite`]) names the step and the value. Then all states are what they were
    /// before, and training can go on from there. (Gradients that overflow where the loss does not are noticed in time
    /// where they are clipped by their norm, and in the step after this elsewhere.)
    pub fn step(&mut self, batch: &[(&str, &Tensor)]) -> Result<StepResult, Error> {
        let rows = batch.first().and_then(|(_, array)| array.shape().first().copied()).unwrap_or(0);
        let given = |name: &str| batch.iter().find(|(known, _)| *known == name).map(|(_, array)| *array);
        if let Some(labels) = given(TARGETS).and_then(|y| y.as_slice::<i64>()) {
            self.predictor.check_labels(TARGETS, labels)?;
        }
        if let (Some(lengths), Some(x)) = (given(LENGTHS), given(ROWS)) {
            nn::rnn::check_lengths(lengths, x.shape().get(1).copied().unwrap_or(0))?;
        }
        self.predictor.check_domains("batch", batch.iter().copied(), rows)?;
        not_finite::check_inputs(self.run.steps + 1, batch)?;
        self.compile_step(rows)?;
        let program = &self.turns[0].programs[&rows];
        let names: Vec<String> = program.inputs().map(|(name, _)| name.to_owned()).collect();
        let ordered: Vec<&Tensor> = names.iter().filter_map(|name| given(name)).collect();
        if ordered.len() < names.len() || ordered.len() < batch.len() {
            let given: Vec<&str> = batch.iter().map(|(name, _)| *name).collect();
            let problem = format!("the arrays {} are given", given.join(", "));
            return Err(Error::invalid("batch", problem, format!("give {}", names.join(", "))));
        }
        let result = self.run_step(&ordered)?;
        self.run.steps += 1;
        Ok(result)
    }

    /// Runs the step whose turn it is, which has been compiled for batches of this size. The program leaves states as they are
    /// where the step is not finite (see [`network::training_graph`]).
    fn run_step(&mut self, batch: &[&Tensor]) -> Result<StepResult, Error> {
        let rows = batch.first().and_then(|array| array.shape().first().copied()).unwrap_or(0);
        let number = self.turn_after(self.run.steps)?;
        let turn = &mut self.turns[number];
        let program = turn.programs.get_mut(&rows).expect("it has been compiled");
        program.run(&mut self.state, batch)?;
        let (result, norm) = turn.result(rows);
        not_finite::check_step(self.run.steps + 1, result.loss, norm, &self.state, &self.weights)?;
        Ok(result)
    }

    /// What the first result of the network as it is is of each row of a data set: `f32[rows, outputs]`, row-major.
    ///
    /// # Errors
    /// Where the rows do not fit the network.
    pub fn predict(&mut self, data: &Dataset) -> Result<Vec<f32>, Error> {
        self.prepare_use()?;
        self.predictor.predict(self.state_in_use(), data)
    }

    /// All results of the rows of some arrays, by name.
    ///
    /// # Errors
    /// Where an array is missing or of another type.
    pub fn results(&mut self, data: &dyn Examples) -> Result<Vec<(String, Tensor)>, Error> {
        self.prepare_use()?;
        self.predictor.results(self.state_in_use(), data)
    }

    /// Loss and metrics of the network as it is on examples.
    ///
    /// # Errors
    /// Where they do not fit the network, or there are none.
    pub fn evaluate(&mut self, data: &dyn Examples) -> Result<Evaluation, Error> {
        self.prepare_use()?;
        self.predictor.evaluate(self.state_in_use(), data)
    }

    /// What [`Trainer::predict`] and [`Trainer::evaluate`] return.
    ///
    /// # Errors
    /// As these.
    pub fn predict_and_evaluate(&mut self, data: &dyn Examples) -> Result<(Vec<f32>, Evaluation), Error> {
        self.prepare_use()?;
        self.predictor.predict_and_evaluate(self.state_in_use(), data)
    }

    /// Makes the states of training and of use, from the seed, and brings those of use up to date.
    fn prepare_use(&mut self) -> Result<(), Error> {
        self.make_states()?;
        let has_average = |name: &String| self.state.contains(&format!("{name}{AVERAGE}"));
        if self.weights.iter().any(has_average) {
            let bytes = self.state.iter().map(|(_, ty)| ty.size_bytes()).sum();
            memory::check(self.predictor.name(), bytes)?;
            self.averaged = Some(averaged(&self.state));
        }
        Ok(())
    }

    /// Makes the states of training and of use, from the seed.
    fn make_states(&mut self) -> Result<(), Error> {
        self.compile_step(self.options.batch)?;
        self.predictor.adopt(&mut self.state, self.options.seed)
    }

    /// The network as it is used and evaluated. Its programs belong to it, and work on [`Trainer::state_in_use`].
    pub fn predictor(&self) -> &Predictor {
        &self.predictor
    }

    /// The weights with which the network is used: where the optimizer keeps averages of them, these, as they were when it was last used
    /// (predicted with, evaluated or saved), which it is at the end of each epoch with held-out rows.
    pub fn state_in_use(&self) -> &State {
        self.averaged.as_ref().unwrap_or(&self.state)
    }

    /// Copies of the weights and their averages.
    pub(super) fn kept_weights(&self) -> Result<Vec<(String, Tensor)>, Error> {
        let averages = self.weights.iter().map(|name| format!("{name}{AVERAGE}"));
        let averages = averages.filter(|name| self.state.contains(name));
        let names: Vec<String> = self.weights.iter().cloned().chain(averages).collect();
        checkpoint::states_of(&self.state, &names)
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

    /// Saves the finished model, as [`nnc::load`](crate::load), `nnc eval` and `nnc predict` read it; a file that was there is
    /// replaced whole or not at all, and a folder that is not there is made.
    ///
    /// # Errors
    /// Where the graph of the network does not follow from the number of rows (see [`checkpoint::Template`]), or the file cannot be
    /// written.
    pub fn save(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        if self.template().is_none() {
            self.new_template()?; // says why there is none
        }
        let path = path.as_ref();
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|source| Error::io(path, "write", source))?;
        }
        self.model_checkpoint()?.write(path)
    }

    /// The finished model.
    ///
    /// # Errors
    /// Where the step cannot be compiled.
    pub fn model_checkpoint(&mut self) -> Result<Checkpoint, Error> {
        self.prepare_use()?;
        let metadata = self.metadata(None)?;
        let states = checkpoint::states_of(self.state_in_use(), &self.weights)?;
        Ok(Checkpoint { metadata, states, best: Vec::new() })
    }

    /// The run as it is, from which it can go on.
    ///
    /// # Errors
    /// Where the step cannot be compiled.
    pub fn run_checkpoint(&mut self) -> Result<Checkpoint, Error> {
        self.make_states()?;
        let metadata = self.metadata(Some(self.position()?))?;
        let names: Vec<String> = self.state.iter().map(|(name, _)| name.to_owned()).collect();
        let states = checkpoint::states_of(&self.state, &names)?;
        Ok(Checkpoint { metadata, states, best: self.best.clone() })
    }

    /// The graph of use and evaluation, as files hold it: made once, where a file is first written.
    fn template(&self) -> Option<&Template> {
        self.template.get_or_init(|| self.new_template().ok()).as_ref()
    }

    fn new_template(&self) -> Result<Template, Error> {
        Template::new(|rows| network::evaluation_graph(self.predictor.name(), &self.network, rows))
    }

    fn metadata(&self, position: Option<Position>) -> Result<Metadata, Error> {
        let results = self.predictor.result_types().iter();
        Ok(Metadata {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            model: self.predictor.name().to_owned(),
            graph: self.template().cloned(),
            results: results.map(|(name, _)| name.clone()).collect(),
            parameters: self.predictor.parameter_count(),
            domains: self.predictor.domains().to_vec(),
            description: self.description.clone().unwrap_or_default(),
            position,
            file_sha256: String::new(),
        })
    }

    fn position(&self) -> Result<Position, Error> {
        let mut sha = Sha256::new();
        for (turn, graph) in self.turns.iter().zip(self.graphs(self.options.batch)?) {
            sha.update(graph.to_string());
            sha.update(turn.fingerprint().unwrap_or_default());
        }
        sha.update(self.options.seed.to_le_bytes());
        sha.update(self.options.augment.to_string());
        Ok(Position {
            fingerprint: checkpoint::hexadecimal(sha),
            target: self.options.compile.target()?.name.to_owned(),
            run: self.run.clone(),
        })
    }

    /// The graphs of the steps on a batch of this size, one for each turn.
    fn graphs(&self, batch: usize) -> Result<Vec<Graph>, Error> {
        self.turns.iter().map(|turn| turn.graph(self.predictor.name(), &self.network, batch)).collect()
    }

    /// Compiles the steps on batches of this size, and makes the states that they bring along.
    fn compile_step(&mut self, batch: usize) -> Result<(), Error> {
        for turn in &mut self.turns {
            if turn.programs.contains_key(&batch) {
                continue;
            }
            let graph = turn.graph(self.predictor.name(), &self.network, batch)?;
            let program = self.predictor.compile(&graph)?;
            self.state.adopt(program.plan(), self.options.seed)?;
            if turn.programs.is_empty() {
                turn.note_base_rate(&self.state);
            }
            turn.programs.insert(batch, program);
        }
        Ok(())
    }
}
