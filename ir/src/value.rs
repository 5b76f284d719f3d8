//! Nodes and their results by position, and which graph a value belongs to.
//!
//! Each graph has an identity, and a [`Builder`](crate::Builder) marks the values that it hands out with that of its graph,
//! so that a value of another graph is an error where it is used. What a graph stores (operands, outputs, updates) is a
//! position in that very graph and bears no mark.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
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

/// The identity of a graph, which its clones share: which of all names it has, and which graph of this name it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GraphId(u32);

/// The bits that tell graphs of one name apart. The one that comes so many later has the same identity.
const SERIAL_BITS: u32 = 20;
/// The greatest number of names; graphs of others are told apart, and errors cannot name them.
const MOST_NAMES: usize = (1 << (u32::BITS - SERIAL_BITS)) - 1;

/// The names that graphs of this process have had: a value has no room for one, and only errors want it.
struct Names {
    /// Of each name its number, from 1, and the serial number of the last graph.
    known: BTreeMap<Box<str>, (u32, u32)>,
    /// The serial number of the last graph of another name.
    others: u32,
}

static NAMES: Mutex<Names> = Mutex::new(Names { known: BTreeMap::new(), others: 0 });

impl Names {
    fn fresh(&mut self, name: &str) -> GraphId {
        let count = self.known.len();
        if count < MOST_NAMES && !self.known.contains_key(name) {
            self.known.insert(name.into(), (count as u32 + 1, 0));
        }
        let (number, serial) = match self.known.get_mut(name) {
            Some((number, serial)) => (*number, serial),
            None => (0, &mut self.others),
        };
        *serial = *serial % ((1 << SERIAL_BITS) - 1) + 1; // from 1, so that no identity is 0
        GraphId(number << SERIAL_BITS | *serial)
    }

    fn describe(&self, id: GraphId) -> String {
        let number = id.0 >> SERIAL_BITS;
        match self.known.iter().find(|(_, known)| known.0 == number) {
            Some((name, _)) => format!("graph `{name}`"),
            None => "another graph".to_owned(),
        }
    }
}

impl GraphId {
    /// Of values that name a position alone.
    pub const ANY: GraphId = GraphId(0);

    /// The identity of a new graph of this name.
    pub fn fresh(name: &str) -> GraphId {
        NAMES.lock().unwrap_or_else(PoisonError::into_inner).fresh(name)
    }

    /// How an error calls this graph.
    pub fn describe(self) -> String {
        NAMES.lock().unwrap_or_else(PoisonError::into_inner).describe(self)
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
    fn graphs_are_told_apart_by_name_and_number() {
        let mut names = Names { known: BTreeMap::new(), others: 0 };
        let ids = ["teacher", "student", "teacher"].map(|name| names.fresh(name));
        assert!(ids[0] != ids[1] && ids[0] != ids[2] && !ids.contains(&GraphId::ANY));
        assert_eq!(
            ids.map(|id| names.describe(id)),
            ["graph `teacher`", "graph `student`", "graph `teacher`"]
        );
    }

    #[test]
    fn beyond_the_last_name_graphs_are_told_apart_without_one() {
        let mut names = Names { known: BTreeMap::new(), others: 0 };
        let ids: Vec<GraphId> = (0..MOST_NAMES + 2).map(|i| names.fresh(&format!("g{i}"))).collect();
        let [.., last, beyond, after] = ids[..] else { unreachable!("there are more") };
        assert_eq!(names.describe(last), format!("graph `g{}`", MOST_NAMES - 1));
        assert_eq!([beyond, after].map(|id| names.describe(id)), ["another graph", "another graph"]);
        assert!(beyond != after && beyond != GraphId::ANY);
    }

    #[test]
    fn serial_numbers_begin_again_after_the_last() {
        let mut names =
            Names { known: BTreeMap::from([("g".into(), (1, (1 << SERIAL_BITS) - 2))]), others: 0 };
        let ids = [0, 1].map(|_| names.fresh("g"));
        assert_eq!(ids, [GraphId((2 << SERIAL_BITS) - 1), GraphId((1 << SERIAL_BITS) + 1)]);
        assert_eq!(names.describe(ids[1]), "graph `g`");
    }
}
