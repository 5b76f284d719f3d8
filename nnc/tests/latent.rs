//! Models that learn codes: what they are worth, that they train to the same bits, and the program on them.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Output};

use ir::{DType, Tensor};
use nn::models::latent::{CODE, KL, RECONSTRUCTION, SQUARED_ERROR};
use nn::models::{Autoencoder, Likelihood, Sparsity, Vae};
use nn::{Activation, Adam, Context, Corruption, Loss, Supervised, TrainStep};
use nnc::checkpoint::Checkpoint;
use nnc::data::{Dataset, Loaded, Targets, digits, few_labels};
use nnc::models::{ARCHITECTURES, Architecture, Learns, ModelOptions};
use nnc::trainer::{Event, FitOptions, silent};
use nnc::{Options, State, Trainer, TrainerOptions, compile};
use serde_json::Value;

/// The models of this kind, with options that use all that they have.
fn models() -> impl Iterator<Item = (&'static Architecture, ModelOptions)> {
    let own = |model: &&Architecture| matches!(model.learns, Learns::Rows | Learns::Labels);
    ARCHITECTURES.iter().filter(own).map(|model| {
        let options = ModelOptions {
            hidden: vec![24],
            channels: vec![3, 5],
            code: 6,
            tied: model.name == "autoencoder",
            noise: (model.name == "denoising").then_some(Corruption::SaltAndPepper { rate: 0.2 }),
            sparsity: (model.name == "sparse").then_some(Sparsity::Kl { weight: 0.1, target: 0.1 }),
            contraction: if model.name == "contractive" { 0.1 } else { 0.0 },
            pretrain_epochs: 1,
            ..ModelOptions::default()
        };
        (model, options)
    })
}

/// Digits to train and to test such a model on; of one that takes few labels, few have one.
fn data(model: &Architecture) -> (Loaded, Loaded) {
    let (train, test) = digits();
    let test = Loaded::Rows(test);
    if !model.options.contains(&"labels") {
        return (Loaded::Rows(train), test);
    }
    let rows = few_labels::balanced_rows(&train, 100, 0).unwrap();
    (Loaded::FewLabels(few_labels::with_labels_of(&train, &rows).unwrap()), test)
}

fn trainer(model: &Architecture, own: &ModelOptions, threads: usize) -> Trainer {
    let (train, _) = digits();
    let row = model.row_of(train.row_shape()).unwrap();
    let network = model.network(&row, 10, own, None);
    let compile = Options { threads, ..Options::default() };
    let options = TrainerOptions { batch: 48, seed: 5, compile, ..TrainerOptions::default() };
    match model.game {
        None => Trainer::new(model.name, network, Adam::new(0.003), options).unwrap(),
        Some(players) => {
            let players = players(own, &|| TrainStep::new(Adam::new(0.003)));
            Trainer::of_game(model.name, network, players, options).unwrap()
        }
    }
}

/// Broken off in the second epoch, through a file, on another number of threads.
#[test]
fn every_model_trains_to_the_same_bits_and_resumes() {
    let folder = tempfile::tempdir().unwrap();
    for (model, options) in models() {
        let (train, test) = data(model);
        let mut whole = trainer(model, &options, 1);
        let history = whole.fit(&train, Some(&test), &FitOptions::epochs(3), &mut silent).unwrap();
        let is_better = history.epochs[2].loss < history.epochs[0].loss;
        // That of a machine says how far apart rows and samples are.
        let may_rise = model.game.is_some() || model.sampler.is_some();
        assert!(is_better || may_rise, "{}: {history:?}", model.name);
        let mut broken = trainer(model, &options, 2);
        let mut stop = |event: &Event, trainer: &Trainer| match event {
            Event::Step(_) if trainer.run().steps == 41 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        };
        broken.fit(&train, Some(&test), &FitOptions::epochs(3), &mut stop).unwrap();
        let path = folder.path().join(format!("{}.safetensors", model.name));
        broken.run_checkpoint().unwrap().write(&path).unwrap();
        let mut resumed = trainer(model, &options, 1);
        resumed.resume(&Checkpoint::read(&path).unwrap()).unwrap();
        resumed.fit(&train, Some(&test), &FitOptions::epochs(3), &mut silent).unwrap();
        assert_eq!(resumed.weights_hash().unwrap(), whole.weights_hash().unwrap(), "{}", model.name);
        assert_eq!(resumed.run().history.epochs, whole.run().history.epochs, "{}", model.name);
    }
}

