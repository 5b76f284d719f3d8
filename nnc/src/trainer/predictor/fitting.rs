//! Whether examples fit a network: their rows, targets, labels and lengths, and the numbers in them.

use ir::{DType, Tensor, Type};
use nn::models::latent::UNLABELLED;
use nn::sequence::LENGTHS;
use nn::supervised::{PREDICTION, ROWS, TARGETS};

use super::Predictor;
use crate::Error;
use crate::data::sequences::check_lengths;
use crate::data::{Arrays, Dataset, Examples, Targets, domains};

impl Predictor {
    /// The arrays that its loss is computed from, where the examples fit: rows and targets.
    pub(in crate::trainer) fn that_fit(&self, data: &dyn Examples) -> Result<Arrays, Error> {
        let arrays = data.arrays();
        if arrays.is_empty() {
            return Err(Error::invalid(arrays.name(), "there are no rows", "give at least one"));
        }
        if let (Some(dataset), Some(_)) = (data.dataset(), self.evaluated.input(ROWS)) {
            if let Some(target) = self.evaluated.input(TARGETS) {
                self.check_targets(dataset, target)?;
            }
            let fitting = self.with_rows_that_fit(dataset)?.arrays().for_inputs(self.evaluated.inputs())?;
            self.check_domains_of(&fitting)?;
            return Ok(fitting);
        }
        let fitting = arrays.for_inputs(self.evaluated.inputs())?;
        check_lengths_of(&fitting)?;
        let labels = fitting.column(TARGETS).and_then(|targets| targets.elements().as_slice::<i64>());
        self.check_labels(arrays.name(), labels.unwrap_or_default())?;
        self.check_domains_of(&fitting)?;
        Ok(fitting)
    }

    /// Checks that examples fit the network, as they are checked where it is trained or evaluated on them.
    ///
    /// # Errors
    /// Where there are none, an array is missing or of another type, or holds numbers that the loss is not for: the row is named, and
    /// what is in it.
    pub fn check(&self, data: &dyn Examples) -> Result<(), Error> {
        self.that_fit(data).map(drop)
    }

    fn check_domains_of(&self, arrays: &Arrays) -> Result<(), Error> {
        let columns = arrays.columns().iter().map(|column| (column.name(), column.elements()));
        self.check_domains(arrays.name(), columns, arrays.len())
    }

    /// Checks that arrays of so many rows hold numbers that the loss is for.
    pub(in crate::trainer) fn check_domains<'a>(
        &self,
        subject: &str,
        arrays: impl Iterator<Item = (&'a str, &'a Tensor)>,
        rows: usize,
    ) -> Result<(), Error> {
        for (name, elements) in arrays {
            let Some((_, domain)) = self.domains.iter().find(|(input, _)| input == name) else { continue };
            domains::check(subject, (name, elements), rows, *domain)?;
        }
        Ok(())
    }

    /// Checks labels `y` of what is predicted as `prediction`: a loss would leave out those of no class.
    pub(in crate::trainer) fn check_labels(&self, subject: &str, labels: &[i64]) -> Result<(), Error> {
        let outputs = self.outputs();
        let is_class = |label: &i64| usize::try_from(*label).is_ok_and(|label| label < outputs);
        let is_sound = |label: &i64| is_class(label) || (self.takes_unlabelled && *label == UNLABELLED);
        match labels.iter().position(|label| !is_sound(label)).filter(|_| self.predicts()) {
            None => Ok(()),
            Some(row) => {
                let problem = format!("the label of row {row} is {}", labels[row]);
                let none = if self.takes_unlabelled { ", or -1 where there is none" } else { "" };
                let help = format!("give labels from 0 to {}{none}", outputs.saturating_sub(1));
                Err(Error::invalid(subject, problem, help))
            }
        }
    }

    /// Whether its first result is what is predicted of the targets.
    pub(super) fn predicts(&self) -> bool {
        self.in_use.outputs.first().is_some_and(|(name, _)| name == PREDICTION)
    }

    /// Checks the targets of a data set against what the loss takes, `[1]` or `[1, outputs]`.
    fn check_targets(&self, data: &Dataset, target: &Type) -> Result<(), Error> {
        let invalid = |problem: String, help: &str| Err(Error::invalid(data.name(), problem, help));
        let has_labels = target.dtype == DType::I64;
        match data.targets() {
            Targets::Classes { .. } if !has_labels => invalid(
                "its targets are classes, the loss is one of values".into(),
                "choose a loss of classes",
            ),
            Targets::Values { .. } if has_labels => invalid(
                "its targets are values, the loss is one of classes".into(),
                "choose a loss of values",
            ),
            Targets::Classes { names, .. } if self.predicts() && names.len() > self.outputs() => {
                let problem =
                    format!("there are {} classes, the model returns {} logits", names.len(), self.outputs());
                invalid(problem, "make the last layer of the model as wide as there are classes")
            }
            Targets::Values { names, .. } if names.len() != target.shape.elements() => {
                let outputs = target.shape.elements();
                let problem = format!("a row has {} targets, the model returns {outputs}", names.len());
                invalid(problem, "make the last layer of the model as wide as there are targets")
            }
            _ => Ok(()),
        }
    }

    /// The data set with rows in the shape that the network takes, whatever its targets.
    ///
    /// # Errors
    /// Where its rows are of another size.
    pub fn with_rows_that_fit(&self, data: &Dataset) -> Result<Dataset, Error> {
        let (given, wanted) = (data.row_shape(), self.row());
        if data.features() != wanted.elements() && wanted.rank() < 2 {
            let problem =
                format!("a row has {} values, the model takes {}", data.features(), wanted.elements());
            let help = "make the first layer of the model as wide as a row";
            return Err(Error::invalid(data.name(), problem, help));
        }
        if !data.has_rows_like(&wanted) {
            let layer = self.first_layer();
            let problem = format!("its rows are of {given}, layer `{layer}` of {} takes {wanted}", self.name);
            return Err(Error::invalid(
                data.name(),
                problem,
                "give images of this size, or make the model for theirs",
            ));
        }
        data.reshaped(wanted)
    }

    /// The scope of the first layer that has weights.
    pub fn first_layer(&self) -> &str {
        let weight = self.states.first().map_or(ROWS, |(name, _)| name.as_str());
        weight.rsplit_once('.').map_or(weight, |(scope, _)| scope)
    }
}

/// Checks the lengths among arrays, where there are some: a program would take one that is beyond the rows for theirs.
fn check_lengths_of(arrays: &Arrays) -> Result<(), Error> {
    let (Some(lengths), Some(rows)) = (arrays.column(LENGTHS), arrays.column(ROWS)) else { return Ok(()) };
    let steps = rows.row().shape.first().copied().unwrap_or(0);
    match lengths.elements().as_slice::<i64>() {
        Some(lengths) => check_lengths(arrays.name(), lengths, steps),
        None => Ok(()),
    }
}
