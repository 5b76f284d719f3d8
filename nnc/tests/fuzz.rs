//! `nnc fuzz` as its users meet it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

fn nnc(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nnc")).args(arguments).output().unwrap()
}

#[test]
fn a_seed_is_printed_and_gives_the_same_cases_again() {
    let run = |arguments: &[&str]| -> Value {
        let output = nnc(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let first = run(&["fuzz", "--cases", "1", "--seed", "8", "--json"]);
    assert_eq!((&first["seed"], &first["cases"]), (&8.into(), &1.into()));
    let again = run(&["fuzz", "--case", "0", "--seed", "8", "--json"]);
    assert_eq!(first["failures"], again["failures"]);
}

#[test]
fn a_program_in_a_file_is_judged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sum.nnir");
    let source = "graph @sum { %x = input : f32[3, 4]  %y = reduce_sum %x axes=[0]  output y = %y }";
    fs::write(&path, source).unwrap();
    let output = nnc(&["fuzz", path.to_str().unwrap()]);
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "1 graphs: 0 failed\n");
}

#[test]
fn a_plan_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.nnir");
    fs::write(&path, "plan @p { arena 0  slot %w : f32[2] = state constant(1) }").unwrap();
    let output = nnc(&["fuzz", path.to_str().unwrap()]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("give a graph of stage source"), "{stderr}");
}

#[test]
fn a_time_that_is_none_is_refused() {
    let output = nnc(&["fuzz", "--minutes=-1"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("--minutes: -1 is no time"), "{stderr}");
}
