//! `window`: the elements of sliding windows, each window along axes of its own. It is a view: nothing is copied.

use smallvec::{SmallVec, smallvec};

use super::layout::{axis, ints, view};
use super::windows::{Windows, bounded};
use crate::eval::Array;
use crate::ops::{Batched, Differentiated, Gradients, OpDef, Sample, expect_operands, sample_of};
use crate::{Affine, Value};
use crate::{
    Attr, AttrReader, Attrs, Builder, DType, Error, Graph, Lowering, Num, Operands, Scalar, Shape, Type,
    Types,
};

/// `result[a.., r.., k..] = x[a.., r * stride + k * dilation - low]` over windows along the last axes of `x`, `fill`
/// where that is outside.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// The elements of a window along each axis: the extents of `k..`.
    pub sizes: SmallVec<[usize; 2]>,
    /// Where the windows lie.
    pub windows: Windows,
    /// The number of windows along each axis: the extents of `r..`.
    pub extents: SmallVec<[usize; 2]>,
    /// What is around `x`.
    pub fill: Scalar,
}

impl OpDef for Window {
    fn names() -> Vec<&'static str> {
        vec!["window"]
    }

    fn name(&self) -> &'static str {
        "window"
    }

    fn attrs(&self) -> Attrs {
        let mut attrs = vec![("sizes", ints(&self.sizes))];
        attrs.extend(self.windows.attrs());
        attrs.extend([("extents", ints(&self.extents)), ("fill", Attr::element(self.fill))]);
        attrs
    }

    fn from_attrs(_: &str, attrs: &mut AttrReader<'_>) -> Result<Self, Error> {
        let sizes: SmallVec<[usize; 2]> = attrs.sizes("sizes")?.into();
        let windows = Windows::from_attrs(attrs, sizes.len())?;
        let extents = attrs.sizes("extents")?.into();
        Ok(Window { sizes, windows, extents, fill: attrs.element("fill")? })
    }

    fn infer(&self, operands: &[&Type], _: Option<&Graph>) -> Result<Types, Error> {
        expect_operands("window", operands, 1)?;
        let x = operands[0];
        let axes = check_axes(self.name(), &x.shape, &self.sizes, &self.extents)?;
        self.windows.check("window", axes)?;
        if self.fill.dtype() != x.dtype {
            let problem = format!("the fill is of dtype {}, the operand {x}", self.fill.dtype());
            return Err(Error::new("window", problem, "give a fill of the operand's dtype"));
        }
        let leading = &x.shape[..x.shape.rank() - axes];
        let shape = leading.iter().chain(&self.extents).chain(&self.sizes).copied().collect();
        Ok(smallvec![Type { dtype: x.dtype, shape }])
    }

    fn eval(&self, operands: &[&Array], results: &[Type], _: Option<&Graph>) -> Vec<Array> {
        let x = operands[0];
        let axes = self.sizes.len();
        let leading = x.ty.shape.rank() - axes;
        vec![Array::from_fn(&results[0], |index| {
            let (r, k) = index[leading..].split_at(axes);
            let inside = |axis: usize| {
                let at = usize::try_from(self.windows.at(axis, r[axis], k[axis])).ok();
                at.filter(|&at| at < x.ty.shape[leading + axis])
            };
            let at = index[..leading].iter().map(|&i| Some(i)).chain((0..axes).map(inside));
            let at: Option<Vec<usize>> = at.collect();
            at.map_or(Num::from_scalar(self.fill), |at| x.at(&at))
        })]
    }

    /// Elements of windows are added up where they lie in `x`: a transposed convolution whose channels are the elements of
    /// a window, each with a weight of 1 at its own place.
    fn grad(&self, builder: &mut Builder, node: &Differentiated<'_>) -> Result<Gradients, Error> {
        let Some(gradient) = node.gradients[0] else { return Ok(smallvec![None]) };
        let shape = builder.shape(node.operands[0]).clone();
        let (axes, leading) = (self.sizes.len(), shape.rank() - self.sizes.len());
        let order: Vec<usize> =
            (0..leading).chain(leading + axes..leading + 2 * axes).chain(leading..leading + axes).collect();
        let channels: usize = self.sizes.iter().product();
        let rows: usize = shape[..leading].iter().product();
        let turned = builder.transpose(gradient, &order)?;
        let y = builder.reshape(turned, [&[rows, 1, channels], &self.extents[..]].concat().as_slice())?;
        let w = one_each(builder, channels, &self.sizes, self.fill.dtype())?;
        let sum = builder.conv_transpose(y, w, &self.windows, &shape[leading..])?;
        Ok(smallvec![Some(builder.reshape(sum, shape)?)])
    }

    fn batched(&self, builder: &mut Builder, node: &Batched<'_>) -> Result<Option<Operands>, Error> {
        node.apply(builder, self.clone()).map(Some)
    }

    fn lower(&self, operands: &[&Type], results: &[Type]) -> Lowering {
        let (axes, result) = (self.sizes.len(), &results[0].shape);
        let leading = operands[0].shape.rank() - axes;
        let counted = |at: usize| if result[at] == 1 { Affine::constant(0) } else { axis(at) };
        let along = |i: usize| self.windows.index(i, &counted(leading + i), &counted(leading + axes + i));
        let indices = (0..leading).map(axis).chain((0..axes).map(along)).collect();
        let view_of = bounded(indices, &operands[0].shape, |axis| result[axis], self.fill);
        view(view_of.indices, view_of.fill)
    }

    fn samples() -> Vec<Sample> {
        let case = |shape: &[usize],
                    sizes: &[usize],
                    extents: &[usize],
                    stride: &[usize],
                    dilation: &[usize],
                    low: &[i64]| {
            let windows = Windows::new(sizes.len()).stride(stride).dilation(dilation).low(low);
            let fill = Scalar::F64(0.5);
            sample_of(
                DType::F64,
                Window { sizes: sizes.into(), windows, extents: extents.into(), fill },
                &[shape],
            )
        };
        let one_axis = [
            (7, 3, 5, 1, 1, 0),
            (7, 3, 3, 2, 1, 0),
            (6, 2, 3, 2, 1, 0),
            (5, 3, 5, 1, 1, 1),
            (11, 3, 6, 2, 1, 1),
            (13, 3, 3, 3, 2, 2),
            (5, 2, 3, 1, 1, -2),
            (3, 5, 2, 1, 1, 2),
            (4, 1, 2, 2, 1, 0),
            (1, 1, 1, 1, 1, 0),
            (2, 3, 4, 2, 3, 3),
            (0, 2, 2, 1, 1, 1),
            (4, 2, 0, 1, 1, 0),
            (5, 0, 2, 1, 1, 0),
        ];
        let one_axis =
            one_axis.into_iter().enumerate().map(|(number, (n, size, count, stride, dilation, low))| {
                let shape = [2, n];
                case(&shape[number % 2..], &[size], &[count], &[stride], &[dilation], &[low])
            });
        let more = [
            case(&[2, 3, 5, 4], &[2, 2], &[2, 2], &[2, 2], &[1, 1], &[0, 0]),
            case(&[1, 5, 5], &[3, 3], &[3, 3], &[2, 2], &[1, 1], &[1, 1]),
            case(&[3, 7, 1], &[3, 1], &[5, 1], &[1, 1], &[1, 1], &[0, 0]),
            case(&[2, 7, 5], &[2, 3], &[3, 2], &[3, 1], &[2, 1], &[1, -1]),
            case(&[4, 3], &[2, 2], &[3, 2], &[1, 1], &[1, 1], &[0, 0]),
            case(&[3, 2, 4], &[2, 1, 2], &[2, 2, 2], &[1, 1, 2], &[1, 1, 1], &[0, 0, 0]),
        ];
        one_axis.chain(more).collect()
    }
}

