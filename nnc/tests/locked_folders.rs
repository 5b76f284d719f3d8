//! Two runs of `nnc train` in one folder: the second is refused while the first is alive, and no longer. What a killed run
//! leaves of files that it was writing is removed, and what a living one is writing is not.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const MOST_TIME: Duration = Duration::from_secs(120);

fn nnc_train(folder: &Path, options: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nnc"));
    command.args(["train", "mlp", "--hidden=8", "--out"]).arg(folder).args(options.split_whitespace());
    command
}

/// A run that goes on until it is killed, once it is training.
fn endless(folder: &Path) -> Child {
    let mut command = nnc_train(folder, "--epochs 1000000 --checkpoint-every 1");
    let run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while !names(folder).iter().any(|name| name.starts_with("checkpoint-")) {
        assert!(begun.elapsed() < MOST_TIME, "the run does not begin");
        thread::sleep(Duration::from_millis(5));
    }
    run
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

fn parts(folder: &Path) -> usize {
    names(folder).iter().filter(|name| name.ends_with(".nnc-part")).count()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_second_run_in_a_folder_is_refused_until_the_first_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut first = endless(folder);
    let expected = format!(
        "error: {}: process {} is training into it; wait until it has ended, end it, or choose another folder\n",
        folder.display(),
        first.id()
    );
    let resume = format!("--resume {}", folder.display());
    for options in ["--epochs 1", "--epochs 1 --checkpoint-every 20", &resume] {
        let second = nnc_train(folder, options).output().unwrap();
        assert_eq!((second.status.code(), stderr(&second)), (Some(2), expected.clone()), "{options}");
    }
    first.kill().unwrap();
    first.wait().unwrap();
    // The file of the lock is still there.
    assert!(names(folder).contains(&".nnc-run.lock".to_owned()));
    let third = nnc_train(folder, "--epochs 1 --overwrite").output().unwrap();
    assert!(third.status.success(), "{}", stderr(&third));
    let left = names(folder);
    assert!(!left.iter().any(|name| name == ".nnc-run.lock"), "{left:?}");
    assert!(!left.iter().any(|name| name.starts_with("checkpoint-")), "{left:?}");
}

/// A run writes checkpoints without end. Another process, which writes beside them, leaves what it is writing alone: it
/// would end with an error otherwise.
#[test]
fn what_killed_runs_leave_is_removed_and_what_living_ones_write_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let begun = Instant::now();
    while parts(folder) == 0 {
        let mut run = endless(folder);
        let is_writing = || parts(folder) > 0;
        (0..2000).find(|_| is_writing());
        run.kill().unwrap();
        run.wait().unwrap();
        names(folder).iter().filter(|name| name.starts_with("checkpoint-")).for_each(|name| {
            fs::remove_file(folder.join(name)).unwrap();
        });
        assert!(begun.elapsed() < MOST_TIME, "no run is killed while it writes");
    }
    let mut run = endless(folder);
    for number in 0..200 {
        nnc::files::write_text(&folder.join("beside.txt"), &number.to_string()).unwrap();
        assert!(run.try_wait().unwrap().is_none(), "the run has ended");
    }
    run.kill().unwrap();
    run.wait().unwrap();
    nnc::files::write_text(&folder.join("beside.txt"), "").unwrap();
    assert_eq!(parts(folder), 0);
}
