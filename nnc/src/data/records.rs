//! The records of a CSV file (RFC 4180), one after another in memory that does not grow with the file: a record that is
//! longer than any table needs is an error.

use std::io::BufRead;

use csv_core::ReadRecordResult;

use super::gzip;
use crate::Error;

/// The longest record.
const MAX_RECORD_BYTES: usize = 1 << 22;
/// The most fields of a record.
pub const MAX_FIELDS: usize = 1 << 16;
/// What may separate fields.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

/// What some programs write before a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads records. Fields are separated by commas, semicolons or tabs: what the first line has most of, or what is said.
pub struct Records<'a> {
    subject: &'a str,
    input: Box<dyn BufRead + 'a>,
    parser: csv_core::Reader,
    text: Vec<u8>,
    ends: Vec<usize>,
    /// The number of line ends that were read, and whether one was read last.
    line_ends: usize,
    is_at_line_start: bool,
}

/// The fields of a record.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// The number of the line that it starts on, from 1.
    pub line: usize,
    text: &'a str,
    ends: &'a [usize],
}

impl<'a> Records<'a> {
    /// The records in the bytes of a file, gzipped or not; `subject` is what an error calls it. Fields are separated by `delimiter`, where
    /// one is given.
    pub fn new(file: &'a [u8], subject: &'a str, delimiter: Option<u8>) -> Result<Records<'a>, Error> {
        let mut input = gzip::reader(file);
        let start = input.fill_buf().map_err(|error| gzip::damaged(subject, &error))?;
        if start.starts_with(BYTE_ORDER_MARK) {
            input.consume(BYTE_ORDER_MARK.len());
        }
        let start = input.fill_buf().map_err(|error| gzip::damaged(subject, &error))?;
        let first_line = start.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let count = |delimiter: u8| first_line.iter().filter(|&&byte| byte == delimiter).count();
        let most = || DELIMITERS.into_iter().rev().max_by_key(|&delimiter| count(delimiter));
        let delimiter = delimiter.or_else(most);
        let parser = csv_core::ReaderBuilder::new().delimiter(delimiter.unwrap_or(b',')).build();
        let (text, ends) = (vec![0; 1 << 10], vec![0; 1 << 5]);
        Ok(Records { subject, input, parser, text, ends, line_ends: 0, is_at_line_start: true })
    }

    /// The next record; `None` after the last. Empty lines are none.
    ///
    /// # Errors
    /// Where the file cannot be inflated, a record is too long or is no text.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, Error> {
        let (mut text_len, mut fields) = (0, 0);
        loop {
            let input = self.input.fill_buf().map_err(|error| gzip::damaged(self.subject, &error))?;
            let (text, ends) = (&mut self.text[text_len..], &mut self.ends[fields..]);
            let (result, read, written, ended) = self.parser.read_record(input, text, ends);
            self.line_ends += input[..read].iter().filter(|&&byte| byte == b'\n').count();
            self.is_at_line_start = input[..read].last().map_or(self.is_at_line_start, |&byte| byte == b'\n');
            self.input.consume(read);
            (text_len, fields) = (text_len + written, fields + ended);
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull if self.text.len() < MAX_RECORD_BYTES => {
                    self.text.resize(2 * self.text.len(), 0);
                }
                ReadRecordResult::OutputEndsFull if self.ends.len() < MAX_FIELDS => {
                    self.ends.resize(2 * self.ends.len(), 0);
                }
                ReadRecordResult::OutputFull => {
                    return Err(self.too_long(&format!("{MAX_RECORD_BYTES} bytes")));
                }
                ReadRecordResult::OutputEndsFull => {
                    return Err(self.too_long(&format!("{MAX_FIELDS} fields")));
                }
                ReadRecordResult::Record => break,
                ReadRecordResult::End => return Ok(None),
            }
        }
        let text = &self.text[..text_len];
        let within = text.iter().filter(|&&byte| byte == b'\n').count();
        let line = (self.line_ends + usize::from(!self.is_at_line_start)).saturating_sub(within).max(1);
        let ends = &self.ends[..fields];
        // Bytes of two fields may make a character that neither holds.
        let text =
            str::from_utf8(text).ok().filter(|text| ends.iter().all(|&end| text.is_char_boundary(end)));
        let text = text.ok_or_else(|| {
            Error::invalid(format!("{}, line {line}", self.subject), "it is not UTF-8", "give a text file")
        })?;
        Ok(Some(Record { line, text, ends }))
    }

    fn too_long(&self, limit: &str) -> Error {
        let (subject, line) = (self.subject, self.line_ends + 1);
        let problem = format!("the record that is there has more than {limit}");
        Error::invalid(format!("{subject}, line {line}"), problem, "give a CSV file; look for an open quote")
    }
}

