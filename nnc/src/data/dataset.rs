//! A data set: rows of numbers with a target each, checked when it is made so that training need not.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use ir::{Shape, Tensor};
use nn::supervised::{ROWS, TARGETS};

use super::arrays::{Arrays, Examples, are_alike};
#[cfg(feature = "data-csv")]
use super::csv::Encoding;
use super::exact::Exact;
use super::normalisation::Normalisation;
use super::pixels::Pixels;
use super::preparation::Preparation;
use super::targets::{MAX_CLASSES, PreciseTargets, Targets, rows_of};
use crate::Error;

/// Rows with their targets. All numbers are finite, and all labels below the number of classes. A clone shares them.
///
/// ```
/// use nnc::data::{Dataset, Targets};
/// let rows = vec![0.0, 0.1, 1.0, 0.9, 0.2, 0.0];
/// let dataset = Dataset::new("toy", [2], rows, Targets::classes(vec![0, 1, 0], 2))?;
/// assert_eq!((dataset.len(), dataset.features(), dataset.outputs()), (3, 2, 2));
/// assert_eq!(dataset.to_string(), "toy: 3 rows of [2], classes 0, 1");
/// # Ok::<(), nnc::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    name: Arc<str>,
    row_shape: Shape,
    len: usize,
    rows: Arc<Tensor>,
    targets: Arc<Targets>,
    /// What rows and target values were before they were rounded to f32, where that matters.
    exact_rows: Exact,
    exact_values: Exact,
    preparation: Preparation,
    remarks: Arc<[String]>,
    pixels: Option<Pixels>,
}

impl Dataset {
    /// The data set of these rows, each of shape `row_shape` (`[64]`; of an image `[channels, height, width]`), one
    /// after another in row-major order, and their targets.
    ///
    /// # Errors
    /// Where there are not as many rows as targets, or more than fit `u32`; a number is NaN or infinite, or a label
    /// is out of range (the row is named); or there are more than [`MAX_CLASSES`] classes.
    pub fn new(
        name: &str,
        row_shape: impl Into<Shape>,
        rows: Vec<f32>,
        targets: Targets,
    ) -> Result<Dataset, Error> {
        let (row_shape, invalid) =
            (row_shape.into(), |problem, help: &str| Error::invalid(name, problem, help));
        let width = row_shape.elements();
        let len = targets.rows().filter(|&len| len.checked_mul(width) == Some(rows.len()));
        let Some(len) = len.filter(|&len| u32::try_from(len).is_ok()) else {
            let counts = match &targets {
                Targets::Classes { labels, .. } => format!("{} labels", labels.len()),
                Targets::Values { values, names } => format!("{} values for {}", values.len(), names.len()),
            };
            let problem = format!("there are {} numbers for rows of {row_shape}, and {counts}", rows.len());
            return Err(invalid(problem, "give as many rows as targets, fewer than 2^32"));
        };
        if let Some(at) = rows.iter().position(|x| !x.is_finite()) {
            let problem = format!("row {}, column {} holds {}", at / width, at % width, rows[at]);
            return Err(invalid(problem, "give finite numbers"));
        }
        match &targets {
            Targets::Classes { names, .. } if names.len() > MAX_CLASSES => {
                let help = format!("give at most {MAX_CLASSES}, with labels from 0 on");
                return Err(invalid("there are too many classes".into(), &help));
            }
            Targets::Classes { labels, names } => {
                let is_class = |label: &i64| usize::try_from(*label).is_ok_and(|label| label < names.len());
                if let Some(row) = labels.iter().position(|label| !is_class(label)) {
                    let problem = format!("the label of row {row} is {}", labels[row]);
                    let help = format!("give labels from 0 to {}", names.len().saturating_sub(1));
                    return Err(invalid(problem, &help));
                }
            }
            Targets::Values { values, names } => {
                if let Some(at) = values.iter().position(|x| !x.is_finite()) {
                    let (row, name) = (at / names.len(), &names[at % names.len()]);
                    let problem = format!("the value `{name}` of row {row} is {}", values[at]);
                    return Err(invalid(problem, "give finite numbers"));
                }
            }
        }
        let (rows, targets) = (vector(rows), targets.into());
        Ok(Dataset {
            name: name.into(),
            row_shape,
            len,
            rows,
            targets,
            exact_rows: Exact::default(),
            exact_values: Exact::default(),
            preparation: Preparation::default(),
            remarks: [].into(),
            pixels: None,
        })
    }

