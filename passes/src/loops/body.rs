//! The body of a loop as passes see it: on what each node depends, and the same node for all steps at once.

use std::collections::BTreeMap;

use ir::ops::{Batched, Scan};
use ir::{Builder, Error, Graph, Lowering, Node, NodeId, Operands, Type, Value};
use smallvec::SmallVec;

use crate::access::lowering;

/// Whether there is anything to be moved out of.
pub fn has_loops(graph: &Graph) -> bool {
    graph.nodes().any(|(_, node)| matches!(node.op, ir::Op::Scan(_)))
}

/// On what a value of a body depends: the greatest of what its operands depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depends {
    /// On invariants and constants: it is the same in each step.
    Invariant,
    /// On stacked operands too.
    Stacked,
    /// On the step before.
    Carry,
}

/// A loop that is rewritten.
pub struct Loop<'a> {
    pub scan: &'a Scan,
    pub body: &'a Graph,
    /// The inputs of the body, in order.
    pub inputs: Vec<Value>,
    /// Of each node of the body.
    depends: Vec<Depends>,
}

impl<'a> Loop<'a> {
    pub fn new(scan: &'a Scan, body: &'a Graph) -> Loop<'a> {
        let inputs: Vec<Value> = body.inputs().map(|(id, _)| Value::new(id, 0)).collect();
        let mut depends: Vec<Depends> = Vec::with_capacity(body.len());
        let mut number = 0;
        for (_, node) in body.nodes() {
            let below = node.operands.iter().map(|operand| depends[operand.node.0 as usize]).max();
            depends.push(match node.op {
                ir::Op::Input(_) => {
                    number += 1;
                    match number - 1 {
                        carry if carry < scan.carries => Depends::Carry,
                        stacked if stacked < scan.carries + scan.stacked => Depends::Stacked,
                        _ => Depends::Invariant,
                    }
                }
                _ => below.unwrap_or(Depends::Invariant),
            });
        }
        Loop { scan, body, inputs, depends }
    }

    pub fn depends(&self, id: NodeId) -> Depends {
        self.depends[id.0 as usize]
    }

    pub fn is_input(&self, value: Value) -> bool {
        matches!(self.body.node(value.node).op, ir::Op::Input(_))
    }

    /// Whether a node moves elements, or repeats or counts them, and computes nothing.
    pub fn is_free(&self, node: &Node) -> bool {
        matches!(
            lowering(self.body, node),
            Lowering::Leaf | Lowering::Alias | Lowering::View(_) | Lowering::Iota { .. }
        )
    }

    /// The values that stand outside for the inputs of the body that are no carries, with whether each is a stack.
    pub fn operands(&self, operands: &[Value]) -> BTreeMap<Value, Outside> {
        let Scan { carries, stacked, .. } = *self.scan;
        let outside = |(index, (&input, &value)): (usize, (&Value, &Value))| {
            (input, Outside { value, is_stack: index < carries + stacked })
        };
        self.inputs.iter().zip(operands).enumerate().skip(carries).map(outside).collect()
    }

    /// Computes a node for all steps, outside of the loop; whether that could be done.
    pub fn lift(
        &self,
        builder: &mut Builder,
        id: NodeId,
        outside: &mut BTreeMap<Value, Outside>,
    ) -> Result<bool, Error> {
        let node = self.body.node(id);
        let Some(operands) = node
            .operands
            .iter()
            .map(|operand| outside.get(operand).copied())
            .collect::<Option<SmallVec<[Outside; 3]>>>()
        else {
            return Ok(false);
        };
        let values: Operands = operands.iter().map(|operand| operand.value).collect();
        let is_stacked: SmallVec<[bool; 3]> = operands.iter().map(|operand| operand.is_stack).collect();
        let is_stack = is_stacked.contains(&true);
        let results: Operands = if is_stack {
            let length = self.scan.length;
            let many = Batched { operands: &values, is_stacked: &is_stacked, length, results: &node.results };
            match node.op.batched(builder, &many)? {
                Some(results) => results,
                None => return Ok(false),
            }
        } else {
            let copy = builder.push_with_body(node.op.clone(), &values, None, node.body.clone())?;
            builder.graph().results(copy).collect()
        };
        outside.extend(
            self.body.results(id).zip(results).map(|(inner, value)| (inner, Outside { value, is_stack })),
        );
        Ok(true)
    }
}

/// A value outside of the loop that stands for one of its body.
#[derive(Clone, Copy, Debug)]
pub struct Outside {
    pub value: Value,
    /// Whether it has an item for each step.
    pub is_stack: bool,
}

/// A body that is written anew, with inputs of its own for what is computed outside.
pub struct NewBody<'a> {
    old: &'a Graph,
    pub builder: Builder,
    /// Where values of the old body are in the new one.
    pub values: BTreeMap<Value, Value>,
    /// So many of the outputs, the first ones, are the next values of carries.
    carries: usize,
}

impl<'a> NewBody<'a> {
    pub fn new(old: &'a Graph, carries: usize) -> NewBody<'a> {
        NewBody { old, builder: Builder::new(old.name.clone()), values: BTreeMap::new(), carries }
    }

    /// An input of this type.
    pub fn input(&mut self, ty: &Type) -> Result<Value, Error> {
        let name = format!("in{}", self.builder.graph().len());
        self.builder.input(&name, ty.dtype, ty.shape.clone())
    }

    /// An input that is a value of the old body: an input of that, or what is computed outside.
    pub fn input_for(&mut self, value: Value) -> Result<(), Error> {
        let input = self.input(self.old.ty(value))?;
        self.values.insert(value, input);
        Ok(())
    }

    /// Copies a node whose operands are there.
    pub fn copy(&mut self, id: NodeId) -> Result<(), Error> {
        copy(&mut self.builder, &mut self.values, self.old, id)
    }

    /// Returns a value of the old body under the next name.
    pub fn output(&mut self, value: Value) -> Result<(), Error> {
        self.push_output(self.values[&value])
    }

    /// The number of the output that stacks a value of the new body; there is one more where there was none.
    pub fn stack(&mut self, value: Value) -> Result<usize, Error> {
        let outputs = &self.builder.graph().outputs;
        let count = outputs.len();
        match (self.carries..count).find(|&index| outputs[index].value == value) {
            Some(index) => Ok(index),
            None => self.push_output(value).map(|()| count),
        }
    }

    fn push_output(&mut self, value: Value) -> Result<(), Error> {
        let name = format!("out{}", self.builder.graph().outputs.len());
        self.builder.output(&name, value)
    }

    /// Appends the loop that has this body, and gives its results. A loop that returns nothing is none.
    pub fn push(self, builder: &mut Builder, scan: Scan, operands: &[Value]) -> Result<Operands, Error> {
        if self.builder.graph().outputs.is_empty() {
            return Ok(Operands::new());
        }
        let node = builder.push_with_body(scan, operands, None, Some(Box::new(self.builder.finish())))?;
        Ok(builder.graph().results(node).collect())
    }
}

/// Copies a node whose operands are there, by where values of the old graph are in that of the builder.
pub fn copy(
    builder: &mut Builder,
    values: &mut BTreeMap<Value, Value>,
    old: &Graph,
    id: NodeId,
) -> Result<(), Error> {
    let node = old.node(id);
    let operands: Operands = node.operands.iter().map(|operand| values[operand]).collect();
    let copy = builder.push_with_body(node.op.clone(), &operands, None, node.body.clone())?;
    let results: Operands = builder.graph().results(copy).collect();
    values.extend(old.results(id).zip(results));
    Ok(())
}
