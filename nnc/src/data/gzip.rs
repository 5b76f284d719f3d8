//! Files that may be gzipped (RFC 1952), as the bytes that they stand for. What inflates without end is an error before
//! it fills the memory: as it is read, by how much it is of how little.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use crate::files::inflation;
use crate::{Error, memory};

/// The first bytes of a gzipped file.
const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// No deflated byte stands for more bytes than this (zlib's technical details, "maximum compression factor").
const MAX_RATIO: usize = 1032;

/// What a file of these bytes holds.
pub fn reader<'a>(file: &'a [u8]) -> Box<dyn BufRead + 'a> {
    if file.starts_with(&MAGIC) {
        Box::new(BufReader::new(Bounded {
            decoder: MultiGzDecoder::new(file),
            whole: file.len(),
            inflated: 0,
        }))
    } else {
        Box::new(file)
    }
}

/// What a file of these bytes holds, as far as there is memory for it; `subject` is what an error calls it.
pub fn inflated(file: &[u8], subject: &str) -> Result<Vec<u8>, Error> {
    let mut reader = reader(file);
    let mut bytes = Vec::new();
    loop {
        let part = reader.fill_buf().map_err(|error| damaged(subject, &error))?;
        if part.is_empty() {
            return Ok(bytes);
        }
        memory::reserve(subject, &mut bytes, part.len())?;
        bytes.extend_from_slice(part);
        let read = part.len();
        reader.consume(read);
    }
}

/// The most bytes that a file of these bytes can hold.
pub fn most_bytes(file: &[u8]) -> usize {
    if file.starts_with(&MAGIC) {
        file.len().saturating_mul(MAX_RATIO).min(inflation::MAX_BYTES)
    } else {
        file.len()
    }
}

/// The error that a file cannot be inflated.
pub fn damaged(subject: &str, error: &io::Error) -> Error {
    let help = match error.kind() {
        io::ErrorKind::FileTooLarge => "if you trust it, inflate it with gunzip, and give what that leaves",
        _ => "get it, or compress it, again",
    };
    Error::invalid(subject, format!("it cannot be inflated: {error}"), help)
}

/// A reader that fails where there is more than there may be.
struct Bounded<'a> {
    decoder: MultiGzDecoder<&'a [u8]>,
    /// The bytes of the file, and those that have been inflated so far.
    whole: usize,
    inflated: usize,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.decoder.read(buffer)?;
        self.inflated += count;
        let read = self.whole - self.decoder.get_ref().len();
        match inflation::excess(self.inflated, read) {
            None => Ok(count),
            Some(problem) => Err(io::Error::new(io::ErrorKind::FileTooLarge, problem)),
        }
    }
}

/// The gzipped form of these bytes.
#[cfg(test)]
pub fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut compressed = Vec::new();
    let mut encoder = flate2::bufread::GzEncoder::new(bytes, flate2::Compression::fast());
    encoder.read_to_end(&mut compressed).expect("memory can be read");
    compressed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::inflation::FREE_BYTES;

    fn read(file: &[u8]) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        reader(file).read_to_end(&mut bytes).map(|_| bytes)
    }

    #[test]
    fn files_are_read_gzipped_or_not_and_in_several_members() {
        assert_eq!(read(b"plain").unwrap(), b"plain");
        let members = [compress(b"one "), compress(b"two")].concat();
        assert_eq!(read(&members).unwrap(), b"one two");
        assert_eq!(inflated(&members, "a.gz").unwrap(), b"one two");
        assert!(
            inflated(&members[..20], "a.gz").unwrap_err().to_string().contains("a.gz: it cannot be inflated")
        );
        assert!(read(b"").unwrap().is_empty());
    }

    #[test]
    fn a_truncated_file_is_an_error_wherever_it_ends() {
        let whole = compress(b"some bytes that are not all the same");
        for length in 2..whole.len() {
            let error = damaged("a.gz", &read(&whole[..length]).unwrap_err()).to_string();
            assert!(error.starts_with("a.gz: it cannot be inflated: "), "{length}: {error}");
        }
    }

    #[test]
    fn what_inflates_without_end_is_an_error_that_says_what_to_do() {
        let start = b"good numbers".as_slice();
        let zeros = BufReader::new(start.chain(io::repeat(0).take(1 << 26)));
        let mut bomb = Vec::new();
        flate2::bufread::GzEncoder::new(zeros, flate2::Compression::fast()).read_to_end(&mut bomb).unwrap();
        let mut inflated = Vec::new();
        let error = reader(&bomb).read_to_end(&mut inflated).unwrap_err();
        assert!((FREE_BYTES - (1 << 16)..=FREE_BYTES).contains(&inflated.len()), "{}", inflated.len());
        let expected = "a.gz: it cannot be inflated: it holds more than 32 MiB and 100 times its size, as files do that \
                        are made to fill memory; if you trust it, inflate it with gunzip, and give what that leaves";
        assert_eq!(damaged("a.gz", &error).to_string(), expected);
    }

    #[test]
    fn no_file_holds_more_than_is_said() {
        let zeros = compress(&vec![0; 1 << 20]);
        assert!(zeros.len() < 10_000 && most_bytes(&zeros) >= 1 << 20);
        assert_eq!(most_bytes(b"plain"), 5);
    }
}
