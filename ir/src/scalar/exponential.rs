//! The exponential, and what is made of it: `expm1`, `tanh`, `sigmoid`, `erf`.

use super::{Derivative, EVERYWHERE, Num, Row, Signature};
use crate::{Comparison, DType, Primitive, VectorProgram, VectorValue};

/// The reference functions take floats.
pub fn float(num: Num) -> f64 {
    let Num::Float(x) = num else { panic!("a float function of {num:?}") };
    x
}

/// What the bits of a float dtype mean.
pub struct Layout {
    /// The integer of the same size.
    pub int: DType,
    /// The number of bits of the significand.
    pub mantissa: u32,
    /// The exponent's bias.
    pub bias: i64,
    /// `1.5 * 2^mantissa`: a small number added to it is rounded to an integer, which are then the low bits.
    pub magic: f64,
}

/// The layout of a float dtype.
pub fn layout(dtype: DType) -> Layout {
    match dtype {
        DType::F64 => Layout { int: DType::I64, mantissa: 52, bias: 1023, magic: 1.5 * 2f64.powi(52) },
        _ => Layout { int: DType::I32, mantissa: 23, bias: 127, magic: 1.5 * 2f64.powi(23) },
    }
}

/// A polynomial by Horner's scheme, the coefficient of the highest power first.
pub fn polynomial(p: &mut VectorProgram, dtype: DType, x: VectorValue, coefficients: &[f64]) -> VectorValue {
    let first = p.float(dtype, coefficients[0]);
    coefficients[1..].iter().fold(first, |sum, &coefficient| {
        let coefficient = p.float(dtype, coefficient);
        p.fma(sum, x, coefficient)
    })
}

/// `2^n` for an integer n (of the integer dtype) within the exponents of normal numbers.
fn power_of_two(p: &mut VectorProgram, dtype: DType, n: VectorValue) -> VectorValue {
    let layout = layout(dtype);
    let bias = p.int(layout.int, layout.bias);
    let exponent = p.add(n, bias);
    let bits = p.apply(Primitive::ShiftLeft(layout.mantissa), &[exponent]);
    p.apply(Primitive::Bitcast(dtype), &[bits])
}

/// `x = n ln 2 + r`: the integer n as integer, and `q = e^r - 1`.
fn reduce(p: &mut VectorProgram, dtype: DType, x: VectorValue) -> (VectorValue, VectorValue) {
    let layout = layout(dtype);
    let magic = p.float(dtype, layout.magic);
    let log2e = p.float(dtype, std::f64::consts::LOG2_E);
    let shifted = p.fma(x, log2e, magic);
    let n = p.sub(shifted, magic);
    // ln 2 in two parts; with fused multiply-adds the first product needs no trailing zeros.
    let (high, low) = match dtype {
        DType::F64 => (-std::f64::consts::LN_2, -2.319_046_813_846_299_6e-17),
        _ => (-f64::from(std::f32::consts::LN_2), 1.904_654_300_148_6e-9),
    };
    let (high, low) = (p.float(dtype, high), p.float(dtype, low));
    let r = p.fma(n, high, x);
    let r = p.fma(n, low, r);
    let tail: &[f64] = match dtype {
        // 1/k! for k = 13 .. 2: the remainder of Taylor's series is below 2^-57 for |r| <= ln(2)/2.
        DType::F64 => &[
            1.605_904_383_682_161_5e-10,
            2.087_675_698_786_81e-9,
            2.505_210_838_544_172e-8,
            2.755_731_922_398_589e-7,
            2.755_731_922_398_589_3e-6,
            2.480_158_730_158_73e-5,
            1.984_126_984_126_984e-4,
            1.388_888_888_888_889e-3,
            8.333_333_333_333_333e-3,
            4.166_666_666_666_666_4e-2,
            1.666_666_666_666_666_6e-1,
            0.5,
        ],
        // Cephes expf (S. L. Moshier 1992).
        _ => {
            &[1.987_569_15e-4, 1.398_199_95e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5.000_000_1e-1]
        }
    };
    let series = polynomial(p, dtype, r, tail);
    let square = p.mul(r, r);
    let q = p.fma(series, square, r);
    let bits = p.apply(Primitive::Bitcast(layout.int), &[shifted]);
    let magic_bits = p.apply(Primitive::Bitcast(layout.int), &[magic]);
    (p.sub(bits, magic_bits), q)
}

