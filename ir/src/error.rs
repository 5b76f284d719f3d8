//! What a user can do wrong when building a graph, as values.

use thiserror::Error;

/// A mistake in a graph: the value or op, what is wrong with it, and what to do.
///
/// `Display` gives `op: problem (help)`; the text parser adds the line and a caret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{subject}: {problem}; {help}")]
pub struct Error {
    /// The op, value or file at fault.
    pub subject: String,
    /// What is wrong, with both shapes or dtypes where two disagree.
    pub problem: String,
    /// What to do about it.
    pub help: String,
}

impl Error {
    /// The error that `subject` has this problem, mended as `help` says.
    pub fn new(subject: impl Into<String>, problem: impl Into<String>, help: impl Into<String>) -> Error {
        Error { subject: subject.into(), problem: problem.into(), help: help.into() }
    }
}
