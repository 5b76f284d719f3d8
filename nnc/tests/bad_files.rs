//! What `nnc train`, `eval` and `predict` say of files that are cut off, damaged, or of something else: an error that
//! names the file and the fix, exit code 2, and no file is changed.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Output};

use flate2::Compression;
use flate2::bufread::GzEncoder;
use ir::Tensor;
use nnc::npy;
use serde_json::Value;

/// A folder with good data, a run `run` that has been broken off after a checkpoint, and a finished model `logistic`.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        folder.done("train mlp --epochs 2 --hidden 8 --out run --checkpoint-every 20");
        folder.done("train logistic --epochs 1 --out logistic");
        // As it would be left by a kill before the second epoch ended.
        fs::remove_file(folder.path("run/checkpoint-90.safetensors")).unwrap();
        fs::create_dir(folder.path("idx")).unwrap();
        folder.write("idx/train-images-idx3-ubyte", &idx(&[10, 2, 2], &[7; 40]));
        folder.write("idx/train-labels-idx1-ubyte", &idx(&[10], &[0, 1, 2, 0, 1, 2, 0, 1, 2, 0]));
        folder.write("zip.train.gz", &gzipped(zip_line("3").repeat(10).as_bytes()));
        folder.write("a.csv", ("a,y\n".to_owned() + &"1.5,u\n-2,v\n".repeat(10)).as_bytes());
        folder.write_npz("a.npz", 10, &[0, 1, 0, 1, 0, 1, 0, 1, 0, 1]);
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn write_npz(&self, name: &str, rows: usize, labels: &[i64]) {
        let x = Tensor::new([rows, 3], (0..3 * rows).map(|i| i as f32).collect()).unwrap();
        let y = Tensor::new([labels.len()], labels.to_vec()).unwrap();
        npy::npz::write(&self.path(name), [("x", &x), ("y", &y)]).unwrap();
    }

    /// Cuts a file off after a part of it.
    fn cut(&self, name: &str, part: f64) {
        let whole = fs::read(self.path(name)).unwrap();
        self.write(name, &whole[..(whole.len() as f64 * part) as usize]);
    }

    fn nnc(&self, arguments: &str) -> Output {
        let arguments = arguments.split_whitespace();
        Command::new(env!("CARGO_BIN_EXE_nnc")).args(arguments).current_dir(self.0.path()).output().unwrap()
    }

    fn done(&self, arguments: &str) -> String {
        let output = self.nnc(arguments);
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// All files with what they hold.
    fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let (mut files, mut folders) = (BTreeMap::new(), vec![self.0.path().to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.insert(path.clone(), fs::read(path).unwrap());
                }
            }
        }
        files
    }

    /// Checks that a command is refused in these words.
    fn refuses(&self, arguments: &str, expected: &str) {
        let before = self.contents();
        let output = self.nnc(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {stderr}");
        assert!(output.stdout.is_empty(), "{arguments}");
        assert!(stderr.trim_end().lines().count() == 1, "{arguments}: {stderr}");
        assert!(stderr.starts_with(&format!("error: {expected}")), "{arguments}:\n{stderr}{expected}");
        // Where there is no file, the fix goes without saying.
        let has_fix = stderr.contains("; ") || stderr.contains("cannot read: ");
        assert!(has_fix, "{arguments}: no fix is named in {stderr}");
        assert!(self.contents() == before, "{arguments}: files have changed");
    }

    /// Checks that neither training nor evaluation takes a source.
    fn refuses_data(&self, source: &str, expected: &str) {
        self.refuses(
            &format!("train logistic --data {source} --batch 4 --out logistic --overwrite"),
            expected,
        );
        self.refuses(&format!("eval logistic/logistic.safetensors --data {source}"), expected);
    }
}

fn idx(extents: &[u32], elements: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, extents.len() as u8];
    file.extend(extents.iter().flat_map(|extent| extent.to_be_bytes()));
    file.extend(elements);
    file
}

fn zip_line(digit: &str) -> String {
    format!("{digit}{}\n", " 0.5".repeat(256))
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut compressed = Vec::new();
    GzEncoder::new(bytes, Compression::none()).read_to_end(&mut compressed).unwrap();
    compressed
}

