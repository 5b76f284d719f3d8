//! Maxima and averages of windows.

use ir::ops::Windows;
use ir::{Builder, Error, Scalar, Tensor, Type, Value};

use super::resize::{self, along};

/// Windows along the last axes of an image; each list has an entry per axis.
///
/// ```
/// let options = nn::functional::PoolOptions { padding: vec![1, 1], ..nn::functional::PoolOptions::new(&[3, 3], &[2, 2]) };
/// assert_eq!(options.count(0, 112), Some(56));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolOptions {
    /// The elements of a window.
    pub sizes: Vec<usize>,
    /// From a window to the next.
    pub stride: Vec<usize>,
    /// What is before and after the image; at most half of a window.
    pub padding: Vec<usize>,
    /// Whether a window at the end may reach beyond image and padding, as long as it begins before their end.
    pub ceil_mode: bool,
}

impl PoolOptions {
    /// Windows of these sizes within the image.
    pub fn new(sizes: &[usize], stride: &[usize]) -> PoolOptions {
        let padding = vec![0; sizes.len()];
        PoolOptions { sizes: sizes.to_vec(), stride: stride.to_vec(), padding, ceil_mode: false }
    }

    /// The number of windows along an axis of this extent; `None` where not even one fits.
    pub fn count(&self, axis: usize, extent: usize) -> Option<usize> {
        let (size, stride, padding) = (self.sizes[axis], self.stride[axis], self.padding[axis]);
        let room = (extent + 2 * padding).checked_sub(size)?;
        if !self.ceil_mode {
            return Some(room / stride + 1);
        }
        let count = room.div_ceil(stride) + 1;
        // The last window must begin within the image or the padding before it.
        Some(if (count - 1) * stride >= extent + padding { count - 1 } else { count })
    }

    fn windows(&self) -> Windows {
        let low: Vec<i64> = self.padding.iter().map(|&padding| padding as i64).collect();
        Windows::new(self.sizes.len()).stride(&self.stride).low(&low)
    }

    /// The numbers of windows along the last axes of x.
    fn counts(&self, name: &str, b: &Builder, x: Value) -> Result<Vec<usize>, Error> {
        b.check(name, &[x])?;
        let (axes, shape) = (self.sizes.len(), b.shape(x));
        let fail = |problem: String, help: &str| Err(Error::new(name, problem, help));
        let PoolOptions { sizes, stride, padding, .. } = self;
        if stride.len() != axes || padding.len() != axes || shape.rank() < axes {
            let problem =
                format!("windows of {sizes:?}, strides {stride:?}, padding {padding:?} for x of {}", b.ty(x));
            return fail(problem, "give an entry of each for each of the last axes of x");
        }
        let is_wrong = |axis: usize| sizes[axis] == 0 || stride[axis] == 0 || padding[axis] > sizes[axis] / 2;
        if (0..axes).any(is_wrong) {
            let problem = format!("windows of {sizes:?}, strides {stride:?}, padding {padding:?}");
            return fail(problem, "give sizes and strides above 0, and padding of at most half of a window");
        }
        let first = shape.rank() - axes;
        let counts: Option<Vec<usize>> =
            (0..axes).map(|axis| self.count(axis, shape[first + axis])).collect();
        counts.map_or_else(
            || {
                let problem =
                    format!("windows of {sizes:?} are larger than x of {} with padding {padding:?}", b.ty(x));
                fail(problem, "give larger images, more padding, or smaller windows")
            },
            Ok,
        )
    }
}

/// The greatest element of each window, and where it is in the window; see [`Builder::max_pool`]. The gradient goes to the
/// first of several.
///
/// ```
/// use nn::functional::{PoolOptions, max_pool};
/// let mut b = ir::Builder::new("pool");
/// let x = b.input("x", ir::DType::F32, [8, 16, 10, 10])?;
/// let [y, _] = max_pool(&mut b, x, &PoolOptions::new(&[2, 2], &[2, 2]))?;
/// assert_eq!(b.ty(y).to_string(), "f32[8, 16, 5, 5]");
/// # Ok::<(), ir::Error>(())
/// ```
///
/// # Errors
/// Where a window is larger than `x` with its padding, or the options do not fit together.
pub fn max_pool(b: &mut Builder, x: Value, options: &PoolOptions) -> Result<[Value; 2], Error> {
    let counts = options.counts("max_pool", b, x)?;
    b.max_pool(x, &options.sizes, &options.windows(), &counts)
}

/// Puts what [`max_pool`] found back to where it was, among zeros, in an image with these extents.
///
/// # Errors
/// Where `y` and `indices` are not what windows of an image with these extents give.
pub fn max_unpool(
    b: &mut Builder,
    y: Value,
    indices: Value,
    options: &PoolOptions,
    extents: &[usize],
) -> Result<Value, Error> {
    b.max_unpool(y, indices, &options.sizes, &options.windows(), extents)
}

