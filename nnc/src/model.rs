//! A trained model, as a file holds it.

use std::fmt;
use std::path::Path;

use ir::names::printable;
use ir::{Shape, Tensor, Type};
use nn::supervised::PREDICTION;
use runtime::{Executable, State};

use crate::checkpoint::{Description, Identity, Reader, metadata_of, read_states};
#[cfg(feature = "data-csv")]
use crate::data::csv::Encoding;
use crate::data::{Arrays, Dataset, Examples, Normalisation, Targets};
use crate::trainer::metrics::{predicted_classes, probabilities};
use crate::trainer::{Evaluation, Predictor};
use crate::{Error, Options};

/// A network with its weights, and what is known of the data that it was trained on. It is made of a file alone, whoever has built
/// the network. Many threads can use one at once.
///
/// ```
/// use nn::{Adam, Loss, Relu, Supervised, models::Mlp};
/// use nnc::data::{Normalisation, digits};
/// use nnc::trainer::{FitOptions, Trainer, TrainerOptions, silent};
/// let (train, test) = digits();
/// let scaled = Normalisation::standardise(&train).apply(&train)?;
/// let network = Supervised::new([64], Mlp::new(&[64, 32, 10], Relu), Loss::cross_entropy());
/// let mut trainer = Trainer::new("digits", network, Adam::new(0.01), TrainerOptions::default())?;
/// trainer.fit(&scaled, None, &FitOptions::epochs(3), &mut silent)?;
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("digits.safetensors");
/// trainer.save(&path)?;
///
/// let model = nnc::load(&path)?;
/// let predictions = model.predict(test.rows())?; // scaled as the rows that it was trained on
/// assert_eq!(predictions.len(), 360);
/// let (digit, probability) = predictions.class(0).expect("it predicts classes");
/// println!("{digit}, {probability:.2}");
/// # Ok::<(), nnc::Error>(())
/// ```
pub struct Model {
    predictor: Predictor,
    state: State,
    description: Description,
}

/// Reads a model from a file that [`Trainer::save`](crate::Trainer::save), `nnc train` or a run with checkpoints has written.
///
/// # Errors
/// Where the file cannot be read, is damaged, another program has written it, or it holds no graph (see
/// [`Template`](crate::checkpoint::Template)).
pub fn load(path: impl AsRef<Path>) -> Result<Model, Error> {
    load_with(path, &Options::default())
}

/// As [`load`], compiled as `options` say.
///
/// # Errors
/// As [`load`]; and where the threads cannot be started.
pub fn load_with(path: impl AsRef<Path>, options: &Options) -> Result<Model, Error> {
    let path = path.as_ref();
    let invalid = |problem: String, help: &str| Error::invalid(path.display().to_string(), problem, help);
    let mut file = Reader::open(path)?;
    let metadata = metadata_of(path, file.text.as_deref())?;
    let Some(graph) = metadata.graph else {
        let help = "use it in the program that trains it: its graph does not follow from the number of rows";
        return Err(invalid("it holds weights, and no graph to use them with".into(), help));
    };
    let predictor =
        Predictor::of_template(&metadata.model, graph, &metadata.results, metadata.parameters, options)?;
    let predictor = predictor.with_domains(metadata.domains);
    let mut state = predictor.zero_state()?;
    read_states(&mut state, &mut file, predictor.states()).map_err(|error| match error {
        Error::Invalid(_) => invalid(error.to_string(), "give a model or a checkpoint that nnc has written"),
        other => other,
    })?;
    Ok(Model { predictor, state, description: metadata.description })
}

