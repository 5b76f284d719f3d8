//! Where a run is: what has been trained, and what came of it. It is a part of every checkpoint.

use std::collections::BTreeMap;
use std::time::Duration;

use nn::network::LOSS;
use nn::supervised::ACCURACY;
use serde::{Deserialize, Deserializer, Serialize};

use super::evaluation::{Evaluation, null_as_nan};

/// What an epoch gave.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// The mean loss over its rows, each before the step on it; of a game, over the rows of the steps that report it, and NaN where
    /// none did.
    #[serde(deserialize_with = "null_as_nan")]
    pub loss: f64,
    /// The means of what else steps report, over the rows of those that do, each before the step: of a classifier, `accuracy`, of
    /// a game the losses of its players.
    pub metrics: BTreeMap<String, f64>,
    /// The learning rate of its last step, where the optimizer has one.
    pub learning_rate: Option<f64>,
    /// What the model was worth on the held-out rows after it.
    pub held_out: Option<Evaluation>,
}

impl Epoch {
    /// The part of its rows that were classified right, before the step on them, where the network reports it.
    pub fn accuracy(&self) -> Option<f64> {
        self.metrics.get(ACCURACY).copied()
    }

    /// What tells a good epoch from a bad one, the less, the better: the loss on the held-out rows, or, where there are
    /// none, the loss in training.
    pub fn value(&self) -> f64 {
        self.held_out.as_ref().map_or(self.loss, |held_out| held_out.loss)
    }
}

/// What training gave.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Its epochs in order.
    pub epochs: Vec<Epoch>,
    /// The number of the epoch, from 1, of which the weights were the best, where those were kept.
    pub best_epoch: Option<usize>,
    /// The mean time of a step on a whole batch, of the steps of this process.
    #[serde(skip)]
    pub step_time: Duration,
    /// Rows trained on per second of training in this process; evaluation and compiling are not counted.
    #[serde(skip)]
    pub samples_per_s: f64,
}

/// Sums over the rows of an epoch so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// The number of rows.
    pub rows: usize,
    /// The sum of their losses.
    pub loss: f64,
    /// The sums of the network's metrics.
    pub metrics: BTreeMap<String, f64>,
    /// The numbers of rows of steps that did not report the loss, or a metric, where there are some.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unreported: BTreeMap<String, usize>,
}

impl Sums {
    /// The mean loss and metrics, each over the rows of the steps that reported it; NaN where no step did.
    pub fn means(&self) -> StepResult {
        let mean = |name: &str, sum: f64| {
            let unreported = self.unreported.get(name).copied().unwrap_or(0);
            match self.rows - unreported {
                0 if unreported > 0 => f64::NAN,
                rows => sum / rows.max(1) as f64,
            }
        };
        let metrics = self.metrics.iter().map(|(name, &sum)| (name.clone(), mean(name, sum))).collect();
        let loss = mean(LOSS, self.loss);
        StepResult { loss, metrics, judged: Some(loss) }
    }

    /// Adds the means over so many rows of a step.
    fn add(&mut self, result: &StepResult, rows: usize) {
        match result.judged {
            Some(loss) => self.loss += loss * rows as f64,
            None => *self.unreported.entry(LOSS.to_owned()).or_default() += rows,
        }
        for name in self.metrics.keys().filter(|name| !result.metrics.contains_key(*name)) {
            *self.unreported.entry(name.clone()).or_default() += rows;
        }
        for (name, mean) in &result.metrics {
            let sum = match self.metrics.get_mut(name) {
                Some(sum) => sum,
                None => {
                    if self.rows > 0 {
                        self.unreported.insert(name.clone(), self.rows);
                    }
                    self.metrics.entry(name.clone()).or_default()
                }
            };
            *sum += mean * rows as f64;
        }
        self.rows += rows;
    }
}

