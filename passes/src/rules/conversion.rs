//! Rules for casts.

use ir::{DType, ScalarFn};

use super::{Expr, Match, Rule, apply};

/// The family.
pub const RULES: &[Rule] = &[
    Rule { name: "cast_to_own", formula: "cast(x) = x where the dtype stays", apply: cast_to_own },
    Rule {
        name: "cast_of_cast",
        formula: "cast_c(cast_b(x)) = cast_c(x) where dtype b holds every value of the dtype of x",
        apply: cast_of_cast,
    },
];

fn cast_to_own(m: &Match<'_>) -> Option<Expr> {
    let [x] = m.operands_of(ScalarFn::cast(m.result().dtype))?;
    (m.ty(x).dtype == m.result().dtype).then_some(x.into())
}

fn cast_of_cast(m: &Match<'_>) -> Option<Expr> {
    let to = ScalarFn::cast(m.result().dtype);
    let [between] = m.operands_of(to)?;
    let [x] = m.computed_by(between, ScalarFn::cast(m.ty(between).dtype))?;
    holds_all(m.ty(between).dtype, m.ty(x).dtype).then(|| apply(to, [x]))
}

/// Whether `wide` holds every value of `narrow`.
fn holds_all(wide: DType, narrow: DType) -> bool {
    match narrow {
        DType::Bool => true,
        DType::F32 => wide == DType::F64,
        DType::I32 => matches!(wide, DType::I64 | DType::F64),
        DType::F64 | DType::I64 => false,
    }
}
