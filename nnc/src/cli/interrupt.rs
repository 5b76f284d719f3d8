//! What Ctrl-C and SIGTERM do. The first ends the process at once, unless a command has said that it will end by itself and leave
//! what it has; then the second does. Before it ends, files that are being written are removed.
//!
//! Signals that are ignored where the program starts stay so: those of jobs in the background of a script. Elsewhere than on Unix,
//! signals are left to the system.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// The signal that has come; 0 before one has.
static SIGNAL: AtomicI32 = AtomicI32::new(0);
/// Whether the command ends by itself once a signal has come.
static IS_HELD: AtomicBool = AtomicBool::new(false);

/// What a process that a signal has ended exits with, less the number of the signal.
const BASE: u8 = 128;

/// Leaves it to the command to end once a signal has come, which it looks for by [`has_come`].
pub fn hold() {
    IS_HELD.store(true, Ordering::SeqCst);
}

/// Whether a signal has come.
pub fn has_come() -> bool {
    SIGNAL.load(Ordering::SeqCst) != 0
}

/// What the process exits with where a signal has come: 130 after Ctrl-C, 143 after SIGTERM.
pub fn exit_code() -> Option<ExitCode> {
    let signal = u8::try_from(SIGNAL.load(Ordering::SeqCst)).ok().filter(|&signal| signal > 0);
    signal.map(|signal| ExitCode::from(BASE.saturating_add(signal)))
}

#[cfg(unix)]
pub use unix::handle;

/// Signals are the system's.
#[cfg(not(unix))]
pub fn handle() {}

#[cfg(unix)]
mod unix {
    use std::io::{self, Write};
    use std::sync::atomic::Ordering;
    use std::{fs, process, thread};

    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    use super::{BASE, IS_HELD, SIGNAL};

    /// Handles signals from now on, in a thread of its own.
    pub fn handle() {
        let wanted = [SIGINT, SIGTERM].into_iter().filter(|&signal| !is_ignored(signal));
        // Where signals cannot be handled, the system ends the process.
        let Ok(mut signals) = Signals::new(wanted) else { return };
        thread::spawn(move || signals.forever().for_each(came));
    }

    fn came(signal: i32) {
        let is_first = SIGNAL.swap(signal, Ordering::SeqCst) == 0;
        if !is_first || !IS_HELD.load(Ordering::SeqCst) {
            nnc::files::remove_unfinished();
            process::exit(i32::from(BASE) + signal);
        }
        let text = "interrupted: what has been trained is written after this step; once more ends it at once";
        let _ = writeln!(io::stderr().lock(), "\n{text}");
    }

    /// Whether the process was started with a signal ignored, where the system says so.
    fn is_ignored(signal: i32) -> bool {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
        mask >> (signal - 1) & 1 == 1
    }
}
