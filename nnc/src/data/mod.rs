//! Data sets: rows of features with a class each, checked when they are made so that training need not.

pub mod digits;

use ir::{Tensor, Type};

use crate::Error;

pub use digits::digits;

/// Labelled rows. All features are finite and all labels below the number of classes.
///
/// ```
/// use ir::Tensor;
/// use nnc::data::Dataset;
/// let features = Tensor::new([3, 2], vec![0.0f32, 0.1, 1.0, 0.9, 0.2, 0.0]).unwrap();
/// let labels = Tensor::new([3], vec![0i64, 1, 0]).unwrap();
/// let dataset = Dataset::new("toy", features, labels, 2)?;
/// assert_eq!((dataset.len(), dataset.features(), dataset.classes()), (3, 2, 2));
/// # Ok::<(), nnc::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    name: String,
    rows: Vec<f32>,
    labels: Vec<i64>,
    features: usize,
    classes: usize,
}

impl Dataset {
    /// The data set of these features, `f32[rows, features]`, and labels, `i64[rows]`, each from 0 to `classes - 1`.
    ///
    /// # Errors
    /// Where types or numbers of rows differ from that, a feature is NaN or infinite (the row and the column are
    /// named), or a label is out of range (the row is named).
    pub fn new(name: &str, features: Tensor, labels: Tensor, classes: usize) -> Result<Dataset, Error> {
        let wrong_types = |features: &Type, labels: &Type| {
            let problem = format!("the features are {features}, the labels {labels}");
            Error::invalid(name, problem, "give features f32[rows, columns] and labels i64[rows]")
        };
        let (Some(rows), Some(all_labels)) = (features.as_slice::<f32>(), labels.as_slice::<i64>()) else {
            return Err(wrong_types(&features.ty(), &labels.ty()));
        };
        if features.shape().rank() != 2 || labels.shape()[..] != features.shape()[..1] {
            return Err(wrong_types(&features.ty(), &labels.ty()));
        }
        let columns = features.shape()[1];
        if let Some(at) = rows.iter().position(|x| !x.is_finite()) {
            let problem = format!("row {}, column {} holds {}", at / columns, at % columns, rows[at]);
            return Err(Error::invalid(name, problem, "give finite numbers"));
        }
        let is_class = |label: &i64| usize::try_from(*label).is_ok_and(|label| label < classes);
        if let Some(row) = all_labels.iter().position(|label| !is_class(label)) {
            let problem = format!("the label of row {row} is {}", all_labels[row]);
            return Err(Error::invalid(
                name,
                problem,
                format!("give labels from 0 to {}", classes.saturating_sub(1)),
            ));
        }
        let (rows, labels) = (rows.to_vec(), all_labels.to_vec());
        Ok(Dataset { name: name.to_owned(), rows, labels, features: columns, classes })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The number of values in a row.
    pub fn features(&self) -> usize {
        self.features
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The features of a row.
    ///
    /// # Panics
    /// Where there is no such row; so does [`Dataset::label`].
    pub fn row(&self, index: usize) -> &[f32] {
        &self.rows[index * self.features..][..self.features]
    }

    /// The class of a row.
    pub fn label(&self, index: usize) -> i64 {
        self.labels[index]
    }

    /// The rows for which `is_held_out(index)` is false, and those for which it is true, both in order.
    pub fn split(&self, is_held_out: impl Fn(usize) -> bool) -> (Dataset, Dataset) {
        let part = |held_out: bool| {
            let chosen: Vec<usize> =
                (0..self.len()).filter(|&index| is_held_out(index) == held_out).collect();
            Dataset {
                name: self.name.clone(),
                rows: chosen.iter().flat_map(|&index| self.row(index)).copied().collect(),
                labels: chosen.iter().map(|&index| self.label(index)).collect(),
                features: self.features,
                classes: self.classes,
            }
        };
        (part(false), part(true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::DType;

    fn dataset(features: &[f32], labels: &[i64]) -> Result<Dataset, Error> {
        let features = Tensor::new([features.len() / 2, 2], features.to_vec()).unwrap();
        Dataset::new("toy", features, Tensor::new([labels.len()], labels.to_vec()).unwrap(), 3)
    }

    fn message(result: Result<Dataset, Error>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn nan_is_an_error_that_names_row_and_column() {
        let error = message(dataset(&[0.0, 1.0, 2.0, f32::NAN], &[0, 1]));
        assert_eq!(error, "toy: row 1, column 1 holds NaN; give finite numbers");
        let error = message(dataset(&[0.0, 1.0, f32::NEG_INFINITY, 3.0], &[0, 1]));
        assert_eq!(error, "toy: row 1, column 0 holds -inf; give finite numbers");
    }

    #[test]
    fn labels_out_of_range_are_errors_that_name_the_row() {
        let error = message(dataset(&[0.0; 4], &[2, 3]));
        assert_eq!(error, "toy: the label of row 1 is 3; give labels from 0 to 2");
        let error = message(dataset(&[0.0; 4], &[-1, 0]));
        assert_eq!(error, "toy: the label of row 0 is -1; give labels from 0 to 2");
    }

    #[test]
    fn types_that_do_not_fit_are_errors_that_show_both() {
        let expected = "toy: the features are f32[2, 2], the labels i64[3]; \
                        give features f32[rows, columns] and labels i64[rows]";
        assert_eq!(message(dataset(&[0.0; 4], &[0, 0, 0])), expected);
        let features = Tensor::zeros(&Type::new(DType::F64, [1, 1]));
        let labels = Tensor::zeros(&Type::new(DType::I64, [1]));
        let error = message(Dataset::new("toy", features, labels, 1));
        assert!(error.starts_with("toy: the features are f64[1, 1], the labels i64[1]"), "{error}");
    }

    #[test]
    fn a_split_keeps_every_row_once_and_in_order() {
        let whole = dataset(&[0.0, 0.5, 1.0, 1.5, 2.0, 2.5], &[0, 1, 2]).unwrap();
        let (rest, held_out) = whole.split(|index| index == 1);
        assert_eq!((rest.len(), rest.row(1), rest.label(1)), (2, [2.0, 2.5].as_slice(), 2));
        assert_eq!((held_out.len(), held_out.row(0), held_out.label(0)), (1, [1.0, 1.5].as_slice(), 1));
    }
}
