//! What users do with tables: train on one, then evaluate and predict on others that are written otherwise, by the program.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

/// A folder in which the program runs.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn run(&self, line: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nnc"));
        command.current_dir(self.0.path()).args(line.split_whitespace()).output().unwrap()
    }

    /// What a command that succeeds writes to stdout as JSON, and to stderr.
    fn json(&self, line: &str) -> (Value, String) {
        let output = self.run(&format!("{line} --json"));
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{line}: {stderr}");
        (serde_json::from_slice(&output.stdout).unwrap(), stderr)
    }

    /// What a command that fails says.
    fn error(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(!output.status.success(), "{line} succeeds");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

/// A table of five machines in turn, whose state follows from what they measure.
fn machines(rows: usize) -> Vec<[String; 5]> {
    let row = |row: usize| {
        let (machine, load) = (row % 5, (row * 37 % 100) as f64 / 100.0);
        let colour = ["red", "green", "blue"][row * 7 % 3];
        let state = if load + if colour == "red" { 0.4 } else { 0.0 } > 0.7 { "high" } else { "low" };
        [
            format!("{}", 1_700_000_000 + row),
            colour.into(),
            format!("{load}"),
            format!("m{machine}"),
            state.into(),
        ]
    };
    (0..rows).map(row).collect()
}

const NAMES: [&str; 5] = ["time", "colour", "load", "machine", "state"];

/// The columns of these numbers of a table, under their names.
fn table(rows: &[[String; 5]], columns: &[usize]) -> String {
    let line = |fields: &[&str]| columns.iter().map(|&at| fields[at]).collect::<Vec<_>>().join(",") + "\n";
    let lines = rows.iter().map(|row| line(&row.each_ref().map(String::as_str)));
    line(&NAMES) + &lines.collect::<String>()
}

/// A folder with a table and a model that was trained on it.
fn trained() -> Folder {
    let folder = Folder::new();
    folder.write("a.csv", &table(&machines(500), &[0, 1, 2, 3, 4]));
    let (report, stderr) =
        folder.json("train mlp --data csv:a.csv#state,-time --epochs 20 --lr 0.01 --out run");
    assert!(report["test_accuracy"].as_f64().unwrap() > 0.95, "{report}");
    assert!(
        stderr.contains("columns: 1 of numbers, 2 of texts; target state, 2 classes; left out: time"),
        "{stderr}"
    );
    folder
}

const MODEL: &str = "run/mlp.safetensors";

fn accuracy(evaluation: &Value) -> f64 {
    evaluation["evaluation"]["accuracy"].as_f64().unwrap()
}

#[test]
fn columns_in_another_order_are_found_by_their_names() {
    let folder = trained();
    folder.write("b.csv", &table(&machines(500), &[4, 2, 0, 3, 1]));
    let same = folder.json(&format!("eval {MODEL} --part all")).0;
    let (other, stderr) = folder.json(&format!("eval {MODEL} --data csv:b.csv"));
    assert_eq!((&other["evaluation"], accuracy(&other) > 0.95), (&same["evaluation"], true), "{stderr}");
    // What was trained on is what is evaluated on, and the rows for testing are those that were held out.
    let held_out = folder.json(&format!("eval {MODEL}")).0;
    assert_eq!(held_out["evaluation"]["rows"], 100);
    folder.write("c.csv", "state,load,machine\nlow,0.5,m1\n");
    let error = folder.error(&format!("eval {MODEL} --data csv:c.csv"));
    assert!(
        error.contains("it has no column \"colour\"; name the columns as they were in training"),
        "{error}"
    );
}

#[test]
fn predictions_are_made_of_the_table_that_one_has() {
    let folder = trained();
    let rows = machines(6);
    folder.write("rows.csv", &table(&rows, &[4, 2, 0, 3, 1]).replace("state,", "comment,"));
    let (all, stderr) = folder.json(&format!("predict {MODEL} --input rows.csv"));
    assert!(stderr.contains("columns of rows.csv that are not used: \"comment\""), "{stderr}");
    folder.write("with.csv", &table(&rows, &[0, 1, 2, 3, 4]));
    let (with_target, stderr) = folder.json(&format!("predict {MODEL} --input with.csv"));
    assert_eq!((&all["predictions"], stderr.as_str()), (&with_target["predictions"], ""));
    // The categories are those of the table that was trained on, whichever come in this one.
    folder.write("one.csv", "load,machine,colour\n0.95,m3,red\n0.05,m3,blue\n");
    let predictions = folder.json(&format!("predict {MODEL} --input one.csv")).0["predictions"].clone();
    assert_eq!((&predictions[0]["class"], &predictions[1]["class"]), (&"high".into(), &"low".into()));
    folder.write("new.csv", "load,machine,colour\n0.95,m3,purple\n");
    let error = folder.error(&format!("predict {MODEL} --input new.csv"));
    let known = "\"purple\" is none of the texts that it is known to hold, \"blue\", \"green\", \"red\"";
    assert!(error.contains("new.csv, line 2: column \"colour\": ") && error.contains(known), "{error}");
    let ignored = folder.json(&format!("predict {MODEL} --input new.csv --unknown ignore")).0;
    assert_eq!(ignored["predictions"][0]["class"], "high");
    let error = folder.error(&format!("predict {MODEL} --input with.csv --missing drop"));
    assert!(
        error.contains("--missing: the model reads tables as the one that it was trained on; leave it out"),
        "{error}"
    );
    let error = folder.error(&format!("predict {MODEL} --input with.csv --drop time"));
    assert!(error.contains("the model knows which columns it uses"), "{error}");
}

#[test]
fn a_table_of_tests_is_read_as_the_one_that_is_trained_on() {
    let folder = trained();
    let rows = machines(700);
    folder.write("train.csv", &table(&rows[..500], &[0, 1, 2, 3, 4]));
    // Of one colour alone, and with columns in another order.
    let tests: Vec<_> = rows[500..].iter().filter(|row| row[1] == "red").cloned().collect();
    folder.write("test.csv", &table(&tests, &[4, 3, 2, 1, 0]));
    let line =
        "train mlp --data csv:train.csv#state,-time --test-data test.csv --epochs 20 --lr 0.01 --out tested";
    let report = folder.json(line).0;
    assert_eq!(report["test"]["rows"], tests.len());
    assert!(report["test_accuracy"].as_f64().unwrap() > 0.9, "{report}");
    let evaluated = folder.json("eval tested/mlp.safetensors").0;
    assert_eq!(evaluated["evaluation"], report["test"]);
    folder.write("other.csv", "a,b\n1,2\n");
    let error = folder.error(&line.replace("test.csv", "other.csv").replace("tested", "other"));
    assert!(error.contains("it has no column \"colour\", \"load\", \"machine\", \"state\""), "{error}");
    let error = folder.error(&line.replace("test.csv", "digits").replace("tested", "other"));
    assert!(
        error.contains("--test-data: it is digits: ") && error.contains("give data with the same classes"),
        "{error}"
    );
}

/// A fifth of the rows by their order would be those of machine 0.
#[test]
fn rows_in_turn_are_held_out_of_all_kinds() {
    let folder = trained();
    let line = "train mlp --data csv:a.csv#machine,-time --epochs 1 --out turns";
    let (report, stderr) = folder.json(line);
    assert!(report["test"]["rows"] == 100 && !stderr.contains("warning"), "{stderr}");
    folder.write(
        "m.csv",
        &table(&machines(500).into_iter().filter(|row| row[3] != "m4").collect::<Vec<_>>(), &[0, 1, 2, 3, 4]),
    );
    let stderr = folder.json(&format!("{line} --test-data m.csv").replace("turns", "four")).1;
    assert!(stderr.contains("warning: to test on there is no row of m4"), "{stderr}");
    // The seed of the split, and no other, chooses them.
    let test = |more: &str, out: &str| {
        folder.json(&format!("{line} {more}").replace("turns", out)).0["test"].clone()
    };
    assert_eq!(test("--split-seed 0", "zero"), report["test"]);
    assert_ne!(test("--split-seed 1", "one"), report["test"]);
    let of_seed_1 = folder.json("eval one/mlp.safetensors").0["evaluation"].clone();
    assert_eq!(of_seed_1, folder.json("eval one/mlp.safetensors --part test").0["evaluation"]);
}

#[test]
fn headers_of_numbers_and_numbers_of_other_countries_are_said_not_guessed() {
    let folder = Folder::new();
    let lines: String =
        (0..40).map(|row| format!("r{row};{},5;{};{}\n", row % 7, row % 5, row % 2)).collect();
    folder.write("a.csv", &format!("country;2001;2002;2003\n{lines}"));
    let train = "train logistic --data csv:a.csv#4,-1 --epochs 1 --out run";
    let error = folder.error(train);
    assert!(error.contains("its first line may hold the names of columns or be a row"), "{error}");
    let train = &format!("{train} --header");
    let error = folder.error(train);
    assert!(error.contains("line 2: column \"2001\": \"0,5\" is a number with a decimal comma; "), "{error}");
    let (_, stderr) = folder.json(&format!("{train} --decimal , --delimiter ;"));
    assert!(stderr.contains("columns: 2 of numbers; target 2003, 2 classes; left out: country"), "{stderr}");
    assert_eq!(folder.json("eval run/logistic.safetensors --part all").0["evaluation"]["rows"], 40);
    let error = folder.error(&format!("{train} --decimal , --delimiter ;; --overwrite"));
    assert!(error.contains("it separates no fields; give one character, such as , ; | or tab"), "{error}");
}

#[test]
fn missing_values_are_what_is_said() {
    let folder = Folder::new();
    let value = |row: usize| if row.is_multiple_of(6) { "NA".into() } else { row.to_string() };
    let lines: String =
        (0..60).map(|row| format!("{},{},{}\n", value(row), row * 3 % 11, row / 30)).collect();
    folder.write("a.csv", &format!("a,b,y\n{lines}"));
    let train = |how: &str| format!("train logistic --data csv:a.csv --epochs 1 --out {how} --missing {how}");
    let error = folder.error(&train("error"));
    let problem =
        "a.csv, line 2: column \"a\": \"NA\" stands for a missing value, of which there are 10 in 60 rows";
    assert!(error.contains(problem), "{error}");
    let (report, stderr) = folder.json(&train("drop"));
    assert!(stderr.contains("10 of 60 rows lack a value and are left out"), "{stderr}");
    assert_eq!(report["test"]["rows"], 10);
    for how in ["mean", "indicator"] {
        assert_eq!(folder.json(&train(how)).0["test"]["rows"], 12);
        folder.write("b.csv", "b,a\n1,\n2,5\n");
        let predicted = folder.json(&format!("predict {how}/logistic.safetensors --input b.csv")).0;
        assert_eq!(predicted["rows"], 2);
    }
}

/// Seconds since 1970, of which f32 holds every 128th: rows within two minutes differ.
#[test]
fn features_are_scaled_before_their_last_digits_are_lost() {
    let folder = Folder::new();
    let lines: String = (0..100)
        .map(|row| format!("{},{}\n", 1_700_000_000 + row, if row < 50 { "early" } else { "late" }))
        .collect();
    folder.write("a.csv", &format!("time,when\n{lines}"));
    let report = folder.json("train logistic --data csv:a.csv --epochs 60 --lr 0.1 --out run").0;
    assert!(report["test_accuracy"].as_f64().unwrap() >= 0.95, "{report}");
    folder.write("b.csv", "time\n1700000002\n1700000098\n");
    let predicted = folder.json("predict run/logistic.safetensors --input b.csv").0;
    let classes: Vec<&str> =
        (0..2).map(|row| predicted["predictions"][row]["class"].as_str().unwrap()).collect();
    assert_eq!(classes, ["early", "late"]);
}

#[test]
fn target_values_are_scaled_and_predictions_and_metrics_are_not() {
    let folder = Folder::new();
    let price = |row: usize| 250_000.0 + 1_000.0 * (row * 37 % 100) as f64;
    let lines: String = (0..200).map(|row| format!("{},{:.1}\n", row * 37 % 100, price(row))).collect();
    folder.write("a.csv", &format!("area,price\n{lines}"));
    let train = "train mlp --data csv:a.csv --epochs 60 --lr 0.01 --out run";
    let report = folder.json(train).0;
    let (r2, error) =
        (report["test"]["r2"].as_f64().unwrap(), report["test"]["mean_absolute_error"].as_f64().unwrap());
    assert!(r2 > 0.99 && (1.0..5_000.0).contains(&error), "{report}");
    assert!(report["test_loss"].as_f64().unwrap() < 0.1, "of scaled values: {report}");
    folder.write("b.csv", "area\n0\n50\n99\n");
    let predicted = folder.json("predict run/mlp.safetensors --input b.csv").0;
    for (row, price) in [250_000.0, 300_000.0, 349_000.0].into_iter().enumerate() {
        let value = predicted["predictions"][row][0].as_f64().unwrap();
        assert!((value - price).abs() < 10_000.0, "{value} for {price}");
    }
    let evaluated = folder.json("eval run/mlp.safetensors").0;
    assert_eq!(evaluated["evaluation"], report["test"]);
    let out = folder.run("predict run/mlp.safetensors --input b.csv --out p.npz");
    assert!(out.status.success());
    let results = nnc::npy::npz::read(&folder.path("p.npz")).unwrap();
    assert!((results[0].1.get(1).as_f64() - 300_000.0).abs() < 10_000.0, "{results:?}");
    let unscaled = folder.json(&format!("{train}2 --normalise-targets none")).0;
    assert!(unscaled["test_loss"].as_f64().unwrap() > 1e3, "{unscaled}");
    let parts: String = (0..20).map(|row| format!("{row},0.{}\n", row % 10)).collect();
    folder.write("c.csv", &format!("area,part\n{parts}"));
    let train = "train mlp --data csv:c.csv --epochs 1 --batch 4 --out parts --loss binary-cross-entropy";
    let error = folder.error(&format!("{train} --normalise-targets standard"));
    assert!(
        error.contains("--normalise-targets: binary-cross-entropy takes targets from 0 to 1; leave it out"),
        "{error}"
    );
}

#[test]
fn models_of_other_data_predict_tables_without_the_columns_that_are_dropped() {
    let folder = Folder::new();
    folder.json("train logistic --epochs 2 --out run");
    let header: Vec<String> = (0..64).map(|pixel| format!("p{pixel}")).chain(["digit".into()]).collect();
    let row: Vec<String> = (0..64).map(|pixel| format!("0.{}", pixel % 9)).chain(["seven".into()]).collect();
    folder.write("d.csv", &format!("{}\n{}\n", header.join(","), row.join(",")));
    let error = folder.error("predict run/logistic.safetensors --input d.csv");
    assert!(
        error.contains("d.csv: column \"digit\" holds texts, and the model was not trained on a table"),
        "{error}"
    );
    for columns in ["digit", "65"] {
        let predicted =
            folder.json(&format!("predict run/logistic.safetensors --input d.csv --drop {columns}")).0;
        assert_eq!(predicted["rows"], 1);
    }
}
