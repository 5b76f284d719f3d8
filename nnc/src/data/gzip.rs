//! Files that may be gzipped (RFC 1952), as the bytes that they stand for. What inflates without end is an error before
//! it fills the memory.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use crate::Error;

/// The first bytes of a gzipped file.
const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// No deflated byte stands for more bytes than this (zlib's technical details, "maximum compression factor").
const MAX_RATIO: usize = 1032;
/// No file may inflate to more bytes than this.
pub const MAX_INFLATED_BYTES: usize = 1 << 30;

/// What a file of these bytes holds.
pub fn reader<'a>(file: &'a [u8]) -> Box<dyn BufRead + 'a> {
    if file.starts_with(&MAGIC) {
        Box::new(BufReader::new(Bounded { inflated: MultiGzDecoder::new(file), left: MAX_INFLATED_BYTES }))
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

/// The error that a file cannot be inflated.
pub fn damaged(subject: &str, error: &io::Error) -> Error {
    Error::invalid(subject, format!("it cannot be inflated: {error}"), "get it, or compress it, again")
}

/// A reader that fails where there is more than there may be.
struct Bounded<R> {
    inflated: R,
    left: usize,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inflated.read(buffer)?;
        self.left =
            self.left.checked_sub(count).ok_or_else(|| io::Error::other("it holds more than 1 GiB"))?;
        Ok(count)
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
    fn what_inflates_without_end_is_an_error() {
        let mut bounded = Bounded { inflated: io::repeat(7), left: 100_000 };
        let error = io::copy(&mut bounded, &mut io::sink()).unwrap_err();
        assert_eq!(error.to_string(), "it holds more than 1 GiB");
    }

    #[test]
    fn no_file_holds_more_than_is_said() {
        let zeros = compress(&vec![0; 1 << 20]);
        assert!(zeros.len() < 10_000 && most_bytes(&zeros) >= 1 << 20);
        assert_eq!(most_bytes(b"plain"), 5);
    }
}
