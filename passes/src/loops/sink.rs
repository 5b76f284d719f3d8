//! Pass `sink`: sums over all steps are computed after a loop.
//!
//! In and out: a graph without `grad` and without ops that stand for others. Where a carry is only added to, as the gradient of
//! a weight is, the operands of what is added are stacked, and the sum over time is one reduction, or one contraction with
//! time in its sum. So the gradient of a recurrent weight is one product, whatever the number of steps, and the optimizer's
//! update is its epilogue. What no carry depends on comes after the loop as well (`tails`).

use std::collections::BTreeSet;

use ir::ops::{Conv, ConvOf, MatMul, Pad, Reduce, Scan};
use ir::{Builder, Error, Graph, Node, NodeId, Op, Operands, ReduceOp, ScalarFn, Shape, Value};
use smallvec::{SmallVec, smallvec};

use super::body::{Loop, NewBody, has_loops};
use super::tails::sink_tails;
use crate::dce::dce;
use crate::rewrite::rebuild;

/// Moves the sums of loops behind them, and what no carry depends on. Stacks of more than `most_bytes` are not made.
pub fn sink(graph: &Graph, most_bytes: usize) -> Result<Graph, Error> {
    if !has_loops(graph) {
        return Ok(graph.clone());
    }
    let without_sums = dce(&sink_sums(graph, most_bytes)?)?;
    dce(&sink_tails(&without_sums, most_bytes)?)
}

fn sink_sums(graph: &Graph, most_bytes: usize) -> Result<Graph, Error> {
    rebuild(graph, |builder, node, operands| match (&node.op, &node.body) {
        (Op::Scan(scan), Some(body)) => {
            let of = Loop::new(scan, body);
            let sums: Vec<Sum> =
                (0..scan.carries).filter_map(|carry| sum_of(&of, carry, most_bytes)).collect();
            if sums.is_empty() { Ok(None) } else { write(&of, &sums, builder, operands).map(Some) }
        }
        _ => Ok(None),
    })
}

/// A carry that is only added to.
struct Sum {
    carry: usize,
    terms: Vec<Term>,
}

/// What is added in each step: linear functions of a sum that runs over time as well.
struct Term {
    /// The node that sums.
    sum: NodeId,
    /// What is done with it, in order: nodes of one operand.
    linear: Vec<NodeId>,
    /// The values that are stacked.
    stacked: SmallVec<[Stacked; 2]>,
}

/// A value that is stacked, with its two axes swapped first where that is what the sum wants.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Stacked {
    value: Value,
    is_swapped: bool,
}

/// The sum that a carry is; `None` where it is read otherwise, or what is added is no sum.
fn sum_of(of: &Loop<'_>, carry: usize, most_bytes: usize) -> Option<Sum> {
    let body = of.body;
    let input = of.inputs[carry];
    let is_output_once =
        body.outputs.iter().filter(|output| output.value == body.outputs[carry].value).count() == 1;
    if body.outputs[carry].value == input || !is_output_once {
        return None;
    }
    let mut parts: Vec<Term> = Vec::new();
    let mut before = input.node;
    for addition in additions(of, carry)? {
        let mut others = body.node(addition).operands.iter().filter(|operand| operand.node != before);
        collect_terms(body, *others.next()?, &mut parts)?;
        before = addition;
    }
    let bytes = |stacked: &Stacked| body.ty(stacked.value).size_bytes().saturating_mul(of.scan.length);
    let all: BTreeSet<Stacked> = parts.iter().flat_map(|term| term.stacked.iter().copied()).collect();
    (all.iter().map(bytes).sum::<usize>() <= most_bytes).then_some(Sum { carry, terms: parts })
}

/// The additions that lead from a carry to its next value, where nothing else reads the carry or what they give.
fn additions(of: &Loop<'_>, carry: usize) -> Option<Vec<NodeId>> {
    let (body, mut at) = (of.body, of.inputs[carry]);
    let mut additions = Vec::new();
    while at != of.body.outputs[carry].value {
        let mut users = body.users(at.node);
        let (user, _) = users.next()?;
        let is_read_otherwise =
            users.next().is_some() || body.outputs.iter().any(|output| output.value == at);
        if is_read_otherwise || !is_add(body.node(user)) {
            return None;
        }
        additions.push(user);
        at = Value::new(user, 0);
    }
    body.users(at.node).next().is_none().then_some(additions)
}

