//! The dataflow graph. This is the only file that names petgraph.
//!
//! A graph is append-only: an operand exists before the node that uses it, so the order of ids is a topological
//! order. Passes read one graph and write another.

use std::collections::BTreeMap;

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;
use smallvec::SmallVec;

use crate::value::GraphId;
use crate::{Init, NodeId, Op, Stage, Type, Value, visits};

/// The operands of a node.
pub type Operands = SmallVec<[Value; 3]>;
/// The types of the results of a node.
pub type Types = SmallVec<[Type; 1]>;

/// An op applied to operands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it computes.
    pub op: Op,
    /// From what.
    pub operands: Operands,
    /// The types of its results.
    pub results: Types,
    /// Its name in the text form and, for inputs and states, to the user; unique in the graph.
    pub name: Option<String>,
    /// The body of an op that has one (`fused`): its inputs stand for the operands in order, its outputs are the
    /// results.
    pub body: Option<Box<Graph>>,
}

/// A value that the graph returns.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// Its name to the user, unique among outputs.
    pub name: String,
    /// The value.
    pub value: Value,
}

/// What a state becomes at the end of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Update {
    /// The node of the state.
    pub state: NodeId,
    /// Its next value, of the same type.
    pub value: Value,
}

/// A dataflow graph with named inputs, states, outputs and updates of states.
#[derive(Clone, Debug)]
pub struct Graph {
    /// The name in the text form, without `@`.
    pub name: String,
    /// What the passes so far have established; of a body, which has the stage of the graph around it, always `source`.
    pub stage: Stage,
    /// What it returns.
    pub outputs: Vec<Output>,
    /// What its states become; at most one update per state.
    pub updates: Vec<Update>,
    /// Which graph it is; clones share it.
    id: GraphId,
    /// Edges run from the node of an operand to its user and carry the operand's position.
    nodes: DiGraph<Node, u32>,
    /// The first node of each name.
    by_name: BTreeMap<String, NodeId>,
}

impl Graph {
    /// The empty graph of this name, of stage `source`.
    pub fn new(name: impl Into<String>) -> Graph {
        let name = name.into();
        Graph {
            id: GraphId::fresh(&name),
            name,
            stage: Stage::Source,
            outputs: Vec::new(),
            updates: Vec::new(),
            nodes: DiGraph::new(),
            by_name: BTreeMap::new(),
        }
    }

    /// Appends a node. It is the caller who has checked it; [`crate::Builder`] does.
    ///
    /// # Panics
    /// Where an operand is not in the graph.
    pub fn push(&mut self, mut node: Node) -> NodeId {
        let mut sources: SmallVec<[NodeIndex; 3]> = SmallVec::new();
        for operand in &mut node.operands {
            *operand = operand.of(GraphId::ANY);
            sources.push(NodeIndex::new(operand.node.0 as usize));
        }
        let name = node.name.clone();
        let index = self.nodes.add_node(node);
        for (position, source) in sources.into_iter().enumerate() {
            assert!(source < index, "operand {position} is not in the graph yet");
            self.nodes.add_edge(source, index, position as u32);
        }
        let id = NodeId(index.index() as u32);
        if let Some(name) = name {
            self.by_name.entry(name).or_insert(id);
        }
        id
    }

