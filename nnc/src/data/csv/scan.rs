//! What the columns of a table hold, found out of all their fields.

use std::collections::{BTreeMap, BTreeSet};

use super::columns::listed;
use super::encoding::{Column, Content, Encoding, Role};
use super::format::{Format, Missing};
use super::header::{self, FirstLine};
use super::notation::{integer, is_missing, number, other_notation};
use super::{Columns, MAX_CLASSES, MAX_TEXTS, columns, mixed_lengths};
use crate::Error;
use crate::data::records::{Record, Records};
use crate::error::quoted;

/// Integers are classes where there are two different ones; or up to this many, with rows of this many times their number.
const MAX_INTEGER_CLASSES: usize = 100;
const ROWS_PER_CLASS: usize = 5;

/// What was seen of a table.
pub(super) struct Scan<'a> {
    subject: &'a str,
    pub has_header: bool,
    pub names: Vec<String>,
    rows: usize,
    columns: Vec<Seen>,
}

/// What was seen of the fields of a column. Of each kind of field there is the number and the first, with its line.
#[derive(Default)]
pub(super) struct Seen {
    pub numbers: Fields,
    pub words: Fields,
    missing: Fields,
    other_notations: Fields,
    /// How often each text came, until there are too many for classes.
    pub texts: BTreeMap<String, usize>,
    has_more_texts: bool,
    /// Of a column of integers alone, which; until there are too many for classes.
    integers: BTreeSet<i64>,
    sum: f64,
}

#[derive(Default)]
pub(super) struct Fields {
    pub count: usize,
    first: Option<(usize, String)>,
}

impl Fields {
    fn push(&mut self, line: usize, field: &str) {
        self.count += 1;
        // The first line is seen last, where it turns out to be a row.
        if self.first.as_ref().is_none_or(|(first, _)| line < *first) {
            self.first = Some((line, field.to_owned()));
        }
    }
}

impl Seen {
    /// The number of fields that are numbers, in whichever notation.
    pub fn like_numbers(&self) -> usize {
        self.numbers.count + self.other_notations.count
    }

    fn push(&mut self, line: usize, field: &str, decimal: char) {
        if is_missing(field) {
            self.missing.push(line, field);
        } else if let Some(number) = number(field, decimal) {
            self.numbers.push(line, field);
            self.sum += number;
            match integer(field).filter(|_| self.integers.len() <= MAX_INTEGER_CLASSES) {
                Some(integer) => drop(self.integers.insert(integer)),
                None => self.integers.extend(0..=MAX_INTEGER_CLASSES as i64 + 1),
            }
        } else if other_notation(field, decimal).is_some() {
            self.other_notations.push(line, field);
        } else {
            self.words.push(line, field);
        }
        let has_room = self.texts.len() < MAX_CLASSES;
        match self.texts.get_mut(field) {
            Some(count) => *count += 1,
            None if has_room => drop(self.texts.insert(field.to_owned(), 1)),
            None => self.has_more_texts = true,
        }
    }
}

