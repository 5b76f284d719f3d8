//! Arithmetic: the functions that are exact, or one rounding.

use super::{Derivative, Num, Row, Signature};
use crate::{Builder, Comparison, DType, Error, Primitive, Value, VectorProgram, VectorValue};

/// Where arithmetic is sampled.
const WIDE: &[(f64, f64)] = &[(-8.0, 8.0)];
const EXACT: &str = "one machine instruction, correctly rounded";

fn float(num: Num) -> f64 {
    match num {
        Num::Float(x) => x,
        Num::Int(x) => x as f64,
    }
}

/// Wraps an integer to its dtype.
pub fn wrap(dtype: DType, x: i64) -> Num {
    Num::Int(if dtype == DType::I32 { i64::from(x as i32) } else { x })
}

/// Applies the function of floats or that of integers, which wraps.
fn number(dtype: DType, x: &[Num], floats: impl Fn(f64, f64) -> f64, ints: impl Fn(i64, i64) -> i64) -> Num {
    match (x[0], x[x.len() - 1]) {
        (Num::Float(a), Num::Float(b)) => Num::Float(floats(a, b)),
        (Num::Int(a), Num::Int(b)) => wrap(dtype, ints(a, b)),
        _ => panic!("operands of one function are of one kind"),
    }
}

/// IEEE 754-2019 maximum.
pub fn maximum(a: f64, b: f64) -> f64 {
    match a == b {
        true if a.is_sign_negative() => b,
        true => a,
        false if a.is_nan() || b.is_nan() => f64::NAN,
        false => {
            if a > b {
                a
            } else {
                b
            }
        }
    }
}

/// IEEE 754-2019 minimum.
pub fn minimum(a: f64, b: f64) -> f64 {
    -maximum(-a, -b)
}

/// `-x`.
pub const NEG: Row = Row {
    name: "neg",
    arity: 1,
    signature: Signature::Number,
    doc: "`-x`; integers wrap.",
    eval: |dtype, x| number(dtype, x, |a, _| -a, |a, _| a.wrapping_neg()),
    derivative: Derivative::Rule(|b, _, _, g| Ok(vec![Some(b.neg(g)?)])),
    expand: |p, _, x| p.neg(x[0]),
    domain: WIDE,
    ulp: 0.0,
    source: EXACT,
};

/// `|x|`.
pub const ABS: Row = Row {
    name: "abs",
    arity: 1,
    signature: Signature::Number,
    doc: "`|x|`; the least integer is its own. The gradient at 0 is 0.",
    eval: |dtype, x| number(dtype, x, |a, _| a.abs(), |a, _| if a < 0 { a.wrapping_neg() } else { a }),
    derivative: Derivative::Rule(|b, x, _, g| {
        let sign = b.sign(x[0])?;
        Ok(vec![Some(b.mul(g, sign)?)])
    }),
    expand: |p, _, x| p.abs(x[0]),
    domain: WIDE,
    ulp: 0.0,
    source: EXACT,
};

/// The sign.
pub const SIGN: Row = Row {
    name: "sign",
    arity: 1,
    signature: Signature::Number,
    doc: "-1, 0 or 1; of a zero or a NaN, itself. The gradient is 0.",
    eval: |dtype, x| {
        number(dtype, x, |a, _| if a == 0.0 || a.is_nan() { a } else { a.signum() }, |a, _| a.signum())
    },
    derivative: Derivative::Zero,
    expand: |p, dtype, x| {
        let [zero, one, minus] = [p.int(dtype, 0), p.int(dtype, 1), p.int(dtype, -1)];
        let above = p.apply(Primitive::Compare(Comparison::Gt), &[x[0], zero]);
        let below = p.apply(Primitive::Compare(Comparison::Lt), &[x[0], zero]);
        let rest = p.select(below, minus, x[0]);
        p.select(above, one, rest)
    },
    domain: WIDE,
    ulp: 0.0,
    source: "exact",
};

/// `a + b`.
pub const ADD: Row = Row {
    name: "add",
    arity: 2,
    signature: Signature::Number,
    doc: "`a + b`; integers wrap.",
    eval: |dtype, x| number(dtype, x, |a, b| a + b, i64::wrapping_add),
    derivative: Derivative::Rule(|_, _, _, g| Ok(vec![Some(g), Some(g)])),
    expand: |p, _, x| p.add(x[0], x[1]),
    domain: WIDE,
    ulp: 0.0,
    source: EXACT,
};

/// `a - b`.
pub const SUB: Row = Row {
    name: "sub",
    arity: 2,
    signature: Signature::Number,
    doc: "`a - b`; integers wrap.",
    eval: |dtype, x| number(dtype, x, |a, b| a - b, i64::wrapping_sub),
    derivative: Derivative::Rule(|b, _, _, g| Ok(vec![Some(g), Some(b.neg(g)?)])),
    expand: |p, _, x| p.sub(x[0], x[1]),
    domain: WIDE,
    ulp: 0.0,
    source: EXACT,
};

