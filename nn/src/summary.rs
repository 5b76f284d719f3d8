//! A model layer by layer: shapes, parameters, arithmetic.

use ir::{Error, Graph, Lowering, NodeId, Op, Type};

use crate::{Context, Network};

/// A layer of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its scope, `encoder.fc1`; empty for the model itself.
    pub scope: String,
    /// What it is: `Linear 64 -> 16`.
    pub layer: String,
    /// The type of its result.
    pub output: Type,
    /// The number of elements of its parameters, without those of layers within it.
    pub parameters: usize,
    /// The multiplications with an addition in its products, without those of layers within it.
    pub multiply_adds: usize,
}

/// What a model is made of. How much memory it takes is known to the compiler, which prints this as a table.
///
/// ```
/// use nn::{Loss, Summary, Supervised, models};
/// let summary = Summary::new(&Supervised::new([64], models::mlp(), Loss::cross_entropy()), 1)?;
/// assert_eq!(summary.rows[0].layer, "Linear 64 -> 128");
/// assert_eq!(summary.parameters(), 64 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10);
/// assert_eq!(summary.multiply_adds(), 64 * 128 + 128 * 64 + 64 * 10);
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The layers in order. Those that only hold others have no row. Parameters that a network makes outside of layers follow, a row for
    /// each, whose output is the parameter.
    pub rows: Vec<Row>,
}

impl Summary {
    /// The layers of a network, in use on batches of so many rows.
    ///
    /// # Errors
    /// Where it cannot be built.
    pub fn new(network: &dyn Network, rows: usize) -> Result<Summary, Error> {
        let mut cx = Context::new("summary");
        network.build(&mut cx, rows)?;
        let calls = cx.calls();
        let mut table = Vec::new();
        for (index, call) in calls.iter().enumerate() {
            let within = calls[index + 1..].iter().take_while(|inner| inner.depth > call.depth);
            let own: Vec<NodeId> = {
                let inner: Vec<_> = within.map(|inner| inner.nodes.clone()).collect();
                let is_own = |id: &u32| !inner.iter().any(|nodes| nodes.contains(id));
                call.nodes.clone().filter(is_own).map(NodeId).collect()
            };
            let is_holder =
                own.is_empty() && calls.get(index + 1).is_some_and(|next| next.depth > call.depth);
            if is_holder {
                continue;
            }
            let parameters = cx.parameters().iter().filter(|parameter| own.contains(&parameter.value.node));
            table.push(Row {
                scope: call.scope.clone(),
                layer: call.layer.clone(),
                output: call.output_type.clone(),
                parameters: parameters.map(|parameter| cx.shape(parameter.value).elements()).sum(),
                multiply_adds: own.iter().map(|&id| multiply_adds(cx.graph(), id)).sum(),
            });
        }
        let is_of_layer = |node: NodeId| calls.iter().any(|call| call.nodes.contains(&node.0));
        let others = cx.parameters().iter().filter(|parameter| !is_of_layer(parameter.value.node));
        table.extend(others.map(|parameter| Row {
            scope: parameter.name.clone(),
            layer: "parameter".to_owned(),
            output: cx.ty(parameter.value).clone(),
            parameters: cx.shape(parameter.value).elements(),
            multiply_adds: 0,
        }));
        Ok(Summary { rows: table })
    }

    /// The number of elements of all parameters.
    pub fn parameters(&self) -> usize {
        self.rows.iter().map(|row| row.parameters).sum()
    }

    /// The multiplications with an addition in all products.
    pub fn multiply_adds(&self) -> usize {
        self.rows.iter().map(|row| row.multiply_adds).sum()
    }
}

/// The terms of all sums of products that a node computes, a loop in all of its steps; 0 for a node of another kind.
pub fn multiply_adds(graph: &Graph, id: NodeId) -> usize {
    let node = graph.node(id);
    let operands: Vec<&Type> = node.operands.iter().map(|&operand| graph.ty(operand)).collect();
    if let (Op::Scan(scan), Some(body)) = (&node.op, &node.body) {
        return scan.length * body.ids().map(|id| multiply_adds(body, id)).sum::<usize>();
    }
    if matches!(node.op, Op::Grad(_)) {
        return 0;
    }
    match node.op.lower(&operands, &node.results) {
        Lowering::Contract(contraction) => {
            node.results[0].shape.elements() * contraction.reduced.iter().product::<usize>()
        }
        _ => 0,
    }
}
