//! Files that nobody is to find once the process has ended: those under temporary names, and those that hold locks. Who ends it at
//! once, as a signal does, removes them first.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Those of the process.
static UNFINISHED: List = List(Mutex::new(BTreeSet::new()));

/// A list of files.
#[derive(Debug)]
struct List(Mutex<BTreeSet<PathBuf>>);

/// A file on the list, from which it is taken when this is dropped.
#[derive(Debug)]
pub struct Unfinished {
    path: PathBuf,
    list: &'static List,
}

/// Removes all unfinished files. Whoever would make or finish another waits for ever, so the process has to end.
///
/// ```no_run
/// nnc::files::remove_unfinished();
/// std::process::exit(130);
/// ```
pub fn remove_unfinished() {
    UNFINISHED.remove_all();
}

/// What `make` makes, and its path, which is on the list before anybody can end the process in an orderly way.
///
/// # Errors
/// Those of `make`.
pub fn made<T>(make: impl FnOnce() -> io::Result<T>, path: fn(&T) -> &Path) -> io::Result<(T, Unfinished)> {
    UNFINISHED.made(make, path)
}

impl List {
    fn made<T>(
        &'static self,
        make: impl FnOnce() -> io::Result<T>,
        path: fn(&T) -> &Path,
    ) -> io::Result<(T, Unfinished)> {
        let mut paths = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let made = make()?;
        let path = path(&made).to_owned();
        paths.insert(path.clone());
        Ok((made, Unfinished { path, list: self }))
    }

    fn remove_all(&self) {
        let paths = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        paths.iter().for_each(|path| drop(fs::remove_file(path)));
        mem::forget(paths); // it stays locked
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.list.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_finished_is_removed_and_nothing_is_begun_any_more() {
        static LIST: List = List(Mutex::new(BTreeSet::new()));
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let path = folder.path().join(name);
            LIST.made(|| fs::write(&path, "part").map(|()| path.clone()), PathBuf::as_path).unwrap()
        };
        let (finished, on_list) = make("finished");
        drop(on_list);
        let (unfinished, on_list) = make("unfinished");
        LIST.remove_all();
        assert!(finished.exists() && !unfinished.exists());
        assert!(LIST.0.try_lock().is_err(), "whoever would finish a file waits");
        mem::forget(on_list);
    }
}
