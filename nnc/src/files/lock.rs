//! Folders that one process at a time works in.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::unfinished::{self, Unfinished};
use crate::Error;

/// What a folder is locked for: the name of the file that holds the lock, and the number of the process in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A whole run: weights, curves, history.
    Run,
    /// Its checkpoints.
    Checkpoints,
}

/// A lock on a folder. It ends when it is dropped or the process ends, however it ends; its file is then removed, or left
/// without a lock on it, which disturbs nobody.
#[derive(Debug)]
pub struct FolderLock {
    path: PathBuf,
    /// Keeps the lock.
    _file: fs::File,
    _unfinished: Unfinished,
}

impl FolderLock {
    /// Locks a folder. On file systems that have no locks it does nothing.
    ///
    /// ```
    /// use nnc::files::{FolderLock, Purpose};
    /// let folder = tempfile::tempdir()?;
    /// let lock = FolderLock::take(folder.path(), Purpose::Run)?;
    /// assert!(FolderLock::take(folder.path(), Purpose::Run).is_err());
    /// drop(lock);
    /// assert!(FolderLock::take(folder.path(), Purpose::Run).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Where it is locked, by the process that the error names, or cannot be written to.
    pub fn take(folder: &Path, purpose: Purpose) -> Result<FolderLock, Error> {
        let failed = |source| Error::io(folder, "write to", source);
        let path = folder.join(match purpose {
            Purpose::Run => ".nnc-run.lock",
            Purpose::Checkpoints => ".nnc-checkpoints.lock",
        });
        loop {
            let mut options = fs::File::options();
            let mut file =
                options.read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
            match file.try_lock() {
                Err(fs::TryLockError::WouldBlock) => return Err(is_locked(folder, &mut file)),
                Err(fs::TryLockError::Error(error)) if error.kind() != io::ErrorKind::Unsupported => {
                    return Err(failed(error));
                }
                _ => {}
            }
            // Who held the lock may have removed the file after it was opened here.
            if is_at(&file, &path) {
                file.set_len(0).and_then(|()| write!(file, "{}", std::process::id())).map_err(failed)?;
                let (path, unfinished) = unfinished::made(|| Ok(path), PathBuf::as_path).map_err(failed)?;
                return Ok(FolderLock { path, _file: file, _unfinished: unfinished });
            }
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn is_locked(folder: &Path, file: &mut fs::File) -> Error {
    let mut process = String::new();
    let number = file.read_to_string(&mut process).ok().and_then(|_| process.trim().parse::<u32>().ok());
    let who = number.map_or("another process".to_owned(), |number| format!("process {number}"));
    let help = "wait until it has ended, end it, or choose another folder";
    Error::invalid(folder.display().to_string(), format!("{who} is training into it"), help)
}

/// Whether an open file is the one that is at `path`.
#[cfg(unix)]
pub fn is_at(file: &fs::File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(there)) => id(open) == id(there),
        _ => false,
    }
}

/// Whether an open file is the one that is at `path`: a file that is open is not removed there.
#[cfg(not(unix))]
pub fn is_at(_: &fs::File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_folder_is_an_error_that_names_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let lock = FolderLock::take(folder.path(), Purpose::Run).unwrap();
        let error = FolderLock::take(folder.path(), Purpose::Run).unwrap_err().to_string();
        let expected = format!(
            "{}: process {} is training into it; wait until it has ended, end it, or choose another folder",
            folder.path().display(),
            std::process::id()
        );
        assert_eq!(error, expected);
        assert!(FolderLock::take(folder.path(), Purpose::Checkpoints).is_ok());
        drop(lock);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_file_of_a_lock_that_nobody_holds_disturbs_nobody() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".nnc-run.lock"), "4194304, which has ended").unwrap();
        let lock = FolderLock::take(folder.path(), Purpose::Run).unwrap();
        let number = fs::read_to_string(folder.path().join(".nnc-run.lock")).unwrap();
        assert_eq!(number, std::process::id().to_string());
        drop(lock);
    }
}
