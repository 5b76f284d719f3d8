//! Pass `sink`: sums over all steps are computed after a loop.
//!
//! In and out: a graph without `grad` and without ops that stand for others. Where a carry is only added to, as the gradient of
//! a weight is, the operands of what is added are stacked, and the sum over time is one reduction, or one contraction with
//! time in its sum. So the gradient of a recurrent weight is one product, whatever the number of steps, and the optimizer's
//! update is its epilogue. What no carry depends on comes after the loop as well (`tails`).

use std::collections::{BTreeMap, BTreeSet};

use ir::ops::Scan;
use ir::{Builder, Error, Graph, Node, NodeId, Op, Operands, Value};

use super::body::{Loop, NewBody, has_loops};
use super::sums::{Stacked, Sum, sum_of};
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

/// Appends the loop without its sums, and the sums.
fn write(of: &Loop<'_>, sums: &[Sum], builder: &mut Builder, operands: &[Value]) -> Result<Operands, Error> {
    let (mut new, given) = without(of, sums, operands)?;
    // What is stacked already is not stacked again; what is an operand is at hand.
    let mut stacks: BTreeMap<Stacked, Stack> = BTreeMap::new();
    for stacked in sums.iter().flat_map(Sum::stacked) {
        if !stacks.contains_key(stacked) {
            let stack = match operand_of(of, operands, stacked) {
                Some(operand) => Stack::Operand(operand),
                None => Stack::Result(stack(&mut new, stacked)?),
            };
            stacks.insert(*stacked, stack);
        }
    }
    let scan = Scan { carries: of.scan.carries - sums.len(), ..of.scan.clone() };
    let results = new.push(builder, scan, &given)?;
    let mut left = results.iter();
    let mut found: Operands = Operands::new();
    for index in 0..of.body.outputs.len() {
        found.push(match sums.iter().find(|sum| sum.carry == index) {
            None => *left.next().expect("the loop returns what is left of it"),
            Some(sum) => {
                sum.write(builder, of.body, operands[sum.carry], |stacked| stacks[stacked].value(&results))?
            }
        });
    }
    Ok(found)
}

/// The body without its sums, and the operands of what is left.
fn without<'a>(of: &Loop<'a>, sums: &[Sum], operands: &[Value]) -> Result<(NewBody<'a>, Operands), Error> {
    let body = of.body;
    let is_sunk = |index: usize| sums.iter().any(|sum| sum.carry == index);
    let mut new = NewBody::new(body, of.scan.carries - sums.len());
    let mut given = Operands::new();
    for (index, &input) in of.inputs.iter().enumerate().filter(|(index, _)| !is_sunk(*index)) {
        new.input_for(input)?;
        given.push(operands[index]);
    }
    // The additions to the carries are all that needs them; nothing else is left out.
    let skipped: BTreeSet<NodeId> = sums.iter().flat_map(|sum| sum.additions.iter().copied()).collect();
    let is_left = |(id, node): &(NodeId, &Node)| !matches!(node.op, Op::Input(_)) && !skipped.contains(id);
    body.nodes().filter(is_left).try_for_each(|(id, _)| new.copy(id))?;
    for (_, output) in body.outputs.iter().enumerate().filter(|(index, _)| !is_sunk(*index)) {
        new.output(output.value)?;
    }
    Ok((new, given))
}

/// Where the values of all steps are after the loop.
enum Stack {
    /// They come from outside.
    Operand(Value),
    /// The result of this number.
    Result(usize),
}

impl Stack {
    fn value(&self, results: &[Value]) -> Value {
        match *self {
            Stack::Operand(value) => value,
            Stack::Result(index) => results[index],
        }
    }
}

fn operand_of(of: &Loop<'_>, operands: &[Value], stacked: &Stacked) -> Option<Value> {
    let Scan { carries, stacked: count, .. } = *of.scan;
    let index = of.inputs[carries..carries + count].iter().position(|&input| input == stacked.value)?;
    (!stacked.is_swapped).then(|| operands[carries + index])
}

/// Stacks a value; the number of the result.
fn stack(new: &mut NewBody<'_>, stacked: &Stacked) -> Result<usize, Error> {
    let value = new.values[&stacked.value];
    let value = if stacked.is_swapped { new.builder.transpose(value, &[1, 0])? } else { value };
    new.stack(value)
}
