//! Rows that a trained model makes of codes, and codes that it makes of rows.

use ir::{DType, Scalar, Tensor, Type, scalar};
use nn::models::latent::CODE;
use nn::network::generating_graph;
use nn::supervised::{ROWS, TARGETS};
use runtime::{Executable, State};

use crate::checkpoint::Description;
use crate::data::{Dataset, Targets};
use crate::model::states_for;
use crate::models::{Architecture, generative_of};
use crate::{Error, Model, Options, compile};

/// The stream of the draws of codes, far from those of initial weights.
const STREAM: u32 = 0xC0DE_0000;

/// The least truncation: of values below it, one in 25 is drawn.
const LEAST_TRUNCATION: f64 = 0.05;

/// What of the rows that a model can draw.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sampling {
    /// The same seed gives the same rows.
    pub seed: u64,
    /// The class of the rows, of a model that knows them; where there is none, they are of each class in turn.
    pub label: Option<usize>,
    /// The greatest magnitude of a value of a code: those beyond are drawn again, so that rows are more like the data and less like
    /// each other (A. Brock, J. Donahue and K. Simonyan, "Large scale GAN training for high fidelity natural image synthesis", 2019,
    /// section 3.1).
    pub truncation: Option<f64>,
}

impl Sampling {
    /// Codes of this type.
    fn codes(&self, ty: &Type) -> Result<Tensor, Error> {
        let bound = self.truncation.unwrap_or(f64::INFINITY);
        if bound.is_nan() || bound < LEAST_TRUNCATION {
            let problem = format!("it is {bound}");
            let help = format!("give a number of at least {LEAST_TRUNCATION}");
            return Err(Error::invalid("the truncation", problem, help));
        }
        let draw = |index: usize| {
            let tries = (STREAM..).map(|stream| scalar::normal(self.seed, stream, index as u32, ty.dtype));
            tries.into_iter().find(|value| value.abs() <= bound).unwrap_or(0.0)
        };
        Ok(Tensor::from_fn(ty, |index| Scalar::from_f64(ty.dtype, draw(index))))
    }
}

/// Rows that are drawn from a model: `f32[count, ..]`.
///
/// # Errors
/// Where the model makes no rows of codes that can be drawn, nothing is to be drawn, there is no such class, or the truncation is too
/// small.
pub fn sample(model: &Model, count: usize, sampling: &Sampling, options: &Options) -> Result<Tensor, Error> {
    if count == 0 {
        return Err(Error::invalid("the number of samples", "it is 0", "give at least 1"));
    }
    let mut decoder = Decoder::new(model.name(), model.description(), count, options)?;
    decoder.sample(model.state(), sampling)
}

/// The rows that codes, `f32[rows, code]`, stand for; labels as in [`Sampling`].
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
    Decoder::new(model.name(), model.description(), rows, options)?.decode(model.state(), codes, label)
}

/// The size of the codes that a model makes rows of.
///
/// # Errors
/// Where it makes none.
pub fn code_size(model: &Model) -> Result<usize, Error> {
    Ok(generative_of(model.name(), model.description())?.code_size())
}

/// The codes of the rows of a data set, `f32[rows, code]`. A model that knows the labels of rows takes `label` for that of each row, or,
/// where there is none, the targets of the data set.
///
/// # Errors
/// Where the model has no codes, it knows no labels or not these, or rows are not like those that it was trained on.
pub fn encode(model: &Model, data: &Dataset, label: Option<usize>) -> Result<Tensor, Error> {
    let names = &model.description().data.outputs;
    let are_known = model.inputs().any(|(name, _)| name == TARGETS);
    check_label(model.name(), names.len(), are_known, label)?;
    let results = match label {
        Some(label) => {
            let targets = Targets::Classes { labels: vec![label as i64; data.len()], names: names.clone() };
            let rows = data.rows().to_vec();
            model.results(&Dataset::new(data.name(), data.row_shape().clone(), rows, targets)?)?
        }
        None if are_known => {
            model.check_targets(data)?;
            model.results(data)?
        }
        None => model.results(data)?,
    };
    results.into_iter().find(|(name, _)| name == CODE).map(|(_, codes)| codes).ok_or_else(|| {
        let help = "give a model that has some: autoencoder, vae, vib, ..";
        Error::invalid(model.name(), "it has no codes", help)
    })
}

