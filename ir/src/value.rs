//! Nodes and their results by position, and which graph a value belongs to.
//!
//! Each graph has an identity, and a [`Builder`](crate::Builder) marks the values that it hands out with that of its graph,
//! so that a value of another graph is an error where it is used. What a graph stores (operands, outputs, updates) is a
//! position in that very graph and bears no mark.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// A node of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// One result of a node. Values compare by their position, whichever graph they belong to.
#[derive(Clone, Copy)]
pub struct Value {
    /// The node that computes it.
    pub node: NodeId,
    /// Which of its results it is.
    pub result: u32,
    /// The graph whose builder handed it out.
    graph: GraphId,
}

impl Value {
    /// Result `result` of `node`, of whichever graph has such a node.
    ///
    /// ```
    /// use ir::{Builder, DType, Value};
    /// let mut b = Builder::new("negated");
    /// b.input("x", DType::F32, [3])?;
    /// let x = Value::new(b.graph().find("x").expect("it was made above"), 0);
    /// assert_eq!(b.ty(x).to_string(), "f32[3]");
    /// # Ok::<(), ir::Error>(())
    /// ```
    pub fn new(node: NodeId, result: u32) -> Value {
        Value { node, result, graph: GraphId::ANY }
    }

    /// The same position, of this graph.
    pub(crate) fn of(self, graph: GraphId) -> Value {
        Value { graph, ..self }
    }

    /// The graph whose builder handed it out.
    pub(crate) fn graph(self) -> GraphId {
        self.graph
    }

    fn position(self) -> (NodeId, u32) {
        (self.node, self.result)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "result {} of node {}", self.result, self.node.0)
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        self.position() == other.position()
    }
}

impl Eq for Value {}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Value) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Value) -> Ordering {
        self.position().cmp(&other.position())
    }
}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.position().hash(state);
    }
}

/// The identity of a graph, which its clones share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GraphId(u32);

/// The names of the graphs that builders began last: a value has no room for a name, and only errors want it.
static NAMES: Mutex<VecDeque<(GraphId, Box<str>)>> = Mutex::new(VecDeque::new());
/// How many names are kept.
const MOST_NAMES: usize = 1024;

impl GraphId {
    /// Of values that name a position alone.
    pub const ANY: GraphId = GraphId(0);

    /// An identity that no graph has had (but for the one of 4,294,967,296 graphs ago).
    pub fn fresh() -> GraphId {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        GraphId(NEXT.fetch_add(1, Relaxed))
    }

    /// Keeps the name of this graph for errors.
    pub fn remember(self, name: &str) {
        let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() == MOST_NAMES {
            names.pop_front();
        }
        names.push_back((self, name.into()));
    }

    /// How an error calls this graph: by its name, where it is still known.
    pub fn describe(self) -> String {
        let names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        match names.iter().rev().find(|(id, _)| *id == self) {
            Some((_, name)) => format!("graph `{name}`"),
            None => "another graph".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_compared_by_position() {
        let [a, b] = [1, 2].map(|id| Value::new(NodeId(3), 0).of(GraphId(id)));
        assert_eq!((a, a.cmp(&b)), (b, Ordering::Equal));
        assert!(a < Value::new(NodeId(3), 1) && a < Value::new(NodeId(4), 0));
        assert_eq!(std::collections::HashSet::from([a, b]).len(), 1);
        assert_eq!(format!("{a:?}"), "result 0 of node 3");
    }

    #[test]
    fn a_graph_whose_name_is_forgotten_is_another_one() {
        assert_eq!(GraphId::fresh().describe(), "another graph");
        let id = GraphId::fresh();
        id.remember("student");
        assert_eq!(id.describe(), "graph `student`");
    }
}
