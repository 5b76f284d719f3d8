//! Golden files: an input, and what one pass makes of it, as text, both executed.
//!
//! `golden/PASS/NAME.nnir` holds a comment that says what the file shows, the input, the line `// expect:`, and the
//! text that pass PASS gives. Besides comparing texts, the helper runs input and result on seeded data, so a wrong
//! result cannot be blessed. With `NNC_BLESS=1` in the environment, results that differ as text but agree when run
//! are written to the files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ir::eval::{Bindings, evaluate};
use ir::text::{Module, parse_file};
use ir::{DType, Graph, Op, Scalar, Tensor, Value};
use passes::pipeline::{Options, Pass, Program, verify};

use crate::compare::{StepResult, difference, seeded_inputs, tensor_difference};
use crate::run_plan::run_plan;

/// The line between input and result.
const SEPARATOR: &str = "// expect:\n";

/// The seed of every run.
const SEED: u64 = 7;

/// Checks all golden files of a pass, or blesses them.
///
/// # Panics
/// Where there is none, or one does not hold: with the list of all that do not.
pub fn check_pass(name: &str) {
    let pass = Pass::find(name).unwrap_or_else(|error| panic!("{error}"));
    let files = files(name);
    assert!(!files.is_empty(), "there are no golden files of pass {name}");
    let failures: Vec<String> = (files.iter())
        .filter_map(|path| Some(format!("{}:\n{}", path.display(), check_file(pass, path).err()?)))
        .collect();
    assert!(failures.is_empty(), "{}\nTo accept the texts: NNC_BLESS=1", failures.join("\n"));
}

/// The folder of the golden files.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// The golden files of a pass, by name.
fn files(pass: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder().join(pass)) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "nnir"));
    files.sort();
    files
}

/// Checks one file.
fn check_file(pass: &Pass, path: &Path) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let (source, expected) = text.split_once(SEPARATOR).unwrap_or((&text, ""));
    let before = parse(source)?;
    verify(&before, before.stage()).map_err(|error| format!("the input is wrong: {error}"))?;
    let options = Options { verify: true, ..Options::default() };
    let after = pass.run(before.clone(), &options).map_err(|error| error.to_string())?;
    let found = after.to_string();
    if parse(&found)?.to_string() != found {
        return Err(format!("the text does not parse back to the same:\n{found}"));
    }
    check_execution(&before, &after).map_err(|problem| format!("{problem}\n{found}"))?;
    if found.trim() == expected.trim() {
        return Ok(());
    }
    if std::env::var_os("NNC_BLESS").is_some() {
        let blessed = format!("{}\n\n{SEPARATOR}{}\n", source.trim_end(), found.trim_end());
        return fs::write(path, blessed).map_err(|error| error.to_string());
    }
    Err(text_difference(expected.trim(), found.trim()))
}

fn parse(text: &str) -> Result<Program, String> {
    match parse_file(text) {
        Ok(Module::Graph(graph)) => Ok(Program::Graph(graph)),
        Ok(Module::Plan(plan)) => Ok(Program::Plan(plan)),
        Ok(Module::Kernel(_)) => Err("no pass takes a kernel alone; write a plan".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Checks that both programs leave the same outputs and states, and that gradients are those of the function.
fn check_execution(before: &Program, after: &Program) -> Result<(), String> {
    if let (Program::Graph(before), Program::Graph(after)) = (before, after)
        && before.nodes().any(|(_, node)| matches!(node.op, Op::Grad(_)))
    {
        return check_gradients(before, after);
    }
    let reference = execute(before)?;
    let found = execute(after)?;
    difference(&found, &reference, tolerance).map_or(Ok(()), |problem| Err(format!("executed: {problem}")))
}

/// Constants are rounded when they are folded, and sums may be rounded in another order.
fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::F32 => 1e-5,
        DType::F64 => 1e-12,
        _ => 0.0,
    }
}

/// One step on seeded inputs.
fn execute(program: &Program) -> Result<StepResult, String> {
    match program {
        Program::Graph(graph) => execute_graph(graph, seeded_inputs(graph, SEED)),
        Program::Plan(plan) => run_plan(plan, SEED),
    }
}

fn execute_graph(graph: &Graph, inputs: BTreeMap<String, Tensor>) -> Result<StepResult, String> {
    let bindings = Bindings { inputs, states: BTreeMap::new(), seed: SEED };
    let evaluation = evaluate(graph, &bindings).map_err(|error| error.to_string())?;
    Ok(StepResult { outputs: evaluation.outputs, states: evaluation.states })
}

/// Compares each output of `after` that is a gradient in `before` with central differences of the loss, with respect to
/// inputs of `f64`.
fn check_gradients(before: &Graph, after: &Graph) -> Result<(), String> {
    let inputs = seeded_inputs(before, SEED);
    let found = execute_graph(after, inputs.clone())?;
    for output in &before.outputs {
        let node = before.node(output.value.node);
        if !matches!(node.op, Op::Grad(_)) {
            continue;
        }
        let wanted = node.operands[output.value.result as usize + 1];
        let expected = central_differences(before, node.operands[0], wanted, &inputs)?;
        let found = &found.outputs[&output.name];
        if let Some(problem) = tensor_difference(found, &expected, 1e-6) {
            return Err(format!("gradient {}: {problem}", output.name));
        }
    }
    Ok(())
}

/// The gradient of `loss` with respect to an input, by differences.
fn central_differences(
    graph: &Graph,
    loss: Value,
    wanted: Value,
    inputs: &BTreeMap<String, Tensor>,
) -> Result<Tensor, String> {
    const STEP: f64 = 1e-5;
    let name = graph.node(wanted.node).name.clone().filter(|name| inputs.contains_key(name));
    let name = name.ok_or("golden files of autodiff differentiate with respect to inputs")?;
    let mut function = graph.clone();
    function.updates.clear();
    function.outputs = vec![ir::Output { name: "loss".to_owned(), value: loss }];
    let function = passes::dce::dce(&function).and_then(|function| passes::autodiff::autodiff(&function));
    let function = function.map_err(|error| error.to_string())?;
    let loss_at = |index: usize, step: f64| -> Result<f64, String> {
        let mut inputs = inputs.clone();
        let tensor = inputs.get_mut(&name).ok_or("the input is there")?;
        let elements = tensor.as_mut_slice::<f64>().ok_or("golden files of autodiff use f64")?;
        elements[index] += step;
        Ok(execute_graph(&function, inputs)?.outputs["loss"].get(0).as_f64())
    };
    let ty = inputs[&name].ty();
    let slopes: Vec<f64> = (0..ty.shape.elements())
        .map(|index| Ok((loss_at(index, STEP)? - loss_at(index, -STEP)?) / (2.0 * STEP)))
        .collect::<Result<_, String>>()?;
    Ok(Tensor::from_fn(&ty, |index| Scalar::F64(slopes[index])))
}

/// The first line that differs, and the whole text that was found.
fn text_difference(expected: &str, found: &str) -> String {
    let line = expected.lines().zip(found.lines()).position(|(a, b)| a != b);
    let line = line.unwrap_or(expected.lines().count().min(found.lines().count()));
    let at = |text: &str| text.lines().nth(line).unwrap_or("(the end)").trim().to_owned();
    format!("line {}: expected `{}`, found `{}`; all of it:\n{found}", line + 1, at(expected), at(found))
}