    /// As [`Dataset::new`], of numbers that are rounded to `f32` only after they have been scaled: of seconds since 1970, `f32` would
    /// hold every 128th.
    ///
    /// ```
    /// use nnc::data::{Dataset, Normalisation, Targets};
    /// let seconds = vec![1.7e9, 1.7e9 + 1.0, 1.7e9 + 2.0];
    /// let data = Dataset::of_f64("times", [1], seconds, Targets::classes(vec![0; 3], 1))?;
    /// let scaled = Normalisation::to_unit_range(&data).apply(&data)?;
    /// assert_eq!(scaled.rows(), [0.0, 0.5, 1.0]);
    /// # Ok::<(), nnc::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Dataset::new`].
    pub fn of_f64(
        name: &str,
        row_shape: impl Into<Shape>,
        rows: Vec<f64>,
        targets: impl Into<PreciseTargets>,
    ) -> Result<Dataset, Error> {
        let row_shape = row_shape.into();
        let (targets, exact_values) = match targets.into() {
            PreciseTargets::Classes(targets) => (targets, Exact::default()),
            PreciseTargets::Values { values, names } => {
                let (rounded, width) = (rounded(&values), names.len());
                (Targets::Values { values: rounded, names }, Exact::of(values, width))
            }
        };
        let data = Dataset::new(name, row_shape, rounded(&rows), targets)?;
        let exact_rows = Exact::of(rows, data.features());
        Ok(Dataset { exact_rows, exact_values, ..data })
    }

