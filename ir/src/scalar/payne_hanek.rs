//! The reduction of large angles by pi/2: M. Payne and R. Hanek, "Radian reduction for trigonometric functions", SIGNUM
//! Newsletter 18 (1983).
//!
//! A float is `M 2^e` with an integer M. Of the product with 2/pi only the remainder modulo 4 matters, so bits of 2/pi whose
//! products are multiples of 4 are left out, and so are those far below the last place of the result. What is between is a
//! window of 2/pi that begins at a bit which depends on the exponent. It is chosen by selections among constant words, one
//! per bit of the exponent, so no lane reads memory by an index. The product of M and the window is exact integer
//! arithmetic; its top two bits are the quadrant, the others the fraction of a quarter turn.

use super::expansion::{compare, from_bits, layout, to_bits};
use crate::{Comparison, DType, Primitive, VectorProgram, VectorValue};

/// The bits of 2/pi behind the binary point, 32 per word.
const TWO_OVER_PI: [u32; 37] = [
    0xa2f9_836e,
    0x4e44_1529,
    0xfc27_57d1,
    0xf534_ddc0,
    0xdb62_9599,
    0x3c43_9041,
    0xfe51_63ab,
    0xdebb_c561,
    0xb724_6e3a,
    0x424d_d2e0,
    0x0649_2eea,
    0x09d1_921c,
    0xfe1d_eb1c,
    0xb129_a73e,
    0xe882_35f5,
    0x2ebb_4484,
    0xe99c_7026,
    0xb45f_7e41,
    0x3991_d639,
    0x8353_39f4,
    0x9c84_5f8b,
    0xbdf9_283b,
    0x1ff8_97ff,
    0xde05_980f,
    0xef2f_118b,
    0x5a0a_6d1f,
    0x6d36_7ecf,
    0x27cb_09b7,
    0x4f46_3f66,
    0x9e5f_ea2d,
    0x7527_bac7,
    0xebe5_f17b,
    0x3d07_39f7,
    0x8a52_92ea,
    0x6bfb_5fb1,
    0x1f8d_5d08,
    0x5603_3046,
];

/// The bits of a word.
const WORD: u32 = 32;

/// Word `index` of 2/pi behind `zeros` bits of 0.
fn shifted_word(index: usize, zeros: u32) -> u32 {
    let word = |index: Option<usize>| index.map_or(0, |index| u64::from(TWO_OVER_PI[index]));
    let (skipped, by) = ((zeros / WORD) as usize, zeros % WORD);
    let at = index.checked_sub(skipped);
    let before = at.and_then(|at| at.checked_sub(1));
    (((word(before) << WORD | word(at)) >> by) & u64::from(u32::MAX)) as u32
}

/// An integer of two or more words is a list of values of the integer type of the float's size, 32 bits in each, the most
/// significant first.
type Words = Vec<VectorValue>;

/// How the words of a dtype are computed with.
struct Format {
    /// The integer of the float's size.
    int: DType,
    /// The stored bits of the significand.
    mantissa: u32,
    /// The exponent's bias.
    bias: i64,
    /// The bits of the exponent above the five that shift within a word.
    stages: u32,
    /// The words of the window.
    window: usize,
}

/// Windows are as long as M, the quadrant, the bits that are 0 in the fraction of the float next to a multiple of pi/2 (30
/// for `f32`, 61 for `f64`: J.-M. Muller et al., "Handbook of Floating-Point Arithmetic", 2018, section 10.2) and the bits
/// of the result are together, and some more.
fn format(dtype: DType) -> Format {
    let layout = layout(dtype);
    let (stages, window) = if dtype == DType::F64 { (5, 6) } else { (2, 3) };
    Format { int: layout.int, mantissa: layout.mantissa, bias: layout.bias, stages, window }
}

/// `x = n pi/2 + r` for finite `|x| >= 1`: n in the low two bits of an integer, and r.
pub fn reduce_large(p: &mut VectorProgram, x: VectorValue) -> (VectorValue, VectorValue) {
    let dtype = p.dtype(x);
    let format = format(dtype);
    let Format { int, mantissa, bias, .. } = format;
    let size = p.abs(x);
    let size = to_bits(p, size);
    let [bias, fraction, hidden] = [bias, (1 << mantissa) - 1, 1 << mantissa].map(|bits| p.int(int, bits));
    let exponent = p.apply(Primitive::ShiftRightLogical(mantissa), &[size]);
    let exponent = p.sub(exponent, bias);
    let significand = p.and(size, fraction);
    let significand = p.or(significand, hidden);
    let window = window(p, &format, exponent);
    let product = match dtype {
        DType::F64 => product_of_words(p, significand, &window),
        _ => product_of_halves(p, significand, &window),
    };
    let (quadrant, fraction, is_below) = nearest_quadrant(p, &format, &product);
    let r = quarter_turns(p, dtype, &fraction);
    // The signs of x and of the fraction.
    let sign = p.int(int, if int == DType::I64 { i64::MIN } else { i64::from(i32::MIN) });
    let bits = to_bits(p, x);
    let signs = p.xor(bits, is_below);
    let signs = p.and(signs, sign);
    let r = to_bits(p, r);
    let r = p.xor(r, signs);
    let r = from_bits(p, dtype, r);
    let is_negative = p.apply(Primitive::ShiftRightArithmetic(sign_place(int)), &[bits]);
    let quadrant = p.xor(quadrant, is_negative);
    (p.sub(quadrant, is_negative), r)
}

