//! Runs that go on for longer than they were started for, or at another learning rate, and runs that start from trained weights.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::fs;
use std::path::Path;
use std::process::Command;

use nn::models::Mlp;
use nn::schedule::{Decay, Schedule};
use nn::{Adam, Layer, Linear, Loss, Relu, Sequential, Sgd, Supervised};
use nnc::checkpoint::Checkpoint;
use nnc::data::digits;
use nnc::trainer::{FitOptions, silent};
use nnc::{Error, Trainer, TrainerOptions};
use serde_json::Value;
use tempfile::TempDir;

/// Steps of an epoch: three.
const BATCH: &str = "--batch=479";

/// The exit code of `nnc train mlp`, its report where that is JSON, and stderr.
fn train(out: &Path, arguments: &[&str]) -> (i32, Value, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nnc"));
    command.args(["train", "mlp", "--hidden=16", BATCH, "--json", "--out"]).arg(out).args(arguments);
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap_or_default(), stderr)
}

fn trained(out: &Path, arguments: &[&str]) -> (Value, String) {
    let (code, report, stderr) = train(out, arguments);
    assert_eq!(code, 0, "{arguments:?}: {stderr}");
    (report, stderr)
}

fn error(out: &Path, arguments: &[&str]) -> String {
    let (code, _, stderr) = train(out, arguments);
    assert_eq!(code, 2, "{arguments:?}: {stderr}");
    stderr
}

/// A folder and the option that resumes the run in it.
fn folder() -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let resume = format!("--resume={}", folder.path().display());
    (folder, resume)
}

/// The learning rates of the epochs.
fn rates(folder: &Path) -> Vec<f32> {
    let history = fs::read_to_string(folder.join("history.csv")).unwrap();
    let column = history.lines().next().unwrap().split(',').position(|name| name == "learning_rate").unwrap();
    history.lines().skip(1).map(|line| line.split(',').nth(column).unwrap().parse().unwrap()).collect()
}

#[test]
fn a_run_of_a_constant_rate_that_is_made_longer_is_one_that_was_so_long_from_the_start() {
    for schedule in ["constant", "plateau"] {
        let common = [&format!("--schedule={schedule}")[..], "--validation=0.1", "--dropout=0.2"];
        let ((whole, _), (short, resume)) = (folder(), folder());
        let (expected, _) = trained(whole.path(), &[&common[..], &["--epochs=6"]].concat());
        trained(short.path(), &[&common[..], &["--epochs=3", "--checkpoint-every=1000"]].concat());
        let (longer, stderr) = trained(short.path(), &[&resume, "--epochs=6"]);
        assert_eq!(longer["weights_hash"], expected["weights_hash"], "{schedule}");
        assert_eq!(longer["train_loss"], expected["train_loss"], "{schedule}");
        assert!(!stderr.contains("warning"), "{stderr}");
        // While it goes on, it is a run that has not ended; with nothing else given, it is as long as it was made.
        let (again, _) = trained(short.path(), &[&resume]);
        assert_eq!((again["epochs"].as_u64(), &again["weights_hash"]), (Some(6), &expected["weights_hash"]));
    }
}

#[test]
fn a_schedule_that_depends_on_the_length_goes_on_as_that_of_the_longer_run() {
    let ((whole, _), (short, resume)) = (folder(), folder());
    trained(whole.path(), &["--epochs=6"]);
    trained(short.path(), &["--epochs=3", "--checkpoint-every=1000"]);
    let before = rates(short.path());
    let (_, stderr) = trained(short.path(), &[&resume, "--epochs=6"]);
    let warning = "warning: the learning rate goes on as --schedule has it in a run of 6 epochs; so far it was as in one of 3";
    assert!(stderr.contains(warning), "{stderr}");
    assert_eq!(rates(short.path()), [&before[..], &rates(whole.path())[3..]].concat());
}

