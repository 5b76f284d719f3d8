//! The exponential and its kin: `exp`, `expm1`, `tanh`, `sigmoid`.
//!
//! All reduce by `x = n ln 2 + r` with the nearest integer n, so that `|r| <= ln(2)/2`; ln 2 is taken in two parts, the
//! first with so many trailing zeros that its product with n is exact (W. J. Cody and W. Waite, Software Manual for the
//! Elementary Functions, 1980). Then `e^x = 2^n e^r` with a polynomial for `e^r`.

use super::expansion::{
    at_least, at_most, compare_with, float, from_bits, layout, nearest, polynomial, power_of_two, to_bits,
    two_powers_of_two, with_sign,
};
use super::{Derivative, Num, Row, Signature};
use crate::{Comparison, DType, VectorProgram, VectorValue};

const SOURCE: &str = "reduction by ln 2 (Cody and Waite 1980); polynomials fitted by weighted least squares";

/// `(e^r - 1 - r) / r^2` for `|r| <= ln(2)/2`, fitted by least squares on Chebyshev nodes, weighted by `r^2 / (e^r - 1)`
/// and reweighted towards the minimax (Lawson); relative error of `e^r - 1`: 4.5e-10.
const TAIL_F32: [f64; 6] = [
    1.975_833_438_336_849e-4,
    1.393_267_419_189_214_7e-3,
    8.333_549_834_787_846e-3,
    4.166_648_909_449_577e-2,
    1.666_666_567_325_592e-1,
    5e-1,
];

/// As [`TAIL_F32`], in one degree less and weighted by `r^2 / e^r`; relative error of `e^r`: 3.1e-9.
const SHORT_TAIL_F32: [f64; 5] = [
    1.382_074_668_072_164e-3,
    8.368_677_459_657_192e-3,
    4.166_826_605_796_814e-2,
    1.666_652_113_199_234e-1,
    4.999_999_403_953_552e-1,
];

/// As [`TAIL_F32`]; relative error 3.1e-19.
const TAIL_F64: [f64; 11] = [
    2.088_662_856_620_779_5e-9,
    2.510_915_034_249_966_3e-8,
    2.755_736_187_845_215e-7,
    2.755_724_385_991_404_6e-6,
    2.480_158_722_758_233_8e-5,
    1.984_126_988_650_898e-4,
    1.388_888_888_892_833_5e-3,
    8.333_333_333_321_457e-3,
    4.166_666_666_666_66e-2,
    1.666_666_666_666_667_7e-1,
    5e-1,
];

/// `x = n ln 2 + r`: n as a float, the integer `n + offset` in low bits, and r.
struct Reduced {
    n: VectorValue,
    bits: VectorValue,
    r: VectorValue,
}

/// `-ln 2` in two parts: fdlibm's (Sun Microsystems 1993), and the same in single precision.
fn parts_of_ln_2(dtype: DType) -> [f64; 2] {
    match dtype {
        DType::F64 => [-6.931_471_803_691_238e-1, -1.908_214_929_270_587_7e-10],
        _ => [-0.693_145_751_953_125, -1.428_606_765_330_187e-6],
    }
}

fn reduce(p: &mut VectorProgram, x: VectorValue, offset: i64) -> Reduced {
    let parts = parts_of_ln_2(p.dtype(x));
    reduce_by(p, x, offset, &parts)
}

/// The reduction by `-ln 2` in these parts.
fn reduce_by(p: &mut VectorProgram, x: VectorValue, offset: i64, parts: &[f64]) -> Reduced {
    let dtype = p.dtype(x);
    let (n, bits) = nearest(p, x, std::f64::consts::LOG2_E, offset);
    let r = parts.iter().fold(x, |r, &part| {
        let part = p.float(dtype, part);
        p.fma(n, part, r)
    });
    Reduced { n, bits, r }
}

/// `e^r`.
fn exp_of_reduced(p: &mut VectorProgram, r: VectorValue) -> VectorValue {
    let tail: &[f64] = if p.dtype(r) == DType::F64 { &TAIL_F64 } else { &SHORT_TAIL_F32 };
    let coefficients: Vec<f64> = tail.iter().copied().chain([1.0, 1.0]).collect();
    polynomial(p, r, &coefficients)
}

/// `(e^r - 1 - r) / r^2`.
fn curve_of_reduced(p: &mut VectorProgram, r: VectorValue, tail_f32: &[f64]) -> VectorValue {
    let tail: &[f64] = if p.dtype(r) == DType::F64 { &TAIL_F64 } else { tail_f32 };
    polynomial(p, r, tail)
}

