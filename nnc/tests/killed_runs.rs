//! Runs of `nnc train` that are killed at any moment, and go on from their newest checkpoint to the same weights as a
//! run that nobody has killed.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use ir::scalar::philox4x32_10;
use serde_json::Value;

/// How often a run is killed.
const KILLS: u32 = 20;
const SIGKILL: i32 = 9;
/// Steps between two checkpoints: a number that divides neither the steps of an epoch nor those of an optimizer's step.
const EVERY: u64 = 7;
/// No run takes longer, however slow the machine is.
const MOST_TIME: Duration = Duration::from_secs(300);

/// What a run depends on: all that keeps something from step to step or from epoch to epoch.
const RUN: &[&str] = &[
    "mlp",
    "--epochs=10",
    "--batch=24",
    "--hidden=24",
    "--dropout=0.2",
    "--batch-norm",
    "--accumulate=3",
    "--optimizer=adamw",
    "--warmup=40",
    "--clip=1",
    "--validation=0.1",
    "--patience=12",
    "--normalise=standard",
];

/// The command that starts a run into `folder`, or goes on with the one that is there.
fn nnc_train(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nnc"));
    command.arg("train").args(RUN).args(["--json", "--checkpoint-every", &EVERY.to_string()]);
    command.arg("--out").arg(folder);
    if newest_checkpoint(folder) > 0 {
        command.arg("--resume").arg(folder);
    }
    command
}

/// The weights' hash at the end of a run that goes on to it.
fn finished(folder: &Path) -> String {
    let output = nnc_train(folder).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    json["weights_hash"].as_str().unwrap().to_owned()
}

/// The names of the files of a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

/// The number of steps of the newest checkpoint in a folder; 0 where there is none.
fn newest_checkpoint(folder: &Path) -> u64 {
    let steps = |name: &String| name.strip_prefix("checkpoint-")?.strip_suffix(".safetensors")?.parse().ok();
    names(folder).iter().filter_map(steps).max().unwrap_or(0)
}

/// Whether a checkpoint is being written, or is left as a part by who was killed when writing it.
fn temporary_files(folder: &Path) -> usize {
    names(folder).iter().filter(|name| name.starts_with(".checkpoint-")).count()
}

/// When a run is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So long after it has written so many checkpoints.
    After { checkpoints: u64, delay: Duration },
    /// When it next writes one after so many.
    Writing { checkpoints: u64 },
}

impl Moment {
    /// A moment that is drawn: every third while a checkpoint is being written.
    fn draw(kill: u32) -> Moment {
        let [checkpoints, delay, ..] = philox4x32_10([kill, 0, 0, 0], [4, 0]);
        let checkpoints = u64::from(checkpoints % 8);
        match kill % 3 {
            0 => Moment::Writing { checkpoints },
            _ => Moment::After { checkpoints, delay: Duration::from_micros(u64::from(delay % 4000)) },
        }
    }

    /// Waits for it.
    fn wait(self, run: &mut Child, folder: &Path) {
        let start = newest_checkpoint(folder);
        let begun = Instant::now();
        let mut until = |is_time: &dyn Fn() -> bool| {
            while !is_time() && run.try_wait().unwrap().is_none() {
                assert!(begun.elapsed() < MOST_TIME, "the run hangs");
                thread::yield_now();
            }
        };
        let (Moment::After { checkpoints, .. } | Moment::Writing { checkpoints }) = self;
        until(&|| newest_checkpoint(folder) >= start + checkpoints * EVERY);
        match self {
            Moment::After { delay, .. } => thread::sleep(delay),
            Moment::Writing { .. } => until(&|| temporary_files(folder) > 0),
        }
    }
}

/// A run that ends before its time has come is started anew, so that there are as many kills on any machine.
#[test]
fn a_run_that_is_killed_twenty_times_ends_with_the_weights_of_one_that_is_not() {
    let whole = tempfile::tempdir().unwrap();
    let expected = finished(whole.path());
    let (mut kills, mut in_writing, mut runs) = (0, 0, 0);
    while kills < KILLS {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        runs += 1;
        let mut is_over = false;
        while kills < KILLS && !is_over {
            let mut command = nnc_train(folder);
            let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            Moment::draw(kills).wait(&mut run, folder);
            let _ = run.kill();
            let status = run.wait().unwrap();
            is_over = status.success();
            assert!(is_over || status.signal() == Some(SIGKILL), "{status}");
            kills += u32::from(!is_over);
            in_writing += temporary_files(folder);
        }
        assert_eq!(finished(folder), expected, "after {kills} kills");
        assert_eq!(temporary_files(folder), 0, "what was left of killed writes is removed");
    }
    println!("{kills} kills in {runs} run(s), {in_writing} of them while a checkpoint was written");
}

/// What a kill while a checkpoint is written leaves, and what a disk that fails may: a part under a temporary name, and
/// one under the name of a newer checkpoint.
#[test]
fn parts_of_checkpoints_do_not_disturb() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let expected = finished(folder);
    let newest = newest_checkpoint(folder);
    let checkpoint = |steps| folder.join(format!("checkpoint-{steps}.safetensors"));
    let whole = fs::read(checkpoint(newest)).unwrap();
    fs::remove_file(checkpoint(newest)).unwrap();
    fs::write(folder.join(".checkpoint-9.safetensors.Xy3.nnc-part"), &whole[..whole.len() / 2]).unwrap();
    fs::write(checkpoint(newest + 1), &whole[..whole.len() - 1]).unwrap();
    assert!(newest_checkpoint(folder) > newest);
    let output = nnc_train(folder).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let skipped = format!("skipped: {}: its ", checkpoint(newest + 1).display());
    assert!(output.status.success() && stderr.contains(&skipped), "{stderr}");
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["weights_hash"], expected);
    assert_eq!((newest_checkpoint(folder), temporary_files(folder)), (newest, 0));
}