/// Minus the log-likelihood of rows in nats, the mean over them, where each value is a probability by itself: the mean of the rows
/// that are learned from.
fn factorised(train: &Dataset, test: &Dataset) -> f64 {
    let features = train.features();
    let mean = |j: usize| {
        let sum: f64 = train.rows().iter().skip(j).step_by(features).copied().map(f64::from).sum();
        (sum + 0.5) / (train.len() as f64 + 1.0)
    };
    let means: Vec<f64> = (0..features).map(mean).collect();
    let surprise = |(index, &x): (usize, &f32)| {
        let (p, x) = (means[index % features], f64::from(x));
        -x * p.ln() - (1.0 - x) * (1.0 - p).ln()
    };
    test.rows().iter().enumerate().map(surprise).sum::<f64>() / test.len() as f64
}

/// Digits of black and white.
fn binary(data: &Dataset) -> Dataset {
    let rows = data.rows().iter().map(|&x| f32::from(u8::from(x >= 0.5))).collect();
    Dataset::new(data.name(), data.row_shape().clone(), rows, data.targets().clone()).unwrap()
}

fn vae(beta: f64) -> Vae {
    Vae { beta, ..Vae::new(64, &[128], 8, Activation::Elu { alpha: 1.0 }, Likelihood::Bernoulli) }
}

fn trained(network: Vae, data: &Dataset, epochs: usize) -> Trainer {
    let options = TrainerOptions { batch: 48, seed: 1, ..TrainerOptions::default() };
    let mut trainer = Trainer::new("vae", network, Adam::new(0.002), options).unwrap();
    trainer.fit(data, None, &FitOptions::epochs(epochs), &mut silent).unwrap();
    trainer
}

#[test]
fn the_bound_of_a_vae_is_far_above_the_factorised_baseline_and_many_samples_raise_it() {
    let (train, test) = digits();
    let (train, test) = (binary(&train), binary(&test));
    let mut trainer = trained(vae(1.0), &train, 60);
    let evaluation = trainer.evaluate(&test).unwrap();
    let baseline = factorised(&train, &test);
    println!("test bound {:.2}, factorised {baseline:.2} nats", -evaluation.loss);
    assert!(evaluation.loss + 5.0 < baseline, "{} and {baseline}", evaluation.loss);
    let bound = |samples: usize| {
        let mut cx = Context::new("bound");
        let bounds = vae(1.0).importance_bound(&mut cx, test.len(), samples).unwrap();
        let mean = cx.eval(bounds.mean_all()).unwrap();
        cx.output("bound", mean).unwrap();
        let mut program = compile(&cx.finish(), &Options::default()).unwrap();
        let mut state = State::new(program.plan(), 9).unwrap();
        for name in trainer.weights() {
            state.set(name, &trainer.state().get(name).unwrap()).unwrap();
        }
        let rows = test.reshaped([64]).unwrap();
        program.run(&mut state, &[&rows.tensor()]).unwrap();
        program.outputs()[0].get(0).as_f64()
    };
    let (one, many) = (bound(1), bound(500));
    println!("importance weighted bounds: {one:.2} of one sample, {many:.2} of 500");
    assert!((one + evaluation.loss).abs() < 0.5, "{one} and {}", -evaluation.loss);
    assert!(many > one && many > -evaluation.loss, "{many} and {one}");
}

#[test]
fn the_divergence_of_codes_falls_with_beta() {
    let (train, test) = digits();
    let (train, test) = (binary(&train), binary(&test));
    let divergence = |beta| trained(vae(beta), &train, 25).evaluate(&test).unwrap().metrics[KL];
    let divergences = [0.25, 0.5, 1.0, 2.0, 4.0].map(divergence);
    assert!(divergences.windows(2).all(|pair| pair[1] < pair[0]), "{divergences:?}");
}

