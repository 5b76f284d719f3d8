//! The loops over the depth, and which of their steps an element takes part in: what lies outside of an operand is 0 and
//! adds nothing, so it is left out.
//!
//! A bound of a convolution concerns one axis of the depth. Where the other axes in it are loops around the tile (the row
//! of the image), it limits how often the loop runs. Where the rows of the tile are in it (the column of the image), it says
//! for each step which rows the step is for.

use std::ops::Range;

use ir::{Affine, AxisId};

use super::recognise::Contraction;
use crate::nest::{Bound, Nest};
use crate::wide::tile::depth::MOST_TAPS;

/// A loop over the depth.
#[derive(Clone, Debug)]
pub struct DepthLoop {
    /// Its axis; `None` for a loop of one step that stands for bounds in which there is no depth.
    pub axis: Option<AxisId>,
    /// Its steps, those outside of the operands included.
    pub extent: usize,
    /// The bounds of the left operand that limit it.
    pub left_limits: Vec<Bound>,
    /// The bounds of the right operand that limit it.
    pub right_limits: Vec<Bound>,
    /// The bounds in which there are rows of the tile.
    pub row_limits: Vec<Bound>,
}

impl DepthLoop {
    /// Whether some steps may be left out for all rows.
    pub fn is_limited(&self) -> bool {
        !self.left_limits.is_empty() || !self.right_limits.is_empty()
    }

    /// The rows of `first .. first + rows` that step `step` is for, counted from `first`.
    pub fn rows_of_step(&self, row: Option<AxisId>, step: usize, first: usize, rows: usize) -> Range<usize> {
        let is_inside = |at: &usize| {
            self.row_limits.iter().all(|bound| {
                let index = bound
                    .index
                    .evaluate(|axis| if Some(axis) == row { (first + at) as i64 } else { step as i64 });
                (0..bound.extent as i64).contains(&index)
            })
        };
        let start = (0..rows).find(is_inside).unwrap_or(rows);
        let end = (start..rows).find(|at| !is_inside(at)).unwrap_or(rows);
        start..end
    }
}

/// The loops over the depth, outermost first; `None` where a bound is of another kind.
pub fn depth_loops(nest: &Nest, contraction: &Contraction<'_>) -> Option<Vec<DepthLoop>> {
    let empty = |axis: Option<AxisId>| DepthLoop {
        axis,
        extent: axis.map_or(1, |axis| nest.extent(axis)),
        left_limits: Vec::new(),
        right_limits: Vec::new(),
        row_limits: Vec::new(),
    };
    let mut outside = empty(None);
    let mut loops: Vec<DepthLoop> = contraction.depth.iter().map(|&axis| empty(Some(axis))).collect();
    let bounds = |is_left: bool| {
        let place = if is_left { contraction.left } else { contraction.right };
        place.bounds.iter().map(move |bound| (is_left, bound))
    };
    for (is_left, bound) in bounds(true).chain(bounds(false)) {
        let uses = |axis: AxisId| bound.index.coefficient(axis) != 0;
        let mut concerned: Vec<&mut DepthLoop> =
            loops.iter_mut().filter(|depth| depth.axis.is_some_and(uses)).collect();
        let depth = match concerned.as_mut_slice() {
            [] => &mut outside,
            [depth] => &mut **depth,
            _ => return None,
        };
        if bound.pick.is_some() || uses(contraction.column) {
            return None;
        }
        let is_of_row_and_depth = |axis: AxisId| Some(axis) == contraction.row || Some(axis) == depth.axis;
        match contraction.row.is_some_and(uses) {
            true if bound.index.terms().iter().all(|&(axis, _)| is_of_row_and_depth(axis)) => {
                depth.row_limits.push(bound.clone());
            }
            true => return None,
            false if is_left => depth.left_limits.push(bound.clone()),
            false => depth.right_limits.push(bound.clone()),
        }
    }
    let is_empty = !outside.is_limited() && outside.row_limits.is_empty();
    let loops: Vec<DepthLoop> = (!is_empty).then_some(outside).into_iter().chain(loops).collect();
    let has_few_taps = |depth: &DepthLoop| depth.row_limits.is_empty() || depth.extent <= MOST_TAPS;
    loops.iter().all(has_few_taps).then_some(loops)
}

/// `base + step * k`: the index of a bound, as the part without the depth and the step along it.
pub fn split(bound: &Bound, depth: Option<AxisId>) -> (Affine, i64) {
    let base = bound
        .index
        .substitute(|axis| if Some(axis) == depth { Affine::constant(0) } else { Affine::axis(axis) });
    (base, depth.map_or(0, |axis| bound.index.coefficient(axis)))
}