    /// The same under another name.
    pub fn named(&self, name: &str) -> Dataset {
        Dataset { name: name.into(), ..self.clone() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The shape of a row.
    pub fn row_shape(&self) -> &Shape {
        &self.row_shape
    }

    /// The number of values in a row.
    pub fn features(&self) -> usize {
        self.row_shape.elements()
    }

    /// The targets of all rows.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// The number of outputs of a model that predicts the targets: the number of classes, or of values per row.
    pub fn outputs(&self) -> usize {
        self.targets.names().len()
    }

    /// The values of a row, in row-major order.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.rows()[index * self.features()..][..self.features()]
    }

    /// The values of all rows, `f32[rows, ..]`, in row-major order.
    pub fn rows(&self) -> &[f32] {
        self.rows.as_slice().expect("rows are f32")
    }

    /// The values of all rows as a tensor `[rows, ..]`.
    pub fn tensor(&self) -> Tensor {
        let shape: Shape = [self.len].into_iter().chain(self.row_shape.iter().copied()).collect();
        Tensor::new(shape, self.rows().to_vec()).expect("as many as there are")
    }

    /// The same rows, whose numbers are these pixels; `None` where they are other numbers.
    pub fn with_pixels(&self, pixels: Option<Pixels>) -> Dataset {
        Dataset { pixels, ..self.clone() }
    }

    /// Which numbers are black and white in its rows, before they are normalised, where they are images.
    pub fn pixels(&self) -> Option<Pixels> {
        self.pixels
    }

    /// How its rows were scaled, where they were.
    pub fn normalisation(&self) -> Option<&Normalisation> {
        self.preparation.normalisation.as_ref()
    }

    /// How its target values were scaled, where they were.
    pub fn target_normalisation(&self) -> Option<&Normalisation> {
        self.preparation.target_normalisation.as_ref()
    }

    /// How the rows of a table became its rows.
    #[cfg(feature = "data-csv")]
    pub fn encoding(&self) -> Option<&Encoding> {
        self.preparation.encoding.as_ref()
    }

    /// What was done to its rows and targets.
    pub fn preparation(&self) -> &Preparation {
        &self.preparation
    }

    /// What who gave the file should know of how it was read: columns that were not used, rows that were left out.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// The same, of a table that became it by this encoding.
    #[cfg(feature = "data-csv")]
    pub(super) fn with_encoding(self, encoding: Encoding, remarks: Vec<String>) -> Dataset {
        let preparation = Preparation { encoding: Some(encoding), ..self.preparation };
        Dataset { preparation, remarks: remarks.into(), ..self }
    }

    /// Whether its rows are known as they were before they were rounded to `f32`.
    #[cfg(feature = "data-npy")]
    pub(super) fn is_exact(&self) -> bool {
        self.exact_rows.is_kept()
    }

    /// The numbers at these places of a row, before they were rounded where that is known.
    pub(super) fn exact_row(&self, row: usize, places: Range<usize>) -> impl Iterator<Item = f64> {
        let start = row * self.features();
        self.exact_rows.or(self.rows(), start + places.start..start + places.end)
    }

    /// All target values, row-major, before they were rounded where that is known.
    pub(super) fn exact_values(&self) -> impl Iterator<Item = f64> {
        let values = self.values().unwrap_or_default();
        self.exact_values.or(values, 0..values.len())
    }

    /// Rows that this normalisation has made, in the place of its own.
    pub(super) fn with_rows(&self, rows: Vec<f32>, normalisation: Normalisation) -> Result<Dataset, Error> {
        let scaled = Dataset::new(self.name(), self.row_shape.clone(), rows, self.targets().clone())?;
        let preparation = Preparation { normalisation: Some(normalisation), ..self.preparation.clone() };
        let exact_values = self.exact_values.clone();
        Ok(Dataset {
            preparation,
            exact_values,
            remarks: Arc::clone(&self.remarks),
            pixels: self.pixels,
            ..scaled
        })
    }

    /// Target values that this normalisation has made, in the place of its own.
    pub(super) fn with_values(
        &self,
        values: Vec<f32>,
        normalisation: Normalisation,
    ) -> Result<Dataset, Error> {
        let targets = Targets::Values { values, names: self.targets.names().to_vec() };
        let scaled = Dataset::new(self.name(), self.row_shape.clone(), self.rows().to_vec(), targets)?;
        let preparation =
            Preparation { target_normalisation: Some(normalisation), ..self.preparation.clone() };
        let exact_rows = self.exact_rows.clone();
        Ok(Dataset {
            preparation,
            exact_rows,
            remarks: Arc::clone(&self.remarks),
            pixels: self.pixels,
            ..scaled
        })
    }

    /// The classes of the rows; `None` where the targets are values.
    pub fn labels(&self) -> Option<&[i64]> {
        match &*self.targets {
            Targets::Classes { labels, .. } => Some(labels),
            Targets::Values { .. } => None,
        }
    }

    /// The target values, `f32[rows, outputs]`; `None` where the targets are classes.
    pub fn values(&self) -> Option<&[f32]> {
        match &*self.targets {
            Targets::Classes { .. } => None,
            Targets::Values { values, .. } => Some(values),
        }
    }

    /// The same rows in another shape, as `[64]` for `[1, 8, 8]`.
    ///
    /// # Errors
    /// Where the shape has another number of elements.
    pub fn reshaped(&self, row_shape: impl Into<Shape>) -> Result<Dataset, Error> {
        let row_shape = row_shape.into();
        if row_shape.elements() != self.features() {
            let problem = format!("its rows are of {}, which cannot become {row_shape}", self.row_shape);
            let help = format!("give a shape of {} elements", self.features());
            return Err(Error::invalid(self.name(), problem, help));
        }
        Ok(Dataset { row_shape, ..self.clone() })
    }

    /// Whether its rows can be taken for rows of this shape: as many values and, where neither are vectors, the same
    /// extents but for those of 1. An image of 4 by 9 is not one of 6 by 6.
    pub fn has_rows_like(&self, row_shape: &Shape) -> bool {
        are_alike(&self.row_shape, row_shape)
    }

    /// The same rows with a value per class as targets: 1 for the class of the row, 0 for the others. A data set of
    /// values stays as it is.
    pub fn one_hot(&self) -> Dataset {
        let Targets::Classes { labels, names } = &*self.targets else { return self.clone() };
        let mut values = vec![0.0; labels.len() * names.len()];
        let rows = values.chunks_exact_mut(names.len().max(1)).zip(labels);
        rows.for_each(|(row, &label)| row[label as usize] = 1.0);
        let targets = Targets::Values { values, names: names.clone() }.into();
        Dataset { targets, ..self.clone() }
    }

    /// These rows, in this order.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn subset(&self, rows: &[u32]) -> Dataset {
        Dataset {
            name: Arc::clone(&self.name),
            row_shape: self.row_shape.clone(),
            len: rows.len(),
            rows: vector(rows_of(self.rows(), self.features(), rows)),
            targets: self.targets.of_rows(rows).into(),
            exact_rows: self.exact_rows.of_rows(self.features(), rows),
            exact_values: self.exact_values.of_rows(self.outputs(), rows),
            preparation: self.preparation.clone(),
            remarks: Arc::clone(&self.remarks),
            pixels: self.pixels,
        }
    }

