//! `-` in the place of a file is stdin or stdout.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use ir::Tensor;
use nnc::npy;

const GRAPH: &str = "graph @sums {
  %x = input : f32[2, 3]
  %y = add %x, %x : f32[2, 3]
  %z = mul %x, %x : f32[2, 3]
  output y = %y
  output z = %z
}
";

/// Runs nnc in a folder, with these bytes on stdin.
fn nnc(folder: &Path, arguments: &str, stdin: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nnc"));
    command.args(arguments.split_whitespace()).current_dir(folder);
    let mut process =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _ = process.stdin.take().unwrap().write_all(stdin); // who has found an error reads no more
    process.wait_with_output().unwrap()
}

fn done(folder: &Path, arguments: &str, stdin: &[u8]) -> Vec<u8> {
    let output = nnc(folder, arguments, stdin);
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn refusal(folder: &Path, arguments: &str, stdin: &[u8]) -> String {
    let output = nnc(folder, arguments, stdin);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments}: {stderr}");
    assert!(output.stdout.is_empty() && !stderr.contains("panicked"), "{arguments}: {stderr}");
    stderr
}

fn x() -> Tensor {
    Tensor::new([2, 3], vec![1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap()
}

#[test]
fn predictions_go_from_stdin_to_stdout() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    done(folder, "train mlp --data synthetic:spirals --hidden 4 --epochs 1 --out run", b"");
    let rows = Tensor::new([2, 2], vec![0.5f32, -0.5, 0.25, 1.0]).unwrap();
    npy::write(&folder.join("rows.npy"), &rows).unwrap();
    npy::npz::write(&folder.join("rows.npz"), [("rows", &rows)]).unwrap();
    fs::write(folder.join("rows.csv"), "a,b\n0.5,-0.5\n0.25,1\n").unwrap();
    done(folder, "predict run/mlp.safetensors --input rows.csv --out expected.csv", b"");
    let expected = fs::read(folder.join("expected.csv")).unwrap();
    assert!(expected.starts_with(b"class,probability\n"));
    for name in ["rows.npy", "rows.npz", "rows.csv"] {
        let stdin = fs::read(folder.join(name)).unwrap();
        let printed = done(folder, "predict run/mlp.safetensors --input - --out -", &stdin);
        assert_eq!(printed, expected, "{name}");
    }
    let error = refusal(folder, "predict run/mlp.safetensors --input -", b"1,2\n3,x\n");
    assert!(error.starts_with("error: stdin, line 2: column \"2\": \"x\" is no number, "), "{error}");
    let error = refusal(folder, "predict run/mlp.safetensors --input rows.csv --out - --json", b"");
    assert_eq!(error, "error: --out -: stdout is for the JSON object of --json; leave out one of them\n");
}

#[test]
fn programs_and_arrays_come_from_stdin_and_outputs_go_to_stdout() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("sums.nnir"), GRAPH).unwrap();
    npy::write(&folder.join("x.npy"), &x()).unwrap();
    npy::npz::write(&folder.join("x.npz"), [("x", &x())]).unwrap();
    let expected = "y: f32[2, 3] = 2, 4, 6, 8, 10, 12\nz: f32[2, 3] = 1, 4, 9, 16, 25, 36\n".as_bytes();
    let [array, archive] = ["x.npy", "x.npz"].map(|name| fs::read(folder.join(name)).unwrap());
    assert_eq!(done(folder, "run - --input x=x.npy", GRAPH.as_bytes()), expected);
    assert_eq!(done(folder, "run sums.nnir --input x=-", &array), expected);
    assert_eq!(done(folder, "run sums.nnir --inputs -", &archive), expected);

    let printed = done(folder, "run sums.nnir --input x=- --output z=-", &array);
    let z = Tensor::new([2, 3], vec![1.0f32, 4.0, 9.0, 16.0, 25.0, 36.0]).unwrap();
    assert_eq!(npy::decode(&printed, "stdout").unwrap(), z);
    let printed = done(folder, "run sums.nnir --input x=- --output -", &array);
    let arrays = npy::npz::decode(&printed, "stdout").unwrap();
    assert_eq!(arrays.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["y", "z"]);
    let printed = done(folder, "run sums.nnir --input x=x.npy --output z=z.npy --output all.npz", b"");
    assert_eq!(printed, b"`z` written to z.npy\n2 outputs written to all.npz\n");
    assert_eq!(npy::read(&folder.join("z.npy")).unwrap(), z);

    let error = refusal(folder, "run - --input x=-", GRAPH.as_bytes());
    assert_eq!(error, "error: -: stdin can be read once; give it in the place of one file\n");
    let error = refusal(folder, "run sums.nnir --input x=x.npy --output zz=-", b"");
    let help = "did you mean `z`? its outputs are y, z";
    assert_eq!(error, format!("error: --output zz: the program has no output of this name; {help}\n"));
    let error = refusal(folder, "run sums.nnir --input x=x.npy --output - --json", b"");
    assert!(error.starts_with("error: --output -: stdout is for the JSON object"), "{error}");
}

#[test]
fn check_dump_and_fuzz_read_stdin() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let checked = String::from_utf8(done(folder, "check -", GRAPH.as_bytes())).unwrap();
    assert!(checked.starts_with("stdin: graph @sums holds (stage source, "), "{checked}");
    let dumped = done(folder, "dump - --output -", GRAPH.as_bytes());
    assert_eq!(String::from_utf8(dumped).unwrap(), GRAPH);
    let judged = nnc(folder, "fuzz -", GRAPH.as_bytes());
    assert!(String::from_utf8_lossy(&judged.stderr).contains("stdin: holds"), "{judged:?}");
    let error = refusal(folder, "check -", b"graph @g { %y = add %x, %x }");
    assert!(error.contains("stdin:1:21"), "{error}");
    let error = refusal(folder, "check -", b"graph \xff");
    assert_eq!(error, "error: stdin: this is no text: byte 6 is not UTF-8; give a text file\n");
}

/// Nobody reads what is written: that is the end of it, and no error.
#[test]
fn a_closed_pipe_ends_a_command_in_peace() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("sums.nnir"), GRAPH).unwrap();
    npy::write(&folder.join("x.npy"), &x()).unwrap();
    for arguments in ["run sums.nnir --input x=x.npy --output -", "dump sums.nnir --output -"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nnc"));
        command.args(arguments.split_whitespace()).current_dir(folder);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{arguments}: {output:?}");
    }
}
