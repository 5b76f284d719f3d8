//! Cold functions in wide code: behind the code of the loops, a few instructions for each place that may need one, and one
//! subroutine per function.
//!
//! The subroutine keeps all registers, so where none of the lanes wants the function, all that is paid is a test and a jump
//! that is not taken. Its operand and its result are a vector on top of the stack.

use iced_x86::{Code, Instruction, Register};
use ir::{ColdFn, DType};

use super::assembler::Label;
use super::body::{Address, Body, Frame, Source, emit_body};
use super::isa::{self, Isa};
use super::registers::{Place, mask_register};
use super::strip::{Argument, Store, Stream, Strip};
use super::writer::{Operand, Unmasked, Writer, memory};
use super::{Kind, WideFunction};

/// A place that may need a cold function, and the registers there.
pub(super) struct ColdSite {
    function: ColdFn,
    /// Where the code for the place is.
    cold: Label,
    /// Where it goes on.
    back: Label,
    x: Register,
    /// What holds the usual value, and takes that of the function.
    result: Register,
    /// The lanes that want the function: a mask register, or a vector of AVX2.
    mask: Register,
}

/// The vector registers that a subroutine works with, all of which it saves.
const WORKING: u8 = 12;
/// The mask registers that a body takes.
const MASKS: std::ops::Range<u8> = 2..8;

impl Body<'_> {
    /// The cold function of `x` where the condition holds, else `usual`.
    pub(super) fn cold(&mut self, function: ColdFn, condition: Place, usual: Place, x: Place) -> Place {
        let mask = match self.isa() {
            Isa::Avx512 => self.mask_of(condition),
            Isa::Avx2 => {
                let register = self.in_register(condition);
                self.w.register(register)
            }
        };
        let x = self.in_register(x);
        let result = match usual {
            Place::Register(register) if self.dies(usual) => register,
            other => {
                let register = self.allocate();
                self.locked |= 1 << register;
                self.load(register, other);
                register
            }
        };
        let [cold, back] = [(); 2].map(|()| self.w.assembler.label());
        let test = match self.isa() {
            Isa::Avx512 => Code::VEX_Kortestw_kr_kr,
            Isa::Avx2 => Code::VEX_Vptest_ymm_ymmm256,
        };
        self.w.raw(test, mask, None, Operand::Register(mask), None);
        self.w.assembler.jump(Code::Jne_rel32_64, cold);
        self.w.assembler.bind(back);
        let (x, to) = (self.w.register(x), self.w.register(result));
        self.w.cold.push(ColdSite { function, cold, back, x, result: to, mask });
        self.keep(result);
        Place::Register(result)
    }
}

impl Writer {
    /// The code as a function, with what its cold places need. `patches` are 32-bit immediates by their place.
    pub fn finish(mut self, kind: Kind, patches: &[(usize, i32)]) -> WideFunction {
        let mut patches = patches.to_vec();
        let mut subroutines: Vec<(ColdFn, Label)> = Vec::new();
        for site in std::mem::take(&mut self.cold) {
            let known = subroutines.iter().find(|(function, _)| *function == site.function);
            let subroutine = known.map_or_else(|| self.assembler.label(), |&(_, label)| label);
            if known.is_none() {
                subroutines.push((site.function, subroutine));
            }
            self.call_cold(&site, subroutine);
        }
        for (function, label) in subroutines {
            self.assembler.bind(label);
            patches.push(self.subroutine(function));
        }
        self.assembler.finish(kind, &patches)
    }

    fn call_cold(&mut self, site: &ColdSite, subroutine: Label) {
        let size_bytes = self.isa.vector_bytes() as i64;
        let top = memory(Register::RSP, Register::None, 0);
        let move_stack = |w: &mut Writer, by: i64| {
            let address = memory(Register::RSP, Register::None, by);
            w.push(Instruction::with2(Code::Lea_r64_m, Register::RSP, address));
        };
        self.assembler.bind(site.cold);
        move_stack(self, -size_bytes);
        self.store(isa::STORE, top, site.x, None);
        self.assembler.jump(Code::Call_rel32_64, subroutine);
        match self.isa {
            Isa::Avx512 => {
                let code = isa::LOAD.code(Isa::Avx512);
                let kept = Some((site.mask, Unmasked::Kept));
                self.masked(code, site.result, None, Operand::Memory(top), None, kept);
            }
            Isa::Avx2 => {
                let code = Code::VEX_Vblendvps_ymm_ymm_ymmm256_ymm;
                self.push(Instruction::with4(code, site.result, site.result, top, site.mask));
            }
        }
        move_stack(self, size_bytes);
        self.assembler.jump(Code::Jmp_rel32_64, site.back);
    }

    /// Emits a function of the vector that lies above the return address; the immediate that is the size of its stack.
    fn subroutine(&mut self, function: ColdFn) -> (usize, i32) {
        let (program, result) = function.program(DType::F32);
        let strip = Strip {
            program: program.clone(),
            arguments: vec![Argument::Stream(0)],
            streams: vec![Stream { pointer: 0, displacement: 0, dtype: DType::F32 }],
            stores: vec![Store { value: *result, stream: 0, after: program.insts().len() }],
            pointers: 1,
            ..Strip::default()
        };
        self.push(Instruction::with1(Code::Push_r64, Register::RBP));
        self.push(Instruction::with2(Code::Mov_r64_rm64, Register::RBP, Register::RSP));
        self.push(Instruction::with2(Code::Sub_rm64_imm32, Register::RSP, 0x1000));
        let immediate = self.assembler.last_immediate();
        self.saved_registers(true);
        let operand = memory(Register::RBP, Register::None, 16);
        let frame = Frame {
            sources: &[Source::Spilled(operand)],
            streams: &[Address { operand, far: None }],
            kept: &[],
            sums: &[],
            free: (1 << WORKING) - 1,
            mask: None,
            is_aligned: false,
            // The last of the saved ones is that of the masks.
            slots: usize::from(WORKING) + 1,
        };
        let taken = emit_body(self, &strip, &frame);
        assert!(self.cold.is_empty(), "there is no cold function in a cold function");
        self.saved_registers(false);
        self.push(Instruction::with2(Code::Mov_r64_rm64, Register::RSP, Register::RBP));
        self.push(Instruction::with1(Code::Pop_r64, Register::RBP));
        self.push(Ok(Instruction::with(Code::Retnq)));
        (immediate, ((frame.slots + taken.slots) * self.isa.vector_bytes()) as i32)
    }

    /// Saves the registers that a subroutine works with, or restores them.
    fn saved_registers(&mut self, saves: bool) {
        let size_bytes = self.isa.vector_bytes() as i64;
        let place = |offset: i64| memory(Register::RSP, Register::None, offset);
        for index in 0..WORKING {
            let (register, place) = (self.register(index), place(i64::from(index) * size_bytes));
            match saves {
                true => self.store(isa::STORE, place, register, None),
                false => self.unary(isa::LOAD, register, Operand::Memory(place)),
            }
        }
        if self.isa == Isa::Avx2 {
            return;
        }
        for index in MASKS {
            let place = place(i64::from(WORKING) * size_bytes + 2 * i64::from(index));
            self.push(match saves {
                true => Instruction::with2(Code::VEX_Kmovw_m16_kr, place, mask_register(index)),
                false => Instruction::with2(Code::VEX_Kmovw_kr_km16, mask_register(index), place),
            });
        }
    }
}
