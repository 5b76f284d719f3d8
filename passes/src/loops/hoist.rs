//! Pass `hoist`: computes before a loop what no step before has a part in.
//!
//! In and out: a graph without `grad` and without ops that stand for others. A node of a body that depends on stacked
//! operands and invariants alone is computed for all steps at once where it is a contraction or follows one without being
//! larger, and where it is what the loop stacks; one that depends on invariants alone, where it computes anything. So the
//! input projection of a recurrent cell is one product. A weight by which each step multiplies with its axes swapped is
//! transposed once. A carry that stays as it is becomes an invariant.

use std::collections::{BTreeMap, BTreeSet};

use ir::ops::{MatMul, Scan};
use ir::{Builder, Error, Graph, Lowering, Node, NodeId, Op, Operands, Value};

use super::body::{Depends, Loop, NewBody, Outside, has_loops};
use crate::access::{lowering, resolve};
use crate::dce::dce;
use crate::rewrite::rebuild;

/// Moves what it can out of the loops of a graph. Stacks of more than `most_bytes` are not made.
pub fn hoist(graph: &Graph, most_bytes: usize) -> Result<Graph, Error> {
    if !has_loops(graph) {
        return Ok(graph.clone());
    }
    let hoisted = rebuild(&dce(graph)?, |builder, node, operands| match (&node.op, &node.body) {
        (Op::Scan(scan), Some(body)) => {
            let hoisted = Hoist::new(Loop::new(scan, body), most_bytes);
            hoisted.map_or(Ok(None), |hoist| hoist.write(builder, operands).map(Some))
        }
        _ => Ok(None),
    })?;
    dce(&hoisted)
}

/// What is moved out of a loop.
struct Hoist<'a> {
    of: Loop<'a>,
    /// The nodes that are computed outside, with those that they need.
    lifted: BTreeSet<NodeId>,
    /// Those of them that the loop reads as operands.
    wanted: BTreeSet<NodeId>,
    /// The products whose right operand, an invariant, is transposed outside.
    transposed: BTreeSet<NodeId>,
    /// The carries that stay as they are.
    fixed: BTreeSet<usize>,
}

