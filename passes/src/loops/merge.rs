//! Merging loops that differ in what they return alone.
//!
//! The gradient of a loop writes the loop again with further results. Of all loops that run the same nodes on the same
//! operands, the first stays, with the results of all.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use ir::ops::Scan;
use ir::{Builder, Error, Graph, Node, NodeId, Op, Operands, Output, Value};

use crate::rewrite::rebuild;

/// Merges the loops of a graph, and of the bodies of its loops.
pub fn merge_loops(graph: &Graph) -> Result<Graph, Error> {
    let mut graph = graph.clone();
    graph.map_loops(merge_loops)?;
    let groups = groups(&graph);
    if groups.iter().all(|group| group.members.len() < 2) {
        return Ok(graph);
    }
    let group_of: BTreeMap<NodeId, usize> = (groups.iter().enumerate())
        .flat_map(|(number, group)| group.members.iter().map(move |&member| (member, number)))
        .collect();
    let mut merged: BTreeMap<usize, (Merged, Operands)> = BTreeMap::new();
    let mut ids = graph.ids();
    rebuild(&graph, |builder, _, operands| {
        let id = ids.next().expect("nodes come in the order of their ids");
        let Some(&number) = group_of.get(&id).filter(|&&number| groups[number].members.len() > 1) else {
            return Ok(None);
        };
        let (whole, results) = match merged.entry(number) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(first) => {
                let whole = Merged::of(&graph, &groups[number])?;
                let body = Some(Box::new(whole.body.clone()));
                let node = builder.push_with_body(groups[number].scan.clone(), operands, None, body)?;
                let results = builder.graph().results(node).collect();
                first.insert((whole, results))
            }
        };
        Ok(Some(whole.places[&id].iter().map(|&place| results[place]).collect()))
    })
}

/// Loops that run the nodes of the first on the same operands.
struct Group<'a> {
    scan: &'a Scan,
    body: &'a Graph,
    members: Vec<NodeId>,
}

fn groups(graph: &Graph) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut by_operands: BTreeMap<&Operands, Vec<usize>> = BTreeMap::new();
    for (id, node) in graph.nodes() {
        let Some((scan, body)) = as_loop(node) else { continue };
        let known = by_operands.entry(&node.operands).or_default();
        let fits = |&&number: &&usize| {
            groups[number].scan == scan && begins_with(body, groups[number].body, scan.carries)
        };
        match known.iter().find(fits).copied() {
            Some(number) => groups[number].members.push(id),
            None => {
                known.push(groups.len());
                groups.push(Group { scan, body, members: vec![id] });
            }
        }
    }
    groups
}

/// The loop that a node is.
fn as_loop(node: &Node) -> Option<(&Scan, &Graph)> {
    match (&node.op, &node.body) {
        (Op::Scan(scan), Some(body)) => Some((scan, body)),
        _ => None,
    }
}

/// Whether `body` has the nodes of `first` and the same next carries.
fn begins_with(body: &Graph, first: &Graph, carries: usize) -> bool {
    let next = |graph: &Graph| graph.outputs[..carries].iter().map(|output| output.value).collect::<Vec<_>>();
    body.len() >= first.len()
        && next(body) == next(first)
        && first.nodes().all(|(id, node)| node == body.node(id))
        && body.inputs().count() == first.inputs().count()
}

/// The body that returns what all members of a group return.
struct Merged {
    body: Graph,
    /// For each member, which result of the merged loop each of its results is.
    places: BTreeMap<NodeId, Vec<usize>>,
}

impl Merged {
    fn of(graph: &Graph, group: &Group<'_>) -> Result<Merged, Error> {
        let mut builder = Builder::resume(group.body.clone());
        let mut outputs: Vec<Value> =
            group.body.outputs[..group.scan.carries].iter().map(|output| output.value).collect();
        let mut places = BTreeMap::new();
        for &member in &group.members {
            let (_, body) = as_loop(graph.node(member)).expect("members are loops");
            let mut moved: Vec<Operands> =
                group.body.ids().map(|id| group.body.results(id).collect()).collect();
            for (_, node) in body.nodes().skip(group.body.len()) {
                let operands: Operands = node.operands.iter().map(|operand| at(&moved, *operand)).collect();
                let id = builder.push_with_body(node.op.clone(), &operands, None, node.body.clone())?;
                moved.push(builder.graph().results(id).collect());
            }
            let carries = 0..group.scan.carries;
            let stacked = body.outputs[group.scan.carries..].iter().map(|output| {
                let value = at(&moved, output.value);
                let known = outputs[group.scan.carries..].iter().position(|&known| known == value);
                known.map_or_else(
                    || {
                        outputs.push(value);
                        outputs.len() - 1
                    },
                    |place| group.scan.carries + place,
                )
            });
            let all = carries.chain(stacked).collect();
            places.insert(member, all);
        }
        let mut body = builder.finish();
        let name = |index: usize| format!("out{index}");
        body.outputs = outputs
            .into_iter()
            .enumerate()
            .map(|(index, value)| Output { name: name(index), value: Value::new(value.node, value.result) })
            .collect();
        Ok(Merged { body, places })
    }
}

/// Where a value of a body is in the merged one.
fn at(moved: &[Operands], value: Value) -> Value {
    moved[value.node.0 as usize][value.result as usize]
}