/// Keeps x within bounds beyond which the result is known; a NaN stays.
fn bounded(p: &mut VectorProgram, dtype: DType, x: VectorValue, low: f64, high: f64) -> VectorValue {
    let (low, high) = (p.float(dtype, low), p.float(dtype, high));
    let above = p.max(x, low);
    p.min(above, high)
}

/// `e^x`. The scale `2^n` is applied in two steps, so that overflow and subnormal results round once.
pub fn exp(p: &mut VectorProgram, dtype: DType, x: VectorValue) -> VectorValue {
    let (low, high) = if dtype == DType::F64 { (-746.0, 710.0) } else { (-104.5, 89.0) };
    let x = bounded(p, dtype, x, low, high);
    let (n, q) = reduce(p, dtype, x);
    let half = p.apply(Primitive::ShiftRightArithmetic(1), &[n]);
    let rest = p.sub(n, half);
    let (first, second) = (power_of_two(p, dtype, half), power_of_two(p, dtype, rest));
    let scaled = p.fma(first, q, first);
    p.mul(scaled, second)
}

/// `e^x - 1` as `2^n q + (2^n - 1)`, at half the scale so that `2^n` does not overflow.
fn expm1(p: &mut VectorProgram, dtype: DType, x: VectorValue) -> VectorValue {
    let (low, high) = if dtype == DType::F64 { (-60.0, 710.0) } else { (-30.0, 89.0) };
    let inside = bounded(p, dtype, x, low, high);
    let (n, q) = reduce(p, dtype, inside);
    let one = p.int(layout(dtype).int, 1);
    let below = p.sub(n, one);
    let scale = power_of_two(p, dtype, below);
    let half = p.float(dtype, 0.5);
    let offset = p.sub(scale, half);
    let halved = p.fma(scale, q, offset);
    let doubled = p.add(halved, halved);
    // Near 0 the result is q itself, which keeps the sign of zero and tiny operands.
    let tiny = p.float(dtype, 1e-10);
    let size = p.abs(x);
    let is_tiny = p.apply(Primitive::Compare(Comparison::Lt), &[size, tiny]);
    p.select(is_tiny, x, doubled)
}

/// The magnitude of `magnitude` with the sign of `sign`.
fn copy_sign(p: &mut VectorProgram, dtype: DType, magnitude: VectorValue, sign: VectorValue) -> VectorValue {
    let int = layout(dtype).int;
    let mask = p.int(int, if int == DType::I64 { i64::MIN } else { i64::from(i32::MIN) });
    let bits = p.apply(Primitive::Bitcast(int), &[sign]);
    let sign = p.and(bits, mask);
    let bits = p.apply(Primitive::Bitcast(int), &[magnitude]);
    let both = p.or(bits, sign);
    p.apply(Primitive::Bitcast(dtype), &[both])
}

/// `t / (t + 2)` with `t = expm1(2|x|)`.
fn tanh(p: &mut VectorProgram, dtype: DType, x: VectorValue) -> VectorValue {
    let size = p.abs(x);
    let bound = p.float(dtype, 22.0);
    let size = p.min(size, bound);
    let twice = p.add(size, size);
    let t = expm1(p, dtype, twice);
    let two = p.float(dtype, 2.0);
    let below = p.add(t, two);
    let ratio = p.div(t, below);
    let large = copy_sign(p, dtype, ratio, x);
    if dtype == DType::F64 {
        return large;
    }
    // Single precision keeps within its bound near 0 by the polynomial of Cephes tanhf (S. L. Moshier 1992).
    let square = p.mul(x, x);
    let series = polynomial(
        p,
        dtype,
        square,
        &[
            -5.704_988_727_45e-3,
            2.063_908_879_54e-2,
            -5.373_971_555_31e-2,
            1.333_144_220_36e-1,
            -3.333_328_194_22e-1,
        ],
    );
    let tail = p.mul(series, square);
    let small = p.fma(tail, x, x);
    let limit = p.float(dtype, 0.625);
    let is_small = p.apply(Primitive::Compare(Comparison::Lt), &[size, limit]);
    p.select(is_small, small, large)
}

