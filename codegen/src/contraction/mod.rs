//! The contraction engine: sums of products on register tiles.
//!
//! In: a nest that is a contraction: a product of matrices, a convolution, or the gradient of one. Out: a function that
//! computes it block by block.
//!
//! The result is cut into panels of columns, a panel into lines (the rows of images, the taps of a filter), a line into tiles
//! of rows. A tile is kept in registers while the sum over the depth runs, in ascending order of the depth with one fused
//! multiply-add per product (or a product and a sum, where the target has none); so the order of additions depends neither
//! on threads nor on the cuts. Longer sums than [`tree::MOST_PRODUCTS`] are cut into runs, whose sums are added as a tree. The epilogue runs on the registers of the tile. The columns of a panel are read in place where
//! they are contiguous and few rows use them, and are packed otherwise: transposed where the operand is, and filled up with
//! zeros at the edge of the result. The left operand is read in place, so a convolution needs no copy of its patches; `sweep`
//! alone packs it, for tiles whose lanes are its rows.
//!
//! Panels are done one after the other, unless an operand or the result is so large that what counts is how memory is gone
//! through: then in the order of `sweep` or of `rows_first`.
//!
//! Chunks are groups of batches, of panels and lines, or of rows where there are few of the others.
//!
//! Cost model: a tile of `r` rows and `v` vectors takes `r v` multiply-adds, `v` vector loads and `r` broadcasts per step;
//! 12 sums hide the latency of multiply-adds on two ports and leave registers for operands. With the 32 registers of
//! AVX-512, tiles of 14 rows and two vectors need a load in two multiply-adds, and as few bytes per step as the second
//! level of cache provides; those of six rows and four vectors need fewer instructions and a nearer panel. Where both operands of a long sum (the gradient of a filter: over all places of all images) are
//! larger than that, the depth is done in blocks that fit, and the sums wait in memory in between.

mod ahead;
mod blocks;
mod bounds;
mod chunks;
mod emit;
mod limits;
mod pack;
pub mod parts;
mod recognise;
mod rows_first;
mod sweep;
#[cfg(test)]
mod tests;
mod tile;
mod tile_shape;
pub mod tree;
mod wide;

use crate::Target;
use crate::emit::function::Emitted;
use crate::nest::Nest;
use crate::schedule::primitives;
use crate::wide::Isa;
use ahead::{Ahead, ahead, are_neighbours};
use blocks::{Block, ELEMENT, block, block_of_stream};
use bounds::{DepthLoop, depth_loops};
use chunks::{CHUNK_WORK, Chunks, chunks};
use emit::panel_columns;
pub use recognise::{Contraction, recognise};
use rows_first::has_rows_first;
use sweep::{Sweep, crosswise_tile, is_crosswise, sweep};
use tile_shape::tile_shape;
use tree::{MOST_PRODUCTS, Tree, block_of_run};
use wide::is_tile;

/// How a contraction runs.
#[derive(Clone, Debug)]
pub struct ContractionPlan<'a> {
    contraction: Contraction<'a>,
    /// The loops over the depth, outermost first.
    loops: Vec<DepthLoop>,
    /// Where the depth is cut into blocks.
    block: Option<Block>,
    /// How the sums of blocks are added, where the depth is no single run.
    tree: Option<Tree>,
    rows: usize,
    columns: usize,
    /// The instruction set of wide code, where tiles are that.
    wide: Option<Isa>,
    /// The lanes of a vector.
    lanes: usize,
    /// From a row of the left operand to the next, in bytes.
    left_row_step: i64,
    /// The rows of a tile.
    tile_rows: usize,
    /// The vectors in a row of a tile.
    tile_vectors: usize,
    /// Whether products are added in one instruction.
    has_fma: bool,
    /// Whether panels are packed, or read in place.
    is_packed: bool,
    /// Whether the epilogue runs row by row from memory, because it is too long to be repeated for each row.
    spills: bool,
    /// What a chunk is.
    chunks: Chunks,
    /// What tiles fetch of the panels that follow.
    ahead: Option<Ahead>,
    /// In which order tiles are done.
    order: Order,
}

/// In which order the tiles of a batch are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// Panel by panel, in each block by block of the depth.
    Panels,
    /// Block by block of the depth, each for many panels.
    Sweep(Sweep),
    /// Row of tiles by row of tiles, each for all panels.
    RowsFirst,
}

