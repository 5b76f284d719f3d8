//! The handwritten digits of envelopes in the format of "The Elements of Statistical Learning" (T. Hastie, R. Tibshirani and
//! J. Friedman, section 11.7): a line per image, which is the digit and 256 grey values, of 16 rows from -1 to 1, separated
//! by spaces.

use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

use super::{Dataset, Parts, Pixels, Targets, gzip};
use crate::error::quoted;
use crate::{Error, files, memory};

const SHAPE: [usize; 3] = [1, 16, 16];
const PIXELS: usize = SHAPE[1] * SHAPE[2];
const CLASSES: usize = 10;
/// No line is longer than this, with 62 bytes for each number.
const MAX_LINE_BYTES: usize = 1 << 14;

/// The digits of a file and, for testing, those of the file beside it: of `zip.train.gz`, `zip.test.gz`.
///
/// # Errors
/// Where a file cannot be read or a line is malformed (it is named).
pub fn read(path: &Path, name: &str) -> Result<Parts, Error> {
    let read_part = |path: &Path| decode(&files::read(path)?, &path.display().to_string());
    let train = read_part(path)?.named(name);
    match test_file_beside(path) {
        Some(test) => Ok(Parts::apart((train, read_part(&test)?.named(name)))),
        None => Ok(Parts::whole(train)),
    }
}

/// The file whose name has `test` in the place of the last `train`.
fn test_file_beside(path: &Path) -> Option<PathBuf> {
    let (before, after) = path.file_name()?.to_str()?.rsplit_once("train")?;
    Some(path.with_file_name(format!("{before}test{after}"))).filter(|test| test.is_file())
}

/// The digits in the bytes of a file; `subject` is what an error calls it.
///
/// # Errors
/// Where a line is not a digit and 256 numbers from -1 to 1, or the file cannot be inflated.
pub fn decode(file: &[u8], subject: &str) -> Result<Dataset, Error> {
    let mut reader = gzip::reader(file);
    let (mut pixels, mut labels, mut line) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1.. {
        line.clear();
        let mut bounded = reader.by_ref().take(MAX_LINE_BYTES as u64);
        bounded.read_until(b'\n', &mut line).map_err(|error| gzip::damaged(subject, &error))?;
        if line.is_empty() {
            break;
        }
        memory::reserve(subject, &mut pixels, PIXELS)?;
        let label = parse_line(&line, &mut pixels).map_err(|problem| {
            let help = "give a digit and 256 numbers from -1 to 1, separated by spaces";
            Error::invalid(format!("{subject}, line {number}"), problem, help)
        })?;
        labels.push(label);
    }
    if labels.is_empty() {
        return Err(Error::invalid(subject, "it has no lines", "give a file like zip.train of the ESL"));
    }
    let digits = Dataset::new(subject, SHAPE, pixels, Targets::classes(labels, CLASSES))?;
    Ok(digits.with_pixels(Some(Pixels::SIGNED)))
}

/// Appends the values of a line to `pixels` and returns the digit.
fn parse_line(line: &[u8], pixels: &mut Vec<f32>) -> Result<i64, String> {
    if line.len() == MAX_LINE_BYTES {
        return Err(format!("it is longer than {MAX_LINE_BYTES} bytes"));
    }
    let line = str::from_utf8(line).map_err(|_| "it is no text")?;
    let mut fields = line.split_ascii_whitespace();
    let number = |field: &str| field.parse::<f32>().map_err(|_| format!("{} is no number", quoted(field)));
    let label = number(fields.next().ok_or("it is empty")?)?;
    if label.fract() != 0.0 || !(0.0..CLASSES as f32).contains(&label) {
        return Err(format!("the label is {label}"));
    }
    let start = pixels.len();
    for field in fields.by_ref().take(PIXELS) {
        let pixel = number(field)?;
        if !(-1.0..=1.0).contains(&pixel) {
            return Err(format!("value {} is {pixel}", pixels.len() - start + 1));
        }
        pixels.push(pixel);
    }
    match pixels.len() - start + fields.count() {
        PIXELS => Ok(label as i64),
        count => Err(format!("there are {count} values")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line of a digit, 255 values of -1 and one of `last`.
    fn line(label: &str, last: &str) -> String {
        format!("{label}{} {last} \n", " -1.0000".repeat(PIXELS - 1))
    }

    fn problem(text: &str) -> String {
        decode(text.as_bytes(), "zip").unwrap_err().to_string()
    }

    #[test]
    fn lines_are_digits_and_their_pixels() {
        let digits = decode((line("6.0000", "0.5") + &line("0", "1")).as_bytes(), "zip").unwrap();
        assert_eq!((digits.len(), digits.labels()), (2, Some(&[6, 0][..])));
        assert_eq!((digits.row(0)[254..].to_vec(), digits.row(1)[255]), (vec![-1.0, 0.5], 1.0));
        assert_eq!((digits.row_shape().to_string(), digits.outputs()), ("[1, 16, 16]".into(), 10));
    }

    #[test]
    fn malformed_lines_are_errors_that_name_the_line() {
        let help = "give a digit and 256 numbers from -1 to 1, separated by spaces";
        let second = |text: &str| problem(&(line("1", "0") + text));
        assert_eq!(second(&line("10", "0")), format!("zip, line 2: the label is 10; {help}"));
        assert!(second(&line("-1", "0")).contains("line 2: the label is -1; "));
        assert!(second(&line("NaN", "0")).contains("line 2: the label is NaN; "));
        assert!(second(&line("1.5", "0")).contains("line 2: the label is 1.5; "));
        assert!(second(&line("1", "1.5")).contains("line 2: value 256 is 1.5; "));
        assert!(second(&line("1", "NaN")).contains("line 2: value 256 is NaN; "));
        assert!(second(&line("1", "x")).contains("line 2: \"x\" is no number; "));
        assert!(second(&line("1", "")).contains("line 2: there are 255 values; "));
        assert!(second(&line("1", "0 0")).contains("line 2: there are 257 values; "));
        assert!(second("\n").contains("line 2: it is empty; "));
        assert!(second(&"0 ".repeat(MAX_LINE_BYTES)).contains("line 2: it is longer than 16384 bytes; "));
        assert!(decode(b"\xff\xfe", "zip").unwrap_err().to_string().contains("line 1: it is no text"));
        assert!(problem("").starts_with("zip: it has no lines; "));
    }

    #[test]
    fn a_truncated_file_is_an_error_wherever_it_ends() {
        let whole = gzip::compress((line("1", "0.25") + &line("2", "0.75")).as_bytes());
        for length in 0..whole.len() {
            assert!(decode(&whole[..length], "zip").is_err(), "{length}");
        }
        assert!(decode(&whole, "zip").is_ok());
    }

    #[test]
    fn the_file_beside_it_is_for_testing() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, label: &str, lines| {
            std::fs::write(folder.path().join(name), line(label, "0").repeat(lines)).unwrap();
        };
        write("zip.train", "1", 10);
        let (train, test) = read(&folder.path().join("zip.train"), "envelopes").unwrap().split(0);
        assert_eq!((train.len(), test.len(), train.name()), (8, 2, "envelopes"));
        write("zip.test", "2", 3);
        let (train, test) = read(&folder.path().join("zip.train"), "envelopes").unwrap().split(0);
        assert_eq!((train.len(), test.labels(), test.name()), (10, Some(&[2; 3][..]), "envelopes"));
        let error = read(&folder.path().join("none"), "envelopes").unwrap_err().to_string();
        assert!(error.contains("none: cannot read: "), "{error}");
    }
}
