//! Tables in CSV files: one column is the target, the others are what it is to be found out of.
//!
//! What a column holds is what all its fields say: numbers, or texts; one of both is an error. A target of texts, or of a few
//! integers, is a class; of other numbers, a value: integers with a decimal point (`3.0`) are values.
//!
//! | module | what it holds |
//! |---|---|
//! | `columns` | which columns are used |
//! | `encoding` | how rows become numbers, as models keep it |
//! | `format` | how a table is written, and what is done with what it lacks |
//! | `header` | whether the first line holds names |
//! | `matching` | which columns of another table are which |
//! | `notation` | numbers and missing values |
//! | `scan` | what columns hold |

mod columns;
mod encoding;
mod format;
mod header;
mod matching;
mod notation;
mod scan;

use std::path::Path;

pub use columns::Columns;
pub use encoding::Encoding;
pub use format::{Decimal, Delimiter, Format, Missing, Unknown};
pub use matching::Use;

use super::Dataset;
use super::records::Record;
use crate::{Error, files};
use scan::Scan;

/// The most different texts of a column, and of a target.
const MAX_TEXTS: usize = 64;
const MAX_CLASSES: usize = 1024;
/// The most numbers of a table.
const MAX_NUMBERS: usize = 1 << 28;

/// The rows of a table.
///
/// # Errors
/// As [`decode`], and where the file cannot be read.
pub fn read(path: &Path, columns: &Columns, format: &Format, name: &str) -> Result<Dataset, Error> {
    Ok(decode(&files::read(path)?, columns, format, &path.display().to_string())?.named(name))
}

/// The rows of a table in the bytes of a file, gzipped or not; `subject` is what an error calls it. They know [how they became
/// numbers](Dataset::encoding), by which those of other tables do.
///
/// ```
/// use nnc::data::csv::{Columns, Format, Use, decode};
/// let file = b"age,city,price\n20,Rome,1.5\n30,Oslo,2.5\n";
/// let flats = decode(file, &Columns::default(), &Format::default(), "flats.csv")?;
/// assert_eq!(flats.to_string(), "flats.csv: 2 rows of [3], values price");
/// assert_eq!(flats.row(0), [20.0, 0.0, 1.0]); // the age, Oslo, Rome
/// let encoding = flats.encoding().expect("it is a table");
/// let others = encoding.read(b"city,age\nOslo,40\n", &Format::default(), Use::Predict, "others.csv")?;
/// assert_eq!(others.row(0), [40.0, 1.0, 0.0]);
/// let flats = decode(file, &"city,-age".parse()?, &Format::default(), "flats.csv")?;
/// assert_eq!(flats.to_string(), "flats.csv: 2 rows of [1], classes Oslo, Rome");
/// # Ok::<(), nnc::Error>(())
/// ```
///
/// # Errors
/// Where nothing tells whether the first line is a row, a column is not there, a row has more or fewer fields than the first, or it is
/// not clear what a column holds: a field is a number in a notation that is not read, a text among numbers, missing, too large for
/// f32; or there are too many different texts. Line and column are named, and what can be done.
pub fn decode(file: &[u8], columns: &Columns, format: &Format, subject: &str) -> Result<Dataset, Error> {
    let scan = Scan::of(file, format, subject)?;
    let encoding = scan.encoding(columns, true, format)?;
    encoding.read(file, &Format { header: Some(scan.has_header), ..format.clone() }, Use::Evaluate, subject)
}

/// The rows of a table of numbers alone, without a target, but for the columns that are left out.
///
/// # Errors
/// As [`decode`]; and where a column holds texts.
pub fn decode_numbers(
    file: &[u8],
    columns: &Columns,
    format: &Format,
    subject: &str,
) -> Result<Dataset, Error> {
    let scan = Scan::of(file, format, subject)?;
    let encoding = scan.encoding(columns, false, format)?;
    if let Some(name) = encoding.first_of_texts() {
        let problem = format!(
            "column {} holds texts, and the model was not trained on a table that says what they are",
            crate::error::quoted(name)
        );
        return Err(Error::invalid(subject, problem, "give numbers, or leave the column out"));
    }
    encoding.read(file, &Format { header: Some(scan.has_header), ..format.clone() }, Use::Predict, subject)
}

