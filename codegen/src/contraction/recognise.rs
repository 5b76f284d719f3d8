//! Which nests are contractions: a loop over the result, a sum of products of two loads in it, and an epilogue.

use ir::{AxisId, DType, ReduceOp, ScalarFn, Var};

use crate::nest::{Compute, Nest, Node, Place};
use crate::schedule::has_loops;

/// A nest that is a contraction: `sum[batch.., i, j] = sum over k of left[.., i, k] * right[.., k, j]`, then an epilogue
/// that uses the sum. `j` runs along the result in memory; a missing axis has an extent of 1.
#[derive(Clone, Debug)]
pub struct Contraction<'a> {
    /// What runs before the loop.
    pub prelude: &'a [Node],
    /// Axes of both operands, or of neither.
    pub batch: Vec<AxisId>,
    /// The axis of the left operand alone.
    pub row: Option<AxisId>,
    /// The axis of the right operand alone.
    pub column: AxisId,
    /// The axis that is summed over.
    pub depth: AxisId,
    /// The operand with rows.
    pub left: &'a Place,
    /// The operand with columns.
    pub right: &'a Place,
    /// The sum.
    pub sum: Var,
    /// What follows from it.
    pub epilogue: Vec<Node>,
}

/// The contraction that a nest is, if it is one.
pub fn recognise(nest: &Nest) -> Option<Contraction<'_>> {
    let (last, prelude) = nest.body.split_last()?;
    let Node::For { axes, sequential: false, body } = last else { return None };
    if has_loops(prelude) {
        return None;
    }
    let at = body.iter().position(|node| matches!(node, Node::Reduce { .. }))?;
    let Node::Reduce { axes: reduced, accumulators, body: product } = &body[at] else { return None };
    let ([depth], [accumulator]) = (reduced.as_slice(), accumulators.as_slice()) else { return None };
    let (x, y) = product_of(nest, product, accumulator.value)?;
    let is_sum = accumulator.op == ReduceOp::Add && nest.dtype(accumulator.result) == DType::F32;
    if !is_sum || has_loops(&body[..at]) || has_loops(&body[at + 1..]) {
        return None;
    }
    let epilogue: Vec<Node> = body[..at].iter().chain(&body[at + 1..]).cloned().collect();
    let column = axes.iter().copied().find(|&axis| runs_along(&epilogue, axis))?;
    let uses = |place: &Place, axis: AxisId| place.offset.coefficient(axis) != 0;
    let (left, right) = if uses(y, column) { (x, y) } else { (y, x) };
    if uses(left, column) || !uses(right, column) || !uses(left, *depth) || !uses(right, *depth) {
        return None;
    }
    let rows: Vec<AxisId> =
        axes.iter().copied().filter(|&axis| uses(left, axis) && !uses(right, axis)).collect();
    let row = rows.last().copied();
    let batch = axes.iter().copied().filter(|&axis| axis != column && Some(axis) != row).collect();
    Some(Contraction {
        prelude,
        batch,
        row,
        column,
        depth: *depth,
        left,
        right,
        sum: accumulator.result,
        epilogue,
    })
}

/// The two loads whose product the body of a reduction yields, where there is nothing else in it.
fn product_of<'a>(nest: &Nest, body: &'a [Node], value: Var) -> Option<(&'a Place, &'a Place)> {
    let [
        Node::Let { var: a, value: x },
        Node::Let { var: b, value: y },
        Node::Let { var: product, value: apply },
    ] = body
    else {
        return None;
    };
    let (Compute::Load { place: x, .. }, Compute::Load { place: y, .. }) = (x, y) else { return None };
    let Compute::Apply { function: ScalarFn::Mul, operands } = apply else { return None };
    let is_plain = |place: &Place| {
        let dtype = nest.buffers[place.buffer.0 as usize].ty.dtype;
        place.picks.is_empty() && place.bounds.is_empty() && dtype == DType::F32
    };
    let is_product = *product == value && operands.as_slice() == [*a, *b];
    (is_product && is_plain(x) && is_plain(y)).then_some((x, y))
}

/// Whether every store steps through memory one by one along an axis.
fn runs_along(nodes: &[Node], axis: AxisId) -> bool {
    let mut stores = 0;
    let mut others = 0;
    Nest::accesses(nodes, &mut |place, is_store| {
        if is_store {
            stores += 1;
            others += usize::from(place.offset.coefficient(axis) != 1);
        }
    });
    stores > 0 && others == 0
}
