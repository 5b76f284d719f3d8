//! The folder of a run, in which there are the files of one run: another one is refused there, or takes another folder, unless it
//! is told to replace the first.

use std::fs;
use std::path::{Path, PathBuf};

use nnc::Error;
use nnc::models::ARCHITECTURES;

use super::Args;
use super::pictures::is_picture;

/// Where runs are that have no `--out`.
const RUNS: &str = "runs";
/// How many files an error names.
const SHOWN_FILES: usize = 3;

/// The folder of a run, and what another run has left there.
pub struct RunFolder {
    pub path: PathBuf,
    /// Whether it is the folder of the run that goes on.
    is_own: bool,
    overwrite: bool,
    /// Files of another run that this one is told to replace.
    old: Vec<PathBuf>,
}

impl RunFolder {
    /// That of `--out`, or that of the checkpoint from which the run goes on, or else the first of `runs/MODEL`,
    /// `runs/MODEL-2`, .. that holds no run; with `--overwrite`, `runs/MODEL`.
    ///
    /// # Errors
    /// Where the folders in `runs` cannot be read.
    pub fn choose(args: &Args, model: &str) -> Result<RunFolder, Error> {
        let resumed = args.resume.as_deref().map(folder_of);
        let path = match (&args.out, &resumed) {
            (Some(out), _) => out.clone(),
            (None, Some(resumed)) => resumed.clone(),
            (None, None) if args.overwrite => Path::new(RUNS).join(model),
            (None, None) => free_folder(model)?,
        };
        let is_own = resumed.is_some_and(|resumed| is_same(&resumed, &path));
        Ok(RunFolder { path, is_own, overwrite: args.overwrite, old: Vec::new() })
    }

    /// Looks for files of another run. What it finds may change until the folder is locked.
    ///
    /// # Errors
    /// Where there are some, and they are not to be replaced; or the folder cannot be read.
    pub fn check(&mut self) -> Result<(), Error> {
        if self.is_own {
            return Ok(());
        }
        self.old = run_files(&self.path)?;
        if self.old.is_empty() || self.overwrite {
            return Ok(());
        }
        let names = self.old.iter().filter_map(|path| path.file_name()?.to_str());
        let shown = names.take(SHOWN_FILES).collect::<Vec<&str>>().join(", ");
        let more = if self.old.len() > SHOWN_FILES { ", .." } else { "" };
        let problem = format!("it holds the files of another run ({shown}{more})");
        let help = "give --overwrite to replace them, another --out, or --resume to go on with that run";
        Err(Error::invalid(self.path.display().to_string(), problem, help))
    }

    /// Removes the files of the run that is replaced, but for those that `is_kept`.
    ///
    /// # Errors
    /// Where one cannot be removed.
    pub fn remove_old(&mut self, is_kept: impl Fn(&Path) -> bool) -> Result<(), Error> {
        for path in std::mem::take(&mut self.old).into_iter().filter(|path| !is_kept(path)) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io(&path, "remove", error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The folder that a checkpoint is in; of a folder, itself.
fn folder_of(resume: &Path) -> PathBuf {
    if resume.is_dir() {
        return resume.to_owned();
    }
    match resume.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn is_same(a: &Path, b: &Path) -> bool {
    a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// The first of `runs/MODEL`, `runs/MODEL-2`, .. that holds no files of a run.
fn free_folder(model: &str) -> Result<PathBuf, Error> {
    let runs = Path::new(RUNS);
    let mut path = runs.join(model);
    let mut number = 1;
    while !run_files(&path)?.is_empty() {
        number += 1;
        path = runs.join(format!("{model}-{number}"));
    }
    Ok(path)
}

/// The files of `folder` that a run leaves, by name.
fn run_files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::io(folder, "read", source);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        // What is no folder is an error where files are made in it.
        Err(_) if !folder.is_dir() => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.file_name().and_then(|name| name.to_str()).is_some_and(is_of_run) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Whether a run leaves a file of this name.
fn is_of_run(name: &str) -> bool {
    let is_model = |stem: &str| ARCHITECTURES.iter().any(|model| model.name == stem);
    match name.strip_suffix(".safetensors") {
        Some(stem) => is_model(stem) || is_checkpoint_stem(stem),
        None => ["history.csv", "history.svg", "confusion.svg"].contains(&name) || is_picture(name),
    }
}

fn is_checkpoint_stem(stem: &str) -> bool {
    stem.strip_prefix("checkpoint-").is_some_and(|steps| steps.parse::<u64>().is_ok())
}

/// Whether a file is a checkpoint, by its name. Checkpoints of a run that is replaced are removed with the first of the run
/// that replaces it.
pub fn is_checkpoint(path: &Path) -> bool {
    path.file_stem().and_then(|stem| stem.to_str()).is_some_and(is_checkpoint_stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_runs_are_known_by_their_names() {
        for name in
            ["mlp.safetensors", "checkpoint-20.safetensors", "history.csv", "confusion.svg", "samples.png"]
        {
            assert!(is_of_run(name), "{name}");
        }
        for name in ["mine.safetensors", "checkpoint-a.safetensors", "mlp.csv", "notes.txt", ".nnc-run.lock"]
        {
            assert!(!is_of_run(name), "{name}");
        }
        assert!(is_checkpoint(Path::new("a/checkpoint-7.safetensors")));
        assert!(!is_checkpoint(Path::new("a/mlp.safetensors")));
    }
}
