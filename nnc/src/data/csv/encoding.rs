//! How the rows of a table become rows of numbers: found out of the table that a model is trained on, and saved with the model, so
//! that other tables are read as that one was.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::format::{Decimal, Format, Missing, Unknown};
use super::matching::{Matching, Use};
use super::notation::{integer, is_missing, number};
use super::scan::check_length;
use super::{MAX_NUMBERS, columns};
use crate::data::records::Records;
use crate::data::targets::PreciseTargets;
use crate::data::{Dataset, Targets};
use crate::error::quoted;
use crate::{Error, memory};

/// How the rows of a table become rows of numbers. A column of numbers becomes one of them; a column of texts, as many columns as
/// there were different texts, of which a row has a 1 in the one that is its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Encoding {
    /// Whether the columns have names of their own; else they are called by their numbers.
    pub(super) has_names: bool,
    decimal: Decimal,
    missing: Missing,
    /// The columns of the table that it was made for, in order.
    pub(super) columns: Vec<Column>,
}

/// A column of the table that an encoding was made for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Column {
    pub name: String,
    pub role: Role,
}

/// What a column is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Role {
    Unused,
    Feature(Content),
    Target(Content),
}

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Content {
    /// Numbers, and their mean.
    Numbers { mean: f64 },
    /// Of a target, integers that are classes, ascending.
    Integers { names: Vec<i64> },
    /// Texts in the order of their bytes, and the one that came most often.
    Texts { names: Vec<String>, usual: String },
}

impl Content {
    /// The number of columns that it becomes, but for one that says whether a value was missing.
    fn width(&self) -> usize {
        match self {
            Content::Numbers { .. } | Content::Integers { .. } => 1,
            Content::Texts { names, .. } => names.len(),
        }
    }
}

/// What a field says: a number, or one of some texts or classes.
enum Value {
    Number(f64),
    Class(usize),
    /// None of the texts, where those are ignored.
    Unknown,
}

impl Encoding {
    pub(super) fn new(has_names: bool, columns: Vec<Column>, format: &Format) -> Encoding {
        Encoding { has_names, decimal: format.decimal, missing: format.missing, columns }
    }

    /// The columns that rows are made of.
    pub(super) fn features(&self) -> impl Iterator<Item = (&Column, &Content)> {
        self.columns.iter().filter_map(|column| match &column.role {
            Role::Feature(content) => Some((column, content)),
            Role::Unused | Role::Target(_) => None,
        })
    }

    /// The column that is to be predicted.
    pub(super) fn target(&self) -> Option<(&Column, &Content)> {
        self.columns.iter().find_map(|column| match &column.role {
            Role::Target(content) => Some((column, content)),
            Role::Unused | Role::Feature(_) => None,
        })
    }

    /// The first column that rows are made of and that holds texts.
    pub(super) fn first_of_texts(&self) -> Option<&str> {
        let of_texts = |(_, content): &(&Column, &Content)| matches!(content, Content::Texts { .. });
        self.features().find(of_texts).map(|(column, _)| column.name.as_str())
    }

    /// Whether a field is a number.
    pub(super) fn is_number(&self, field: &str) -> bool {
        number(field, self.decimal.mark()).is_some()
    }

