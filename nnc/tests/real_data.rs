//! Real data sets that are not part of the project: MNIST's test images, the envelopes' digits of ESL, prices of shares;
//! and what the models that have a name reach on them.
//! They are looked for in the folder that the environment variable NNC_DATA names, or in `../shared/data` beside the
//! checkout; where a file is absent, its test says that it was skipped.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use nnc::data::{Dataset, Loaded, Loading, Source, prices};

/// A file of the real data, where it is there.
fn find(name: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let path = env::var_os("NNC_DATA").map_or(beside, PathBuf::from).join(name);
    if !path.is_file() {
        eprintln!("skipped: {} is not there; set NNC_DATA to the folder that holds {name}", path.display());
        return None;
    }
    Some(path)
}

fn load(source: &str) -> (Dataset, Dataset) {
    source.parse::<Source>().unwrap().load().unwrap()
}

fn load_all(source: &str) -> Dataset {
    match source.parse::<Source>().unwrap().load_all(&Loading::default()).unwrap() {
        Loaded::Rows(rows) => rows,
        other => panic!("{} is no data set of rows", other.name()),
    }
}

/// The accuracy on the rows for testing that `nnc train` reports, with its defaults.
fn test_accuracy(model: &str, source: &str) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_nnc"));
    command.args(["train", model, "--data", source, "--json", "--out"]).arg(folder.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let accuracy = json["test_accuracy"].as_f64().unwrap();
    println!("{model} on {source}: {:.2} %", 100.0 * accuracy);
    accuracy
}

fn assert_models_reach(source: &str, least: &[(&str, f64)]) {
    for &(model, least) in least {
        let accuracy = test_accuracy(model, source);
        assert!(accuracy >= least, "{model} on {source}: {accuracy}, not {least}");
    }
}

/// The number of rows of each of ten classes.
fn counts(data: &Dataset) -> [usize; 10] {
    let mut counts = [0; 10];
    data.labels().unwrap().iter().for_each(|&label| counts[label as usize] += 1);
    counts
}

/// The counts and the mean pixel are those that are published of MNIST's test set.
#[test]
fn the_test_images_of_mnist_are_read_whole() {
    let Some(path) = find("t10k-images-idx3-ubyte.gz") else { return };
    let (train, test) = load(&format!("idx:{}", path.parent().unwrap().display()));
    assert_eq!((train.len(), test.len(), train.row_shape().to_string()), (8000, 2000, "[1, 28, 28]".into()));
    let all = load_all(&format!("idx:{}", path.parent().unwrap().display()));
    assert_eq!(all.labels().unwrap()[..10], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
    let (of_train, of_test) = (counts(&train), counts(&test));
    let all: Vec<usize> = of_train.iter().zip(of_test).map(|(a, b)| a + b).collect();
    assert_eq!(all, [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
    let sum: f64 = train.rows().iter().chain(test.rows()).map(|&pixel| f64::from(pixel)).sum();
    let mean = sum / (10_000.0 * 784.0);
    assert!((mean - 0.1325).abs() < 5e-5, "{mean}");
}

/// The counts are those of the table in ESL's description of the data.
#[test]
fn the_digits_of_envelopes_are_read_whole() {
    let Some(path) = find("zip.train.gz") else { return };
    let (train, test) = load(&format!("zip:{}", path.display()));
    assert_eq!(counts(&train), [1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644]);
    assert_eq!(counts(&test), [359, 264, 198, 166, 200, 160, 170, 147, 166, 177]);
    assert_eq!(train.row(0)[6..10], [-1.0, -0.631, 0.862, -0.167]);
}

#[test]
fn models_learn_the_embedded_digits() {
    assert_models_reach(
        "digits",
        &[("logistic", 0.93), ("perceptron", 0.94), ("mlp", 0.97), ("lenet", 0.98)],
    );
}

/// On 8,000 of MNIST's test images; the other 2,000 are for testing.
#[test]
fn models_learn_the_test_images_of_mnist() {
    let Some(path) = find("t10k-images-idx3-ubyte.gz") else { return };
    let source = format!("idx:{}", path.parent().unwrap().display());
    assert_models_reach(&source, &[("logistic", 0.90), ("perceptron", 0.88), ("mlp", 0.95)]);
}

#[test]
fn models_learn_the_digits_of_envelopes() {
    let Some(path) = find("zip.train.gz") else { return };
    let source = format!("zip:{}", path.display());
    assert_models_reach(&source, &[("logistic", 0.91), ("perceptron", 0.90), ("mlp", 0.93)]);
}

/// The table that is embedded, as a file: the same rows, and not scaled.
#[test]
fn the_digits_as_a_table_are_the_embedded_ones() {
    let Some(path) = find("digits.csv.gz") else { return };
    let (train, test) = load_all(&format!("csv:{}", path.display())).split_off_every_fifth();
    let (digits, held_out) = load("digits");
    assert_eq!((train.labels(), test.labels()), (digits.labels(), held_out.labels()));
    assert!(train.rows().iter().zip(digits.rows()).all(|(pixel, scaled)| pixel / 16.0 == *scaled));
}

#[test]
fn prices_of_shares_are_read_as_prices_and_as_a_table() {
    let Some(path) = find("stocks.csv.gz") else { return };
    let all = prices::read(&path).unwrap();
    let names: Vec<&str> =
        all.chunk_by(|a, b| a.name == b.name).map(|share| share[0].name.as_str()).collect();
    assert_eq!(names, ["AAPL", "AMD", "FB", "GOOG", "IBM", "INTC", "MSFT", "SPY", "TSLA"]);
    assert_eq!((all.len(), all[0].date.to_string(), all[0].close), (38_268, "1999-11-01".into(), 77.62));
    let all = load_all(&format!("csv:{}#close,-date", path.display()));
    assert_eq!((all.len(), all.features(), all.outputs()), (38_268, 16, 1));
    assert_eq!(all.values().unwrap()[0], 574.0);
    let error = format!("csv:{}", path.display()).parse::<Source>().unwrap().load().unwrap_err().to_string();
    assert!(
        error.contains("column \"date\" has more than 1024 different texts")
            && error.contains("leave the column out"),
        "{error}"
    );
}
