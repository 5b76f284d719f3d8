//! What the examples share: where they write, and how they end.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use nnc::Error;

/// Arguments of an example.
#[derive(Parser)]
struct Arguments {
    /// The folder to write to [default: runs/examples/NAME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs the example of this name with the folder that it writes to.
pub fn run(name: &str, example: fn(&Path) -> Result<(), Error>) -> ExitCode {
    let out = Arguments::parse().out.unwrap_or_else(|| Path::new("runs/examples").join(name));
    match example(&out) {
        Ok(()) => {
            println!("written to {}", out.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