    /// Whether these can be the fields of the columns that rows are made of.
    pub(super) fn is_row<'f>(&self, fields: impl Iterator<Item = &'f str>) -> bool {
        self.features().zip(fields).all(|((column, content), field)| {
            let reader = Reader::new(column, content);
            reader.is_missing(field) || reader.value(field, self.decimal, Unknown::Error).is_ok()
        })
    }

    /// The names of the columns that rows become: `age`, `city=Rome`, `age?` of one that says whether the age was missing.
    ///
    /// ```
    /// use nnc::data::csv::{Columns, Format, decode};
    /// let flats = decode(b"age,city,price\n20,Rome,1.5\n30,Oslo,2.5\n", &Columns::default(), &Format::default(), "t.csv")?;
    /// let encoding = flats.encoding().expect("it was a table");
    /// assert_eq!(encoding.feature_names(), ["age", "city=Oslo", "city=Rome"]);
    /// # Ok::<(), nnc::Error>(())
    /// ```
    pub fn feature_names(&self) -> Vec<String> {
        let has_indicator = self.missing == Missing::Indicator;
        let names = self.features().flat_map(|(Column { name, .. }, content)| {
            let values: Vec<String> = match content {
                Content::Texts { names, .. } => names.iter().map(|text| format!("{name}={text}")).collect(),
                Content::Numbers { .. } | Content::Integers { .. } => vec![name.clone()],
            };
            values.into_iter().chain(has_indicator.then(|| format!("{name}?")))
        });
        names.collect()
    }

    /// The rows of a table in the bytes of a file, gzipped or not; `subject` is what an error calls it. The columns are found by their
    /// names where the table has a header, else by their order. `format` says what the table does not, but for the decimal mark and
    /// what is done with missing values, which are as they were.
    ///
    /// # Errors
    /// Where a column is missing, or a field is not what the encoding has for its column: line, column and field are named.
    pub fn read(&self, file: &[u8], format: &Format, wanted: Use, subject: &str) -> Result<Dataset, Error> {
        let mut records = Records::new(file, subject, format.delimiter.map(|delimiter| delimiter.0))?;
        let no_rows = || Error::invalid(subject, "it has no rows", "give a table with a row per line");
        let first = records.next_record()?.ok_or_else(no_rows)?;
        let fields: Vec<&str> = first.fields().collect();
        let Matching { has_header, features, target, mut remarks } =
            Matching::of(self, &fields, format.header, wanted, subject)?;
        let mut table = Table {
            encoding: self,
            readers: self.features().map(|(column, content)| Reader::new(column, content)).collect(),
            target: self
                .target()
                .filter(|_| target.is_some())
                .map(|(column, content)| Reader::new(column, content)),
            unknown: format.unknown,
            wanted,
            rows: Vec::new(),
            targets: Vec::new(),
            len: 0,
            left_out: 0,
        };
        let fields_in_a_line = fields.len();
        let mut record = if has_header { records.next_record()? } else { Some(first) };
        while let Some(of_line) = record {
            check_length(&of_line, fields_in_a_line, subject)?;
            table.reserve(subject)?;
            let fields: Vec<&str> = of_line.fields().collect();
            let features = features.iter().map(|&place| fields[place]);
            table.push(features, target.map(|place| fields[place])).map_err(|(column, problem, help)| {
                let subject = format!("{subject}, line {}", of_line.line);
                Error::invalid(subject, format!("column {}: {problem}", quoted(column)), help)
            })?;
            record = records.next_record()?;
        }
        if table.len == 0 {
            return Err(no_rows());
        }
        if table.left_out > 0 {
            let all = table.len + table.left_out;
            remarks.push(format!("{} of {all} rows lack a value and are left out", table.left_out));
        }
        let width = table.rows.len() / table.len;
        memory::check_rows(subject, table.len, width, 2)?; // they are rounded, and split
        let targets = table.named_targets();
        let data = Dataset::of_f64(subject, [width], table.rows, targets)?;
        Ok(data.with_encoding(self.clone(), remarks))
    }
}

/// A table as it becomes numbers.
struct Table<'a> {
    encoding: &'a Encoding,
    readers: Vec<Reader<'a>>,
    target: Option<Reader<'a>>,
    unknown: Unknown,
    wanted: Use,
    rows: Vec<f64>,
    targets: Vec<f64>,
    len: usize,
    left_out: usize,
}

/// What is wrong with a field: its column, the problem, the fix.
type Problem<'a> = (&'a str, String, &'static str);

impl<'a> Table<'a> {
    fn push<'f>(
        &mut self,
        features: impl Iterator<Item = &'f str> + Clone,
        target: Option<&'f str>,
    ) -> Result<(), Problem<'a>> {
        let Encoding { missing, decimal, .. } = self.encoding;
        let mut fields = self.readers.iter().zip(features.clone()).chain(self.target.iter().zip(target));
        if *missing == Missing::Drop && fields.any(|(reader, field)| reader.is_missing(field)) {
            if self.wanted == Use::Predict {
                let (reader, _) = self
                    .readers
                    .iter()
                    .zip(features)
                    .find(|(reader, field)| reader.is_missing(field))
                    .expect("of rows without targets, a feature is missing");
                let help = "give a value: a prediction for each row is wanted";
                return Err((reader.name, "a value is missing".into(), help));
            }
            self.left_out += 1;
            return Ok(());
        }
        for (reader, field) in self.readers.iter().zip(features) {
            let is_missing = reader.is_missing(field);
            let value = reader.feature(field, is_missing, *missing, *decimal, self.unknown)?;
            match value {
                Value::Number(number) => self.rows.push(number),
                Value::Class(class) => {
                    self.rows.extend((0..reader.content.width()).map(|at| f64::from(u8::from(at == class))));
                }
                Value::Unknown => self.rows.extend((0..reader.content.width()).map(|_| 0.0)),
            }
            if *missing == Missing::Indicator {
                self.rows.push(f64::from(u8::from(is_missing)));
            }
        }
        if self.rows.len() > MAX_NUMBERS {
            let problem = format!("with it, {} rows have become {} numbers", self.len + 1, self.rows.len());
            let last = self.readers.last().map_or("", |reader| reader.name);
            return Err((last, problem, "give fewer rows, or leave columns of many different texts out"));
        }
        if let Some((reader, field)) = self.target.as_ref().zip(target) {
            self.targets.push(match reader.value(field, *decimal, Unknown::Error)? {
                Value::Number(number) => number,
                Value::Class(class) => class as f64,
                Value::Unknown => unreachable!("it is an error"),
            });
        }
        self.len += 1;
        Ok(())
    }

    /// Makes room for rows as the table grows.
    fn reserve(&mut self, subject: &str) -> Result<(), Error> {
        let width = self.rows.len() / self.len.max(1);
        memory::reserve(subject, &mut self.rows, width.max(1))
    }

    fn named_targets(&mut self) -> PreciseTargets {
        let targets = std::mem::take(&mut self.targets);
        let classes = |names: Vec<String>| {
            let labels = targets.iter().map(|&class| class as i64).collect();
            Targets::Classes { labels, names }.into()
        };
        match &self.target {
            None => Targets::classes(vec![0; self.len], 1).into(),
            Some(Reader { content: Content::Texts { names, .. }, .. }) => classes(names.clone()),
            Some(Reader { content: Content::Integers { names }, .. }) => {
                classes(names.iter().map(i64::to_string).collect())
            }
            Some(Reader { name, .. }) => {
                PreciseTargets::Values { values: targets, names: vec![(*name).to_owned()] }
            }
        }
    }
}

