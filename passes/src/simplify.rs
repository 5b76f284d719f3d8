//! Pass `simplify`: algebra, by the table in `rules`.
//!
//! In and out: a graph without `grad`. Nodes are taken in order, so the operands of each are simplified already, and a
//! rule looks only at what is below its node: one pass over the graph applies all rules as often as they match. A
//! replacement is taken only where the expression gets cheaper by `cost`: so the number of applications per node is
//! bounded, and rules cannot run in circles. What nothing needs any more stays, for pass `dce`.

use std::fmt::Display;

use ir::{Builder, Error, Graph, Node, Op, Operands, Type, Types, Value};
use smallvec::SmallVec;

use crate::cost::cost;
use crate::fold::{folded, push};
use crate::rewrite::rebuild;
use crate::rules::{Expr, FAMILIES, Match, Rule, rounding};

/// How far below a node rules look.
const DEPTH: usize = 3;

/// Simplifies a graph; strictly, by the rules alone that keep every bit of all results.
pub fn simplify(graph: &Graph, is_strict: bool) -> Result<Graph, Error> {
    let families: Vec<&[Rule]> =
        FAMILIES.iter().copied().chain((!is_strict).then_some(rounding::RULES)).collect();
    let rules = families.as_slice();
    rebuild(graph, |builder, node, operands| {
        if operands.is_empty() {
            return Ok(None);
        }
        let candidate =
            Node { operands: Operands::from_slice(operands), body: None, name: None, ..node.clone() };
        match replacement(builder.graph(), &candidate, rules) {
            None => Ok(None),
            Some(expr) => Ok(Some(Operands::from_elem(build(builder, expr, rules)?, 1))),
        }
    })
}

/// Adds an expression to the graph, simplified; what turns out to be a constant of one value is folded.
fn build(builder: &mut Builder, expr: Expr, families: &[&[Rule]]) -> Result<Value, Error> {
    let (op, parts) = match expr {
        Expr::Value(value) => return Ok(value),
        Expr::Op(op, parts) => (op, parts),
    };
    let operands: Operands =
        parts.into_iter().map(|part| build(builder, part, families)).collect::<Result<_, Error>>()?;
    let results = op.infer(&types(builder.graph(), &operands), None)?;
    let candidate = Node { op, operands, results, name: None, body: None };
    if let Some(expr) = replacement(builder.graph(), &candidate, families) {
        return build(builder, expr, families);
    }
    match folded(builder.graph(), &candidate, &candidate.operands, 0) {
        Some(results) => Ok(push(builder, results, &candidate.results)?[0]),
        None => builder.op(candidate.op, &candidate.operands),
    }
}

/// What the first rule puts in the place of a node that matches and gives something cheaper.
fn replacement(graph: &Graph, node: &Node, families: &[&[Rule]]) -> Option<Expr> {
    let all = types(graph, &node.operands).into_iter().chain(&node.results);
    let is_empty = all.map(|ty| ty.shape.elements()).any(|elements| elements == 0);
    if node.results.len() != 1 || node.operands.is_empty() || is_empty {
        return None; // what has no elements costs nothing to compute
    }
    let candidate = Match { graph, node };
    let rules = families.iter().flat_map(|family| family.iter());
    rules.filter_map(|rule| Some((rule, (rule.apply)(&candidate)?))).find_map(|(rule, expr)| {
        let fails = |problem: &dyn Display| -> ! {
            panic!("pass simplify, rule {}: {problem}\nin place of {node:?}:\n{expr:?}", rule.name)
        };
        let mut leaves = Vec::new();
        let (ty, after) = measure(graph, &expr, &mut leaves).unwrap_or_else(|error| fails(&error));
        if ty != node.results[0] {
            fails(&format_args!("{} becomes {ty}", node.results[0]));
        }
        let mut counted = leaves;
        let below: u128 =
            node.operands.iter().map(|&operand| cost_above(graph, operand, &mut counted, DEPTH)).sum();
        let before = cost(&node.op, &types(graph, &node.operands), &node.results) + below;
        (after < before).then_some(expr)
    })
}

/// The type and the cost of an expression, and the values it starts from.
fn measure(graph: &Graph, expr: &Expr, leaves: &mut Vec<Value>) -> Result<(Type, u128), Error> {
    let (op, parts): (&Op, _) = match expr {
        Expr::Value(value) => {
            leaves.push(*value);
            return Ok((graph.ty(*value).clone(), 0));
        }
        Expr::Op(op, parts) => (op, parts),
    };
    let measured: Vec<(Type, u128)> =
        parts.iter().map(|part| measure(graph, part, leaves)).collect::<Result<_, Error>>()?;
    let types: SmallVec<[&Type; 3]> = measured.iter().map(|(ty, _)| ty).collect();
    let mut results: Types = op.infer(&types, None)?;
    let total = cost(op, &types, &results) + measured.iter().map(|(_, cost)| cost).sum::<u128>();
    Ok((results.swap_remove(0), total))
}

/// The cost of computing `value` from the values in `counted`, looking `depth` nodes down; each node counts once.
fn cost_above(graph: &Graph, value: Value, counted: &mut Vec<Value>, depth: usize) -> u128 {
    if depth == 0 || counted.contains(&value) {
        return 0;
    }
    counted.push(value);
    let node = graph.node(value.node);
    let below: u128 =
        node.operands.iter().map(|&operand| cost_above(graph, operand, counted, depth - 1)).sum();
    cost(&node.op, &types(graph, &node.operands), &node.results) + below
}

/// The types of values.
fn types<'a>(graph: &'a Graph, values: &[Value]) -> SmallVec<[&'a Type; 3]> {
    values.iter().map(|&value| graph.ty(value)).collect()
}
