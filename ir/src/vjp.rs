//! Reverse-mode differentiation of a part of a graph: the vector-Jacobian product.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::{Builder, Differentiated, Error, Gradients, Graph, NodeId, Operands, Value};

/// The gradient of `sum_i <outputs_i, seeds_i>` with respect to each of `values`, built from ordinary ops by a reverse sweep
/// over the nodes between them; `None` where it does not depend on one. A seed has the type of its output; an output without a seed
/// has no part in the sum.
///
/// # Errors
/// An op on the way from a value to an output that has no gradient rule: a group that pass `fuse` has made.
///
/// # Panics
/// Where a gradient rule gives a gradient of another type than its operand.
pub fn vjp(
    builder: &mut Builder,
    outputs: &[Value],
    seeds: &[Option<Value>],
    values: &[Value],
) -> Result<Gradients, Error> {
    let mut gradients: BTreeMap<Value, Value> = BTreeMap::new();
    for (&output, &seed) in outputs.iter().zip(seeds) {
        let Some(seed) = seed else { continue };
        add(builder, &mut gradients, output, seed)?;
    }
    let Some(last) = gradients.keys().map(|output| output.node).max() else {
        return Ok(values.iter().map(|_| None).collect());
    };
    let depends = dependants(builder.graph(), last, values);
    let first = values.iter().map(|value| value.node.0).min().unwrap_or(last.0);
    let is_between = |node: NodeId| {
        node.0 >= first && depends.get((node.0 - first) as usize).is_some_and(|&depends| depends)
    };
    for id in (first..=last.0).rev().map(NodeId).filter(|&id| is_between(id)) {
        let results: Operands = builder.graph().results(id).collect();
        let incoming: SmallVec<[Option<Value>; 1]> =
            results.iter().map(|result| gradients.get(result).copied()).collect();
        if incoming.iter().all(Option::is_none) {
            continue;
        }
        let node = builder.graph().node(id);
        let (op, operands, body) = (node.op.clone(), node.operands.clone(), node.body.clone());
        let node = Differentiated {
            operands: &operands,
            results: &results,
            gradients: &incoming,
            body: body.as_deref(),
        };
        let outgoing = op.grad(builder, &node)?;
        for (&operand, gradient) in operands.iter().zip(outgoing) {
            let Some(gradient) = gradient.filter(|_| is_between(operand.node)) else { continue };
            let (expected, found) = (builder.ty(operand), builder.ty(gradient));
            assert_eq!(expected, found, "pass autodiff: the gradient rule of `{}`", op.name());
            add(builder, &mut gradients, operand, gradient)?;
        }
    }
    Ok(values.iter().map(|value| gradients.get(value).copied()).collect())
}

/// Adds to what is known of the gradient of a value.
fn add(
    builder: &mut Builder,
    gradients: &mut BTreeMap<Value, Value>,
    of: Value,
    gradient: Value,
) -> Result<(), Error> {
    let sum = match gradients.get(&of) {
        Some(&known) => builder.add(known, gradient)?,
        None => gradient,
    };
    gradients.insert(of, sum);
    Ok(())
}

/// For each node from the first of `values` to `last`, whether it is one of them or depends on one.
fn dependants(graph: &Graph, last: NodeId, values: &[Value]) -> Vec<bool> {
    let first = values.iter().map(|value| value.node.0).min().unwrap_or(last.0);
    let mut depends = vec![false; (last.0 + 1).saturating_sub(first) as usize];
    for value in values.iter().filter(|value| value.node <= last) {
        depends[(value.node.0 - first) as usize] = true;
    }
    for id in (first..=last.0).map(NodeId) {
        let at = (id.0 - first) as usize;
        let operands = &graph.node(id).operands;
        depends[at] |= operands
            .iter()
            .any(|operand| operand.node.0 >= first && depends[(operand.node.0 - first) as usize]);
    }
    depends
}