/// The mean squared derivative of the codes of rows, all elements together: a gradient per unit.
fn squared_derivative(network: &Autoencoder, trainer: &Trainer, rows: &Dataset) -> f64 {
    let mut cx = Context::new("derivative");
    let x = cx.input("x", DType::F32, [rows.len(), 64]).unwrap();
    let code = network.encode(&mut cx, x).unwrap();
    let units = cx.split(code, 1, &[1; 6]).unwrap();
    let squares = units.into_iter().map(|unit| {
        let sum = cx.eval(unit.sum_all()).unwrap();
        let gradient = cx.grad(sum, &[x]).unwrap()[0];
        cx.eval(gradient.square().sum_all() * (1.0 / rows.len() as f64)).unwrap()
    });
    let squares: Vec<ir::Value> = squares.collect();
    let total = squares.into_iter().reduce(|a, b| cx.add(a, b).unwrap()).unwrap();
    cx.output("total", total).unwrap();
    let mut program = compile(&cx.finish(), &Options::default()).unwrap();
    let mut state = State::new(program.plan(), 0).unwrap();
    let names: Vec<String> = state.iter().map(|(name, _)| name.to_owned()).collect();
    names.iter().for_each(|name| state.set(name, &trainer.state().get(name).unwrap()).unwrap());
    program.run(&mut state, &[&rows.tensor()]).unwrap();
    program.outputs()[0].get(0).as_f64()
}

#[test]
fn contraction_makes_derivatives_small_and_sparsity_units_rare() {
    let (train, test) = digits();
    let test = test.reshaped([64]).unwrap();
    let plain = Autoencoder {
        code_activation: Some(Activation::Sigmoid),
        ..Autoencoder::new(&[64, 24, 6], Activation::Tanh)
    };
    let run = |network: &Autoencoder| {
        let options = TrainerOptions { batch: 48, seed: 1, ..TrainerOptions::default() };
        let mut trainer = Trainer::new("ae", network.clone(), Adam::new(0.005), options).unwrap();
        trainer.fit(&train, None, &FitOptions::epochs(20), &mut silent).unwrap();
        trainer
    };
    let derivative = |network: &Autoencoder| squared_derivative(network, &run(network), &test);
    let contractive = Autoencoder { contraction: 1.0, ..plain.clone() };
    let (free, kept) = (derivative(&plain), derivative(&contractive));
    assert!(kept < 0.5 * free, "{kept} and {free}");
    let mean = |network: &Autoencoder| {
        let results = run(network).results(&test).unwrap();
        let code: &Tensor = &results.iter().find(|(name, _)| name == CODE).unwrap().1;
        let units = code.as_slice::<f32>().unwrap();
        units.iter().copied().map(f64::from).sum::<f64>() / units.len() as f64
    };
    let sparse = Autoencoder { sparsity: Sparsity::Kl { weight: 1.0, target: 0.1 }, ..plain.clone() };
    let (free, kept) = (mean(&plain), mean(&sparse));
    assert!((kept - 0.1).abs() < 0.05 && free > 0.3, "{kept} and {free}");
}

