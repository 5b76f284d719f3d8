//! How a table is written, and what is done with what it lacks.

use std::fmt;
use std::str::FromStr;

use ir::names::choices;
use serde::{Deserialize, Serialize};

use crate::Error;

/// How a table is read where it does not say so itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Format {
    /// Whether the first line holds the names of the columns; `None` is found out.
    pub header: Option<bool>,
    /// What separates fields, an ASCII character; `None` is the one of comma, semicolon and tab that the first line has most of.
    pub delimiter: Option<Delimiter>,
    /// What separates a number's whole part from its fraction.
    pub decimal: Decimal,
    /// What is done with rows in which a value is missing.
    pub missing: Missing,
    /// What is done with texts that the table which a model was trained on had not.
    pub unknown: Unknown,
    /// The columns that hold names of categories, though they may look like numbers: by name, or by number from 1.
    pub categories: Vec<String>,
}

/// What separates fields: an ASCII character, or `tab`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Delimiter(pub(super) u8);

impl FromStr for Delimiter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Delimiter, Error> {
        match text.as_bytes() {
            _ if text == "tab" => Ok(Delimiter(b'\t')),
            [byte] if byte.is_ascii() && !byte.is_ascii_alphanumeric() && !b"\"\r\n.+-".contains(byte) => {
                Ok(Delimiter(*byte))
            }
            _ => {
                let help = "give one character, such as , ; | or tab";
                Err(Error::invalid(format!("delimiter {text:?}"), "it separates no fields", help))
            }
        }
    }
}

impl fmt::Display for Delimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == b'\t' { f.write_str("tab") } else { write!(f, "{}", char::from(self.0)) }
    }
}

impl From<Delimiter> for String {
    fn from(delimiter: Delimiter) -> String {
        delimiter.to_string()
    }
}

impl TryFrom<String> for Delimiter {
    type Error = Error;

    fn try_from(text: String) -> Result<Delimiter, Error> {
        text.parse()
    }
}

/// Defines an enum whose values have names.
macro_rules! named {
    ($(#[$doc:meta])* $type:ident, $what:literal: $($(#[$value_doc:meta])* $value:ident = $name:literal,)+) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $type {
            $($(#[$value_doc])* #[serde(rename = $name)] $value,)+
        }

        impl FromStr for $type {
            type Err = Error;

            fn from_str(text: &str) -> Result<$type, Error> {
                match text {
                    $($name => Ok($type::$value),)+
                    _ => {
                        let help = choices(text, "choose from", [$($name),+]);
                        Err(Error::invalid(format!("{} {text:?}", $what), "it is not known", help))
                    }
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $($type::$value => $name,)+
                })
            }
        }
    };
}

named! {
    /// What separates a number's whole part from its fraction.
    Decimal, "decimal mark":
    /// A point: `1.5`.
    #[default]
    Point = ".",
    /// A comma: `1,5`, in quotes where commas separate fields.
    Comma = ",",
}

impl Decimal {
    /// The character.
    pub(super) fn mark(self) -> char {
        if self == Decimal::Point { '.' } else { ',' }
    }
}

named! {
    /// What is done with rows in which a value is missing.
    Missing, "missing":
    /// It is an error.
    #[default]
    Error = "error",
    /// The row is left out.
    Drop = "drop",
    /// A number is taken for the mean of its column, a text for the one that its column has most of.
    Mean = "mean",
    /// As [`Missing::Mean`]; and a column more says of each row whether the value was missing.
    Indicator = "indicator",
}

named! {
    /// What is done with texts that the table which a model was trained on had not.
    Unknown, "unknown":
    /// It is an error.
    #[default]
    Error = "error",
    /// They are no category: a 0 in the column of each.
    Ignore = "ignore",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_is_written_as_it_is_parsed() {
        for name in ["error", "drop", "mean", "indicator"] {
            assert_eq!(name.parse::<Missing>().unwrap().to_string(), name);
            assert_eq!(serde_json::to_value(name.parse::<Missing>().unwrap()).unwrap(), name);
        }
        for delimiter in [",", ";", "|", "tab", " ", "\t"] {
            let parsed = delimiter.parse::<Delimiter>().unwrap();
            assert_eq!(parsed.to_string().parse::<Delimiter>().unwrap(), parsed);
        }
        assert_eq!((Decimal::Comma.to_string().as_str(), "ignore".parse().unwrap()), (",", Unknown::Ignore));
    }

    #[test]
    fn what_is_no_way_is_an_error_that_lists_them() {
        let error = "means".parse::<Missing>().unwrap_err().to_string();
        assert!(error.starts_with("missing \"means\": it is not known; did you mean `mean`?"), "{error}");
        for delimiter in ["", "ab", "a", "1", "\"", "\n", "ä", "."] {
            let error = delimiter.parse::<Delimiter>().unwrap_err().to_string();
            assert!(
                error.ends_with("it separates no fields; give one character, such as , ; | or tab"),
                "{error}"
            );
        }
    }
}
