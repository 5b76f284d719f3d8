//! Cutting a text into tokens.
//!
//! Blanks, line ends and comments (`//` to the end of the line) only separate tokens. Every token is a slice of the
//! source, so that a span is known without being stored.

use winnow::combinator::{alt, opt, repeat};
use winnow::prelude::*;
use winnow::token::{none_of, one_of, take_till, take_while};

use super::super::ParseError;

/// The sort of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// `matmul`, `f32`, `inf`
    Word,
    /// `12`, `0.5`, `1e-3`: without a sign.
    Number,
    /// `"any text"`
    String,
    /// `%x`, `%12`, `%"any text"`: a value, or a buffer of a kernel.
    Local,
    /// `@mlp`, `@"any text"`: a graph, kernel or plan.
    Global,
    /// One of `{ } ( ) [ ] , : = * + - ->`.
    Punctuation,
    /// The end of the source.
    End,
}

/// A token.
#[derive(Clone, Copy, Debug)]
pub struct Token<'s> {
    /// What it is.
    pub kind: TokenKind,
    /// The text of it, a slice of the source.
    pub text: &'s str,
    /// Where it starts in the source, in bytes.
    pub start: usize,
}

impl Token<'_> {
    /// The bytes of the source that it covers.
    pub fn span(&self) -> std::ops::Range<usize> {
        self.start..self.start + self.text.len()
    }
}

/// The tokens of `source`; the last one is [`TokenKind::End`].
pub fn tokens(source: &str) -> Result<Vec<Token<'_>>, ParseError> {
    let mut tokens = Vec::new();
    let mut rest = source;
    loop {
        blanks(&mut rest);
        let start = source.len() - rest.len();
        if rest.is_empty() {
            tokens.push(Token { kind: TokenKind::End, text: rest, start });
            return Ok(tokens);
        }
        match token.parse_next(&mut rest) {
            Ok((kind, text)) => tokens.push(Token { kind, text, start }),
            Err(_) => return Err(no_token(source, start)),
        }
    }
}

fn blanks(input: &mut &str) {
    loop {
        *input = input.trim_start();
        match input.strip_prefix("//") {
            Some(comment) => *input = comment.find('\n').map_or("", |end| &comment[end..]),
            None => return,
        }
    }
}

fn token<'s>(input: &mut &'s str) -> winnow::Result<(TokenKind, &'s str)> {
    let local = ('%', alt((string, word, digits))).take();
    let global = ('@', alt((string, word))).take();
    alt((
        word.map(|text| (TokenKind::Word, text)),
        local.map(|text| (TokenKind::Local, text)),
        number.map(|text| (TokenKind::Number, text)),
        "->".map(|text| (TokenKind::Punctuation, text)),
        one_of(['{', '}', '(', ')', '[', ']', ',', ':', '=', '*', '+', '-'])
            .take()
            .map(|text| (TokenKind::Punctuation, text)),
        global.map(|text| (TokenKind::Global, text)),
        string.map(|text| (TokenKind::String, text)),
    ))
    .parse_next(input)
}

fn word<'s>(input: &mut &'s str) -> winnow::Result<&'s str> {
    let starts = one_of(|c: char| c.is_ascii_alphabetic() || c == '_');
    let follows = take_while(0.., |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
    (starts, follows).take().parse_next(input)
}

fn digits<'s>(input: &mut &'s str) -> winnow::Result<&'s str> {
    take_while(1.., |c: char| c.is_ascii_digit()).parse_next(input)
}

fn number<'s>(input: &mut &'s str) -> winnow::Result<&'s str> {
    let fraction = opt(('.', digits));
    let exponent = opt((one_of(['e', 'E']), opt(one_of(['+', '-'])), digits));
    (digits, fraction, exponent).take().parse_next(input)
}

/// Between quotes: any character but a quote or a line end; a backslash takes the next character with it.
fn string<'s>(input: &mut &'s str) -> winnow::Result<&'s str> {
    let plain = take_till(1.., ['"', '\\', '\n']).void();
    let escaped = ('\\', none_of(['\n'])).void();
    let content = repeat::<_, _, (), _, _>(0.., alt((plain, escaped)));
    ('"', content, '"').take().parse_next(input)
}

/// The error where no token starts.
fn no_token(source: &str, start: usize) -> ParseError {
    let first = source[start..].chars().next().unwrap_or_default();
    let span = start..start + first.len_utf8();
    match first {
        '"' => {
            ParseError::new(source, span, "this string does not end", "close it with `\"` on the same line")
        }
        '%' | '@' => {
            let help = format!("write a name as in `{first}x` or `{first}\"any text\"`");
            ParseError::new(source, span, format!("a name is expected after `{first}`"), help)
        }
        _ => {
            let message = format!("the character {first:?} has no meaning here");
            ParseError::new(source, span, message, "remove it; names with such characters stand in quotes")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<&str> {
        tokens(source).expect("valid").iter().map(|token| token.text).collect()
    }

    #[test]
    fn tokens_are_slices_of_the_source() {
        let source = "%fc1.weight:1 = load %\"a b\"[i-1, 2*k] // comment\n-0.5e-3 -> @f";
        let expected = [
            "%fc1.weight",
            ":",
            "1",
            "=",
            "load",
            "%\"a b\"",
            "[",
            "i",
            "-",
            "1",
            ",",
            "2",
            "*",
            "k",
            "]",
            "-",
            "0.5e-3",
            "->",
            "@f",
            "",
        ];
        assert_eq!(texts(source), expected);
        for token in tokens(source).expect("valid") {
            assert_eq!(&source[token.span()], token.text);
        }
    }

    #[test]
    fn a_string_may_hold_an_escaped_quote() {
        assert_eq!(texts(r#""a\"b" c"#), [r#""a\"b""#, "c", ""]);
    }

    #[test]
    fn what_is_no_token_is_an_error_at_its_place() {
        let message = |source: &str| tokens(source).expect_err("invalid").to_string();
        assert_eq!(message("a\n \"b"), "2:2: this string does not end; close it with `\"` on the same line");
        assert_eq!(
            message("% x"),
            "1:1: a name is expected after `%`; write a name as in `%x` or `%\"any text\"`"
        );
        assert_eq!(
            message("\u{e9}"),
            "1:1: the character 'é' has no meaning here; remove it; names with such characters stand in quotes"
        );
    }
}