/// What makes rows of codes: a program for so many at a time, compiled once, whose weights may change from call to call as they do in training.
pub struct Decoder {
    name: String,
    codes: Type,
    has_prior: bool,
    classes: usize,
    program: Executable,
}

impl Decoder {
    /// That of `rows` codes, for a model of this name that is trained as described.
    ///
    /// # Errors
    /// Where such a model makes no rows of codes.
    pub fn new(
        name: &str,
        description: &Description,
        rows: usize,
        options: &Options,
    ) -> Result<Decoder, Error> {
        let network = generative_of(name, description)?;
        Ok(Decoder {
            name: name.to_owned(),
            codes: Type::new(DType::F32, [rows, network.code_size()]),
            has_prior: network.has_prior(),
            classes: description.data.outputs.len(),
            program: compile(&generating_graph(name, &*network, rows)?, options)?,
        })
    }

    /// The number of values of a code.
    pub fn code_size(&self) -> usize {
        self.codes.shape[1]
    }

    /// Whether codes are standard normal where nothing is known of a row, so that rows can be drawn.
    pub fn has_prior(&self) -> bool {
        self.has_prior
    }

    /// Whether rows of a class can be asked for.
    pub fn knows_labels(&self) -> bool {
        self.program.inputs().any(|(name, _)| name == TARGETS)
    }

    /// The rows that codes, `f32[rows, code]`, stand for with these weights; labels as in [`Sampling`].
    ///
    /// # Errors
    /// Where codes are of another size, there is no such class, or the weights are those of another model.
    pub fn decode(&mut self, weights: &State, codes: &Tensor, label: Option<usize>) -> Result<Tensor, Error> {
        if codes.ty() != self.codes {
            let problem = format!("they are {}", codes.ty());
            return Err(Error::invalid("codes", problem, format!("give {}", self.codes)));
        }
        let mut state = states_for(&self.program, weights, 0)?;
        let labels = self.labels(label)?;
        let labels = labels.iter().map(|labels| (TARGETS, labels));
        let inputs: Vec<(&str, &Tensor)> = std::iter::once((CODE, codes)).chain(labels).collect();
        self.program.run_named(&mut state, &inputs)?;
        let made = self.program.output(ROWS).cloned();
        made.ok_or_else(|| Error::invalid(&self.name, "it has made no rows", "train it again"))
    }

    /// Rows of codes that are drawn, the same for the same weights.
    ///
    /// # Errors
    /// Where nothing says how codes are distributed; and as [`sample`].
    pub fn sample(&mut self, weights: &State, sampling: &Sampling) -> Result<Tensor, Error> {
        if !self.has_prior {
            let help = format!("give one of {}", Architecture::that_draw_rows());
            return Err(Error::invalid(&self.name, "it does not say how codes are distributed", help));
        }
        self.decode(weights, &sampling.codes(&self.codes)?, sampling.label)
    }

    /// The label of each row, where the model knows them.
    fn labels(&self, label: Option<usize>) -> Result<Option<Tensor>, Error> {
        let (classes, are_known) = (self.classes, self.knows_labels());
        check_label(&self.name, classes, are_known, label)?;
        let of_row = |row: usize| label.unwrap_or(row % classes.max(1)) as i64;
        let rows = self.codes.shape[0];
        let labels = are_known.then(|| Tensor::new([rows], (0..rows).map(of_row).collect()));
        Ok(labels.map(|labels| labels.expect("there is one for each row")))
    }
}

/// Checks a label that is asked for against those that a model knows.
fn check_label(name: &str, classes: usize, are_known: bool, label: Option<usize>) -> Result<(), Error> {
    match label {
        Some(label) if !are_known => {
            let problem = format!("{name} knows no labels, and {label} is asked for");
            Err(Error::invalid("the label", problem, "leave it out, or train a cvae"))
        }
        Some(label) if label >= classes => {
            let problem = format!("it is {label}");
            Err(Error::invalid("the label", problem, format!("give from 0 to {}", classes.saturating_sub(1))))
        }
        _ => Ok(()),
    }
}