    /// The number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.node_count()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ids of all nodes, each after its operands.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        (0..self.len() as u32).map(NodeId)
    }

    /// All nodes with their ids, each after its operands.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = (NodeId, &Node)> {
        self.ids().map(|id| (id, self.node(id)))
    }

    /// A node.
    #[inline]
    pub fn node(&self, id: NodeId) -> &Node {
        visits::add(1);
        &self.nodes[NodeIndex::new(id.0 as usize)]
    }

    /// Which graph it is.
    pub(crate) fn id(&self) -> GraphId {
        self.id
    }

    /// The type of a value that is in the graph: it was made for it, or for no graph in particular, and there is such a
    /// result.
    pub(crate) fn get(&self, value: Value) -> Option<&Type> {
        if value.graph() != self.id && value.graph() != GraphId::ANY {
            return None;
        }
        visits::add(1);
        self.nodes.node_weight(NodeIndex::new(value.node.0 as usize))?.results.get(value.result as usize)
    }

    /// The nodes that are marked, in the same order, with the outputs and the updates. A marked node has marked operands, and so
    /// have outputs and updates.
    pub fn part(&self, is_marked: &[bool]) -> Graph {
        let mut part = Graph::new(self.name.clone());
        let mut ids = vec![NodeId(0); self.len()];
        for (id, node) in self.nodes().filter(|(id, _)| is_marked[id.0 as usize]) {
            let mut node = node.clone();
            node.operands.iter_mut().for_each(|operand| operand.node = ids[operand.node.0 as usize]);
            ids[id.0 as usize] = part.push(node);
        }
        let moved = |value: Value| Value::new(ids[value.node.0 as usize], value.result);
        let output = |output: &Output| Output { name: output.name.clone(), value: moved(output.value) };
        part.outputs = self.outputs.iter().map(output).collect();
        let update =
            |update: &Update| Update { state: ids[update.state.0 as usize], value: moved(update.value) };
        part.updates = self.updates.iter().map(update).collect();
        part
    }

    /// Makes a state start so.
    ///
    /// # Panics
    /// Where the node is no state.
    pub fn set_init(&mut self, state: NodeId, init: Init) {
        match &mut self.nodes[NodeIndex::new(state.0 as usize)].op {
            Op::State(state) => state.init = init,
            other => panic!("op `{}` is no state", other.name()),
        }
    }

    /// Puts `map(body)` in the place of the body of each loop.
    pub fn map_loops<E>(&mut self, mut map: impl FnMut(&Graph) -> Result<Graph, E>) -> Result<(), E> {
        for node in self.nodes.node_weights_mut().filter(|node| matches!(node.op, Op::Scan(_))) {
            if let Some(body) = &mut node.body {
                **body = map(body)?;
            }
        }
        Ok(())
    }

    /// The type of a value.
    ///
    /// # Panics
    /// Where it is not in the graph.
    #[inline]
    pub fn ty(&self, value: Value) -> &Type {
        &self.node(value.node).results[value.result as usize]
    }

    /// The results of a node.
    pub fn results(&self, id: NodeId) -> impl Iterator<Item = Value> + use<> {
        let graph = self.id;
        (0..self.node(id).results.len() as u32).map(move |result| Value::new(id, result).of(graph))
    }

    /// The nodes that use a result of `id`, with the position of the operand; once per use, latest user first.
    pub fn users(&self, id: NodeId) -> impl Iterator<Item = (NodeId, usize)> {
        let edges = self.nodes.edges_directed(NodeIndex::new(id.0 as usize), Direction::Outgoing);
        edges.map(|edge| (NodeId(edge.target().index() as u32), *edge.weight() as usize))
    }

    /// The input nodes, in order.
    pub fn inputs(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes().filter(|(_, node)| matches!(node.op, Op::Input(_)))
    }

    /// The state nodes, in order.
    pub fn states(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes().filter(|(_, node)| matches!(node.op, Op::State(_)))
    }

    /// The node of this name.
    pub fn find(&self, name: &str) -> Option<NodeId> {
        self.by_name.get(name).copied()
    }

    /// The values that must be computed: those of outputs and updates.
    pub fn roots(&self) -> impl Iterator<Item = Value> {
        self.outputs.iter().map(|output| output.value).chain(self.updates.iter().map(|update| update.value))
    }

    /// Names a node that has no name yet.
    pub fn set_name(&mut self, id: NodeId, name: impl Into<String>) {
        let node = &mut self.nodes[NodeIndex::new(id.0 as usize)];
        if node.name.is_none() {
            let name = name.into();
            self.by_name.entry(name.clone()).or_insert(id);
            node.name = Some(name);
        }
    }
}

impl PartialEq for Graph {
    fn eq(&self, other: &Graph) -> bool {
        self.name == other.name
            && self.stage == other.stage
            && self.outputs == other.outputs
            && self.updates == other.updates
            && self.len() == other.len()
            && self.nodes().all(|(id, node)| node == other.node(id))
    }
}
