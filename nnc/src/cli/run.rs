//! `nnc run FILE.nnir`

use std::collections::BTreeMap;
use std::path::PathBuf;

use ir::eval::{Bindings, evaluate};
use ir::{Graph, Node, Scalar, Tensor};
use nnc::{Error, Options, State, compile, modules, npy};
use runtime::RunError;
use serde_json::{Value, json};

use super::Status;
use super::output::Output;
use super::target::TargetArg;

/// How many elements of each output are shown.
const SHOWN_ELEMENTS: usize = 6;

/// Arrays by name.
type Arrays = BTreeMap<String, Tensor>;

/// Arguments of `nnc run`.
#[derive(clap::Args)]
pub struct Args {
    /// A graph in the text form
    file: PathBuf,
    /// The array for an input (or a state) of the graph; can be given for each
    #[arg(long = "input", value_name = "NAME=FILE.npy", value_parser = parse_binding)]
    bindings: Vec<(String, PathBuf)>,
    /// An archive of arrays for inputs and states, by name
    #[arg(long, value_name = "FILE.npz")]
    inputs: Option<PathBuf>,
    /// Where to write the outputs; without it, a few elements of each are shown
    #[arg(long, value_name = "FILE.npz")]
    output: Option<PathBuf>,
    /// The seed from which states start
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Interpret the graph instead of compiling it: slow, in double precision
    #[arg(long)]
    reference: bool,
    /// The number of threads
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// How often to run it on the same inputs; states go from run to run
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    steps: u64,
    /// Compile without optimising
    #[arg(long)]
    no_optimize: bool,
    #[command(flatten)]
    target: TargetArg,
}

/// Runs a graph and shows or saves its outputs.
pub fn run(args: &Args, output: &Output) -> Result<Status, Error> {
    let graph = modules::read_graph(&args.file)?;
    let (inputs, states) = bind(&graph, read_arrays(args)?)?;
    let outputs = if args.reference {
        interpret(&graph, inputs, states, args)?
    } else {
        execute(&graph, &inputs, &states, args)?
    };
    if let Some(path) = &args.output {
        npy::npz::write(path, outputs.iter().map(|(name, tensor)| (name.as_str(), tensor)))?;
    }
    let json = || {
        let shown = outputs.iter().map(|(name, tensor)| {
            (name.clone(), json!({ "type": tensor.ty().to_string(), "values": first_elements(tensor) }))
        });
        let shown: serde_json::Map<String, Value> = shown.collect();
        json!({ "graph": graph.name, "steps": args.steps, "reference": args.reference, "outputs": shown })
    };
    let text = || match &args.output {
        Some(path) => format!("{} outputs written to {}", outputs.len(), path.display()),
        None => outputs.iter().map(|(name, tensor)| summary(name, tensor)).collect(),
    };
    output.result(json, text)?;
    Ok(Status::Done)
}

/// Runs the compiled graph.
fn execute(
    graph: &Graph,
    inputs: &Arrays,
    states: &Arrays,
    args: &Args,
) -> Result<Vec<(String, Tensor)>, Error> {
    let options = Options { threads: args.threads, optimize: !args.no_optimize, ..args.target.options() };
    let mut program = compile(graph, &options)?;
    let mut state = State::new(program.plan(), args.seed)?;
    for (name, value) in states {
        // A state that no result depends on is no longer in the program.
        if state.iter().any(|(known, _)| known == name) {
            state.set(name, value)?;
        }
    }
    let inputs: Vec<(&str, &Tensor)> = (inputs.iter())
        .map(|(name, tensor)| (name.as_str(), tensor))
        .filter(|(name, _)| program.inputs().any(|(known, _)| known == *name))
        .collect();
    for _ in 0..args.steps {
        program.run_named(&mut state, &inputs)?;
    }
    let names = program.output_types().map(|(name, _)| name.to_owned());
    Ok(names.zip(program.outputs().iter().cloned()).collect())
}

/// Interprets the graph.
fn interpret(
    graph: &Graph,
    inputs: Arrays,
    states: Arrays,
    args: &Args,
) -> Result<Vec<(String, Tensor)>, Error> {
    let graph = passes::autodiff::autodiff(graph)?;
    let mut bindings = Bindings { inputs, states, seed: args.seed };
    let mut outputs = BTreeMap::new();
    for _ in 0..args.steps {
        let evaluation = evaluate(&graph, &bindings)?;
        bindings.states = evaluation.states;
        outputs = evaluation.outputs;
    }
    let in_order = graph.outputs.iter().filter_map(|output| outputs.remove_entry(&output.name));
    Ok(in_order.collect())
}

