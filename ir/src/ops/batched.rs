//! Many applications of an op as one: what takes work out of loops.

use crate::{Builder, Error, Op, Operands, Shape, Type, Value};

/// As many nodes of one op as a stack has items: some operands are stacks, `[length, ..]`, the others are the same for all. A
/// result of many nodes is a stack in its turn.
pub struct Batched<'a> {
    /// The operands.
    pub operands: &'a [Value],
    /// Whether each operand is a stack; one is, at least.
    pub is_stacked: &'a [bool],
    /// The items of a stack.
    pub length: usize,
    /// The types of the results of one node.
    pub results: &'a [Type],
}

impl Batched<'_> {
    /// `[length, ..]` of items of this shape.
    pub fn stack_shape(&self, items: &Shape) -> Shape {
        std::iter::once(self.length).chain(items.iter().copied()).collect()
    }

    /// The shape of operand `index` of one node.
    pub fn item_shape(&self, builder: &Builder, index: usize) -> Shape {
        let shape = builder.shape(self.operands[index]);
        if self.is_stacked[index] { shape[1..].iter().copied().collect() } else { shape.clone() }
    }

    /// All operands as stacks.
    pub fn stacks(&self, builder: &mut Builder) -> Result<Operands, Error> {
        let operands = self.operands.iter().zip(self.is_stacked);
        operands
            .map(|(&operand, &is_stacked)| {
                let shape = self.stack_shape(builder.shape(operand));
                if is_stacked { Ok(operand) } else { builder.broadcast(operand, shape) }
            })
            .collect()
    }

    /// The results of `op`, which knows of the leading axis, on all operands as stacks.
    pub fn apply(&self, builder: &mut Builder, op: impl Into<Op>) -> Result<Operands, Error> {
        let stacks = self.stacks(builder)?;
        let node = builder.push(op, &stacks)?;
        Ok(builder.graph().results(node).collect())
    }
}

/// Whether `op` on stacks is what it is on each item: for tests.
#[cfg(test)]
mod tests {
    use crate::eval::{Bindings, evaluate};
    use crate::ops::{Batched, Op, Sample};
    use crate::scalar::uniform;
    use crate::{Builder, DType, Elements, Operands, Scalar, Shape, Tensor, Type, Value};

    const LENGTH: usize = 3;

    fn random(ty: &Type, interval: (f64, f64), stream: u32) -> Tensor {
        let (low, high) = interval;
        Tensor::from_fn(ty, |i| {
            let x = low + (high - low) * uniform(5, stream, i as u32, DType::F64);
            Scalar::from_f64(ty.dtype, if ty.dtype.is_float() { x } else { x.floor() })
        })
    }

    fn row(tensor: &Tensor, t: usize) -> Tensor {
        let shape: Shape = tensor.shape()[1..].iter().copied().collect();
        let count = shape.elements();
        Tensor::from_fn(&Type { dtype: tensor.dtype(), shape }, |i| tensor.get(t * count + i))
    }

    fn outputs(mut b: Builder, results: Operands) -> Vec<Tensor> {
        for (index, &result) in results.iter().enumerate() {
            b.output(&format!("y{index}"), result).unwrap();
        }
        let names = (0..results.len()).map(|index| format!("y{index}"));
        let mut found = evaluate(&b.finish(), &Bindings::default()).unwrap().outputs;
        names.map(|name| found.remove(&name).unwrap()).collect()
    }

    /// The results of a sample with some operands stacked, beside those of each item; `None` where it cannot be batched.
    fn both(sample: &Sample, is_stacked: &[bool]) -> Option<(Vec<Tensor>, Vec<Vec<Tensor>>)> {
        let tensors: Vec<Tensor> = (sample.operands.iter().zip(is_stacked).enumerate())
            .map(|(i, (operand, &is_stacked))| {
                let stack = || [LENGTH].into_iter().chain(operand.ty.shape.iter().copied()).collect();
                let shape = if is_stacked { stack() } else { operand.ty.shape.clone() };
                random(&Type { dtype: operand.ty.dtype, shape }, operand.interval, i as u32)
            })
            .collect();
        let single = |t: usize| {
            let mut b = Builder::new("single");
            let items = tensors.iter().zip(is_stacked);
            let operands: Vec<Value> = items
                .map(|(tensor, &is_stacked)| {
                    b.constant(if is_stacked { row(tensor, t) } else { tensor.clone() })
                })
                .collect();
            let node = sample.push(&mut b, &operands).unwrap();
            let (types, results) = (b.graph().node(node).results.clone(), b.graph().results(node).collect());
            (types, outputs(b, results))
        };
        let mut b = Builder::new("batched");
        let operands: Vec<Value> = tensors.iter().map(|tensor| b.constant(tensor.clone())).collect();
        let types = single(0).0;
        let node = Batched { operands: &operands, is_stacked, length: LENGTH, results: &types };
        let results = sample.op.batched(&mut b, &node).unwrap()?;
        Some((outputs(b, results), (0..LENGTH).map(|t| single(t).1).collect()))
    }

    #[test]
    fn a_batched_op_is_a_stack_of_single_ones() {
        let mut batched = std::collections::BTreeSet::new();
        for sample in Op::samples() {
            let count = sample.operands.len().min(3);
            for subset in 1..1u32 << count {
                let mut is_stacked: Vec<bool> = (0..count).map(|i| subset >> i & 1 == 1).collect();
                is_stacked.resize(sample.operands.len(), false);
                let Some((found, expected)) = both(&sample, &is_stacked) else { continue };
                batched.insert(sample.op.name());
                for (result, stack) in found.iter().enumerate() {
                    for (t, items) in expected.iter().enumerate() {
                        let (found, expected) = (row(stack, t), &items[result]);
                        assert_eq!(found.ty(), expected.ty(), "{sample:?} {is_stacked:?}");
                        assert!(
                            is_near(&found, expected),
                            "{sample:?} {is_stacked:?}: {found:?} {expected:?}"
                        );
                    }
                }
            }
        }
        for name in ["matmul", "conv", "gather", "scatter_add", "max_pool", "window", "pad", "broadcast"] {
            assert!(batched.contains(name), "{name} is batched");
        }
    }

    fn is_near(a: &Tensor, b: &Tensor) -> bool {
        match (a.elements(), b.elements()) {
            (Elements::F32(a), Elements::F32(b)) => a
                .iter()
                .zip(b)
                .all(|(a, b)| a.to_bits() == b.to_bits() || (a - b).abs() <= 1e-5 * (1.0 + a.abs())),
            (a, b) => a == b,
        }
    }
}
