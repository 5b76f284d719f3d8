//! `.npz` files: archives of named arrays.

use std::io;
use std::path::Path;

use ir::Tensor;

use super::zip;
use crate::error::quoted;
use crate::{Error, files};

/// What NumPy adds to the name of an array.
const EXTENSION: &str = ".npy";

/// The arrays of a `.npz` file with their names, in the order of its directory. Entries that are no arrays are left
/// out.
pub fn read(path: &Path) -> Result<Vec<(String, Tensor)>, Error> {
    decode(&files::read(path)?, &path.display().to_string())
}

/// Writes a `.npz` file that holds these arrays, uncompressed.
pub fn write<'a>(path: &Path, arrays: impl IntoIterator<Item = (&'a str, &'a Tensor)>) -> Result<(), Error> {
    files::write_atomically(path, |file| encode(arrays, file))
}

/// Writes these arrays in the format of a `.npz` file, uncompressed.
pub fn encode<'a>(
    arrays: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
    writer: &mut dyn io::Write,
) -> io::Result<()> {
    let mut entries = Vec::new();
    for (name, tensor) in arrays {
        let mut bytes = Vec::new();
        super::encode(tensor, &mut bytes)?;
        entries.push((format!("{name}{EXTENSION}"), bytes));
    }
    zip::write(&entries, writer)
}

/// The arrays in the bytes of a `.npz` file, as [`read`]; `subject` is what an error calls it.
pub fn decode(bytes: &[u8], subject: &str) -> Result<Vec<(String, Tensor)>, Error> {
    let help = "write it again with numpy.savez";
    let entries = zip::read(bytes).map_err(|problem| Error::invalid(subject, problem, help))?;
    let arrays = entries.into_iter().filter_map(|(name, bytes)| {
        let name = name.strip_suffix(EXTENSION)?.to_owned();
        Some(
            super::decode(&bytes, &format!("{subject}, array {}", quoted(&name)))
                .map(|tensor| (name, tensor)),
        )
    });
    arrays.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_come_back_under_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let (x, y) = (Tensor::new([2], vec![1.0f32, 2.0]).unwrap(), Tensor::new([], vec![7i64]).unwrap());
        write(&path, [("x", &x), ("y", &y)]).unwrap();
        assert_eq!(read(&path).unwrap(), [("x".to_owned(), x), ("y".to_owned(), y)]);
    }

    /// Python's `zipfile` wrote the arrays of the other file with `force_zip64`, `ZIP64_LIMIT` set to 10, and
    /// `ZIP_FILECOUNT_LIMIT` to 0: as it writes entries of more than 2 GiB, and many.
    #[test]
    fn archives_in_64_bits_are_read() {
        let arrays = |archive: &[u8]| decode(archive, "a.npz").unwrap();
        let expected = arrays(include_bytes!("../../tests/data/compressed.npz"));
        assert_eq!(arrays(include_bytes!("../../tests/data/zip64.npz")), expected);
    }

    #[test]
    fn errors_name_the_file_and_the_array() {
        let mut archive = Vec::new();
        zip::write(&[("x.npy".to_owned(), b"no array".to_vec())], &mut archive).unwrap();
        let error = decode(&archive, "a.npz").unwrap_err().to_string();
        assert!(error.starts_with("a.npz, array \"x\": this is no .npy file"), "{error}");
        let error = decode(b"", "a.npz").unwrap_err().to_string();
        let expected =
            "a.npz: this is no zip archive, or its end is missing; write it again with numpy.savez";
        assert_eq!(error, expected);
    }
}
