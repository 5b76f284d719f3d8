//! Pass `dce`: removes nodes that no output and no update needs (dead code elimination).
//!
//! In: a graph without `grad`. Out: the same graph with only what is needed, in the same order. Inputs and states stay
//! in any case: they are what the caller knows the program by.

use ir::{Graph, Op};

/// Removes what nothing needs.
pub fn dce(graph: &Graph) -> Graph {
    graph.part(&needed(graph))
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
