//! Sequences of tokens, with a class to be told at each step.
//!
//! | module | what it holds |
//! |---|---|
//! | [`adding`], [`copying`] | the problems by which memories are judged, drawn from a seed |
//! | [`text`] | texts as sequences of characters |
//! | [`vocabulary`] | which characters there are |
//! | [`variable_length`] | sequences of different lengths: padded, and bucketed by length |

mod adding;
mod copying;
#[cfg(feature = "data-csv")]
pub mod text;
pub mod variable_length;
pub mod vocabulary;

use std::fmt;

use ir::{DType, Shape, Tensor};
use nn::sequence::STARTS;
use nn::supervised::{ROWS, TARGETS};
use serde::{Deserialize, Serialize};

use super::arrays::{Arrays, Column, Examples};
use crate::Error;
use crate::trainer::shuffle::permutation;
pub use adding::adding;
pub use copying::copying;
#[cfg(feature = "data-csv")]
pub use text::Text;
pub use variable_length::{PaddedBatch, VariableLength};
pub use vocabulary::Vocabulary;

/// The target of a step that has none.
pub const NO_TARGET: i64 = -1;

/// What rows are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// How many there are.
    pub count: usize,
    /// Whether they are the characters of a text, in which rows go on from one another.
    pub is_text: bool,
}

/// Rows of tokens, as many in each, with a class at each step, or [none](NO_TARGET): `x` and `y`, both `i64[rows, steps]`.
/// All tokens are below the number of tokens, and all targets below that of classes.
///
/// ```
/// use nnc::data::sequences::{NO_TARGET, Sequences};
/// let (x, y) = (vec![0, 1, 2, 2, 1, 0], vec![NO_TARGET, 0, 1, NO_TARGET, 1, 0]);
/// let names = vec!["even".to_owned(), "odd".to_owned()];
/// let sequences = Sequences::new("toy", 3, x, y, 3, names)?;
/// assert_eq!(sequences.to_string(), "toy: 2 sequences of 3 steps, 3 tokens, classes even, odd");
/// # Ok::<(), nnc::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Sequences {
    arrays: Arrays,
    steps: usize,
    tokens: Tokens,
    names: Vec<String>,
    /// Where each row goes on from the one at its place in the batch before: the size of the batches.
    batch: Option<usize>,
}

impl Sequences {
    /// Rows of `steps` tokens, which are below `tokens`, and of as many targets, which are classes of these names or none.
    ///
    /// # Errors
    /// Where they make no whole rows, or there are no steps; a token or a target is out of range (the row and the step are named).
    pub fn new(
        name: &str,
        steps: usize,
        x: Vec<i64>,
        y: Vec<i64>,
        tokens: usize,
        names: Vec<String>,
    ) -> Result<Sequences, Error> {
        if steps == 0 || !x.len().is_multiple_of(steps) || x.len() != y.len() {
            let problem = format!("there are {} tokens and {} targets for rows of {steps}", x.len(), y.len());
            return Err(Error::invalid(name, problem, "give whole rows of at least one step"));
        }
        check_below(name, "token", &x, steps, 0, tokens)?;
        check_below(name, "target", &y, steps, NO_TARGET, names.len())?;
        let rows = x.len() / steps;
        let array = |elements| Tensor::new([rows, steps], elements).expect("whole rows have been checked");
        let arrays = Arrays::new(name, [(ROWS, array(x)), (TARGETS, array(y))])?;
        let tokens = Tokens { count: tokens, is_text: false };
        Ok(Sequences { arrays, steps, tokens, names, batch: None })
    }

    /// The same rows, which are trained on in their order, `batch` at a time: each goes on from the one at its place in the batch
    /// before. An array `starts`, `f32[rows]`, is 1 for the rows of the first batch, and 0 elsewhere: there the state of a model
    /// begins anew.
    ///
    /// # Errors
    /// Where the rows make no whole batches.
    pub fn continued(self, batch: usize) -> Result<Sequences, Error> {
        let rows = self.arrays.len();
        if batch == 0 || rows == 0 || !rows.is_multiple_of(batch) {
            let problem = format!("there are {rows} rows, in batches of {batch}");
            return Err(Error::invalid(self.arrays.name(), problem, "give whole batches"));
        }
        let starts = (0..rows).map(|row| if row < batch { 1.0f32 } else { 0.0 }).collect();
        let starts = Tensor::new([rows], starts).expect("as many as there are rows");
        let columns = self.arrays.columns().iter();
        let columns = columns.map(|column| (column.name().to_owned(), tensor(column, rows)));
        let columns: Vec<(String, Tensor)> = columns.chain([(STARTS.to_owned(), starts)]).collect();
        let arrays = Arrays::new(self.arrays.name(), columns)?;
        Ok(Sequences { arrays, batch: Some(batch), ..self })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.arrays.name()
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.arrays.len()
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.arrays.is_empty()
    }

