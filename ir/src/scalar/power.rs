//! Powers: `a^b = e^(b log|a|)`, with a logarithm of more digits than the result has.
//!
//! For `f32` it is computed in `f64`, with polynomials of as many terms as `f32` needs; for `f64` the logarithm is a sum
//! of two numbers, high and low, of about 115 bits where it matters.

use super::expansion::{
    at_least, at_most, compare, compare_with, float, layout, nearest, polynomial, power_of_two, to_bits,
};
use super::exponential::exp_of_sum;
use super::logarithm::{LN_2_PARTS, split, split_normal};
use super::{Derivative, Num, Row, Signature};
use crate::{Comparison, DType, Primitive, VectorProgram, VectorValue};

/// `log2(1 + f) / s` in `s^2` with `s = f / (2 + f)`, for `1 + f` between `sqrt(1/2)` and `sqrt(2)`: least squares on
/// Chebyshev nodes, reweighted towards the minimax (Lawson); relative error 4.2e-12.
const LOG2: [f64; 5] = [
    3.407_190_486_558_257e-1,
    4.116_733_848_269_204e-1,
    5.770_835_724_485_702e-1,
    9.617_966_734_169_926e-1,
    2.885_390_081_790_015_8,
];

/// `2^r` for `|r| <= 1/2`, fitted as [`LOG2`]; relative error 5.4e-11.
const EXP2: [f64; 8] = [
    1.516_564_371_714_167_8e-5,
    1.546_704_429_636_761_6e-4,
    1.333_408_200_362_806e-3,
    9.618_037_156_028_065e-3,
    5.550_410_153_630_283_6e-2,
    2.402_265_107_421_949_8e-1,
    6.931_471_807_908_102e-1,
    1.0,
];

/// `(log(1 + f) - 2 s - 2/3 s^3) / s^5` in `s^2`, fitted as [`LOG2`]; relative error of `log(1 + f)`: 1.2e-20.
const LOG_TAIL: [f64; 7] = [
    1.320_067_269_565_555_2e-1,
    1.325_631_219_899_843e-1,
    1.538_678_101_396_408_5e-1,
    1.818_178_379_919_891_7e-1,
    2.222_222_252_721_306_5e-1,
    2.857_142_857_005_263e-1,
    4.000_000_000_000_237e-1,
];

/// 2/3 in two parts.
const TWO_THIRDS: [f64; 2] = [2.0 / 3.0, 3.700_743_415_417_188e-17];

/// `size^exponent` in `f32`, computed in `f64`, whose exponents have room for every step: no special cases but the ends
/// of the logarithm.
fn power_f32(p: &mut VectorProgram, size: VectorValue, exponent: VectorValue) -> VectorValue {
    let wide = DType::F64;
    let [base, exponent] = [size, exponent].map(|x| p.apply(Primitive::Convert(wide), &[x]));
    // What is subnormal in f32 is not in f64.
    let [zero, two] = [0.0, 2.0].map(|x| p.float(wide, x));
    let (e, f) = split_normal(p, base, zero);
    let below = p.add(two, f);
    let s = p.div(f, below);
    let square = p.mul(s, s);
    let series = polynomial(p, square, &LOG2);
    let log2 = p.fma(series, s, e);
    let log2 = with_ends(p, log2, base);
    let product = p.mul(exponent, log2);
    // Beyond these the result is 0 or infinity in f32.
    let product = at_least(p, product, -200.0);
    let product = at_most(p, product, 200.0);
    let (n, bits) = nearest(p, product, 1.0, layout(wide).bias);
    let r = p.sub(product, n);
    let power = polynomial(p, r, &EXP2);
    let scale = power_of_two(p, wide, bits);
    let scaled = p.mul(scale, power);
    p.apply(Primitive::Convert(DType::F32), &[scaled])
}

/// The logarithm of 0 is -infinity; of infinity and NaN, themselves.
fn with_ends(p: &mut VectorProgram, log: VectorValue, size: VectorValue) -> VectorValue {
    let minus_infinity = p.float(p.dtype(log), f64::NEG_INFINITY);
    let is_finite = compare_with(p, size, Comparison::Lt, f64::INFINITY);
    let log = p.select(is_finite, log, size);
    let is_zero = compare_with(p, size, Comparison::Eq, 0.0);
    p.select(is_zero, minus_infinity, log)
}

/// A number in two parts: their sum, the low one no more than a few units in the last place of the high one.
#[derive(Clone, Copy)]
struct Double {
    high: VectorValue,
    low: VectorValue,
}

