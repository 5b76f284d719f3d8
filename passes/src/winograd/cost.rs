//! When Winograd's algorithm is faster. All costs are in multiply-adds of a convolution that is computed directly.

use ir::winograd;

/// Channels and columns are multiples of this: a vector of 512 bits.
const LANES: usize = 16;
/// Tiles are multiplied in groups of so many; the last group costs as much as a full one.
const TILES_AT_ONCE: usize = 6;
/// A product at a point takes so much of the time of one in a direct convolution: its sums are shorter, and go through memory.
const PER_PRODUCT: f64 = 1.25;
/// The transforms of a tile cost so many multiply-adds per product and channel, of the input or the result.
const TRANSFORM_PER_ELEMENT: f64 = 25.0;
/// Multiply-adds in the time in which a byte of transformed filters is read.
const PER_BYTE_READ: f64 = 2.0;
/// Multiply-adds in the time in which a byte of transformed filters is made: 11 to 21, the most where the columns of the
/// filters are not their last axis.
const PER_BYTE_MADE: f64 = 15.0;
/// The algorithm pays where it takes less than this part of the time of a direct convolution: its rounding errors are larger.
const WORTHWHILE: f64 = 0.8;

/// The extents of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// What is summed over beside the taps.
    pub channels: usize,
    /// The filters.
    pub columns: usize,
    /// Rows of a result.
    pub rows: usize,
    /// Elements of a row, per column.
    pub row_length: usize,
    /// How many images there are.
    pub images: usize,
}

/// Whether transformed filters are worth it, in a program that makes them in each run unless they are fixed.
pub fn pays(size: &Size, is_fixed: bool) -> bool {
    let &Size { channels, columns, rows, row_length, images } = size;
    if !(channels.is_multiple_of(LANES) && columns.is_multiple_of(LANES)) {
        return false;
    }
    let products = channels as f64 * columns as f64;
    let taps = (winograd::TAPS * winograd::TAPS) as f64;
    let direct = (images * rows * row_length) as f64 * taps * products;

    let tiles = images * rows.div_ceil(winograd::OUTPUTS) * row_length.div_ceil(winograd::OUTPUTS);
    let per_tile = winograd::PRODUCTS as f64;
    let multiplied = tiles.next_multiple_of(TILES_AT_ONCE) as f64 * per_tile * products * PER_PRODUCT;
    let transformed = tiles as f64 * per_tile * (channels + columns) as f64 * TRANSFORM_PER_ELEMENT;
    let bytes = per_tile * products * size_of::<f32>() as f64;
    let filters = bytes * if is_fixed { PER_BYTE_READ } else { PER_BYTE_READ + PER_BYTE_MADE };
    multiplied + transformed + filters < WORTHWHILE * direct
}

/// Whether a convolution transforms fixed filters itself, in each run: where they would be read from memory for few tiles, and
/// have panels for several threads.
pub fn transforms_itself(size: &Size) -> bool {
    /// Smaller ones are read from caches.
    const FEWEST_BYTES: usize = 8 << 20;
    /// So many tiles are one block in code generation: filters are read once for all.
    const MOST_TILES: usize = 128;
    const FEWEST_PANELS: usize = 4;
    let &Size { channels, columns, rows, row_length, images } = size;
    let tiles = images * rows.div_ceil(winograd::OUTPUTS) * row_length.div_ceil(winograd::OUTPUTS);
    let bytes = winograd::PRODUCTS * channels * columns * size_of::<f32>();
    let panels = winograd::panel_columns(columns).map_or(0, |panel| columns / panel);
    bytes >= FEWEST_BYTES && tiles <= MOST_TILES && panels >= FEWEST_PANELS
}

/// Whether the gradient of filters is worth it. `rows` and `row_length` are those of the gradient that it is computed from.
pub fn gradient_pays(size: &Size) -> bool {
    /// A product at a point takes so much of the time of a direct one: transforms are part of it, and sums that wait in
    /// memory between blocks of tiles.
    const PER_PRODUCT: f64 = 1.4;
    /// The last transforms cost so many multiply-adds per channel and filter.
    const PER_FILTER: f64 = 100.0;
    const FEWEST_CHANNELS: usize = 32;
    let &Size { channels, columns, rows, row_length, images } = size;
    let fills_vectors = channels.is_multiple_of(LANES) && columns.is_multiple_of(LANES);
    if !fills_vectors || channels.min(columns) < FEWEST_CHANNELS {
        return false;
    }
    let direct = (images * rows * row_length * winograd::TAPS * winograd::TAPS) as f64;
    let tiles = images * rows.div_ceil(winograd::OUTPUTS) * row_length.div_ceil(winograd::OUTPUTS);
    (tiles * winograd::PRODUCTS) as f64 * PER_PRODUCT + PER_FILTER < WORTHWHILE * direct
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIDDLE: Size = Size { channels: 64, columns: 128, rows: 32, row_length: 32, images: 2 };

    #[test]
    fn images_of_some_size_pay() {
        assert!(pays(&MIDDLE, true) && pays(&MIDDLE, false));
    }

    #[test]
    fn channels_and_columns_fill_vectors() {
        assert!(!pays(&Size { channels: 17, ..MIDDLE }, true));
        assert!(!pays(&Size { columns: 24, ..MIDDLE }, true));
    }

    #[test]
    fn images_of_a_tile_or_of_nothing_do_not_pay() {
        assert!(!pays(&Size { rows: 4, row_length: 4, images: 1, ..MIDDLE }, true));
        assert!(!pays(&Size { images: 0, ..MIDDLE }, true));
    }

    #[test]
    fn gradients_pay_where_images_are_not_all_edge() {
        assert!(gradient_pays(&Size { rows: 8, row_length: 8, ..MIDDLE }));
        assert!(!gradient_pays(&Size { rows: 5, row_length: 5, ..MIDDLE }));
        assert!(!gradient_pays(&Size { channels: 16, ..MIDDLE }));
        assert!(!gradient_pays(&Size { columns: 72, ..MIDDLE }));
    }

    #[test]
    fn large_filters_that_meet_few_tiles_are_transformed_where_they_are_used() {
        let size = Size { channels: 512, columns: 512, rows: 28, row_length: 28, images: 1 };
        assert!(transforms_itself(&size));
        assert!(!transforms_itself(&Size { images: 3, ..size }), "many tiles");
        assert!(!transforms_itself(&Size { channels: 64, ..size }), "filters that caches hold");
        assert!(!transforms_itself(&Size { columns: 128, ..size }), "two panels, for two threads at most");
    }

    /// For some number of images, the sum is worth it with filters that are made once, but not with those made in each run.
    #[test]
    fn filters_that_are_made_in_each_run_ask_for_more_images() {
        let least = |is_fixed| {
            let size = |images| Size { rows: 8, row_length: 8, images, ..MIDDLE };
            (1..).find(|&images| pays(&size(images), is_fixed)).expect("many images pay")
        };
        assert!(least(true) < least(false));
    }
}
