//! Transposed convolutions with strides, as ones without.
//!
//! In coordinates that count from where the first window begins, element `i' = i + low` of the result gets a product from
//! `y[r]` and `w[k]` where `i' = stride * r + k`. With `i' = stride * q + p` and `k = stride * j + p`, where the
//! *phase* `p` is below the stride, that is `r = q - j`: for each phase a transposed convolution of stride 1, with every
//! `stride`-th element of the weight. Phases with as many of these elements are computed together, as further channels
//! (W. Shi et al., "Is the deconvolution layer the same as a convolutional layer?", 2016); so along an axis there are at
//! most two convolutions, and each multiplies no more than it must. What they give is put in the order `.., q, p, ..`, which
//! is that of `i'`.

use smallvec::{SmallVec, smallvec};

use super::{Conv, ConvOf, LEADING};
use crate::ops::Windows;
use crate::{Builder, Error, Lowering, Scalar, Value};

/// Phases `first .. end` of one axis, each with `taps` elements of the weight.
#[derive(Clone, Copy)]
struct Phases {
    first: usize,
    end: usize,
    taps: usize,
}

/// The axis in these coordinates.
struct Axis {
    stride: usize,
    /// The classes of phases that have elements of the weight at all.
    classes: Vec<Phases>,
    /// `q` counts from here.
    first: i64,
    /// The number of values of `q`.
    count: usize,
    /// The first element of the result that is wanted.
    start: usize,
}

/// What a strided `conv_transpose` stands for.
pub fn expand(conv: &Conv) -> Lowering {
    let conv = conv.clone();
    Lowering::Expand(Box::new(move |builder, operands| {
        let [y, w] = [operands[0], operands[1]];
        let (w, dilation) = spread(builder, w, &conv.windows)?;
        let axes: Vec<Axis> =
            (0..conv.extents.len()).map(|i| axis(&conv, i, builder.shape(w)[LEADING + i])).collect();
        let mut sum = None;
        for phases in classes(&axes) {
            let part = part(builder, [y, w], &axes, &phases, &dilation)?;
            sum = Some(match sum {
                None => part,
                Some(sum) => builder.add(sum, part)?,
            });
        }
        let leading = [builder.shape(y)[0], builder.shape(y)[1], builder.shape(w)[2]];
        let extents = |extent: &dyn Fn(usize) -> usize| -> Vec<usize> {
            leading.into_iter().chain((0..axes.len()).map(extent)).collect()
        };
        let result = extents(&|i| conv.extents[i]);
        let Some(sum) = sum else {
            let zero = builder.float_like(y, 0.0);
            return Ok(smallvec![builder.broadcast(zero, result.as_slice())?]);
        };
        let merged = builder.reshape(sum, extents(&|i| axes[i].count * axes[i].stride).as_slice())?;
        let starts: Vec<usize> = [0; LEADING].into_iter().chain(axes.iter().map(|axis| axis.start)).collect();
        let ends: Vec<usize> = starts.iter().zip(&result).map(|(start, extent)| start + extent).collect();
        Ok(smallvec![builder.slice(merged, &starts, &ends, &vec![1; starts.len()])?])
    }))
}

/// The weight with zeros between its elements along axes that have a stride and a dilation, and the dilations that remain.
fn spread(
    builder: &mut Builder,
    w: Value,
    windows: &Windows,
) -> Result<(Value, SmallVec<[usize; 2]>), Error> {
    let is_spread = |i: &usize| windows.stride[*i] > 1 && windows.dilation[*i] > 1;
    let axes = windows.stride.len();
    if (0..axes).all(|i| !is_spread(&i)) {
        return Ok((w, windows.dilation.clone()));
    }
    let none = vec![0; LEADING + axes];
    let mut interior = none.clone();
    let mut dilation = windows.dilation.clone();
    for i in (0..axes).filter(is_spread) {
        interior[LEADING + i] = std::mem::replace(&mut dilation[i], 1) - 1;
    }
    let zero = Scalar::from_i64(builder.dtype(w), 0);
    Ok((builder.pad(w, &none, &none, &interior, zero)?, dilation))
}

