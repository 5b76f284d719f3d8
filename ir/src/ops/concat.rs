//! `concat` and `split`: joining along an axis, and cutting along one.

use smallvec::{SmallVec, smallvec};

use crate::eval::Array;
use crate::ops::{Batched, Differentiated, Gradients, OpDef, SHAPES, Sample, expect_operands, sample};
use crate::{
    Access, Affine, Attr, AttrReader, Attrs, AxisId, Builder, Error, Graph, Index, Inst, Kernel, Lowering,
};
use crate::{Operands, Shape, Stmt, StoreMode, Type, Types};

/// The operands one after the other along an axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Concat {
    /// The axis along which they are joined; all other extents agree.
    pub axis: usize,
}

/// The operand cut into parts along an axis: one result per part.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// The axis along which it is cut.
    pub axis: usize,
    /// The extents of the parts; they add up to that of the operand.
    pub sizes: SmallVec<[usize; 4]>,
}

/// The first index along the axis of each part.
fn starts(sizes: impl Iterator<Item = usize>) -> Vec<usize> {
    sizes.scan(0, |next, size| Some(std::mem::replace(next, *next + size))).collect()
}

impl OpDef for Concat {
    fn names() -> Vec<&'static str> {
        vec!["concat"]
    }

    fn name(&self) -> &'static str {
        "concat"
    }

    fn attrs(&self) -> Attrs {
        vec![("axis", Attr::Int(self.axis as i64))]
    }

    fn from_attrs(_: &str, attrs: &mut AttrReader<'_>) -> Result<Self, Error> {
        Ok(Concat { axis: attrs.size("axis")? })
    }

    fn infer(&self, operands: &[&Type], _: Option<&Graph>) -> Result<Types, Error> {
        let Some(first) = operands.first() else {
            return Err(Error::new("concat", "it has no operands", "give at least one"));
        };
        if self.axis >= first.shape.rank() {
            let problem = format!("{first} has no axis {}", self.axis);
            return Err(Error::new("concat", problem, "count axes from 0"));
        }
        let others = |ty: &Type| -> Shape {
            ty.shape
                .iter()
                .enumerate()
                .map(|(axis, &extent)| if axis == self.axis { 0 } else { extent })
                .collect()
        };
        if let Some(odd) = operands.iter().find(|ty| ty.dtype != first.dtype || others(ty) != others(first)) {
            let problem = format!("{first} and {odd} cannot be joined along axis {}", self.axis);
            return Err(Error::new("concat", problem, "make dtypes and all other extents equal"));
        }
        let mut extents = first.shape.to_vec();
        extents[self.axis] = operands.iter().map(|ty| ty.shape[self.axis]).sum();
        Ok(smallvec![Type::new(first.dtype, extents.as_slice())])
    }

    fn eval(&self, operands: &[&Array], results: &[Type], _: Option<&Graph>) -> Vec<Array> {
        let starts = starts(operands.iter().map(|operand| operand.ty.shape[self.axis]));
        vec![Array::from_fn(&results[0], |index| {
            // Of several parts that start here all but the last are empty.
            let part = starts.partition_point(|&start| start <= index[self.axis]) - 1;
            let mut at = index.to_vec();
            at[self.axis] -= starts[part];
            operands[part].at(&at)
        })]
    }

    fn grad(&self, builder: &mut Builder, node: &Differentiated<'_>) -> Result<Gradients, Error> {
        let Some(gradient) = node.gradients[0] else { return Ok(smallvec![None; node.operands.len()]) };
        let sizes: Vec<usize> =
            node.operands.iter().map(|&operand| builder.shape(operand)[self.axis]).collect();
        Ok(builder.split(gradient, self.axis, &sizes)?.into_iter().map(Some).collect())
    }

    fn batched(&self, builder: &mut Builder, node: &Batched<'_>) -> Result<Option<Operands>, Error> {
        node.apply(builder, Concat { axis: self.axis + 1 }).map(Some)
    }

    /// One loop nest per operand.
    fn lower(&self, operands: &[&Type], results: &[Type]) -> Lowering {
        let mut kernel = Kernel::new("concat");
        let sources: Vec<_> = (operands.iter().enumerate())
            .map(|(i, ty)| kernel.buffer(format!("x{i}"), (*ty).clone(), Access::Read))
            .collect();
        let target = kernel.buffer("out", results[0].clone(), Access::Write);
        let starts = starts(operands.iter().map(|ty| ty.shape[self.axis]));
        for (i, (&source, ty)) in sources.iter().zip(operands).enumerate() {
            let axes: SmallVec<[AxisId; 4]> = (ty.shape.iter().enumerate())
                .map(|(axis, &extent)| kernel.axis(format!("i{i}_{axis}"), extent))
                .collect();
            let at = |shift: usize| -> SmallVec<[Index; 4]> {
                (axes.iter().enumerate())
                    .map(|(axis, &id)| {
                        let shift = if axis == self.axis { shift as i64 } else { 0 };
                        Index { affine: Affine::axis(id).shifted(shift), var: None }
                    })
                    .collect()
            };
            let var = kernel.var(ty.dtype);
            let load = Stmt::Let { var, inst: Inst::Load { buffer: source, indices: at(0), fill: None } };
            let indices = at(starts[i]);
            let store = Stmt::Store { value: var, buffer: target, indices, mode: StoreMode::Set };
            kernel.body.push(Stmt::For { axes: axes.clone(), sequential: false, body: vec![load, store] });
        }
        Lowering::Kernel(Box::new(kernel))
    }

    fn samples() -> Vec<Sample> {
        let cases: [(usize, &[&[usize]]); 6] = [
            (0, &[&[3], &[5]]),
            (1, &[&[2, 3], &[2, 1], &[2, 7]]),
            (0, &[&[2, 3], &[1, 3]]),
            (0, &[&[4]]),
            (1, &[&[3, 0], &[3, 2]]),
            (2, &[&[2, 1, 5], &[2, 1, 13]]),
        ];
        let by_hand = cases.into_iter().map(|(axis, shapes)| sample(Concat { axis }, shapes));
        let longer = SHAPES.into_iter().filter(|shape| !shape.is_empty()).map(|shape| {
            let axis = shape.len() / 2;
            let mut second = shape.to_vec();
            second[axis] += 1;
            sample(Concat { axis }, &[shape, &second])
        });
        by_hand.chain(longer).collect()
    }
}

