//! `nnc train` as its users meet it: files, reports, and what it refuses.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nnc::checkpoint;
use serde_json::Value;

/// Runs `nnc train mlp` with these arguments, into a folder.
fn nnc_train(arguments: &[&str], out: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nnc"));
    command.args(["train", "mlp"]).args(arguments).arg("--out").arg(out).output().unwrap()
}

#[test]
fn the_program_writes_weights_curve_and_history_and_reports_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("a/b");
    let output = nnc_train(&["--epochs", "2", "--json"], &out);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let keys =
        ["model", "dataset", "parameters", "epochs", "train_loss", "test_accuracy", "compile_ms", "step_ms"];
    for key in keys.iter().chain(&["samples_per_s", "peak_rss_mb", "weights_hash"]) {
        assert!(!json[key].is_null(), "{key} is missing in {json}");
    }
    assert_eq!(json["parameters"], 64 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10);
    assert_eq!(json["train_loss"].as_array().unwrap().len(), 2);
    let weights = checkpoint::load(&out.join("mlp.safetensors")).unwrap();
    let names: Vec<&str> = weights.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["fc1.bias", "fc1.weight", "fc2.bias", "fc2.weight", "fc3.bias", "fc3.weight"]);
    assert!(std::fs::read_to_string(out.join("history.svg")).unwrap().starts_with("<svg"));
    assert_eq!(std::fs::read_to_string(out.join("history.csv")).unwrap().lines().count(), 3);
    assert!(String::from_utf8_lossy(&output.stderr).contains("epoch 2/2"));
}

/// The slopes of `prelu` are weights; those of `rrelu` are drawn, from the seed of the run.
#[test]
fn rectifiers_with_slopes_are_trained_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let train = |activation: &str, name: &str, threads: &str| {
        let out = folder.path().join(name);
        let options = ["--activation", activation, "--epochs", "1", "--threads", threads, "--json"];
        let output = nnc_train(&options, &out);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        (out.join("mlp.safetensors"), json)
    };
    let (prelu, _) = train("prelu", "prelu", "1");
    let weights = checkpoint::load(&prelu).unwrap();
    let slope = |name: &str| weights.iter().find(|(known, _)| known == name).unwrap().1.get(0).as_f64();
    assert!(
        ["act1.weight", "act2.weight"].map(slope).iter().all(|&slope| slope != 0.25),
        "no slope has moved"
    );
    let [one, two] = [("rrelu", "1"), ("again", "2")].map(|(name, threads)| train("rrelu", name, threads));
    assert_eq!(one.1["weights_hash"], two.1["weights_hash"]);
    for weights in [prelu, one.0] {
        let output = Command::new(env!("CARGO_BIN_EXE_nnc")).arg("eval").arg(&weights).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn bad_arguments_are_errors_with_exit_code_2_and_nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path();
    std::fs::write(out.join("mlp.safetensors"), b"old").unwrap();
    let cases: [(&[&str], &str); 10] = [
        (
            &["--batch", "0"],
            "error: --batch: it is 0, and there are 1437 examples to train on; give from 1 to 1437",
        ),
        (&["--batch", "1438"], "error: --batch: it is 1438, and there are 1437 examples"),
        (&["--lr", "nan"], "error: invalid value 'nan' for '--lr <LR>': give a finite number"),
        (&["--lr", "inf"], "error: invalid value 'inf' for '--lr <LR>': give a finite number"),
        (&["--lr", "-1"], "error: --lr: it is -1; give a finite number above 0"),
        (&["--clip", "0"], "error: --clip: it is 0; give a finite number above 0"),
        (&["--dropout", "1"], "error: --dropout: it is 1; give a number of at least 0 and below 1"),
        (&["--epochs", "0"], "error: --epochs: it is 0; give at least 1"),
        (&["--threads", "0"], "error: 0 threads cannot be started"),
        (&["--optimizer", "sgd", "--lr", "1e30", "--epochs", "2"], "error: step "),
    ];
    for (arguments, message) in cases {
        let output = nnc_train(&[arguments, &["--overwrite"]].concat(), out);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(message), "{arguments:?}: {stderr}");
        assert!(!stderr.contains("panicked") && output.stdout.is_empty(), "{arguments:?}: {stderr}");
        assert_eq!(std::fs::read(out.join("mlp.safetensors")).unwrap(), b"old");
    }
}

#[test]
fn a_folder_that_cannot_be_written_to_is_an_error_before_training() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    std::fs::create_dir_all(folder.path().join("taken/mlp.safetensors")).unwrap();
    for (out, message) in
        [(file.join("sub"), "cannot write to: "), (folder.path().join("taken"), "cannot write: ")]
    {
        let output = nnc_train(&["--epochs", "1000000"], &out);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.starts_with("error: ") && stderr.contains(message), "{stderr}");
        assert!(!stderr.contains("epoch"), "it has trained: {stderr}");
    }
}

/// `--checkpoint-every` need not be given again, and the last three checkpoints are kept.
#[test]
fn a_resumed_run_goes_on_to_write_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let done = |arguments: &[&str], out: &Path| {
        let output = nnc_train(arguments, out);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let names = || {
        let files =
            std::fs::read_dir(&out).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = files.filter(|name| name.starts_with("checkpoint-")).collect();
        names.sort();
        names
    };
    done(&["--epochs", "2", "--batch", "479", "--schedule", "constant", "--checkpoint-every", "2"], &out);
    assert_eq!(names(), [2, 4, 6].map(|step| format!("checkpoint-{step}.safetensors")));
    done(&["--epochs", "3", "--resume", out.to_str().unwrap()], &out);
    let kept = [6, 8, 9].map(|step| format!("checkpoint-{step}.safetensors"));
    assert!(kept.iter().all(|name| names().contains(name)), "{:?}", names());
}

#[test]
fn a_summary_shows_layers_and_memory_and_trains_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let output = nnc_train(&["--summary", "--hidden", "32", "--batch-norm"], &out);
    let text = String::from_utf8(output.stdout).unwrap();
    for part in ["Linear 64 -> 32", "BatchNorm 32", "total", "peak memory in training  "] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let output = nnc_train(&["--summary", "--json"], &out);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((json["parameters"].as_u64(), json["batch"].as_u64()), (Some(17_226), Some(32)));
    assert!(json["training"]["states_bytes"].as_u64() > json["inference"]["states_bytes"].as_u64());
    assert!(!out.exists(), "a folder has been made");
}

#[test]
fn a_model_that_is_far_too_large_for_its_images_is_told_of_before_it_is_trained() {
    let folder = tempfile::tempdir().unwrap();
    let first_line = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nnc"));
        command.arg("train").args(arguments).arg("--out").arg(folder.path().join(arguments[0]));
        let mut run = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(run.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let _ = run.kill();
        run.wait().unwrap();
        line
    };
    let line = first_line(&["alexnet"]);
    assert!(
        line.starts_with("warning: this takes about ") && line.contains(" min: alexnet is made for"),
        "{line}"
    );
    assert!(line.contains("for images of 224x224, these are 8x8; lenet or resnet8 suit them"), "{line}");
    let line = first_line(&["resnet8", "--epochs", "100000"]);
    assert!(line.starts_with("warning: this takes about ") && line.contains("give fewer --epochs"), "{line}");
    let line = first_line(&["mlp", "--epochs", "1"]);
    assert!(line.starts_with("epoch 1/1"), "{line}");
}
