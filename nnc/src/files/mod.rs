//! Files are read whole, and written to a temporary name first: a kill at any moment leaves the old file or the new
//! one, never a part.
//!
//! | module | what it holds |
//! |---|---|
//! | `temporary` | files under temporary names, and those that killed processes have left |
//! | `lock` | folders that one process at a time works in |
//! | `unfinished` | what is removed where a signal ends the process |
//! | `inflation` | how many bytes a compressed file may become |
//! | `whole` | files that are read whole, where there is memory for them |

#[cfg(any(feature = "data-csv", feature = "data-npy"))]
pub(crate) mod inflation;
mod lock;
mod temporary;
mod unfinished;
mod whole;

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::Error;
pub use lock::{FolderLock, Purpose};
pub use temporary::remove_left;
pub use unfinished::remove_unfinished;
pub use whole::{read, read_stream};

/// Writes a file: `write` fills a temporary file in the same folder, which is then synced to disk and renamed to `path`.
/// Where anything fails, what was at `path` before is still there. A file that is replaced leaves its permissions to the new one, a link
/// goes on to lead to the file, and devices and pipes are written to. What killed processes have left in the folder of files
/// that they wrote like this is removed.
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
    check_replaceable(path)?;
    let there = fs::metadata(path);
    // A device or a pipe is written to: a file in its place is not what anybody wants.
    if there.as_ref().is_ok_and(|there| !there.is_file()) {
        return write_through(path, write).map_err(failed);
    }
    let target = linked(path).map_err(failed)?;
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    remove_left(folder);
    let name = target.file_name().unwrap_or_default();
    // The kind alone: the temporary name, which the error has, too, says nothing to who gave another.
    let mut file = temporary::create(folder, name).map_err(|error| failed(error.kind().into()))?;
    if let Ok(there) = there {
        // Before anything is in it that others are not to read.
        file.as_file().set_permissions(there.permissions()).map_err(failed)?;
    }
    let mut writer = BufWriter::new(file.as_file_mut());
    write(&mut writer).and_then(|()| writer.flush()).map_err(failed)?;
    drop(writer);
    file.as_file().sync_all().map_err(failed)?;
    file.persist(&target).map_err(failed)?;
    // The new name is on disk once the folder is; where folders cannot be synced, the system does it in its time.
    if let Ok(folder) = fs::File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// Checks that [`write_atomically`] would not find a folder at `path`, or a file that is to be kept.
///
/// # Errors
/// Where it would.
pub fn check_replaceable(path: &Path) -> Result<(), Error> {
    let failed = |kind: io::ErrorKind| Err(Error::io(path, "write", kind.into()));
    match fs::metadata(path) {
        Ok(there) if there.is_dir() => failed(io::ErrorKind::IsADirectory),
        // Whether another file can be renamed to its name is up to the folder alone.
        Ok(there) if there.is_file() && there.permissions().readonly() => {
            failed(io::ErrorKind::PermissionDenied)
        }
        _ => Ok(()),
    }
}

/// Where links lead from `path`, whether there is a file or not.
fn linked(path: &Path) -> io::Result<PathBuf> {
    /// As Linux has it.
    const MOST_LINKS: usize = 40;
    let mut target = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(next) = fs::read_link(&target) else { return Ok(target) };
        target = target.parent().unwrap_or(Path::new("")).join(next);
    }
    Err(io::Error::other("its links lead to each other"))
}

fn write_through(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&mut fs::File>) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = fs::File::options().write(true).open(path)?;
    let mut writer = BufWriter::new(&mut file);
    write(&mut writer).and_then(|()| writer.flush())
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

/// The text of a file, which must be UTF-8.
pub fn read_text(path: &Path) -> Result<String, Error> {
    text_of(read(path)?, &path.display().to_string())
}

/// The text of these bytes, which must be UTF-8; `subject` is what an error calls them.
///
/// ```
/// assert_eq!(nnc::files::text_of(b"graph".to_vec(), "stdin")?, "graph");
/// assert!(nnc::files::text_of(vec![0xff], "stdin").is_err());
/// # Ok::<(), nnc::Error>(())
/// ```
pub fn text_of(bytes: Vec<u8>, subject: &str) -> Result<String, Error> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let problem = format!("this is no text: byte {at} is not UTF-8");
        Error::invalid(subject, problem, "give a text file")
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
    fn a_file_that_is_to_be_kept_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "old").unwrap();
        let mut permissions = fs::metadata(&path).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&path, permissions).unwrap();
        let error = write_text(&path, "new").unwrap_err().to_string();
        assert!(error.ends_with("/a: cannot write: permission denied"), "{error}");
        assert_eq!(read_text(&path).unwrap(), "old");
    }

    #[cfg(unix)]
    #[test]
    fn pipes_and_devices_are_written_to_and_stay_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read_to_string(pipe).unwrap()
        });
        write_text(&pipe, "through").unwrap();
        assert_eq!(reader.join().unwrap(), "through");
        assert_eq!(names_in(folder.path()), ["pipe"]);
        // A disk that is full.
        let full = Path::new("/dev/full");
        if full.exists() {
            let error = write_text(full, "text").unwrap_err().to_string();
            assert!(error.starts_with("/dev/full: cannot write: "), "{error}");
            assert!(!fs::metadata(full).unwrap().is_file());
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_lead_on_to_the_file_which_keeps_its_permissions() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("sub")).unwrap();
        symlink("sub/file", path("first")).unwrap();
        symlink(path("first"), path("second")).unwrap();
        // The first text makes the file, which is not there yet.
        for text in ["new", "old", "again"] {
            write_text(&path("second"), text).unwrap();
            assert_eq!(fs::read_to_string(path("sub/file")).unwrap(), text);
            assert!(fs::symlink_metadata(path("first")).unwrap().is_symlink());
            assert!(fs::symlink_metadata(path("second")).unwrap().is_symlink());
            fs::set_permissions(path("sub/file"), fs::Permissions::from_mode(0o600)).unwrap();
        }
        write_text(&path("sub/file"), "private").unwrap();
        assert_eq!(fs::metadata(path("sub/file")).unwrap().permissions().mode() & 0o777, 0o600);
        symlink("around", path("around")).unwrap();
        let error = write_text(&path("around"), "text").unwrap_err().to_string();
        assert!(error.ends_with("/around: cannot write: its links lead to each other"), "{error}");
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
