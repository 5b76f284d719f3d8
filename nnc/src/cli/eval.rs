//! `nnc eval CHECKPOINT`

use std::io::Write;
use std::path::PathBuf;

use ir::names::printable;
use nnc::data::Loaded;
use nnc::trainer::ConfusionMatrix;
use nnc::{Error, Options, files, report};
use serde_json::json;

use super::Status;
use super::data::DataArgs;
use super::output::Output;
use super::target::TargetArg;
use super::train::outcome::evaluation_lines;

/// Arguments of `nnc eval`.
#[derive(clap::Args)]
pub struct Args {
    /// A model or a checkpoint that `nnc train` has written
    checkpoint: PathBuf,
    #[command(flatten)]
    data: DataArgs,
    /// Where to draw the confusion matrix of classes
    #[arg(long, value_name = "FILE.svg")]
    confusion: Option<PathBuf>,
    /// The number of threads
    #[arg(long, default_value_t = 1)]
    threads: usize,
    #[command(flatten)]
    target: TargetArg,
}

/// Evaluates a model and reports the metrics that suit its targets.
pub fn run(args: &Args, output: &Output) -> Result<Status, Error> {
    let options = Options { threads: args.threads, ..args.target.options() };
    let model = nnc::load_with(&args.checkpoint, &options)?;
    let (data, part) = args.data.load(&model, output)?;
    let (evaluation, matrix) = match &data {
        Loaded::Rows(rows) => {
            let (outputs, evaluation) = model.predict_and_evaluate(rows)?;
            let names = rows.targets().names();
            let is_small = names.len() <= ConfusionMatrix::MAX_CLASSES;
            let labels = rows.labels().filter(|_| evaluation.correct.is_some() && is_small);
            (evaluation, labels.map(|labels| ConfusionMatrix::new(&outputs, labels, names)))
        }
        others => (model.evaluate(others)?, None),
    };
    if let Some(path) = &args.confusion {
        let Some(matrix) = &matrix else {
            let help = "leave it out";
            return Err(Error::invalid(
                "--confusion",
                "there are no classes, or too many, that could be taken for one another",
                help,
            ));
        };
        let svg = report::confusion_plot(&format!("{} on {}", model.name(), data.name()), matrix);
        files::write_atomically(path, |file| file.write_all(svg.as_bytes()))?;
    }
    let json = || {
        let rows = matrix.as_ref().map(|matrix| matrix.rows().map(<[u64]>::to_vec).collect::<Vec<_>>());
        json!({
            "checkpoint": args.checkpoint.display().to_string(),
            "model": super::model_json(&model),
            "dataset": data.name(),
            "evaluation": evaluation,
            "confusion": rows,
        })
    };
    let text = || {
        let table = matrix.as_ref().filter(|matrix| matrix.is_printable()).map(ConfusionMatrix::to_string);
        let lines = evaluation_lines(&evaluation, &format!("{} of {}", part.name(), printable(data.name())));
        table.into_iter().chain(lines).collect::<Vec<String>>().join("\n")
    };
    output.result(json, text)?;
    Ok(Status::Done)
}
