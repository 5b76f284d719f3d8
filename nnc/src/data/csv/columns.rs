//! Which columns of a table are used, and for what.

use std::fmt;
use std::str::FromStr;

use ir::names::with_nearest;

use crate::Error;
use crate::error::quoted;

/// The most names that an error lists.
const SHOWN_NAMES: usize = 20;

/// Which columns are used, and for what: by name, or by number from 1. As text, the target and, each after `,-`, the
/// columns that are left out: `price,-date`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Columns {
    /// The target; `None` is the last column.
    pub target: Option<String>,
    /// The columns that are not used.
    pub left_out: Vec<String>,
}

impl FromStr for Columns {
    type Err = Error;

    fn from_str(text: &str) -> Result<Columns, Error> {
        let mut columns = Columns::default();
        for part in text.split(',').map(str::trim) {
            match part.strip_prefix('-') {
                Some(left_out) if !left_out.is_empty() => columns.left_out.push(left_out.to_owned()),
                None if !part.is_empty() && columns.target.is_none() => {
                    columns.target = Some(part.to_owned())
                }
                _ => {
                    let help = "give the target, and after a minus each column to leave out: price,-date";
                    return Err(Error::invalid(
                        format!("columns `{text}`"),
                        format!("`{part}` is not clear"),
                        help,
                    ));
                }
            }
        }
        Ok(columns)
    }
}

impl fmt::Display for Columns {
    /// As it is parsed, after a `#`; nothing where there is nothing to say.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left_out = self.left_out.iter().map(|column| format!("-{column}"));
        let parts: Vec<String> = self.target.iter().cloned().chain(left_out).collect();
        if parts.is_empty() { Ok(()) } else { write!(f, "#{}", parts.join(",")) }
    }
}

/// The place of the column that is `wanted` by name, or by number from 1.
///
/// # Errors
/// Where there is none, or several of this name.
pub(super) fn find(names: &[String], wanted: &str, subject: &str) -> Result<usize, Error> {
    let mut named = (0..names.len()).filter(|&place| names[place] == wanted);
    match (named.next(), named.next()) {
        (Some(place), None) => return Ok(place),
        (Some(_), Some(_)) => {
            let problem = format!("several columns are called {}", quoted(wanted));
            return Err(Error::invalid(subject, problem, "say which by its number, or rename them"));
        }
        (None, _) => {}
    }
    let by_number = wanted.parse().ok().filter(|number| (1..=names.len()).contains(number));
    by_number.map(|number: usize| number - 1).ok_or_else(|| {
        let help = format!("choose by name or number out of {}", listed(names.iter()));
        let plain = names.iter().filter(|name| !name.contains(char::is_control));
        let problem = format!("it has no column `{}`", wanted.escape_debug());
        Error::invalid(subject, problem, with_nearest(wanted, plain, help))
    })
}

/// Names in quotes, the first of many.
pub(super) fn listed<'a>(names: impl ExactSizeIterator<Item = &'a String>) -> String {
    let more = if names.len() > SHOWN_NAMES { ", .." } else { "" };
    let shown: Vec<String> = names.take(SHOWN_NAMES).map(|name| quoted(name)).collect();
    shown.join(", ") + more
}
