//! The command line: one file per subcommand, and what several share. What they do is in the library; here arguments
//! become calls, and results become text or JSON.
//!
//! `-` in the place of a file is stdin where it is read, stdout where it is written.
//!
//! Exit codes: 0 done, 1 a check that was asked for failed, 2 bad use or bad input, 130 interrupted (Ctrl-C; 143 by SIGTERM). With `--json`, one JSON object goes
//! to stdout; everything else goes to stderr.

mod bench;
mod check;
mod data;
mod dump;
mod encode;
mod eval;
mod fuzz;
mod generate;
mod interrupt;
mod list;
mod output;
mod predict;
mod program;
mod results;
mod run;
mod sample;
mod streams;
mod table;
mod target;
mod train;
mod visualize;

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ir::names::printable;
use nnc::Error;

use output::Output;

/// A neural-network compiler for CPUs.
#[derive(Parser)]
#[command(name = "nnc", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print one JSON object on stdout; progress goes to stderr
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Train a model, report its accuracy, save its weights
    Train(Box<train::Args>),
    /// Evaluate a trained model on data
    Eval(eval::Args),
    /// Predict the classes or values of rows with a trained model
    Predict(predict::Args),
    /// Write a text with a trained model of one
    Generate(generate::Args),
    /// Draw rows from a model that makes them
    Sample(sample::Args),
    /// Write the codes of rows
    Encode(encode::Args),
    /// Draw what a layer of a trained model of images sees
    Visualize(visualize::Args),
    /// Print a model or a .nnir file at a stage of the compiler
    Dump(dump::Args),
    /// Measure a workload
    Bench(bench::Args),
    /// Parse and verify a .nnir file
    Check(check::Args),
    /// Run a .nnir file on the arrays of .npy and .npz files
    Run(run::Args),
    /// Judge the compiler by random programs, or by those in .nnir files
    Fuzz(fuzz::Args),
    /// List models, ops, passes, targets, data sets or workloads
    List(list::Args),
}

/// How a command ended, short of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It did what it was asked to.
    Done,
    /// A check that was asked for has failed, and it has said so.
    Failed,
    /// It has reported bad input itself.
    BadInput,
}

/// Runs the command that the arguments of the process ask for.
pub fn main() -> ExitCode {
    interrupt::handle();
    let cli = Cli::parse();
    let output = Output::new(cli.json);
    let result = match &cli.command {
        Command::Train(args) => train::run(args, &output),
        Command::Eval(args) => eval::run(args, &output),
        Command::Predict(args) => predict::run(args, &output),
        Command::Generate(args) => generate::run(args, &output),
        Command::Sample(args) => sample::run(args, &output),
        Command::Encode(args) => encode::run(args, &output),
        Command::Visualize(args) => visualize::run(args, &output),
        Command::Dump(args) => dump::run(args, &output),
        Command::Bench(args) => bench::run(args, &output),
        Command::Check(args) => check::run(args, &output),
        Command::Run(args) => run::run(args, &output),
        Command::Fuzz(args) => fuzz::run(args, &output),
        Command::List(args) => list::run(args, &output),
    };
    match result {
        Ok(Status::Done) => interrupt::exit_code().unwrap_or(ExitCode::SUCCESS),
        Ok(Status::Failed) => ExitCode::FAILURE,
        Ok(Status::BadInput) => ExitCode::from(2),
        // Who reads the output has seen enough: `nnc dump mlp | head`.
        Err(error) if output::is_broken_pipe(&error) => interrupt::exit_code().unwrap_or(ExitCode::SUCCESS),
        Err(error) => {
            output.report(&error_text(&error));
            ExitCode::from(2)
        }
    }
}

/// An error as it is shown: a text that was rendered with its line stands for itself.
fn error_text(error: &Error) -> String {
    match error {
        Error::Text(rendered) => rendered.clone(),
        other => format!("error: {other}"),
    }
}

/// A path as texts show it, on one line.
fn shown_path(path: &Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
}

/// What a trained model is, for JSON.
fn model_json(model: &nnc::Model) -> serde_json::Value {
    serde_json::json!({
        "model": model.name(),
        "parameters": model.parameter_count(),
        "trained_on": model.description().data,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn arguments_of_a_command_have_names_of_their_own() {
        Cli::command().debug_assert();
    }
}
