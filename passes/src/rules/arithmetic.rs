//! Rules for arithmetic on numbers.

use ir::{Scalar, ScalarFn};

use super::{Expr, Match, Rule, apply, op, splat};
use ir::ops::Elementwise;

/// The family.
pub const RULES: &[Rule] = &[
    Rule { name: "add_zero", formula: "x + -0.0 = x; x + 0 = x (integers)", apply: add_zero },
    Rule { name: "sub_zero", formula: "x - 0 = x", apply: sub_zero },
    Rule { name: "mul_one", formula: "x * 1 = x", apply: mul_one },
    Rule { name: "div_one", formula: "x / 1 = x", apply: div_one },
    Rule { name: "mul_zero", formula: "x * 0 = 0 (integers)", apply: mul_zero },
    Rule { name: "mul_minus_one", formula: "x * -1 = -x", apply: mul_minus_one },
    Rule { name: "neg_neg", formula: "-(-x) = x", apply: neg_neg },
    Rule { name: "add_neg", formula: "a + -b = a - b", apply: add_neg },
    Rule { name: "sub_neg", formula: "a - -b = a + b", apply: sub_neg },
    Rule { name: "product_of_negs", formula: "-a * -b = a * b; -a / -b = a / b", apply: product_of_negs },
    Rule { name: "div_power_of_two", formula: "x / 2^n = x * 2^-n", apply: div_power_of_two },
    Rule { name: "product_with_itself", formula: "x * x = square(x)", apply: product_with_itself },
    Rule { name: "even_function", formula: "f(-x) = f(x) for abs, square, cos", apply: even_function },
    Rule { name: "square_of_abs", formula: "square(abs(x)) = square(x)", apply: square_of_abs },
    Rule {
        name: "idempotent",
        formula: "f(f(x)) = f(x) for abs, relu, sign, floor, ceil, round",
        apply: idempotent,
    },
    Rule { name: "extreme_of_one", formula: "max(x, x) = x; min(x, x) = x", apply: extreme_of_one },
];

/// The other operand of a commutative `function` where one of the two is `number` everywhere.
fn other_than(m: &Match<'_>, function: ScalarFn, number: f64) -> Option<Expr> {
    let [a, b] = m.operands_of(function)?;
    if m.is_splat(b, number) { Some(a.into()) } else { m.is_splat(a, number).then_some(b.into()) }
}

fn add_zero(m: &Match<'_>) -> Option<Expr> {
    // Of the two zeros of floats, -0.0 is the neutral one: 0.0 + -0.0 = 0.0 and -0.0 + -0.0 = -0.0.
    other_than(m, ScalarFn::Add, -0.0)
}

fn sub_zero(m: &Match<'_>) -> Option<Expr> {
    let [a, b] = m.operands_of(ScalarFn::Sub)?;
    m.is_splat(b, 0.0).then_some(a.into())
}

fn mul_one(m: &Match<'_>) -> Option<Expr> {
    other_than(m, ScalarFn::Mul, 1.0)
}

fn div_one(m: &Match<'_>) -> Option<Expr> {
    let [a, b] = m.operands_of(ScalarFn::Div)?;
    m.is_splat(b, 1.0).then_some(a.into())
}

fn mul_zero(m: &Match<'_>) -> Option<Expr> {
    let [a, b] = m.operands_of(ScalarFn::Mul)?;
    let is_zero = m.result().dtype.is_int() && (m.is_splat(a, 0.0) || m.is_splat(b, 0.0));
    is_zero.then(|| splat(Scalar::from_i64(m.result().dtype, 0), &m.result().shape))
}

fn mul_minus_one(m: &Match<'_>) -> Option<Expr> {
    let Some(Expr::Value(x)) = other_than(m, ScalarFn::Mul, -1.0) else { return None };
    Some(apply(ScalarFn::Neg, [x]))
}

fn neg_neg(m: &Match<'_>) -> Option<Expr> {
    let [negated] = m.operands_of(ScalarFn::Neg)?;
    let [x] = m.computed_by(negated, ScalarFn::Neg)?;
    Some(x.into())
}

fn add_neg(m: &Match<'_>) -> Option<Expr> {
    let [a, b] = m.operands_of(ScalarFn::Add)?;
    if let Some([b]) = m.computed_by(b, ScalarFn::Neg) {
        return Some(apply(ScalarFn::Sub, [a, b]));
    }
    let [a] = m.computed_by(a, ScalarFn::Neg)?;
    Some(apply(ScalarFn::Sub, [b, a]))
}

