//! `scan`: a loop over time, with a body graph.

mod gradient;
#[cfg(test)]
mod tests;

use crate::eval::{Array, Data, evaluate_body};
use crate::ops::{Batched, Differentiated, Gradients, OpDef, Sample, SampleOperand};
use crate::{Attr, AttrReader, Attrs, Builder, DType, Error, Graph, Lowering, Operands, Shape, Type, Types};

/// The body of the node, run once for each step `t` of `length`, from the first or, where it is reversed, from the last:
///
/// | | what it holds |
/// |---|---|
/// | operands | the initial carries, then the stacked operands `[length, ..]`, then the invariants |
/// | inputs of the body | the carries, then element `t` of each stacked operand (without the leading axis), then the invariants |
/// | outputs of the body | the next carries, then `y_t` |
/// | results | the final carries, then the stacked `[length, ..]` of all `y_t`, each at its `t` |
///
/// The next carry has the type of the carry. A length of 0 passes the carries through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// The number of carries.
    pub carries: usize,
    /// The number of stacked operands.
    pub stacked: usize,
    /// The number of steps.
    pub length: usize,
    /// Whether `t` runs from `length - 1` to 0.
    pub reversed: bool,
    /// Whether its gradient keeps nothing of it but the carries, and computes the rest of each step again.
    pub recompute: bool,
}

impl Scan {
    /// The types of the operands that a body of these inputs takes.
    fn operand_types(&self, body: &Graph) -> Types {
        let stacked = self.carries..self.carries + self.stacked;
        let operand = |(index, ty): (usize, &Type)| match stacked.contains(&index) {
            true => self.stack_of(ty),
            false => ty.clone(),
        };
        body.inputs().map(|(_, node)| &node.results[0]).enumerate().map(operand).collect()
    }

    /// `[length, ..]` of a value of each step.
    pub fn stack_of(&self, ty: &Type) -> Type {
        Type {
            dtype: ty.dtype,
            shape: std::iter::once(self.length).chain(ty.shape.iter().copied()).collect(),
        }
    }

    /// The steps in the order in which they run.
    pub fn steps(&self) -> impl Iterator<Item = usize> + use<> {
        let (length, reversed) = (self.length, self.reversed);
        (0..length).map(move |step| if reversed { length - 1 - step } else { step })
    }
}

