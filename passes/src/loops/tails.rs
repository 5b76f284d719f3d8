//! The other half of pass `sink`: what no carry depends on is computed after the loop, where it is a contraction or follows
//! one. So the outputs of a recurrent network, and the gradients of its inputs, are one product over all steps.

use std::collections::{BTreeMap, BTreeSet};

use ir::{Builder, Error, Graph, Lowering, NodeId, Op, Operands, Value};

use super::body::{Depends, Loop, NewBody, Outside};
use crate::access::lowering;
use crate::rewrite::rebuild;

/// Moves the tails of loops behind them. Stacks of more than `most_bytes` are not made.
pub fn sink_tails(graph: &Graph, most_bytes: usize) -> Result<Graph, Error> {
    rebuild(graph, |builder, node, operands| match (&node.op, &node.body) {
        (Op::Scan(scan), Some(body)) => match Tail::new(Loop::new(scan, body), most_bytes) {
            Some(tail) => tail.write(builder, operands),
            None => Ok(None),
        },
        _ => Ok(None),
    })
}

/// What is computed after a loop.
struct Tail<'a> {
    of: Loop<'a>,
    /// The nodes that move, and the invariant ones that they need.
    moved: BTreeSet<NodeId>,
    /// The values of the loop that they read, which it stacks.
    read: BTreeSet<Value>,
}

impl<'a> Tail<'a> {
    fn new(of: Loop<'a>, most_bytes: usize) -> Option<Tail<'a>> {
        let body = of.body;
        let mut is_carried = vec![false; body.len()];
        body.outputs[..of.scan.carries]
            .iter()
            .for_each(|output| is_carried[output.value.node.0 as usize] = true);
        for (id, node) in body.nodes().rev().filter(|(_, node)| !node.operands.is_empty()) {
            if is_carried[id.0 as usize] {
                node.operands.iter().for_each(|operand| is_carried[operand.node.0 as usize] = true);
            }
        }
        let mut moved: BTreeSet<NodeId> = BTreeSet::new();
        for (id, node) in body.nodes().filter(|(id, _)| !is_carried[id.0 as usize]) {
            let is_contraction = matches!(lowering(body, node), Lowering::Contract(_));
            if is_contraction || node.operands.iter().any(|operand| moved.contains(&operand.node)) {
                moved.insert(id);
            }
        }
        if moved.is_empty() {
            return None;
        }
        let mut read = BTreeSet::new();
        let mut open: Vec<NodeId> = moved.iter().copied().collect();
        while let Some(id) = open.pop() {
            for &operand in &body.node(id).operands {
                let is_at_hand = of.is_input(operand) && of.depends(operand.node) < Depends::Carry;
                if is_at_hand || moved.contains(&operand.node) {
                    continue;
                }
                if of.depends(operand.node) == Depends::Invariant {
                    moved.insert(operand.node);
                    open.push(operand.node);
                } else {
                    read.insert(operand);
                }
            }
        }
        let bytes = |value: &Value| body.ty(*value).size_bytes().saturating_mul(of.scan.length);
        (read.iter().map(bytes).sum::<usize>() <= most_bytes).then_some(Tail { of, moved, read })
    }

    /// Appends the loop and what follows; `None` where a node cannot be computed for all steps at once.
    fn write(&self, builder: &mut Builder, operands: &[Value]) -> Result<Option<Operands>, Error> {
        let Loop { scan, body, inputs, .. } = &self.of;
        let mut new = NewBody::new(body, scan.carries);
        inputs.iter().try_for_each(|&input| new.input_for(input))?;
        let is_left = |id: &NodeId| {
            let is_input = matches!(body.node(*id).op, Op::Input(_));
            !is_input && (!self.moved.contains(id) || self.of.depends(*id) == Depends::Invariant)
        };
        body.ids().filter(is_left).try_for_each(|id| new.copy(id))?;
        let mut places: Vec<Option<usize>> = Vec::new();
        for (index, output) in body.outputs.iter().enumerate() {
            let is_kept = index < scan.carries || !self.moved.contains(&output.value.node);
            places.push(is_kept.then_some(new.builder.graph().outputs.len()));
            if is_kept {
                new.output(output.value)?;
            }
        }
        let mut stacks: BTreeMap<Value, usize> = BTreeMap::new();
        for &value in &self.read {
            let place = new.stack(new.values[&value])?;
            stacks.insert(value, place);
        }
        let results = new.push(builder, (*scan).clone(), operands)?;
        let mut outside = self.of.operands(operands);
        outside.extend(
            stacks.iter().map(|(&value, &place)| (value, Outside { value: results[place], is_stack: true })),
        );
        for &id in &self.moved {
            if !self.of.lift(builder, id, &mut outside)? {
                return Ok(None);
            }
        }
        let mut found = Operands::new();
        for (output, place) in body.outputs.iter().zip(&places) {
            found.push(match place {
                Some(place) => results[*place],
                None => {
                    let source = outside[&output.value];
                    let stack = self.of.scan.stack_of(body.ty(output.value)).shape;
                    if source.is_stack { source.value } else { builder.broadcast(source.value, stack)? }
                }
            });
        }
        Ok(Some(found))
    }
}
