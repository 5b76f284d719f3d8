//! Register tiles of a contraction as a function: `(frame)`.
//!
//! A tile is a few rows by a few vectors of columns. It stays in registers while the sum over the depth runs, in
//! ascending order with one fused multiply-add per product, so the bits depend neither on the width of vectors nor on how
//! the result is cut. Then the epilogue, a strip's program, runs on the registers, vector by vector. Where it needs more
//! registers than the tile leaves over, some sums wait on the stack.
//!
//! The depth is a nest of loops, as a convolution has it: over the rows of the filter, its columns and the channels.
//! How often a loop runs may be known only when the tile does (at the upper and lower edge of an image), and a step of a
//! loop may concern some rows of the tile alone (at its left and right edge). Where the depth is done in blocks, the sums
//! wait in memory between them.
//!
//! The function does the tiles of a panel one below the other. Its frame is 64-bit words: the addresses of the left and
//! the right operand, the number of tiles, the counts of loops, the address of waiting sums and what becomes of them, how far
//! ahead the right operand is fetched, the pointers of the epilogue, its uniform values.

use std::ops::Range;

use iced_x86::{Code, Instruction, MemoryOperand, Register};

use super::assembler::Label;
use super::body::{Address, Frame, Source, emit_body};
use super::crosswise;
use super::function::{POINTERS, restore, save, set_mask};
use super::isa::{self, Isa};
use super::strip::{Argument, Strip};
use super::writer::{Operand, Unmasked, Writer, memory};
use super::{Kind, WideFunction};

/// A tile.
#[derive(Clone, Debug)]
pub struct TileSpec<'a> {
    /// The rows.
    pub rows: usize,
    /// The columns; those beyond the last whole vector are masked.
    pub columns: usize,
    /// The loops over the depth, outermost first.
    pub depth: &'a [Level],
    /// The number of words of the frame in which loops find how often they run.
    pub count_words: usize,
    /// Whether the depth is done in blocks, between which the sums are in memory.
    pub is_blocked: bool,
    /// How many lines of the cache are fetched ahead of the right operand in each round of the sum, and by how many the next
    /// tile begins behind.
    pub lines_ahead: usize,
    /// From a row of the left operand to the next, in bytes.
    pub left_row_step: i64,
    /// Where the lanes of the sums are rows, which are side by side in the left operand: from a column of the right operand to
    /// the next, in bytes. There is one vector of columns then, and one loop over the depth.
    pub right_column_step: Option<i64>,
    /// How far ahead a row of the right operand is fetched, in bytes, where rows are read side by side.
    pub row_ahead: Option<i64>,
    /// Whether columns beyond the result can be read, because the panel has zeros there.
    pub is_padded: bool,
    /// What follows from the sum.
    pub epilogue: &'a Strip,
    /// From a row to the next, in bytes, for each pointer of the epilogue.
    pub row_steps: &'a [i64],
}

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

/// What becomes of sums that wait between blocks of the depth: bits of a word of the frame.
pub const SUMS_ARE_WAITING: i64 = 1;
/// They go back to memory.
pub const SUMS_WAIT_AGAIN: i64 = 2;

/// Words of the frame.
const LEFT: usize = 0;
const RIGHT: usize = 1;
const TILES: usize = 2;
const COUNTS: usize = 3;

impl TileSpec<'_> {
    /// How far ahead the right operand is fetched where it is read in long rows, or where these are so far apart that the CPU
    /// does not do so by itself: what is beyond the operand costs nothing, because fetching does not fault.
    fn far_rows_ahead(&self) -> Option<i64> {
        const PAGE: i64 = 4096;
        /// A few times the latency of memory, in steps of a tile.
        const STEPS: i64 = 32;
        if self.row_ahead.is_some() {
            return self.row_ahead;
        }
        let step = self.depth.last()?.right_step;
        (step.abs() >= PAGE).then_some(step * STEPS)
    }

    /// The number of words in the frame.
    pub fn frame_words(&self) -> usize {
        self.first_pointer() + self.epilogue.pointers + self.epilogue.uniforms
    }

    /// The word with the address of waiting sums; in the next one is what becomes of them.
    fn waiting(&self) -> usize {
        COUNTS + self.count_words
    }

    /// The word that says how far ahead the first line is that is fetched, in bytes.
    fn ahead(&self) -> usize {
        self.waiting() + if self.is_blocked { 2 } else { 0 }
    }

    fn first_pointer(&self) -> usize {
        self.ahead() + usize::from(self.lines_ahead > 0)
    }

    /// What the sums of a tile take in memory, in bytes.
    pub fn sums_bytes(&self, isa: Isa) -> usize {
        let rows = if self.right_column_step.is_some() { self.columns } else { self.rows };
        rows * self.columns.div_ceil(isa.lanes()) * isa.vector_bytes()
    }
}

