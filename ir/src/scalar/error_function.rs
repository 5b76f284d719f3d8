//! The error function: a polynomial near 0, and `1 - e^l` beyond, where `l = log(erfc|x|)` is a polynomial too.

use super::expansion::{at_most, compare_with, float, polynomial, with_sign};
use super::exponential::exp_of_small;
use super::{Derivative, Num, Row, Signature};
use crate::{Comparison, DType, VectorProgram, VectorValue};

/// `x + x s(x^2)` for small |x|, `1 - e^l(|x|)` for others.
fn erf(p: &mut VectorProgram, x: VectorValue) -> VectorValue {
    let dtype = p.dtype(x);
    let size = p.abs(x);
    let square = p.mul(x, x);
    let (limit, small, log) = match dtype {
        DType::F64 => {
            // Beyond 6 the result is 1.
            let bounded = at_most(p, size, 6.0);
            let middle = p.float(dtype, 3.5);
            let from_middle = p.sub(bounded, middle);
            (1.0, polynomial(p, square, &SMALL_F64), polynomial(p, from_middle, &LOG_F64))
        }
        _ => {
            // Beyond 3.95 the result is 1.
            let bounded = at_most(p, size, 3.95);
            let ratio = polynomial(p, bounded, &LOG_F32);
            (0.95, polynomial(p, square, &SMALL_F32), p.mul(ratio, bounded))
        }
    };
    let small = p.fma(small, x, x);
    let one = p.float(dtype, 1.0);
    let complement = exp_of_small(p, log);
    let large = p.sub(one, complement);
    let large = with_sign(p, large, x);
    let is_small = compare_with(p, size, Comparison::Le, limit);
    p.select(is_small, small, large)
}

/// `erf(x)/x - 1` in `x^2` on [0, 0.95^2]: least squares on Chebyshev nodes, reweighted towards the minimax (Lawson);
/// relative error of erf: 2.6e-8.
const SMALL_F32: [f64; 6] = [
    -5.852_573_667_652_905e-4,
    4.965_135_827_660_561e-3,
    -2.674_671_448_767_185_2e-2,
    1.128_123_551_607_132e-1,
    -3.761_243_224_143_982e-1,
    1.283_791_363_239_288_3e-1,
];

/// `log(erfc(t)) / t` on [0.95, 3.95], fitted as [`SMALL_F32`]; relative error of erf: 2.8e-9.
const LOG_F32: [f64; 6] = [
    2.129_433_996_742_591_3e-4,
    -3.206_282_854_080_2e-3,
    2.286_185_510_456_562e-2,
    -1.052_175_015_211_105_3e-1,
    -6.357_523_798_942_566e-1,
    -1.128_504_157_066_345_2,
];

/// `erf(x)/x - 1` in `x^2` on [0, 1], fitted by least squares on Chebyshev nodes; relative error of erf: 1.0e-17.
const SMALL_F64: [f64; 13] = [
    6.684_830_822_627_492e-11,
    -1.183_059_046_570_527_7e-9,
    1.478_654_841_816_703_6e-8,
    -1.637_063_829_093_387e-7,
    1.646_308_709_483_387e-6,
    -1.492_573_850_420_421_8e-5,
    1.205_533_777_781_095_2e-4,
    -8.548_327_189_606_624e-4,
    5.223_977_629_095_658e-3,
    -2.686_617_064_561_954e-2,
    0.112_837_916_709_587_43,
    -0.376_126_389_031_838_76,
    0.128_379_167_095_512_6,
];

/// `log(erfc(t))` in `t - 3.5` on [1, 6], fitted by least squares on Chebyshev nodes; relative error of erf: 7.4e-18.
const LOG_F64: [f64; 18] = [
    -4.847_830_534_554_553e-12,
    -8.708_035_414_025_339e-11,
    -6.780_859_919_588_124e-10,
    -3.127_333_806_750_299e-9,
    -9.038_147_272_189_829e-9,
    -1.666_317_594_833_628e-8,
    -1.720_112_259_772_569_6e-8,
    1.054_720_743_583_127_4e-8,
    -5.331_977_475_093_913_5e-8,
    6.231_185_636_835_796e-7,
    -3.868_733_909_421_026e-6,
    2.438_385_912_946_714_3e-5,
    -1.473_083_412_341_874e-4,
    8.736_815_788_991_428e-4,
    -5.225_659_070_008_421_5e-3,
    -0.966_753_054_465_384_3,
    -7.266_099_588_266_865,
    -14.112_437_402_142_074,
];

/// The error function.
pub const ERF: Row = Row {
    name: "erf",
    arity: 1,
    signature: Signature::Float,
    doc: "The error function, `2/sqrt(pi)` times the integral of `e^(-t^2)` from 0 to x.",
    eval: |_, x| Num::Float(reference(float(x[0]))),
    derivative: Derivative::Rule(|b, x, _, g| {
        let square = b.square(x[0])?;
        let minus = b.neg(square)?;
        let density = b.exp(minus)?;
        let scale = b.float_like(g, std::f64::consts::FRAC_2_SQRT_PI);
        let slope = b.mul(density, scale)?;
        Ok(vec![Some(b.mul(g, slope)?)])
    }),
    expand: |p, _, x| erf(p, x[0]),
    domain: &[(-3.0, 3.0)],
    ulp: 2.0,
    source: "polynomials for erf(x)/x and log(erfc(x)) fitted by weighted least squares",
};

/// erf by its Taylor series for |x| < 3/4 and by the continued fraction of erfc beyond (Abramowitz and Stegun 7.1.6,
/// 7.1.14).
fn reference(x: f64) -> f64 {
    let t = x.abs();
    let value = if x.is_nan() {
        return x;
    } else if t < 0.75 {
        // erf(t) = 2/sqrt(pi) e^(-t^2) t (1 + 2t^2/3 (1 + 2t^2/5 (1 + ..))): nothing cancels.
        let series = (1..=30).rev().fold(1.0, |sum, n| 1.0 + sum * (2.0 * t * t / f64::from(2 * n + 1)));
        std::f64::consts::FRAC_2_SQRT_PI * (exp_of_minus_square(t) * t * series)
    } else if t < 7.0 {
        let fraction = (1..=500).rev().fold(0.0, |below, n| f64::from(n) / 2.0 / (t + below));
        1.0 - exp_of_minus_square(t) / (t + fraction) / std::f64::consts::PI.sqrt()
    } else {
        1.0
    };
    value.copysign(x)
}

/// `e^(-t^2)`, the rounding error of the square put back.
fn exp_of_minus_square(t: f64) -> f64 {
    let square = t * t;
    let lost = t.mul_add(t, -square);
    (-square).exp() * (1.0 - lost)
}