fn sign_place(int: DType) -> u32 {
    int.size_bytes() as u32 * 8 - 1
}

/// The words of 2/pi from the bit on that the exponent says. Times M they are `x 2/pi` modulo 4, in units in which 4 is the
/// power of two behind the window.
fn window(p: &mut VectorProgram, format: &Format, exponent: VectorValue) -> Words {
    let int = format.int;
    // With M in the lowest bits of its word, exponent 0 begins two bits and M's stored ones before the binary point.
    let zeros = format.mantissa + 2;
    let count = format.window + (1 << format.stages);
    let mut words: Words =
        (0..count).map(|index| p.int(int, i64::from(shifted_word(index, zeros)))).collect();
    let zero = p.int(int, 0);
    for stage in (0..format.stages).rev() {
        let bit = p.int(int, 1 << (5 + stage));
        let bit = p.and(exponent, bit);
        let is_set = compare(p, Comparison::Ne, bit, zero);
        let step = 1 << stage;
        words = (0..words.len() - step).map(|i| p.select(is_set, words[i + step], words[i])).collect();
    }
    let power = power_of_low_bits(p, format, exponent);
    words.windows(2).map(|pair| shift_left(p, pair[0], pair[1], power)).collect()
}

/// 2 to the low five bits of the exponent, as an integer: converted from a float. It is negative there because `-2^31` is
/// an `i32` and `2^31` is not.
fn power_of_low_bits(p: &mut VectorProgram, format: &Format, exponent: VectorValue) -> VectorValue {
    let &Format { int, mantissa, bias, .. } = format;
    let dtype = if int == DType::I64 { DType::F64 } else { DType::F32 };
    let [low, negative] = [i64::from(WORD) - 1, bias + 2 * (bias + 1)].map(|bits| p.int(int, bits));
    let by = p.and(exponent, low);
    let biased = p.add(by, negative);
    let bits = p.apply(Primitive::ShiftLeft(mantissa), &[biased]);
    let float = from_bits(p, dtype, bits);
    let minus = p.apply(Primitive::Convert(int), &[float]);
    p.neg(minus)
}

/// The upper word of two that are shifted left by multiplying with a power of two.
fn shift_left(
    p: &mut VectorProgram,
    upper: VectorValue,
    lower: VectorValue,
    power: VectorValue,
) -> VectorValue {
    if p.dtype(upper) == DType::I64 {
        let upper = p.apply(Primitive::ShiftLeft(WORD), &[upper]);
        let both = p.or(upper, lower);
        let shifted = p.mul(both, power);
        return p.apply(Primitive::ShiftRightLogical(WORD), &[shifted]);
    }
    let upper = p.mul(upper, power);
    let carried = p.mul_high_unsigned(lower, power);
    p.or(upper, carried)
}

/// The upper two words of the product with a window of three, modulo the window's length; `i32`.
fn product_of_halves(p: &mut VectorProgram, significand: VectorValue, window: &Words) -> Words {
    let least = p.int(DType::I32, i64::from(i32::MIN));
    let one = p.int(DType::I32, 1);
    let zero = p.int(DType::I32, 0);
    let carried = p.mul_high_unsigned(significand, window[2]);
    let middle = p.mul(significand, window[1]);
    let lower = p.add(middle, carried);
    // The sum wrapped where it is below a term, as unsigned numbers: signed ones with the first bit flipped.
    let [sum, term] = [lower, carried].map(|value| p.xor(value, least));
    let has_wrapped = compare(p, Comparison::Lt, sum, term);
    let carry = p.select(has_wrapped, one, zero);
    let carried = p.mul_high_unsigned(significand, window[1]);
    let upper = p.mul(significand, window[0]);
    let upper = p.add(upper, carried);
    vec![p.add(upper, carry), lower]
}

