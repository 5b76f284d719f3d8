//! Rules for reductions.

use ir::ops::{Elementwise, Reduce, Reshape};
use ir::{Op, ReduceOp, Scalar, ScalarFn, Shape, Value};
use smallvec::SmallVec;

use super::{Expr, Match, Rule, broadcast, op, splat};

/// The family.
pub const RULES: &[Rule] = &[
    Rule {
        name: "reduce_of_nothing",
        formula: "reduce(x) = reshape(x) where the reduced extents are 1 (a sum of -0.0 alone may stay -0.0)",
        apply: reduce_of_nothing,
    },
    Rule {
        name: "reduce_of_broadcast",
        formula: "sum(broadcast(x)) = n * sum(x), rounded once; max(broadcast(x)) = max(x); so min",
        apply: reduce_of_broadcast,
    },
];

fn reduce_of_nothing(m: &Match<'_>) -> Option<Expr> {
    let Op::Reduce(Reduce { axes, .. }) = &m.node.op else { return None };
    let shape = m.shape(m.operand(0));
    let is_copy = axes.iter().all(|&axis| shape[axis] == 1);
    is_copy.then(|| reshaped(m.operand(0).into(), shape, &m.result().shape))
}

fn reduce_of_broadcast(m: &Match<'_>) -> Option<Expr> {
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
