//! Errors of the parser: what is wrong, where, and what to do.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// A mistake in a text.
///
/// `Display` gives one line, `line:column: message; help`. [`ParseError::render`] shows the line with a caret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// What is wrong, with both types where two disagree.
    pub message: String,
    /// What to do about it.
    pub help: String,
    /// The bytes of the source at fault; empty at its end, within the source always.
    pub span: Range<usize>,
    /// The line of the first byte, from 1.
    pub line: usize,
    /// The column of the first byte in characters, from 1.
    pub column: usize,
}

impl ParseError {
    /// The error at `span` of `source`.
    pub fn new(
        source: &str,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> ParseError {
        let start = floor_char_boundary(source, span.start);
        let end = ceil_char_boundary(source, span.end.max(start));
        let before = &source[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        ParseError { message: message.into(), help: help.into(), span: start..end, line, column }
    }

    /// The message, the line of `source` with a caret under the place, and the help, as plain text.
    ///
    /// `source` is the text that was parsed, and `file_name` what to call it.
    pub fn render(&self, source: &str, file_name: &str) -> String {
        let start = floor_char_boundary(source, self.span.start);
        let end = ceil_char_boundary(source, self.span.end.max(start));
        // A mistake that spans lines is shown where it starts.
        let end = source[start..end].find('\n').map_or(end, |length| start + length);
        let snippet =
            Snippet::source(source).path(file_name).annotation(AnnotationKind::Primary.span(start..end));
        let mut group = Level::ERROR.primary_title(self.message.as_str()).element(snippet);
        if !self.help.is_empty() {
            group = group.element(Level::HELP.message(self.help.as_str()));
        }
        let report: [Group<'_>; 1] = [group];
        Renderer::plain().render(&report)
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)?;
        if self.help.is_empty() { Ok(()) } else { write!(f, "; {}", self.help) }
    }
}

impl std::error::Error for ParseError {}

/// The greatest boundary of a character that is at most `at`.
fn floor_char_boundary(source: &str, at: usize) -> usize {
    let at = at.min(source.len());
    (0..=at).rev().find(|&at| source.is_char_boundary(at)).unwrap_or(0)
}

/// The least boundary of a character that is at least `at`, or the end.
fn ceil_char_boundary(source: &str, at: usize) -> usize {
    (at..source.len()).find(|&at| source.is_char_boundary(at)).unwrap_or(source.len())
}
