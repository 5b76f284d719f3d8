//! Ops that only say where each element comes from: broadcast, reshape, transpose, slice and pad.

use smallvec::{SmallVec, smallvec};

use crate::eval::Array;
use crate::ops::{Differentiated, Gradients, OpDef, Sample, expect_operands, sample};
use crate::{Affine, Attr, AttrReader, Attrs, AxisId, Builder, DType, Error, Graph, Lowering, Num, Scalar};
use crate::{Shape, Type, Types, View};

/// Repeats along leading axes and along axes of extent 1, as NumPy aligns shapes: from the last axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Broadcast {
    /// The shape of the result.
    pub shape: Shape,
}

/// The same elements in the same row-major order under another shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Reshape {
    /// The shape of the result.
    pub shape: Shape,
}

/// Axis `i` of the result is axis `permutation[i]` of the operand.
#[derive(Clone, Debug, PartialEq)]
pub struct Transpose {
    /// The axes of the operand in the order of the result.
    pub permutation: SmallVec<[usize; 4]>,
}

/// `operand[starts[i] .. ends[i]]`, every `strides[i]`-th element, along each axis `i`.
#[derive(Clone, Debug, PartialEq)]
pub struct Slice {
    /// The first index along each axis.
    pub starts: SmallVec<[usize; 4]>,
    /// The bound above along each axis.
    pub ends: SmallVec<[usize; 4]>,
    /// The step along each axis, at least 1.
    pub strides: SmallVec<[usize; 4]>,
}

/// Along each axis `i`, `low[i]` elements of `value` before, `high[i]` after, and `interior[i]` between each two.
#[derive(Clone, Debug, PartialEq)]
pub struct Pad {
    /// The number of elements before.
    pub low: SmallVec<[usize; 4]>,
    /// The number of elements after.
    pub high: SmallVec<[usize; 4]>,
    /// The number of elements between each two of the operand.
    pub interior: SmallVec<[usize; 4]>,
    /// What they are.
    pub value: Scalar,
}

fn ints(values: &[usize]) -> Attr {
    Attr::Ints(values.iter().map(|&value| value as i64).collect())
}

/// The array whose element at `index` is the operand's at `from(index)`.
fn moved(ty: &Type, operand: &Array, from: impl Fn(&[usize]) -> Vec<usize>) -> Vec<Array> {
    vec![Array::from_fn(ty, |index| operand.at(&from(index)))]
}

fn view(indices: impl IntoIterator<Item = Affine>, fill: Option<Scalar>) -> Lowering {
    Lowering::View(smallvec![View { indices: indices.into_iter().collect(), fill }])
}

fn axis(index: usize) -> Affine {
    Affine::axis(AxisId(index as u32))
}

impl OpDef for Broadcast {
    fn names() -> Vec<&'static str> {
        vec!["broadcast"]
    }

    fn name(&self) -> &'static str {
        "broadcast"
    }

    fn attrs(&self) -> Attrs {
        vec![("shape", ints(&self.shape))]
    }

    fn from_attrs(_: &str, attrs: &mut AttrReader<'_>) -> Result<Self, Error> {
        Ok(Broadcast { shape: attrs.sizes("shape")?.into_iter().collect() })
    }

    fn infer(&self, operands: &[&Type], _: Option<&Graph>) -> Result<Types, Error> {
        expect_operands("broadcast", operands, 1)?;
        let from = &operands[0].shape;
        let fits = from.rank() <= self.shape.rank() && {
            let aligned = &self.shape[self.shape.rank() - from.rank()..];
            from.iter().zip(aligned).all(|(&own, &to)| own == to || own == 1)
        };
        if !fits {
            let problem = format!("{from} does not broadcast to {}", self.shape);
            return Err(Error::new("broadcast", problem, "make extents equal or 1, aligned from the last axis"));
        }
        Ok(smallvec![Type { dtype: operands[0].dtype, shape: self.shape.clone() }])
    }

    fn eval(&self, operands: &[&Array], results: &[Type], _: Option<&Graph>) -> Vec<Array> {
        let from = &operands[0].ty.shape;
        let lead = self.shape.rank() - from.rank();
        moved(&results[0], operands[0], |index| {
            index[lead..].iter().zip(from.iter()).map(|(&i, &extent)| if extent == 1 { 0 } else { i }).collect()
        })
    }

    fn grad(&self, builder: &mut Builder, node: &Differentiated<'_>) -> Result<Gradients, Error> {
        let Some(gradient) = node.gradients[0] else { return Ok(smallvec![None]) };
        let from = builder.shape(node.operands[0]).clone();
        let lead = self.shape.rank() - from.rank();
        let repeated: Vec<usize> =
            (0..self.shape.rank()).filter(|&axis| axis < lead || (from[axis - lead] == 1 && self.shape[axis] != 1)).collect();
        let sum = builder.reduce_sum(gradient, &repeated, false)?;
        Ok(smallvec![Some(builder.reshape(sum, from)?)])
    }

    fn lower(&self, operands: &[&Type], _: &[Type]) -> Lowering {
        let from = &operands[0].shape;
        let lead = self.shape.rank() - from.rank();
        let index = |(i, &extent): (usize, &usize)| if extent == 1 { Affine::constant(0) } else { axis(lead + i) };
        view(from.iter().enumerate().map(index), None)
    }

    fn samples() -> Vec<Sample> {
        let cases: [(&[usize], &[usize]); 8] = [
            (&[], &[3, 5]),
            (&[5], &[3, 5]),
            (&[3, 1], &[3, 5]),
            (&[1, 1], &[7, 2]),
            (&[2, 1, 3], &[2, 5, 3]),
            (&[1], &[1, 1]),
            (&[1, 3], &[0, 3]),
            (&[7], &[2, 3, 7]),
        ];
        cases.iter().map(|(from, to)| sample(Broadcast { shape: Shape::new(to) }, &[from])).collect()
    }
}