    /// These rows, and after them those of a data set that is like this one.
    ///
    /// # Errors
    /// Where there are too many.
    pub(super) fn followed_by(&self, others: &Dataset) -> Result<Dataset, Error> {
        let targets = match (self.targets(), others.targets()) {
            (Targets::Classes { labels: a, names }, Targets::Classes { labels: b, .. }) => {
                Targets::Classes { labels: [&a[..], b].concat(), names: names.clone() }
            }
            (Targets::Values { values: a, names }, Targets::Values { values: b, .. }) => {
                Targets::Values { values: [&a[..], b].concat(), names: names.clone() }
            }
            (targets, _) => targets.clone(), // of other rows; `new` checks their number
        };
        let rows = [self.rows(), others.rows()].concat();
        let joined = Dataset::new(self.name(), self.row_shape.clone(), rows, targets)?;
        let values = |data: &'_ Dataset| data.values().unwrap_or_default().to_vec();
        let exact_values = (&others.exact_values, &values(others)[..]);
        Ok(Dataset {
            exact_rows: self.exact_rows.followed_by(self.rows(), (&others.exact_rows, others.rows())),
            exact_values: self.exact_values.followed_by(&values(self), exact_values),
            preparation: self.preparation.clone(),
            remarks: Arc::clone(&self.remarks),
            pixels: self.pixels,
            ..joined
        })
    }

    /// The rows for which `is_held_out(index)` is false, and those for which it is true, both in order.
    pub fn split(&self, is_held_out: impl Fn(usize) -> bool) -> (Dataset, Dataset) {
        let (held_out, rest): (Vec<u32>, Vec<u32>) =
            (0..self.len as u32).partition(|&index| is_held_out(index as usize));
        (self.subset(&rest), self.subset(&held_out))
    }

    /// The rows but for every fifth from the first on, and these.
    ///
    /// ```
    /// let all = nnc::data::synthetic::spirals(2, 100, 0)?;
    /// let (train, test) = all.split_off_every_fifth();
    /// assert_eq!((train.len(), test.len(), test.row(1)), (80, 20, all.row(5)));
    /// # Ok::<(), nnc::Error>(())
    /// ```
    pub fn split_off_every_fifth(&self) -> (Dataset, Dataset) {
        self.split(|index| index.is_multiple_of(5))
    }
}

fn rounded(numbers: &[f64]) -> Vec<f32> {
    numbers.iter().map(|&number| number as f32).collect()
}

impl Examples for Dataset {
    /// The rows as `x`, and the targets as `y`: `i64[]`, the class, or `f32[outputs]`.
    fn arrays(&self) -> Arrays {
        let (targets, row) = match &*self.targets {
            Targets::Classes { labels, .. } => {
                (Tensor::new([labels.len()], labels.clone()).expect("as many as there are"), Shape::new(&[]))
            }
            Targets::Values { values, names } => {
                let values = Tensor::new([values.len()], values.clone());
                (values.expect("as many as there are"), Shape::new(&[names.len()]))
            }
        };
        let columns =
            vec![(ROWS, self.row_shape.clone(), Arc::clone(&self.rows)), (TARGETS, row, Arc::new(targets))];
        Arrays::checked(Arc::clone(&self.name), self.len, columns)
    }

    fn dataset(&self) -> Option<&Dataset> {
        Some(self)
    }
}

/// Elements that are shared.
fn vector(elements: Vec<f32>) -> Arc<Tensor> {
    Arc::new(Tensor::new([elements.len()], elements).expect("as many as there are"))
}

/// The greatest number of names that are shown.
const SHOWN_NAMES: usize = 12;

impl fmt::Display for Dataset {
    /// `digits: 1437 rows of [1, 8, 8], classes 0, 1, 2, 3, 4, 5, 6, 7, 8, 9`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &*self.targets {
            Targets::Classes { .. } => "classes",
            Targets::Values { .. } => "values",
        };
        write!(f, "{}: {} rows of {}, ", self.name, self.len, self.row_shape)?;
        match self.targets.names() {
            names if names.len() <= SHOWN_NAMES => write!(f, "{kind} {}", names.join(", ")),
            names => write!(f, "{} {kind}", names.len()),
        }
    }
}

