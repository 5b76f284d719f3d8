//! Sequences of different lengths. Batches are padded to the longest of their rows; so that little is padding, rows of like
//! lengths come together: an epoch is shuffled, each window of some batches is sorted by length, and the batches are
//! shuffled again.

use ir::Tensor;
use nn::sequence::LENGTHS;
use nn::supervised::{ROWS, TARGETS};

use super::{NO_TARGET, check_below, check_lengths};
use crate::Error;
use crate::data::arrays::Arrays;
use crate::trainer::shuffle::permutation;

/// The number of batches that are sorted together.
const WINDOW: usize = 16;
/// What is added to the number of the epoch for the order of its batches, beside that of its rows.
const ORDER_OF_BATCHES: u64 = 1 << 63;
/// The token that rows are padded with. What it is does not matter: a length says where a row ends.
const PADDING: i64 = 0;

/// The tokens of a row, and its targets.
type Row = (Vec<i64>, Vec<i64>);

/// Rows of tokens with targets, each row of a length of its own; the targets of a row may be more or fewer than its tokens.
///
/// ```
/// use nnc::data::sequences::VariableLength;
/// let rows = vec![(vec![1, 2, 3], vec![3, 2, 1]), (vec![2], vec![2])];
/// let words = VariableLength::new("words", rows, 4, 4)?;
/// let batch = words.batch(&[1, 0], 2)?;
/// assert_eq!((batch.steps(), batch.target_steps()), (4, 4)); // 3, rounded up to whole twos
/// assert_eq!(batch.lengths.as_slice::<i64>(), Some(&[1, 3][..]));
/// # Ok::<(), nnc::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct VariableLength {
    name: String,
    rows: Vec<Row>,
}

/// A batch of rows that are padded to one length, time first.
#[derive(Clone, Debug, PartialEq)]
pub struct PaddedBatch {
    /// The tokens, `i64[steps, rows]`, padded with 0.
    pub x: Tensor,
    /// How many of the tokens of each row are its own, `i64[rows]`.
    pub lengths: Tensor,
    /// The targets, `i64[steps, rows]`, padded with [`NO_TARGET`].
    pub y: Tensor,
}

impl PaddedBatch {
    /// The number of steps of the tokens.
    pub fn steps(&self) -> usize {
        self.x.shape()[0]
    }

