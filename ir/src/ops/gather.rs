//! `gather` and `scatter_add`: reading and adding at indices that are data. Each is the other's gradient.

use smallvec::{SmallVec, smallvec};

use crate::eval::Array;
use crate::ops::{Batched, Differentiated, Gradients, OpDef, SHAPES, Sample, SampleOperand, expect_operands};
use crate::{
    Access, Affine, Attr, AttrReader, Attrs, AxisId, Builder, DType, Error, Graph, Index, Inst, Kernel,
};
use crate::{Lowering, Num, Operands, Shape, Stmt, StoreMode, Type, Types};

/// `result[a.., i.., b..] = x[a.., indices[i..], b..]`; 0 where an index is outside of the axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Gather {
    /// The axis of x that is indexed.
    pub axis: usize,
}

/// `x` with `updates[a.., i.., b..]` added to `x[a.., indices[i..], b..]`; an index outside of the axis is left out.
/// Updates of one element are added in row-major order of the indices.
#[derive(Clone, Debug, PartialEq)]
pub struct ScatterAdd {
    /// The axis of x that is indexed.
    pub axis: usize,
}

/// The shape of what is gathered from `x`.
fn picked_shape(op: &str, x: &Type, indices: &Type, axis: usize) -> Result<Shape, Error> {
    if !indices.dtype.is_int() {
        let problem = format!("the indices are {indices}");
        return Err(Error::new(op, problem, "give indices of dtype i32 or i64; `cast_i32` converts"));
    }
    if axis >= x.shape.rank() {
        return Err(Error::new(op, format!("{x} has no axis {axis}"), "count axes from 0"));
    }
    Ok(x.shape[..axis].iter().chain(indices.shape.iter()).chain(&x.shape[axis + 1..]).copied().collect())
}

/// The index into x for an index into what is gathered; `None` where it is outside.
fn source_index(indices: &Array, axis: usize, extent: usize, index: &[usize]) -> Option<Vec<usize>> {
    let rank = indices.ty.shape.rank();
    let Num::Int(at) = indices.at(&index[axis..axis + rank]) else { unreachable!("indices are integers") };
    let at = usize::try_from(at).ok().filter(|&at| at < extent)?;
    Some(index[..axis].iter().copied().chain([at]).chain(index[axis + rank..].iter().copied()).collect())
}

impl OpDef for Gather {
    fn names() -> Vec<&'static str> {
        vec!["gather"]
    }

    fn name(&self) -> &'static str {
        "gather"
    }

    fn attrs(&self) -> Attrs {
        vec![("axis", Attr::Int(self.axis as i64))]
    }

    fn from_attrs(_: &str, attrs: &mut AttrReader<'_>) -> Result<Self, Error> {
        Ok(Gather { axis: attrs.size("axis")? })
    }

    fn infer(&self, operands: &[&Type], _: Option<&Graph>) -> Result<Types, Error> {
        expect_operands("gather", operands, 2)?;
        let shape = picked_shape("gather", operands[0], operands[1], self.axis)?;
        Ok(smallvec![Type { dtype: operands[0].dtype, shape }])
    }

    fn eval(&self, operands: &[&Array], results: &[Type], _: Option<&Graph>) -> Vec<Array> {
        let extent = operands[0].ty.shape[self.axis];
        vec![Array::from_fn(&results[0], |index| {
            let at = source_index(operands[1], self.axis, extent, index);
            at.map_or(Num::of(results[0].dtype, 0), |at| operands[0].at(&at))
        })]
    }

    fn grad(&self, builder: &mut Builder, node: &Differentiated<'_>) -> Result<Gradients, Error> {
        let Some(gradient) = node.gradients[0] else { return Ok(smallvec![None, None]) };
        let zeros = builder.zeros_like(node.operands[0])?;
        let gradient = builder.scatter_add(zeros, node.operands[1], gradient, self.axis)?;
        Ok(smallvec![Some(gradient), None])
    }

    fn batched(&self, builder: &mut Builder, node: &Batched<'_>) -> Result<Option<Operands>, Error> {
        match node.is_stacked {
            [true, false] => {
                let gather = Gather { axis: self.axis + 1 };
                Ok(Some(smallvec![builder.op(gather, node.operands)?]))
            }
            [false, true] => {
                let stacked = builder.op(self.clone(), node.operands)?;
                let rank = builder.shape(stacked).rank();
                let before = (0..self.axis).chain(self.axis + 1..rank);
                let order: Vec<usize> = [self.axis].into_iter().chain(before).collect();
                Ok(Some(smallvec![builder.transpose(stacked, &order)?]))
            }
            _ => Ok(None),
        }
    }

    fn lower(&self, _: &[&Type], _: &[Type]) -> Lowering {
        Lowering::Gather { axis: self.axis }
    }

    fn samples() -> Vec<Sample> {
        let sample = |(axis, x, indices): Case| {
            let operands = vec![float(x), picks(indices, x[axis])];
            Sample { op: Gather { axis }.into(), operands, body: None }
        };
        cases().map(sample).collect()
    }
}

