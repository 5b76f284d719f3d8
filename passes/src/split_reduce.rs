//! Pass `split_reduce`: a large reduction with a small result becomes two, so that threads can share the first.
//!
//! Three kinds are split: a reduction to a scalar, by rows; a reduction of several axes to few columns, as the gradient of
//! a convolution's bias is, by its first axis; and a product of matrices with a long sum for each of few elements, as the
//! gradient of a weight is over a large batch: parts of the sum become a batch of products, which is summed then. The split
//! depends on the shape alone, so the order of additions is the same on any number of threads.

use ir::ops::{MatMul, Reduce};
use ir::{Builder, Error, Graph, Lowering, Node, Op, ReduceOp, Shape, Value};
use smallvec::SmallVec;

use crate::access::lowering;
use crate::rewrite::rebuild;

/// Reductions of fewer elements stay as they are.
const LARGE: usize = 1 << 14;

/// Columns of fewer elements than this are not cut into parts that threads could share.
const FEW_COLUMNS: usize = 64;

/// Products of matrices are split into parts with sums of at least this length.
const PART_DEPTH: usize = 1024;
/// The most parts of a sum.
const MOST_PARTS: usize = 16;
/// Products of matrices with more elements than this are enough work for threads without.
const SMALL_RESULT: usize = 1 << 14;

/// Splits each large reduction over all axes, or to few columns, into one over all but the first, and one over the first;
/// and each long product of matrices with a small result into a sum of products.
pub fn split_reduce(graph: &Graph) -> Result<Graph, Error> {
    rebuild(graph, |builder, node, operands| match lowering(graph, node) {
        Lowering::Reduce { op, axes } if is_to_scalar(graph, node, &axes) => {
            let rows = rows_of(builder, operands[0])?;
            let columns = (1..builder.shape(rows).rank()).collect();
            let total = reduce_twice(builder, op, rows, columns)?;
            Ok(Some([total].into_iter().collect()))
        }
        Lowering::Reduce { op, axes } if is_to_few_columns(graph, node, &axes) => {
            let total = reduce_twice(builder, op, operands[0], axes[1..].into())?;
            Ok(Some([total].into_iter().collect()))
        }
        Lowering::Contract(_) => {
            let Op::MatMul(product) = &node.op else { return Ok(None) };
            let Some(parts) = parts(graph, node, product) else { return Ok(None) };
            let left = in_parts(builder, operands[0], parts, product.transpose_left)?;
            let right = in_parts(builder, operands[1], parts, !product.transpose_right)?;
            let products = builder.op(product.clone(), &[left, right])?;
            let total = builder.reduce_sum(products, &[0], false)?;
            Ok(Some([total].into_iter().collect()))
        }
        _ => Ok(None),
    })
}

/// A reduction of some axes, then one of the first axis, which is not among them.
fn reduce_twice(
    builder: &mut Builder,
    op: ReduceOp,
    x: Value,
    axes: SmallVec<[usize; 4]>,
) -> Result<Value, Error> {
    let partial = builder.op(Op::from(Reduce { op, axes }), &[x])?;
    builder.op(Op::from(Reduce { op, axes: SmallVec::from_elem(0, 1) }), &[partial])
}

/// Whether a large reduction leaves one element, and there are rows to be shared.
fn is_to_scalar(graph: &Graph, node: &Node, axes: &[usize]) -> bool {
    let shape = &graph.ty(node.operands[0]).shape;
    let has_all_axes = axes.len() == shape.rank();
    has_all_axes && shape.elements() >= LARGE && rows(shape).is_some_and(|rows| rows > 1)
}

/// Whether a large reduction of the first axis and others leaves few elements.
fn is_to_few_columns(graph: &Graph, node: &Node, axes: &[usize]) -> bool {
    let shape = &graph.ty(node.operands[0]).shape;
    let columns = node.results[0].shape.elements();
    let rows = axes.iter().skip(1).map(|&axis| shape[axis]).product::<usize>();
    let has_parts = axes.first() == Some(&0) && shape[0] > 1 && rows > 1;
    has_parts && (2..FEW_COLUMNS).contains(&columns) && shape.elements() >= LARGE
}

/// Into how many parts the sums of a product of two matrices are cut; `None` where they stay whole.
fn parts(graph: &Graph, node: &Node, product: &MatMul) -> Option<usize> {
    let (left, result) = (&graph.ty(node.operands[0]).shape, &node.results[0].shape);
    if left.rank() != 2 || result.elements() > SMALL_RESULT {
        return None;
    }
    let depth = left[if product.transpose_left { 0 } else { 1 }];
    (2..=MOST_PARTS.min(depth / PART_DEPTH)).rev().find(|parts| depth.is_multiple_of(*parts))
}

/// A matrix as a batch of parts along the axis that is summed over, its first or its last.
fn in_parts(builder: &mut Builder, x: Value, parts: usize, sums_over_first: bool) -> Result<Value, Error> {
    let shape = builder.shape(x).clone();
    if sums_over_first {
        return builder.reshape(x, [parts, shape[0] / parts, shape[1]]);
    }
    let cut = builder.reshape(x, [shape[0], parts, shape[1] / parts])?;
    builder.transpose(cut, &[1, 0, 2])
}

/// The number of rows into which a tensor is cut: its first extent, or a divisor of its only one.
fn rows(shape: &Shape) -> Option<usize> {
    match shape.len() {
        0 => None,
        1 => (2..=64).rev().find(|rows| shape[0].is_multiple_of(*rows)),
        _ => Some(shape[0]),
    }
}

/// A tensor as rows.
fn rows_of(builder: &mut Builder, x: Value) -> Result<Value, Error> {
    let shape = builder.shape(x).clone();
    match rows(&shape) {
        Some(rows) if shape.rank() == 1 => builder.reshape(x, [rows, shape[0] / rows]),
        _ => Ok(x),
    }
}
