//! Training on sequences with the library: texts whose state goes on from batch to batch, and what is written after that.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::ops::ControlFlow;
use std::path::Path;

use ir::Tensor;
use nn::rnn::{GruCell, LstmCell, Recurrent, RecurrentInputs};
use nn::sequence::{LENGTHS, SequenceModel};
use nn::{Adam, Clip, Context, Linear, Loss, Outputs, TrainStep};
use nnc::checkpoint::{Checkpoint, Description, Identity};
use nnc::data::sequences::{Sequences, Text, VariableLength, adding};
use nnc::data::{Arrays, Examples};
use nnc::trainer::{Event, FitOptions, silent};
use nnc::{Generator, Options, Sampling, Trainer, TrainerOptions};
use serde_json::json;

const BATCH: usize = 4;
const STEPS: usize = 8;
const HIDDEN: usize = 16;

/// A text that is easy to learn.
fn text() -> Text {
    let verse = "around the rugged rock the ragged rascal ran, ";
    Text::new("verse", &verse.repeat(30)).unwrap()
}

fn trainer(train: &Sequences, threads: usize) -> Trainer {
    let tokens = train.tokens().count;
    let cell = Recurrent::with_cell(tokens, LstmCell::new(HIDDEN)).layers(2).dropout(0.1);
    let model = SequenceModel::new(tokens, tokens, STEPS, cell).dropout(0.1).text();
    let compile = Options { threads, ..Options::default() };
    let options = TrainerOptions { batch: BATCH, seed: 3, compile, ..TrainerOptions::default() };
    let step = TrainStep::new(Adam::new(0.01)).clip(Clip::Norm(1.0));
    let mut trainer = Trainer::new("rnn", model, step, options).unwrap();
    let settings = [("hidden", json!([HIDDEN])), ("layers", json!(2)), ("cell", json!("lstm"))];
    let settings = settings.map(|(name, value)| (name.to_owned(), value)).into();
    trainer.describe(Description { settings, data: Identity::of(train), ..Description::default() });
    trainer
}