impl<'a> Scan<'a> {
    /// Looks at all fields of a table.
    ///
    /// # Errors
    /// Where it has no rows, lines have more or fewer fields than the first, or nothing tells whether the first line is a row.
    pub fn of(file: &'a [u8], format: &Format, subject: &'a str) -> Result<Scan<'a>, Error> {
        let mut records = Records::new(file, subject, format.delimiter.map(|delimiter| delimiter.0))?;
        let decimal = format.decimal.mark();
        let no_rows = || Error::invalid(subject, "it has no rows", "give a table with a row per line");
        let first = records.next_record()?.ok_or_else(no_rows)?;
        let (first_line, first): (usize, Vec<String>) =
            (first.line, first.fields().map(str::to_owned).collect());
        let mut columns: Vec<Seen> = first.iter().map(|_| Seen::default()).collect();
        let mut rows = 0;
        while let Some(record) = records.next_record()? {
            check_length(&record, columns.len(), subject)?;
            rows += 1;
            let fields = columns.iter_mut().zip(record.fields());
            fields.for_each(|(column, field)| column.push(record.line, field, decimal));
        }
        let has_header = match format.header {
            Some(has_header) => has_header,
            None => match header::first_line(&first, &columns, decimal) {
                FirstLine::Names => true,
                FirstLine::Row => false,
                FirstLine::Unclear => {
                    let problem = "its first line may hold the names of columns or be a row";
                    return Err(Error::invalid(subject, problem, "say which: --header or --no-header"));
                }
            },
        };
        if !has_header {
            rows += 1;
            columns
                .iter_mut()
                .zip(&first)
                .for_each(|(column, field)| column.push(first_line, field, decimal));
        }
        if rows == 0 {
            return Err(no_rows());
        }
        let names = header::names(&first, has_header);
        Ok(Scan { subject, has_header, names, rows, columns })
    }

    /// The encoding for tables like this one; one without a target where that is not wanted.
    ///
    /// # Errors
    /// Where a column is not there or used twice, or what one holds is not clear: fields in notations that are not read, numbers among
    /// texts, missing values, too many different texts.
    pub fn encoding(&self, wanted: &Columns, has_target: bool, format: &Format) -> Result<Encoding, Error> {
        let invalid = |problem: &str, help: &str| Error::invalid(self.subject, problem, help);
        let find = |wanted: &String| columns::find(&self.names, wanted, self.subject);
        let places = |wanted: &[String]| wanted.iter().map(find).collect::<Result<Vec<usize>, Error>>();
        let (left_out, categories) = (places(&wanted.left_out)?, places(&format.categories)?);
        let is_used = |place: &usize| !left_out.contains(place);
        let target = match &wanted.target {
            _ if !has_target => None,
            Some(target) => Some(find(target)?).filter(is_used),
            None => (0..self.names.len()).rfind(is_used),
        };
        if has_target && target.is_none() {
            return Err(invalid("the target is left out", "leave other columns out than the target"));
        }
        if (0..self.names.len()).all(|place| Some(place) == target || !is_used(&place)) {
            let what = if has_target { "the target alone" } else { "no columns that are used" };
            let help = "give at least one more column; fields are separated by commas, semicolons or tabs, or as \
                        --delimiter says";
            return Err(invalid(&format!("it has {what}"), help));
        }
        self.check_names(is_used)?;
        let role = |(place, seen): (usize, &Seen)| {
            let name = &self.names[place];
            let are_texts = categories.contains(&place);
            if !is_used(&place) {
                Ok(Role::Unused)
            } else if Some(place) == target {
                self.content(name, seen, are_texts, format, true).map(Role::Target)
            } else {
                self.content(name, seen, are_texts, format, false).map(Role::Feature)
            }
        };
        let roles = self.columns.iter().enumerate().map(role).collect::<Result<Vec<Role>, Error>>()?;
        let columns = self.names.iter().zip(roles).map(|(name, role)| Column { name: name.clone(), role });
        Ok(Encoding::new(self.has_header, columns.collect(), format))
    }

    /// Checks that no two columns that are used have one name: rows of another table could not be told apart.
    fn check_names(&self, is_used: impl Fn(&usize) -> bool) -> Result<(), Error> {
        let mut known = BTreeSet::new();
        match (0..self.names.len()).filter(is_used).find(|&place| !known.insert(&self.names[place])) {
            None => Ok(()),
            Some(place) => {
                let problem = format!("two columns are called {}", quoted(&self.names[place]));
                let help = format!("rename one, or leave it out by its number: #-{}", place + 1);
                Err(Error::invalid(self.subject, problem, help))
            }
        }
    }

    /// What a column holds.
    fn content(
        &self,
        name: &str,
        seen: &Seen,
        are_texts: bool,
        format: &Format,
        is_target: bool,
    ) -> Result<Content, Error> {
        let invalid = |fields: &Fields, problem: &dyn Fn(&str) -> String, help: &str| {
            let (line, field) = fields.first.as_ref().map_or((0, ""), |(line, field)| (*line, field));
            let subject = format!("{}, line {line}", self.subject);
            let problem = format!("column {}: {}", quoted(name), problem(&quoted(field)));
            Err(Error::invalid(subject, problem, help))
        };
        let rest = "leave the column out: #-NAME";
        let present = seen.like_numbers() + seen.words.count;
        if seen.missing.count > 0 && !are_texts {
            let (field, count) = (&seen.missing, seen.missing.count);
            if present == 0 {
                return invalid(field, &|_| "all its values are missing".into(), rest);
            }
            let problem = |field: &str| {
                let rows = self.rows;
                match field {
                    "\"\"" => format!("the field is empty, and {count} of {rows} rows have no value"),
                    _ => format!(
                        "{field} stands for a missing value, of which there are {count} in {rows} rows"
                    ),
                }
            };
            match format.missing {
                Missing::Error => {
                    let help = "give --missing drop, mean or indicator, or --categories NAME to take it for a category";
                    return invalid(field, &problem, help);
                }
                Missing::Mean | Missing::Indicator if is_target => {
                    return invalid(
                        field,
                        &problem,
                        "of the target nothing can be put there: give --missing drop",
                    );
                }
                _ => {}
            }
        }
        if seen.other_notations.count > 0 && seen.words.count == 0 && !are_texts {
            let (_, field) = seen.other_notations.first.as_ref().expect("there are some");
            let what = other_notation(field, format.decimal.mark()).unwrap_or_default();
            let help = match what {
                "a number with a comma, for decimals or thousands" | "a number with a decimal comma" => {
                    "write numbers like 1234.5, or say that the comma stands before decimals: --decimal ,"
                }
                "a number with a decimal point" => "write numbers like 1234,5, or leave --decimal out",
                "infinite" => "give finite numbers",
                _ => {
                    "write numbers like 1234.5, without units and groups; or take them for texts: --categories NAME"
                }
            };
            return invalid(&seen.other_notations, &|field| format!("{field} is {what}"), help);
        }
        let (numbers, words) = (seen.like_numbers(), seen.words.count);
        if numbers > 0 && words > 0 && !are_texts {
            // The fewer are the mistake, most likely.
            let (fields, is, others) = match numbers < words {
                true if seen.numbers.count > 0 => (&seen.numbers, "a number", "texts"),
                true => (&seen.other_notations, "a number", "texts"),
                false => (&seen.words, "no number", "numbers"),
            };
            let most = numbers.max(words);
            let problem =
                |field: &str| format!("{field} is {is}, and {most} of {present} fields are {others}");
            let help =
                "mend the line, take the column for texts (--categories NAME), or leave it out (#-NAME)";
            return invalid(fields, &problem, help);
        }
        if numbers > 0 && !are_texts {
            return Ok(match integer_classes(seen).filter(|_| is_target) {
                Some(names) => Content::Integers { names },
                None => Content::Numbers { mean: seen.sum / seen.numbers.count as f64 },
            });
        }
        let names: Vec<String> =
            seen.texts.keys().filter(|text| are_texts || !is_missing(text)).cloned().collect();
        let most = if is_target { MAX_CLASSES } else { MAX_TEXTS };
        if seen.has_more_texts || names.len() > most {
            let more = if seen.has_more_texts { "more than " } else { "" };
            let first: Vec<String> = names.iter().take(3).cloned().collect();
            let problem = format!(
                "column {} has {more}{} different texts ({}, ..), of which there may be {most}",
                quoted(name),
                names.len(),
                listed(first.iter())
            );
            return Err(Error::invalid(self.subject, problem, rest));
        }
        let usual = seen.texts.iter().filter(|(text, _)| names.contains(text)).rev();
        let usual = usual.max_by_key(|(_, count)| **count).map(|(text, _)| text.clone());
        Ok(Content::Texts { names, usual: usual.unwrap_or_default() })
    }
}

/// Checks that a record has as many fields as the first.
pub(super) fn check_length(record: &Record<'_>, expected: usize, subject: &str) -> Result<(), Error> {
    if record.len() == expected { Ok(()) } else { Err(mixed_lengths(record, expected, subject)) }
}

/// The classes that integers stand for, where they are few.
fn integer_classes(seen: &Seen) -> Option<Vec<i64>> {
    let classes = seen.integers.len();
    let are_few =
        classes <= 2 || (classes <= MAX_INTEGER_CLASSES && classes * ROWS_PER_CLASS <= seen.numbers.count);
    are_few.then(|| seen.integers.iter().copied().collect())
}
