//! One test per error of the verifier. What text can say is written as text.

mod graph;
mod kernel;
mod loops;
mod plan;

use crate::Error;

/// The message of the error.
fn message<T>(checked: Result<T, Error>) -> String {
    checked.err().map_or_else(|| "valid".to_owned(), |error| error.to_string())
}
