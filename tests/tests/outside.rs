//! What users are promised of the library: a crate outside of the workspace that depends on `nnc` alone compiles and runs every
//! example of the README, with the default features and without.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the workspace").to_path_buf()
}

/// Runs cargo in `tests/outside`, with the versions and with the compiled dependencies of the workspace, and returns what it
/// prints.
fn cargo(arguments: &[&str]) -> String {
    let outside = root().join("tests/outside");
    std::fs::copy(root().join("Cargo.lock"), outside.join("Cargo.lock"))
        .expect("the folder can be written to");
    let test = std::env::current_exe().expect("a process knows its program");
    let profile = test.parent().and_then(Path::parent).expect("tests are in TARGET/PROFILE/deps");
    let target = profile.parent().expect("profiles are in TARGET");
    let mut command = Command::new(env!("CARGO"));
    command.args(arguments).arg("--offline").current_dir(&outside).env("CARGO_TARGET_DIR", target);
    if profile.ends_with("release") {
        command.arg("--release");
    }
    let output = command.output().expect("cargo can be started");
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "cargo {}:\n{stdout}\n{stderr}", arguments.join(" "));
    stdout
}

#[test]
fn a_crate_outside_of_the_workspace_runs_every_example_of_the_readme() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("the README can be read");
    let examples = readme.lines().filter(|line| *line == "```rust").count();
    assert!(examples >= 2, "the README has examples");
    for features in [[].as_slice(), &["--no-default-features"]] {
        let printed = cargo(&[["test"].as_slice(), features].concat());
        assert!(printed.contains(&format!("running {examples} tests")), "{printed}");
        assert!(
            printed.contains("a_program_that_depends_on_nnc_alone_trains_and_predicts ... ok"),
            "{printed}"
        );
    }
}
