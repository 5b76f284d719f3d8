//! The interpreter of vector programs: one lane, in the machine's own arithmetic of each dtype. It is the judge of
//! whatever emits them: every lane of compiled code has the bits that come out here (a NaN may be another NaN).

use super::{Comparison, Primitive, VectorProgram};
use crate::{DType, Scalar};

impl VectorProgram {
    /// Runs one lane: the value of each instruction, in order, for these arguments.
    ///
    /// ```
    /// use ir::{DType, Scalar, VectorProgram};
    /// let mut program = VectorProgram::new();
    /// let x = program.argument(0, DType::F32);
    /// let square = program.mul(x, x);
    /// assert_eq!(program.run(&[Scalar::F32(3.0)])[square.0 as usize], Scalar::F32(9.0));
    /// ```
    ///
    /// # Panics
    /// Where an argument is missing or of another dtype, and where a primitive is applied to a dtype that it is not
    /// defined for: the builder of the program is wrong then.
    pub fn run(&self, arguments: &[Scalar]) -> Vec<Scalar> {
        let mut values: Vec<Scalar> = Vec::with_capacity(self.insts.len());
        for inst in &self.insts {
            let operand = |index: usize| values[inst.operands[index].0 as usize];
            let value = match (inst.primitive, inst.operands.len()) {
                (Primitive::Argument(index), _) => arguments[index as usize],
                (Primitive::Constant(constant), _) => constant,
                (primitive, 1) => unary(primitive, operand(0)),
                (primitive, 2) => binary(primitive, operand(0), operand(1)),
                (primitive, _) => ternary(primitive, operand(0), operand(1), operand(2)),
            };
            assert_eq!(value.dtype(), inst.dtype, "{inst:?}");
            values.push(value);
        }
        values
    }
}

fn undefined(primitive: Primitive, dtype: DType) -> ! {
    panic!("{primitive:?} is not defined for {dtype}")
}

/// Primitives of one operand.
fn unary(primitive: Primitive, x: Scalar) -> Scalar {
    macro_rules! float {
        ($x:expr, $wrap:path) => {
            match primitive {
                Primitive::Neg => $wrap(-$x),
                Primitive::Abs => $wrap($x.abs()),
                Primitive::Sqrt => $wrap($x.sqrt()),
                Primitive::Floor => $wrap($x.floor()),
                Primitive::Ceil => $wrap($x.ceil()),
                Primitive::Round => $wrap($x.round_ties_even()),
                _ => undefined(primitive, x.dtype()),
            }
        };
    }
    macro_rules! int {
        ($x:expr, $unsigned:ty, $wrap:path) => {
            match primitive {
                Primitive::Neg => $wrap($x.wrapping_neg()),
                Primitive::Abs => $wrap($x.wrapping_abs()),
                Primitive::Not => $wrap(!$x),
                Primitive::ShiftLeft(by) => $wrap($x << by),
                Primitive::ShiftRightLogical(by) => $wrap(($x as $unsigned >> by) as _),
                Primitive::ShiftRightArithmetic(by) => $wrap($x >> by),
                _ => undefined(primitive, x.dtype()),
            }
        };
    }
    match (primitive, x) {
        (Primitive::Convert(to), _) => convert(to, x),
        (Primitive::Bitcast(to), _) => bitcast(to, x),
        (_, Scalar::F32(a)) => float!(a, Scalar::F32),
        (_, Scalar::F64(a)) => float!(a, Scalar::F64),
        (_, Scalar::I32(a)) => int!(a, u32, Scalar::I32),
        (_, Scalar::I64(a)) => int!(a, u64, Scalar::I64),
        (Primitive::Not, Scalar::Bool(a)) => Scalar::Bool(!a),
        (_, Scalar::Bool(_)) => undefined(primitive, DType::Bool),
    }
}

fn convert(to: DType, x: Scalar) -> Scalar {
    match x {
        Scalar::F32(_) | Scalar::F64(_) => Scalar::from_f64(to, x.as_f64()),
        Scalar::I32(a) => Scalar::from_i64(to, i64::from(a)),
        Scalar::I64(a) => Scalar::from_i64(to, a),
        Scalar::Bool(a) => Scalar::from_i64(to, i64::from(a)),
    }
}