#[test]
fn noise_is_drawn_in_training_alone_and_what_is_denoised_is_nearer() {
    let (train, test) = digits();
    let error = |noise| {
        let network =
            Autoencoder { noise, ..Autoencoder::new(&[64, 64, 16], Activation::Elu { alpha: 1.0 }) };
        let options = TrainerOptions { batch: 48, seed: 1, ..TrainerOptions::default() };
        let mut trainer = Trainer::new("ae", network, Adam::new(0.005), options).unwrap();
        trainer.fit(&train, None, &FitOptions::epochs(20), &mut silent).unwrap();
        // A third of the pixels of each digit are gone.
        let masked = test.rows().iter().enumerate().map(|(i, &x)| if i % 3 == 0 { 0.0 } else { x });
        let masked = Dataset::new("masked", [64], masked.collect(), test.targets().clone()).unwrap();
        let results = trainer.results(&masked).unwrap();
        let made = &results.iter().find(|(name, _)| name == RECONSTRUCTION).unwrap().1;
        let squares = made.as_slice::<f32>().unwrap().iter().zip(test.rows()).map(|(a, b)| (a - b).powi(2));
        let clean = trainer.evaluate(&test).unwrap().metrics[SQUARED_ERROR];
        assert_eq!(clean, trainer.evaluate(&test).unwrap().metrics[SQUARED_ERROR]);
        squares.map(f64::from).sum::<f64>() / test.rows().len() as f64
    };
    let (plain, denoised) = (error(Corruption::None), error(Corruption::Masking { rate: 0.33 }));
    assert!(denoised < 0.6 * plain, "{denoised} and {plain}");
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

#[test]
fn models_are_trained_drawn_from_and_encoded_with_by_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for (model, options) in [("cvae", "--beta"), ("denoising", "--contraction")] {
        let arguments = ["train", model, "--epochs", "2", "--hidden", "16", "--code", "3", options, "0.5"];
        let json = json_of(&nnc(&[&arguments[..], &["--json", "--out", &file(model)]].concat()));
        assert!(json["test"]["metrics"][SQUARED_ERROR].as_f64().unwrap() < 0.2, "{json}");
        assert_eq!(json["test_accuracy"], Value::Null);
        assert!(folder.path().join(model).join("reconstructions.png").exists());
        assert_eq!(folder.path().join(model).join("samples.png").exists(), model == "cvae");
        assert!(!folder.path().join(model).join("confusion.svg").exists());
    }
    let (cvae, denoising) = (file("cvae/cvae.safetensors"), file("denoising/denoising.safetensors"));
    let sample = |more: &[&str]| nnc(&[&["sample", &cvae, "--count", "7"], more].concat());
    let (one, two, other) = (file("one.npy"), file("two.npy"), file("other.npy"));
    for (seed, threads, out) in [("3", "1", &one), ("3", "2", &two), ("4", "1", &other)] {
        json_of(&sample(&["--seed", seed, "--threads", threads, "--label", "2", "--out", out, "--json"]));
    }
    let read = |path: &str| nnc::npy::read(path.as_ref()).unwrap();
    assert_eq!(read(&one).ty().to_string(), "f32[7, 64]");
    assert_eq!(read(&one), read(&two));
    assert_ne!(read(&one), read(&other));
    json_of(&sample(&["--out", &file("samples.png"), "--json"]));
    assert!(error_of(&sample(&["--label", "10"])).contains("the label: it is 10; give from 0 to 9"));
    assert!(error_of(&sample(&["--out", &file("a.jpg")])).contains("end it in .png or .npy"));
    let error = error_of(&nnc(&["sample", &denoising]));
    assert!(
        error.contains(
            "denoising: it does not say how codes are distributed; give one of vae, beta-vae, cvae, "
        ),
        "{error}"
    );

    let (rows, codes) = (file("rows.npy"), file("codes.npy"));
    let tensor = digits().1.subset(&[0, 1, 2]).reshaped([64]).unwrap().tensor();
    nnc::npy::write(rows.as_ref(), &tensor).unwrap();
    json_of(&nnc(&["encode", &denoising, "--input", &rows, "--out", &codes, "--json"]));
    assert_eq!(read(&codes).ty().to_string(), "f32[3, 3]");
}

/// A code of a row that is of a known class, given in each of the ways there are.
#[test]
fn codes_are_those_of_the_labels_that_are_given() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for model in ["cvae", "vib"] {
        let arguments = ["train", model, "--epochs", "2", "--hidden", "16", "--code", "3"];
        json_of(&nnc(&[&arguments[..], &["--json", "--out", &file(model)]].concat()));
    }
    let models = ["cvae", "vib"].map(|model| file(&format!("{model}/{model}.safetensors")));
    let test = digits().1;
    let (x, labels) = (test.reshaped([64]).unwrap().tensor(), test.labels().unwrap().to_vec());
    let y = Tensor::new([labels.len()], labels).unwrap();
    let (unlabelled, labelled, csv) = (file("x.npy"), file("xy.npz"), file("x.csv"));
    nnc::npy::write(unlabelled.as_ref(), &x).unwrap();
    nnc::npy::npz::write(labelled.as_ref(), [("x", &x), ("y", &y)]).unwrap();
    let line: Vec<String> = test.row(0).iter().map(f32::to_string).collect();
    std::fs::write(&csv, line.join(",")).unwrap();
    let out = file("codes.npy");
    let encode =
        |model: &str, more: &[&str]| nnc(&[&["encode", model, "--out", &out, "--json"], more].concat());
    let codes = |model: &str, more: &[&str]| {
        json_of(&encode(model, more));
        nnc::npy::read(out.as_ref()).unwrap()
    };
    for model in &models {
        let own = codes(model, &["--data", "digits"]);
        assert_eq!(own.ty().to_string(), "f32[360, 3]");
        assert_eq!(codes(model, &["--input", &labelled]), own);
    }
    let [cvae, vib] = &models;
    assert_eq!(codes(vib, &["--input", &unlabelled]), codes(vib, &["--data", "digits"]));
    let [two, three] = ["2", "3"].map(|label| codes(cvae, &["--input", &unlabelled, "--label", label]));
    assert_ne!(two, three);
    assert_eq!(codes(cvae, &["--data", "digits", "--label", "3"]), three);
    let first = |codes: &Tensor| codes.as_slice::<f32>().unwrap()[..3].to_vec();
    let of_first = test.labels().unwrap()[0].to_string();
    let own = first(&codes(cvae, &["--data", "digits"]));
    let alone = first(&codes(cvae, &["--input", &csv, "--label", &of_first]));
    // Sums are rounded otherwise in batches of other sizes.
    assert!(own.iter().zip(&alone).all(|(a, b)| (a - b).abs() < 1e-5), "{own:?} and {alone:?}");

    let error = error_of(&encode(cvae, &["--input", &csv]));
    let help = "it holds no labels of its rows, which cvae wants to know; \
                give --label K, an archive (.npz) with the labels as y, or --data SOURCE";
    assert!(error.ends_with(help), "{error}");
    let error = error_of(&encode(cvae, &["--input", &csv, "--label", "10"]));
    assert!(error.contains("the label: it is 10; give from 0 to 9"), "{error}");
    let error = error_of(&encode(vib, &["--input", &csv, "--label", "1"]));
    assert!(error.contains("vib knows no labels, and 1 is asked for; leave it out"), "{error}");
    let error = error_of(&encode(cvae, &["--data", "synthetic:blobs"]));
    assert!(error.contains("and the model was trained on 10 classes"), "{error}");
    nnc::npy::npz::write(labelled.as_ref(), [("x", &x), ("y", &x)]).unwrap();
    let error = error_of(&encode(cvae, &["--input", &labelled]));
    assert!(error.ends_with("y is f32[360, 64]; give labels as i64[rows], or names of classes"), "{error}");
}