/// Spatial axis `i` of a result, where the weight has `taps` elements along it.
fn axis(conv: &Conv, i: usize, taps: usize) -> Axis {
    let (stride, low) = (conv.windows.stride[i], conv.windows.low[i]);
    let first = low.div_euclid(stride as i64);
    let start = low.rem_euclid(stride as i64) as usize;
    let (whole, rest) = (taps / stride, taps % stride);
    let classes =
        [Phases { first: 0, end: rest, taps: whole + 1 }, Phases { first: rest, end: stride, taps: whole }];
    let classes = classes.into_iter().filter(|phases| phases.first < phases.end && phases.taps > 0);
    let count = (start + conv.extents[i]).div_ceil(stride);
    Axis { stride, classes: classes.collect(), first, count, start }
}

/// All combinations of a class for each axis.
fn classes(axes: &[Axis]) -> Vec<Vec<Phases>> {
    axes.iter().fold(vec![Vec::new()], |all, axis| {
        let longer = |head: &Vec<Phases>| {
            let head = head.clone();
            axis.classes.iter().map(move |&phases| [head.as_slice(), &[phases]].concat())
        };
        all.iter().flat_map(longer).collect()
    })
}

/// The phases of one combination of classes, in their place in `[n, g, c, q, p, ..]`; the others are 0.
fn part(
    builder: &mut Builder,
    [y, w]: [Value; 2],
    axes: &[Axis],
    phases: &[Phases],
    dilation: &[usize],
) -> Result<Value, Error> {
    let zero = Scalar::from_i64(builder.dtype(w), 0);
    let each = 0..axes.len();
    let list = |of: &dyn Fn(usize) -> usize| -> Vec<usize> { each.clone().map(of).collect() };
    let (taps, width) = (list(&|i| phases[i].taps), list(&|i| phases[i].end - phases[i].first));
    let counts = list(&|i| axes[i].count);
    // w[g, o, c, stride * j + p] as [g, o, (c, p, ..), j, ..].
    let first: Vec<i64> = phases.iter().map(|phases| -(phases.first as i64)).collect();
    let windows = Windows::new(axes.len()).stride(&list(&|i| axes[i].stride)).low(&first);
    let taps_and_phases = builder.window(w, &width, &windows, &taps, zero)?;
    let (j, p) = (LEADING, LEADING + axes.len());
    let order: Vec<usize> = (0..LEADING).chain(p..p + axes.len()).chain(j..p).collect();
    let turned = builder.transpose(taps_and_phases, &order)?;
    let [g, o, c] = [0, 1, 2].map(|axis| builder.shape(w)[axis]);
    let channels = c * width.iter().product::<usize>();
    let filter = builder.reshape(turned, [&[g, o, channels], &taps[..]].concat().as_slice())?;
    let windows = Windows::new(axes.len())
        .dilation(dilation)
        .low(&axes.iter().map(|axis| axis.first).collect::<Vec<_>>());
    let op = Conv { of: ConvOf::Input, windows, extents: SmallVec::from_slice(&counts) };
    let parts = builder.op(op, &[y, filter])?;
    // [n, g, (c, p, ..), q, ..] as [n, g, c, q, p, ..], and zeros for the other phases.
    let n = builder.shape(y)[0];
    let split = builder.reshape(parts, [&[n, g, c], &width[..], &counts[..]].concat().as_slice())?;
    let order: Vec<usize> = (0..LEADING).chain(each.clone().flat_map(|i| [p + i, LEADING + i])).collect();
    let turned = builder.transpose(split, &order)?;
    let pairs = |of: &dyn Fn(usize) -> usize| -> Vec<usize> {
        [0; LEADING].into_iter().chain(each.clone().flat_map(|i| [0, of(i)])).collect()
    };
    let low = pairs(&|i| phases[i].first);
    let high = pairs(&|i| axes[i].stride - phases[i].end);
    builder.pad(turned, &low, &high, &pairs(&|_| 0), zero)
}
