//! Where operands come from: views composed with each other, and the alignment of shapes with a loop domain.
//!
//! Passes `fuse` and `lower` share this. A *domain* is the shape that a kernel loops over; axes of extent 1 need no
//! loop, so `[128, 1]` and `[128]` are the same to a domain.

use ir::{Affine, AxisId, Graph, Lowering, Node, Shape, Types, Value, VectorProgram, View};
use smallvec::SmallVec;

/// For each axis of a value, the axis of the domain that it runs along; `None` for extents of 1.
pub type AxisMap = SmallVec<[Option<usize>; 4]>;

/// The view that is the operand itself.
pub fn identity(rank: usize) -> View {
    View { indices: (0..rank as u32).map(|axis| Affine::axis(AxisId(axis))).collect(), fill: None }
}

/// What `outer` reads of a value of shape `between` that `inner` makes of its operand of shape `below`, as one view of that
/// operand; `None` where the bounds of the value in between would be lost.
pub fn compose(inner: &View, outer: &View, below: &Shape, between: &Shape) -> Option<View> {
    if outer.fill.is_some() && !(inner.fill.is_none() && keeps_bounds(inner, outer, below, between)) {
        return None;
    }
    let through = |index: &Affine| index.substitute(|axis| outer.indices[axis.0 as usize].clone());
    Some(View { indices: inner.indices.iter().map(through).collect(), fill: outer.fill.or(inner.fill) })
}

/// Whether an index of `outer` that is outside of the value in between is outside of what is below, too: each axis in between
/// is one below, or has an extent of 1 and is read at 0.
fn keeps_bounds(inner: &View, outer: &View, below: &Shape, between: &Shape) -> bool {
    let axis_of = |index: &Affine| match (index.terms(), index.offset()) {
        (&[(axis, 1)], 0) => Some(axis.0 as usize),
        _ => None,
    };
    let mut is_kept: Vec<bool> = outer
        .indices
        .iter()
        .zip(between.iter())
        .map(|(at, &n)| n == 1 && *at == Affine::constant(0))
        .collect();
    let mut is_plain = |(index, &extent): (&Affine, &usize)| match axis_of(index) {
        Some(axis) if between[axis] == extent => {
            is_kept[axis] = true;
            true
        }
        _ => index.terms().is_empty(),
    };
    let is_below = inner.indices.iter().zip(below.iter()).all(&mut is_plain);
    is_below && is_kept.iter().all(|&kept| kept)
}

/// How a node is computed.
pub fn lowering(graph: &Graph, node: &Node) -> Lowering {
    let operands: SmallVec<[&ir::Type; 3]> = node.operands.iter().map(|&operand| graph.ty(operand)).collect();
    node.op.lower(&operands, &node.results)
}

/// The view that result `result` of a node is of its operand: of views, and of reshapes that only add or remove axes
/// of extent 1.
pub fn as_view(graph: &Graph, node: &Node, result: u32) -> Option<View> {
    match lowering(graph, node) {
        Lowering::View(mut views) => Some(views.swap_remove(result as usize)),
        Lowering::Alias => squeeze(graph.ty(node.operands[0]), &node.results),
        _ => None,
    }
}

/// A reshape as a view, where it only adds or removes axes of extent 1.
fn squeeze(from: &ir::Type, results: &Types) -> Option<View> {
    let to = &results[0].shape;
    let all: Vec<usize> = (0..to.rank()).collect();
    let map = align(&from.shape, to, &all)?;
    let index =
        |axis: &Option<usize>| axis.map_or(Affine::constant(0), |axis| Affine::axis(AxisId(axis as u32)));
    Some(View { indices: map.iter().map(index).collect(), fill: None })
}

