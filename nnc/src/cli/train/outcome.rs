//! What `nnc train` leaves: files, and a report as text or JSON.

use std::fs;
use std::path::{Path, PathBuf};

use ir::names::printable;
use nnc::bench::measure::peak_memory_mb;
use nnc::generative::Assessment;
use nnc::trainer::{ConfusionMatrix, Evaluation, History};
use nnc::{Error, Trainer, files, report};
use serde_json::{Value, json};

use super::super::shown_path;
use super::pictures::PICTURES;
use super::settings::Settings;

/// The files that training leaves.
pub struct OutFiles {
    /// The folder that they are in.
    pub folder: PathBuf,
    /// The finished model.
    pub weights: PathBuf,
    plot: PathBuf,
    history: PathBuf,
    confusion: PathBuf,
}

impl OutFiles {
    /// Makes the folder and checks that files can be written there, so that no training is lost to a mistyped name; removes
    /// what a killed run has left of files that it was writing.
    pub fn prepare(folder: &Path, model: &str) -> Result<OutFiles, Error> {
        let failed = |source| Error::io(folder, "write to", source);
        fs::create_dir_all(folder).map_err(failed)?;
        tempfile::tempfile_in(folder).map_err(failed)?;
        files::remove_left(folder);
        let file = |name: &str| {
            let path = folder.join(name);
            files::check_replaceable(&path).map(|()| path)
        };
        for name in PICTURES {
            file(name)?;
        }
        Ok(OutFiles {
            weights: file(&format!("{model}.safetensors"))?,
            plot: file("history.svg")?,
            history: file("history.csv")?,
            confusion: file("confusion.svg")?,
            folder: folder.to_owned(),
        })
    }

    /// Whether a finished run writes the file at `path`, one of classes where `has_classes`; pictures besides.
    pub fn is_written(&self, path: &Path, has_classes: bool) -> bool {
        [&self.weights, &self.plot, &self.history].into_iter().any(|file| file == path)
            || (has_classes && self.confusion == path)
    }
}

/// What is reported at the end.
pub struct Outcome<'a> {
    pub model: &'a str,
    pub dataset: &'a str,
    pub settings: &'a Settings,
    /// Whether a signal has ended the run, which can go on.
    pub is_interrupted: bool,
    /// The number of steps of the whole run.
    pub steps: u64,
    pub threads: usize,
    pub target: &'a str,
    pub trainer: &'a Trainer,
    pub history: &'a History,
    /// What the rows are called that were held out in training.
    pub held_out: &'a str,
    /// On the rows for testing.
    pub tested: &'a Evaluation,
    pub confusion: Option<&'a ConfusionMatrix>,
    pub hash: &'a str,
    pub files: &'a OutFiles,
    /// The pictures that there are.
    pub pictures: &'a [PathBuf],
    /// What samples are worth, where the model makes some.
    pub assessment: Option<&'a Assessment>,
}

