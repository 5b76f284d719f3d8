//! What is for training and what for testing.

use super::{Dataset, Targets};
use crate::Error;
use crate::trainer::shuffle::permutation;

/// The number of the epoch whose order chooses the rows for testing; training does not come that far, and validation has another.
const EPOCH: u64 = u64::MAX - 1;

/// What a file holds: rows, and where it says which are for testing, these apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    /// All rows, or those for training.
    pub rows: Dataset,
    /// Those for testing, where they are apart.
    pub test: Option<Dataset>,
}

impl Parts {
    /// Rows of which none is for testing yet.
    pub fn whole(rows: Dataset) -> Parts {
        Parts { rows, test: None }
    }

    /// Rows for training, and others for testing.
    pub fn apart((train, test): (Dataset, Dataset)) -> Parts {
        Parts { rows: train, test: Some(test) }
    }

    /// The rows for training and for testing: where they are not apart, [a fifth](Dataset::split_test) is for testing.
    pub fn split(self, seed: u64) -> (Dataset, Dataset) {
        match self.test {
            None => self.rows.split_test(seed),
            Some(test) => (self.rows, test),
        }
    }

    /// All rows.
    ///
    /// # Errors
    /// Where those for testing are not like those for training.
    pub fn joined(self) -> Result<Dataset, Error> {
        match self.test {
            None => Ok(self.rows),
            Some(test) => self.rows.with(&test),
        }
    }
}

impl Dataset {
    /// The rows but for a fifth that is chosen at random by `seed`, and this, both in order. Of each class a fifth is chosen, and one
    /// row at least is left.
    ///
    /// ```
    /// let all = nnc::data::synthetic::spirals(2, 100, 0)?;
    /// let (train, test) = all.split_test(0);
    /// assert_eq!((train.len(), test.len()), (80, 20));
    /// # Ok::<(), nnc::Error>(())
    /// ```
    pub fn split_test(&self, seed: u64) -> (Dataset, Dataset) {
        let mut order = permutation(self.len(), seed, EPOCH);
        if let Targets::Classes { labels, .. } = self.targets() {
            order.sort_by_key(|&row| labels[row as usize]); // which keeps the order within a class
        }
        let mut is_chosen = vec![false; self.len()];
        order.iter().step_by(5).for_each(|&row| is_chosen[row as usize] = true);
        let class_of = |row: u32| self.labels().map_or(0, |labels| labels[row as usize]);
        let classes = order.chunk_by(|&a, &b| class_of(a) == class_of(b));
        for rows in classes.filter(|rows| rows.iter().all(|&row| is_chosen[row as usize])).collect::<Vec<_>>()
        {
            is_chosen[rows[0] as usize] = false;
        }
        if let Some(&last) = order.last().filter(|_| !is_chosen.contains(&true)) {
            is_chosen[last as usize] = true; // where each row is the only one of its class
        }
        self.split(|row| is_chosen[row])
    }

    /// These rows, and after them those of another.
    ///
    /// # Errors
    /// Where the others are of another shape, or have targets of another kind or number.
    pub fn with(&self, others: &Dataset) -> Result<Dataset, Error> {
        super::dataset::check_alike(self, others, self.name())?;
        self.followed_by(others)
    }
}

