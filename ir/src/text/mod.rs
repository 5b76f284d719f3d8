//! The text form of graphs, kernels and plans: deterministic to print, and parsed back to the same thing.
//!
//! In: a [`Graph`], [`Kernel`] or [`Plan`] (printed by its `Display`), or a text. Out: the other. The grammar is in
//! docs/IR.md. Nothing here knows the list of ops: attributes come from [`crate::Op::attrs`] and go to
//! [`crate::Op::from_attrs`], and types are inferred again when a graph is parsed.
//!
//! ```
//! let source = "graph @double { %x = input : f32[2, 3]  %y = add %x, %x  output y = %y }";
//! let graph = ir::text::parse_graph(source).unwrap();
//! assert_eq!(ir::text::parse_graph(&graph.to_string()).unwrap(), graph);
//! ```

mod error;
mod number;
mod parse;
mod print;
#[cfg(test)]
mod tests;

pub use error::ParseError;

use crate::{Graph, Kernel, Plan};
use parse::cursor::{Cursor, Parsed};

/// The greatest number of elements of a tensor in a text; extents of 0 count as 1. Products of two numbers up to
/// this one are far from overflow.
pub const MAX_ELEMENTS: usize = 1 << 31;
/// The greatest number of axes of a tensor in a text.
pub const MAX_RANK: usize = 32;
/// How deep bodies of graphs and blocks of kernels can be nested in a text.
pub const MAX_DEPTH: usize = 32;
/// How many elements the constants of a text that are written as one number can have in total.
pub const MAX_SPLAT_ELEMENTS: usize = 1 << 26;

/// The name of a body whose text states none.
pub(crate) const BODY_NAME: &str = "body";
/// Words that cannot name an axis, because they have a meaning where an axis is expected.
const RESERVED_AXIS_NAMES: [&str; 2] = ["seq", "in"];

/// What one file holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Module {
    /// The file starts with `graph`.
    Graph(Graph),
    /// The file starts with `kernel`.
    Kernel(Kernel),
    /// The file starts with `plan`.
    Plan(Plan),
}

/// Parses a file, which holds one graph, kernel or plan.
pub fn parse_file(source: &str) -> Result<Module, ParseError> {
    parse_whole(source, |cursor| match cursor.peek().text {
        "graph" => parse::graph::parse_graph(cursor).map(Module::Graph),
        "kernel" => parse::kernel::parse_kernel(cursor).map(|(kernel, _)| Module::Kernel(kernel)),
        "plan" => parse::plan::parse_plan(cursor).map(Module::Plan),
        _ => Err(cursor.unexpected("`graph`, `kernel` or `plan`", "a file starts with one of these words")),
    })
}

/// Parses the text of a graph.
pub fn parse_graph(source: &str) -> Result<Graph, ParseError> {
    parse_whole(source, parse::graph::parse_graph)
}

/// Parses the text of a kernel.
///
/// ```
/// let source = "kernel @copy(%x: f32[3]) -> (%y: f32[3]) { for i in 3 { %v = load %x[i]  store %v, %y[i] } }";
/// let kernel = ir::text::parse_kernel(source).unwrap();
/// assert!(ir::verify::verify_kernel(&kernel).is_ok());
/// ```
pub fn parse_kernel(source: &str) -> Result<Kernel, ParseError> {
    parse_whole(source, |cursor| parse::kernel::parse_kernel(cursor).map(|(kernel, _)| kernel))
}

/// Parses the text of a plan.
pub fn parse_plan(source: &str) -> Result<Plan, ParseError> {
    parse_whole(source, parse::plan::parse_plan)
}

/// Parses all of `source` by one rule.
fn parse_whole<'s, T>(source: &'s str, rule: impl Fn(&mut Cursor<'s>) -> Parsed<T>) -> Parsed<T> {
    let mut cursor = Cursor::new(source, MAX_SPLAT_ELEMENTS)?;
    let parsed = rule(&mut cursor)?;
    match cursor.peek().kind {
        parse::lexer::TokenKind::End => Ok(parsed),
        _ => Err(cursor.unexpected("the end of the file", "a file holds one graph, kernel or plan")),
    }
}
