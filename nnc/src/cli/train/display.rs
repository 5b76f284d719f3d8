//! Progress on stderr: a bar on a terminal, lines elsewhere, within epochs, too, where these are long.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nn::sequence::BITS;
use nn::supervised::ACCURACY;
use nnc::trainer::{Epoch, Event, Progress};

use super::super::output::Output;
use super::outcome::with_commas;
use super::work::in_words;

/// Where progress is not a bar, about this many epochs are reported.
const REPORTED_EPOCHS: usize = 10;
/// A bar changes its numbers no more often than this.
const BAR_PERIOD: Duration = Duration::from_millis(50);
/// Where progress is not a bar, no more time goes by without a line while there are steps.
const LINE_PERIOD: Duration = Duration::from_secs(10);

/// What shows progress.
pub struct Display {
    bar: Option<ProgressBar>,
    /// When the bar last changed or the last line was written; before, when the run began.
    shown: Instant,
    /// Whether a step has been shown.
    is_begun: bool,
    /// How many epochs there are to a line.
    every: usize,
    /// The last line of an epoch that ended, to which what the held-out rows gave is added.
    line: Option<String>,
}

impl Display {
    /// For a run of so many epochs.
    pub fn new(epochs: usize) -> Display {
        let every = epochs.div_ceil(REPORTED_EPOCHS).max(1);
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            let template = "{bar:20.cyan/238} {percent:>3}%  {wide_msg}";
            bar.set_style(ProgressStyle::with_template(template).expect("the template is well-formed"));
            bar.set_message("the first step");
            bar.tick();
            bar
        });
        Display { bar, shown: Instant::now(), is_begun: false, every, line: None }
    }

    /// Shows what has happened, if it is time to.
    pub fn show(&mut self, event: &Event, output: &Output) {
        match event {
            Event::Step(progress) => self.show_step(progress, output),
            Event::Epoch { number, epoch, is_judged, .. } => {
                if let Some(line) = self.line.take().filter(|_| self.is_reported(*number)) {
                    let held_out = if *is_judged { held_out_text(epoch) } else { String::new() };
                    output.report(&format!("{line}{held_out}"));
                    self.shown = Instant::now();
                }
            }
            Event::Checkpoint(_) => {}
        }
    }

    fn show_step(&mut self, progress: &Progress, output: &Output) {
        let is_last = progress.step == progress.steps;
        match &self.bar {
            Some(bar) if is_last || !self.is_begun || self.shown.elapsed() >= BAR_PERIOD => {
                bar.set_length(progress.steps);
                bar.set_message(progress_line(progress, true));
                bar.set_position(progress.step);
                self.shown = Instant::now();
            }
            Some(_) => {}
            None if progress.is_end_of_epoch => self.line = Some(progress_line(progress, false)),
            None => {
                if let Some(line) = self.line_within(progress) {
                    output.report(&line);
                }
            }
        }
        self.is_begun = true;
        if is_last {
            self.every = 1;
        }
    }

    /// The line of a step within an epoch, where there has been none for long.
    fn line_within(&mut self, progress: &Progress) -> Option<String> {
        if self.shown.elapsed() < LINE_PERIOD {
            return None;
        }
        self.shown = Instant::now();
        Some(progress_line(progress, true))
    }

    fn is_reported(&self, epoch: usize) -> bool {
        self.bar.is_none() && epoch.is_multiple_of(self.every)
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// `epoch 12/30  loss 0.0312  accuracy 99.1 %  150,000 samples/s  0.2 s left`; within an epoch, `epoch 12/30  step 3/45  ..`; of a
/// game of phases, `layer1 loss 0.0312`.
fn progress_line(progress: &Progress, is_within: bool) -> String {
    let accuracy = progress.metrics.get(ACCURACY);
    let accuracy = accuracy.map_or(String::new(), |part| format!("  accuracy {:.1} %", 100.0 * part));
    let player = progress.player.as_ref().map_or(String::new(), |player| format!("{player} "));
    let per_epoch = progress.steps / (progress.epochs as u64).max(1);
    let step = progress.step.saturating_sub((progress.epoch as u64).saturating_sub(1) * per_epoch);
    let step = if is_within { format!("  step {step}/{per_epoch}") } else { String::new() };
    format!(
        "epoch {}/{}{step}  {player}loss {:.4}{accuracy}  {} samples/s  {} left",
        progress.epoch,
        progress.epochs,
        progress.loss,
        with_commas(progress.samples_per_s as u64),
        in_words(progress.time_left.as_secs_f64()),
    )
}

/// `  held out 0.1203, 97.5 %`
fn held_out_text(epoch: &Epoch) -> String {
    let Some(held_out) = &epoch.held_out else { return String::new() };
    let accuracy = held_out.accuracy.map_or(String::new(), |part| format!(", {:.1} %", 100.0 * part));
    let bits =
        held_out.metrics.get(BITS).map_or(String::new(), |bits| format!(", {bits:.3} bits per character"));
    format!("  held out {:.4}{accuracy}{bits}", held_out.loss)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// After the seventh step of the third epoch.
    fn progress() -> Progress {
        Progress {
            epoch: 3,
            epochs: 20,
            player: None,
            step: 97,
            steps: 900,
            loss: 0.5,
            metrics: BTreeMap::from([(ACCURACY.to_owned(), 0.75)]),
            samples_per_s: 1234.0,
            time_left: Duration::from_secs(150),
            is_end_of_epoch: false,
        }
    }

    #[test]
    fn a_line_within_an_epoch_has_the_step_of_it_and_the_time_that_is_left() {
        let progress = progress();
        let rest = "loss 0.5000  accuracy 75.0 %  1,234 samples/s  2.5 min left";
        assert_eq!(progress_line(&progress, true), format!("epoch 3/20  step 7/45  {rest}"));
        assert_eq!(progress_line(&progress, false), format!("epoch 3/20  {rest}"));
    }

    #[test]
    fn within_a_long_epoch_there_is_a_line_from_time_to_time() {
        let now = Instant::now();
        let long_ago = now.checked_sub(LINE_PERIOD).expect("the clock has run for as long");
        let mut display = Display { bar: None, shown: long_ago, is_begun: true, every: 1, line: None };
        assert!(display.line_within(&progress()).is_some_and(|line| line.contains("step 7/45")));
        assert_eq!(display.line_within(&progress()), None, "not so soon again");
    }
}