const FRAME: Register = Register::RDI;
pub(super) const LEFT_AT: Register = Register::RAX;
pub(super) const RIGHT_AT: Register = Register::R11;
const ROUNDS: Register = Register::RCX;
/// How far the row that is fetched is from the first, in bytes.
const ROW: Register = Register::R10;
/// How far ahead the right operand is fetched, where no rows are, in bytes.
const AHEAD: Register = ROW;
/// What a line of the caches holds, in bytes.
const LINE: i64 = 64;
/// Steps of the sum in one round of the loop.
pub const UNROLL: usize = 4;
/// Words on the stack for each loop over the depth.
const LEVEL_WORDS: usize = 3;
/// The most steps of a loop that are done one after the other, each for rows of its own.
pub const MOST_TAPS: usize = 16;

/// What rounds of the sum bring into the cache for the epilogue.
#[derive(Default)]
struct Fetched {
    /// The places of a round.
    places: Vec<MemoryOperand>,
    /// The first rounds, which are those that fetch.
    rounds: usize,
    /// How much farther the places are in the next round, in bytes.
    step: i64,
}

pub(super) struct Tile<'a> {
    pub(super) w: Writer,
    pub(super) spec: &'a TileSpec<'a>,
    vectors: usize,
    /// The lanes of the last vector, where it is not whole.
    mask: Option<Register>,
}

/// Emits the function of a tile.
pub fn emit_tile(isa: Isa, spec: &TileSpec<'_>) -> WideFunction {
    let vectors = spec.columns.div_ceil(isa.lanes());
    let is_partial = !spec.columns.is_multiple_of(isa.lanes());
    let mask = is_partial.then_some(match isa {
        Isa::Avx2 => Register::YMM15,
        Isa::Avx512 => Register::K1,
    });
    let mut tile = Tile { w: Writer::new(isa), spec, vectors, mask };
    let (saved, stack) = save(&mut tile.w, spec.epilogue.pointers);
    for (pointer, &register) in POINTERS.iter().enumerate().take(spec.epilogue.pointers) {
        tile.load_word(register, spec.first_pointer() + pointer);
    }
    if is_partial {
        let lanes = (spec.columns % isa.lanes()) as i32;
        tile.w.push(Instruction::with2(Code::Mov_r32_imm32, Register::ECX, lanes));
        set_mask(&mut tile.w, Register::RCX);
    }
    let [again, done] = [(); 2].map(|()| tile.w.assembler.label());
    let count = memory(FRAME, Register::None, 8 * TILES as i64);
    tile.w.push(Instruction::with2(Code::Cmp_rm64_imm8, count, 0));
    tile.w.assembler.jump(Code::Je_rel32_64, done);
    tile.w.assembler.bind(again);
    tile.sum_over_depth();
    let after = tile.w.assembler.label();
    tile.put_sums_back(after);
    let slots = tile.epilogue();
    tile.w.assembler.bind(after);
    tile.advance();
    tile.w.push(Instruction::with1(Code::Dec_rm64, count));
    tile.w.assembler.jump(Code::Jne_rel32_64, again);
    tile.w.assembler.bind(done);
    restore(&mut tile.w, saved);
    let bytes = (slots * isa.vector_bytes()).next_multiple_of(64) as i32;
    tile.w.assembler.finish(Kind::Tile, &[(stack, bytes)])
}

