//! The instructions of each primitive.

use iced_x86::{Code, Register};
use ir::{Comparison, DType, Primitive};

use super::body::Body;
use super::isa::{self, Isa, Op};
use super::registers::{Place, mask_register};
use super::writer::{Operand, Unmasked};

impl Body<'_> {
    pub(super) fn binary(&mut self, op: Op, x: Place, y: Place, commutes: bool) -> Place {
        let is_register = |place| matches!(place, Place::Register(_) | Place::Kept(_));
        let (x, y) = if commutes && !is_register(x) && is_register(y) { (y, x) } else { (x, y) };
        let left = self.in_register(x);
        let right = self.operand(y);
        self.finish_operands();
        let to = self.allocate();
        self.w.binary(op, self.w.register(to), self.w.register(left), right);
        Place::Register(to)
    }

    fn unary(&mut self, op: Op, x: Place, immediate: Option<u32>) -> Place {
        let from = self.operand(x);
        self.finish_operands();
        let to = self.allocate();
        self.w.raw(op.code(self.isa()), self.w.register(to), None, from, immediate);
        Place::Register(to)
    }

    /// A shift; VEX forms of shifts by a constant have no memory operand.
    fn shift(&mut self, op: Op, x: Place, by: u32) -> Place {
        let from = self.in_register(x);
        self.finish_operands();
        let to = self.allocate();
        self.w.unary_by(op, self.w.register(to), Operand::Register(self.w.register(from)), by);
        Place::Register(to)
    }

    /// Applies a primitive to operands of dtype `from` (that of the last operand).
    pub(super) fn primitive(&mut self, primitive: Primitive, from: DType, to: DType, x: &[Place]) -> Place {
        let is_float = from == DType::F32;
        let is_mask = to == DType::Bool && self.isa() == Isa::Avx512;
        match primitive {
            Primitive::Argument(_) | Primitive::Constant(_) | Primitive::Bitcast(_) => {
                unreachable!("{primitive:?} is no instruction")
            }
            Primitive::Add => {
                self.binary(if is_float { isa::ADD_F32 } else { isa::ADD_I32 }, x[0], x[1], true)
            }
            Primitive::Sub => {
                self.binary(if is_float { isa::SUB_F32 } else { isa::SUB_I32 }, x[0], x[1], false)
            }
            Primitive::Mul => {
                self.binary(if is_float { isa::MUL_F32 } else { isa::MUL_I32 }, x[0], x[1], true)
            }
            Primitive::MulHighUnsigned => self.multiply_high(x[0], x[1]),
            Primitive::Div => self.binary(isa::DIV_F32, x[0], x[1], false),
            Primitive::Fma => self.multiply_add(x[0], x[1], x[2]),
            Primitive::Scale if self.isa() == Isa::Avx512 => self.binary(isa::SCALE_F32, x[0], x[1], false),
            Primitive::Scale => self.scale(x[0], x[1]),
            Primitive::Min if is_float => self.float_min(x[0], x[1]),
            Primitive::Max if is_float => self.float_max(x[0], x[1]),
            Primitive::Min => self.binary(isa::MIN_I32, x[0], x[1], true),
            Primitive::Max => self.binary(isa::MAX_I32, x[0], x[1], true),
            Primitive::Neg if is_float => self.binary(isa::XOR, x[0], Place::Constant(0x8000_0000), true),
            Primitive::Neg => self.binary(isa::SUB_I32, Place::Constant(0), x[0], false),
            Primitive::Abs if is_float => self.binary(isa::AND, x[0], Place::Constant(0x7fff_ffff), true),
            Primitive::Abs => self.unary(isa::ABS_I32, x[0], None),
            Primitive::Sqrt => self.unary(isa::SQRT_F32, x[0], None),
            Primitive::Floor => self.unary(isa::ROUND_F32, x[0], Some(0b1001)),
            Primitive::Ceil => self.unary(isa::ROUND_F32, x[0], Some(0b1010)),
            Primitive::Round => self.unary(isa::ROUND_F32, x[0], Some(0b1000)),
            Primitive::And if is_mask => self.masks(Code::VEX_Kandw_kr_kr_kr, x[0], x[1]),
            Primitive::Or if is_mask => self.masks(Code::VEX_Korw_kr_kr_kr, x[0], x[1]),
            Primitive::Xor if is_mask => self.masks(Code::VEX_Kxorw_kr_kr_kr, x[0], x[1]),
            Primitive::Not if is_mask => self.not_mask(x[0]),
            Primitive::And => self.binary(isa::AND, x[0], x[1], true),
            Primitive::Or => self.binary(isa::OR, x[0], x[1], true),
            Primitive::Xor => self.binary(isa::XOR, x[0], x[1], true),
            Primitive::Not => self.binary(isa::XOR, x[0], Place::Constant(u32::MAX), true),
            Primitive::ShiftLeft(by) => self.shift(isa::SHIFT_LEFT, x[0], by),
            Primitive::ShiftRightLogical(by) => self.shift(isa::SHIFT_RIGHT, x[0], by),
            Primitive::ShiftRightArithmetic(by) => self.shift(isa::SHIFT_RIGHT_SIGNED, x[0], by),
            Primitive::Compare(how) if from == DType::Bool => self.compare_truths(how, x[0], x[1]),
            Primitive::Compare(how) => self.compare(how, is_float, x[0], x[1]),
            Primitive::Select if is_mask => self.select_mask(x[0], x[1], x[2]),
            Primitive::Select => self.select(x[0], x[1], x[2]),
            Primitive::Cold(function) => self.cold(function, x[0], x[1], x[2]),
            Primitive::Convert(to) => self.convert(from, to, x[0]),
        }
    }

    /// `x * y + z`, into the register of an operand that is not needed any more where there is one.
    fn multiply_add(&mut self, x: Place, y: Place, z: Place) -> Place {
        let is_register = |place| matches!(place, Place::Register(_) | Place::Kept(_));
        let (x, y) = if self.dies(y) && !self.dies(x) || (!is_register(x) && is_register(y)) {
            (y, x)
        } else {
            (x, y)
        };
        let is_sum_free = self.dies(z);
        if !is_sum_free && self.dies(x) {
            // The factor is overwritten.
            let Place::Register(to) = x else { unreachable!("only registers die") };
            if is_register(z) {
                let addend = self.in_register(z);
                let factor = self.operand(y);
                self.keep(to);
                self.w.binary(isa::FMA_132, self.w.register(to), self.w.register(addend), factor);
            } else {
                let factor = self.in_register(y);
                let addend = self.operand(z);
                self.keep(to);
                self.w.binary(isa::FMA_213, self.w.register(to), self.w.register(factor), addend);
            }
            return Place::Register(to);
        }
        let left = self.in_register(x);
        let right = self.operand(y);
        let to = match z {
            Place::Register(to) if is_sum_free => {
                self.keep(to);
                to
            }
            other => {
                let to = self.allocate();
                self.locked |= 1 << to;
                self.load(to, other);
                self.finish_operands();
                to
            }
        };
        self.w.binary(isa::FMA_231, self.w.register(to), self.w.register(left), right);
        Place::Register(to)
    }

    /// `a * 2^n` by two powers of two, `2^floor(n/2)` and the rest, so that the first product is exact.
    fn scale(&mut self, a: Place, n: Place) -> Place {
        let (a, n) = (self.in_register(a), self.in_register(n));
        let [first, second] = [(); 2].map(|()| self.temporary());
        let [a, n, power, rest] = [a, n, first, second].map(|register| self.w.register(register));
        // A small integer added to this number is in its low bits, with twice the bias.
        let magic = self.w.splat((1.5 * 8_388_608f32 + 254.0).to_bits());
        let exponent = self.w.splat(u32::MAX << 23);
        self.w.binary(isa::ADD_F32, rest, n, Operand::Constant(magic));
        self.w.unary_by(isa::SHIFT_LEFT, power, Operand::Register(rest), 22);
        self.w.binary(isa::AND, power, power, Operand::Constant(exponent));
        self.w.unary_by(isa::SHIFT_LEFT, rest, Operand::Register(rest), 23);
        self.w.binary(isa::SUB_I32, rest, rest, Operand::Register(power));
        self.w.binary(isa::MUL_F32, power, power, Operand::Register(a));
        self.w.binary(isa::MUL_F32, power, power, Operand::Register(rest));
        self.take(first)
    }

    /// The high halves of products of unsigned lanes.
    fn multiply_high(&mut self, x: Place, y: Place) -> Place {
        let (x, y) = (self.in_register(x), self.in_register(y));
        let [even, odd] = [(); 2].map(|()| self.temporary());
        let to = self.temporary();
        let [x, y, even, odd, result] = [x, y, even, odd, to].map(|register| self.w.register(register));
        let high_halves = self.w.lanes(|lane| if lane % 2 == 1 { -1 } else { 0 });
        self.w.binary(isa::MUL_U32_EVEN, even, x, Operand::Register(y));
        self.w.unary_by(isa::SHIFT_RIGHT_64, odd, Operand::Register(x), 32);
        self.w.unary_by(isa::SHIFT_RIGHT_64, result, Operand::Register(y), 32);
        self.w.binary(isa::MUL_U32_EVEN, odd, odd, Operand::Register(result));
        self.w.unary_by(isa::SHIFT_RIGHT_64, even, Operand::Register(even), 32);
        self.w.binary(isa::AND, odd, odd, Operand::Constant(high_halves));
        self.w.binary(isa::OR, result, even, Operand::Register(odd));
        self.take(to)
    }

    /// The lesser. The minimum of AVX2 gives its second operand where both are zeros or either is NaN, so both orders
    /// together have every bit that is to be set.
    fn float_min(&mut self, x: Place, y: Place) -> Place {
        const LESSER: u32 = 0b0100;
        self.float_extreme((isa::MIN_F32, isa::OR, LESSER), x, y)
    }

    /// The greater: of zeros, the sign is set where it is set in both.
    fn float_max(&mut self, x: Place, y: Place) -> Place {
        const GREATER: u32 = 0b0101;
        self.float_extreme((isa::MAX_F32, isa::AND, GREATER), x, y)
    }

    /// An extreme of AVX2 in both orders, which an instruction puts together, or a range of AVX-512, which tells zeros
    /// apart but gives the other operand where one is NaN.
    fn float_extreme(&mut self, (op, both, range): (Op, Op, u32), x: Place, y: Place) -> Place {
        let (x, y) = (self.in_register(x), self.in_register(y));
        let to = self.temporary();
        let [x, y, result] = [x, y, to].map(|register| self.w.register(register));
        match self.isa() {
            Isa::Avx512 => self.w.binary_by(isa::RANGE_F32, result, x, Operand::Register(y), range),
            Isa::Avx2 => {
                let swapped = self.temporary();
                let swapped = self.w.register(swapped);
                self.w.binary(op, result, x, Operand::Register(y));
                self.w.binary(op, swapped, y, Operand::Register(x));
                self.w.binary(both, result, result, Operand::Register(swapped));
            }
        }
        self.quiet_nan(to, x, y)
    }

    /// NaN where either operand is, else what is in `register`.
    fn quiet_nan(&mut self, register: u8, x: Register, y: Register) -> Place {
        const UNORDERED: u32 = 3;
        let result = self.w.register(register);
        match self.isa() {
            Isa::Avx512 => {
                let mask = self.allocate_mask();
                let k = mask_register(mask);
                self.w.raw(
                    isa::COMPARE_F32.code(Isa::Avx512),
                    k,
                    Some(x),
                    Operand::Register(y),
                    Some(UNORDERED),
                );
                let add = isa::ADD_F32.code(Isa::Avx512);
                self.w.masked(add, result, Some(x), Operand::Register(y), None, Some((k, Unmasked::Kept)));
                self.release(Place::Mask(mask));
            }
            Isa::Avx2 => {
                let [nan, sum] = [(); 2].map(|()| self.temporary());
                let [nan, sum] = [nan, sum].map(|register| self.w.register(register));
                self.w.binary_by(isa::COMPARE_F32, nan, x, Operand::Register(y), UNORDERED);
                self.w.binary(isa::ADD_F32, sum, x, Operand::Register(y));
                let blend = iced_x86::Instruction::with4(
                    Code::VEX_Vblendvps_ymm_ymm_ymmm256_ymm,
                    result,
                    result,
                    sum,
                    nan,
                );
                self.w.push(blend);
            }
        }
        self.take(register)
    }

    fn masks(&mut self, code: Code, x: Place, y: Place) -> Place {
        let (x, y) = (self.mask_of(x), self.mask_of(y));
        self.finish_operands();
        let to = self.allocate_mask();
        self.w.raw(code, mask_register(to), Some(x), Operand::Register(y), None);
        Place::Mask(to)
    }

    fn not_mask(&mut self, x: Place) -> Place {
        let x = self.mask_of(x);
        self.finish_operands();
        let to = self.allocate_mask();
        self.w.raw(Code::VEX_Knotw_kr_kr, mask_register(to), None, Operand::Register(x), None);
        Place::Mask(to)
    }

    fn compare(&mut self, how: Comparison, is_float: bool, x: Place, y: Place) -> Place {
        if is_float {
            // Ordered and quiet, except "not equal", which is unordered.
            let predicate = match how {
                Comparison::Eq => 0x00,
                Comparison::Ne => 0x04,
                Comparison::Lt => 0x11,
                Comparison::Le => 0x12,
                Comparison::Gt => 0x1e,
                Comparison::Ge => 0x1d,
            };
            let left = self.in_register(x);
            let right = self.operand(y);
            self.finish_operands();
            return self.compared(isa::COMPARE_F32.code(self.isa()), left, right, Some(predicate));
        }
        if self.isa() == Isa::Avx512 {
            let predicate = match how {
                Comparison::Eq => 0,
                Comparison::Lt => 1,
                Comparison::Le => 2,
                Comparison::Ne => 4,
                Comparison::Ge => 5,
                Comparison::Gt => 6,
            };
            let left = self.in_register(x);
            let right = self.operand(y);
            self.finish_operands();
            let code = Code::EVEX_Vpcmpd_kr_k1_zmm_zmmm512b32_imm8;
            return self.compared(code, left, right, Some(predicate));
        }
        let (code, x, y, is_inverse) = match how {
            Comparison::Eq => (Code::VEX_Vpcmpeqd_ymm_ymm_ymmm256, x, y, false),
            Comparison::Ne => (Code::VEX_Vpcmpeqd_ymm_ymm_ymmm256, x, y, true),
            Comparison::Gt => (Code::VEX_Vpcmpgtd_ymm_ymm_ymmm256, x, y, false),
            Comparison::Le => (Code::VEX_Vpcmpgtd_ymm_ymm_ymmm256, x, y, true),
            Comparison::Lt => (Code::VEX_Vpcmpgtd_ymm_ymm_ymmm256, y, x, false),
            Comparison::Ge => (Code::VEX_Vpcmpgtd_ymm_ymm_ymmm256, y, x, true),
        };
        let left = self.in_register(x);
        let right = self.operand(y);
        self.finish_operands();
        let result = self.compared(code, left, right, None);
        if is_inverse && let Place::Register(register) = result {
            let ones = self.w.splat(u32::MAX);
            let register = self.w.register(register);
            self.w.binary(isa::XOR, register, register, Operand::Constant(ones));
        }
        result
    }

    /// A comparison into a mask register or a vector.
    fn compared(&mut self, code: Code, left: u8, right: Operand, predicate: Option<u32>) -> Place {
        let left = self.w.register(left);
        match self.isa() {
            Isa::Avx512 => {
                let to = self.allocate_mask();
                self.w.raw(code, mask_register(to), Some(left), right, predicate);
                Place::Mask(to)
            }
            Isa::Avx2 => {
                let to = self.allocate();
                self.w.raw(code, self.w.register(to), Some(left), right, predicate);
                Place::Register(to)
            }
        }
    }

    /// Comparisons of truth values: false is less than true.
    fn compare_truths(&mut self, how: Comparison, x: Place, y: Place) -> Place {
        let (x, y) = match how {
            Comparison::Gt | Comparison::Ge => (y, x),
            _ => (x, y),
        };
        let is_inverse = matches!(how, Comparison::Eq | Comparison::Le | Comparison::Ge);
        let is_equality = matches!(how, Comparison::Eq | Comparison::Ne);
        match self.isa() {
            Isa::Avx512 => {
                // `x < y` is `!x & y`; its inverse with the operands swapped is `x <= y`.
                let (x, y) = if is_inverse && !is_equality { (y, x) } else { (x, y) };
                let code = if is_equality { Code::VEX_Kxorw_kr_kr_kr } else { Code::VEX_Kandnw_kr_kr_kr };
                let result = self.masks(code, x, y);
                if is_inverse && let Place::Mask(mask) = result {
                    let k = mask_register(mask);
                    self.w.raw(Code::VEX_Knotw_kr_kr, k, None, Operand::Register(k), None);
                }
                result
            }
            Isa::Avx2 => {
                let (x, y) = if is_inverse && !is_equality { (y, x) } else { (x, y) };
                let op = if is_equality { isa::XOR } else { isa::AND_NOT };
                let result = self.binary(op, x, y, false);
                if is_inverse && let Place::Register(register) = result {
                    let ones = self.w.splat(u32::MAX);
                    let register = self.w.register(register);
                    self.w.binary(isa::XOR, register, register, Operand::Constant(ones));
                }
                result
            }
        }
    }

    fn select(&mut self, condition: Place, x: Place, y: Place) -> Place {
        match self.isa() {
            Isa::Avx512 => {
                let mask = self.mask_of(condition);
                let otherwise = self.in_register(y);
                let then = self.operand(x);
                self.finish_operands();
                let to = self.allocate();
                let (to_register, otherwise) = (self.w.register(to), self.w.register(otherwise));
                let code = Code::EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32;
                self.w.masked(code, to_register, Some(otherwise), then, None, Some((mask, Unmasked::Kept)));
                Place::Register(to)
            }
            Isa::Avx2 => {
                let mask = self.in_register(condition);
                let otherwise = self.in_register(y);
                let then = self.operand(x);
                self.finish_operands();
                let to = self.allocate();
                let [to_register, otherwise, mask] = [to, otherwise, mask].map(|r| self.w.register(r));
                let code = Code::VEX_Vblendvps_ymm_ymm_ymmm256_ymm;
                let blend = match then {
                    Operand::Register(then) => {
                        iced_x86::Instruction::with4(code, to_register, otherwise, then, mask)
                    }
                    Operand::Memory(then) => {
                        iced_x86::Instruction::with4(code, to_register, otherwise, then, mask)
                    }
                    Operand::Constant(then) => {
                        let operand = super::assembler::Assembler::constant_operand(false);
                        let blend = iced_x86::Instruction::with4(code, to_register, otherwise, operand, mask);
                        let blend = blend.expect("the operands are those of a blend");
                        self.w.assembler.push_with_constant(blend, then);
                        return Place::Register(to);
                    }
                };
                self.w.push(blend);
                Place::Register(to)
            }
        }
    }

    fn select_mask(&mut self, condition: Place, x: Place, y: Place) -> Place {
        let [condition, x, y] = [condition, x, y].map(|place| self.mask_of(place));
        let [to, other] = [(); 2].map(|()| self.allocate_mask());
        let (k, not) = (mask_register(to), mask_register(other));
        self.w.raw(Code::VEX_Kandnw_kr_kr_kr, not, Some(condition), Operand::Register(y), None);
        self.w.raw(Code::VEX_Kandw_kr_kr_kr, k, Some(condition), Operand::Register(x), None);
        self.w.raw(Code::VEX_Korw_kr_kr_kr, k, Some(k), Operand::Register(not), None);
        self.release(Place::Mask(other));
        self.finish_operands();
        Place::Mask(to)
    }

    fn convert(&mut self, from: DType, to: DType, x: Place) -> Place {
        match (from, to) {
            (DType::I32, DType::F32) => self.unary(isa::F32_OF_I32, x, None),
            (DType::F32, DType::I32) => self.int_of_float(x),
            (_, DType::Bool) => self.compare(Comparison::Ne, from == DType::F32, x, Place::Constant(0)),
            (DType::Bool, _) => {
                let one = Place::Constant(if to == DType::F32 { 1f32.to_bits() } else { 1 });
                self.select(x, one, Place::Constant(0))
            }
            _ => unreachable!("a strip has no conversion from {from} to {to}"),
        }
    }

    /// Toward zero; NaN becomes 0 and what is too large the greatest integer. What is too small is the least one
    /// already, which is what the instruction gives for all three.
    fn int_of_float(&mut self, x: Place) -> Place {
        const ORDERED: u32 = 7;
        const AT_LEAST: u32 = 0x1d;
        let from = self.in_register(x);
        let to = self.temporary();
        let (x, result) = (self.w.register(from), self.w.register(to));
        let (limit, greatest) = (self.w.splat(2_147_483_648f32.to_bits()), self.w.splat(i32::MAX as u32));
        match self.isa() {
            Isa::Avx512 => {
                let mask = self.allocate_mask();
                let k = mask_register(mask);
                let compare = isa::COMPARE_F32.code(Isa::Avx512);
                self.w.raw(compare, k, Some(x), Operand::Register(x), Some(ORDERED));
                let truncate = isa::I32_OF_F32.code(Isa::Avx512);
                let zeroed = Some((k, Unmasked::Zeroed));
                self.w.masked(truncate, result, None, Operand::Register(x), None, zeroed);
                self.w.raw(compare, k, Some(x), Operand::Constant(limit), Some(AT_LEAST));
                let blend = Code::EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32;
                let kept = Some((k, Unmasked::Kept));
                self.w.masked(blend, result, Some(result), Operand::Constant(greatest), None, kept);
                self.release(Place::Mask(mask));
            }
            Isa::Avx2 => {
                let mask = self.temporary();
                let mask = self.w.register(mask);
                self.w.unary(isa::I32_OF_F32, result, Operand::Register(x));
                self.w.binary_by(isa::COMPARE_F32, mask, x, Operand::Register(x), ORDERED);
                self.w.binary(isa::AND, result, result, Operand::Register(mask));
                // The least integer with all bits flipped is the greatest one.
                self.w.binary_by(isa::COMPARE_F32, mask, x, Operand::Constant(limit), AT_LEAST);
                self.w.binary(isa::XOR, result, result, Operand::Register(mask));
            }
        }
        self.take(to)
    }
}
