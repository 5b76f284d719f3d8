//! Pass `expand`: puts what an op stands for in the place of the op.
//!
//! In: a differentiated graph. Out: one in which no op lowers to others (`Lowering::Expand`): `random` has become integer
//! arithmetic, `argmax` a maximum and a comparison, `split` a slice per part, `stop_gradient` its operand.

use ir::{Error, Graph, Lowering};

use crate::access::lowering;
use crate::rewrite::rebuild;

/// An expansion may use ops that expand in their turn; each of these is simpler, so there are few rounds.
const MOST_ROUNDS: usize = 16;

/// Expands all ops that stand for others.
///
/// ```
/// let text = "graph @g { %x = input : f32[5]\n%y = argmax %x axis=0\noutput y = %y }";
/// let graph = passes::expand::expand(&ir::text::parse_graph(text).unwrap()).unwrap();
/// assert!(graph.nodes().any(|(_, node)| node.op.name() == "reduce_max"));
/// ```
///
/// # Errors
/// Results of more elements than a tensor can have, on the way.
///
/// # Panics
/// Where expansions do not end.
pub fn expand(graph: &Graph) -> Result<Graph, Error> {
    let mut expanded = graph.clone();
    for _ in 0..MOST_ROUNDS {
        let remain =
            expanded.nodes().any(|(_, node)| matches!(lowering(&expanded, node), Lowering::Expand(_)));
        if !remain {
            return Ok(expanded);
        }
        let source = expanded;
        expanded = rebuild(&source, |builder, node, operands| match lowering(&source, node) {
            Lowering::Expand(expansion) => expansion(builder, operands).map(Some),
            _ => Ok(None),
        })?;
    }
    panic!("pass expand: expansions do not end:\n{expanded}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::ops::Op;
    use ir::{Builder, Value};

    #[test]
    fn nothing_stands_for_others_afterwards() {
        for sample in Op::samples() {
            let mut b = Builder::new("sample");
            let inputs = sample.operands.iter().enumerate();
            let operands: Vec<Value> = inputs
                .map(|(i, operand)| {
                    b.input(&format!("x{i}"), operand.ty.dtype, operand.ty.shape.clone()).unwrap()
                })
                .collect();
            let node = sample.push(&mut b, &operands).unwrap();
            b.output("y", Value::new(node, 0)).unwrap();
            let graph = expand(&b.finish()).unwrap();
            for (_, node) in graph.nodes() {
                assert!(!matches!(lowering(&graph, node), Lowering::Expand(_)), "{graph}");
            }
        }
    }

    #[test]
    fn what_needs_no_expansion_stays_as_it_is() {
        let text = "graph @g { %x = input : f32[3]\n%y = neg %x\noutput y = %y }";
        let graph = ir::text::parse_graph(text).unwrap();
        assert_eq!(expand(&graph).unwrap(), graph);
    }
}