fn bitcast(to: DType, x: Scalar) -> Scalar {
    match (to, x) {
        (DType::I32, Scalar::F32(a)) => Scalar::I32(a.to_bits() as i32),
        (DType::F32, Scalar::I32(a)) => Scalar::F32(f32::from_bits(a as u32)),
        (DType::I64, Scalar::F64(a)) => Scalar::I64(a.to_bits() as i64),
        (DType::F64, Scalar::I64(a)) => Scalar::F64(f64::from_bits(a as u64)),
        _ => undefined(Primitive::Bitcast(to), x.dtype()),
    }
}

/// Primitives of two operands.
fn binary(primitive: Primitive, x: Scalar, y: Scalar) -> Scalar {
    macro_rules! float {
        ($a:expr, $b:expr, $float:ty, $power:path, $wrap:path) => {
            match primitive {
                Primitive::Add => $wrap($a + $b),
                Primitive::Sub => $wrap($a - $b),
                Primitive::Mul => $wrap($a * $b),
                Primitive::Div => $wrap($a / $b),
                // Of equal numbers only the zeros differ, and their signs are the only bits that can.
                Primitive::Max if $a == $b => $wrap(<$float>::from_bits($a.to_bits() & $b.to_bits())),
                Primitive::Min if $a == $b => $wrap(<$float>::from_bits($a.to_bits() | $b.to_bits())),
                Primitive::Max => $wrap(if $a > $b || $a.is_nan() { $a } else { $b }),
                Primitive::Min => $wrap(if $a < $b || $a.is_nan() { $a } else { $b }),
                Primitive::Scale => $wrap($a * $power($b).0 * $power($b).1),
                Primitive::Compare(how) => Scalar::Bool(compare(how, $a, $b)),
                _ => undefined(primitive, x.dtype()),
            }
        };
    }
    macro_rules! int {
        ($a:expr, $b:expr, $wrap:path) => {
            match primitive {
                Primitive::Add => $wrap($a.wrapping_add($b)),
                Primitive::Sub => $wrap($a.wrapping_sub($b)),
                Primitive::Mul => $wrap($a.wrapping_mul($b)),
                Primitive::Max => $wrap($a.max($b)),
                Primitive::Min => $wrap($a.min($b)),
                Primitive::And => $wrap($a & $b),
                Primitive::Or => $wrap($a | $b),
                Primitive::Xor => $wrap($a ^ $b),
                Primitive::Compare(how) => Scalar::Bool(compare(how, $a, $b)),
                _ => undefined(primitive, x.dtype()),
            }
        };
    }
    match (x, y) {
        (Scalar::F32(a), Scalar::F32(b)) => float!(a, b, f32, powers_f32, Scalar::F32),
        (Scalar::F64(a), Scalar::F64(b)) => float!(a, b, f64, powers_f64, Scalar::F64),
        (Scalar::I32(a), Scalar::I32(b)) if primitive == Primitive::MulHighUnsigned => {
            Scalar::I32(((u64::from(a as u32) * u64::from(b as u32)) >> 32) as i32)
        }
        (Scalar::I32(a), Scalar::I32(b)) => int!(a, b, Scalar::I32),
        (Scalar::I64(a), Scalar::I64(b)) => int!(a, b, Scalar::I64),
        (Scalar::Bool(a), Scalar::Bool(b)) => Scalar::Bool(match primitive {
            Primitive::And => a & b,
            Primitive::Or => a | b,
            Primitive::Xor => a ^ b,
            Primitive::Compare(how) => compare(how, a, b),
            _ => undefined(primitive, DType::Bool),
        }),
        _ => panic!("{primitive:?} of {} and {}", x.dtype(), y.dtype()),
    }
}

/// `2^n` as a product of two powers, so that only the second multiplication rounds.
fn powers_f32(n: f32) -> (f32, f32) {
    let half = (n as i32) >> 1;
    ((half as f32).exp2(), ((n as i32 - half) as f32).exp2())
}

/// As [`powers_f32`].
fn powers_f64(n: f64) -> (f64, f64) {
    let half = (n as i32) >> 1;
    (f64::from(half).exp2(), f64::from(n as i32 - half).exp2())
}

fn compare<T: PartialOrd>(how: Comparison, a: T, b: T) -> bool {
    match how {
        Comparison::Eq => a == b,
        Comparison::Ne => a != b,
        Comparison::Lt => a < b,
        Comparison::Le => a <= b,
        Comparison::Gt => a > b,
        Comparison::Ge => a >= b,
    }
}

