//! Tables in CSV files: one column is the target, the others are what it is to be found out of.
//!
//! A first line without numbers is a header. What a column holds is what its first row holds: numbers, of which each row
//! must have one, or texts. A column of texts becomes as many columns as there are different texts, of which a row has a
//! 1 in the one that is its own. A target of texts, or of a few integers, is a class; of other numbers, a value: integers
//! with a decimal point (`3.0`) are values.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use ir::names::with_nearest;

use super::records::{Record, Records};
use super::{Dataset, Targets};
use crate::error::quoted;
use crate::{Error, files, memory};

/// The most different texts of a column, and of a target.
const MAX_TEXTS: usize = 64;
const MAX_CLASSES: usize = 1024;
/// Integers are classes where there are two different ones; or up to this many, with rows of this many times their number.
const MAX_INTEGER_CLASSES: usize = 100;
const ROWS_PER_CLASS: usize = 5;
/// The most numbers of a table.
const MAX_NUMBERS: usize = 1 << 28;
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

/// The rows of a table for training, and every fifth, from the first on, for testing.
///
/// # Errors
/// As [`decode`], and where the file cannot be read.
pub fn read(path: &Path, columns: &Columns, name: &str) -> Result<(Dataset, Dataset), Error> {
    let all = decode(&files::read(path)?, columns, &path.display().to_string())?.named(name);
    Ok(all.split_off_every_fifth())
}

/// The rows of a table in the bytes of a file; `subject` is what an error calls it.
///
/// ```
/// use nnc::data::csv::{Columns, decode};
/// let file = b"age,city,price\n20,Rome,1.5\n30,Oslo,2.5\n";
/// let flats = decode(file, &Columns::default(), "flats.csv")?;
/// assert_eq!(flats.to_string(), "flats.csv: 2 rows of [3], values price");
/// assert_eq!(flats.row(0), [20.0, 0.0, 1.0]); // the age, Oslo, Rome
/// let flats = decode(file, &"city,-age".parse()?, "flats.csv")?;
/// assert_eq!(flats.to_string(), "flats.csv: 2 rows of [1], classes Oslo, Rome");
/// # Ok::<(), nnc::Error>(())
/// ```
///
/// # Errors
/// Where a column is not there, a row has more or fewer fields than the first, a field is empty, no number among numbers
/// or too large for f32 (line and column are named), or a column has too many different texts.
pub fn decode(file: &[u8], columns: &Columns, subject: &str) -> Result<Dataset, Error> {
    let mut records = Records::new(file, subject)?;
    let no_rows = || Error::invalid(subject, "it has no rows", "give a table with a row per line");
    let first = records.next_record()?.ok_or_else(no_rows)?;
    let is_header = first.fields().all(|field| field.parse::<f64>().is_err());
    let name = |(index, field): (usize, &str)| match is_header && !field.is_empty() {
        true => field.to_owned(),
        false => (index + 1).to_string(),
    };
    let names: Vec<String> = first.fields().enumerate().map(name).collect();
    let mut table = Table::new(subject, names, columns)?;
    if !is_header {
        table.push(first)?;
    }
    while let Some(record) = records.next_record()? {
        table.push(record)?;
    }
    if table.rows == 0 {
        return Err(no_rows());
    }
    table.finish()
}

/// A table as it is read.
struct Table<'a> {
    subject: &'a str,
    columns: Vec<Column>,
    target: usize,
    rows: usize,
}

struct Column {
    name: String,
    content: Content,
}

enum Content {
    /// Of a column that is left out.
    Unused,
    /// Of a column before its first row.
    Unknown,
    Numbers {
        numbers: Vec<f32>,
        are_integers: bool,
    },
    /// The texts in the order in which they came, and for each row, the number of its text.
    Texts {
        numbers: BTreeMap<String, u32>,
        rows: Vec<u32>,
    },
}

