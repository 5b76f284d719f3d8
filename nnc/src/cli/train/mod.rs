//! `nnc train MODEL`
//!
//! | module | what it holds |
//! |---|---|
//! | `given`, `names` | the options that make a run what it is |
//! | `resume` | going on from checkpoints, starting from weights |
//! | `settings` | these with the defaults, and with what a checkpoint says |
//! | `load` | the data, as they are read |
//! | `prepare` | the data, held out and normalised |
//! | `work` | how long it will take |
//! | `display` | progress |
//! | `folder` | the folder of a run, and other runs in it |
//! | `outcome` | the report and the files at the end |
//! | `pictures` | what models of codes make of rows, and by themselves |

mod display;
mod folder;
mod given;
mod load;
mod names;
pub mod outcome;
mod pictures;
mod prepare;
mod resume;
mod settings;
mod work;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nnc::checkpoint::{Description, Identity};
use nnc::data::{Examples, Source};
use nnc::files::{FolderLock, Purpose};
use nnc::generative::assess;
use nnc::models::{Architecture, Learns};
use nnc::report::ModelSummary;
use nnc::trainer::{CheckpointOptions, ConfusionMatrix, Event, FitOptions};
use nnc::{Error, Options, Trainer, TrainerOptions, memory};

use super::output::Output;
use super::target::CodeArg;
use super::{Status, interrupt};
use display::Display;
use folder::{RunFolder, is_checkpoint};
use given::Given;
use outcome::{OutFiles, Outcome};
use pictures::Pictures;
use prepare::Prepared;
use settings::Settings;

/// What the option of this name says is kept in checkpoints.
const CHECKPOINT_EVERY: &str = "checkpoint-every";

/// What the option of this name says is kept there, too.
const PICTURES_EVERY: &str = "pictures-every";

/// Arguments of `nnc train`.
#[derive(clap::Args)]
pub struct Args {
    /// The model: mlp, lenet, resnet20, ..; see `nnc list models`
    model: String,
    #[command(flatten)]
    given: Given,
    /// Write a checkpoint after so many steps each; the last three and the best are kept [default: none, or what the
    /// run that is resumed has done]
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u64).range(1..))]
    checkpoint_every: Option<u64>,
    /// Of a model that learns codes of images, draw what it makes of rows, and by itself, after so many epochs each [default: at the end
    /// alone, or what the run that is resumed has done]
    #[arg(long, value_name = "EPOCHS", value_parser = clap::value_parser!(u64).range(1..))]
    pictures_every: Option<u64>,
    /// Go on from this checkpoint, or from the newest in this folder, to the same bits as without the break; to more epochs where
    /// --epochs says so
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Of a run that is resumed, go on at another learning rate, which the schedule multiplies; --epochs can be another, too
    #[arg(long, value_name = "RATE", allow_hyphen_values = true, requires = "resume", conflicts_with = "lr")]
    change_lr: Option<f64>,
    /// Start from the weights of a model or a checkpoint that nnc has written, of the same layers; the optimizer starts afresh
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    init: Option<PathBuf>,
    /// The number of threads
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Show the layers of the model, its parameters, multiply-adds and memory, and train nothing
    #[arg(long)]
    summary: bool,
    /// Of loops over time, keep the carries of every K-th step for the gradient, and compute the steps between again: less
    /// memory, more time, the same bits
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    checkpoint_loops: Option<u32>,
    #[command(flatten)]
    target: CodeArg,
    /// The folder for weights, checkpoints, curves and history, which holds one run [default: the first of runs/MODEL,
    /// runs/MODEL-2, .. that holds none, or that of the checkpoint]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace the files of another run in the folder, once this one has something to put in their place
    #[arg(long)]
    overwrite: bool,
}

/// Checks, once all that training needs is there, that the weights can be saved: as tensors, as bytes and as a file.
fn check_room_to_save(trainer: &Trainer) -> Result<(), Error> {
    let bytes: usize = trainer.predictor().states().iter().map(|(_, ty)| ty.size_bytes()).sum();
    memory::check("saving the weights", bytes.saturating_mul(3))
}

