//! Networks of several inputs and results, with losses of their own: they train, resume, and come back from files.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::ops::ControlFlow;
use std::process::Command;
use std::sync::Arc;

use ir::{DType, Error, Tensor, Type};
use nn::models::AlphaGoZero;
use nn::{
    Adam, BatchNorm, Context, Dropout, Linear, Loss, Network, Outputs, Relu, Sequential, Supervised,
    TrainStep,
};
use nnc::checkpoint::Checkpoint;
use nnc::data::{Arrays, Dataset, Normalisation, Targets, digits};
use nnc::trainer::{Event, FitOptions, silent};
use nnc::{Options, Trainer, TrainerOptions, npy};

/// Both inputs go through one tower, and batch statistics follow both.
fn siamese(cx: &mut Context, rows: usize) -> Result<Outputs, Error> {
    let tower =
        Sequential::new().add(Linear::new(6, 8)).add(BatchNorm::new(8)).add(Relu).add(Linear::new(8, 3));
    let [a, b] = [cx.input("a", DType::F32, [rows, 6])?, cx.input("b", DType::F32, [rows, 6])?];
    let distance = cx.input("distance", DType::F32, [rows])?;
    let [a, b] = [cx.layer("tower", &tower, a)?, cx.shared("tower", &tower, b)?];
    let difference = cx.sub(a, b)?;
    let square = cx.square(difference)?;
    let found = cx.reduce_sum(square, &[1], false)?;
    let loss = Loss::Huber { delta: 1.0 }.mean(cx, found, distance)?;
    let error = Loss::AbsoluteError.mean(cx, found, distance)?;
    Ok(Outputs::new().result("distance", found).loss(loss).metric("error", error))
}

/// A code that is decoded and classified.
fn two_heads(cx: &mut Context, rows: usize) -> Result<Outputs, Error> {
    let x = cx.input("x", DType::F32, [rows, 6])?;
    let y = cx.input("y", DType::I64, [rows])?;
    let code = cx.layer("encoder", &Linear::new(6, 4), x)?;
    let dropped = cx.layer("drop", &Dropout::new(0.1), code)?;
    let image = cx.layer("decoder", &Linear::new(4, 6), dropped)?;
    let scores = cx.layer("head", &Linear::new(4, 3), dropped)?;
    let error = Loss::SquaredError.mean(cx, image, x)?;
    let entropy = Loss::cross_entropy().mean(cx, scores, y)?;
    let loss = cx.add(error, entropy)?;
    let accuracy = nn::metric::accuracy(cx, scores, y)?;
    Ok(Outputs::new().result("scores", scores).result("image", image).loss(loss).metric("accuracy", accuracy))
}

