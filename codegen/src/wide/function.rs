//! A strip as a function: `(frame)`, where the frame holds what the strip works on.
//!
//! The frame is 64-bit words: the pointers, the number of elements, the uniform values, the results of the reductions.
//! The loop runs on several vectors at once where the program is short, then on one, and on part of one in the end: on
//! AVX-512 under a mask register, on AVX2 with masked loads and stores.

use iced_x86::{Code, Instruction, Register};
use ir::VectorValue;

use super::assembler::{Assembler, Label};
use super::body::{Address, Frame, Lanes, Mask, Source, Taken, combine, emit_body};
use super::isa::{self, Isa};
use super::strip::{Argument, Strip};
use super::writer::{Operand, Writer, element, memory};
use super::{Kind, WideFunction};

/// Registers for pointers; the last five are saved.
pub(super) const POINTERS: [Register; 9] = [
    Register::RDX,
    Register::RSI,
    Register::R8,
    Register::R9,
    Register::RBX,
    Register::R12,
    Register::R13,
    Register::R14,
    Register::R15,
];
/// The pointers that may be overwritten.
const UNSAVED_POINTERS: usize = 4;
/// The most pointers that the epilogue of a tile may have.
pub const MAX_TILE_POINTERS: usize = POINTERS.len();
/// The most pointers that a strip may have; those beyond the registers stay in the frame.
pub const MAX_POINTERS: usize = 40;
/// The registers that a body of any program can do with: the maximum on AVX2 of two values in memory takes this many.
const LEAST_REGISTERS: usize = 6;
/// The frame.
const FRAME: Register = Register::RDI;
/// How far the run has been done, in elements.
const OFFSET: Register = Register::RAX;
/// The number of elements that are left.
const LEFT: Register = Register::RCX;
const SCRATCH: Register = Register::R11;
const SECOND_SCRATCH: Register = Register::R10;

/// Where the parts of a strip's frame are, in words.
#[derive(Clone, Copy, Debug)]
pub struct FrameLayout {
    /// The number of elements.
    pub count: usize,
    /// The first uniform value.
    pub uniforms: usize,
    /// The first result.
    pub results: usize,
    /// All words.
    pub words: usize,
}

impl FrameLayout {
    /// The layout of a strip's frame.
    pub fn new(strip: &Strip) -> FrameLayout {
        let count = strip.pointers;
        let uniforms = count + 1;
        let results = uniforms + strip.uniforms;
        FrameLayout { count, uniforms, results, words: results + strip.reductions.len() }
    }
}

struct Function<'a> {
    w: Writer,
    strip: &'a Strip,
    layout: FrameLayout,
    kept: Vec<(VectorValue, u8)>,
    /// A register per index argument.
    indices: Vec<(usize, u8)>,
    /// `sums[u][r]`: accumulator `u` of reduction `r`.
    sums: Vec<Vec<u8>>,
    free: u32,
    taken: Taken,
}

/// Emits a strip.
pub fn emit_strip(isa: Isa, strip: &Strip) -> WideFunction {
    let accumulators = unroll(strip);
    let mut pool = RegisterPool::new(isa);
    let sums: Vec<Vec<u8>> =
        (0..accumulators).map(|_| strip.reductions.iter().map(|_| pool.take()).collect()).collect();
    let indices: Vec<(usize, u8)> = (strip.arguments.iter().enumerate())
        .filter(|(_, argument)| matches!(argument, Argument::Index { .. }))
        .map(|(number, _)| (number, pool.take()))
        .collect();
    let mut function = Function {
        w: Writer::new(isa),
        strip,
        layout: FrameLayout::new(strip),
        kept: Vec::new(),
        indices,
        sums,
        free: pool.free,
        taken: Taken::default(),
    };
    let trial = function.body(0, 0, None);
    function.keep(trial, &mut pool);
    function.w = Writer::new(isa);
    function.taken = Taken::default();
    function.emit(accumulators)
}

/// How many vectors a round of the loop works on.
pub(super) fn unroll(strip: &Strip) -> usize {
    match strip.length() {
        0..=12 if strip.reductions.len() <= 2 => 4,
        0..=24 if strip.reductions.len() <= 2 => 2,
        _ => 1,
    }
}

