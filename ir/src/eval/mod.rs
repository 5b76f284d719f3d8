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
/// ```
/// use ir::eval::{Bindings, evaluate};
/// let graph = ir::text::parse_graph("graph @twice { %x = input : f32[2]\n%y = add %x, %x\noutput y = %y }").unwrap();
/// let x = ir::Tensor::new([2], vec![1.0f32, -3.0]).unwrap();
/// let bindings = Bindings { inputs: [("x".to_owned(), x)].into(), ..Bindings::default() };
/// let y = &evaluate(&graph, &bindings).unwrap().outputs["y"];
/// assert_eq!(y.as_slice::<f32>(), Some(&[2.0f32, -6.0][..]));
/// ```
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
        .map(|(id, node)| (node.name.clone().unwrap_or_default(), tensor(Value::new(id, 0))))
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
        Ok(matches!(op, Op::Input(_))
            .then(|| (*operands.next().expect("a body has an input per operand")).clone()))
    };
    let values = run(body, leaf).expect("a verified body has neither `grad` nor states");
    body.outputs
        .iter()
        .map(|output| values[output.value.node.0 as usize][output.value.result as usize].clone())
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::parse_graph;

    const SUM: &str = "graph @sum {
        %a = input : f32[2]
        %b = input : f32[2]
        %s = state init=constant(1.0) : f32[2]
        %0 = add %a, %b
        %next = add %0, %s
        output y = %0
        update %s = %next
    }";

    fn refused(text: &str, inputs: &[(&str, Tensor)]) -> String {
        let inputs = inputs.iter().map(|(name, tensor)| ((*name).to_owned(), tensor.clone())).collect();
        let bindings = Bindings { inputs, ..Bindings::default() };
        evaluate(&parse_graph(text).unwrap(), &bindings).unwrap_err().to_string()
    }

    fn pair(x: f32, y: f32) -> Tensor {
        Tensor::new([2], vec![x, y]).unwrap()
    }

    #[test]
    fn missing_inputs_are_all_named() {
        let message = "sum: inputs are missing: `a` (f32[2]), `b` (f32[2]); give a tensor for each";
        assert_eq!(refused(SUM, &[]), message);
    }

    #[test]
    fn tensors_have_the_type_of_their_input_or_state() {
        let short = Tensor::new([1], vec![1.0f32]).unwrap();
        assert_eq!(
            refused(SUM, &[("a", pair(1.0, 2.0)), ("b", short.clone())]),
            "b: the tensor is f32[1], the graph wants f32[2]; give a tensor of this type"
        );
        let inputs = [("a", pair(1.0, 2.0)), ("b", pair(3.0, 4.0))].map(|(name, x)| (name.to_owned(), x));
        let states = BTreeMap::from([("s".to_owned(), short)]);
        let bindings = Bindings { inputs: inputs.into(), states, seed: 0 };
        assert_eq!(
            evaluate(&parse_graph(SUM).unwrap(), &bindings).unwrap_err().to_string(),
            "s: the tensor is f32[1], the graph wants f32[2]; give a tensor of this type"
        );
    }

    #[test]
    fn grad_is_refused() {
        let text = "graph @g { %x = input : f32[]\n%y = grad %x, %x\noutput y = %y }";
        let one = Tensor::scalar(crate::Scalar::F32(1.0));
        let message = "grad: `grad` cannot be interpreted; run pass autodiff first";
        assert_eq!(refused(text, &[("x", one)]), message);
    }

    #[test]
    fn states_start_from_their_init_and_go_on_from_their_update() {
        let graph = parse_graph(SUM).unwrap();
        let inputs = [("a", pair(1.0, 2.0)), ("b", pair(3.0, 4.0))].map(|(name, x)| (name.to_owned(), x));
        let mut bindings = Bindings { inputs: inputs.into(), ..Bindings::default() };
        let first = evaluate(&graph, &bindings).unwrap();
        assert_eq!((&first.outputs["y"], &first.states["s"]), (&pair(4.0, 6.0), &pair(5.0, 7.0)));
        bindings.states = first.states;
        assert_eq!(evaluate(&graph, &bindings).unwrap().states["s"], pair(9.0, 13.0));
    }

    #[test]
    fn floats_are_rounded_when_they_leave() {
        let text = "graph @g {
            %x = constant value=16777216.0 : f32[]
            %one = constant value=1.0 : f32[]
            %0 = add %x, %one
            %y = sub %0, %x
            output y = %y
        }";
        let outputs = evaluate(&parse_graph(text).unwrap(), &Bindings::default()).unwrap().outputs;
        assert_eq!(outputs["y"].as_slice::<f32>(), Some(&[1.0f32][..]));
    }
}
