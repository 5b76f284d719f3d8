//! Layer-wise training as a game of phases: turns, checkpoints, what is judged; and `nnc train rbm|dbn|stacked-autoencoder`.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Output};

use ir::Tensor;
use nn::models::layerwise::{LayerwiseStack, Method};
use nn::models::rbm::Chain;
use nn::{Activation, Adam, Corruption, Decay, Player, Schedule, TrainStep};
use nnc::checkpoint::Checkpoint;
use nnc::data::{Dataset, digits};
use nnc::trainer::{Event, FitOptions, History, silent};
use nnc::{Options, Trainer, TrainerOptions};
use serde_json::Value;

/// Digits make so many steps of an epoch, in batches of 240.
const STEPS: u64 = 6;
/// So many epochs for each layer, and for the classifier.
const EPOCHS: usize = 2;

const MACHINES: Method = Method::Rbm { chain: Chain::Persistent { chains: 7, steps: 1 } };

fn methods() -> [Method; 2] {
    let corruption = Corruption::Masking { rate: 0.2 };
    [MACHINES, Method::Autoencoder { activation: Activation::Sigmoid.into(), corruption }]
}

fn stack(method: Method) -> LayerwiseStack {
    LayerwiseStack::new(&[64, 12, 8], method).classifier(10)
}

fn trainer(method: Method, threads: usize) -> Trainer {
    let players = stack(method).players(EPOCHS, || TrainStep::new(Adam::new(0.01)));
    let compile = Options { threads, ..Options::default() };
    let options = TrainerOptions { batch: 240, seed: 3, compile, ..TrainerOptions::default() };
    Trainer::of_game("stack", stack(method), players, options).unwrap()
}

fn data() -> (Dataset, Dataset) {
    let (train, test) = digits();
    (train.reshaped([64]).unwrap(), test.reshaped([64]).unwrap())
}

