//! Pass `fold`: computes at compile time what depends on constants alone, by the reference meaning of each op.
//!
//! In and out: a graph without `grad`. A constant with one value everywhere is kept as a scalar that is broadcast, so
//! it never takes memory; elementwise functions and views of such constants are folded whatever their size. Other
//! results are folded up to a budget of elements. Random numbers and `iota` have no constant operands to fold, and
//! inputs and states are not constants.

use ir::eval::Array;
use ir::ops::Constant;
use ir::{Builder, Error, Graph, Lowering, Node, Op, Operands, Scalar, Shape, Tensor, Type, Value};
use smallvec::SmallVec;

use crate::rewrite::rebuild;

/// Folds constants. Of nodes with an operand or a result of more than `budget` elements, only those are folded whose
/// results have one value everywhere.
pub fn fold(graph: &Graph, budget: usize) -> Result<Graph, Error> {
    rebuild(graph, |builder, node, operands| {
        let results = match &node.op {
            Op::Constant(constant) => split_splat(constant),
            _ => folded(builder.graph(), node, operands, budget),
        };
        results.map(|results| push(builder, results, &node.results)).transpose()
    })
}

/// The elements of a constant value.
pub(crate) enum Known {
    /// One value everywhere.
    Splat(Scalar),
    /// Element by element.
    Dense(Tensor),
}

/// A constant that is not a scalar but has one value everywhere, as that.
fn split_splat(constant: &Constant) -> Option<Vec<Known>> {
    let splat = constant.tensor.splat_value().filter(|_| constant.tensor.shape().rank() > 0)?;
    Some(vec![Known::Splat(splat)])
}

/// The results of a node with these operands in `graph`, where they are constants that should be folded.
pub(crate) fn folded(graph: &Graph, node: &Node, operands: &[Value], budget: usize) -> Option<Vec<Known>> {
    if operands.is_empty() || !operands.iter().all(|&operand| is_known(graph, operand)) {
        return None;
    }
    let types: SmallVec<[&Type; 3]> = operands.iter().map(|&operand| graph.ty(operand)).collect();
    let splats: Option<Vec<Scalar>> = operands.iter().map(|&operand| splat(graph, operand)).collect();
    match (node.op.lower(&types, &node.results), splats) {
        (Lowering::Leaf | Lowering::Expand(_) | Lowering::Scan | Lowering::Fused, _) => None,
        (Lowering::Apply(_), Some(splats)) => Some(vec![Known::Splat(apply(node, &splats))]),
        (Lowering::Alias, Some(splats)) => Some(vec![Known::Splat(splats[0])]),
        // A scalar constant that is broadcast is what this pass makes of others.
        (Lowering::View(_), Some(_)) if types[0].shape.rank() == 0 => None,
        (Lowering::View(views), Some(splats)) if views.iter().all(|view| view.fill.is_none()) => {
            Some(views.iter().map(|_| Known::Splat(splats[0])).collect())
        }
        _ => folded_dense(graph, node, operands, budget),
    }
}

/// Whether a value is a constant, or a scalar constant that was broadcast.
fn is_known(graph: &Graph, value: Value) -> bool {
    matches!(graph.node(value.node).op, Op::Constant(_)) || splat(graph, value).is_some()
}

/// The one value of a scalar constant, or of one that was broadcast; this pass leaves none that was broadcast twice.
fn splat(graph: &Graph, value: Value) -> Option<Scalar> {
    let node = graph.node(value.node);
    let source = match &node.op {
        Op::Broadcast(_) => graph.node(node.operands[0].node),
        _ => node,
    };
    match &source.op {
        Op::Constant(Constant { tensor }) if tensor.shape().rank() == 0 => Some(tensor.get(0)),
        _ => None,
    }
}

/// An elementwise function of scalars.
fn apply(node: &Node, scalars: &[Scalar]) -> Scalar {
    let arrays: Vec<Array> = scalars.iter().map(|&scalar| Array::from(&Tensor::scalar(scalar))).collect();
    let ty = Type { dtype: node.results[0].dtype, shape: Shape::scalar() };
    let results = node.op.eval(&arrays.iter().collect::<Vec<_>>(), std::slice::from_ref(&ty), None);
    results[0].to_tensor().get(0)
}

/// The results of any op, element by element, where neither operands nor results have more than `budget` of them.
fn folded_dense(graph: &Graph, node: &Node, operands: &[Value], budget: usize) -> Option<Vec<Known>> {
    let types = operands.iter().map(|&operand| graph.ty(operand)).chain(&node.results);
    if types.map(|ty| ty.shape.elements()).any(|elements| elements > budget) {
        return None;
    }
    let arrays: Vec<Array> = operands.iter().map(|&operand| array(graph, operand)).collect();
    let results = node.op.eval(&arrays.iter().collect::<Vec<_>>(), &node.results, node.body.as_deref());
    let known = |result: Array| {
        let tensor = result.to_tensor();
        tensor.splat_value().map_or(Known::Dense(tensor), Known::Splat)
    };
    Some(results.into_iter().map(known).collect())
}

fn array(graph: &Graph, value: Value) -> Array {
    match (&graph.node(value.node).op, splat(graph, value)) {
        (Op::Constant(Constant { tensor }), _) => Array::from(tensor),
        (_, Some(scalar)) => Array::from(&Tensor::splat(graph.ty(value).shape.clone(), scalar)),
        _ => panic!("pass fold: `{}` is no constant:\n{graph}", graph.node(value.node).op.name()),
    }
}

/// Adds constants of these types: a scalar and a broadcast for each that has one value everywhere.
pub(crate) fn push(builder: &mut Builder, results: Vec<Known>, types: &[Type]) -> Result<Operands, Error> {
    let constant = |(known, ty): (Known, &Type)| match known {
        Known::Dense(tensor) => Ok(builder.constant(tensor)),
        Known::Splat(value) => {
            let scalar = builder.scalar(value);
            builder.broadcast(scalar, ty.shape.clone())
        }
    };
    results.into_iter().zip(types).map(constant).collect()
}
