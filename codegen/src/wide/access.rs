//! How a body reads and writes the elements of a stream.
//!
//! Numbers have 32 bits in memory as in lanes. A truth value is a byte in memory, 0 or 1; in lanes it is a bit of a mask
//! register, or all ones or zeros in a vector of AVX2.

use iced_x86::{Code, Instruction, MemoryOperand, Register};
use ir::{DType, VectorValue};

use super::body::{Address, Body, Lanes, Mask};
use super::isa::{self, Isa};
use super::registers::{Place, mask_register};
use super::writer::{Operand, Unmasked, byte_of};

impl Body<'_> {
    /// Reads a vector of elements.
    pub(super) fn read(&mut self, dtype: DType, from: Address) -> Place {
        let from = self.reach(from);
        if dtype == DType::Bool {
            return self.read_truths(from);
        }
        let register = self.allocate();
        let to = self.w.register(register);
        let (code, from) = (isa::LOAD.code(self.isa()), Operand::Memory(from));
        match (self.isa(), self.frame.mask) {
            (_, None) => self.w.raw(code, to, None, from, None),
            (Isa::Avx512, Some(mask)) => {
                self.w.masked(code, to, None, from, None, Some((mask.register, Unmasked::Zeroed)));
            }
            (Isa::Avx2, Some(mask)) => {
                self.w.raw(Code::VEX_Vmaskmovps_ymm_ymm_m256, to, Some(mask.register), from, None);
            }
        }
        Place::Register(register)
    }

    /// Writes a vector of elements; `past_caches` where nothing reads them soon and they are aligned.
    pub(super) fn write(&mut self, value: VectorValue, to: Address, past_caches: bool) {
        if self.strip.program.dtype(value) == DType::Bool {
            return self.write_truths(value, to);
        }
        let from = self.register_of(value);
        let (from, to) = (self.w.register(from), self.reach(to));
        match (self.isa(), self.frame.mask) {
            (Isa::Avx2, Some(mask)) => {
                let code = Code::VEX_Vmaskmovps_m256_ymm_ymm;
                self.w.push(Instruction::with3(code, to, mask.register, from));
            }
            (_, mask) => {
                let op = if past_caches && mask.is_none() { isa::STORE_PAST_CACHES } else { isa::STORE };
                self.w.store(op, to, from, mask.map(|mask| mask.register));
            }
        }
    }

    fn read_truths(&mut self, from: MemoryOperand) -> Place {
        let register = self.allocate();
        let to = self.w.register(register);
        match self.isa() {
            Isa::Avx512 => {
                let code = Code::EVEX_Vpmovzxbd_zmm_k1z_xmmm128;
                let zeroed = self.frame.mask.map(|mask| (mask.register, Unmasked::Zeroed));
                self.w.masked(code, to, None, Operand::Memory(from), None, zeroed);
                let mask = self.allocate_mask();
                let test = Code::EVEX_Vptestmd_kr_k1_zmm_zmmm512b32;
                self.w.raw(test, mask_register(mask), Some(to), Operand::Register(to), None);
                self.release(Place::Register(register));
                Place::Mask(mask)
            }
            Isa::Avx2 => {
                let widen = Code::VEX_Vpmovzxbd_ymm_xmmm64;
                match self.frame.mask {
                    None => self.w.raw(widen, to, None, Operand::Memory(from), None),
                    Some(mask) => {
                        let bytes = low_half(to);
                        self.w.raw(
                            Code::VEX_Vpxor_xmm_xmm_xmmm128,
                            bytes,
                            Some(bytes),
                            Operand::Register(bytes),
                            None,
                        );
                        self.for_each_byte(mask, |body, byte| {
                            let code = Code::VEX_Vpinsrb_xmm_xmm_r32m8_imm8;
                            let from = byte_of(from, byte);
                            body.w.push(Instruction::with4(code, bytes, bytes, from, byte as u32));
                        });
                        self.w.raw(widen, to, None, Operand::Register(bytes), None);
                    }
                }
                let zero = self.w.splat(0);
                self.w.raw(Code::VEX_Vpcmpgtd_ymm_ymm_ymmm256, to, Some(to), Operand::Constant(zero), None);
                Place::Register(register)
            }
        }
    }

    fn write_truths(&mut self, value: VectorValue, to: Address) {
        let place = self.place(value);
        let register = self.temporary();
        let vector = self.w.register(register);
        match self.isa() {
            Isa::Avx512 => {
                let truths = self.mask_of(place);
                self.w.splat_to(vector, 1);
                let zeroed = Some((truths, Unmasked::Zeroed));
                self.w.masked(
                    isa::COPY.code(Isa::Avx512),
                    vector,
                    None,
                    Operand::Register(vector),
                    None,
                    zeroed,
                );
                let to = self.reach(to);
                let narrow = Instruction::with2(Code::EVEX_Vpmovdb_xmmm128_k1z_zmm, to, vector);
                let mut narrow = narrow.expect("the operands are those of a conversion");
                if let Some(mask) = self.frame.mask {
                    narrow.set_op_mask(mask.register);
                }
                self.w.push(Ok(narrow));
            }
            Isa::Avx2 => {
                let truths = self.in_register(place);
                let (truths, bytes) = (self.w.register(truths), low_half(vector));
                // The upper lanes beside the lower, then words, then bytes; -1 becomes 1.
                let upper = Code::VEX_Vextracti128_xmmm128_ymm_imm8;
                self.w.push(Instruction::with3(upper, bytes, truths, 1));
                let low = low_half(truths);
                self.w.raw(
                    Code::VEX_Vpackssdw_xmm_xmm_xmmm128,
                    bytes,
                    Some(low),
                    Operand::Register(bytes),
                    None,
                );
                self.w.raw(
                    Code::VEX_Vpacksswb_xmm_xmm_xmmm128,
                    bytes,
                    Some(bytes),
                    Operand::Register(bytes),
                    None,
                );
                self.w.raw(Code::VEX_Vpabsb_xmm_xmmm128, bytes, None, Operand::Register(bytes), None);
                let to = self.reach(to);
                match self.frame.mask {
                    None => self.w.push(Instruction::with2(Code::VEX_Vmovq_xmmm64_xmm, to, bytes)),
                    Some(mask) => self.for_each_byte(mask, |body, byte| {
                        let code = Code::VEX_Vpextrb_r32m8_xmm_imm8;
                        body.w.push(Instruction::with3(code, byte_of(to, byte), bytes, byte as u32));
                    }),
                }
            }
        }
    }

    /// Emits code for each lane that counts: AVX2 has no masked access to bytes.
    fn for_each_byte(&mut self, mask: Mask, mut emit: impl FnMut(&mut Self, usize)) {
        match mask.lanes {
            Lanes::Known(lanes) => (0..lanes).for_each(|byte| emit(self, byte)),
            Lanes::Count(count) => {
                let done = self.w.assembler.label();
                for byte in 0..self.isa().lanes() - 1 {
                    self.w.push(Instruction::with2(Code::Cmp_rm64_imm8, count, byte as i32));
                    self.w.assembler.jump(Code::Jbe_rel32_64, done);
                    emit(self, byte);
                }
                self.w.assembler.bind(done);
            }
        }
    }
}

/// The lower half of a vector of AVX2.
fn low_half(register: Register) -> Register {
    Register::XMM0 + (register as u32 - Register::YMM0 as u32)
}
