//! The contraction engine: sums of products on register tiles.
//!
//! In: a nest that is a contraction: a product of matrices, a convolution, or the gradient of one. Out: a function that
//! computes it block by block.
//!
//! The result is cut into panels of columns, a panel into lines (the rows of images, the taps of a filter), a line into tiles
//! of rows. A tile is kept in registers while the sum over the depth runs, in ascending order of the depth with one fused
//! multiply-add per product (or a product and a sum, where the target has none); so the order of additions depends neither
//! on threads nor on the cuts. The epilogue runs on the registers of the tile. The columns of a panel are read in place where
//! they are contiguous and few rows use them, and are packed otherwise: transposed where the operand is, and filled up with
//! zeros at the edge of the result. The left operand is always read in place: a convolution needs no copy of its patches.
//!
//! Chunks are groups of batches, of panels and lines, or of rows where there are few of the others.
//!
//! Cost model: a tile of `r` rows and `v` vectors takes `r v` multiply-adds, `v` vector loads and `r` broadcasts per step;
//! 12 sums hide the latency of multiply-adds on two ports and leave registers for operands. With the 32 registers of
//! AVX-512, tiles of 14 rows and two vectors need a load in two multiply-adds, and as few bytes per step as the second
//! level of cache provides. Where both operands of a long sum (the gradient of a filter: over all places of all images) are
//! larger than that, the depth is done in blocks that fit, and the sums wait in memory in between.

mod ahead;
mod blocks;
mod bounds;
mod emit;
mod limits;
mod pack;
mod recognise;
mod rows_first;
mod sweep;
mod tile;
mod wide;

use crate::Target;
use crate::emit::function::Emitted;
use crate::nest::Nest;
use crate::schedule::primitives;
use crate::wide::Isa;
use ahead::{Ahead, ahead, are_neighbours};
use blocks::{Block, block, block_of_stream};
use bounds::{DepthLoop, depth_loops};
pub(crate) use emit::each;
use emit::panel_columns;
use recognise::{Contraction, recognise};
use rows_first::has_rows_first;
use sweep::{Sweep, crosswise_tile, is_crosswise, sweep};
use wide::is_tile;

/// How a contraction runs.
#[derive(Clone, Debug)]
pub struct ContractionPlan<'a> {
    contraction: Contraction<'a>,
    /// The loops over the depth, outermost first.
    loops: Vec<DepthLoop>,
    /// Where the depth is cut into blocks.
    block: Option<Block>,
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
    /// Whether each block of the depth is done for all panels before the next, and how.
    sweep: Option<Sweep>,
    /// Whether each row of tiles is done for all panels before the next.
    has_rows_first: bool,
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

    /// Whether the lanes of sums are rows.
    fn is_crosswise(&self) -> bool {
        self.sweep.is_some_and(|sweep| sweep.is_crosswise)
    }

    /// The number of lines.
    fn lines(&self, nest: &Nest) -> usize {
        self.contraction.lines.iter().map(|&axis| nest.extent(axis)).product()
    }
}

/// What a chunk is: so many of the outermost batches, of the panels and lines, or of the rows, and all of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunks {
    Batches(usize),
    Grid { panels: usize, lines: usize },
    Rows(usize),
}

/// Vectors of Cranelift have four lanes of `f32`.
const LANES: usize = 4;
/// Packing pays from this many tiles on that read a panel.
const TILES_TO_PACK: usize = 8;
/// It pays where the rows of a panel are more than this many times as far apart as they are long.
const SPREAD_TO_PACK: usize = 4;
/// Epilogues of more primitives than this are not repeated for each row of a tile.
const SHORT_EPILOGUE: f64 = 4.0;
/// A chunk has at least this many multiply-adds per lane.
const CHUNK_WORK: usize = 1 << 12;

