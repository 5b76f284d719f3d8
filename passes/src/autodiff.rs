//! Pass `autodiff`: puts ordinary ops in the place of `grad` nodes.
//!
//! In: a graph with `grad` nodes. Out: one without. Each `grad` is replaced by a reverse sweep over the nodes between
//! its values and its loss, which asks every op for its gradient rule. Rules build ordinary ops and inner gradients come
//! first in the order of nodes, so a gradient can be differentiated again. The gradient of a loop writes the loop anew, with
//! what it needs as further results; in the end such loops are merged.

use ir::{Builder, Error, Graph, Op, Operands, Value, vjp};

use crate::loops::merge_loops;
use crate::rewrite::rebuild;

/// Replaces all `grad` nodes.
///
/// ```
/// use ir::{Builder, DType};
/// # fn main() -> Result<(), ir::Error> {
/// let mut b = Builder::new("slope");
/// let x = b.input("x", DType::F32, [])?;
/// let y = b.sin(x)?;
/// let gradients = b.grad(y, &[x])?;
/// b.output("slope", gradients[0])?;
/// let graph = passes::autodiff::autodiff(&b.finish())?;
/// assert!(graph.nodes().any(|(_, node)| node.op.name() == "cos"));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// An op on the way from a value to a loss that has no gradient rule: a group that `fuse` has made.
pub fn autodiff(graph: &Graph) -> Result<Graph, Error> {
    let differentiated = rebuild(graph, |builder, node, operands| match node.op {
        Op::Grad(_) => Ok(Some(differentiate(builder, operands[0], &operands[1..])?)),
        _ => Ok(None),
    })?;
    merge_loops(&differentiated)
}

/// The gradients of the scalar `loss` with respect to `values`; zeros where it does not depend on one.
fn differentiate(builder: &mut Builder, loss: Value, values: &[Value]) -> Result<Operands, Error> {
    let one = builder.float_like(loss, 1.0);
    let gradients = vjp(builder, &[loss], &[Some(one)], values)?;
    let given = values.iter().zip(gradients);
    given.map(|(&value, gradient)| gradient.map_or_else(|| builder.zeros_like(value), Ok)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use ir::DType;
    use ir::ops::{Fused, FusedKind};
    use ir::text::parse_graph;
    use smallvec::SmallVec;

    #[test]
    fn a_value_after_the_loss_has_gradient_zero() {
        let text = "graph @g {
            %x = input : f64[2]
            %loss = reduce_sum %x axes=[0] : f64[]
            %later = neg %x : f64[2]
            %0, %1 = grad %loss, %later, %loss : f64[2], f64[]
            output later = %0
            output one = %1
        }";
        let graph = autodiff(&parse_graph(text).unwrap()).unwrap();
        let outputs = ir::eval::evaluate(&graph, &bindings("x", vec![1.0, 2.0])).unwrap().outputs;
        assert_eq!(outputs["later"].as_slice::<f64>(), Some(&[0.0, 0.0][..]));
        assert_eq!(outputs["one"].as_slice::<f64>(), Some(&[1.0][..]));
    }

    #[test]
    fn the_result_is_linear_in_the_graph() {
        let nodes_of = |length: usize| {
            let mut b = Builder::new("chain");
            let x = b.input("x", DType::F32, []).unwrap();
            let last = (0..length).fold(x, |value, _| b.mul(value, value).unwrap());
            let gradient = b.grad(last, &[x]).unwrap()[0];
            b.output("dx", gradient).unwrap();
            autodiff(&b.finish()).unwrap().len()
        };
        let [short, long] = [1000, 20_000].map(nodes_of);
        assert!(long <= 20 * short, "{short} nodes for a chain of 1,000, {long} for one of 20,000");
    }

    #[test]
    fn only_paths_from_the_values_are_differentiated() {
        let mut b = Builder::new("paths");
        let x = b.input("x", DType::F32, [3]).unwrap();
        let w = b.input("w", DType::F32, [3]).unwrap();
        let features = (0..50).fold(x, |value, _| b.tanh(value).unwrap());
        let product = b.mul(features, w).unwrap();
        let loss = b.reduce_sum(product, &[0], false).unwrap();
        let gradient = b.grad(loss, &[w]).unwrap()[0];
        b.output("dw", gradient).unwrap();
        let source = b.finish();
        let added = autodiff(&source).unwrap().len() - source.len();
        assert!(added < 10, "{added} nodes are added");
    }

    #[test]
    fn a_group_cannot_be_differentiated() {
        let body = "graph @body { %a = input : f64[]\n%b = neg %a\noutput b = %b }";
        let mut b = Builder::new("g");
        let x = b.input("x", DType::F64, []).unwrap();
        let fused = Fused { kind: FusedKind::Map, domain: ir::Shape::scalar(), reduced: SmallVec::new() };
        let body = Box::new(parse_graph(body).unwrap());
        let node = b.push_with_body(fused, &[x], None, Some(body)).unwrap();
        let gradient = b.grad(Value::new(node, 0), &[x]).unwrap()[0];
        b.output("dx", gradient).unwrap();
        assert_eq!(
            autodiff(&b.finish()).unwrap_err().to_string(),
            "fused: a group has no gradient rule; differentiate before pass fuse"
        );
    }

    fn bindings(name: &str, elements: Vec<f64>) -> ir::eval::Bindings {
        let tensor = ir::Tensor::new([elements.len()], elements).unwrap();
        let inputs = BTreeMap::from([(name.to_owned(), tensor)]);
        ir::eval::Bindings { inputs, ..ir::eval::Bindings::default() }
    }
}