#[test]
fn a_run_cannot_be_made_shorter_than_it_is() {
    let (run, resume) = folder();
    trained(run.path(), &["--epochs=4", "--checkpoint-every=4"]);
    let message = error(run.path(), &[&resume, "--epochs=3"]);
    let expected = "error: --epochs: it is 3, and the run has done epoch 4; give at least 4, or go on from an earlier checkpoint";
    assert!(message.contains(expected), "{message}");
    // After 8 of 12 steps, two of three of the third epoch are done.
    let third = format!("--resume={}", run.path().join("checkpoint-8.safetensors").display());
    let message = error(run.path(), &[&third, "--epochs=2"]);
    assert!(
        message.contains("--epochs: it is 2, and the run has begun epoch 3; give at least 3"),
        "{message}"
    );
    let (report, _) = trained(run.path(), &[&third, "--epochs=3"]);
    assert_eq!(report["epochs"], 3);
}

#[test]
fn another_learning_rate_has_to_be_asked_for_and_stays() {
    let (run, resume) = folder();
    let start = ["--epochs=2", "--schedule=constant", "--checkpoint-every=3", "--lr=0.01"];
    trained(run.path(), &start);
    let message = error(run.path(), &[&resume, "--lr=0.02", "--epochs=4"]);
    assert!(
        message
            .contains("lr is 0.01 there and 0.02 here; leave these options out (--change-lr RATE goes on at"),
        "{message}"
    );
    let (changed, stderr) = trained(run.path(), &[&resume, "--change-lr=0.02", "--epochs=4"]);
    assert!(stderr.contains("is 0.02 from step 7 on; it was 0.01"), "{stderr}");
    assert_eq!(rates(run.path()), [0.01, 0.01, 0.02, 0.02]);
    // From the third epoch on, without being told again.
    let third = format!("--resume={}", run.path().join("checkpoint-9.safetensors").display());
    let (again, _) = trained(run.path(), &[&third]);
    assert_eq!(again["weights_hash"], changed["weights_hash"]);
    let message = error(run.path(), &[&resume, "--lr=0.01", "--epochs=5"]);
    assert!(
        message.contains("--lr: it is 0.01, and --change-lr has made it 0.02 since; leave it out"),
        "{message}"
    );
    let message = error(run.path(), &[&resume, "--change-lr=-1", "--epochs=5"]);
    assert!(message.contains("the learning rate: it is -1; give a finite number above 0"), "{message}");
    assert!(error(run.path(), &["--change-lr=1"]).contains("--resume <FILE>"), "it is for runs that go on");
}

/// The schedule doubles the rate of the third and fourth epoch.
#[test]
fn a_changed_rate_gives_the_bits_of_a_schedule_that_changes_it() {
    let (train, _) = digits();
    let hash = |is_changed: bool| {
        let network = Supervised::new([64], Mlp::new(&[64, 16, 10], Relu), Loss::cross_entropy());
        let options = TrainerOptions { batch: 479, ..TrainerOptions::default() };
        let mut trainer = Trainer::new("toy", network, Adam::new(0.01), options).unwrap();
        let decay = Decay::Step { steps: 6, factor: 2.0 };
        let schedule = Schedule { warm_up: 0, decay: if is_changed { Decay::Constant } else { decay } };
        let mut fit = |epochs| {
            let options = FitOptions { schedule, ..FitOptions::epochs(epochs) };
            trainer.fit(&train, None, &options, &mut silent).map(drop).unwrap();
            if is_changed && epochs == 2 {
                trainer.change_learning_rate(0.02).unwrap();
            }
        };
        [2, 4].into_iter().for_each(&mut fit);
        trainer.weights_hash().unwrap()
    };
    assert_eq!(hash(true), hash(false));
}

fn trainer(sizes: &[usize]) -> Trainer {
    of_layer(Mlp::new(sizes, Relu))
}

fn of_layer(layer: impl Layer + 'static) -> Trainer {
    let network = Supervised::new([64], layer, Loss::cross_entropy());
    Trainer::new("toy", network, Sgd::new(0.01), TrainerOptions::default()).unwrap()
}

fn message<T>(result: Result<T, Error>) -> String {
    result.err().unwrap().to_string()
}

