//! Maximum pooling as windows, comparisons and reductions.

use smallvec::{SmallVec, smallvec};

use super::Pool;
use crate::ops::Windows;
use crate::{Builder, Error, Operands, ReduceOp, Scalar, Shape, Tensor, Value};

/// What no index is.
const NONE: i32 = i32::MIN;

impl Pool {
    /// The maxima, and the least number of an element that is as great, or NaN: a maximum is NaN only if one is.
    pub(super) fn maxima(&self, builder: &mut Builder, x: Value) -> Result<Operands, Error> {
        let dtype = builder.dtype(x);
        let least = ReduceOp::Max.identity(dtype);
        let windows = builder.window(x, &self.sizes, &self.windows, &self.extents, least)?;
        let elements = self.last_axes(builder, windows);
        let maxima = builder.reduce_max(windows, &elements, false)?;
        let kept = self.column(builder, maxima)?;
        let mut hit = builder.eq(windows, kept)?;
        if dtype.is_float() {
            let nan = builder.ne(windows, windows)?;
            hit = builder.logical_or(hit, nan)?;
        }
        let numbers = self.numbers(builder);
        let none = builder.scalar(Scalar::I32(i32::MAX));
        let candidates = builder.select(hit, numbers, none)?;
        let indices = builder.reduce(ReduceOp::Min, candidates, &elements, false)?;
        Ok(smallvec![maxima, indices])
    }

    /// The sum over each window of its elements times whether the index names them.
    pub(super) fn repooled(&self, builder: &mut Builder, x: Value, indices: Value) -> Result<Value, Error> {
        let zero = Scalar::from_i64(builder.dtype(x), 0);
        let windows = builder.window(x, &self.sizes, &self.windows, &self.extents, zero)?;
        let elements = self.last_axes(builder, windows);
        let column = self.column(builder, indices)?;
        let numbers = self.numbers(builder);
        let hit = builder.eq(column, numbers)?;
        let zero = builder.scalar(zero);
        let named = builder.select(hit, windows, zero)?;
        builder.reduce_sum(named, &elements, false)
    }

    /// For each `q` and phase `p` along each axis, the sum over the windows `q - j` that contain that element.
    pub(super) fn unpooled(&self, builder: &mut Builder, y: Value, indices: Value) -> Result<Value, Error> {
        let axes = self.sizes.len();
        let leading = SmallVec::<[usize; 4]>::from_slice(&builder.shape(y)[..builder.shape(y).rank() - axes]);
        let list = |of: &dyn Fn(usize) -> usize| -> Vec<usize> { (0..axes).map(of).collect() };
        let stride = |i: usize| self.windows.stride[i];
        let begin = |i: usize| self.windows.low[i].rem_euclid(stride(i) as i64) as usize;
        let overlaps = list(&|i| self.sizes[i].div_ceil(stride(i)));
        let counts = list(&|i| (begin(i) + self.extents[i]).div_ceil(stride(i)));
        // `q - j` with `j` descending: windows of windows.
        let first = |i: usize| self.windows.low[i].div_euclid(stride(i) as i64);
        let low: Vec<i64> = (0..axes).map(|i| overlaps[i] as i64 - 1 - first(i)).collect();
        let around = Windows::new(axes).low(&low);
        let pairs: Vec<usize> = counts.iter().flat_map(|&count| [count, 1]).collect();
        let shape: Shape = leading.iter().chain(&pairs).chain(&overlaps).copied().collect();
        let nearby = |builder: &mut Builder, x: Value| {
            let zero = Scalar::from_i64(builder.dtype(x), 0);
            let near = builder.window(x, &overlaps, &around, &counts, zero)?;
            builder.reshape(near, shape.clone())
        };
        let (y, indices) = (nearby(builder, y)?, nearby(builder, indices)?);
        let numbers = self.numbers_by_phase(builder, &overlaps);
        let hit = builder.eq(indices, numbers)?;
        let zero = builder.float_like(y, 0.0);
        let named = builder.select(hit, y, zero)?;
        let elements = self.last_axes(builder, named);
        let sum = builder.reduce_sum(named, &elements, false)?;
        let full = |of: &dyn Fn(usize) -> usize| -> Vec<usize> {
            leading.iter().copied().chain((0..axes).map(of)).collect()
        };
        let merged = builder.reshape(sum, full(&|i| counts[i] * stride(i)).as_slice())?;
        let starts: Vec<usize> = leading.iter().map(|_| 0).chain((0..axes).map(begin)).collect();
        let ends = full(&|i| begin(i) + self.extents[i]);
        builder.slice(merged, &starts, &ends, &vec![1; starts.len()])
    }

    /// A value per window, as `[a.., r.., 1..]`.
    fn column(&self, builder: &mut Builder, x: Value) -> Result<Value, Error> {
        let shape: Shape = builder.shape(x).iter().copied().chain(self.sizes.iter().map(|_| 1)).collect();
        builder.reshape(x, shape)
    }

    fn last_axes(&self, builder: &Builder, x: Value) -> Vec<usize> {
        let rank = builder.shape(x).rank();
        (rank - self.sizes.len()..rank).collect()
    }

    /// The number of each element of a window: `[k..]`.
    fn numbers(&self, builder: &mut Builder) -> Value {
        let numbers = (0..self.sizes.iter().product::<usize>() as i32).collect();
        builder.constant(Tensor::new(self.sizes.as_slice(), numbers).expect("a number per element"))
    }

    /// The number of element `stride * j + p` of a window, with `j` descending from the last: `[p, 1, p, .., 1, p, j..]`,
    /// as it belongs to `[q, p, q, p, .., j..]`; [`NONE`] where a window has no such element.
    fn numbers_by_phase(&self, builder: &mut Builder, overlaps: &[usize]) -> Value {
        let axes = self.sizes.len();
        let phases = self.windows.stride.as_slice();
        let strides = Shape::new(&self.sizes).strides();
        let all: Shape = phases.iter().chain(overlaps).copied().collect();
        let mut index = vec![0; 2 * axes];
        let numbers = (0..all.elements()).map(|_| {
            let element = |i: usize| phases[i] * (overlaps[i] - 1 - index[axes + i]) + index[i];
            let is_inside = (0..axes).all(|i| element(i) < self.sizes[i]);
            let number: usize = (0..axes).map(|i| element(i) * strides[i]).sum();
            crate::eval::advance(&mut index, &all);
            if is_inside { number as i32 } else { NONE }
        });
        let numbers: Vec<i32> = numbers.collect();
        let pairs = phases.iter().flat_map(|&phase| [1, phase]).skip(1);
        let shape: Shape = pairs.chain(overlaps.iter().copied()).collect();
        builder.constant(Tensor::new(shape, numbers).expect("a number per phase and overlap"))
    }
}
