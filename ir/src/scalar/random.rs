//! Philox4x32-10, the counter-based generator of J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
//! SC 2011: the reference, and its first two words as functions of the table.

use std::f64::consts::PI;

use super::{Derivative, Num, Row, Signature};
use crate::{DType, VectorProgram, VectorValue};

/// The multipliers (table 2 of the paper).
const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// What is added to the key each round: the golden ratio and sqrt(3) - 1.
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// Four random words for a counter and a key.
pub fn philox4x32_10(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let mut c = counter;
    for round in 0..ROUNDS as u32 {
        let keys = [0, 1].map(|i| key[i].wrapping_add(WEYL[i].wrapping_mul(round)));
        let products = [0, 1].map(|i| u64::from(MULTIPLIERS[i]) * u64::from(c[2 * i]));
        let [high0, high1] = products.map(|product| (product >> 32) as u32);
        let [low0, low1] = products.map(|product| product as u32);
        c = [high1 ^ c[1] ^ keys[0], low1, high0 ^ c[3] ^ keys[1], low0];
    }
    c
}

/// The random words of an element: counter (element, 0, stream, 0), the halves of the key as key.
fn words(key: u64, stream: u32, element: u32) -> [u32; 4] {
    philox4x32_10([element, 0, stream, 0], [key as u32, (key >> 32) as u32])
}

/// The upper `bits` bits of a word on `[0, 1)`.
fn fraction(word: u32, bits: u32) -> f64 {
    f64::from(word >> (32 - bits)) / f64::from(bits).exp2()
}

/// Element `element` of a uniform draw on `[0, 1)`: 24 bits of word 0 for `f32`; for `f64`, 27 bits of word 0 and 26 of
/// word 1.
pub fn uniform(key: u64, stream: u32, element: u32, dtype: DType) -> f64 {
    let [first, second, ..] = words(key, stream, element);
    match dtype {
        DType::F64 => fraction(first, 27) + fraction(second, 26) * 2f64.powi(-27),
        _ => fraction(first, 24),
    }
}

/// Element `element` of a standard normal draw: `sqrt(-2 ln(1 - u0)) cos(2 pi u1)` (Box and Muller 1958), with 24 bits
/// of words 0 and 1.
pub fn normal(key: u64, stream: u32, element: u32, _: DType) -> f64 {
    let [first, second, ..] = words(key, stream, element);
    let (u0, u1) = (fraction(first, 24), fraction(second, 24));
    (-2.0 * (1.0 - u0).ln()).sqrt() * (2.0 * PI * u1).cos()
}

fn reference(x: &[Num], word: usize) -> Num {
    let operands: Vec<u32> = x
        .iter()
        .map(|&num| match num {
            Num::Int(x) => x as u32,
            Num::Float(_) => panic!("philox of a float"),
        })
        .collect();
    let result = philox4x32_10([operands[0], 0, operands[1], 0], [operands[2], operands[3]]);
    Num::Int(i64::from(result[word] as i32))
}

fn expand(p: &mut VectorProgram, x: &[VectorValue], word: usize) -> VectorValue {
    let int = |p: &mut VectorProgram, value: u32| p.int(DType::I32, i64::from(value as i32));
    let zero = int(p, 0);
    let multipliers = MULTIPLIERS.map(|m| int(p, m));
    let mut c = [x[0], zero, x[1], zero];
    for round in 0..ROUNDS as u32 {
        let steps = WEYL.map(|w| int(p, w.wrapping_mul(round)));
        let keys = [p.add(x[2], steps[0]), p.add(x[3], steps[1])];
        let high0 = p.mul_high_unsigned(c[0], multipliers[0]);
        let low0 = p.mul(c[0], multipliers[0]);
        let high1 = p.mul_high_unsigned(c[2], multipliers[1]);
        let low1 = p.mul(c[2], multipliers[1]);
        let first = p.xor(high1, c[1]);
        let second = p.xor(high0, c[3]);
        c = [p.xor(first, keys[0]), low1, p.xor(second, keys[1]), low0];
    }
    c[word]
}

macro_rules! philox {
    ($constant:ident, $name:literal, $word:literal, $doc:literal) => {
        #[doc = $doc]
        pub const $constant: Row = Row {
            name: $name,
            arity: 4,
            signature: Signature::I32,
            doc: $doc,
            eval: |_, x| reference(x, $word),
            derivative: Derivative::Zero,
            expand: |p, _, x| expand(p, x, $word),
            domain: &[(-2.0e9, 2.0e9)],
            ulp: 0.0,
            source: "Salmon et al. 2011, section 2.2.3",
        };
    };
}

philox!(PHILOX0, "philox0", 0, "Word 0 of Philox4x32-10 of (counter, stream, low key, high key).");
philox!(PHILOX1, "philox1", 1, "Word 1 of Philox4x32-10 of (counter, stream, low key, high key).");

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers of Random123's `kat_vectors`.
    #[test]
    fn philox_gives_the_known_answers() {
        assert_eq!(philox4x32_10([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            philox4x32_10([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        let key = [0xa409_3822, 0x299f_31d0];
        assert_eq!(philox4x32_10(pi, key), [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }

    /// The mean and the variance of the first so many elements.
    fn moments(draw: impl Fn(u32) -> f64) -> [f64; 2] {
        let count = 10_000;
        let mean = (0..count).map(&draw).sum::<f64>() / f64::from(count);
        [mean, (0..count).map(|e| (draw(e) - mean).powi(2)).sum::<f64>() / f64::from(count)]
    }

    #[test]
    fn draws_have_the_moments_of_their_distribution() {
        for dtype in [DType::F32, DType::F64] {
            let [mean, variance] = moments(|e| uniform(42, 1, e, dtype));
            assert!((mean - 0.5).abs() < 0.01 && (variance - 1.0 / 12.0).abs() < 0.003, "{mean} {variance}");
            let [mean, variance] = moments(|e| normal(42, 1, e, dtype));
            assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
        }
    }

    #[test]
    fn uniform_draws_are_below_1_and_exact_in_their_dtype() {
        for element in 0..10_000 {
            let x = uniform(7, 0, element, DType::F32);
            assert!((0.0..1.0).contains(&x) && f64::from(x as f32) == x);
            assert!((0.0..1.0).contains(&uniform(7, 0, element, DType::F64)));
        }
    }

    #[test]
    fn keys_streams_and_elements_give_different_numbers() {
        let x = uniform(1, 2, 3, DType::F64);
        assert_ne!(x, uniform(1 << 32 | 1, 2, 3, DType::F64));
        assert_ne!(x, uniform(1, 3, 3, DType::F64));
        assert_ne!(x, uniform(1, 2, 4, DType::F64));
    }
}