/// The product with a window, modulo its length, without the last word; `i64`. The significand has two words.
fn product_of_words(p: &mut VectorProgram, significand: VectorValue, window: &Words) -> Words {
    let mask = p.int(DType::I64, i64::from(u32::MAX));
    let zero = p.int(DType::I64, 0);
    let low = p.and(significand, mask);
    let high = p.apply(Primitive::ShiftRightLogical(WORD), &[significand]);
    // Word by word from the last: products of two words and two words more fit into 64 bits.
    let row = |p: &mut VectorProgram, factor: VectorValue, words: &[VectorValue], added: &[VectorValue]| {
        let mut carry = zero;
        let mut sums = Vec::new();
        for (&word, &term) in words.iter().zip(added).rev() {
            let product = p.mul(factor, word);
            let sum = p.add(product, term);
            let sum = p.add(sum, carry);
            carry = p.apply(Primitive::ShiftRightLogical(WORD), &[sum]);
            sums.insert(0, p.and(sum, mask));
        }
        sums
    };
    let first = row(p, low, window, &vec![zero; window.len()]);
    // One word further up, so that the first word of the window falls out.
    row(p, high, &window[1..], &first[..first.len() - 1])
}

/// A product as the nearest quadrant, the distance from it in units of which a quarter turn has `2^(32 words)`, one's
/// complement taken where it is negative, and all ones there.
fn nearest_quadrant(
    p: &mut VectorProgram,
    format: &Format,
    product: &Words,
) -> (VectorValue, Words, VectorValue) {
    let int = format.int;
    let zero = p.int(int, 0);
    let mask = p.int(int, i64::from(u32::MAX));
    let following: Words = product[1..].iter().copied().chain([zero]).collect();
    let fraction: Words = (product.iter().zip(following))
        .map(|(&word, next)| {
            let upper = p.apply(Primitive::ShiftLeft(2), &[word]);
            let lower = p.apply(Primitive::ShiftRightLogical(WORD - 2), &[next]);
            let both = p.or(upper, lower);
            p.and(both, mask)
        })
        .collect();
    // More than half of a quarter turn is less than none of the next.
    let half = p.apply(Primitive::ShiftRightLogical(WORD - 1), &[fraction[0]]);
    let is_below = p.neg(half);
    let complement = p.and(is_below, mask);
    let distance = fraction.iter().map(|&word| p.xor(word, complement)).collect();
    let quadrant = p.apply(Primitive::ShiftRightLogical(WORD - 2), &[product[0]]);
    (p.add(quadrant, half), distance, is_below)
}

/// A fraction of a quarter turn in radians, rounded about once.
fn quarter_turns(p: &mut VectorProgram, dtype: DType, fraction: &Words) -> VectorValue {
    // In pieces that are floats without rounding.
    let pieces: Vec<(VectorValue, i32)> = match dtype {
        DType::F64 => (fraction.iter().zip(1..)).map(|(&word, index)| (word, -32 * index)).collect(),
        _ => pieces_of_24_bits(p, fraction),
    };
    let floats: Vec<VectorValue> = pieces
        .into_iter()
        .take(4)
        .map(|(piece, exponent)| {
            let float = p.apply(Primitive::Convert(dtype), &[piece]);
            let unit = p.float(dtype, f64::from(exponent).exp2());
            p.mul(float, unit)
        })
        .collect();
    // The first two are summed exactly: the first is the greater one, or 0 (T. J. Dekker 1971).
    let sum = p.add(floats[0], floats[1]);
    let taken = p.sub(floats[0], sum);
    let error = p.add(taken, floats[1]);
    let rest = floats[2..].iter().copied().reduce(|a, b| p.add(a, b)).expect("there are three pieces");
    let low = p.add(error, rest);
    let high = p.add(sum, low);
    let taken = p.sub(sum, high);
    let low = p.add(taken, low);
    // pi/2 in two parts.
    let parts = match dtype {
        DType::F64 => [std::f64::consts::FRAC_PI_2, 6.123_233_995_736_766e-17],
        _ => [f64::from(std::f32::consts::FRAC_PI_2), -4.371_139_000_186_242_6e-8],
    };
    let [half_pi, half_pi_low] = parts.map(|part| p.float(dtype, part));
    let small = p.mul(low, half_pi);
    let small = p.fma(high, half_pi_low, small);
    p.fma(high, half_pi, small)
}

/// Two words of an `i32` as 24, 24 and 16 bits.
fn pieces_of_24_bits(p: &mut VectorProgram, words: &Words) -> Vec<(VectorValue, i32)> {
    let [first, last] = [0xff, 0xffff].map(|bits| p.int(DType::I32, bits));
    let upper = p.apply(Primitive::ShiftRightLogical(8), &[words[0]]);
    let middle = p.and(words[0], first);
    let middle = p.apply(Primitive::ShiftLeft(16), &[middle]);
    let following = p.apply(Primitive::ShiftRightLogical(16), &[words[1]]);
    let middle = p.or(middle, following);
    let lower = p.and(words[1], last);
    vec![(upper, -24), (middle, -48), (lower, -64)]
}
