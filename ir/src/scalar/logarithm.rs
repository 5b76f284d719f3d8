//! Logarithms and powers.

use super::exponential::{exp, float, layout, polynomial};
use super::{Derivative, EVERYWHERE, Num, Row, Signature};
use crate::{Comparison, DType, Primitive, VectorProgram, VectorValue};

/// The natural logarithm, special cases included.
fn log(p: &mut VectorProgram, dtype: DType, x: VectorValue) -> VectorValue {
    let layout = layout(dtype);
    let is_double = dtype == DType::F64;
    // Subnormals are scaled into the normal numbers first.
    let least_normal =
        p.float(dtype, if is_double { f64::MIN_POSITIVE } else { f64::from(f32::MIN_POSITIVE) });
    let up = p.float(dtype, f64::from(layout.mantissa).exp2());
    let is_subnormal = p.apply(Primitive::Compare(Comparison::Lt), &[x, least_normal]);
    let scaled = p.mul(x, up);
    let normal = p.select(is_subnormal, scaled, x);
    // x = 2^e m with m in [sqrt(1/2), sqrt(2)).
    let half_root = p.float(dtype, std::f64::consts::FRAC_1_SQRT_2);
    let half_root = p.apply(Primitive::Bitcast(layout.int), &[half_root]);
    let bits = p.apply(Primitive::Bitcast(layout.int), &[normal]);
    let above = p.sub(bits, half_root);
    let e = p.apply(Primitive::ShiftRightArithmetic(layout.mantissa), &[above]);
    let mask = p.int(layout.int, (1 << layout.mantissa) - 1);
    let mantissa = p.and(above, mask);
    let m = p.add(mantissa, half_root);
    let m = p.apply(Primitive::Bitcast(dtype), &[m]);
    // The integer e as a float: added to the bits of a number whose last place counts units.
    let magic = p.float(dtype, layout.magic);
    let magic_bits = p.apply(Primitive::Bitcast(layout.int), &[magic]);
    let shifted = p.add(e, magic_bits);
    let shifted = p.apply(Primitive::Bitcast(dtype), &[shifted]);
    let (zero, down) = (p.float(dtype, 0.0), p.float(dtype, f64::from(layout.mantissa)));
    let correction = p.select(is_subnormal, down, zero);
    let e = p.sub(shifted, magic);
    let e = p.sub(e, correction);
    let one = p.float(dtype, 1.0);
    let f = p.sub(m, one);
    let result = if is_double { log_f64(p, f, e) } else { log_f32(p, f, e) };
    // 0 gives -infinity, infinity itself, what is negative NaN.
    let infinity = p.float(dtype, f64::INFINITY);
    let minus_infinity = p.float(dtype, f64::NEG_INFINITY);
    let nan = p.float(dtype, f64::NAN);
    let is_finite = p.apply(Primitive::Compare(Comparison::Lt), &[x, infinity]);
    let result = p.select(is_finite, result, x);
    let is_zero = p.apply(Primitive::Compare(Comparison::Eq), &[x, zero]);
    let result = p.select(is_zero, minus_infinity, result);
    let is_negative = p.apply(Primitive::Compare(Comparison::Lt), &[x, zero]);
    p.select(is_negative, nan, result)
}

/// `log(1 + f) + e ln 2` in single precision: the polynomial of Cephes logf.
fn log_f32(p: &mut VectorProgram, f: VectorValue, e: VectorValue) -> VectorValue {
    let dtype = DType::F32;
    let series = polynomial(
        p,
        dtype,
        f,
        &[
            7.037_683_629_2e-2,
            -1.151_461_031_0e-1,
            1.167_699_874_0e-1,
            -1.242_014_084_6e-1,
            1.424_932_278_7e-1,
            -1.666_805_766_5e-1,
            2.000_071_476_5e-1,
            -2.499_999_399_3e-1,
            3.333_333_117_4e-1,
        ],
    );
    let square = p.mul(f, f);
    let cube = p.mul(f, square);
    let [low, high, half] = [-2.121_944_4e-4, 0.693_359_375, -0.5].map(|x| p.float(dtype, x));
    let tail = p.mul(cube, series);
    let tail = p.fma(e, low, tail);
    let tail = p.fma(square, half, tail);
    let sum = p.add(f, tail);
    p.fma(e, high, sum)
}

