//! What the unit tests of ops share: mistakes, written as text or as attributes.

use crate::text::parse_graph;
use crate::{Attr, AttrReader, Op, Type};

/// The message for a graph of these nodes, the last of which is `%y` and wrong.
///
/// # Panics
/// Where nothing is wrong.
pub fn mistake(nodes: &str) -> String {
    let error = parse_graph(&format!("graph @g {{\n{nodes}\noutput y = %y\n}}"));
    let error = error.expect_err("the graph is wrong");
    format!("{}; {}", error.message, error.help)
}

/// The message for attributes of an op that the parser of texts would not let through.
///
/// # Panics
/// Where nothing is wrong.
pub fn mistake_in_attrs(op: &str, attrs: &[(&str, Attr)], declared: Type) -> String {
    let attrs = attrs.iter().map(|(name, attr)| ((*name).to_owned(), attr.clone())).collect();
    let error = Op::from_attrs(op, AttrReader::new(op, attrs, &[declared]));
    error.expect_err("the attributes are wrong").to_string()
}
