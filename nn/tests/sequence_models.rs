//! Models of sequences: the state that goes on from batch to batch, the program of one step, and what a decoder is told.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

mod support;

use std::collections::BTreeMap;

use ir::{Builder, DType, Error, Graph, Tensor};
use nn::network::training_graph;
use nn::rnn::{Cell, ElmanCell, GruCell, JordanCell, LstmCell, MguCell, PeepholeCell, Recurrent};
use nn::sequence::{STARTS, SequenceModel, teacher_forcing};
use nn::{Context, Mode, Network, Sgd};
use support::{draw, floats, run};

const TOKENS: usize = 5;
const ROWS: usize = 2;
const HALF: usize = 3;
/// Two rows of six tokens, and what is to be told at each.
const X: [[i64; 2 * HALF]; ROWS] = [[0, 3, 1, 4, 2, 2], [4, 4, 0, 1, 3, 0]];
const Y: [[i64; 2 * HALF]; ROWS] = [[3, 1, 4, 2, 2, 0], [4, 0, 1, 3, 0, 1]];

fn cells() -> Vec<Box<dyn Cell>> {
    vec![
        Box::new(ElmanCell::new(4)),
        Box::new(JordanCell::new(4, 4)),
        Box::new(MguCell::new(4)),
        Box::new(GruCell::new(4)),
        Box::new(LstmCell::new(4)),
        Box::new(PeepholeCell::new(4)),
    ]
}

/// Two layers of a cell on rows of so many steps of a text.
fn model(cell: Box<dyn Cell>, steps: usize) -> SequenceModel<Box<dyn Cell>> {
    SequenceModel::new(TOKENS, TOKENS, steps, Recurrent::with_cell(3, cell).layers(2)).text()
}

/// Steps `from..to` of the rows, as a batch.
fn part(rows: &[[i64; 2 * HALF]; ROWS], from: usize, to: usize) -> Tensor {
    let elements = rows.iter().flat_map(|row| row[from..to].to_vec()).collect();
    Tensor::new([ROWS, to - from], elements).unwrap()
}

/// A step that changes no weights: the loss, and what the states are after it.
fn carrying_step(model: &dyn Network) -> Graph {
    let mut cx = Context::with("step", Mode::Train, DType::F64);
    let outputs = model.build(&mut cx, ROWS).unwrap();
    cx.output("loss", outputs.loss.unwrap()).unwrap();
    cx.finish()
}

fn evaluation(model: &dyn Network) -> Graph {
    let mut cx = Context::with("evaluation", Mode::Infer, DType::F64);
    let outputs = model.build(&mut cx, ROWS).unwrap();
    cx.output("loss", outputs.loss.unwrap()).unwrap();
    cx.output("logits", outputs.results[0].1).unwrap();
    cx.finish()
}

/// Weights that are drawn: the same for the same name.
fn weights(graph: &Graph) -> BTreeMap<String, Tensor> {
    let stream = |name: &str| name.bytes().fold(7, |sum: u32, byte| sum.wrapping_mul(31) + u32::from(byte));
    let named = graph.states().map(|(_, node)| (node.name.clone().unwrap(), node.results[0].shape.clone()));
    let drawn = named.filter(|(name, _)| !name.starts_with("carried"));
    drawn.map(|(name, shape)| (name.clone(), draw(&shape, stream(&name)))).collect()
}

fn starts(is_start: [f32; ROWS]) -> (&'static str, Tensor) {
    (STARTS, Tensor::new([ROWS], is_start.to_vec()).unwrap())
}

/// Two batches of three steps, with the state carried over, have the losses of one of six.
#[test]
fn a_row_goes_on_where_the_batch_before_ended() {
    for cell in cells() {
        let name = cell.name();
        let half = model(cell, HALF);
        let step = carrying_step(&half);
        let mut states = weights(&step);
        let mut losses = Vec::new();
        for (batch, is_start) in [[1.0; ROWS], [0.0; ROWS]].into_iter().enumerate() {
            let (from, to) = (batch * HALF, (batch + 1) * HALF);
            let inputs = [("x", part(&X, from, to)), ("y", part(&Y, from, to)), starts(is_start)];
            let after = run(&step, &inputs, &states);
            losses.push(after.outputs["loss"].get(0).as_f64());
            states = after.states;
        }
        let cell = cells().into_iter().find(|cell| cell.name() == name).unwrap();
        let whole = evaluation(&model(cell, 2 * HALF));
        let inputs = [("x", part(&X, 0, 2 * HALF)), ("y", part(&Y, 0, 2 * HALF))];
        let expected = run(&whole, &inputs, &weights(&whole)).outputs["loss"].get(0).as_f64();
        let mean = (losses[0] + losses[1]) / 2.0;
        assert!((mean - expected).abs() < 1e-12, "{name}: {mean} and {expected}");
    }
}

