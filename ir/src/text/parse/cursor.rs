//! Walking over tokens: what all parts of the grammar need.

use std::borrow::Cow;
use std::ops::Range;

use super::super::ParseError;
use super::lexer::{Token, TokenKind, tokens};
use crate::Error;

/// A place among the tokens of a source.
pub struct Cursor<'s> {
    source: &'s str,
    tokens: Vec<Token<'s>>,
    at: usize,
    /// How many elements constants that are written as one number may still have in this source.
    pub splat_budget: usize,
}

/// The result of a parser.
pub type Parsed<T> = Result<T, ParseError>;

/// How a value, buffer, slot or kernel is referred to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Label {
    /// The name, or the digits of a number.
    pub name: String,
    /// Whether it is written as a number: `%12`.
    pub is_number: bool,
    /// The number after a colon: `%name:1`.
    pub part: Option<u32>,
}

/// A label with its place.
#[derive(Clone, Debug)]
pub struct Reference {
    /// What is referred to.
    pub label: Label,
    /// Where.
    pub span: Range<usize>,
}

impl<'s> Cursor<'s> {
    /// The cursor at the start of `source`.
    pub fn new(source: &'s str, splat_budget: usize) -> Parsed<Cursor<'s>> {
        Ok(Cursor { source, tokens: tokens(source)?, at: 0, splat_budget })
    }

    /// The token that comes next.
    pub fn peek(&self) -> Token<'s> {
        self.tokens[self.at]
    }

    /// The token after the next.
    pub fn peek_second(&self) -> Token<'s> {
        self.tokens[(self.at + 1).min(self.tokens.len() - 1)]
    }

    /// Takes the next token. At the end it stays there.
    pub fn next(&mut self) -> Token<'s> {
        let token = self.peek();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    /// The bytes from the start of `from` to the end of the token taken last.
    pub fn span_from(&self, from: usize) -> Range<usize> {
        let last = &self.tokens[self.at.saturating_sub(1)];
        from..last.span().end.max(from)
    }

    /// The slice of the source.
    pub fn text(&self, span: Range<usize>) -> &'s str {
        &self.source[span]
    }

    /// Whether the next token is this word or punctuation.
    pub fn is(&self, text: &str) -> bool {
        let token = self.peek();
        matches!(token.kind, TokenKind::Word | TokenKind::Punctuation) && token.text == text
    }

    /// Takes the next token where it is this word or punctuation.
    pub fn eat(&mut self, text: &str) -> bool {
        let is = self.is(text);
        if is {
            self.next();
        }
        is
    }

    /// Takes this word or punctuation.
    pub fn expect(&mut self, text: &str, help: &str) -> Parsed<()> {
        if self.eat(text) { Ok(()) } else { Err(self.unexpected(&format!("`{text}`"), help)) }
    }

    /// Takes a token of this kind, which is called `what`.
    pub fn expect_kind(&mut self, kind: TokenKind, what: &str, help: &str) -> Parsed<Token<'s>> {
        if self.peek().kind == kind { Ok(self.next()) } else { Err(self.unexpected(what, help)) }
    }

    /// Takes `@name`.
    pub fn global(&mut self) -> Parsed<Reference> {
        let help = "names of graphs, kernels and plans start with `@`";
        let token = self.expect_kind(TokenKind::Global, "a name", help)?;
        self.reference(token)
    }

    /// Takes `%name`.
    pub fn local(&mut self, what: &str) -> Parsed<Reference> {
        let token = self.expect_kind(TokenKind::Local, what, "names of values start with `%`")?;
        self.reference(token)
    }

    /// A bare word or a string.
    pub fn bare_name(&mut self, what: &str) -> Parsed<(String, Range<usize>)> {
        let token = self.peek();
        match token.kind {
            TokenKind::Word | TokenKind::String => {
                self.next();
                Ok((self.unquoted(token.text, token.start)?.into_owned(), token.span()))
            }
            _ => Err(self.unexpected(what, "write a word, or any text in quotes")),
        }
    }

    fn reference(&mut self, token: Token<'s>) -> Parsed<Reference> {
        let name = &token.text[1..];
        let is_number = name.starts_with(|c: char| c.is_ascii_digit());
        let name = self.unquoted(name, token.start + 1)?.into_owned();
        let mut span = token.span();
        let mut part = None;
        let is_adjacent = self.peek().text == ":" && self.peek().start == span.end;
        let number = self.peek_second();
        if is_adjacent && number.kind == TokenKind::Number && number.start == span.end + 1 {
            self.next();
            self.next();
            span.end = number.span().end;
            let value = number.text.parse().map_err(|_| {
                self.error(
                    number.span(),
                    format!("`{}` is no part of a name", number.text),
                    "write a small number",
                )
            })?;
            part = Some(value);
        }
        Ok(Reference { label: Label { name, is_number, part }, span })
    }

    /// The text between quotes with its escapes resolved, or the word itself.
    fn unquoted(&self, text: &'s str, start: usize) -> Parsed<Cow<'s, str>> {
        let Some(content) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
            return Ok(Cow::Borrowed(text));
        };
        let mut name = String::with_capacity(content.len());
        let mut chars = content.chars();
        while let Some(c) = chars.next() {
            name.push(match c {
                '\\' => match chars.next() {
                    Some('n') => '\n',
                    Some(c @ ('"' | '\\')) => c,
                    _ => {
                        let help = "the escapes are `\\\"`, `\\\\` and `\\n`";
                        return Err(self.error(
                            start..start + text.len(),
                            "this string has an unknown escape",
                            help,
                        ));
                    }
                },
                c => c,
            });
        }
        Ok(Cow::Owned(name))
    }

    /// The error at `span`.
    pub fn error(
        &self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> ParseError {
        ParseError::new(self.source, span, message, help)
    }

    /// The error that `what` was expected in the place of the next token.
    pub fn unexpected(&self, what: &str, help: &str) -> ParseError {
        let token = self.peek();
        let found = match token.kind {
            TokenKind::End => "the end of the file".to_owned(),
            _ => format!("`{}`", shortened(token.text)),
        };
        self.error(token.span(), format!("expected {what}, found {found}"), help)
    }

    /// A mistake found by the checks of the IR, at `span`.
    pub fn ir_error(&self, span: Range<usize>, error: Error) -> ParseError {
        self.error(span, format!("{}: {}", error.subject, error.problem), error.help)
    }
}

/// `text`, or its start where it is long, fit to be shown: what is no letter, digit or sign of ASCII is escaped.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 40;
    let mut shown = String::new();
    for c in text.chars().take(SHOWN) {
        match c {
            ' '..='~' => shown.push(c),
            c if c.is_alphanumeric() => shown.push(c),
            c => shown.extend(c.escape_unicode()),
        }
    }
    if text.chars().nth(SHOWN).is_some() {
        shown.push_str("..");
    }
    shown
}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&shortened(&self.name))?;
        self.part.map_or(Ok(()), |part| write!(f, ":{part}"))
    }
}