/// `log(1 + f) + e ln 2` in double precision: fdlibm's `__ieee754_log` (Sun Microsystems 1993).
fn log_f64(p: &mut VectorProgram, f: VectorValue, e: VectorValue) -> VectorValue {
    let dtype = DType::F64;
    let [two, half] = [2.0, 0.5].map(|x| p.float(dtype, x));
    let below = p.add(two, f);
    let s = p.div(f, below);
    let z = p.mul(s, s);
    let series = polynomial(
        p,
        dtype,
        z,
        &[
            1.479_819_860_511_658_6e-1,
            1.531_383_769_920_937_3e-1,
            1.818_357_216_161_805e-1,
            2.222_219_843_214_978_4e-1,
            2.857_142_874_366_239e-1,
            3.999_999_999_940_942e-1,
            6.666_666_666_666_735e-1,
        ],
    );
    let r = p.mul(z, series);
    let square = p.mul(f, f);
    let half_square = p.mul(half, square);
    let [high, low] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10].map(|x| p.float(dtype, x));
    let sum = p.add(half_square, r);
    let low = p.mul(e, low);
    let tail = p.fma(s, sum, low);
    let inner = p.sub(half_square, tail);
    let inner = p.sub(inner, f);
    let scaled = p.mul(e, high);
    p.sub(scaled, inner)
}

/// `log(1 + x)` as `log(u) + (x - (u - 1)) / u` with `u = 1 + x` rounded.
fn log1p(p: &mut VectorProgram, dtype: DType, x: VectorValue) -> VectorValue {
    let one = p.float(dtype, 1.0);
    let infinity = p.float(dtype, f64::INFINITY);
    let zero = p.float(dtype, 0.0);
    let u = p.add(one, x);
    let whole = p.sub(u, one);
    let lost = p.sub(x, whole);
    let correction = p.div(lost, u);
    // At the ends of the range there is nothing to correct.
    let is_below = p.apply(Primitive::Compare(Comparison::Lt), &[u, infinity]);
    let is_above = p.apply(Primitive::Compare(Comparison::Gt), &[u, zero]);
    let is_inside = p.and(is_below, is_above);
    let correction = p.select(is_inside, correction, zero);
    let main = log(p, dtype, u);
    let sum = p.add(main, correction);
    let is_zero = p.apply(Primitive::Compare(Comparison::Eq), &[x, zero]);
    p.select(is_zero, x, sum)
}

/// `a^b` as `e^(b log|a|)`, for `f32` in double precision; signs and special cases as IEEE 754-2019 `pow`.
fn pow(p: &mut VectorProgram, dtype: DType, a: VectorValue, b: VectorValue) -> VectorValue {
    let wide = |p: &mut VectorProgram, x| p.apply(Primitive::Convert(DType::F64), &[x]);
    let (base, exponent) = if dtype == DType::F32 { (wide(p, a), wide(p, b)) } else { (a, b) };
    let size = p.abs(base);
    let logarithm = log(p, DType::F64, size);
    let product = p.mul(exponent, logarithm);
    let power = exp(p, DType::F64, product);
    let mut result =
        if dtype == DType::F32 { p.apply(Primitive::Convert(DType::F32), &[power]) } else { power };
    let [zero, one, half] = [0.0, 1.0, 0.5].map(|x| p.float(dtype, x));
    let nan = p.float(dtype, f64::NAN);
    let compare = |p: &mut VectorProgram, how, x, y| p.apply(Primitive::Compare(how), &[x, y]);
    // A negative base: odd exponents give a negative result, fractions none.
    let whole = p.floor(b);
    let is_whole = compare(p, Comparison::Eq, whole, b);
    let halved = p.mul(b, half);
    let half_whole = p.floor(halved);
    let is_fraction = compare(p, Comparison::Ne, half_whole, halved);
    let is_odd = p.and(is_whole, is_fraction);
    let int = layout(dtype).int;
    let sign_bits = p.apply(Primitive::Bitcast(int), &[a]);
    let int_zero = p.int(int, 0);
    let is_signed = compare(p, Comparison::Lt, sign_bits, int_zero);
    let is_flipped = p.and(is_signed, is_odd);
    let flipped = p.neg(result);
    result = p.select(is_flipped, flipped, result);
    let is_below = compare(p, Comparison::Lt, a, zero);
    let minus_infinity = p.float(dtype, f64::NEG_INFINITY);
    let is_finite = compare(p, Comparison::Ne, a, minus_infinity);
    let is_broken = p.not(is_whole);
    let is_undefined = p.and(is_below, is_broken);
    let is_undefined = p.and(is_undefined, is_finite);
    result = p.select(is_undefined, nan, result);
    // Whatever the other operand is: x^0 = 1, 1^y = 1, (-1)^(+-infinity) = 1.
    let minus_one = p.float(dtype, -1.0);
    let infinity = p.float(dtype, f64::INFINITY);
    let exponent_size = p.abs(b);
    let is_infinite = compare(p, Comparison::Eq, exponent_size, infinity);
    let is_minus_one = compare(p, Comparison::Eq, a, minus_one);
    let is_unit = p.and(is_infinite, is_minus_one);
    let is_zeroth = compare(p, Comparison::Eq, b, zero);
    let is_one = compare(p, Comparison::Eq, a, one);
    let is_one = p.or(is_one, is_unit);
    let is_one = p.or(is_one, is_zeroth);
    p.select(is_one, one, result)
}

