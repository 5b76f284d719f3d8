//! What a user can do wrong when building a graph, as values.

use std::fmt;
use std::panic::Location;

use thiserror::Error;

use crate::names::printable;

/// A mistake in a graph: the value or op, what is wrong with it, and what to do.
///
/// `Display` gives `op: problem; help`, with the place behind the op where there is one; the text parser adds the line and a
/// caret. Control characters of names are escapes in it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}{}: {}; {}", printable(.subject), At(*.place), printable(.problem), printable(.help))]
pub struct Error {
    /// The op, value or file at fault.
    pub subject: String,
    /// What is wrong, with both shapes or dtypes where two disagree.
    pub problem: String,
    /// What to do about it.
    pub help: String,
    /// Where the op is written, of one in an expression that a user wrote.
    pub place: Option<&'static Location<'static>>,
}

impl Error {
    /// The error that `subject` has this problem, mended as `help` says.
    pub fn new(subject: impl Into<String>, problem: impl Into<String>, help: impl Into<String>) -> Error {
        Error { subject: subject.into(), problem: problem.into(), help: help.into(), place: None }
    }
}

/// ` at file:line:column`, where there is a place.
struct At(Option<&'static Location<'static>>);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |place| write!(f, " at {place}"))
    }
}
