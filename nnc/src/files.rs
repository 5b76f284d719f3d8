//! Files are read whole, and written to a temporary name first: a kill at any moment leaves the old file or the new
//! one, never a part.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::Error;

/// Writes a file: `write` fills a temporary file in the same folder, which is then synced to disk and renamed to `path`.
/// Where anything fails, what was at `path` before is still there.
///
/// ```
/// use std::io::Write;
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("answer.txt");
/// nnc::files::write_atomically(&path, |file| writeln!(file, "42"))?;
/// assert_eq!(std::fs::read_to_string(&path)?, "42\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&mut fs::File>) -> io::Result<()>,
) -> Result<(), Error> {
    let failed = |source| Error::io(path, "write", source);
    if path.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut options = tempfile::Builder::new();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!(".{name}."); // who finds it after a kill sees what it is a part of
    options.prefix(&prefix);
    #[cfg(unix)]
    options.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // less what the umask takes away
    // The kind alone: the temporary name, which the error has, too, says nothing to who gave another.
    let mut file = options.tempfile_in(folder).map_err(|error| failed(error.kind().into()))?;
    let mut writer = BufWriter::new(file.as_file_mut());
    write(&mut writer).and_then(|()| writer.flush()).map_err(failed)?;
    drop(writer);
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    // The new name is on disk once the folder is; where folders cannot be synced, the system does it in its time.
    if let Ok(folder) = fs::File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// Writes a text to a file, as [`write_atomically`] does; folders on the way that are not there are made.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("runs/first/table.csv");
/// nnc::files::write_text(&path, "a,b\n")?;
/// assert_eq!(nnc::files::read_text(&path)?, "a,b\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_text(path: &Path, text: &str) -> Result<(), Error> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|source| Error::io(path, "write", source))?;
    }
    write_atomically(path, |file| file.write_all(text.as_bytes()))
}

/// The bytes of a file.
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::io(path, "read", source))
}

/// The text of a file, which must be UTF-8.
pub fn read_text(path: &Path) -> Result<String, Error> {
    String::from_utf8(read(path)?).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let problem = format!("this is no text: byte {at} is not UTF-8");
        Error::invalid(path.display().to_string(), problem, "give a text file")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_in(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_atomically(&path, |file| file.write_all(b"old")).unwrap();
        let error = write_atomically(&path, |file| {
            file.write_all(b"new")?;
            Err(io::Error::other("disk full"))
        });
        assert!(error.unwrap_err().to_string().ends_with("/a: cannot write: disk full"));
        assert_eq!(read_text(&path).unwrap(), "old");
        assert_eq!(names_in(folder.path()), ["a"]);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_that_names_the_file() {
        let error = write_atomically(Path::new("/no/such/folder/a"), |_| Ok(())).unwrap_err();
        assert!(error.to_string().starts_with("/no/such/folder/a: cannot write: "), "{error}");
        let error = read(Path::new("/no/such/file")).unwrap_err();
        assert!(error.to_string().starts_with("/no/such/file: cannot read: "), "{error}");
    }

    #[test]
    fn bytes_that_are_no_text_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, b"graph \xff").unwrap();
        let error = read_text(&path).unwrap_err().to_string();
        assert!(error.ends_with("/a: this is no text: byte 6 is not UTF-8; give a text file"), "{error}");
    }
}