/// All arrays that the arguments name, with the file that each came from. Those of `--input` come last.
fn read_arrays(args: &Args) -> Result<Vec<(String, String, Tensor)>, Error> {
    let mut arrays = Vec::new();
    if let Some(path) = &args.inputs {
        let file = path.display().to_string();
        arrays.extend(npy::npz::read(path)?.into_iter().map(|(name, tensor)| (name, file.clone(), tensor)));
    }
    for (name, path) in &args.bindings {
        arrays.push((name.clone(), path.display().to_string(), npy::read(path)?));
    }
    Ok(arrays)
}

/// Sorts arrays into inputs and states, and checks that each is of the type that the graph wants and that no input is
/// missing.
fn bind(graph: &Graph, arrays: Vec<(String, String, Tensor)>) -> Result<(Arrays, Arrays), Error> {
    let name_of = |node: &Node| node.name.clone().unwrap_or_default();
    let (mut inputs, mut states) = (BTreeMap::new(), BTreeMap::new());
    for (name, file, tensor) in arrays {
        let input = graph.inputs().find(|(_, node)| node.name.as_ref() == Some(&name));
        let state = graph.states().find(|(_, node)| node.name.as_ref() == Some(&name));
        let Some((_, node)) = input.or(state) else {
            let known: Vec<String> =
                graph.inputs().chain(graph.states()).map(|(_, node)| name_of(node)).collect();
            let help = format!("its inputs and states are {}", known.join(", "));
            return Err(Error::invalid(
                file,
                format!("@{} has no input or state `{name}`", graph.name),
                help,
            ));
        };
        if tensor.ty() != node.results[0] {
            let problem =
                format!("the array for `{name}` is {}, the graph wants {}", tensor.ty(), node.results[0]);
            return Err(Error::invalid(file, problem, "give an array of that type"));
        }
        if input.is_some() { &mut inputs } else { &mut states }.insert(name, tensor);
    }
    let missing: Vec<String> = (graph.inputs())
        .filter(|(_, node)| !inputs.contains_key(&name_of(node)))
        .map(|(_, node)| format!("`{}` ({})", name_of(node), node.results[0]))
        .collect();
    if missing.is_empty() {
        Ok((inputs, states))
    } else {
        Err(RunError::MissingInputs(missing.join(", ")).into())
    }
}

/// `NAME=FILE`
fn parse_binding(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => Ok((name.to_owned(), file.into())),
        _ => Err("write the name of an input, `=`, and a file".into()),
    }
}

/// `y: f32[2, 3] = 1, 2, 3, 4, 5, 6`
fn summary(name: &str, tensor: &Tensor) -> String {
    let count = tensor.shape().elements();
    let shown: Vec<String> = (0..count.min(SHOWN_ELEMENTS)).map(|i| element_text(tensor.get(i))).collect();
    let more = if count > SHOWN_ELEMENTS { ", .." } else { "" };
    format!("{name}: {} = {}{more}\n", tensor.ty(), shown.join(", "))
}

fn element_text(element: Scalar) -> String {
    match element {
        Scalar::F32(x) => x.to_string(),
        Scalar::F64(x) => x.to_string(),
        Scalar::I32(x) => x.to_string(),
        Scalar::I64(x) => x.to_string(),
        Scalar::Bool(x) => x.to_string(),
    }
}

/// The first elements; those that JSON has no number for as text.
fn first_elements(tensor: &Tensor) -> Vec<Value> {
    let elements = (0..tensor.shape().elements().min(SHOWN_ELEMENTS)).map(|i| tensor.get(i));
    let value = |element| match element {
        Scalar::F32(x) if x.is_finite() => json!(x),
        Scalar::F64(x) if x.is_finite() => json!(x),
        Scalar::I32(x) => json!(x),
        Scalar::I64(x) => json!(x),
        Scalar::Bool(x) => json!(x),
        infinite_or_nan => json!(element_text(infinite_or_nan)),
    };
    elements.map(value).collect()
}
