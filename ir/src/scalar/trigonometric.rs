//! Sine and cosine.

use super::exponential::{float, layout, polynomial};
use super::{Derivative, Num, Row, Signature};
use crate::{Comparison, DType, Primitive, VectorProgram, VectorValue};

/// `x = n pi/2 + r` by three parts of pi/2 (Cody and Waite 1980): n's low bits, and r.
fn reduce(p: &mut VectorProgram, dtype: DType, x: VectorValue) -> (VectorValue, VectorValue) {
    let layout = layout(dtype);
    let magic = p.float(dtype, layout.magic);
    let scale = p.float(dtype, std::f64::consts::FRAC_2_PI);
    let shifted = p.fma(x, scale, magic);
    let n = p.sub(shifted, magic);
    let parts: [f64; 3] = match dtype {
        DType::F64 => [-std::f64::consts::FRAC_PI_2, -6.123_233_995_736_766e-17, 1.497_384_904_859_183_3e-33],
        _ => [-1.570_796_01, -3.139_164_73e-7, -5.390_302_53e-15],
    };
    let r = parts.into_iter().fold(x, |r, part| {
        let part = p.float(dtype, part);
        p.fma(n, part, r)
    });
    (p.apply(Primitive::Bitcast(layout.int), &[shifted]), r)
}

/// The sine of `x + quarter * pi/2`.
fn sine(p: &mut VectorProgram, dtype: DType, x: VectorValue, quarter: i64) -> VectorValue {
    let int = layout(dtype).int;
    let (n, r) = reduce(p, dtype, x);
    let quarter = p.int(int, quarter);
    let n = p.add(n, quarter);
    let z = p.mul(r, r);
    let (sine, cosine): (&[f64], &[f64]) = match dtype {
        // fdlibm's __kernel_sin and __kernel_cos (Sun Microsystems 1993).
        DType::F64 => (
            &[
                1.589_690_995_211_55e-10,
                -2.505_076_025_340_686_3e-8,
                2.755_731_370_707_006_8e-6,
                -1.984_126_982_985_795e-4,
                8.333_333_333_322_49e-3,
                -1.666_666_666_666_663_2e-1,
            ],
            &[
                -1.135_964_755_778_819_5e-11,
                2.087_572_321_298_175e-9,
                -2.755_731_435_139_066_3e-7,
                2.480_158_728_947_673e-5,
                -1.388_888_888_887_411e-3,
                4.166_666_666_666_66e-2,
                -0.5,
                1.0,
            ],
        ),
        // N. Juffa's minimax polynomials for single precision (2016).
        _ => (
            &[2.865_679_56e-6, -1.985_599_23e-4, 8.333_385_92e-3, -1.666_666_72e-1],
            &[2.446_770_67e-5, -1.388_772_97e-3, 4.166_665_67e-2, -0.5, 1.0],
        ),
    };
    let series = polynomial(p, dtype, z, sine);
    let cube = p.mul(r, z);
    let sine = p.fma(series, cube, r);
    let cosine = polynomial(p, dtype, z, cosine);
    let [zero, one, two] = [0, 1, 2].map(|bit| p.int(int, bit));
    let odd = p.and(n, one);
    let is_odd = p.apply(Primitive::Compare(Comparison::Ne), &[odd, zero]);
    let magnitude = p.select(is_odd, cosine, sine);
    let upper = p.and(n, two);
    let is_upper = p.apply(Primitive::Compare(Comparison::Ne), &[upper, zero]);
    let negated = p.neg(magnitude);
    p.select(is_upper, negated, magnitude)
}

/// The sine.
pub const SIN: Row = Row {
    name: "sin",
    arity: 1,
    signature: Signature::Float,
    doc: "The sine of x radians. Beyond |x| = 70,000 digits are lost in the reduction by pi/2.",
    eval: |_, x| Num::Float(float(x[0]).sin()),
    derivative: Derivative::Rule(|b, x, _, g| {
        let cosine = b.cos(x[0])?;
        Ok(vec![Some(b.mul(g, cosine)?)])
    }),
    expand: |p, dtype, x| sine(p, dtype, x[0], 0),
    domain: &[(-7.0, 7.0)],
    ulp: 2.0,
    accurate: (-70_000.0, 70_000.0),
    source: "N. Juffa's single-precision polynomials (2016); fdlibm's kernels for f64",
};

/// The cosine.
pub const COS: Row = Row {
    name: "cos",
    arity: 1,
    signature: Signature::Float,
    doc: "The cosine of x radians. Beyond |x| = 70,000 digits are lost in the reduction by pi/2.",
    eval: |_, x| Num::Float(float(x[0]).cos()),
    derivative: Derivative::Rule(|b, x, _, g| {
        let sine = b.sin(x[0])?;
        let product = b.mul(g, sine)?;
        Ok(vec![Some(b.neg(product)?)])
    }),
    expand: |p, dtype, x| sine(p, dtype, x[0], 1),
    domain: &[(-7.0, 7.0)],
    ulp: 2.0,
    accurate: (-70_000.0, 70_000.0),
    source: "N. Juffa's single-precision polynomials (2016); fdlibm's kernels for f64",
};
