//! Convolutions of images with filters.

use ir::ops::Windows;
use ir::{Builder, Error, Shape, Value};

/// What is around an image, in zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Before the first and after the last element of each spatial axis; an entry per axis.
    Sides(Vec<[usize; 2]>),
    /// As much as makes the result `ceil(extent / stride)` long: with stride 1, as long as the image. The odd element is
    /// at the end.
    Same,
}

impl Padding {
    /// The same number of zeros on both sides of each of these axes.
    pub fn even(amounts: &[usize]) -> Padding {
        Padding::Sides(amounts.iter().map(|&amount| [amount; 2]).collect())
    }
}

/// How a convolution goes over an image; each list has an entry per spatial axis.
///
/// ```
/// use nn::functional::{ConvOptions, Padding};
/// let options = ConvOptions { stride: vec![2, 2], padding: Padding::even(&[1, 1]), ..ConvOptions::new(2) };
/// assert_eq!(options.dilation, [1, 1]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvOptions {
    /// From a place of the filter to the next.
    pub stride: Vec<usize>,
    /// What is around the image.
    pub padding: Padding,
    /// From an element of the filter to the next.
    pub dilation: Vec<usize>,
    /// Channels are cut into so many groups, with filters of their own for each.
    pub groups: usize,
}

impl ConvOptions {
    /// Every place within the image, all channels together.
    pub fn new(axes: usize) -> ConvOptions {
        let padding = Padding::even(&vec![0; axes]);
        ConvOptions { stride: vec![1; axes], padding, dilation: vec![1; axes], groups: 1 }
    }
}

/// `y[n, o, r..] = sum over c, k.. of x[n, c, r * stride + k * dilation - padding] * w[o, c, k..]`: `x` is
/// `[batch, channels, ..]`, `w` is `[out_channels, channels / groups, ..]`, the result is `[batch, out_channels, ..]`; output
/// channels of a group see the input channels of that group.
///
/// ```
/// use nn::functional::{ConvOptions, Padding, conv};
/// let mut b = ir::Builder::new("conv");
/// let x = b.input("x", ir::DType::F32, [8, 3, 32, 32])?;
/// let w = b.input("w", ir::DType::F32, [16, 3, 5, 5])?;
/// let y = conv(&mut b, x, w, &ConvOptions { padding: Padding::Same, ..ConvOptions::new(2) })?;
/// assert_eq!(b.ty(y).to_string(), "f32[8, 16, 32, 32]");
/// # Ok::<(), ir::Error>(())
/// ```
///
/// # Errors
/// Where the channels of `x` and `w` do not fit together or do not divide into the groups, or a filter is larger than `x`
/// with its padding.
pub fn conv(b: &mut Builder, x: Value, w: Value, options: &ConvOptions) -> Result<Value, Error> {
    let axes = check("conv", b, x, w, options)?;
    let (image, filter, groups) = (b.shape(x).clone(), b.shape(w).clone(), options.groups);
    if image[1] != filter[1] * groups || !filter[0].is_multiple_of(groups) {
        let problem = format!("x is {}, the filters are {}, in {groups} groups", b.ty(x), b.ty(w));
        let help = "give x of [batch, channels, ..] and filters of [out_channels, channels / groups, ..], with both numbers \
                    of channels divisible by the groups";
        return Err(Error::new("conv", problem, help));
    }
    let mut windows = Windows::new(axes).stride(&options.stride).dilation(&options.dilation);
    let mut extents = Vec::with_capacity(axes);
    for axis in 0..axes {
        let (extent, taps) = (image[2 + axis], filter[2 + axis]);
        let [low, high] = sides(options, axis, extent, taps);
        windows.low[axis] = low as i64;
        let Some(count) = windows.count(axis, extent, taps, high as i64) else {
            return Err(too_large("conv", &image, &filter, options));
        };
        extents.push(count);
    }
    let x = in_groups(b, x, groups)?;
    let spatial = &filter[2..];
    let w = b.reshape(w, [&[groups, filter[0] / groups, filter[1]], spatial].concat().as_slice())?;
    let y = b.conv(x, w, &windows, &extents)?;
    b.reshape(y, [&[image[0], filter[0]], &extents[..]].concat().as_slice())
}

