//! Tiles whose lanes are rows.
//!
//! The left operand has its rows side by side at each depth. The right one is contiguous along the depth, and each element of
//! it is repeated in all lanes: nothing of it is packed, and each of its lines is read once, from its beginning to its end.
//! There is a sum per column, a vector of rows; for the epilogue, and for it alone, the sums are transposed.

use iced_x86::{Code, Instruction, Register};

use super::depth::Level;
use super::{LEFT_AT, RIGHT_AT, Tile};
use crate::wide::body::Source;
use crate::wide::isa::{self, Isa};
use crate::wide::pack::{self, PackSpec};
use crate::wide::writer::{Operand, broadcast, memory};

/// Steps of the sum in one round of the loop: a line of the caches in each column.
pub(super) const UNROLL: usize = 16;
/// The columns that are done side by side: where columns share the sets of the first level of cache, it holds a line of as
/// many, and as many sums hide the latency of multiply-adds.
const COLUMNS_AT_ONCE: usize = 8;
/// How far ahead each column is fetched, in bytes.
const DISTANCE: i64 = 512;
/// The lanes of a quarter of 512 bits, which are transposed at once.
const QUARTER: usize = 4;

impl Tile<'_> {
    /// So many steps of the sum from the current addresses on: `sum[c][lane] += left[step][lane] * right[c][step]`.
    pub(super) fn multiply_crosswise(&mut self, level: &Level, column_step: i64, steps: usize) {
        let columns = self.spec.columns;
        let right =
            |column: usize, ahead: i64| memory(RIGHT_AT, Register::None, column as i64 * column_step + ahead);
        if steps == UNROLL {
            for column in 0..columns {
                self.w.push(Instruction::with1(Code::Prefetcht0_m8, right(column, DISTANCE)));
            }
        }
        let [rows, element] = [0, 1].map(|number| self.w.register(self.spare() + number));
        for first in (0..columns).step_by(COLUMNS_AT_ONCE) {
            for step in 0..steps as i64 {
                let from = memory(LEFT_AT, Register::None, step * level.left_step);
                self.w.unary(isa::LOAD, rows, Operand::Memory(from));
                for column in first..columns.min(first + COLUMNS_AT_ONCE) {
                    let sum = self.w.register(column as u8);
                    let from = right(column, step * level.right_step);
                    let factor = match self.w.isa {
                        Isa::Avx2 => {
                            self.w.broadcast(element, from);
                            Operand::Register(element)
                        }
                        Isa::Avx512 => Operand::Memory(broadcast(from)),
                    };
                    self.w.binary(isa::FMA_231, sum, rows, factor);
                }
            }
        }
    }

    /// Transposes the sums, then runs the epilogue on each row; the number of vectors on the stack, where the first `kept` are
    /// in use.
    pub(super) fn epilogue_crosswise(&mut self, free: u32, kept: usize) -> usize {
        let isa = self.w.isa;
        let (rows, columns, lanes) = (self.spec.rows, self.spec.columns, isa.lanes());
        let slot = |index: usize| memory(Register::RSP, Register::None, (index * isa.vector_bytes()) as i64);
        let (sums, transposed) = (kept, kept + lanes);
        for column in 0..columns {
            let from = self.w.register(column as u8);
            self.w.store(isa::STORE, slot(sums + column), from, None);
        }
        for (register, first) in [(pack::SOURCE, sums), (pack::PANEL, transposed)] {
            self.w.push(Instruction::with2(Code::Lea_r64_m, register, slot(first)));
        }
        let spec = PackSpec {
            columns,
            depth: lanes,
            column_step: isa.vector_bytes() as i64,
            depth_step: 4,
            panel_step: None,
        };
        let quarters: Vec<i64> = (0..rows).step_by(QUARTER).map(|row| row as i64).collect();
        pack::block(&mut self.w, &spec, 0, &quarters, None);
        let mut slots = 0;
        let used = transposed + lanes;
        for row in 0..rows {
            slots = slots.max(self.epilogue_of(row, 0, Source::Spilled(slot(transposed + row)), free, used));
        }
        used + slots
    }
}
