//! Reductions over axes, and `argmax`.

use smallvec::{SmallVec, smallvec};

use crate::eval::Array;
use crate::ops::{Batched, Differentiated, Gradients, OpDef, SHAPES, Sample, expect_operands, sample};
use crate::{
    Attr, AttrReader, Attrs, Builder, DType, Error, Graph, Lowering, Num, Operands, ReduceOp, Scalar, Shape,
};
use crate::{Type, Types, Value};

/// The operand reduced over some of its axes, which the result does not have.
#[derive(Clone, Debug, PartialEq)]
pub struct Reduce {
    /// How it combines.
    pub op: ReduceOp,
    /// The axes that go away, ascending.
    pub axes: SmallVec<[usize; 4]>,
}

/// The index of the greatest element along an axis, the first of several; a NaN is the greatest. `i64`.
#[derive(Clone, Debug, PartialEq)]
pub struct ArgMax {
    /// The axis, which the result does not have.
    pub axis: usize,
}

const NAMES: [(ReduceOp, &str); 4] = [
    (ReduceOp::Add, "reduce_sum"),
    (ReduceOp::Mul, "reduce_prod"),
    (ReduceOp::Max, "reduce_max"),
    (ReduceOp::Min, "reduce_min"),
];

/// The shape without these axes.
fn without(shape: &Shape, axes: &[usize]) -> Shape {
    (0..shape.rank()).filter(|axis| !axes.contains(axis)).map(|axis| shape[axis]).collect()
}

impl OpDef for Reduce {
    fn names() -> Vec<&'static str> {
        NAMES.iter().map(|entry| entry.1).collect()
    }

    fn name(&self) -> &'static str {
        NAMES.iter().find(|entry| entry.0 == self.op).expect("every reduction has a name").1
    }

    fn attrs(&self) -> Attrs {
        vec![("axes", Attr::Ints(self.axes.iter().map(|&axis| axis as i64).collect()))]
    }

    fn from_attrs(name: &str, attrs: &mut AttrReader<'_>) -> Result<Self, Error> {
        let op = NAMES.iter().find(|entry| entry.1 == name).expect("the parser asks for names of this op").0;
        Ok(Reduce { op, axes: attrs.sizes("axes")?.into() })
    }

    fn infer(&self, operands: &[&Type], _: Option<&Graph>) -> Result<Types, Error> {
        expect_operands(self.name(), operands, 1)?;
        let from = operands[0];
        if from.dtype == DType::Bool {
            let help = "convert with `cast_i32` first";
            return Err(Error::new(self.name(), format!("it is not defined for {from}"), help));
        }
        let ascending = self.axes.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascending || self.axes.last().is_some_and(|&axis| axis >= from.shape.rank()) {
            let problem = format!("axes {:?} of {from}", self.axes.as_slice());
            return Err(Error::new(
                self.name(),
                problem,
                "name axes of the operand in ascending order, each once",
            ));
        }
        Ok(smallvec![Type { dtype: from.dtype, shape: without(&from.shape, &self.axes) }])
    }

    fn eval(&self, operands: &[&Array], results: &[Type], _: Option<&Graph>) -> Vec<Array> {
        let x = operands[0];
        let combine = self.op.function().row().eval;
        let start = Num::from_scalar(self.op.identity(x.ty.dtype));
        let mut result = Array::from_fn(&results[0], |_| start);
        let strides = results[0].shape.strides();
        let mut index = vec![0; x.ty.shape.rank()];
        for position in 0..x.ty.shape.elements() {
            let kept = (0..index.len()).filter(|axis| !self.axes.contains(axis)).map(|axis| index[axis]);
            let target = kept.zip(&strides).map(|(i, stride)| i * stride).sum();
            result.set(target, combine(x.ty.dtype, &[result.get(target), x.get(position)]));
            crate::eval::advance(&mut index, &x.ty.shape);
        }
        vec![result]
    }

    fn grad(&self, builder: &mut Builder, node: &Differentiated<'_>) -> Result<Gradients, Error> {
        let Some(gradient) = node.gradients[0] else { return Ok(smallvec![None]) };
        let x = node.operands[0];
        let gradient = match self.op {
            ReduceOp::Add => self.spread(builder, gradient, x)?,
            ReduceOp::Max | ReduceOp::Min => self.share(builder, gradient, node.results[0], x)?,
            ReduceOp::Mul => self.product_gradient(builder, gradient, x)?,
        };
        Ok(smallvec![Some(gradient)])
    }

    fn batched(&self, builder: &mut Builder, node: &Batched<'_>) -> Result<Option<Operands>, Error> {
        let axes = self.axes.iter().map(|axis| axis + 1).collect();
        node.apply(builder, Reduce { op: self.op, axes }).map(Some)
    }

    fn lower(&self, operands: &[&Type], _: &[Type]) -> Lowering {
        match self.axes.iter().all(|&axis| operands[0].shape[axis] == 1) {
            true => Lowering::Alias,
            false => Lowering::Reduce { op: self.op, axes: self.axes.clone() },
        }
    }

    fn samples() -> Vec<Sample> {
        let cases: [(&[usize], &[usize]); 10] = [
            (&[7], &[0]),
            (&[3, 5], &[0]),
            (&[3, 5], &[1]),
            (&[2, 3, 5], &[0, 2]),
            (&[2, 3, 5], &[0, 1, 2]),
            (&[13, 1], &[1]),
            (&[1, 4], &[0]),
            (&[], &[]),
            (&[4, 0], &[1]),
            (&[2, 11, 3], &[1]),
        ];
        let middle = SHAPES.into_iter().filter(|shape| !shape.is_empty());
        let axes: Vec<(&[usize], Vec<usize>)> = (cases.into_iter())
            .map(|(from, axes)| (from, axes.to_vec()))
            .chain(middle.map(|shape| (shape, vec![shape.len() / 2])))
            .collect();
        let reduce = |op| {
            axes.iter().map(move |(from, axes)| sample(Reduce { op, axes: axes.as_slice().into() }, &[from]))
        };
        ReduceOp::ALL.into_iter().flat_map(reduce).collect()
    }
}