/// The most accumulators of a strip: beside them there are registers for the index along the run, and for the body.
pub fn max_reductions(isa: Isa) -> usize {
    RegisterPool::new(isa).registers() - 1 - LEAST_REGISTERS
}

/// Vector registers, the highest taken first; the last is kept for masks on AVX2.
struct RegisterPool {
    free: u32,
}

impl RegisterPool {
    fn new(isa: Isa) -> RegisterPool {
        RegisterPool {
            free: match isa {
                Isa::Avx2 => 0x7fff,
                Isa::Avx512 => u32::MAX,
            },
        }
    }

    fn registers(&self) -> usize {
        self.free.count_ones() as usize
    }

    fn take(&mut self) -> u8 {
        let register = 31 - self.free.leading_zeros() as u8;
        self.free &= !(1 << register);
        register
    }
}

/// The register of the mask.
fn mask_register(isa: Isa) -> Register {
    match isa {
        Isa::Avx2 => Register::YMM15,
        Isa::Avx512 => Register::K1,
    }
}

impl Function<'_> {
    fn isa(&self) -> Isa {
        self.w.isa
    }

    /// Gives the registers that the body leaves over to the constants and uniform values that it uses most.
    fn keep(&mut self, trial: Taken, pool: &mut RegisterPool) {
        if trial.slots > 0 {
            return;
        }
        let strip = self.strip;
        let mut candidates: Vec<(usize, VectorValue)> = Vec::new();
        for (index, inst) in strip.program.insts().iter().enumerate() {
            let is_uniform = match inst.primitive {
                ir::Primitive::Constant(_) => true,
                ir::Primitive::Argument(number) => {
                    matches!(strip.arguments[number as usize], Argument::Uniform(_))
                }
                _ => false,
            };
            let value = VectorValue(index as u32);
            if is_uniform && inst.dtype != ir::DType::Bool {
                let mut uses = 0;
                for user in 0..strip.program.insts().len() {
                    uses +=
                        strip.operands(user).iter().filter(|&&operand| strip.root(operand) == value).count();
                }
                uses += strip.stores.iter().filter(|store| strip.root(store.value) == value).count();
                candidates.push((uses, value));
            }
        }
        candidates.sort_by_key(|&(uses, value)| (std::cmp::Reverse(uses), value));
        let spare = pool.registers().saturating_sub(trial.registers + 1);
        for &(uses, value) in candidates.iter().take(spare) {
            if uses > 0 {
                self.kept.push((value, pool.take()));
            }
        }
        self.free = pool.free;
    }

    fn emit(mut self, accumulators: usize) -> WideFunction {
        let lanes = self.isa().lanes();
        let stack = self.enter();
        self.load_kept();
        if let Some(stream) = self.strip.past_caches {
            self.align(stream);
        }
        for vectors in if accumulators > 1 { vec![accumulators, 1] } else { vec![1] } {
            let [again, after] = [(); 2].map(|()| self.w.assembler.label());
            self.compare_left(vectors * lanes, Code::Jb_rel32_64, after);
            self.w.assembler.bind(again);
            for vector in 0..vectors {
                self.body(vector, vector, None);
                self.step_indices();
            }
            self.w.push(Instruction::with2(Code::Add_rm64_imm32, OFFSET, (vectors * lanes) as i32));
            self.w.push(Instruction::with2(Code::Sub_rm64_imm32, LEFT, (vectors * lanes) as i32));
            self.compare_left(vectors * lanes, Code::Jae_rel32_64, again);
            self.w.assembler.bind(after);
        }
        let done = self.w.assembler.label();
        self.w.push(Instruction::with2(Code::Test_rm64_r64, LEFT, LEFT));
        self.w.assembler.jump(Code::Je_rel32_64, done);
        set_mask(&mut self.w, LEFT);
        self.body(0, 0, Some(LEFT));
        self.w.assembler.bind(done);
        self.finish_reductions();
        self.leave(stack)
    }

    /// Saves registers and loads pointers; where the size of the stack is to be filled in.
    fn enter(&mut self) -> usize {
        let pointers = self.strip.pointers.min(POINTERS.len());
        let (_, stack) = save(&mut self.w, pointers);
        for (pointer, &register) in POINTERS.iter().enumerate().take(pointers) {
            self.load_word(register, pointer);
        }
        self.load_word(LEFT, self.layout.count);
        self.w.push(Instruction::with2(Code::Xor_r32_rm32, Register::EAX, Register::EAX));
        stack
    }

    fn load_word(&mut self, to: Register, word: usize) {
        load_word(&mut self.w, to, word);
    }

    fn leave(mut self, stack: usize) -> WideFunction {
        restore(&mut self.w, saved(self.strip.pointers.min(POINTERS.len())));
        let bytes = self.taken.slots * self.isa().vector_bytes();
        self.w.finish(Kind::Strip, &[(stack, bytes.next_multiple_of(64) as i32)])
    }

    fn compare_left(&mut self, elements: usize, jump: Code, to: Label) {
        self.w.push(Instruction::with2(Code::Cmp_rm64_imm32, LEFT, elements as i32));
        self.w.assembler.jump(jump, to);
    }

    fn uniform(&self, number: usize) -> iced_x86::MemoryOperand {
        memory(FRAME, Register::None, 8 * (self.layout.uniforms + number) as i64)
    }

    fn load_kept(&mut self) {
        for (value, register) in self.kept.clone() {
            let to = self.w.register(register);
            match self.strip.program.insts()[value.0 as usize].primitive {
                ir::Primitive::Constant(constant) => self.w.splat_to(to, constant.bits() as u32),
                ir::Primitive::Argument(number) => {
                    let Argument::Uniform(uniform) = self.strip.arguments[number as usize] else {
                        unreachable!("only uniform values are kept")
                    };
                    let from = self.uniform(uniform);
                    self.w.broadcast(to, from);
                }
                _ => unreachable!("only uniform values are kept"),
            }
        }
        for (number, register) in self.indices.clone() {
            let Argument::Index { uniform, step } = self.strip.arguments[number] else {
                unreachable!("the list is of indices")
            };
            let (to, from) = (self.w.register(register), self.uniform(uniform));
            self.w.broadcast(to, from);
            let offsets = self.w.lanes(|lane| lane as i32 * step);
            self.w.binary(isa::ADD_I32, to, to, Operand::Constant(offsets));
        }
        for sums in self.sums.clone() {
            for (&reduction, register) in self.strip.reductions.iter().zip(sums) {
                let to = self.w.register(register);
                self.w.splat_to(to, self.strip.identity(reduction));
            }
        }
    }

    /// Moves the indices on by a vector.
    fn step_indices(&mut self) {
        let lanes = self.isa().lanes() as i32;
        for (number, register) in self.indices.clone() {
            let Argument::Index { step, .. } = self.strip.arguments[number] else {
                unreachable!("the list is of indices")
            };
            let (register, step) =
                (self.w.register(register), self.w.splat((step.wrapping_mul(lanes)) as u32));
            self.w.binary(isa::ADD_I32, register, register, Operand::Constant(step));
        }
    }

    /// The program once, `vector` vectors behind the current offset; on as many elements as a register says, where the mask is
    /// set to them, else on whole vectors.
    fn body(&mut self, vector: usize, accumulator: usize, count: Option<Register>) -> Taken {
        let strip = self.strip;
        let ahead = (vector * self.isa().lanes()) as i64;
        let mask =
            count.map(|count| Mask { register: mask_register(self.isa()), lanes: Lanes::Count(count) });
        let streams: Vec<_> = (strip.streams.iter())
            .map(|stream| {
                let register = POINTERS.get(stream.pointer).copied();
                let base = register.unwrap_or(SCRATCH);
                let bytes = stream.dtype.size_bytes();
                let displacement = i64::from(stream.displacement) + ahead * bytes as i64;
                let operand = element(base, OFFSET, bytes as u32, displacement);
                Address { operand, far: register.is_none().then_some(stream.pointer) }
            })
            .collect();
        let sources: Vec<Source> = (strip.arguments.iter().enumerate())
            .map(|(number, argument)| match *argument {
                Argument::Stream(stream) => Source::Vector(streams[stream]),
                Argument::Uniform(uniform) => Source::Scalar(self.uniform(uniform)),
                Argument::Scalar(_) | Argument::Sum => unreachable!("only tiles have these"),
                Argument::Index { .. } => {
                    let index = self.indices.iter().find(|index| index.0 == number);
                    Source::Kept(index.expect("every index has a register").1)
                }
            })
            .collect();
        let frame = Frame {
            sources: &sources,
            streams: &streams,
            kept: &self.kept,
            sums: &self.sums[accumulator],
            free: self.free,
            mask,
            is_aligned: true,
            slots: 0,
        };
        let taken = emit_body(&mut self.w, strip, &frame);
        self.taken.slots = self.taken.slots.max(taken.slots);
        taken
    }

    /// Runs the elements before the first aligned vector of a stream.
    fn align(&mut self, stream: usize) {
        let stream = self.strip.streams[stream];
        let bytes = self.isa().vector_bytes() as i32;
        let done = self.w.assembler.label();
        let register = POINTERS.get(stream.pointer).copied();
        let base = register.unwrap_or(SCRATCH);
        if register.is_none() {
            self.load_word(base, stream.pointer);
        }
        let start = memory(base, Register::None, i64::from(stream.displacement));
        self.w.push(Instruction::with2(Code::Lea_r64_m, SECOND_SCRATCH, start));
        self.w.push(Instruction::with1(Code::Neg_rm64, SECOND_SCRATCH));
        self.w.push(Instruction::with2(Code::And_rm64_imm32, SECOND_SCRATCH, bytes - 1));
        self.w.push(Instruction::with2(Code::Shr_rm64_imm8, SECOND_SCRATCH, 2));
        self.w.push(Instruction::with2(Code::Cmp_r64_rm64, SECOND_SCRATCH, LEFT));
        self.w.push(Instruction::with2(Code::Cmova_r64_rm64, SECOND_SCRATCH, LEFT));
        self.w.push(Instruction::with2(Code::Test_rm64_r64, SECOND_SCRATCH, SECOND_SCRATCH));
        self.w.assembler.jump(Code::Je_rel32_64, done);
        set_mask(&mut self.w, SECOND_SCRATCH);
        self.body(0, 0, Some(SECOND_SCRATCH));
        let indices = self.indices.clone();
        for (number, register) in indices {
            self.advance_index(number, register);
        }
        self.w.push(Instruction::with2(Code::Sub_r64_rm64, LEFT, SECOND_SCRATCH));
        self.w.push(Instruction::with2(Code::Add_r64_rm64, OFFSET, SECOND_SCRATCH));
        self.w.assembler.bind(done);
    }

    /// Moves an index on by the number of elements in the second scratch register.
    fn advance_index(&mut self, number: usize, register: u8) {
        let Argument::Index { step, .. } = self.strip.arguments[number] else {
            unreachable!("the list is of indices")
        };
        let offset = Register::R11D;
        self.w.push(Instruction::with3(Code::Imul_r32_rm32_imm32, offset, Register::R10D, step));
        // The results of reductions are not there yet: their first word, or the count's, can hold the offset.
        let word = memory(FRAME, Register::None, 8 * self.layout.count as i64);
        self.w.push(Instruction::with2(Code::Mov_rm32_r32, word, offset));
        let scratch = self.w.register(self.free.trailing_zeros() as u8);
        self.w.broadcast(scratch, word);
        let to = self.w.register(register);
        self.w.binary(isa::ADD_I32, to, to, Operand::Register(scratch));
    }

    /// Combines accumulators, then lanes, and stores the results.
    fn finish_reductions(&mut self) {
        let (isa, free) = (self.isa(), self.free);
        for (index, reduction) in self.strip.reductions.iter().enumerate() {
            let dtype = self.strip.program.dtype(reduction.value);
            let mut sums: Vec<u8> = self.sums.iter().map(|sums| sums[index]).collect();
            while sums.len() > 1 {
                let half = sums.len() / 2;
                for at in 0..half {
                    combine(&mut self.w, reduction.op, dtype, sums[at], sums[at + half], free);
                }
                sums.truncate(half);
            }
            let sum = sums[0];
            let other = free.trailing_zeros() as u8;
            let rest = free & !(1 << other);
            let (from, to) = (self.w.register(sum), self.w.register(other));
            let quarters: &[u32] = match isa {
                Isa::Avx2 => &[0x01],
                Isa::Avx512 => &[0x4e, 0xb1],
            };
            for &order in quarters {
                self.w.binary_by(isa::SWAP_QUARTERS, to, from, Operand::Register(from), order);
                combine(&mut self.w, reduction.op, dtype, sum, other, rest);
            }
            for order in [0x4e, 0xb1] {
                self.w.unary_by(isa::SWAP_IN_QUARTER, to, Operand::Register(from), order);
                combine(&mut self.w, reduction.op, dtype, sum, other, rest);
            }
            let word = memory(FRAME, Register::None, 8 * (self.layout.results + index) as i64);
            let code = match isa {
                Isa::Avx2 => Code::VEX_Vmovss_m32_xmm,
                Isa::Avx512 => Code::EVEX_Vmovss_m32_k1_xmm,
            };
            self.w.push(Instruction::with2(code, word, Register::XMM0 + u32::from(sum)));
        }
    }
}

