//! What `nnc` does where there is less memory than files and options ask for: an error that says so and exit code 2, never an
//! end by the system. Children run with a limit on their address space, and files have holes in the place of contents.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use ir::Tensor;
use nnc::npy;

/// Runs `nnc` in a folder with so much address space.
fn nnc(folder: &Path, arguments: &str, limit_mib: usize) -> Output {
    let limited = format!("ulimit -v {}; exec \"$0\" {arguments}", limit_mib << 10);
    let mut shell = Command::new("sh");
    shell.args(["-c", &limited, env!("CARGO_BIN_EXE_nnc")]).current_dir(folder);
    shell.stdin(Stdio::null()).output().unwrap()
}

/// What it prints as an error where it ends with one, not by a signal.
fn error(folder: &Path, arguments: &str, limit_mib: usize) -> String {
    let output = nnc(folder, arguments, limit_mib);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{arguments}: {text}");
    text.lines().find(|line| line.starts_with("error: ")).unwrap_or(&text).to_owned()
}

/// Runs it with more and more memory, until it does what it is told: before, it says that there is too little.
fn is_told_until_there_is_enough(folder: &Path, arguments: &str, limits_mib: &[usize]) {
    let mut codes = Vec::new();
    for &limit in limits_mib {
        let output = nnc(folder, arguments, limit);
        let text = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(0) => {}
            Some(2) => assert!(text.contains("memory"), "{arguments}, {limit} MiB: {text}"),
            other => panic!("{arguments}, {limit} MiB: {other:?}, {text}"),
        }
        codes.push(output.status.code());
    }
    assert_eq!((codes.first(), codes.last()), (Some(&Some(2)), Some(&Some(0))), "{arguments}: {codes:?}");
}

/// A model of the embedded digits.
fn model(folder: &Path) {
    let output = nnc(folder, "train mlp --hidden 8 --epochs 1 --out model", 4096);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn files_larger_than_memory_are_errors_that_tell_both() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    model(path);
    let hollow = |name: &str| File::create(path.join(name)).unwrap().set_len(1 << 40).unwrap();
    fs::create_dir_all(path.join("idx")).unwrap();
    fs::create_dir_all(path.join("images/a")).unwrap();
    for name in [
        "big.csv",
        "big.csv.gz",
        "big.npz",
        "big.npy",
        "big.txt",
        "big.nnir",
        "big.safetensors",
        "images/a/big.png",
    ] {
        hollow(name);
    }
    hollow("idx/train-images-idx3-ubyte");
    hollow("idx/train-labels-idx1-ubyte");
    let commands = [
        ("big.csv", "train mlp --data csv:big.csv"),
        ("big.csv.gz", "train mlp --data csv:big.csv.gz"),
        ("big.npz", "train mlp --data npz:big.npz"),
        ("big.txt", "train mlp --data zip:big.txt"),
        ("big.txt", "train rnn --data text:big.txt"),
        ("idx/train-images-idx3-ubyte", "train mlp --data idx:idx"),
        ("images/a/big.png", "train mlp --data images:images"),
        ("big.npy", "predict model/mlp.safetensors --input big.npy"),
        ("big.csv", "predict model/mlp.safetensors --input big.csv"),
        ("images/a/big.png", "predict model/mlp.safetensors --input images"),
        ("big.nnir", "run big.nnir"),
        ("big.nnir", "check big.nnir"),
    ];
    for (name, command) in commands {
        let error = error(path, command, 4096);
        assert!(error.starts_with(&format!("error: {name}: it has 1.0 TiB, and ")), "{command}: {error}");
        assert!(
            error.ends_with(" of memory can be had; give a smaller file, or a part of it"),
            "{command}: {error}"
        );
    }
    // Of these, the header alone is read at first.
    for command in ["train mlp --resume big.safetensors", "eval big.safetensors"] {
        let error = error(path, command, 512);
        assert!(error.starts_with("error: big.safetensors: invalid JSON in header: "), "{command}: {error}");
    }
}

#[test]
fn what_has_no_end_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    model(folder.path());
    for command in ["train mlp --data csv:/dev/zero", "run /dev/zero", "run - </dev/zero", "eval /dev/zero"] {
        let error = error(folder.path(), command, 512);
        assert!(
            error.contains(": it has more than ") && error.contains(" of memory can be had; "),
            "{command}: {error}"
        );
    }
    let piped = "predict model/mlp.safetensors --input - </dev/urandom";
    assert!(error(folder.path(), piped, 512).contains("stdin: it has more than "));
}

#[test]
fn tables_and_arrays_that_outgrow_memory_are_errors_wherever_they_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let line = "0,1,2,3,4,5,6,7,8,9,".repeat(10);
    fs::write(path.join("a.csv"), (0..40_000).map(|row| format!("{line}{}\n", row % 3)).collect::<String>())
        .unwrap();
    let options = "--hidden 4 --epochs 1 --batch 1000 --validation 0.2 --out run --overwrite";
    let limits = [80, 100, 120, 140, 170, 200, 400];
    is_told_until_there_is_enough(path, &format!("train mlp --data csv:a.csv {options}"), &limits);
    let x = Tensor::new([40_000, 100], vec![1.0f64; 4_000_000]).unwrap();
    let y = Tensor::new([40_000], (0..40_000).map(|row| row % 3).collect::<Vec<i64>>()).unwrap();
    npy::npz::write(&path.join("a.npz"), [("x", &x), ("y", &y)]).unwrap();
    is_told_until_there_is_enough(path, &format!("train mlp --data npz:a.npz {options}"), &limits);
    fs::write(path.join("a.txt"), "some words and more. ".repeat(200_000)).unwrap();
    for limit in [80, 140, 200] {
        let error = error(path, "train rnn --data text:a.txt --hidden 4 --out text", limit);
        assert!(error.starts_with("error: text:a.txt: it takes 192.3 MiB of memory"), "{limit} MiB: {error}");
    }
}

#[test]
fn models_and_batches_larger_than_memory_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let cannot = [
        "train mlp --hidden 30000,30000 --out a",
        "train mlp --data adding:200 --hidden 20000 --batch 8000 --out a",
        "train rnn --data copy:5000 --out a",
    ];
    for command in cannot {
        let error = error(path, command, 400);
        assert!(error.contains("memory") && error.contains("; "), "{command}: {error}");
    }
    let nodes: String = (1..200_000).map(|node| format!("%n{node} = add %n{}, %n0\n", node - 1)).collect();
    fs::write(path.join("long.nnir"), format!("graph @g {{ %n0 = input : f32[3]\n{nodes} output y = %n0 }}"))
        .unwrap();
    is_told_until_there_is_enough(path, "check long.nnir", &[60, 100, 150, 200, 2000]);
    let graph = "graph @g { %x = input : f32[3]  %b = broadcast %x shape=[100000000, 3]  %y = exp %b  output y = %y }";
    fs::write(path.join("g.nnir"), graph).unwrap();
    npy::write(&path.join("x.npy"), &Tensor::new([3], vec![1.0f32, 2.0, 3.0]).unwrap()).unwrap();
    for reference in ["", " --reference"] {
        let error = error(path, &format!("run g.nnir --input x=x.npy{reference}"), 400);
        assert!(error.contains("memory"), "{error}");
    }
}