impl OpDef for Reshape {
    fn names() -> Vec<&'static str> {
        vec!["reshape"]
    }

    fn name(&self) -> &'static str {
        "reshape"
    }

    fn attrs(&self) -> Attrs {
        vec![("shape", ints(&self.shape))]
    }

    fn from_attrs(_: &str, attrs: &mut AttrReader<'_>) -> Result<Self, Error> {
        Ok(Reshape { shape: attrs.sizes("shape")?.into_iter().collect() })
    }

    fn infer(&self, operands: &[&Type], _: Option<&Graph>) -> Result<Types, Error> {
        expect_operands("reshape", operands, 1)?;
        let from = &operands[0].shape;
        if from.elements() != self.shape.elements() {
            let (own, to) = (from.elements(), self.shape.elements());
            let problem = format!("{from} has {own} elements, {} has {to}", self.shape);
            return Err(Error::new("reshape", problem, "give a shape of as many elements"));
        }
        Ok(smallvec![Type { dtype: operands[0].dtype, shape: self.shape.clone() }])
    }

    fn eval(&self, operands: &[&Array], _: &[Type], _: Option<&Graph>) -> Vec<Array> {
        vec![operands[0].reshaped(&self.shape)]
    }

    fn grad(&self, builder: &mut Builder, node: &Differentiated<'_>) -> Result<Gradients, Error> {
        let from = builder.shape(node.operands[0]).clone();
        let back = node.gradients[0].map(|gradient| builder.reshape(gradient, from)).transpose()?;
        Ok(smallvec![back])
    }

    fn lower(&self, _: &[&Type], _: &[Type]) -> Lowering {
        Lowering::Alias
    }

    fn samples() -> Vec<Sample> {
        let cases: [(&[usize], &[usize]); 7] = [
            (&[6], &[2, 3]),
            (&[2, 3], &[6]),
            (&[3, 5], &[3, 1, 5]),
            (&[1], &[]),
            (&[0, 3], &[7, 0]),
            (&[2, 3, 4], &[4, 6]),
            (&[7, 1], &[1, 7]),
        ];
        cases.iter().map(|(from, to)| sample(Reshape { shape: Shape::new(to) }, &[from])).collect()
    }
}

