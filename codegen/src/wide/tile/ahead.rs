//! What a tile brings into the cache while its sum runs.
//!
//! There are three kinds: rows of the right operand, some steps ahead of each step; lines of the panel that follows, some in
//! each round; and, in the first rounds, what the epilogue will read, row by row. Addresses that no operand has are
//! fetched, too: that does nothing, because fetching does not fault. Which panels are worth it is not decided here.

use iced_x86::{Code, Instruction, MemoryOperand, Register};

use super::depth::UNROLL;
use super::{AHEAD, LINE, RIGHT_AT, ROW, Tile, TileSpec};
use crate::wide::function::POINTERS;
use crate::wide::strip::Argument;
use crate::wide::writer::memory;

/// What rounds of the sum bring into the cache for the epilogue.
#[derive(Default)]
pub(super) struct Fetched {
    /// The places of a round.
    places: Vec<MemoryOperand>,
    /// The first rounds, which are those that fetch.
    pub(super) rounds: usize,
    /// How much farther the places are in the next round, in bytes.
    pub(super) step: i64,
}

impl TileSpec<'_> {
    /// How far ahead the right operand is fetched where it is read in long rows, or where these are so far apart that the CPU
    /// does not do so by itself.
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
}

impl Tile<'_> {
    /// Loads how far ahead the lines of the panel that follows are.
    pub(super) fn load_ahead(&mut self) {
        if self.spec.lines_ahead > 0 {
            self.load_word(AHEAD, self.spec.ahead());
        }
    }

    /// What the epilogue reads row by row, where the sum has so many rounds: a row in each of the first of them, or more rows
    /// where there are fewer rounds. The step to the next row is the same for all that is fetched.
    pub(super) fn fetched(&self, rounds: usize) -> Fetched {
        if self.spec.right_column_step.is_some() || rounds == 0 {
            return Fetched::default();
        }
        let row_step = self.spec.row_steps.iter().copied().max().unwrap_or(0);
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
        if places.is_empty() {
            return Fetched::default();
        }
        Fetched { places, rounds: self.spec.rows.div_ceil(rows), step: rows as i64 * row_step }
    }

    /// Brings what is for a round of `steps` steps: places of the epilogue, or else lines of the panel that follows.
    pub(super) fn fetch_in_round(&mut self, fetched: &Fetched, steps: usize) {
        for &place in &fetched.places {
            self.w.push(Instruction::with1(Code::Prefetcht0_m8, place));
        }
        let lines = if fetched.places.is_empty() && steps == UNROLL { self.spec.lines_ahead } else { 0 };
        for line in 0..lines {
            let place = memory(RIGHT_AT, AHEAD, (LINE * line) as i64);
            self.w.push(Instruction::with1(Code::Prefetcht1_m8, place));
        }
    }

    /// Brings the row of the right operand that is far ahead of the one at `right`, counted from the current address.
    pub(super) fn fetch_far_row(&mut self, right: i64) {
        let Some(ahead) = self.spec.far_rows_ahead() else { return };
        for vector in 0..self.vectors {
            let at = right + ahead + (vector * self.w.isa.vector_bytes()) as i64;
            self.w.push(Instruction::with1(Code::Prefetcht0_m8, memory(RIGHT_AT, Register::None, at)));
        }
    }
}
