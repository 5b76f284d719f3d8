//! The kernels that are convolutions with filters of three by three, as far as Winograd's algorithm can compute them.

use ir::{Access, Affine, AxisId, BufferId, Index, Kernel, winograd};

use super::cost::Size;
use crate::sum_of_products::SumOfProducts;

/// A convolution `sum over rl, rm, rk of x[.., l + rl - p, m + rm - p', rk] * w[rl, rm, rk, k]` with channels last, `w` with
/// its axes in any order, and a padding `p` of 0 to 2 rows of zeros; or the gradient for its input, where taps go backwards:
/// `x[.., l - rl + 2 - p, m - rm + 2 - p', rk]`.
pub struct Convolution {
    /// The filters `w`.
    pub filters: BufferId,
    /// Their axes, in the order of the indices; none where the extent is 1.
    pub filter_axes: Vec<Option<FilterAxis>>,
    /// Whether the first tap reads the last row and column of a window.
    pub is_backwards: bool,
    /// How much there is to compute.
    pub size: Size,
}

impl Convolution {
    /// Whether filters lie as `[taps, channels, columns]`.
    pub fn has_columns_last(&self) -> bool {
        let present: Vec<FilterAxis> = self.filter_axes.iter().flatten().copied().collect();
        present == [FilterAxis::Vertical, FilterAxis::Horizontal, FilterAxis::Channel, FilterAxis::Column]
    }
}

/// An axis of filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FilterAxis {
    /// The taps along the rows of an image, `rl`.
    Vertical,
    /// The taps along a row, `rm`.
    Horizontal,
    /// The channels that are summed over, `rk`.
    Channel,
    /// The filters, `k`.
    Column,
}

/// The convolution that a kernel is.
pub fn convolution(kernel: &Kernel) -> Option<Convolution> {
    let has_local = kernel.buffers.iter().any(|buffer| buffer.access == Access::Local);
    if has_local || kernel.winograd.is_some() {
        return None;
    }
    let sum = SumOfProducts::of(kernel)?;
    let [images @ .., vertical, horizontal, channel] = sum.left.indices.as_slice() else { return None };
    let is_tap = |axis: AxisId| sum.reduced.contains(&axis);
    let [vertical, horizontal] = [window(kernel, is_tap, vertical)?, window(kernel, is_tap, horizontal)?];
    let channel = only_axis(channel)?;
    // A fill is for rows and columns outside of an image. There are no images or channels outside.
    let shape = &kernel.buffers[sum.left.buffer.0 as usize].ty.shape;
    let is_within = |index: &Index, extent: usize| {
        index.affine == Affine::constant(0)
            || only_axis(index).is_some_and(|axis| kernel.extent(axis) <= extent)
    };
    let images_fit = images.iter().zip(shape.iter()).all(|(index, &extent)| is_within(index, extent));
    let images: Vec<AxisId> = images.iter().filter_map(only_axis).collect();
    let result = [&images[..], &[vertical.place, horizontal.place, sum.column]].concat();
    let is_one = images_fit
        && kernel.extent(channel) <= *shape.last()?
        && vertical.is_backwards == horizontal.is_backwards
        && is_same_set(&result, sum.axes)
        && is_same_set(&[vertical.tap, horizontal.tap, channel], sum.reduced);
    let extents = |axes: &[AxisId]| axes.iter().map(|&axis| kernel.extent(axis)).product::<usize>();
    let size = Size {
        channels: kernel.extent(channel),
        columns: kernel.extent(sum.column),
        rows: kernel.extent(vertical.place),
        row_length: kernel.extent(horizontal.place),
        images: extents(&images),
    };
    let filter_axis = |axis: AxisId| match axis {
        _ if axis == vertical.tap => Some(FilterAxis::Vertical),
        _ if axis == horizontal.tap => Some(FilterAxis::Horizontal),
        _ if axis == channel => Some(FilterAxis::Channel),
        _ if axis == sum.column => Some(FilterAxis::Column),
        _ => None,
    };
    let filter_axes = filter_axes(&sum, filter_axis)?;
    let filters = sum.right.buffer;
    let elements = winograd::TAPS * winograd::TAPS * size.channels * size.columns;
    let is_whole = kernel.buffers[filters.0 as usize].ty.shape.elements() == elements;
    let is_backwards = vertical.is_backwards;
    (is_one && is_whole).then_some(Convolution { filters, filter_axes, is_backwards, size })
}

