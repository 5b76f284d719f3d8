//! What training reports while it goes on.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Epoch, History, Run, StepResult};

/// Something that has happened in training.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A step has been done.
    Step(Progress),
    /// An epoch has ended, and the held-out rows have been evaluated.
    Epoch {
        /// Its number, from 1.
        number: usize,
        /// What it gave.
        epoch: &'a Epoch,
        /// Whether it is one of which the best is chosen: of a game of phases, one of the last.
        is_judged: bool,
        /// Whether it is the best so far.
        is_best: bool,
    },
    /// A checkpoint has been written.
    Checkpoint(&'a Path),
}

/// What is known after a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// The number of this epoch, from 1.
    pub epoch: usize,
    /// The number of epochs in all.
    pub epochs: usize,
    /// Who has all turns of this epoch, of a game of phases.
    pub player: Option<String>,
    /// The number of this step over all epochs, from 1.
    pub step: u64,
    /// The number of steps in all.
    pub steps: u64,
    /// The mean loss over the rows of this epoch so far; NaN where no step has reported that of a game yet.
    pub loss: f64,
    /// The means of the network's metrics over the rows of this epoch so far.
    pub metrics: BTreeMap<String, f64>,
    /// Rows trained on per second of training.
    pub samples_per_s: f64,
    /// How long the rest will take at the speed so far.
    pub time_left: Duration,
    /// Whether the epoch ends with this step.
    pub is_end_of_epoch: bool,
}

/// Measures the steps of a process.
pub struct Clock {
    started: Instant,
    epochs: usize,
    rows_per_epoch: usize,
    steps_per_epoch: u64,
    batch: usize,
    steps: u64,
    rows: usize,
    time: Duration,
    whole_batches: u32,
    whole_batch_time: Duration,
}

impl Clock {
    /// Starts to measure.
    pub fn start(epochs: usize, rows_per_epoch: usize, batch: usize) -> Clock {
        Clock {
            started: Instant::now(),
            epochs,
            rows_per_epoch,
            steps_per_epoch: rows_per_epoch.div_ceil(batch) as u64,
            batch,
            steps: 0,
            rows: 0,
            time: Duration::ZERO,
            whole_batches: 0,
            whole_batch_time: Duration::ZERO,
        }
    }

    /// Counts a step on `rows` rows that took `time`.
    pub fn add_step(&mut self, rows: usize, time: Duration) {
        self.steps += 1;
        self.rows += rows;
        self.time += time;
        if rows == self.batch {
            self.whole_batches += 1;
            self.whole_batch_time += time;
        }
    }

    /// What is to be reported of the last step, after which the run is here, in an epoch of this player alone.
    pub fn progress(&self, run: &Run, player: Option<&str>) -> Progress {
        let StepResult { loss, metrics, .. } = run.sums.means();
        let steps = (self.epochs as u64).saturating_mul(self.steps_per_epoch);
        let steps_left = steps.saturating_sub(run.steps) as f64 / self.steps as f64;
        Progress {
            epoch: run.history.epochs.len() + 1,
            epochs: self.epochs,
            player: player.map(str::to_owned),
            step: run.steps,
            steps,
            loss,
            metrics,
            samples_per_s: self.samples_per_s(),
            time_left: Duration::try_from_secs_f64(self.started.elapsed().as_secs_f64() * steps_left)
                .unwrap_or(Duration::MAX),
            is_end_of_epoch: run.sums.rows == self.rows_per_epoch,
        }
    }

    /// The history of a run with the times.
    pub fn history(&self, run: &Run) -> History {
        let step_time = self.whole_batch_time / self.whole_batches.max(1);
        History { step_time, samples_per_s: self.samples_per_s(), ..run.history.clone() }
    }

    /// The number of steps of an epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        self.steps_per_epoch
    }

    fn samples_per_s(&self) -> f64 {
        self.rows as f64 / self.time.as_secs_f64().max(1e-9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_batches_do_not_count_as_whole_ones() {
        let (mut clock, mut run) = (Clock::start(1, 5, 4), Run::default());
        let mut seen = Vec::new();
        for (rows, time) in [(4, 8), (1, 2)] {
            clock.add_step(rows, Duration::from_millis(time));
            run.add_step(&StepResult::default(), rows);
            let progress = clock.progress(&run, None);
            seen.push((progress.step, progress.steps, progress.is_end_of_epoch));
        }
        let history = clock.history(&run);
        assert_eq!((history.step_time, history.samples_per_s), (Duration::from_millis(8), 500.0));
        assert_eq!(seen, [(1, 2, false), (2, 2, true)]);
    }
}
