//! Progress on stderr: a bar on a terminal, lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nn::sequence::BITS;
use nn::supervised::ACCURACY;
use nnc::trainer::{Epoch, Event, Progress};

use super::super::output::Output;
use super::outcome::with_commas;

/// Where progress is not a bar, about this many epochs are reported.
const REPORTED_EPOCHS: usize = 10;
/// A bar changes its numbers no more often than this.
const BAR_PERIOD: Duration = Duration::from_millis(50);

/// What shows progress.
pub struct Display {
    bar: Option<ProgressBar>,
    /// When the bar last changed; at first, when the first step ended.
    shown: Option<Instant>,
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
            bar.with_style(ProgressStyle::with_template(template).expect("the template is well-formed"))
        });
        Display { bar, shown: None, every, line: None }
    }

    /// Shows what has happened, if it is time to.
    pub fn show(&mut self, event: &Event, output: &Output) {
        match event {
            Event::Step(progress) => self.show_step(progress),
            Event::Epoch { number, epoch, is_judged, .. } => {
                if let Some(line) = self.line.take().filter(|_| self.is_reported(*number)) {
                    let held_out = if *is_judged { held_out_text(epoch) } else { String::new() };
                    output.report(&format!("{line}{held_out}"));
                }
            }
            Event::Checkpoint(_) => {}
        }
    }

    fn show_step(&mut self, progress: &Progress) {
        let is_last = progress.step == progress.steps;
        let shown = self.shown.get_or_insert_with(Instant::now);
        match &self.bar {
            Some(bar) if is_last || shown.elapsed() >= BAR_PERIOD => {
                bar.set_length(progress.steps);
                bar.set_message(progress_line(progress));
                bar.set_position(progress.step);
                *shown = Instant::now();
            }
            Some(_) => {}
            None if progress.is_end_of_epoch => self.line = Some(progress_line(progress)),
            None => {}
        }
        if is_last {
            self.every = 1;
        }
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

/// `epoch 12/30  loss 0.0312  accuracy 99.1 %  150,000 samples/s  0.2 s left`; of a game of phases, `layer1 loss 0.0312`
fn progress_line(progress: &Progress) -> String {
    let accuracy = progress.metrics.get(ACCURACY);
    let accuracy = accuracy.map_or(String::new(), |part| format!("  accuracy {:.1} %", 100.0 * part));
    let player = progress.player.as_ref().map_or(String::new(), |player| format!("{player} "));
    format!(
        "epoch {}/{}  {player}loss {:.4}{accuracy}  {} samples/s  {:.1} s left",
        progress.epoch,
        progress.epochs,
        progress.loss,
        with_commas(progress.samples_per_s as u64),
        progress.time_left.as_secs_f64(),
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