/// `a * b`.
pub const MUL: Row = Row {
    name: "mul",
    arity: 2,
    signature: Signature::Number,
    doc: "`a * b`; integers wrap.",
    eval: |dtype, x| number(dtype, x, |a, b| a * b, i64::wrapping_mul),
    derivative: Derivative::Rule(|b, x, _, g| Ok(vec![Some(b.mul(g, x[1])?), Some(b.mul(g, x[0])?)])),
    expand: |p, _, x| p.mul(x[0], x[1]),
    domain: WIDE,
    ulp: 0.0,
    source: EXACT,
};

/// `a / b`.
pub const DIV: Row = Row {
    name: "div",
    arity: 2,
    signature: Signature::Float,
    doc: "`a / b`.",
    eval: |_, x| Num::Float(float(x[0]) / float(x[1])),
    derivative: Derivative::Rule(|b, x, y, g| {
        let to_a = b.div(g, x[1])?;
        let product = b.mul(to_a, y)?;
        Ok(vec![Some(to_a), Some(b.neg(product)?)])
    }),
    expand: |p, _, x| p.div(x[0], x[1]),
    domain: &[(-8.0, 8.0), (0.25, 4.0)],
    ulp: 0.0,
    source: EXACT,
};

/// `a * b + c`.
pub const FMA: Row = Row {
    name: "fma",
    arity: 3,
    signature: Signature::Float,
    doc: "`a * b + c`, rounded once.",
    eval: |_, x| Num::Float(float(x[0]).mul_add(float(x[1]), float(x[2]))),
    derivative: Derivative::Rule(|b, x, _, g| {
        Ok(vec![Some(b.mul(g, x[1])?), Some(b.mul(g, x[0])?), Some(g)])
    }),
    expand: |p, _, x| p.fma(x[0], x[1], x[2]),
    domain: WIDE,
    ulp: 0.0,
    source: EXACT,
};

/// The gradient of an extreme: to the operand that the result equals, to the first where both do.
fn extreme_gradient(b: &mut Builder, x: &[Value], y: Value, g: Value) -> Result<Vec<Option<Value>>, Error> {
    let zero = b.zeros_like(g)?;
    let is_first = b.eq(x[0], y)?;
    Ok(vec![Some(b.select(is_first, g, zero)?), Some(b.select(is_first, zero, g)?)])
}

/// The greater of two.
pub const MAX: Row = Row {
    name: "max",
    arity: 2,
    signature: Signature::Number,
    doc: "IEEE 754-2019 maximum: NaN where either is NaN, +0 above -0. Where both are equal, the gradient is the first's.",
    eval: |dtype, x| number(dtype, x, maximum, i64::max),
    derivative: Derivative::Rule(extreme_gradient),
    expand: |p, _, x| p.max(x[0], x[1]),
    domain: WIDE,
    ulp: 0.0,
    source: EXACT,
};

/// The lesser of two.
pub const MIN: Row = Row {
    name: "min",
    arity: 2,
    signature: Signature::Number,
    doc: "IEEE 754-2019 minimum: NaN where either is NaN, -0 below +0. Where both are equal, the gradient is the first's.",
    eval: |dtype, x| number(dtype, x, minimum, i64::min),
    derivative: Derivative::Rule(extreme_gradient),
    expand: |p, _, x| p.min(x[0], x[1]),
    domain: WIDE,
    ulp: 0.0,
    source: EXACT,
};

/// `min(max(x, low), high)`.
pub const CLAMP: Row = Row {
    name: "clamp",
    arity: 3,
    signature: Signature::Number,
    doc: "`min(max(x, low), high)`, so `high` where `low` is above it. The gradient is x's where `low <= x <= high`, the bounds \
          included; else it is that of `low` where `x < low < high`, and that of `high` where `x > high` or `low >= high`.",
    eval: |dtype, x| {
        let above = number(dtype, &x[..2], maximum, i64::max);
        number(dtype, &[above, x[2]], minimum, i64::min)
    },
    derivative: Derivative::Rule(|b, x, _, g| {
        let zero = b.zeros_like(g)?;
        let [value, low, high] = [x[0], x[1], x[2]];
        let (is_above_low, is_below_high) = (b.ge(value, low)?, b.le(value, high)?);
        let is_inside = b.logical_and(is_above_low, is_below_high)?;
        let (is_below, is_apart) = (b.lt(value, low)?, b.lt(low, high)?);
        let takes_low = b.logical_and(is_below, is_apart)?;
        let (is_above, is_crossed) = (b.gt(value, high)?, b.ge(low, high)?);
        let takes_high = b.logical_or(is_above, is_crossed)?;
        let to_high = b.select(takes_high, g, zero)?;
        Ok(vec![
            Some(b.select(is_inside, g, zero)?),
            Some(b.select(takes_low, g, zero)?),
            Some(b.select(is_inside, zero, to_high)?),
        ])
    }),
    expand: |p, _, x| {
        let above = p.max(x[0], x[1]);
        p.min(above, x[2])
    },
    domain: &[(-8.0, 8.0), (-3.0, -1.0), (1.0, 3.0)],
    ulp: 0.0,
    source: "exact",
};