/// `1 / (1 + e)` above 0 and `e / (1 + e)` below, with `e = exp(-|x|)`: no overflow, and subnormal results are right.
fn sigmoid(p: &mut VectorProgram, dtype: DType, x: VectorValue) -> VectorValue {
    let size = p.abs(x);
    let minus = p.neg(size);
    let e = exp(p, dtype, minus);
    let (zero, one) = (p.float(dtype, 0.0), p.float(dtype, 1.0));
    let is_negative = p.apply(Primitive::Compare(Comparison::Lt), &[x, zero]);
    let above = p.select(is_negative, e, one);
    let below = p.add(one, e);
    let ratio = p.div(above, below);
    // What the sum 1 + e has lost, to first order; 1 / (1 + e) is the result or its complement.
    let whole = p.sub(below, one);
    let lost = p.sub(e, whole);
    let complement = p.sub(one, ratio);
    let inverse = p.select(is_negative, complement, ratio);
    let share = p.mul(lost, inverse);
    let minus = p.neg(share);
    p.fma(ratio, minus, ratio)
}

/// `x + x s(x^2)` for small |x|, `1 - e^l(|x|)` for others.
fn erf(p: &mut VectorProgram, dtype: DType, x: VectorValue) -> VectorValue {
    let t = p.abs(x);
    let square = p.mul(x, x);
    let one = p.float(dtype, 1.0);
    let (limit, small, log) = match dtype {
        DType::F64 => {
            // log(erfc(t)) on [1, 6] around 3.5; beyond 6 the result is 1.
            let six = p.float(dtype, 6.0);
            let middle = p.float(dtype, -3.5);
            let bounded = p.min(t, six);
            let at = p.add(bounded, middle);
            (1.0, polynomial(p, dtype, square, &ERF_SMALL), polynomial(p, dtype, at, &ERFC_LOG))
        }
        _ => {
            let small = polynomial(p, dtype, square, &ERF_SMALL_F32);
            let tail = polynomial(p, dtype, t, &ERFC_LOG_F32);
            let minus = p.neg(t);
            (0.921_875, small, p.fma(tail, t, minus))
        }
    };
    let small = p.fma(small, x, x);
    let complement = exp(p, dtype, log);
    let large = p.sub(one, complement);
    let large = copy_sign(p, dtype, large, x);
    let limit = p.float(dtype, limit);
    let is_small = p.apply(Primitive::Compare(Comparison::Le), &[t, limit]);
    p.select(is_small, small, large)
}

/// `erf(x)/x - 1` in `x^2` on [0, 1]: Chebyshev interpolation of degree 13, error 2.2e-21.
const ERF_SMALL: [f64; 14] = [
    -4.230_945_824_295_338e-12,
    8.709_045_129_053_107e-11,
    -1.216_456_005_728_345e-9,
    1.479_240_120_948_04e-8,
    -1.636_464_215_816_761_5e-7,
    1.646_204_544_146_841_9e-6,
    -1.492_564_756_751_933_2e-5,
    1.205_533_290_288_873_5e-4,
    -8.548_327_022_034_83e-4,
    5.223_977_625_423_298e-3,
    -2.686_617_064_512_984e-2,
    1.128_379_167_095_512e-1,
    -3.761_263_890_318_375e-1,
    1.283_791_670_955_125_7e-1,
];

/// `log(erfc(t))` in `t - 3.5` on [1, 6]: Chebyshev interpolation of degree 23, error 2.9e-16.
const ERFC_LOG: [f64; 24] = [
    -5.038_175_090_820_216e-18,
    3.169_997_093_543_525_6e-17,
    1.864_770_948_012_056_5e-17,
    -4.137_506_353_844_001e-16,
    5.507_869_202_468_303e-16,
    -5.252_994_671_634_073e-15,
    6.703_248_087_615_219e-14,
    -4.156_803_197_187_856_6e-13,
    2.055_407_599_303_862_4e-12,
    -9.094_568_153_527_39e-12,
    3.065_185_473_436_197e-11,
    -2.502_756_747_071_758e-11,
    -7.748_949_382_623_15e-10,
    9.532_060_947_155_006e-9,
    -8.069_303_240_006_965e-8,
    5.856_139_032_767_791e-7,
    -3.889_557_155_325_179e-6,
    2.438_637_382_331_310_4e-5,
    -1.472_977_748_995_487_3e-4,
    8.736_873_235_452_11e-4,
    -5.225_658_221_939_981e-3,
    -9.667_530_547_422_176e-1,
    -7.266_099_588_365_191,
    -14.112_437_402_148_175,
];

