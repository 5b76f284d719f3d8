//! Every pass, by its golden files; see `golden/README.md`.

use std::collections::BTreeSet;

use passes::pipeline::PASSES;
use tests::golden::{check_pass, folder};

#[test]
fn autodiff() {
    check_pass("autodiff");
}

#[test]
fn expand() {
    check_pass("expand");
}

#[test]
fn fold() {
    check_pass("fold");
}

#[test]
fn hoist() {
    check_pass("hoist");
}

#[test]
fn sink() {
    check_pass("sink");
}

#[test]
fn scale_weights() {
    check_pass("scale_weights");
}

#[test]
fn simplify() {
    check_pass("simplify");
}

#[test]
fn pad() {
    check_pass("pad");
}

#[test]
fn cse() {
    check_pass("cse");
}

#[test]
fn dce() {
    check_pass("dce");
}

#[test]
fn split_reduce() {
    check_pass("split_reduce");
}

#[test]
fn transpose_left() {
    check_pass("transpose_left");
}

#[test]
fn fuse() {
    check_pass("fuse");
}

#[test]
fn lower() {
    check_pass("lower");
}

#[test]
fn layout() {
    check_pass("layout");
}

#[test]
fn winograd() {
    check_pass("winograd");
}

#[test]
fn prepack() {
    check_pass("prepack");
}

#[test]
fn plan_memory() {
    check_pass("plan_memory");
}

#[test]
fn every_pass_has_golden_files_and_every_folder_is_a_pass() {
    let entries = std::fs::read_dir(folder()).expect("there are golden files");
    let folders: BTreeSet<String> = (entries.flatten())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let passes: BTreeSet<String> = PASSES.iter().map(|pass| pass.name.to_owned()).collect();
    assert_eq!(&folders - &BTreeSet::from(["fuzz".to_owned()]), passes);
}