/// Goes on for so many epochs in all, or until so many steps have been done in all.
fn fit(trainer: &mut Trainer, train: &Sequences, test: &Sequences, epochs: usize, until: Option<u64>) {
    let mut stop = |event: &Event, trainer: &Trainer| match event {
        Event::Step(_) if until == Some(trainer.run().steps) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    trainer.fit(train, Some(test), &FitOptions::epochs(epochs), &mut stop).unwrap();
}

/// Broken off in the middle of an epoch and soon after one, each time through a file and on another number of threads: the
/// state of the cell is in the checkpoint.
#[test]
fn a_run_on_a_text_goes_on_to_the_same_bits() {
    let (train, test) = text().sequences(BATCH, STEPS).unwrap();
    let steps_per_epoch = (train.len() / BATCH) as u64;
    let mut whole = trainer(&train, 1);
    fit(&mut whole, &train, &test, 2, None);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let mut broken = trainer(&train, 2);
    for (number, until) in [5, steps_per_epoch + 3].into_iter().enumerate() {
        fit(&mut broken, &train, &test, 2, Some(until));
        let carried = broken.state().get("carried.c").unwrap();
        assert_eq!(carried.shape()[..], [2, BATCH, HIDDEN]);
        assert!((0..carried.shape().elements()).any(|at| carried.get(at).as_f64() != 0.0));
        broken.run_checkpoint().unwrap().write(&path).unwrap();
        broken = trainer(&train, 1 + number % 2);
        broken.resume(&Checkpoint::read(&path).unwrap()).unwrap();
        assert_eq!(broken.state().get("carried.c").unwrap(), carried);
    }
    fit(&mut broken, &train, &test, 2, None);
    assert_eq!(broken.run().history.epochs, whole.run().history.epochs);
    assert_eq!(broken.weights_hash().unwrap(), whole.weights_hash().unwrap());
}

/// Without the state of the batch before, a loss is another.
#[test]
fn the_state_is_carried_from_batch_to_batch() {
    let (train, test) = text().sequences(BATCH, STEPS).unwrap();
    let loss_of_third = |is_carried: bool| {
        let mut trainer = trainer(&train, 1);
        fit(&mut trainer, &train, &test, 1, Some(2));
        if !is_carried {
            let zeros = Tensor::zeros(&trainer.state().get("carried.h").unwrap().ty());
            for name in ["carried.h", "carried.c"] {
                trainer.state_mut().unwrap().set(name, &zeros).unwrap();
            }
        }
        let before = trainer.run().sums.loss;
        fit(&mut trainer, &train, &test, 1, Some(3));
        trainer.run().sums.loss - before
    };
    assert_ne!(loss_of_third(true), loss_of_third(false));
}

#[test]
fn a_batch_of_another_size_than_the_text_is_laid_out_for_is_an_error() {
    let (train, _) = text().sequences(BATCH + 1, STEPS).unwrap();
    let error =
        trainer(&train, 1).fit(&train, None, &FitOptions::epochs(1), &mut silent).unwrap_err().to_string();
    assert_eq!(
        error,
        "batch: it is 4, and rows go on from one another in batches of 5; give 5, or lay the text out for 4"
    );
}

/// A model in a file, after so many epochs.
fn saved(epochs: usize, folder: &Path) -> nnc::Model {
    let (train, test) = text().sequences(BATCH, STEPS).unwrap();
    let mut trainer = trainer(&train, 1);
    fit(&mut trainer, &train, &test, epochs, None);
    let evaluation = trainer.evaluate(&test).unwrap();
    let bits = evaluation.metrics["bits_per_character"];
    assert!((bits - evaluation.loss / 2f64.ln()).abs() < 1e-6, "{evaluation:?}");
    assert!(evaluation.accuracy.unwrap() > 0.0 && evaluation.loss.is_finite());
    let path = folder.join("text.safetensors");
    trainer.save(&path).unwrap();
    nnc::load(&path).unwrap()
}

fn written(model: &nnc::Model, sampling: Sampling, prompt: &str, length: usize) -> String {
    let mut generator = Generator::new(model, sampling, &Options::default()).unwrap();
    generator.read(prompt).unwrap();
    (0..length).map(|_| generator.write().unwrap()).collect()
}

#[test]
fn a_model_writes_what_it_has_learned_and_the_same_for_the_same_seed() {
    let folder = tempfile::tempdir().unwrap();
    let model = saved(25, folder.path());
    let likeliest = Sampling { temperature: 0.0, ..Sampling::default() };
    let verse = written(&model, likeliest, "around the rugged ", 27);
    assert_eq!(verse, "rock the ragged rascal ran,");
    let drawn = |seed| written(&model, Sampling { seed, ..Sampling::default() }, "round", 60);
    assert_eq!(drawn(1), drawn(1));
    assert_ne!(drawn(1), drawn(2));
}

#[test]
fn prompts_that_cannot_be_read_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let model = saved(1, folder.path());
    let mut generator = Generator::new(&model, Sampling::default(), &Options::default()).unwrap();
    let error = generator.write().unwrap_err().to_string();
    assert!(error.starts_with("the generator: it has read nothing to go on from"), "{error}");
    let error = generator.read("").unwrap_err().to_string();
    assert_eq!(error, "the prompt: it is empty; give at least one character to go on from");
    let error = generator.read("round Q").unwrap_err().to_string();
    let expected = "the prompt: its character 6 (from 0) is 'Q', which is not in the vocabulary; \
                    give characters of \" ,acdeghklnorstu\"";
    assert_eq!(error, expected);
    let (train, _) = nnc::data::digits();
    let network = nn::Supervised::new([64], Linear::new(64, 10), Loss::cross_entropy());
    let mut other = Trainer::new("mlp", network, Adam::new(0.01), TrainerOptions::default()).unwrap();
    other.fit(&train, None, &FitOptions::epochs(1), &mut silent).unwrap();
    let path = folder.path().join("mlp.safetensors");
    other.save(&path).unwrap();
    let error = Generator::new(&nnc::load(&path).unwrap(), Sampling::default(), &Options::default());
    let error = error.err().unwrap().to_string();
    assert_eq!(error, "mlp: it was not trained on a text; give a model of `nnc train rnn --data text`");
}

