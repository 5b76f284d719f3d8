//! The sums of a tile: a register for each vector of columns of each row, row by row (for each column, where the lanes are
//! rows), and beside them registers for the vectors of the right operand and one factor of the left.
//!
//! They start as zeros. Where the depth is done in blocks, they wait in memory in between: in the frame are the address and
//! the bits that say whether they come from there, and whether they go back. Where there are many blocks, the frame also says
//! which levels of a tree are added before, and at which level they wait then. In which order steps are done is not here.

use std::ops::Range;

use iced_x86::{Code, Instruction, Register};

use super::{FRAME, LEFT_AT, RIGHT_AT, ROUNDS, ROW, Tile};
use crate::wide::assembler::Label;
use crate::wide::isa::{self, Isa};
use crate::wide::writer::{Operand, Unmasked, memory};

/// What becomes of sums between blocks of the depth, bits of a word of the frame: they come from memory.
pub const SUMS_ARE_WAITING: i64 = 1;
/// They go back to memory.
pub const SUMS_WAIT_AGAIN: i64 = 2;

impl Tile<'_> {
    /// The register of a sum.
    fn sum(&self, row: usize, vector: usize) -> u8 {
        (row * self.vectors + vector) as u8
    }

    /// The first register that holds no sum.
    pub(super) fn spare(&self) -> u8 {
        match self.spec.right_column_step {
            Some(_) => self.spec.columns as u8,
            None => (self.spec.rows * self.vectors) as u8,
        }
    }

    /// What the sums take in memory, in bytes.
    pub(super) fn sums_bytes(&self) -> usize {
        usize::from(self.spare()) * self.w.isa.vector_bytes()
    }

    /// Zeros, or what waits in memory.
    pub(super) fn start_sums(&mut self) {
        let [zero, start] = [(); 2].map(|()| self.w.assembler.label());
        if self.spec.is_blocked {
            self.test_waiting(SUMS_ARE_WAITING);
            self.w.assembler.jump(Code::Je_rel32_64, zero);
            self.load_word(ROW, self.spec.waiting());
            for sum in 0..self.spare() {
                let from = memory(ROW, Register::None, i64::from(sum) * self.w.isa.vector_bytes() as i64);
                let sum = self.w.register(sum);
                self.w.unary(isa::LOAD, sum, Operand::Memory(from));
            }
            self.w.assembler.jump(Code::Jmp_rel32_64, start);
        }
        self.w.assembler.bind(zero);
        for sum in 0..self.spare() {
            let sum = self.w.register(sum);
            self.w.binary(isa::XOR, sum, sum, Operand::Register(sum));
        }
        self.w.assembler.bind(start);
    }

    /// Puts the sums into memory and goes on at `after`, where another block of the depth follows.
    pub(super) fn put_sums_back(&mut self, after: Label) {
        if !self.spec.is_blocked {
            return;
        }
        if self.spec.has_tree {
            self.add_levels();
        }
        let finished = self.w.assembler.label();
        self.test_waiting(SUMS_WAIT_AGAIN);
        self.w.assembler.jump(Code::Je_rel32_64, finished);
        self.load_word(ROW, self.spec.waiting());
        if self.spec.has_tree {
            self.add_word(ROW, self.spec.tree() + 1);
        }
        for sum in 0..self.spare() {
            let to = memory(ROW, Register::None, i64::from(sum) * self.w.isa.vector_bytes() as i64);
            let from = self.w.register(sum);
            self.w.store(isa::STORE, to, from, None);
        }
        self.w.assembler.jump(Code::Jmp_rel32_64, after);
        self.w.assembler.bind(finished);
    }

    /// Adds the sums that wait at some levels of the tree, the lowest first.
    fn add_levels(&mut self) {
        let [again, skip, done] = [(); 3].map(|()| self.w.assembler.label());
        self.load_word(ROUNDS, self.spec.tree());
        self.w.push(Instruction::with2(Code::Test_rm64_r64, ROUNDS, ROUNDS));
        self.w.assembler.jump(Code::Je_rel32_64, done);
        self.load_word(ROW, self.spec.waiting());
        self.w.assembler.bind(again);
        self.add_word(ROW, self.spec.tree() + 2);
        self.w.push(Instruction::with2(Code::Test_rm32_imm32, ROUNDS.full_register32(), 1));
        self.w.assembler.jump(Code::Je_rel32_64, skip);
        for sum in 0..self.spare() {
            let waiting = memory(ROW, Register::None, i64::from(sum) * self.w.isa.vector_bytes() as i64);
            let sum = self.w.register(sum);
            self.w.binary(isa::ADD_F32, sum, sum, Operand::Memory(waiting));
        }
        self.w.assembler.bind(skip);
        self.w.push(Instruction::with2(Code::Shr_rm64_imm8, ROUNDS, 1));
        self.w.assembler.jump(Code::Jne_rel32_64, again);
        self.w.assembler.bind(done);
    }

    /// Adds a word of the frame to a register.
    fn add_word(&mut self, to: Register, word: usize) {
        let word = memory(FRAME, Register::None, 8 * word as i64);
        self.w.push(Instruction::with2(Code::Add_r64_rm64, to, word));
    }

    /// Tests a bit of what becomes of the sums.
    fn test_waiting(&mut self, bit: i64) {
        let word = memory(FRAME, Register::None, 8 * (self.spec.waiting() as i64 + 1));
        self.w.push(Instruction::with2(Code::Test_rm64_imm32, word, bit as i32));
    }

    /// One step of the sum, this far from the current addresses: `sum[r, v] += left[r] * right[v]`.
    pub(super) fn multiply_add(&mut self, (left, right_at): (i64, i64), rows: Range<usize>) {
        let (spec, isa) = (self.spec, self.w.isa);
        let right =
            |vector: usize| memory(RIGHT_AT, Register::None, right_at + (vector * isa.vector_bytes()) as i64);
        let first = self.spare();
        for vector in 0..self.vectors {
            let to = self.w.register(first + vector as u8);
            let mask = self.mask.filter(|_| vector + 1 == self.vectors && !spec.is_padded);
            let from = Operand::Memory(right(vector));
            match (isa, mask) {
                (_, None) => self.w.unary(isa::LOAD, to, from),
                (Isa::Avx512, Some(mask)) => {
                    let code = isa::LOAD.code(isa);
                    self.w.masked(code, to, None, from, None, Some((mask, Unmasked::Zeroed)));
                }
                (Isa::Avx2, Some(mask)) => {
                    self.w.raw(Code::VEX_Vmaskmovps_ymm_ymm_m256, to, Some(mask), from, None);
                }
            }
        }
        self.fetch_far_row(right_at);
        let factor = self.w.register(first + self.vectors as u8);
        for row in rows {
            let displacement = left + row as i64 * spec.left_row_step;
            self.w.broadcast(factor, memory(LEFT_AT, Register::None, displacement));
            for vector in 0..self.vectors {
                let sum = self.w.register(self.sum(row, vector));
                let right = self.w.register(first + vector as u8);
                self.w.binary(isa::FMA_231, sum, factor, Operand::Register(right));
            }
        }
    }
}
