//! The sums over time of a loop: carries that are only added to, and what is added to them.

use std::collections::BTreeSet;

use ir::ops::{Conv, ConvOf, Pad, Reduce};
use ir::{Builder, Error, Graph, Node, NodeId, Op, Operands, ReduceOp, ScalarFn, Shape, Value};
use smallvec::{SmallVec, smallvec};

use super::body::Loop;

/// A carry that is only added to.
pub struct Sum {
    pub carry: usize,
    /// The nodes that add to it, in order.
    pub additions: Vec<NodeId>,
    terms: Vec<Term>,
}

/// What is added in each step: linear functions of a sum that runs over time as well.
struct Term {
    sum: OverTime,
    /// What is done with it, in order: nodes of one operand.
    linear: Vec<NodeId>,
    /// What it sums.
    items: SmallVec<[Item; 2]>,
}

/// An operand of a sum: what is stacked for it, and the shape that an item of the stack has in the sum.
struct Item {
    stacked: Stacked,
    shape: Shape,
}

/// A value that is stacked, with its two axes swapped first where that is what the sum wants. What is another name for the memory
/// of a value is stacked as that.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stacked {
    pub value: Value,
    pub is_swapped: bool,
}

impl Item {
    /// An operand as it is.
    fn plain(body: &Graph, mut value: Value) -> Item {
        let shape = body.ty(value).shape.clone();
        while let Op::Reshape(_) = &body.node(value.node).op {
            value = body.node(value.node).operands[0];
        }
        Item { stacked: Stacked { value, is_swapped: false }, shape }
    }

    /// A matrix with its axes swapped.
    fn swapped(body: &Graph, value: Value) -> Item {
        let shape = body.ty(value).shape.iter().rev().copied().collect();
        Item { stacked: Stacked { value, is_swapped: true }, shape }
    }
}

/// The sum that a carry is; `None` where it is read otherwise, or what is added is no sum, or stacks are of more than
/// `most_bytes`.
pub fn sum_of(of: &Loop<'_>, carry: usize, most_bytes: usize) -> Option<Sum> {
    let body = of.body;
    let input = of.inputs[carry];
    let is_output_once =
        body.outputs.iter().filter(|output| output.value == body.outputs[carry].value).count() == 1;
    if body.outputs[carry].value == input || !is_output_once {
        return None;
    }
    let additions = additions(of, carry)?;
    let mut terms: Vec<Term> = Vec::new();
    let mut before = input.node;
    for &addition in &additions {
        let mut others = body.node(addition).operands.iter().filter(|operand| operand.node != before);
        collect_terms(body, *others.next()?, &mut terms)?;
        before = addition;
    }
    let bytes = |stacked: &Stacked| body.ty(stacked.value).size_bytes().saturating_mul(of.scan.length);
    let all: BTreeSet<Stacked> = terms.iter().flat_map(|term| &term.items).map(|item| item.stacked).collect();
    (all.iter().map(bytes).sum::<usize>() <= most_bytes).then_some(Sum { carry, additions, terms })
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
            _ => {
                linear.reverse();
                let (sum, items) = OverTime::of(body, node)?;
                terms.push(Term { sum, linear, items });
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

impl Sum {
    /// All that is to be stacked.
    pub fn stacked(&self) -> impl Iterator<Item = &Stacked> {
        self.terms.iter().flat_map(|term| &term.items).map(|item| &item.stacked)
    }

    /// Appends the sum to a graph, from what the carry is at first and the stacks.
    pub fn write(
        &self,
        builder: &mut Builder,
        body: &Graph,
        initial: Value,
        stack_of: impl Fn(&Stacked) -> Value,
    ) -> Result<Value, Error> {
        // A sum starts from 0 by itself.
        let mut total = (!is_zero(builder.graph(), initial)).then_some(initial);
        for term in &self.terms {
            let mut stacks = Operands::new();
            for Item { stacked, shape } in &term.items {
                let stack = stack_of(stacked);
                let length = builder.shape(stack)[0];
                let all: Shape = std::iter::once(length).chain(shape.iter().copied()).collect();
                stacks.push(builder.reshape(stack, all)?);
            }
            let sum = term.sum.write(builder, &stacks)?;
            let value = term
                .linear
                .iter()
                .try_fold(sum, |value, &id| builder.op(body.node(id).op.clone(), &[value]))?;
            total = Some(total.map_or(Ok(value), |total| builder.add(total, value))?);
        }
        Ok(total.unwrap_or(initial))
    }
}

/// A sum that takes time in: its op over the stacks of its operands.
enum OverTime {
    /// The sum of elements over these axes of an item.
    Elements(SmallVec<[usize; 4]>),
    /// A product whose sum runs over rows: those of all steps lie one below the other.
    Rows,
    /// The gradient of a convolution's weight, a sum over images.
    Images(Conv),
}

impl OverTime {
    /// What a node is, and what it sums; `None` where it is no such sum.
    fn of(body: &Graph, node: &Node) -> Option<(OverTime, SmallVec<[Item; 2]>)> {
        let item = |index: usize, is_swapped| match is_swapped {
            false => Item::plain(body, node.operands[index]),
            true => Item::swapped(body, node.operands[index]),
        };
        match &node.op {
            Op::Reduce(Reduce { op: ReduceOp::Add, axes }) => {
                Some((OverTime::Elements(axes.clone()), smallvec![item(0, false)]))
            }
            Op::MatMul(product) if body.ty(node.operands[0]).shape.rank() == 2 => {
                let (left, right) = (!product.transpose_left, product.transpose_right);
                Some((OverTime::Rows, smallvec![item(0, left), item(1, right)]))
            }
            Op::Conv(conv) if conv.of == ConvOf::Weight => {
                Some((OverTime::Images(conv.clone()), smallvec![item(0, false), item(1, false)]))
            }
            _ => None,
        }
    }

    fn write(&self, builder: &mut Builder, stacks: &[Value]) -> Result<Value, Error> {
        match self {
            OverTime::Elements(axes) => {
                // Leading axes that all are summed over are one, however many loops they come from.
                let axes: Vec<usize> = std::iter::once(0).chain(axes.iter().map(|axis| axis + 1)).collect();
                let leading = axes.iter().enumerate().take_while(|(at, axis)| at == *axis).count();
                let rest = axes[leading..].iter().map(|axis| axis + 1 - leading);
                let x = merge_leading(builder, stacks[0], leading)?;
                builder.op(Reduce { op: ReduceOp::Add, axes: std::iter::once(0).chain(rest).collect() }, &[x])
            }
            OverTime::Rows => {
                let left = merge_leading(builder, stacks[0], 2)?;
                let right = merge_leading(builder, stacks[1], 2)?;
                builder.matmul_transposed(left, right, true, false)
            }
            OverTime::Images(conv) => {
                let x = merge_leading(builder, stacks[0], 2)?;
                let y = merge_leading(builder, stacks[1], 2)?;
                builder.op(conv.clone(), &[x, y])
            }
        }
    }
}

/// A value with so many leading axes as one.
fn merge_leading(builder: &mut Builder, x: Value, axes: usize) -> Result<Value, Error> {
    let shape = builder.shape(x).clone();
    let count = shape[..axes].iter().product();
    let merged: Shape = std::iter::once(count).chain(shape[axes..].iter().copied()).collect();
    builder.reshape(x, merged)
}
