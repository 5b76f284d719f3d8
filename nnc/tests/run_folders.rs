//! One folder, one run: another run never mixes with it, or replaces it without being told.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Runs nnc in `folder`.
fn nnc(folder: &Path, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nnc"));
    command.args(arguments.split_whitespace()).current_dir(folder).output().unwrap()
}

fn done(folder: &Path, arguments: &str) -> String {
    let output = nnc(folder, arguments);
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn refusal(folder: &Path, arguments: &str) -> String {
    let output = nnc(folder, arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments}: {stderr}");
    assert!(!stderr.contains("epoch"), "it has trained: {stderr}");
    stderr
}

/// The files of a folder with their contents.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|it| (it.file_name().into_string().unwrap(), fs::read(it.path()).unwrap())).collect()
}

fn names(folder: &Path) -> Vec<String> {
    files(folder).into_keys().collect()
}

#[test]
fn runs_without_a_folder_have_one_each() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let train = "train mlp --hidden 4 --epochs";
    for (epochs, folder) in [(1, "runs/mlp"), (2, "runs/mlp-2"), (1, "runs/mlp-3")] {
        let text = done(root, &format!("{train} {epochs}"));
        assert!(text.contains(&format!("{folder}/mlp.safetensors")), "{text}");
    }
    let lines =
        |folder: &str| fs::read_to_string(root.join(folder).join("history.csv")).unwrap().lines().count() - 1;
    assert_eq!(["runs/mlp", "runs/mlp-2", "runs/mlp-3"].map(lines), [1, 2, 1]);
    let text = done(root, &format!("{train} 3 --overwrite"));
    assert!(text.contains("runs/mlp/mlp.safetensors"), "{text}");
    assert_eq!(["runs/mlp", "runs/mlp-2", "runs/mlp-3"].map(lines), [3, 2, 1]);
}

#[test]
fn the_folder_of_another_run_is_refused_before_training() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    done(root, "train mlp --hidden 4 --epochs 1 --out run");
    let before = files(&root.join("run"));
    let help = "give --overwrite to replace them, another --out, or --resume to go on with that run";
    let expected = format!(
        "error: run: it holds the files of another run (confusion.svg, history.csv, history.svg, ..); {help}\n"
    );
    for arguments in ["mlp", "logistic", "mlp --data csv:none.csv"] {
        let error = refusal(root, &format!("train {arguments} --epochs 1000000 --out run"));
        assert_eq!(error, expected, "{arguments}");
    }
    // Nor does a run that goes on elsewhere mix with it.
    done(root, "train mlp --hidden 4 --epochs 1 --checkpoint-every 20 --out other");
    assert_eq!(refusal(root, "train mlp --epochs 2 --resume other --out run"), expected);
    assert_eq!(files(&root.join("run")), before);
    // What is not of a run is in nobody's way.
    fs::create_dir(root.join("notes")).unwrap();
    fs::write(root.join("notes/mine.safetensors"), "mine").unwrap();
    done(root, "train mlp --hidden 4 --epochs 1 --out notes");
    assert_eq!(fs::read(root.join("notes/mine.safetensors")).unwrap(), b"mine");
}

#[test]
fn a_run_that_replaces_another_leaves_none_of_its_files_and_all_others() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let run = root.join("run");
    done(root, "train mlp --hidden 4 --epochs 1 --checkpoint-every 20 --out run");
    fs::write(run.join("notes.txt"), "mine").unwrap();
    done(root, "train logistic --data synthetic:regression --epochs 1 --out run --overwrite");
    assert_eq!(names(&run), ["history.csv", "history.svg", "logistic.safetensors", "notes.txt"]);
    done(root, "train mlp --hidden 4 --epochs 1 --checkpoint-every 30 --out run --overwrite");
    let expected = [
        "checkpoint-30.safetensors",
        "checkpoint-45.safetensors",
        "confusion.svg",
        "history.csv",
        "history.svg",
        "mlp.safetensors",
        "notes.txt",
    ];
    assert_eq!(names(&run), expected);
}

/// A run whose weights become infinite leaves nothing, and so does one on data that cannot be read.
#[test]
fn a_run_that_fails_replaces_nothing() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    done(root, "train mlp --hidden 4 --epochs 1 --checkpoint-every 20 --out run");
    let before = files(&root.join("run"));
    for arguments in ["--data csv:none.csv", "--batch 0", "--optimizer sgd --lr 1e30 --epochs 2"] {
        let output = nnc(root, &format!("train mlp {arguments} --out run --overwrite"));
        assert_eq!(output.status.code(), Some(2), "{arguments}");
        assert_eq!(files(&root.join("run")), before, "{arguments}");
    }
}
