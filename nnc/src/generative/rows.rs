//! Rows that a trained model makes of codes, codes that it makes of rows, and what lies between and along codes.

use ir::{DType, Init, Tensor, Type};
use nn::models::latent::CODE;
use nn::network::generating_graph;
use nn::supervised::{ROWS, TARGETS};

use crate::data::{Dataset, Targets};
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
    let mut state = model.state_for(&program)?;
    let labels = labels_of(model, rows, label, program.inputs().any(|(name, _)| name == TARGETS))?;
    let labels = labels.iter().map(|labels| (TARGETS, labels));
    let inputs: Vec<(&str, &Tensor)> = std::iter::once((CODE, codes)).chain(labels).collect();
    program.run_named(&mut state, &inputs)?;
    let made = program.output(ROWS).cloned();
    made.ok_or_else(|| Error::invalid(model.name(), "it has made no rows", "train it again"))
}

/// The codes of the rows of a data set, `f32[rows, code]`. A model that knows the labels of rows takes `label` for that of each row, or,
/// where there is none, the targets of the data set.
///
/// # Errors
/// Where the model has no codes, it knows no labels or not these, or rows are not like those that it was trained on.
pub fn encode(model: &Model, data: &Dataset, label: Option<usize>) -> Result<Tensor, Error> {
    let are_known = model.inputs().any(|(name, _)| name == TARGETS);
    check_label(model, are_known, label)?;
    let results = match label {
        None if are_known => {
            model.check_targets(data)?;
            model.results(data)?
        }
        None => model.results(data)?,
        Some(label) => {
            let names = model.description().data.outputs.clone();
            let targets = Targets::Classes { labels: vec![label as i64; data.len()], names };
            let rows = data.rows().to_vec();
            model.results(&Dataset::new(data.name(), data.row_shape().clone(), rows, targets)?)?
        }
    };
    results.into_iter().find(|(name, _)| name == CODE).map(|(_, codes)| codes).ok_or_else(|| {
        let help = "give a model that has some: autoencoder, vae, vib, ..";
        Error::invalid(model.name(), "it has no codes", help)
    })
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
    check_label(model, are_known, label)?;
    let classes = model.description().data.outputs.len().max(1);
    let of_row = |row: usize| label.unwrap_or(row % classes) as i64;
    Ok(are_known.then(|| Tensor::new([rows], (0..rows).map(of_row).collect()).expect("one for each row")))
}

/// Checks a label that is asked for against those that the model knows.
fn check_label(model: &Model, are_known: bool, label: Option<usize>) -> Result<(), Error> {
    let classes = model.description().data.outputs.len();
    match label {
        Some(label) if !are_known => {
            let problem = format!("{} knows no labels, and {label} is asked for", model.name());
            Err(Error::invalid("the label", problem, "leave it out, or train a cvae"))
        }
        Some(label) if label >= classes => {
            let problem = format!("it is {label}");
            Err(Error::invalid("the label", problem, format!("give from 0 to {}", classes.saturating_sub(1))))
        }
        _ => Ok(()),
    }
}
