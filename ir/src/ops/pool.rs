//! Maximum pooling, which remembers where it found the maxima, and what undoes it.
//!
//! An *index* is the number of an element in its window, counted in row-major order, `i32`. With a result `y` per window,
//!
//! - `max_pool` gives the greatest element of each window, and its index;
//! - `max_unpool` adds each `y` to the element that its index names: the gradient of `max_pool`, and a decoder's unpooling;
//! - `max_repool` takes the elements that indices name: the gradient of `max_unpool`, whose own gradient is that again.
//!
//! No element is scattered: `max_unpool` gathers for each of its elements from the few windows that contain it. With
//! `i + low = stride * q + p` and `k = stride * j + p`, where the *phase* `p` is below the stride, these are windows `q - j`.

use smallvec::{SmallVec, smallvec};

use super::layout::ints;
use super::window::check_axes;
use super::windows::Windows;
use crate::eval::{Array, advance};
use crate::ops::{Batched, Differentiated, Gradients, OpDef, Sample, SampleOperand, expect_operands, sample};
use crate::text::MAX_RANK;
use crate::{
    AttrReader, Attrs, Builder, DType, Error, Graph, Lowering, Num, Operands, ReduceOp, ScalarFn, Shape,
};
use crate::{Type, Types};

mod expand;

/// Which of the ops it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolOf {
    /// `max_pool` of `x[a.., i..]`: the maxima `[a.., r..]` and their indices.
    Maxima,
    /// `max_unpool` of `y[a.., r..]` and indices: `[a.., i..]`.
    Unpooled,
    /// `max_repool` of `x[a.., i..]` and indices `[a.., r..]`: `[a.., r..]`.
    Repooled,
}

/// One of `max_pool`, `max_unpool` and `max_repool`, over windows along the last axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Which it is.
    pub of: PoolOf,
    /// The elements of a window along each axis, at least 1.
    pub sizes: SmallVec<[usize; 2]>,
    /// Where the windows lie; they have no dilation.
    pub windows: Windows,
    /// The extents of the result along the axes that windows run along.
    pub extents: SmallVec<[usize; 2]>,
}

const ALL: [PoolOf; 3] = [PoolOf::Maxima, PoolOf::Unpooled, PoolOf::Repooled];

impl PoolOf {
    fn name(self) -> &'static str {
        match self {
            PoolOf::Maxima => "max_pool",
            PoolOf::Unpooled => "max_unpool",
            PoolOf::Repooled => "max_repool",
        }
    }
}