/// Three phases of two epochs each, or up to so many steps.
fn fit(trainer: &mut Trainer, until: Option<u64>) -> History {
    let (train, test) = data();
    let mut stop = |event: &Event, trainer: &Trainer| match event {
        Event::Step(_) if until == Some(trainer.run().steps) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let options = FitOptions { keep_best: true, ..FitOptions::epochs(3 * EPOCHS) };
    trainer.fit(&train, Some(&test), &options, &mut stop).unwrap()
}

fn message<T>(result: Result<T, nnc::Error>) -> String {
    result.err().map_or(String::new(), |error| error.to_string())
}

#[test]
fn every_phase_resumes_to_the_same_bits_on_other_threads() {
    let folder = tempfile::tempdir().unwrap();
    for method in methods() {
        let mut whole = trainer(method, 1);
        let history = fit(&mut whole, None);
        let hash = whole.weights_hash().unwrap();
        // In the first layer, at its end, in the second layer, in the classifier.
        for steps in [STEPS + 2, 2 * STEPS, 3 * STEPS + 1, 5 * STEPS + 3] {
            let mut broken_off = trainer(method, 2);
            fit(&mut broken_off, Some(steps));
            let path = folder.path().join("checkpoint.safetensors");
            broken_off.run_checkpoint().unwrap().write(&path).unwrap();
            let mut resumed = trainer(method, 1);
            resumed.resume(&Checkpoint::read(&path).unwrap()).unwrap();
            assert_eq!(fit(&mut resumed, None).epochs, history.epochs, "{method:?} after {steps} steps");
            assert_eq!(resumed.weights_hash().unwrap(), hash, "{method:?} after {steps} steps");
        }
    }
}

#[test]
fn a_phase_moves_its_own_states_alone() {
    let (train, test) = data();
    for method in methods() {
        let mut trainer = trainer(method, 1);
        let mut before: Vec<(String, Tensor)> = Vec::new();
        let mut check = |event: &Event, trainer: &Trainer| {
            let Event::Epoch { number, .. } = event else { return ControlFlow::Continue(()) };
            let player = ["layer1", "layer2", "classifier"][(number - 1) / EPOCHS];
            let states = trainer.state().iter().map(|(name, _)| name.to_owned());
            let after: Vec<(String, Tensor)> =
                states.map(|name| (name.clone(), trainer.state().get(&name).unwrap())).collect();
            for ((name, before), (_, after)) in before.iter().zip(&after) {
                let own = [format!("{player}."), format!("optimizer.{player}.")];
                let is_its = own.iter().any(|start| name.starts_with(start));
                assert!(before == after || is_its || name == "random.step", "{name} in a turn of {player}");
            }
            let moved = |name: &str| before.iter().zip(&after).any(|(a, b)| a.0 == name && a.1 != b.1);
            if !before.is_empty() {
                let names: &[&str] = match player {
                    "classifier" => {
                        &["classifier.layer1.weight", "classifier.layer2.bias", "classifier.output.bias"]
                    }
                    _ => &["weight", "hidden_bias", "visible_bias"],
                };
                let full = |name: &str| {
                    if player == "classifier" { name.to_owned() } else { format!("{player}.{name}") }
                };
                assert!(names.iter().all(|name| moved(&full(name))), "epoch {number} of {method:?}");
                let has_chains = method == MACHINES && player != "classifier";
                assert_eq!(moved(&format!("{player}.chains")), has_chains, "epoch {number} of {method:?}");
            }
            before = after;
            ControlFlow::Continue(())
        };
        trainer.fit(&train, Some(&test), &FitOptions::epochs(3 * EPOCHS), &mut check).unwrap();
    }
}

#[test]
fn phases_report_their_own_loss_and_the_last_alone_is_judged() {
    let (train, test) = data();
    let mut trainer = trainer(MACHINES, 1);
    let mut best = Vec::new();
    let options = FitOptions { keep_best: true, patience: Some(1), ..FitOptions::epochs(3 * EPOCHS) };
    let history = trainer.fit(&train, Some(&test), &options, &mut |event, _| {
        best.extend(matches!(event, Event::Epoch { is_best: true, .. }).then_some(()));
        ControlFlow::Continue(())
    });
    let history = history.unwrap();
    assert!(best.len() <= EPOCHS && history.best_epoch > Some(2 * EPOCHS), "{:?}", history.best_epoch);
    for (number, epoch) in history.epochs.iter().enumerate() {
        let player = ["layer1", "layer2", "classifier"][number / EPOCHS];
        let losses: Vec<&String> = epoch.metrics.keys().filter(|name| name.ends_with("_loss")).collect();
        assert_eq!(losses, [&format!("{player}_loss")]);
        assert_eq!(epoch.metrics[losses[0]], epoch.loss);
        assert_eq!(epoch.metrics.contains_key("accuracy"), player == "classifier");
        let error = epoch.metrics.contains_key(&format!("{player}_reconstruction_error"));
        assert_eq!(error, player != "classifier");
    }
    let held_out = history.epochs[0].held_out.as_ref().unwrap();
    assert_eq!(held_out.loss, held_out.metrics["classifier_loss"]);
    assert!(held_out.metrics.contains_key("layer2_pseudo_log_likelihood"));
}

#[test]
fn schedules_of_players_begin_with_their_epochs() {
    let (train, _) = data();
    let steps = EPOCHS as u64 * STEPS;
    let schedule = Schedule { warm_up: 0, decay: Decay::Cosine { steps, least: 0.0 } };
    let players = stack(MACHINES).players(EPOCHS, || TrainStep::new(Adam::new(0.01)));
    let players: Vec<Player> = players.into_iter().map(|player| player.schedule(schedule)).collect();
    let options = TrainerOptions { batch: 240, ..TrainerOptions::default() };
    let mut trainer = Trainer::of_game("stack", stack(MACHINES), players, options).unwrap();
    let history = trainer.fit(&train, None, &FitOptions::epochs(3 * EPOCHS), &mut silent).unwrap();
    for (number, epoch) in history.epochs.iter().enumerate() {
        let last = (number % EPOCHS + 1) as u64 * STEPS - 1;
        let rate = epoch.learning_rate.unwrap();
        assert!((rate - 0.01 * schedule.factor(last)).abs() < 1e-8, "epoch {}: {rate}", number + 1);
    }
}

#[test]
fn an_epoch_without_a_turn_is_an_error_before_training() {
    let alone = LayerwiseStack { classes: None, ..stack(MACHINES) };
    let players = alone.players(EPOCHS, || TrainStep::new(Adam::new(0.01)));
    let options = TrainerOptions { batch: 240, ..TrainerOptions::default() };
    let mut trainer = Trainer::of_game("stack", alone, players, options).unwrap();
    let (train, _) = data();
    let error = message(trainer.fit(&train, None, &FitOptions::epochs(2 * EPOCHS + 1), &mut silent));
    let help = "train it for fewer epochs, or give a player these: `Player::epochs`";
    assert_eq!(error, format!("stack: no player has a turn in epoch 5; {help}"));
    assert_eq!(trainer.run().steps, 0);
}

fn nnc(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nnc")).args(arguments).output().unwrap()
}

fn json_of(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn error_of(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A run of seven steps an epoch.
fn train(model: &str, more: &[&str], out: &Path) -> Value {
    let arguments = ["train", model, "--batch", "206", "--epochs", "1", "--json", "--out", text(out)];
    json_of(&nnc(&[&arguments[..], more].concat()))
}

#[test]
fn the_program_trains_them_and_leaves_files_and_pictures() {
    let folder = tempfile::tempdir().unwrap();
    for (model, more, pictures) in [
        ("rbm", &["--hidden", "16", "--chain", "cd", "--cd-steps", "2"][..], &["samples", "chains"][..]),
        ("dbn", &["--hidden", "16,8", "--pretrain-epochs", "1"], &["samples", "chains"]),
        ("stacked-autoencoder", &["--hidden", "16,8", "--pretrain-epochs", "1"], &[]),
    ] {
        let out = folder.path().join(model);
        let json = train(model, more, &out);
        let files = [format!("{model}.safetensors"), "history.csv".into(), "history.svg".into()];
        assert!(files.iter().all(|name| out.join(name).exists()), "{model}");
        for picture in [&["filters", "reconstructions"], pictures].concat() {
            assert!(out.join(format!("{picture}.png")).exists(), "{model}: {picture}");
        }
        let metrics = &json["test"]["metrics"];
        let metric = if model == "rbm" { "pseudo_log_likelihood" } else { "layer2_reconstruction_error" };
        assert!(metrics[metric].as_f64().unwrap().is_finite(), "{json}");
        assert_eq!(json["test_accuracy"].is_null(), model == "rbm", "{json}");
        assert_eq!(json["epochs"], if model == "rbm" { 1 } else { 3 });
    }
    let dbn = folder.path().join("dbn/dbn.safetensors");
    let [one, two, other] = ["one", "two", "other"].map(|name| folder.path().join(format!("{name}.npy")));
    for (seed, threads, out) in [("3", "1", &one), ("3", "2", &two), ("4", "1", &other)] {
        let more = ["--seed", seed, "--threads", threads, "--steps", "9", "--out", text(out)];
        json_of(&nnc(&[&["sample", text(&dbn), "--json", "--count", "7"], &more[..]].concat()));
    }
    let read = |path: &Path| nnc::npy::read(path).unwrap();
    assert_eq!(read(&one).ty().to_string(), "f32[7, 64]");
    assert_eq!(read(&one), read(&two));
    assert_ne!(read(&one), read(&other));
    let error = error_of(&nnc(&["sample", text(&dbn), "--label", "3"]));
    assert!(
        error.ends_with("--label: dbn knows no labels of the rows that it draws; leave it out"),
        "{error}"
    );
    let stacked = folder.path().join("stacked-autoencoder/stacked-autoencoder.safetensors");
    let error = error_of(&nnc(&["sample", text(&stacked), "--steps", "3"]));
    assert!(error.ends_with("--steps: stacked-autoencoder draws no rows by chains; leave it out"), "{error}");
    for model in [&dbn, &stacked] {
        let json = json_of(&nnc(&["eval", text(model), "--json"]));
        assert!(json["evaluation"]["accuracy"].is_number() && json["confusion"].is_array(), "{json}");
    }
}

#[test]
fn the_program_resumes_in_the_middle_of_pretraining() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, resumed] = ["whole", "resumed"].map(|name| folder.path().join(name));
    let options = ["--hidden", "16,8", "--pretrain-epochs", "1", "--checkpoint-every", "9"];
    let json = train("dbn", &options, &whole);
    let checkpoint = whole.join("checkpoint-9.safetensors"); // the third step of the second layer
    let again = ["train", "dbn", "--json", "--resume", text(&checkpoint), "--out", text(&resumed)];
    let again = json_of(&nnc(&again));
    assert_eq!((&again["weights_hash"], &again["train_loss"]), (&json["weights_hash"], &json["train_loss"]));
}

#[test]
fn what_has_no_meaning_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    for (arguments, message) in [
        (
            &["rbm", "--hidden", "8,4"][..],
            "there are 2 sizes, and a machine has one hidden layer; give one size",
        ),
        (&["rbm", "--chain", "long"], "there are no chains of this name"),
        (&["rbm", "--pretrain-epochs", "3"], "--pretrain-epochs: the model rbm has no such option"),
        (&["dbn", "--cd-steps", "0"], "--cd-steps: it is 0; give at least 1"),
        (&["dbn", "--data", "synthetic:regression"], "dbn learns from labels, and the targets are values"),
        (&["stacked-autoencoder", "--activation", "prelu"], "choose an activation that has none"),
    ] {
        let error = error_of(&nnc(&[&["train"], arguments, &["--out", text(&out)]].concat()));
        assert!(error.contains(message), "{arguments:?}: {error}");
    }
}
