//! Pass `dce`: removes nodes that no output and no update needs (dead code elimination).
//!
//! In: a graph without `grad`. Out: the same graph with only what is needed, in the same order. Inputs and states stay
//! in any case: they are what the caller knows the program by. Loops lose the results that nothing reads, the carries
//! that no other result depends on, and the operands that their bodies do not read.

use std::collections::BTreeMap;

use ir::ops::Scan;
use ir::{Error, Graph, Node, NodeId, Op, Operands, Value};
use smallvec::SmallVec;

use crate::rewrite::rebuild;

/// Removes what nothing needs.
pub fn dce(graph: &Graph) -> Result<Graph, Error> {
    let loops = shortened_loops(graph);
    if loops.is_empty() {
        return Ok(graph.part(&needed(graph)));
    }
    let mut ids = graph.ids();
    let graph = rebuild(graph, |builder, _, operands| {
        let id = ids.next().expect("nodes come in the order of their ids");
        let Some(shortened) = loops.get(&id) else { return Ok(None) };
        let operands: Operands = shortened.operands.iter().map(|&operand| operands[operand]).collect();
        let body = Some(Box::new(dce(&shortened.body)?));
        let node = builder.push_with_body(shortened.scan.clone(), &operands, None, body)?;
        let results: Operands = builder.graph().results(node).collect();
        // Nothing reads the results that are gone.
        Ok(Some(shortened.results.iter().map(|&result| results[result.unwrap_or(0)]).collect()))
    })?;
    Ok(graph.part(&needed(&graph)))
}

/// Which nodes are needed.
fn needed(graph: &Graph) -> Vec<bool> {
    let mut needed: Vec<bool> =
        graph.nodes().map(|(_, node)| matches!(node.op, Op::Input(_) | Op::State(_))).collect();
    graph.roots().for_each(|value| needed[value.node.0 as usize] = true);
    for (id, node) in graph.nodes().rev() {
        if needed[id.0 as usize] {
            node.operands.iter().for_each(|operand| needed[operand.node.0 as usize] = true);
        }
    }
    needed
}

/// A loop with what is needed of it.
struct Shortened {
    scan: Scan,
    /// Its body, with as many inputs and outputs as are needed.
    body: Graph,
    /// Which operands of the loop are left.
    operands: Vec<usize>,
    /// Where each result is now; `None` where it is gone.
    results: SmallVec<[Option<usize>; 4]>,
}

/// The loops of which not all is needed.
fn shortened_loops(graph: &Graph) -> BTreeMap<NodeId, Shortened> {
    let mut loops = BTreeMap::new();
    if !graph.nodes().any(|(_, node)| matches!(node.op, Op::Scan(_))) {
        return loops;
    }
    let mut is_read: Vec<SmallVec<[bool; 2]>> =
        graph.nodes().map(|(_, node)| SmallVec::from_elem(false, node.results.len())).collect();
    let read = |is_read: &mut Vec<SmallVec<[bool; 2]>>, value: Value| {
        is_read[value.node.0 as usize][value.result as usize] = true;
    };
    graph.roots().for_each(|value| read(&mut is_read, value));
    for (id, node) in graph.nodes().rev() {
        let results = is_read[id.0 as usize].clone();
        if !results.contains(&true) {
            continue;
        }
        let kept = match (&node.op, &node.body) {
            (Op::Scan(scan), Some(body)) => shortened(scan, body, node, &results),
            _ => None,
        };
        match kept {
            None => node.operands.iter().for_each(|&operand| read(&mut is_read, operand)),
            Some(shortened) => {
                shortened.operands.iter().for_each(|&operand| read(&mut is_read, node.operands[operand]));
                loops.insert(id, shortened);
            }
        }
    }
    loops
}

/// A loop with what is needed for the results that are read; `None` where that is all of it.
fn shortened(scan: &Scan, body: &Graph, node: &Node, is_read: &[bool]) -> Option<Shortened> {
    let inputs: Vec<NodeId> = body.inputs().map(|(id, _)| id).collect();
    let carry_of: BTreeMap<NodeId, usize> = inputs[..scan.carries].iter().copied().zip(0..).collect();
    let mut is_kept = is_read.to_vec();
    let mut is_needed = vec![false; body.len()];
    let mut open: Vec<NodeId> = Vec::new();
    let roots = |index: usize| body.outputs[index].value.node;
    open.extend((0..is_kept.len()).filter(|&index| is_kept[index]).map(roots));
    // The input of a carry whose result is read stands for its type, needed or not.
    open.extend((0..scan.carries).filter(|&index| is_kept[index]).map(|index| inputs[index]));
    while let Some(id) = open.pop() {
        if std::mem::replace(&mut is_needed[id.0 as usize], true) {
            continue;
        }
        open.extend(body.node(id).operands.iter().map(|operand| operand.node));
        if let Some(&carry) = carry_of.get(&id) {
            is_kept[carry] = true;
            open.push(roots(carry));
        }
    }
    let operands: Vec<usize> =
        (0..node.operands.len()).filter(|&index| is_needed[inputs[index].0 as usize]).collect();
    if is_kept.iter().all(|&is_kept| is_kept) && operands.len() == node.operands.len() {
        return None;
    }
    let count =
        |range: std::ops::Range<usize>| operands.iter().filter(|operand| range.contains(operand)).count();
    let scan = Scan {
        carries: count(0..scan.carries),
        stacked: count(scan.carries..scan.carries + scan.stacked),
        ..scan.clone()
    };
    let mut places = 0..;
    let results = is_kept.iter().map(|&is_kept| if is_kept { places.next() } else { None }).collect();
    let mut source = body.clone();
    let mut kept = is_kept.iter();
    source.outputs.retain(|_| *kept.next().expect("there is a flag per output"));
    Some(Shortened { scan, body: source.part(&is_needed), operands, results })
}