/// The error that a record has not as many fields as the first.
fn mixed_lengths(record: &Record<'_>, expected: usize, subject: &str) -> Error {
    let problem = format!("there are {} fields, in the first line {expected}", record.len());
    Error::invalid(format!("{subject}, line {}", record.line), problem, "give each line as many")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_format(text: &str, columns: &str, format: &Format) -> Result<Dataset, String> {
        let columns = if columns.is_empty() { Columns::default() } else { columns.parse().unwrap() };
        decode(text.as_bytes(), &columns, format, "t.csv").map_err(|error| error.to_string())
    }

    fn table(text: &str, columns: &str) -> Result<Dataset, String> {
        with_format(text, columns, &Format::default())
    }

    fn problem(text: &str, columns: &str) -> String {
        table(text, columns).unwrap_err()
    }

    /// What another table is, read as the first.
    fn read_as(first: &str, other: &str, format: &Format, wanted: Use) -> Result<Dataset, String> {
        let encoding = table(first, "").unwrap().encoding().unwrap().clone();
        encoding.read(other.as_bytes(), format, wanted, "o.csv").map_err(|error| error.to_string())
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
        let twice = "a,a,b\n1,2,3\n";
        assert_eq!(
            problem(twice, ""),
            "t.csv: two columns are called \"a\"; rename one, or leave it out by its number: #-2"
        );
        assert!(problem(twice, "a").contains("several columns are called \"a\"; say which by its number"));
        assert_eq!(table(twice, "-2").unwrap().row(0), [1.0]);
        for unclear in ["", "a,b", "a,-", ","] {
            let error = unclear.parse::<Columns>().unwrap_err().to_string();
            assert!(error.contains("is not clear; give the target, and after a minus"), "{error}");
        }
    }

    #[test]
    fn texts_few_integers_and_two_integers_are_classes_and_other_numbers_values() {
        let rows =
            |targets: &[&str]| -> String { targets.iter().map(|target| format!("0.5,{target}\n")).collect() };
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
        assert_eq!(names(&["3000000000", "1"]), (true, names_of(&["1", "3000000000"])));
        let many: Vec<String> = (0..101).map(|number| number.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(!names(&many.repeat(5)).0 && names(&many[..100].repeat(5)).0);
        let format = Format { categories: vec!["2".into()], ..Format::default() };
        let data = with_format(&rows(&["1", "2", "3"]), "", &format).unwrap();
        assert_eq!(data.targets().names(), ["1", "2", "3"]);
    }

    #[test]
    fn a_column_of_texts_becomes_a_column_per_text() {
        let data = table("x,c,y\n1,b,0\n2,a,1\n3,b,1\n", "").unwrap();
        assert_eq!((data.row(0), data.row(1)), (&[1.0, 0.0, 1.0][..], &[2.0, 1.0, 0.0][..]));
        let words = "columns: 1 of numbers, 1 of texts; target y, 2 classes; left out: x";
        let data = table("x,c,z,y\n1,b,1,0\n2,a,1,1\n3,b,1,1\n", "-x").unwrap();
        assert_eq!(data.encoding().unwrap().to_string(), words);
    }

    #[test]
    fn a_first_line_is_a_header_where_texts_stand_above_numbers() {
        assert_eq!(table("a,b\n1,0\n2,1\n", "").unwrap().len(), 2);
        assert_eq!(table(",y\n1,0.5\n2,1\n", "y").unwrap().len(), 2);
        // Names may be numbers.
        let digits = table("label,0,1,2\n7,0,5,16\n3,1,2,2\n", "label").unwrap();
        assert_eq!(
            (digits.row(0), digits.targets().names()),
            (&[0.0, 5.0, 16.0][..], &["3".into(), "7".into()][..])
        );
        let years = table("country,2001,rate\nRome,5,0.5\nOslo,7,0.7\n", "rate").unwrap();
        assert_eq!((years.len(), years.encoding().unwrap().feature_names().len()), (2, 3));
        // A row has what comes again.
        assert_eq!(table("a,1\na,0\nb,1\n", "").unwrap().len(), 3);
        assert_eq!(table("x,0.5\ny,1.5\n", "").unwrap().len(), 2);
        assert!(problem("a,b\n", "").contains("t.csv: it has no rows; "));
        assert!(problem("", "").contains("t.csv: it has no rows; "));
    }

    #[test]
    fn a_first_line_that_may_be_both_is_an_error_until_it_is_said() {
        for text in ["country,2001,2002\nRome,5,6\nOslo,7,8\n", "0,1,2,3\n0,5,16,1\n7,5,16,0\n"] {
            let error = "t.csv: its first line may hold the names of columns or be a row; say which: --header or --no-header";
            assert_eq!(problem(text, ""), error);
            for (header, rows) in [(true, 2), (false, 3)] {
                let format = Format { header: Some(header), ..Format::default() };
                assert_eq!(with_format(text, "", &format).unwrap().len(), rows);
            }
        }
    }

    #[test]
    fn numbers_in_other_notations_are_errors_that_name_them() {
        for (field, what) in [
            (
                "\"1,5\"",
                "\"1,5\" is a number with a decimal comma; write numbers like 1234.5, or say that the comma",
            ),
            ("\"1,234\"", "\"1,234\" is a number with a comma, for decimals or thousands; "),
            ("10%", "\"10%\" is a percentage; write numbers like 1234.5, without units and groups"),
            ("0x10", "\"0x10\" is a hexadecimal number; "),
            ("inf", "\"inf\" is infinite; give finite numbers"),
        ] {
            let error = problem(&format!("a,b\n1,0\n2,1\n{field},1\n"), "");
            assert!(error.starts_with(&format!("t.csv, line 4: column \"a\": {what}")), "{error}");
            // Wherever it comes, and where it comes alone.
            assert!(
                problem(&format!("a,b\n{field},0\n2,1\n"), "").starts_with("t.csv, line 2: column \"a\": ")
            );
            assert!(problem(&format!("a,b\n{field},0\n{field},1\n"), "").contains(what));
        }
        let comma = Format { decimal: Decimal::Comma, ..Format::default() };
        assert_eq!(with_format("a;b\n1,5;0\n-2;1\n", "", &comma).unwrap().rows(), [1.5, -2.0]);
        let error = with_format("a;b\n1,5;0\n2.5;1\n", "", &comma).unwrap_err();
        assert!(
            error.contains("line 3: column \"a\": \"2.5\" is a number with a decimal point; "),
            "{error}"
        );
    }

    #[test]
    fn numbers_among_texts_are_errors_until_they_are_said_to_be_texts() {
        let text = "a,b\n1,0\n2,1\n3,1\nx,0\n";
        let help = "mend the line, take the column for texts (--categories NAME), or leave it out (#-NAME)";
        let expected =
            format!("t.csv, line 5: column \"a\": \"x\" is no number, and 3 of 4 fields are numbers; {help}");
        assert_eq!(problem(text, ""), expected);
        let error = problem("a,b\nx,0\ny,1\n3,1\n", "");
        assert!(
            error
                .starts_with("t.csv, line 4: column \"a\": \"3\" is a number, and 2 of 3 fields are texts; ")
        );
        let format = Format { categories: vec!["a".into()], ..Format::default() };
        assert_eq!(with_format(text, "", &format).unwrap().row(3), [0.0, 0.0, 0.0, 1.0]);
        let targets = "a,b\n1,0\n2,1\n3,one\n";
        assert!(problem(targets, "").starts_with("t.csv, line 4: column \"b\": \"one\" is no number"));
    }

    #[test]
    fn what_is_done_where_a_value_is_missing_is_chosen() {
        let text = "a,c,b\n1,x,0\n,x,1\n4,?,1\n";
        let error = problem(text, "");
        let help = "give --missing drop, mean or indicator, or --categories NAME to take it for a category";
        let expected =
            format!("t.csv, line 3: column \"a\": the field is empty, and 1 of 3 rows have no value; {help}");
        assert_eq!(error, expected);
        let error = problem(text, "-a");
        assert!(
            error.contains("line 4: column \"c\": \"?\" stands for a missing value, of which there are 1 in"),
            "{error}"
        );
        let of = |missing| with_format(text, "", &Format { missing, ..Format::default() }).unwrap();
        let dropped = of(Missing::Drop);
        assert_eq!(
            (dropped.rows(), dropped.remarks()),
            (&[1.0, 1.0][..], &["2 of 3 rows lack a value and are left out".into()][..])
        );
        assert_eq!(of(Missing::Mean).rows(), [1.0, 1.0, 2.5, 1.0, 4.0, 1.0]);
        let indicator = of(Missing::Indicator);
        assert_eq!(indicator.encoding().unwrap().feature_names(), ["a", "a?", "c=x", "c?"]);
        assert_eq!(indicator.rows(), [1., 0., 1., 0., 2.5, 1., 1., 0., 4., 0., 1., 1.]);
        let format = Format { categories: vec!["c".into()], missing: Missing::Drop, ..Format::default() };
        assert_eq!(with_format(text, "", &format).unwrap().rows(), [1.0, 0.0, 1.0, 4.0, 1.0, 0.0]);
        let target = "a,b\n1,0\n2,NA\n";
        for missing in [Missing::Mean, Missing::Indicator] {
            let error = with_format(target, "", &Format { missing, ..Format::default() }).unwrap_err();
            assert!(
                error.ends_with("of the target nothing can be put there: give --missing drop"),
                "{error}"
            );
        }
        assert!(
            problem("a,b\n,0\n,1\n", "")
                .contains("column \"a\": all its values are missing; leave the column")
        );
    }

    #[test]
    fn malformed_fields_are_errors_that_name_line_and_column() {
        assert!(
            problem("1,2\n1e60,3\n", "").contains("line 2: column \"1\": \"1e60\" is not finite in f32; ")
        );
        let fields = problem("a,b\n1,2\n1,2,3\n", "");
        assert_eq!(fields, "t.csv, line 3: there are 3 fields, in the first line 2; give each line as many");
        let texts: String = (0..100).map(|number| format!("text{number},{number}.5\n")).collect();
        let error = problem(&texts, "");
        assert!(error.contains("column \"1\" has 100 different texts (\"text0\", \"text1\", \"text10\", ..), of which there may be 64; "), "{error}");
        assert!(table(&texts, "1").unwrap().outputs() == 100);
    }

    #[test]
    fn digits_that_f32_has_not_are_kept_until_rows_are_scaled() {
        let rows: String =
            (0..10).map(|second| format!("{}.5,{}\n", 1_700_000_000 + second, second % 2)).collect();
        let data = table(&rows, "").unwrap();
        assert_eq!(data.rows()[0], data.rows()[1]); // as f32 has it
        let scaled = crate::data::Normalisation::to_unit_range(&data).apply(&data).unwrap();
        assert_eq!((scaled.rows()[0], scaled.rows()[9]), (0.0, 1.0));
        assert!((scaled.rows()[1] - 1.0 / 9.0).abs() < 1e-6);
        // Rows that are chosen of them, and target values.
        let (train, test) = data.split_test(0);
        let scale = crate::data::Normalisation::to_unit_range(&data);
        let of_parts = [scale.apply(&train).unwrap().rows(), scale.apply(&test).unwrap().rows()].concat();
        assert_eq!(of_parts.iter().filter(|row| **row < 0.5).count(), 5);
        let targets: String =
            (0..9).map(|second| format!("{second},{}.5\n", 1_700_000_000 + second)).collect();
        let data = table(&targets, "").unwrap();
        let scaled = crate::data::Normalisation::of_targets(&data).unwrap().apply_to_targets(&data).unwrap();
        assert_eq!(scaled.values().unwrap()[4], 0.0);
        assert!((scaled.values().unwrap()[8] - 4.0 / (60.0f32 / 9.0).sqrt()).abs() < 1e-6);
    }

    #[test]
    fn columns_of_another_table_are_found_by_their_names() {
        let first = "age,city,price\n20,Rome,1.5\n30,Oslo,2.5\n";
        let format = Format::default();
        let rows = read_as(first, "note,price,city,age\nx,9,Oslo,40\n", &format, Use::Evaluate).unwrap();
        assert_eq!((rows.row(0), rows.values()), (&[40.0, 1.0, 0.0][..], Some(&[9.0][..])));
        assert_eq!(rows.remarks(), ["columns of o.csv that are not used: \"note\""]);
        let rows = read_as(first, "city,age,price\nOslo,40,?\n", &format, Use::Predict).unwrap();
        assert_eq!(rows.row(0), [40.0, 1.0, 0.0]);
        let error = read_as(first, "city,aged\nOslo,40\n", &format, Use::Predict).unwrap_err();
        let expected =
            "o.csv: it has no column \"age\"; did you mean `aged`? name the columns as they were in training";
        assert!(error.starts_with(expected), "{error}");
        let error = read_as(first, "city,age\nOslo,40\n", &format, Use::Evaluate).unwrap_err();
        assert!(error.starts_with("o.csv: it has no column \"price\"; "), "{error}");
        let error = read_as(first, "age,city,age\n1,Oslo,40\n", &format, Use::Predict).unwrap_err();
        assert!(error.starts_with("o.csv: several columns are called \"age\"; "), "{error}");
    }

    #[test]
    fn without_a_header_columns_are_taken_in_their_order_where_their_number_is_right() {
        let first = "age,city,price\n20,Rome,1.5\n30,Oslo,2.5\n";
        let format = Format::default();
        let rows = read_as(first, "40,Oslo,?\n", &format, Use::Predict).unwrap();
        assert_eq!((rows.row(0), rows.len()), (&[40.0, 1.0, 0.0][..], 1));
        assert_eq!(rows.remarks(), ["o.csv has no header: columns are taken in their order"]);
        assert_eq!(read_as(first, "40,Oslo\n", &format, Use::Predict).unwrap().row(0), [40.0, 1.0, 0.0]);
        let error = read_as(first, "40,Oslo\n", &format, Use::Evaluate).unwrap_err();
        let expected = "o.csv: a line has 2 columns, and those that the model was trained on have 3; give 3, or a header with their names";
        assert_eq!(error, expected);
        let error = read_as(first, "1,2,3,4\n", &format, Use::Predict).unwrap_err();
        assert!(
            error.contains("give 3, or the 2 that rows are made of, or a header with their names"),
            "{error}"
        );
        let rows = read_as("1,2,0\n3,4,1\n", "a,b,c\n5,6,1\n", &format, Use::Evaluate).unwrap();
        assert_eq!((rows.row(0), rows.labels()), (&[5.0, 6.0][..], Some(&[1][..])));
        assert!(
            rows.remarks()[0]
                .starts_with("o.csv has names, and those that the model was trained on had none")
        );
    }

    #[test]
    fn categories_are_those_of_the_first_table() {
        let first = "age,city,price\n20,Rome,1.5\n30,Oslo,2.5\n40,Bern,3.5\n";
        let rows = read_as(first, "age,city\n1,Rome\n2,Bern\n", &Format::default(), Use::Predict).unwrap();
        assert_eq!(rows.rows(), [1.0, 0.0, 0.0, 1.0, 2.0, 1.0, 0.0, 0.0]);
        let paris = "age,city\n1,Rome\n2,Paris\n";
        let error = read_as(first, paris, &Format::default(), Use::Predict).unwrap_err();
        let expected = "o.csv, line 3: column \"city\": \"Paris\" is none of the texts that it is known to hold, \
                        \"Bern\", \"Oslo\", \"Rome\"; mend the line; or, of texts that are no target, give --unknown ignore";
        assert_eq!(error, expected);
        let ignore = Format { unknown: Unknown::Ignore, ..Format::default() };
        assert_eq!(read_as(first, paris, &ignore, Use::Predict).unwrap().row(1), [2.0, 0.0, 0.0, 0.0]);
        // So are classes.
        let species = "a,s\n1,x\n2,y\n3,z\n";
        let rows = read_as(species, "s,a\nz,1\n", &Format::default(), Use::Evaluate).unwrap();
        assert_eq!((rows.labels(), rows.outputs()), (Some(&[2][..]), 3));
        assert!(
            read_as(species, "s,a\nw,1\n", &ignore, Use::Evaluate)
                .unwrap_err()
                .contains("\"w\" is none of the texts")
        );
        let integers = read_as("a,s\n1,7\n2,9\n", "a,s\n1,8\n", &Format::default(), Use::Evaluate);
        assert!(integers.unwrap_err().contains("\"8\" is none of its 2 classes"));
    }

    #[test]
    fn fields_of_another_kind_than_in_the_first_table_are_errors() {
        let first = "age,city,price\n20,Rome,1.5\n30,Oslo,2.5\n";
        let error = |other: &str| read_as(first, other, &Format::default(), Use::Predict).unwrap_err();
        assert!(error("age,city\nold,Rome\n").contains("line 2: column \"age\": \"old\" is no number; "));
        assert!(error("age,city\n,Rome\n").contains("line 2: column \"age\": the field is empty; "));
        assert!(error("age,city\n?,Rome\n").contains("column \"age\": \"?\" is no value; "));
        assert!(error("age,city\n1\n").contains("line 2: there are 1 fields, in the first line 2"));
        assert!(error("age,city\n").contains("o.csv: it has no rows"));
    }

    #[test]
    fn missing_values_of_another_table_are_what_they_were_in_the_first() {
        let first = "a,b\n1,0\n,1\n3,1\n";
        let read = |missing, wanted| {
            let format = Format { missing, ..Format::default() };
            let encoding = with_format(first, "", &format).unwrap().encoding().unwrap().clone();
            let read = encoding.read(b"a,b\n,1\n9,0\n", &Format::default(), wanted, "o.csv");
            read.map_err(|error| error.to_string())
        };
        assert_eq!(read(Missing::Mean, Use::Predict).unwrap().rows(), [2.0, 9.0]);
        assert_eq!(read(Missing::Drop, Use::Evaluate).unwrap().rows(), [9.0]);
        let error = read(Missing::Drop, Use::Predict).unwrap_err();
        assert!(
            error.ends_with(
                "line 2: column \"a\": a value is missing; give a value: a prediction for each row is wanted"
            ),
            "{error}"
        );
    }

    #[test]
    fn an_encoding_comes_back_from_json() {
        let data = table("x,c,y\n0.1,b,0\n2,a,1\n3,b,1\n", "").unwrap();
        let encoding = data.encoding().unwrap();
        let text = serde_json::to_string(encoding).unwrap();
        assert_eq!(serde_json::from_str::<Encoding>(&text).unwrap(), *encoding);
    }
}
