//! Which statements can run along an axis as a strip, and what differs along it.

use std::collections::BTreeSet;

use ir::{
    Accumulator, Affine, AxisId, BufferId, DType, ScalarFn, StoreMode, Var, VectorProgram, VectorValue,
};
use smallvec::SmallVec;

use crate::nest::{Compute, Nest, Node, Place};
use crate::schedule::has_loops;
use crate::wide::function::{MAX_POINTERS, MAX_TILE_POINTERS};

/// Displacements are below this, in bytes.
pub const FARTHEST: i64 = 1 << 30;
/// Loops of at most so many rounds are straight-line code in a strip.
pub const MOST_UNROLLED: usize = 16;

/// Statements along an axis, as far as they have been checked.
pub struct Run<'a> {
    nest: &'a Nest,
    axis: AxisId,
    /// The variables that differ along the axis.
    varying: BTreeSet<Var>,
    /// The buffers that are written along the run.
    written: BTreeSet<BufferId>,
    /// Where pointers start.
    pointers: BTreeSet<(BufferId, Vec<(AxisId, i64)>)>,
    /// The loads that bounds decide of, each of which has a pointer of its own.
    bounded: usize,
}

/// Whether statements can run along an axis as a strip.
pub fn is_strip(nest: &Nest, axis: AxisId, nodes: &[Node], accumulators: &[Accumulator]) -> bool {
    let mut run = Run::new(nest, axis, nodes);
    nodes.iter().all(|node| run.admits(node))
        && run.pointers() <= MAX_POINTERS
        && accumulators.iter().all(|accumulator| is_number(nest.dtype(accumulator.value)))
}

/// Whether what follows from the sum of a contraction can run on the registers of its tiles.
pub fn is_epilogue(nest: &Nest, column: AxisId, row: Option<AxisId>, sum: Var, nodes: &[Node]) -> bool {
    let mut fits = true;
    // What differs from row to row is loaded as it is; there are no indices of rows.
    let varies = |affine: &Affine| row.is_some_and(|row| affine.coefficient(row) != 0);
    Nest::indices(nodes, &mut |affine| fits &= !varies(affine) && affine.coefficient(column) == 0);
    Nest::accesses(nodes, &mut |place, _| {
        fits &= !varies(&place.offset) || (place.picks.is_empty() && place.bounds.is_empty());
        let is_repeated = place.offset.coefficient(column) == 0;
        let dtype = nest.element(place);
        fits &= !varies(&place.offset) || if is_repeated { is_number(dtype) } else { is_stored(dtype) };
    });
    let mut run = Run::new(nest, column, nodes);
    run.add(sum);
    for node in nodes {
        fits &= run.admits(node);
        if let Node::Let { var, value: Compute::Load { place, .. } } = node
            && varies(&place.offset)
        {
            run.add_rows(*var, place);
        }
    }
    fits && run.pointers() <= MAX_TILE_POINTERS
}

/// Whether a strip loads and stores elements of a dtype.
fn is_stored(dtype: DType) -> bool {
    is_number(dtype) || dtype == DType::Bool
}

/// Whether a dtype is that of numbers in lanes of 32 bits.
fn is_number(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::I32)
}

/// Whether a function computes with lanes of 32 bits throughout.
pub fn is_wide_function(function: ScalarFn, dtypes: impl Iterator<Item = DType>) -> bool {
    let mut program = VectorProgram::new();
    let operands: SmallVec<[VectorValue; 3]> =
        dtypes.enumerate().map(|(number, dtype)| program.argument(number as u32, dtype)).collect();
    let dtype = program.dtype(*operands.last().expect("functions have operands"));
    (function.row().expand)(&mut program, dtype, &operands);
    program.insts().iter().all(|inst| matches!(inst.dtype, DType::F32 | DType::I32 | DType::Bool))
}

/// The rounds of a loop.
pub fn rounds(nest: &Nest, axes: &[AxisId]) -> usize {
    axes.iter().map(|&axis| nest.extent(axis)).product()
}

/// The rounds of a loop one after the other: the index of each axis.
pub fn points(nest: &Nest, axes: &[AxisId]) -> Vec<SmallVec<[(AxisId, i64); 2]>> {
    let point = |round: usize| {
        let mut rest = round;
        let mut at: SmallVec<[(AxisId, i64); 2]> = SmallVec::new();
        for &axis in axes.iter().rev() {
            at.push((axis, (rest % nest.extent(axis)) as i64));
            rest /= nest.extent(axis);
        }
        at
    };
    (0..rounds(nest, axes)).map(point).collect()
}

