//! Sine and cosine.

use super::expansion::{compare, compare_with, float, from_bits, layout, nearest, polynomial, to_bits};
use super::payne_hanek::reduce_large;
use super::{Derivative, Num, Row, Signature};
use crate::{ColdFn, Comparison, DType, Primitive, VectorProgram, VectorValue};

/// `(sin r - r) / r^3` in `r^2` for `|r| <= pi/4`: least squares on Chebyshev nodes, reweighted towards the minimax
/// (Lawson); relative error of the sine: 4.0e-9.
const SINE_F32: [f64; 3] = [-1.951_809_972_524_643e-4, 8.332_188_241_183_758e-3, -1.666_665_524_244_308_5e-1];

/// `(cos r - 1 + r^2/2) / r^4` and the terms before in `r^2`, fitted as [`SINE_F32`]; relative error of the cosine: 1.2e-10.
const COSINE_F32: [f64; 5] =
    [2.443_255_289_108_492_4e-5, -1.388_731_063_343_584_5e-3, 4.166_664_655_668_831e-2, -0.5, 1.0];

/// fdlibm's `__kernel_sin` (Sun Microsystems 1993).
const SINE_F64: [f64; 6] = [
    1.589_690_995_211_55e-10,
    -2.505_076_025_340_686_3e-8,
    2.755_731_370_707_006_8e-6,
    -1.984_126_982_985_795e-4,
    8.333_333_333_322_49e-3,
    -1.666_666_666_666_663_2e-1,
];

/// fdlibm's `__kernel_cos` (Sun Microsystems 1993).
const COSINE_F64: [f64; 8] = [
    -1.135_964_755_778_819_5e-11,
    2.087_572_321_298_175e-9,
    -2.755_731_435_139_066_3e-7,
    2.480_158_728_947_673e-5,
    -1.388_888_888_887_411e-3,
    4.166_666_666_666_66e-2,
    -0.5,
    1.0,
];

/// Beyond this |x| the reduction by three parts of pi/2 has too few digits, and that of Payne and Hanek takes over.
fn limit(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => 30f64.exp2(),
        _ => 17f64.exp2(),
    }
}

/// `x = n pi/2 + r` for |x| up to the limit: `n + quarter` in the low bits of an integer, and r. pi/2 is the sum of three
/// numbers, so that with fused multiply-adds r keeps its digits even where x is close to a multiple (after Cody and Waite
/// 1980).
fn reduce(p: &mut VectorProgram, x: VectorValue, quarter: i64) -> (VectorValue, VectorValue) {
    let dtype = p.dtype(x);
    let (n, bits) = nearest(p, x, std::f64::consts::FRAC_2_PI, quarter);
    // Each part is rounded toward 0, so that all have one sign and a zero keeps its own.
    let parts: [f64; 3] = match dtype {
        DType::F64 => {
            [-std::f64::consts::FRAC_PI_2, -6.123_233_995_736_765e-17, -1.082_856_673_921_913_9e-32]
        }
        _ => [-1.570_796_251_296_997, -7.549_789_415_861_596e-8, -5.390_302_529_957_765e-15],
    };
    let r = parts.into_iter().fold(x, |r, part| {
        let part = p.float(dtype, part);
        p.fma(n, part, r)
    });
    (bits, r)
}

/// The sine of `n pi/2 + r`, where n is the low two bits of an integer.
fn sine_of_reduced(p: &mut VectorProgram, n: VectorValue, r: VectorValue) -> VectorValue {
    let dtype = p.dtype(r);
    let int = layout(dtype).int;
    let (sine, cosine): (&[f64], &[f64]) = match dtype {
        DType::F64 => (&SINE_F64, &COSINE_F64),
        _ => (&SINE_F32, &COSINE_F32),
    };
    let square = p.mul(r, r);
    let series = polynomial(p, square, sine);
    // The sum makes a factor of -0 that of +0, so that a zero r keeps its sign.
    let factor = p.mul(series, square);
    let plus_zero = p.float(dtype, 0.0);
    let factor = p.add(factor, plus_zero);
    let sine = p.fma(factor, r, r);
    let cosine = polynomial(p, square, cosine);
    let [zero, lowest] = [0, 1].map(|bits| p.int(int, bits));
    let odd = p.and(n, lowest);
    let is_odd = compare(p, Comparison::Ne, odd, zero);
    let magnitude = p.select(is_odd, cosine, sine);
    // The second bit of n becomes the sign.
    let sign_place = int.size_bytes() as u32 * 8 - 1;
    let sign = p.int(int, -1 << sign_place);
    let upper = p.apply(Primitive::ShiftLeft(sign_place - 1), &[n]);
    let upper = p.and(upper, sign);
    let magnitude = to_bits(p, magnitude);
    let signed = p.xor(magnitude, upper);
    from_bits(p, dtype, signed)
}

/// The sine of `x + quarter * pi/2`.
fn sine(p: &mut VectorProgram, x: VectorValue, quarter: i64) -> VectorValue {
    let (n, r) = reduce(p, x, quarter);
    let usual = sine_of_reduced(p, n, r);
    let size = p.abs(x);
    let is_large = compare_with(p, size, Comparison::Gt, limit(p.dtype(x)));
    let function = if quarter == 0 { ColdFn::SineOfLarge } else { ColdFn::CosineOfLarge };
    p.apply(Primitive::Cold(function), &[is_large, usual, x])
}

/// The sine of `x + quarter * pi/2` for |x| beyond the limit; NaN of infinities.
pub fn sine_of_large(p: &mut VectorProgram, x: VectorValue, quarter: i64) -> VectorValue {
    let int = layout(p.dtype(x)).int;
    let (n, r) = reduce_large(p, x);
    let quarter = p.int(int, quarter);
    let n = p.add(n, quarter);
    let sine = sine_of_reduced(p, n, r);
    let zero_or_nan = p.sub(x, x);
    p.add(sine, zero_or_nan)
}

/// The sine.
pub const SIN: Row = Row {
    name: "sin",
    arity: 1,
    signature: Signature::Float,
    doc: "The sine of x radians. NaN of infinities.",
    eval: |_, x| Num::Float(float(x[0]).sin()),
    derivative: Derivative::Rule(|b, x, _, g| {
        let cosine = b.cos(x[0])?;
        Ok(vec![Some(b.mul(g, cosine)?)])
    }),
    expand: |p, _, x| sine(p, x[0], 0),
    domain: &[(-7.0, 7.0)],
    ulp: 2.0,
    source: "N. Juffa's single-precision polynomials (2016); fdlibm's kernels for f64; large angles after Payne and Hanek (1983)",
};

/// The cosine.
pub const COS: Row = Row {
    name: "cos",
    arity: 1,
    signature: Signature::Float,
    doc: "The cosine of x radians. NaN of infinities.",
    eval: |_, x| Num::Float(float(x[0]).cos()),
    derivative: Derivative::Rule(|b, x, _, g| {
        let sine = b.sin(x[0])?;
        let product = b.mul(g, sine)?;
        Ok(vec![Some(b.neg(product)?)])
    }),
    expand: |p, _, x| sine(p, x[0], 1),
    domain: &[(-7.0, 7.0)],
    ulp: 2.0,
    source: "N. Juffa's single-precision polynomials (2016); fdlibm's kernels for f64; large angles after Payne and Hanek (1983)",
};
