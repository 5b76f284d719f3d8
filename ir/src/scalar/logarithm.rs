//! Logarithms: `log`, `log1p`.
//!
//! Both write their argument as `2^e (1 + f)` with f around 0 and add `e ln 2` to `log(1 + f)`.

use super::expansion::{compare_with, float, from_bits, layout, polynomial, to_bits};
use super::{Derivative, Num, Row, Signature};
use crate::{Comparison, DType, Primitive, VectorProgram, VectorValue};

/// `(log(1 + f) - f + f^2/2) / f^3` for f on [-1/4, 1/2], fitted by least squares on Chebyshev nodes, reweighted towards the
/// minimax (Lawson); relative error of `log(1 + f)`: 5.0e-9.
const SERIES_F32: [f64; 8] = [
    -4.509_904_235_601_425e-2,
    0.104_676_388_204_097_75,
    -0.131_638_586_521_148_68,
    0.144_785_985_350_608_83,
    -0.166_470_587_253_570_56,
    0.199_908_092_617_988_6,
    -0.250_001_013_278_961_2,
    0.333_334_505_558_013_9,
];

/// `(log(1 + f) - 2 s) / s^3` in `s^2` with `s = f / (2 + f)`, for `1 + f` between `sqrt(1/2)` and `sqrt(2)`, fitted as
/// [`SERIES_F32`]; relative error of `log(1 + f)`: 1.3e-18.
pub const SERIES_F64: [f64; 7] = [
    1.479_735_114_876_612_2e-1,
    1.531_389_842_842_609_8e-1,
    1.818_357_090_252_887_6e-1,
    2.222_219_842_981_173e-1,
    2.857_142_874_402_444_6e-1,
    3.999_999_999_940_561_7e-1,
    6.666_666_666_666_736e-1,
];

/// The least `1 + f`: half of the greatest. For `f32` f is so small on the side where `log(1 + f)` and `e ln 2` cancel that
/// its rounding in `log1p` does not matter.
fn least_significand(dtype: DType) -> f64 {
    if dtype == DType::F64 { std::f64::consts::FRAC_1_SQRT_2 } else { 0.75 }
}

/// The bits of `2^e` without the bias: e at the place of the exponent, for `x = 2^e (1 + f)`.
fn exponent_bits(p: &mut VectorProgram, x: VectorValue) -> VectorValue {
    let dtype = p.dtype(x);
    let layout = layout(dtype);
    let least = p.float(dtype, least_significand(dtype));
    let least = to_bits(p, least);
    let bits = to_bits(p, x);
    let above = p.sub(bits, least);
    let mask = p.int(layout.int, -1 << layout.mantissa);
    p.and(above, mask)
}

/// `e + offset` as a float, from the exponent's bits.
fn exponent(p: &mut VectorProgram, dtype: DType, bits: VectorValue, offset: VectorValue) -> VectorValue {
    let layout = layout(dtype);
    if dtype == DType::F32 {
        let scaled = p.apply(Primitive::Convert(dtype), &[bits]);
        let scale = p.float(dtype, (-f64::from(layout.mantissa)).exp2());
        return p.fma(scaled, scale, offset);
    }
    // Few machines convert vectors of 64-bit integers: the integer is put under a number whose last place counts units.
    // The bias makes it positive, so that zeros may be shifted in.
    let magic = p.float(dtype, layout.magic);
    let magic_bits = to_bits(p, magic);
    let bias = p.int(layout.int, layout.bias << layout.mantissa);
    let positive = p.add(bits, bias);
    let integer = p.apply(Primitive::ShiftRightLogical(layout.mantissa), &[positive]);
    let integer = p.add(integer, magic_bits);
    let shifted = from_bits(p, dtype, integer);
    let magic = p.float(dtype, layout.magic + layout.bias as f64);
    let e = p.sub(shifted, magic);
    p.add(e, offset)
}

/// `x = 2^e (1 + f)` for x above 0: e as a float, and f. Subnormals are scaled into the normal numbers first.
pub fn split(p: &mut VectorProgram, x: VectorValue) -> (VectorValue, VectorValue) {
    let dtype = p.dtype(x);
    let layout = layout(dtype);
    let digits = f64::from(layout.mantissa);
    let [up, zero, down] = [digits.exp2(), 0.0, -digits].map(|value| p.float(dtype, value));
    let is_subnormal = compare_with(p, x, Comparison::Lt, layout.least_normal);
    let scaled = p.mul(x, up);
    let normal = p.select(is_subnormal, scaled, x);
    let offset = p.select(is_subnormal, down, zero);
    split_normal(p, normal, offset)
}

/// As [`split`], with `e + offset` for e, for an x that is not subnormal.
pub fn split_normal(
    p: &mut VectorProgram,
    x: VectorValue,
    offset: VectorValue,
) -> (VectorValue, VectorValue) {
    let dtype = p.dtype(x);
    let one = p.float(dtype, 1.0);
    let exponent_bits = exponent_bits(p, x);
    let bits = to_bits(p, x);
    let bits = p.sub(bits, exponent_bits);
    let significand = from_bits(p, dtype, bits);
    let f = p.sub(significand, one);
    (exponent(p, dtype, exponent_bits, offset), f)
}

