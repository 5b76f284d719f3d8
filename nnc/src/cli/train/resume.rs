//! Runs that go on from a checkpoint, or start from weights: what is read, and what is said of what will not be as it was.

use std::path::{Path, PathBuf};

use nnc::checkpoint::{Checkpoint, Folder};
use nnc::models::Architecture;
use nnc::trainer::Run;
use nnc::{Error, Trainer};
use serde_json::Value;

use super::super::output::Output;
use super::super::shown_path;
use super::Args;
use super::settings::{EPOCHS, Settings};

/// The checkpoint that a run of this model goes on from: at `path`, or the newest whole one in the folder there.
///
/// # Errors
/// Where there is none, or it is of another model.
pub fn read(path: &Path, model: &Architecture, output: &Output) -> Result<Checkpoint, Error> {
    let (path, checkpoint): (PathBuf, Checkpoint) = match path.is_dir() {
        true => Folder::new(path).newest(&mut |error| output.report(&format!("skipped: {error}")))?,
        false => (path.to_owned(), Checkpoint::read(path)?),
    };
    if checkpoint.metadata.model == model.name {
        return Ok(checkpoint);
    }
    let problem = format!("it is of the model {}, not of {}", checkpoint.metadata.model, model.name);
    Err(Error::invalid(path.display().to_string(), problem, "give a checkpoint of the same model"))
}

/// How many steps or epochs a run has between what this option asks for, by one of its checkpoints.
pub fn saved_interval(checkpoint: &Checkpoint, option: &str) -> Option<u64> {
    let free = &checkpoint.metadata.description.free;
    free.get(option)?.as_u64().filter(|&every| every > 0)
}

/// Goes to where the run was, and says what will not be as it was.
///
/// # Errors
/// Where the checkpoint is of another run, this one is to be shorter than it is already, or its learning rate is another.
pub fn resume(
    trainer: &mut Trainer,
    checkpoint: &Checkpoint,
    settings: &Settings,
    epochs_before: usize,
    args: &Args,
    output: &Output,
) -> Result<(), Error> {
    trainer.resume(checkpoint)?;
    let step = trainer.run().steps;
    output.report(&format!("resumed after step {step}"));
    let (here, there) = (args.target.get().name, checkpoint.metadata.position.as_ref().map(|at| &at.target));
    if let Some(there) = there.filter(|there| *there != here) {
        output
            .report(&format!("warning: it was trained on {there}; on {here}, sums may be rounded otherwise"));
    }
    check_epochs(trainer.run(), settings.epochs, epochs_before)?;
    let before = checkpoint.metadata.description.free.get(EPOCHS).and_then(Value::as_u64);
    if let Some(before) =
        before.filter(|&before| before != settings.epochs as u64 && settings.has_schedule_of_length())
    {
        output.report(&format!(
            "warning: the learning rate goes on as --schedule has it in a run of {} epochs; so far it was as in one of {before}",
            settings.epochs
        ));
    }
    if settings.patience.is_some_and(|patience| trainer.run().is_out_of_patience(patience)) {
        output.report("nothing is left to train: no epoch of the last --patience was the best so far");
    }
    change_rate(trainer, settings.lr, args, output)
}

/// Checks that a run of so many epochs, besides those before in which layers are trained alone, is not at its end already.
fn check_epochs(run: &Run, epochs: usize, epochs_before: usize) -> Result<(), Error> {
    let begun = run.history.epochs.len() + usize::from(run.sums.rows > 0);
    let done = begun.saturating_sub(epochs_before);
    if epochs >= done {
        return Ok(());
    }
    let what = if run.sums.rows > 0 { "has begun epoch" } else { "has done epoch" };
    let problem = format!("it is {epochs}, and the run {what} {done}");
    Err(Error::invalid(
        "--epochs",
        problem,
        format!("give at least {done}, or go on from an earlier checkpoint"),
    ))
}

/// Goes on at the learning rate of `--change-lr`; `started_with` is that of `--lr`.
fn change_rate(trainer: &mut Trainer, started_with: f64, args: &Args, output: &Output) -> Result<(), Error> {
    let before = trainer.run().learning_rate.unwrap_or(started_with);
    if let Some(rate) = args.change_lr {
        trainer.change_learning_rate(rate)?;
        let (step, schedule) = (trainer.run().steps + 1, "which the schedule multiplies");
        output.report(&format!(
            "the learning rate, {schedule}, is {rate} from step {step} on; it was {before}"
        ));
        return Ok(());
    }
    if args.given.lr.is_some_and(|given| given != before) {
        let problem = format!("it is {started_with}, and --change-lr has made it {before} since");
        let help = "leave it out, or give --change-lr to change it again";
        return Err(Error::invalid("--lr", problem, help));
    }
    Ok(())
}

/// Starts a run from the weights in a file.
///
/// # Errors
/// Where these are not the weights of the model: all that differs is listed.
pub fn start_from(path: &Path, trainer: &mut Trainer, is_scaled: bool, output: &Output) -> Result<(), Error> {
    let there = trainer.start_from(path)?.metadata.description;
    output.report(&format!("starts from the weights in {}, trained on {}", shown_path(path), there.data));
    match (there.preparation.normalisation.is_some(), is_scaled) {
        (true, false) => {
            output.report("warning: the rows were scaled there, and these are not; see --normalise")
        }
        (false, true) => {
            output.report("warning: the rows were not scaled there, and these are; see --normalise")
        }
        _ => {}
    }
    Ok(())
}