/// Loads a word of the frame.
pub(super) fn load_word(w: &mut Writer, to: Register, word: usize) {
    let from = memory(FRAME, Register::None, 8 * word as i64);
    w.push(Instruction::with2(Code::Mov_r64_rm64, to, from));
}

/// The registers that a function with this many pointers saves.
fn saved(pointers: usize) -> &'static [Register] {
    if pointers > UNSAVED_POINTERS { &POINTERS[UNSAVED_POINTERS..pointers] } else { &[] }
}

/// Starts a function with this many pointers: saves registers and makes room on the stack, whose size is to be filled in
/// at the place that is returned.
pub(super) fn save(w: &mut Writer, pointers: usize) -> (&'static [Register], usize) {
    assert!(pointers <= POINTERS.len(), "whoever builds tiles counts pointers");
    let saved = saved(pointers);
    for &register in saved {
        w.push(Instruction::with1(Code::Push_r64, register));
    }
    w.push(Instruction::with1(Code::Push_r64, Register::RBP));
    w.push(Instruction::with2(Code::Mov_r64_rm64, Register::RBP, Register::RSP));
    w.push(Instruction::with2(Code::And_rm64_imm8, Register::RSP, -64));
    w.push(Instruction::with2(Code::Sub_rm64_imm32, Register::RSP, 0x1000));
    (saved, w.assembler.last_immediate())
}

