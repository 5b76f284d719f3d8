//! How many rows and vectors a tile has: as many sums as registers hold, and operands that the first level of cache holds.
//!
//! In: the result's rows and columns, what is known of the caches, the instruction set. Out: rows and vectors. What loads a
//! shape saves, and what it asks of the caches, is in the cost model of [the engine](super).

use super::{LANES, blocks};
use crate::Target;
use crate::wide::Isa;

/// Rows and vectors of a tile of a result of so many rows, columns and depths; on Cranelift's vectors where there are no wide
/// ones.
pub fn tile_shape(
    wide: Option<Isa>,
    (rows, columns, depth): (usize, usize, usize),
    left_row_step: i64,
    target: &Target,
) -> (usize, usize) {
    let Some(isa) = wide else { return narrow_tile(rows, columns / LANES) };
    let (most_rows, vectors) = (rows_in_cache(left_row_step, target), least_vectors(isa, depth, target));
    wide_tile(isa, rows, columns.div_ceil(isa.lanes()), most_rows, vectors)
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
/// and cache hold, all tiles of about the same height; more vectors where there are few rows, and as few in the last tile of a
/// row as in the others, as nearly as that goes.
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
    let most_vectors = most_vectors.clamp(least_vectors, MOST_VECTORS).min(vectors);
    (tile_rows, vectors.div_ceil(vectors.div_ceil(most_vectors)))
}

#[cfg(test)]
mod tests {
    use super::*;

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
                    let tiles = vectors.div_ceil(width);
                    assert_eq!(width, vectors.div_ceil(tiles), "{isa:?} {rows} {vectors}");
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
