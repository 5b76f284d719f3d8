//! Rows that a trained model makes of codes: samples, and what lies between and along codes.

use ir::{DType, Init, Tensor, Type};
use nn::models::latent::CODE;
use nn::network::generating_graph;
use nn::supervised::{ROWS, TARGETS};

use crate::models::generative_of;
use crate::{Error, Model, Options, compile};

/// The stream of the draws of codes, far from those of initial weights.
const STREAM: u32 = 0xC0DE_0000;

/// Rows that are drawn from a model: `f32[count, ..]`, the same for the same seed. A model that knows the labels of rows draws
/// those of `label`, or, where there is none, of each class in turn.
///
/// # Errors
/// Where the model makes no rows of codes, nothing is to be drawn, or there is no such class.
pub fn sample(
    model: &Model,
    count: usize,
    seed: u64,
    label: Option<usize>,
    options: &Options,
) -> Result<Tensor, Error> {
    if count == 0 {
        return Err(Error::invalid("the number of samples", "it is 0", "give at least 1"));
    }
    let normal = Init::Normal { mean: 0.0, deviation: 1.0, stream: STREAM };
    let codes = normal.materialize(&Type::new(DType::F32, [count, code_size(model)?]), seed);
    decode(model, &codes, label, options)
}

/// The rows that codes, `f32[rows, code]`, stand for; labels as for [`sample`].
///
/// # Errors
/// Where the model makes no rows of codes, codes are of another size, or there is no such class.
pub fn decode(
    model: &Model,
    codes: &Tensor,
    label: Option<usize>,
    options: &Options,
) -> Result<Tensor, Error> {
    let rows = codes.shape().first().copied().unwrap_or(0);
    let network = generative_of(model.name(), model.description())?;
    let wanted = Type::new(DType::F32, [rows, network.code_size()]);
    if codes.ty() != wanted {
        let problem = format!("they are {}", codes.ty());
        return Err(Error::invalid("codes", problem, format!("give {wanted}")));
    }
    let graph = generating_graph(model.name(), &*network, rows)?;
    let mut program = compile(&graph, options)?;
    let mut state = model.state_for(&program, 0)?;
    let labels = labels_of(model, rows, label, program.inputs().any(|(name, _)| name == TARGETS))?;
    let labels = labels.iter().map(|labels| (TARGETS, labels));
    let inputs: Vec<(&str, &Tensor)> = std::iter::once((CODE, codes)).chain(labels).collect();
    program.run_named(&mut state, &inputs)?;
    let made = program.output(ROWS).cloned();
    made.ok_or_else(|| Error::invalid(model.name(), "it has made no rows", "train it again"))
}

/// The size of the codes that a model makes rows of.
///
/// # Errors
/// Where it makes none.
pub fn code_size(model: &Model) -> Result<usize, Error> {
    Ok(generative_of(model.name(), model.description())?.code_size())
}

/// The label of each row, where the model knows them.
fn labels_of(
    model: &Model,
    rows: usize,
    label: Option<usize>,
    are_known: bool,
) -> Result<Option<Tensor>, Error> {
    let classes = model.description().data.outputs.len();
    match (are_known, label) {
        (false, None) => Ok(None),
        (false, Some(label)) => {
            let problem = format!("{} knows no labels, and {label} is asked for", model.name());
            Err(Error::invalid("the label", problem, "leave it out, or train a cvae"))
        }
        (true, Some(label)) if label >= classes => {
            let problem = format!("it is {label}");
            Err(Error::invalid("the label", problem, format!("give from 0 to {}", classes.saturating_sub(1))))
        }
        (true, label) => {
            let of_row = |row: usize| label.unwrap_or(row % classes.max(1)) as i64;
            Ok(Tensor::new([rows], (0..rows).map(of_row).collect()))
        }
    }
}