fn sub_neg(m: &Match<'_>) -> Option<Expr> {
    let [a, b] = m.operands_of(ScalarFn::Sub)?;
    let [b] = m.computed_by(b, ScalarFn::Neg)?;
    Some(apply(ScalarFn::Add, [a, b]))
}

fn product_of_negs(m: &Match<'_>) -> Option<Expr> {
    let function = m.function().filter(|function| matches!(function, ScalarFn::Mul | ScalarFn::Div))?;
    // Integers: the least one is its own negative, and a quotient by it is not what it was.
    let is_exact = function == ScalarFn::Mul || m.result().dtype.is_float();
    let [a, b] = m.operands_of(function).filter(|_| is_exact)?;
    let ([a], [b]) = (m.computed_by(a, ScalarFn::Neg)?, m.computed_by(b, ScalarFn::Neg)?);
    Some(apply(function, [a, b]))
}

fn div_power_of_two(m: &Match<'_>) -> Option<Expr> {
    let [a, b] = m.operands_of(ScalarFn::Div)?;
    let divisor = m.splat(b).filter(|divisor| divisor.dtype().is_float())?;
    let reciprocal = exact_reciprocal(divisor)?;
    Some(op(Elementwise { function: ScalarFn::Mul }, [a.into(), splat(reciprocal, &m.result().shape)]))
}

/// The reciprocal of a power of two, where it is a normal number of the same dtype.
fn exact_reciprocal(divisor: Scalar) -> Option<Scalar> {
    let value = divisor.as_f64();
    let has_no_fraction_bits = value.is_normal() && value.to_bits() & ((1 << 52) - 1) == 0;
    let reciprocal = Scalar::from_f64(divisor.dtype(), value.recip());
    let is_normal = match (divisor, reciprocal) {
        (Scalar::F32(a), Scalar::F32(b)) => a.is_normal() && b.is_normal(),
        (Scalar::F64(a), Scalar::F64(b)) => a.is_normal() && b.is_normal(),
        _ => false,
    };
    (has_no_fraction_bits && is_normal).then_some(reciprocal)
}

fn product_with_itself(m: &Match<'_>) -> Option<Expr> {
    let [a, b] = m.operands_of(ScalarFn::Mul)?;
    (a == b).then(|| apply(ScalarFn::Square, [a]))
}

fn even_function(m: &Match<'_>) -> Option<Expr> {
    let function = m.function().filter(|f| matches!(f, ScalarFn::Abs | ScalarFn::Square | ScalarFn::Cos))?;
    let [negated] = m.operands_of(function)?;
    let [x] = m.computed_by(negated, ScalarFn::Neg)?;
    Some(apply(function, [x]))
}

fn square_of_abs(m: &Match<'_>) -> Option<Expr> {
    let [magnitude] = m.operands_of(ScalarFn::Square)?;
    let [x] = m.computed_by(magnitude, ScalarFn::Abs)?;
    Some(apply(ScalarFn::Square, [x]))
}

fn idempotent(m: &Match<'_>) -> Option<Expr> {
    use ScalarFn::{Abs, Ceil, Floor, Relu, Round, Sign};
    let function = m.function().filter(|f| matches!(f, Abs | Relu | Sign | Floor | Ceil | Round))?;
    let [inner] = m.operands_of(function)?;
    m.computed_by::<1>(inner, function)?;
    Some(inner.into())
}

fn extreme_of_one(m: &Match<'_>) -> Option<Expr> {
    let function = m.function().filter(|f| matches!(f, ScalarFn::Max | ScalarFn::Min))?;
    let [a, b] = m.operands_of(function)?;
    (a == b).then_some(a.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_powers_of_two_have_an_exact_reciprocal() {
        assert_eq!(exact_reciprocal(Scalar::F32(-8.0)), Some(Scalar::F32(-0.125)));
        assert_eq!(exact_reciprocal(Scalar::F64(0.5)), Some(Scalar::F64(2.0)));
        for none in [3.0, 0.0, f32::INFINITY, f32::NAN, f32::MIN_POSITIVE / 2.0, 1.5, 2f32.powi(127)] {
            assert_eq!(exact_reciprocal(Scalar::F32(none)), None, "{none}");
        }
    }
}