/// Primitives of three operands.
fn ternary(primitive: Primitive, x: Scalar, y: Scalar, z: Scalar) -> Scalar {
    match (primitive, x, y, z) {
        (Primitive::Fma, Scalar::F32(a), Scalar::F32(b), Scalar::F32(c)) => Scalar::F32(a.mul_add(b, c)),
        (Primitive::Fma, Scalar::F64(a), Scalar::F64(b), Scalar::F64(c)) => Scalar::F64(a.mul_add(b, c)),
        (Primitive::Select, Scalar::Bool(condition), a, b) if a.dtype() == b.dtype() => {
            if condition {
                a
            } else {
                b
            }
        }
        (Primitive::Cold(function), Scalar::Bool(condition), usual, x) if usual.dtype() == x.dtype() => {
            if condition {
                function.run(x)
            } else {
                usual
            }
        }
        _ => panic!("{primitive:?} of {}, {} and {}", x.dtype(), y.dtype(), z.dtype()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(primitive: Primitive, operands: &[Scalar]) -> Scalar {
        let mut program = VectorProgram::new();
        let values: Vec<_> =
            operands.iter().enumerate().map(|(i, x)| program.argument(i as u32, x.dtype())).collect();
        let result = program.apply(primitive, &values);
        program.run(operands)[result.0 as usize]
    }

    #[test]
    fn extremes_follow_ieee_754_2019() {
        let f = Scalar::F32;
        for (a, b) in [(0.0, -0.0), (-0.0, 0.0)] {
            assert_eq!(apply(Primitive::Max, &[f(a), f(b)]), f(0.0));
            assert_eq!(apply(Primitive::Min, &[f(a), f(b)]), f(-0.0));
        }
        for (a, b) in [(f32::NAN, 1.0), (1.0, f32::NAN)] {
            assert!(apply(Primitive::Max, &[f(a), f(b)]).as_f64().is_nan());
            assert!(apply(Primitive::Min, &[f(a), f(b)]).as_f64().is_nan());
        }
        assert_eq!(apply(Primitive::Max, &[f(-2.0), f(3.0)]), f(3.0));
        assert_eq!(apply(Primitive::Min, &[f(-2.0), f(3.0)]), f(-2.0));
    }

    #[test]
    fn scaling_rounds_once() {
        let scaled = |a: f32, n: f32| apply(Primitive::Scale, &[Scalar::F32(a), Scalar::F32(n)]);
        assert_eq!(scaled(1.5, 3.0), Scalar::F32(12.0));
        assert_eq!(scaled(0.75, 129.0), Scalar::F32(f32::INFINITY));
        assert_eq!(scaled(1.5, -150.0), Scalar::F32(f32::from_bits(1)));
        assert_eq!(scaled(1.0, -150.0), Scalar::F32(0.0));
        // Rounded to a number of fewer bits first, it would be a tie.
        let above_a_tie = f32::from_bits(1.5f32.to_bits() + 1);
        assert_eq!(scaled(above_a_tie, -149.0), Scalar::F32(f32::from_bits(2)));
        assert_eq!(apply(Primitive::Scale, &[Scalar::F64(1.0), Scalar::F64(-1074.0)]), Scalar::F64(5e-324));
    }

    #[test]
    fn integers_wrap() {
        assert_eq!(apply(Primitive::Add, &[Scalar::I32(i32::MAX), Scalar::I32(1)]), Scalar::I32(i32::MIN));
        assert_eq!(apply(Primitive::Neg, &[Scalar::I64(i64::MIN)]), Scalar::I64(i64::MIN));
        assert_eq!(apply(Primitive::MulHighUnsigned, &[Scalar::I32(-1), Scalar::I32(-1)]), Scalar::I32(-2));
        assert_eq!(apply(Primitive::ShiftRightLogical(28), &[Scalar::I32(-1)]), Scalar::I32(15));
        assert_eq!(apply(Primitive::ShiftRightArithmetic(28), &[Scalar::I32(-1)]), Scalar::I32(-1));
    }

    #[test]
    fn conversions_saturate_and_send_nan_to_0() {
        let to_i32 = |x| apply(Primitive::Convert(DType::I32), &[Scalar::F32(x)]);
        assert_eq!(to_i32(3e9), Scalar::I32(i32::MAX));
        assert_eq!(to_i32(f32::NAN), Scalar::I32(0));
        assert_eq!(to_i32(-1.9), Scalar::I32(-1));
        assert_eq!(apply(Primitive::Convert(DType::I32), &[Scalar::I64(1 << 32 | 5)]), Scalar::I32(5));
    }
}