/// The mean of each window of `[batch, channels, ..]`, as PyTorch has it: with `count_include_pad`, the zeros around the image
/// count as elements; what is beyond them in ceil mode never does.
///
/// ```
/// use nn::functional::{PoolOptions, avg_pool};
/// let mut b = ir::Builder::new("pool");
/// let x = b.input("x", ir::DType::F32, [8, 16, 9, 9])?;
/// let y = avg_pool(&mut b, x, &PoolOptions::new(&[3, 3], &[2, 2]), true)?;
/// assert_eq!(b.ty(y).to_string(), "f32[8, 16, 4, 4]");
/// # Ok::<(), ir::Error>(())
/// ```
///
/// # Errors
/// Where a window is larger than `x` with its padding, or the options do not fit together.
pub fn avg_pool(
    b: &mut Builder,
    x: Value,
    options: &PoolOptions,
    count_include_pad: bool,
) -> Result<Value, Error> {
    let counts = options.counts("avg_pool", b, x)?;
    let shape = b.shape(x).clone();
    let axes = options.sizes.len();
    if shape.rank() != 2 + axes {
        let problem = format!("x is {}, windows are {:?}", b.ty(x), options.sizes);
        return Err(Error::new("avg_pool", problem, "give x of [batch, channels, ..]"));
    }
    let sum = window_sum(b, x, options, &counts)?;
    // How many elements a window has along an axis.
    let elements = |axis: usize, window: usize| {
        let extent = shape[2 + axis] as i64;
        let padding = if count_include_pad { options.padding[axis] as i64 } else { 0 };
        let begin = (window * options.stride[axis]) as i64 - options.padding[axis] as i64;
        let end = begin + options.sizes[axis] as i64;
        (end.min(extent + padding) - begin.max(-padding)) as f64
    };
    let dtype = b.dtype(x);
    let mut mean = sum;
    let mut scale = 1.0;
    for (axis, &count) in counts.iter().enumerate() {
        let widths: Vec<f64> = (0..count).map(|window| elements(axis, window)).collect();
        if widths.iter().all(|&width| width == widths[0]) {
            scale *= widths.first().copied().unwrap_or(1.0);
            continue;
        }
        let mut extents = vec![1; axes];
        extents[axis] = count;
        let table = Tensor::from_fn(&Type::new(dtype, extents.as_slice()), |i| {
            Scalar::from_f64(dtype, 1.0 / widths[i])
        });
        let table = b.constant(table);
        mean = b.mul(mean, table)?;
    }
    b.eval(mean * (1.0 / scale))
}

/// The sum of each window: a reshape and a sum where windows tile the image, a convolution of each channel with ones
/// elsewhere.
fn window_sum(b: &mut Builder, x: Value, options: &PoolOptions, counts: &[usize]) -> Result<Value, Error> {
    let shape = b.shape(x).clone();
    let (axes, sizes) = (counts.len(), &options.sizes);
    let leading = [shape[0], shape[1]];
    let tiles = (0..axes).all(|axis| {
        let is_tiled = options.stride[axis] == sizes[axis] && options.padding[axis] == 0;
        is_tiled && counts[axis] * sizes[axis] == shape[2 + axis]
    });
    if tiles {
        let pairs = (0..axes).flat_map(|axis| [counts[axis], sizes[axis]]);
        let cut = b.reshape(x, leading.into_iter().chain(pairs).collect::<ir::Shape>())?;
        let within: Vec<usize> = (0..axes).map(|axis| 3 + 2 * axis).collect();
        return b.reduce_sum(cut, &within, false);
    }
    let [batch, channels] = leading;
    let one = b.float_like(x, 1.0);
    let ones = b.broadcast(one, [&[channels, 1, 1], &sizes[..]].concat().as_slice())?;
    let split = b.reshape(x, [&[batch, channels, 1], &shape[2..]].concat().as_slice())?;
    let sums = b.conv(split, ones, &options.windows(), counts)?;
    b.reshape(sums, [&leading, counts].concat().as_slice())
}

/// The mean of each channel of `[batch, channels, ..]`: `[batch, channels]`.
///
/// # Errors
/// Where `x` has fewer than two axes or holds no floats.
pub fn global_avg_pool(b: &mut Builder, x: Value) -> Result<Value, Error> {
    b.check("global_avg_pool", &[x])?;
    let rank = b.shape(x).rank();
    if rank < 2 {
        let problem = format!("x is {}", b.ty(x));
        return Err(Error::new("global_avg_pool", problem, "give x of [batch, channels, ..]"));
    }
    b.reduce_mean(x, &(2..rank).collect::<Vec<_>>(), false)
}

/// Means of windows of `[batch, channels, ..]` that are chosen so that there are as many as `extents` says, as PyTorch has
/// them: window `i` of `n` runs from `floor(i * extent / n)` to `ceil((i + 1) * extent / n)`.
///
/// # Errors
/// Where `x` has no axis for each extent, or one of either is 0.
pub fn adaptive_avg_pool(b: &mut Builder, x: Value, extents: &[usize]) -> Result<Value, Error> {
    b.check("adaptive_avg_pool", &[x])?;
    let shape = b.shape(x).clone();
    if shape.rank() != 2 + extents.len() || extents.contains(&0) || shape[2..].contains(&0) {
        let problem = format!("x is {}, the result is to have {extents:?}", b.ty(x));
        return Err(Error::new(
            "adaptive_avg_pool",
            problem,
            "give x of [batch, channels, ..] and an extent above 0 per axis",
        ));
    }
    if shape[2..] == *extents {
        return Ok(x);
    }
    if extents.iter().all(|&extent| extent == 1) {
        return b.reduce_mean(x, &(2..shape.rank()).collect::<Vec<_>>(), true);
    }
    if shape[2..].iter().zip(extents).all(|(own, extent)| own.is_multiple_of(*extent)) {
        let sizes: Vec<usize> = shape[2..].iter().zip(extents).map(|(own, extent)| own / extent).collect();
        return avg_pool(b, x, &PoolOptions::new(&sizes, &sizes), true);
    }
    (0..extents.len())
        .try_fold(x, |x, axis| along(b, x, 2 + axis, &resize::means(shape[2 + axis], extents[axis])))
}
