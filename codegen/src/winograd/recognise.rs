//! Which nests are convolutions for Winograd's algorithm.

use ir::winograd::{TAPS, filter_shape};
use ir::{AxisId, Winograd};

use super::steps::register_tile;
use super::{Chunk, Filters, Spatial, WinogradPlan};
use crate::Target;
use crate::contraction::parts::plan_in_parts;
use crate::contraction::{Contraction, recognise as recognise_contraction};
use crate::emit::runs::is_epilogue;
use crate::nest::{Nest, Place};
use crate::wide::tile::is_step;

/// The convolution that a nest is, where it has transformed filters and runs on wide vectors; blocks and chunks are to be
/// found.
pub fn recognise<'a>(nest: &'a Nest, target: &Target) -> Option<WinogradPlan<'a>> {
    let isa = target.wide()?;
    let Some(Winograd::Convolution { filters, transformed }) = nest.winograd else { return None };
    let contraction = recognise_contraction(nest)?;
    let left_axes: Vec<AxisId> = contraction.lines.iter().copied().chain(contraction.row).collect();
    let [vertical_tap, horizontal_tap, channel] = *contraction.depth.as_slice() else { return None };
    let vertical = spatial(nest, contraction.left, &left_axes, vertical_tap)?;
    let horizontal = spatial(nest, contraction.left, &left_axes, horizontal_tap)?;
    let is_spatial = |axis: AxisId| axis == vertical.axis || axis == horizontal.axis;
    let (channels, columns) = (nest.extent(channel), nest.extent(contraction.column));
    let shape = filter_shape(channels, columns)?;
    let taps = [vertical_tap, horizontal_tap, channel];
    let filters_here = match transformed {
        Some(buffer) if nest.buffers[buffer.0 as usize].ty.shape == shape => Filters::Transformed(buffer),
        Some(_) => return None,
        None => filters_of_taps(&contraction, taps)
            .filter(|_| vertical.is_backwards == horizontal.is_backwards)?,
    };
    let fits = contraction.batch.is_empty()
        && contraction.right.buffer == filters
        && contraction.left.offset.coefficient(channel) == 1
        && contraction
            .left
            .bounds
            .iter()
            .all(|bound| bound.index.terms().iter().any(|term| is_spatial(term.0)))
        && horizontal.step == channels as i64
        && channels.is_multiple_of(isa.lanes())
        && is_strip(nest, &contraction, vertical.axis);
    let images: Vec<AxisId> = left_axes.into_iter().filter(|&axis| !is_spatial(axis)).collect();
    let lines = images.iter().copied().chain([vertical.axis]).collect();
    let direct = Contraction { lines, row: Some(horizontal.axis), ..contraction.clone() };
    let direct = plan_in_parts(nest, target, direct, register_tile(isa, shape[3]))?;
    fits.then_some(WinogradPlan {
        contraction,
        direct,
        images,
        vertical,
        horizontal,
        channels,
        columns,
        panel: shape[3],
        filters: filters_here,
        isa,
        block: 0,
        chunk: Chunk::Panel,
    })
}

/// Filters as the nest reads them, where their nine taps are as far apart from each other and their columns side by side.
fn filters_of_taps(
    contraction: &Contraction<'_>,
    [vertical, horizontal, channel]: [AxisId; 3],
) -> Option<Filters> {
    let Place { offset, bounds, .. } = contraction.right;
    let bytes = |axis: AxisId| 4 * offset.coefficient(axis);
    let (tap, channel) = (bytes(horizontal), bytes(channel));
    let fits = bytes(vertical) == TAPS as i64 * tap
        && bytes(contraction.column) == 4
        && offset.offset() == 0
        && bounds.is_empty()
        && [TAPS as i64 * bytes(vertical), channel].into_iter().all(is_step);
    fits.then_some(Filters::Taps { tap, channel })
}

/// The axis, one of these, that moves over an image with a tap.
pub fn spatial(nest: &Nest, image: &Place, axes: &[AxisId], tap: AxisId) -> Option<Spatial> {
    let tap_step = image.offset.coefficient(tap);
    let axis = axes.iter().copied().find(|&axis| image.offset.coefficient(axis) == tap_step.abs())?;
    let outputs = nest.extent(axis);
    let is_backwards = tap_step < 0;
    // Without bounds all places are inside, and backwards the last tap meets the first one.
    let unbounded = (if is_backwards { TAPS as i64 - 1 } else { 0 }, outputs + TAPS - 1);
    let mut bounds = image.bounds.iter().filter(|bound| bound.index.coefficient(axis) != 0);
    let (first, inputs) = match (bounds.next(), bounds.next()) {
        (None, _) => unbounded,
        (Some(bound), None) => {
            let taps = if is_backwards { -1 } else { 1 };
            let is_plain = bound.index.coefficient(axis) == 1
                && bound.index.coefficient(tap) == taps
                && bound.index.terms().len() == 2
                && bound.pick.is_none();
            is_plain.then_some((bound.index.offset(), bound.extent))?
        }
        _ => return None,
    };
    let pad = if is_backwards { TAPS as i64 - 1 - first } else { -first };
    let is_padded_alone = (0..TAPS as i64).contains(&pad);
    (nest.extent(tap) == TAPS && is_padded_alone && inputs > 0).then_some(Spatial {
        axis,
        outputs,
        inputs,
        pad: pad as usize,
        step: tap_step.abs(),
        first,
        is_backwards,
    })
}

/// Whether the epilogue runs on the registers of tiles whose rows are along this axis.
pub fn is_strip(nest: &Nest, contraction: &Contraction<'_>, line: AxisId) -> bool {
    let mut fits = is_epilogue(nest, contraction.column, Some(line), contraction.sum, &contraction.epilogue);
    let has_short_step = |place: &Place| is_step(place.offset.coefficient(line).saturating_mul(4));
    Nest::accesses(&contraction.epilogue, &mut |place, _| fits &= has_short_step(place));
    fits
}