/// The natural logarithm.
pub const LOG: Row = Row {
    name: "log",
    arity: 1,
    signature: Signature::Float,
    doc: "The natural logarithm; -infinity of 0, NaN below.",
    eval: |_, x| Num::Float(float(x[0]).ln()),
    derivative: Derivative::Rule(|b, x, _, g| Ok(vec![Some(b.div(g, x[0])?)])),
    expand: |p, dtype, x| log(p, dtype, x[0]),
    domain: &[(0.1, 8.0)],
    ulp: 1.0,
    accurate: EVERYWHERE,
    source: "polynomials of Cephes logf (S. L. Moshier 1992) and fdlibm's log (Sun Microsystems 1993)",
};

/// `log(1 + x)`.
pub const LOG1P: Row = Row {
    name: "log1p",
    arity: 1,
    signature: Signature::Float,
    doc: "`log(1 + x)`, accurate near 0.",
    eval: |_, x| Num::Float(float(x[0]).ln_1p()),
    derivative: Derivative::Rule(|b, x, _, g| {
        let one = b.float_like(g, 1.0);
        let below = b.add(one, x[0])?;
        Ok(vec![Some(b.div(g, below)?)])
    }),
    expand: |p, dtype, x| log1p(p, dtype, x[0]),
    domain: &[(-0.8, 8.0)],
    ulp: 2.0,
    accurate: EVERYWHERE,
    source: "log of the rounded sum and its first-order correction (W. Kahan)",
};

/// A power.
pub const POW: Row = Row {
    name: "pow",
    arity: 2,
    signature: Signature::Float,
    doc: "`a^b`, special cases as IEEE 754-2019 has them. In f64 the relative error grows with `|b log a|`.",
    eval: |_, x| Num::Float(float(x[0]).powf(float(x[1]))),
    derivative: Derivative::Rule(|b, x, y, g| {
        // To the base: b a^(b-1). To the exponent: a^b log a, 0 where the base is 0.
        let one = b.float_like(g, 1.0);
        let below = b.sub(x[1], one)?;
        let power = b.pow(x[0], below)?;
        let slope = b.mul(x[1], power)?;
        let to_base = b.mul(g, slope)?;
        let zero = b.zeros_like(x[0])?;
        let is_zero = b.eq(x[0], zero)?;
        let safe = b.select(is_zero, one, x[0])?;
        let log = b.log(safe)?;
        let slope = b.mul(y, log)?;
        Ok(vec![Some(to_base), Some(b.mul(g, slope)?)])
    }),
    expand: |p, dtype, x| pow(p, dtype, x[0], x[1]),
    domain: &[(0.2, 4.0), (-3.0, 3.0)],
    ulp: 1.0,
    accurate: EVERYWHERE,
    source: "e^(b log a); of f32 in double precision",
};