/// Reads the fields of a column.
struct Reader<'a> {
    name: &'a str,
    content: &'a Content,
    /// The places of the texts.
    places: BTreeMap<&'a str, usize>,
}

impl<'a> Reader<'a> {
    fn new(column: &'a Column, content: &'a Content) -> Reader<'a> {
        let names = if let Content::Texts { names, .. } = content { names.as_slice() } else { &[] };
        let places = names.iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect();
        Reader { name: &column.name, content, places }
    }

    /// Whether the field stands for a missing value, and for no text that the column has.
    fn is_missing(&self, field: &str) -> bool {
        is_missing(field) && !self.places.contains_key(field)
    }

    /// What a field of a row says, where a missing value may have another in its place.
    fn feature(
        &self,
        field: &str,
        is_missing: bool,
        missing: Missing,
        decimal: Decimal,
        unknown: Unknown,
    ) -> Result<Value, Problem<'a>> {
        match (self.content, missing) {
            (Content::Numbers { mean }, Missing::Mean | Missing::Indicator) if is_missing => {
                Ok(Value::Number(*mean))
            }
            (Content::Texts { usual, .. }, Missing::Mean | Missing::Indicator) if is_missing => {
                Ok(self.places.get(usual.as_str()).map_or(Value::Unknown, |&place| Value::Class(place)))
            }
            _ => self.value(field, decimal, unknown),
        }
    }

    /// What a field says.
    fn value(&self, field: &str, decimal: Decimal, unknown: Unknown) -> Result<Value, Problem<'a>> {
        let problem = |problem: String, help| Err((self.name, problem, help));
        const MEND: &str = "mend the line, or leave it out";
        if self.is_missing(field) {
            let what = if field.is_empty() {
                "the field is empty".into()
            } else {
                format!("{} is no value", quoted(field))
            };
            return problem(what, MEND);
        }
        match self.content {
            Content::Numbers { .. } => match number(field, decimal.mark()) {
                Some(number) if (number as f32).is_finite() => Ok(Value::Number(number)),
                Some(_) => problem(format!("{} is not finite in f32", quoted(field)), MEND),
                None => problem(format!("{} is no number", quoted(field)), MEND),
            },
            Content::Integers { names } => match integer(field)
                .and_then(|class| names.binary_search(&class).ok())
            {
                Some(place) => Ok(Value::Class(place)),
                None => problem(format!("{} is none of its {} classes", quoted(field), names.len()), MEND),
            },
            Content::Texts { names, .. } => match self.places.get(field) {
                Some(&place) => Ok(Value::Class(place)),
                None if unknown == Unknown::Ignore => Ok(Value::Unknown),
                None => {
                    let known = columns::listed(names.iter());
                    let problem_of =
                        format!("{} is none of the texts that it is known to hold, {known}", quoted(field));
                    problem(
                        problem_of,
                        "mend the line; or, of texts that are no target, give --unknown ignore",
                    )
                }
            },
        }
    }
}

impl fmt::Display for Encoding {
    /// `3 columns of numbers, 1 of texts; target species, of 3 classes; left out: id`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_texts =
            self.features().filter(|(_, content)| matches!(content, Content::Texts { .. })).count();
        let of_numbers = self.features().count() - of_texts;
        let parts =
            [(of_numbers, "numbers"), (of_texts, "texts")].into_iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = parts.map(|(count, what)| format!("{count} of {what}")).collect();
        write!(f, "columns: {}", parts.join(", "))?;
        if let Some((column, content)) = self.target() {
            let classes = match content {
                Content::Numbers { .. } => "values".to_owned(),
                Content::Integers { names } => format!("{} classes", names.len()),
                Content::Texts { names, .. } => format!("{} classes", names.len()),
            };
            write!(f, "; target {}, {classes}", column.name.escape_debug())?;
        }
        let unused = self.columns.iter().filter(|column| column.role == Role::Unused);
        let unused: Vec<String> = unused.map(|column| column.name.escape_debug().to_string()).collect();
        if unused.is_empty() { Ok(()) } else { write!(f, "; left out: {}", unused.join(", ")) }
    }
}