impl Reduce {
    /// A value per result, repeated along the reduced axes to the shape of x.
    fn spread(&self, builder: &mut Builder, value: Value, x: Value) -> Result<Value, Error> {
        let shape = builder.shape(x).clone();
        let kept: Shape =
            (0..shape.rank()).map(|axis| if self.axes.contains(&axis) { 1 } else { shape[axis] }).collect();
        let column = builder.reshape(value, kept)?;
        builder.broadcast(column, shape)
    }

    /// The gradient of an extreme goes to the elements that equal it, in equal shares.
    fn share(
        &self,
        builder: &mut Builder,
        gradient: Value,
        extreme: Value,
        x: Value,
    ) -> Result<Value, Error> {
        let dtype = builder.dtype(x);
        let spread = self.spread(builder, extreme, x)?;
        let equal = builder.eq(x, spread)?;
        let mask = builder.cast(equal, dtype)?;
        let count = builder.reduce_sum(mask, &self.axes, false)?;
        let share = builder.div(gradient, count)?;
        let share = self.spread(builder, share, x)?;
        builder.mul(mask, share)
    }

    /// The product is written as a tree of products of two halves, whose gradients are exact where factors are 0.
    fn product_gradient(&self, builder: &mut Builder, gradient: Value, x: Value) -> Result<Value, Error> {
        let shape = builder.shape(x).clone();
        let kept: Vec<usize> = (0..shape.rank()).filter(|axis| !self.axes.contains(axis)).collect();
        let order: Vec<usize> = kept.iter().chain(&self.axes).copied().collect();
        let count: usize = self.axes.iter().map(|&axis| shape[axis]).product();
        let rows: usize = kept.iter().map(|&axis| shape[axis]).product();
        let moved = builder.transpose(x, &order)?;
        let moved_shape = builder.shape(moved).clone();
        let flat = builder.reshape(moved, [rows, count])?;
        let column = builder.reshape(gradient, [rows, 1])?;
        let flat_gradient = match count {
            0 => flat,
            _ => tree_gradient(builder, flat, column)?,
        };
        let back = builder.reshape(flat_gradient, moved_shape)?;
        let mut inverse = vec![0; order.len()];
        order.iter().enumerate().for_each(|(to, &from)| inverse[from] = to);
        builder.transpose(back, &inverse)
    }
}

/// The gradient of the product along axis 1 of `x[rows, n]`, where `gradient[rows, 1]` is that of the product.
fn tree_gradient(builder: &mut Builder, x: Value, gradient: Value) -> Result<Value, Error> {
    let (rows, count) = (builder.shape(x)[0], builder.shape(x)[1]);
    if count == 1 {
        return Ok(gradient);
    }
    let half = count.div_ceil(2);
    let one = Scalar::from_f64(builder.dtype(x), 1.0);
    let even = match count % 2 {
        0 => x,
        _ => builder.pad(x, &[0, 0], &[0, 1], &[0, 0], one)?,
    };
    let halves = builder.split(even, 1, &[half, half])?;
    let products = builder.mul(halves[0], halves[1])?;
    let inner = tree_gradient(builder, products, gradient)?;
    let left = builder.mul(inner, halves[1])?;
    let right = builder.mul(inner, halves[0])?;
    let both = builder.concat(&[left, right], 1)?;
    builder.slice(both, &[0, 0], &[rows, count], &[1, 1])
}

