//! Convolutions over any number of spatial axes, and their two gradients.
//!
//! With spatial indices `r`, `k` and `i` of as many entries, all three are derivatives of one trilinear form,
//!
//! `F(x, w, y) = sum of x[n, g, c, i] * w[g, o, c, k] * y[n, g, o, r]` over all indices with
//! `i = r * stride + k * dilation - low` inside of `x`:
//!
//! - `conv` is its derivative with respect to `y`: the convolution of `x` with `w`, with zeros around `x`;
//! - `conv_transpose` that with respect to `x`: a convolution's gradient for its input, and a transposed convolution;
//! - `conv_weight` that with respect to `w`: a convolution's gradient for its weight.
//!
//! So the gradients of each are the other two. The spatial extents of the result are an attribute: what lies outside of
//! them is left out, and what is never reached is 0.

use smallvec::{SmallVec, smallvec};

use super::layout::{axis, ints};
use super::windows::{Windows, bounded, whole};
use crate::eval::{Array, advance};
use crate::ops::{Batched, Differentiated, Gradients, OpDef, Sample, expect_operands, sample};
use crate::{Affine, AttrReader, Attrs, Builder, Contraction, DType, Error, Graph, Lowering, Num, Operands};
use crate::{Scalar, ScalarFn, Shape, Type, Types, View};

mod strided;
#[cfg(test)]
mod tests;

/// Which of the three tensors of the form above is computed, from the other two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConvOf {
    /// `y` from `x` and `w`: `conv`.
    Output,
    /// `x` from `y` and `w`: `conv_transpose`.
    Input,
    /// `w` from `x` and `y`: `conv_weight`.
    Weight,
}

/// One of `conv`, `conv_transpose` and `conv_weight`, on `x[n, g, c, ..]`, `w[g, o, c, ..]` and `y[n, g, o, ..]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// Which it is.
    pub of: ConvOf,
    /// Where windows lie in `x`.
    pub windows: Windows,
    /// The spatial extents of the result.
    pub extents: SmallVec<[usize; 2]>,
}

/// `n`, `g`, `o`, `c`, and the spatial extents of `y`, `w` and `x`.
struct Extents {
    n: usize,
    g: usize,
    o: usize,
    c: usize,
    r: SmallVec<[usize; 2]>,
    k: SmallVec<[usize; 2]>,
    i: SmallVec<[usize; 2]>,
}

/// The axes before the spatial ones.
const LEADING: usize = 3;

impl ConvOf {
    fn name(self) -> &'static str {
        match self {
            ConvOf::Output => "conv",
            ConvOf::Input => "conv_transpose",
            ConvOf::Weight => "conv_weight",
        }
    }

    /// Letters for the axes of both operands and of the result.
    fn axes(self) -> [&'static str; 3] {
        match self {
            ConvOf::Output => ["[n, g, c, ..]", "[g, o, c, ..]", "[n, g, o, ..]"],
            ConvOf::Input => ["[n, g, o, ..]", "[g, o, c, ..]", "[n, g, c, ..]"],
            ConvOf::Weight => ["[n, g, c, ..]", "[n, g, o, ..]", "[g, o, c, ..]"],
        }
    }
}

const ALL: [ConvOf; 3] = [ConvOf::Output, ConvOf::Input, ConvOf::Weight];

impl Conv {
    /// The extents of everything, where the leading ones of the operands agree.
    fn extents(&self, left: &Shape, right: &Shape) -> Option<Extents> {
        let [a, b, c] = [left[0], left[1], left[2]];
        let [d, e, f] = [right[0], right[1], right[2]];
        let spatial = |shape: &Shape| SmallVec::from_slice(&shape[LEADING..]);
        let own = self.extents.clone();
        let (left, right) = (spatial(left), spatial(right));
        let (agree, extents) = match self.of {
            ConvOf::Output => (b == d && c == f, Extents { n: a, g: b, o: e, c, r: own, k: right, i: left }),
            ConvOf::Input => {
                (b == d && c == e, Extents { n: a, g: b, o: c, c: f, r: left, k: right, i: own })
            }
            ConvOf::Weight => (a == d && b == e, Extents { n: a, g: b, o: f, c, r: right, k: own, i: left }),
        };
        agree.then_some(extents)
    }
}

impl Extents {
    fn shape(&self, of: ConvOf) -> Shape {
        let (leading, spatial) = match of {
            ConvOf::Output => ([self.n, self.g, self.o], &self.r),
            ConvOf::Input => ([self.n, self.g, self.c], &self.i),
            ConvOf::Weight => ([self.g, self.o, self.c], &self.k),
        };
        leading.into_iter().chain(spatial.iter().copied()).collect()
    }
}

