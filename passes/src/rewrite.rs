//! Writing a graph anew, node by node: what passes from graph to graph are made of.
//!
//! In: a graph, and a function that says what stands in the place of each node. Out: a new graph with the same inputs,
//! states, outputs and updates.

use ir::{Builder, Error, Graph, Node, NodeId, Operands, Output, Update, Value};

/// Copies `graph` node by node in order, asking `replace(builder, node, operands)` for each node what to put in its
/// place: `None` copies it, otherwise a value of the new graph per result. The operands are those of the node as they
/// are in the new graph; the builder appends to it.
///
/// A replacement that has no name gets that of the node, so that names survive rewriting.
///
/// # Panics
/// Where a replacement has another number of results than the node, or that of a state is no state.
pub fn rebuild(
    graph: &Graph,
    mut replace: impl FnMut(&mut Builder, &Node, &[Value]) -> Result<Option<Operands>, Error>,
) -> Result<Graph, Error> {
    let mut builder = Builder::new(graph.name.clone());
    let mut values: Vec<Operands> = Vec::with_capacity(graph.len());
    for (_, node) in graph.nodes() {
        let operands: Operands = node.operands.iter().map(|&operand| moved(&values, operand)).collect();
        let results = match replace(&mut builder, node, &operands)? {
            Some(results) => results,
            None => copy(&mut builder, node, &operands)?,
        };
        assert_eq!(
            results.len(),
            node.results.len(),
            "`{}` is replaced by another number of results",
            node.op.name()
        );
        values.push(results);
    }
    let names = graph.nodes().filter_map(|(id, node)| Some((&values[id.0 as usize], node.name.clone()?)));
    let names: Vec<(NodeId, String)> =
        names.filter_map(|(results, name)| Some((results.first()?.node, name))).collect();
    let mut target = builder.finish();
    names.into_iter().for_each(|(id, name)| target.set_name(id, name));
    let output = |output: &Output| Output { name: output.name.clone(), value: moved(&values, output.value) };
    target.outputs = graph.outputs.iter().map(output).collect();
    let update = |update: &Update| {
        let state = moved(&values, Value::new(update.state, 0)).node;
        Update { state, value: moved(&values, update.value) }
    };
    target.updates = graph.updates.iter().map(update).collect();
    Ok(target)
}

/// Appends a copy of a node.
pub fn copy(builder: &mut Builder, node: &Node, operands: &[Value]) -> Result<Operands, Error> {
    let id = builder.push_with_body(node.op.clone(), operands, node.name.clone(), node.body.clone())?;
    Ok(builder.graph().results(id).collect())
}

/// Where a value of the source is in the target.
fn moved(values: &[Operands], value: Value) -> Value {
    values[value.node.0 as usize][value.result as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::DType;

    #[test]
    fn rebuilding_without_replacements_gives_the_same_graph() {
        let mut b = Builder::new("same");
        let x = b.input("x", DType::F32, [2, 3]).unwrap();
        let w = b.state("w", DType::F32, [2, 3], ir::Init::Constant(0.5)).unwrap();
        let y = b.mul(x, w).unwrap();
        b.update(w, y).unwrap();
        b.output("y", y).unwrap();
        let graph = b.finish();
        assert_eq!(rebuild(&graph, |_, _, _| Ok(None)).unwrap(), graph);
    }

    #[test]
    fn a_replacement_takes_over_the_name() {
        let mut b = Builder::new("named");
        let x = b.input("x", DType::F32, [2]).unwrap();
        let op = ir::ops::Elementwise { function: ir::ScalarFn::Neg };
        let node = b.push_with_body(op, &[x], Some("y".into()), None).unwrap();
        b.output("out", Value::new(node, 0)).unwrap();
        let graph = b.finish();
        let doubled = rebuild(&graph, |builder, node, operands| match operands {
            [] => Ok(None),
            _ => Ok(Some(Operands::from_elem(builder.abs(operands[0])?, node.results.len()))),
        });
        let doubled = doubled.unwrap();
        assert_eq!(doubled.node(doubled.find("y").unwrap()).op.name(), "abs");
    }
}
