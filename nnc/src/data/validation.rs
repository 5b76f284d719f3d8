//! Rows set aside, to judge by them what is not learned: settings, and when to stop.

use super::{Dataset, Targets};
use crate::Error;
use crate::trainer::shuffle::permutation;

/// The number of the epoch whose order chooses the rows; training does not come that far.
const EPOCH: u64 = u64::MAX;

impl Dataset {
    /// The rows but for a part (`fraction`, from 0 to 1) chosen at random by `seed`, and these, both in order. Of each class,
    /// the same part is set aside, rounded to whole rows; the same seed chooses the same rows.
    ///
    /// ```
    /// let (train, validation) = nnc::data::digits().0.split_validation(0.1, 42)?;
    /// assert_eq!((train.len(), validation.len()), (1294, 143));
    /// # Ok::<(), nnc::Error>(())
    /// ```
    ///
    /// # Errors
    /// Where the fraction is not at least 0 and below 1.
    pub fn split_validation(&self, fraction: f64, seed: u64) -> Result<(Dataset, Dataset), Error> {
        if !(0.0..1.0).contains(&fraction) {
            let help = "give a number of at least 0 and below 1";
            return Err(Error::invalid("the part for validation", format!("it is {fraction}"), help));
        }
        let (class_of, classes) = match self.targets() {
            Targets::Classes { labels, names } => (Some(labels), names.len()),
            Targets::Values { .. } => (None, 1),
        };
        let class = |row: usize| class_of.map_or(0, |labels| labels[row] as usize);
        let mut counts = vec![0usize; classes];
        (0..self.len()).for_each(|row| counts[class(row)] += 1);
        let part_of = |count| (count as f64 * fraction).round() as usize;
        let mut wanted: Vec<usize> = counts.into_iter().map(part_of).collect();
        let mut is_set_aside = vec![false; self.len()];
        for row in permutation(self.len(), seed, EPOCH) {
            let (row, wanted) = (row as usize, &mut wanted[class(row as usize)]);
            is_set_aside[row] = *wanted > 0;
            *wanted = wanted.saturating_sub(1);
        }
        Ok(self.split(|row| is_set_aside[row]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row i has the number i; of four rows, one is of class 1.
    fn numbers(rows: usize) -> Dataset {
        let labels = (0..rows as i64).map(|row| i64::from(row % 4 == 3)).collect();
        Dataset::new("numbers", [1], (0..rows).map(|row| row as f32).collect(), Targets::classes(labels, 2))
            .unwrap()
    }

    #[test]
    fn each_class_gives_the_same_part() {
        let (train, validation) = numbers(400).split_validation(0.2, 1).unwrap();
        let of_class_1 = |data: &Dataset| data.labels().unwrap().iter().sum::<i64>();
        assert_eq!((train.len(), of_class_1(&train)), (320, 80));
        assert_eq!((validation.len(), of_class_1(&validation)), (80, 20));
        let values = Dataset::new("values", [1], vec![0.0; 10], Targets::values(vec![0.0; 10], 1)).unwrap();
        assert_eq!(values.split_validation(0.34, 1).unwrap().1.len(), 3);
    }

    #[test]
    fn every_row_is_in_one_part_and_in_order() {
        let (train, validation) = numbers(50).split_validation(0.3, 1).unwrap();
        for part in [&train, &validation] {
            assert!(part.rows().windows(2).all(|pair| pair[0] < pair[1]));
        }
        let mut all = [train.rows(), validation.rows()].concat();
        all.sort_by(f32::total_cmp);
        assert_eq!(all, numbers(50).rows());
    }

    #[test]
    fn the_seed_chooses_the_rows() {
        let chosen = |seed| numbers(50).split_validation(0.3, seed).unwrap().1;
        assert_eq!(chosen(1), chosen(1));
        assert_ne!(chosen(1), chosen(2));
    }

    #[test]
    fn parts_that_cannot_be_are_errors() {
        assert_eq!(numbers(5).split_validation(0.0, 1).unwrap().0, numbers(5));
        for fraction in [-0.1, 1.0, f64::NAN] {
            let error = numbers(5).split_validation(fraction, 1).unwrap_err().to_string();
            let expected = format!("it is {fraction}; give a number of at least 0 and below 1");
            assert_eq!(error, format!("the part for validation: {expected}"));
        }
    }
}