/// `e^r - 1`.
fn expm1_of_reduced(p: &mut VectorProgram, r: VectorValue, tail_f32: &[f64]) -> VectorValue {
    let curve = curve_of_reduced(p, r, tail_f32);
    let square = p.mul(r, r);
    p.fma(curve, square, r)
}

/// `e^x`.
pub fn exp(p: &mut VectorProgram, x: VectorValue) -> VectorValue {
    let Reduced { n, r, .. } = reduce_bounded(p, x);
    scaled_exp(p, n, r)
}

/// `e^(x + low)` for a `low` that is tiny next to 1.
pub fn exp_of_sum(p: &mut VectorProgram, x: VectorValue, low: VectorValue) -> VectorValue {
    let Reduced { n, r, .. } = reduce_bounded(p, x);
    let r = p.add(r, low);
    scaled_exp(p, n, r)
}

/// The reduction for every x: beyond the bounds, the exponential is 0 or infinity as it is at them.
fn reduce_bounded(p: &mut VectorProgram, x: VectorValue) -> Reduced {
    let dtype = p.dtype(x);
    let (low, high) = if dtype == DType::F64 { (-746.0, 710.0) } else { (-104.5, 89.0) };
    let x = at_least(p, x, low);
    let x = at_most(p, x, high);
    reduce(p, x, 0)
}

/// `2^n e^r`.
fn scaled_exp(p: &mut VectorProgram, n: VectorValue, r: VectorValue) -> VectorValue {
    let power = exp_of_reduced(p, r);
    p.scale(power, n)
}

/// `e^x` for `|x| <= 80`, where one step of scaling is enough.
pub fn exp_of_small(p: &mut VectorProgram, x: VectorValue) -> VectorValue {
    let dtype = p.dtype(x);
    let Reduced { bits, r, .. } = reduce(p, x, layout(dtype).bias);
    let power = exp_of_reduced(p, r);
    let scale = power_of_two(p, dtype, bits);
    p.mul(scale, power)
}

/// `e^x - 1` as `2^n q + (2^n - 1)` with `q = e^r - 1`, at half the scale so that `2^n` does not overflow.
fn expm1(p: &mut VectorProgram, x: VectorValue) -> VectorValue {
    let dtype = p.dtype(x);
    let (low, high) = if dtype == DType::F64 { (-60.0, 710.0) } else { (-30.0, 89.0) };
    let inside = at_least(p, x, low);
    let inside = at_most(p, inside, high);
    let Reduced { n, bits, r } = reduce(p, inside, layout(dtype).bias - 1);
    // For n = 1 the sum `2 q + 1` loses digits of q, so 1/2 is added to r, before it is rounded to q.
    let half = p.float(dtype, 0.5);
    let is_one = compare_with(p, n, Comparison::Eq, 1.0);
    let raised = p.add(r, half);
    let start = p.select(is_one, raised, r);
    let curve = curve_of_reduced(p, r, &TAIL_F32);
    let square = p.mul(r, r);
    let q = p.fma(curve, square, start);
    let scale = power_of_two(p, dtype, bits);
    // `scale - 1/2` and q in two parts each: for n of about 25 all of the former has too many digits, and what is left
    // over is to be added to a q that has not been rounded.
    let offset = p.sub(scale, half);
    let taken = p.sub(scale, offset);
    let lost = p.sub(taken, half);
    let difference = p.sub(start, q);
    let rest = p.fma(curve, square, difference);
    let lost = p.fma(scale, rest, lost);
    let halved = p.fma(scale, q, lost);
    let halved = p.add(halved, offset);
    let halved = p.select(is_one, q, halved);
    let doubled = p.add(halved, halved);
    // Near 0 the result is x, whose sign a zero keeps.
    let size = p.abs(x);
    let is_tiny = compare_with(p, size, Comparison::Lt, 1e-20);
    p.select(is_tiny, x, doubled)
}

/// `-t / (t + 2)` with `t = expm1(-2|x|)`, which lies between -1 and 0. Where n is not 0, an error of ln 2 in the last
/// place moves r by no more than its rounding does.
fn tanh(p: &mut VectorProgram, x: VectorValue) -> VectorValue {
    let dtype = p.dtype(x);
    let one = p.float(dtype, 1.0);
    let size = p.abs(x);
    let minus = p.neg(size);
    let minus = at_least(p, minus, -22.0);
    let twice = p.add(minus, minus);
    let parts = parts_of_ln_2(dtype);
    let whole = [-std::f64::consts::LN_2];
    let parts: &[f64] = if dtype == DType::F64 { &parts } else { &whole };
    let Reduced { bits, r, .. } = reduce_by(p, twice, layout(dtype).bias, parts);
    let q = expm1_of_reduced(p, r, &TAIL_F32);
    let scale = power_of_two(p, dtype, bits);
    let below_one = p.sub(scale, one);
    let above_one = p.add(scale, one);
    let t = p.fma(scale, q, below_one);
    let denominator = p.fma(scale, q, above_one);
    let ratio = p.div(t, denominator);
    let ratio = p.abs(ratio);
    with_sign(p, ratio, x)
}