fn is_add(node: &Node) -> bool {
    matches!(&node.op, Op::Elementwise(elementwise) if elementwise.function == ScalarFn::Add)
}

/// The sums that a value consists of; `None` where it is anything else.
fn collect_terms(body: &Graph, value: Value, terms: &mut Vec<Term>) -> Option<()> {
    let mut open: Vec<(Value, Vec<NodeId>)> = vec![(value, Vec::new())];
    while let Some((value, mut linear)) = open.pop() {
        let node = body.node(value.node);
        match &node.op {
            Op::Elementwise(_) if is_add(node) => {
                open.extend(node.operands.iter().map(|&operand| (operand, linear.clone())));
            }
            _ if is_zero(body, value) => {}
            op if is_linear(op) => {
                linear.push(value.node);
                open.push((node.operands[0], linear));
            }
            op => {
                linear.reverse();
                let stacked = stacked_of(body, op, node)?;
                terms.push(Term { sum: value.node, linear, stacked });
            }
        }
        if open.len() + terms.len() > MOST_TERMS {
            return None;
        }
    }
    Some(())
}

/// Sums of more terms stay in their loops.
const MOST_TERMS: usize = 64;

/// Whether the op of one operand is linear, and moves elements alone.
fn is_linear(op: &Op) -> bool {
    match op {
        Op::Reshape(_) | Op::Transpose(_) | Op::Broadcast(_) | Op::Slice(_) => true,
        Op::Pad(Pad { value, .. }) => value.as_f64() == 0.0,
        Op::Elementwise(elementwise) => elementwise.function == ScalarFn::Neg,
        _ => false,
    }
}

/// Whether a value is the constant 0, broadcast or not.
fn is_zero(graph: &Graph, mut value: Value) -> bool {
    while let Op::Broadcast(_) | Op::Reshape(_) = graph.node(value.node).op {
        value = graph.node(value.node).operands[0];
    }
    matches!(&graph.node(value.node).op, Op::Constant(constant)
        if constant.tensor.splat_value().is_some_and(|value| value.as_f64() == 0.0))
}

/// What of a sum is stacked, so that time can be a part of it; `None` where it is no sum that takes time in.
fn stacked_of(body: &Graph, op: &Op, node: &Node) -> Option<SmallVec<[Stacked; 2]>> {
    let plain = |value| Stacked { value, is_swapped: false };
    match op {
        Op::Reduce(Reduce { op: ReduceOp::Add, .. }) => Some(smallvec![plain(node.operands[0])]),
        Op::MatMul(MatMul { transpose_left, transpose_right })
            if body.ty(node.operands[0]).shape.rank() == 2 =>
        {
            // Rows are what is summed over: those of all steps lie one below the other.
            let (left, right) = (node.operands[0], node.operands[1]);
            let left = Stacked { value: left, is_swapped: !transpose_left };
            Some(smallvec![left, Stacked { value: right, is_swapped: *transpose_right }])
        }
        Op::Conv(Conv { of: ConvOf::Weight, .. }) => Some(node.operands.iter().copied().map(plain).collect()),
        _ => None,
    }
}

