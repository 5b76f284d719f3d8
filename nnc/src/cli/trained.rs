//! A trained model from a file that `nnc train` has written: a finished model, or a checkpoint.

use std::path::Path;

use ir::Shape;
use nnc::checkpoint::{Checkpoint, Identity, set_states};
use nnc::data::{Dataset, Normalisation};
use nnc::models::{Model, ModelOptions};
use nnc::trainer::{Evaluation, Predictor};
use nnc::visualize::{Pictures, Wanted, visualize};
use nnc::{Error, Options, State};
use serde_json::{Value, json};

/// A model with its weights.
pub struct Trained {
    predictor: Predictor,
    state: State,
    normalisation: Option<Normalisation>,
    /// What it was trained on.
    pub data: Identity,
}

impl Trained {
    /// Rebuilds the model of a file, with the weights that are there.
    ///
    /// # Errors
    /// Where the file cannot be read, or holds no model that nnc knows.
    pub fn read(path: &Path, options: &Options) -> Result<Trained, Error> {
        let invalid = |problem: String| {
            let help = "give a model or a checkpoint that `nnc train` has written";
            Error::invalid(path.display().to_string(), problem, help)
        };
        let checkpoint = Checkpoint::read(path)?;
        let description = checkpoint.metadata.description;
        let known = Model::find(&checkpoint.metadata.model).map_err(|error| invalid(error.to_string()))?;
        let settings: Value = description.settings.into_iter().collect::<serde_json::Map<_, _>>().into();
        let choices: ModelOptions = serde_json::from_value(settings.clone())
            .map_err(|error| invalid(format!("its settings cannot be understood: {error}")))?;
        let data = description.data;
        let row = known.row_of(&Shape::from(&data.row_shape[..]))?;
        let layer = (known.build)(&row, data.outputs.len(), &choices);
        let loss = super::train::loss_of(&settings).unwrap_or_else(|| known.loss.clone());
        let mut predictor = Predictor::new(known.name, &row, layer, loss, options)?;
        let mut state = predictor.initial_state(0)?;
        let is_weight = |name: &String| predictor.states().iter().any(|(known, _)| known == name);
        let weights: Vec<_> = checkpoint.states.into_iter().filter(|(name, _)| is_weight(name)).collect();
        let expected = predictor.states().to_vec();
        set_states(&mut state, &weights, &expected).map_err(|error| invalid(error.to_string()))?;
        Ok(Trained { predictor, state, normalisation: description.normalisation, data })
    }

    /// What the model returns of each row of a data set, row-major, whose targets are not looked at.
    ///
    /// # Errors
    /// Where the rows are not like those that it was trained on, or it returns NaN or infinity of one.
    pub fn predict(&mut self, data: &Dataset) -> Result<Vec<f32>, Error> {
        let data = self.normalised(data)?;
        let outputs = self.predictor.predict(&mut self.state, &data)?;
        self.check_finite(&outputs, &data)?;
        Ok(outputs)
    }

    /// What it returns of each row, and what that is worth.
    ///
    /// # Errors
    /// Where rows or targets are not like those that it was trained on; as [`Trained::predict`].
    pub fn predict_and_evaluate(&mut self, data: &Dataset) -> Result<(Vec<f32>, Evaluation), Error> {
        let names = data.targets().names();
        let is_classes = data.labels().is_some();
        if is_classes != self.data.is_classes || names != self.data.outputs {
            let of = |is_classes, names: &[String]| {
                let kind = if is_classes { "classes" } else { "values" };
                format!("{} {kind} ({})", names.len(), shortened(names))
            };
            let (there, here) = (of(self.data.is_classes, &self.data.outputs), of(is_classes, names));
            let problem = format!("it has {here}, and the model was trained on {there}");
            return Err(Error::invalid(data.name(), problem, "give data like those that it was trained on"));
        }
        let data = self.normalised(data)?;
        let (outputs, evaluation) = self.predictor.predict_and_evaluate(&mut self.state, &data)?;
        self.check_finite(&outputs, &data)?;
        Ok((outputs, evaluation))
    }

    /// Checks what it returned: of a row of NaN, class 0 would be the greatest.
    fn check_finite(&self, outputs: &[f32], data: &Dataset) -> Result<(), Error> {
        let Some(at) = outputs.iter().position(|output| !output.is_finite()) else { return Ok(()) };
        let row = at / self.predictor.outputs().max(1);
        let problem = format!("of row {row} (from 0), {} returns {}", self.name(), outputs[at]);
        let help = "give rows like those that it was trained on, or train it with a lower learning rate";
        Err(Error::invalid(data.name(), problem, help))
    }

    /// What one of its layers sees in images.
    ///
    /// # Errors
    /// Where the rows are not like those that it was trained on, or it has no such layer.
    pub fn visualize(&mut self, data: &Dataset, wanted: &Wanted) -> Result<Pictures, Error> {
        let data = self.normalised(data)?;
        visualize(&mut self.predictor, &mut self.state, &data, wanted)
    }

    /// The name of the model.
    pub fn name(&self) -> &str {
        self.predictor.name()
    }

    /// What it is, for JSON.
    pub fn json(&self) -> Value {
        json!({ "model": self.name(), "parameters": self.predictor.parameter_count(), "trained_on": self.data })
    }

    fn normalised(&self, data: &Dataset) -> Result<Dataset, Error> {
        let (here, there) = (data.row_shape(), Shape::from(&self.data.row_shape[..]));
        if !data.has_rows_like(&there) {
            let taker = match self.predictor.row().rank() {
                0 | 1 => "the model".to_owned(),
                _ => format!("layer `{}` of {}", self.predictor.first_layer(), self.name()),
            };
            let problem = format!("its rows are of {here}, and {taker} was trained on rows of {there}");
            return Err(Error::invalid(data.name(), problem, "give rows like those that it was trained on"));
        }
        let data = data.reshaped(there)?;
        self.normalisation.as_ref().map_or(Ok(data.clone()), |normalisation| normalisation.apply(&data))
    }
}

/// The first of some names.
fn shortened(names: &[String]) -> String {
    const SHOWN: usize = 6;
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<&str>>().join(", ");
    if names.len() > SHOWN { format!("{shown}, ..") } else { shown }
}
