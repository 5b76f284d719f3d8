//! Files of the text form: parsed, verified, and with errors that show the line at fault.

use std::path::Path;

use ir::text::{Module, ParseError, parse_file};
use ir::verify::{verify_graph, verify_kernel, verify_plan};
use passes::Program;

use crate::{Error, files, memory};

/// What a byte of a text takes once it is a graph that has been verified: short lines are nodes with names and types.
const BYTES_PER_BYTE: usize = 40;

/// Reads and checks a `.nnir` file.
pub fn read(path: &Path) -> Result<Module, Error> {
    parse(&files::read_text(path)?, &path.display().to_string())
}

/// Reads a `.nnir` file that holds a program: a graph or a plan.
///
/// # Errors
/// Where it cannot be read, does not hold what its stage promises, or holds a kernel.
pub fn read_program(path: &Path) -> Result<Program, Error> {
    parse_program(&files::read_text(path)?, &path.display().to_string())
}

/// Parses and verifies the text of a file that holds a program, as [`read_program`]; `file_name` is what errors call it.
///
/// # Errors
/// As [`read_program`].
pub fn parse_program(source: &str, file_name: &str) -> Result<Program, Error> {
    match parse(source, file_name)? {
        Module::Graph(graph) => Ok(Program::Graph(graph)),
        Module::Plan(plan) => Ok(Program::Plan(plan)),
        Module::Kernel(_) => {
            let help = "give a graph or a plan: the plan says on what memory a kernel is called";
            Err(Error::invalid(file_name, "the file holds a kernel, which is no program", help))
        }
    }
}

/// Parses and verifies the text of a file; `file_name` is what errors call it.
///
/// ```
/// let error = nnc::modules::parse("graph @g { %y = add %x, %x }", "g.nnir").unwrap_err().to_string();
/// assert!(error.contains("g.nnir:1:21"), "{error}");
/// ```
pub fn parse(source: &str, file_name: &str) -> Result<Module, Error> {
    memory::check(file_name, source.len().saturating_mul(BYTES_PER_BYTE))?;
    let module = parse_file(source).map_err(|error| Error::Text(error.render(source, file_name)))?;
    let verified = match &module {
        Module::Graph(graph) => verify_graph(graph, graph.stage),
        Module::Kernel(kernel) => verify_kernel(kernel),
        Module::Plan(plan) => verify_plan(plan, plan.stage()),
    };
    verified.map_err(|error| Error::Text(render_at_subject(source, file_name, &error)))?;
    Ok(module)
}

/// The line and the column of the mistake for which a text does not parse, both from 1.
pub fn place_of_error(source: &str) -> Option<(usize, usize)> {
    parse_file(source).err().map(|error| (error.line, error.column))
}

/// An error of the verifier with the line that first names the value at fault.
fn render_at_subject(source: &str, file_name: &str, error: &ir::Error) -> String {
    let subject = error.subject.trim_matches('`');
    let start = if subject.is_empty() { None } else { source.find(subject) };
    let span = start.map_or(0..0, |start| start..start + subject.len());
    let message = format!("{}: {}", error.subject, error.problem);
    ParseError::new(source, span, message, error.help.clone()).render(source, file_name)
}
