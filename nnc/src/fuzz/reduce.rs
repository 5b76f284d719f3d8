//! Making a failure small: first the recipe, while smaller ones fail in the same way, then the graph.
//!
//! Graphs are made smaller by leaving out outputs and updates, by putting a new input in the place of a value, which cuts off
//! all that it is computed from, and by putting an operand in the place of a result of the same type. This repeats until
//! nothing more can go.

use std::time::{Duration, Instant};

use ir::ops::Input;
use ir::verify::verify_graph;
use ir::{Graph, Node, NodeId, Op, Operands, Output, Stage, Update, Value};

use super::build::build;
use super::judge::{Fault, Judge};
use super::panics::catch;
use super::recipe::Recipe;

/// A failure is made smaller for at most this long.
const BUDGET: Duration = Duration::from_secs(120);

/// Makes a graph that fails as small as it gets in the time that there is, with the fault that it has then. `recipe` is what
/// it was built from, where it was.
pub fn reduce(judge: &Judge, recipe: Option<&Recipe>, graph: Graph, fault: Fault) -> (Graph, Fault) {
    let deadline = Instant::now() + BUDGET;
    let mut search = Search { judge, deadline, graph, fault };
    if let Some(recipe) = recipe {
        search.recipe(recipe.clone());
    }
    while search.round() {}
    (search.graph, search.fault)
}

/// The smallest graph so far.
struct Search<'a> {
    judge: &'a Judge,
    deadline: Instant,
    graph: Graph,
    fault: Fault,
}

impl Search<'_> {
    /// Takes smaller recipes while their graphs fail in the same way.
    fn recipe(&mut self, mut recipe: Recipe) {
        loop {
            let smaller = recipe.smaller().into_iter().find(|smaller| {
                let built = catch(|| build(smaller)).ok().and_then(Result::ok);
                built.is_some_and(|graph| self.takes(graph, true))
            });
            match smaller {
                Some(smaller) => recipe = smaller,
                None => return,
            }
        }
    }

    /// Tries all that can be left out; whether anything could.
    fn round(&mut self) -> bool {
        let mut is_smaller = false;
        let mut roots = self.graph.outputs.len() + self.graph.updates.len();
        let mut root = 0;
        while root < roots && roots > 1 {
            match self.takes(without_root(&self.graph, root), false) {
                true => (roots, is_smaller) = (roots - 1, true),
                false => root += 1,
            }
        }
        // From the end: what is cut off there takes most with it.
        let mut at = self.graph.len();
        while at > 0 {
            at -= 1;
            let id = NodeId(at as u32);
            let mut candidates = replaced_by_operand(&self.graph, id);
            candidates.extend(replaced_by_input(&self.graph, id));
            if candidates.into_iter().any(|candidate| self.takes(candidate, false)) {
                is_smaller = true;
                at = at.min(self.graph.len());
            }
        }
        is_smaller
    }

    /// Takes a graph in the place of the one that there is, if it is another, holds, and fails in the same way.
    fn takes(&mut self, graph: Graph, is_of_recipe: bool) -> bool {
        let is_new = is_of_recipe || graph.len() < self.graph.len() || roots(&graph) < roots(&self.graph);
        if !is_new || Instant::now() > self.deadline || verify_graph(&graph, Stage::Source).is_err() {
            return false;
        }
        match self.judge.judge(&graph) {
            Err(fault) if fault.kind == self.fault.kind && fault.signature == self.fault.signature => {
                (self.graph, self.fault) = (graph, fault);
                true
            }
            _ => false,
        }
    }
}

fn roots(graph: &Graph) -> usize {
    graph.outputs.len() + graph.updates.len()
}

/// A graph without one of its outputs and updates.
fn without_root(graph: &Graph, root: usize) -> Graph {
    let mut graph = graph.clone();
    match root.checked_sub(graph.outputs.len()) {
        None => drop(graph.outputs.remove(root)),
        Some(update) => drop(graph.updates.remove(update)),
    }
    copied(&graph, |_, _| None)
}

