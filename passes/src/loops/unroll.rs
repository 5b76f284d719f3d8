//! Loops written out: every step on its own. For tests, which compare what loops mean with what their steps mean.

use std::collections::BTreeMap;

use ir::ops::Scan;
use ir::{Builder, Error, Graph, Op, Operands, Shape, Tensor, Value};

use super::body::copy;
use crate::rewrite::rebuild;

/// The graph with the steps of all loops written out one after the other.
///
/// ```
/// let text = "graph @g { %h = input : f32[] %w = input : f32[]
///     %y = scan %h, %w carries=1 stacked=0 length=3 { %a = input : f32[] %b = input : f32[] %c = mul %a, %b output c = %c }
///     output y = %y }";
/// let graph = passes::loops::unroll(&ir::text::parse_graph(text)?)?;
/// assert_eq!(graph.nodes().filter(|(_, node)| node.op.name() == "mul").count(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Where it has results of more elements than a tensor can have, on the way.
pub fn unroll(graph: &Graph) -> Result<Graph, Error> {
    let mut inner = graph.clone();
    inner.map_loops(unroll)?;
    rebuild(&inner, |builder, node, operands| match (&node.op, &node.body) {
        (Op::Scan(scan), Some(body)) => steps(builder, scan, body, operands).map(Some),
        _ => Ok(None),
    })
}

fn steps(builder: &mut Builder, scan: &Scan, body: &Graph, operands: &[Value]) -> Result<Operands, Error> {
    let inputs: Vec<Value> = body.inputs().map(|(id, _)| Value::new(id, 0)).collect();
    let mut carries: Operands = operands[..scan.carries].into();
    let mut rows: Vec<BTreeMap<usize, Value>> = vec![BTreeMap::new(); body.outputs.len() - scan.carries];
    for t in scan.steps() {
        let mut values: BTreeMap<Value, Value> = BTreeMap::new();
        for (index, &input) in inputs.iter().enumerate() {
            let value = match index.checked_sub(scan.carries) {
                None => carries[index],
                Some(number) if number < scan.stacked => row(builder, operands[index], t)?,
                Some(_) => operands[index],
            };
            values.insert(input, value);
        }
        let nodes = body.nodes().filter(|(_, node)| !matches!(node.op, Op::Input(_)));
        nodes.map(|(id, _)| id).try_for_each(|id| copy(builder, &mut values, body, id))?;
        let mut outputs = body.outputs.iter().map(|output| values[&output.value]);
        carries = outputs.by_ref().take(scan.carries).collect();
        for (rows, value) in rows.iter_mut().zip(outputs) {
            let one: Shape = std::iter::once(1).chain(builder.shape(value).iter().copied()).collect();
            rows.insert(t, builder.reshape(value, one)?);
        }
    }
    for (rows, output) in rows.iter().zip(&body.outputs[scan.carries..]) {
        let rows: Operands = rows.values().copied().collect();
        let ty = scan.stack_of(body.ty(output.value));
        carries.push(match rows.is_empty() {
            true => builder.constant(Tensor::from_fn(&ty, |_| unreachable!("there are no elements"))),
            false => builder.concat(&rows, 0)?,
        });
    }
    Ok(carries)
}

/// Row `t` of a stack.
fn row(builder: &mut Builder, stack: Value, t: usize) -> Result<Value, Error> {
    let shape = builder.shape(stack).clone();
    let (mut starts, mut ends) = (vec![0; shape.rank()], shape.to_vec());
    (starts[0], ends[0]) = (t, t + 1);
    let row = builder.slice(stack, &starts, &ends, &vec![1; shape.rank()])?;
    builder.reshape(row, &shape[1..])
}
