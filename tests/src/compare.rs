//! Running one graph in several ways, and comparing what comes out.

use std::collections::BTreeMap;

use ir::eval::{self, Bindings};
use ir::{DType, Graph, Plan, Scalar, Tensor, Type};
use nnc::{Executable, Options, State};
use passes::pipeline::{PASSES, Program};

/// The outputs and the next values of the states of one step, by name.
#[derive(Clone, Debug, PartialEq)]
pub struct StepResult {
    /// The outputs.
    pub outputs: BTreeMap<String, Tensor>,
    /// The states.
    pub states: BTreeMap<String, Tensor>,
}

/// Seeded inputs for every input of a graph: floats in -1..1, integers and truth values small.
pub fn seeded_inputs(graph: &Graph, seed: u64) -> BTreeMap<String, Tensor> {
    let inputs = graph.inputs().enumerate();
    inputs
        .map(|(index, (_, node))| {
            let name = node.name.clone().expect("inputs have names");
            (name, seeded_tensor(&node.results[0], seed, index as u32))
        })
        .collect()
}

/// A tensor of this type with seeded elements.
pub fn seeded_tensor(ty: &Type, seed: u64, stream: u32) -> Tensor {
    Tensor::from_fn(ty, |i| {
        let unit = ir::scalar::uniform(seed, stream, i as u32, DType::F64);
        match ty.dtype {
            DType::F32 | DType::F64 => Scalar::from_f64(ty.dtype, 2.0 * unit - 1.0),
            DType::I32 | DType::I64 => Scalar::from_i64(ty.dtype, (unit * 6.0) as i64 - 1),
            DType::Bool => Scalar::Bool(unit < 0.5),
        }
    })
}

/// One step in the reference interpreter.
pub fn interpret(
    graph: &Graph,
    inputs: &BTreeMap<String, Tensor>,
    seed: u64,
) -> Result<StepResult, ir::Error> {
    let differentiated = passes::autodiff::autodiff(graph)?;
    let bindings = Bindings { inputs: inputs.clone(), states: BTreeMap::new(), seed };
    let evaluation = eval::evaluate(&differentiated, &bindings)?;
    Ok(StepResult { outputs: evaluation.outputs, states: evaluation.states })
}

/// One step of machine code.
pub fn execute(
    graph: &Graph,
    inputs: &BTreeMap<String, Tensor>,
    seed: u64,
    options: &Options,
) -> Result<StepResult, nnc::Error> {
    execute_program(graph, inputs, seed, nnc::compile(graph, options)?)
}

/// The plan of a graph by all passes but the one of this name.
///
/// # Errors
/// Where the pass is not optional and what follows cannot do without it.
pub fn plan_without(skipped: &str, graph: &Graph, options: &passes::Options) -> Result<Plan, ir::Error> {
    let mut program = Program::Graph(graph.clone());
    for pass in PASSES.iter().filter(|pass| pass.name != skipped) {
        if program.stage() <= pass.takes {
            program = pass.run(program, options)?;
        }
    }
    program.into_plan()
}

/// One step of a program of `graph`.
pub fn execute_program(
    graph: &Graph,
    inputs: &BTreeMap<String, Tensor>,
    seed: u64,
    mut executable: Executable,
) -> Result<StepResult, nnc::Error> {
    let mut state = State::new(executable.plan(), seed)?;
    let named: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    executable.run_named(&mut state, &named)?;
    let outputs = graph.outputs.iter().map(|output| {
        let tensor = executable.output(&output.name).expect("every output of the graph is one of the plan");
        (output.name.clone(), tensor.clone())
    });
    let outputs = outputs.collect();
    let states = graph.states().map(|(_, node)| {
        let name = node.name.clone().expect("states have names");
        let tensor = state.get(&name).expect("every state of the graph is one of the plan");
        (name, tensor)
    });
    let states = states.collect();
    Ok(StepResult { outputs, states })
}

/// Whether two results are the same to the bit.
pub fn same_bits(a: &StepResult, b: &StepResult) -> bool {
    let alike = |a: &BTreeMap<String, Tensor>, b: &BTreeMap<String, Tensor>| {
        a.len() == b.len()
            && a.iter().all(|(name, tensor)| {
                let other = &b[name];
                let elements = 0..tensor.shape().elements();
                tensor.ty() == other.ty() && elements.into_iter().all(|i| tensor.get(i) == other.get(i))
            })
    };
    alike(&a.outputs, &b.outputs) && alike(&a.states, &b.states)
}

/// What differs between a result and the reference by more than `tolerance(dtype)`, relative to the greatest
/// magnitude in the tensor (at least 1); `None` where nothing does.
pub fn difference(
    found: &StepResult,
    reference: &StepResult,
    tolerance: impl Fn(DType) -> f64,
) -> Option<String> {
    let pairs = [(&found.outputs, &reference.outputs), (&found.states, &reference.states)];
    pairs.iter().find_map(|(found, reference)| {
        reference.iter().find_map(|(name, expected)| match found.get(name) {
            None => Some(format!("{name} is missing")),
            Some(tensor) => tensor_difference(tensor, expected, tolerance(expected.dtype()))
                .map(|difference| format!("{name}: {difference}")),
        })
    })
}

/// Where two tensors differ by more than `tolerance`, relative to the greatest magnitude in `expected` (at least 1).
pub fn tensor_difference(found: &Tensor, expected: &Tensor, tolerance: f64) -> Option<String> {
    if found.ty() != expected.ty() {
        return Some(format!("{} instead of {}", found.ty(), expected.ty()));
    }
    let elements = 0..expected.shape().elements();
    let finite = elements.clone().map(|i| expected.get(i).as_f64().abs()).filter(|x| x.is_finite());
    let scale = finite.fold(1.0, f64::max);
    elements.into_iter().find_map(|i| {
        let (a, b) = (found.get(i).as_f64(), expected.get(i).as_f64());
        let close = a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * scale;
        (!close).then(|| format!("element {i} is {a:e} instead of {b:e} (scale {scale:e})"))
    })
}
