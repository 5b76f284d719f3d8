//! The epochs of a run: steps over shuffled batches, evaluation, checkpoints, and when it ends.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nn::supervised::ROWS;

use super::progress::Clock;
use super::{Callback, Event, FitOptions, History, Trainer, TrainerOptions, not_finite, predictor};
use crate::Error;
use crate::checkpoint::{Description, Folder};
use crate::data::augment::Augmenter;
use crate::data::{Arrays, Batches, Examples};

/// What an epoch works with.
struct Session<'a> {
    train: &'a Arrays,
    /// The rows of an epoch, in order, by its number.
    order: &'a dyn Fn(u64) -> Result<Vec<u32>, Error>,
    held_out: Option<&'a dyn Examples>,
    options: &'a FitOptions,
    augmenter: Option<Augmenter>,
    /// Where checkpoints are written.
    folder: Option<Folder>,
    clock: Clock,
    callback: &'a mut Callback<'a>,
}

impl Trainer {
    /// Trains until `options.epochs` epochs have been trained in all, each over all rows of `train` in a shuffled order,
    /// and evaluates on `held_out` after each. A trainer that has resumed a run goes on with it.
    ///
    /// Where the callback breaks, the run ends after the step, and can go on in another call, or, from
    /// [a checkpoint](Trainer::write_checkpoint), in another process.
    ///
    /// # Errors
    /// Where examples do not fit the network, hold numbers that its loss is not for, or are fewer than a batch, gradients are averaged
    /// over more batches than the run has, there are no images to augment, the numbers overflow
    /// ([`super::NotFinite`]; the states are then those before the step), the schedule gives a learning rate that is negative or not finite,
    /// no player of a game has a turn in one of the epochs, the folder for checkpoints holds those of another run that has not ended, or one cannot be written.
    pub fn fit<E: Examples>(
        &mut self,
        train: &E,
        held_out: Option<&E>,
        options: &FitOptions,
        callback: &mut Callback,
    ) -> Result<History, Error> {
        if self.is_game() {
            (self.run.history.epochs.len()..options.epochs)
                .try_for_each(|epoch| self.turn_in(epoch, 0).map(drop))?;
        }
        if self.description.is_none() {
            self.description = Some(Description::of(train));
        }
        let fitting = self.predictor.that_fit(train)?;
        let augmenter = match fitting.column(ROWS) {
            // Rows of a data set may be images to it and vectors to the network, or the other way round.
            Some(rows) => {
                let given = train.dataset().map(|dataset| dataset.row_shape()).filter(|row| row.rank() > 1);
                self.options.augment.of_images(given.unwrap_or(&rows.row().shape), self.options.seed)?
            }
            None => None,
        };
        // A step may take what evaluation does not.
        let inputs = predictor::inputs_of(&self.graphs(self.options.batch)?[0]);
        let (batch, seed) = (self.options.batch, self.options.seed);
        let order = |epoch| train.order(batch, seed, epoch);
        order(0)?; // batches of another size than the rows are made for are an error before anything is compiled
        let train = &train.arrays().for_inputs(inputs.iter().map(|(name, ty)| (name.as_str(), ty)))?;
        let rows = train.len();
        if batch > rows {
            let problem = format!("it is {batch}, and there are {rows} rows to train on");
            return Err(Error::invalid("batch", problem, format!("give from 1 to {rows}")));
        }
        self.check_accumulation(options.epochs, rows.div_ceil(batch) as u64)?;
        for size in [batch, rows % batch].into_iter().filter(|&size| size > 0) {
            self.compile_step(size)?;
        }
        let held_out = held_out.map(|held_out| held_out as &dyn Examples);
        if let Some(held_out) = held_out {
            self.evaluate(held_out)?; // compiles, so that the time of an epoch holds no compiling
        }
        let folder = match &options.checkpoints {
            None => None,
            Some(checkpoints) => {
                let here = self.metadata(Some(self.position()?))?;
                Some(Folder::open(&checkpoints.folder, &here, checkpoints.overwrite)?)
            }
        };
        let clock = Clock::start(options.epochs, rows, batch);
        let mut session =
            Session { train, order: &order, held_out, options, augmenter, folder, clock, callback };
        self.run.is_finished = false; // one that has ended may be made longer
        while !self.is_done(options) {
            if self.train_epoch(&mut session)?.is_break() || self.end_epoch(&mut session)?.is_break() {
                return Ok(session.clock.history(&self.run));
            }
        }
        self.finish(&mut session)?;
        Ok(session.clock.history(&self.run))
    }

