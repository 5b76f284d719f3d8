//! Numbers that a loss is not for are errors that name the row and the number: in the library and the program, for rows to train
//! on, held out, to test on, and to evaluate a model from a file on.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use ir::{DType, Tensor};
use nn::models::{Autoencoder, Likelihood, Mlp, Rbm, SemiSupervisedVae, Vae};
use nn::{Adam, Context, Linear, Loss, Network, Outputs, Relu, Supervised};
use nnc::data::{Arrays, Dataset, Targets};
use nnc::trainer::{FitOptions, silent};
use nnc::{Error, Trainer, TrainerOptions};

const ROWS: usize = 40;

/// Rows of two values with a target each, which is 0, 1, 0, .. but for one row.
fn dataset(row: usize, target: f32) -> Dataset {
    let targets = |at| if at == row { target } else { (at % 2) as f32 };
    let values = (0..ROWS).map(targets).collect();
    let rows = (0..2 * ROWS).map(|at| (at % 7) as f32 / 7.0).collect();
    Dataset::new("toy", [2], rows, Targets::Values { values, names: vec!["target".into()] }).unwrap()
}

fn trainer(network: impl Network + 'static) -> Trainer {
    Trainer::new("toy", network, Adam::new(0.01), TrainerOptions { batch: 8, ..TrainerOptions::default() })
        .unwrap()
}

fn supervised(loss: Loss) -> Trainer {
    trainer(Supervised::new([2], Mlp::new(&[2, 4, 1], Relu), loss))
}

fn message<T>(result: Result<T, Error>) -> String {
    result.err().unwrap().to_string()
}

#[test]
fn targets_that_are_no_probabilities_are_errors_wherever_rows_come_in() {
    let (good, bad) = (dataset(0, 0.0), dataset(13, -17.0));
    let expected = "toy: `y` holds -17 in row 13 (from 0) of 40; \
                    the loss is for numbers from 0 to 1 there: give such, or choose another loss or likelihood";
    let epoch = FitOptions::epochs(1);
    let mut trainer = supervised(Loss::BinaryCrossEntropy);
    assert_eq!(message(trainer.fit(&bad, None, &epoch, &mut silent)), expected);
    assert_eq!(message(trainer.fit(&good, Some(&bad), &epoch, &mut silent)), expected);
    assert_eq!(trainer.run().steps, 0, "nothing is trained before the held-out rows have been looked at");
    trainer.fit(&good, Some(&good), &epoch, &mut silent).unwrap();
    assert_eq!(message(trainer.evaluate(&bad)), expected);
    assert_eq!(message(trainer.predict_and_evaluate(&bad)), expected);
    assert_eq!(message(trainer.predictor().check(&bad)), expected);
    let [x, y] = [vec![0.5f32; 4], vec![0.5, 1.5]].map(|it| Tensor::new([2, it.len() / 2], it).unwrap());
    let error = message(trainer.step(&[("x", &x), ("y", &y)]));
    assert!(
        error.starts_with("batch: `y` holds 1.5 in row 1 (from 0) of 2; the loss is for numbers"),
        "{error}"
    );

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("toy.safetensors");
    trainer.save(&path).unwrap();
    assert_eq!(message(nnc::load(&path).unwrap().evaluate(&bad)), expected, "the file says it, too");
    assert!(nnc::load(&path).unwrap().predict_rows(&bad).is_ok(), "targets are not looked at");
    supervised(Loss::SquaredError).fit(&bad, Some(&bad), &epoch, &mut silent).unwrap();
}

#[test]
fn each_loss_says_what_its_targets_are() {
    for (loss, target, help) in [
        (Loss::Hinge, 0.5, "the loss is for -1 or 1 there"),
        (Loss::Perceptron, 0.0, "the loss is for -1 or 1 there"),
        (Loss::KlDivergence, -0.5, "the loss is for probabilities that sum to 1 there"),
        (Loss::SoftCrossEntropy, 0.0, "the loss is for probabilities that sum to 1 there"),
    ] {
        let name = format!("{loss:?}");
        let error = message(supervised(loss).evaluate(&dataset(0, target)));
        assert!(error.starts_with("toy: `y` holds ") && error.contains(help), "{name}: {error}");
    }
    let arrays = |weight: f32| {
        let data = dataset(0, 0.0).arrays_with_weights(weight);
        supervised_with_weights().evaluate(&data)
    };
    assert!(arrays(2.0).is_ok());
    let error = message(arrays(-2.0));
    assert!(
        error
            .starts_with("toy: `w` holds -2 in row 39 (from 0) of 40; the loss is for numbers of at least 0"),
        "{error}"
    );
}

fn supervised_with_weights() -> Trainer {
    trainer(Supervised::new([2], Mlp::new(&[2, 4, 1], Relu), Loss::SquaredError).weighted())
}

/// The data set with a weight of 1 for each row but the last.
trait WithWeights {
    fn arrays_with_weights(&self, last: f32) -> Arrays;
}

impl WithWeights for Dataset {
    fn arrays_with_weights(&self, last: f32) -> Arrays {
        let mut weights = vec![1.0; self.len()];
        weights[self.len() - 1] = last;
        let columns = [
            ("x", Tensor::new([self.len(), 2], self.rows().to_vec()).unwrap()),
            ("y", Tensor::new([self.len(), 1], self.values().unwrap().to_vec()).unwrap()),
            ("w", Tensor::new([self.len()], weights).unwrap()),
        ];
        Arrays::new("toy", columns).unwrap()
    }
}