/// Checks that what a model is trained on is like what it is tested on.
pub(super) fn check_alike(train: &Dataset, test: &Dataset, subject: &str) -> Result<(), Error> {
    let traits = |set: &Dataset| {
        let kind = if set.labels().is_some() { "classes" } else { "values" };
        format!("rows of {} with {} {kind}", set.row_shape, set.outputs())
    };
    if traits(train) == traits(test) {
        return Ok(());
    }
    let problem = format!("to train on there are {}, to test on {}", traits(train), traits(test));
    Err(Error::invalid(subject, problem, "give rows and targets of one kind"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(rows: &[f32], labels: &[i64]) -> Result<Dataset, Error> {
        Dataset::new("toy", [2], rows.to_vec(), Targets::classes(labels.to_vec(), 3))
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
        let targets = Targets::values(vec![0.0, 1.0, f32::INFINITY, 3.0], 2);
        let error = message(Dataset::new("toy", [1], vec![0.0; 2], targets));
        assert_eq!(error, "toy: the value `0` of row 1 is inf; give finite numbers");
    }

    #[test]
    fn labels_out_of_range_are_errors_that_name_the_row() {
        let error = message(dataset(&[0.0; 4], &[2, 3]));
        assert_eq!(error, "toy: the label of row 1 is 3; give labels from 0 to 2");
        let error = message(dataset(&[0.0; 4], &[-1, 0]));
        assert_eq!(error, "toy: the label of row 0 is -1; give labels from 0 to 2");
        let error = message(Dataset::new("toy", [1], vec![0.0], Targets::classes(vec![0], usize::MAX)));
        assert_eq!(error, "toy: there are too many classes; give at most 65536, with labels from 0 on");
    }

    #[test]
    fn numbers_of_rows_that_differ_are_errors_that_show_both() {
        let expected = "toy: there are 4 numbers for rows of [2], and 3 labels; \
                        give as many rows as targets, fewer than 2^32";
        assert_eq!(message(dataset(&[0.0; 4], &[0, 0, 0])), expected);
        for (values, outputs) in [(3, 2), (1, 0), (8, 2)] {
            let targets = Targets::values(vec![0.0; values], outputs);
            let error = message(Dataset::new("toy", [2], vec![0.0; 4], targets));
            assert!(error.contains(&format!("and {values} values for {outputs}")), "{error}");
        }
        let huge = message(Dataset::new("toy", [usize::MAX, 2], vec![], Targets::classes(vec![0], 1)));
        assert!(huge.starts_with("toy: there are 0 numbers for rows of"), "{huge}");
    }

    #[test]
    fn rows_can_have_no_values() {
        let dataset = Dataset::new("toy", [0], vec![], Targets::classes(vec![0, 0], 1)).unwrap();
        assert_eq!((dataset.len(), dataset.row(1)), (2, [].as_slice()));
    }

    #[test]
    fn a_split_keeps_every_row_once_and_in_order() {
        let whole = dataset(&[0.0, 0.5, 1.0, 1.5, 2.0, 2.5], &[0, 1, 2]).unwrap();
        let (rest, held_out) = whole.split(|index| index == 1);
        assert_eq!((rest.len(), rest.row(1), rest.labels()), (2, [2.0, 2.5].as_slice(), Some(&[0, 2][..])));
        assert_eq!(
            (held_out.len(), held_out.row(0), held_out.labels()),
            (1, [1.0, 1.5].as_slice(), Some(&[1][..]))
        );
    }

    #[test]
    fn a_subset_takes_values_along() {
        let targets = Targets::values(vec![1.0, 2.0, 3.0, 4.0], 2);
        let whole = Dataset::new("toy", [1, 1], vec![0.5, 1.5], targets).unwrap();
        let subset = whole.subset(&[1, 0, 1]);
        assert_eq!(subset.values(), Some(&[3.0, 4.0, 1.0, 2.0, 3.0, 4.0][..]));
        assert_eq!((subset.row(0), subset.len(), subset.labels()), ([1.5].as_slice(), 3, None));
        assert_eq!(subset.to_string(), "toy: 3 rows of [1, 1], values 0, 1");
    }

    #[test]
    fn one_hot_values_are_1_for_the_class_of_the_row() {
        let hot = dataset(&[0.5; 4], &[2, 0]).unwrap().one_hot();
        assert_eq!(hot.values(), Some(&[0.0, 0.0, 1.0, 1.0, 0.0, 0.0][..]));
        assert_eq!((hot.row(1), hot.outputs(), hot.one_hot()), (&[0.5; 2][..], 3, hot.clone()));
    }

    #[test]
    fn another_shape_needs_as_many_elements() {
        let images = Dataset::new("toy", [1, 2, 2], vec![0.0; 8], Targets::classes(vec![0, 1], 99)).unwrap();
        assert_eq!(images.reshaped([4]).unwrap().to_string(), "toy: 2 rows of [4], 99 classes");
        let expected = "toy: its rows are of [1, 2, 2], which cannot become [3]; give a shape of 4 elements";
        assert_eq!(message(images.reshaped([3])), expected);
        let is_like = |row: &[usize]| images.has_rows_like(&row.into());
        assert_eq!(
            [&[4][..], &[2, 2], &[2, 1, 2], &[4, 1], &[2, 3]].map(is_like),
            [true, true, true, false, false]
        );
    }
}
