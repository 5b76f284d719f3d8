//! The checkpoints of one run in a folder: the last three and the best are kept.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Checkpoint, Metadata};
use crate::Error;
use crate::files::{FolderLock, Purpose};
use crate::trainer::run::is_better;

/// How many of the newest are kept.
const KEPT: usize = 3;
const PREFIX: &str = "checkpoint-";
const SUFFIX: &str = ".safetensors";

/// A folder with files `checkpoint-STEP.safetensors` of one run.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// The number of steps and the value of the best that is there; the less, the better.
    best: Option<(u64, f64)>,
    /// Checkpoints to remove when the first is written: those of a run that has ended, or of after the point from which
    /// this one goes on.
    stale: Vec<u64>,
    /// Keeps other processes from writing to it.
    lock: Option<FolderLock>,
}

impl Folder {
    /// The folder at `path`, to read from.
    pub fn new(path: &Path) -> Folder {
        Folder { path: path.to_owned(), best: None, stale: Vec::new(), lock: None }
    }

    /// The folder at `path`, which is made where it is not there yet, to write the checkpoints of a run to that is where
    /// `here` says. No other process can open it until it is dropped. Those of other runs are removed with the first that is
    /// written.
    ///
    /// # Errors
    /// Where it cannot be read or written to, or another process has it open; without `overwrite`, where it holds checkpoints
    /// of a run that has not ended and is not this one, or that cannot be read, which may be such.
    pub fn open(path: &Path, here: &Metadata, overwrite: bool) -> Result<Folder, Error> {
        fs::create_dir_all(path).map_err(|source| Error::io(path, "write to", source))?;
        let mut folder = Folder::new(path);
        folder.lock = Some(FolderLock::take(path, Purpose::Checkpoints)?);
        let done = here.position.as_ref().map_or(0, |position| position.run.steps);
        let mut in_the_way = None;
        for steps in folder.steps()? {
            let there = match Checkpoint::read(&folder.file(steps)) {
                Ok(checkpoint) => checkpoint.metadata,
                Err(_) => {
                    // That of this run it can be only where this run goes on.
                    folder.stale.push(steps);
                    in_the_way =
                        (done == 0).then_some((steps, "checkpoints that cannot be read")).or(in_the_way);
                    continue;
                }
            };
            let is_own = done > 0 && there.difference(here).is_none();
            let run = there.position.map(|position| position.run);
            if is_own && steps <= done {
                folder.note(steps, run.and_then(|run| run.value()));
                continue;
            }
            folder.stale.push(steps);
            if let Some(run) = run.filter(|_| !is_own) {
                in_the_way =
                    (!run.is_finished).then_some((steps, "the checkpoints of a run that has not ended"));
            }
        }
        let Some((steps, what)) = in_the_way.filter(|_| !overwrite) else { return Ok(folder) };
        let problem = format!("it holds {what} (checkpoint-{steps})");
        let help = "go on with that run by `--resume`, choose another folder, or remove them";
        Err(Error::invalid(path.display().to_string(), problem, help))
    }

    /// The name of the checkpoint after this many steps.
    pub fn file(&self, steps: u64) -> PathBuf {
        self.path.join(format!("{PREFIX}{steps}{SUFFIX}"))
    }

    /// The steps of the checkpoints that are there, ascending. Temporary files and others are not among them.
    ///
    /// # Errors
    /// Where the folder is there and cannot be read.
    pub fn steps(&self) -> Result<Vec<u64>, Error> {
        let number = |name: &String| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok();
        let mut steps: Vec<u64> = self.names()?.iter().filter_map(number).collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// The names of the files in it, of those that are texts.
    fn names(&self) -> Result<Vec<String>, Error> {
        let failed = |source| Error::io(&self.path, "read", source);
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let names = entries.map(|entry| Ok(entry.map_err(failed)?.file_name().into_string().ok()));
        names.filter_map(Result::transpose).collect()
    }

    /// The newest checkpoint that can be read, and its file. Those that cannot are passed to `skipped` with the error.
    ///
    /// # Errors
    /// Where the folder cannot be read, or there is none.
    pub fn newest(&self, skipped: &mut dyn FnMut(&Error)) -> Result<(PathBuf, Checkpoint), Error> {
        for steps in self.steps()?.into_iter().rev() {
            let path = self.file(steps);
            match Checkpoint::read(&path) {
                Ok(checkpoint) => return Ok((path, checkpoint)),
                Err(error) => skipped(&error),
            }
        }
        let help = "give a folder in which `nnc train --checkpoint-every` has run, or a file";
        Err(Error::invalid(self.path.display().to_string(), "there is no whole checkpoint in it", help))
    }

    /// Writes the checkpoint after this many steps, whose value is `value` (the less, the better), and then removes
    /// those that are neither among the last three nor the best. Where it ends in between, there is one too many.
    ///
    /// # Errors
    /// Where a file cannot be written or removed.
    pub fn write(
        &mut self,
        checkpoint: &Checkpoint,
        steps: u64,
        value: Option<f64>,
    ) -> Result<PathBuf, Error> {
        for stale in std::mem::take(&mut self.stale) {
            self.remove(stale)?;
        }
        let path = self.file(steps);
        checkpoint.write(&path)?;
        self.note(steps, value);
        let all = self.steps()?;
        for old in all.iter().rev().skip(KEPT).filter(|&&old| self.best.is_none_or(|best| best.0 != old)) {
            self.remove(*old)?;
        }
        Ok(path)
    }

    fn note(&mut self, steps: u64, value: Option<f64>) {
        if let Some(value) = value.filter(|&value| self.best.is_none_or(|best| is_better(value, best.1))) {
            self.best = Some((steps, value));
        }
    }

    fn remove(&self, steps: u64) -> Result<(), Error> {
        let path = self.file(steps);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io(&path, "remove", error))
            }
            _ => Ok(()),
        }
    }
}
