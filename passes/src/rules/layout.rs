//! Rules for ops that only move elements, and for elementwise functions of what was repeated.

use ir::ops::{Broadcast, Elementwise, Pad, Reshape, Slice, Transpose};
use ir::{Op, Shape, Value};
use smallvec::SmallVec;

use super::{Expr, Match, Rule, broadcast, op};

/// The family.
pub const RULES: &[Rule] = &[
    Rule {
        name: "identity_view",
        formula: "a reshape, transpose, broadcast, slice, pad, concat or split that changes nothing = its operand",
        apply: identity_view,
    },
    Rule {
        name: "reshape_of_reshape",
        formula: "reshape(reshape(x)) = reshape(x)",
        apply: reshape_of_reshape,
    },
    Rule {
        name: "transpose_of_transpose",
        formula: "transpose(transpose(x)) = transpose(x)",
        apply: transpose_of_transpose,
    },
    Rule {
        name: "broadcast_of_broadcast",
        formula: "broadcast(broadcast(x)) = broadcast(x)",
        apply: broadcast_of_broadcast,
    },
    Rule { name: "slice_of_slice", formula: "slice(slice(x)) = slice(x)", apply: slice_of_slice },
    Rule {
        name: "pad_of_pad",
        formula: "pad(pad(x)) = pad(x) with the same value outside",
        apply: pad_of_pad,
    },
    Rule {
        name: "view_of_scalar",
        formula: "a reshape, transpose or slice of a broadcast scalar = the scalar broadcast",
        apply: view_of_scalar,
    },
    Rule {
        name: "view_as_reshape",
        formula: "a transpose or broadcast that only moves or adds axes of extent 1 = a reshape",
        apply: view_as_reshape,
    },
    Rule {
        name: "apply_to_repeated",
        formula: "f(broadcast(a), broadcast(b)) = broadcast(f(a, b))",
        apply: apply_to_repeated,
    },
];

fn identity_view(m: &Match<'_>) -> Option<Expr> {
    let [x] = *m.node.operands.as_slice() else { return None };
    let keeps_shape = *m.shape(x) == m.result().shape;
    let changes_nothing = match &m.node.op {
        Op::Reshape(_) | Op::Broadcast(_) | Op::Concat(_) | Op::Split(_) => keeps_shape,
        Op::Transpose(transpose) => transpose.permutation.iter().enumerate().all(|(to, &from)| to == from),
        // No extent is 0, so a slice as large as its operand leaves nothing out, and a pad adds nothing.
        Op::Slice(_) | Op::Pad(_) => keeps_shape,
        _ => false,
    };
    changes_nothing.then_some(x.into())
}

fn reshape_of_reshape(m: &Match<'_>) -> Option<Expr> {
    let (Op::Reshape(outer), (Op::Reshape(_), Some(x))) =
        (&m.node.op, m.definition(*m.node.operands.first()?))
    else {
        return None;
    };
    Some(op(outer.clone(), [x.into()]))
}

fn transpose_of_transpose(m: &Match<'_>) -> Option<Expr> {
    let Op::Transpose(outer) = &m.node.op else { return None };
    let (Op::Transpose(inner), Some(x)) = m.definition(m.operand(0)) else { return None };
    let permutation = outer.permutation.iter().map(|&axis| inner.permutation[axis]).collect();
    Some(op(Transpose { permutation }, [x.into()]))
}

fn broadcast_of_broadcast(m: &Match<'_>) -> Option<Expr> {
    let Op::Broadcast(outer) = &m.node.op else { return None };
    let x = m.broadcast_source(m.operand(0))?;
    Some(op(outer.clone(), [x.into()]))
}

fn slice_of_slice(m: &Match<'_>) -> Option<Expr> {
    let Op::Slice(outer) = &m.node.op else { return None };
    let (Op::Slice(inner), Some(x)) = m.definition(m.operand(0)) else { return None };
    let axes = 0..outer.starts.len();
    let starts: SmallVec<[usize; 4]> = axes
        .clone()
        .map(|i| (inner.starts[i] + outer.starts[i] * inner.strides[i]).min(inner.ends[i]))
        .collect();
    let strides: SmallVec<[usize; 4]> = axes.clone().map(|i| inner.strides[i] * outer.strides[i]).collect();
    // The end is that of the last element taken, so that it stays within the operand.
    let ends = axes.map(|i| match m.result().shape[i] {
        0 => starts[i],
        count => starts[i] + (count - 1) * strides[i] + 1,
    });
    Some(op(Slice { ends: ends.collect(), starts, strides }, [x.into()]))
}

fn pad_of_pad(m: &Match<'_>) -> Option<Expr> {
    let Op::Pad(outer) = &m.node.op else { return None };
    let (Op::Pad(inner), Some(x)) = m.definition(m.operand(0)) else { return None };
    let has_no_interior = [outer, inner].iter().all(|pad| pad.interior.iter().all(|&between| between == 0));
    if outer.value != inner.value || !has_no_interior {
        return None;
    }
    let sum = |a: &[usize], b: &[usize]| a.iter().zip(b).map(|(a, b)| a + b).collect();
    let (low, high) = (sum(&outer.low, &inner.low), sum(&outer.high, &inner.high));
    Some(op(Pad { low, high, interior: outer.interior.clone(), value: outer.value }, [x.into()]))
}

fn view_of_scalar(m: &Match<'_>) -> Option<Expr> {
    if !matches!(m.node.op, Op::Reshape(_) | Op::Transpose(_) | Op::Slice(_)) {
        return None;
    }
    let scalar = m.broadcast_source(m.operand(0)).filter(|&source| m.shape(source).rank() == 0)?;
    Some(broadcast(scalar.into(), m.shape(scalar), &m.result().shape))
}

fn view_as_reshape(m: &Match<'_>) -> Option<Expr> {
    let shape = &m.result().shape;
    let moves_nothing = match &m.node.op {
        Op::Transpose(transpose) => {
            let mut real = transpose.permutation.iter().zip(shape.iter()).filter(|axis| *axis.1 != 1);
            let mut last = None;
            real.all(|(&axis, _)| last.replace(axis) < Some(axis))
        }
        Op::Broadcast(_) => shape.elements() == m.shape(m.operand(0)).elements(),
        _ => false,
    };
    moves_nothing.then(|| op(Reshape { shape: shape.clone() }, [m.operand(0).into()]))
}

/// Sources of one shape, or scalars, are combined before they are repeated.
fn apply_to_repeated(m: &Match<'_>) -> Option<Expr> {
    let function = m.function()?;
    let sources: Vec<Value> =
        m.node.operands.iter().map(|&operand| m.broadcast_source(operand)).collect::<Option<_>>()?;
    let shape: &Shape = sources.iter().map(|&source| m.shape(source)).max_by_key(|shape| shape.rank())?;
    let fits = |&source: &Value| m.shape(source) == shape || m.shape(source).rank() == 0;
    if shape.elements() >= m.result().shape.elements() || !sources.iter().all(fits) {
        return None;
    }
    let operands = sources.iter().map(|&source| broadcast(source.into(), m.shape(source), shape)).collect();
    let small = Expr::Op(Elementwise { function }.into(), operands);
    Some(op(Broadcast { shape: m.result().shape.clone() }, [small]))
}
