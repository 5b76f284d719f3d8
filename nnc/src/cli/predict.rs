//! `nnc predict CHECKPOINT --input FILE`

use std::path::{Path, PathBuf};

use ir::Tensor;
use ir::names::printable;
use nnc::data::rows::Reading;
use nnc::model::Predictions;
use nnc::{Error, Options, npy};
use serde_json::{Value, json};

use super::output::Output;
use super::table::TableArgs;
use super::target::TargetArg;
use super::{Status, results, shown_path, streams};

/// Without `--out`, so many rows are shown.
const SHOWN_ROWS: usize = 20;

/// Arguments of `nnc predict`.
#[derive(clap::Args)]
pub struct Args {
    /// A model or a checkpoint that `nnc train` has written
    checkpoint: PathBuf,
    /// The rows: an array [rows, ..] in a .npy or .npz file (there called x, or the only one), or a table in a .csv file; a picture (.png,
    /// .jpg), or a folder of pictures, for models of images; for models that take several arrays, an archive of these; - is stdin, with any
    /// of these. Of a model that was trained on a table, the same columns are used, found by their names, and others are not looked at, the
    /// target among them; for other models, all columns hold numbers
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Where to write all predictions: .csv, .npy for what the model returns (of classes, logits), or .npz for all of its
    /// results by name; - is stdout, as .csv
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Columns of a table to leave out, by name or by number from 1, for models that were not trained on a table
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    drop: Vec<String>,
    #[command(flatten)]
    table: TableArgs,
    /// The number of threads
    #[arg(long, default_value_t = 1)]
    threads: usize,
    #[command(flatten)]
    target: TargetArg,
}

/// Predicts the class or the values of each row.
pub fn run(args: &Args, output: &Output) -> Result<Status, Error> {
    if let Some(out) = &args.out
        && !has_ending(out, "csv")
        && !has_ending(out, "npy")
        && !has_ending(out, "npz")
        && !streams::is_stream(out)
    {
        return Err(Error::invalid(
            out.display().to_string(),
            "what to write is not known",
            "end it in .csv, .npy or .npz",
        ));
    }
    if let Some(out) = &args.out {
        streams::check_alone(out, "--out", output)?;
    }
    let options = Options { threads: args.threads, ..args.target.options() };
    let model = nnc::load_with(&args.checkpoint, &options)?;
    let format = args.table.format_for(model.encoding())?;
    let reading = Reading { encoding: model.encoding(), format, left_out: args.drop.clone() };
    let takes_arrays = results::takes_arrays(&model);
    if takes_arrays || args.out.as_deref().is_some_and(|out| has_ending(out, "npz")) {
        if let Some(out) = args.out.as_deref().filter(|out| !has_ending(out, "npz")) {
            let problem = format!("{} takes several arrays, and may have several results", model.name());
            return Err(Error::invalid(out.display().to_string(), problem, "end it in .npz"));
        }
        return results::run(&model, &args.input, &reading, args.out.as_deref(), output);
    }
    let (rows, files) = results::read_rows(&model, &args.input, &reading, output)?;
    let predictions = model.predict_rows(&rows)?;
    if let Some(out) = &args.out {
        write(&predictions, &files, out)?;
        if streams::is_stream(out) {
            return Ok(Status::Done);
        }
    }
    let as_json = || json!({ "model": super::model_json(&model), "rows": rows.len(), "predictions": json(&predictions, &files) });
    let as_text = || match &args.out {
        Some(out) => format!("{} predictions written to {}", rows.len(), shown_path(out)),
        None => text(&predictions, &files),
    };
    output.result(as_json, as_text)?;
    Ok(Status::Done)
}

/// What is predicted of each row, with the file that it is in, where rows are pictures in files.
fn json(predictions: &Predictions, files: &[String]) -> Value {
    let mut all: Vec<Value> = if predictions.is_classes() {
        predictions.classes().map(|(name, p)| json!({ "class": name, "probability": p })).collect()
    } else {
        values(predictions).map(|values| json!(values)).collect()
    };
    for (one, file) in all.iter_mut().zip(files) {
        match one {
            Value::Object(fields) => drop(fields.insert("file".into(), json!(file))),
            values => *values = json!({ "file": file, "values": values }),
        }
    }
    Value::Array(all)
}

fn text(predictions: &Predictions, files: &[String]) -> String {
    let name = |row: usize| files.get(row).cloned().unwrap_or_else(|| format!("row {row}"));
    let lines: Vec<String> = if predictions.is_classes() {
        let line = |(row, (class, p)): (usize, (&str, f64))| {
            format!("{}: {} ({:.1} %)", printable(&name(row)), printable(class), 100.0 * p)
        };
        predictions.classes().enumerate().map(line).collect()
    } else {
        let line = |(row, values): (usize, &[f32])| format!("{}: {}", name(row), joined(values, ", "));
        values(predictions).enumerate().map(line).collect()
    };
    let more = lines.len().saturating_sub(SHOWN_ROWS);
    let mut shown = lines[..lines.len() - more].join("\n");
    if more > 0 {
        shown += &format!("\n.. and {more} more; give --out for all");
    }
    shown
}

fn write(predictions: &Predictions, files: &[String], path: &Path) -> Result<(), Error> {
    if has_ending(path, "npy") {
        let shape = [predictions.len(), predictions.names().len()];
        let tensor = Tensor::new(shape, predictions.values().to_vec());
        return npy::write(path, &tensor.expect("there are as many outputs of each row"));
    }
    streams::write(path, csv(predictions, files).as_bytes())
}

/// Of classes, a line with class and probability per row; of values, a column for each. Where rows are pictures in files, these
/// come first.
fn csv(predictions: &Predictions, files: &[String]) -> String {
    let mut lines: Vec<String> = if predictions.is_classes() {
        let line = |(name, p): (&str, f64)| format!("{},{p}", quoted(name));
        ["class,probability".to_owned()].into_iter().chain(predictions.classes().map(line)).collect()
    } else {
        let names: Vec<String> = predictions.names().iter().map(|name| quoted(name)).collect();
        let lines = values(predictions).map(|values| joined(values, ","));
        [names.join(",")].into_iter().chain(lines).collect()
    };
    if !files.is_empty() {
        let first = ["file".to_owned()].into_iter().chain(files.iter().map(|file| quoted(file)));
        lines.iter_mut().zip(first).for_each(|(line, first)| *line = format!("{first},{line}"));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// The values of each row.
fn values(predictions: &Predictions) -> impl Iterator<Item = &[f32]> {
    (0..predictions.len()).map(|row| predictions.row(row))
}

/// A field of a CSV file (RFC 4180).
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|given| given.eq_ignore_ascii_case(ending))
}

/// `1.5, 2`
fn joined(values: &[f32], separator: &str) -> String {
    values.iter().map(f32::to_string).collect::<Vec<String>>().join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_where_they_must_be() {
        let names = ["plain".to_owned(), "a, \"b\"".to_owned()];
        let predictions = Predictions::new(vec![0.5, 2.0], names.to_vec(), false);
        assert_eq!(csv(&predictions, &[]), "plain,\"a, \"\"b\"\"\"\n0.5,2\n");
        assert_eq!(text(&predictions, &[]), "row 0: 0.5, 2");
        let predictions = Predictions::new(vec![0.5, 2.0], names.to_vec(), true);
        assert_eq!(
            csv(&predictions, &[]).lines().nth(1).unwrap().split_once("\",0.81").map(|(name, _)| name),
            Some("\"a, \"\"b\"\"")
        );
    }
}