impl OpDef for Conv {
    fn names() -> Vec<&'static str> {
        ALL.iter().map(|of| of.name()).collect()
    }

    fn name(&self) -> &'static str {
        self.of.name()
    }

    fn attrs(&self) -> Attrs {
        let mut attrs = self.windows.attrs();
        attrs.push(("extents", ints(&self.extents)));
        attrs
    }

    fn from_attrs(name: &str, attrs: &mut AttrReader<'_>) -> Result<Self, Error> {
        let extents: SmallVec<[usize; 2]> = attrs.sizes("extents")?.into();
        let windows = Windows::from_attrs(attrs, extents.len())?;
        let of = ALL.into_iter().find(|of| of.name() == name).expect("the parser asks for names of this op");
        Ok(Conv { of, windows, extents })
    }

    fn infer(&self, operands: &[&Type], _: Option<&Graph>) -> Result<Types, Error> {
        let name = self.name();
        expect_operands(name, operands, 2)?;
        let (left, right) = (operands[0], operands[1]);
        self.windows.check(name, self.extents.len())?;
        if left.dtype != right.dtype || left.dtype == DType::Bool {
            let problem = format!("{left} and {right} differ in dtype or are no numbers");
            return Err(Error::new(name, problem, "give numbers of one dtype; `cast_f32` converts"));
        }
        let rank = LEADING + self.extents.len();
        let agree = [left, right].iter().all(|ty| ty.shape.rank() == rank);
        let extents = agree.then(|| self.extents(&left.shape, &right.shape)).flatten();
        let Some(extents) = extents else {
            let [first, second, _] = self.of.axes();
            let problem = format!("{left} and {right} are not {first} and {second}");
            let help = format!("give {rank} axes each, and make the extents of equal letters equal");
            return Err(Error::new(name, problem, help));
        };
        Ok(smallvec![Type { dtype: left.dtype, shape: extents.shape(self.of) }])
    }

    /// The terms of the form one by one.
    fn eval(&self, operands: &[&Array], results: &[Type], _: Option<&Graph>) -> Vec<Array> {
        let dtype = results[0].dtype;
        let e = self.extents(&operands[0].ty.shape, &operands[1].ty.shape).expect("`infer` has checked");
        let (mul, add) = (ScalarFn::Mul.row().eval, ScalarFn::Add.row().eval);
        let axes = self.extents.len();
        let all: Shape = [e.n, e.g, e.o, e.c].into_iter().chain(e.r.clone()).chain(e.k.clone()).collect();
        let strides = ALL.map(|of| e.shape(of).strides());
        let place = |of: usize, leading: [usize; 3], spatial: &[usize]| -> usize {
            let index = leading.iter().chain(spatial);
            index.zip(&strides[of]).map(|(i, stride)| i * stride).sum()
        };
        let mut result = Array::from_fn(&results[0], |_| Num::of(dtype, 0));
        let mut index = vec![0; all.rank()];
        for _ in 0..all.elements() {
            let [n, g, o, c] = [index[0], index[1], index[2], index[3]];
            let (r, k) = index[4..].split_at(axes);
            let inside = |axis: usize| {
                usize::try_from(self.windows.at(axis, r[axis], k[axis])).ok().filter(|&i| i < e.i[axis])
            };
            if let Some(i) = (0..axes).map(inside).collect::<Option<Vec<usize>>>() {
                let [y, x, w] = [place(0, [n, g, o], r), place(1, [n, g, c], &i), place(2, [g, o, c], k)];
                let (target, left, right) = match self.of {
                    ConvOf::Output => (y, x, w),
                    ConvOf::Input => (x, y, w),
                    ConvOf::Weight => (w, x, y),
                };
                let product = mul(dtype, &[operands[0].get(left), operands[1].get(right)]);
                result.set(target, add(dtype, &[result.get(target), product]));
            }
            advance(&mut index, &all);
        }
        vec![result]
    }

    /// The incoming gradient stands for the tensor that the op computes.
    fn grad(&self, builder: &mut Builder, node: &Differentiated<'_>) -> Result<Gradients, Error> {
        let Some(gradient) = node.gradients[0] else { return Ok(smallvec![None, None]) };
        let (left, right) = (node.operands[0], node.operands[1]);
        let [to_left, to_right] = match self.of {
            ConvOf::Output => [(ConvOf::Input, [gradient, right]), (ConvOf::Weight, [left, gradient])],
            ConvOf::Input => [(ConvOf::Output, [gradient, right]), (ConvOf::Weight, [gradient, left])],
            ConvOf::Weight => [(ConvOf::Input, [right, gradient]), (ConvOf::Output, [left, gradient])],
        };
        let mut other = |(of, operands): (ConvOf, [crate::Value; 2]), like: crate::Value| {
            let extents = SmallVec::from_slice(&builder.shape(like)[LEADING..]);
            builder.op(Conv { of, windows: self.windows.clone(), extents }, &operands)
        };
        Ok(smallvec![Some(other(to_left, left)?), Some(other(to_right, right)?)])
    }

    fn batched(&self, builder: &mut Builder, node: &Batched<'_>) -> Result<Option<Operands>, Error> {
        if self.of == ConvOf::Weight || node.is_stacked[..] != [true, false] {
            return Ok(None);
        }
        // The images of all items are one batch.
        let items = node.item_shape(builder, 0);
        let images = |shape: &Shape| -> Shape {
            std::iter::once(node.length * shape[0]).chain(shape[1..].iter().copied()).collect()
        };
        let x = builder.reshape(node.operands[0], images(&items))?;
        let y = builder.op(self.clone(), &[x, node.operands[1]])?;
        Ok(Some(smallvec![builder.reshape(y, node.stack_shape(&node.results[0].shape))?]))
    }

    fn lower(&self, operands: &[&Type], results: &[Type]) -> Lowering {
        match self.of == ConvOf::Input && self.windows.stride.iter().any(|&stride| stride > 1) {
            true => strided::expand(self),
            false => Lowering::Contract(self.contraction(operands, results)),
        }
    }

    fn samples() -> Vec<Sample> {
        ALL.into_iter().flat_map(|of| CASES.iter().map(move |case| case.sample(of))).collect()
    }
}