    /// The number of steps of each row.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// What rows are made of.
    pub fn tokens(&self) -> Tokens {
        self.tokens
    }

    /// The same rows, of the characters of a text.
    pub fn of_text(mut self) -> Sequences {
        self.tokens.is_text = true;
        self
    }

    /// The names of the classes that are to be told.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether each row goes on from the one at its place in the batch before.
    pub fn is_continued(&self) -> bool {
        self.batch.is_some()
    }

    /// The tokens of a row.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn row(&self, row: usize) -> &[i64] {
        self.row_of(ROWS, row)
    }

    /// The targets of a row.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn targets(&self, row: usize) -> &[i64] {
        self.row_of(TARGETS, row)
    }

    fn row_of(&self, name: &str, row: usize) -> &[i64] {
        let column = self.arrays.column(name).and_then(|column| column.elements().as_slice::<i64>());
        &column.expect("it has been made with tokens and targets")[row * self.steps..][..self.steps]
    }

    /// The rows for which `is_held_out(index)` is false, and those for which it is true, both in order.
    ///
    /// # Errors
    /// Where rows go on from one another.
    pub fn split(&self, is_held_out: impl Fn(usize) -> bool) -> Result<(Sequences, Sequences), Error> {
        if self.is_continued() {
            let help = "split what they are made of";
            return Err(Error::invalid(self.name(), "its rows go on from one another", help));
        }
        let (rest, held_out) = self.arrays.split(is_held_out);
        let of = |arrays| Sequences { arrays, ..self.clone() };
        Ok((of(rest), of(held_out)))
    }
}

impl Examples for Sequences {
    fn arrays(&self) -> Arrays {
        self.arrays.clone()
    }

    fn sequences(&self) -> Option<&Sequences> {
        Some(self)
    }

    fn order(&self, batch: usize, seed: u64, epoch: u64) -> Result<Vec<u32>, Error> {
        match self.batch {
            None => Ok(permutation(self.len(), seed, epoch)),
            Some(own) if own == batch => Ok((0..self.len() as u32).collect()),
            Some(own) => {
                let problem = format!("it is {batch}, and rows go on from one another in batches of {own}");
                Err(Error::invalid("batch", problem, format!("give {own}, or lay the text out for {batch}")))
            }
        }
    }
}

/// The greatest number of names that are shown.
const SHOWN_NAMES: usize = 12;

impl fmt::Display for Sequences {
    /// `copy:20: 8000 sequences of 31 steps, 10 tokens, classes a, b, c, d, e, f, g, h`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rows, steps, tokens) = (self.len(), self.steps, self.tokens.count);
        write!(f, "{}: {rows} sequences of {steps} steps, {tokens} tokens, ", self.name())?;
        match &*self.names {
            names if names.len() <= SHOWN_NAMES => write!(f, "classes {}", names.join(", ")),
            names => write!(f, "{} classes", names.len()),
        }
    }
}

/// Checks lengths of sequences that are padded to `steps`: from 0 to `steps`.
///
/// # Errors
/// The first that is out of range, with its row.
///
/// ```
/// use nnc::data::sequences::check_lengths;
/// assert!(check_lengths("lines", &[3, 0, 5], 5).is_ok());
/// assert_eq!(
///     check_lengths("lines", &[3, 6], 5).unwrap_err().to_string(),
///     "lines: the length of row 1 is 6; give lengths from 0 to 5, the number of steps"
/// );
/// ```
pub fn check_lengths(subject: &str, lengths: &[i64], steps: usize) -> Result<(), Error> {
    let fits = |length: &i64| usize::try_from(*length).is_ok_and(|length| length <= steps);
    match lengths.iter().position(|length| !fits(length)) {
        None => Ok(()),
        Some(row) => {
            let problem = format!("the length of row {row} is {}", lengths[row]);
            let help = format!("give lengths from 0 to {steps}, the number of steps");
            Err(Error::invalid(subject, problem, help))
        }
    }
}

