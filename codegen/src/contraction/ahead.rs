//! Bringing the panel that follows into the cache while this one is multiplied: the sums of few rows, or of small images,
//! would else wait for memory at the start of each panel, and memory for them afterwards.
//!
//! Where panels lie one after the other, each tile of a panel asks for its share of the lines of the next one. A panel that
//! one tile alone reads is only read once, so that tile asks for the lines that are a little ahead of itself.

use cranelift_codegen::ir::{InstBuilder, Value, types};
use ir::AxisId;

use super::bounds::DepthLoop;
use super::recognise::Contraction;
use crate::emit::Emitter;
use crate::nest::Nest;
use crate::wide::tile::LINE;
use crate::wide::tile::depth::UNROLL;

/// How far ahead a tile reads that has its panel for itself: what memory delivers in a few times its latency.
const SINGLE_DISTANCE: usize = 8 << 10;

/// Which lines the tiles of a panel ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// How far they are ahead of what is multiplied, in bytes.
    distance: usize,
    /// The lines of the panel in a round of the sum.
    lines: usize,
    /// How many of these a tile asks for.
    pub share: usize,
}

/// The most columns of a panel; of rows that are longer, a tile reads pieces.
const MOST_COLUMNS: usize = 128;

/// Whether panels of `columns` columns, all that there are, lie one after the other, each of them dense.
pub fn are_neighbours(
    nest: &Nest,
    contraction: &Contraction<'_>,
    loops: &[DepthLoop],
    columns: usize,
) -> bool {
    let step = |axis: Option<AxisId>| axis.map(|axis| contraction.right.offset.coefficient(axis));
    let depth: usize = contraction.depth.iter().map(|&axis| nest.extent(axis)).product();
    columns <= MOST_COLUMNS
        && step(contraction.batch.last().copied()) == Some((depth * columns) as i64)
        && step(Some(contraction.column)) == Some(1)
        && step(loops.last().and_then(|depth| depth.axis)) == Some(columns as i64)
}

/// What to ask for where so many tiles read a panel, or a block of its depth, of this length, and what follows in memory comes
/// next; `None` where a round of the sum is no power of two of lines.
pub fn ahead(depth: usize, columns: usize, tiles: usize) -> Option<Ahead> {
    let step_bytes = columns * 4;
    let lines = UNROLL * step_bytes / LINE;
    if !step_bytes.is_multiple_of(LINE) || !lines.is_power_of_two() {
        return None;
    }
    let distance = if tiles == 1 { SINGLE_DISTANCE } else { depth * step_bytes };
    Some(Ahead { distance, lines, share: lines.div_ceil(tiles) })
}

impl Ahead {
    /// How far ahead of its own first line the first line is that a tile of this number asks for, in bytes.
    pub fn of_tile(&self, emitter: &mut Emitter<'_, '_>, tile: Value) -> Value {
        let offset = self.of_next_tiles(emitter, tile);
        let offset = emitter.b.ins().band_imm_u(offset, (self.lines * LINE) as i64 - 1);
        emitter.b.ins().iadd_imm_s(offset, self.distance as i64)
    }

    /// How much farther that is for a tile so many tiles further.
    pub fn of_next_tiles(&self, emitter: &mut Emitter<'_, '_>, tiles: Value) -> Value {
        emitter.b.ins().imul_imm_s(tiles, (self.share * LINE) as i64)
    }

    /// No tile.
    pub fn no_tile(emitter: &mut Emitter<'_, '_>) -> Value {
        emitter.b.ins().iconst(types::I64, 0)
    }
}
