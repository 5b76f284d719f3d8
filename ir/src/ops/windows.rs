//! Where windows lie: what convolutions, pooling and `window` have in common.

use smallvec::{SmallVec, smallvec};

use super::layout::{axis, ints};
use crate::{Affine, Attr, AttrReader, Attrs, Error, Scalar, Shape, View};

/// Windows along some axes. Element `k` of window `r` along axis `i` is at `r * stride[i] + k * dilation[i] - low[i]`.
///
/// ```
/// use ir::ops::Windows;
/// // Every second position, with one element of padding before the first.
/// let windows = Windows::new(2).stride(&[2, 2]).low(&[1, 1]);
/// assert_eq!((windows.at(0, 0, 0), windows.at(0, 3, 2)), (-1, 7));
/// // 28 windows of 3 elements fit into 55 and the padding at both ends.
/// assert_eq!(windows.count(0, 55, 3, 1), Some(28));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Windows {
    /// From a window to the next, at least 1.
    pub stride: SmallVec<[usize; 2]>,
    /// From an element of a window to the next, at least 1.
    pub dilation: SmallVec<[usize; 2]>,
    /// How far the first window begins before element 0.
    pub low: SmallVec<[i64; 2]>,
}

/// Strides, dilations and padding are below this, so that positions stay far from the end of 64 bits.
const LIMIT: usize = 1 << 28;

impl Windows {
    /// Dense windows at every position of this many axes, the first of which begins at element 0.
    pub fn new(axes: usize) -> Windows {
        Windows { stride: smallvec![1; axes], dilation: smallvec![1; axes], low: smallvec![0; axes] }
    }

    /// With these strides.
    pub fn stride(self, stride: &[usize]) -> Windows {
        Windows { stride: SmallVec::from_slice(stride), ..self }
    }

    /// With these dilations.
    pub fn dilation(self, dilation: &[usize]) -> Windows {
        Windows { dilation: SmallVec::from_slice(dilation), ..self }
    }

    /// With the first window this far before element 0; behind it where negative.
    pub fn low(self, low: &[i64]) -> Windows {
        Windows { low: SmallVec::from_slice(low), ..self }
    }

    /// The position of element `k` of window `r` along an axis.
    pub fn at(&self, axis: usize, r: usize, k: usize) -> i64 {
        (r * self.stride[axis] + k * self.dilation[axis]) as i64 - self.low[axis]
    }

    /// How many windows of `window` elements lie within `extent` elements and `high` more of padding; `None` where not
    /// even the first does.
    pub fn count(&self, axis: usize, extent: usize, window: usize, high: i64) -> Option<usize> {
        let span = (window.max(1) - 1) * self.dilation[axis] + 1;
        let room = extent as i64 + self.low[axis] + high - span as i64;
        usize::try_from(room).ok().map(|room| room / self.stride[axis] + 1)
    }

    /// The position of element `k` of window `r`, as a function of loop axes.
    pub(super) fn index(&self, axis: usize, r: &Affine, k: &Affine) -> Affine {
        let r = r.times(self.stride[axis] as i64);
        r.plus(&k.times(self.dilation[axis] as i64)).shifted(-self.low[axis])
    }

    /// The attributes; those that are as [`Windows::new`] has them are left out.
    pub(super) fn attrs(&self) -> Attrs {
        let plain = Windows::new(self.stride.len());
        let mut attrs = Attrs::new();
        if self.stride != plain.stride {
            attrs.push(("stride", ints(&self.stride)));
        }
        if self.dilation != plain.dilation {
            attrs.push(("dilation", ints(&self.dilation)));
        }
        if self.low != plain.low {
            attrs.push(("low", Attr::Ints(self.low.to_vec())));
        }
        attrs
    }

    /// The windows that attributes describe.
    pub(super) fn from_attrs(attrs: &mut AttrReader<'_>, axes: usize) -> Result<Windows, Error> {
        Ok(Windows {
            stride: attrs.sizes_or("stride", vec![1; axes])?.into(),
            dilation: attrs.sizes_or("dilation", vec![1; axes])?.into(),
            low: attrs.ints_or("low", vec![0; axes])?.into(),
        })
    }

    /// Checks that there is an entry for each of `axes` axes, and that steps are at least 1.
    pub(super) fn check(&self, op: &str, axes: usize) -> Result<(), Error> {
        let lengths = [self.stride.len(), self.dilation.len(), self.low.len()];
        if lengths != [axes; 3] {
            let problem = format!("stride, dilation and low have {lengths:?} entries for {axes} axes");
            return Err(Error::new(op, problem, "give an entry for each axis that windows run along"));
        }
        let is_step = |step: &usize| (1..LIMIT).contains(step);
        let steps = self.stride.iter().chain(&self.dilation);
        let is_within = |low: &i64| low.unsigned_abs() < LIMIT as u64;
        if !steps.clone().all(is_step) || !self.low.iter().all(is_within) {
            let Windows { stride, dilation, low } = self;
            let problem = format!("stride {stride:?}, dilation {dilation:?} and low {low:?}");
            let help = format!("keep strides and dilations above 0, and all of them below {LIMIT}");
            return Err(Error::new(op, problem, help));
        }
        Ok(())
    }
}

/// A loop axis of this number and extent as an index: 0 where there is but one iteration.
pub(super) fn whole(number: usize, extent: usize) -> Affine {
    if extent == 1 { Affine::constant(0) } else { axis(number) }
}

/// The view with these indices of an operand of this shape, with `fill` only where an index can be outside. `extent`
/// says how many values a loop axis has.
pub(super) fn bounded(
    indices: SmallVec<[Affine; 4]>,
    shape: &Shape,
    extent: impl Fn(usize) -> usize,
    fill: Scalar,
) -> View {
    let is_inside = |(index, &own): (&Affine, &usize)| {
        let (low, high) = index.range(|axis| extent(axis.0 as usize).max(1));
        low >= 0 && high < own as i64
    };
    let fill = (!indices.iter().zip(shape.iter()).all(is_inside)).then_some(fill);
    View { indices, fill }
}
