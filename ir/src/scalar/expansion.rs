//! What the expansions of float functions share: the layout of a dtype's bits, polynomials, comparisons, scaling by
//! powers of two, and the operands of reference functions.

use super::Num;
use crate::{Comparison, DType, Primitive, VectorProgram, VectorValue};

/// The operand of a reference function of floats.
pub fn float(num: Num) -> f64 {
    let Num::Float(x) = num else { panic!("a float function of {num:?}") };
    x
}

/// What the bits of a float dtype mean.
pub struct Layout {
    /// The integer of the same size.
    pub int: DType,
    /// The number of bits of the significand that are stored.
    pub mantissa: u32,
    /// The exponent's bias.
    pub bias: i64,
    /// `1.5 * 2^mantissa`: a small number added to it is rounded to an integer, which are then the low bits.
    pub magic: f64,
    /// The least normal number.
    pub least_normal: f64,
}

/// The layout of a float dtype.
pub fn layout(dtype: DType) -> Layout {
    match dtype {
        DType::F64 => Layout {
            int: DType::I64,
            mantissa: 52,
            bias: 1023,
            magic: 1.5 * 2f64.powi(52),
            least_normal: f64::MIN_POSITIVE,
        },
        _ => Layout {
            int: DType::I32,
            mantissa: 23,
            bias: 127,
            magic: 1.5 * 2f64.powi(23),
            least_normal: f64::from(f32::MIN_POSITIVE),
        },
    }
}

/// The bits as the integer of the same size.
pub fn to_bits(p: &mut VectorProgram, x: VectorValue) -> VectorValue {
    let int = layout(p.dtype(x)).int;
    p.apply(Primitive::Bitcast(int), &[x])
}

/// The float of this dtype with these bits.
pub fn from_bits(p: &mut VectorProgram, dtype: DType, bits: VectorValue) -> VectorValue {
    p.apply(Primitive::Bitcast(dtype), &[bits])
}

/// A comparison.
pub fn compare(p: &mut VectorProgram, how: Comparison, x: VectorValue, y: VectorValue) -> VectorValue {
    p.apply(Primitive::Compare(how), &[x, y])
}

/// A comparison with a constant.
pub fn compare_with(p: &mut VectorProgram, x: VectorValue, how: Comparison, constant: f64) -> VectorValue {
    let constant = p.float(p.dtype(x), constant);
    compare(p, how, x, constant)
}

/// `x` where it is not below `low`, else `low`; a NaN stays. In this form it is the maximum instruction of x86.
pub fn at_least(p: &mut VectorProgram, x: VectorValue, low: f64) -> VectorValue {
    let low = p.float(p.dtype(x), low);
    let is_outside = compare(p, Comparison::Gt, low, x);
    p.select(is_outside, low, x)
}

/// `x` where it is not above `high`, else `high`; a NaN stays. In this form it is the minimum instruction of x86.
pub fn at_most(p: &mut VectorProgram, x: VectorValue, high: f64) -> VectorValue {
    let high = p.float(p.dtype(x), high);
    let is_outside = compare(p, Comparison::Lt, high, x);
    p.select(is_outside, high, x)
}

/// A polynomial by Horner's scheme, the coefficient of the highest power first.
pub fn polynomial(p: &mut VectorProgram, x: VectorValue, coefficients: &[f64]) -> VectorValue {
    let dtype = p.dtype(x);
    let first = p.float(dtype, coefficients[0]);
    coefficients[1..].iter().fold(first, |sum, &coefficient| {
        let coefficient = p.float(dtype, coefficient);
        p.fma(sum, x, coefficient)
    })
}

/// The nearest integer to `x * scale`, for products below a quarter of `2^mantissa`: as a float, and as low bits of an
/// integer, from `offset` on (the bits above the low ones are no zeros).
pub fn nearest(p: &mut VectorProgram, x: VectorValue, scale: f64, offset: i64) -> (VectorValue, VectorValue) {
    let dtype = p.dtype(x);
    let magic = p.float(dtype, layout(dtype).magic + offset as f64);
    let scale = p.float(dtype, scale);
    let shifted = p.fma(x, scale, magic);
    let bits = to_bits(p, shifted);
    (p.sub(shifted, magic), bits)
}

/// `2^n` for normal results, where the low bits of an integer are `n + bias`.
pub fn power_of_two(p: &mut VectorProgram, dtype: DType, biased: VectorValue) -> VectorValue {
    let bits = p.apply(Primitive::ShiftLeft(layout(dtype).mantissa), &[biased]);
    from_bits(p, dtype, bits)
}

/// `2^floor(n/2)` and `2^(n - floor(n/2))`, where the low bits of an integer are `n + 2 bias`: two factors that are
/// normal numbers wherever `2^n` is a number at all.
pub fn two_powers_of_two(p: &mut VectorProgram, dtype: DType, biased: VectorValue) -> [VectorValue; 2] {
    let layout = layout(dtype);
    let mask = p.int(layout.int, -1 << layout.mantissa);
    let halved = p.apply(Primitive::ShiftLeft(layout.mantissa - 1), &[biased]);
    let first = p.and(halved, mask);
    let whole = p.apply(Primitive::ShiftLeft(layout.mantissa), &[biased]);
    let second = p.sub(whole, first);
    [from_bits(p, dtype, first), from_bits(p, dtype, second)]
}

/// The magnitude of `magnitude`, whose sign is clear, with the sign of `sign`.
pub fn with_sign(p: &mut VectorProgram, magnitude: VectorValue, sign: VectorValue) -> VectorValue {
    let dtype = p.dtype(magnitude);
    let layout = layout(dtype);
    let mask = p.int(layout.int, if dtype == DType::F64 { i64::MIN } else { i64::from(i32::MIN) });
    let sign = to_bits(p, sign);
    let sign = p.and(sign, mask);
    let magnitude = to_bits(p, magnitude);
    let both = p.or(magnitude, sign);
    from_bits(p, dtype, both)
}
