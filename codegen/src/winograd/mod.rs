//! Winograd's convolution: filters of three by three with a stride of one, in a quarter of the products.
//!
//! In: a nest that is such a convolution (or its gradient for the input), and may have its filters transformed beside them. Out:
//! a function that computes it by [`ir::winograd`] in blocks of tiles:
//!
//! 1. Each tile of six by six inputs is transformed, along its columns and then along its rows, into 36 factors per channel.
//!    Zeros stand for what is outside of the image.
//! 2. For each of the 36, tiles by channels are multiplied with the filters, channels by output channels, on the register
//!    tiles of [the engine](crate::contraction).
//! 3. The 36 sums are transformed along the rows. Then along the columns, as a product with the matrix of four by six on
//!    register tiles of four lines, whose epilogue is that of the nest. Where a sum is infinite or NaN, the row of tiles is
//!    computed [directly](redo) instead.
//!
//! A block is some rows of tiles; what lies between the steps is in scratch memory. Chunks are rows of tiles; or, where one block
//! has all of them and the filters are far, panels of filters, so that no two threads read the same ones. Each result is the
//! same whatever the cuts are.
//!
//! Where filters are not transformed beforehand, [a panel of them](filters) is, at six of the 36 points at a time, right before it is
//! multiplied with: what is read from memory is a quarter as much. Chunks are panels then, so that none is transformed twice.
//!
//! Cost model: what a block holds, 36 factors and 36 sums per tile, should stay in the second level of cache beside the filters
//! that it meets; but where the filters are larger than that, they are read once per block, so blocks are as large as makes
//! that reading cheap beside the products.

mod emit;
mod filters;
pub mod gradient;
mod gradient_steps;
mod products;
mod recognise;
mod redo;
mod steps;

use ir::winograd::{OUTPUTS, PRODUCTS};
use ir::{AxisId, BufferId};

use crate::Target;
use crate::contraction::tree::MOST_PRODUCTS;
use crate::contraction::{Contraction, ContractionPlan};
use crate::nest::Nest;
use crate::wide::Isa;
use crate::wide::tile::is_step;
pub use emit::emit;
use recognise::recognise;

/// A convolution that runs by Winograd's algorithm.
#[derive(Clone, Debug)]
pub struct WinogradPlan<'a> {
    contraction: Contraction<'a>,
    /// The same as sums of products, the rows of which are along a line.
    direct: ContractionPlan<'a>,
    /// The axes of images.
    images: Vec<AxisId>,
    /// The lines of an image.
    vertical: Spatial,
    /// The places in a line.
    horizontal: Spatial,
    /// Input channels.
    channels: usize,
    /// Output channels.
    columns: usize,
    /// The columns of a panel of transformed filters.
    panel: usize,
    filters: Filters,
    isa: Isa,
    /// The most rows of tiles in a block.
    block: usize,
    /// What a chunk is.
    chunk: Chunk,
}

/// What a chunk of a convolution is.
#[derive(Clone, Copy, Debug)]
enum Chunk {
    /// So many rows of tiles, with all output channels.
    Rows(usize),
    /// The output channels of a panel of filters, with all rows of tiles.
    Panel,
}

/// Where transformed filters come from.
#[derive(Clone, Copy, Debug)]
enum Filters {
    /// They are in memory.
    Transformed(BufferId),
    /// They are made here of filters with their columns side by side.
    Taps {
        /// From one of the nine taps to the next, in bytes.
        tap: i64,
        /// From a channel to the next, in bytes.
        channel: i64,
    },
}

/// An axis along which filters move over an image.
#[derive(Clone, Copy, Debug)]
struct Spatial {
    /// The axis of the result; of the gradient that filters are computed from, where they are the result.
    axis: AxisId,
    /// Its extent.
    outputs: usize,
    /// The extent of the image.
    inputs: usize,
    /// The zeros before the image.
    pad: usize,
    /// From a place of the image to the next, in elements.
    step: i64,
    /// The place of the image that the first result meets with the first tap as the nest counts them.
    first: i64,
    /// Whether the next tap meets the place before.
    is_backwards: bool,
}

impl Spatial {
    /// The number of tiles.
    fn tiles(&self) -> usize {
        self.outputs.div_ceil(OUTPUTS)
    }
}

