//! `nnc encode CHECKPOINT --input FILE`

use std::path::{Path, PathBuf};

use nn::supervised::TARGETS;
use nnc::data::rows::{self, Reading};
use nnc::data::{Dataset, Loaded, Targets};
use nnc::generative::encode;
use nnc::{Error, Model, Options};
use serde_json::json;

use super::data::DataArgs;
use super::output::Output;
use super::results::{npy_bytes, read_rows};
use super::target::TargetArg;
use super::{Status, shown_path, streams};

/// Arguments of `nnc encode`.
#[derive(clap::Args)]
pub struct Args {
    /// A model that learns codes, or a checkpoint of one: autoencoder, vae, ..
    checkpoint: PathBuf,
    /// The rows, as for `nnc predict`; for a model that knows the labels of rows, an archive (.npz) that has these as y, or --label;
    /// - is stdin
    #[arg(long, value_name = "FILE", required_unless_present = "data", conflicts_with = "data")]
    input: Option<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
    /// The class of all rows, counted from 0, for a model that knows it [default: that of each row]
    #[arg(long, value_name = "K")]
    label: Option<usize>,
    /// Where to write the codes, an array [rows, code]
    #[arg(long, value_name = "FILE.npy", default_value = "codes.npy")]
    out: PathBuf,
    /// The number of threads
    #[arg(long, default_value_t = 1)]
    threads: usize,
    #[command(flatten)]
    target: TargetArg,
}

/// Writes the codes of rows.
pub fn run(args: &Args, output: &Output) -> Result<Status, Error> {
    let options = Options { threads: args.threads, ..args.target.options() };
    let model = nnc::load_with(&args.checkpoint, &options)?;
    let rows = match &args.input {
        Some(input) => rows_of(&model, input, args, output)?,
        None => loaded(&model, args, output)?,
    };
    let codes = encode(&model, &rows, args.label)?;
    streams::write(&args.out, &npy_bytes(&codes)?)?;
    let json = || json!({ "model": super::model_json(&model), "rows": rows.len(), "file": args.out });
    output.result(json, || format!("codes {} written to {}", codes.ty(), shown_path(&args.out)))?;
    Ok(Status::Done)
}

/// The rows of a data set.
fn loaded(model: &Model, args: &Args, output: &Output) -> Result<Dataset, Error> {
    match args.data.load(model, output)?.0 {
        Loaded::Rows(rows) => Ok(rows),
        others => {
            let problem = "it has a target at each step, and codes are of rows";
            Err(Error::invalid(others.name(), problem, "give data with a target per row"))
        }
    }
}

/// The rows of a file, with their labels where the model wants those and none is given for all.
fn rows_of(model: &Model, input: &Path, args: &Args, output: &Output) -> Result<Dataset, Error> {
    let format = args.data.table.format_for(model.encoding())?;
    let reading = Reading { encoding: model.encoding(), format, ..Reading::default() };
    if args.label.is_some() || !model.inputs().any(|(name, _)| name == TARGETS) {
        return Ok(read_rows(model, input, &reading, output)?.0);
    }
    let (bytes, name) = (streams::read(input)?, streams::name(input));
    let names = model.class_names().unwrap_or_default().to_vec();
    let Some(labels) = rows::labels(&bytes, &name, &names)? else {
        let problem = format!("it holds no labels of its rows, which {} wants to know", model.name());
        let help = "give --label K, an archive (.npz) with the labels as y, or --data SOURCE";
        return Err(Error::invalid(name, problem, help));
    };
    let rows = rows::decode(&bytes, &reading, &name)?;
    let targets = Targets::Classes { labels, names };
    let labelled = Dataset::new(&name, rows.row_shape().clone(), rows.rows().to_vec(), targets)?;
    Ok(labelled.with_pixels(rows.pixels()))
}