/// An axis, the shape of x, and that of the indices.
type Case = (usize, &'static [usize], &'static [usize]);

fn cases() -> impl Iterator<Item = Case> {
    const BY_HAND: [Case; 7] = [
        (0, &[7], &[5]),
        (0, &[5, 3], &[]),
        (0, &[5], &[]),
        (1, &[3, 7, 2], &[4]),
        (1, &[2, 1], &[3, 2]),
        (0, &[13, 4], &[0]),
        (2, &[2, 3, 11], &[2, 2]),
    ];
    let shapes = SHAPES.into_iter().filter(|shape| !shape.is_empty());
    BY_HAND.into_iter().chain(shapes.map(|shape| (shape.len() / 2, shape, &[3usize] as &[usize])))
}

fn float(shape: &[usize]) -> SampleOperand {
    SampleOperand { ty: Type::new(DType::F32, shape), interval: (-2.0, 2.0), differentiable: true }
}

/// Indices, some of them outside.
fn picks(shape: &[usize], extent: usize) -> SampleOperand {
    let interval = (-1.0, extent as f64 + 1.0);
    SampleOperand { ty: Type::new(DType::I32, shape), interval, differentiable: false }
}

impl OpDef for ScatterAdd {
    fn names() -> Vec<&'static str> {
        vec!["scatter_add"]
    }

    fn name(&self) -> &'static str {
        "scatter_add"
    }

    fn attrs(&self) -> Attrs {
        vec![("axis", Attr::Int(self.axis as i64))]
    }

    fn from_attrs(_: &str, attrs: &mut AttrReader<'_>) -> Result<Self, Error> {
        Ok(ScatterAdd { axis: attrs.size("axis")? })
    }

    fn infer(&self, operands: &[&Type], _: Option<&Graph>) -> Result<Types, Error> {
        expect_operands("scatter_add", operands, 3)?;
        let shape = picked_shape("scatter_add", operands[0], operands[1], self.axis)?;
        if operands[0].dtype == DType::Bool {
            let problem = format!("nothing can be added to {}", operands[0]);
            return Err(Error::new("scatter_add", problem, "give numbers; `cast_i32` converts"));
        }
        let wanted = Type { dtype: operands[0].dtype, shape };
        if *operands[2] != wanted {
            let problem = format!("the updates are {}, where {wanted} is wanted", operands[2]);
            return Err(Error::new(
                "scatter_add",
                problem,
                "give updates of the type that `gather` would return",
            ));
        }
        Ok(smallvec![operands[0].clone()])
    }

    fn eval(&self, operands: &[&Array], _: &[Type], _: Option<&Graph>) -> Vec<Array> {
        let (x, indices, updates) = (operands[0], operands[1], operands[2]);
        let mut result = x.clone();
        let strides = x.ty.shape.strides();
        let add = crate::ScalarFn::Add.row().eval;
        let mut index = vec![0; updates.ty.shape.rank()];
        for position in 0..updates.ty.shape.elements() {
            if let Some(at) = source_index(indices, self.axis, x.ty.shape[self.axis], &index) {
                let target = at.iter().zip(&strides).map(|(i, stride)| i * stride).sum();
                result.set(target, add(x.ty.dtype, &[result.get(target), updates.get(position)]));
            }
            crate::eval::advance(&mut index, &updates.ty.shape);
        }
        vec![result]
    }

    fn grad(&self, builder: &mut Builder, node: &Differentiated<'_>) -> Result<Gradients, Error> {
        let Some(gradient) = node.gradients[0] else { return Ok(smallvec![None, None, None]) };
        let updates = builder.gather(gradient, node.operands[1], self.axis)?;
        Ok(smallvec![Some(gradient), None, Some(updates)])
    }

    fn batched(&self, builder: &mut Builder, node: &Batched<'_>) -> Result<Option<Operands>, Error> {
        if node.is_stacked[1] {
            return Ok(None);
        }
        let stacks = node.stacks(builder)?;
        let added =
            builder.op(ScatterAdd { axis: self.axis + 1 }, &[stacks[0], node.operands[1], stacks[2]])?;
        Ok(Some(smallvec![added]))
    }

    /// A copy of x, then the additions, in order.
    fn lower(&self, operands: &[&Type], results: &[Type]) -> Lowering {
        let mut kernel = Kernel::new("scatter_add");
        let x = kernel.buffer("x", operands[0].clone(), Access::Read);
        let indices = kernel.buffer("indices", operands[1].clone(), Access::Read);
        let updates = kernel.buffer("updates", operands[2].clone(), Access::Read);
        let target = kernel.buffer("out", results[0].clone(), Access::Write);
        let plain = |axes: &[AxisId]| -> SmallVec<[Index; 4]> {
            axes.iter().map(|&axis| Index { affine: Affine::axis(axis), var: None }).collect()
        };
        let nest = |kernel: &mut Kernel, prefix: &str, shape: &Shape| -> SmallVec<[AxisId; 4]> {
            shape
                .iter()
                .enumerate()
                .map(|(axis, &extent)| kernel.axis(format!("{prefix}{axis}"), extent))
                .collect()
        };
        let axes = nest(&mut kernel, "i", &operands[0].shape);
        let element = kernel.var(operands[0].dtype);
        let body = vec![
            Stmt::Let { var: element, inst: Inst::Load { buffer: x, indices: plain(&axes), fill: None } },
            Stmt::Store { value: element, buffer: target, indices: plain(&axes), mode: StoreMode::Set },
        ];
        kernel.body.push(Stmt::For { axes, sequential: false, body });
        let axes = nest(&mut kernel, "u", &operands[2].shape);
        let picked = &axes[self.axis..self.axis + operands[1].shape.rank()];
        let pick = kernel.var(operands[1].dtype);
        let update = kernel.var(operands[2].dtype);
        let at = Index { affine: Affine::constant(0), var: Some(pick) };
        let after = plain(&axes[self.axis + picked.len()..]);
        let place = plain(&axes[..self.axis]).into_iter().chain([at]).chain(after).collect();
        let body = vec![
            Stmt::Let { var: pick, inst: Inst::Load { buffer: indices, indices: plain(picked), fill: None } },
            Stmt::Let {
                var: update,
                inst: Inst::Load { buffer: updates, indices: plain(&axes), fill: None },
            },
            Stmt::Store { value: update, buffer: target, indices: place, mode: StoreMode::Add },
        ];
        kernel.body.push(Stmt::For { axes, sequential: true, body });
        Lowering::Kernel(Box::new(kernel))
    }

    fn samples() -> Vec<Sample> {
        let sample = |(axis, x, indices): Case| {
            let shape = [&x[..axis], indices, &x[axis + 1..]].concat();
            let operands = vec![float(x), picks(indices, x[axis]), float(&shape)];
            Sample { op: ScatterAdd { axis }.into(), operands, body: None }
        };
        cases().map(sample).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::mistake;

    #[test]
    fn indices_are_integers() {
        let help = "give indices of dtype i32 or i64; `cast_i32` converts";
        assert_eq!(
            mistake("%x = input : f32[3]\n%i = input : f32[2]\n%y = gather %x, %i axis=0"),
            format!("gather: the indices are f32[2]; {help}")
        );
        assert_eq!(
            mistake("%x = input : f32[3]\n%i = input : bool[3]\n%y = scatter_add %x, %i, %x axis=0"),
            format!("scatter_add: the indices are bool[3]; {help}")
        );
    }

    #[test]
    fn the_axis_is_one_of_the_operand() {
        assert_eq!(
            mistake("%x = input : f32[3]\n%i = input : i32[2]\n%y = gather %x, %i axis=1"),
            "gather: f32[3] has no axis 1; count axes from 0"
        );
    }

    #[test]
    fn updates_have_the_type_of_what_gather_returns() {
        assert_eq!(
            mistake(
                "%x = input : f32[3, 4]\n%i = input : i32[2]\n%u = input : f32[4, 2]\n\
                 %y = scatter_add %x, %i, %u axis=0"
            ),
            "scatter_add: the updates are f32[4, 2], where f32[2, 4] is wanted; \
             give updates of the type that `gather` would return"
        );
        assert_eq!(
            mistake("%x = input : bool[3]\n%i = input : i32[3]\n%y = scatter_add %x, %i, %x axis=0"),
            "scatter_add: nothing can be added to bool[3]; give numbers; `cast_i32` converts"
        );
    }
}
