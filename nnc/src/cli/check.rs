//! `nnc check FILE.nnir`

use std::path::PathBuf;

use ir::names::printable;
use ir::text::Module;
use nnc::{Error, modules};
use serde_json::json;

use super::output::Output;
use super::{Status, streams};

/// Arguments of `nnc check`.
#[derive(clap::Args)]
pub struct Args {
    /// A graph, kernel or plan in the text form; - is stdin
    file: PathBuf,
}

/// Parses and verifies a file. A file that does not hold is reported with the line at fault.
pub fn run(args: &Args, output: &Output) -> Result<Status, Error> {
    let source = streams::read_text(&args.file)?;
    let name = streams::name(&args.file);
    match modules::parse(&source, &name) {
        Ok(module) => {
            let (kind, title, size) = describe(&module);
            let json = || json!({ "file": name, "ok": true, "kind": kind, "name": title });
            output.result(json, || {
                format!("{}: {kind} @{} holds ({size})", printable(&name), printable(title))
            })?;
            Ok(Status::Done)
        }
        Err(error) => {
            output.report(&super::error_text(&error));
            if output.is_json {
                let place = modules::place_of_error(&source);
                let (line, column) = place.unzip();
                let error = error.to_string();
                output.json(
                    &json!({ "file": name, "ok": false, "error": error, "line": line, "column": column }),
                )?;
            }
            Ok(Status::BadInput)
        }
    }
}

/// What a file holds: its kind, its name, and how large it is.
fn describe(module: &Module) -> (&'static str, &str, String) {
    match module {
        Module::Graph(graph) => {
            ("graph", &graph.name, format!("stage {}, {} nodes", graph.stage, graph.len()))
        }
        Module::Kernel(kernel) => {
            ("kernel", &kernel.name, format!("{} parameters", kernel.parameters().count()))
        }
        Module::Plan(plan) => {
            let (stage, kernels, steps) = (plan.stage(), plan.kernels.len(), plan.steps.len());
            ("plan", &plan.name, format!("stage {stage}, {kernels} kernels, {steps} steps"))
        }
    }
}