impl OpDef for Transpose {
    fn names() -> Vec<&'static str> {
        vec!["transpose"]
    }

    fn name(&self) -> &'static str {
        "transpose"
    }

    fn attrs(&self) -> Attrs {
        vec![("permutation", ints(&self.permutation))]
    }

    fn from_attrs(_: &str, attrs: &mut AttrReader<'_>) -> Result<Self, Error> {
        Ok(Transpose { permutation: attrs.sizes("permutation")?.into_iter().collect() })
    }

    fn infer(&self, operands: &[&Type], _: Option<&Graph>) -> Result<Types, Error> {
        expect_operands("transpose", operands, 1)?;
        let from = &operands[0].shape;
        let mut sorted = self.permutation.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..from.rank()) {
            let problem = format!("{:?} is no permutation of the axes of {from}", self.permutation.as_slice());
            return Err(Error::new("transpose", problem, "name each axis once, counted from 0"));
        }
        let shape = self.permutation.iter().map(|&axis| from[axis]).collect();
        Ok(smallvec![Type { dtype: operands[0].dtype, shape }])
    }

    fn eval(&self, operands: &[&Array], results: &[Type], _: Option<&Graph>) -> Vec<Array> {
        moved(&results[0], operands[0], |index| {
            let mut from = vec![0; index.len()];
            self.permutation.iter().zip(index).for_each(|(&axis, &i)| from[axis] = i);
            from
        })
    }

    fn grad(&self, builder: &mut Builder, node: &Differentiated<'_>) -> Result<Gradients, Error> {
        let inverse = self.inverse();
        let back = node.gradients[0].map(|gradient| builder.transpose(gradient, &inverse)).transpose()?;
        Ok(smallvec![back])
    }

    fn lower(&self, _: &[&Type], _: &[Type]) -> Lowering {
        view(self.inverse().into_iter().map(axis), None)
    }

    fn samples() -> Vec<Sample> {
        let cases: [(&[usize], &[usize]); 6] = [
            (&[3, 5], &[1, 0]),
            (&[2, 3, 5], &[2, 0, 1]),
            (&[2, 3, 5], &[0, 2, 1]),
            (&[7], &[0]),
            (&[1, 13, 2, 3], &[3, 1, 0, 2]),
            (&[0, 3], &[1, 0]),
        ];
        let op = |permutation: &[usize]| Transpose { permutation: SmallVec::from_slice(permutation) };
        cases.iter().map(|(from, permutation)| sample(op(permutation), &[from])).collect()
    }
}

impl Transpose {
    /// For each axis of the operand, the axis of the result that it becomes.
    fn inverse(&self) -> SmallVec<[usize; 4]> {
        let mut inverse = smallvec![0; self.permutation.len()];
        self.permutation.iter().enumerate().for_each(|(to, &from)| inverse[from] = to);
        inverse
    }
}

