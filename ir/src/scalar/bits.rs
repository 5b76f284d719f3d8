//! Functions of bits, which random numbers are made of.

use super::{Derivative, Num, Row, Signature};
use crate::{DType, Primitive};

fn int(num: Num) -> i64 {
    let Num::Int(x) = num else { panic!("an integer function of {num:?}") };
    x
}

/// The upper half of an `i64`.
pub const HIGH_WORD: Row = Row {
    name: "high_word",
    arity: 1,
    signature: Signature::HighWord,
    doc: "The upper 32 bits of an `i64` as an `i32`.",
    eval: |_, x| Num::Int(int(x[0]) >> 32),
    derivative: Derivative::Zero,
    expand: |p, _, x| {
        let high = p.apply(Primitive::ShiftRightArithmetic(32), &[x[0]]);
        p.apply(Primitive::Convert(DType::I32), &[high])
    },
    domain: &[(-9.0e18, 9.0e18)],
    ulp: 0.0,
    source: "exact",
};

/// The number of bits of an `i32`, by which shift amounts are taken modulo.
const WIDTH: i64 = 32;

/// A right shift.
pub const SHIFT_RIGHT: Row = Row {
    name: "shift_right",
    arity: 2,
    signature: Signature::I32,
    doc: "The first operand shifted right by the second modulo 32, zeros in.",
    eval: |_, x| Num::Int(i64::from((int(x[0]) as i32 as u32 >> (int(x[1]) & (WIDTH - 1))) as i32)),
    derivative: Derivative::Zero,
    expand: |p, _, x| {
        if let Primitive::Constant(amount) = p.insts()[x[1].0 as usize].primitive {
            return p.apply(Primitive::ShiftRightLogical(amount.bits() as u32 % 32), &x[..1]);
        }
        // One step per bit of the amount: the primitive shifts by constants.
        let zero = p.int(DType::I32, 0);
        (0..5).fold(x[0], |value, bit| {
            let mask = p.int(DType::I32, 1 << bit);
            let wanted = p.and(x[1], mask);
            let is_wanted = p.apply(Primitive::Compare(crate::Comparison::Ne), &[wanted, zero]);
            let shifted = p.apply(Primitive::ShiftRightLogical(1 << bit), &[value]);
            p.select(is_wanted, shifted, value)
        })
    },
    domain: &[(-2.0e9, 2.0e9), (0.0, 32.0)],
    ulp: 0.0,
    source: "exact",
};
