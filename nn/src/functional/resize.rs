//! Images of another size: each element of the result is a weighted sum of a few elements along each axis, which is a
//! product with a matrix per axis.

use ir::{Builder, Error, Scalar, Tensor, Type, Value};

/// Where elements that are not there come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// The element `floor(i * extent / new extent)`.
    Nearest,
    /// On the line between the two nearest, along each axis.
    Linear {
        /// Whether the centres of the first and last elements stay where they are, rather than the outer edges of them.
        align_corners: bool,
    },
}

/// `[batch, channels, ..]` with these spatial extents, as PyTorch's `interpolate` makes it: `nearest`, or `linear` along one
/// axis and `bilinear` along two.
///
/// ```
/// use nn::functional::{Interpolation, resize};
/// let mut b = ir::Builder::new("up");
/// let x = b.input("x", ir::DType::F32, [8, 16, 7, 7])?;
/// let y = resize(&mut b, x, &[14, 14], Interpolation::Linear { align_corners: false })?;
/// assert_eq!(b.ty(y).to_string(), "f32[8, 16, 14, 14]");
/// # Ok::<(), ir::Error>(())
/// ```
///
/// # Errors
/// Where `x` has no axis for each extent, one of either is 0, or there are more than two.
pub fn resize(b: &mut Builder, x: Value, extents: &[usize], how: Interpolation) -> Result<Value, Error> {
    b.check("resize", &[x])?;
    let shape = b.shape(x).clone();
    let has_axes = shape.rank() == 2 + extents.len() && (1..=2).contains(&extents.len());
    if !has_axes || extents.contains(&0) || shape[2..].contains(&0) {
        let problem = format!("x is {}, the result is to have {extents:?}", b.ty(x));
        let help =
            "give x of [batch, channels, ..] with one or two spatial axes, and an extent above 0 for each";
        return Err(Error::new("resize", problem, help));
    }
    let is_repeated = shape[2..].iter().zip(extents).all(|(own, extent)| extent.is_multiple_of(*own));
    if how == Interpolation::Nearest && is_repeated {
        return repeat(b, x, extents);
    }
    (0..extents.len()).try_fold(x, |x, axis| {
        let (from, to) = (shape[2 + axis], extents[axis]);
        let matrix = match how {
            Interpolation::Nearest => {
                Matrix { from, rows: (0..to).map(|i| vec![(i * from / to, 1.0)]).collect() }
            }
            Interpolation::Linear { align_corners } => linear(from, to, align_corners),
        };
        along(b, x, 2 + axis, &matrix)
    })
}

/// Each element as often as it takes.
fn repeat(b: &mut Builder, x: Value, extents: &[usize]) -> Result<Value, Error> {
    let shape = b.shape(x).clone();
    let (leading, spatial) = shape.split_at(2);
    let with = |inner: &dyn Fn(usize) -> usize| -> Vec<usize> {
        let pairs = (0..extents.len()).flat_map(|axis| [spatial[axis], inner(axis)]);
        leading.iter().copied().chain(pairs).collect()
    };
    let columns = b.reshape(x, with(&|_| 1).as_slice())?;
    let repeated = b.broadcast(columns, with(&|axis| extents[axis] / spatial[axis]).as_slice())?;
    b.reshape(repeated, [leading, extents].concat().as_slice())
}

/// A matrix with few elements other than 0.
pub(super) struct Matrix {
    /// The number of columns.
    from: usize,
    /// The elements of each row, with their columns.
    rows: Vec<Vec<(usize, f64)>>,
}

/// `(i + 1/2) from / to - 1/2`, not below 0; with aligned corners, `i (from - 1) / (to - 1)`.
fn linear(from: usize, to: usize, align_corners: bool) -> Matrix {
    let place = |i: usize| match align_corners {
        true if to > 1 => i as f64 * (from - 1) as f64 / (to - 1) as f64,
        true => 0.0,
        false => ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).max(0.0),
    };
    let row = |i: usize| {
        let below = (place(i).floor() as usize).min(from - 1);
        let part = place(i) - below as f64;
        vec![(below, 1.0 - part), ((below + 1).min(from - 1), part)]
    };
    Matrix { from, rows: (0..to).map(row).collect() }
}

/// Means over the windows of [`super::adaptive_avg_pool`].
pub(super) fn means(from: usize, to: usize) -> Matrix {
    let row = |i: usize| {
        let window = i * from / to..((i + 1) * from).div_ceil(to);
        let weight = 1.0 / window.len() as f64;
        window.map(|at| (at, weight)).collect()
    };
    Matrix { from, rows: (0..to).map(row).collect() }
}

/// The product with a matrix along an axis of `x`, the last or the one before it.
pub(super) fn along(b: &mut Builder, x: Value, axis: usize, matrix: &Matrix) -> Result<Value, Error> {
    let mut dense = vec![0.0; matrix.rows.len() * matrix.from];
    for (row, elements) in matrix.rows.iter().enumerate() {
        elements.iter().for_each(|&(column, weight)| dense[row * matrix.from + column] += weight);
    }
    let dtype = b.dtype(x);
    let ty = Type::new(dtype, [matrix.rows.len(), matrix.from]);
    let weights = b.constant(Tensor::from_fn(&ty, |i| Scalar::from_f64(dtype, dense[i])));
    match b.shape(x).rank() - axis {
        1 => b.matmul_transposed(x, weights, false, true),
        _ => b.matmul(weights, x),
    }
}
