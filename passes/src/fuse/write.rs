//! Writing groups as a graph.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use ir::ops::{Fused, Input};
use ir::{Error, Graph, Node, NodeId, Op, Operands, Output, Types, Update, Value};
use smallvec::SmallVec;

use super::grow::{Group, GroupId, Groups};
use super::roles::{Role, Roles};

/// The graph whose nodes are the groups.
pub fn write(graph: &Graph, groups: &Groups<'_>) -> Result<Graph, Error> {
    let roles = &groups.roles;
    let mut writer = Writer {
        graph,
        roles,
        needed: needed(graph, groups),
        target: Graph::new(graph.name.clone()),
        values: BTreeMap::new(),
    };
    for (id, node) in graph.nodes() {
        let is_source = roles.of(id) == Role::Source || (roles.is_pinned(id) && node.operands.is_empty());
        if is_source && groups.home(Value::new(id, 0)).is_none() {
            writer.copy(id);
        }
    }
    for group in groups.ordered() {
        writer.write_group(group);
    }
    let Writer { mut target, values, .. } = writer;
    target.outputs = graph
        .outputs
        .iter()
        .map(|output| Output { name: output.name.clone(), value: values[&output.value] })
        .collect();
    target.updates = graph
        .updates
        .iter()
        .map(|update| {
            let state = values[&Value::new(update.state, 0)].node;
            Update { state, value: values[&update.value] }
        })
        .collect();
    Ok(target)
}

struct Writer<'a> {
    graph: &'a Graph,
    roles: &'a Roles,
    needed: BTreeSet<Value>,
    target: Graph,
    /// Where values of the source graph are in the target.
    values: BTreeMap<Value, Value>,
}

impl Writer<'_> {
    /// Copies one node whose operands are in the target.
    fn copy(&mut self, id: NodeId) {
        let mut node = self.graph.node(id).clone();
        node.operands = node.operands.iter().map(|operand| self.values[operand]).collect();
        let copy = self.target.push(node);
        self.map_results(id, copy);
    }

    fn map_results(&mut self, from: NodeId, to: NodeId) {
        for value in self.graph.results(from) {
            self.values.insert(value, Value::new(to, value.result));
        }
    }

    fn write_group(&mut self, group: &Group) {
        let Some(kind) = group.kind else {
            group.members.iter().for_each(|&id| self.copy(id));
            return;
        };
        let mut members = group.members.clone();
        members.sort_unstable();
        let mut body = Body {
            graph: Graph::new("body"),
            values: BTreeMap::new(),
            operands: Operands::new(),
            names: HashSet::new(),
        };
        for &id in &members {
            self.clone_into(&mut body, id);
        }
        let results: Vec<Value> = members
            .iter()
            .flat_map(|&id| self.graph.results(id))
            .filter(|value| self.needed.contains(value))
            .collect();
        for (index, value) in results.iter().enumerate() {
            body.graph.outputs.push(Output { name: format!("r{index}"), value: body.values[value] });
        }
        let fused = self.target.push(Node {
            op: Op::from(Fused { kind, domain: group.domain.clone(), reduced: group.reduced.clone() }),
            operands: body.operands,
            results: results.iter().map(|&value| self.graph.ty(value).clone()).collect(),
            name: None,
            body: Some(Box::new(body.graph)),
        });
        for (index, &value) in results.iter().enumerate() {
            self.values.insert(value, Value::new(fused, index as u32));
        }
    }

    /// Clones a node and the free nodes that it needs into a body.
    fn clone_into(&self, body: &mut Body, id: NodeId) {
        let mut node = self.graph.node(id).clone();
        node.operands = node.operands.iter().map(|&operand| self.value_in(body, operand)).collect();
        node.name = None;
        let copy = body.graph.push(node);
        for value in self.graph.results(id) {
            body.values.insert(value, Value::new(copy, value.result));
        }
    }

    /// The value in the body that stands for one of the graph; those computed elsewhere become inputs of the body.
    fn value_in(&self, body: &mut Body, value: Value) -> Value {
        if let Some(&known) = body.values.get(&value) {
            return known;
        }
        if self.roles.of(value.node) == Role::Free {
            self.clone_into(body, value.node);
            return body.values[&value];
        }
        let outer = self.values[&value];
        let source = self.graph.node(value.node);
        let name = source.name.clone().filter(|_| source.operands.is_empty());
        let name = body.unused_name(name.unwrap_or_else(|| format!("v{}", body.operands.len())));
        let ty = self.graph.ty(value).clone();
        let node = body.graph.push(Node {
            op: Op::from(Input { ty: ty.clone() }),
            operands: Operands::new(),
            results: Types::from_elem(ty, 1),
            name: Some(name),
            body: None,
        });
        let inner = Value::new(node, 0);
        body.operands.push(outer);
        body.values.insert(value, inner);
        inner
    }
}

/// The body of a `fused` node while it is written.
struct Body {
    graph: Graph,
    /// Where values of the source graph are in the body.
    values: BTreeMap<Value, Value>,
    /// What the inputs of the body stand for, in the target.
    operands: Operands,
    /// The names of its inputs.
    names: HashSet<String>,
}

impl Body {
    /// `name`, or one made of it where it is taken: the user's names and ours may meet.
    fn unused_name(&mut self, mut name: String) -> String {
        while !self.names.insert(name.clone()) {
            name.push('_');
        }
        name
    }
}

/// The values that are read outside of the group that computes them.
fn needed(graph: &Graph, groups: &Groups<'_>) -> BTreeSet<Value> {
    let mut needed: BTreeSet<Value> = graph.roots().collect();
    for (index, group) in groups.all.iter().enumerate() {
        for &member in &group.members {
            let bases: SmallVec<[Value; 3]> =
                groups.reads(member).iter().map(|read| read.access.base).collect();
            needed.extend(bases.into_iter().filter(|&base| groups.home(base) != Some(GroupId(index))));
        }
    }
    needed
}