/// Ends a function that [`save`] has started.
pub(super) fn restore(w: &mut Writer, saved: &[Register]) {
    w.push(Ok(Instruction::with(Code::VEX_Vzeroupper)));
    w.push(Instruction::with2(Code::Mov_r64_rm64, Register::RSP, Register::RBP));
    w.push(Instruction::with1(Code::Pop_r64, Register::RBP));
    for &register in saved.iter().rev() {
        w.push(Instruction::with1(Code::Pop_r64, register));
    }
    w.push(Ok(Instruction::with(Code::Retnq)));
}

/// Sets the mask to the first lanes, as many as a register says.
pub(super) fn set_mask(w: &mut Writer, count: Register) {
    match w.isa {
        Isa::Avx512 => {
            let scratch = Register::R11D;
            w.push(Instruction::with2(Code::Mov_r32_imm32, scratch, -1));
            let count = count.full_register32();
            w.push(Instruction::with3(Code::VEX_Bzhi_r32_rm32_r32, scratch, scratch, count));
            w.push(Instruction::with2(Code::VEX_Kmovw_kr_r32, Register::K1, scratch));
        }
        Isa::Avx2 => {
            let lanes = w.isa.lanes();
            let table: Vec<u8> = [0xffu8, 0].iter().flat_map(|&byte| vec![byte; 4 * lanes]).collect();
            let table = w.assembler.constant(&table);
            let from = Assembler::constant_operand(false);
            let address = Instruction::with2(Code::Lea_r64_m, SCRATCH, from);
            w.assembler.push_with_constant(address.expect("the operands are those of an address"), table);
            w.push(Instruction::with1(Code::Neg_rm64, count));
            let from =
                iced_x86::MemoryOperand::new(SCRATCH, count, 4, 4 * lanes as i64, 8, false, Register::None);
            w.unary(isa::LOAD, mask_register(Isa::Avx2), Operand::Memory(from));
            w.push(Instruction::with1(Code::Neg_rm64, count));
        }
    }
}
