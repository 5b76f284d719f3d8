//! `nnc generate CHECKPOINT`

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use ir::names::printable_lines;
use nnc::{Error, Generator, Options, Sampling};
use serde_json::json;

use super::Status;
use super::output::Output;
use super::target::TargetArg;

/// Arguments of `nnc generate`.
#[derive(clap::Args)]
pub struct Args {
    /// A model of a text or a checkpoint that `nnc train rnn --data text` has written
    checkpoint: PathBuf,
    /// What the text begins with; of characters that the model has seen
    #[arg(long, value_name = "TEXT", default_value = "The ")]
    prompt: String,
    /// The number of characters to write
    #[arg(long, value_name = "N", default_value_t = 500)]
    length: usize,
    /// Below 1, likely characters become likelier; at 0 the likeliest is written
    #[arg(long, value_name = "T", default_value_t = 0.7, allow_hyphen_values = true)]
    temperature: f64,
    /// Write none but the likeliest K characters [default: all]
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,
    /// The same seed gives the same text
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    target: TargetArg,
}

/// Writes a text, each character as soon as it is known.
pub fn run(args: &Args, output: &Output) -> Result<Status, Error> {
    let options: Options = args.target.options();
    let model = nnc::load_with(&args.checkpoint, &options)?;
    let sampling = Sampling { temperature: args.temperature, top_k: args.top_k, seed: args.seed };
    let mut generator = Generator::new(&model, sampling, &options)?;
    generator.read(&args.prompt)?;
    if output.is_json {
        let text: String = (0..args.length).map(|_| generator.write()).collect::<Result<_, Error>>()?;
        let object = json!({
            "model": super::model_json(&model),
            "prompt": args.prompt,
            "text": text,
            "seed": args.seed,
        });
        output.json(&object)?;
        return Ok(Status::Done);
    }
    let failed = |source| Error::io(Path::new("stdout"), "write", source);
    let mut stdout = io::stdout().lock();
    let is_terminal = stdout.is_terminal();
    let shown = |text: String| if is_terminal { printable_lines(&text).into_owned() } else { text };
    write!(stdout, "{}", shown(args.prompt.clone())).map_err(failed)?;
    for _ in 0..args.length {
        let character = shown(generator.write()?.to_string());
        write!(stdout, "{character}").and_then(|()| stdout.flush()).map_err(failed)?;
    }
    writeln!(stdout).map_err(failed)?;
    Ok(Status::Done)
}
