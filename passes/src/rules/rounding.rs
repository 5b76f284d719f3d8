//! Rules that round otherwise: results are at least as accurate, finite where they were, and not the same in all bits.
//! They are left out where a program is compiled strictly.

use ir::ops::Reduce;
use ir::{Op, ReduceOp, ScalarFn};

use super::reduce::{of_nothing, of_repeated};
use super::{Expr, Match, Rule, apply};

/// The family.
pub const RULES: &[Rule] = &[
    Rule { name: "pow_constant", formula: "x^1 = x; x^2 = square(x)", apply: pow_constant },
    Rule { name: "div_sqrt", formula: "1 / sqrt(x) = rsqrt(x), which rounds once", apply: div_sqrt },
    Rule {
        name: "sum_of_one",
        formula: "sum(x) = reshape(x) where the reduced extents are 1; of -0.0, that is -0.0",
        apply: sum_of_one,
    },
    Rule {
        name: "sum_of_repeated",
        formula: "sum(broadcast(x)) = n * sum(x), which rounds the repetitions once",
        apply: sum_of_repeated,
    },
];

fn pow_constant(m: &Match<'_>) -> Option<Expr> {
    let [x, exponent] = m.operands_of(ScalarFn::Pow)?;
    if m.is_splat(exponent, 2.0) {
        return Some(apply(ScalarFn::Square, [x]));
    }
    m.is_splat(exponent, 1.0).then_some(x.into())
}

fn div_sqrt(m: &Match<'_>) -> Option<Expr> {
    let [one, root] = m.operands_of(ScalarFn::Div)?;
    let [x] = m.computed_by(root, ScalarFn::Sqrt)?;
    m.is_splat(one, 1.0).then(|| apply(ScalarFn::Rsqrt, [x]))
}

fn sum_of_one(m: &Match<'_>) -> Option<Expr> {
    is_sum(m).then(|| of_nothing(m)).flatten()
}

fn sum_of_repeated(m: &Match<'_>) -> Option<Expr> {
    is_sum(m).then(|| of_repeated(m)).flatten()
}

fn is_sum(m: &Match<'_>) -> bool {
    matches!(m.node.op, Op::Reduce(Reduce { op: ReduceOp::Add, .. }))
}
