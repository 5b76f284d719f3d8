//! What a command prints. A closed pipe is an error value here, not a panic. What reports, tables and messages show of names out of
//! files acts on no terminal: here is the one place that sees to it, but for line feeds, of which names have none by `printable`.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::Path;

use ir::names::{acts_on_terminal, printable_lines};
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
        if self.is_json { self.json(&json()) } else { self.write(&printable_lines(&text())) }
    }

    /// Prints an object on stdout. Names in it are the true ones.
    pub fn json(&self, object: &Value) -> Result<(), Error> {
        self.write(&json_text(object))
    }

    /// Prints a text that programs read on stdout, as it is; on a terminal as people read it.
    pub fn print(&self, text: &str) -> Result<(), Error> {
        match io::stdout().is_terminal() {
            true => self.write(&printable_lines(text)),
            false => self.write(text),
        }
    }

    /// Writes a text to stdout, with a line feed at its end.
    fn write(&self, text: &str) -> Result<(), Error> {
        let mut stdout = io::stdout().lock();
        let line_feed = if text.ends_with('\n') { "" } else { "\n" };
        (stdout.write_all(text.as_bytes()))
            .and_then(|()| stdout.write_all(line_feed.as_bytes()))
            .and_then(|()| stdout.flush())
            .map_err(|source| Error::io(Path::new("stdout"), "write", source))
    }

    /// Prints a line on stderr. Where nobody reads it, nothing is lost.
    pub fn report(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{}", printable_lines(text.trim_end()));
    }
}

/// An object as text. JSON has escapes for control characters of ASCII alone.
fn json_text(object: &Value) -> String {
    let mut text = String::new();
    for letter in object.to_string().chars() {
        match acts_on_terminal(letter) {
            true => text += &format!("\\u{:04x}", letter as u32),
            false => text.push(letter),
        }
    }
    text
}

/// Whether an error is that nobody reads stdout any more.
pub fn is_broken_pipe(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_the_true_names_and_nothing_that_acts_on_a_terminal() {
        let object = serde_json::json!({ "a\u{9b}b": "\u{1b}[31m\u{202e}\u{7f}é" });
        let text = json_text(&object);
        assert_eq!(text, "{\"a\\u009bb\":\"\\u001b[31m\\u202e\\u007fé\"}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), object);
    }
}
