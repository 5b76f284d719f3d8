//! Loops on lanes in parts: where an access has bounds that the index along the lanes alone decides of (the padding of a
//! row of an image), they hold for all of a part or for none of it, and are gone from its body.

use ir::AxisId;
use smallvec::SmallVec;

use crate::nest::{Bound, Compute, Nest, Node};

/// Loops that would be in more parts than this stay whole.
const MOST_PARTS: usize = 8;

/// A part of a loop.
pub struct Part {
    /// Its first index.
    pub from: i64,
    /// The index after its last.
    pub to: i64,
    /// What it runs.
    pub body: Vec<Node>,
}

/// The parts of a loop over `from .. to`; none where no bounds are along it, or where there would be too many.
pub fn parts(axis: AxisId, (from, to): (i64, i64), body: &[Node]) -> Vec<Part> {
    let mut bounds: Vec<&Bound> = Vec::new();
    Nest::accesses(body, &mut |place, is_store| {
        if !is_store {
            bounds.extend(place.bounds.iter().filter(|bound| is_along(bound, axis)));
        }
    });
    if bounds.is_empty() {
        return Vec::new();
    }
    let holds = |at: i64| -> Vec<bool> { bounds.iter().map(|bound| holds(bound, axis, at)).collect() };
    let mut starts = vec![from];
    let mut here = holds(from);
    for at in from + 1..to {
        let next = holds(at);
        if next != here {
            starts.push(at);
            here = next;
        }
        if starts.len() > MOST_PARTS {
            return Vec::new();
        }
    }
    let ends = starts[1..].iter().copied().chain([to]);
    (starts.iter().zip(ends))
        .map(|(&from, to)| Part { from, to, body: without_bounds(body, axis, from) })
        .collect()
}

/// Whether the index along an axis alone decides of a bound.
pub fn is_along(bound: &Bound, axis: AxisId) -> bool {
    bound.pick.is_none() && matches!(bound.index.terms(), [(only, _)] if *only == axis)
}

fn holds(bound: &Bound, axis: AxisId, at: i64) -> bool {
    let index = bound.index.coefficient(axis) * at + bound.index.offset();
    (0..bound.extent as i64).contains(&index)
}

/// Statements at the index `at`, without the bounds of loads that it decides of; what is outside of them is a constant.
fn without_bounds(body: &[Node], axis: AxisId, at: i64) -> Vec<Node> {
    let mut body = body.to_vec();
    for node in &mut body {
        match node {
            Node::For { body, .. } | Node::Reduce { body, .. } => *body = without_bounds(body, axis, at),
            Node::Let { value, .. } => {
                let Compute::Load { place, fill: Some(fill) } = value else { continue };
                let bounds = std::mem::take(&mut place.bounds);
                let (known, open): (SmallVec<[Bound; 1]>, _) =
                    bounds.into_iter().partition(|bound| is_along(bound, axis));
                place.bounds = open;
                if !known.iter().all(|bound| holds(bound, axis, at)) {
                    *value = Compute::Constant(*fill);
                }
            }
            Node::Store { .. } => {}
        }
    }
    body
}
