//! Pass `dce`: removes nodes that no output and no update needs (dead code elimination).
//!
//! In: a graph without `grad`. Out: the same graph with only what is needed, in the same order. Inputs and states stay
//! in any case: they are what the caller knows the program by. Loops lose the results that nothing reads, the carries
//! that no other result depends on, and the operands that their bodies do not read.

use std::collections::BTreeMap;

use ir::ops::Scan;
use ir::{Error, Graph, Node, NodeId, Op, Operands, Output, Update, Value};
use smallvec::SmallVec;

/// Removes what nothing needs.
pub fn dce(graph: &Graph) -> Result<Graph, Error> {
    let Needed { is_read, loops } = Needed::of(graph);
    let mut target = Graph::new(graph.name.clone());
    let mut values: Vec<Operands> = Vec::with_capacity(graph.len());
    let moved = |values: &[Operands], value: Value| values[value.node.0 as usize][value.result as usize];
    for (id, node) in graph.nodes() {
        let is_leaf = matches!(node.op, Op::Input(_) | Op::State(_));
        if !is_leaf && !is_read[id.0 as usize].contains(&true) {
            values.push(Operands::new());
            continue;
        }
        let mut node = node.clone();
        let mut places: SmallVec<[Option<usize>; 4]> = (0..node.results.len()).map(Some).collect();
        if let Some(shortened) = loops.get(&id) {
            let Shortened { scan, body, operands, results } = shortened;
            node.op = scan.clone().into();
            node.operands = operands.iter().map(|&operand| node.operands[operand]).collect();
            let kept = node.results.iter().zip(results).filter(|(_, place)| place.is_some());
            node.results = kept.map(|(ty, _)| ty.clone()).collect();
            node.body = Some(Box::new(dce(body)?));
            places.clone_from(results);
        }
        node.operands.iter_mut().for_each(|operand| *operand = moved(&values, *operand));
        let copy = target.push(node);
        // Nothing reads the results that are gone.
        values.push(places.iter().map(|place| Value::new(copy, place.unwrap_or(0) as u32)).collect());
    }
    let output = |output: &Output| Output { name: output.name.clone(), value: moved(&values, output.value) };
    target.outputs = graph.outputs.iter().map(output).collect();
    let update = |update: &Update| {
        let state = moved(&values, Value::new(update.state, 0)).node;
        Update { state, value: moved(&values, update.value) }
    };
    target.updates = graph.updates.iter().map(update).collect();
    Ok(target)
}

/// What outputs and updates need.
struct Needed {
    /// Of each node, which results.
    is_read: Vec<SmallVec<[bool; 2]>>,
    /// The loops of which not all is needed.
    loops: BTreeMap<NodeId, Shortened>,
}

impl Needed {
    fn of(graph: &Graph) -> Needed {
        let is_read = graph.nodes().map(|(_, node)| SmallVec::from_elem(false, node.results.len())).collect();
        let mut needed = Needed { is_read, loops: BTreeMap::new() };
        graph.roots().for_each(|value| needed.read(value));
        for (id, node) in graph.nodes().rev() {
            let results = needed.is_read[id.0 as usize].clone();
            if !results.contains(&true) {
                continue;
            }
            let kept = match (&node.op, &node.body) {
                (Op::Scan(scan), Some(body)) => shortened(scan, body, node, &results),
                _ => None,
            };
            match kept {
                None => node.operands.iter().for_each(|&operand| needed.read(operand)),
                Some(shortened) => {
                    shortened.operands.iter().for_each(|&operand| needed.read(node.operands[operand]));
                    needed.loops.insert(id, shortened);
                }
            }
        }
        needed
    }

    fn read(&mut self, value: Value) {
        self.is_read[value.node.0 as usize][value.result as usize] = true;
    }
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
