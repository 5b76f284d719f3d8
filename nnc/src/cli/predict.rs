//! `nnc predict CHECKPOINT --input FILE`

use std::path::{Path, PathBuf};

use ir::Tensor;
use nnc::trainer::metrics::{predicted_classes, probabilities};
use nnc::{Error, Options, data, npy};
use serde_json::{Value, json};

use super::output::Output;
use super::target::TargetArg;
use super::trained::Trained;
use super::{Status, streams};

/// Without `--out`, so many rows are shown.
const SHOWN_ROWS: usize = 20;

/// Arguments of `nnc predict`.
#[derive(clap::Args)]
pub struct Args {
    /// A model or a checkpoint that `nnc train` has written
    checkpoint: PathBuf,
    /// The rows: an array [rows, ..] in a .npy or .npz file (there called x, or the only one), or a .csv file of numbers,
    /// a line of names above them or not; - is stdin, with any of these
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Where to write all predictions: .csv, or .npy for what the model returns (of classes, logits); - is stdout, as .csv
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
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
        && !streams::is_stream(out)
    {
        return Err(Error::invalid(
            out.display().to_string(),
            "what to write is not known",
            "end it in .csv or .npy",
        ));
    }
    if let Some(out) = &args.out {
        streams::check_alone(out, "--out", output)?;
    }
    let options = Options { threads: args.threads, ..args.target.options() };
    let mut trained = Trained::read(&args.checkpoint, &options)?;
    let rows = if streams::is_stream(&args.input) {
        data::rows::decode(&streams::read(&args.input)?, "stdin")?
    } else {
        data::rows::read(&args.input)?
    };
    let outputs = trained.predict(&rows)?;
    let predictions =
        Predictions { outputs: &outputs, names: &trained.data.outputs, is_classes: trained.data.is_classes };
    if let Some(out) = &args.out {
        predictions.write(out)?;
        if streams::is_stream(out) {
            return Ok(Status::Done);
        }
    }
    let json = || json!({ "model": trained.json(), "rows": rows.len(), "predictions": predictions.json() });
    let text = || match &args.out {
        Some(out) => format!("{} predictions written to {}", rows.len(), out.display()),
        None => predictions.text(),
    };
    output.result(json, text)?;
    Ok(Status::Done)
}

/// What a model returned of some rows.
struct Predictions<'a> {
    outputs: &'a [f32],
    names: &'a [String],
    is_classes: bool,
}

impl Predictions<'_> {
    /// Of each row its class and the probability of that.
    fn classes(&self) -> impl Iterator<Item = (&str, f64)> {
        let classes = self.names.len();
        let probabilities = probabilities(self.outputs, classes);
        let predicted = predicted_classes(self.outputs, classes).into_iter().enumerate();
        predicted.map(move |(row, class)| (self.names[class].as_str(), probabilities[row * classes + class]))
    }

    fn values(&self) -> impl Iterator<Item = &[f32]> {
        self.outputs.chunks_exact(self.names.len().max(1))
    }

    fn json(&self) -> Value {
        if self.is_classes {
            return self.classes().map(|(name, p)| json!({ "class": name, "probability": p })).collect();
        }
        self.values().map(|values| json!(values)).collect()
    }

    fn text(&self) -> String {
        let lines: Vec<String> = if self.is_classes {
            let line =
                |(row, (name, p)): (usize, (&str, f64))| format!("row {row}: {name} ({:.1} %)", 100.0 * p);
            self.classes().enumerate().map(line).collect()
        } else {
            let line = |(row, values): (usize, &[f32])| format!("row {row}: {}", joined(values, ", "));
            self.values().enumerate().map(line).collect()
        };
        let more = lines.len().saturating_sub(SHOWN_ROWS);
        let mut shown = lines[..lines.len() - more].join("\n");
        if more > 0 {
            shown += &format!("\n.. and {more} more; give --out for all");
        }
        shown
    }

    fn write(&self, path: &Path) -> Result<(), Error> {
        if has_ending(path, "npy") {
            let rows = self.outputs.len() / self.names.len().max(1);
            let tensor = Tensor::new([rows, self.names.len()], self.outputs.to_vec());
            return npy::write(path, &tensor.expect("there are as many outputs of each row"));
        }
        streams::write(path, self.csv().as_bytes())
    }

    /// Of classes, a line with class and probability per row; of values, a column for each.
    fn csv(&self) -> String {
        let mut text;
        if self.is_classes {
            text = String::from("class,probability\n");
            self.classes().for_each(|(name, p)| text += &format!("{},{p}\n", quoted(name)));
        } else {
            let names: Vec<String> = self.names.iter().map(|name| quoted(name)).collect();
            text = names.join(",") + "\n";
            self.values().for_each(|values| text += &(joined(values, ",") + "\n"));
        }
        text
    }
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
        let predictions = Predictions { outputs: &[0.5, 2.0], names: &names, is_classes: false };
        assert_eq!(predictions.csv(), "plain,\"a, \"\"b\"\"\"\n0.5,2\n");
        assert_eq!(predictions.text(), "row 0: 0.5, 2");
        let predictions = Predictions { is_classes: true, ..predictions };
        assert_eq!(
            predictions.csv().lines().nth(1).unwrap().split_once("\",0.81").map(|(name, _)| name),
            Some("\"a, \"\"b\"\"")
        );
    }
}
