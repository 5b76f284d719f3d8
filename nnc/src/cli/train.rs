//! `nnc train MODEL`

use std::fs;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nn::{Adam, Optimizer, Sgd, models};
use nnc::bench::measure::peak_memory_mb;
use nnc::data::digits;
use nnc::trainer::{Evaluation, History, Progress};
use nnc::{Error, Options, Trainer, TrainerOptions, checkpoint, files, report};
use serde_json::{Value, json};

use super::Status;
use super::output::Output;
use super::target::TargetArg;

/// The learning rates that the optimizers have where none is given.
const ADAM_RATE: f64 = 5e-3;
const SGD_RATE: f64 = 0.05;
/// The momentum of `--optimizer sgd`.
const MOMENTUM: f64 = 0.9;
/// Where progress is not a bar, about this many epochs are reported.
const REPORTED_EPOCHS: usize = 10;
/// A bar changes its numbers no more often than this.
const BAR_PERIOD: Duration = Duration::from_millis(50);

/// Arguments of `nnc train`.
#[derive(clap::Args)]
pub struct Args {
    /// The model
    model: Model,
    /// How often to go through the training data
    #[arg(long, default_value_t = 30)]
    epochs: usize,
    /// The number of examples per step
    #[arg(long, default_value_t = 32)]
    batch: usize,
    /// The learning rate [default: 0.005 of adam, 0.05 of sgd]
    #[arg(long, allow_hyphen_values = true)]
    lr: Option<f64>,
    /// What initial weights and the order of examples depend on
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The number of threads
    #[arg(long, default_value_t = 1)]
    threads: usize,
    #[command(flatten)]
    target: TargetArg,
    /// How weights follow their gradients
    #[arg(long, value_enum, default_value_t = OptimizerName::Adam)]
    optimizer: OptimizerName,
    /// The folder for weights, loss curve and history [default: runs/MODEL]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// The models that can be trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Model {
    /// A multilayer perceptron, 64-128-64-10, on the embedded handwritten digits
    Mlp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OptimizerName {
    /// Adam
    Adam,
    /// Stochastic gradient descent with momentum 0.9
    Sgd,
}

/// The files that training leaves.
struct OutFiles {
    weights: PathBuf,
    plot: PathBuf,
    history: PathBuf,
}

/// Trains a model and reports how good it has become.
pub fn run(args: &Args, output: &Output) -> Result<Status, Error> {
    let Model::Mlp = args.model;
    let name = "mlp";
    let model = models::mlp();
    let (train, test) = digits();
    check(args, train.len())?;
    let compile =
        Options { threads: args.threads, target: Some(args.target.get().clone()), ..Options::default() };
    let options = TrainerOptions { batch: args.batch, seed: args.seed, compile };
    let mut trainer = Trainer::new(name, train.features(), model, optimizer(args), options)?;
    let out = args.out.clone().unwrap_or_else(|| Path::new("runs").join(name));
    let out_files = OutFiles::prepare(&out, name)?;

    let mut display = Display::new(args.epochs);
    let fitted =
        trainer.fit(&train, Some(&test), args.epochs, &mut |progress| display.show(progress, output));
    display.clear();
    let history = fitted?;
    let tested = trainer.evaluate(&test)?;

    checkpoint::save(&out_files.weights, trainer.state(), trainer.weights())?;
    let plot = report::loss_plot(&format!("{name} on {}", train.name()), &history);
    write_text(&out_files.plot, &plot)?;
    write_text(&out_files.history, &report::history_csv(&history))?;

    let hash = checkpoint::hash(trainer.state(), trainer.weights())?;
    let result =
        Trained { args, name, dataset: train.name(), trainer: &trainer, history: &history, tested, hash };
    output.result(|| result.json(&out_files), || result.text(&out_files))?;
    Ok(Status::Done)
}

/// Checks what the library would report in other words.
fn check(args: &Args, rows: usize) -> Result<(), Error> {
    if args.epochs == 0 {
        return Err(Error::invalid("--epochs", "it is 0", "give at least 1"));
    }
    if args.batch == 0 || args.batch > rows {
        let problem = format!("it is {}, and there are {rows} examples to train on", args.batch);
        return Err(Error::invalid("--batch", problem, format!("give from 1 to {rows}")));
    }
    match args.lr {
        Some(rate) if !rate.is_finite() || rate <= 0.0 => {
            Err(Error::invalid("--lr", format!("it is {rate}"), "give a finite number above 0"))
        }
        _ => Ok(()),
    }
}

/// The optimizer that was asked for.
fn optimizer(args: &Args) -> Box<dyn Optimizer> {
    match args.optimizer {
        OptimizerName::Adam => Box::new(Adam::new(args.lr.unwrap_or(ADAM_RATE))),
        OptimizerName::Sgd => Box::new(Sgd::new(args.lr.unwrap_or(SGD_RATE)).momentum(MOMENTUM)),
    }
}

impl OutFiles {
    /// Makes the folder and checks that files can be written there, so that no training is lost to a mistyped name.
    fn prepare(folder: &Path, model: &str) -> Result<OutFiles, Error> {
        let failed = |source| Error::io(folder, "write to", source);
        fs::create_dir_all(folder).map_err(failed)?;
        tempfile::tempfile_in(folder).map_err(failed)?;
        let file = |name: &str| {
            let path = folder.join(name);
            let is_folder = || Error::io(&path, "write", std::io::ErrorKind::IsADirectory.into());
            if path.is_dir() { Err(is_folder()) } else { Ok(path) }
        };
        let weights = file(&format!("{model}.safetensors"))?;
        Ok(OutFiles { weights, plot: file("loss.svg")?, history: file("history.csv")? })
    }
}

fn write_text(path: &Path, text: &str) -> Result<(), Error> {
    files::write_atomically(path, |file| file.write_all(text.as_bytes()))
}

/// Progress on stderr: a bar on a terminal, lines elsewhere.
struct Display {
    bar: Option<ProgressBar>,
    /// When the bar last changed; at first, when the first step ended.
    shown: Option<Instant>,
    every: usize,
}

impl Display {
    fn new(epochs: usize) -> Display {
        let every = epochs.div_ceil(REPORTED_EPOCHS);
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            let template = "{bar:20.cyan/238} {percent:>3}%  {wide_msg}";
            bar.with_style(ProgressStyle::with_template(template).expect("the template is well-formed"))
        });
        Display { bar, shown: None, every }
    }

    fn show(&mut self, progress: &Progress, output: &Output) {
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
            None if progress.is_end_of_epoch && (is_last || progress.epoch.is_multiple_of(self.every)) => {
                output.report(&progress_line(progress));
            }
            None => {}
        }
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// `epoch 12/30  loss 0.0312  accuracy 99.1 %  150,000 samples/s  0.2 s left`
fn progress_line(progress: &Progress) -> String {
    format!(
        "epoch {}/{}  loss {:.4}  accuracy {:.1} %  {} samples/s  {:.1} s left",
        progress.epoch,
        progress.epochs,
        progress.loss,
        100.0 * progress.accuracy,
        with_commas(progress.samples_per_s as u64),
        progress.time_left.as_secs_f64(),
    )
}