#[test]
fn data_that_are_cut_off_are_refused() {
    let folder = Folder::new();
    for good in ["idx:idx", "zip:zip.train.gz", "csv:a.csv", "npz:a.npz"] {
        folder.done(&format!("train logistic --epochs 1 --data {good} --batch 4 --out good --overwrite"));
    }
    folder.cut("idx/train-images-idx3-ubyte", 0.9);
    folder.refuses_data("idx:idx", "idx/train-images-idx3-ubyte: ");
    folder.write("idx/train-images-idx3-ubyte", &gzipped(&idx(&[10, 2, 2], &[7; 40])));
    folder.cut("idx/train-images-idx3-ubyte", 0.6);
    folder.refuses_data("idx:idx", "idx/train-images-idx3-ubyte: it cannot be inflated: ");
    folder.cut("zip.train.gz", 0.9);
    folder.refuses_data("zip:zip.train.gz", "zip.train.gz: it cannot be inflated: ");
    folder.cut("a.csv", 0.975);
    folder.refuses_data("csv:a.csv", "a.csv, line 21: there are 1 fields, in the first line 2; ");
    folder.write("a.csv.gz", &gzipped(("a,y\n".to_owned() + &"1,2\n".repeat(100)).as_bytes()));
    folder.cut("a.csv.gz", 0.9);
    folder.refuses_data("csv:a.csv.gz", "a.csv.gz: it cannot be inflated: ");
    folder.cut("a.npz", 0.9);
    folder.refuses_data("npz:a.npz", "a.npz: ");
    for missing in ["idx:none", "zip:none.gz", "csv:none.csv", "npz:none.npz"] {
        let place = missing.split_once(':').unwrap().1;
        folder.refuses(&format!("train mlp --data {missing}"), &format!("{place}: cannot read: "));
    }
}

#[test]
fn labels_out_of_range_are_refused() {
    let folder = Folder::new();
    folder.write("idx/train-labels-idx1-ubyte", &idx(&[10], &[0, 1, 2, 200, 1, 2, 0, 1, 2, 0]));
    folder.refuses_data(
        "idx:idx",
        "idx/train-labels-idx1-ubyte: label 3 (from 0) is 200, and none is 3; number the classes from 0",
    );
    folder.write("idx/train-labels-idx1-ubyte", &idx(&[9], &[0, 1, 2, 0, 1, 2, 0, 1, 2]));
    folder.refuses_data(
        "idx:idx",
        "idx/train-images-idx3-ubyte: its elements are [10, 2, 2], and there are 9 labels",
    );
    folder.write("idx/train-labels-idx1-ubyte", &idx(&[10], &[0, 1, 2, 0, 1, 2, 0, 1, 2, 0]));
    folder.write("idx/t10k-images-idx3-ubyte", &idx(&[1, 2, 2], &[7; 4]));
    folder.write("idx/t10k-labels-idx1-ubyte", &idx(&[1], &[3]));
    folder.refuses_data(
        "idx:idx",
        "idx/t10k-labels-idx1-ubyte: label 0 (from 0) is 3, and there are 3 classes; ",
    );
    folder.write("zip.train.gz", (zip_line("3") + &zip_line("10")).as_bytes());
    folder.refuses_data(
        "zip:zip.train.gz",
        "zip.train.gz, line 2: the label is 10; give a digit and 256 numbers",
    );
    let (x, y) = (Tensor::new([2, 1], vec![0.5f32, 1.5]).unwrap(), Tensor::new([2], vec![-1i64, 1]).unwrap());
    let y_test = Tensor::new([2], vec![1i64, 0]).unwrap();
    let arrays = [("x_train", &x), ("y_train", &y), ("x_test", &x), ("y_test", &y_test)];
    npy::npz::write(&folder.path("a.npz"), arrays).unwrap();
    folder.refuses_data(
        "npz:a.npz",
        "a.npz, array \"y_test\": row 1 is of class \"0\", which no row to train on is of; ",
    );
    folder.write_npz("a.npz", 4, &[0, 1, 1]);
    folder.refuses_data("npz:a.npz", "a.npz: x is f32[4, 3], y is i64[3]; ");
}