impl Model {
    /// What the model makes of some rows of `x`, one after another in row-major order.
    ///
    /// # Errors
    /// Where their numbers make no whole rows, the model takes several arrays or returns no `f32`, or it returns NaN or infinity
    /// of one.
    pub fn predict(&self, rows: &[f32]) -> Result<Predictions, Error> {
        let row = self.row();
        let width = row.elements();
        if self.predictor.inputs().len() != 1 || width == 0 {
            let names: Vec<&str> = self.inputs().map(|(name, _)| name).collect();
            let problem = format!("it takes {}", names.join(", "));
            return Err(Error::invalid(self.name(), problem, "give these by name: `predict_named`"));
        }
        if !rows.len().is_multiple_of(width) {
            let problem = format!("there are {} numbers, and a row has {width}", rows.len());
            return Err(Error::invalid("rows", problem, "give whole rows"));
        }
        let targets = Targets::classes(vec![0; rows.len() / width], 1);
        self.predict_rows(&Dataset::new("rows", row, rows.to_vec(), targets)?)
    }

    /// What the model makes of the rows of a data set, whose targets are not looked at.
    ///
    /// # Errors
    /// Where the rows are not like those that it was trained on; as [`Model::predict`].
    pub fn predict_rows(&self, data: &Dataset) -> Result<Predictions, Error> {
        let data = self.normalised(data)?;
        let outputs = self.predictor.predict(&self.state, &data)?;
        self.check_finite(&outputs, &data)?;
        let Identity { is_classes, outputs: names, .. } = &self.description.data;
        let width = self.predictor.outputs();
        let is_named = names.len() == width && self.result_types().any(|(name, _)| name == PREDICTION);
        let names = if is_named { names.clone() } else { (0..width).map(|at| at.to_string()).collect() };
        let values = match self.target_normalisation().filter(|_| is_named) {
            Some(normalisation) => normalisation.undo(&outputs),
            None => outputs,
        };
        Ok(Predictions { values, names, is_classes: *is_classes && is_named })
    }

    /// All results for arrays `[rows, ..]` by name. They are taken as they are, not normalised.
    ///
    /// # Errors
    /// Where an array is missing or of another type, or holds NaN or infinity.
    pub fn predict_named(&self, arrays: &[(&str, &Tensor)]) -> Result<Vec<(String, Tensor)>, Error> {
        let owned = arrays.iter().map(|(name, array)| (*name, (*array).clone()));
        self.predictor.results(&self.state, &Arrays::new("the arrays", owned)?)
    }

    /// All results of examples, by name. The rows of a data set are normalised, arrays are taken as they are.
    ///
    /// # Errors
    /// Where they are not like those that it was trained on.
    pub fn results(&self, data: &dyn Examples) -> Result<Vec<(String, Tensor)>, Error> {
        match data.dataset() {
            Some(dataset) => {
                let dataset = self.predictor.with_rows_that_fit(&self.normalised(dataset)?)?;
                let mut results = self.predictor.results(&self.state, &dataset)?;
                if let Some(normalisation) = self.target_normalisation() {
                    let predictions = results.iter_mut().filter(|(name, _)| name == PREDICTION);
                    let values = predictions.filter_map(|(_, tensor)| tensor.as_mut_slice::<f32>());
                    values.for_each(|values| values.copy_from_slice(&normalisation.undo(values)));
                }
                Ok(results)
            }
            None => self.predictor.results(&self.state, data),
        }
    }

    /// Loss and metrics on examples. The rows of a data set are normalised, arrays are taken as they are.
    ///
    /// # Errors
    /// Where they are not like those that it was trained on.
    pub fn evaluate(&self, data: &dyn Examples) -> Result<Evaluation, Error> {
        match data.dataset() {
            Some(dataset) => Ok(self.predict_and_evaluate(dataset)?.1),
            None => self.predictor.evaluate(&self.state, data),
        }
    }

    /// What its first result is of each row of a data set, row-major, and what that is worth. Of target values that were scaled in
    /// training, results and loss are of the scaled ones, and metrics of those that are given.
    ///
    /// # Errors
    /// Where rows or targets are not like those that it was trained on, or it returns NaN or infinity of one.
    pub fn predict_and_evaluate(&self, data: &Dataset) -> Result<(Vec<f32>, Evaluation), Error> {
        self.check_targets(data)?;
        let mut data = self.normalised(data)?;
        if let Some(normalisation) = self.target_normalisation() {
            data = normalisation.apply_to_targets(&data)?;
        }
        let (outputs, evaluation) = self.predictor.predict_and_evaluate(&self.state, &data)?;
        self.check_finite(&outputs, &data)?;
        Ok((outputs, evaluation))
    }

