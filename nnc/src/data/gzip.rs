//! Files that may be gzipped (RFC 1952), as the bytes that they stand for. What inflates without end is an error before
//! it fills the memory: as it is read, by how much it is of how little.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use crate::Error;

/// The first bytes of a gzipped file.
const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// No deflated byte stands for more bytes than this (zlib's technical details, "maximum compression factor").
const MAX_RATIO: usize = 1032;
/// No file may inflate to more bytes than this.
pub const MAX_INFLATED_BYTES: usize = 1 << 30;
/// Beyond this many bytes, what is inflated may be this many times what it is inflated from. Tables and images are 2 to 20
/// times as large; what has been made to fill memory is 1,000.
const FREE_BYTES: usize = 32 << 20;
const MAX_GROWTH: usize = 100;

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

/// The most bytes that a file of these bytes can hold.
pub fn most_bytes(file: &[u8]) -> usize {
    if file.starts_with(&MAGIC) {
        file.len().saturating_mul(MAX_RATIO).min(MAX_INFLATED_BYTES)
    } else {
        file.len()
    }
}

/// Why so many bytes may not be inflated from so few; `None` where they may.
pub fn excess(inflated: usize, from: usize) -> Option<&'static str> {
    if inflated > MAX_INFLATED_BYTES {
        return Some("it holds more than 1 GiB");
    }
    let is_bomb = inflated > FREE_BYTES && inflated / MAX_GROWTH > from;
    is_bomb.then_some(
        "it holds more than 32 MiB and 100 times its size, as files do that are made to fill memory",
    )
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
        match excess(self.inflated, read) {
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

    fn read(file: &[u8]) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        reader(file).read_to_end(&mut bytes).map(|_| bytes)
    }

    #[test]
    fn files_are_read_gzipped_or_not_and_in_several_members() {
        assert_eq!(read(b"plain").unwrap(), b"plain");
        let members = [compress(b"one "), compress(b"two")].concat();
        assert_eq!(read(&members).unwrap(), b"one two");
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
    fn files_may_be_as_large_as_they_are_worth() {
        assert_eq!(excess(FREE_BYTES, 1), None);
        assert!(excess(FREE_BYTES + MAX_GROWTH, FREE_BYTES / MAX_GROWTH).is_some());
        assert_eq!(excess(FREE_BYTES + 1, FREE_BYTES / MAX_GROWTH + 1), None);
        assert_eq!(excess(MAX_INFLATED_BYTES, MAX_INFLATED_BYTES / 20), None);
        assert_eq!(excess(MAX_INFLATED_BYTES + 1, MAX_INFLATED_BYTES), Some("it holds more than 1 GiB"));
    }

    #[test]
    fn no_file_holds_more_than_is_said() {
        let zeros = compress(&vec![0; 1 << 20]);
        assert!(zeros.len() < 10_000 && most_bytes(&zeros) >= 1 << 20);
        assert_eq!(most_bytes(b"plain"), 5);
    }
}