/// What a network makes of some rows: means over them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepResult {
    /// The loss that the step makes small, before it.
    pub loss: f64,
    /// The metrics by name, before the step: of a game the loss of the player whose turn it was among them.
    pub metrics: BTreeMap<String, f64>,
    /// What the loss of an epoch is a mean of: `loss` itself but in a game, where not every step reports it.
    pub judged: Option<f64>,
}

/// Where a run is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The number of batches trained on, over all epochs.
    pub steps: u64,
    /// The epochs that have ended.
    pub history: History,
    /// The epoch that has begun.
    pub sums: Sums,
    /// The least value of an epoch that is judged so far, and the number of that epoch, from 1.
    #[serde(deserialize_with = "with_null_as_nan")]
    pub best: Option<(usize, f64)>,
    /// Whether it ended by itself: after all epochs, or because it became no better.
    pub is_finished: bool,
    /// The learning rate that it goes on with, where that [has changed](super::Trainer::change_learning_rate).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
}

impl Run {
    /// The value of the last epoch that has ended, where it is judged.
    pub fn value(&self) -> Option<f64> {
        self.best.and(self.history.epochs.last()).map(Epoch::value) // the first that is judged is the best until then
    }

    /// Counts a step on so many rows.
    pub fn add_step(&mut self, result: &StepResult, rows: usize) {
        self.steps += 1;
        self.sums.add(result, rows);
    }

    /// Ends the epoch, and tells whether it is the best so far of those that are judged.
    pub fn end_epoch(
        &mut self,
        learning_rate: Option<f64>,
        held_out: Option<Evaluation>,
        is_judged: bool,
    ) -> bool {
        let StepResult { loss, metrics, .. } = std::mem::take(&mut self.sums).means();
        let epoch = Epoch { loss, metrics, learning_rate, held_out };
        let value = epoch.value();
        self.history.epochs.push(epoch);
        let is_best = is_judged && self.best.is_none_or(|(_, best)| is_better(value, best));
        if is_best {
            self.best = Some((self.history.epochs.len(), value));
        }
        is_best
    }

    /// Whether no epoch of the last `patience` was the best so far.
    pub fn is_out_of_patience(&self, patience: usize) -> bool {
        self.best.is_some_and(|(best, _)| self.history.epochs.len() - best >= patience)
    }
}

/// Whether a value of an epoch is better than the best so far: every number is than one that is not finite.
pub(crate) fn is_better(value: f64, best: f64) -> bool {
    value < best || (value.is_finite() && !best.is_finite())
}