/// Models whose decoder gives probabilities, on rows of which one value is none.
#[test]
fn rows_that_are_no_probabilities_are_errors_where_they_are_told_as_such() {
    let rows = |value: f32| {
        let mut rows = vec![0.5; 3 * ROWS];
        rows[3 * 21 + 1] = value;
        Dataset::new("toy", [3], rows, Targets::classes(vec![0; ROWS], 2)).unwrap()
    };
    let vae = || Vae::new(3, &[4], 2, Relu, Likelihood::Bernoulli);
    let autoencoder = Autoencoder { loss: Loss::BinaryCrossEntropy, ..Autoencoder::new(&[3, 2], Relu) };
    let semi = SemiSupervisedVae { vae: Vae { classes: 2, ..vae() }, alpha: 1.0 };
    let trainers = [
        trainer(autoencoder),
        trainer(vae()),
        trainer(semi),
        trainer(Rbm::new(3, 2)),
        trainer(Vae { classes: 2, ..vae() }),
    ];
    for mut trainer in trainers {
        trainer.evaluate(&rows(1.0)).unwrap();
        let error = message(trainer.fit(&rows(1.25), None, &FitOptions::epochs(1), &mut silent));
        let expected =
            "toy: `x` holds 1.25 in row 21 (from 0) of 40; the loss is for numbers from 0 to 1 there";
        assert!(error.starts_with(expected), "{error}");
    }
    let mut gaussian = trainer(Vae { likelihood: Likelihood::Gaussian, ..vae() });
    gaussian.fit(&rows(1.25), None, &FitOptions::epochs(1), &mut silent).unwrap();
}

/// A decoder that knows labels would take one that is no class for none.
#[test]
fn labels_that_a_decoder_does_not_know_are_errors() {
    let labels = Targets::classes((0..ROWS as i64).map(|row| row % 3).collect(), 3);
    let data = Dataset::new("toy", [3], vec![0.5; 3 * ROWS], labels).unwrap();
    let vae = Vae { classes: 2, ..Vae::new(3, &[4], 2, Relu, Likelihood::Bernoulli) };
    let error = message(trainer(vae).evaluate(&data));
    assert!(
        error.starts_with("toy: `y` holds 2 in row 2 (from 0) of 40; the loss is for classes below 2"),
        "{error}"
    );
}

#[test]
fn networks_of_ones_own_say_what_their_inputs_are() {
    let network = |cx: &mut Context, rows: usize| {
        let [x, part] = [cx.input("x", DType::F32, [rows, 2])?, cx.input("part", DType::F32, [rows, 1])?];
        let logits = cx.layer("fc", &Linear::new(2, 1), x)?;
        let loss = Loss::BinaryCrossEntropy.mean(cx, logits, part)?;
        Ok(Outputs::new().loss(loss).of_domain("part", Loss::BinaryCrossEntropy.domain()))
    };
    let rows = |part: f32| {
        let [x, part] = [vec![0.5; 16], vec![part; 8]].map(|it| Tensor::new([8, it.len() / 8], it).unwrap());
        Arrays::new("parts", [("x", x), ("part", part)]).unwrap()
    };
    let mut trainer = trainer(network);
    assert!(trainer.evaluate(&rows(0.25)).is_ok());
    let error = message(trainer.evaluate(&rows(2.0)));
    assert!(error.starts_with("parts: `part` holds 2 in row 0 (from 0) of 8; "), "{error}");
}

fn nnc(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nnc")).args(arguments).output().unwrap()
}

/// A table with one target that is none for cross entropy.
fn table(folder: &Path, name: &str, row: Option<usize>) -> String {
    let mut text = String::from("a,b,target\n");
    for at in 0..50 {
        let target = if row == Some(at) { "-17".to_owned() } else { format!("{}", at % 2) };
        writeln!(text, "{}.5,{}.25,{target}.0", at % 7, at % 3).unwrap();
    }
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    format!("csv:{}", path.display())
}

#[test]
fn the_program_refuses_targets_before_it_trains_or_evaluates() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (good, bad) = (table(folder, "good.csv", None), table(folder, "bad.csv", Some(7)));
    let out = folder.join("run");
    let run = |data: &str, extra: &[&str]| {
        let common = [
            "train",
            "mlp",
            "--loss",
            "binary-cross-entropy",
            "--epochs",
            "1",
            "--batch",
            "8",
            "--out",
            out.to_str().unwrap(),
        ];
        nnc(&[&common[..], &["--data", data], extra].concat())
    };
    for (data, extra, row) in [
        (&bad, &["--test-data", &good][..], "row 7 (from 0) of 50"),
        (&bad, &["--test-data", &good, "--validation", "0.5"], "row 7 (from 0) of 50"),
        (&good, &["--test-data", &bad], "row 7 (from 0) of 50"),
    ] {
        let output = run(data, extra);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(
            error.contains(&format!("`y` holds -17 in {row}; the loss is for numbers from 0 to 1")),
            "{error}"
        );
        assert!(!out.exists(), "no run has begun");
    }
    let output = run(&good, &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let weights = out.join("mlp.safetensors");
    let output = nnc(&["eval", weights.to_str().unwrap(), "--data", &bad]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("`y` holds -17 in row 7 (from 0) of 50"), "{error}");
}