impl<'a> Table<'a> {
    fn new(subject: &'a str, names: Vec<String>, columns: &Columns) -> Result<Table<'a>, Error> {
        let find = |wanted: &String| {
            let by_number = || wanted.parse().ok().filter(|&number| (1..=names.len()).contains(&number));
            let found = names.iter().position(|name| name == wanted);
            found.or_else(|| by_number().map(|number: usize| number - 1)).ok_or_else(|| {
                let shown = names.len().min(SHOWN_NAMES);
                let shown_names: Vec<String> = names[..shown].iter().map(|name| quoted(name)).collect();
                let dots = if shown < names.len() { ", .." } else { "" };
                let help = format!("choose by name or number out of {}{dots}", shown_names.join(", "));
                let plain = names.iter().filter(|name| !name.contains(char::is_control));
                Error::invalid(
                    subject,
                    format!("it has no column `{wanted}`"),
                    with_nearest(wanted, plain, help),
                )
            })
        };
        let left_out = columns.left_out.iter().map(find).collect::<Result<Vec<usize>, Error>>()?;
        let is_used = |index: &usize| !left_out.contains(index);
        let last = || (0..names.len()).rfind(is_used);
        let target = match &columns.target {
            Some(target) => Some(find(target)?).filter(is_used),
            None => last(),
        };
        let target = target.ok_or_else(|| {
            Error::invalid(subject, "the target is left out", "leave other columns out than the target")
        })?;
        if (0..names.len()).all(|index| index == target || !is_used(&index)) {
            let help = "give at least one more column; separate fields by commas, semicolons or tabs";
            return Err(Error::invalid(subject, "it has the target alone", help));
        }
        let content = |index| if is_used(&index) { Content::Unknown } else { Content::Unused };
        let contents: Vec<Content> = (0..names.len()).map(content).collect();
        let columns = names.into_iter().zip(contents).map(|(name, content)| Column { name, content });
        Ok(Table { subject, columns: columns.collect(), target, rows: 0 })
    }

    fn push(&mut self, record: Record<'_>) -> Result<(), Error> {
        let invalid = |problem: String, help: &str| {
            Error::invalid(format!("{}, line {}", self.subject, record.line), problem, help)
        };
        if record.len() != self.columns.len() {
            let problem =
                format!("there are {} fields, in the first line {}", record.len(), self.columns.len());
            return Err(invalid(problem, "give each line as many"));
        }
        self.rows += 1;
        if self.rows.is_power_of_two() {
            // The columns double.
            memory::check_rows(self.subject, self.rows, self.columns.len(), 2)?;
        }
        for (index, (column, field)) in self.columns.iter_mut().zip(record.fields()).enumerate() {
            let most_texts = if index == self.target { MAX_CLASSES } else { MAX_TEXTS };
            column.content.push(field, most_texts).map_err(|problem| {
                let help = "mend the line, or leave it or the column out";
                invalid(format!("column {}: {problem}", quoted(&column.name)), help)
            })?;
        }
        Ok(())
    }

    fn finish(self) -> Result<Dataset, Error> {
        let Table { subject, columns, target, rows } = self;
        let features = || columns.iter().enumerate().filter(|&(index, _)| index != target);
        let width: usize = features().map(|(_, column)| column.content.width()).sum();
        if rows.saturating_mul(width) > MAX_NUMBERS {
            let problem = format!("its {rows} rows become {width} columns, too many to hold in memory");
            return Err(Error::invalid(subject, problem, "leave out columns of many different texts"));
        }
        memory::check_rows(subject, rows, width, 2)?; // they are split
        let mut numbers = vec![0.0; rows * width];
        let mut start = 0;
        for (_, column) in features() {
            column.content.write(&mut numbers, start, width);
            start += column.content.width();
        }
        let column = columns.into_iter().nth(target).expect("it was chosen from them");
        Dataset::new(subject, [width], numbers, column.into_targets())
    }
}

impl Content {
    /// Adds a field.
    fn push(&mut self, field: &str, most_texts: usize) -> Result<(), String> {
        if matches!(self, Content::Unknown) {
            *self = match field.parse::<f32>() {
                Ok(_) => Content::Numbers { numbers: Vec::new(), are_integers: true },
                Err(_) => Content::Texts { numbers: BTreeMap::new(), rows: Vec::new() },
            };
        }
        match self {
            Content::Unused | Content::Unknown => {}
            _ if field.is_empty() => return Err("the field is empty".into()),
            Content::Numbers { numbers, are_integers } => {
                let number: f32 =
                    field.parse().map_err(|_| format!("{} is no number, as it has above", quoted(field)))?;
                if !number.is_finite() {
                    return Err(format!("{field} is not finite in f32"));
                }
                *are_integers = *are_integers && is_small_integer(field);
                numbers.push(number);
            }
            Content::Texts { numbers, rows } => {
                let next = numbers.len() as u32;
                let number = match numbers.get(field) {
                    Some(&number) => number,
                    None if numbers.len() == most_texts => {
                        return Err(format!(
                            "{} is one more than {most_texts} different texts",
                            quoted(field)
                        ));
                    }
                    None => *numbers.entry(field.to_owned()).or_insert(next),
                };
                rows.push(number);
            }
        }
        Ok(())
    }

    /// The number of columns that it becomes.
    fn width(&self) -> usize {
        match self {
            Content::Unused | Content::Unknown => 0,
            Content::Numbers { .. } => 1,
            Content::Texts { numbers, .. } => numbers.len(),
        }
    }

