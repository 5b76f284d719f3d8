//! Memory for what files and options ask for: where there is not as much, an error says how much there is, before the system
//! ends the process.

pub use runtime::memory::{available_bytes, in_words};

use crate::Error;

const HELP: &str = "give less of it, or end other programs";

/// Checks that `bytes` more can be had for `subject`.
///
/// ```
/// assert!(nnc::memory::check("rows.csv", 1000).is_ok());
/// ```
///
/// # Errors
/// Where it is known that there is no such memory.
pub fn check(subject: &str, bytes: usize) -> Result<(), Error> {
    runtime::memory::check(bytes).map_err(|_| none(subject, bytes))
}

/// Checks that so many tensors of `f32` can be had for `subject`, of `rows` rows of `width` numbers each.
///
/// # Errors
/// As [`check`].
pub fn check_rows(subject: &str, rows: usize, width: usize, tensors: usize) -> Result<(), Error> {
    let numbers = rows.saturating_mul(width).saturating_mul(tensors);
    check(subject, numbers.saturating_mul(size_of::<f32>()))
}

/// A vector that has room for `count` elements.
///
/// # Errors
/// Where there is no memory for them.
pub fn vector<T>(subject: &str, count: usize) -> Result<Vec<T>, Error> {
    let mut vector = Vec::new();
    reserve(subject, &mut vector, count)?;
    Ok(vector)
}

/// Makes room for `more` elements behind those that a vector has. Where it has none, it becomes at least twice as large, so
/// that many small additions move it seldom.
///
/// # Errors
/// Where there is no memory for them.
pub fn reserve<T>(subject: &str, vector: &mut Vec<T>, more: usize) -> Result<(), Error> {
    if vector.capacity() - vector.len() >= more {
        return Ok(());
    }
    let growth = more.max(vector.len());
    let bytes = growth.saturating_mul(size_of::<T>());
    check(subject, bytes)?;
    vector.try_reserve_exact(growth).map_err(|_| none(subject, bytes))
}

/// The error that there is no such memory.
pub(crate) fn none(subject: &str, bytes: usize) -> Error {
    let there =
        available_bytes().map_or(String::new(), |there| format!(", and {} are there", in_words(there)));
    Error::invalid(subject, format!("it takes {} of memory{there}", in_words(bytes as u64)), HELP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_no_memory_for_is_an_error_that_says_how_much_it_takes() {
        let starts = "rows: it takes 1024.0 TiB of memory";
        let errors = [
            vector::<u64>("rows", 1 << 47).unwrap_err(),
            reserve("rows", &mut vec![0u8; 3], 1 << 50).unwrap_err(),
            vector::<u64>("rows", usize::MAX).unwrap_err(),
        ]
        .map(|error| error.to_string());
        assert!(errors[0].starts_with(starts) && errors[1].starts_with(starts), "{errors:?}");
        assert!(
            errors.iter().all(|error| error.ends_with("; give less of it, or end other programs")),
            "{errors:?}"
        );
        let linux = check_rows("rows", 1 << 40, 1 << 40, 3).map_err(|error| error.to_string());
        assert_eq!(linux.is_err(), cfg!(target_os = "linux"));
    }

    #[test]
    fn vectors_grow_by_what_they_have() {
        let mut numbers: Vec<u8> = vector("rows", 10).unwrap();
        assert!(numbers.capacity() >= 10);
        numbers.resize(numbers.capacity(), 1);
        let len = numbers.len();
        reserve("rows", &mut numbers, 1).unwrap();
        assert!(numbers.capacity() >= 2 * len);
        reserve("rows", &mut numbers, 100).unwrap();
        assert!(numbers.capacity() >= len + 100);
    }
}