impl<'a> Hoist<'a> {
    /// `None` where nothing can be moved.
    fn new(of: Loop<'a>, most_bytes: usize) -> Option<Hoist<'a>> {
        let (scan, body) = (of.scan, of.body);
        let fixed: BTreeSet<usize> =
            (0..scan.carries).filter(|&carry| body.outputs[carry].value == of.inputs[carry]).collect();
        let mut wanted: BTreeSet<NodeId> = BTreeSet::new();
        let fits = |node: &Node| {
            let bytes: usize = node.results.iter().map(ir::Type::size_bytes).sum();
            bytes.saturating_mul(scan.length) <= most_bytes
        };
        for output in &body.outputs[scan.carries..] {
            if of.depends(output.value.node) < Depends::Carry && !of.is_input(output.value) {
                wanted.insert(output.value.node);
            }
        }
        for (id, node) in body.nodes() {
            let is_wanted = match (of.depends(id), lowering(body, node)) {
                (Depends::Carry, _) => false,
                (_, Lowering::Contract(_)) => fits(node),
                (Depends::Invariant, Lowering::View(_)) => is_copied_for_a_loop(&of, id),
                (Depends::Invariant, _) => !of.is_free(node),
                (Depends::Stacked, Lowering::Apply(_)) => fits(node) && follows(&of, node, &wanted),
                _ => false,
            };
            if is_wanted {
                wanted.insert(id);
            }
        }
        let transposed: BTreeSet<NodeId> =
            body.nodes().filter(|(id, node)| swaps_an_invariant(&of, *id, node)).map(|(id, _)| id).collect();
        let has_input_output = body.outputs[scan.carries..]
            .iter()
            .any(|output| of.is_input(output.value) && of.depends(output.value.node) < Depends::Carry);
        if wanted.is_empty() && transposed.is_empty() && fixed.is_empty() && !has_input_output {
            return None;
        }
        let mut lifted = BTreeSet::new();
        let mut open: Vec<NodeId> = wanted.iter().copied().collect();
        open.extend(transposed.iter().map(|id| body.node(*id).operands[1].node));
        while let Some(id) = open.pop() {
            if !matches!(body.node(id).op, Op::Input(_)) && lifted.insert(id) {
                open.extend(body.node(id).operands.iter().map(|operand| operand.node));
            }
        }
        Some(Hoist { of, lifted, wanted, transposed, fixed })
    }

    /// Appends what is computed outside, and the loop with what is left of it.
    fn write(&self, builder: &mut Builder, operands: &[Value]) -> Result<Operands, Error> {
        let Loop { scan, body, inputs, .. } = &self.of;
        let mut outside = self.of.operands(operands);
        for &carry in &self.fixed {
            outside.insert(inputs[carry], Outside { value: operands[carry], is_stack: false });
        }
        for &id in &self.lifted {
            self.of.lift(builder, id, &mut outside)?;
        }
        let mut swapped: BTreeMap<NodeId, Value> = BTreeMap::new();
        for &id in &self.transposed {
            if let Some(right) = outside.get(&body.node(id).operands[1]) {
                swapped.insert(id, builder.transpose(right.value, &[1, 0])?);
            }
        }
        let is_outside = |value: Value| {
            let is_read = self.wanted.contains(&value.node) || self.of.is_input(value);
            outside.get(&value).copied().filter(|_| is_read)
        };
        // What the loop still computes: all that its outputs need, down to what is outside.
        let kept: Vec<usize> = (0..body.outputs.len())
            .filter(|index| match index {
                carry if *carry < scan.carries => !self.fixed.contains(carry),
                stacked => is_outside(body.outputs[*stacked].value).is_none(),
            })
            .collect();
        let mut needed: BTreeSet<NodeId> = BTreeSet::new();
        let mut read: BTreeSet<Value> = BTreeSet::new();
        let mut open: Vec<Value> = kept.iter().map(|&index| body.outputs[index].value).collect();
        while let Some(value) = open.pop() {
            if is_outside(value).is_some() {
                read.insert(value);
            } else if needed.insert(value.node) {
                let node = body.node(value.node);
                let count = if swapped.contains_key(&value.node) { 1 } else { node.operands.len() };
                open.extend(node.operands[..count].iter().copied());
            }
        }
        let carries: Vec<usize> = (0..scan.carries).filter(|carry| !self.fixed.contains(carry)).collect();
        let mut new = NewBody::new(body, carries.len());
        let mut given = Operands::new();
        for &carry in &carries {
            new.input_for(inputs[carry])?;
            given.push(operands[carry]);
        }
        for is_stack in [true, false] {
            for &value in &read {
                let source = outside[&value];
                if source.is_stack == is_stack {
                    new.input_for(value)?;
                    given.push(source.value);
                }
            }
        }
        let stacked = read.iter().filter(|value| outside[value].is_stack).count();
        let mut weights: BTreeMap<NodeId, Value> = BTreeMap::new();
        for (&id, &value) in swapped.iter().filter(|(id, _)| needed.contains(id)) {
            weights.insert(id, new.input(&builder.ty(value).clone())?);
            given.push(value);
        }
        for &id in needed.iter().filter(|id| !matches!(body.node(**id).op, Op::Input(_))) {
            match weights.get(&id) {
                None => new.copy(id)?,
                Some(&weight) => {
                    let left = new.values[&body.node(id).operands[0]];
                    let product = new.builder.matmul(left, weight)?;
                    new.values.insert(Value::new(id, 0), product);
                }
            }
        }
        for &index in &kept {
            new.output(body.outputs[index].value)?;
        }
        let left = Scan { carries: carries.len(), stacked, ..(*scan).clone() };
        let found = new.push(builder, left, &given)?;
        let mut results: Vec<Option<Value>> = vec![None; body.outputs.len()];
        kept.iter().zip(found).for_each(|(&index, result)| results[index] = Some(result));
        let result = |(index, result): (usize, Option<Value>)| match result {
            Some(result) => Ok(result),
            None if index < scan.carries => Ok(operands[index]),
            None => {
                let source = outside[&body.outputs[index].value];
                let stack = scan.stack_of(body.ty(body.outputs[index].value)).shape;
                if source.is_stack { Ok(source.value) } else { builder.broadcast(source.value, stack) }
            }
        };
        results.into_iter().enumerate().map(result).collect()
    }
}

/// Whether a view of memory is read by a loop within this one, which reads memory alone: a copy.
fn is_copied_for_a_loop(of: &Loop<'_>, id: NodeId) -> bool {
    let is_read = of.body.users(id).any(|(user, _)| matches!(of.body.node(user).op, Op::Scan(_)));
    is_read && of.is_input(resolve(of.body, Value::new(id, 0), |base| of.is_input(base)).base)
}

/// Whether an elementwise node follows one that is computed outside, is not larger, and has all else at hand there.
fn follows(of: &Loop<'_>, node: &Node, wanted: &BTreeSet<NodeId>) -> bool {
    let elements = |value: Value| of.body.ty(value).shape.elements();
    let size = node.results[0].shape.elements();
    let mut is_led = false;
    node.operands.iter().all(|&operand| {
        let is_wanted = wanted.contains(&operand.node);
        is_led |= is_wanted && of.depends(operand.node) == Depends::Stacked && elements(operand) >= size;
        is_wanted || of.depends(operand.node) == Depends::Invariant || of.is_input(operand)
    }) && is_led
}

/// Whether a node multiplies what depends on the step before by an invariant matrix with its axes swapped.
fn swaps_an_invariant(of: &Loop<'_>, id: NodeId, node: &Node) -> bool {
    let Op::MatMul(MatMul { transpose_left: false, transpose_right: true }) = node.op else { return false };
    let right = node.operands[1];
    of.scan.length > 1
        && of.depends(id) == Depends::Carry
        && of.depends(right.node) == Depends::Invariant
        && of.body.ty(right).shape.rank() == 2
}
