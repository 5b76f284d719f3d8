//! Files that are read whole: no more memory is taken than there is, and what has no end is an error.

use std::fs;
use std::io::Read;
use std::path::Path;

use crate::Error;
use crate::memory::{self, in_words};

/// What has no size, as pipes and devices, may hold so many bytes.
const MAX_UNSIZED_BYTES: usize = 4 << 30;
/// By how much the memory for what has no size grows at least.
const LEAST_GROWTH_BYTES: usize = 64 << 10;

/// The bytes of a file.
///
/// # Errors
/// Where it cannot be read, there is no memory for it, or it is a pipe or a device that goes on after 4 GiB.
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let mut file = fs::File::open(path).map_err(|source| Error::io(path, "read", source))?;
    let metadata = file.metadata().map_err(|source| Error::io(path, "read", source))?;
    let size = if metadata.is_file() { metadata.len() } else { 0 };
    read_all(&mut file, size, path)
}

/// All bytes of a reader, such as stdin; `path` is what an error calls it.
///
/// ```
/// use std::path::Path;
/// let mut text = b"1,2".as_slice();
/// assert_eq!(nnc::files::read_stream(&mut text, Path::new("stdin"))?, b"1,2");
/// # Ok::<(), nnc::Error>(())
/// ```
///
/// # Errors
/// As [`read`](super::read).
pub fn read_stream(reader: &mut dyn Read, path: &Path) -> Result<Vec<u8>, Error> {
    read_all(reader, 0, path)
}

/// All bytes of a reader that says that it has `size`.
fn read_all(reader: &mut dyn Read, size: u64, path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::io(path, "read", source);
    let expected = usize::try_from(size).map_err(|_| too_large(path, &in_words(size)))?;
    let mut bytes: Vec<u8> = memory::vector("", expected).map_err(|_| too_large(path, &in_words(size)))?;
    loop {
        // No more than there is room for, so that the vector does not grow.
        let room = bytes.capacity() - bytes.len();
        if reader.take(room as u64).read_to_end(&mut bytes).map_err(failed)? < room {
            return Ok(bytes);
        }
        let mut next = Vec::with_capacity(1);
        if reader.take(1).read_to_end(&mut next).map_err(failed)? == 0 {
            return Ok(bytes);
        }
        let unsized_bytes = bytes.len() - expected.min(bytes.len());
        if unsized_bytes >= MAX_UNSIZED_BYTES {
            let problem = format!("it goes on after {}", in_words(bytes.len() as u64));
            return Err(Error::invalid(name(path), problem, "give a file, not what has no end"));
        }
        let growth = LEAST_GROWTH_BYTES.min(MAX_UNSIZED_BYTES - unsized_bytes);
        let more = |bytes: usize| format!("more than {}", in_words(bytes as u64));
        memory::reserve("", &mut bytes, growth).map_err(|_| too_large(path, &more(bytes.len())))?;
        bytes.append(&mut next);
    }
}

/// The error that there is no memory for a file of `size` bytes, or more.
fn too_large(path: &Path, size: &str) -> Error {
    let there = memory::available_bytes().map_or("less".to_owned(), in_words);
    let problem = format!("it has {size}, and {there} of memory can be had");
    Error::invalid(name(path), problem, "give a smaller file, or a part of it")
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// Gives so many bytes, seven at a time, and interrupts before each.
    struct Slow {
        left: usize,
        is_interrupted: bool,
    }

    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.is_interrupted = !self.is_interrupted;
            if self.is_interrupted {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let count = self.left.min(7).min(buffer.len());
            buffer[..count].fill(count as u8);
            self.left -= count;
            Ok(count)
        }
    }

    #[test]
    fn all_bytes_are_read_whatever_size_is_claimed() {
        for bytes in [0, 1, 6, 7, 8, LEAST_GROWTH_BYTES, LEAST_GROWTH_BYTES + 1, 5 * LEAST_GROWTH_BYTES] {
            for claimed in [0, 1, bytes.saturating_sub(1), bytes, bytes + 1, 1000] {
                let mut reader = Slow { left: bytes, is_interrupted: false };
                let read = read_all(&mut reader, claimed as u64, Path::new("slow")).unwrap();
                assert_eq!(read.len(), bytes, "{claimed} claimed");
                assert_eq!(read.iter().filter(|&&byte| byte == 0).count(), 0);
            }
        }
    }

    #[test]
    fn what_is_larger_than_memory_is_an_error_that_tells_its_size() {
        let error = read_all(&mut io::empty(), 1 << 50, Path::new("big.csv")).unwrap_err().to_string();
        assert!(error.starts_with("big.csv: it has 1024.0 TiB, and "), "{error}");
        assert!(error.ends_with(" of memory can be had; give a smaller file, or a part of it"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn files_that_claim_no_size_and_folders_are_what_they_are() {
        assert!(!read(Path::new("/proc/self/status")).unwrap().is_empty());
        assert!(read(Path::new("/dev/null")).unwrap().is_empty());
        let error = read(Path::new("/proc")).unwrap_err().to_string();
        assert!(error.starts_with("/proc: cannot read: "), "{error}");
    }
}
