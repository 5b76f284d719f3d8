//! What a command prints. A closed pipe is an error value here, not a panic.

use std::io::{self, ErrorKind, Write};
use std::path::Path;

use nnc::Error;
use serde_json::Value;

/// Where results and progress go.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// Whether results are one JSON object.
    pub is_json: bool,
}

impl Output {
    /// The output of a command; results are JSON where `is_json`.
    pub fn new(is_json: bool) -> Output {
        Output { is_json }
    }

    /// Prints a result on stdout: `json` where JSON is asked for, `text` otherwise.
    pub fn result(&self, json: impl FnOnce() -> Value, text: impl FnOnce() -> String) -> Result<(), Error> {
        self.print(&if self.is_json { json().to_string() } else { text() })
    }

    /// Prints a text on stdout, with a line feed at its end.
    pub fn print(&self, text: &str) -> Result<(), Error> {
        let mut stdout = io::stdout().lock();
        let line_feed = if text.ends_with('\n') { "" } else { "\n" };
        (stdout.write_all(text.as_bytes()))
            .and_then(|()| stdout.write_all(line_feed.as_bytes()))
            .and_then(|()| stdout.flush())
            .map_err(|source| Error::io(Path::new("stdout"), "write", source))
    }

    /// Prints a line on stderr. Where nobody reads it, nothing is lost.
    pub fn report(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{}", text.trim_end());
    }
}

/// Whether an error is that nobody reads stdout any more.
pub fn is_broken_pipe(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == ErrorKind::BrokenPipe)
}
