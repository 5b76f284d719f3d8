//! Commands that a signal ends: `nnc train` after its step, with all that has been trained in files, others at once.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// What a run depends on that keeps something from step to step; and so many epochs that none ends before it is interrupted.
const RUN: &[&str] = &[
    "train",
    "mlp",
    "--epochs=120",
    "--batch=24",
    "--hidden=24",
    "--dropout=0.2",
    "--batch-norm",
    "--accumulate=7",
    "--warmup=40",
    "--validation=0.1",
    "--json",
];
/// The bits of signals 2 and 15.
const INT_AND_TERM: u64 = 1 << 1 | 1 << 14;
const SIGINT: &str = "INT";
const SIGTERM: &str = "TERM";

/// The program, which heeds signals though who runs the tests may have told these to ignore them, as shells do in the background.
fn nnc(arguments: &[&str]) -> Command {
    let is_ignored = |line: &str| {
        let mask = line.strip_prefix("SigIgn:").map(|mask| u64::from_str_radix(mask.trim(), 16).unwrap());
        mask.is_some_and(|mask| mask & INT_AND_TERM != 0)
    };
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut command = match status.lines().any(is_ignored) {
        true => {
            let mut command = Command::new("env");
            command.args(["--default-signal=INT,TERM", env!("CARGO_BIN_EXE_nnc")]);
            command
        }
        false => Command::new(env!("CARGO_BIN_EXE_nnc")),
    };
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A command that runs, and what it has written to stderr.
struct Running {
    child: Child,
    lines: BufReader<ChildStderr>,
}

impl Running {
    fn start(arguments: &[&str]) -> Running {
        let mut child = nnc(arguments).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        Running { child, lines }
    }

    /// Waits for a line with this text.
    fn wait_for(&mut self, text: &str) {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "it ended without `{text}`");
        }
    }

    fn send(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
    }

    /// The exit code, stdout, and the rest of stderr.
    fn end(mut self) -> (i32, String, String) {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        self.lines.read_to_string(&mut stderr).unwrap();
        let status = self.child.wait().unwrap();
        (status.code().unwrap_or_else(|| panic!("{status}: {stderr}")), stdout, stderr)
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

/// Waits until a run has its folder, from which time on a signal is its own affair.
fn wait_for_lock(folder: &Path) {
    while !folder.join(".nnc-run.lock").exists() {
        thread::sleep(Duration::from_millis(1));
    }
}

fn json(stdout: &str) -> Value {
    serde_json::from_str(stdout).unwrap()
}

/// The report of a run that goes on to its end.
fn finished(folder: &str, extra: &[&str]) -> Value {
    let (code, stdout, stderr) = Running::start(&[RUN, &["--out", folder], extra].concat()).end();
    assert_eq!(code, 0, "{stderr}");
    json(&stdout)
}

#[test]
fn an_interrupted_run_leaves_what_it_has_and_goes_on_to_the_same_bits() {
    let whole = tempfile::tempdir().unwrap();
    let whole = finished(whole.path().to_str().unwrap(), &[]);
    for (signal, code, extra) in [(SIGINT, 130, &[][..]), (SIGTERM, 143, &["--checkpoint-every=100"])] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().to_str().unwrap();
        let mut run = Running::start(&[RUN, &["--out", out], extra].concat());
        run.wait_for("epoch 12/120");
        run.send(signal);
        let (found, stdout, stderr) = run.end();
        assert_eq!(found, code, "{stderr}");
        assert!(stderr.contains("interrupted: what has been trained is written after this step"), "{stderr}");
        let report = json(&stdout);
        assert_eq!(report["interrupted"], true);
        let steps = report["steps"].as_u64().unwrap();
        assert!(steps >= 12 * 54 && steps < whole["steps"].as_u64().unwrap(), "{steps}");
        let names = names(folder.path());
        for name in
            [&format!("checkpoint-{steps}.safetensors"), "mlp.safetensors", "history.svg", "confusion.svg"]
        {
            assert!(names.iter().any(|known| known == name), "{name} is not among {names:?}");
        }
        assert!(!names.iter().any(|name| name.starts_with('.')), "{names:?}");
        let epochs = report["epochs"].as_u64().unwrap() as usize;
        let history = fs::read_to_string(folder.path().join("history.csv")).unwrap();
        assert_eq!(history.lines().count(), 1 + epochs, "a line for each epoch that has ended");
        // The weights are those of the best epoch, as of a run that has ended.
        assert_eq!(
            nnc(&["eval", &format!("{out}/mlp.safetensors")]).output().unwrap().status.code(),
            Some(0)
        );

        let again = finished(out, &[&["--resume", out], extra].concat());
        assert_eq!(again["weights_hash"], whole["weights_hash"]);
        assert_eq!(again["interrupted"], false);
    }
}

/// A run that is interrupted in its first epoch has no history yet.
#[test]
fn a_run_can_be_interrupted_in_its_first_step() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let arguments =
        ["train", "mlp", "--hidden=1500,1500", "--batch=1400", "--epochs=1000", "--validation=0.02", "--out"];
    let run = Running::start(&[&arguments[..], &[out.to_str().unwrap()]].concat());
    wait_for_lock(&out);
    run.send(SIGINT);
    let (code, stdout, stderr) = run.end();
    assert_eq!(code, 130, "{stderr}");
    assert!(stdout.contains("interrupted          after step "), "{stdout}");
    assert!(stdout.contains(&format!("nnc train mlp --resume {}", out.display())), "{stdout}");
    assert!(names(&out).iter().any(|name| name.starts_with("checkpoint-")));
}

#[test]
fn a_second_signal_ends_a_run_at_once_and_leaves_no_parts_of_files() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    // Steps and checkpoints of a second or so.
    let arguments = [
        "train",
        "mlp",
        "--hidden=3000,3000",
        "--batch=1400",
        "--epochs=1000",
        "--out",
        out.to_str().unwrap(),
    ];
    let mut run = Running::start(&arguments);
    wait_for_lock(&out);
    run.send(SIGINT);
    run.wait_for("interrupted: ");
    run.send(SIGINT);
    let (code, _, stderr) = run.end();
    assert_eq!(code, 130, "{stderr}");
    let left: Vec<String> = names(&out).into_iter().filter(|name| name.starts_with('.')).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn other_commands_end_at_once() {
    for (arguments, line) in [
        (&["bench", "mlp_train_b128", "--budget", "60"][..], "measuring"),
        (&["fuzz", "--minutes", "10", "--jobs", "1"], "seed"),
    ] {
        let mut run = Running::start(arguments);
        run.wait_for(line);
        run.send(SIGINT);
        let (code, stdout, stderr) = run.end();
        assert_eq!(code, 130, "{arguments:?}: {stderr}");
        assert_eq!(stdout, "", "{arguments:?}");
    }
}

/// As those of a job in the background of a script.
#[test]
fn signals_that_are_ignored_stay_so() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "trap '' INT; exec {} train mlp --epochs 40 --json --out {}",
        env!("CARGO_BIN_EXE_nnc"),
        folder.path().display()
    );
    let mut child = Command::new("sh")
        .args(["-c", &script])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap());
    let mut run = Running { child, lines };
    run.wait_for("epoch 4/40");
    run.send(SIGINT);
    let (code, stdout, stderr) = run.end();
    assert_eq!((code, json(&stdout)["epochs"].as_u64()), (0, Some(40)), "{stderr}");
}
