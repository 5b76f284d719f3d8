//! The program on sequences: `nnc train rnn`, `nnc eval`, `nnc generate`.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn nnc(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nnc")).args(arguments).output().unwrap()
}

fn train(arguments: &[&str], out: &Path) -> Output {
    nnc(&[&["train", "rnn"], arguments, &["--out", out.to_str().unwrap()]].concat())
}

fn json_of(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn error_of(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

/// A file with a text that is easy to learn.
fn text_file(folder: &Path) -> String {
    let path = folder.join("verse.txt");
    std::fs::write(&path, "quick brown foxes jump over my lazy dog. ".repeat(40)).unwrap();
    format!("text:{}", path.display())
}

const SMALL: [&str; 8] = ["--hidden", "24", "--steps", "12", "--batch", "4", "--lr", "0.02"];

#[test]
fn a_text_is_learned_judged_and_written() {
    let folder = tempfile::tempdir().unwrap();
    let (out, data) = (folder.path().join("run"), text_file(folder.path()));
    let arguments = [&SMALL[..], &["--data", &data, "--epochs", "8", "--cell", "gru", "--json"]].concat();
    let json = json_of(&train(&arguments, &out));
    let bits = json["test"]["metrics"]["bits_per_character"].as_f64().unwrap();
    assert!(bits < 1.5 && json["test_accuracy"].as_f64().unwrap() > 0.6, "{json}");
    for file in ["history.svg", "history.csv", "rnn.safetensors"] {
        assert!(out.join(file).exists(), "{file}");
    }
    let model = out.join("rnn.safetensors");
    let model = model.to_str().unwrap();
    let judged = json_of(&nnc(&["eval", model, "--data", &data, "--json"]));
    assert_eq!(judged["evaluation"]["metrics"]["bits_per_character"].as_f64(), Some(bits));

    let generate = |prompt: &str, more: &[&str]| {
        nnc(&[&["generate", model, "--prompt", prompt, "--length", "30"], more].concat())
    };
    let write = |more: &[&str]| generate("quick ", more);
    let drawn = [&["--seed", "1"][..], &["--seed", "1"], &["--seed", "2", "--temperature", "2"]];
    let [one, again, other] = drawn.map(|more| write(more).stdout);
    assert_eq!(one, again);
    assert_ne!(one, other);
    let likeliest = write(&["--temperature", "0"]);
    let text = String::from_utf8(likeliest.stdout).unwrap();
    assert!(text.starts_with("quick brown foxes jump") && text.ends_with('\n'), "{text}");
    assert_eq!(text.trim_end_matches('\n').chars().count(), 36);
    let json = json_of(&write(&["--top-k", "1", "--json"]));
    assert_eq!(format!("quick {}", json["text"].as_str().unwrap()), text.trim_end_matches('\n'));

    let error = error_of(&generate("Zebra", &[]));
    assert!(
        error.contains("the prompt: its character 0 (from 0) is 'Z', which is not in the vocabulary"),
        "{error}"
    );
    assert!(error_of(&write(&["--temperature", "-1"])).contains("the temperature: it is -1"));
    assert!(error_of(&write(&["--top-k", "0"])).contains("top-k: it is 0; give at least 1"));
    let other = folder.path().join("other.txt");
    std::fs::write(&other, "PETER".repeat(500)).unwrap();
    let error = error_of(&nnc(&["eval", model, "--data", &format!("text:{}", other.display())]));
    assert!(error.contains("is 'P', which is not in the vocabulary"), "{error}");
}

#[test]
fn a_run_on_a_text_is_resumed_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let data = text_file(folder.path());
    let arguments = [&SMALL[..], &["--data", &data, "--epochs", "3", "--json"]].concat();
    let whole = json_of(&train(&arguments, &folder.path().join("whole")));
    let run = folder.path().join("run");
    json_of(&train(&[&arguments[..], &["--checkpoint-every", "7"]].concat(), &run));
    // The newest checkpoint of the middle: the run goes on from it.
    let checkpoint = |steps: u64| run.join(format!("checkpoint-{steps}.safetensors"));
    let steps = whole["steps"].as_u64().unwrap();
    let before_last = checkpoint((steps - 1) / 7 * 7);
    let again = folder.path().join("again");
    let resume = ["--json", "--threads", "2", "--resume", before_last.to_str().unwrap()];
    let resumed = json_of(&train(&resume, &again));
    assert_eq!(resumed["weights_hash"], whole["weights_hash"]);
    assert_eq!(resumed["test"], whole["test"]);
}

#[test]
fn every_cell_is_trained_on_digits_row_by_row() {
    let folder = tempfile::tempdir().unwrap();
    for cell in ["elman", "jordan", "mgu", "gru", "lstm", "peephole"] {
        let arguments = ["--cell", cell, "--hidden", "16", "--epochs", "2", "--lr", "0.01", "--json"];
        let json = json_of(&train(&arguments, &folder.path().join(cell)));
        assert!(json["test_accuracy"].as_f64().unwrap() > 0.4, "{cell}: {json}");
        assert_eq!(json["settings"]["cell"], cell);
    }
    let both = ["--bidirectional", "--layers", "2", "--hidden", "8", "--epochs", "1", "--json"];
    let json = json_of(&train(&both, &folder.path().join("both")));
    assert_eq!(json["settings"]["bidirectional"], true);
    let model = folder.path().join("both/rnn.safetensors");
    let judged = json_of(&nnc(&["eval", model.to_str().unwrap(), "--json"]));
    assert_eq!(judged["evaluation"]["loss"], json["test_loss"]);
}

#[test]
fn the_problems_of_memory_are_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    let small = ["--hidden", "8", "--epochs", "1", "--batch", "100", "--json"];
    let adding = [&small[..], &["--data", "adding:4", "--cell", "gru"]].concat();
    let json = json_of(&train(&adding, &folder.path().join("adding")));
    assert!(json["test_loss"].as_f64().unwrap() < 0.17, "{json}");
    let copy = [&small[..], &["--data", "copy:2", "--cell", "lstm", "--validation", "0.1"]].concat();
    let json = json_of(&train(&copy, &folder.path().join("copy")));
    assert!(json["test_accuracy"].as_f64().unwrap() > 0.12, "{json}");
    assert_eq!(json["test_loss"].as_f64().unwrap(), json["test"]["loss"].as_f64().unwrap());
}