    /// The name of the model.
    pub fn name(&self) -> &str {
        self.predictor.name()
    }

    /// The shape of a row of `x`.
    pub fn row(&self) -> Shape {
        self.predictor.row()
    }

    /// Names and types of what goes in, for a batch of one row.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, &Type)> {
        self.predictor.inputs().iter().map(|(name, ty)| (name.as_str(), ty))
    }

    /// Names and types of what comes out, for a batch of one row.
    pub fn result_types(&self) -> impl Iterator<Item = (&str, &Type)> {
        self.predictor.result_types().iter().map(|(name, ty)| (name.as_str(), ty))
    }

    /// How rows are scaled before the model sees them.
    pub fn normalisation(&self) -> Option<&Normalisation> {
        self.description.preparation.normalisation.as_ref()
    }

    /// How target values were scaled before training, which what it predicts is scaled back from.
    pub fn target_normalisation(&self) -> Option<&Normalisation> {
        self.description.preparation.target_normalisation.as_ref()
    }

    /// How the rows of the table became numbers that it was trained on; `None` where it was no table.
    #[cfg(feature = "data-csv")]
    pub fn encoding(&self) -> Option<&Encoding> {
        self.description.preparation.encoding.as_ref()
    }

    /// The names of the classes that it predicts; `None` where it predicts values.
    pub fn class_names(&self) -> Option<&[String]> {
        let data = &self.description.data;
        data.is_classes.then_some(data.outputs.as_slice())
    }

    /// What it was trained on, and with which settings.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Its weights by name: parameters and buffers.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The number of elements of all parameters.
    pub fn parameter_count(&self) -> usize {
        self.predictor.parameter_count()
    }

    /// What it is: inputs, results, and the weights of each layer. It displays as text.
    pub fn summary(&self) -> Summary<'_> {
        Summary { model: self }
    }

    /// The model without its weights, as programs are made of it.
    pub fn predictor(&self) -> &Predictor {
        &self.predictor
    }

    /// The data set in the shape and the scale in which the model has seen such rows.
    ///
    /// # Errors
    /// Where its rows are not like those that it was trained on.
    pub fn normalised(&self, data: &Dataset) -> Result<Dataset, Error> {
        let known = &self.description.data.row_shape;
        let there = if known.is_empty() { self.row() } else { Shape::from(&known[..]) };
        if !data.has_rows_like(&there) {
            let taker = match self.row().rank() {
                0 | 1 => "the model".to_owned(),
                _ => format!("layer `{}` of {}", self.predictor.first_layer(), self.name()),
            };
            let problem =
                format!("its rows are of {}, and {taker} was trained on rows of {there}", data.row_shape());
            return Err(Error::invalid(data.name(), problem, "give rows like those that it was trained on"));
        }
        let data = data.reshaped(there)?;
        let data = self.description.data.pixels.map_or(Ok(data.clone()), |pixels| pixels.of(&data))?;
        self.normalisation().map_or(Ok(data.clone()), |normalisation| normalisation.apply(&data))
    }

    /// Checks that a data set has the targets that the model was trained on.
    pub(crate) fn check_targets(&self, data: &Dataset) -> Result<(), Error> {
        let names = data.targets().names();
        let is_classes = data.labels().is_some();
        let trained_on = &self.description.data;
        if is_classes == trained_on.is_classes && names == trained_on.outputs {
            return Ok(());
        }
        let of = |is_classes, names: &[String]| {
            let kind = if is_classes { "classes" } else { "values" };
            format!("{} {kind} ({})", names.len(), shortened(names))
        };
        let (there, here) = (of(trained_on.is_classes, &trained_on.outputs), of(is_classes, names));
        let problem = format!("it has {here}, and the model was trained on {there}");
        Err(Error::invalid(data.name(), problem, "give data like those that it was trained on"))
    }

    /// Checks what it returned: of a row of NaN, class 0 would be the greatest.
    fn check_finite(&self, outputs: &[f32], data: &Dataset) -> Result<(), Error> {
        let Some(at) = outputs.iter().position(|output| !output.is_finite()) else { return Ok(()) };
        let row = at / self.predictor.outputs().max(1);
        let problem = format!("of row {row} (from 0), {} returns {}", self.name(), outputs[at]);
        let help = "give rows like those that it was trained on, or train it with a lower learning rate";
        Err(Error::invalid(data.name(), problem, help))
    }
}