/// Words of different lengths, each of which is to be told by its last token.
fn words() -> VariableLength {
    let word = |number: usize| {
        let tokens: Vec<i64> = (0..1 + number % 5).map(|at| ((number * 7 + at * 3) % 4) as i64).collect();
        let last = *tokens.last().unwrap();
        (tokens, vec![last])
    };
    VariableLength::new("words", (0..40).map(word).collect(), 4, 4).unwrap()
}

/// The state of a GRU after the own steps of a row.
fn last_of_word(cx: &mut Context, rows: usize) -> Result<Outputs, ir::Error> {
    let x = cx.input("x", ir::DType::I64, [rows, 5])?;
    let lengths = cx.input(LENGTHS, ir::DType::I64, [rows])?;
    let y = cx.input("y", ir::DType::I64, [rows, 5])?;
    let y = cx.eval(y.slice_axis(1, 0..1).reshape([rows]))?;
    let x = cx.layer("embedding", &nn::Embedding::new(4, 4), x)?;
    let layer = Recurrent::with_cell(4, GruCell::new(12)).batch_first().last();
    let last = layer.run(cx, RecurrentInputs::new(x).lengths(lengths))?.outputs;
    let logits = cx.layer("head", &Linear::new(12, 4), last)?;
    let loss = Loss::cross_entropy().mean(cx, logits, y)?;
    Ok(Outputs::new().result("logits", logits).loss(loss))
}

#[test]
fn padded_rows_are_trained_on_by_their_lengths() {
    let data = words().padded().unwrap();
    let options = TrainerOptions { batch: 10, ..TrainerOptions::default() };
    let mut trainer = Trainer::new("words", last_of_word, Adam::new(0.05), options).unwrap();
    let history = trainer.fit(&data, None, &FitOptions::epochs(20), &mut silent).unwrap();
    assert!(history.epochs[19].loss < 0.2, "{}", history.epochs[19].loss);
}

#[test]
fn lengths_beyond_the_rows_are_errors_that_name_the_row() {
    let data = words().padded().unwrap();
    let columns = data.columns().iter().map(|column| {
        let elements = column.elements().as_slice::<i64>().unwrap().to_vec();
        (column.name().to_owned(), elements)
    });
    let tensors = columns.map(|(name, mut elements)| {
        let shape: Vec<usize> = if name == LENGTHS { vec![40] } else { vec![40, 5] };
        if name == LENGTHS {
            elements[7] = 6;
        }
        (name, Tensor::new(shape.as_slice(), elements).unwrap())
    });
    let tensors: Vec<(String, Tensor)> = tensors.collect();
    let bad = Arrays::new("words", tensors.iter().map(|(name, it)| (name.as_str(), it.clone()))).unwrap();
    let options = TrainerOptions { batch: 10, ..TrainerOptions::default() };
    let mut trainer = Trainer::new("words", last_of_word, Adam::new(0.05), options).unwrap();
    let error = trainer.fit(&bad, None, &FitOptions::epochs(1), &mut silent).unwrap_err().to_string();
    assert_eq!(error, "words: the length of row 7 is 6; give lengths from 0 to 5, the number of steps");
    let batch: Vec<(&str, &Tensor)> = tensors.iter().map(|(name, it)| (name.as_str(), it)).collect();
    let error = trainer.step(&batch).unwrap_err().to_string();
    assert!(error.contains("sample 7 has length 6 of 5 steps"), "{error}");
}

/// A few steps of the adding problem: that loops, clipping and values go together.
#[test]
fn the_adding_problem_is_trained_on() {
    let data = adding(200, 6, 1).unwrap();
    let cell = Recurrent::with_cell(2, LstmCell::new(16));
    let network = nn::Supervised::new([6, 2], nn::models::RowReader::new(cell, 1), Loss::SquaredError);
    let step = TrainStep::new(Adam::new(0.02)).clip(Clip::Norm(1.0));
    let options = TrainerOptions { batch: 20, ..TrainerOptions::default() };
    let mut trainer = Trainer::new("adding", network, step, options).unwrap();
    trainer.fit(&data, None, &FitOptions::epochs(30), &mut silent).unwrap();
    let loss = trainer.evaluate(&data).unwrap().loss;
    assert!(loss < 0.05, "{loss}"); // who says 1 has 1/6
    assert_eq!(data.arrays().len(), 200);
}