/// Plans a contraction; `None` where the nest is none, or one that ordinary loops do as well.
pub fn plan<'a>(nest: &'a Nest, target: &Target) -> Option<ContractionPlan<'a>> {
    let contraction = recognise(nest)?;
    let loops = depth_loops(nest, &contraction)?;
    let rows = contraction.row.map_or(1, |axis| nest.extent(axis));
    let columns = nest.extent(contraction.column);
    let is_contiguous = contraction.right.offset.coefficient(contraction.column) == 1;
    if columns < LANES || (!is_contiguous && rows < 4) {
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
    let crosswise = (wide.filter(|_| is_matrix_product && !has_dense_panels))
        .and_then(|_| is_crosswise(&contraction, loops[0].axis, sizes, target));
    let (tile_rows, tile_vectors) = match wide {
        Some(isa) if crosswise == Some(true) => crosswise_tile(isa, rows),
        Some(isa) => {
            let most_rows = rows_in_cache(left_row_step, target);
            let vectors = least_vectors(isa, depth, target);
            wide_tile(isa, rows, columns.div_ceil(lanes), most_rows, vectors)
        }
        None => narrow_tile(rows, columns / LANES),
    };
    let panel = tile_vectors * lanes;
    let right_step = |depth: &DepthLoop| {
        depth.axis.map_or(0, |axis| contraction.right.offset.coefficient(axis).unsigned_abs() as usize)
    };
    let sweep = crosswise.map(|crosswise| sweep(crosswise, sizes, (panel, lanes), target));
    let block = match sweep {
        Some((_, block)) => block,
        None => wide.and_then(|_| block(&contraction, &loops, panel, target)),
    };
    // In blocks, what lies between the rows of a panel would take cache from them.
    let spread = if block.is_some() { 1 } else { SPREAD_TO_PACK };
    let is_scattered = loops.last().is_some_and(|depth| right_step(depth) > spread * panel);
    let lines: usize = contraction.lines.iter().map(|&axis| nest.extent(axis)).product();
    let tiles = lines * rows.div_ceil(tile_rows);
    let sweep = sweep.map(|(sweep, _)| sweep);
    let has_rows_first = wide.is_some()
        && is_matrix_product
        && !has_dense_panels
        && sweep.is_none()
        && has_rows_first(&contraction, loops[0].axis, sizes, target);
    let is_packed =
        sweep.is_none() && !has_rows_first && (!is_contiguous || (tiles >= TILES_TO_PACK && is_scattered));
    let spills = primitives(nest, &contraction.epilogue) > SHORT_EPILOGUE;
    let batches: Vec<usize> = contraction.batch.iter().map(|&axis| nest.extent(axis)).collect();
    // Places at edges are known when the code is made, so rows are not cut there.
    let has_edges = loops.iter().any(|depth| !depth.row_limits.is_empty());
    let most_rows = if has_edges { rows } else { tile_rows };
    // A panel that is packed serves so many lines at least.
    let least_lines = if is_packed { TILES_TO_PACK.div_ceil(rows.div_ceil(tile_rows)) } else { 1 };
    let chunks = chunks(
        &batches,
        (lines, least_lines),
        (rows, most_rows),
        (columns, panel),
        depth,
        CHUNK_WORK * lanes,
    );
    let tiles_of_chunk = match chunks {
        Chunks::Batches(_) => tiles,
        Chunks::Grid { lines, .. } => lines * rows.div_ceil(tile_rows),
        Chunks::Rows(rows) => rows.div_ceil(tile_rows),
    };
    let is_stream = wide.is_some() && !is_packed && columns <= panel && has_dense_panels;
    let block = match is_stream && has_one_loop(&loops) {
        true => block_of_stream(depth, columns, tiles_of_chunk, target),
        false => block,
    };
    let ahead = match is_stream {
        true => ahead(block.map_or(depth, |block| block.steps), columns, tiles_of_chunk),
        false => None,
    };
    Some(ContractionPlan {
        contraction,
        loops,
        block,
        rows,
        columns,
        wide,
        lanes,
        left_row_step: match crosswise {
            Some(true) => (depth * 4) as i64,
            _ => left_row_step,
        },
        tile_rows,
        tile_vectors,
        has_fma: target.has_fma,
        is_packed,
        spills,
        chunks,
        ahead,
        sweep,
        has_rows_first,
    })
}