    /// Writes a checkpoint of the run as it is to a folder, as runs [with checkpoints](super::CheckpointOptions) do; so a run that its
    /// callback has broken off goes on from there to the same bits.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use nn::{Adam, Loss, Relu, Supervised, models::Mlp};
    /// use nnc::checkpoint::Folder;
    /// use nnc::data::digits;
    /// use nnc::trainer::{FitOptions, Trainer, TrainerOptions, silent};
    /// let (train, _) = digits();
    /// let new = || {
    ///     let network = Supervised::new([64], Mlp::new(&[64, 16, 10], Relu), Loss::cross_entropy());
    ///     Trainer::new("small", network, Adam::new(0.01), TrainerOptions::default())
    /// };
    /// let (mut whole, mut broken, mut resumed) = (new()?, new()?, new()?);
    /// let two = FitOptions::epochs(2);
    /// whole.fit(&train, None, &two, &mut silent)?;
    ///
    /// broken.fit(&train, None, &two, &mut |_, trainer| match trainer.run().steps {
    ///     60 => ControlFlow::Break(()), // where a user has asked for it, say
    ///     _ => ControlFlow::Continue(()),
    /// })?;
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let folder = folder.path();
    /// broken.write_checkpoint(folder, false)?;
    ///
    /// resumed.resume(&Folder::new(folder).newest(&mut |_| {})?.1)?;
    /// resumed.fit(&train, None, &two, &mut silent)?;
    /// assert_eq!(resumed.weights_hash()?, whole.weights_hash()?);
    /// # Ok::<(), nnc::Error>(())
    /// ```
    ///
    /// # Errors
    /// Where a state is not finite, the folder holds the checkpoints of another run that has not ended (which `overwrite` replaces),
    /// or it cannot be written.
    pub fn write_checkpoint(&mut self, folder: &Path, overwrite: bool) -> Result<PathBuf, Error> {
        let here = self.metadata(Some(self.position()?))?;
        self.write_to(&mut Folder::open(folder, &here, overwrite)?)
    }

    fn write_to(&mut self, folder: &mut Folder) -> Result<PathBuf, Error> {
        self.check_states()?; // one that is not finite would take the place of an older one, from which the run can go on
        let checkpoint = self.run_checkpoint()?;
        folder.write(&checkpoint, self.run.steps, self.run.value())
    }

    /// Goes to the weights of the best epoch so far, where these are kept ([`FitOptions::keep_best`]), as a run does at its end. The
    /// run cannot go on from there: write a checkpoint first.
    ///
    /// # Errors
    /// Where states cannot be set.
    pub fn use_best(&mut self) -> Result<(), Error> {
        self.best.iter().try_for_each(|(name, tensor)| Ok(self.state.set(name, tensor)?))
    }

    fn is_done(&self, options: &FitOptions) -> bool {
        let is_impatient = options.patience.is_some_and(|patience| self.run.is_out_of_patience(patience));
        self.run.history.epochs.len() >= options.epochs || is_impatient
    }