/// The transposed convolution, as PyTorch has it: `x` is `[batch, channels, ..]`, `w` is
/// `[channels, out_channels / groups, ..]`, and each element of `x` adds a multiple of its channel's filter to the result, from
/// which the padding is cut off. Along each axis the result has
/// `(extent - 1) * stride + (taps - 1) * dilation + 1 + output_padding` elements less the padding.
///
/// ```
/// use nn::functional::{ConvOptions, Padding, conv_transpose};
/// let mut b = ir::Builder::new("up");
/// let x = b.input("x", ir::DType::F32, [8, 64, 7, 7])?;
/// let w = b.input("w", ir::DType::F32, [64, 32, 4, 4])?;
/// let options = ConvOptions { stride: vec![2, 2], padding: Padding::even(&[1, 1]), ..ConvOptions::new(2) };
/// let y = conv_transpose(&mut b, x, w, &options, &[0, 0])?;
/// assert_eq!(b.ty(y).to_string(), "f32[8, 32, 14, 14]");
/// # Ok::<(), ir::Error>(())
/// ```
///
/// # Errors
/// Where the channels of `x` and `w` do not fit together or do not divide into the groups, the padding is larger than the
/// result or [`Padding::Same`], or the output padding is not below the stride or the dilation.
pub fn conv_transpose(
    b: &mut Builder,
    x: Value,
    w: Value,
    options: &ConvOptions,
    output_padding: &[usize],
) -> Result<Value, Error> {
    const NAME: &str = "conv_transpose";
    let axes = check(NAME, b, x, w, options)?;
    let (image, filter, groups) = (b.shape(x).clone(), b.shape(w).clone(), options.groups);
    if image[1] != filter[0] || !filter[0].is_multiple_of(groups) {
        let problem = format!("x is {}, the filters are {}, in {groups} groups", b.ty(x), b.ty(w));
        let help = "give x of [batch, channels, ..] and filters of [channels, out_channels / groups, ..], with the channels \
                    divisible by the groups";
        return Err(Error::new(NAME, problem, help));
    }
    let is_below = |(axis, &more): (usize, &usize)| more < options.stride[axis].max(options.dilation[axis]);
    if output_padding.len() != axes || !output_padding.iter().enumerate().all(is_below) {
        let problem = format!("the output padding is {output_padding:?}, the stride {:?}", options.stride);
        return Err(Error::new(
            NAME,
            problem,
            "give a number below the stride or the dilation for each axis",
        ));
    }
    let Padding::Sides(sides) = &options.padding else {
        let help = "give the padding of each side; a stride does not tell how long the image was";
        return Err(Error::new(NAME, "the padding is `Same`", help));
    };
    let mut windows = Windows::new(axes).stride(&options.stride).dilation(&options.dilation);
    let mut extents = Vec::with_capacity(axes);
    for axis in 0..axes {
        let (steps, taps) = (image[2 + axis].saturating_sub(1), filter[2 + axis].saturating_sub(1));
        let all = steps * options.stride[axis] + taps * options.dilation[axis] + 1 + output_padding[axis];
        let [low, high] = sides[axis];
        windows.low[axis] = low as i64;
        let Some(extent) = all.checked_sub(low + high) else {
            let problem = format!(
                "{all} elements along axis {} of the result, the padding is {low} and {high}",
                2 + axis
            );
            return Err(Error::new(NAME, problem, "give less padding"));
        };
        extents.push(extent);
    }
    let x = in_groups(b, x, groups)?;
    let spatial = &filter[2..];
    let w = b.reshape(w, [&[groups, filter[0] / groups, filter[1]], spatial].concat().as_slice())?;
    let y = b.conv_transpose(x, w, &windows, &extents)?;
    b.reshape(y, [&[image[0], groups * filter[1]], &extents[..]].concat().as_slice())
}

/// Checks ranks and the lengths of lists; gives the number of spatial axes.
fn check(name: &str, b: &Builder, x: Value, w: Value, options: &ConvOptions) -> Result<usize, Error> {
    b.check(name, &[x, w])?;
    let axes = options.stride.len();
    let fail = |problem: String, help: &str| Err(Error::new(name, problem, help));
    if b.shape(x).rank() != 2 + axes || b.shape(w).rank() != 2 + axes {
        let problem =
            format!("x is {}, the filters are {}, strides are {:?}", b.ty(x), b.ty(w), options.stride);
        return fail(problem, "give both two axes and one per stride");
    }
    let sides = match &options.padding {
        Padding::Sides(sides) => sides.len(),
        Padding::Same => axes,
    };
    if sides != axes || options.dilation.len() != axes {
        let problem =
            format!("{sides} entries of padding, {} dilations, {axes} strides", options.dilation.len());
        return fail(problem, "give one of each per spatial axis");
    }
    let steps = options.stride.iter().chain(&options.dilation);
    if options.groups == 0 || steps.clone().any(|&step| step == 0) {
        let problem = format!(
            "{} groups, strides {:?}, dilations {:?}",
            options.groups, options.stride, options.dilation
        );
        return fail(problem, "give numbers above 0");
    }
    Ok(axes)
}

/// The zeros before and after an axis.
fn sides(options: &ConvOptions, axis: usize, extent: usize, taps: usize) -> [usize; 2] {
    match &options.padding {
        Padding::Sides(sides) => sides[axis],
        Padding::Same => {
            let span = taps.saturating_sub(1) * options.dilation[axis] + 1;
            let count = extent.div_ceil(options.stride[axis]);
            let all = (count.saturating_sub(1) * options.stride[axis] + span).saturating_sub(extent);
            [all / 2, all - all / 2]
        }
    }
}

/// `[batch, channels, ..]` as `[batch, groups, channels / groups, ..]`.
fn in_groups(b: &mut Builder, x: Value, groups: usize) -> Result<Value, Error> {
    let shape = b.shape(x).clone();
    let leading = [shape[0], groups, shape[1] / groups];
    b.reshape(x, leading.iter().chain(&shape[2..]).copied().collect::<Shape>())
}

/// The error for filters that do not fit into an image.
fn too_large(name: &str, image: &Shape, filter: &Shape, options: &ConvOptions) -> Error {
    let axes = 0..options.stride.len();
    let padded = axes.clone().map(|axis| {
        let [low, high] = sides(options, axis, image[2 + axis], filter[2 + axis]);
        low + image[2 + axis] + high
    });
    let span = axes.map(|axis| filter[2 + axis].saturating_sub(1) * options.dilation[axis] + 1);
    let (padded, span): (Shape, Shape) = (padded.collect(), span.collect());
    let problem = format!("filters that span {span} are larger than an image of {padded} with its padding");
    Error::new(name, problem, "give larger images, more padding, or smaller filters")
}
