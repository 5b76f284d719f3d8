//! What is to be found out of the rows of a data set: classes or values.

#[cfg(feature = "data-csv")]
use crate::Error;

/// The greatest number of classes: more would be an index that was taken for a label.
pub const MAX_CLASSES: usize = 1 << 16;

/// What is to be found out of a row. `names` has an entry for each output of a model that predicts it.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// One of some classes.
    Classes {
        /// The class of each row, from 0 to `names.len() - 1`.
        labels: Vec<i64>,
        /// The names of the classes.
        names: Vec<String>,
    },
    /// Numbers, of which each row has as many as there are names.
    Values {
        /// `f32[rows, names.len()]`, row-major; finite.
        values: Vec<f32>,
        /// The names of the numbers.
        names: Vec<String>,
    },
}

impl Targets {
    /// Classes that are named by their numbers, `0` to `classes - 1`.
    pub fn classes(labels: Vec<i64>, classes: usize) -> Targets {
        Targets::Classes { labels, names: numbered(classes.min(MAX_CLASSES + 1)) }
    }

    /// Numbers that are named by their index: `values` is `f32[rows, outputs]`, row-major.
    pub fn values(values: Vec<f32>, outputs: usize) -> Targets {
        Targets::Values { values, names: numbered(outputs) }
    }

    /// The names of the classes or of the numbers.
    pub fn names(&self) -> &[String] {
        match self {
            Targets::Classes { names, .. } | Targets::Values { names, .. } => names,
        }
    }

    /// The number of rows, where there are as many targets as a number of rows can have.
    pub(super) fn rows(&self) -> Option<usize> {
        match self {
            Targets::Classes { labels, .. } => Some(labels.len()),
            Targets::Values { values, names } => {
                let is_whole = !names.is_empty() && values.len().is_multiple_of(names.len());
                is_whole.then(|| values.len() / names.len())
            }
        }
    }

    /// The targets of these rows.
    pub(super) fn of_rows(&self, rows: &[u32]) -> Targets {
        let names = self.names().to_vec();
        match self {
            Targets::Classes { labels, .. } => {
                Targets::Classes { labels: rows.iter().map(|&row| labels[row as usize]).collect(), names }
            }
            Targets::Values { values, .. } => {
                Targets::Values { values: rows_of(values, names.len(), rows), names }
            }
        }
    }
}

/// Targets whose values are not rounded to `f32` yet.
#[derive(Clone, Debug, PartialEq)]
pub enum PreciseTargets {
    /// Classes.
    Classes(Targets),
    /// Numbers, of which each row has as many as there are names.
    Values {
        /// `f64[rows, names.len()]`, row-major.
        values: Vec<f64>,
        /// The names of the numbers.
        names: Vec<String>,
    },
}

impl From<Targets> for PreciseTargets {
    fn from(targets: Targets) -> PreciseTargets {
        match targets {
            Targets::Values { values, names } => {
                PreciseTargets::Values { values: values.into_iter().map(f64::from).collect(), names }
            }
            classes => PreciseTargets::Classes(classes),
        }
    }
}

/// The number of classes that these labels are of: one more than the greatest. `subject` is what an error calls them.
///
/// # Errors
/// Where a label is negative, there are more than [`MAX_CLASSES`], or a class before the last has no row, but for class 0,
/// which some sets leave out: then the greatest label is a mistake. The row is named.
#[cfg(feature = "data-csv")]
pub(super) fn class_count(labels: &[i64], subject: &str) -> Result<usize, Error> {
    let label_is = |row: usize| format!("label {row} (from 0) is {}", labels[row]);
    let is_class = |label: &i64| (0..MAX_CLASSES as i64).contains(label);
    if let Some(row) = labels.iter().position(|label| !is_class(label)) {
        let help = format!("give labels from 0 to {}", MAX_CLASSES - 1);
        return Err(Error::invalid(subject, label_is(row), help));
    }
    let Some(&greatest) = labels.iter().max() else { return Ok(0) };
    let mut has_rows = vec![false; greatest as usize + 1];
    labels.iter().for_each(|&label| has_rows[label as usize] = true);
    if let Some(missing) = (1..has_rows.len()).find(|&class| !has_rows[class]) {
        let row =
            labels.iter().position(|&label| label as usize > missing).expect("the greatest is such a label");
        let problem = format!("{}, and none is {missing}", label_is(row));
        return Err(Error::invalid(subject, problem, "number the classes from 0 without gaps"));
    }
    Ok(has_rows.len())
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

/// The rows of `values`, `[.., width]`, that have these numbers.
pub(super) fn rows_of<T: Copy>(values: &[T], width: usize, rows: &[u32]) -> Vec<T> {
    rows.iter().flat_map(|&row| &values[row as usize * width..][..width]).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_class_more_than_the_greatest_label() {
        assert_eq!(class_count(&[2, 0, 1, 1], "y").unwrap(), 3);
        assert_eq!(class_count(&[1, 2], "y").unwrap(), 3);
        assert_eq!(class_count(&[], "y").unwrap(), 0);
    }

    #[test]
    fn labels_that_no_classes_have_are_errors_that_name_the_row() {
        let problem = |labels: &[i64]| class_count(labels, "y").unwrap_err().to_string();
        assert_eq!(problem(&[0, -7]), "y: label 1 (from 0) is -7; give labels from 0 to 65535");
        assert_eq!(
            problem(&[i64::MAX]),
            "y: label 0 (from 0) is 9223372036854775807; give labels from 0 to 65535"
        );
        let gap = "y: label 2 (from 0) is 9, and none is 2; number the classes from 0 without gaps";
        assert_eq!(problem(&[0, 1, 9, 3]), gap);
    }
}
