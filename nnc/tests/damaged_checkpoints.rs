//! Checkpoints of which any byte is damaged: a run goes on from an older one, and never to other weights.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nn::{Adam, Linear, Loss, Supervised};
use nnc::checkpoint::{self, Checkpoint, Folder};
use nnc::data::{Dataset, Targets};
use nnc::trainer::{CheckpointOptions, FitOptions, silent};
use nnc::weights::Weights;
use nnc::{Error, Trainer, TrainerOptions};
use serde_json::Value;

/// What a byte is changed by: its lowest bit (a digit becomes another one), one that makes a letter another case, all bits.
const FLIPS: [u8; 3] = [1, 0x20, 0xff];

/// A folder with the checkpoints after two and four steps of a small run.
fn run() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    train_into(folder.path(), false).unwrap();
    folder
}

/// Trains for four steps, with a checkpoint after each two, in the place of another run where `overwrite`.
fn train_into(folder: &Path, overwrite: bool) -> Result<(), Error> {
    let rows = (0..8).map(|x| x as f32 / 8.0).collect();
    let data = Dataset::new("toy", [1], rows, Targets::classes(vec![0, 0, 1, 1, 0, 1, 1, 1], 2)).unwrap();
    let options = TrainerOptions { batch: 4, ..TrainerOptions::default() };
    let mut trainer = Trainer::new("toy", network(), Adam::new(0.1), options).unwrap();
    let checkpoints = CheckpointOptions { folder: folder.to_owned(), every: 2, overwrite };
    let fit = FitOptions { checkpoints: Some(checkpoints), ..FitOptions::epochs(2) };
    trainer.fit(&data, None, &fit, &mut silent).map(|_| ())
}

fn network() -> Supervised<Linear> {
    Supervised::new([1], Linear::new(1, 2), Loss::cross_entropy())
}

fn file(folder: &Path, steps: u64) -> PathBuf {
    folder.join(format!("checkpoint-{steps}.safetensors"))
}

#[test]
fn any_damaged_byte_falls_back_to_the_older_checkpoint_with_a_warning() {
    let folder = run();
    let folder = folder.path();
    let (newest, older) = (file(folder, 4), file(folder, 2));
    let whole = fs::read(&newest).unwrap();
    let expected = Checkpoint::read(&older).unwrap();
    assert_ne!(expected, Checkpoint::read(&newest).unwrap());
    let check = |damaged: &[u8], what: &dyn Fn() -> String| {
        fs::remove_file(&newest).unwrap(); // some file systems flush a file that is written over
        fs::write(&newest, damaged).unwrap();
        let mut skipped = Vec::new();
        let found = Folder::new(folder).newest(&mut |error| skipped.push(error.to_string())).unwrap();
        assert_eq!(found, (older.clone(), expected.clone()), "{}", what());
        let warns = skipped.len() == 1 && skipped[0].starts_with(&newest.display().to_string());
        assert!(warns, "{}: {skipped:?}", what());
    };
    for at in 0..whole.len() {
        for flip in FLIPS {
            let mut damaged = whole.clone();
            damaged[at] ^= flip;
            check(&damaged, &|| format!("byte {at}, {flip}"));
        }
    }
    for length in (0..whole.len()).step_by(7) {
        check(&whole[..length], &|| format!("{length} bytes"));
    }
    check(&[&whole[..], b" "].concat(), &|| "a byte behind".into());
}

#[test]
fn where_all_checkpoints_are_damaged_there_is_an_error() {
    let folder = run();
    for steps in [2, 4] {
        fs::write(file(folder.path(), steps), "").unwrap();
    }
    let mut skipped = 0;
    let error = Folder::new(folder.path()).newest(&mut |_| skipped += 1).unwrap_err().to_string();
    assert!(skipped == 2 && error.contains(": there is no whole checkpoint in it; "), "{error}");
}

/// Weights without a model are sealed as well; those of other programs are not, and are read.
#[test]
fn any_damaged_byte_of_saved_weights_is_an_error_or_does_not_matter() {
    let folder = run();
    let mut trainer = Trainer::new("toy", network(), Adam::new(0.1), TrainerOptions::default()).unwrap();
    trainer.state_mut().unwrap();
    let path = folder.path().join("weights.safetensors");
    Weights::of_names(trainer.state(), trainer.weights()).unwrap().write(&path).unwrap();
    let (whole, expected) = (fs::read(&path).unwrap(), checkpoint::load(&path).unwrap());
    let mut errors = 0;
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&path, damaged).unwrap();
        match checkpoint::load(&path) {
            Ok(tensors) => assert_eq!(tensors, expected, "byte {at}"),
            Err(Error::Invalid(_)) => errors += 1,
            Err(error) => panic!("byte {at}: {error}"),
        }
    }
    assert!(errors + 20 > whole.len(), "{errors} of {} bytes", whole.len());
}

/// The command, at whose `--resume` a digit of the number of steps was once taken for what it said.
#[test]
fn a_run_whose_newest_checkpoint_has_a_wrong_digit_ends_with_the_right_weights() {
    let folder = tempfile::tempdir().unwrap();
    let nnc = |arguments: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nnc"));
        let output = command.args(arguments.split_whitespace()).current_dir(folder.path()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{stderr}");
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        (json["weights_hash"].as_str().unwrap().to_owned(), stderr)
    };
    let (expected, _) = nnc("train mlp --epochs 2 --hidden 8 --out run --checkpoint-every 20 --json");
    fs::remove_file(file(&folder.path().join("run"), 90)).unwrap();
    let newest = file(&folder.path().join("run"), 80);
    let mut damaged = fs::read(&newest).unwrap();
    let steps = br#"\"steps\":80"#;
    let at = damaged.windows(steps.len()).position(|window| window == steps).unwrap() + steps.len() - 2;
    damaged[at] = b'7';
    fs::write(&newest, damaged).unwrap();
    let (hash, stderr) = nnc("train mlp --resume run --json");
    assert_eq!(hash, expected);
    let skipped =
        "skipped: run/checkpoint-80.safetensors: its bytes are not those that were written: it is damaged; ";
    assert!(stderr.contains(skipped) && stderr.contains("resumed after step 60"), "{stderr}");
}

/// They may be what is left of a run, in a form that this version does not know.
#[test]
fn another_run_does_not_take_the_place_of_checkpoints_that_cannot_be_read() {
    let folder = run();
    fs::remove_file(file(folder.path(), 2)).unwrap();
    fs::write(file(folder.path(), 4), "another form").unwrap();
    let error = train_into(folder.path(), false).unwrap_err().to_string();
    let expected = "it holds checkpoints that cannot be read (checkpoint-4); go on with that run";
    assert!(error.contains(expected), "{error}");
    assert_eq!(fs::read(file(folder.path(), 4)).unwrap(), b"another form");
}

#[test]
fn another_run_takes_the_place_of_one_that_has_not_ended_only_where_it_is_told_to() {
    let folder = run();
    let whole = fs::read(file(folder.path(), 2)).unwrap();
    fs::remove_file(file(folder.path(), 4)).unwrap();
    let error = train_into(folder.path(), false).unwrap_err().to_string();
    let expected = "it holds the checkpoints of a run that has not ended (checkpoint-2); go on with that run";
    assert!(error.contains(expected), "{error}");
    assert_eq!(fs::read(file(folder.path(), 2)).unwrap(), whole);
    fs::write(file(folder.path(), 9), "of the run that is replaced").unwrap();
    train_into(folder.path(), true).unwrap();
    assert_eq!(Folder::new(folder.path()).steps().unwrap(), [2, 4]);
}