#[test]
fn what_cannot_be_trained_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.txt");
    std::fs::write(&empty, "").unwrap();
    let short = folder.path().join("short.txt");
    std::fs::write(&short, "a short text").unwrap();
    let (empty, short) = (format!("text:{}", empty.display()), format!("text:{}", short.display()));
    let out = folder.path().join("run");
    let cases: [(&[&str], &str); 11] = [
        (&["--data", &empty], "the text is empty; give a text to learn from"),
        (
            &["--data", &short],
            "the text is too short: there are 12 characters to train on, and 2080 are needed",
        ),
        (&["--data", "text:no/such.txt"], "no/such.txt: cannot read"),
        (&["--data", "copy:x"], "\"x\" is no number of steps"),
        (&["--cell", "lsmt"], "there is no recurrent cell of this name; did you mean `lstm`?"),
        (&["--hidden", "64,32"], "--hidden: there are 2 sizes, and all layers have one"),
        (&["--layers", "0"], "--layers: it is 0; give at least 1"),
        (&["--data", "text", "--bidirectional"], "it reads a text in the reverse direction, too"),
        (&["--data", "text", "--patience", "3"], "--validation: rows of a text go on from one another"),
        (
            &["--data", "copy", "--loss", "hinge"],
            "--loss: copy has a target at each step of its rows; give cross-entropy",
        ),
        (&["--activation", "tanh"], "--activation: the model rnn has no such option"),
    ];
    for (arguments, message) in cases {
        let error = error_of(&train(arguments, &out));
        assert!(error.contains(message), "{arguments:?}: {error}");
        assert!(!error.contains("panicked"), "{error}");
    }
    let error = error_of(&nnc(&["train", "mlp", "--data", "text", "--out", out.to_str().unwrap()]));
    assert!(
        error.contains("mlp: it tells one thing of each row, and the data have a target at each step"),
        "{error}"
    );
    assert!(!out.join("rnn.safetensors").exists());
}