impl ContractionPlan<'_> {
    /// The multiply-adds of all batches.
    pub fn multiply_adds(&self, nest: &Nest) -> f64 {
        let axes = self.contraction.batch.iter().chain(&self.contraction.lines);
        let outer: usize = axes.map(|&axis| nest.extent(axis)).product();
        (outer * self.rows * self.columns * self.depth()) as f64
    }

    /// The length of the sum.
    fn depth(&self) -> usize {
        self.loops.iter().map(|depth| depth.extent).product()
    }

    /// The first loop that runs inside of tiles.
    fn first_inner(&self) -> usize {
        self.block.map_or(0, |block| block.level)
    }

    /// The most steps of a loop inside of tiles.
    fn steps(&self, level: usize) -> usize {
        let extent = self.loops[level].extent;
        self.block.filter(|block| block.level == level).map_or(extent, |block| block.steps.min(extent))
    }

    /// The length of the sum inside of tiles.
    fn inner_depth(&self) -> usize {
        (self.first_inner()..self.loops.len()).map(|level| self.steps(level)).product()
    }

    /// The blocks of the depth.
    fn blocks(&self) -> usize {
        self.block.map_or(1, |block| blocks_of(&self.loops, block))
    }

    /// Whether the lanes of sums are rows.
    fn is_crosswise(&self) -> bool {
        matches!(self.order, Order::Sweep(Sweep { is_crosswise: true, .. }))
    }

    /// The number of lines.
    fn lines(&self, nest: &Nest) -> usize {
        self.contraction.lines.iter().map(|&axis| nest.extent(axis)).product()
    }
}

/// Vectors of Cranelift have four lanes of `f32`.
const LANES: usize = 4;
/// Columns that are apart are packed, if a contraction with so many rows in all reads them.
const LEAST_ROWS_TO_PACK: usize = 4;
/// Packing pays from this many tiles on that read a panel.
const TILES_TO_PACK: usize = 8;
/// It pays where the rows of a panel are more than this many times as far apart as they are long.
const SPREAD_TO_PACK: usize = 4;
/// Epilogues of more primitives than this are not repeated for each row of a tile.
const SHORT_EPILOGUE: f64 = 4.0;

