//! How a nest runs: which axis is on the lanes of vectors, how many lanes there are, and how the outermost loop is cut
//! into chunks.
//!
//! The cost model counts, per kernel, memory accesses and primitives: a quarter for what runs on four lanes, more than
//! one where lanes must be gathered one by one. The cheapest axis wins.

use ir::{AxisId, StoreMode, VectorProgram};

use crate::emit::cuts;
use crate::nest::{Compute, Nest, Node, Place, is_local};

/// Which loops run on vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lanes {
    /// None.
    Scalar,
    /// An axis of the outermost `for`: everything inside of it runs on lanes.
    Outer(AxisId),
    /// The last axis of each innermost loop.
    Inner,
}

/// How a top-level loop runs.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Which loops run on vectors.
    pub lanes: Lanes,
    /// The number of lanes of the main loop; the rest runs on 4 and on 1.
    pub width: usize,
}

/// Gathering a lane costs more than a scalar access; a bounds check per lane more still.
const GATHER: f64 = 1.3;
const CHECKED: f64 = 4.0;
/// Kernels with more primitives than this per element use one register per value.
const HEAVY: f64 = 24.0;

/// The best schedule of a top-level node.
pub fn schedule(nest: &Nest, node: &Node) -> Schedule {
    let Node::For { axes, sequential, body } = node else {
        return Schedule { lanes: Lanes::Scalar, width: 1 };
    };
    let body_has_loops = has_loops(body);
    let mut candidates = vec![Lanes::Scalar];
    if !sequential && !runs_one_by_one(body) {
        let has_locals = nest.buffers.iter().any(is_local);
        candidates.extend(axes.iter().filter(|_| !has_locals).map(|&axis| Lanes::Outer(axis)));
        if body_has_loops {
            candidates.push(Lanes::Inner);
        }
    }
    let costs = candidates.into_iter().map(|lanes| (cost(nest, node, lanes, None, 1.0), lanes));
    let best = costs.min_by(|a, b| a.0.total_cmp(&b.0)).expect("scalar code is always possible").1;
    let width = match best {
        Lanes::Scalar => 1,
        _ if primitives(nest, body) > HEAVY => 4,
        _ if primitives(nest, body) > HEAVY / 3.0 => 8,
        _ => 16,
    };
    Schedule { lanes: best, width }
}

/// Whether there is a loop among the nodes.
pub fn has_loops(nodes: &[Node]) -> bool {
    nodes.iter().any(|node| matches!(node, Node::For { .. } | Node::Reduce { .. }))
}

/// Whether there is something among the nodes that never runs on lanes: a loop whose iterations run in order, or an addition to
/// what is in memory.
fn runs_one_by_one(nodes: &[Node]) -> bool {
    nodes.iter().any(|node| match node {
        Node::For { sequential, body, .. } => *sequential || runs_one_by_one(body),
        Node::Reduce { body, .. } => runs_one_by_one(body),
        Node::Store { mode, .. } => *mode == StoreMode::Add,
        Node::Let { .. } => false,
    })
}

/// The cost of `times` runs of a node.
fn cost(nest: &Nest, node: &Node, lanes: Lanes, vector: Option<AxisId>, times: f64) -> f64 {
    match node {
        Node::For { axes, body, .. } | Node::Reduce { axes, body, .. } => {
            let trips: f64 = axes.iter().map(|&axis| nest.extent(axis) as f64).product();
            let vector = vector.or(match lanes {
                Lanes::Outer(axis) => axes.contains(&axis).then_some(axis),
                Lanes::Inner if !has_loops(body) => axes.last().copied(),
                _ => None,
            });
            body.iter().map(|node| cost(nest, node, lanes, vector, times * trips)).sum()
        }
        Node::Let { value: Compute::Load { place, .. }, .. } | Node::Store { place, .. } => {
            let is_cut = matches!(lanes, Lanes::Outer(_));
            times * access_cost(nest, place, vector, is_cut)
        }
        Node::Let { value: Compute::Apply { .. }, .. } => times * work(nest, node) * share(nest, vector),
        Node::Let { .. } => 0.0,
    }
}

/// The part of the scalar cost that remains per element on lanes of an axis.
fn share(nest: &Nest, vector: Option<AxisId>) -> f64 {
    vector.map_or(1.0, |axis| {
        let extent = nest.extent(axis);
        (extent / 4 + extent % 4) as f64 / extent as f64
    })
}

/// The cost of an access. Where the loop on lanes is cut at bounds, those that decide by its index alone cost nothing.
fn access_cost(nest: &Nest, place: &Place, vector: Option<AxisId>, is_cut: bool) -> f64 {
    let Some(axis) = vector else { return 1.0 };
    let is_checked = !place.picks.is_empty()
        || (place.bounds.iter())
            .any(|bound| bound.index.coefficient(axis) != 0 && !(is_cut && cuts::is_along(bound, axis)));
    match place.offset.coefficient(axis) {
        _ if is_checked => CHECKED,
        0 => share(nest, vector) / 2.0,
        1 => share(nest, vector),
        _ => GATHER,
    }
}

/// The number of primitives that a node computes.
fn work(nest: &Nest, node: &Node) -> f64 {
    let Node::Let { value: Compute::Apply { function, operands }, .. } = node else { return 0.0 };
    let mut program = VectorProgram::new();
    let operands: Vec<_> =
        operands.iter().enumerate().map(|(i, &var)| program.argument(i as u32, nest.dtype(var))).collect();
    let dtype = program.dtype(*operands.last().expect("functions have operands"));
    (function.row().expand)(&mut program, dtype, &operands);
    (program.insts().len() - operands.len()) as f64
}

/// The number of primitives in the body of a loop, inner loops counted once.
pub fn primitives(nest: &Nest, nodes: &[Node]) -> f64 {
    let of = |node: &Node| match node {
        Node::For { body, .. } | Node::Reduce { body, .. } => primitives(nest, body),
        other => work(nest, other),
    };
    nodes.iter().map(of).sum()
}

/// The number of primitives and accesses that a node runs in all.
pub fn total_work(nest: &Nest, nodes: &[Node]) -> f64 {
    nodes.iter().map(|node| cost(nest, node, Lanes::Scalar, None, 1.0)).sum()
}

/// How many iterations of the outermost loop make a chunk: enough work to be worth a hand-off, at most 64 chunks.
/// Depends on the shape alone.
pub fn chunk_iterations(extent: usize, work: f64, multiple: usize) -> usize {
    const LEAST_WORK: f64 = 16384.0;
    const MOST_CHUNKS: usize = 64;
    let per_iteration = (work / extent.max(1) as f64).max(1e-9);
    let by_work = (LEAST_WORK / per_iteration).ceil().min(extent.max(1) as f64) as usize;
    by_work.max(extent.div_ceil(MOST_CHUNKS)).max(1).next_multiple_of(multiple)
}