impl Conv {
    /// The sum over the axes that the result does not have.
    fn contraction(&self, operands: &[&Type], results: &[Type]) -> Contraction {
        let e = self.extents(&operands[0].shape, &operands[1].shape).expect("`infer` has checked");
        let axes = self.extents.len();
        let result = &results[0].shape;
        let rank = result.rank();
        // The axes of the result come first, then the reduced ones: a channel or the batch, then a spatial index each.
        let reduced: SmallVec<[usize; 4]> = match self.of {
            ConvOf::Output => [e.c].into_iter().chain(e.k.clone()).collect(),
            ConvOf::Input => [e.o].into_iter().chain(e.k.clone()).collect(),
            ConvOf::Weight => [e.n].into_iter().chain(e.r.clone()).collect(),
        };
        let [a, b, c] = [0, 1, 2].map(|axis| whole(axis, result[axis]));
        let extra = whole(rank, reduced[0]);
        let (own, other) = (|i: usize| axis(LEADING + i), |i: usize| axis(rank + 1 + i));
        let extent = |axis: usize| if axis < rank { result[axis] } else { reduced[axis - rank] };
        let view = |leading: [&Affine; LEADING], index: &dyn Fn(usize) -> Affine, shape: &Shape| -> View {
            let indices = leading.into_iter().cloned().chain((0..axes).map(index)).collect();
            bounded(indices, shape, extent, Scalar::from_i64(operands[0].dtype, 0))
        };
        let [left_shape, right_shape] = [&operands[0].shape, &operands[1].shape];
        let at = |axis: usize, r: &Affine, k: &Affine| self.windows.index(axis, r, k);
        let (left, right) = match self.of {
            // y[a n, b g, c o, own r] = sum over extra c, other k of x[n, g, c, i] * w[g, o, c, k].
            ConvOf::Output => (
                view([&a, &b, &extra], &|axis| at(axis, &own(axis), &other(axis)), left_shape),
                view([&b, &c, &extra], &other, right_shape),
            ),
            // x[a n, b g, c c, own i] = sum over extra o, other k of y[n, g, o, r] * w[g, o, c, k], with stride 1.
            ConvOf::Input => {
                let r = |axis: usize| {
                    let back = other(axis).times(-(self.windows.dilation[axis] as i64));
                    own(axis).plus(&back).shifted(self.windows.low[axis])
                };
                (view([&a, &b, &extra], &r, left_shape), view([&b, &extra, &c], &other, right_shape))
            }
            // w[a g, b o, c c, own k] = sum over extra n, other r of x[n, g, c, i] * y[n, g, o, r].
            ConvOf::Weight => (
                view([&extra, &a, &c], &|axis| at(axis, &other(axis), &own(axis)), left_shape),
                view([&extra, &a, &b], &other, right_shape),
            ),
        };
        Contraction { reduced, left, right }
    }
}