/// Whether there is one loop over the depth, without bounds, and no lines.
fn is_matrix_product(contraction: &Contraction<'_>, loops: &[DepthLoop]) -> bool {
    contraction.lines.is_empty() && has_one_loop(loops)
}

/// Whether there is one loop over the depth, without bounds.
fn has_one_loop(loops: &[DepthLoop]) -> bool {
    matches!(loops, [depth] if !depth.is_limited() && depth.row_limits.is_empty())
}

/// How a result is cut into chunks of at least `work` multiply-adds, 64 of them at most: batches where there are many,
/// panels and lines, or rows in multiples of a tile's where there are few panels.
fn chunks(
    batches: &[usize],
    (lines, least_lines): (usize, usize),
    (rows, tile_rows): (usize, usize),
    (columns, panel): (usize, usize),
    depth: usize,
    work: usize,
) -> Chunks {
    const ENOUGH: usize = 8;
    const MOST: usize = 64;
    let panels = columns.div_ceil(panel);
    let batch: usize = batches.iter().product();
    let cut = |count: usize, work_of_one: usize| {
        (work / work_of_one.max(1)).max(count.div_ceil(MOST)).clamp(1, count)
    };
    let matrix = lines * rows * columns * depth;
    let has_rows = lines == 1 && rows >= 4 * tile_rows;
    let parts = panels * lines;
    match batches.first() {
        Some(&first) if first >= ENOUGH || (parts < ENOUGH && !has_rows) => {
            Chunks::Batches(cut(first, batch / first * matrix))
        }
        _ if panels >= ENOUGH || (lines == 1 && !has_rows) => {
            Chunks::Grid { panels: cut(panels, batch * lines * rows * panel * depth), lines }
        }
        _ if lines > 1 => {
            let groups = (2 * ENOUGH).div_ceil(panels);
            let size = lines.div_ceil(groups).max(least_lines).min(lines);
            Chunks::Grid { panels: 1, lines: size.max(cut(lines, batch * rows * panel * depth)) }
        }
        _ => Chunks::Rows(cut(rows, batch * columns * depth).next_multiple_of(tile_rows)),
    }
}

/// Rows and vectors of a tile on Cranelift's vectors.
fn narrow_tile(rows: usize, vectors: usize) -> (usize, usize) {
    let (tile_rows, tile_vectors) = match rows {
        1 => (1, 8),
        2 => (2, 4),
        3 => (3, 4),
        4 => (4, 3),
        5 => (5, 2),
        _ => (6, 2),
    };
    (tile_rows, tile_vectors.min(vectors))
}

/// How many rows of the left operand the first level of cache can hold a line of at the same time: where the step between
/// them is a multiple of a large power of two, they share a few sets.
fn rows_in_cache(step_bytes: i64, target: &Target) -> usize {
    /// What x86-64 CPUs have at least.
    const WAYS: usize = 8;
    let way_bytes = target.l1_bytes / WAYS;
    let shared = 1usize << step_bytes.unsigned_abs().max(1).trailing_zeros().min(30);
    WAYS * (way_bytes / shared.min(way_bytes)).max(1)
}

/// The vectors of a tile that has rows for all registers. Tiles of four vectors and six rows take a tenth fewer instructions
/// for a multiply-add than those of two vectors and 14 rows, which counts where the core is shared with another thread; but
/// they read a panel twice as often, which must be near.
fn least_vectors(isa: Isa, depth: usize, target: &Target) -> usize {
    const MANY: usize = 4;
    let panel_bytes = depth * MANY * isa.vector_bytes();
    if isa == Isa::Avx512 && panel_bytes <= blocks::budget(target) { MANY } else { 2 }
}