#[test]
fn weights_of_another_model_are_errors_that_list_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("toy.safetensors");
    trainer(&[64, 16, 10]).save(&path).unwrap();
    let before = |message: String| message.split_once(": these are not the weights").unwrap().1.to_owned();
    let help = "; give weights of a model with the same layers, and as many outputs";
    let mut fewer = trainer(&[64, 16, 3]);
    let hash = fewer.weights_hash().unwrap();
    let expected = " of the model (they are of toy): `weight` of layer `fc2` is f32[10, 16] there and f32[3, 16] here; \
                    `bias` of layer `fc2` is f32[10] there and f32[3] here";
    assert_eq!(before(message(fewer.start_from(&path))), format!("{expected}{help}"));
    assert_eq!(fewer.weights_hash().unwrap(), hash, "nothing has been set");
    let error = message(trainer(&[64, 16, 10, 10]).start_from(&path));
    assert!(
        error.contains("`weight` of layer `fc3` is missing; `bias` of layer `fc3` is missing"),
        "{error}"
    );
    let error = message(trainer(&[64, 10]).start_from(&path));
    assert!(error.contains("`bias` of layer `fc2` is not in toy"), "{error}");
    let error = message(of_layer(Sequential::new().add(Linear::new(64, 10))).start_from(&path));
    assert!(error.contains("`weight` of layer `layers.0` is missing"), "{error}");
    let deep: Vec<usize> = [64; 12].into_iter().chain([10]).collect();
    assert!(message(trainer(&deep).start_from(&path)).contains("; and 16 more differ; give"));
    let error = message(trainer(&[64, 16, 10]).start_from(folder.path().join("none")));
    assert!(error.contains("cannot read"), "{error}");
    let mut begun = trainer(&[64, 16, 10]);
    begun.fit(&digits().0, None, &FitOptions::epochs(1), &mut silent).unwrap();
    assert!(
        message(begun.start_from(&path)).contains("the run is at step 45, and starts from its own weights")
    );
}

#[test]
fn an_optimizer_without_a_rate_has_none_to_change() {
    struct Still;
    impl nn::Optimizer for Still {
        fn follow(&self, cx: &mut nn::Context, gradients: &[nn::Gradient]) -> Result<(), ir::Error> {
            gradients.iter().try_for_each(|gradient| {
                cx.update(gradient.parameter.value, gradient.parameter.value + gradient.value * -0.1)
            })
        }
    }
    let network = Supervised::new([64], Mlp::new(&[64, 10], Relu), Loss::cross_entropy());
    let mut trainer = Trainer::new("toy", network, Still, TrainerOptions::default()).unwrap();
    let error = message(trainer.change_learning_rate(0.1));
    assert_eq!(error, "toy: its optimizer has no learning rate that could change; leave it as it is");
}

#[test]
fn the_program_starts_from_weights_or_a_checkpoint_with_the_optimizer_afresh() {
    let ((first, _), (second, _)) = (folder(), folder());
    let (report, _) =
        trained(first.path(), &["--epochs=2", "--checkpoint-every=1000", "--average-weights=0.9"]);
    let checkpoint = first.path().join("checkpoint-6.safetensors");
    // A step of such a rate changes no weight.
    for file in [&first.path().join("mlp.safetensors"), &checkpoint] {
        let init = format!("--init={}", file.display());
        let (again, stderr) = trained(
            second.path(),
            &[&init, "--epochs=1", "--lr=1e-30", "--overwrite", "--checkpoint-every=1000"],
        );
        assert!(
            stderr.contains("starts from the weights in ") && stderr.contains("trained on digits (1437 rows"),
            "{stderr}"
        );
        let is_same = again["weights_hash"] == report["weights_hash"];
        // The finished model has the averages, the checkpoint what they are of.
        assert_eq!(is_same, *file == checkpoint, "{again}");
    }
    let states = Checkpoint::read(&second.path().join("checkpoint-3.safetensors")).unwrap().states;
    let steps = states.iter().find(|(name, _)| name.ends_with("step")).unwrap().1.get(0).as_f64();
    assert_eq!(steps, 3.0, "the optimizer has begun anew");
    let init = format!("--init={}", checkpoint.display());
    // The sizes of the hidden layers are 16 and 8.
    let message = error(second.path(), &[&init, "--hidden=8", "--overwrite"]);
    assert!(
        message.contains("`weight` of layer `fc2` is f32[10, 16] there and f32[8, 16] here"),
        "{message}"
    );
    let (_, stderr) = trained(second.path(), &[&init, "--epochs=1", "--normalise=standard", "--overwrite"]);
    assert!(
        stderr.contains("warning: the rows were not scaled there, and these are; see --normalise"),
        "{stderr}"
    );
    assert!(error(second.path(), &[&init, "--resume=x"]).contains("cannot be used with"), "one or the other");
}