impl OpDef for Pool {
    fn names() -> Vec<&'static str> {
        ALL.iter().map(|of| of.name()).collect()
    }

    fn name(&self) -> &'static str {
        self.of.name()
    }

    fn attrs(&self) -> Attrs {
        let mut attrs = vec![("sizes", ints(&self.sizes))];
        attrs.extend(self.windows.attrs());
        attrs.push(("extents", ints(&self.extents)));
        attrs
    }

    fn from_attrs(name: &str, attrs: &mut AttrReader<'_>) -> Result<Self, Error> {
        let sizes: SmallVec<[usize; 2]> = attrs.sizes("sizes")?.into();
        let windows = Windows::from_attrs(attrs, sizes.len())?;
        let of = ALL.into_iter().find(|of| of.name() == name).expect("the parser asks for names of this op");
        Ok(Pool { of, sizes, windows, extents: attrs.sizes("extents")?.into() })
    }

    fn infer(&self, operands: &[&Type], _: Option<&Graph>) -> Result<Types, Error> {
        let name = self.name();
        expect_operands(name, operands, if self.of == PoolOf::Maxima { 1 } else { 2 })?;
        let x = operands[0];
        let axes = check_axes(name, &x.shape, &self.sizes, &self.extents)?;
        self.windows.check(name, axes)?;
        let Windows { stride, dilation, .. } = &self.windows;
        let area = |sides: &[usize]| sides.iter().try_fold(1usize, |area, &side| area.checked_mul(side));
        let is_small =
            [&self.sizes, stride].iter().all(|sides| area(sides).is_some_and(|area| area <= LARGEST));
        if self.sizes.contains(&0) || !is_small || dilation.iter().any(|&step| step != 1) {
            let problem = format!("windows of {:?} by {stride:?}, dilation {dilation:?}", self.sizes);
            let help =
                format!("give dense windows of 1 to {LARGEST} elements, and strides of as many at most");
            return Err(Error::new(name, problem, help));
        }
        // Its expansion has three axes for each of the windows'.
        let expanded = x.shape.rank() + 2 * axes;
        if expanded > MAX_RANK {
            let problem = format!("windows along {axes} of {} axes", x.shape.rank());
            let help = format!("other axes and three times those of windows are {MAX_RANK} at most");
            return Err(Error::new(name, problem, help));
        }
        if x.dtype == DType::Bool {
            let help = "convert with `cast_i32` first";
            return Err(Error::new(name, format!("it is not defined for {x}"), help));
        }
        let leading = &x.shape[..x.shape.rank() - axes];
        let shape: Shape = leading.iter().chain(&self.extents).copied().collect();
        let wanted = if self.of == PoolOf::Unpooled { &x.shape } else { &shape };
        let indices = Type { dtype: DType::I32, shape: wanted.clone() };
        if let Some(given) = operands.get(1).filter(|given| ***given != indices) {
            let problem = format!("the indices for {x} are {given}");
            return Err(Error::new(name, problem, format!("give {indices}")));
        }
        let result = Type { dtype: x.dtype, shape };
        Ok(if self.of == PoolOf::Maxima { smallvec![result, indices] } else { smallvec![result] })
    }

    fn eval(&self, operands: &[&Array], results: &[Type], _: Option<&Graph>) -> Vec<Array> {
        let zero = Num::of(results[0].dtype, 0);
        match self.of {
            PoolOf::Maxima => {
                let best = |index: &[usize]| self.first_maximum(operands[0], index);
                let maxima = Array::from_fn(&results[0], |index| best(index).0);
                vec![maxima, Array::from_fn(&results[1], |index| Num::Int(best(index).1 as i64))]
            }
            PoolOf::Repooled => vec![Array::from_fn(&results[0], |index| {
                self.named(operands[1], index, &operands[0].ty.shape).map_or(zero, |at| operands[0].at(&at))
            })],
            PoolOf::Unpooled => {
                let mut sum = Array::from_fn(&results[0], |_| zero);
                let shape = &operands[0].ty.shape;
                let mut index = vec![0; shape.rank()];
                let strides = results[0].shape.strides();
                for position in 0..shape.elements() {
                    if let Some(at) = self.named(operands[1], &index, &results[0].shape) {
                        let at = at.iter().zip(&strides).map(|(i, stride)| i * stride).sum();
                        let terms = [sum.get(at), operands[0].get(position)];
                        sum.set(at, (ScalarFn::Add.row().eval)(results[0].dtype, &terms));
                    }
                    advance(&mut index, shape);
                }
                vec![sum]
            }
        }
    }

    fn grad(&self, builder: &mut Builder, node: &Differentiated<'_>) -> Result<Gradients, Error> {
        let Some(gradient) = node.gradients[0] else { return Ok(smallvec![None; node.operands.len()]) };
        let shape = builder.shape(node.operands[0]);
        let extents = SmallVec::from_slice(&shape[shape.rank() - self.sizes.len()..]);
        let (of, indices) = match self.of {
            PoolOf::Maxima => (PoolOf::Unpooled, node.results[1]),
            PoolOf::Unpooled => (PoolOf::Repooled, node.operands[1]),
            PoolOf::Repooled => (PoolOf::Unpooled, node.operands[1]),
        };
        let back = builder.op(Pool { of, extents, ..self.clone() }, &[gradient, indices])?;
        Ok([Some(back), None].into_iter().take(node.operands.len()).collect())
    }

    fn batched(&self, builder: &mut Builder, node: &Batched<'_>) -> Result<Option<Operands>, Error> {
        node.apply(builder, self.clone()).map(Some)
    }

    fn lower(&self, _: &[&Type], _: &[Type]) -> Lowering {
        let pool = self.clone();
        Lowering::Expand(Box::new(move |builder, operands| match pool.of {
            PoolOf::Maxima => pool.maxima(builder, operands[0]),
            PoolOf::Unpooled => Ok(smallvec![pool.unpooled(builder, operands[0], operands[1])?]),
            PoolOf::Repooled => Ok(smallvec![pool.repooled(builder, operands[0], operands[1])?]),
        }))
    }

    fn samples() -> Vec<Sample> {
        ALL.into_iter().flat_map(|of| CASES.iter().map(move |case| case.sample(of))).collect()
    }
}

/// The elements of the largest windows.
const LARGEST: usize = 1 << 12;