/// Rows and vectors of a tile on wide vectors: so many vectors, or fewer where there are no more, by as many rows as registers
/// and cache hold, all tiles of about the same height; more vectors where there are few rows.
fn wide_tile(
    isa: Isa,
    rows: usize,
    vectors: usize,
    rows_in_cache: usize,
    least_vectors: usize,
) -> (usize, usize) {
    const MOST_VECTORS: usize = 8;
    // The mask of AVX2 is a vector.
    let registers = match isa {
        Isa::Avx2 => 15,
        Isa::Avx512 => 32,
    };
    // `rows * vectors` sums, `vectors` of the right operand, one factor of the left.
    let least_vectors = vectors.min(least_vectors);
    let most_rows = ((registers - 1 - least_vectors) / least_vectors).min(rows_in_cache);
    let tile_rows = rows.div_ceil(rows.div_ceil(most_rows));
    let most_vectors = (registers - 1) / (tile_rows + 1);
    (tile_rows, most_vectors.clamp(least_vectors, MOST_VECTORS).min(vectors))
}

/// From a row of the left operand to the next, in bytes.
fn left_row_step(nest: &Nest, contraction: &Contraction<'_>) -> i64 {
    let bytes = nest.buffers[contraction.left.buffer.0 as usize].ty.dtype.size_bytes();
    contraction.row.map_or(0, |axis| contraction.left.offset.coefficient(axis) * bytes as i64)
}