/// Arrays of these names and types of rows, of numbers from 0 to 1 or of labels below 3; `probabilities` sum to 1 in each row.
fn examples(rows: usize, columns: &[(&'static str, DType, &[usize])]) -> Arrays {
    let array = |(stream, &(name, dtype, row)): (u32, &(&'static str, DType, &[usize]))| {
        let shape: Vec<usize> = [rows].iter().chain(row).copied().collect();
        let ty = Type::new(DType::F32, &shape[..]);
        let drawn = ir::Init::Uniform { low: 0.0, high: 1.0, stream }.materialize(&ty, 7);
        let label = |at| (3.0 * drawn.get(at).as_f64()) as i64;
        match dtype {
            DType::I64 => {
                (name, Tensor::new(&shape[..], (0..ty.shape.elements()).map(label).collect()).unwrap())
            }
            _ if name == "probabilities" => (name, distributions(&drawn)),
            _ => (name, drawn),
        }
    };
    Arrays::new("drawn", (1..).zip(columns).map(array)).unwrap()
}

/// The rows divided by their sums.
fn distributions(rows: &Tensor) -> Tensor {
    let elements = rows.as_slice::<f32>().unwrap();
    let divided = elements.chunks(rows.shape()[1]).flat_map(|row| {
        let sum: f32 = row.iter().sum();
        row.iter().map(move |x| x / sum)
    });
    Tensor::new(rows.shape().clone(), divided.collect()).unwrap()
}

/// A network, and examples for it.
fn cases() -> Vec<(&'static str, Arc<dyn Network>, Arrays)> {
    use DType::{F32, I64};
    let pairs = examples(37, &[("distance", F32, &[]), ("b", F32, &[6]), ("a", F32, &[6])]);
    let classes = examples(37, &[("x", F32, &[6]), ("y", I64, &[])]);
    let games =
        examples(11, &[("x", F32, &[2, 3, 3]), ("outcome", F32, &[1]), ("probabilities", F32, &[10])]);
    vec![
        ("siamese", Arc::new(siamese), pairs),
        ("two_heads", Arc::new(two_heads), classes),
        ("agz", Arc::new(AlphaGoZero { blocks: 2, channels: 4 }.network([2, 3, 3])), games),
    ]
}

fn trainer(network: &Arc<dyn Network>, threads: usize) -> Trainer {
    let compile = Options { threads, ..Options::default() };
    let options = TrainerOptions { batch: 5, seed: 3, compile, ..TrainerOptions::default() };
    Trainer::new("net", Arc::clone(network), Adam::new(0.01), options).unwrap()
}

#[test]
fn networks_of_several_inputs_train_and_resume_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    for (name, network, data) in cases() {
        let fit = FitOptions { keep_best: true, ..FitOptions::epochs(6) };
        let mut whole = trainer(&network, 1);
        let history = whole.fit(&data, Some(&data), &fit, &mut silent).unwrap();
        let held_out = |epoch: usize| history.epochs[epoch].held_out.as_ref().unwrap().loss;
        assert!(held_out(5) < held_out(0), "{name}: {} {}", held_out(0), held_out(5));

        let mut first = trainer(&network, 1);
        let mut stop = |_: &Event, trainer: &Trainer| match trainer.run().steps {
            10 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        };
        first.fit(&data, Some(&data), &fit, &mut stop).unwrap();
        let path = folder.path().join("run.safetensors");
        first.run_checkpoint().unwrap().write(&path).unwrap();
        let mut second = trainer(&network, 2);
        second.resume(&Checkpoint::read(&path).unwrap()).unwrap();
        let resumed = second.fit(&data, Some(&data), &fit, &mut silent).unwrap();
        assert_eq!(resumed.epochs, history.epochs, "{name}");
        assert_eq!(second.weights_hash().unwrap(), whole.weights_hash().unwrap(), "{name}");
    }
}

#[test]
fn a_saved_network_returns_what_it_returned_when_it_was_trained() {
    let folder = tempfile::tempdir().unwrap();
    for (name, network, data) in cases() {
        let mut trainer = trainer(&network, 1);
        trainer.fit(&data, None, &FitOptions::epochs(2), &mut silent).unwrap();
        let path = folder.path().join("model.safetensors");
        trainer.save(&path).unwrap();
        let model = nnc::load(&path).unwrap();
        assert_eq!(model.evaluate(&data).unwrap(), trainer.evaluate(&data).unwrap(), "{name}");
        let arrays: Vec<(&str, &Tensor)> = (model.inputs())
            .map(|(name, _)| (name, data.column(name).unwrap()))
            .map(|(name, column)| (name, column.elements()))
            .collect();
        assert_eq!(model.predict_named(&arrays).unwrap(), trainer.results(&data).unwrap(), "{name}");
        assert_eq!(model.parameter_count(), trainer.parameter_count(), "{name}");
    }
}

/// Through the file come the scale of rows, the names of classes, and nothing of the optimizer.
#[test]
fn a_saved_classifier_comes_back_with_its_scale_and_its_names() {
    let (train, test) = digits();
    let names: Vec<String> =
        "nil one two three four five six seven eight nine".split(' ').map(str::to_owned).collect();
    let named = |data: &Dataset| {
        let labels = data.labels().unwrap().to_vec();
        Dataset::new("digits", [64], data.rows().to_vec(), Targets::Classes { labels, names: names.clone() })
            .unwrap()
    };
    let (train, test) = (named(&train), named(&test));
    let scale = Normalisation::standardise(&train);
    let (scaled, scaled_test) = (scale.apply(&train).unwrap(), scale.apply(&test).unwrap());
    let network = Supervised::new([64], nn::models::mlp(), Loss::cross_entropy());
    let mut trainer = Trainer::new("mlp", network, Adam::new(5e-3), TrainerOptions::default()).unwrap();
    trainer.fit(&scaled, None, &FitOptions::epochs(3), &mut silent).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mlp.safetensors");
    trainer.save(&path).unwrap();

    let model = nnc::load(&path).unwrap();
    assert_eq!((model.class_names(), model.normalisation()), (Some(&names[..]), Some(&scale)));
    let predictions = model.predict(test.rows()).unwrap();
    assert_eq!(predictions.values(), trainer.predict(&scaled_test).unwrap());
    assert_eq!(model.evaluate(&test).unwrap(), trainer.evaluate(&scaled_test).unwrap());
    let (class, probability) = predictions.class(0).unwrap();
    assert_eq!(class, names[predictions.class_index(0).unwrap()]);
    assert!((0.0..=1.0).contains(&probability));
    let states: Vec<&str> = model.state().iter().map(|(name, _)| name).collect();
    assert_eq!(states, ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias", "fc3.weight", "fc3.bias"]);
    let summary = model.summary().to_string();
    for line in [
        "mlp: 17226 parameters",
        "  input   x: rows of f32[64]",
        "  result  prediction: rows of f32[10]",
        "  fc1.weight: f32[128, 64]",
    ] {
        assert!(summary.contains(line), "{line}: {summary}");
    }
}

/// One copy of the weights; each thread has the answers of one thread.
#[test]
fn eight_threads_predict_with_one_model() {
    let (train, test) = digits();
    let network = Supervised::new([1, 8, 8], nn::models::LeNet::new(10), Loss::cross_entropy());
    let mut trainer = Trainer::new("lenet", network, Adam::new(5e-3), TrainerOptions::default()).unwrap();
    trainer.fit(&train, None, &FitOptions::epochs(1), &mut silent).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lenet.safetensors");
    trainer.save(&path).unwrap();
    for threads in [1, 2] {
        let model = nnc::load_with(&path, &Options { threads, ..Options::default() }).unwrap();
        let rows = |thread: usize| &test.rows()[thread * 64 * 11..][..64 * (30 + thread)];
        let expected: Vec<_> = (0..8).map(|thread| model.predict(rows(thread)).unwrap()).collect();
        let found: Vec<_> = std::thread::scope(|scope| {
            let model = &model;
            let threads: Vec<_> =
                (0..8).map(|thread| scope.spawn(move || model.predict(rows(thread)))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect()
        });
        assert_eq!(found, expected);
    }
}

/// Weights of examples are for training alone here.
#[test]
fn a_step_may_take_what_evaluation_does_not() {
    let network = |cx: &mut Context, rows: usize| {
        let x = cx.input("x", DType::F32, [rows, 6])?;
        let target = cx.input("target", DType::F32, [rows, 1])?;
        let y = cx.layer("fc", &Linear::new(6, 1), x)?;
        let loss = if cx.is_training() {
            let weights = cx.input("weights", DType::F32, [rows])?;
            Loss::SquaredError.weighted_mean(cx, y, target, weights)?
        } else {
            Loss::SquaredError.mean(cx, y, target)?
        };
        Ok(Outputs::new().result("y", y).loss(loss))
    };
    let columns: [(&str, DType, &[usize]); 3] =
        [("x", DType::F32, &[6]), ("target", DType::F32, &[1]), ("weights", DType::F32, &[])];
    let (train, held_out) = (examples(20, &columns), examples(10, &columns[..2]));
    let options = TrainerOptions { batch: 5, ..TrainerOptions::default() };
    let mut trainer = Trainer::new("net", network, Adam::new(0.01), options).unwrap();
    let history = trainer.fit(&train, Some(&held_out), &FitOptions::epochs(3), &mut silent).unwrap();
    assert!(history.epochs[2].held_out.as_ref().unwrap().loss.is_finite());
}

/// Averages of weights are what is evaluated, kept as the best, and saved; the run goes on with the weights themselves.
#[test]
fn averages_of_weights_are_used_in_their_place() {
    let (train, test) = digits();
    let trainer = |decay| {
        let network = Supervised::new([64], nn::models::mlp(), Loss::cross_entropy());
        let step = TrainStep::new(Adam::new(5e-3)).average_weights(decay);
        Trainer::new("mlp", network, step, TrainerOptions::default()).unwrap()
    };
    let fit = FitOptions { keep_best: true, ..FitOptions::epochs(3) };
    // With a decay of 0 the average is the last value.
    let (mut last, mut averaged) = (trainer(0.0), trainer(0.99));
    let histories = [&mut last, &mut averaged]
        .map(|trainer| trainer.fit(&train, Some(&test), &fit, &mut silent).unwrap());
    assert_eq!(histories[0].epochs[0].loss, histories[1].epochs[0].loss, "training does not see averages");
    assert_ne!(histories[0].epochs[0].held_out, histories[1].epochs[0].held_out);
    let evaluated = averaged.evaluate(&test).unwrap();
    let best = histories[1].best_epoch.unwrap();
    assert_eq!(histories[1].epochs[best - 1].held_out.as_ref(), Some(&evaluated));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("averaged.safetensors");
    averaged.save(&path).unwrap();
    let model = nnc::load(&path).unwrap();
    assert_eq!(model.evaluate(&test).unwrap(), evaluated);
    let in_training = averaged.state().get("fc1.weight").unwrap();
    assert_ne!(model.state().get("fc1.weight").unwrap(), in_training);
}

/// A trainer may train on another thread than the one that made it.
#[test]
fn trainers_and_models_move_to_other_threads() {
    fn is_send<T: Send>() {}
    fn is_shared<T: Send + Sync>() {}
    is_send::<Trainer>();
    is_shared::<nnc::Model>();
    is_shared::<nnc::State>();
    let (_, network, data) = cases().swap_remove(1);
    let mut trainer = trainer(&network, 1);
    let moved = std::thread::spawn(move || {
        trainer.fit(&data, None, &FitOptions::epochs(1), &mut silent).unwrap();
        trainer
    });
    assert!(moved.join().unwrap().run().steps > 0);
}

#[test]
fn examples_that_do_not_fit_are_errors_that_name_the_array() {
    let (_, network, _) = cases().swap_remove(0);
    let mut trainer = trainer(&network, 1);
    let without = examples(10, &[("a", DType::F32, &[6]), ("b", DType::F32, &[6])]);
    let message = |result: Result<_, nnc::Error>| result.err().unwrap().to_string();
    let mut fit = |data: &Arrays| message(trainer.fit(data, None, &FitOptions::epochs(1), &mut silent));
    assert_eq!(
        fit(&without),
        "drawn: the model takes `distance`; give an array of that name; there are a, b"
    );
    let wide =
        examples(10, &[("a", DType::F32, &[7]), ("b", DType::F32, &[6]), ("distance", DType::F32, &[])]);
    assert_eq!(
        fit(&wide),
        "drawn: rows of `a` are f32[7], the model takes f32[6]; give rows of that type, or make the model for these"
    );
    let network = Supervised::new([6], Linear::new(6, 3), Loss::cross_entropy());
    let mut classes =
        Trainer::new("net", network, Adam::new(0.1), TrainerOptions { batch: 5, ..Default::default() })
            .unwrap();
    let y = Tensor::new([5], vec![0i64, 1, 3, 0, 0]).unwrap();
    let x = Tensor::new([5, 6], vec![0.5f32; 30]).unwrap();
    let labels = Arrays::new("drawn", [("x", x), ("y", y)]).unwrap();
    let error = message(classes.fit(&labels, None, &FitOptions::epochs(1), &mut silent));
    assert_eq!(error, "drawn: the label of row 2 is 3; give labels from 0 to 2");
}

/// The program takes the arrays of an archive, and writes all results to another.
#[test]
fn the_program_predicts_with_models_of_several_arrays() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let nnc = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nnc"));
        let output = command.arg("predict").args(arguments).current_dir(folder.path()).output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let (_, network, data) = cases().swap_remove(0);
    let mut pairs = trainer(&network, 1);
    pairs.fit(&data, None, &FitOptions::epochs(1), &mut silent).unwrap();
    pairs.save(path("pairs.safetensors")).unwrap();
    let arrays = data.columns().iter().map(|column| (column.name(), column.elements()));
    npy::npz::write(&path("pairs.npz"), arrays).unwrap();
    let out = ["pairs.safetensors", "--input", "pairs.npz", "--out", "results.npz"];
    assert_eq!(nnc(&out), (Some(0), "1 results written to results.npz\n".into()));
    assert_eq!(npy::npz::read(&path("results.npz")).unwrap(), pairs.results(&data).unwrap());
    let (_, text) = nnc(&["pairs.safetensors", "--input", "pairs.npz"]);
    assert!(text.starts_with("distance f32[37]: "), "{text}");
    std::fs::write(path("rows.csv"), "1,2,3\n").unwrap();
    let (code, text) = nnc(&["pairs.safetensors", "--input", "rows.csv"]);
    assert!(code == Some(2) && text.contains("give an archive (.npz) with the arrays a, b"), "{text}");
    let (code, text) = nnc(&["pairs.safetensors", "--input", "pairs.npz", "--out", "a.csv"]);
    assert!(code == Some(2) && text.contains("net takes several arrays"), "{text}");
}

/// Rows of models that take several arrays, and weights without a graph.
#[test]
fn models_are_asked_in_the_way_that_they_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let (_, network, data) = cases().swap_remove(0);
    let mut trainer = trainer(&network, 1);
    trainer.fit(&data, None, &FitOptions::epochs(1), &mut silent).unwrap();
    trainer.save(&path).unwrap();
    let model = nnc::load(&path).unwrap();
    let error = model.predict(&[0.0; 12]).unwrap_err().to_string();
    assert_eq!(error, "net: it takes a, b; give these by name: `predict_named`");

    let irregular = |cx: &mut Context, rows: usize| {
        let x = cx.input("x", DType::F32, [rows, 2])?;
        let scale = cx.float(DType::F32, (rows as f64).sqrt());
        let scaled = cx.mul(x, scale)?;
        let y = cx.layer("fc", &Linear::new(2, 1), scaled)?;
        let loss = cx.reduce_mean(y, &[0, 1], false)?;
        Ok(Outputs::new().result("y", y).loss(loss))
    };
    let mut irregular = Trainer::new("odd", irregular, Adam::new(0.1), TrainerOptions::default()).unwrap();
    let error = irregular.save(&path).unwrap_err().to_string();
    assert!(
        error.starts_with("the graph of the model: it depends on the number of rows in a way"),
        "{error}"
    );
    irregular.run_checkpoint().unwrap().write(&path).unwrap();
    let error = nnc::load(&path).err().unwrap().to_string();
    assert!(error.contains("it holds weights, and no graph to use them with; "), "{error}");
}