/// Graphs in which an operand stands in the place of a node of the same type.
fn replaced_by_operand(graph: &Graph, id: NodeId) -> Vec<Graph> {
    let node = graph.node(id);
    if node.results.len() != 1 {
        return Vec::new();
    }
    let alike = node.operands.iter().filter(|&&operand| *graph.ty(operand) == node.results[0]);
    alike.map(|&operand| copied(graph, |own, _| (own == id).then_some(Stand::Operand(operand)))).collect()
}

/// The graph in which inputs stand in the place of the results of a node.
fn replaced_by_input(graph: &Graph, id: NodeId) -> Option<Graph> {
    let node = graph.node(id);
    let is_leaf = matches!(node.op, Op::Input(_) | Op::Constant(_));
    (!is_leaf).then(|| copied(graph, |own, _| (own == id).then_some(Stand::Input)))
}

/// What stands in the place of a node.
enum Stand {
    Operand(Value),
    Input,
}

/// The nodes that something needs, in their order, but for those in the place of which `stand` puts something else.
fn copied(graph: &Graph, stand: impl Fn(NodeId, &Node) -> Option<Stand>) -> Graph {
    let needed = needed(graph, &stand);
    let mut copy = Graph::new(graph.name.clone());
    let mut results: Vec<Vec<Value>> = Vec::with_capacity(graph.len());
    for (id, node) in graph.nodes() {
        if !needed[id.0 as usize] {
            results.push(Vec::new());
            continue;
        }
        let of = |value: Value, results: &[Vec<Value>]| results[value.node.0 as usize][value.result as usize];
        results.push(match stand(id, node) {
            Some(Stand::Operand(operand)) => vec![of(operand, &results)],
            Some(Stand::Input) => node.results.iter().map(|ty| input(&mut copy, ty)).collect(),
            None => {
                let operands: Operands = node.operands.iter().map(|&value| of(value, &results)).collect();
                let node = copy.push(Node { operands, ..node.clone() });
                copy.results(node).collect()
            }
        });
    }
    let of = |value: Value| results[value.node.0 as usize][value.result as usize];
    copy.outputs = graph
        .outputs
        .iter()
        .map(|output| Output { name: output.name.clone(), value: of(output.value) })
        .collect();
    let updates = graph.updates.iter().filter(|update| needed[update.state.0 as usize]);
    copy.updates = updates
        .map(|update| Update { state: of(Value::new(update.state, 0)).node, value: of(update.value) })
        .filter(|update| matches!(copy.node(update.state).op, Op::State(_)))
        .collect();
    copy
}

/// A new input of a type.
fn input(graph: &mut Graph, ty: &ir::Type) -> Value {
    let names = (0..).map(|number| format!("cut{number}"));
    let name = names.into_iter().find(|name| graph.find(name).is_none());
    let op = Op::Input(Input { ty: ty.clone() });
    let results = std::iter::once(ty.clone()).collect();
    let node = graph.push(Node { op, operands: Operands::new(), results, name, body: None });
    Value::new(node, 0)
}

/// The nodes that outputs and updates depend on, with the states that are updated.
fn needed(graph: &Graph, stand: &impl Fn(NodeId, &Node) -> Option<Stand>) -> Vec<bool> {
    let mut needed = vec![false; graph.len()];
    let states = graph.updates.iter().map(|update| update.state);
    graph.roots().map(|value| value.node).chain(states).for_each(|id| needed[id.0 as usize] = true);
    for (id, node) in graph.nodes().rev().filter(|(id, _)| id.0 < graph.len() as u32) {
        if !needed[id.0 as usize] {
            continue;
        }
        match stand(id, node) {
            Some(Stand::Input) => {}
            Some(Stand::Operand(operand)) => needed[operand.node.0 as usize] = true,
            None => node.operands.iter().for_each(|operand| needed[operand.node.0 as usize] = true),
        }
    }
    needed
}
