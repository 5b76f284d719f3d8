//! Printing graphs: nodes in the order of their ids, then outputs, then updates.

use std::fmt;

use super::{AttrText, Indent, List, Name, TypesText};
use crate::{Graph, Node, NodeId, Stage, Value};

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "graph @{} ", Name(&self.name))?;
        if self.stage != Stage::Source {
            write!(f, "stage {} ", self.stage)?;
        }
        f.write_str("{")?;
        GraphPrinter::new(self, 1).print(f)?;
        f.write_str("}\n")
    }
}

/// A graph, and the number of the first result of each of its nodes without a name.
struct GraphPrinter<'a> {
    graph: &'a Graph,
    numbers: Vec<u32>,
    depth: usize,
}

impl<'a> GraphPrinter<'a> {
    fn new(graph: &'a Graph, depth: usize) -> GraphPrinter<'a> {
        let mut next = 0;
        let number = |(_, node): (NodeId, &Node)| {
            let first = next;
            next += if node.name.is_none() { node.results.len() as u32 } else { 0 };
            first
        };
        GraphPrinter { graph, numbers: graph.nodes().map(number).collect(), depth }
    }

    /// The statements, from the line end after the opening brace to the last line end.
    fn print(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let indent = Indent(self.depth);
        f.write_str("\n")?;
        for (id, node) in self.graph.nodes() {
            write!(f, "{indent}")?;
            self.print_node(f, id, node)?;
        }
        for output in &self.graph.outputs {
            writeln!(f, "{indent}output {} = {}", Name(&output.name), self.value(output.value))?;
        }
        for update in &self.graph.updates {
            let state = Value::new(update.state, 0);
            writeln!(f, "{indent}update {} = {}", self.value(state), self.value(update.value))?;
        }
        Ok(())
    }

    fn print_node(&self, f: &mut fmt::Formatter<'_>, id: NodeId, node: &Node) -> fmt::Result {
        if !node.results.is_empty() {
            write!(
                f,
                "{} = ",
                List((0..node.results.len() as u32).map(|result| self.value(Value::new(id, result))))
            )?;
        }
        f.write_str(node.op.name())?;
        if !node.operands.is_empty() {
            write!(f, " {}", List(node.operands.iter().map(|&operand| self.value(operand))))?;
        }
        for (name, attr) in node.op.attrs() {
            write!(f, " {name}={}", AttrText(&attr))?;
        }
        write!(f, "{}", TypesText(&node.results))?;
        if let Some(body) = &node.body {
            f.write_str(" ")?;
            if body.name != crate::text::BODY_NAME {
                write!(f, "@{} ", Name(&body.name))?;
            }
            f.write_str("{")?;
            GraphPrinter::new(body, self.depth + 1).print(f)?;
            write!(f, "{}}}", Indent(self.depth))?;
        }
        f.write_str("\n")
    }

    fn value(&self, value: Value) -> ValueText<'a> {
        let node = self.graph.node(value.node);
        match &node.name {
            None => ValueText::Number(self.numbers[value.node.0 as usize] + value.result),
            Some(name) if node.results.len() == 1 => ValueText::Name(name),
            Some(name) => ValueText::Part(name, value.result),
        }
    }
}

/// How a value is referred to.
enum ValueText<'a> {
    /// A result of a node without a name.
    Number(u32),
    /// The one result of a named node.
    Name(&'a str),
    /// One of several results of a named node.
    Part(&'a str, u32),
}

impl fmt::Display for ValueText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValueText::Number(number) => write!(f, "%{number}"),
            ValueText::Name(name) => write!(f, "%{}", Name(name)),
            ValueText::Part(name, part) => write!(f, "%{}:{part}", Name(name)),
        }
    }
}
