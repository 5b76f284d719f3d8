//! Whether examples hold the numbers that a loss is for.

use ir::Tensor;
use nn::Domain;

use super::Examples;
use crate::Error;

/// Checks that the array `input` of examples, where they have it, holds numbers of a domain.
///
/// ```
/// use nn::Domain;
/// use nnc::data::{Dataset, Targets, check_domain};
/// let targets = Targets::Values { values: vec![0.0, 17.0], names: vec!["price".into()] };
/// let prices = Dataset::new("prices", [1], vec![1.0, 2.0], targets)?;
/// let error = check_domain(&prices, "y", Domain::Probabilities).unwrap_err().to_string();
/// assert!(error.starts_with("prices: `y` holds 17 in row 1 (from 0) of 2; "));
/// # Ok::<(), nnc::Error>(())
/// ```
///
/// # Errors
/// Where it holds another: the first row is named, and what is in it.
pub fn check_domain(data: &dyn Examples, input: &str, domain: Domain) -> Result<(), Error> {
    let arrays = data.arrays();
    match arrays.column(input) {
        Some(column) => check(arrays.name(), (input, column.elements()), arrays.len(), domain),
        None => Ok(()),
    }
}

/// Checks the elements of so many rows of an array, by its name.
pub(crate) fn check(
    subject: &str,
    (name, elements): (&str, &Tensor),
    rows: usize,
    domain: Domain,
) -> Result<(), Error> {
    let Some((row, found)) = domain.first_outside(elements, rows) else { return Ok(()) };
    let problem = format!("`{name}` holds {found} in row {row} (from 0) of {rows}");
    let help = format!("the loss is for {domain} there: give such, or choose another loss or likelihood");
    Err(Error::invalid(subject, problem, help))
}