/// `1 / (1 + e^-x)`, as `2^-h / (2^-h + 2^(n-h) e^r)` with `h = floor(n/2)`: no factor overflows, and the division rounds
/// subnormal results.
fn sigmoid(p: &mut VectorProgram, x: VectorValue) -> VectorValue {
    let dtype = p.dtype(x);
    let layout = layout(dtype);
    let bound = if dtype == DType::F64 { 746.0 } else { 105.0 };
    let minus = p.neg(x);
    let minus = at_least(p, minus, -bound);
    let minus = at_most(p, minus, bound);
    let Reduced { bits, r, .. } = reduce(p, minus, 2 * layout.bias);
    let [first, second] = two_powers_of_two(p, dtype, bits);
    let inverse = {
        let two_biases = p.int(layout.int, (2 * layout.bias) << layout.mantissa);
        let bits = to_bits(p, first);
        let bits = p.sub(two_biases, bits);
        from_bits(p, dtype, bits)
    };
    // The larger power of two comes last, so that `e^r` is not rounded on its own. Below 0, n is not negative.
    let is_negative = compare_with(p, x, Comparison::Lt, 0.0);
    let smaller = p.select(is_negative, inverse, second);
    let larger = p.select(is_negative, second, inverse);
    let q = expm1_of_reduced(p, r, &SHORT_TAIL_F32);
    let below = p.fma(second, q, smaller);
    let below = p.add(below, larger);
    p.div(inverse, below)
}

/// `e^x`.
pub const EXP: Row = Row {
    name: "exp",
    arity: 1,
    signature: Signature::Float,
    doc: "`e^x`.",
    eval: |_, x| Num::Float(float(x[0]).exp()),
    derivative: Derivative::Rule(|b, _, y, g| Ok(vec![Some(b.mul(g, y)?)])),
    expand: |p, _, x| exp(p, x[0]),
    domain: &[(-4.0, 4.0)],
    ulp: 1.0,
    source: SOURCE,
};

/// `e^x - 1`.
pub const EXPM1: Row = Row {
    name: "expm1",
    arity: 1,
    signature: Signature::Float,
    doc: "`e^x - 1`, accurate near 0.",
    eval: |_, x| Num::Float(float(x[0]).exp_m1()),
    derivative: Derivative::Rule(|b, _, y, g| {
        let product = b.mul(g, y)?;
        Ok(vec![Some(b.add(product, g)?)])
    }),
    expand: |p, _, x| expm1(p, x[0]),
    domain: &[(-4.0, 4.0)],
    ulp: 1.0,
    source: SOURCE,
};

/// The hyperbolic tangent.
pub const TANH: Row = Row {
    name: "tanh",
    arity: 1,
    signature: Signature::Float,
    doc: "The hyperbolic tangent.",
    eval: |_, x| Num::Float(float(x[0]).tanh()),
    derivative: Derivative::Rule(|b, _, y, g| {
        let one = b.float_like(g, 1.0);
        let square = b.mul(y, y)?;
        let slope = b.sub(one, square)?;
        Ok(vec![Some(b.mul(g, slope)?)])
    }),
    expand: |p, _, x| tanh(p, x[0]),
    domain: &[(-5.0, 5.0)],
    ulp: 2.0,
    source: "-t / (t + 2), t = expm1(-2|x|)",
};

/// The logistic function.
pub const SIGMOID: Row = Row {
    name: "sigmoid",
    arity: 1,
    signature: Signature::Float,
    doc: "`1 / (1 + e^-x)`.",
    eval: |_, x| {
        let x = float(x[0]);
        let e = (-x.abs()).exp();
        Num::Float(if x < 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) })
    },
    derivative: Derivative::Rule(|b, _, y, g| {
        let one = b.float_like(g, 1.0);
        let rest = b.sub(one, y)?;
        let slope = b.mul(y, rest)?;
        Ok(vec![Some(b.mul(g, slope)?)])
    }),
    expand: |p, _, x| sigmoid(p, x[0]),
    domain: &[(-6.0, 6.0)],
    ulp: 2.0,
    source: SOURCE,
};