/// The states of another program of a model: its weights where they have a name of its states, the others as they start from a seed.
pub(crate) fn states_for(program: &Executable, weights: &State, seed: u64) -> Result<State, Error> {
    let mut state = State::new(program.plan(), seed)?;
    let names: Vec<String> = state.iter().map(|(name, _)| name.to_owned()).collect();
    for name in names.iter().filter(|name| weights.contains(name)) {
        state.set(name, &weights.get(name)?)?;
    }
    Ok(state)
}

/// The first of some names.
fn shortened(names: &[String]) -> String {
    const SHOWN: usize = 6;
    let shown = names.iter().take(SHOWN).map(|name| printable(name)).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN { format!("{shown}, ..") } else { shown }
}

/// What a model makes of some rows: of each a score for every class, or values.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    values: Vec<f32>,
    names: Vec<String>,
    is_classes: bool,
}

impl Predictions {
    /// Scores of classes, or values, of these names: `f32[rows, names]`, row-major.
    pub fn new(values: Vec<f32>, names: Vec<String>, is_classes: bool) -> Predictions {
        Predictions { values, names, is_classes }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.names.len().max(1)
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The names of the classes, or of the values.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether classes are predicted; else values are.
    pub fn is_classes(&self) -> bool {
        self.is_classes
    }

    /// What the model returned, `f32[rows, names]`, row-major: of classes, logits.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// What it returned of a row.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.names.len()..][..self.names.len()]
    }

    /// The class of a row and its probability; `None` where values are predicted.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn class(&self, row: usize) -> Option<(&str, f64)> {
        let index = self.class_index(row)?;
        Some((&self.names[index], probabilities(self.row(row), self.names.len())[index]))
    }

    /// The number of the class of a row, from 0; `None` where values are predicted.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn class_index(&self, row: usize) -> Option<usize> {
        self.is_classes.then(|| predicted_classes(self.row(row), self.names.len())[0])
    }

    /// The class of each row and its probability; none where values are predicted.
    pub fn classes(&self) -> impl Iterator<Item = (&str, f64)> {
        (0..self.len()).filter_map(|row| self.class(row))
    }
}

/// A model as text: see [`Model::summary`].
#[derive(Clone, Copy)]
pub struct Summary<'a> {
    model: &'a Model,
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model = self.model;
        let rows_of = |ty: &Type| format!("{}{}", ty.dtype, Shape::from(&ty.shape[1..]));
        writeln!(f, "{}: {} parameters", printable(model.name()), model.parameter_count())?;
        for (name, ty) in model.inputs() {
            writeln!(f, "  input   {}: rows of {}", printable(name), rows_of(ty))?;
        }
        for (name, ty) in model.result_types() {
            writeln!(f, "  result  {}: rows of {}", printable(name), rows_of(ty))?;
        }
        if let Some(classes) = model.class_names() {
            writeln!(f, "  classes {}", shortened(classes))?;
        }
        if let Some(normalisation) = model.normalisation() {
            writeln!(f, "  rows are scaled: {}", normalisation.in_words())?;
        }
        if let Some(normalisation) = model.target_normalisation() {
            writeln!(f, "  predictions are scaled back from: {}", normalisation.in_words())?;
        }
        for (name, ty) in model.predictor.states() {
            writeln!(f, "  {}: {ty}", printable(name))?;
        }
        Ok(())
    }
}
