//! What training reports: while it goes on ([`Progress`]), and at its end ([`History`]).

use std::time::{Duration, Instant};

use ir::Tensor;

/// What is known after a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// The number of this epoch, from 1.
    pub epoch: usize,
    /// The number of epochs in all.
    pub epochs: usize,
    /// The number of this step over all epochs, from 1.
    pub step: u64,
    /// The number of steps in all.
    pub steps: u64,
    /// The mean loss over the rows of this epoch so far.
    pub loss: f64,
    /// The part of the rows of this epoch so far that were classified right, before the step on them.
    pub accuracy: f64,
    /// Rows trained on per second of training.
    pub samples_per_s: f64,
    /// How long the rest will take at the speed so far.
    pub time_left: Duration,
    /// Whether the epoch ends with this step.
    pub is_end_of_epoch: bool,
}

/// What an epoch gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Epoch {
    /// The mean loss over its rows, each before the step on it.
    pub loss: f64,
    /// The part of its rows that were classified right, before the step on them.
    pub accuracy: f64,
    /// What the model was worth on the held-out rows after it.
    pub held_out: Option<Evaluation>,
}

/// What training gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Its epochs in order.
    pub epochs: Vec<Epoch>,
    /// The mean time of a step on a whole batch.
    pub step_time: Duration,
    /// Rows trained on per second of training; evaluation and compiling are not counted.
    pub samples_per_s: f64,
}

/// Loss and accuracy on a data set.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// The mean softmax cross entropy.
    pub loss: f64,
    /// The part of the rows that were classified right.
    pub accuracy: f64,
    /// The number of rows that were.
    pub correct: usize,
    /// The number of rows.
    pub rows: usize,
}

impl Evaluation {
    /// Counts a batch: `logits`, `f32[rows, classes]`, and the classes of the rows. `loss` is a sum until `finish`.
    pub(super) fn add(&mut self, logits: &Tensor, labels: impl Iterator<Item = i64>) {
        let elements = logits.as_slice::<f32>().expect("logits are f32");
        for (row, label) in elements.chunks_exact(logits.shape()[1]).zip(labels) {
            let most = row.iter().fold(f64::NEG_INFINITY, |most, &logit| most.max(f64::from(logit)));
            let sum: f64 = row.iter().map(|&logit| (f64::from(logit) - most).exp()).sum();
            let at_label = f64::from(row[label as usize]);
            self.loss += sum.ln() + most - at_label;
            // The first of several that are greatest is the prediction, as `argmax` has it.
            let predicted = row.iter().position(|&logit| f64::from(logit) == most);
            self.correct += usize::from(predicted == Some(label as usize));
            self.rows += 1;
        }
    }

    /// The means over all rows.
    pub(super) fn finish(self) -> Evaluation {
        let rows = self.rows.max(1) as f64;
        Evaluation { loss: self.loss / rows, accuracy: self.correct as f64 / rows, ..self }
    }
}

/// Collects what steps give.
pub(super) struct Recorder {
    epochs: usize,
    rows_per_epoch: usize,
    batch: usize,
    steps: u64,
    step: u64,
    started: Instant,
    /// Of this epoch so far.
    loss_sum: f64,
    correct: u64,
    rows: usize,
    /// Over all epochs.
    all_rows: usize,
    training_time: Duration,
    whole_batches: u32,
    whole_batch_time: Duration,
    history: History,
}

impl Recorder {
    pub fn new(epochs: usize, rows_per_epoch: usize, batch: usize) -> Recorder {
        Recorder {
            epochs,
            rows_per_epoch,
            batch,
            steps: (epochs * rows_per_epoch.div_ceil(batch)) as u64,
            step: 0,
            started: Instant::now(),
            loss_sum: 0.0,
            correct: 0,
            rows: 0,
            all_rows: 0,
            training_time: Duration::ZERO,
            whole_batches: 0,
            whole_batch_time: Duration::ZERO,
            history: History::default(),
        }
    }

    /// Counts a step on `rows` rows that took `time`.
    pub fn record(
        &mut self,
        loss: f64,
        correct: u64,
        rows: usize,
        time: Duration,
        observe: &mut dyn FnMut(&Progress),
    ) {
        self.step += 1;
        self.loss_sum += loss * rows as f64;
        self.correct += correct;
        self.rows += rows;
        self.all_rows += rows;
        self.training_time += time;
        if rows == self.batch {
            self.whole_batches += 1;
            self.whole_batch_time += time;
        }
        let steps_left = (self.steps - self.step) as f64 / self.step as f64;
        observe(&Progress {
            epoch: self.history.epochs.len() + 1,
            epochs: self.epochs,
            step: self.step,
            steps: self.steps,
            loss: self.loss_sum / self.rows as f64,
            accuracy: self.correct as f64 / self.rows as f64,
            samples_per_s: self.samples_per_s(),
            time_left: self.started.elapsed().mul_f64(steps_left),
            is_end_of_epoch: self.rows == self.rows_per_epoch,
        });
    }

    pub fn end_epoch(&mut self, held_out: Option<Evaluation>) {
        let rows = self.rows as f64;
        self.history.epochs.push(Epoch {
            loss: self.loss_sum / rows,
            accuracy: self.correct as f64 / rows,
            held_out,
        });
        (self.loss_sum, self.correct, self.rows) = (0.0, 0, 0);
    }

    pub fn finish(mut self) -> History {
        self.history.step_time = self.whole_batch_time / self.whole_batches.max(1);
        self.history.samples_per_s = self.samples_per_s();
        self.history
    }

    fn samples_per_s(&self) -> f64 {
        self.all_rows as f64 / self.training_time.as_secs_f64().max(1e-9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_evaluation_is_the_mean_over_all_batches() {
        let mut sum = Evaluation::default();
        sum.add(&Tensor::new([2, 2], vec![0.0f32, 0.0, 1000.0, 0.0]).unwrap(), [0, 1].into_iter());
        sum.add(&Tensor::new([1, 2], vec![0.0f32, 1000.0]).unwrap(), [1].into_iter());
        let evaluation = sum.finish();
        assert_eq!((evaluation.correct, evaluation.rows), (2, 3));
        assert!((evaluation.loss - (2f64.ln() + 1000.0) / 3.0).abs() < 1e-12);
        assert!((evaluation.accuracy - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn short_batches_count_by_their_rows() {
        let mut recorder = Recorder::new(1, 5, 4);
        let mut seen = Vec::new();
        let mut observe =
            |progress: &Progress| seen.push((progress.step, progress.steps, progress.is_end_of_epoch));
        recorder.record(1.0, 2, 4, Duration::from_millis(8), &mut observe);
        recorder.record(6.0, 1, 1, Duration::from_millis(2), &mut observe);
        recorder.end_epoch(None);
        let history = recorder.finish();
        assert_eq!(history.epochs, [Epoch { loss: 2.0, accuracy: 0.6, held_out: None }]);
        assert_eq!((history.step_time, history.samples_per_s), (Duration::from_millis(8), 500.0));
        assert_eq!(seen, [(1, 2, false), (2, 2, true)]);
    }
}