/// N. Juffa's single-precision erf (2017): minimax polynomials; 0.99 ulp.
const ERF_SMALL_F32: [f64; 6] =
    [-5.967_617_03e-4, 4.991_194_23e-3, -2.676_813_49e-2, 1.128_199_25e-1, -3.761_253_36e-1, 1.283_791_66e-1];
/// See [`ERF_SMALL_F32`]: `(log(erfc(t)) + t) / t` in t.
const ERFC_LOG_F32: [f64; 7] = [
    -1.728_534_7e-5,
    3.831_971_26e-4,
    -3.883_964_38e-3,
    2.425_462_19e-2,
    -1.067_778_77e-1,
    -6.348_466_87e-1,
    -1.287_175_12e-1,
];

/// `e^x`.
pub const EXP: Row = Row {
    name: "exp",
    arity: 1,
    signature: Signature::Float,
    doc: "`e^x`.",
    eval: |_, x| Num::Float(float(x[0]).exp()),
    derivative: Derivative::Rule(|b, _, y, g| Ok(vec![Some(b.mul(g, y)?)])),
    expand: |p, dtype, x| exp(p, dtype, x[0]),
    domain: &[(-4.0, 4.0)],
    ulp: 1.0,
    accurate: EVERYWHERE,
    source: "reduction by ln 2 (W. J. Cody and W. Waite 1980); polynomial of Cephes expf, Taylor's for f64",
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
    expand: |p, dtype, x| expm1(p, dtype, x[0]),
    domain: &[(-4.0, 4.0)],
    ulp: 1.5,
    accurate: EVERYWHERE,
    source: "as exp, before 1 is added",
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
    expand: |p, dtype, x| tanh(p, dtype, x[0]),
    domain: &[(-5.0, 5.0)],
    ulp: 2.0,
    accurate: EVERYWHERE,
    source: "t / (t + 2), t = expm1(2|x|)",
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
    expand: |p, dtype, x| sigmoid(p, dtype, x[0]),
    domain: &[(-6.0, 6.0)],
    ulp: 2.0,
    accurate: EVERYWHERE,
    source: "by exp(-|x|)",
};

/// The error function.
pub const ERF: Row = Row {
    name: "erf",
    arity: 1,
    signature: Signature::Float,
    doc: "The error function, `2/sqrt(pi)` times the integral of `e^(-t^2)` from 0 to x.",
    eval: |_, x| Num::Float(erf_reference(float(x[0]))),
    derivative: Derivative::Rule(|b, x, _, g| {
        let square = b.square(x[0])?;
        let minus = b.neg(square)?;
        let density = b.exp(minus)?;
        let scale = b.float_like(g, std::f64::consts::FRAC_2_SQRT_PI);
        let slope = b.mul(density, scale)?;
        Ok(vec![Some(b.mul(g, slope)?)])
    }),
    expand: |p, dtype, x| erf(p, dtype, x[0]),
    domain: &[(-3.0, 3.0)],
    ulp: 2.0,
    accurate: EVERYWHERE,
    source: "N. Juffa's single-precision erf (2017); Chebyshev interpolation for f64",
};

/// erf by its Taylor series for |x| < 3 and by the continued fraction of erfc beyond (Abramowitz and Stegun 7.1.6,
/// 7.1.14).
fn erf_reference(x: f64) -> f64 {
    let t = x.abs();
    let value = if x.is_nan() {
        return x;
    } else if t < 3.0 {
        // erf(t) = 2/sqrt(pi) e^(-t^2) sum of 2^n t^(2n+1) / (2n+1)!!: all terms are positive.
        let (mut term, mut sum, mut n) = (t, t, 0.0);
        while term > sum * 1e-18 {
            n += 1.0;
            term *= 2.0 * t * t / (2.0 * n + 1.0);
            sum += term;
        }
        std::f64::consts::FRAC_2_SQRT_PI * (-t * t).exp() * sum
    } else if t < 7.0 {
        let fraction = (1..=60).rev().fold(0.0, |below, n| f64::from(n) / 2.0 / (t + below));
        1.0 - (-t * t).exp() / (t + fraction) / std::f64::consts::PI.sqrt()
    } else {
        1.0
    };
    value.copysign(x)
}
