//! What can go wrong for a user of nnc, as one type.

use std::io;
use std::path::{Path, PathBuf};

use ir::names::printable;
use thiserror::Error;

/// A mistake of the user's, or a failure of the system. `Display` says what is wrong, where, and what to do; control characters of names
/// are escapes there.
#[derive(Debug, Error)]
pub enum Error {
    /// A graph, a value, an option or data that cannot be: what is wrong with it, and the fix.
    #[error(transparent)]
    Invalid(#[from] ir::Error),
    /// A text that is no graph, kernel or plan: the message with the line and a caret.
    #[error("{0}")]
    Text(String),
    /// Code could not be made.
    #[error(transparent)]
    Codegen(#[from] codegen::Error),
    /// A program could not be run on what it was given.
    #[error(transparent)]
    Run(#[from] runtime::RunError),
    /// Training gave NaN or infinity.
    #[error(transparent)]
    NotFinite(#[from] crate::trainer::NotFinite),
    /// Weights are not those of the model.
    #[error(transparent)]
    Weights(#[from] Box<crate::weights::NotLoaded>),
    /// A file could not be read or written.
    #[error("{}: cannot {action}: {source}", printable(&path.to_string_lossy()))]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried: `read`, `write`.
        action: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

impl Error {
    /// The error that `subject` (a value, a file, an option) has this problem, mended as `help` says.
    pub fn invalid(subject: impl Into<String>, problem: impl Into<String>, help: impl Into<String>) -> Error {
        Error::Invalid(ir::Error::new(subject, problem, help))
    }

    /// The error that `path` could not be read or written.
    pub fn io(path: &Path, action: &'static str, source: io::Error) -> Error {
        Error::Io { path: path.to_owned(), action, source }
    }
}

/// The most characters of a text out of a file that an error shows.
#[cfg(any(feature = "data-csv", feature = "data-npy"))]
const SHOWN_CHARACTERS: usize = 40;

/// A text out of a file as errors show it: in quotes, without control characters, and no longer than a line.
#[cfg(any(feature = "data-csv", feature = "data-npy"))]
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{:?}..", &text[..end]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_shown_in_part() {
        assert_eq!(quoted("a\nb"), "\"a\\nb\"");
        assert_eq!(quoted(&"é".repeat(41)), format!("\"{}\"..", "é".repeat(40)));
        assert_eq!(quoted(&"é".repeat(40)), format!("\"{}\"", "é".repeat(40)));
    }
}