/// Plans a contraction; `None` where the nest is none, or one that ordinary loops do as well.
pub fn plan<'a>(nest: &'a Nest, target: &Target) -> Option<ContractionPlan<'a>> {
    let contraction = recognise(nest)?;
    let loops = depth_loops(nest, &contraction)?;
    let rows = contraction.row.map_or(1, |axis| nest.extent(axis));
    let columns = nest.extent(contraction.column);
    let is_contiguous = contraction.right.offset.coefficient(contraction.column) == 1;
    let lines: usize = contraction.lines.iter().map(|&axis| nest.extent(axis)).product();
    if columns < LANES || (!is_contiguous && lines * rows < LEAST_ROWS_TO_PACK) {
        return None;
    }
    let is_matrix_product = is_matrix_product(&contraction, &loops);
    let has_dense_panels = are_neighbours(nest, &contraction, &loops, columns);
    if is_matrix_product && rows == 1 && target.wide().is_some() && !has_dense_panels {
        // A panel would be read in short pieces: sums of columns read whole rows.
        return None;
    }
    let wide = target.wide().filter(|_| is_tile(nest, &contraction));
    if !is_matrix_product && wide.is_none() {
        return None;
    }
    let lanes = wide.map_or(LANES, Isa::lanes);
    let left_row_step = left_row_step(nest, &contraction);
    let depth: usize = loops.iter().map(|depth| depth.extent).product();
    let sizes = (rows, columns, depth);
    // Dense panels lie in the order in which tiles read them already.
    let has_orders = wide.is_some() && is_matrix_product && !has_dense_panels;
    let crosswise = if has_orders { is_crosswise(&contraction, loops[0].axis, sizes, target) } else { None };
    let (tile_rows, tile_vectors) = match wide {
        Some(isa) if crosswise == Some(true) => crosswise_tile(isa, rows),
        _ => tile_shape(wide, sizes, left_row_step, target),
    };
    let panel = tile_vectors * lanes;
    let right_step = |depth: &DepthLoop| {
        depth.axis.map_or(0, |axis| contraction.right.offset.coefficient(axis).unsigned_abs() as usize)
    };
    let (order, block) = match crosswise {
        Some(is_crosswise) => {
            let (sweep, block) = sweep(is_crosswise, sizes, (panel, lanes), target);
            (Order::Sweep(sweep), block)
        }
        None if has_orders && has_rows_first(&contraction, loops[0].axis, sizes, target) => {
            (Order::RowsFirst, None)
        }
        None => (Order::Panels, wide.and_then(|_| block(&contraction, &loops, panel, target))),
    };
    // In blocks, what lies between the rows of a panel would take cache from them.
    let spread = if block.is_some() { 1 } else { SPREAD_TO_PACK };
    // A long panel is read from the second level of cache, of whose sets rows that are far apart use a few.
    let is_long = depth * panel * ELEMENT > target.l1_bytes;
    let least_step = if is_long { spread * panel } else { spread * panel + 1 };
    let is_scattered = loops.last().is_some_and(|depth| right_step(depth) >= least_step);
    let tiles = lines * rows.div_ceil(tile_rows);
    let is_packed = order == Order::Panels && (!is_contiguous || (tiles >= TILES_TO_PACK && is_scattered));
    let spills = primitives(nest, &contraction.epilogue) > SHORT_EPILOGUE;
    let batches: Vec<usize> = contraction.batch.iter().map(|&axis| nest.extent(axis)).collect();
    // Places at edges are known when the code is made, so rows are not cut there.
    let has_edges = loops.iter().any(|depth| !depth.row_limits.is_empty());
    let least_rows = if has_edges { rows } else { tile_rows };
    // A panel that is packed serves so many lines at least.
    let least_lines = if is_packed { TILES_TO_PACK.div_ceil(rows.div_ceil(tile_rows)) } else { 1 };
    let chunks = chunks(
        &batches,
        (lines, least_lines),
        (rows, least_rows),
        (columns, panel),
        depth,
        CHUNK_WORK * lanes,
    );
    let tiles_of_chunk = chunks.tiles_of_panel(lines, rows, tile_rows);
    let is_stream = wide.is_some() && !is_packed && columns <= panel && has_dense_panels;
    let block = match is_stream && has_one_loop(&loops) {
        true => block_of_stream(depth, columns, tiles_of_chunk, target),
        false => block,
    };
    let block = if wide.is_some() { block_of_run(&loops, block) } else { None };
    let tree = block.and_then(|block| tree_of(&loops, block));
    let ahead = match is_stream {
        true => ahead(block.map_or(depth, |block| block.steps), columns, tiles_of_chunk),
        false => None,
    };
    Some(ContractionPlan {
        contraction,
        loops,
        block,
        tree,
        rows,
        columns,
        wide,
        lanes,
        left_row_step: match crosswise {
            // It is packed: the rows of a tile are side by side.
            Some(true) => (depth * ELEMENT) as i64,
            _ => left_row_step,
        },
        tile_rows,
        tile_vectors,
        has_fma: target.has_fma,
        is_packed,
        spills,
        chunks,
        ahead,
        order,
    })
}

/// The blocks of the depth.
fn blocks_of(loops: &[DepthLoop], block: Block) -> usize {
    let outside: usize = loops[..block.level].iter().map(|depth| depth.extent).product();
    outside * loops[block.level].extent.div_ceil(block.steps)
}

/// How the sums of blocks are added; `None` where the depth is one run.
fn tree_of(loops: &[DepthLoop], block: Block) -> Option<Tree> {
    let depth: usize = loops.iter().map(|depth| depth.extent).product();
    let inner: usize = loops[block.level + 1..].iter().map(|depth| depth.extent).product();
    if depth > MOST_PRODUCTS { Tree::of(blocks_of(loops, block), block.steps * inner) } else { None }
}

/// Whether there is one loop over the depth, without bounds, and no lines.
fn is_matrix_product(contraction: &Contraction<'_>, loops: &[DepthLoop]) -> bool {
    contraction.lines.is_empty() && has_one_loop(loops)
}

/// Whether there is one loop over the depth, without bounds.
fn has_one_loop(loops: &[DepthLoop]) -> bool {
    matches!(loops, [depth] if !depth.is_limited() && depth.row_limits.is_empty())
}

/// From a row of the left operand to the next, in bytes.
fn left_row_step(nest: &Nest, contraction: &Contraction<'_>) -> i64 {
    let bytes = nest.element(contraction.left).size_bytes();
    contraction.row.map_or(0, |axis| contraction.left.offset.coefficient(axis) * bytes as i64)
}

/// Emits the function of a contraction.
pub fn emit(plan: &ContractionPlan<'_>, nest: &Nest, target: &Target) -> Emitted {
    emit::emit(plan, nest, target)
}
