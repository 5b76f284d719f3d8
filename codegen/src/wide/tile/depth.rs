//! The loops over the depth: a nest of them, unrolled in rounds where they are innermost.
//!
//! In: the levels, and the registers with the addresses of both operands at the first step. A loop around others keeps its
//! addresses and what is left of its rounds on the stack. What a step does to the sums is not here, nor what is fetched.

use std::ops::Range;

use iced_x86::{Code, Instruction, MemoryOperand, Register};

use super::ahead::Fetched;
use super::{COUNTS, FRAME, LEFT, LEFT_AT, RIGHT, RIGHT_AT, ROUNDS, ROW, Tile, crosswise};
use crate::wide::writer::memory;

/// A loop over part of the depth.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    /// How often it runs.
    pub count: Count,
    /// From a step to the next in the left operand, in bytes.
    pub left_step: i64,
    /// From a step to the next in the right operand, in bytes.
    pub right_step: i64,
}

/// How often a loop runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Count {
    /// So often.
    Static(usize),
    /// As often as this word of the frame's counts says.
    Word(usize),
    /// Once for each of these, which are the rows that the step is for. Where there is a word, steps from the one on that
    /// it says are done, and those from the next word's on are not.
    Taps(Vec<Range<usize>>, Option<usize>),
}

/// Steps of the sum in one round of the loop.
pub const UNROLL: usize = 4;
/// Words on the stack for each loop over the depth.
const LEVEL_WORDS: usize = 3;
/// The most steps of a loop that are done one after the other, each for rows of its own.
pub const MOST_TAPS: usize = 16;

