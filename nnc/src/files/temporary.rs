//! Files under temporary names, which are renamed once they are whole.
//!
//! Their writer holds a lock on each, which the system takes away when the process ends, however it ends. So what a killed
//! process has left can be told from what another one is writing, on another machine of a shared folder, too.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

use tempfile::NamedTempFile;

use super::lock::is_at;
use super::unfinished::{self, Unfinished};

/// How their names end; they begin with a dot and the name that the file is to have.
const SUFFIX: &str = ".nnc-part";
/// How often a file is made anew that another process has taken for one that was left.
const ATTEMPTS: u32 = 100;

/// A file under a temporary name, which is removed where it is not renamed.
pub struct Temporary {
    file: NamedTempFile,
    _unfinished: Unfinished,
}

impl Temporary {
    /// The open file.
    pub fn as_file(&self) -> &fs::File {
        self.file.as_file()
    }

    /// The open file, to write to.
    pub fn as_file_mut(&mut self) -> &mut fs::File {
        self.file.as_file_mut()
    }

    /// Renames it to `path`.
    ///
    /// # Errors
    /// Where the system cannot.
    pub fn persist(self, path: &Path) -> io::Result<()> {
        self.file.persist(path).map(drop).map_err(|error| error.error)
    }
}

/// A new file in `folder` that is to be called `name`.
pub fn create(folder: &Path, name: &OsStr) -> io::Result<Temporary> {
    let mut options = tempfile::Builder::new();
    let prefix = format!(".{}.", name.to_string_lossy()); // who finds it after a kill sees what it is a part of
    options.prefix(&prefix).suffix(SUFFIX);
    #[cfg(unix)]
    options.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // less what the umask takes away
    for _ in 0..ATTEMPTS {
        let (file, unfinished) = unfinished::made(|| options.tempfile_in(folder), NamedTempFile::path)?;
        match file.as_file().lock() {
            Err(error) if error.kind() != io::ErrorKind::Unsupported => return Err(error),
            _ => {}
        }
        if is_at(file.as_file(), file.path()) {
            return Ok(Temporary { file, _unfinished: unfinished });
        }
    }
    Err(io::Error::other("temporary files are removed as soon as they are made"))
}

/// Removes the files of `folder` that processes have left which were killed while they wrote. What cannot be removed stays:
/// it is in nobody's way.
pub fn remove_left(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        let is_ours = name.starts_with(b".") && name.ends_with(SUFFIX.as_bytes());
        if is_ours && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            remove_if_left(&entry.path());
        }
    }
}

fn remove_if_left(path: &Path) {
    let Ok(file) = fs::File::options().read(true).write(true).open(path) else { return };
    if file.try_lock().is_ok() && is_at(&file, path) {
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_in(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_being_written_stays_and_what_was_left_goes() {
        let folder = tempfile::tempdir().unwrap();
        let live = create(folder.path(), OsStr::new("a")).unwrap();
        // As a kill leaves it: the file is there, and nobody holds a lock on it.
        let (_, left) = create(folder.path(), OsStr::new("a")).unwrap().file.keep().unwrap();
        let others = [".a.nnc-parts", "a.nnc-part", ".b.x"];
        others.iter().for_each(|name| fs::write(folder.path().join(name), "").unwrap());
        fs::create_dir(folder.path().join(".c.nnc-part")).unwrap();
        remove_left(folder.path());
        assert!(live.file.path().exists() && !left.exists());
        assert_eq!(names_in(folder.path()).len(), others.len() + 2);
    }
}