impl OpDef for ArgMax {
    fn names() -> Vec<&'static str> {
        vec!["argmax"]
    }

    fn name(&self) -> &'static str {
        "argmax"
    }

    fn attrs(&self) -> Attrs {
        vec![("axis", Attr::Int(self.axis as i64))]
    }

    fn from_attrs(_: &str, attrs: &mut AttrReader<'_>) -> Result<Self, Error> {
        Ok(ArgMax { axis: attrs.size("axis")? })
    }

    fn infer(&self, operands: &[&Type], _: Option<&Graph>) -> Result<Types, Error> {
        expect_operands("argmax", operands, 1)?;
        let from = operands[0];
        let extent = from.shape.get(self.axis).copied().unwrap_or(0);
        if extent == 0 || i32::try_from(extent).is_err() || from.dtype == DType::Bool {
            let problem = format!("it is not defined along axis {} of {from}", self.axis);
            return Err(Error::new(
                "argmax",
                problem,
                "give numbers and an axis of at least one element and fewer than 2^31",
            ));
        }
        Ok(smallvec![Type { dtype: DType::I64, shape: without(&from.shape, &[self.axis]) }])
    }

    fn eval(&self, operands: &[&Array], results: &[Type], _: Option<&Graph>) -> Vec<Array> {
        let x = operands[0];
        vec![Array::from_fn(&results[0], |index| {
            let element = |i: usize| {
                let mut at = index.to_vec();
                at.insert(self.axis, i);
                x.at(&at)
            };
            let beats = |a: Num, b: Num| match (a, b) {
                (Num::Float(a), Num::Float(b)) => (a > b) || (a.is_nan() && !b.is_nan()),
                (Num::Int(a), Num::Int(b)) => a > b,
                _ => unreachable!("elements of one array are of one kind"),
            };
            let best = (1..x.ty.shape[self.axis])
                .fold(0, |best, i| if beats(element(i), element(best)) { i } else { best });
            Num::Int(best as i64)
        })]
    }

    fn grad(&self, _: &mut Builder, _: &Differentiated<'_>) -> Result<Gradients, Error> {
        Ok(smallvec![None])
    }

    fn batched(&self, builder: &mut Builder, node: &Batched<'_>) -> Result<Option<Operands>, Error> {
        node.apply(builder, ArgMax { axis: self.axis + 1 }).map(Some)
    }

    /// The least index whose element equals the maximum, or is NaN: the maximum is NaN only if one is.
    fn lower(&self, _: &[&Type], _: &[Type]) -> Lowering {
        let axis = self.axis;
        Lowering::Expand(Box::new(move |builder, operands| {
            let x = operands[0];
            let shape = builder.shape(x).clone();
            let top = builder.reduce_max(x, &[axis], true)?;
            let top = builder.broadcast(top, shape.clone())?;
            let equal = builder.eq(x, top)?;
            let nan = builder.ne(x, x)?;
            let hit = builder.logical_or(equal, nan)?;
            let index = builder.iota(DType::I32, shape.clone(), axis)?;
            let none = builder.scalar(Scalar::I32(shape[axis] as i32));
            let candidate = builder.select(hit, index, none)?;
            let first = builder.reduce(ReduceOp::Min, candidate, &[axis], false)?;
            Ok(smallvec![builder.cast(first, DType::I64)?])
        }))
    }

    fn samples() -> Vec<Sample> {
        let cases: [(&[usize], usize); 5] =
            [(&[7], 0), (&[3, 5], 0), (&[3, 5], 1), (&[2, 1, 13], 1), (&[0, 3], 1)];
        let mut samples: Vec<Sample> =
            cases.iter().map(|&(from, axis)| sample(ArgMax { axis }, &[from])).collect();
        samples.iter_mut().for_each(|sample| sample.operands[0].differentiable = false);
        samples
    }
}

#[cfg(test)]
mod tests {
    use crate::eval::{Bindings, evaluate};
    use crate::ops::testing::mistake;
    use crate::text::parse_graph;

    #[test]
    fn numbers_are_reduced() {
        assert_eq!(
            mistake("%x = input : bool[3]\n%y = reduce_max %x axes=[0]"),
            "reduce_max: it is not defined for bool[3]; convert with `cast_i32` first"
        );
    }

    #[test]
    fn axes_are_ascending_and_of_the_operand() {
        for axes in ["[1, 0]", "[0, 0]", "[2]"] {
            assert_eq!(
                mistake(&format!("%x = input : f32[3, 2]\n%y = reduce_sum %x axes={axes}")),
                format!(
                    "reduce_sum: axes {axes} of f32[3, 2]; name axes of the operand in ascending order, each once"
                )
            );
        }
    }

    #[test]
    fn an_index_is_of_an_axis_that_has_elements() {
        let help = "give numbers and an axis of at least one element and fewer than 2^31";
        for (ty, axis) in [("f32[0]", 0), ("f32[2]", 1), ("bool[2]", 0)] {
            assert_eq!(
                mistake(&format!("%x = input : {ty}\n%y = argmax %x axis={axis}")),
                format!("argmax: it is not defined along axis {axis} of {ty}; {help}")
            );
        }
    }

    #[test]
    fn argmax_finds_the_first_nan_before_the_first_maximum() {
        let graph = parse_graph(
            "graph @g {
               %x = constant value=[1.0, 3.0, 3.0, 2.0, nan, nan, -inf, -inf, -inf] : f32[3, 3]
               %y = argmax %x axis=1 : i64[3]
               output y = %y
             }",
        );
        let outputs = evaluate(&graph.unwrap(), &Bindings::default()).unwrap().outputs;
        assert_eq!(outputs["y"].as_slice::<i64>(), Some(&[1i64, 1, 0][..]));
    }
}
