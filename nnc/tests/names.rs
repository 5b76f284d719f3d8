//! A name that is not found is answered with the nearest that there is, wherever names are looked up.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::process::Command;

#[test]
fn names_that_are_not_found_are_answered_with_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, expected) in [
        ("train mpl", "mpl: there is no model of this name; did you mean `mlp`? the models are mlp, "),
        (
            "train mlp --data digit",
            "data `digit`: it is no data set; did you mean `digits`? choose from digits, ",
        ),
        (
            "train mlp --data synthetic:blob",
            "synthetic:blob: it is no such data set; did you mean `blobs`? choose",
        ),
        (
            "train mlp --activation rulu",
            "rulu: there is no activation of this name; did you mean `relu`? the ",
        ),
        (
            "train lenet --augment shift,flp",
            "flp: images cannot be changed so; did you mean `flip`? give none, or ",
        ),
        ("train mlp --optimizer adm", "tip: a similar value exists: 'adam"),
        ("train mlp --loss crossentropy", "tip: a similar value exists: 'cross-entropy'"),
        ("train mlp --schedule cosin", "tip: a similar value exists: 'cosine'"),
        ("train mlp --epoch 3", "tip: a similar argument exists: '--epochs'"),
        ("trian mlp", "tip: a similar subcommand exists: 'train'"),
        ("dump mpl", "mpl: there is no model or file of this name; did you mean `mlp`? the models are mlp, "),
        (
            "dump mlp_train_b12",
            "mlp_train_b12: there is no model or file of this name; did you mean `mlp_train_b1",
        ),
        ("dump mlp --stage fuse", "there is no stage `fuse`; did you mean `fused`? the stages are source, "),
        (
            "dump mlp --after fuze",
            "fuze: there is no pass of this name; did you mean `fuse`? the passes are ",
        ),
        (
            "dump mlp --stage clif --target x86-64-v33",
            "there is no target `x86-64-v33`; did you mean `x86-64-v3`?",
        ),
        (
            "bench sgemm_641",
            "sgemm_641: there is no workload of this name; did you mean `sgemm_64`? the workloads",
        ),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nnc"));
        let output = command.args(arguments.split_whitespace()).current_dir(folder.path()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {stderr}");
        assert!(stderr.contains(expected), "{arguments}: {stderr}");
    }
}