impl<'a> Record<'a> {
    /// The number of fields.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The fields, without spaces around them.
    pub fn fields(&self) -> impl Iterator<Item = &'a str> {
        let Record { text, ends, .. } = *self;
        let starts = [0].into_iter().chain(ends.iter().copied());
        starts.zip(ends).map(move |(start, &end)| text[start..end].trim())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of records and their fields.
    fn all(file: &[u8]) -> Result<Vec<(usize, Vec<String>)>, String> {
        let mut records = Records::new(file, "a.csv", None).map_err(|error| error.to_string())?;
        let mut found = Vec::new();
        while let Some(record) = records.next_record().map_err(|error| error.to_string())? {
            found.push((record.line, record.fields().map(str::to_owned).collect()));
        }
        Ok(found)
    }

    fn record(line: usize, fields: &[&str]) -> (usize, Vec<String>) {
        (line, fields.iter().map(|&field| field.to_owned()).collect())
    }

    #[test]
    fn records_have_the_numbers_of_their_lines() {
        let expected = [record(1, &["a", "b"]), record(2, &["1", "2"]), record(4, &["3", ""])];
        for end in ["\n", "\r\n"] {
            let text = ["a, b", "1,2", "", "3,"].join(end);
            assert_eq!(all(text.as_bytes()).unwrap(), expected);
            assert_eq!(all((text.clone() + end).as_bytes()).unwrap(), expected);
            assert_eq!(all(&gzip::compress(text.as_bytes())).unwrap(), expected);
        }
    }

    #[test]
    fn quoted_fields_can_hold_anything() {
        let text = "\"a,\"\"b\"\"\",\"line\nend\"\n\"2\",x\n";
        let expected = [record(1, &["a,\"b\"", "line\nend"]), record(3, &["2", "x"])];
        assert_eq!(all(text.as_bytes()).unwrap(), expected);
        assert_eq!(
            all(b"\"\xc3\",\"\xa4\"").unwrap_err(),
            "a.csv, line 1: it is not UTF-8; give a text file"
        );
    }

    #[test]
    fn semicolons_and_tabs_separate_where_the_first_line_has_more_of_them() {
        assert_eq!(
            all(b"a;b,c;d\n1;2;3").unwrap(),
            [record(1, &["a", "b,c", "d"]), record(2, &["1", "2", "3"])]
        );
        assert_eq!(all(b"a\tb\n").unwrap(), [record(1, &["a", "b"])]);
        assert_eq!(all(b"alone\n").unwrap(), [record(1, &["alone"])]);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_field() {
        assert_eq!(all(b"\xef\xbb\xbfa,b\n").unwrap(), [record(1, &["a", "b"])]);
    }

    #[test]
    fn records_without_end_are_errors_that_name_the_line() {
        let open_quote = format!("a,b\n\"{}", "1,2\n".repeat(MAX_RECORD_BYTES / 2));
        let error = all(open_quote.as_bytes()).unwrap_err();
        assert!(error.contains("has more than 4194304 bytes; give a CSV file"), "{error}");
        let commas = format!("a\n{}", ",".repeat(MAX_FIELDS));
        assert!(
            all(commas.as_bytes())
                .unwrap_err()
                .starts_with("a.csv, line 2: the record that is there has more")
        );
        assert!(all(&commas.as_bytes()[..commas.len() - 1]).is_ok());
    }

    #[test]
    fn bytes_that_are_no_text_are_an_error_that_names_the_line() {
        assert_eq!(all(b"a\n\xff").unwrap_err(), "a.csv, line 2: it is not UTF-8; give a text file");
    }
}
