//! Pass `expand`: puts what an op stands for in the place of the op.
//!
//! In: a differentiated graph. Out: one in which no op lowers to others (`Lowering::Expand`): `random` has become integer
//! arithmetic, `argmax` a maximum and a comparison, `stop_gradient` its operand.

use ir::{Error, Graph, Lowering};

use crate::access::lowering;
use crate::rewrite::rebuild;

/// An expansion may use ops that expand in their turn; each of these is simpler, so there are few rounds.
const MOST_ROUNDS: usize = 16;

/// Expands all ops that stand for others.
pub fn expand(graph: &Graph) -> Result<Graph, Error> {
    let mut expanded = graph.clone();
    for _ in 0..MOST_ROUNDS {
        let remain = expanded.nodes().any(|(_, node)| matches!(lowering(&expanded, node), Lowering::Expand(_)));
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
