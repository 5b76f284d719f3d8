//! Pass `dce`: removes nodes that no output and no update needs (dead code elimination).
//!
//! In: a graph without `grad`. Out: the same graph with only what is needed, in the same order. Inputs and states stay
//! in any case: they are what the caller knows the program by.

use ir::{Graph, NodeId, Op, Output, Update, Value};

/// Removes what nothing needs.
pub fn dce(graph: &Graph) -> Graph {
    let needed = needed(graph);
    let mut target = Graph::new(graph.name.clone());
    let mut ids: Vec<NodeId> = vec![NodeId(0); graph.len()];
    for (id, node) in graph.nodes().filter(|(id, _)| needed[id.0 as usize]) {
        let mut node = node.clone();
        node.operands.iter_mut().for_each(|operand| operand.node = ids[operand.node.0 as usize]);
        ids[id.0 as usize] = target.push(node);
    }
    let moved = |value: Value| Value::new(ids[value.node.0 as usize], value.result);
    let output = |output: &Output| Output { name: output.name.clone(), value: moved(output.value) };
    target.outputs = graph.outputs.iter().map(output).collect();
    let update = |update: &Update| Update { state: ids[update.state.0 as usize], value: moved(update.value) };
    target.updates = graph.updates.iter().map(update).collect();
    target
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