impl Pool {
    /// The greatest element of window `index` and its number; of several the first, and a NaN is the greatest. Elements
    /// outside of `x` are the least.
    fn first_maximum(&self, x: &Array, index: &[usize]) -> (Num, usize) {
        let window = Shape::new(&self.sizes);
        let least = Num::from_scalar(ReduceOp::Max.identity(x.ty.dtype));
        let element = |k: &[usize]| self.place(index, k, &x.ty.shape).map_or(least, |at| x.at(&at));
        let beats = |a: Num, b: Num| match (a, b) {
            (Num::Float(a), Num::Float(b)) => (a > b) || (a.is_nan() && !b.is_nan()),
            (Num::Int(a), Num::Int(b)) => a > b,
            _ => unreachable!("elements of one array are of one kind"),
        };
        let mut k = vec![0; self.sizes.len()];
        let mut best = (element(&k), 0);
        for number in 0..window.elements() {
            let value = element(&k);
            if beats(value, best.0) {
                best = (value, number);
            }
            advance(&mut k, &window);
        }
        best
    }

    /// Where element `k` of window `index` is in a tensor of this shape; `None` outside.
    fn place(&self, index: &[usize], k: &[usize], shape: &Shape) -> Option<Vec<usize>> {
        let leading = shape.rank() - k.len();
        let along = |axis: usize| {
            let at = usize::try_from(self.windows.at(axis, index[leading + axis], k[axis])).ok()?;
            (at < shape[leading + axis]).then_some(at)
        };
        index[..leading].iter().map(|&i| Some(i)).chain((0..k.len()).map(along)).collect()
    }

    /// Where the element is that the index of window `index` names.
    fn named(&self, indices: &Array, index: &[usize], shape: &Shape) -> Option<Vec<usize>> {
        let Num::Int(number) = indices.at(index) else { unreachable!("indices are integers") };
        let window = Shape::new(&self.sizes);
        let number = usize::try_from(number).ok().filter(|&number| number < window.elements())?;
        let along = |(stride, size): (usize, &usize)| number / stride % size;
        let k: Vec<usize> = window.strides().into_iter().zip(&self.sizes).map(along).collect();
        self.place(index, &k, shape)
    }
}

/// Pooling to test with: the axes before the windows', the extents of `x` and of the windows, their sizes, ..
struct Case {
    leading: &'static [usize],
    x: &'static [usize],
    sizes: &'static [usize],
    counts: &'static [usize],
    stride: &'static [usize],
    low: &'static [i64],
}

impl Case {
    fn sample(&self, of: PoolOf) -> Sample {
        let windows = Windows::new(self.sizes.len()).stride(self.stride).low(self.low);
        let (large, small) = ([self.leading, self.x].concat(), [self.leading, self.counts].concat());
        let (operand, extents) = match of {
            PoolOf::Maxima | PoolOf::Repooled => (large, self.counts),
            PoolOf::Unpooled => (small.clone(), self.x),
        };
        let op = Pool { of, sizes: self.sizes.into(), windows, extents: extents.into() };
        let mut sample = sample(op, &[&operand]);
        if of != PoolOf::Maxima {
            let ty = Type::new(DType::I32, small.as_slice());
            let elements = self.sizes.iter().product::<usize>() as f64;
            sample.operands.push(SampleOperand { ty, interval: (0.0, elements), differentiable: false });
        }
        sample
    }
}

