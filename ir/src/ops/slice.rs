//! `slice` and `pad`: taking some of the elements, and putting others around them. Each is the other's gradient.

use smallvec::{SmallVec, smallvec};

use super::layout::{axis, ints, moved, view};
use crate::eval::Array;
use crate::ops::{
    Batched, Differentiated, Gradients, OpDef, SHAPES, Sample, SampleOperand, expect_operands, sample,
    sample_of,
};
use crate::{
    Attr, AttrReader, Attrs, Builder, DType, Error, Graph, Lowering, Num, Operands, Scalar, Type, Types,
};

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

/// A list with an entry for the leading axis before the others.
fn led(first: usize, list: &[usize]) -> SmallVec<[usize; 4]> {
    std::iter::once(first).chain(list.iter().copied()).collect()
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
                return Err(Error::new(
                    "slice",
                    problem,
                    "keep start <= end <= extent, and the stride above 0",
                ));
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

    fn batched(&self, builder: &mut Builder, node: &Batched<'_>) -> Result<Option<Operands>, Error> {
        node.apply(
            builder,
            Slice {
                starts: led(0, &self.starts),
                ends: led(node.length, &self.ends),
                strides: led(1, &self.strides),
            },
        )
        .map(Some)
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
        let by_hand = cases.map(|[from, starts, ends, strides]| {
            sample(Slice { starts: list(starts), ends: list(ends), strides: list(strides) }, &[from])
        });
        let inner = SHAPES.map(|from| {
            let starts = from.iter().map(|extent| extent / 3).collect();
            let ends = from.iter().map(|extent| extent - extent / 5).collect();
            let strides = (1..=from.len()).collect();
            sample(Slice { starts, ends, strides }, &[from])
        });
        by_hand.into_iter().chain(inner).collect()
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
        vec![
            ("low", ints(&self.low)),
            ("high", ints(&self.high)),
            ("interior", ints(&self.interior)),
            ("value", Attr::element(self.value)),
        ]
    }

    fn from_attrs(_: &str, attrs: &mut AttrReader<'_>) -> Result<Self, Error> {
        let mut list = |name| attrs.sizes(name).map(SmallVec::from_vec);
        let (low, high, interior) = (list("low")?, list("high")?, list("interior")?);
        let value = attrs.element("value")?;
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
            let between = own.saturating_sub(1).saturating_mul(self.interior[axis]);
            own.saturating_add(between).saturating_add(self.low[axis]).saturating_add(self.high[axis])
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

    fn batched(&self, builder: &mut Builder, node: &Batched<'_>) -> Result<Option<Operands>, Error> {
        let [low, high, interior] = [&self.low, &self.high, &self.interior].map(|list| led(0, list));
        let pad = Pad { low, high, interior, value: self.value };
        node.apply(builder, pad).map(Some)
    }

    fn lower(&self, _: &[&Type], _: &[Type]) -> Lowering {
        match self.interior.iter().position(|&interior| interior > 0) {
            None => {
                view((0..self.low.len()).map(|i| axis(i).shifted(-(self.low[i] as i64))), Some(self.value))
            }
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
        let by_hand = cases.map(|[from, low, high, interior]| {
            let value = Scalar::F32(0.5);
            sample(Pad { low: list(low), high: list(high), interior: list(interior), value }, &[from])
        });
        let around = SHAPES.map(|from| {
            let counts = |first: usize| (first..first + from.len()).map(|count| count % 3).collect();
            let op = Pad { low: counts(1), high: counts(0), interior: counts(2), value: Scalar::F64(-0.25) };
            sample_of(DType::F64, op, &[from])
        });
        let whole = Pad { low: list(&[1]), high: list(&[2]), interior: list(&[1]), value: Scalar::I32(-1) };
        let ty = Type::new(DType::I32, [3]);
        let ints = SampleOperand { ty, interval: (-9.0, 9.0), differentiable: false };
        let whole = Sample { op: whole.into(), operands: vec![ints], body: None };
        by_hand.into_iter().chain(around).chain([whole]).collect()
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

#[cfg(test)]
mod tests {
    use crate::ops::testing::{mistake, mistake_in_attrs};
    use crate::{Attr, DType, Type};

    #[test]
    fn lists_have_an_entry_per_axis() {
        assert_eq!(
            mistake("%x = input : f32[2, 3]\n%y = slice %x starts=[0] ends=[2, 3] strides=[1, 1]"),
            "slice: [2, 3] has 2 axes, the lists have [1, 2, 2] entries; give a start, an end and a stride for each axis"
        );
        assert_eq!(
            mistake("%x = input : i32[2]\n%y = pad %x low=[0] high=[2, 3] interior=[1] value=0 : i32[4]"),
            "pad: i32[2] has 1 axes, the lists have [1, 2, 1] entries; give low, high and interior for each axis"
        );
    }

    #[test]
    fn a_slice_is_within_its_operand() {
        let slice = |start: usize, end: usize, stride: usize| {
            let attrs = format!("starts=[{start}] ends=[{end}] strides=[{stride}]");
            mistake(&format!("%x = input : f32[5]\n%y = slice %x {attrs}"))
        };
        let help = "keep start <= end <= extent, and the stride above 0";
        assert_eq!(slice(0, 6, 1), format!("slice: 0..6 by 1 along axis 0 of [5]; {help}"));
        assert_eq!(slice(3, 2, 1), format!("slice: 3..2 by 1 along axis 0 of [5]; {help}"));
        assert_eq!(slice(0, 5, 0), format!("slice: 0..5 by 0 along axis 0 of [5]; {help}"));
    }

    #[test]
    fn the_value_of_a_pad_has_the_dtype_of_its_operand() {
        assert_eq!(
            mistake("%x = input : i32[5]\n%y = pad %x low=[1] high=[0] interior=[0] value=0.5 : f32[6]"),
            "pad: the value is of dtype f32, the operand i32[5]; give a value of the operand's dtype"
        );
        let lists = ["low", "high", "interior"].map(|name| (name, Attr::Ints(vec![0])));
        let attrs = [&lists[..], &[("value", Attr::Float(0.5))]].concat();
        let element = "an element of dtype i32";
        assert_eq!(
            mistake_in_attrs("pad", &attrs, Type::new(DType::I32, [5])),
            format!("pad: attribute `value` is not {element}; give {element}")
        );
    }
}