impl OpDef for Slice {
    fn names() -> Vec<&'static str> {
        vec!["slice"]
    }

    fn name(&self) -> &'static str {
        "slice"
    }

    fn attrs(&self) -> Attrs {
        vec![("starts", ints(&self.starts)), ("ends", ints(&self.ends)), ("strides", ints(&self.strides))]
    }

    fn from_attrs(_: &str, attrs: &mut AttrReader<'_>) -> Result<Self, Error> {
        let mut list = |name| attrs.sizes(name).map(SmallVec::from_vec);
        Ok(Slice { starts: list("starts")?, ends: list("ends")?, strides: list("strides")? })
    }

    fn infer(&self, operands: &[&Type], _: Option<&Graph>) -> Result<Types, Error> {
        expect_operands("slice", operands, 1)?;
        let from = &operands[0].shape;
        let ranks = [self.starts.len(), self.ends.len(), self.strides.len()];
        if ranks != [from.rank(); 3] {
            let problem = format!("{from} has {} axes, the lists have {ranks:?} entries", from.rank());
            return Err(Error::new("slice", problem, "give a start, an end and a stride for each axis"));
        }
        for axis in 0..from.rank() {
            let (start, end, stride) = (self.starts[axis], self.ends[axis], self.strides[axis]);
            if start > end || end > from[axis] || stride == 0 {
                let problem = format!("{start}..{end} by {stride} along axis {axis} of {from}");
                return Err(Error::new("slice", problem, "keep start <= end <= extent, and the stride above 0"));
            }
        }
        let extent = |axis: usize| (self.ends[axis] - self.starts[axis]).div_ceil(self.strides[axis]);
        Ok(smallvec![Type { dtype: operands[0].dtype, shape: (0..from.rank()).map(extent).collect() }])
    }

    fn eval(&self, operands: &[&Array], results: &[Type], _: Option<&Graph>) -> Vec<Array> {
        moved(&results[0], operands[0], |index| {
            index.iter().enumerate().map(|(axis, i)| self.starts[axis] + i * self.strides[axis]).collect()
        })
    }

    fn grad(&self, builder: &mut Builder, node: &Differentiated<'_>) -> Result<Gradients, Error> {
        let Some(gradient) = node.gradients[0] else { return Ok(smallvec![None]) };
        let from = builder.shape(node.operands[0]).clone();
        let to = builder.shape(gradient).clone();
        let mut low = self.starts.clone();
        let mut high: SmallVec<[usize; 4]> = smallvec![0; from.rank()];
        for axis in 0..from.rank() {
            match to[axis] {
                0 => (low[axis], high[axis]) = (0, from[axis]),
                count => high[axis] = from[axis] - low[axis] - (count - 1) * self.strides[axis] - 1,
            }
        }
        let interior: SmallVec<[usize; 4]> = self.strides.iter().map(|stride| stride - 1).collect();
        let zero = Scalar::from_f64(builder.dtype(gradient), 0.0);
        Ok(smallvec![Some(builder.pad(gradient, &low, &high, &interior, zero)?)])
    }

    fn lower(&self, _: &[&Type], _: &[Type]) -> Lowering {
        let index = |i: usize| axis(i).times(self.strides[i] as i64).shifted(self.starts[i] as i64);
        view((0..self.starts.len()).map(index), None)
    }

    fn samples() -> Vec<Sample> {
        let cases: [[&[usize]; 4]; 6] = [
            [&[7], &[2], &[5], &[1]],
            [&[3, 11], &[0, 1], &[3, 10], &[1, 3]],
            [&[5, 5], &[4, 0], &[5, 5], &[1, 1]],
            [&[2, 3, 13], &[1, 0, 2], &[2, 3, 13], &[1, 2, 5]],
            [&[7], &[3], &[3], &[1]],
            [&[0, 2], &[0, 0], &[0, 2], &[1, 1]],
        ];
        let list = SmallVec::from_slice;
        let op = |[_, starts, ends, strides]: &[&[usize]; 4]| Slice {
            starts: list(starts),
            ends: list(ends),
            strides: list(strides),
        };
        cases.iter().map(|case| sample(op(case), &[case[0]])).collect()
    }
}