const fn case(
    leading: &'static [usize],
    [x, sizes, counts]: [&'static [usize]; 3],
    stride: &'static [usize],
    low: &'static [i64],
) -> Case {
    Case { leading, x, sizes, counts, stride, low }
}

const CASES: [Case; 20] = [
    case(&[2], [&[6], &[2], &[3]], &[2], &[0]),
    case(&[], [&[7], &[2], &[3]], &[2], &[0]),
    case(&[], [&[7], &[2], &[4]], &[2], &[0]),
    case(&[1, 3], [&[7], &[3], &[3]], &[2], &[0]),
    case(&[2], [&[7], &[3], &[4]], &[2], &[1]),
    case(&[2], [&[5], &[3], &[3]], &[1], &[0]),
    case(&[], [&[11], &[3], &[4]], &[3], &[1]),
    case(&[], [&[11], &[2], &[4]], &[3], &[0]),
    case(&[], [&[13], &[5], &[5]], &[2], &[-1]),
    case(&[], [&[3], &[5], &[2]], &[1], &[2]),
    case(&[], [&[1], &[1], &[1]], &[1], &[0]),
    case(&[0], [&[4], &[2], &[2]], &[2], &[0]),
    case(&[2], [&[4], &[2], &[0]], &[2], &[0]),
    case(&[2, 3], [&[4, 6], &[2, 2], &[2, 3]], &[2, 2], &[0, 0]),
    case(&[1], [&[5, 7], &[3, 3], &[2, 3]], &[2, 2], &[0, 0]),
    case(&[2], [&[5, 4], &[3, 3], &[3, 2]], &[2, 2], &[1, 1]),
    case(&[], [&[7, 5], &[2, 3], &[3, 2]], &[3, 2], &[1, 0]),
    case(&[3], [&[5, 1], &[2, 1], &[4, 1]], &[1, 1], &[0, 0]),
    case(&[1, 1], [&[5, 5], &[4, 2], &[3, 3]], &[1, 2], &[1, 1]),
    case(&[], [&[4, 2, 3], &[2, 2, 2], &[2, 1, 2]], &[2, 2, 1], &[0, 0, 0]),
];

#[cfg(test)]
mod tests {
    use crate::eval::{Bindings, evaluate};
    use crate::ops::testing::mistake;

    #[test]
    fn windows_are_dense_and_small() {
        let pool = |attrs: &str| {
            mistake(&format!("%x = input : f32[9]\n%y:0, %y:1 = max_pool %x {attrs} extents=[1]"))
        };
        let help = "give dense windows of 1 to 4096 elements, and strides of as many at most";
        for (attrs, said) in [
            ("sizes=[0]", "[0] by [1], dilation [1]"),
            ("sizes=[2] dilation=[2]", "[2] by [1], dilation [2]"),
            ("sizes=[5000]", "[5000] by [1], dilation [1]"),
            ("sizes=[2] stride=[5000]", "[2] by [5000], dilation [1]"),
        ] {
            assert_eq!(pool(attrs), format!("max_pool: windows of {said}; {help}"));
        }
    }

    #[test]
    fn windows_go_along_ten_axes_at_most() {
        let ones = |axes: usize| vec!["1"; axes].join(", ");
        let pool = format!(
            "%x = input : f32[{}]\n%y:0, %y:1 = max_pool %x sizes=[{}] extents=[{}]",
            ones(11),
            ones(11),
            ones(11)
        );
        assert_eq!(
            mistake(&pool),
            "max_pool: windows along 11 of 11 axes; other axes and three times those of windows are 32 at most"
        );
    }

    #[test]
    fn numbers_have_a_maximum() {
        assert_eq!(
            mistake("%x = input : bool[4]\n%y:0, %y:1 = max_pool %x sizes=[2] extents=[3]"),
            "max_pool: it is not defined for bool[4]; convert with `cast_i32` first"
        );
    }

    #[test]
    fn there_is_an_index_for_each_window() {
        assert_eq!(
            mistake("%x = input : f32[2]\n%i = input : i32[3]\n%y = max_unpool %x, %i sizes=[2] extents=[4]"),
            "max_unpool: the indices for f32[2] are i32[3]; give i32[2]"
        );
        assert_eq!(
            mistake("%x = input : f32[4]\n%i = input : i64[3]\n%y = max_repool %x, %i sizes=[2] extents=[3]"),
            "max_repool: the indices for f32[4] are i64[3]; give i32[3]"
        );
    }

    /// The values and indices of windows of two of these elements.
    fn pooled(x: &str) -> (Vec<f32>, Vec<i32>) {
        let text = format!(
            "graph @g {{
               %x = constant value={x} : f32[4]
               %y:0, %y:1 = max_pool %x sizes=[2] stride=[2] extents=[2]
               output y = %y:0
               output at = %y:1
             }}"
        );
        let graph = crate::text::parse_graph(&text).unwrap();
        let outputs = evaluate(&graph, &Bindings::default()).unwrap().outputs;
        (outputs["y"].as_slice().unwrap().to_vec(), outputs["at"].as_slice().unwrap().to_vec())
    }

    #[test]
    fn the_first_of_several_maxima_counts_and_nan_is_the_greatest() {
        assert_eq!(pooled("[3.0, 3.0, 1.0, 2.0]"), (vec![3.0, 2.0], vec![0, 1]));
        let (maxima, indices) = pooled("[3.0, nan, -inf, -inf]");
        assert!(maxima[0].is_nan() && maxima[1] == f32::NEG_INFINITY);
        assert_eq!(indices, [1, 0]);
    }
}
