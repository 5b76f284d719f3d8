//! Loops of segments: the gradient keeps the carries at the beginning of each segment alone, and runs it again.
//!
//! T. Chen et al., "Training Deep Nets with Sublinear Memory Cost" (2016), on loops: a loop of `n` steps becomes one of `n/k`
//! steps, each a loop of `k`, whose gradient computes again what it needs of a segment.

use ir::ops::Scan;
use ir::{Builder, Error, Graph, Op, Operands, Shape, Value};

use crate::rewrite::rebuild;

/// Cuts the loops of a graph into segments of `every` steps, or of as many as the greatest divisor of their number that is not
/// greater, so that all segments are alike. Loops of no more steps stay, and so do those that have been cut.
///
/// # Errors
/// Where a loop is nested too deep to be cut.
pub fn segment(graph: &Graph, every: usize) -> Result<Graph, Error> {
    rebuild(graph, |builder, node, operands| match (&node.op, &node.body) {
        (Op::Scan(scan), Some(body)) if scan.length > every && !scan.recompute => {
            let steps =
                (1..=every.max(1)).rev().find(|steps| scan.length.is_multiple_of(*steps)).unwrap_or(1);
            cut(builder, scan, body, operands, steps).map(Some)
        }
        _ => Ok(None),
    })
}

/// The loop in segments of `steps` steps.
fn cut(
    builder: &mut Builder,
    scan: &Scan,
    body: &Graph,
    operands: &[Value],
    steps: usize,
) -> Result<Operands, Error> {
    let count = scan.length / steps;
    let whole = Scan { recompute: true, ..scan.clone() };
    if steps == 1 {
        let id = builder.push_with_body(whole, operands, None, Some(Box::new(body.clone())))?;
        return Ok(builder.graph().results(id).collect());
    }
    let mut segment = Builder::new(body.name.clone());
    let mut inner = Operands::new();
    let mut outer = Operands::new();
    for (index, (&operand, (_, input))) in operands.iter().zip(body.inputs()).enumerate() {
        let ty = &input.results[0];
        let is_stacked = (scan.carries..scan.carries + scan.stacked).contains(&index);
        let with = |extents: &[usize]| -> Shape { extents.iter().chain(ty.shape.iter()).copied().collect() };
        let (name, own) = (format!("in{index}"), if is_stacked { with(&[steps]) } else { ty.shape.clone() });
        inner.push(segment.input(&name, ty.dtype, own)?);
        outer.push(if is_stacked { builder.reshape(operand, with(&[count, steps]))? } else { operand });
    }
    let one = Scan { length: steps, ..scan.clone() };
    let id = segment.push_with_body(one, &inner, None, Some(Box::new(body.clone())))?;
    let results: Operands = segment.graph().results(id).collect();
    for (index, &result) in results.iter().enumerate() {
        segment.output(&format!("out{index}"), result)?;
    }
    let whole = Scan { length: count, ..whole };
    let id = builder.push_with_body(whole, &outer, None, Some(Box::new(segment.finish())))?;
    let results: Operands = builder.graph().results(id).collect();
    let stacks = results.iter().enumerate().map(|(index, &result)| {
        if index < scan.carries {
            return Ok(result);
        }
        let shape = builder.shape(result).clone();
        let merged: Shape = std::iter::once(scan.length).chain(shape[2..].iter().copied()).collect();
        builder.reshape(result, merged)
    });
    stacks.collect()
}
