//! What follows from the sums of a tile: the epilogue, a strip's program, on each vector of them.
//!
//! The sums are in their registers when it begins. Where it needs more registers than they leave over, the last sums wait on
//! the stack, behind the words of the loops; those that are done free theirs. How a program becomes instructions is in
//! [`body`](crate::wide::body).

use iced_x86::{MemoryOperand, Register};

use super::{FRAME, Tile};
use crate::wide::body::{Address, Frame, Lanes, Mask, Source, emit_body};
use crate::wide::function::POINTERS;
use crate::wide::isa::{self, Isa};
use crate::wide::strip::Argument;
use crate::wide::writer::{Writer, memory};

impl Tile<'_> {
    /// Runs the epilogue on every vector; the number of vectors on the stack.
    pub(super) fn epilogue(&mut self) -> usize {
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
        let taken = emit_body(&mut tile.w, self.spec.epilogue, &frame.frame(all, self.last_lanes(), 0));
        taken.registers + 1
    }

    /// The lanes of the last vector, where it is not whole.
    fn last_lanes(&self) -> Option<Mask> {
        let lanes = Lanes::Known(self.spec.columns % self.w.isa.lanes());
        self.mask.map(|register| Mask { register, lanes })
    }

    /// Runs the epilogue on a sum, with these registers free and the first `slots` vectors on the stack in use; how many are
    /// taken behind them.
    pub(super) fn epilogue_of(
        &mut self,
        row: usize,
        vector: usize,
        sum: Source,
        free: u32,
        slots: usize,
    ) -> usize {
        let mask = self.last_lanes().filter(|_| vector + 1 == self.vectors);
        let frame = TileFrame::new(self, row, vector, sum);
        let taken = emit_body(&mut self.w, self.spec.epilogue, &frame.frame(free, mask, slots));
        taken.slots
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
                + (vector * tile.w.isa.lanes() * stream.dtype.size_bytes()) as i64;
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

    fn frame(&self, free: u32, mask: Option<Mask>, slots: usize) -> Frame<'_> {
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