/// Appends the loop without its sums, and the sums.
fn write(of: &Loop<'_>, sums: &[Sum], builder: &mut Builder, operands: &[Value]) -> Result<Operands, Error> {
    let Loop { scan, body, inputs, .. } = of;
    let sunk: BTreeSet<usize> = sums.iter().map(|sum| sum.carry).collect();
    let mut new = NewBody::new(body);
    let mut given = Operands::new();
    for (index, &input) in inputs.iter().enumerate().filter(|(index, _)| !sunk.contains(index)) {
        let copy = new.input(body.ty(input))?;
        new.values.insert(input, copy);
        given.push(operands[index]);
    }
    // The additions to the carries are all that needs them; nothing else is left out.
    let skipped: BTreeSet<NodeId> =
        sums.iter().filter_map(|sum| additions(of, sum.carry)).flatten().collect();
    for (id, node) in
        body.nodes().filter(|(id, node)| !matches!(node.op, Op::Input(_)) && !skipped.contains(id))
    {
        let _ = node;
        new.copy(body, id)?;
    }
    let kept: Vec<usize> = (0..body.outputs.len()).filter(|index| !sunk.contains(index)).collect();
    for &index in &kept {
        let value = new.values[&body.outputs[index].value];
        new.output(value)?;
    }
    // What is stacked already is not stacked again; what is an operand is at hand.
    let Scan { carries, stacked, .. } = **scan;
    let given_stacks = |stack: &Stacked| {
        let index = inputs[carries..carries + stacked].iter().position(|&input| input == stack.value)?;
        (!stack.is_swapped).then(|| operands[carries + index])
    };
    let mut stacks: Vec<Stacked> = Vec::new();
    for stack in sums.iter().flat_map(|sum| &sum.terms).flat_map(|term| &term.stacked) {
        if !stacks.contains(stack) {
            stacks.push(*stack);
        }
    }
    let mut places: Vec<Option<usize>> = Vec::new();
    for stack in &stacks {
        if given_stacks(stack).is_some() {
            places.push(None);
            continue;
        }
        let known = kept.iter().position(|&index| {
            index >= carries && !stack.is_swapped && body.outputs[index].value == stack.value
        });
        places.push(Some(match known {
            Some(place) => place,
            None => {
                let value = new.values[&stack.value];
                let value = if stack.is_swapped { new.builder.transpose(value, &[1, 0])? } else { value };
                new.output(value)?;
                new.builder.graph().outputs.len() - 1
            }
        }));
    }
    let mut results: Vec<Value> = Vec::new();
    if !new.builder.graph().outputs.is_empty() {
        let scan = Scan { carries: carries - sunk.len(), ..(*scan).clone() };
        let node = builder.push_with_body(scan, &given, None, Some(Box::new(new.builder.finish())))?;
        results = builder.graph().results(node).collect();
    }
    let stack_of = |stack: &Stacked| -> Value {
        let place = stacks.iter().position(|known| known == stack).and_then(|at| places[at]);
        place.map_or_else(|| given_stacks(stack).expect("it is an operand"), |place| results[place])
    };
    let mut found: Operands = Operands::new();
    let mut left = results.iter();
    for index in 0..body.outputs.len() {
        let Some(sum) = sums.iter().find(|sum| sum.carry == index) else {
            found.push(*left.next().expect("the loop returns what is left of it"));
            continue;
        };
        // A sum starts from 0 by itself.
        let initial = operands[sum.carry];
        let mut total = (!is_zero(builder.graph(), initial)).then_some(initial);
        for term in &sum.terms {
            let items: Operands = term.stacked.iter().map(&stack_of).collect();
            let mut value = over_time(builder, body.node(term.sum), &items)?;
            for &id in &term.linear {
                value = builder.op(body.node(id).op.clone(), &[value])?;
            }
            total = Some(total.map_or(Ok(value), |total| builder.add(total, value))?);
        }
        found.push(total.unwrap_or(initial));
    }
    Ok(found)
}

/// A sum over the stacks of its operands, time included.
fn over_time(builder: &mut Builder, node: &Node, stacks: &[Value]) -> Result<Value, Error> {
    match &node.op {
        Op::Reduce(reduce) => {
            // Leading axes that all are summed over are one, however many loops they come from.
            let shape = builder.shape(stacks[0]).clone();
            let axes: Vec<usize> =
                std::iter::once(0).chain(reduce.axes.iter().map(|axis| axis + 1)).collect();
            let leading = axes.iter().enumerate().take_while(|(at, axis)| at == *axis).count();
            let count: usize = shape[..leading].iter().product();
            let merged: Shape = std::iter::once(count).chain(shape[leading..].iter().copied()).collect();
            let rest = axes[leading..].iter().map(|axis| axis + 1 - leading);
            let axes: SmallVec<[usize; 4]> = std::iter::once(0).chain(rest).collect();
            let x = builder.reshape(stacks[0], merged)?;
            builder.op(Reduce { op: ReduceOp::Add, axes }, &[x])
        }
        Op::MatMul(_) => {
            let rows = |builder: &mut Builder, stack: Value| {
                let shape = builder.shape(stack).clone();
                builder.reshape(stack, [shape[0] * shape[1], shape[2]])
            };
            let [left, right] = [rows(builder, stacks[0])?, rows(builder, stacks[1])?];
            builder.matmul_transposed(left, right, true, false)
        }
        op => {
            let images = |builder: &mut Builder, stack: Value| {
                let shape = builder.shape(stack).clone();
                let merged: Shape =
                    std::iter::once(shape[0] * shape[1]).chain(shape[2..].iter().copied()).collect();
                builder.reshape(stack, merged)
            };
            let [x, y] = [images(builder, stacks[0])?, images(builder, stacks[1])?];
            builder.op(op.clone(), &[x, y])
        }
    }
}