/// The pictures in a folder, by name.
fn pictures(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
    let is_picture = |name: &String| name.ends_with(".png") || name == "codes.svg";
    let mut names: Vec<String> = names.filter(is_picture).collect();
    names.sort();
    names
}

#[test]
fn pictures_of_epochs_change_no_bits_and_are_of_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let train = |model: &str, more: &[&str]| {
        let arguments =
            ["train", model, "--hidden", "16", "--code", "3", "--out", out.to_str().unwrap(), "--json"];
        json_of(&nnc(&[&arguments[..], more].concat()))["weights_hash"].clone()
    };
    let plain = train("vae", &["--epochs", "5"]);
    let last = ["reconstructions.png", "samples.png", "traversals.png"];
    assert_eq!(pictures(&out), last);
    let (averaged, drawn) = (["--average-weights", "0.9"], ["--pictures-every", "2", "--overwrite"]);
    assert_eq!(train("vae", &[&["--epochs", "5"], &drawn[..]].concat()), plain);
    let of_epochs = ["reconstructions-epoch-0002.png", "reconstructions-epoch-0004.png", last[0]];
    let samples = ["samples-epoch-0002.png", "samples-epoch-0004.png", "samples.png", "traversals.png"];
    assert_eq!(pictures(&out), [&of_epochs[..], &samples[..]].concat());
    let read = |name: &str| std::fs::read(out.join(name)).unwrap();
    assert_ne!(read(samples[0]), read(samples[1]));
    // The run that takes its place, with checkpoints after which files of the old one go, has two epochs and no samples.
    let checkpoints = ["--epochs", "2", "--checkpoint-every", "20", "--sparsity", "l1:0.01"];
    train("sparse", &[&checkpoints[..], &averaged, &drawn].concat());
    assert_eq!(pictures(&out), [of_epochs[0], last[0]]);
    assert!(!out.join("vae.safetensors").exists());

    let error = |model: &str, more: &[&str]| {
        let out = folder.path().join("none");
        let arguments = ["train", model, "--pictures-every", "1", "--out", out.to_str().unwrap()];
        error_of(&nnc(&[&arguments[..], more].concat()))
    };
    let help = "leaves no pictures of epochs; leave it out, or train a model of codes (see `nnc list models`) on images";
    for (model, data) in [("mlp", "digits"), ("vib", "digits"), ("vae", "synthetic:blobs")] {
        let expected = format!("error: --pictures-every: {model} on {data} {help}");
        assert_eq!(error(model, &["--data", data]), expected);
    }
}