    /// The number of steps of the targets.
    pub fn target_steps(&self) -> usize {
        self.y.shape()[0]
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.lengths.shape()[0]
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl VariableLength {
    /// Rows of tokens below `tokens`, and their targets below `classes`.
    ///
    /// # Errors
    /// Where there are no rows, or a token or a target is out of range (the row and the step are named).
    pub fn new(
        name: &str,
        rows: Vec<(Vec<i64>, Vec<i64>)>,
        tokens: usize,
        classes: usize,
    ) -> Result<VariableLength, Error> {
        if rows.is_empty() || u32::try_from(rows.len()).is_err() {
            let problem = format!("there are {} rows", rows.len());
            return Err(Error::invalid(name, problem, "give at least one, fewer than 2^32"));
        }
        for (number, (x, y)) in rows.iter().enumerate() {
            let subject = format!("{name}, row {number}");
            check_below(&subject, "token", x, x.len().max(1), 0, tokens)?;
            check_below(&subject, "target", y, y.len().max(1), NO_TARGET, classes)?;
        }
        Ok(VariableLength { name: name.to_owned(), rows })
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The tokens of a row and its targets.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn row(&self, row: usize) -> (&[i64], &[i64]) {
        let (x, y) = &self.rows[row];
        (x, y)
    }

    /// The rows of each batch of an epoch, `batch` at a time, those of like lengths together; each row is in one batch. It depends
    /// on the seed and the epoch alone.
    ///
    /// # Errors
    /// Where `batch` is 0.
    pub fn batches(&self, batch: usize, seed: u64, epoch: u64) -> Result<Vec<Vec<u32>>, Error> {
        if batch == 0 {
            return Err(Error::invalid("batch", "it is 0", "give at least 1"));
        }
        let mut order = permutation(self.len(), seed, epoch);
        let mut batches = Vec::new();
        for window in order.chunks_mut(batch.saturating_mul(WINDOW)) {
            window.sort_by_key(|&row| self.rows[row as usize].0.len());
            batches.extend(window.chunks(batch).map(<[u32]>::to_vec));
        }
        let order = permutation(batches.len(), seed, epoch ^ ORDER_OF_BATCHES);
        Ok(order.into_iter().map(|number| std::mem::take(&mut batches[number as usize])).collect())
    }

    /// The rows of these numbers, padded to the longest of them, rounded up to a multiple of `granularity`: there are as many
    /// programs for batches as there are lengths of these.
    ///
    /// # Errors
    /// Where there are no rows, there is no row of a number, or `granularity` is 0.
    pub fn batch(&self, rows: &[u32], granularity: usize) -> Result<PaddedBatch, Error> {
        if granularity == 0 || rows.is_empty() {
            let problem = format!("{} rows are wanted, in multiples of {granularity} steps", rows.len());
            return Err(Error::invalid(&self.name, problem, "give at least one of each"));
        }
        let picked: Option<Vec<_>> = rows.iter().map(|&row| self.rows.get(row as usize)).collect();
        let Some(picked) = picked else {
            let problem = format!("there are {} rows, and not all that are wanted", self.len());
            return Err(Error::invalid(&self.name, problem, "give numbers below the number of rows"));
        };
        let x: Vec<&[i64]> = picked.iter().map(|(x, _)| x.as_slice()).collect();
        let y: Vec<&[i64]> = picked.iter().map(|(_, y)| y.as_slice()).collect();
        Ok(PaddedBatch {
            x: time_first(&x, longest(&x).next_multiple_of(granularity), PADDING),
            lengths: lengths(&x),
            y: time_first(&y, longest(&y).next_multiple_of(granularity), NO_TARGET),
        })
    }

    /// All rows padded to the longest: `x` and `y`, `i64[rows, steps]`, and `lengths`, `i64[rows]`, as a
    /// [`Trainer`](crate::Trainer) takes them. There are as many steps of targets as of tokens.
    ///
    /// # Errors
    /// None: lengths are those of the rows.
    pub fn padded(&self) -> Result<Arrays, Error> {
        let of = |part: fn(&Row) -> &Vec<i64>| -> Vec<&[i64]> {
            self.rows.iter().map(|row| part(row).as_slice()).collect()
        };
        let (x, y) = (of(|row| &row.0), of(|row| &row.1));
        let steps = longest(&x).max(longest(&y));
        let lengths = lengths(&x);
        check_lengths(&self.name, lengths.as_slice::<i64>().unwrap_or_default(), steps)?;
        let arrays = [(ROWS, rows_first(&x, steps, PADDING)), (TARGETS, rows_first(&y, steps, NO_TARGET))];
        Arrays::new(&self.name, arrays.into_iter().chain([(LENGTHS, lengths)]))
    }
}

fn longest(rows: &[&[i64]]) -> usize {
    rows.iter().map(|row| row.len()).max().unwrap_or(0)
}

fn lengths(rows: &[&[i64]]) -> Tensor {
    let lengths = rows.iter().map(|row| row.len() as i64).collect();
    Tensor::new([rows.len()], lengths).expect("there is one for each row")
}

/// `i64[steps, rows]`
fn time_first(rows: &[&[i64]], steps: usize, padding: i64) -> Tensor {
    let element = |step: usize, row: &[i64]| row.get(step).copied().unwrap_or(padding);
    let elements = (0..steps).flat_map(|step| rows.iter().map(move |row| element(step, row)));
    Tensor::new([steps, rows.len()], elements.collect()).expect("there is one for each step and row")
}

/// `i64[rows, steps]`
fn rows_first(rows: &[&[i64]], steps: usize, padding: i64) -> Tensor {
    let padded =
        |row: &[i64]| row.iter().copied().chain(std::iter::repeat(padding)).take(steps).collect::<Vec<_>>();
    let elements = rows.iter().flat_map(|row| padded(row));
    Tensor::new([rows.len(), steps], elements.collect()).expect("there is one for each row and step")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of 1 to 40 tokens.
    fn rows(count: usize) -> VariableLength {
        let row = |number: usize| (vec![1; 1 + number * 17 % 40], vec![2; 1 + number * 17 % 40]);
        VariableLength::new("rows", (0..count).map(row).collect(), 3, 3).unwrap()
    }

    #[test]
    fn each_row_is_in_one_batch_and_lengths_are_alike_in_it() {
        let data = rows(1000);
        let batches = data.batches(8, 1, 0).unwrap();
        let mut all: Vec<u32> = batches.concat();
        all.sort_unstable();
        assert_eq!(all, (0..1000).collect::<Vec<u32>>());
        let length = |row: u32| data.row(row as usize).0.len();
        let padded: usize = batches
            .iter()
            .map(|batch| batch.iter().map(|&row| length(row)).max().unwrap() * batch.len())
            .sum();
        let own: usize = (0..1000).map(length).sum();
        // Without sorting, about half of it is padding.
        assert!((padded as f64) < 1.1 * own as f64, "{padded} steps for {own} tokens");
        let order: Vec<usize> = batches.iter().map(|batch| length(batch[0])).collect();
        assert!(!order.is_sorted(), "short rows come first");
    }

    #[test]
    fn batches_depend_on_seed_and_epoch_alone() {
        let data = rows(100);
        assert_eq!(data.batches(8, 1, 2).unwrap(), data.batches(8, 1, 2).unwrap());
        assert_ne!(data.batches(8, 1, 2).unwrap(), data.batches(8, 1, 3).unwrap());
        assert_ne!(data.batches(8, 1, 2).unwrap(), data.batches(8, 2, 2).unwrap());
        assert_eq!(data.batches(0, 1, 2).unwrap_err().to_string(), "batch: it is 0; give at least 1");
    }

    #[test]
    fn batches_are_padded_time_first() {
        let data = vec![(vec![1, 2, 3], vec![3]), (vec![], vec![0, 1]), (vec![2], vec![])];
        let data = VariableLength::new("rows", data, 4, 4).unwrap();
        let batch = data.batch(&[0, 1, 2], 1).unwrap();
        assert_eq!(batch.x.as_slice::<i64>().unwrap(), [1, 0, 2, 2, 0, 0, 3, 0, 0]);
        assert_eq!(batch.lengths.as_slice::<i64>().unwrap(), [3, 0, 1]);
        assert_eq!(batch.y.as_slice::<i64>().unwrap(), [3, 0, -1, -1, 1, -1]);
        let padded = data.padded().unwrap();
        assert_eq!(padded.to_string(), "rows: 3 rows of x i64[3], y i64[3], lengths i64[]");
        let x = padded.column("x").unwrap().elements().clone();
        assert_eq!(x.as_slice::<i64>().unwrap(), [1, 2, 3, 0, 0, 0, 2, 0, 0]);
    }

    #[test]
    fn rows_out_of_range_are_errors_that_name_them() {
        let message = |rows: Vec<(Vec<i64>, Vec<i64>)>| {
            VariableLength::new("rows", rows, 3, 3).unwrap_err().to_string()
        };
        assert_eq!(message(vec![]), "rows: there are 0 rows; give at least one, fewer than 2^32");
        assert_eq!(
            message(vec![(vec![0], vec![]), (vec![0, 3], vec![])]),
            "rows, row 1: the token of row 0, step 1 is 3; give tokens from 0 to 2"
        );
        let error = rows(3).batch(&[3], 1).unwrap_err().to_string();
        assert!(error.starts_with("rows: there are 3 rows, and not all that are wanted"), "{error}");
    }
}
