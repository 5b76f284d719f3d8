//! The reference interpreter: slow, obvious, the meaning of the IR. Floats are computed in `f64` whatever their dtype,
//! and rounded only when they leave as a [`Tensor`].

mod array;

use std::collections::BTreeMap;

use crate::{Error, Graph, Op, Tensor, Type, Value};

pub use array::{Array, Data, advance};

/// What a run starts from.
#[derive(Clone, Debug, Default)]
pub struct Bindings {
    /// A tensor per input, by name.
    pub inputs: BTreeMap<String, Tensor>,
    /// The states, by name; those that are not here start from their init.
    pub states: BTreeMap<String, Tensor>,
    /// The seed of the run.
    pub seed: u64,
}

/// What a run ends with.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The outputs, by name.
    pub outputs: BTreeMap<String, Tensor>,
    /// The next value of each state, by name.
    pub states: BTreeMap<String, Tensor>,
}

/// Runs a graph once.
///
/// # Errors
/// Missing inputs (all are named), tensors of another type than the graph's, and `grad` nodes, which have no meaning
/// of their own: run autodiff first.
pub fn evaluate(graph: &Graph, bindings: &Bindings) -> Result<Evaluation, Error> {
    let missing: Vec<String> = (graph.inputs())
        .filter_map(|(_, node)| {
            let name = node.name.clone().unwrap_or_default();
            (!bindings.inputs.contains_key(&name)).then(|| format!("`{name}` ({})", node.results[0]))
        })
        .collect();
    if !missing.is_empty() {
        let problem = format!("inputs are missing: {}", missing.join(", "));
        return Err(Error::new(graph.name.clone(), problem, "give a tensor for each"));
    }
    let leaf = |name: &str, op: &Op, ty: &Type| -> Result<Option<Array>, Error> {
        let given = match op {
            Op::Input(_) => bindings.inputs.get(name).cloned(),
            Op::State(state) => match bindings.states.get(name) {
                Some(tensor) => Some(tensor.clone()),
                None => Some(state.init.materialize(ty, bindings.seed)),
            },
            _ => None,
        };
        match given {
            Some(tensor) if tensor.ty() != *ty => {
                let problem = format!("the tensor is {}, the graph wants {ty}", tensor.ty());
                Err(Error::new(name, problem, "give a tensor of this type"))
            }
            given => Ok(given.map(|tensor| Array::from(&tensor))),
        }
    };
    let values = run(graph, leaf)?;
    let tensor = |value: Value| values[value.node.0 as usize][value.result as usize].to_tensor();
    let outputs = graph.outputs.iter().map(|output| (output.name.clone(), tensor(output.value))).collect();
    let mut states: BTreeMap<String, Tensor> = (graph.states())
        .map(|(id, node)| (node.name.clone().unwrap_or_default(), tensor(Value { node: id, result: 0 })))
        .collect();
    for update in &graph.updates {
        states.insert(graph.node(update.state).name.clone().unwrap_or_default(), tensor(update.value));
    }
    Ok(Evaluation { outputs, states })
}

/// Runs a body: its inputs, in order, are `operands`; what comes back are its outputs.
pub fn evaluate_body(body: &Graph, operands: &[&Array]) -> Vec<Array> {
    let mut operands = operands.iter();
    let leaf = |_: &str, op: &Op, _: &Type| {
        Ok(matches!(op, Op::Input(_)).then(|| (*operands.next().expect("a body has an input per operand")).clone()))
    };
    let values = run(body, leaf).expect("a verified body has neither `grad` nor states");
    body.outputs.iter().map(|output| values[output.value.node.0 as usize][output.value.result as usize].clone()).collect()
}

/// The results of every node, in order. `leaf` gives the value of inputs and states.
fn run(
    graph: &Graph,
    mut leaf: impl FnMut(&str, &Op, &Type) -> Result<Option<Array>, Error>,
) -> Result<Vec<Vec<Array>>, Error> {
    let mut values: Vec<Vec<Array>> = Vec::with_capacity(graph.len());
    for (_, node) in graph.nodes() {
        if matches!(node.op, Op::Grad(_)) {
            return Err(Error::new("grad", "`grad` cannot be interpreted", "run pass autodiff first"));
        }
        let name = node.name.as_deref().unwrap_or_default();
        let results = match leaf(name, &node.op, &node.results[0])? {
            Some(array) => vec![array],
            None => {
                let operands: Vec<&Array> = (node.operands.iter())
                    .map(|operand| &values[operand.node.0 as usize][operand.result as usize])
                    .collect();
                node.op.eval(&operands, &node.results, node.body.as_deref())
            }
        };
        values.push(results);
    }
    Ok(values)
}
