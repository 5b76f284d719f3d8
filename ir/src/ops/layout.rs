//! Ops that say where each element comes from, and leave none out: broadcast, reshape and transpose.

use smallvec::{SmallVec, smallvec};

use crate::eval::Array;
use crate::ops::{Batched, Differentiated, Gradients, OpDef, SHAPES, Sample, expect_operands, sample};
use crate::{Affine, Attr, AttrReader, Attrs, AxisId, Builder, Error, Graph, Lowering, Operands, Scalar};
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

pub(super) fn ints(values: &[usize]) -> Attr {
    Attr::Ints(values.iter().map(|&value| value as i64).collect())
}

/// The array whose element at `index` is the operand's at `from(index)`.
pub(super) fn moved(ty: &Type, operand: &Array, from: impl Fn(&[usize]) -> Vec<usize>) -> Vec<Array> {
    vec![Array::from_fn(ty, |index| operand.at(&from(index)))]
}

pub(super) fn view(indices: impl IntoIterator<Item = Affine>, fill: Option<Scalar>) -> Lowering {
    Lowering::View(smallvec![View { indices: indices.into_iter().collect(), fill }])
}

pub(super) fn axis(index: usize) -> Affine {
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
            return Err(Error::new(
                "broadcast",
                problem,
                "make extents equal or 1, aligned from the last axis",
            ));
        }
        Ok(smallvec![Type { dtype: operands[0].dtype, shape: self.shape.clone() }])
    }

    fn eval(&self, operands: &[&Array], results: &[Type], _: Option<&Graph>) -> Vec<Array> {
        let from = &operands[0].ty.shape;
        let lead = self.shape.rank() - from.rank();
        moved(&results[0], operands[0], |index| {
            index[lead..]
                .iter()
                .zip(from.iter())
                .map(|(&i, &extent)| if extent == 1 { 0 } else { i })
                .collect()
        })
    }

    fn grad(&self, builder: &mut Builder, node: &Differentiated<'_>) -> Result<Gradients, Error> {
        let Some(gradient) = node.gradients[0] else { return Ok(smallvec![None]) };
        let from = builder.shape(node.operands[0]).clone();
        let lead = self.shape.rank() - from.rank();
        let repeated: Vec<usize> = (0..self.shape.rank())
            .filter(|&axis| axis < lead || (from[axis - lead] == 1 && self.shape[axis] != 1))
            .collect();
        let sum = builder.reduce_sum(gradient, &repeated, false)?;
        Ok(smallvec![Some(builder.reshape(sum, from)?)])
    }

    fn batched(&self, builder: &mut Builder, node: &Batched<'_>) -> Result<Option<Operands>, Error> {
        let shape = self.shape.clone();
        let items = node.item_shape(builder, 0);
        let ones = std::iter::repeat_n(1, shape.rank() - items.rank());
        let aligned: Shape = std::iter::once(node.length).chain(ones).chain(items.iter().copied()).collect();
        let x = builder.reshape(node.operands[0], aligned)?;
        Ok(Some(smallvec![builder.broadcast(x, node.stack_shape(&shape))?]))
    }

    fn lower(&self, operands: &[&Type], _: &[Type]) -> Lowering {
        let from = &operands[0].shape;
        let lead = self.shape.rank() - from.rank();
        let index =
            |(i, &extent): (usize, &usize)| if extent == 1 { Affine::constant(0) } else { axis(lead + i) };
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
        let by_hand = cases.map(|(from, to)| sample(Broadcast { shape: Shape::new(to) }, &[from]));
        let stretched = SHAPES.map(|from| {
            let to = from.iter().map(|&extent| if extent == 1 { 3 } else { extent });
            sample(Broadcast { shape: [2].into_iter().chain(to).collect() }, &[from])
        });
        by_hand.into_iter().chain(stretched).collect()
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

    fn batched(&self, builder: &mut Builder, node: &Batched<'_>) -> Result<Option<Operands>, Error> {
        node.apply(builder, Reshape { shape: node.stack_shape(&self.shape) }).map(Some)
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
        let by_hand = cases.map(|(from, to)| sample(Reshape { shape: Shape::new(to) }, &[from]));
        let reversed =
            SHAPES.map(|from| sample(Reshape { shape: from.iter().rev().copied().collect() }, &[from]));
        by_hand.into_iter().chain(reversed).collect()
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
            let problem =
                format!("{:?} is no permutation of the axes of {from}", self.permutation.as_slice());
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

    fn batched(&self, builder: &mut Builder, node: &Batched<'_>) -> Result<Option<Operands>, Error> {
        let permutation = [0].into_iter().chain(self.permutation.iter().map(|axis| axis + 1)).collect();
        node.apply(builder, Transpose { permutation }).map(Some)
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
        let by_hand = cases.map(|(from, permutation)| sample(op(permutation), &[from]));
        let rotated = SHAPES.map(|from| {
            let axes: Vec<usize> = (0..from.len()).map(|axis| (axis + 1) % from.len()).collect();
            sample(op(&axes), &[from])
        });
        by_hand.into_iter().chain(rotated).collect()
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

#[cfg(test)]
mod tests {
    use crate::ops::testing::mistake;

    #[test]
    fn only_extents_of_one_are_repeated() {
        let help = "make extents equal or 1, aligned from the last axis";
        assert_eq!(
            mistake("%x = input : f32[2, 3]\n%y = broadcast %x shape=[4, 3]"),
            format!("broadcast: [2, 3] does not broadcast to [4, 3]; {help}")
        );
        assert_eq!(
            mistake("%x = input : f32[2, 3]\n%y = broadcast %x shape=[3]"),
            format!("broadcast: [2, 3] does not broadcast to [3]; {help}")
        );
    }

    #[test]
    fn a_reshape_keeps_the_number_of_elements() {
        assert_eq!(
            mistake("%x = input : f32[2, 3]\n%y = reshape %x shape=[7]"),
            "reshape: [2, 3] has 6 elements, [7] has 7; give a shape of as many elements"
        );
    }

    #[test]
    fn a_permutation_names_each_axis_once() {
        let help = "name each axis once, counted from 0";
        for permutation in ["[0]", "[0, 0]", "[1, 2]"] {
            assert_eq!(
                mistake(&format!("%x = input : f32[2, 3]\n%y = transpose %x permutation={permutation}")),
                format!("transpose: {permutation} is no permutation of the axes of [2, 3]; {help}")
            );
        }
    }

    #[test]
    fn the_number_of_operands_is_checked() {
        assert_eq!(
            mistake("%x = input : f32[2]\n%y = reshape %x, %x shape=[2]"),
            "reshape: it has 2 operands; give 1"
        );
    }
}