/// Checks that all elements are from `least` to below `bound`.
fn check_below(
    name: &str,
    what: &str,
    elements: &[i64],
    steps: usize,
    least: i64,
    bound: usize,
) -> Result<(), Error> {
    let Some(at) = elements.iter().position(|&element| element < least || element >= bound as i64) else {
        return Ok(());
    };
    let problem = format!("the {what} of row {}, step {} is {}", at / steps, at % steps, elements[at]);
    Err(Error::invalid(name, problem, format!("give {what}s from {least} to {}", bound as i64 - 1)))
}

/// The elements of a column as a tensor `[rows, ..]`.
fn tensor(column: &Column, rows: usize) -> Tensor {
    let shape: Shape = [rows].into_iter().chain(column.row().shape.iter().copied()).collect();
    match column.row().dtype {
        DType::I64 => Tensor::new(shape, column.elements().as_slice::<i64>().unwrap_or_default().to_vec()),
        _ => Tensor::new(shape, column.elements().as_slice::<f32>().unwrap_or_default().to_vec()),
    }
    .expect("a column has its elements")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toy(rows: usize) -> Sequences {
        let x: Vec<i64> = (0..2 * rows as i64).map(|token| token % 5).collect();
        let names = (0..5).map(|token| token.to_string()).collect();
        Sequences::new("toy", 2, x.clone(), x, 5, names).unwrap()
    }

    fn message<T>(result: Result<T, Error>) -> String {
        result.err().unwrap().to_string()
    }

    #[test]
    fn tokens_and_targets_out_of_range_are_errors_that_name_row_and_step() {
        let new = |x: &[i64], y: &[i64]| {
            Sequences::new("toy", 2, x.to_vec(), y.to_vec(), 3, vec!["a".into(), "b".into()])
        };
        assert_eq!(
            message(new(&[0, 1, 2, 3], &[0; 4])),
            "toy: the token of row 1, step 1 is 3; give tokens from 0 to 2"
        );
        assert_eq!(
            message(new(&[0, -1], &[0; 2])),
            "toy: the token of row 0, step 1 is -1; give tokens from 0 to 2"
        );
        assert_eq!(
            message(new(&[0; 4], &[-1, 0, 2, 0])),
            "toy: the target of row 1, step 0 is 2; give targets from -1 to 1"
        );
        assert_eq!(
            message(new(&[0; 3], &[0; 3])),
            "toy: there are 3 tokens and 3 targets for rows of 2; give whole rows of at least one step"
        );
    }

    #[test]
    fn rows_that_go_on_are_in_order_and_start_in_the_first_batch_alone() {
        let continued = toy(6).continued(2).unwrap();
        assert_eq!(continued.order(2, 7, 3).unwrap(), [0, 1, 2, 3, 4, 5]);
        let starts = continued.arrays().column(STARTS).unwrap().elements().clone();
        assert_eq!(starts.as_slice::<f32>().unwrap(), [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!((continued.row(1), continued.targets(2)), (toy(6).row(1), toy(6).targets(2)));
        assert_eq!(
            message(continued.order(3, 7, 3)),
            "batch: it is 3, and rows go on from one another in batches of 2; \
             give 2, or lay the text out for 3"
        );
        assert_eq!(
            message(continued.split(|_| true)),
            "toy: its rows go on from one another; split what they are made of"
        );
        assert_eq!(
            message(toy(5).continued(2)),
            "toy: there are 5 rows, in batches of 2; give whole batches"
        );
    }

    #[test]
    fn other_rows_are_shuffled_from_epoch_to_epoch() {
        let orders = [0, 1].map(|epoch| toy(50).order(8, 7, epoch).unwrap());
        assert_ne!(orders[0], orders[1]);
        assert_eq!(orders[0].len(), 50);
        let (rest, held_out) = toy(5).split(|row| row == 1).unwrap();
        assert_eq!((rest.len(), held_out.row(0)), (4, toy(5).row(1)));
    }
}
