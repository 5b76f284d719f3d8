//! `-` in the place of a file: stdin where a command reads, stdout where it writes.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use ir::names::printable_lines;
use nnc::{Error, files};

use super::output::Output;

/// Whether stdin has been read: what is in it is there once.
static IS_READ: AtomicBool = AtomicBool::new(false);

/// Whether a path is `-`.
pub fn is_stream(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// What errors and results call a file that is read.
pub fn name(path: &Path) -> String {
    if is_stream(path) { "stdin".to_owned() } else { path.display().to_string() }
}

/// The bytes of a file, or of stdin.
///
/// # Errors
/// Where they cannot be read, or stdin was read before.
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    if !is_stream(path) {
        return files::read(path);
    }
    if IS_READ.swap(true, Ordering::Relaxed) {
        return Err(Error::invalid("-", "stdin can be read once", "give it in the place of one file"));
    }
    files::read_stream(&mut io::stdin().lock(), Path::new("stdin"))
}

/// The text of a file, or of stdin.
///
/// # Errors
/// As [`read`], and where it is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, Error> {
    files::text_of(read(path)?, &name(path))
}

/// Writes bytes to a file, as [`files::write_atomically`] does, or to stdout: texts on a terminal as people read them.
///
/// # Errors
/// Where they cannot be written.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    if !is_stream(path) {
        return files::write_atomically(path, |file| file.write_all(bytes));
    }
    let mut stdout = io::stdout().lock();
    let text = str::from_utf8(bytes).ok().filter(|_| stdout.is_terminal());
    let shown = text.map(printable_lines);
    let bytes = shown.as_ref().map_or(bytes, |text| text.as_bytes());
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    written.map_err(|source| Error::io(Path::new("stdout"), "write", source))
}

/// Checks that stdout is not asked to hold JSON and another result.
///
/// # Errors
/// Where it is; `option` is what asks for the other.
pub fn check_alone(path: &Path, option: &str, output: &Output) -> Result<(), Error> {
    if is_stream(path) && output.is_json {
        let problem = "stdout is for the JSON object of --json";
        return Err(Error::invalid(format!("{option} -"), problem, "leave out one of them"));
    }
    Ok(())
}