/// `high + low` with the parts as far apart as they can be, for `|high| >= |low|` (T. J. Dekker 1971).
fn renormalised(p: &mut VectorProgram, high: VectorValue, low: VectorValue) -> Double {
    let sum = p.add(high, low);
    let taken = p.sub(high, sum);
    Double { high: sum, low: p.add(taken, low) }
}

/// `a * b`, the product of the low parts left out.
fn product(p: &mut VectorProgram, a: Double, b: Double) -> Double {
    let high = p.mul(a.high, b.high);
    let minus = p.neg(high);
    let lost = p.fma(a.high, b.high, minus);
    let lost = p.fma(a.high, b.low, lost);
    Double { high, low: p.fma(a.low, b.high, lost) }
}

/// `log(size)` in two parts: `2 s + s^3 (2/3 + s^2 tail) + e ln 2` with `s = f / (2 + f)`.
fn double_log(p: &mut VectorProgram, size: VectorValue) -> Double {
    let dtype = DType::F64;
    let [one, two] = [1.0, 2.0].map(|x| p.float(dtype, x));
    let (e, f) = split(p, size);
    // s: the quotient, and what it leaves over divided by the same.
    let below = renormalised(p, two, f);
    let inverse = p.div(one, below.high);
    let high = p.mul(f, inverse);
    let minus = p.neg(high);
    let left = p.fma(minus, below.high, f);
    let left = p.fma(minus, below.low, left);
    let s = Double { high, low: p.mul(left, inverse) };
    let square = product(p, s, s);
    let cube = product(p, s, square);
    let tail = polynomial(p, square.high, &LOG_TAIL);
    let tail = p.mul(tail, square.high);
    let [two_thirds, rest] = TWO_THIRDS.map(|x| p.float(dtype, x));
    let factor = renormalised(p, two_thirds, tail);
    let factor = Double { high: factor.high, low: p.add(factor.low, rest) };
    let series = product(p, cube, factor);
    let twice = p.add(s.high, s.high);
    let sum = renormalised(p, twice, series.high);
    let low = p.fma(two, s.low, series.low);
    let low = p.add(sum.low, low);
    let [ln2_high, ln2_low] = LN_2_PARTS.map(|x| p.float(dtype, x));
    let scaled = p.mul(e, ln2_high);
    let total = renormalised(p, scaled, sum.high);
    let low = p.fma(e, ln2_low, low);
    let low = p.add(total.low, low);
    renormalised(p, total.high, low)
}

/// `size^exponent` in `f64`.
fn power_f64(p: &mut VectorProgram, size: VectorValue, exponent: VectorValue) -> VectorValue {
    let zero = p.float(DType::F64, 0.0);
    let log = double_log(p, size);
    let log_high = with_ends(p, log.high, size);
    let high = p.mul(exponent, log_high);
    let minus = p.neg(high);
    let lost = p.fma(exponent, log_high, minus);
    let low = p.fma(exponent, log.low, lost);
    // The low part counts where the result is neither 0 nor infinity.
    let magnitude = p.abs(high);
    let is_inside = compare_with(p, magnitude, Comparison::Lt, 800.0);
    let low = p.select(is_inside, low, zero);
    exp_of_sum(p, high, low)
}

/// `a^b`; signs and special cases as IEEE 754-2019 `pow`.
fn pow(p: &mut VectorProgram, a: VectorValue, b: VectorValue) -> VectorValue {
    let dtype = p.dtype(a);
    let size = p.abs(a);
    let result = match dtype {
        DType::F64 => power_f64(p, size, b),
        _ => power_f32(p, size, b),
    };
    let [zero, one, half] = [0.0, 1.0, 0.5].map(|x| p.float(dtype, x));
    let [infinity, nan] = [f64::INFINITY, f64::NAN].map(|x| p.float(dtype, x));
    // A negative base (-0 is one): odd exponents give a negative result, fractions none.
    let whole = p.floor(b);
    let is_whole = compare(p, Comparison::Eq, whole, b);
    let halved = p.mul(b, half);
    let half_whole = p.floor(halved);
    let is_not_even = compare(p, Comparison::Ne, half_whole, halved);
    let is_odd = p.and(is_whole, is_not_even);
    let bits = to_bits(p, a);
    let int_zero = p.int(layout(dtype).int, 0);
    let is_signed = compare(p, Comparison::Lt, bits, int_zero);
    let is_flipped = p.and(is_signed, is_odd);
    let flipped = p.neg(result);
    let result = p.select(is_flipped, flipped, result);
    let is_fraction = p.not(is_whole);
    let is_below = compare(p, Comparison::Lt, a, zero);
    let is_finite = compare(p, Comparison::Lt, size, infinity);
    let is_undefined = p.and(is_below, is_fraction);
    let is_undefined = p.and(is_undefined, is_finite);
    let result = p.select(is_undefined, nan, result);
    // Whatever the other operand is, a NaN included: x^0 = 1 and 1^y = 1. And (-1)^(+-infinity) = 1.
    let exponent_size = p.abs(b);
    let is_infinite = compare(p, Comparison::Eq, exponent_size, infinity);
    let is_minus_one = compare_with(p, a, Comparison::Eq, -1.0);
    let is_unit = p.and(is_infinite, is_minus_one);
    let is_zeroth = compare(p, Comparison::Eq, b, zero);
    let is_of_one = compare(p, Comparison::Eq, a, one);
    let is_one = p.or(is_of_one, is_unit);
    let is_one = p.or(is_one, is_zeroth);
    p.select(is_one, one, result)
}

