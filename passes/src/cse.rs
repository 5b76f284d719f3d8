//! Pass `cse`: merges nodes that compute the same (common subexpression elimination by hash-consing).
//!
//! In and out: a graph without `grad`. Two nodes are the same where op, attributes, operands, result types and body
//! are, bit for bit, the operands of commutative functions in any order. Random numbers are functions of their key and
//! attributes, so they merge too. Inputs and states are what their names say and never merge. The first of several
//! same nodes stays; what nothing needs any more is left for pass `dce`.

use std::collections::HashMap;

use ir::{Attr, Graph, Lowering, Node, Op, Operands, ScalarFn, Tensor, Types, Value};

use crate::access::lowering;
use crate::rewrite::rebuild;

/// Constants of more elements are not compared.
const LARGEST_CONSTANT: usize = 1 << 12;

/// Merges nodes that compute the same.
pub fn cse(graph: &Graph) -> Result<Graph, ir::Error> {
    let mut known: HashMap<Key, Operands> = HashMap::new();
    rebuild(graph, |builder, node, operands| {
        let Some(key) = key(graph, node, operands) else { return Ok(None) };
        if let Some(same) = known.get(&key) {
            return Ok(Some(same.clone()));
        }
        let body = node.body.clone();
        let id = builder.push_with_body(node.op.clone(), operands, node.name.clone(), body)?;
        let results: Operands = builder.graph().results(id).collect();
        known.insert(key, results.clone());
        Ok(Some(results))
    })
}

/// What a node computes. Equal keys mean equal bits.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    op: &'static str,
    operands: Operands,
    results: Types,
    /// The attributes with their names, for those that are as usual are not there; floats by their bits.
    attrs: Vec<u64>,
    /// The text of the body, which says all of it.
    body: Option<String>,
}

/// What a node computes; `None` where it is not to be compared.
fn key(graph: &Graph, node: &Node, operands: &[Value]) -> Option<Key> {
    let is_constant = matches!(node.op, Op::Constant(_));
    if matches!(lowering(graph, node), Lowering::Leaf) && !is_constant {
        return None;
    }
    let mut attrs = Vec::new();
    for (name, attr) in node.op.attrs() {
        encode_list(name.bytes().map(u64::from), &mut attrs);
        encode(&attr, &mut attrs)?;
    }
    let mut operands = Operands::from_slice(operands);
    if is_commutative(&node.op) {
        operands.sort_unstable();
    }
    let body = node.body.as_ref().map(|body| body.to_string());
    Some(Key { op: node.op.name(), operands, results: node.results.clone(), attrs, body })
}

/// Appends an attribute as words; `None` where it is too large to compare.
fn encode(attr: &Attr, words: &mut Vec<u64>) -> Option<()> {
    match attr {
        Attr::Bool(value) => words.push(u64::from(*value)),
        Attr::Int(value) => words.push(*value as u64),
        Attr::Float(value) => words.push(value.to_bits()),
        Attr::Ints(values) => encode_list(values.iter().map(|&value| value as u64), words),
        Attr::Word(word) => encode_list(word.bytes().map(u64::from), words),
        Attr::Tensor(tensor) => encode_list(bits(tensor)?, words),
        Attr::Init(_) => return None,
    }
    Some(())
}

/// Appends a list after its length.
fn encode_list(list: impl Iterator<Item = u64>, words: &mut Vec<u64>) {
    let at = words.len();
    words.push(0);
    words.extend(list);
    words[at] = (words.len() - at - 1) as u64;
}

/// The bits of the elements of a small tensor.
fn bits(tensor: &Tensor) -> Option<impl Iterator<Item = u64>> {
    let count = tensor.shape().elements();
    (count <= LARGEST_CONSTANT).then(|| (0..count).map(|index| tensor.get(index).bits()))
}

/// Whether the order of operands does not matter.
fn is_commutative(op: &Op) -> bool {
    use ScalarFn::{Add, And, Eq, Max, Min, Mul, Ne, Or, Xor};
    let Op::Elementwise(elementwise) = op else { return false };
    matches!(elementwise.function, Add | Mul | Max | Min | And | Or | Xor | Eq | Ne)
}
