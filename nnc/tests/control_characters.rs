//! Names out of files reach no terminal as they are: what acts on one is an escape in reports, tables, messages and pictures. JSON and
//! files have the true names.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::fs;
use std::path::Path;
use std::process::Command;

use ir::{DType, Tensor, Type};
use nnc::trainer::ConfusionMatrix;
use nnc::{Error, report};
use serde_json::Value;

/// A name that clears the screen, ends the line and turns the direction of what follows; and as it is shown.
const NAME: &str = "a\u{1b}[2J\nb\u{9b}\u{202e}\rc";
const SHOWN: &str = r"a\u{1b}[2J\nb\u{9b}\u{202e}\rc";

/// Stdout and stderr of a command, checked to act on no terminal.
fn nnc(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_nnc")).args(arguments).output().unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    for text in [&stdout, &stderr] {
        let found = text.chars().find(|&letter| letter != '\n' && ir::names::acts_on_terminal(letter));
        assert_eq!(found, None, "{arguments:?}: {text:?}");
    }
    (output.status.code().unwrap(), stdout, stderr)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A table whose second class, and a column, have the name.
fn table(folder: &Path) -> String {
    let mut text = format!("x,\"{NAME}\",class\n");
    for row in 0..60 {
        let class = if row % 2 == 0 { "plain".to_owned() } else { format!("\"{NAME}\"") };
        text += &format!("{},{},{class}\n", row % 2, row % 3);
    }
    let path = folder.join("table.csv");
    fs::write(&path, text).unwrap();
    format!("csv:{}", path.display())
}

#[test]
fn classes_are_shown_with_escapes_and_written_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (data, out) = (table(folder), folder.join("run \u{1b}[2J"));
    let train = [
        "train",
        "mlp",
        "--data",
        &data,
        "--epochs",
        "40",
        "--batch",
        "8",
        "--lr",
        "0.05",
        "--out",
        text(&out),
    ];
    let (code, stdout, stderr) = nnc(&train);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains(SHOWN), "the table has the class: {stdout}");
    assert!(stdout.contains(r"run \u{1b}[2J/mlp.safetensors"), "{stdout}");
    let picture = fs::read_to_string(out.join("confusion.svg")).unwrap();
    assert!(picture.contains(r"\u{1b}") && !picture.contains('\u{1b}'), "{picture}");

    let weights = out.join("mlp.safetensors");
    let (_, stdout, _) = nnc(&["eval", text(&weights), "--data", &data]);
    assert!(stdout.contains(SHOWN), "{stdout}");
    let rows = folder.join("rows.csv");
    fs::write(&rows, "1,0\n0,0\n").unwrap();
    let predict = ["predict", text(&weights), "--input", text(&rows)];
    let (_, stdout, _) = nnc(&predict);
    assert!(
        stdout.starts_with(&format!("row 0: {SHOWN} (")) && stdout.contains("\nrow 1: plain ("),
        "{stdout}"
    );
    let (_, stdout, _) = nnc(&[&predict[..], &["--json"]].concat());
    let json: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(json["predictions"][0]["class"], NAME);
    let written = folder.join("predictions.csv");
    nnc(&[&predict[..], &["--out", text(&written)]].concat());
    let quoted = format!("\"{NAME}\",");
    assert!(fs::read_to_string(&written).unwrap().contains(&quoted), "files have the true names");
}

#[test]
fn errors_show_names_with_escapes() {
    let folder = tempfile::tempdir().unwrap();
    let data = table(folder.path());
    let (code, _, stderr) = nnc(&["train", "mlp", "--data", &format!("{data}#{NAME}x"), "--summary"]);
    assert_eq!((code, stderr.lines().count()), (2, 1), "{stderr}");
    assert!(stderr.contains(SHOWN), "{stderr}");
    let missing = folder.path().join(NAME);
    for arguments in [
        ["eval", text(&missing)],
        ["check", text(&missing)],
        ["run", text(&missing)],
        ["dump", text(&missing)],
    ] {
        let (code, _, stderr) = nnc(&arguments);
        assert_eq!((code, stderr.lines().count()), (2, 1), "{arguments:?}: {stderr}");
        assert!(stderr.contains(SHOWN), "{arguments:?}: {stderr}");
    }
    let texts = [
        Error::invalid(NAME, NAME, NAME).to_string(),
        nnc::npy::read(&missing).err().unwrap().to_string(),
        nnc::files::read(&missing).unwrap_err().to_string(),
        runtime::RunError::UnknownState { name: NAME.into(), known: NAME.into() }.to_string(),
        runtime::RunError::InputType {
            name: NAME.into(),
            expected: Box::new(Type::new(DType::F32, [1])),
            given: Box::new(Type::new(DType::F32, [2])),
        }
        .to_string(),
    ];
    for text in texts {
        assert!(text.contains(SHOWN) && !text.contains(ir::names::acts_on_terminal), "{text:?}");
    }
}

#[test]
fn programs_and_arrays_of_such_names_are_refused_with_escapes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("graph.nnir");
    let mut b = ir::Builder::new("g");
    let x = b.input("x", DType::F32, [2]).unwrap();
    let y = b.neg(x).unwrap();
    b.output("y", y).unwrap();
    let source = b.finish().to_string();
    fs::write(&file, &source).unwrap();
    let archive = folder.path().join("x.npz");
    let array = Tensor::new([2], vec![1.0f32, 2.0]).unwrap();
    nnc::npy::npz::write(&archive, [(NAME, &array)]).unwrap();
    let (code, _, stderr) = nnc(&["run", text(&file), "--inputs", text(&archive)]);
    assert!(code == 2 && stderr.contains(&format!("no input or state `{SHOWN}`")), "{stderr}");
    fs::write(&file, source.replace("graph @g", &format!("graph @{}", "g\u{1b}[2J\u{9b}"))).unwrap();
    for command in ["check", "run", "dump"] {
        assert_eq!(nnc(&[command, text(&file)]).0, 2);
    }
    let (_, stdout, _) = nnc(&["check", text(&file), "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap()["ok"], false);
}

#[test]
fn tables_and_pictures_of_the_library_have_escapes() {
    let matrix = ConfusionMatrix::new(&[1.0, 0.0, 0.2, 0.8], &[0, 1], &[NAME.to_owned(), "plain".to_owned()]);
    let table = matrix.to_string();
    assert_eq!(table.matches(SHOWN).count(), 2, "{table}");
    let svg = report::confusion_plot(NAME, &matrix);
    assert!(!svg.contains(|letter: char| letter != '\n' && ir::names::acts_on_terminal(letter)), "{svg}");
}