/// What is reported at the end.
struct Trained<'a> {
    args: &'a Args,
    name: &'a str,
    dataset: &'a str,
    trainer: &'a Trainer,
    history: &'a History,
    tested: Evaluation,
    hash: String,
}

impl Trained<'_> {
    fn compile_ms(&self) -> f64 {
        self.trainer.compile_time().as_secs_f64() * 1e3
    }

    fn step_ms(&self) -> f64 {
        self.history.step_time.as_secs_f64() * 1e3
    }

    fn json(&self, files: &OutFiles) -> Value {
        let losses: Vec<f64> = self.history.epochs.iter().map(|epoch| epoch.loss).collect();
        json!({
            "model": self.name,
            "dataset": self.dataset,
            "parameters": self.trainer.weight_count(),
            "epochs": self.args.epochs,
            "batch": self.args.batch,
            "seed": self.args.seed,
            "threads": self.args.threads,
            "target": self.args.target.get().name,
            "train_loss": losses,
            "test_loss": self.tested.loss,
            "test_accuracy": self.tested.accuracy,
            "compile_ms": self.compile_ms(),
            "step_ms": self.step_ms(),
            "samples_per_s": self.history.samples_per_s,
            "peak_rss_mb": peak_memory_mb(),
            "weights_hash": self.hash,
            "weights": files.weights.display().to_string(),
        })
    }

    fn text(&self, files: &OutFiles) -> String {
        let Evaluation { accuracy, correct, rows, .. } = self.tested;
        let samples = with_commas(self.history.samples_per_s as u64);
        [
            format!(
                "test accuracy  {:.2} % ({correct} of {rows} held-out {})",
                100.0 * accuracy,
                self.dataset
            ),
            format!(
                "speed          {samples} samples/s, {:.4} ms per step of {}",
                self.step_ms(),
                self.args.batch
            ),
            format!("compile time   {:.1} ms", self.compile_ms()),
            format!(
                "weights        {} ({} parameters)",
                files.weights.display(),
                with_commas(self.trainer.weight_count() as u64)
            ),
            format!("loss curve     {}", files.plot.display()),
            format!("history        {}", files.history.display()),
        ]
        .join("\n")
    }
}

/// `1,234,567`
fn with_commas(number: u64) -> String {
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