impl OpDef for Scan {
    fn names() -> Vec<&'static str> {
        vec!["scan"]
    }

    fn name(&self) -> &'static str {
        "scan"
    }

    fn attrs(&self) -> Attrs {
        let size = |value: usize| Attr::Int(value as i64);
        let sizes = [("carries", self.carries), ("stacked", self.stacked), ("length", self.length)]
            .map(|(name, n)| (name, size(n)));
        let flags = [("reversed", self.reversed), ("recompute", self.recompute)];
        let flags = flags.into_iter().filter(|flag| flag.1).map(|(name, value)| (name, Attr::Bool(value)));
        sizes.into_iter().chain(flags).collect()
    }

    fn from_attrs(_: &str, attrs: &mut AttrReader<'_>) -> Result<Self, Error> {
        Ok(Scan {
            carries: attrs.size("carries")?,
            stacked: attrs.size("stacked")?,
            length: attrs.size("length")?,
            reversed: attrs.flag("reversed")?,
            recompute: attrs.flag("recompute")?,
        })
    }

    fn infer(&self, operands: &[&Type], body: Option<&Graph>) -> Result<Types, Error> {
        let fail = |problem: String, help: &str| Err(Error::new("scan", problem, help));
        let Some(body) = body else {
            return fail("it has no body".to_owned(), "write one in braces after the types");
        };
        if body.states().next().is_some() || !body.updates.is_empty() {
            return fail(
                "its body has a state".to_owned(),
                "pass the state as an operand, and update it outside",
            );
        }
        let (taken, given) = (self.operand_types(body), operands.len());
        if taken.len() < self.carries.saturating_add(self.stacked) || taken.len() != given {
            let problem = format!("it has {given} operands, its body {} inputs", taken.len());
            return fail(problem, "give an operand for each input: carries, stacked operands, invariants");
        }
        for (index, (&operand, taken)) in operands.iter().zip(&taken).enumerate() {
            if operand != taken {
                let problem = format!("operand {index} is {operand}, its body takes {taken}");
                return fail(
                    problem,
                    "stacked operands have the length as first axis; carries and invariants are as the body has them",
                );
            }
        }
        if body.outputs.is_empty() || body.outputs.len() < self.carries {
            let problem = format!("its body has {} outputs and {} carries", body.outputs.len(), self.carries);
            return fail(problem, "return the next carries, then what is stacked");
        }
        let outputs: Vec<&Type> = body.outputs.iter().map(|output| body.ty(output.value)).collect();
        for index in 0..self.carries {
            if *outputs[index] != taken[index] {
                let problem =
                    format!("carry {index} is {}, and {} after a step", taken[index], outputs[index]);
                return fail(problem, "keep the type of each carry from step to step");
            }
        }
        let stacks = outputs[self.carries..].iter().map(|ty| self.stack_of(ty));
        Ok(taken[..self.carries].iter().cloned().chain(stacks).collect())
    }

    fn eval(&self, operands: &[&Array], results: &[Type], body: Option<&Graph>) -> Vec<Array> {
        let body = body.expect("`infer` has checked that there is a body");
        let mut carries: Vec<Array> = operands[..self.carries].iter().map(|&carry| carry.clone()).collect();
        let (stacked, invariants) = operands[self.carries..].split_at(self.stacked);
        let mut stacks: Vec<Array> = results[self.carries..].iter().map(zeros).collect();
        for t in self.steps() {
            let items: Vec<Array> = stacked.iter().map(|stack| row(stack, t)).collect();
            let inputs: Vec<&Array> =
                carries.iter().chain(&items).chain(invariants.iter().copied()).collect();
            let mut outputs = evaluate_body(body, &inputs).into_iter();
            carries = outputs.by_ref().take(self.carries).collect();
            stacks.iter_mut().zip(outputs).for_each(|(stack, value)| set_row(stack, t, &value));
        }
        carries.into_iter().chain(stacks).collect()
    }

    fn grad(&self, builder: &mut Builder, node: &Differentiated<'_>) -> Result<Gradients, Error> {
        gradient::gradient(self, builder, node)
    }

    fn batched(&self, _: &mut Builder, _: &Batched<'_>) -> Result<Option<Operands>, Error> {
        Ok(None)
    }

    fn lower(&self, _: &[&Type], _: &[Type]) -> Lowering {
        Lowering::Scan
    }

    fn samples() -> Vec<Sample> {
        let bodies = [
            (
                "%h = input : f32[3] %x = input : f32[3] %w = input : f32[3] %p = mul %h, %w %n = add %p, %x output n = %n output y = %p",
                1,
                1,
            ),
            (
                "%a = input : f32[2, 1] %b = input : f32[2, 1] %x = input : f32[2, 1] %s = sin %b %n = mul %s, %x output a = %b output b = %n",
                2,
                1,
            ),
            ("%x = input : f32[2, 3] %w = input : f32[3, 3] %p = matmul %x, %w output y = %p", 0, 1),
            (
                "%h = input : f32[] %w = input : f32[] %n = mul %h, %w output n = %n output y = %h output z = %n",
                1,
                0,
            ),
        ];
        let lengths = [(0, false), (1, true), (2, false), (7, true), (7, false)];
        let cases = bodies.iter().flat_map(|body| lengths.iter().map(move |length| (body, length)));
        cases
            .map(|(&(text, carries, stacked), &(length, reversed))| {
                let body =
                    crate::text::parse_graph(&format!("graph @{} {{ {text} }}", crate::text::BODY_NAME));
                let body = body.expect("the bodies of samples are valid");
                let scan = Scan { carries, stacked, length, reversed, recompute: length == 7 && reversed };
                let operand = |ty: Type| SampleOperand { ty, interval: (-2.0, 2.0), differentiable: true };
                let operands = scan.operand_types(&body).into_iter().map(operand).collect();
                Sample { op: scan.into(), operands, body: Some(body) }
            })
            .collect()
    }
}

/// Zeros of this type.
fn zeros(ty: &Type) -> Array {
    let count = ty.shape.elements();
    let data = if ty.dtype.is_float() { Data::Float(vec![0.0; count]) } else { Data::Int(vec![0; count]) };
    Array { ty: ty.clone(), data }
}

/// Element `t` along the leading axis.
fn row(stack: &Array, t: usize) -> Array {
    let shape: Shape = stack.ty.shape[1..].iter().copied().collect();
    let range = t * shape.elements()..(t + 1) * shape.elements();
    let data = match &stack.data {
        Data::Float(floats) => Data::Float(floats[range].to_vec()),
        Data::Int(ints) => Data::Int(ints[range].to_vec()),
    };
    Array { ty: Type { dtype: stack.ty.dtype, shape }, data }
}

/// Makes `value` element `t` along the leading axis.
fn set_row(stack: &mut Array, t: usize, value: &Array) {
    let count = value.ty.shape.elements();
    let range = t * count..(t + 1) * count;
    match (&mut stack.data, &value.data) {
        (Data::Float(stack), Data::Float(value)) => stack[range].copy_from_slice(value),
        (Data::Int(stack), Data::Int(value)) => stack[range].copy_from_slice(value),
        _ => unreachable!("`infer` gives the stack the dtype of what is stacked"),
    }
}

/// Whether values of this type have gradients.
fn is_float(ty: &Type) -> bool {
    matches!(ty.dtype, DType::F32 | DType::F64)
}
