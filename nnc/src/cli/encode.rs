//! `nnc encode CHECKPOINT --input FILE`

use std::path::PathBuf;

use ir::Tensor;
use nn::models::latent::CODE;
use nnc::{Error, Options};
use serde_json::json;

use super::output::Output;
use super::results::{npy_bytes, read_rows};
use super::target::TargetArg;
use super::{Status, streams};

/// Arguments of `nnc encode`.
#[derive(clap::Args)]
pub struct Args {
    /// A model that learns codes, or a checkpoint of one: autoencoder, vae, ..
    checkpoint: PathBuf,
    /// The rows, as for `nnc predict`; - is stdin
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
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
    let rows = read_rows(&args.input)?;
    let results = model.results(&rows)?;
    let codes: Option<&Tensor> = results.iter().find(|(name, _)| name == CODE).map(|(_, codes)| codes);
    let codes = codes.ok_or_else(|| {
        let help = "give a model that has some: autoencoder, vae, vib, ..";
        Error::invalid(model.name(), "it has no codes", help)
    })?;
    streams::write(&args.out, &npy_bytes(codes)?)?;
    let json = || json!({ "model": super::model_json(&model), "rows": rows.len(), "file": args.out });
    output.result(json, || format!("codes {} written to {}", codes.ty(), args.out.display()))?;
    Ok(Status::Done)
}
