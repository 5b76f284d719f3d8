//! What generative adversarial networks make, by measures that are not their own loss.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::path::Path;
use std::process::{Command, Output};

use ir::Tensor;
use nn::models::Mlp;
use nn::models::gan::{BiGan, Objective};
use nn::models::latent::RECONSTRUCTION;
use nn::{Activation, Adam, TrainStep};
use nnc::data::Examples;
use nnc::data::synthetic::ring;
use nnc::generative::{Sampling, sample};
use nnc::trainer::{FitOptions, silent};
use nnc::{Options, Trainer, TrainerOptions};
use serde_json::Value;

fn nnc(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nnc")).args(arguments).output().unwrap()
}

/// The report of `nnc train` of so many epochs.
fn train(model: &str, epochs: &str, out: &Path) -> Value {
    let out = out.to_str().unwrap();
    let output = nnc(&["train", model, "--epochs", epochs, "--out", out, "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn samples_are_much_nearer_to_digits_than_noise_is() {
    let folder = tempfile::tempdir().unwrap();
    for (model, epochs) in
        [("gan", "100"), ("fgan", "100"), ("wgan", "200"), ("bigan", "200"), ("dcgan", "60")]
    {
        let report = train(model, epochs, &folder.path().join(model));
        let measure = |name: &str| report["samples"][name].as_f64().unwrap();
        println!("{model}: {}", report["samples"]);
        assert!(measure("of_test_rows") < 10.0, "{model}");
        assert!(measure("frechet_distance") < 0.5 * measure("of_noise"), "{model}");
        assert!(measure("recall") > 0.1 && report["samples"]["as_asked"].is_null(), "{model}");
    }
}

#[test]
fn digits_of_a_class_are_asked_for_and_truncation_makes_them_alike() {
    let folder = tempfile::tempdir().unwrap();
    let report = train("biggan", "30", folder.path());
    println!("{}", report["samples"]);
    assert!(report["samples"]["as_asked"].as_f64().unwrap() > 0.85, "{}", report["samples"]);
    let options = Options::default();
    let model = nnc::load_with(folder.path().join("biggan.safetensors"), &options).unwrap();
    let draw = |truncation| {
        sample(&model, 40, &Sampling { truncation, label: Some(3), seed: 1 }, &options)
            .map(|rows| spread(&rows))
    };
    let [near, far, all] = [Some(0.1), Some(10.0), None].map(|truncation| draw(truncation).unwrap());
    assert!(near < 0.5 * all && far == all, "{near}, {far}, {all}");
    let error = draw(Some(0.01)).unwrap_err().to_string();
    assert_eq!(error, "the truncation: it is 0.01; give a number of at least 0.05");
}

/// The mean squared distance of values from their mean over rows.
fn spread(rows: &Tensor) -> f64 {
    let (count, values) = (rows.shape()[0], rows.as_slice::<f32>().unwrap());
    let features = values.len() / count;
    let column = |j: usize| values.iter().skip(j).step_by(features).copied().map(f64::from);
    let variance = |j: usize| {
        let mean = column(j).sum::<f64>() / count as f64;
        column(j).map(|x| (x - mean).powi(2)).sum::<f64>() / count as f64
    };
    (0..features).map(variance).sum::<f64>() / features as f64
}

/// Rows that a code stands for are near the rows of which it was made, though nothing in the game measures that.
#[test]
fn the_encoder_of_a_bidirectional_game_becomes_the_inverse_of_its_generator() {
    let layers = |sizes: &[usize]| Mlp::new(sizes, Activation::Tanh);
    let game = BiGan {
        row: [2].into(),
        latent: 2,
        generator: layers(&[2, 64, 64, 2]),
        encoder: layers(&[2, 64, 64, 2]),
        discriminator: layers(&[4, 64, 64, 1]),
        objective: Objective::NonSaturating,
    };
    let adam = || TrainStep::new(Adam { beta1: 0.5, ..Adam::new(1e-3) });
    let players = game.players(adam().average_weights(0.99), adam(), 1);
    let options = TrainerOptions { batch: 200, seed: 3, ..TrainerOptions::default() };
    let mut trainer = Trainer::of_game("ring", game, players, options).unwrap();
    let train = ring(8, 4000, 0).unwrap();
    let mut distance = |epochs: usize| {
        trainer.fit(&train, None, &FitOptions::epochs(epochs), &mut silent).unwrap();
        let results = trainer.results(&train.arrays()).unwrap();
        let made = &results.iter().find(|(name, _)| name == RECONSTRUCTION).unwrap().1;
        let pairs = made.as_slice::<f32>().unwrap().chunks(2).zip(train.rows().chunks(2));
        pairs.map(|(a, b)| f64::from((a[0] - b[0]).hypot(a[1] - b[1]))).sum::<f64>() / 4000.0
    };
    let (before, after) = (distance(1), distance(150));
    println!("from {before:.2} to {after:.2}, on a ring of radius 2");
    assert!(after < 0.5 * before, "{before} {after}");
}
