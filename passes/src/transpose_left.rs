//! Pass `transpose_left`: the left operand of a long product that lies along its rows is transposed first.
//!
//! Tiles of a product read the left operand in place: a few neighbouring rows at one depth after the other. Where it is
//! `[depth, rows]`, as in the gradient of a weight over all steps of a loop, each depth is a line of its own, far from the one before:
//! lines share the sets of the first level of cache, and every depth is another page. One copy costs a small part of that.
//! `fuse` gives a transpose that a product reads so memory of its own.

use std::collections::BTreeMap;

use ir::ops::MatMul;
use ir::{Error, Graph, Node, Op, Value};

use crate::rewrite::rebuild;

/// Sums of fewer terms are read often enough while they are near.
const LONG: usize = 512;
/// A line of fewer bytes is near the one before.
const FAR_BYTES: usize = 1 << 10;
/// With fewer columns a copy costs more than it saves.
const MANY_COLUMNS: usize = 32;

/// Puts a transpose before each long product whose left operand has its rows along its lines.
pub fn transpose_left(graph: &Graph) -> Result<Graph, Error> {
    let mut transposed: BTreeMap<Value, Value> = BTreeMap::new();
    rebuild(graph, |builder, node, operands| match &node.op {
        Op::MatMul(product) if is_far(graph, node, product) => {
            let left = match transposed.get(&operands[0]) {
                Some(&known) => known,
                None => builder.transpose(operands[0], &[1, 0])?,
            };
            transposed.insert(operands[0], left);
            let turned = MatMul { transpose_left: false, ..product.clone() };
            Ok(Some([builder.op(turned, &[left, operands[1]])?].into_iter().collect()))
        }
        _ => Ok(None),
    })
}

fn is_far(graph: &Graph, node: &Node, product: &MatMul) -> bool {
    let left = graph.ty(node.operands[0]);
    product.transpose_left
        && left.shape.rank() == 2
        && left.shape[0] >= LONG
        && left.shape[1] * left.dtype.size_bytes() >= FAR_BYTES
        && node.results[0].shape[1] >= MANY_COLUMNS
}

/// Whether a product reads its left operand, a transpose, from memory of its own.
pub fn is_read_from_memory(graph: &Graph, node: &Node) -> bool {
    let (Op::MatMul(product), Some(&left)) = (&node.op, node.operands.first()) else { return false };
    let source = graph.node(left.node);
    let is_transpose = matches!(source.op, Op::Transpose(_));
    let turned = MatMul { transpose_left: true, ..product.clone() };
    is_transpose && !product.transpose_left && {
        let from =
            Node { operands: [source.operands[0], node.operands[1]].into_iter().collect(), ..node.clone() };
        is_far(graph, &from, &turned)
    }
}