    /// Writes it from column `start` on into `table`, `f32[rows, width]`, which holds zeros there.
    fn write(&self, table: &mut [f32], start: usize, width: usize) {
        match self {
            Content::Unused | Content::Unknown => {}
            Content::Numbers { numbers, .. } => {
                table.chunks_exact_mut(width).zip(numbers).for_each(|(row, &number)| row[start] = number);
            }
            Content::Texts { numbers, rows } => {
                let places = alphabetical(numbers);
                let rows = table.chunks_exact_mut(width).zip(rows);
                rows.for_each(|(row, &text)| row[start + places[text as usize]] = 1.0);
            }
        }
    }
}

impl Column {
    /// The column as targets.
    fn into_targets(self) -> Targets {
        match self.content {
            Content::Texts { numbers, rows } => {
                let places = alphabetical(&numbers);
                let labels = rows.iter().map(|&text| places[text as usize] as i64).collect();
                Targets::Classes { labels, names: numbers.into_keys().collect() }
            }
            Content::Numbers { numbers, are_integers } => integer_classes(&numbers)
                .filter(|_| are_integers)
                .unwrap_or_else(|| Targets::Values { values: numbers, names: vec![self.name] }),
            Content::Unused | Content::Unknown => Targets::values(Vec::new(), 1),
        }
    }
}

/// Whether a text is an integer that f32 holds exactly.
fn is_small_integer(text: &str) -> bool {
    text.parse::<i32>().is_ok_and(|integer| integer.unsigned_abs() <= 1 << f32::MANTISSA_DIGITS)
}

/// For each text, by its number, its place in alphabetical order.
fn alphabetical(texts: &BTreeMap<String, u32>) -> Vec<usize> {
    let mut places = vec![0; texts.len()];
    texts.values().enumerate().for_each(|(place, &text)| places[text as usize] = place);
    places
}

/// The classes that integers stand for, where they are few.
fn integer_classes(numbers: &[f32]) -> Option<Targets> {
    let mut classes: BTreeMap<i32, i64> = BTreeMap::new();
    for &number in numbers {
        classes.insert(number as i32, 0);
        if classes.len() > MAX_INTEGER_CLASSES {
            return None;
        }
    }
    if classes.len() > 2 && classes.len() * ROWS_PER_CLASS > numbers.len() {
        return None;
    }
    classes.values_mut().zip(0..).for_each(|(class, label)| *class = label);
    let labels = numbers.iter().map(|&number| classes[&(number as i32)]).collect();
    Some(Targets::Classes { labels, names: classes.keys().map(i32::to_string).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str, columns: &str) -> Result<Dataset, String> {
        let columns = if columns.is_empty() { Columns::default() } else { columns.parse().unwrap() };
        decode(text.as_bytes(), &columns, "t.csv").map_err(|error| error.to_string())
    }

    fn problem(text: &str, columns: &str) -> String {
        table(text, columns).unwrap_err()
    }

    #[test]
    fn the_last_column_is_the_target_where_none_is_chosen() {
        let data = table("1,2,0\n3,4,1\n", "").unwrap();
        assert_eq!(data.to_string(), "t.csv: 2 rows of [2], classes 0, 1");
        assert_eq!((data.row(1), data.labels()), (&[3.0, 4.0][..], Some(&[0, 1][..])));
    }

    #[test]
    fn a_target_is_chosen_by_name_or_by_number() {
        let text = "a,b,c\n1,2,0.5\n3,4,1.5\n";
        for columns in ["b", "2"] {
            let data = table(text, columns).unwrap();
            assert_eq!((data.row(0), data.labels()), (&[1.0, 0.5][..], Some(&[0, 1][..])));
            assert_eq!(data.targets().names(), ["2", "4"]);
        }
        assert_eq!(table(text, "b,-a").unwrap().row(1), [1.5]);
        assert_eq!(table(text, "-3").unwrap().labels(), Some(&[0, 1][..]));
        assert_eq!(
            problem(text, "d"),
            "t.csv: it has no column `d`; choose by name or number out of \"a\", \"b\", \"c\""
        );
        assert!(problem(text, "0").contains("it has no column `0`"));
        let misspelt = problem("price,area\n1,2\n", "prise");
        assert!(misspelt.contains("it has no column `prise`; did you mean `price`? choose by"), "{misspelt}");
        assert!(problem(text, "a,-4").contains("it has no column `4`"));
        assert!(problem(text, "a,-a").contains("the target is left out"));
        assert!(problem(text, "-a,-b,-c").contains("the target is left out"));
        assert!(problem(text, "a,-b,-c").contains("it has the target alone"));
        for unclear in ["", "a,b", "a,-", ","] {
            let error = unclear.parse::<Columns>().unwrap_err().to_string();
            assert!(error.contains("is not clear; give the target, and after a minus"), "{error}");
        }
    }

    #[test]
    fn texts_few_integers_and_two_integers_are_classes_and_other_numbers_values() {
        let rows =
            |targets: &[&str]| -> String { targets.iter().map(|target| format!("1,{target}\n")).collect() };
        let names = |targets: &[&str]| {
            let data = table(&rows(targets), "").unwrap();
            (data.labels().is_some(), data.targets().names().to_vec())
        };
        let names_of = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<String>>();
        assert_eq!(names(&["b", "a", "b"]), (true, names_of(&["a", "b"])));
        assert_eq!(names(&["7", "-1"]), (true, names_of(&["-1", "7"])));
        assert_eq!(names(&["1", "2", "3"]), (false, names_of(&["2"])));
        assert_eq!(names(&["10", "9", "8"].repeat(5)), (true, names_of(&["8", "9", "10"])));
        assert_eq!(names(&["10.0", "9.0", "8.0"].repeat(5)), (false, names_of(&["2"])));
        assert_eq!(names(&["3000000000", "1"]), (false, names_of(&["2"])));
        let many: Vec<String> = (0..101).map(|number| number.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(!names(&many.repeat(5)).0 && names(&many[..100].repeat(5)).0);
    }

    #[test]
    fn a_column_of_texts_becomes_a_column_per_text() {
        let data = table("x,c,y\n1,b,0\n2,a,1\n3,b,1\n", "").unwrap();
        assert_eq!((data.row(0), data.row(1)), (&[1.0, 0.0, 1.0][..], &[2.0, 1.0, 0.0][..]));
    }

    #[test]
    fn a_first_line_without_numbers_is_a_header() {
        assert_eq!(table("a,b\n1,0\n2,1\n", "").unwrap().len(), 2);
        assert_eq!(table("a,1\nb,0\n", "").unwrap().len(), 2);
        assert_eq!(table(",y\n1,0.5\n2,1\n", "y").unwrap().len(), 2);
        assert!(problem("a,b\n", "").contains("t.csv: it has no rows; "));
        assert!(problem("", "").contains("t.csv: it has no rows; "));
    }

    #[test]
    fn malformed_fields_are_errors_that_name_line_and_column() {
        let help = "mend the line, or leave it or the column out";
        let expected = format!("t.csv, line 3: column \"a\": \"x\" is no number, as it has above; {help}");
        assert_eq!(problem("a,b\n1,2\nx,3\n", ""), expected);
        assert!(problem("a,b\n1,2\n,3\n", "").contains("line 3: column \"a\": the field is empty; "));
        assert!(problem("1,2\n1,\n", "").contains("line 2: column \"2\": the field is empty; "));
        assert!(problem("1,2\n1e60,3\n", "").contains("line 2: column \"1\": 1e60 is not finite in f32; "));
        assert!(problem("1,2\nNaN,3\n", "").contains("line 2: column \"1\": NaN is not finite in f32; "));
        let fields = problem("a,b\n1,2\n1,2,3\n", "");
        assert_eq!(fields, "t.csv, line 3: there are 3 fields, in the first line 2; give each line as many");
        let texts: String = (0..100).map(|number| format!("text{number},1\n")).collect();
        assert!(
            problem(&texts, "").contains("line 65: column \"1\": \"text64\" is one more than 64 different")
        );
        assert!(table(&texts, "1").unwrap().outputs() == 100);
    }

    #[test]
    fn texts_that_would_fill_the_memory_are_an_error() {
        let mut content = Content::Unknown;
        (0..64).for_each(|text| content.push(&format!("t{text}"), MAX_TEXTS).unwrap());
        let column = |content| Column { name: "c".into(), content };
        let target = Content::Numbers { numbers: vec![0.0], are_integers: false };
        let columns = vec![column(content), column(target)];
        let table = Table { subject: "t.csv", columns, target: 1, rows: 1 << 23 };
        let error = table.finish().unwrap_err().to_string();
        assert!(error.contains("its 8388608 rows become 64 columns, too many to hold"), "{error}");
    }

    #[test]
    fn every_fifth_row_is_for_testing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, (0..10).map(|row| format!("{row},{}\n", row % 2)).collect::<String>()).unwrap();
        let (train, test) = read(&path, &Columns::default(), "toy").unwrap();
        assert_eq!((train.len(), test.len(), test.row(1), test.name()), (8, 2, &[5.0][..], "toy"));
    }
}
