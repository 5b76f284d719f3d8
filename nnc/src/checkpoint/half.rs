//! Numbers of 16 bits as other programs store them, as `f32`, which has all of them.

/// The number that these bits are in the format binary16 of IEEE 754: a sign, 5 bits of exponent, 10 of fraction.
pub fn from_f16(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let (exponent, fraction) = (u32::from(bits >> 10) & 0x1f, u32::from(bits) & 0x3ff);
    match exponent {
        // A fraction in units of 2^-24, exactly.
        0 => f32::from_bits(sign | (fraction as f32 / 16_777_216.0).to_bits()),
        31 => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 127 - 15) << 23 | fraction << 13),
    }
}

/// The number that these bits are in bfloat16: the upper half of an `f32`.
pub fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of each class the least and the greatest, from the definition of the format.
    #[test]
    fn halves_are_the_numbers_of_their_definition() {
        let cases = [
            (0x0000, 0.0),
            (0x8000, -0.0),
            (0x0001, 2f32.powi(-24)),
            (0x03ff, 1023.0 * 2f32.powi(-24)),
            (0x0400, 2f32.powi(-14)),
            (0x3c00, 1.0),
            (0x3c01, 1.0 + 2f32.powi(-10)),
            (0xc248, -3.140625),
            (0x7bff, 65504.0),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ];
        for (bits, number) in cases {
            assert_eq!(from_f16(bits).to_bits(), number.to_bits(), "{bits:x}");
        }
        assert!(from_f16(0x7e00).is_nan() && from_f16(0xfc01).is_nan());
    }

    #[test]
    fn bfloats_are_upper_halves() {
        for (bits, number) in [(0x3f80, 1.0), (0xc049, -3.140625), (0x7f80, f32::INFINITY), (0x8000, -0.0)] {
            assert_eq!(from_bf16(bits).to_bits(), f32::to_bits(number), "{bits:x}");
        }
    }
}
