//! Models that read a row step by step.

use std::sync::Arc;

use ir::Shape;
use nn::Loss;
use nn::models::RowReader;
use nn::rnn::{Cell, Recurrent};
use nn::sequence::SequenceModel;

use super::{Architecture, Learns, ModelOptions};
use crate::Error;
use crate::data::sequences::Tokens;

/// The greatest number of values that stand for a token.
const MAX_EMBEDDING: usize = 64;

/// Recurrent layers.
pub const RNN: Architecture = Architecture {
    name: "rnn",
    doc: "recurrent layers: rows and images step by step, texts character by character",
    options: &["hidden", "dropout", "cell", "layers", "bidirectional", "steps"],
    defaults: "--hidden 128 --epochs 30 --lr 0.01 --clip 1",
    learns: Learns::Targets(Loss::cross_entropy()),
    row: steps,
    build: |row, outputs, options| RowReader::new(recurrent(values_per_step(row), options), outputs).into(),
    generative: None,
    sampler: None,
    game: None,
    sequences: Some(|tokens, outputs, steps, options| {
        Arc::new(sequence_model(tokens, outputs, steps, options))
    }),
};

/// What the options ask for, on rows of `steps` tokens with one of `outputs` classes at each.
pub fn sequence_model(
    tokens: &Tokens,
    outputs: usize,
    steps: usize,
    options: &ModelOptions,
) -> SequenceModel<Box<dyn Cell>> {
    let recurrent = recurrent(tokens.count.min(MAX_EMBEDDING), options);
    let model = SequenceModel::new(tokens.count, outputs, steps, recurrent).dropout(options.dropout);
    if tokens.is_text { model.text() } else { model }
}

/// The layers on so many values per step.
fn recurrent(inputs: usize, options: &ModelOptions) -> Recurrent<Box<dyn Cell>> {
    let cell = options.cell.build(options.hidden.first().copied().unwrap_or(1));
    let recurrent = Recurrent::with_cell(inputs, cell).layers(options.layers).dropout(options.dropout);
    if options.bidirectional { recurrent.bidirectional() } else { recurrent }
}

/// Rows of steps: `[steps, values]`. The values of a vector are steps of one value each; images are read line by line.
fn steps(model: &str, row: &Shape) -> Result<Shape, Error> {
    match row[..] {
        [steps] => Ok([steps, 1].into()),
        [_, _] => Ok(row.clone()),
        [1, height, width] => Ok([height, width].into()),
        [_, _, _] => Ok(row.clone()),
        _ => {
            let problem = format!("rows are of {row}, the model takes steps of values, or images");
            Err(Error::invalid(model, problem, "give rows of [steps, values]"))
        }
    }
}

/// How many values a step of such a row has: of an image, the pixels of a line in all channels.
fn values_per_step(row: &Shape) -> usize {
    match row[..] {
        [channels, _, width] => channels * width,
        _ => row.last().copied().unwrap_or(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::options::CellName;
    use ir::Graph;
    use nn::network::{inference_graph, training_graph};

    fn options(cell: CellName) -> ModelOptions {
        ModelOptions { cell, hidden: vec![6], ..ModelOptions::default() }
    }

    #[test]
    fn every_cell_reads_rows_and_texts() {
        for cell in CellName::ALL {
            let network = RNN.network(&[5, 3].into(), 4, &options(cell), None);
            let used = inference_graph("rnn", &network, 2).unwrap();
            assert_eq!(used.ty(used.outputs[0].value).to_string(), "f32[2, 4]", "{cell}");
            let text = Tokens { count: 9, is_text: true };
            let network = RNN.sequences.unwrap()(&text, 9, 7, &options(cell));
            let step: Graph = training_graph("rnn", &network, 2, &nn::Adam::default()).unwrap();
            let inputs: Vec<String> = step.inputs().map(|(_, node)| node.results[0].to_string()).collect();
            assert_eq!(inputs, ["i64[2, 7]", "f32[2]", "i64[2, 7]"], "{cell}");
            let used = inference_graph("rnn", &network, 2).unwrap();
            assert_eq!(used.ty(used.outputs[0].value).to_string(), "f32[2, 7, 9]", "{cell}");
        }
    }

    #[test]
    fn a_text_is_read_in_the_forward_direction() {
        let both = ModelOptions { bidirectional: true, ..options(CellName::Gru) };
        let text = Tokens { count: 9, is_text: true };
        let network = RNN.sequences.unwrap()(&text, 9, 7, &both);
        let error = inference_graph("rnn", &network, 2).unwrap_err().to_string();
        assert_eq!(
            error,
            "rnn: it reads a text in the reverse direction, too, and what comes is not known; \
             make it of the forward direction alone"
        );
    }

    #[test]
    fn rows_of_all_kinds_become_steps() {
        let of = |row: &[usize]| RNN.row_of(&row.into()).map(|row| row.to_string());
        assert_eq!(of(&[5]).unwrap(), "[5, 1]");
        assert_eq!(of(&[1, 8, 8]).unwrap(), "[8, 8]");
        assert_eq!(of(&[3, 8, 7]).unwrap(), "[3, 8, 7]");
        assert!(of(&[1, 2, 3, 4]).unwrap_err().to_string().starts_with("rnn: rows are of [1, 2, 3, 4]"));
        assert_eq!(values_per_step(&[3, 8, 7].into()), 21);
    }
}
