//! The semi-supervised variational autoencoder: its bound, the labels that it takes, and the program on it.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::process::Command;
use std::sync::Arc;

use ir::Tensor;
use nn::models::latent::UNLABELLED;
use nn::models::{Likelihood, SemiSupervisedVae, Vae};
use nn::{Activation, Adam, Loss, Network, Supervised};
use nnc::data::{Arrays, digits};
use nnc::trainer::{FitOptions, silent};
use nnc::{Trainer, TrainerOptions};
use serde_json::Value;

/// A network with ten classes for digits of which few have labels.
fn semi_supervised() -> SemiSupervisedVae {
    let vae = Vae::new(64, &[16], 3, Activation::Relu, Likelihood::Bernoulli);
    SemiSupervisedVae { vae: Vae { classes: 10, ..vae }, alpha: 10.0 }
}

/// The first digits as arrays, with these labels.
fn labelled(labels: &[i64]) -> Arrays {
    let rows: Vec<u32> = (0..labels.len() as u32).collect();
    let x = digits().0.subset(&rows).reshaped([64]).unwrap().tensor();
    Arrays::new("labelled", [("x", x), ("y", Tensor::new([labels.len()], labels.to_vec()).unwrap())]).unwrap()
}

/// D. P. Kingma et al., "Semi-supervised learning with deep generative models", 2014, equation 7, from the losses with each label: the noise
/// of a class is the same whichever label is given.
#[test]
fn the_bound_without_a_label_is_that_of_all_classes_and_the_entropy() {
    let options = TrainerOptions { batch: 1, seed: 3, ..TrainerOptions::default() };
    let mut trainer = Trainer::new("m2", semi_supervised(), Adam::new(0.01), options).unwrap();
    trainer.fit(&labelled(&[4, 2, UNLABELLED]), None, &FitOptions::epochs(2), &mut silent).unwrap();
    let results = trainer.results(&labelled(&[0])).unwrap();
    let logits: Vec<f64> = results[0].1.as_slice::<f32>().unwrap().iter().copied().map(f64::from).collect();
    let sum: f64 = logits.iter().map(|z| z.exp()).sum();
    let mut loss = |label: i64| trainer.evaluate(&labelled(&[label])).unwrap().loss;
    let of_class = |(class, z): (usize, &f64)| z.exp() / sum * (loss(class as i64) + z - sum.ln());
    let expected: f64 = logits.iter().enumerate().map(of_class).sum();
    let unlabelled = trainer.evaluate(&labelled(&[UNLABELLED])).unwrap().loss;
    assert!((unlabelled - expected).abs() < 1e-4, "{unlabelled} and {expected}");
}

#[test]
fn labels_of_no_class_are_errors_but_for_those_that_say_so() {
    let error = |network: Arc<dyn Network>, labels: &[i64]| {
        let options = TrainerOptions { batch: 2, ..TrainerOptions::default() };
        let mut trainer = Trainer::new("few", network, Adam::new(0.01), options).unwrap();
        let fitted = trainer.fit(&labelled(labels), None, &FitOptions::epochs(1), &mut silent);
        fitted.err().map_or(String::new(), |error| error.to_string())
    };
    let plain = || Arc::new(Supervised::new([64], nn::models::mlp(), Loss::cross_entropy()));
    let help = "give labels from 0 to 9";
    assert_eq!(error(plain(), &[1, -1]), format!("labelled: the label of row 1 is -1; {help}"));
    assert_eq!(error(Arc::new(semi_supervised()), &[1, -1]), "");
    for label in [-2, 10] {
        let expected = format!("labelled: the label of row 0 is {label}; {help}, or -1 where there is none");
        assert_eq!(error(Arc::new(semi_supervised()), &[label, 3]), expected);
    }
    let vae = Vae { classes: 0, ..semi_supervised().vae };
    let network = SemiSupervisedVae { vae, alpha: 1.0 };
    let error =
        Trainer::new("m2", network, Adam::new(0.01), TrainerOptions::default()).err().unwrap().to_string();
    assert!(
        error.starts_with("vae.classes: it is 0, and rows are to be classified; give the number"),
        "{error}"
    );
}

/// What the program reports.
fn nnc(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_nnc")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_model_of_few_labels_classifies_draws_and_encodes() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let train = ["train", "ss-vae", "--labels", "100", "--out", out.to_str().unwrap(), "--json"];
    let json = nnc(&[&train[..], &["--hidden", "64", "--epochs", "40"]].concat());
    let accuracy = json["test_accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.85, "{json}");
    assert!(out.join("confusion.svg").exists());
    let model = out.join("ss-vae.safetensors");
    let model = model.to_str().unwrap();
    assert_eq!(nnc(&["eval", model, "--json"])["evaluation"]["accuracy"], accuracy);
    let (rows, to) = (folder.path().join("rows.npy"), folder.path().join("to.npy"));
    let (rows, to) = (rows.to_str().unwrap(), to.to_str().unwrap());
    nnc(&["sample", model, "--label", "3", "--count", "20", "--out", rows, "--json"]);
    let predicted = nnc(&["predict", model, "--input", rows, "--json"]);
    let classes: Vec<&Value> =
        predicted["predictions"].as_array().unwrap().iter().map(|row| &row["class"]).collect();
    assert!(classes.iter().filter(|&&class| class == "3").count() > 15, "{classes:?}");
    nnc(&["encode", model, "--input", rows, "--out", to, "--json"]);
    assert_eq!(nnc::npy::read(to.as_ref()).unwrap().ty().to_string(), "f32[20, 8]");
}