#[test]
fn a_code_of_two_values_is_drawn_as_a_plane() {
    let folder = tempfile::tempdir().unwrap();
    let pictures = |model: &str, code: &str, more: &[&str]| {
        let out = folder.path().join(model).join(code);
        let arguments =
            ["train", model, "--epochs", "2", "--code", code, "--out", out.to_str().unwrap(), "--json"];
        let json = json_of(&nnc(&[&arguments[..], more].concat()));
        let names = pictures(&out);
        let listed =
            json["pictures"].as_array().unwrap().iter().map(|path| path.as_str().unwrap().to_owned());
        assert!(
            listed.clone().all(|path| names.iter().any(|name| path.ends_with(name)))
                && listed.count() == names.len()
        );
        names.into_iter().filter(|name| name == "plane.png" || name == "codes.svg").collect::<Vec<String>>()
    };
    for model in ["vae", "cvae", "autoencoder", "contractive"] {
        assert_eq!(pictures(model, "2", &[]), ["codes.svg", "plane.png"], "{model}");
        assert!(pictures(model, "3", &[]).is_empty());
    }
    assert_eq!(pictures("autoencoder", "2", &["--tied", "--overwrite"]), ["codes.svg", "plane.png"]);
    assert_eq!(pictures("vib", "2", &[]), ["codes.svg"]);
    assert_eq!(pictures("wgan-gp", "2", &[]), ["plane.png"]);
    assert_eq!(pictures("beta-vae", "2", &["--data", "synthetic:blobs"]), ["codes.svg"]);
    let svg = std::fs::read_to_string(folder.path().join("vae/2/codes.svg")).unwrap();
    assert!(svg.contains("vae on digits") && svg.matches("<circle").count() >= 360);
}

/// A classifier of real digits tells the class that a generator was asked for.
#[test]
fn digits_that_are_made_are_those_that_were_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (train, test) = digits();
    let classifier = Supervised::new([64], nn::models::mlp(), Loss::cross_entropy());
    let mut judge = Trainer::new("judge", classifier, Adam::new(0.003), TrainerOptions::default()).unwrap();
    judge.fit(&train, None, &FitOptions::epochs(20), &mut silent).unwrap();
    assert!(judge.evaluate(&test).unwrap().accuracy > Some(0.95));
    for model in ["cgan", "cvae"] {
        let (out, rows) = (folder.path().join(model), folder.path().join("rows.npy"));
        json_of(&nnc(&["train", model, "--json", "--out", out.to_str().unwrap()]));
        let file = out.join(format!("{model}.safetensors"));
        let [file, to] = [&file, &rows].map(|path| path.to_str().unwrap());
        json_of(&nnc(&["sample", file, "--count", "1000", "--out", to, "--json"]));
        let made = nnc::npy::read(&rows).unwrap();
        let labels = Targets::Classes {
            labels: (0..1000).map(|row| row % 10).collect(),
            names: test.targets().names().to_vec(),
        };
        let made = Dataset::new(model, [64], made.as_slice::<f32>().unwrap().to_vec(), labels).unwrap();
        let accuracy = judge.evaluate(&made).unwrap().accuracy.unwrap();
        println!("{model}: {:.1} % as asked", 100.0 * accuracy);
        assert!(accuracy >= 0.85, "{model}: {accuracy}");
    }
}

#[test]
fn what_has_no_meaning_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let cases: [(&[&str], &str); 13] = [
        (&["autoencoder", "--loss", "hinge"], "--loss: the model autoencoder has no such option"),
        (&["vae", "--noise", "masking:0.3"], "--noise: the model vae has no such option"),
        (&["denoising", "--noise", "mist:0.3"], "there is no noise of this kind"),
        (&["denoising", "--noise", "masking:3"], "give a deviation of at least 0, or a rate from 0 to 1"),
        (&["sparse", "--sparsity", "kl:1:2"], "give none, l1:WEIGHT or kl:WEIGHT:TARGET"),
        (&["conv-autoencoder", "--channels", "4,0"], "--channels: it is 0; give at least 1"),
        (&["conv-autoencoder", "--data", "synthetic:blobs"], "the model takes images"),
        (&["ss-vae", "--alpha=-1"], "--alpha: it is -1; give a number of at least 0"),
        (&["ss-vae", "--labels", "1437"], "1437 rows have"),
        (&["mlp", "--labels", "100"], "--labels: the model mlp has no such option"),
        (&["vae", "--beta=-1"], "--beta: it is -1; give a number of at least 0"),
        (&["cvae", "--data", "synthetic:regression"], "cvae learns from labels, and the targets are values"),
        (
            &["vae", "--data", "synthetic:blobs", "--likelihood", "bernoulli"],
            "which is no probability; give gaussian, or values from 0 to 1",
        ),
    ];
    for (arguments, message) in cases {
        let error = error_of(&nnc(&[&["train"], arguments, &["--out", out.to_str().unwrap()]].concat()));
        assert!(error.contains(message), "{arguments:?}: {error}");
        assert!(!error.contains("panicked"), "{error}");
    }
}
