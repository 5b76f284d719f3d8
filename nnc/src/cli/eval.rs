//! `nnc eval CHECKPOINT`

use std::io::Write;
use std::path::PathBuf;

use nnc::data::sequences::Vocabulary;
use nnc::data::{Loaded, Source};
use nnc::trainer::ConfusionMatrix;
use nnc::{Error, Model, Options, files, report};
use serde_json::json;

use super::Status;
use super::output::Output;
use super::target::TargetArg;
use super::train::outcome::evaluation_lines;

/// Arguments of `nnc eval`.
#[derive(clap::Args)]
pub struct Args {
    /// A model or a checkpoint that `nnc train` has written
    checkpoint: PathBuf,
    /// What to evaluate it on, as for `nnc train`
    #[arg(long, value_name = "SOURCE", default_value = "digits")]
    data: String,
    /// Which of its rows
    #[arg(long, value_enum, default_value_t = Part::Test)]
    part: Part,
    /// Where to draw the confusion matrix of classes
    #[arg(long, value_name = "FILE.svg")]
    confusion: Option<PathBuf>,
    /// The number of threads
    #[arg(long, default_value_t = 1)]
    threads: usize,
    #[command(flatten)]
    target: TargetArg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Those for training
    Train,
    /// Those for testing
    Test,
}

/// Evaluates a model and reports the metrics that suit its targets.
pub fn run(args: &Args, output: &Output) -> Result<Status, Error> {
    let options = Options { threads: args.threads, ..args.target.options() };
    let model = nnc::load_with(&args.checkpoint, &options)?;
    let source: Source = args.data.parse()?;
    let data = load(&source, &model, args.part)?;
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
        let lines = evaluation_lines(&evaluation, &format!("{} of {}", args.part.name(), data.name()));
        table.into_iter().chain(lines).collect::<Vec<String>>().join("\n")
    };
    output.result(json, text)?;
    Ok(Status::Done)
}

/// The data in the form in which the model was trained on such.
pub fn load(source: &Source, model: &Model, part: Part) -> Result<Loaded, Error> {
    let there = &model.description().data;
    let steps = there.row_shape.first().copied().unwrap_or(0);
    if there.tokens.is_some_and(|tokens| tokens.is_text) {
        let text = source.text()?.with_vocabulary(Vocabulary::of_names(model.name(), &there.outputs)?)?;
        return Ok(Loaded::Sequences(text.windows(steps, part == Part::Test)?));
    }
    let (train, test) = source.clone().like_rows(&there.row_shape).load_for(1, steps.max(1))?;
    Ok(if part == Part::Train { train } else { test })
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Part::Train => "training rows",
            Part::Test => "test rows",
        }
    }
}