impl<'a> Run<'a> {
    /// A run along an axis in which these statements, and none else, write.
    pub fn new(nest: &'a Nest, axis: AxisId, nodes: &[Node]) -> Run<'a> {
        let mut written = BTreeSet::new();
        Nest::accesses(nodes, &mut |place, is_store| {
            if is_store {
                written.insert(place.buffer);
            }
        });
        Run { nest, axis, varying: BTreeSet::new(), written, pointers: BTreeSet::new(), bounded: 0 }
    }

    /// Takes note that a variable differs along the run.
    pub fn add(&mut self, var: Var) {
        self.varying.insert(var);
    }

    /// Takes note that a variable is an element which differs from row to row, and so has a pointer and a place in registers.
    fn add_rows(&mut self, var: Var, place: &Place) {
        self.varying.insert(var);
        self.pointers.insert((place.buffer, place.offset.terms().to_vec()));
    }

    /// Whether a variable differs along the run.
    pub fn varies(&self, var: Var) -> bool {
        self.varying.contains(&var)
    }

    /// The pointers that the statements so far need.
    pub fn pointers(&self) -> usize {
        self.pointers.len() + self.bounded
    }

    /// Forgets the pointers so far: what follows is a strip of its own.
    pub fn forget_pointers(&mut self) {
        self.pointers.clear();
        self.bounded = 0;
    }

    /// Whether a statement can be part of a strip, after those that have been admitted.
    pub fn admits(&mut self, node: &Node) -> bool {
        match node {
            Node::For { .. } => false,
            Node::Reduce { axes, accumulators, body } => {
                rounds(self.nest, axes) <= MOST_UNROLLED && self.admits_reduction(axes, accumulators, body)
            }
            Node::Let { var, value } => self.admits_let(*var, value),
            Node::Store { place, mode, .. } => {
                *mode == StoreMode::Set
                    && place.offset.coefficient(self.axis) == 1
                    && place.picks.is_empty()
                    && self.admits_place(place)
            }
        }
    }

    /// Whether the rounds of a reduction can be straight-line code.
    pub fn admits_reduction(&mut self, axes: &[AxisId], accumulators: &[Accumulator], body: &[Node]) -> bool {
        let before = self.bounded;
        let fits = !has_loops(body) && self.admits_rows(accumulators, body);
        self.bounded += (self.bounded - before) * (rounds(self.nest, axes).min(MOST_UNROLLED) - 1);
        let mut is_near = true;
        Nest::accesses(body, &mut |place, is_store| {
            let size = self.size_bytes(place);
            let reach = axes.iter().map(|&axis| place.offset.coefficient(axis).abs() * size);
            is_near &= !is_store && reach.sum::<i64>() * (MOST_UNROLLED as i64) < FARTHEST;
        });
        fits && is_near
    }

    /// Whether the body of a loop, once, can be part of a strip, with what its accumulators combine. Reductions of few
    /// rounds may be in it.
    pub fn admits_rows(&mut self, accumulators: &[Accumulator], body: &[Node]) -> bool {
        let fits = body.iter().all(|node| self.admits(node))
            && accumulators.iter().all(|accumulator| {
                let dtype = self.nest.dtype(accumulator.value);
                is_number(dtype) && is_wide_function(accumulator.op.function(), [dtype; 2].into_iter())
            });
        self.varying.extend(accumulators.iter().map(|accumulator| accumulator.result));
        fits
    }

    fn admits_let(&mut self, var: Var, value: &Compute) -> bool {
        let (fits, varies) = match value {
            Compute::Constant(_) => (true, false),
            Compute::Index(affine) => {
                let varies = affine.coefficient(self.axis) != 0;
                // Other indices that vary would each take a register.
                let fits = *affine == Affine::axis(self.axis) && is_number(self.nest.dtype(var));
                (!varies || fits, varies)
            }
            Compute::Load { place, .. } => match place.offset.coefficient(self.axis) {
                0 => (!self.checks_vary(place) && !self.written.contains(&place.buffer), false),
                1 if place.bounds.is_empty() => (place.picks.is_empty() && self.admits_place(place), true),
                1 => (self.admits_bounded(place), true),
                _ => (false, true),
            },
            Compute::Apply { function, operands } => {
                let varies = operands.iter().any(|&operand| self.varies(operand));
                let dtypes = operands.iter().map(|&operand| self.nest.dtype(operand));
                (!varies || is_wide_function(*function, dtypes), varies)
            }
        };
        if varies {
            self.varying.insert(var);
        }
        fits
    }

    /// Whether elements along the run can be read from, or written to, a pointer and a displacement.
    fn admits_place(&mut self, place: &Place) -> bool {
        self.pointers.insert((place.buffer, place.offset.terms().to_vec()));
        let is_near = place.offset.offset().abs() < FARTHEST / self.size_bytes(place);
        is_near && is_stored(self.nest.element(place))
    }

    /// Whether elements along the run are all inside of the bounds or all outside, and can be read from a pointer that is
    /// at the start of the buffer in the second case.
    fn admits_bounded(&mut self, place: &Place) -> bool {
        self.bounded += 1;
        let ty = &self.nest.buffers[place.buffer.0 as usize].ty;
        let has_picks = !place.picks.is_empty() || place.bounds.iter().any(|bound| bound.pick.is_some());
        !has_picks
            && !self.checks_vary(place)
            && !self.written.contains(&place.buffer)
            && is_stored(ty.dtype)
            && ty.shape.elements() > 0
    }

    fn checks_vary(&self, place: &Place) -> bool {
        let picks = place.picks.iter().any(|&(pick, _)| self.varies(pick));
        let bounds = place.bounds.iter().any(|bound| {
            bound.index.coefficient(self.axis) != 0 || bound.pick.is_some_and(|pick| self.varies(pick))
        });
        picks || bounds
    }

    fn size_bytes(&self, place: &Place) -> i64 {
        self.nest.element(place).size_bytes() as i64
    }
}