impl Tile<'_> {
    fn load_word(&mut self, to: Register, word: usize) {
        let from = memory(FRAME, Register::None, 8 * word as i64);
        self.w.push(Instruction::with2(Code::Mov_r64_rm64, to, from));
    }

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

    /// Steps of the sum in one round of the loop.
    fn unroll(&self) -> usize {
        if self.spec.right_column_step.is_some() { crosswise::UNROLL } else { UNROLL }
    }

    fn sum_over_depth(&mut self) {
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

    fn load_ahead(&mut self) {
        if self.spec.lines_ahead > 0 {
            self.load_word(AHEAD, self.spec.ahead());
        }
    }

    /// Zeros, or what waits in memory.
    fn start_sums(&mut self) {
        let [zero, start] = [(); 2].map(|()| self.w.assembler.label());
        if self.spec.is_blocked {
            self.test(SUMS_ARE_WAITING);
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
    fn put_sums_back(&mut self, after: Label) {
        if !self.spec.is_blocked {
            return;
        }
        let finished = self.w.assembler.label();
        self.test(SUMS_WAIT_AGAIN);
        self.w.assembler.jump(Code::Je_rel32_64, finished);
        self.load_word(ROW, self.spec.waiting());
        for sum in 0..self.spare() {
            let to = memory(ROW, Register::None, i64::from(sum) * self.w.isa.vector_bytes() as i64);
            let from = self.w.register(sum);
            self.w.store(isa::STORE, to, from, None);
        }
        self.w.assembler.jump(Code::Jmp_rel32_64, after);
        self.w.assembler.bind(finished);
    }

    /// Tests a bit of what becomes of waiting sums.
    fn test(&mut self, bit: i64) {
        let word = memory(FRAME, Register::None, 8 * (self.spec.waiting() as i64 + 1));
        self.w.push(Instruction::with2(Code::Test_rm64_imm32, word, bit as i32));
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
    fn level_slots(&self) -> usize {
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

    /// What the epilogue reads row by row, where the sum has so many rounds: a row in each of the first of them, or more rows
    /// where there are fewer rounds. The step to the next row is the same for all that is fetched.
    fn fetched(&self, rounds: usize) -> Fetched {
        if self.spec.right_column_step.is_some() || rounds == 0 {
            return Fetched::default();
        }
        let row_step = self.fetch_step();
        let rows = self.spec.rows.div_ceil(rounds);
        let strip = self.spec.epilogue;
        let mut streams: Vec<usize> = (strip.arguments.iter())
            .filter_map(|argument| match argument {
                Argument::Stream(stream) => Some(*stream),
                _ => None,
            })
            .filter(|&stream| self.spec.row_steps[strip.streams[stream].pointer] == row_step)
            .collect();
        streams.dedup();
        let places = streams.into_iter().flat_map(|stream| {
            let stream = strip.streams[stream];
            let vectors = 0..self.vectors;
            vectors.flat_map(move |vector| (0..rows).map(move |row| (stream, vector, row)))
        });
        let places: Vec<MemoryOperand> = places
            .map(|(stream, vector, row)| {
                let ahead = i64::from(stream.displacement)
                    + (vector * self.w.isa.vector_bytes()) as i64
                    + row as i64 * row_step;
                memory(POINTERS[stream.pointer], ROW, ahead)
            })
            .collect();
        let rounds = if places.is_empty() { 0 } else { self.spec.rows.div_ceil(rows) };
        Fetched { places, rounds, step: rows as i64 * row_step }
    }

    /// From a row of what is fetched to the next.
    fn fetch_step(&self) -> i64 {
        self.spec.row_steps.iter().copied().max().unwrap_or(0)
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
        for &place in &fetched.places {
            self.w.push(Instruction::with1(Code::Prefetcht0_m8, place));
        }
        let lines_ahead =
            if fetched.places.is_empty() && steps == UNROLL { self.spec.lines_ahead } else { 0 };
        for line in 0..lines_ahead as i64 {
            let place = memory(RIGHT_AT, AHEAD, LINE * line);
            self.w.push(Instruction::with1(Code::Prefetcht1_m8, place));
        }
        self.products(level, steps, rows);
        let steps = steps as i64;
        self.add(LEFT_AT, level.left_step * steps);
        self.add(RIGHT_AT, level.right_step * steps);
        if !fetched.places.is_empty() {
            self.add(ROW, fetched.step);
        }
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

    fn add(&mut self, register: Register, bytes: i64) {
        if bytes == 0 {
            return;
        }
        self.w.push(Instruction::with2(Code::Add_rm64_imm32, register, bytes as i32));
    }

    /// One step of the sum, this far from the current addresses: `sum[r, v] += left[r] * right[v]`.
    fn multiply_add(&mut self, (left, right_at): (i64, i64), rows: Range<usize>) {
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
        if let Some(ahead) = spec.far_rows_ahead() {
            for vector in 0..self.vectors {
                let place =
                    memory(RIGHT_AT, Register::None, right_at + ahead + (vector * isa.vector_bytes()) as i64);
                self.w.push(Instruction::with1(Code::Prefetcht0_m8, place));
            }
        }
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

    /// Runs the epilogue on every vector; the number of vectors on the stack.
    fn epilogue(&mut self) -> usize {
        let isa = self.w.isa;
        let all: u32 = match isa {
            Isa::Avx2 => 0x7fff,
            Isa::Avx512 => u32::MAX,
        };
        if self.spec.right_column_step.is_some() {
            return self.epilogue_crosswise(all, self.level_slots());
        }
        let needed = self.registers_of_epilogue();
        let sums = self.spec.rows * self.vectors;
        let mut free = all & !(((1u64 << sums) - 1) as u32);
        // The last sums wait on the stack.
        let waiting = needed.saturating_sub(free.count_ones() as usize).min(sums);
        let kept = self.level_slots();
        let slot = |index: usize| {
            memory(Register::RSP, Register::None, ((kept + index) * isa.vector_bytes()) as i64)
        };
        for index in 0..waiting {
            let sum = (sums - 1 - index) as u8;
            let from = self.w.register(sum);
            self.w.store(isa::STORE, slot(index), from, None);
            free |= 1 << sum;
        }
        let mut slots = 0;
        for sum in 0..sums {
            let (row, vector) = (sum / self.vectors, sum % self.vectors);
            let source = match sums - 1 - sum {
                index if index < waiting => Source::Spilled(slot(index)),
                _ => Source::Owned(sum as u8),
            };
            slots = slots.max(self.epilogue_of(row, vector, source, free, kept + waiting));
            if let Source::Owned(register) = source {
                free |= 1 << register;
            }
        }
        kept + waiting + slots
    }

    /// The most registers that the epilogue of one vector takes, the sum not counted.
    fn registers_of_epilogue(&mut self) -> usize {
        let mut tile =
            Tile { w: Writer::new(self.w.isa), spec: self.spec, vectors: self.vectors, mask: self.mask };
        let all = match self.w.isa {
            Isa::Avx2 => 0x7ffe,
            Isa::Avx512 => u32::MAX - 1,
        };
        let frame = TileFrame::new(&tile, 0, self.vectors - 1, Source::Kept(0));
        let taken = emit_body(&mut tile.w, self.spec.epilogue, &frame.frame(all, self.mask, 0));
        taken.registers + 1
    }

    pub(super) fn epilogue_of(
        &mut self,
        row: usize,
        vector: usize,
        sum: Source,
        free: u32,
        slots: usize,
    ) -> usize {
        let mask = self.mask.filter(|_| vector + 1 == self.vectors);
        let frame = TileFrame::new(self, row, vector, sum);
        let taken = emit_body(&mut self.w, self.spec.epilogue, &frame.frame(free, mask, slots));
        taken.slots
    }

    /// Moves on to the tile below.
    fn advance(&mut self) {
        let rows = self.spec.rows as i64;
        let left = memory(FRAME, Register::None, 8 * LEFT as i64);
        let bytes = (self.spec.left_row_step * rows) as i32;
        self.w.push(Instruction::with2(Code::Add_rm64_imm32, left, bytes));
        if self.spec.is_blocked {
            let waiting = memory(FRAME, Register::None, 8 * self.spec.waiting() as i64);
            let bytes = self.spec.sums_bytes(self.w.isa) as i32;
            self.w.push(Instruction::with2(Code::Add_rm64_imm32, waiting, bytes));
        }
        if self.spec.lines_ahead > 0 {
            let ahead = memory(FRAME, Register::None, 8 * self.spec.ahead() as i64);
            let bytes = LINE as i32 * self.spec.lines_ahead as i32;
            self.w.push(Instruction::with2(Code::Add_rm64_imm32, ahead, bytes));
        }
        for (&register, &step) in POINTERS.iter().zip(self.spec.row_steps) {
            if step != 0 {
                self.add(register, step * rows);
            }
        }
    }
}

/// What the epilogue of one vector works on.
struct TileFrame {
    streams: Vec<Address>,
    sources: Vec<Source>,
}

impl TileFrame {
    fn new(tile: &Tile<'_>, row: usize, vector: usize, sum: Source) -> TileFrame {
        let strip = tile.spec.epilogue;
        let place = |stream: usize, vector: usize| {
            let stream = &strip.streams[stream];
            let displacement = i64::from(stream.displacement)
                + row as i64 * tile.spec.row_steps[stream.pointer]
                + (vector * tile.w.isa.vector_bytes()) as i64;
            memory(POINTERS[stream.pointer], Register::None, displacement)
        };
        let near = |operand: MemoryOperand| Address { operand, far: None };
        let first_uniform = tile.spec.first_pointer() + strip.pointers;
        let uniform = |number: usize| memory(FRAME, Register::None, 8 * (first_uniform + number) as i64);
        let sources = strip.arguments.iter().map(|argument| match *argument {
            Argument::Sum => sum,
            Argument::Stream(stream) => Source::Vector(near(place(stream, vector))),
            Argument::Scalar(stream) => Source::Scalar(place(stream, 0)),
            Argument::Uniform(number) => Source::Scalar(uniform(number)),
            Argument::Index { .. } => unreachable!("epilogues of tiles have no indices"),
        });
        let streams = (0..strip.streams.len()).map(|stream| near(place(stream, vector)));
        TileFrame { sources: sources.collect(), streams: streams.collect() }
    }

    fn frame(&self, free: u32, mask: Option<Register>, slots: usize) -> Frame<'_> {
        Frame {
            sources: &self.sources,
            streams: &self.streams,
            kept: &[],
            sums: &[],
            free,
            mask,
            is_aligned: false,
            slots,
        }
    }
}

/// Whether a step from a row or a depth to the next, in bytes, fits into the instructions of every tile: they reach over
/// fewer than 32 rows and [`MOST_TAPS`] depths, in an epilogue behind a displacement of less than 2^30, and add 2^31 at
/// most.
pub fn is_step(bytes: i64) -> bool {
    bytes.unsigned_abs() < 1 << 24
}
