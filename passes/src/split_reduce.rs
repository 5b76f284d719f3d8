//! Pass `split_reduce`: a large reduction to a scalar becomes two, so that threads can share the first.
//!
//! The split depends on the shape alone, so the order of additions is the same on any number of threads.

use ir::ops::Reduce;
use ir::{Builder, Error, Graph, Lowering, Node, Op, Shape, Value};
use smallvec::SmallVec;

use crate::access::lowering;
use crate::rewrite::rebuild;

/// Reductions of fewer elements stay as they are.
const LARGE: usize = 1 << 14;

/// Splits each large reduction over all axes into one over all but the first, and one over the first.
pub fn split_reduce(graph: &Graph) -> Result<Graph, Error> {
    rebuild(graph, |builder, node, operands| match lowering(graph, node) {
        Lowering::Reduce { op, axes } if is_split(graph, node, &axes) => {
            let rows = rows_of(builder, operands[0])?;
            let columns: SmallVec<[usize; 4]> = (1..builder.shape(rows).rank()).collect();
            let partial = builder.op(Op::from(Reduce { op, axes: columns }), &[rows])?;
            let total = builder.op(Op::from(Reduce { op, axes: SmallVec::from_elem(0, 1) }), &[partial])?;
            Ok(Some([total].into_iter().collect()))
        }
        _ => Ok(None),
    })
}

fn is_split(graph: &Graph, node: &Node, axes: &[usize]) -> bool {
    let shape = &graph.ty(node.operands[0]).shape;
    let to_scalar = axes.len() == shape.rank();
    to_scalar && shape.elements() >= LARGE && rows(shape).is_some_and(|rows| rows > 1)
}

/// The number of rows into which a tensor is cut: its first extent, or a divisor of its only one.
fn rows(shape: &Shape) -> Option<usize> {
    match shape.len() {
        0 => None,
        1 => (2..=64).rev().find(|rows| shape[0].is_multiple_of(*rows)),
        _ => Some(shape[0]),
    }
}

fn rows_of(builder: &mut Builder, x: Value) -> Result<Value, Error> {
    let shape = builder.shape(x).clone();
    match rows(&shape) {
        Some(rows) if shape.rank() == 1 => builder.reshape(x, [rows, shape[0] / rows]),
        _ => Ok(x),
    }
}
