//! The gradient of filters by Winograd's algorithm: what the derivative of [the convolution](super) for its filters is, step by
//! step.
//!
//! In: a nest that sums the products of an image's places and a gradient's over all places, for three by three taps. Out: a
//! function that computes it in a quarter of the products:
//!
//! 1. Each tile of six by six inputs is transformed into 36 factors per channel, as in the convolution; each tile of four by four
//!    places of the gradient, into 36 per output channel, by the transposed matrix of outputs.
//! 2. For each of the 36, channels by tiles are multiplied with tiles by output channels. The sums wait in memory from one block
//!    of tiles to the next.
//! 3. The 36 sums are transformed to three by three taps by the transposed matrix of filters. The epilogue of the nest runs
//!    on the registers of the last product, whose rows are the rows of the filter. Where a sum is infinite or NaN, the chunk is
//!    computed [directly](super::redo) instead.
//!
//! Chunks are blocks of channels and of output channels; each goes over all tiles and transforms what it needs of both
//! operands. Cost model: blocks of 64 by 64 read and transform little beside their products; narrower ones serve where there
//! would be few chunks otherwise.

use ir::winograd::{PRODUCTS, panel_columns};
use ir::{AxisId, Winograd};

use super::recognise::{is_strip, spatial};
use super::steps::register_tile;
use super::{Spatial, is_plane};
use crate::Target;
use crate::contraction::parts::plan_in_parts;
use crate::contraction::tree::MOST_PRODUCTS;
use crate::contraction::{Contraction, ContractionPlan, recognise as recognise_contraction};
use crate::nest::Nest;
use crate::wide::Isa;
use crate::wide::tile::is_step;

pub use super::gradient_steps::emit;

/// The gradient of filters that is computed by Winograd's algorithm.
#[derive(Clone, Debug)]
pub struct GradientPlan<'a> {
    pub(super) contraction: Contraction<'a>,
    /// The same as sums of products.
    pub(super) direct: ContractionPlan<'a>,
    /// The axes of images.
    pub(super) images: Vec<AxisId>,
    /// The rows of the filter, and the lines of images.
    pub(super) vertical: Spatial,
    /// The columns of the filter, and the places in a line.
    pub(super) horizontal: Spatial,
    /// The axis of the rows of filters.
    pub(super) filter_row: AxisId,
    /// The axis of their columns.
    pub(super) filter_column: AxisId,
    /// Input channels: all, and those of a block.
    pub(super) channels: (usize, usize),
    /// Output channels: all, and those of a block.
    pub(super) columns: (usize, usize),
    pub(super) isa: Isa,
    /// The most rows of tiles in a block.
    pub(super) block: usize,
}

impl GradientPlan<'_> {
    /// The multiply-adds of products and, about, of transforms.
    pub fn multiply_adds(&self, nest: &Nest) -> f64 {
        let tiles = self.rows_of_tiles(nest) * self.horizontal.tiles();
        let ((channels, part), (columns, panel)) = (self.channels, self.columns);
        let transforms = 2 * (channels * columns / panel + columns * channels / part);
        (tiles * PRODUCTS * (channels * columns + transforms)) as f64
    }

    /// The rows of tiles of all images.
    pub(super) fn rows_of_tiles(&self, nest: &Nest) -> usize {
        let images: usize = self.images.iter().map(|&axis| nest.extent(axis)).product();
        images * self.vertical.tiles()
    }
}

/// Plans a gradient; `None` where the nest is none that is to be computed so, or vectors are not wide.
pub fn plan<'a>(nest: &'a Nest, target: &Target) -> Option<GradientPlan<'a>> {
    if nest.winograd != Some(Winograd::Gradient) {
        return None;
    }
    let isa = target.wide()?;
    let contraction = recognise_contraction(nest)?;
    let [one, other] = *contraction.lines.as_slice() else { return None };
    let channel = contraction.row?;
    // From a line of an image to the next is further than from a place to the next.
    let step = |tap: AxisId| contraction.left.offset.coefficient(tap);
    let (filter_row, filter_column) = if step(one) >= step(other) { (one, other) } else { (other, one) };
    let vertical = spatial(nest, contraction.left, &contraction.depth, filter_row)?;
    let horizontal = spatial(nest, contraction.left, &contraction.depth, filter_column)?;
    let is_spatial = |axis: AxisId| axis == vertical.axis || axis == horizontal.axis;
    let (channels, columns) = (nest.extent(channel), nest.extent(contraction.column));
    let part = panel_columns(channels)?;
    let place_steps = [horizontal.step, contraction.right.offset.coefficient(horizontal.axis)];
    let fits = contraction.batch.is_empty()
        && !vertical.is_backwards
        && !horizontal.is_backwards
        && contraction.left.offset.coefficient(channel) == 1
        && contraction.right.offset.coefficient(contraction.column) == 1
        && contraction.right.bounds.is_empty()
        && place_steps.iter().all(|&step| step > 0 && is_step(step.saturating_mul(4)))
        && contraction
            .left
            .bounds
            .iter()
            .all(|bound| bound.index.terms().iter().any(|term| is_spatial(term.0)))
        && is_strip(nest, &contraction, filter_row);
    let images = contraction.depth.iter().copied().filter(|&axis| !is_spatial(axis)).collect();
    let panel = panel_of(channels / part, columns)?;
    let (most_rows, tile_columns) = register_tile(isa, panel);
    // Blocks of channels are whole tiles.
    let rows = (1..=most_rows).rev().find(|&rows| part.is_multiple_of(rows))?;
    let direct = plan_in_parts(nest, target, contraction.clone(), (rows, tile_columns))?;
    let mut plan = GradientPlan {
        contraction,
        direct,
        images,
        vertical,
        horizontal,
        filter_row,
        filter_column,
        channels: (channels, part),
        columns: (columns, panel),
        isa,
        block: 0,
    };
    let rows = plan.rows_of_tiles(nest);
    plan.block = rows_of_block(&plan, target).min(rows);
    let tiles = plan.block * plan.horizontal.tiles();
    // A row of tiles is never cut, so it is no longer than what is added one after the other.
    let is_narrow =
        plan.horizontal.tiles() <= MOST_PRODUCTS && is_plane(tiles, plan.channels.1.max(plan.columns.1));
    (fits && is_narrow).then_some(plan)
}

/// The output channels of a block, where there are so many blocks of channels.
fn panel_of(parts: usize, columns: usize) -> Option<usize> {
    /// The fewest chunks that blocks are made narrower for.
    const FEW_CHUNKS: usize = 4;
    let panel = panel_columns(columns)?;
    let is_cut = panel.is_multiple_of(32) && parts * (columns / panel) < FEW_CHUNKS;
    Some(if is_cut { panel / 2 } else { panel })
}

/// How many rows of tiles are in a block: what it holds stays in the second level of cache beside the sums.
fn rows_of_block(plan: &GradientPlan<'_>, target: &Target) -> usize {
    const LEAST_TILES: usize = 48;
    let (part, panel) = (plan.channels.1, plan.columns.1);
    let tile_bytes = PRODUCTS * (part + panel) * 4;
    let sums_bytes = PRODUCTS * part * panel * 4;
    let tiles = (target.l2_bytes * 3 / 4).saturating_sub(sums_bytes) / tile_bytes;
    tiles.max(LEAST_TILES).div_ceil(plan.horizontal.tiles()).max(1)
}
