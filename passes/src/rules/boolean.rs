//! Rules for truth values: logic, comparisons and `select`.

use ir::ops::Elementwise;
use ir::{Scalar, ScalarFn};

use super::{Expr, Match, Rule, apply, op, splat};

/// The family.
pub const RULES: &[Rule] = &[
    Rule { name: "not_not", formula: "!!x = x", apply: not_not },
    Rule {
        name: "not_comparison",
        formula: "!(a == b) = (a != b); !(a < b) = (a >= b) (integers)",
        apply: not_comparison,
    },
    Rule { name: "and_constant", formula: "x & true = x; x & false = false", apply: and_constant },
    Rule { name: "or_constant", formula: "x | false = x; x | true = true", apply: or_constant },
    Rule { name: "xor_constant", formula: "x ^ false = x; x ^ true = !x", apply: xor_constant },
    Rule { name: "logic_of_one", formula: "x & x = x; x | x = x", apply: logic_of_one },
    Rule {
        name: "select_constant",
        formula: "select(true, a, b) = a; select(false, a, b) = b",
        apply: select_constant,
    },
    Rule { name: "select_same", formula: "select(c, a, a) = a", apply: select_same },
    Rule { name: "select_not", formula: "select(!c, a, b) = select(c, b, a)", apply: select_not },
];

/// `Some(true)` or `Some(false)` where `value` is that everywhere.
fn truth(m: &Match<'_>, value: ir::Value) -> Option<bool> {
    match m.splat(value) {
        Some(Scalar::Bool(truth)) => Some(truth),
        _ => None,
    }
}

/// The operands of a commutative `function`, one of which is the same truth value everywhere: the other, and that.
fn with_constant(m: &Match<'_>, function: ScalarFn) -> Option<(ir::Value, bool)> {
    let [a, b] = m.operands_of(function)?;
    match (truth(m, a), truth(m, b)) {
        (_, Some(constant)) => Some((a, constant)),
        (Some(constant), None) => Some((b, constant)),
        (None, None) => None,
    }
}

fn not_not(m: &Match<'_>) -> Option<Expr> {
    let [inner] = m.operands_of(ScalarFn::Not)?;
    let [x] = m.computed_by(inner, ScalarFn::Not)?;
    Some(x.into())
}

fn not_comparison(m: &Match<'_>) -> Option<Expr> {
    use ScalarFn::{Eq, Ge, Gt, Le, Lt, Ne};
    const OPPOSITES: [(ScalarFn, ScalarFn); 6] = [(Eq, Ne), (Ne, Eq), (Lt, Ge), (Ge, Lt), (Gt, Le), (Le, Gt)];
    let [inner] = m.operands_of(ScalarFn::Not)?;
    OPPOSITES.into_iter().find_map(|(function, opposite)| {
        let [a, b] = m.computed_by(inner, function)?;
        // With NaN, neither a < b nor a >= b.
        let is_total = matches!(function, Eq | Ne) || !m.ty(a).dtype.is_float();
        is_total.then(|| apply(opposite, [a, b]))
    })
}

fn and_constant(m: &Match<'_>) -> Option<Expr> {
    let (x, constant) = with_constant(m, ScalarFn::And)?;
    Some(if constant { x.into() } else { splat(Scalar::Bool(false), &m.result().shape) })
}

fn or_constant(m: &Match<'_>) -> Option<Expr> {
    let (x, constant) = with_constant(m, ScalarFn::Or)?;
    Some(if constant { splat(Scalar::Bool(true), &m.result().shape) } else { x.into() })
}

fn xor_constant(m: &Match<'_>) -> Option<Expr> {
    let (x, constant) = with_constant(m, ScalarFn::Xor)?;
    Some(if constant { apply(ScalarFn::Not, [x]) } else { x.into() })
}

fn logic_of_one(m: &Match<'_>) -> Option<Expr> {
    let function = m.function().filter(|f| matches!(f, ScalarFn::And | ScalarFn::Or))?;
    let [a, b] = m.operands_of(function)?;
    (a == b).then_some(a.into())
}

fn select_constant(m: &Match<'_>) -> Option<Expr> {
    let [condition, a, b] = m.operands_of(ScalarFn::Select)?;
    truth(m, condition).map(|truth| if truth { a.into() } else { b.into() })
}

fn select_same(m: &Match<'_>) -> Option<Expr> {
    let [_, a, b] = m.operands_of(ScalarFn::Select)?;
    (a == b).then_some(a.into())
}

fn select_not(m: &Match<'_>) -> Option<Expr> {
    let [inner, a, b] = m.operands_of(ScalarFn::Select)?;
    let [condition] = m.computed_by(inner, ScalarFn::Not)?;
    Some(op(Elementwise { function: ScalarFn::Select }, [condition.into(), b.into(), a.into()]))
}