impl OpDef for Split {
    fn names() -> Vec<&'static str> {
        vec!["split"]
    }

    fn name(&self) -> &'static str {
        "split"
    }

    fn attrs(&self) -> Attrs {
        let sizes = self.sizes.iter().map(|&size| size as i64).collect();
        vec![("axis", Attr::Int(self.axis as i64)), ("sizes", Attr::Ints(sizes))]
    }

    fn from_attrs(_: &str, attrs: &mut AttrReader<'_>) -> Result<Self, Error> {
        Ok(Split { axis: attrs.size("axis")?, sizes: attrs.sizes("sizes")?.into() })
    }

    fn infer(&self, operands: &[&Type], _: Option<&Graph>) -> Result<Types, Error> {
        expect_operands("split", operands, 1)?;
        let from = operands[0];
        if self.axis >= from.shape.rank() {
            return Err(Error::new(
                "split",
                format!("{from} has no axis {}", self.axis),
                "count axes from 0",
            ));
        }
        let total = self.sizes.iter().try_fold(0usize, |sum, &size| sum.checked_add(size));
        if self.sizes.is_empty() || total != Some(from.shape[self.axis]) {
            let sizes = self.sizes.as_slice();
            let problem = format!("sizes {sizes:?} do not add up to axis {} of {from}", self.axis);
            return Err(Error::new("split", problem, "give sizes that add up to the extent"));
        }
        let part = |&size: &usize| {
            let mut extents = from.shape.to_vec();
            extents[self.axis] = size;
            Type::new(from.dtype, extents.as_slice())
        };
        Ok(self.sizes.iter().map(part).collect())
    }

    fn eval(&self, operands: &[&Array], results: &[Type], _: Option<&Graph>) -> Vec<Array> {
        let part = |(ty, start): (&Type, usize)| {
            Array::from_fn(ty, |index| {
                let mut at = index.to_vec();
                at[self.axis] += start;
                operands[0].at(&at)
            })
        };
        results.iter().zip(starts(self.sizes.iter().copied())).map(part).collect()
    }

    fn grad(&self, builder: &mut Builder, node: &Differentiated<'_>) -> Result<Gradients, Error> {
        let parts = node.results.iter().zip(node.gradients);
        let parts: Vec<_> = parts
            .map(|(&result, gradient)| gradient.map_or_else(|| builder.zeros_like(result), Ok))
            .collect::<Result<_, _>>()?;
        Ok(smallvec![Some(builder.concat(&parts, self.axis)?)])
    }

    fn batched(&self, builder: &mut Builder, node: &Batched<'_>) -> Result<Option<Operands>, Error> {
        node.apply(builder, Split { axis: self.axis + 1, sizes: self.sizes.clone() }).map(Some)
    }

    /// A slice per part.
    fn lower(&self, operands: &[&Type], _: &[Type]) -> Lowering {
        let (split, shape) = (self.clone(), operands[0].shape.clone());
        Lowering::Expand(Box::new(move |builder, operands| {
            let (mut low, mut high) = (vec![0; shape.rank()], shape.to_vec());
            let mut parts = Operands::new();
            for (start, size) in starts(split.sizes.iter().copied()).into_iter().zip(&split.sizes) {
                (low[split.axis], high[split.axis]) = (start, start + size);
                parts.push(builder.slice(operands[0], &low, &high, &vec![1; shape.rank()])?);
            }
            Ok(parts)
        }))
    }

    fn samples() -> Vec<Sample> {
        let cases: [(usize, &[usize], &[usize]); 5] = [
            (0, &[3, 4], &[7]),
            (1, &[1, 2, 2], &[3, 5]),
            (0, &[0, 3], &[3, 2]),
            (2, &[6, 7], &[2, 1, 13]),
            (0, &[5], &[5]),
        ];
        let op = |axis, sizes: &[usize]| Split { axis, sizes: SmallVec::from_slice(sizes) };
        let by_hand = cases.into_iter().map(|(axis, sizes, from)| sample(op(axis, sizes), &[from]));
        let halved = SHAPES.into_iter().filter(|shape| !shape.is_empty()).map(|shape| {
            let axis = shape.len() / 2;
            let half = shape[axis] / 2;
            sample(op(axis, &[half, shape[axis] - half]), &[shape])
        });
        by_hand.chain(halved).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::mistake;

    #[test]
    fn joined_operands_agree_but_for_one_axis() {
        let help = "make dtypes and all other extents equal";
        for other in ["f32[2, 4]", "f64[1, 3]", "f32[3]"] {
            assert_eq!(
                mistake(&format!("%a = input : f32[2, 3]\n%b = input : {other}\n%y = concat %a, %b axis=0")),
                format!("concat: f32[2, 3] and {other} cannot be joined along axis 0; {help}")
            );
        }
        assert_eq!(mistake("%y = concat axis=0"), "concat: it has no operands; give at least one");
    }

    #[test]
    fn the_axis_is_one_of_the_operand() {
        assert_eq!(
            mistake("%x = input : f32[2]\n%y = concat %x axis=1"),
            "concat: f32[2] has no axis 1; count axes from 0"
        );
        assert_eq!(
            mistake("%x = input : f32[2]\n%y = split %x axis=1 sizes=[2]"),
            "split: f32[2] has no axis 1; count axes from 0"
        );
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        assert_eq!(
            mistake("%x = input : f32[5]\n%y = split %x axis=0 sizes=[2, 2]"),
            "split: sizes [2, 2] do not add up to axis 0 of f32[5]; give sizes that add up to the extent"
        );
    }

    #[test]
    fn attributes_are_integers_that_are_not_negative() {
        let integer = "an integer that is not negative";
        assert_eq!(
            mistake("%x = input : f32[5]\n%y = concat %x axis=-1"),
            format!("concat: attribute `axis` is not {integer}; give {integer}")
        );
        assert_eq!(
            mistake("%x = input : f32[5]\n%y = concat %x axis=0.5"),
            "concat: attribute `axis` is not an integer; give an integer"
        );
        let list = "a list of integers that are not negative";
        assert_eq!(
            mistake("%x = input : f32[5]\n%y = split %x axis=0 sizes=[6, -1]"),
            format!("split: attribute `sizes` is not {list}; give {list}")
        );
    }
}
