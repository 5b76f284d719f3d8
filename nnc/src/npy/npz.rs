//! `.npz` files: archives of named arrays.

use std::io;
use std::path::Path;

use ir::Tensor;

use super::array::in_archive;
use super::{Array, zip};
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
    let archive = Archive::of(bytes, subject)?;
    let names: Vec<String> = archive.names().map(str::to_owned).collect();
    let tensor = |name: String| Ok((name.clone(), archive.get(&name)?.tensor()?));
    names.into_iter().map(tensor).collect()
}

/// An archive whose arrays are looked at one by one: those that nobody asks for may be of any kind.
pub struct Archive<'a> {
    subject: String,
    arrays: Vec<zip::Entry<'a>>,
}

impl<'a> Archive<'a> {
    /// The archive in the bytes of a file; `subject` is what an error calls it.
    ///
    /// # Errors
    /// Where they are no archive, or it is damaged.
    pub fn of(bytes: &'a [u8], subject: &str) -> Result<Archive<'a>, Error> {
        let help = "write it again with numpy.savez";
        let entries = zip::read(bytes).map_err(|problem| Error::invalid(subject, problem, help))?;
        let array = |(name, bytes): zip::Entry<'a>| Some((name.strip_suffix(EXTENSION)?.to_owned(), bytes));
        let arrays = entries.into_iter().filter_map(array).collect();
        Ok(Archive { subject: subject.to_owned(), arrays })
    }

    /// The names of its arrays, in the order of its directory.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.arrays.iter().map(|(name, _)| name.as_str())
    }

    /// Whether there is an array of this name.
    pub fn has(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }

    /// The array of this name.
    ///
    /// # Errors
    /// Where there is none, or it is damaged or of a kind that is not read.
    pub fn get(&self, name: &str) -> Result<Array<'_>, Error> {
        match self.arrays.iter().find(|(known, _)| known == name) {
            Some((_, bytes)) => Array::of(bytes, &in_archive(&self.subject, name)),
            None => {
                let names: Vec<String> = self.names().map(quoted).collect();
                let problem = format!("it has no array {name}, but [{}]", names.join(", "));
                Err(Error::invalid(&self.subject, problem, "write it with numpy.savez, by these names"))
            }
        }
    }
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
