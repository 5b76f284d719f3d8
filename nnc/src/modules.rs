//! Files of the text form: parsed, verified, and with errors that show the line at fault.

use std::path::Path;

use ir::text::{Module, ParseError, parse_file};
use ir::verify::{verify_graph, verify_kernel, verify_plan};
use ir::{Graph, Place, Plan, Stage};

use crate::{Error, files};

/// Reads and checks a `.nnir` file.
pub fn read(path: &Path) -> Result<Module, Error> {
    parse(&files::read_text(path)?, &path.display().to_string())
}

/// Reads a `.nnir` file that holds a graph.
pub fn read_graph(path: &Path) -> Result<Graph, Error> {
    let kind = match read(path)? {
        Module::Graph(graph) => return Ok(graph),
        Module::Kernel(_) => "kernel",
        Module::Plan(_) => "plan",
    };
    let help = "give a file that starts with `graph`";
    Err(Error::invalid(path.display().to_string(), format!("the file holds a {kind}, not a graph"), help))
}

/// Parses and verifies the text of a file; `file_name` is what errors call it.
///
/// ```
/// let error = nnc::modules::parse("graph @g { %y = add %x, %x }", "g.nnir").unwrap_err().to_string();
/// assert!(error.contains("g.nnir:1:21"), "{error}");
/// ```
pub fn parse(source: &str, file_name: &str) -> Result<Module, Error> {
    let module = parse_file(source).map_err(|error| Error::Text(error.render(source, file_name)))?;
    let verified = match &module {
        Module::Graph(graph) => verify_graph(graph, Stage::Source),
        Module::Kernel(kernel) => verify_kernel(kernel),
        Module::Plan(plan) => verify_plan(plan, stage_of(plan)),
    };
    verified.map_err(|error| Error::Text(render_at_subject(source, file_name, &error)))?;
    Ok(module)
}

/// The line and the column of the mistake for which a text does not parse, both from 1.
pub fn place_of_error(source: &str) -> Option<(usize, usize)> {
    parse_file(source).err().map(|error| (error.line, error.column))
}

/// The stage of a plan, which its text does not say: before `plan_memory` there are updates, or slots without places.
pub fn stage_of(plan: &Plan) -> Stage {
    let is_unplaced = plan.slots.iter().any(|slot| slot.place == Place::Unplaced);
    if is_unplaced || !plan.updates.is_empty() { Stage::Kernels } else { Stage::Plan }
}

/// An error of the verifier with the line that first names the value at fault.
fn render_at_subject(source: &str, file_name: &str, error: &ir::Error) -> String {
    let subject = error.subject.trim_matches('`');
    let start = if subject.is_empty() { None } else { source.find(subject) };
    let span = start.map_or(0..0, |start| start..start + subject.len());
    let message = format!("{}: {}", error.subject, error.problem);
    ParseError::new(source, span, message, error.help.clone()).render(source, file_name)
}