/// Checks that there are as many counts of windows as sizes, and axes for them; gives their number.
pub(super) fn check_axes(op: &str, x: &Shape, sizes: &[usize], extents: &[usize]) -> Result<usize, Error> {
    if sizes.len() != extents.len() || sizes.len() > x.rank() {
        let problem = format!("windows of {sizes:?}, {extents:?} of them, along axes of {x}");
        return Err(Error::new(
            op,
            problem,
            "give a size and a count for each of the last axes of the operand",
        ));
    }
    Ok(sizes.len())
}

/// `w[1, channels, 1, k..]`, where channel `i` is 1 at place `i` of the window in row-major order and 0 elsewhere.
fn one_each(builder: &mut Builder, channels: usize, sizes: &[usize], dtype: DType) -> Result<Value, Error> {
    let rows = builder.iota(DType::I32, [channels, channels], 0)?;
    let columns = builder.iota(DType::I32, [channels, channels], 1)?;
    let equal = builder.eq(rows, columns)?;
    let ones = builder.cast(equal, dtype)?;
    builder.reshape(ones, [&[1, channels, 1], sizes].concat().as_slice())
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::{mistake, mistake_in_attrs};
    use crate::{Attr, DType, Type};

    #[test]
    fn windows_run_along_the_last_axes() {
        let help = "give a size and a count for each of the last axes of the operand";
        for (sizes, extents) in [("[2]", "[4, 1]"), ("[1, 1, 2]", "[1, 1, 4]")] {
            assert_eq!(
                mistake(&format!(
                    "%x = input : f32[2, 5]\n%y = window %x sizes={sizes} extents={extents} fill=0.0 : f32[2, 4, 2]"
                )),
                format!("window: windows of {sizes}, {extents} of them, along axes of [2, 5]; {help}")
            );
        }
    }

    #[test]
    fn the_fill_has_the_dtype_of_its_operand() {
        assert_eq!(
            mistake("%x = input : i32[5]\n%y = window %x sizes=[2] extents=[4] fill=0.5 : f32[4, 2]"),
            "window: the fill is of dtype f32, the operand i32[5]; give a fill of the operand's dtype"
        );
        let lists = ["sizes", "extents"].map(|name| (name, Attr::Ints(vec![1])));
        let attrs = [&lists[..], &[("fill", Attr::Float(0.5))]].concat();
        let element = "an element of dtype i32";
        assert_eq!(
            mistake_in_attrs("window", &attrs, Type::new(DType::I32, [5, 1])),
            format!("window: attribute `fill` is not {element}; give {element}")
        );
    }

    #[test]
    fn lists_are_lists() {
        let list = "a list of integers that are not negative";
        assert_eq!(
            mistake(
                "%x = input : i32[5]\n%y = window %x sizes=[2] stride=[-1] extents=[4] fill=0 : i32[4, 2]"
            ),
            format!("window: attribute `stride` is not {list}; give {list}")
        );
    }
}
