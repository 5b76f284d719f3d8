//! Instructions on vectors with an operand that is a register, memory or a constant.

use iced_x86::{Code, Instruction, MemoryOperand, Register};

use super::assembler::{Assembler, Constant};
use super::cold::ColdSite;
use super::isa::{Isa, Op};

/// The last operand of an instruction.
#[derive(Clone, Copy, Debug)]
pub enum Operand {
    /// A register.
    Register(Register),
    /// Memory.
    Memory(MemoryOperand),
    /// A constant of the pool, in each lane where it is shorter than a vector.
    Constant(Constant),
}

/// Code for one instruction set.
pub struct Writer {
    /// The set.
    pub isa: Isa,
    /// The code.
    pub assembler: Assembler,
    /// The places so far that may need a cold function.
    pub(super) cold: Vec<ColdSite>,
}

/// Memory at `base + index + displacement`.
pub fn memory(base: Register, index: Register, displacement: i64) -> MemoryOperand {
    let size = if displacement == 0 { 0 } else { 8 };
    MemoryOperand::new(base, index, 1, displacement, size, false, Register::None)
}

/// Memory at `base + index * scale + displacement`.
pub fn element(base: Register, index: Register, scale: u32, displacement: i64) -> MemoryOperand {
    MemoryOperand { scale, ..memory(base, index, displacement) }
}

/// A byte that is so far behind the first one of an operand.
pub fn byte_of(operand: MemoryOperand, byte: usize) -> MemoryOperand {
    MemoryOperand { displacement: operand.displacement + byte as i64, displ_size: 8, ..operand }
}

/// The same memory, a scalar that is in each lane (AVX-512).
pub fn broadcast(mut operand: MemoryOperand) -> MemoryOperand {
    operand.is_broadcast = true;
    operand
}

impl Writer {
    /// No code.
    pub fn new(isa: Isa) -> Writer {
        Writer { isa, assembler: Assembler::default(), cold: Vec::new() }
    }

    /// The register of this number.
    pub fn register(&self, index: u8) -> Register {
        self.isa.register(index)
    }

    /// A 32-bit constant in each lane, as an operand.
    pub fn splat(&mut self, bits: u32) -> Constant {
        let lane = bits.to_le_bytes();
        match self.isa {
            Isa::Avx2 => self.assembler.constant(&lane.repeat(self.isa.lanes())),
            Isa::Avx512 => self.assembler.constant(&lane),
        }
    }

    /// Loads a 32-bit constant into each lane of a register.
    pub fn splat_to(&mut self, to: Register, bits: u32) {
        if bits == 0 {
            return self.binary(super::isa::XOR, to, to, Operand::Register(to));
        }
        let lane = self.assembler.constant(&bits.to_le_bytes());
        let code = super::isa::BROADCAST.code(self.isa);
        let load = Instruction::with2(code, to, Assembler::constant_operand(false));
        self.assembler.push_with_constant(load.expect("the operands are those of a broadcast"), lane);
    }

    /// A constant with a value per lane.
    pub fn lanes(&mut self, value: impl Fn(usize) -> i32) -> Constant {
        let bytes: Vec<u8> = (0..self.isa.lanes()).flat_map(|lane| value(lane).to_le_bytes()).collect();
        self.assembler.constant(&bytes)
    }

    /// `op to, from`
    pub fn unary(&mut self, op: Op, to: Register, from: Operand) {
        self.raw(op.code(self.isa), to, None, from, None);
    }

    /// `op to, left, right`
    pub fn binary(&mut self, op: Op, to: Register, left: Register, right: Operand) {
        self.raw(op.code(self.isa), to, Some(left), right, None);
    }

    /// `op to, from, immediate`
    pub fn unary_by(&mut self, op: Op, to: Register, from: Operand, immediate: u32) {
        self.raw(op.code(self.isa), to, None, from, Some(immediate));
    }

    /// `op to, left, right, immediate`
    pub fn binary_by(&mut self, op: Op, to: Register, left: Register, right: Operand, immediate: u32) {
        self.raw(op.code(self.isa), to, Some(left), right, Some(immediate));
    }

    /// An instruction by its code.
    pub fn raw(
        &mut self,
        code: Code,
        to: Register,
        left: Option<Register>,
        right: Operand,
        immediate: Option<u32>,
    ) {
        self.masked(code, to, left, right, immediate, None);
    }

    /// An instruction by its code, under a mask where there is one: lanes that it leaves out are zeroed, or kept.
    pub fn masked(
        &mut self,
        code: Code,
        to: Register,
        left: Option<Register>,
        right: Operand,
        immediate: Option<u32>,
        mask: Option<(Register, Unmasked)>,
    ) {
        let memory = |operand: Operand| match operand {
            Operand::Memory(memory) => memory,
            // A constant as long as a vector is read as one.
            Operand::Constant(_) => {
                Assembler::constant_operand(self.isa == Isa::Avx512 && right_is_lane(operand))
            }
            Operand::Register(_) => unreachable!("registers are no memory"),
        };
        let built = match (left, right, immediate) {
            (None, Operand::Register(right), None) => Instruction::with2(code, to, right),
            (None, Operand::Register(right), Some(by)) => Instruction::with3(code, to, right, by),
            (Some(left), Operand::Register(right), None) => Instruction::with3(code, to, left, right),
            (Some(left), Operand::Register(right), Some(by)) => Instruction::with4(code, to, left, right, by),
            (None, right, None) => Instruction::with2(code, to, memory(right)),
            (None, right, Some(by)) => Instruction::with3(code, to, memory(right), by),
            (Some(left), right, None) => Instruction::with3(code, to, left, memory(right)),
            (Some(left), right, Some(by)) => Instruction::with4(code, to, left, memory(right), by),
        };
        let mut instruction = built.expect("the operands are those of the code");
        if let Some((mask, unmasked)) = mask {
            instruction.set_op_mask(mask);
            instruction.set_zeroing_masking(unmasked == Unmasked::Zeroed);
        }
        match right {
            Operand::Constant(constant) => self.assembler.push_with_constant(instruction, constant),
            _ => self.assembler.push(instruction),
        }
    }

    /// Loads a scalar into each lane.
    pub fn broadcast(&mut self, to: Register, from: MemoryOperand) {
        self.unary(super::isa::BROADCAST, to, Operand::Memory(from));
    }

    /// Stores a vector, under a mask where there is one.
    pub fn store(&mut self, op: Op, to: MemoryOperand, from: Register, mask: Option<Register>) {
        let code = op.code(self.isa);
        let mut instruction = Instruction::with2(code, to, from).expect("the operands are those of a store");
        if let Some(mask) = mask {
            instruction.set_op_mask(mask);
        }
        self.assembler.push(instruction);
    }

    /// An instruction on general registers.
    pub fn push(&mut self, instruction: Result<Instruction, iced_x86::IcedError>) {
        self.assembler.push(instruction.expect("the operands are those of the code"));
    }
}

/// What becomes of the lanes that a mask leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmasked {
    /// They are zero.
    Zeroed,
    /// They keep what they held.
    Kept,
}

/// Whether a constant is one lane that instructions of AVX-512 repeat.
fn right_is_lane(operand: Operand) -> bool {
    matches!(operand, Operand::Constant(constant) if constant.is_lane())
}
