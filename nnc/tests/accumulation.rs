//! Gradients that are averaged over more batches than a run has are an error: no weight would change.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::process::Command;

use ir::DType;
use nn::models::Mlp;
use nn::{Adam, Context, Loss, Outputs, Player, Relu, Sgd, Supervised, TrainStep};
use nnc::data::{Dataset, Targets};
use nnc::trainer::{FitOptions, silent};
use nnc::{Error, Trainer, TrainerOptions};

/// Five batches of eight.
fn dataset() -> Dataset {
    let rows = (0..80).map(|at| (at % 7) as f32 / 7.0).collect();
    Dataset::new("toy", [2], rows, Targets::classes((0..40).map(|row| row % 2).collect(), 2)).unwrap()
}

fn options() -> TrainerOptions {
    TrainerOptions { batch: 8, ..TrainerOptions::default() }
}

fn hash_after(accumulate: usize, epochs: usize) -> Result<(String, String), Error> {
    let network = Supervised::new([2], Mlp::new(&[2, 4, 2], Relu), Loss::cross_entropy());
    let step = TrainStep::new(Sgd::new(0.1)).accumulate(accumulate);
    let mut trainer = Trainer::new("toy", network, step, options())?;
    let before = trainer.weights_hash()?;
    trainer.fit(&dataset(), None, &FitOptions::epochs(epochs), &mut silent)?;
    Ok((before, trainer.weights_hash()?))
}

#[test]
fn a_run_without_a_step_is_an_error_that_names_both_numbers() {
    let expected = "accumulate: gradients are averaged over 11 batches for one step, and the run has 10 in 2 epochs: \
                    no weight would ever change; give at most 10, or train for more epochs";
    assert_eq!(hash_after(11, 2).unwrap_err().to_string(), expected);
}

#[test]
fn batches_are_counted_on_over_the_ends_of_epochs() {
    let (before, after) = hash_after(10, 2).unwrap();
    assert_ne!(before, after, "the tenth batch makes a step");
}

/// A critic with two steps for one of the generator.
fn game(cx: &mut Context, rows: usize) -> Result<Outputs, ir::Error> {
    let x = cx.input("x", DType::F32, [rows, 2])?;
    let [critic, generator] = ["critic", "generator"].map(|name| cx.layer(name, &nn::Linear::new(2, 1), x));
    let score = cx.eval((critic? * generator?).mean_all())?;
    let lost = cx.eval(-score)?;
    Ok(Outputs::new().player("critic", score).player("generator", lost))
}

#[test]
fn each_player_of_a_game_has_to_have_a_step() {
    let fit = |accumulate: usize, epochs: usize| {
        let player = |name: &str, step: TrainStep| Player::new(name, step).moves(format!("{name}.*"));
        let critic = player("critic", TrainStep::new(Adam::new(0.01))).steps(2);
        let generator = player("generator", TrainStep::new(Adam::new(0.01)).accumulate(accumulate));
        let mut trainer = Trainer::of_game("toy", game, [critic, generator], options()).unwrap();
        trainer.fit(&dataset(), None, &FitOptions::epochs(epochs), &mut silent).map(drop)
    };
    // The third, sixth, .. of ten steps are the generator's.
    fit(3, 2).unwrap();
    let error = fit(4, 2).unwrap_err().to_string();
    assert!(
        error.contains("over 4 batches for one step, and the run has 3 for generator in 2 epochs"),
        "{error}"
    );
}

#[test]
fn the_program_says_so_before_it_trains() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let arguments = ["train", "mlp", "--epochs", "2", "--accumulate", "1000", "--out"];
    let output = Command::new(env!("CARGO_BIN_EXE_nnc")).args(arguments).arg(&out).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(
        error.contains(
            "accumulate: gradients are averaged over 1000 batches for one step, and the run has 90"
        ),
        "{error}"
    );
    let output = Command::new(env!("CARGO_BIN_EXE_nnc")).args(["train", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap().split_whitespace().collect::<Vec<&str>>().join(" ");
    assert!(help.contains(
        "counted on over the ends of epochs, and those after the last step of the run change nothing"
    ));
}
