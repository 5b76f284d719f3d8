//! The options that say how a table is written.

use nnc::Error;
use nnc::data::csv::{Decimal, Delimiter, Encoding, Format, Missing, Unknown};
use serde::{Deserialize, Serialize};

/// How a table is written where it does not say so itself, and what is done with what it lacks.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct TableArgs {
    /// Of a table: its first line holds the names of columns [default: found out]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub header: Option<bool>,
    /// Of a table: its first line is a row
    #[arg(long, conflicts_with = "header")]
    #[serde(skip)]
    pub no_header: bool,
    /// Of a table: what separates fields, one character or tab [default: that of comma, semicolon and tab which the first line has most
    /// of]
    #[arg(long, value_name = "CHAR", value_parser = str::parse::<Delimiter>)]
    pub delimiter: Option<Delimiter>,
    /// Of a table: what separates the whole part of a number from its fraction, . or , [default: .]
    #[arg(long, value_name = "CHAR", value_parser = str::parse::<Decimal>)]
    pub decimal: Option<Decimal>,
    /// Of a table: what is done where a value is missing (an empty field, ?, NA, N/A, NaN, null): error, drop (the row), mean (of the
    /// column; of texts, the usual one) or indicator (mean, and a column that says so) [default: error]
    #[arg(long, value_name = "HOW", value_parser = str::parse::<Missing>)]
    pub missing: Option<Missing>,
    /// Of a table: columns that hold names of categories, though they may look like numbers
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub categories: Option<Vec<String>>,
    /// Of a table: what is done with texts that the table had not which the model was trained on: error, or ignore (they are no
    /// category) [default: error]
    #[arg(long, value_name = "HOW", value_parser = str::parse::<Unknown>)]
    pub unknown: Option<Unknown>,
}

impl TableArgs {
    /// The same with `--no-header` as `--header=false`.
    pub fn without_negation(&self) -> TableArgs {
        let header = if self.no_header { Some(false) } else { self.header };
        TableArgs { header, no_header: false, ..self.clone() }
    }

    /// How a table is read.
    pub fn format(&self) -> Format {
        let TableArgs { header, delimiter, decimal, missing, categories, unknown, .. } =
            self.without_negation();
        Format {
            header,
            delimiter,
            decimal: decimal.unwrap_or_default(),
            missing: missing.unwrap_or_default(),
            unknown: unknown.unwrap_or_default(),
            categories: categories.unwrap_or_default(),
        }
    }

    /// How a table is read by a model, which may know from its training what columns hold.
    ///
    /// # Errors
    /// Where it knows what is given.
    pub fn format_for(&self, encoding: Option<&Encoding>) -> Result<Format, Error> {
        let known = [
            ("--decimal", self.decimal.is_some()),
            ("--missing", self.missing.is_some()),
            ("--categories", self.categories.is_some()),
        ];
        match known.into_iter().find(|(_, is_given)| *is_given && encoding.is_some()) {
            None => Ok(self.format()),
            Some((name, _)) => {
                let problem = "the model reads tables as the one that it was trained on";
                Err(Error::invalid(name, problem, "leave it out"))
            }
        }
    }
}
