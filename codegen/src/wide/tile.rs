//! Register tiles of a contraction as a function: `(frame)`.
//!
//! A tile is a few rows by a few vectors of columns. It stays in registers while the whole sum over the depth runs, in
//! ascending order with one fused multiply-add per product, so the bits depend neither on the width of vectors nor on how
//! the result is cut. Then the epilogue, a strip's program, runs on the registers, vector by vector. Where it needs more
//! registers than the tile leaves over, some sums wait on the stack.
//!
//! The function does the tiles of a panel one below the other. Its frame is 64-bit words: the addresses of the left and
//! the right operand, the number of tiles, the pointers of the epilogue, its uniform values.

use iced_x86::{Code, Instruction, MemoryOperand, Register};

use super::body::{Frame, Source, emit_body};
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
    /// The length of the sum.
    pub depth: usize,
    /// From a row of the left operand to the next, in bytes.
    pub left_row_step: i64,
    /// From a depth of the left operand to the next, in bytes.
    pub left_depth_step: i64,
    /// From a depth of the right operand to the next, in bytes.
    pub right_depth_step: i64,
    /// Whether columns beyond the result can be read, because the panel has zeros there.
    pub is_padded: bool,
    /// What follows from the sum.
    pub epilogue: &'a Strip,
    /// From a row to the next, in bytes, for each pointer of the epilogue.
    pub row_steps: &'a [i64],
}

/// Words of the frame.
pub const LEFT: usize = 0;
/// The address of the right operand.
pub const RIGHT: usize = 1;
/// The number of tiles.
pub const TILES: usize = 2;
/// The first pointer of the epilogue; its uniform values follow.
pub const POINTER: usize = 3;

/// The number of words in the frame of a tile with this epilogue.
pub fn frame_words(epilogue: &Strip) -> usize {
    POINTER + epilogue.pointers + epilogue.uniforms
}

const FRAME: Register = Register::RDI;
const LEFT_AT: Register = Register::RAX;
const RIGHT_AT: Register = Register::R11;
const ROUNDS: Register = Register::RCX;
/// How far the row that is fetched is from the first, in bytes.
const ROW: Register = Register::R10;
/// Steps of the sum in one round of the loop.
const UNROLL: usize = 4;

