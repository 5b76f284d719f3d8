//! Which nests are contractions: a loop over the result, a sum of products of two loads in it, and an epilogue.

use ir::{AxisId, DType, ReduceOp, Scalar, ScalarFn, StoreMode, Var};

use crate::nest::{Compute, Nest, Node, Place};
use crate::schedule::has_loops;

/// A nest that is a contraction: `sum[.., i, j] = sum over k.. of left[.., i, k..] * right[.., k.., j]`, then an epilogue
/// that uses the sum. `j` runs along the result in memory; a missing axis has an extent of 1. What a load reads outside of
/// its operand is 0.
#[derive(Clone, Debug)]
pub struct Contraction<'a> {
    /// What runs before the loop.
    pub prelude: &'a [Node],
    /// Axes of both operands, of neither, or of the right one beside the columns.
    pub batch: Vec<AxisId>,
    /// Axes of the left operand alone, beside the rows.
    pub lines: Vec<AxisId>,
    /// The innermost axis of the left operand alone.
    pub row: Option<AxisId>,
    /// The axis of the right operand alone along which the result is contiguous.
    pub column: AxisId,
    /// The axes that are summed over, in the order of the sum: from long steps through the left operand to short ones.
    pub depth: Vec<AxisId>,
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
    let [accumulator] = accumulators.as_slice() else { return None };
    let (x, y) = product_of(nest, product, accumulator.value)?;
    let is_sum = accumulator.op == ReduceOp::Add && nest.dtype(accumulator.result) == DType::F32;
    if !is_sum || has_loops(&body[..at]) || has_loops(&body[at + 1..]) {
        return None;
    }
    let epilogue: Vec<Node> = body[..at].iter().chain(&body[at + 1..]).cloned().collect();
    // An addition to what is in memory never runs on lanes.
    if epilogue.iter().any(|node| matches!(node, Node::Store { mode: StoreMode::Add, .. })) {
        return None;
    }
    let column = axes.iter().copied().find(|&axis| runs_along(&epilogue, axis))?;
    let (left, right) = if uses(y, column) { (x, y) } else { (y, x) };
    let is_in_both = |&axis: &AxisId| uses(left, axis) && uses(right, axis);
    if uses(left, column) || !uses(right, column) || !reduced.iter().all(is_in_both) {
        return None;
    }
    let is_left_alone = |&axis: &AxisId| uses(left, axis) && !uses(right, axis);
    let mut lines: Vec<AxisId> = axes.iter().copied().filter(is_left_alone).collect();
    let row = lines.pop();
    let batch = axes.iter().copied().filter(|axis| *axis != column && !is_left_alone(axis)).collect();
    let mut depth = reduced.to_vec();
    depth.sort_by_key(|&axis| std::cmp::Reverse(left.offset.coefficient(axis).abs()));
    Some(Contraction {
        prelude,
        batch,
        lines,
        row,
        column,
        depth,
        left,
        right,
        sum: accumulator.result,
        epilogue,
    })
}

/// Whether an axis decides which element is read.
fn uses(place: &Place, axis: AxisId) -> bool {
    place.offset.coefficient(axis) != 0 || place.bounds.iter().any(|bound| bound.index.coefficient(axis) != 0)
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
    let (Compute::Load { place: x, fill: x_fill }, Compute::Load { place: y, fill: y_fill }) = (x, y) else {
        return None;
    };
    let Compute::Apply { function: ScalarFn::Mul, operands } = apply else { return None };
    let is_plain = |place: &Place, fill: &Option<Scalar>| {
        let dtype = nest.element(place);
        let is_zero = place.bounds.is_empty() || *fill == Some(Scalar::F32(0.0));
        place.picks.is_empty() && is_zero && dtype == DType::F32
    };
    let is_product = *product == value && operands.as_slice() == [*a, *b];
    (is_product && is_plain(x, x_fill) && is_plain(y, y_fill)).then_some((x, y))
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
