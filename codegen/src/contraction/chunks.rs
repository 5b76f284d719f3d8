//! How a result is cut into chunks, which threads share.
//!
//! In: the extents of the result, and what of it has to stay together. Out: what a chunk is. The cuts depend on the shape
//! and the width of tiles alone, never on the number of threads.

/// What a chunk is: so many of the outermost batches, of the panels and lines, or of the rows, and all of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunks {
    /// Batches.
    Batches(usize),
    /// Panels and lines; the lines of a panel are next to each other.
    Grid { panels: usize, lines: usize },
    /// Rows.
    Rows(usize),
}

impl Chunks {
    /// The tiles that a chunk has in a panel of so many lines and rows.
    pub fn tiles_of_panel(self, lines: usize, rows: usize, tile_rows: usize) -> usize {
        match self {
            Chunks::Batches(_) => lines * rows.div_ceil(tile_rows),
            Chunks::Grid { lines, .. } => lines * rows.div_ceil(tile_rows),
            Chunks::Rows(rows) => rows.div_ceil(tile_rows),
        }
    }
}

/// A chunk has at least this many multiply-adds per lane.
pub const CHUNK_WORK: usize = 1 << 12;

/// How a result is cut into chunks of at least `work` multiply-adds, 64 of them at most: batches where there are many,
/// panels and lines, or rows in multiples of `least_rows` where there are few panels.
pub fn chunks(
    batches: &[usize],
    (lines, least_lines): (usize, usize),
    (rows, least_rows): (usize, usize),
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
    let has_rows = lines == 1 && rows >= 4 * least_rows;
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
        _ => Chunks::Rows(cut(rows, batch * columns * depth).next_multiple_of(least_rows)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
