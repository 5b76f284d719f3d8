//! `nnc sample CHECKPOINT`

use std::path::PathBuf;

use ir::{Shape, Tensor};
use nnc::generative::{CHAIN_STEPS, Chains, Sampling, draw, sample};
use nnc::report::pictures::{grid, image_shape};
use nnc::{Error, Model, Options};
use serde_json::json;

use super::output::Output;
use super::results::npy_bytes;
use super::target::TargetArg;
use super::{Status, shown_path, streams};

/// Arguments of `nnc sample`.
#[derive(clap::Args)]
pub struct Args {
    /// A model that makes rows, or a checkpoint of one: vae, cvae, rbm, dbn, wgan-gp, cgan, ..
    checkpoint: PathBuf,
    /// The number of rows
    #[arg(long, value_name = "N", default_value_t = 100)]
    count: usize,
    /// The same seed gives the same rows
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// The class of the rows, counted from 0 [default: each in turn]
    #[arg(long, value_name = "K")]
    label: Option<usize>,
    /// The greatest magnitude of a value of a code, beyond which it is drawn again: rows more like the data, and less like each other
    #[arg(long, value_name = "BOUND")]
    truncation: Option<f64>,
    /// The steps of the chain of each row, of models that draw by chains [default: 1000]
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Where to write them: .png, where they are images, or .npy
    #[arg(long, value_name = "FILE", default_value = "samples.png")]
    out: PathBuf,
    /// The number of threads
    #[arg(long, default_value_t = 1)]
    threads: usize,
    #[command(flatten)]
    target: TargetArg,
}

/// Draws rows from a model.
pub fn run(args: &Args, output: &Output) -> Result<Status, Error> {
    let options = Options { threads: args.threads, ..args.target.options() };
    let model = nnc::load_with(&args.checkpoint, &options)?;
    let rows = rows(&model, args, &options)?;
    let bytes = match args.out.extension().and_then(|ending| ending.to_str()) {
        Some("npy") => npy_bytes(&rows)?,
        Some("png") => {
            let row = Shape::from(&model.description().data.row_shape[..]);
            let image = image_shape(&row).ok_or_else(|| {
                let problem = format!("rows are of {row}, which are no images");
                Error::invalid("--out", problem, "end it in .npy")
            })?;
            grid(&rows, image)?
        }
        _ => {
            let problem = "what to write is not known";
            return Err(Error::invalid(args.out.display().to_string(), problem, "end it in .png or .npy"));
        }
    };
    streams::write(&args.out, &bytes)?;
    let json = || json!({ "model": super::model_json(&model), "rows": args.count, "seed": args.seed, "file": args.out });
    output.result(json, || format!("{} rows written to {}", args.count, shown_path(&args.out)))?;
    Ok(Status::Done)
}

/// The rows that are asked for.
fn rows(model: &Model, args: &Args, options: &Options) -> Result<Tensor, Error> {
    let wrong = |option: &str, problem: &str| {
        Err(Error::invalid(option, format!("{} {problem}", model.name()), "leave it out"))
    };
    let draws = Chains::of(model.name(), model.description(), options)?.is_some();
    match (draws, args.label, args.steps) {
        (true, Some(_), _) => wrong("--label", "knows no labels of the rows that it draws"),
        (true, None, _) if args.truncation.is_some() => wrong("--truncation", "makes no rows of codes"),
        (true, None, steps) => draw(model, args.count, steps.unwrap_or(CHAIN_STEPS), args.seed, options),
        (false, _, Some(_)) => wrong("--steps", "draws no rows by chains"),
        (false, label, None) => {
            let sampling = Sampling { seed: args.seed, label, truncation: args.truncation };
            sample(model, args.count, &sampling, options)
        }
    }
}