/// Emits the function of a contraction.
pub fn emit(plan: &ContractionPlan<'_>, nest: &Nest, target: &Target) -> Emitted {
    emit::emit(plan, nest, target)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a product of matrices, whose rows are this far apart in memory, runs as wide tiles.
    fn is_wide(left: usize, right: usize, out: usize) -> bool {
        let text = format!(
            "kernel @product(%x: f32[64, {left}], %w: f32[8, {right}]) -> (%out: f32[64, {out}]) {{
               for i in 64, j in 32 {{
                 %2 = reduce add k in 8 {{
                   %0 = load %x[i, k]
                   %1 = load %w[k, j]
                   %3 = mul %0, %1
                   yield %3
                 }}
                 store %2, %out[i, j]
               }}
             }}"
        );
        let kernel = ir::text::parse_kernel(&text).unwrap_or_else(|error| panic!("{error}"));
        let target = Target::host().expect("tests run where code can be made");
        let nest = Nest::new(&kernel);
        plan(&nest, &target).expect("it is a contraction").wide.is_some()
    }

    #[test]
    fn steps_that_do_not_fit_into_instructions_are_not_for_wide_tiles() {
        /// Elements of 4 bytes: a step of 2^24.
        const LONG: usize = 1 << 22;
        let has_wide = Target::host().expect("tests run where code can be made").wide().is_some();
        assert_eq!(is_wide(8, 32, 32), has_wide);
        assert_eq!(is_wide(LONG - 1, LONG - 1, LONG - 1), has_wide);
        for (left, right, out) in
            [(LONG, 32, 32), (8, LONG, 32), (8, 32, LONG), (8 * LONG, 8 * LONG, 8 * LONG)]
        {
            assert!(!is_wide(left, right, out), "{left}, {right}, {out}");
        }
    }

    /// How the right operand of a product is read that has so many rows, on a target with a small cache.
    fn sweep_of(rows: usize, right: &str, at: &str) -> Option<Sweep> {
        let text = format!(
            "kernel @product(%x: f32[{rows}, 100], %w: f32[{right}]) -> (%out: f32[{rows}, 2000]) {{
               for i in {rows}, j in 2000 {{
                 %2 = reduce add k in 100 {{
                   %0 = load %x[i, k]
                   %1 = load %w[{at}]
                   %3 = mul %0, %1
                   yield %3
                 }}
                 store %2, %out[i, j]
               }}
             }}"
        );
        let kernel = ir::text::parse_kernel(&text).unwrap_or_else(|error| panic!("{error}"));
        let target =
            Target { l2_bytes: 32 << 10, ..Target::host().expect("tests run where code can be made") };
        let nest = Nest::new(&kernel);
        plan(&nest, &target).expect("it is a contraction").sweep
    }

    #[test]
    fn a_large_right_operand_of_few_rows_is_read_once() {
        let has_wide = Target::host().expect("tests run where code can be made").wide().is_some();
        let (by_rows, by_columns) = (("100, 2000", "k, j"), ("2000, 100", "j, k"));
        for rows in [4, 16, 32] {
            for ((right, at), is_crosswise) in [(by_rows, false), (by_columns, true)] {
                let sweep = sweep_of(rows, right, at);
                assert_eq!(sweep.map(|sweep| sweep.is_crosswise), has_wide.then_some(is_crosswise));
            }
        }
        assert_eq!(sweep_of(33, by_rows.0, by_rows.1), None);
        assert_eq!(sweep_of(33, by_columns.0, by_columns.1), None);
    }

    #[test]
    fn large_results_of_short_sums_are_done_row_by_row() {
        let target =
            Target { l2_bytes: 1 << 20, ..Target::host().expect("tests run where code can be made") };
        let has_rows_first = |rows: usize, columns: usize, depth: usize| {
            let text = format!(
                "kernel @product(%x: f32[{depth}, {rows}], %w: f32[{depth}, {columns}]) -> (%out: f32[{rows}, {columns}]) {{
                   for i in {rows}, j in {columns} {{
                     %2 = reduce add k in {depth} {{
                       %0 = load %x[k, i]
                       %1 = load %w[k, j]
                       %3 = mul %0, %1
                       yield %3
                     }}
                     store %2, %out[i, j]
                   }}
                 }}"
            );
            let kernel = ir::text::parse_kernel(&text).unwrap_or_else(|error| panic!("{error}"));
            let nest = Nest::new(&kernel);
            plan(&nest, &target).expect("it is a contraction").has_rows_first
        };
        let has_wide = target.wide().is_some();
        assert_eq!(has_rows_first(1000, 4000, 16), has_wide);
        // A long sum, a small result, short rows, a large right operand.
        for (rows, columns, depth) in [(1000, 4000, 65), (100, 2000, 16), (10_000, 512, 16), (1000, 4000, 40)]
        {
            assert!(!has_rows_first(rows, columns, depth), "{rows} {columns} {depth}");
        }
    }

    #[test]
    fn chunks_are_cut_along_what_there_is_most_of() {
        let cut = |batches: &[usize], rows, columns| {
            chunks(batches, (1, 1), (rows, 14), (columns, 32), 64, 1 << 18)
        };
        let panels = |panels| Chunks::Grid { panels, lines: 1 };
        assert_eq!(cut(&[], 64, 256), panels(2));
        assert_eq!(cut(&[], 1024, 64), Chunks::Rows(70));
        assert_eq!(cut(&[], 20, 64), panels(2));
        assert_eq!(cut(&[16], 64, 64), Chunks::Batches(1));
        assert_eq!(cut(&[2], 20, 64), Chunks::Batches(2));
        assert_eq!(cut(&[2, 3], 1024, 256), panels(1));
    }

    #[test]
    fn tiles_have_equal_heights_and_fit_into_registers() {
        for isa in [Isa::Avx2, Isa::Avx512] {
            for rows in 1..200 {
                for vectors in 1..12 {
                    let (height, width) = wide_tile(isa, rows, vectors, 16, 2);
                    let registers = if isa == Isa::Avx2 { 15 } else { 32 };
                    assert!(height * width + width < registers, "{isa:?} {rows} {vectors}");
                    let tiles = rows.div_ceil(height);
                    assert_eq!(height, rows.div_ceil(tiles), "{isa:?} {rows} {vectors}");
                }
            }
        }
    }

    #[test]
    fn rows_that_share_sets_of_the_cache_are_few() {
        let target = Target { l1_bytes: 32 << 10, ..Target::host().unwrap() };
        assert_eq!(rows_in_cache(4096, &target), 8);
        assert_eq!(rows_in_cache(8192, &target), 8);
        assert_eq!(rows_in_cache(2048, &target), 16);
        assert!(rows_in_cache(3136, &target) > 32);
    }
}