/// How much there is to compute for the gradient of filters that a kernel is, where it is one: `sum over images, rl, rm of
/// x[.., l + rl - p, m + rm - p', k] * y[.., rl, rm, j]`, with channels last, `l` and `m` the taps, and a padding `p` of 0 to 2
/// rows of zeros.
pub fn gradient(kernel: &Kernel) -> Option<Size> {
    let has_local = kernel.buffers.iter().any(|buffer| buffer.access == Access::Local);
    if has_local || kernel.winograd.is_some() {
        return None;
    }
    let sum = SumOfProducts::of(kernel)?;
    let [images @ .., vertical, horizontal, channel] = sum.left.indices.as_slice() else { return None };
    let is_tap = |axis: AxisId| !sum.reduced.contains(&axis);
    let [vertical, horizontal] = [window(kernel, is_tap, vertical)?, window(kernel, is_tap, horizontal)?];
    let channel = only_axis(channel)?;
    let images: Vec<AxisId> = images.iter().filter_map(only_axis).collect();
    let fits = !vertical.is_backwards
        && !horizontal.is_backwards
        && is_same_set(&[vertical.tap, horizontal.tap, channel, sum.column], sum.axes)
        && is_same_set(&[&images[..], &[vertical.place, horizontal.place]].concat(), sum.reduced)
        && sum
            .right
            .indices
            .iter()
            .all(|index| index.affine == Affine::constant(0) || only_axis(index).is_some());
    fits.then(|| Size {
        channels: kernel.extent(channel),
        columns: kernel.extent(sum.column),
        rows: kernel.extent(vertical.place),
        row_length: kernel.extent(horizontal.place),
        images: images.iter().map(|&axis| kernel.extent(axis)).product(),
    })
}

/// The axes of the filters, each of the four in an index of its own.
fn filter_axes(
    sum: &SumOfProducts<'_>,
    filter_axis: impl Fn(AxisId) -> Option<FilterAxis>,
) -> Option<Vec<Option<FilterAxis>>> {
    let axis_at = |index: &Index| match index.affine == Affine::constant(0) {
        true => Some(None),
        false => Some(Some(filter_axis(only_axis(index)?)?)),
    };
    let axes: Vec<Option<FilterAxis>> = sum.right.indices.iter().map(axis_at).collect::<Option<_>>()?;
    let mut present: Vec<FilterAxis> = axes.iter().flatten().copied().collect();
    present.sort_unstable();
    let all = [FilterAxis::Vertical, FilterAxis::Horizontal, FilterAxis::Channel, FilterAxis::Column];
    (present == all).then_some(axes)
}

/// Where along an axis of the image a term reads: three neighbours for each place of the result.
struct Window {
    place: AxisId,
    tap: AxisId,
    is_backwards: bool,
}

/// The window that an index is, with at most two rows of zeros before the first.
fn window(kernel: &Kernel, is_tap: impl Fn(AxisId) -> bool, index: &Index) -> Option<Window> {
    let &[one, other] = index.affine.terms() else { return None };
    let ((place, step), (tap, direction)) = if is_tap(one.0) { (other, one) } else { (one, other) };
    let is_backwards = direction < 0;
    let last = winograd::TAPS as i64 - 1;
    let padding = if is_backwards { last - index.affine.offset() } else { -index.affine.offset() };
    let fits = step == 1
        && direction.abs() == 1
        && kernel.extent(tap) == winograd::TAPS
        && (0..=last).contains(&padding);
    fits.then_some(Window { place, tap, is_backwards })
}

/// The axis that an index is.
fn only_axis(index: &Index) -> Option<AxisId> {
    let &[(axis, 1)] = index.affine.terms() else { return None };
    (index.affine.offset() == 0).then_some(axis)
}

/// Whether these are the same axes in any order, each once.
fn is_same_set(found: &[AxisId], wanted: &[AxisId]) -> bool {
    let sorted = |axes: &[AxisId]| {
        let mut axes = axes.to_vec();
        axes.sort_unstable();
        axes
    };
    sorted(found) == sorted(wanted)
}
