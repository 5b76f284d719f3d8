//! Whether the first line of a table holds the names of its columns.

use super::notation::{integer, is_missing, number};
use super::scan::Seen;

/// What a first line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirstLine {
    Names,
    Row,
    Unclear,
}

/// From how many columns on a first line of 0, 1, 2, .. may be names that a program has given.
const LEAST_NUMBERED: usize = 4;

/// What a first line is, by what the columns hold below.
///
/// It is names where it holds no number, or where a text stands above a column of numbers. Else it holds numbers, and is a row, but for two
/// cases in which it may be either: integers that count the columns; and texts and integers of which none comes again below, as in
/// `country,2001,2002`.
pub(super) fn first_line(fields: &[String], below: &[Seen], decimal: char) -> FirstLine {
    let is_number = |field: &str| number(field, decimal).is_some();
    let is_word = |field: &str| !is_number(field) && !is_missing(field);
    if !fields.iter().any(|field| is_number(field)) && fields.iter().any(|field| is_word(field)) {
        return FirstLine::Names;
    }
    let stands_above_numbers =
        |(field, seen): (&String, &Seen)| is_word(field) && seen.like_numbers() > seen.words.count;
    if fields.iter().zip(below).any(stands_above_numbers) {
        return FirstLine::Names;
    }
    let counts_from =
        |first: i64| (first..).zip(fields).all(|(number, field)| integer(field) == Some(number));
    if fields.len() >= LEAST_NUMBERED && (counts_from(0) || counts_from(1)) {
        return FirstLine::Unclear;
    }
    let is_alone = |(field, seen): (&String, &Seen)| !is_missing(field) && !seen.texts.contains_key(field);
    let may_be_name = |field: &String| is_word(field) || integer(field).is_some();
    let has_rows = below.iter().any(|seen| !seen.texts.is_empty());
    let may_be_names =
        has_rows && fields.iter().any(|field| is_word(field)) && fields.iter().all(may_be_name);
    match may_be_names && fields.iter().zip(below).all(is_alone) {
        true => FirstLine::Unclear,
        false => FirstLine::Row,
    }
}

/// The names of the columns: those of a header, and from 1 the numbers of the others.
pub(super) fn names<S: AsRef<str>>(first: &[S], has_header: bool) -> Vec<String> {
    let name = |(place, field): (usize, &S)| match has_header && !field.as_ref().is_empty() {
        true => field.as_ref().to_owned(),
        false => (place + 1).to_string(),
    };
    first.iter().enumerate().map(name).collect()
}
