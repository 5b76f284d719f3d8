//! Pass `autodiff`: puts ordinary ops in the place of `grad` nodes.
//!
//! In: a graph with `grad` nodes. Out: one without. Each `grad` is replaced by a reverse sweep over the nodes between
//! its values and its loss, which asks every op for its gradient rule. Rules build ordinary ops and inner gradients come
//! first in the order of nodes, so a gradient can be differentiated again.

use std::collections::BTreeMap;

use ir::{Builder, Differentiated, Error, Graph, Op, Operands, Value};
use smallvec::SmallVec;

use crate::rewrite::rebuild;

/// Replaces all `grad` nodes.
pub fn autodiff(graph: &Graph) -> Result<Graph, Error> {
    rebuild(graph, |builder, node, operands| match node.op {
        Op::Grad(_) => Ok(Some(differentiate(builder, operands[0], &operands[1..])?)),
        _ => Ok(None),
    })
}

/// The gradients of the scalar `loss` with respect to `values`; zeros where it does not depend on one.
fn differentiate(builder: &mut Builder, loss: Value, values: &[Value]) -> Result<Operands, Error> {
    let depends = dependants(builder.graph(), loss, values);
    let first = values.iter().map(|value| value.node.0).min().unwrap_or(loss.node.0);
    let one = builder.float_like(loss, 1.0);
    let mut gradients: BTreeMap<Value, Value> = BTreeMap::from([(loss, one)]);
    for id in (first..=loss.node.0).rev().map(ir::NodeId) {
        if !depends[(id.0 - first) as usize] {
            continue;
        }
        let results: Operands = builder.graph().results(id).collect();
        let incoming: SmallVec<[Option<Value>; 1]> =
            results.iter().map(|result| gradients.get(result).copied()).collect();
        if incoming.iter().all(Option::is_none) {
            continue;
        }
        let (op, operands) = (builder.graph().node(id).op.clone(), builder.graph().node(id).operands.clone());
        let node = Differentiated { operands: &operands, results: &results, gradients: &incoming };
        let outgoing = op.grad(builder, &node)?;
        for (&operand, gradient) in operands.iter().zip(outgoing) {
            let Some(gradient) = gradient else { continue };
            if operand.node.0 < first || !depends[(operand.node.0 - first) as usize] {
                continue;
            }
            assert_eq!(builder.ty(operand), builder.ty(gradient), "pass autodiff: the gradient rule of `{}`", op.name());
            let sum = match gradients.get(&operand) {
                Some(&known) => builder.add(known, gradient)?,
                None => gradient,
            };
            gradients.insert(operand, sum);
        }
    }
    let gradient = |&value: &Value| match gradients.get(&value) {
        Some(&gradient) => Ok(gradient),
        None => builder.zeros_like(value),
    };
    values.iter().map(gradient).collect()
}

/// For each node from the first of `values` to `loss`, whether it is one of them or depends on one.
fn dependants(graph: &Graph, loss: Value, values: &[Value]) -> Vec<bool> {
    let first = values.iter().map(|value| value.node.0).min().unwrap_or(loss.node.0);
    let mut depends = vec![false; (loss.node.0 + 1).saturating_sub(first) as usize];
    for value in values.iter().filter(|value| value.node <= loss.node) {
        depends[(value.node.0 - first) as usize] = true;
    }
    for id in (first..=loss.node.0).map(ir::NodeId) {
        let at = (id.0 - first) as usize;
        let operands = &graph.node(id).operands;
        depends[at] |= operands.iter().any(|operand| operand.node.0 >= first && depends[(operand.node.0 - first) as usize]);
    }
    depends
}