/// A power.
pub const POW: Row = Row {
    name: "pow",
    arity: 2,
    signature: Signature::Float,
    doc: "`a^b`, special cases as IEEE 754-2019 has them. The gradient of a is 0 where a and b \
          are; that of b is 0 where a is 0, NaN where a is below.",
    eval: |_, x| Num::Float(float(x[0]).powf(float(x[1]))),
    derivative: Derivative::Rule(|b, x, y, g| {
        let (zero, one) = (b.zeros_like(g)?, b.float_like(g, 1.0));
        let is_zero = b.eq(x[0], zero)?;
        // To the base: b a^(b-1). For 0^0 the exponent stays 0, so that the product is 0 and not 0 * infinity.
        let is_zeroth = b.eq(x[1], zero)?;
        let is_both = b.logical_and(is_zero, is_zeroth)?;
        let below = b.sub(x[1], one)?;
        let below = b.select(is_both, x[1], below)?;
        let power = b.pow(x[0], below)?;
        let slope = b.mul(x[1], power)?;
        let to_base = b.mul(g, slope)?;
        // To the exponent: a^b log a, 0 where a is 0. There the logarithm is that of 1, so that no NaN arises in the
        // derivatives of this either.
        let safe = b.select(is_zero, one, x[0])?;
        let log = b.log(safe)?;
        let slope = b.mul(y, log)?;
        let slope = b.select(is_zero, zero, slope)?;
        Ok(vec![Some(to_base), Some(b.mul(g, slope)?)])
    }),
    expand: |p, _, x| pow(p, x[0], x[1]),
    domain: &[(0.2, 4.0), (-3.0, 3.0)],
    ulp: 1.0,
    source: "e^(b log a); for f32 in double precision, for f64 with the logarithm in two parts (after T. J. Dekker 1971)",
};

#[cfg(test)]
mod tests {
    use super::Derivative;
    use crate::eval::{Bindings, evaluate};
    use crate::{Builder, ScalarFn, Tensor};

    /// The gradients of `a^b` by the rule of the row, for a gradient of 1.
    fn gradients(a: f64, b: f64) -> [f64; 2] {
        let mut builder = Builder::new("power");
        let [x, y, one] =
            [a, b, 1.0].map(|x| builder.constant(Tensor::new([], vec![x]).expect("one element")));
        let power = builder.pow(x, y).expect("two floats");
        let Derivative::Rule(rule) = ScalarFn::Pow.row().derivative else { panic!("powers have a rule") };
        let gradients = rule(&mut builder, &[x, y], power, one).expect("operands of one type");
        for (name, gradient) in ["a", "b"].into_iter().zip(gradients) {
            builder.output(name, gradient.expect("both operands have one")).expect("a new name");
        }
        let outputs =
            evaluate(&builder.finish(), &Bindings::default()).expect("a graph without inputs").outputs;
        ["a", "b"].map(|name| outputs[name].as_slice::<f64>().expect("f64")[0])
    }

    #[test]
    fn the_gradient_of_a_power_is_its_derivative() {
        let [to_base, to_exponent] = gradients(2.0, 3.0);
        assert!((to_base - 12.0).abs() < 1e-12 && (to_exponent - 8.0 * 2f64.ln()).abs() < 1e-12);
        assert_eq!(gradients(-2.0, 3.0)[0], 12.0);
    }

    #[test]
    fn the_gradient_of_a_power_of_0_is_no_nan() {
        assert_eq!(gradients(0.0, 2.0), [0.0, 0.0]);
        assert_eq!(gradients(0.0, 1.0), [1.0, 0.0]);
        assert_eq!(gradients(0.0, 0.0), [0.0, 0.0]);
        assert_eq!(gradients(0.0, -1.0), [f64::NEG_INFINITY, 0.0]);
    }
}