/// JSON has no number for what is not finite, and `null` instead.
fn with_null_as_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<(usize, f64)>, D::Error> {
    let best: Option<(usize, Option<f64>)> = Option::deserialize(deserializer)?;
    Ok(best.map(|(epoch, value)| (epoch, value.unwrap_or(f64::NAN))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(loss: f64, accuracy: f64) -> StepResult {
        StepResult { loss, metrics: [("accuracy".to_owned(), accuracy)].into(), judged: Some(loss) }
    }

    #[test]
    fn short_batches_count_by_their_rows() {
        let mut run = Run::default();
        run.add_step(&result(1.0, 0.5), 4);
        run.add_step(&result(6.0, 1.0), 1);
        assert_eq!(run.sums.means(), result(2.0, 0.6));
        assert!(run.end_epoch(Some(0.1), None, true));
        let StepResult { loss, metrics, .. } = result(2.0, 0.6);
        let epoch = Epoch { loss, metrics, learning_rate: Some(0.1), held_out: None };
        assert_eq!((run.history.epochs.as_slice(), run.steps), ([epoch].as_slice(), 2));
        assert_eq!(run.sums, Sums::default());
    }

    #[test]
    fn what_some_steps_report_is_averaged_over_those() {
        let metrics = |name: &str, value: f64| [(name.to_owned(), value)].into();
        let mut run = Run::default();
        let critic = |loss| StepResult { loss, metrics: metrics("critic", loss), judged: None };
        run.add_step(&critic(2.0), 3);
        assert!(run.sums.means().loss.is_nan(), "no step has reported it");
        run.add_step(&critic(4.0), 3);
        run.add_step(&StepResult { loss: 7.0, metrics: metrics("generator", 7.0), judged: Some(9.0) }, 2);
        run.add_step(&critic(10.0), 2);
        let again: Run = serde_json::from_str(&serde_json::to_string(&run).unwrap()).unwrap();
        assert_eq!(again, run);
        run.end_epoch(None, None, true);
        let epoch = &run.history.epochs[0];
        assert_eq!((epoch.loss, epoch.metrics["critic"], epoch.metrics["generator"]), (9.0, 38.0 / 8.0, 7.0));
        run.add_step(&critic(2.0), 3);
        run.end_epoch(None, None, true);
        let text = serde_json::to_string(&run).unwrap();
        assert!(serde_json::from_str::<Run>(&text).unwrap().history.epochs[1].loss.is_nan(), "{text}");
    }

    /// The losses of the epochs, and after how many of them a patience of 2 is over.
    #[test]
    fn patience_ends_after_epochs_that_were_no_better() {
        for (losses, ends) in [
            ([3.0, 2.0, 2.0, 2.5, 1.0].as_slice(), Some(4)),
            (&[3.0, 2.0, 2.5, 1.0, 1.5], None),
            (&[1.0, f64::NAN, f64::NAN, 0.5], Some(3)),
            (&[f64::NAN, 3.0, 4.0, 5.0], Some(4)),
            (&[f64::INFINITY, f64::NAN, f64::INFINITY, 1.0], Some(3)),
        ] {
            let mut run = Run::default();
            let ended = losses.iter().position(|&loss| {
                run.add_step(&result(9.0, 0.0), 1);
                run.end_epoch(Some(0.1), Some(Evaluation { loss, ..Evaluation::default() }), true);
                run.is_out_of_patience(2)
            });
            assert_eq!(ended.map(|index| index + 1), ends, "{losses:?}");
        }
    }

    #[test]
    fn epochs_that_are_not_judged_are_never_the_best() {
        let mut run = Run::default();
        let end = |run: &mut Run, loss, is_judged| {
            run.add_step(&result(loss, 0.0), 1);
            run.end_epoch(None, None, is_judged)
        };
        assert!(!end(&mut run, 0.1, false) && run.value().is_none() && !run.is_out_of_patience(1));
        assert!(end(&mut run, 3.0, true) && !end(&mut run, 4.0, true));
        assert_eq!((run.best, run.value(), run.is_out_of_patience(1)), (Some((2, 3.0)), Some(4.0), true));
    }

    #[test]
    fn a_best_value_that_is_not_finite_can_be_kept_and_is_beaten_by_every_number() {
        for first in [f64::NAN, f64::INFINITY] {
            let mut run = Run::default();
            let end = |run: &mut Run, loss| {
                run.add_step(&result(9.0, 0.0), 1);
                run.end_epoch(None, Some(Evaluation { loss, ..Evaluation::default() }), true)
            };
            assert!(end(&mut run, first));
            let mut run: Run = serde_json::from_str(&serde_json::to_string(&run).unwrap()).unwrap();
            assert!(!end(&mut run, f64::NAN) && end(&mut run, 1e30) && !end(&mut run, f64::INFINITY));
            assert_eq!(run.best, Some((3, 1e30)));
        }
    }

    #[test]
    fn a_run_has_the_same_bits_after_it_was_text() {
        let mut run = Run::default();
        for step in 1..200 {
            run.add_step(&result(1.0 / f64::from(step), 0.3), 3);
            if step % 7 == 0 {
                run.end_epoch(Some(0.1 / f64::from(step)), None, true);
            }
        }
        let text = serde_json::to_string(&run).unwrap();
        assert_eq!(serde_json::from_str::<Run>(&text).unwrap(), run);
    }
}