/// `log(1 + f) + e ln 2`.
fn log_of_split(p: &mut VectorProgram, e: VectorValue, f: VectorValue) -> VectorValue {
    let dtype = p.dtype(f);
    let square = p.mul(f, f);
    if dtype == DType::F32 {
        let coefficients: Vec<f64> = SERIES_F32.into_iter().chain([-0.5]).collect();
        let series = polynomial(p, f, &coefficients);
        let log = p.fma(series, square, f);
        let ln2 = p.float(dtype, std::f64::consts::LN_2);
        return p.fma(e, ln2, log);
    }
    // fdlibm's `__ieee754_log` (Sun Microsystems 1993): the large terms are added last.
    let [two, half] = [2.0, 0.5].map(|x| p.float(dtype, x));
    let below = p.add(two, f);
    let s = p.div(f, below);
    let z = p.mul(s, s);
    let series = polynomial(p, z, &SERIES_F64);
    let r = p.mul(z, series);
    let half_square = p.mul(half, square);
    let [high, low] = LN_2_PARTS.map(|x| p.float(dtype, x));
    let sum = p.add(half_square, r);
    let low = p.mul(e, low);
    let tail = p.fma(s, sum, low);
    let inner = p.sub(half_square, tail);
    let inner = p.sub(inner, f);
    let scaled = p.mul(e, high);
    p.sub(scaled, inner)
}

/// ln 2 in two parts; products of the first with exponents are exact (fdlibm, Sun Microsystems 1993).
pub const LN_2_PARTS: [f64; 2] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10];

/// `result` where `x`, whose logarithm it is, is above 0 and finite; the logarithm of other numbers: infinity of infinity,
/// -infinity of 0, NaN of others. With `x + offset` for x.
fn with_special_cases(
    p: &mut VectorProgram,
    result: VectorValue,
    x: VectorValue,
    offset: f64,
) -> VectorValue {
    let dtype = p.dtype(x);
    let [minus_infinity, nan] = [f64::NEG_INFINITY, f64::NAN].map(|value| p.float(dtype, value));
    let is_finite = compare_with(p, x, Comparison::Lt, f64::INFINITY);
    let result = p.select(is_finite, result, x);
    let is_zero = compare_with(p, x, Comparison::Eq, -offset);
    let special = p.select(is_zero, minus_infinity, nan);
    let is_positive = compare_with(p, x, Comparison::Gt, -offset);
    p.select(is_positive, result, special)
}

/// The natural logarithm.
fn log(p: &mut VectorProgram, x: VectorValue) -> VectorValue {
    let (e, f) = split(p, x);
    let result = log_of_split(p, e, f);
    with_special_cases(p, result, x, 0.0)
}

/// `log(1 + x)`: the rounded sum gives e alone, and `f = 2^-e x + (2^-e - 1)` is computed from x itself.
fn log1p(p: &mut VectorProgram, x: VectorValue) -> VectorValue {
    let dtype = p.dtype(x);
    let [zero, quarter, one, minus_one, four] =
        [0.0, 0.25, 1.0, -1.0, 4.0].map(|value| p.float(dtype, value));
    let sum = p.add(one, x);
    let exponent_bits = exponent_bits(p, sum);
    // Four times `2^-e` is a normal number for every e.
    let four_bits = to_bits(p, four);
    let bits = p.sub(four_bits, exponent_bits);
    let four_scales = from_bits(p, dtype, bits);
    let scale = p.mul(four_scales, quarter);
    let rest = p.fma(four_scales, quarter, minus_one);
    let f = p.fma(x, scale, rest);
    let e = exponent(p, dtype, exponent_bits, zero);
    let result = log_of_split(p, e, f);
    let result = with_special_cases(p, result, x, 1.0);
    // A zero keeps its sign.
    let is_zero = compare_with(p, x, Comparison::Eq, 0.0);
    p.select(is_zero, x, result)
}

/// The natural logarithm.
pub const LOG: Row = Row {
    name: "log",
    arity: 1,
    signature: Signature::Float,
    doc: "The natural logarithm; -infinity of 0, NaN below. The gradient is `1 / x`, infinite at 0.",
    eval: |_, x| Num::Float(float(x[0]).ln()),
    derivative: Derivative::Rule(|b, x, _, g| Ok(vec![Some(b.div(g, x[0])?)])),
    expand: |p, _, x| log(p, x[0]),
    domain: &[(0.1, 8.0)],
    ulp: 1.0,
    source: "a polynomial fitted by weighted least squares; for f64, in f / (2 + f) as fdlibm's log (Sun Microsystems 1993)",
};

/// `log(1 + x)`.
pub const LOG1P: Row = Row {
    name: "log1p",
    arity: 1,
    signature: Signature::Float,
    doc: "`log(1 + x)`, accurate near 0; -infinity of -1, NaN below.",
    eval: |_, x| Num::Float(float(x[0]).ln_1p()),
    derivative: Derivative::Rule(|b, x, _, g| {
        let one = b.float_like(g, 1.0);
        let below = b.add(one, x[0])?;
        Ok(vec![Some(b.div(g, below)?)])
    }),
    expand: |p, _, x| log1p(p, x[0]),
    domain: &[(-0.8, 8.0)],
    ulp: 1.3,
    source: "as log, with f computed from x",
};
