//! Rules for reductions. Those of sums of floats are in [`super::rounding`].

use ir::ops::{Elementwise, Reduce, Reshape};
use ir::{Op, ReduceOp, Scalar, ScalarFn, Shape, Value};
use smallvec::SmallVec;

use super::{Expr, Match, Rule, broadcast, op, splat};

/// The family.
pub const RULES: &[Rule] = &[
    Rule {
        name: "reduce_of_nothing",
        formula: "reduce(x) = reshape(x) where the reduced extents are 1",
        apply: |m| keeps_bits(m).then(|| of_nothing(m)).flatten(),
    },
    Rule {
        name: "reduce_of_broadcast",
        formula: "max(broadcast(x)) = max(x); so min; sum(broadcast(x)) = n * sum(x) (integers)",
        apply: |m| keeps_bits(m).then(|| of_repeated(m)).flatten(),
    },
];

/// Whether the rules of this family keep all bits: integers wrap, and extremes do not round.
fn keeps_bits(m: &Match<'_>) -> bool {
    let is_sum = matches!(m.node.op, Op::Reduce(Reduce { op: ReduceOp::Add, .. }));
    !(is_sum && m.result().dtype.is_float())
}

/// A reduction of one element each, as a reshape.
pub fn of_nothing(m: &Match<'_>) -> Option<Expr> {
    let Op::Reduce(Reduce { axes, .. }) = &m.node.op else { return None };
    let shape = m.shape(m.operand(0));
    let is_copy = axes.iter().all(|&axis| shape[axis] == 1);
    is_copy.then(|| reshaped(m.operand(0).into(), shape, &m.result().shape))
}

/// A reduction of what was repeated, as one of what was not.
pub fn of_repeated(m: &Match<'_>) -> Option<Expr> {
    let Op::Reduce(Reduce { op: reduction, axes }) = &m.node.op else { return None };
    let wide = m.operand(0);
    let source = m.broadcast_source(wide)?;
    let repeated = repetitions(m, source, wide, axes);
    if repeated < 2 || *reduction == ReduceOp::Mul {
        return None;
    }
    let narrow = m.shape(source);
    let added = m.shape(wide).rank() - narrow.rank();
    let own_axes: SmallVec<[usize; 4]> = axes.iter().filter_map(|axis| axis.checked_sub(added)).collect();
    let shape: Shape =
        (0..narrow.rank()).filter(|axis| !own_axes.contains(axis)).map(|axis| narrow[axis]).collect();
    let is_view = own_axes.iter().all(|&axis| narrow[axis] == 1);
    let reduced = if is_view {
        reshaped(source.into(), narrow, &shape)
    } else {
        op(Reduce { op: *reduction, axes: own_axes }, [source.into()])
    };
    let scaled = match reduction {
        ReduceOp::Add => {
            let count = splat(Scalar::from_i64(m.result().dtype, repeated as i64), &shape);
            op(Elementwise { function: ScalarFn::Mul }, [reduced, count])
        }
        _ => reduced,
    };
    Some(broadcast(scaled, &shape, &m.result().shape))
}

/// How often each element of `source` occurs in `wide`, its broadcast, along `axes` of that.
fn repetitions(m: &Match<'_>, source: Value, wide: Value, axes: &[usize]) -> usize {
    let (narrow, wide) = (m.shape(source), m.shape(wide));
    let added = wide.rank() - narrow.rank();
    let is_repeated = |axis: usize| axis < added || narrow[axis - added] != wide[axis];
    axes.iter().filter(|&&axis| is_repeated(axis)).map(|&axis| wide[axis]).product()
}

/// `x`, which is of shape `from`, reshaped to `to`.
fn reshaped(x: Expr, from: &Shape, to: &Shape) -> Expr {
    if from == to { x } else { op(Reshape { shape: to.clone() }, [x]) }
}