/// Trains a model and reports how good it has become.
pub fn run(args: &Args, output: &Output) -> Result<Status, Error> {
    let model = Architecture::find(&args.model)?;
    let mut folder = if args.summary { None } else { Some(RunFolder::choose(args, model.name)?) };
    // Before what is in it is looked at, which may not be so for long.
    let there = folder.as_ref().filter(|folder| folder.path.is_dir());
    let lock = there.map(|folder| FolderLock::take(&folder.path, Purpose::Run)).transpose()?;
    folder.as_mut().map_or(Ok(()), RunFolder::check)?;
    let checkpoint = args.resume.as_deref().map(|path| resume::read(path, model, output)).transpose()?;
    let checkpoint = checkpoint.as_ref();
    let saved = checkpoint.map(|checkpoint| &checkpoint.metadata.description);
    let mut settings = Settings::resolve(model, &args.given, saved)?;
    let source = settings.data.parse::<Source>()?;
    settings.test_data = settings.test_data.map(|test| load::test_source(&test, &source)).transpose()?;
    let (all, test) = load::load(&source, &settings, output)?;
    let prepared = prepare::prepare(model, &mut settings, &all, test)?;
    let Prepared { train, held_out, test, preparation, network } = prepared;
    settings.check_batch(train.len())?;
    let Some(folder) = &mut folder else {
        let summary = ModelSummary::new(&network, settings.batch)?;
        let summary = match model.game {
            None => summary.with_training(&network, &settings.optimizer())?,
            Some(_) => summary, // each player has a step of its own
        };
        output.result(|| summary.json(), || summary.to_string())?;
        return Ok(Status::Done);
    };
    let compile = Options { threads: args.threads, ..args.target.options(args.checkpoint_loops) };
    let (batch, seed, augment) = (settings.batch, settings.seed, settings.augment);
    let options = TrainerOptions { batch, seed, augment, compile: compile.clone() };
    let epochs = model.pretraining_epochs(&settings.model).saturating_add(settings.epochs);
    let steps_per_epoch = train.len().div_ceil(settings.batch);
    let mut trainer = match model.game {
        None => Trainer::new(model.name, Arc::clone(&network), settings.optimizer(), options)?,
        Some(players) => {
            let players = players(&settings.model, &|| settings.optimizer()).into_iter();
            let players = players.map(|player| settings.scheduled(player, epochs, steps_per_epoch));
            Trainer::of_game(model.name, Arc::clone(&network), players, options)?
        }
    };
    let (saved, mut free) = settings.saved(model);
    let mut interval = |name: &str, given: Option<u64>| {
        let every = given.or_else(|| resume::saved_interval(checkpoint?, name));
        free.extend(every.map(|every| (name.to_owned(), every.into())));
        every
    };
    let checkpoint_every = interval(CHECKPOINT_EVERY, args.checkpoint_every);
    let pictures_every = interval(PICTURES_EVERY, args.pictures_every);
    let description = Description { settings: saved, free, preparation, data: Identity::of(&all) };
    trainer.describe(description.clone());
    trainer.predictor().check(&test)?; // not after all epochs
    if let Some(checkpoint) = checkpoint {
        resume::resume(&mut trainer, checkpoint, &settings, epochs - settings.epochs, args, output)?;
    }
    if let Some(path) = &args.init {
        resume::start_from(path, &mut trainer, description.preparation.normalisation.is_some(), output)?;
    }

    let has_samples = matches!(model.learns, Learns::Rows | Learns::Labels);
    let mut pictures = match test.dataset().filter(|_| has_samples) {
        Some(test) => Some(Pictures::new(&trainer, &description, test, &folder.path, &compile)?),
        None => None,
    };
    if pictures_every.is_some() && !pictures.as_ref().is_some_and(|it| it.has_some_of_epochs(&trainer)) {
        let problem = format!("{} on {} leaves no pictures of epochs", model.name, test.name());
        let help = "leave it out, or train a model of codes (see `nnc list models`) on images";
        return Err(Error::invalid(format!("--{PICTURES_EVERY}"), problem, help));
    }
    interrupt::hold();
    let files = OutFiles::prepare(&folder.path, model.name)?;
    let _lock = lock.map_or_else(|| FolderLock::take(&folder.path, Purpose::Run), Ok)?;
    folder.check()?;
    let checkpoints = checkpoint_every.map(|every| CheckpointOptions {
        folder: files.folder.clone(),
        every,
        overwrite: args.overwrite,
    });
    let (schedule, plateau) = settings.schedule(epochs.saturating_mul(steps_per_epoch) as u64);
    let (patience, keep_best) = (settings.patience, settings.validation > 0.0);
    let fit = FitOptions { epochs, schedule, plateau, patience, keep_best, checkpoints };

    let steps_left = (epochs.saturating_mul(steps_per_epoch) as u64).saturating_sub(trainer.run().steps);
    let row = train.dataset().map_or(&[][..], |rows| rows.row_shape());
    let time_s = work::step_time_s(&network, batch, args.threads)? * steps_left as f64;
    if let Some(warning) = work::warning(model, &row.into(), time_s) {
        output.report(&warning);
    }
    let shown = held_out.as_ref().unwrap_or(&test);
    let mut display = Display::new(epochs);
    let mut written = Ok(());
    let has_pictures = |pictures: &Option<Pictures>, path: &Path| {
        pictures.as_ref().is_some_and(|pictures| pictures.has_written(path))
    };
    let mut has_room = None;
    let fitted = trainer.fit(&train, Some(shown), &fit, &mut |event, trainer| {
        display.show(event, output);
        if has_room.is_none() && written.is_ok() {
            written = check_room_to_save(trainer);
            has_room = Some(written.is_ok());
        }
        if written.is_ok() {
            written = match (event, &mut pictures) {
                (Event::Checkpoint(_), pictures) => {
                    folder.remove_old(|path| is_checkpoint(path) || has_pictures(pictures, path))
                }
                (Event::Epoch { number, .. }, Some(pictures)) if is_due(*number, pictures_every) => {
                    pictures.of_epoch(trainer, *number)
                }
                _ => Ok(()),
            };
        }
        if written.is_ok() && !interrupt::has_come() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    display.clear();
    let history = fitted?;
    written?;
    let is_interrupted = !trainer.run().is_finished;
    if is_interrupted {
        trainer.write_checkpoint(&files.folder, args.overwrite)?;
        folder.remove_old(|path| is_checkpoint(path) || has_pictures(&pictures, path))?;
        trainer.use_best()?;
    }

    let (outputs, tested) = match test.dataset() {
        Some(rows) => trainer.predict_and_evaluate(rows)?,
        None => (Vec::new(), trainer.evaluate(&test)?),
    };
    let matrix = |(labels, names): (&[i64], &[String])| ConfusionMatrix::new(&outputs, labels, names);
    let is_classified = |(_, names): &(&[i64], &[String])| {
        tested.correct.is_some() && names.len() <= ConfusionMatrix::MAX_CLASSES
    };
    let confusion = prepare::labels(&test).filter(is_classified).map(matrix);
    trainer.save(&files.weights)?;
    let shown = pictures.as_mut().map_or(Ok(Vec::new()), |pictures| pictures.of_model(&trainer))?;
    let assessment = match train.dataset().zip(test.dataset()) {
        Some((train, test)) if has_samples && !is_interrupted => {
            assess(&nnc::load_with(&files.weights, &compile)?, train, test, &compile)?
        }
        _ => None,
    };
    let hash = trainer.weights_hash()?;
    let outcome = Outcome {
        model: model.name,
        dataset: train.name(),
        settings: &settings,
        is_interrupted,
        steps: epochs.saturating_mul(steps_per_epoch) as u64,
        threads: args.threads,
        target: args.target.get().name,
        trainer: &trainer,
        history: &history,
        held_out: if keep_best { "validation" } else { "test" },
        tested: &tested,
        confusion: confusion.as_ref(),
        hash: &hash,
        files: &files,
        pictures: &shown,
        assessment: assessment.as_ref(),
    };
    outcome.write()?;
    folder.remove_old(|path| files.is_written(path, confusion.is_some()) || has_pictures(&pictures, path))?;
    output.result(|| outcome.json(), || outcome.text())?;
    Ok(Status::Done)
}

/// Whether this epoch is one of those that come after so many each.
fn is_due(epoch: usize, every: Option<u64>) -> bool {
    every.is_some_and(|every| (epoch as u64).is_multiple_of(every))
}