impl Tile<'_> {
    /// Steps of the sum in one round of the loop.
    fn unroll(&self) -> usize {
        if self.spec.right_column_step.is_some() { crosswise::UNROLL } else { UNROLL }
    }

    /// The sums of a tile, from the first step to the last.
    pub(super) fn sum_over_depth(&mut self) {
        self.load_word(LEFT_AT, LEFT);
        self.load_word(RIGHT_AT, RIGHT);
        self.start_sums();
        self.load_ahead();
        let spec = self.spec;
        match spec.depth {
            [Level { count: Count::Static(count), .. }] => {
                let fetched = self.fetched(count / UNROLL);
                self.straight(&spec.depth[0], *count, &fetched, 0..spec.rows);
            }
            _ => self.levels(0, 0..spec.rows),
        }
    }

    /// The loops over the depth from this level on, for some of the rows.
    fn levels(&mut self, at: usize, rows: Range<usize>) {
        let spec = self.spec;
        let Some(level) = spec.depth.get(at) else { return self.multiply_add((0, 0), rows) };
        let is_innermost = at + 1 == spec.depth.len();
        match &level.count {
            Count::Static(count) if is_innermost => self.straight(level, *count, &Fetched::default(), rows),
            Count::Word(word) if is_innermost => self.counted(level, *word, rows),
            Count::Static(count) => {
                self.w.push(Instruction::with2(Code::Mov_r32_imm32, ROUNDS.full_register32(), *count as i32));
                self.outer(at, rows);
            }
            Count::Word(word) => {
                self.load_word(ROUNDS, COUNTS + word);
                let skip = self.w.assembler.label();
                self.w.push(Instruction::with2(Code::Test_rm64_r64, ROUNDS, ROUNDS));
                self.w.assembler.jump(Code::Je_rel32_64, skip);
                self.outer(at, rows);
                self.w.assembler.bind(skip);
            }
            Count::Taps(taps, limits) => self.taps(at, taps, *limits, rows),
        }
    }

    /// The words on the stack that belong to a level: the left and the right address, and the rounds that are left.
    fn level_word(&self, at: usize, word: usize) -> MemoryOperand {
        memory(Register::RSP, Register::None, 8 * (LEVEL_WORDS * at + word) as i64)
    }

    /// The vectors on the stack that hold what belongs to levels.
    pub(super) fn level_slots(&self) -> usize {
        (8 * LEVEL_WORDS * self.spec.depth.len()).div_ceil(self.w.isa.vector_bytes())
    }

    fn put(&mut self, at: usize, word: usize, from: Register) {
        let to = self.level_word(at, word);
        self.w.push(Instruction::with2(Code::Mov_rm64_r64, to, from));
    }

    fn get(&mut self, to: Register, at: usize, word: usize) {
        let from = self.level_word(at, word);
        self.w.push(Instruction::with2(Code::Mov_r64_rm64, to, from));
    }

    /// A loop around others; how often it runs is in the register of rounds.
    fn outer(&mut self, at: usize, rows: Range<usize>) {
        let level = &self.spec.depth[at];
        self.put(at, 2, ROUNDS);
        let again = self.w.assembler.label();
        self.w.assembler.bind(again);
        self.put(at, 0, LEFT_AT);
        self.put(at, 1, RIGHT_AT);
        self.levels(at + 1, rows);
        self.get(LEFT_AT, at, 0);
        self.get(RIGHT_AT, at, 1);
        self.add(LEFT_AT, level.left_step);
        self.add(RIGHT_AT, level.right_step);
        let rounds = self.level_word(at, 2);
        self.w.push(Instruction::with1(Code::Dec_rm64, rounds));
        self.w.assembler.jump(Code::Jne_rel32_64, again);
    }

    /// Steps one after the other, each for rows of its own.
    fn taps(&mut self, at: usize, taps: &[Range<usize>], limits: Option<usize>, rows: Range<usize>) {
        let level = &self.spec.depth[at];
        let is_innermost = at + 1 == self.spec.depth.len();
        if !is_innermost {
            self.put(at, 0, LEFT_AT);
            self.put(at, 1, RIGHT_AT);
        }
        for (tap, tap_rows) in taps.iter().enumerate() {
            let rows = rows.start.max(tap_rows.start)..rows.end.min(tap_rows.end);
            if rows.is_empty() {
                continue;
            }
            let skip = self.w.assembler.label();
            if let Some(word) = limits {
                for (word, jump) in [(word, Code::Jg_rel32_64), (word + 1, Code::Jle_rel32_64)] {
                    let limit = memory(FRAME, Register::None, 8 * (COUNTS + word) as i64);
                    self.w.push(Instruction::with2(Code::Cmp_rm64_imm32, limit, tap as i32));
                    self.w.assembler.jump(jump, skip);
                }
            }
            let steps = (tap as i64 * level.left_step, tap as i64 * level.right_step);
            if is_innermost {
                self.multiply_add(steps, rows);
            } else {
                self.get(LEFT_AT, at, 0);
                self.get(RIGHT_AT, at, 1);
                self.add(LEFT_AT, steps.0);
                self.add(RIGHT_AT, steps.1);
                self.levels(at + 1, rows);
            }
            self.w.assembler.bind(skip);
        }
    }

    /// An innermost loop of so many steps. In the first rounds what the epilogue reads is brought into the cache.
    fn straight(&mut self, level: &Level, count: usize, fetched: &Fetched, rows: Range<usize>) {
        if fetched.rounds > 0 {
            self.w.push(Instruction::with2(Code::Xor_r32_rm32, ROW.full_register32(), ROW.full_register32()));
        }
        self.rounds(level, fetched.rounds, fetched, rows.clone());
        if fetched.rounds > 0 {
            self.load_ahead();
        }
        let unroll = self.unroll();
        self.rounds(level, count / unroll - fetched.rounds, &Fetched::default(), rows.clone());
        self.products(level, count % unroll, rows);
    }

    /// An innermost loop of as many steps as a word of the frame says.
    fn counted(&mut self, level: &Level, word: usize, rows: Range<usize>) {
        let unroll = self.unroll();
        let [rest, done] = [(); 2].map(|()| self.w.assembler.label());
        self.load_word(ROUNDS, COUNTS + word);
        self.w.push(Instruction::with2(Code::Shr_rm64_imm8, ROUNDS, unroll.trailing_zeros()));
        self.w.assembler.jump(Code::Je_rel32_64, rest);
        self.repeat(level, unroll, &Fetched::default(), rows.clone());
        self.w.assembler.bind(rest);
        self.load_word(ROUNDS, COUNTS + word);
        self.w.push(Instruction::with2(Code::And_rm64_imm32, ROUNDS, unroll as i32 - 1));
        self.w.assembler.jump(Code::Je_rel32_64, done);
        self.repeat(level, 1, &Fetched::default(), rows);
        self.w.assembler.bind(done);
    }

    /// So many rounds of the sum.
    fn rounds(&mut self, level: &Level, count: usize, fetched: &Fetched, rows: Range<usize>) {
        if count > 0 {
            self.w.push(Instruction::with2(Code::Mov_r32_imm32, ROUNDS.full_register32(), count as i32));
            self.repeat(level, self.unroll(), fetched, rows);
        }
    }

    /// As many rounds of `steps` steps as the register of rounds says, at least one.
    fn repeat(&mut self, level: &Level, steps: usize, fetched: &Fetched, rows: Range<usize>) {
        let again = self.w.assembler.label();
        self.w.assembler.bind(again);
        self.fetch_in_round(fetched, steps);
        self.products(level, steps, rows);
        let steps = steps as i64;
        self.add(LEFT_AT, level.left_step * steps);
        self.add(RIGHT_AT, level.right_step * steps);
        self.add(ROW, fetched.step);
        self.w.push(Instruction::with1(Code::Dec_rm64, ROUNDS));
        self.w.assembler.jump(Code::Jne_rel32_64, again);
    }

    /// So many steps from the current addresses on.
    fn products(&mut self, level: &Level, steps: usize, rows: Range<usize>) {
        if let Some(column_step) = self.spec.right_column_step {
            return self.multiply_crosswise(level, column_step, steps);
        }
        for step in 0..steps as i64 {
            self.multiply_add((step * level.left_step, step * level.right_step), rows.clone());
        }
    }
}
