//! Data of which few rows have labels.

use ir::Tensor;
use nn::models::latent::UNLABELLED;
use nn::supervised::{ROWS, TARGETS};

use super::{Arrays, Dataset};
use crate::Error;
use crate::trainer::shuffle::permutation;

/// The number of the epoch whose order chooses the rows; training does not come that far.
const EPOCH: u64 = u64::MAX - 1;

/// The numbers of `count` rows, in order, that the seed chooses: of each class as many as of another, but for one more of the first classes where
/// they do not divide.
///
/// ```
/// let (train, _) = nnc::data::digits();
/// let rows = nnc::data::few_labels::balanced_rows(&train, 100, 0)?;
/// let labels = train.subset(&rows).labels().map(<[i64]>::to_vec);
/// assert_eq!(labels.into_iter().flatten().filter(|&label| label == 3).count(), 10);
/// # Ok::<(), nnc::Error>(())
/// ```
///
/// # Errors
/// Where targets are values, `count` is 0, or a class has fewer rows.
pub fn balanced_rows(data: &Dataset, count: usize, seed: u64) -> Result<Vec<u32>, Error> {
    let Some(labels) = data.labels() else {
        return Err(Error::invalid(data.name(), "its targets are values", "give data of classes"));
    };
    let names = data.targets().names();
    let classes = names.len().max(1);
    let mut wanted: Vec<usize> =
        (0..classes).map(|class| count / classes + usize::from(class < count % classes)).collect();
    let mut rows = Vec::with_capacity(count);
    for row in permutation(data.len(), seed, EPOCH) {
        let left = &mut wanted[labels[row as usize] as usize];
        if *left > 0 {
            *left -= 1;
            rows.push(row);
        }
    }
    let lacking = wanted.iter().position(|&left| left > 0);
    if count == 0 || lacking.is_some() {
        let problem = match lacking {
            Some(class) => format!("{count} rows have {} too few of class {}", wanted[class], names[class]),
            None => "there are to be none".to_owned(),
        };
        return Err(Error::invalid("labels", problem, "give at least 1, and fewer than each class has rows"));
    }
    rows.sort_unstable();
    Ok(rows)
}

/// The rows of a data set as `x`, and as `y` the labels of these rows alone; of the others [`UNLABELLED`].
///
/// # Errors
/// Where targets are values.
pub fn with_labels_of(data: &Dataset, rows: &[u32]) -> Result<Arrays, Error> {
    let Some(labels) = data.labels() else {
        return Err(Error::invalid(data.name(), "its targets are values", "give data of classes"));
    };
    let mut kept = vec![UNLABELLED; labels.len()];
    rows.iter().for_each(|&row| kept[row as usize] = labels[row as usize]);
    let kept = Tensor::new([labels.len()], kept).expect("there is one for each row");
    Arrays::new(data.name(), [(ROWS, data.tensor()), (TARGETS, kept)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Targets;

    fn data(labels: &[i64]) -> Dataset {
        let rows = (0..labels.len()).map(|row| row as f32).collect();
        Dataset::new("toy", [1], rows, Targets::classes(labels.to_vec(), 3)).unwrap()
    }

    #[test]
    fn classes_have_as_many_labels_and_other_rows_none() {
        let data = data(&[0, 1, 2, 0, 1, 2, 0, 1, 2]);
        let rows = balanced_rows(&data, 4, 7).unwrap();
        let arrays = with_labels_of(&data, &rows).unwrap();
        let labels = arrays.column(TARGETS).unwrap().elements().as_slice::<i64>().unwrap().to_vec();
        let count = |label: i64| labels.iter().filter(|&&it| it == label).count();
        assert_eq!([0, 1, 2, UNLABELLED].map(count), [2, 1, 1, 5]);
        assert!(rows.iter().all(|&row| labels[row as usize] == i64::from(row) % 3));
        assert_ne!(rows, balanced_rows(&data, 4, 8).unwrap());
    }

    #[test]
    fn labels_that_are_not_there_are_errors() {
        let message = |data: &Dataset, count| balanced_rows(data, count, 0).unwrap_err().to_string();
        let few = data(&[0, 1, 1, 2]);
        assert_eq!(
            message(&few, 4),
            "labels: 4 rows have 1 too few of class 0; give at least 1, and fewer than each class has rows"
        );
        assert!(message(&few, 0).starts_with("labels: there are to be none; give at least 1"));
        let values = Dataset::new("toy", [1], vec![0.0], Targets::values(vec![0.0], 1)).unwrap();
        assert_eq!(message(&values, 1), "toy: its targets are values; give data of classes");
        let error = with_labels_of(&values, &[]).unwrap_err().to_string();
        assert_eq!(error, "toy: its targets are values; give data of classes");
    }
}