/// The classes of one of two parts that have no rows in the other, in words; `None` where there are none.
///
/// ```
/// use nnc::data::{Dataset, Targets, parts::absent_classes};
/// let of = |labels: Vec<i64>| Dataset::new("toy", [1], vec![0.0; labels.len()], Targets::classes(labels, 3));
/// assert_eq!(absent_classes(&of(vec![0, 1])?, &of(vec![1, 0])?), None);
/// let words = absent_classes(&of(vec![0, 1])?, &of(vec![1, 2])?);
/// assert_eq!(words.as_deref(), Some("to train on there is no row of 2; to test on there is no row of 0"));
/// # Ok::<(), nnc::Error>(())
/// ```
pub fn absent_classes(train: &Dataset, test: &Dataset) -> Option<String> {
    let has_rows = |data: &Dataset| {
        let mut has_rows = vec![false; data.outputs()];
        data.labels().unwrap_or_default().iter().for_each(|&label| has_rows[label as usize] = true);
        has_rows
    };
    let (in_train, in_test) = (has_rows(train), has_rows(test));
    let absent = |here: &[bool], there: &[bool], what: &str| {
        let names = train.targets().names().iter().zip(here.iter().zip(there));
        let names: Vec<String> = names
            .filter(|(_, (here, there))| !**here && **there)
            .map(|(name, _)| name.escape_debug().to_string())
            .collect();
        let more = if names.len() > SHOWN_NAMES { ", .." } else { "" };
        let shown = names[..names.len().min(SHOWN_NAMES)].join(", ");
        (!names.is_empty()).then(|| format!("to {what} on there is no row of {shown}{more}"))
    };
    let parts = [absent(&in_train, &in_test, "train"), absent(&in_test, &in_train, "test")];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// The most classes that are named.
const SHOWN_NAMES: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// Row i has the number i, and is of the class that `class` says.
    fn numbers(rows: usize, class: impl Fn(usize) -> i64) -> Dataset {
        let labels: Vec<i64> = (0..rows).map(class).collect();
        let classes = labels.iter().max().map_or(0, |&most| most as usize + 1);
        let features = (0..rows).map(|row| row as f32).collect();
        Dataset::new("numbers", [1], features, Targets::classes(labels, classes)).unwrap()
    }

    fn rows_of_class(data: &Dataset, class: i64) -> usize {
        data.labels().unwrap().iter().filter(|&&label| label == class).count()
    }

    /// Five machines in turn, and days one after another: a fifth of the rows by their order would be those of one.
    #[test]
    fn rows_in_turn_and_in_sorted_order_are_both_split_into_parts_of_all_classes() {
        for data in [numbers(500, |row| row as i64 % 5), numbers(500, |row| row as i64 / 100)] {
            let (train, test) = data.split_test(0);
            for class in 0..5 {
                let test = rows_of_class(&test, class);
                assert_eq!(rows_of_class(&train, class) + test, 100);
                assert!((19..=20).contains(&test), "{test} of class {class}");
            }
            assert_eq!(absent_classes(&train, &test), None);
        }
    }

    #[test]
    fn the_seed_chooses_and_every_row_is_in_one_part() {
        let data = numbers(103, |row| i64::from(row % 3 == 0));
        let (train, test) = data.split_test(7);
        assert_eq!(data.split_test(7), (train.clone(), test.clone()));
        assert_ne!(data.split_test(8).1, test);
        let mut all = [train.rows(), test.rows()].concat();
        all.sort_by(f32::total_cmp);
        assert_eq!(all, data.rows());
        assert!(test.rows().windows(2).all(|pair| pair[0] < pair[1]));
        let values = Dataset::new("v", [1], vec![0.0; 10], Targets::values(vec![0.0; 10], 1)).unwrap();
        assert_eq!(values.split_test(0).1.len(), 2);
    }

    #[test]
    fn a_class_of_few_rows_keeps_one_to_train_on() {
        for rows in 2..40 {
            let (train, test) = numbers(rows, |row| if row < 3 { row as i64 } else { 3 }).split_test(1);
            assert!(!test.is_empty() && !train.is_empty(), "{rows}");
            if rows > 4 {
                assert!((0..4).all(|class| rows_of_class(&train, class) > 0), "{rows}");
            }
        }
        assert_eq!(numbers(0, |_| 0).split_test(0).1.len(), 0);
    }

    #[test]
    fn parts_are_joined_where_they_are_alike() {
        let (train, test) = numbers(10, |row| row as i64 % 2).split_test(0);
        let parts = Parts::apart((train.clone(), test.clone()));
        let all = parts.joined().unwrap();
        assert_eq!((all.len(), all.row(9)), (10, test.row(test.len() - 1)));
        let bright = train.with_pixels(Some(crate::data::Pixels::BYTES));
        assert_eq!(bright.with(&test).unwrap().pixels(), bright.pixels());
        let seconds = |from: f64| {
            let rows = (0..3).map(|second| from + f64::from(second)).collect();
            Dataset::of_f64("t", [1], rows, Targets::classes(vec![0; 3], 1)).unwrap()
        };
        let all = seconds(1.7e9).with(&seconds(1.7e9 + 3.0)).unwrap();
        let scaled = crate::data::Normalisation::to_unit_range(&all).apply(&all).unwrap();
        assert!(scaled.rows().windows(2).all(|pair| pair[0] < pair[1]), "{:?}", scaled.rows());
        let other = Parts::apart((train, numbers(10, |row| row as i64 % 3)));
        assert!(other.joined().unwrap_err().to_string().contains("give rows and targets of one kind"));
    }
}