/// The axes of `domain` (among `axes`) along which a value of `shape` runs: its extents other than 1 must be theirs,
/// in order.
pub fn align(shape: &Shape, domain: &Shape, axes: &[usize]) -> Option<AxisMap> {
    let mut looped = axes.iter().copied().filter(|&axis| domain[axis] != 1);
    let mut map = AxisMap::new();
    for &extent in shape.iter() {
        map.push(match extent {
            1 => None,
            _ => Some(looped.next().filter(|&axis| domain[axis] == extent)?),
        });
    }
    looped.next().is_none().then_some(map)
}

/// Whether a value that runs along `base` of the domain, read through `view` by something that runs along `user`, is
/// read at the very iteration that computes it.
pub fn is_aligned(view: &View, base: &AxisMap, user: &AxisMap) -> bool {
    let same = |index: &Affine, axis: &Option<usize>| match (axis, index.terms(), index.offset()) {
        (None, _, _) => true,
        (Some(_), &[(at, 1)], 0) => user[at.0 as usize] == *axis,
        _ => false,
    };
    view.fill.is_none() && view.indices.iter().zip(base).all(|(index, axis)| same(index, axis))
}

/// How much work an elementwise node is per element: the number of primitives of its vector program.
pub fn work(graph: &Graph, node: &Node) -> usize {
    let Lowering::Apply(function) = lowering(graph, node) else { return 0 };
    let mut program = VectorProgram::new();
    let dtypes = node.operands.iter().map(|&operand| graph.ty(operand).dtype);
    let operands: SmallVec<[_; 3]> =
        dtypes.enumerate().map(|(index, dtype)| program.argument(index as u32, dtype)).collect();
    let last = program.dtype(*operands.last().expect("functions have operands"));
    (function.row().expand)(&mut program, last, &operands);
    program.insts().len() - operands.len()
}

/// A value read through a view.
#[derive(Clone, Debug)]
pub struct Access {
    /// The value that is read.
    pub base: Value,
    /// Which of its elements, by the axes of the reader.
    pub view: View,
}

/// Follows views from `value`, read as it is, to the value that they are views of; `stop` says where to end.
pub fn resolve(graph: &Graph, value: Value, stop: impl Fn(Value) -> bool) -> Access {
    let mut access = Access { base: value, view: identity(graph.ty(value).shape.rank()) };
    while !stop(access.base) {
        let node = graph.node(access.base.node);
        let inner = as_view(graph, node, access.base.result);
        let Some(inner) = inner else { break };
        let (below, between) = (&graph.ty(node.operands[0]).shape, &graph.ty(access.base).shape);
        let Some(view) = compose(&inner, &access.view, below, between) else { break };
        access = Access { base: node.operands[0], view };
    }
    access
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::Scalar;

    #[test]
    fn shapes_align_by_their_extents_other_than_one() {
        let domain = Shape::from([5, 1, 7]);
        assert_eq!(
            align(&Shape::from([5, 7]), &domain, &[0, 1, 2]),
            Some(AxisMap::from_slice(&[Some(0), Some(2)]))
        );
        assert_eq!(align(&Shape::from([5, 1]), &domain, &[0]), Some(AxisMap::from_slice(&[Some(0), None])));
        assert_eq!(align(&Shape::from([7, 5]), &domain, &[0, 1, 2]), None);
        assert_eq!(align(&Shape::from([5]), &domain, &[0, 1, 2]), None);
    }

    #[test]
    fn a_padded_slice_keeps_the_bounds_of_the_slice() {
        let index = |shift| SmallVec::from_elem(Affine::axis(AxisId(0)).shifted(shift), 1);
        let slice = View { indices: index(2), fill: None };
        let first = View { indices: index(0), fill: None };
        let pad = View { indices: index(-1), fill: Some(Scalar::F32(0.0)) };
        let [long, short] = [Shape::from([7]), Shape::from([3])];
        assert_eq!(compose(&slice, &pad, &long, &short), None);
        assert_eq!(compose(&first, &pad, &long, &short), None);
        assert!(compose(&pad, &slice, &short, &long).is_some());
        assert_eq!(compose(&identity(1), &pad, &long, &long), Some(pad));
    }
}