/// `max(x, 0)`.
pub const RELU: Row = Row {
    name: "relu",
    arity: 1,
    signature: Signature::Number,
    doc: "`max(x, 0)`; NaN stays. The gradient at 0 is 0.",
    eval: |dtype, x| number(dtype, x, |a, _| if a.is_nan() { a } else { maximum(a, 0.0) }, |a, _| a.max(0)),
    derivative: Derivative::Rule(|b, _, y, g| {
        let zero = b.zeros_like(g)?;
        let is_open = b.gt(y, zero)?;
        Ok(vec![Some(b.select(is_open, g, zero)?)])
    }),
    expand: |p, dtype, x| {
        let zero = p.int(dtype, 0);
        p.max(x[0], zero)
    },
    domain: WIDE,
    ulp: 0.0,
    source: "exact",
};

/// `x * x`.
pub const SQUARE: Row = Row {
    name: "square",
    arity: 1,
    signature: Signature::Number,
    doc: "`x * x`; integers wrap.",
    eval: |dtype, x| number(dtype, x, |a, _| a * a, |a, _| a.wrapping_mul(a)),
    derivative: Derivative::Rule(|b, x, _, g| {
        let two = b.float_like(g, 2.0);
        let twice = b.mul(x[0], two)?;
        Ok(vec![Some(b.mul(g, twice)?)])
    }),
    expand: |p, _, x| p.mul(x[0], x[0]),
    domain: WIDE,
    ulp: 0.0,
    source: EXACT,
};

/// The square root.
pub const SQRT: Row = Row {
    name: "sqrt",
    arity: 1,
    signature: Signature::Float,
    doc: "The square root; -0 of -0, NaN below. The gradient at 0 is infinite, or NaN where that of the result is 0.",
    eval: |_, x| Num::Float(float(x[0]).sqrt()),
    derivative: Derivative::Rule(|b, _, y, g| {
        let half = b.float_like(g, 0.5);
        let halved = b.mul(g, half)?;
        Ok(vec![Some(b.div(halved, y)?)])
    }),
    expand: |p, _, x| p.sqrt(x[0]),
    domain: &[(0.1, 8.0)],
    ulp: 0.0,
    source: EXACT,
};

/// `1 / sqrt(x)`.
pub const RSQRT: Row = Row {
    name: "rsqrt",
    arity: 1,
    signature: Signature::Float,
    doc: "`1 / sqrt(x)`; infinities of zeros, of their sign, NaN below. The gradient at 0 is infinite, or NaN where that of \
          the result is 0.",
    eval: |_, x| Num::Float(1.0 / float(x[0]).sqrt()),
    derivative: Derivative::Rule(|b, _, y, g| {
        let scale = b.float_like(g, -0.5);
        let scaled = b.mul(g, scale)?;
        let square = b.mul(y, y)?;
        let cube = b.mul(square, y)?;
        Ok(vec![Some(b.mul(scaled, cube)?)])
    }),
    expand: |p, _, x| rsqrt(p, x[0]),
    domain: &[(0.1, 8.0)],
    ulp: 1.0,
    source: "the root of the reciprocal, scaled by powers of two: half of the first rounding is left, and one of its own",
};

/// `sqrt(1 / x)`, where x is scaled by a power of four so that the reciprocal is a normal number.
fn rsqrt(p: &mut VectorProgram, x: VectorValue) -> VectorValue {
    let dtype = p.dtype(x);
    let half = if dtype == DType::F64 { 28.0f64 } else { 13.0 };
    let [up, down] = [half, -half].map(f64::exp2);
    let one = p.float(dtype, 1.0);
    let scales = [up * up, down * down].map(|scale| p.float(dtype, scale));
    let roots = [up, down].map(|scale| p.float(dtype, scale));
    let size = p.abs(x);
    let is_below = p.apply(Primitive::Compare(Comparison::Lt), &[size, one]);
    let scale = p.select(is_below, scales[0], scales[1]);
    let root_of_scale = p.select(is_below, roots[0], roots[1]);
    let scaled = p.mul(x, scale);
    let reciprocal = p.div(one, scaled);
    let root = p.sqrt(reciprocal);
    let result = p.mul(root, root_of_scale);
    // The reciprocal of a zero is an infinity of the same sign, which is the result; other numbers have none.
    let [zero, nan] = [0.0, f64::NAN].map(|value| p.float(dtype, value));
    let is_zero = p.apply(Primitive::Compare(Comparison::Eq), &[x, zero]);
    let special = p.select(is_zero, reciprocal, nan);
    let is_above = p.apply(Primitive::Compare(Comparison::Gt), &[x, zero]);
    p.select(is_above, result, special)
}