/// One row goes on, the other starts: its loss is that of a first batch.
#[test]
fn a_row_that_starts_forgets_what_was_before() {
    let step = carrying_step(&model(Box::new(LstmCell::new(4)), HALF));
    let first = |is_start| {
        let inputs = [("x", part(&X, 0, HALF)), ("y", part(&Y, 0, HALF)), starts(is_start)];
        run(&step, &inputs, &weights(&step))
    };
    let fresh = first([1.0; ROWS]);
    assert_eq!(first([0.0; ROWS]), fresh, "states are zeros at first");
    let second = |is_start| {
        let inputs = [("x", part(&X, 0, HALF)), ("y", part(&Y, 0, HALF)), starts(is_start)];
        run(&step, &inputs, &fresh.states)
    };
    assert_eq!(second([1.0; ROWS]), fresh);
    let mixed = second([0.0, 1.0]);
    assert_ne!(mixed.outputs["loss"], fresh.outputs["loss"]);
    let row = |states: &BTreeMap<String, Tensor>, row: usize| -> Vec<f64> {
        let all = floats(&states["carried.h"]); // [layers, rows, 4]
        (0..2).flat_map(|layer| all[(layer * ROWS + row) * 4..][..4].to_vec()).collect()
    };
    assert_eq!(row(&mixed.states, 1), row(&fresh.states, 1));
    assert_ne!(row(&mixed.states, 0), row(&fresh.states, 0));
}

/// No gradient goes back through the carried state, so that of a batch is that of its own steps.
#[test]
fn the_carried_state_is_a_state_that_an_optimizer_leaves_alone() {
    let model = model(Box::new(GruCell::new(4)), HALF);
    let graph = training_graph("text", &model, ROWS, &Sgd::new(0.1)).unwrap();
    let updated: Vec<&str> =
        graph.updates.iter().filter_map(|update| graph.node(update.state).name.as_deref()).collect();
    assert!(updated.contains(&"carried.h") && updated.contains(&"embedding.weight"), "{updated:?}");
    let mut cx = Context::training("parameters");
    model.build(&mut cx, ROWS).unwrap();
    assert!(cx.parameters().iter().all(|parameter| !parameter.name.starts_with("carried")));
    let evaluated = evaluation(&model);
    assert!(evaluated.states().all(|(_, node)| !node.name.as_deref().unwrap().starts_with("carried")));
}

/// Token by token, the program of one step gives the scores that the model gives of the whole row.
#[test]
fn the_program_of_a_step_reads_on_from_run_to_run() {
    for cell in cells() {
        let name = cell.name();
        let model = model(cell, 2 * HALF);
        let whole = evaluation(&model);
        let inputs = [("x", part(&X, 0, 2 * HALF)), ("y", part(&Y, 0, 2 * HALF))];
        let expected = floats(&run(&whole, &inputs, &weights(&whole)).outputs["logits"]);
        let mut cx = Context::with("step", Mode::Infer, DType::F64);
        let logits = model.step(&mut cx, ROWS).unwrap();
        cx.output("logits", logits).unwrap();
        let step = cx.finish();
        let mut states = weights(&step);
        for time in 0..2 * HALF {
            let token = Tensor::new([ROWS], X.iter().map(|row| row[time]).collect::<Vec<i64>>()).unwrap();
            let after = run(&step, &[("x", token)], &states);
            for (row, scores) in floats(&after.outputs["logits"]).chunks(TOKENS).enumerate() {
                let expected = &expected[(row * 2 * HALF + time) * TOKENS..][..TOKENS];
                for (a, b) in scores.iter().zip(expected) {
                    assert!((a - b).abs() < 1e-12, "{name}, step {time}: {scores:?} and {expected:?}");
                }
            }
            states = after.states;
        }
    }
}

#[test]
fn a_model_that_reads_both_ways_has_no_step() {
    let both = Recurrent::with_cell(3, GruCell::new(4)).bidirectional();
    let model = SequenceModel::new(TOKENS, TOKENS, HALF, both);
    let error = model.step(&mut Context::new("step"), 1).unwrap_err().to_string();
    assert!(error.starts_with("rnn: it reads a text in the reverse direction, too"), "{error}");
    assert!(model.build(&mut Context::new("rows"), ROWS).is_ok());
    assert!(model.text().build(&mut Context::new("text"), ROWS).is_err());
}

#[test]
fn a_decoder_is_told_the_target_before() {
    let told = |targets: &[i64], steps: usize| -> Result<Vec<i64>, Error> {
        let mut b = Builder::new("decoder");
        let y = b.constant(Tensor::new([steps, targets.len() / steps], targets.to_vec()).unwrap());
        let told = teacher_forcing(&mut b, y, 9)?;
        b.output("told", told)?;
        let tensor = run(&b.finish(), &[], &BTreeMap::new()).outputs["told"].clone();
        Ok(tensor.as_slice::<i64>().unwrap().to_vec())
    };
    assert_eq!(told(&[1, 2, 3, -1, 5, -1], 3).unwrap(), [9, 9, 1, 2, 3, 0]);
    assert_eq!(told(&[4, 5], 1).unwrap(), [9, 9]);
    let mut b = Builder::new("decoder");
    let y = b.input("y", DType::F32, [2, 2]).unwrap();
    let error = teacher_forcing(&mut b, y, 0).unwrap_err().to_string();
    assert_eq!(
        error,
        "teacher_forcing: the targets are f32[2, 2]; give i64[steps, rows] of at least one step"
    );
}