impl WinogradPlan<'_> {
    /// The multiply-adds of products and, about, of transforms.
    pub fn multiply_adds(&self, nest: &Nest) -> f64 {
        let tiles = self.rows_of_tiles(nest) * self.horizontal.tiles();
        let per_tile = PRODUCTS * (self.channels * self.columns + 2 * (self.channels + self.columns));
        (tiles * per_tile) as f64
    }

    /// The size of the transformed filters.
    fn filter_bytes(&self) -> usize {
        PRODUCTS * self.channels * self.columns * 4
    }

    /// The rows of tiles of all images.
    fn rows_of_tiles(&self, nest: &Nest) -> usize {
        let images: usize = self.images.iter().map(|&axis| nest.extent(axis)).product();
        images * self.vertical.tiles()
    }
}

/// Plans a convolution; `None` where the nest is none, its filters are not as they should be, vectors are not wide, the image
/// is too wide, or there are more channels than products that are added one after the other.
pub fn plan<'a>(nest: &'a Nest, target: &Target) -> Option<WinogradPlan<'a>> {
    let mut plan = recognise(nest, target)?;
    let rows = plan.rows_of_tiles(nest);
    plan.block = rows_of_block(&plan, target).min(rows);
    let has_one_block = plan.block == rows && plan.filter_bytes() > target.l2_bytes / 2;
    let has_panels = plan.columns > plan.panel;
    plan.chunk = if (has_one_block && has_panels) || matches!(plan.filters, Filters::Taps { .. }) {
        Chunk::Panel
    } else {
        Chunk::Rows(rows.div_ceil(MOST_CHUNKS))
    };
    let tiles = plan.block * plan.horizontal.tiles();
    // Sums over channels are not cut.
    let is_short = plan.channels <= MOST_PRODUCTS;
    (is_short && is_plane(tiles, plan.channels.max(plan.columns))).then_some(plan)
}

/// Whether steps may be as long as so many tiles of so many channels are. A row of tiles is never cut, so those of a very wide
/// image are longer.
fn is_plane(tiles: usize, channels: usize) -> bool {
    i64::try_from(tiles.saturating_mul(channels)).is_ok_and(|elements| is_step(elements.saturating_mul(4)))
}

/// There are at most so many chunks.
const MOST_CHUNKS: usize = 64;

/// How many rows of tiles are in a block.
fn rows_of_block(plan: &WinogradPlan<'_>, target: &Target) -> usize {
    /// So many tiles make reading filters from memory cheap beside multiplying with them.
    const TILES_FOR_FAR_FILTERS: usize = 128;
    let tile_bytes = PRODUCTS * (plan.channels + plan.columns) * 4;
    let near = target.l2_bytes / 2 / tile_bytes;
    let tiles =
        if plan.filter_bytes() > target.l2_bytes / 2 { near.max(TILES_FOR_FAR_FILTERS) } else { near };
    tiles.div_ceil(plan.horizontal.tiles()).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A convolution with a padding of 1 of an image of so many lines and places, 64 channels, and as many columns.
    fn nest(lines: usize, places: usize) -> Nest {
        let text = format!(
            "kernel @k(%x: f32[{lines}, {places}, 64], %w: f32[3, 3, 64, 64], %u: f32[36, 1, 64, 64]) -> (%r: f32[{places}, {lines}, 64]) {{
               winograd %u of %w
               for i in {lines}, j in {places}, o in 64 {{
                 %0 = reduce add k in 3, l in 3, c in 64 {{
                   %1 = load %x[i + k - 1, j + l - 1, c] fill 0.0
                   %2 = load %w[k, l, c, o]
                   %3 = mul %1, %2
                   yield %3
                 }}
                 store %0, %r[j, i, o]
               }}
             }}"
        );
        Nest::new(&ir::text::parse_kernel(&text).expect("the kernel is well-formed"))
    }

    #[test]
    fn images_are_not_so_wide_that_steps_do_not_fit() {
        for target in Target::available().iter().filter(|target| target.wide().is_some()) {
            assert!(plan(&nest(8, 60_000), target).is_some(), "{}", target.name);
            assert!(plan(&nest(8, 80_000), target).is_none(), "{}", target.name);
        }
    }
}