impl Outcome<'_> {
    /// Writes the history and the pictures.
    pub fn write(&self) -> Result<(), Error> {
        let title = format!("{} on {}", self.model, self.dataset);
        let plot = report::history_plot(&title, self.held_out, self.history);
        files::write_text(&self.files.plot, &plot)?;
        files::write_text(&self.files.history, &report::history_csv(self.history))?;
        match self.confusion {
            Some(matrix) => files::write_text(&self.files.confusion, &report::confusion_plot(&title, matrix)),
            None => Ok(()),
        }
    }

    pub fn json(&self) -> Value {
        let losses: Vec<f64> = self.history.epochs.iter().map(|epoch| epoch.loss).collect();
        json!({
            "model": self.model,
            "dataset": self.dataset,
            "parameters": self.trainer.parameter_count(),
            "epochs": self.history.epochs.len(),
            "steps": self.trainer.run().steps,
            "interrupted": self.is_interrupted,
            "batch": self.settings.batch,
            "seed": self.settings.seed,
            "threads": self.threads,
            "target": self.target,
            "settings": self.settings,
            "train_loss": losses,
            "best_epoch": self.history.best_epoch,
            "test_loss": self.tested.loss,
            "test_accuracy": self.tested.accuracy,
            "test": self.tested,
            "compile_ms": self.compile_ms(),
            "step_ms": self.step_ms(),
            "samples_per_s": self.history.samples_per_s,
            "peak_rss_mb": peak_memory_mb(),
            "weights_hash": self.hash,
            "weights": self.files.weights.display().to_string(),
            "pictures": self.pictures,
            "samples": self.assessment,
        })
    }

    pub fn text(&self) -> String {
        let mut lines = Vec::new();
        if self.is_interrupted {
            let (step, steps) = (self.trainer.run().steps, self.steps);
            let again = format!("nnc train {} --resume {}", self.model, shown_path(&self.files.folder));
            lines.push(row("interrupted", &format!("after step {step} of {steps}; to go on: {again}")));
        }
        let printed = self.confusion.filter(|matrix| matrix.is_printable());
        lines.extend(printed.map(ConfusionMatrix::to_string));
        lines.extend(evaluation_lines(self.tested, &format!("held-out {}", printable(self.dataset))));
        lines.extend(self.assessment.into_iter().flat_map(assessment_lines));
        if let Some(best) = self.history.best_epoch {
            let epochs = self.history.epochs.len();
            lines.push(row(
                "best epoch",
                &format!("{best} of {epochs}, by the loss on the {} rows", self.held_out),
            ));
        }
        if self.history.samples_per_s > 0.0 {
            let samples = with_commas(self.history.samples_per_s as u64);
            let (step_ms, batch) = (self.step_ms(), self.settings.batch);
            lines.push(row("speed", &format!("{samples} samples/s, {step_ms:.4} ms per step of {batch}")));
        } // else the run had ended before it was resumed
        lines.push(row("compile time", &format!("{:.1} ms", self.compile_ms())));
        let parameters = with_commas(self.trainer.parameter_count() as u64);
        lines.push(row("weights", &format!("{} ({parameters} parameters)", shown_path(&self.files.weights))));
        lines.push(row("curves", &shown_path(&self.files.plot)));
        if self.confusion.is_some() {
            lines.push(row("confusion", &shown_path(&self.files.confusion)));
        }
        lines.extend(self.pictures.iter().map(|picture| row("picture", &shown_path(picture))));
        lines.push(row("history", &shown_path(&self.files.history)));
        lines.join("\n")
    }

    fn compile_ms(&self) -> f64 {
        self.trainer.compile_time().as_secs_f64() * 1e3
    }

    fn step_ms(&self) -> f64 {
        self.history.step_time.as_secs_f64() * 1e3
    }
}

/// An evaluation, a line per metric: `test accuracy        98.33 % (354 of 360 held-out digits)`.
pub fn evaluation_lines(evaluation: &Evaluation, what: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, value, is_part) in evaluation.named_metrics() {
        let count = match evaluation.correct {
            Some(correct) if name == "accuracy" => format!(" ({correct} of {} {what})", evaluation.rows),
            _ => String::new(),
        };
        let value = if is_part { format!("{:.2} %", 100.0 * value) } else { format!("{value:.4}") };
        lines.push(row(&format!("test {}", name.replace('_', " ")), &(value + &count)));
    }
    lines.push(row("test loss", &format!("{:.4}", evaluation.loss)));
    lines
}

/// What samples are worth, a line per measure.
fn assessment_lines(assessment: &Assessment) -> Vec<String> {
    let Assessment { samples, frechet_distance, of_test_rows, of_noise, precision, recall, as_asked } =
        assessment;
    let distance = format!(
        "{frechet_distance:.2} of {samples} samples; {of_test_rows:.2} of rows for testing, {of_noise:.2} of noise"
    );
    let part = |part: f64| format!("{:.2} %", 100.0 * part);
    let mut lines = vec![
        row("Fréchet distance", &distance),
        row("precision, recall", &format!("{}, {}", part(*precision), part(*recall))),
    ];
    lines.extend(as_asked.map(|as_asked| row("of the class asked", &part(as_asked))));
    lines
}

/// A line of a report.
fn row(name: &str, value: &str) -> String {
    format!("{name:<20} {value}")
}

/// `1,234,567`
pub fn with_commas(number: u64) -> String {
    let digits = number.to_string();
    let grouped: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).unwrap_or_default()).collect();
    grouped.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(with_commas(number), text);
        }
    }
}