#[test]
fn models_are_refused_on_data_of_another_kind() {
    let folder = Folder::new();
    let eval = |source: &str| format!("eval logistic/logistic.safetensors --data {source}");
    folder.refuses(
        &eval("idx:idx"),
        "idx:idx: it has 3 classes (0, 1, 2), and the model was trained on 10 classes",
    );
    folder.refuses(&eval("synthetic:regression"), "synthetic:regression: it has 1 values (");
    folder.refuses(
        &eval("zip:zip.train.gz"),
        "zip:zip.train.gz: its rows are of [1, 16, 16], and the model was",
    );
    let predict = |file: &str| format!("predict logistic/logistic.safetensors --input {file} --out a.csv");
    folder.refuses(
        &predict("a.npz"),
        "a.npz: its rows are of [3], and the model was trained on rows of [1, 8, 8]; ",
    );
    folder.refuses(
        &predict("a.csv"),
        "a.csv: column \"y\" holds texts, and the model was not trained on a table",
    );
    folder.cut("a.npz", 0.5);
    folder.refuses(&predict("a.npz"), "a.npz: ");
    npy::write(&folder.path("a.npy"), &Tensor::new([2, 64], vec![0.5f32; 128]).unwrap()).unwrap();
    folder.done(&predict("a.npy"));
    folder.cut("a.npy", 0.9);
    folder.refuses(&predict("a.npy"), "a.npy: f32[2, 64] takes 512 bytes, but only 448 follow the header; ");
    folder.refuses(&predict("none.npy"), "none.npy: cannot read: ");
    // Class 0 would be the greatest of NaN.
    npy::write(&folder.path("a.npy"), &Tensor::new([2, 64], vec![3e38f32; 128]).unwrap()).unwrap();
    folder.refuses(&predict("a.npy"), "a.npy: of row 0 (from 0), logistic returns ");
    folder.refuses(
        "predict run/mlp.safetensors --input a.npy --out a.txt",
        "a.txt: what to write is not known; ",
    );
}

#[test]
fn checkpoints_that_are_damaged_or_of_something_else_are_refused() {
    let folder = Folder::new();
    npy::write(&folder.path("a.npy"), &Tensor::new([2, 64], vec![0.5f32; 128]).unwrap()).unwrap();
    let whole = fs::read(folder.path("run/checkpoint-80.safetensors")).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    folder.write("other.safetensors", b"\x02\0\0\0\0\0\0\0{}");
    folder.write("flipped.safetensors", &flipped);
    folder.write("cut.safetensors", &whole[..whole.len() - 9]);
    folder.write("head.safetensors", &whole[..99]);
    folder.write("text.safetensors", b"these are no weights");
    for (file, problem) in [
        ("other", "it holds tensors, and does not say of what model; give a checkpoint that `nnc train`"),
        ("flipped", "its bytes are not those that were written: it is damaged; give another"),
        ("cut", "its "),
        ("head", "it ends after 99 bytes, within its header; give a whole safetensors file"),
        ("text", "this is no safetensors file; "),
        ("none", "cannot read: "),
    ] {
        let expected = format!("{file}.safetensors: {problem}");
        folder.refuses(&format!("eval {file}.safetensors"), &expected);
        folder.refuses(&format!("predict {file}.safetensors --input a.npy"), &expected);
        folder.refuses(&format!("train mlp --resume {file}.safetensors --out other"), &expected);
    }
}

#[test]
fn runs_do_not_go_on_from_checkpoints_of_other_runs() {
    let folder = Folder::new();
    let newest = "run/checkpoint-80.safetensors";
    let other = "--resume: the run was started with other settings: ";
    for (options, expected) in [
        ("train mlp --lr 0.5 --resume", format!("{other}lr is 0.005 there and 0.5 here; leave these options out")),
        ("train mlp --hidden 16 --resume", format!("{other}hidden is [8] there and [16] here; ")),
        ("train mlp --seed 1 --batch 16 --resume", format!("{other}batch is 32 there and 16 here; seed is 0 there")),
        ("train mlp --clip 1 --resume", format!("{other}clip is not set there and 1.0 here; ")),
        ("train mlp --optimizer sgd --resume", format!("{other}optimizer is adam there and sgd here; ")),
        (
            "train mlp --data synthetic:images --resume",
            "the checkpoint: it was trained on other data: it is of digits (1437 rows of [1, 8, 8], 10 classes), ".into(),
        ),
        ("train logistic --resume", format!("{newest}: it is of the model mlp, not of logistic; give a checkpoint of")),
    ] {
        folder.refuses(&format!("{options} {newest}"), &expected);
    }
    folder.refuses(
        "train mlp --resume run/mlp.safetensors",
        "the checkpoint: it holds a finished model, and no run",
    );
    folder.refuses(
        "train mlp --resume idx",
        "idx: there is no whole checkpoint in it; give a folder in which `nnc",
    );
    // A run that has not ended is not overwritten by another one, and can still go on.
    folder.refuses(
        "train mlp --checkpoint-every 10 --out run",
        "run: it holds the files of another run (checkpoint-60.safetensors, ",
    );
    let hash = |arguments: &str| {
        let json: Value = serde_json::from_str(&folder.done(arguments)).unwrap();
        json["weights_hash"].clone()
    };
    let whole = hash("train mlp --epochs 2 --hidden 8 --out whole --json");
    assert_eq!(hash("train mlp --resume run --json"), whole);
}