struct Tile<'a> {
    w: Writer,
    spec: &'a TileSpec<'a>,
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
        tile.load_word(register, POINTER + pointer);
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
    let slots = tile.epilogue();
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
    fn spare(&self) -> u8 {
        (self.spec.rows * self.vectors) as u8
    }

    fn sum_over_depth(&mut self) {
        self.load_word(LEFT_AT, LEFT);
        self.load_word(RIGHT_AT, RIGHT);
        for sum in 0..self.spare() {
            let sum = self.w.register(sum);
            self.w.binary(isa::XOR, sum, sum, Operand::Register(sum));
        }
        let (rounds, rest) = (self.spec.depth / UNROLL, self.spec.depth % UNROLL);
        let fetched = self.fetched();
        let fetching = if fetched.is_empty() { 0 } else { self.spec.rows.min(rounds) };
        if fetching > 0 {
            self.w.push(Instruction::with2(Code::Xor_r32_rm32, ROW.full_register32(), ROW.full_register32()));
        }
        self.rounds(fetching, &fetched);
        self.rounds(rounds - fetching, &[]);
        for step in 0..rest {
            self.multiply_add(step);
        }
    }

    /// What the epilogue reads row by row: each place, and the step to the next row, the same for all.
    fn fetched(&self) -> Vec<MemoryOperand> {
        let strip = self.spec.epilogue;
        let mut streams: Vec<usize> = (strip.arguments.iter())
            .filter_map(|argument| match argument {
                Argument::Stream(stream) => Some(*stream),
                _ => None,
            })
            .filter(|&stream| self.spec.row_steps[strip.streams[stream].pointer] == self.fetch_step())
            .collect();
        streams.dedup();
        let places = streams.into_iter().flat_map(|stream| {
            let stream = strip.streams[stream];
            (0..self.vectors).map(move |vector| (stream, vector))
        });
        places
            .map(|(stream, vector)| {
                let ahead = i64::from(stream.displacement) + (vector * self.w.isa.vector_bytes()) as i64;
                memory(POINTERS[stream.pointer], ROW, ahead)
            })
            .collect()
    }

    /// From a row of what is fetched to the next.
    fn fetch_step(&self) -> i64 {
        self.spec.row_steps.iter().copied().max().unwrap_or(0)
    }

    /// Rounds of the sum. In each, a row of `fetched` is brought into the cache, so that the epilogue finds it there.
    fn rounds(&mut self, count: usize, fetched: &[MemoryOperand]) {
        if count == 0 {
            return;
        }
        self.w.push(Instruction::with2(Code::Mov_r32_imm32, ROUNDS.full_register32(), count as i32));
        let again = self.w.assembler.label();
        self.w.assembler.bind(again);
        for &place in fetched {
            self.w.push(Instruction::with1(Code::Prefetcht0_m8, place));
        }
        for step in 0..UNROLL {
            self.multiply_add(step);
        }
        let steps = UNROLL as i64;
        self.add(LEFT_AT, self.spec.left_depth_step * steps);
        self.add(RIGHT_AT, self.spec.right_depth_step * steps);
        if !fetched.is_empty() {
            let step = self.fetch_step();
            self.add(ROW, step);
        }
        self.w.push(Instruction::with1(Code::Dec_rm64, ROUNDS));
        self.w.assembler.jump(Code::Jne_rel32_64, again);
    }

    fn add(&mut self, register: Register, bytes: i64) {
        self.w.push(Instruction::with2(Code::Add_rm64_imm32, register, bytes as i32));
    }

    /// One step of the sum: `sum[r, v] += left[r] * right[v]`.
    fn multiply_add(&mut self, step: usize) {
        let (spec, isa) = (self.spec, self.w.isa);
        let right = |vector: usize| {
            let displacement = step as i64 * spec.right_depth_step + (vector * isa.vector_bytes()) as i64;
            memory(RIGHT_AT, Register::None, displacement)
        };
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
        let factor = self.w.register(first + self.vectors as u8);
        for row in 0..spec.rows {
            let displacement = step as i64 * spec.left_depth_step + row as i64 * spec.left_row_step;
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
        let needed = self.registers_of_epilogue();
        let all: u32 = match isa {
            Isa::Avx2 => 0x7fff,
            Isa::Avx512 => u32::MAX,
        };
        let sums = self.spec.rows * self.vectors;
        let mut free = all & !(((1u64 << sums) - 1) as u32);
        // The last sums wait on the stack.
        let waiting = needed.saturating_sub(free.count_ones() as usize).min(sums);
        let slot = |index: usize| memory(Register::RSP, Register::None, (index * isa.vector_bytes()) as i64);
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
            slots = slots.max(self.epilogue_of(row, vector, source, free, waiting));
            if let Source::Owned(register) = source {
                free |= 1 << register;
            }
        }
        waiting + slots
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

    fn epilogue_of(&mut self, row: usize, vector: usize, sum: Source, free: u32, slots: usize) -> usize {
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
        for (&register, &step) in POINTERS.iter().zip(self.spec.row_steps) {
            if step != 0 {
                self.add(register, step * rows);
            }
        }
    }
}

/// What the epilogue of one vector works on.
struct TileFrame {
    streams: Vec<MemoryOperand>,
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
        let uniform =
            |number: usize| memory(FRAME, Register::None, 8 * (POINTER + strip.pointers + number) as i64);
        let sources = strip.arguments.iter().map(|argument| match *argument {
            Argument::Sum => sum,
            Argument::Stream(stream) => Source::Vector(place(stream, vector)),
            Argument::Scalar(stream) => Source::Scalar(place(stream, 0)),
            Argument::Uniform(number) => Source::Scalar(uniform(number)),
            Argument::Index { .. } => unreachable!("epilogues of tiles have no indices"),
        });
        let streams = (0..strip.streams.len()).map(|stream| place(stream, vector));
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
/// fewer than 32 rows and 4 depths, in an epilogue behind a displacement of less than 2^30, and add 2^31 at most.
pub fn is_step(bytes: i64) -> bool {
    bytes.unsigned_abs() < 1 << 24
}