impl OpDef for Pad {
    fn names() -> Vec<&'static str> {
        vec!["pad"]
    }

    fn name(&self) -> &'static str {
        "pad"
    }

    fn attrs(&self) -> Attrs {
        let value = match self.value {
            Scalar::Bool(value) => Attr::Bool(value),
            Scalar::I32(value) => Attr::Int(i64::from(value)),
            Scalar::I64(value) => Attr::Int(value),
            Scalar::F32(_) | Scalar::F64(_) => Attr::Tensor(crate::Tensor::scalar(self.value)),
        };
        vec![("low", ints(&self.low)), ("high", ints(&self.high)), ("interior", ints(&self.interior)), ("value", value)]
    }

    fn from_attrs(_: &str, attrs: &mut AttrReader<'_>) -> Result<Self, Error> {
        let mut list = |name| attrs.sizes(name).map(SmallVec::from_vec);
        let (low, high, interior) = (list("low")?, list("high")?, list("interior")?);
        let dtype = attrs.declared_type()?.dtype;
        let value = match (attrs.required("value")?, dtype) {
            (Attr::Bool(value), DType::Bool) => Some(Scalar::Bool(value)),
            (Attr::Int(value), dtype) => Some(Scalar::from_i64(dtype, value)),
            (Attr::Float(value), DType::F32 | DType::F64) => Some(Scalar::from_f64(dtype, value)),
            (Attr::Tensor(tensor), _) if tensor.dtype() == dtype => tensor.splat_value(),
            _ => None,
        };
        let value = value.ok_or_else(|| attrs.expected("value", &format!("of dtype {dtype}")))?;
        Ok(Pad { low, high, interior, value })
    }

    fn infer(&self, operands: &[&Type], _: Option<&Graph>) -> Result<Types, Error> {
        expect_operands("pad", operands, 1)?;
        let from = operands[0];
        let ranks = [self.low.len(), self.high.len(), self.interior.len()];
        if ranks != [from.shape.rank(); 3] {
            let problem = format!("{from} has {} axes, the lists have {ranks:?} entries", from.shape.rank());
            return Err(Error::new("pad", problem, "give low, high and interior for each axis"));
        }
        if self.value.dtype() != from.dtype {
            let problem = format!("the value is of dtype {}, the operand {from}", self.value.dtype());
            return Err(Error::new("pad", problem, "give a value of the operand's dtype"));
        }
        let extent = |axis: usize| {
            let own = from.shape[axis];
            self.low[axis] + own + own.saturating_sub(1) * self.interior[axis] + self.high[axis]
        };
        Ok(smallvec![Type { dtype: from.dtype, shape: (0..from.shape.rank()).map(extent).collect() }])
    }

    fn eval(&self, operands: &[&Array], results: &[Type], _: Option<&Graph>) -> Vec<Array> {
        let from = &operands[0].ty.shape;
        vec![Array::from_fn(&results[0], |index| {
            let inside = |axis: usize| {
                let at = index[axis].checked_sub(self.low[axis])?;
                let step = self.interior[axis] + 1;
                (at % step == 0 && at / step < from[axis]).then_some(at / step)
            };
            let at: Option<Vec<usize>> = (0..index.len()).map(inside).collect();
            at.map_or(Num::from_scalar(self.value), |at| operands[0].at(&at))
        })]
    }

    fn grad(&self, builder: &mut Builder, node: &Differentiated<'_>) -> Result<Gradients, Error> {
        let Some(gradient) = node.gradients[0] else { return Ok(smallvec![None]) };
        let from = builder.shape(node.operands[0]).clone();
        let strides: SmallVec<[usize; 4]> = self.interior.iter().map(|interior| interior + 1).collect();
        let end = |axis: usize| match from[axis] {
            0 => self.low[axis],
            count => self.low[axis] + (count - 1) * strides[axis] + 1,
        };
        let ends: SmallVec<[usize; 4]> = (0..from.rank()).map(end).collect();
        Ok(smallvec![Some(builder.slice(gradient, &self.low, &ends, &strides)?)])
    }

    fn lower(&self, _: &[&Type], _: &[Type]) -> Lowering {
        match self.interior.iter().position(|&interior| interior > 0) {
            None => view((0..self.low.len()).map(|i| axis(i).shifted(-(self.low[i] as i64))), Some(self.value)),
            Some(axis) => self.expand_interior(axis),
        }
    }

    fn samples() -> Vec<Sample> {
        let cases: [[&[usize]; 4]; 6] = [
            [&[5], &[2], &[1], &[0]],
            [&[3, 5], &[0, 1], &[2, 0], &[0, 0]],
            [&[3, 5], &[1, 0], &[0, 3], &[2, 1]],
            [&[2, 1, 7], &[0, 3, 0], &[0, 0, 1], &[1, 1, 2]],
            [&[0, 2], &[1, 0], &[2, 0], &[0, 1]],
            [&[], &[], &[], &[]],
        ];
        let list = SmallVec::from_slice;
        let op = |[_, low, high, interior]: &[&[usize]; 4]| Pad {
            low: list(low),
            high: list(high),
            interior: list(interior),
            value: Scalar::F32(0.5),
        };
        cases.iter().map(|case| sample(op(case), &[case[0]])).collect()
    }
}

impl Pad {
    /// Elements between others along `axis`: an axis of extent `interior + 1` behind it, padded and merged with it,
    /// of which the last `interior` elements are cut off.
    fn expand_interior(&self, axis: usize) -> Lowering {
        let pad = self.clone();
        Lowering::Expand(Box::new(move |builder, operands| {
            let from = builder.shape(operands[0]).clone();
            let (rank, step) = (from.rank(), pad.interior[axis] + 1);
            let mut split = from.to_vec();
            split.insert(axis + 1, 1);
            let column = builder.reshape(operands[0], split.as_slice())?;
            let mut high = vec![0; rank + 1];
            high[axis + 1] = step - 1;
            let none = vec![0; rank + 1];
            let spread = builder.pad(column, &none, &high, &none, pad.value)?;
            let mut merged = from.to_vec();
            merged[axis] *= step;
            let spread = builder.reshape(spread, merged.as_slice())?;
            merged[axis] = merged[axis].saturating_sub(step - 1);
            let cut = builder.slice(spread, &vec![0; rank], &merged, &vec![1; rank])?;
            let mut interior = pad.interior.clone();
            interior[axis] = 0;
            let value = builder.pad(cut, &pad.low, &pad.high, &interior, pad.value)?;
            Ok(smallvec![value])
        }))
    }
}