/// A convolution to test with: the sizes of everything.
struct Case {
    /// `n`, `g`, `o`, `c`
    leading: [usize; 4],
    /// The spatial extents of `x`, of `w` and of `y`.
    spatial: [&'static [usize]; 3],
    stride: &'static [usize],
    dilation: &'static [usize],
    low: &'static [i64],
}

impl Case {
    fn sample(&self, of: ConvOf) -> Sample {
        let [n, g, o, c] = self.leading;
        let [x, w, y] = self.spatial;
        let windows = Windows::new(x.len()).stride(self.stride).dilation(self.dilation).low(self.low);
        let e = Extents { n, g, o, c, r: y.into(), k: w.into(), i: x.into() };
        let (operands, extents) = match of {
            ConvOf::Output => ([ConvOf::Input, ConvOf::Weight], y),
            ConvOf::Input => ([ConvOf::Output, ConvOf::Weight], x),
            ConvOf::Weight => ([ConvOf::Input, ConvOf::Output], w),
        };
        let [left, right] = operands.map(|of| e.shape(of));
        sample(Conv { of, windows, extents: extents.into() }, &[&left, &right])
    }
}

const fn case(
    leading: [usize; 4],
    spatial: [&'static [usize]; 3],
    stride: &'static [usize],
    dilation: &'static [usize],
    low: &'static [i64],
) -> Case {
    Case { leading, spatial, stride, dilation, low }
}

const CASES: [Case; 24] = [
    // One axis: plain, padded, strided, dilated, both.
    case([2, 1, 3, 2], [&[7], &[3], &[5]], &[1], &[1], &[0]),
    case([1, 1, 2, 3], [&[5], &[3], &[5]], &[1], &[1], &[1]),
    case([2, 1, 1, 2], [&[11], &[3], &[5]], &[2], &[1], &[0]),
    case([1, 2, 2, 1], [&[7], &[2], &[3]], &[3], &[1], &[1]),
    case([1, 1, 2, 2], [&[9], &[3], &[5]], &[1], &[2], &[0]),
    case([1, 1, 1, 2], [&[13], &[3], &[4]], &[3], &[2], &[2]),
    case([1, 1, 2, 1], [&[8], &[4], &[3]], &[2], &[2], &[1]),
    // Windows that begin behind element 0, that overlap an end, that miss every element.
    case([1, 1, 2, 2], [&[7], &[2], &[3]], &[2], &[1], &[-1]),
    case([2, 1, 1, 1], [&[2], &[5], &[3]], &[1], &[1], &[2]),
    case([1, 1, 1, 2], [&[3], &[2], &[9]], &[1], &[3], &[4]),
    // Extents of 1, and of 0.
    case([1, 1, 1, 1], [&[1], &[1], &[1]], &[1], &[1], &[0]),
    case([3, 1, 2, 5], [&[4], &[1], &[2]], &[2], &[1], &[0]),
    case([0, 1, 2, 3], [&[4], &[2], &[3]], &[1], &[1], &[0]),
    case([2, 1, 3, 0], [&[4], &[2], &[3]], &[1], &[1], &[0]),
    case([1, 1, 2, 2], [&[0], &[3], &[2]], &[2], &[1], &[2]),
    // Two axes: plain, the shapes of usual networks, groups, one channel per group.
    case([2, 1, 3, 2], [&[5, 4], &[3, 2], &[3, 3]], &[1, 1], &[1, 1], &[0, 0]),
    case([1, 1, 2, 2], [&[5, 5], &[3, 3], &[5, 5]], &[1, 1], &[1, 1], &[1, 1]),
    case([1, 1, 2, 2], [&[7, 7], &[3, 3], &[4, 4]], &[2, 2], &[1, 1], &[1, 1]),
    case([2, 2, 2, 3], [&[3, 5], &[2, 3], &[2, 3]], &[1, 1], &[1, 1], &[0, 0]),
    case([1, 5, 1, 1], [&[5, 3], &[3, 3], &[5, 3]], &[1, 1], &[1, 1], &[1, 1]),
    case([1, 2, 1, 2], [&[7, 5], &[2, 3], &[3, 2]], &[2, 3], &[2, 1], &[0, 2]),
    case([1, 1, 1, 2], [&[6, 1], &[4, 3], &[3, 1]], &[2, 1], &[1, 1], &[1, 1]),
    case([1, 1, 2, 1], [&[9, 7], &[5, 1], &[2, 3]], &[4, 2], &[1, 1], &[1, 0]),
    // Three axes.
    case([1, 1, 2, 1], [&[3, 2, 4], &[2, 1, 2], &[2, 2, 2]], &[1, 1, 2], &[1, 1, 1], &[0, 0, 0]),
];