    /// The steps of an epoch that have not been done yet.
    fn train_epoch(&mut self, session: &mut Session) -> Result<ControlFlow<()>, Error> {
        let scale = self.plateau_scale(session.options);
        let mut order = (session.order)(self.run.history.epochs.len() as u64)?;
        order.drain(..self.run.sums.rows);
        let augment = session.augmenter.clone().map(|augmenter| (augmenter, self.run.steps));
        let TrainerOptions { batch, compile, .. } = &self.options;
        let mut batches = Batches::augmented(session.train, order, *batch, compile.threads, augment)?;
        let mut start = Instant::now();
        while let Some(batch) = batches.next_batch() {
            let (turn, steps) = (self.turn_after(self.run.steps)?, self.run.steps);
            let schedule = &session.options.schedule;
            let factor = self.turns[turn].factor(schedule, steps, session.clock.steps_per_epoch()) * scale;
            let before = self.turns[turn].set_learning_rate(&mut self.state, factor, steps + 1)?;
            let result = match self.run_step(&batch.tensors()) {
                Ok(result) => result,
                Err(error) => {
                    self.turns[turn].restore_learning_rate(&mut self.state, before)?;
                    return Err(error);
                }
            };
            self.run.add_step(&result, batch.len());
            session.clock.add_step(batch.len(), start.elapsed());
            let progress = session.clock.progress(&self.run, self.player_of_phase());
            let is_end_of_epoch = progress.is_end_of_epoch;
            let flow = (session.callback)(&Event::Step(progress), self);
            let every = session.options.checkpoints.as_ref().map(|checkpoints| checkpoints.every);
            // At the end of an epoch, it is written when the epoch has been counted.
            if every.is_some_and(|every| self.run.steps.is_multiple_of(every)) && !is_end_of_epoch {
                self.write_due_checkpoint(session)?;
            }
            if flow.is_break() {
                return Ok(flow);
            }
            start = Instant::now();
        }
        Ok(ControlFlow::Continue(()))
    }

    fn end_epoch(&mut self, session: &mut Session) -> Result<ControlFlow<()>, Error> {
        self.check_states()?;
        let evaluation = session.held_out.map(|held_out| self.evaluate(held_out)).transpose()?;
        let last = self.turn_after(self.run.steps.saturating_sub(1))?;
        let rate = self.turns[last].learning_rate(&self.state);
        let is_judged = self.is_judged(self.run.history.epochs.len());
        let is_best = self.run.end_epoch(rate, evaluation, is_judged);
        if is_best && session.options.keep_best {
            self.run.history.best_epoch = Some(self.run.history.epochs.len());
            self.best = self.kept_weights()?;
        }
        let (number, epoch) = (self.run.history.epochs.len(), self.run.history.epochs.last());
        let epoch = epoch.expect("an epoch has just ended");
        let flow = (session.callback)(&Event::Epoch { number, epoch, is_judged, is_best }, self);
        let every = session.options.checkpoints.as_ref().map(|checkpoints| checkpoints.every);
        let is_due = |every| self.run.steps.is_multiple_of(every) || (is_best && session.options.keep_best);
        if every.is_some_and(is_due) && !self.is_done(session.options) {
            self.write_due_checkpoint(session)?;
        }
        Ok(flow)
    }

    /// Ends a run: the last checkpoint, from which it could be made longer, and the best weights.
    fn finish(&mut self, session: &mut Session) -> Result<(), Error> {
        self.run.is_finished = true;
        self.write_due_checkpoint(session)?;
        if session.options.keep_best { self.use_best() } else { Ok(()) }
    }

    fn write_due_checkpoint(&mut self, session: &mut Session) -> Result<(), Error> {
        let Some(folder) = &mut session.folder else { return Ok(()) };
        let path = self.write_to(folder)?;
        let _ = (session.callback)(&Event::Checkpoint(&path), self);
        Ok(())
    }

    /// By how much the learning rate has been lowered because the loss did not fall: a function of the history.
    fn plateau_scale(&self, options: &FitOptions) -> f64 {
        let Some(mut plateau) = options.plateau else { return 1.0 };
        let judged = (0..).zip(&self.run.history.epochs).filter(|(epoch, _)| self.is_judged(*epoch));
        let values = judged.map(|(_, epoch)| epoch.value());
        values.fold(1.0, |_, value| plateau.observe(value))
    }

    /// Checks all states: those that are not weights can cease to be finite unnoticed by the loss.
    fn check_states(&self) -> Result<(), Error> {
        not_finite::check_states(&self.state, self.state.iter().map(|(name, _)| name), self.run.steps)
    }
}
