//! `nnc run FILE.nnir`

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use ir::eval::{Bindings, evaluate};
use ir::names::{choices, printable};
use ir::{Place, Scalar, Stage, Tensor, Type};
use nnc::{Error, Options, Pool, State, compile, compile_plan, memory, modules, npy};
use passes::Program;
use runtime::RunError;
use serde_json::{Value, json};

use super::output::Output;
use super::target::TargetArg;
use super::{Status, shown_path, streams};

/// How many elements of each output are shown.
const SHOWN_ELEMENTS: usize = 6;

/// The memory of an element where a graph is interpreted.
const VALUE_BYTES: usize = 8;

/// Arrays by name.
type Arrays = BTreeMap<String, Tensor>;

/// Arguments of `nnc run`.
#[derive(clap::Args)]
pub struct Args {
    /// A graph or plan in the text form; - is stdin
    file: PathBuf,
    /// The array for an input (or a state) of the program; can be given for each; - is stdin
    #[arg(long = "input", value_name = "NAME=FILE.npy", value_parser = parse_binding)]
    bindings: Vec<(String, PathBuf)>,
    /// An archive of arrays for inputs and states, by name; - is stdin
    #[arg(long, value_name = "FILE.npz")]
    inputs: Option<PathBuf>,
    /// Where to write the outputs: an archive for all, or NAME=FILE.npy for one, which can be given for each; - is stdout.
    /// Without it, a few elements of each are shown
    #[arg(long = "output", value_name = "FILE.npz", value_parser = parse_destination)]
    destinations: Vec<Destination>,
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

/// Runs a graph or a plan and shows or saves its outputs.
pub fn run(args: &Args, output: &Output) -> Result<Status, Error> {
    for destination in &args.destinations {
        streams::check_alone(&destination.path, "--output", output)?;
    }
    let program = modules::parse_program(&streams::read_text(&args.file)?, &streams::name(&args.file))?;
    let interface = Interface::of(&program);
    let (inputs, states) = interface.bind(read_arrays(args)?)?;
    let outputs = if args.reference {
        interpret(&program, inputs, states, args)?
    } else {
        execute(&program, &inputs, states, args)?
    };
    for destination in &args.destinations {
        destination.write(&outputs)?;
    }
    if args.destinations.iter().any(|destination| streams::is_stream(&destination.path)) {
        return Ok(Status::Done);
    }
    let json = || {
        let shown = outputs.iter().map(|(name, tensor)| {
            (name.clone(), json!({ "type": tensor.ty().to_string(), "values": first_elements(tensor) }))
        });
        let shown: serde_json::Map<String, Value> = shown.collect();
        json!({ "graph": interface.name, "steps": args.steps, "reference": args.reference, "outputs": shown })
    };
    let text = || {
        if args.destinations.is_empty() {
            return outputs.iter().map(|(name, tensor)| summary(name, tensor)).collect();
        }
        let lines = args.destinations.iter().map(|destination| destination.written(outputs.len()));
        lines.collect::<Vec<String>>().join("\n")
    };
    output.result(json, text)?;
    Ok(Status::Done)
}

/// Runs the compiled program.
fn execute(
    program: &Program,
    inputs: &Arrays,
    states: Arrays,
    args: &Args,
) -> Result<Vec<(String, Tensor)>, Error> {
    let options = Options { threads: args.threads, optimize: !args.no_optimize, ..args.target.options() };
    let mut program = match program {
        Program::Graph(graph) => compile(graph, &options)?,
        Program::Plan(plan) => compile_plan(plan.clone(), &options, Arc::new(Pool::new(args.threads)?))?,
    };
    let mut state = State::new(program.plan(), args.seed)?;
    // A state or an input that no result depends on is no longer in the program.
    let known: BTreeSet<String> = state.iter().map(|(name, _)| name.to_owned()).collect();
    // Each goes once it has been copied.
    for (name, value) in states.into_iter().filter(|(name, _)| known.contains(name)) {
        state.set(&name, &value)?;
    }
    let known: BTreeSet<String> = program.inputs().map(|(name, _)| name.to_owned()).collect();
    let inputs: Vec<(&str, &Tensor)> = (inputs.iter())
        .map(|(name, tensor)| (name.as_str(), tensor))
        .filter(|(name, _)| known.contains(*name))
        .collect();
    for _ in 0..args.steps {
        program.run_named(&mut state, &inputs)?;
    }
    let names = program.output_types().map(|(name, _)| name.to_owned());
    Ok(names.zip(program.outputs().iter().cloned()).collect())
}

/// Interprets the graph.
fn interpret(
    program: &Program,
    inputs: Arrays,
    states: Arrays,
    args: &Args,
) -> Result<Vec<(String, Tensor)>, Error> {
    let graph = match program {
        Program::Graph(graph) if graph.stage == Stage::Source => passes::autodiff::autodiff(graph)?,
        Program::Graph(graph) => graph.clone(),
        Program::Plan(plan) => {
            let (subject, problem) = (format!("@{}", plan.name), "a plan cannot be interpreted");
            return Err(Error::invalid(subject, problem, "leave out --reference, or give the graph"));
        }
    };
    // All values are kept to the end.
    let size = |ty: &Type| ty.shape.elements().saturating_mul(VALUE_BYTES);
    let bytes = graph.nodes().flat_map(|(_, node)| &node.results).map(size).fold(0, usize::saturating_add);
    memory::check(&format!("@{}", graph.name), bytes)?;
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
        let file = streams::name(path);
        let archive = npy::npz::decode(&streams::read(path)?, &file)?;
        arrays.extend(archive.into_iter().map(|(name, tensor)| (name, file.clone(), tensor)));
    }
    for (name, path) in &args.bindings {
        let file = streams::name(path);
        let tensor = npy::decode(&streams::read(path)?, &file)?;
        arrays.push((name.clone(), file, tensor));
    }
    Ok(arrays)
}

/// What a program is run on.
struct Interface {
    name: String,
    inputs: Vec<(String, Type)>,
    states: Vec<(String, Type)>,
}

impl Interface {
    fn of(program: &Program) -> Interface {
        match program {
            Program::Graph(graph) => {
                let named =
                    |node: &ir::Node| (node.name.clone().unwrap_or_default(), node.results[0].clone());
                Interface {
                    name: graph.name.clone(),
                    inputs: graph.inputs().map(|(_, node)| named(node)).collect(),
                    states: graph.states().map(|(_, node)| named(node)).collect(),
                }
            }
            Program::Plan(plan) => {
                let (mut inputs, mut states) = (Vec::new(), Vec::new());
                for slot in &plan.slots {
                    match &slot.place {
                        Place::Input => inputs.push((slot.name.clone(), slot.ty.clone())),
                        Place::State { order, .. } => {
                            let ty = Type::new(slot.ty.dtype, order.known(&slot.ty.shape));
                            states.push((slot.name.clone(), ty));
                        }
                        _ => {}
                    }
                }
                Interface { name: plan.name.clone(), inputs, states }
            }
        }
    }

    /// Sorts arrays into inputs and states, and checks that each has the shape that the program wants and numbers that its dtype
    /// has, and that no input is missing.
    fn bind(&self, arrays: Vec<(String, String, Tensor)>) -> Result<(Arrays, Arrays), Error> {
        let (mut inputs, mut states) = (BTreeMap::new(), BTreeMap::new());
        let [known_inputs, known_states] =
            [&self.inputs, &self.states].map(|named| -> BTreeMap<&str, &Type> {
                named.iter().map(|(name, ty)| (name.as_str(), ty)).collect()
            });
        for (name, file, tensor) in arrays {
            let input = known_inputs.get(name.as_str());
            let state = known_states.get(name.as_str());
            let Some(ty) = input.or(state) else {
                let known = self.inputs.iter().chain(&self.states).map(|(name, _)| name.as_str());
                let help = choices(&name, "its inputs and states are", known);
                return Err(Error::invalid(
                    file,
                    format!("@{} has no input or state `{name}`", self.name),
                    help,
                ));
            };
            if tensor.shape() != &ty.shape {
                let problem = format!("the array for `{name}` is {}, the graph wants {ty}", tensor.ty());
                return Err(Error::invalid(file, problem, "give an array of that type"));
            }
            let tensor = npy::converted(&tensor, ty.dtype, &format!("{file}, `{name}`"))?;
            if input.is_some() { &mut inputs } else { &mut states }.insert(name, tensor);
        }
        let missing: Vec<String> = (self.inputs.iter())
            .filter(|(name, _)| !inputs.contains_key(name))
            .map(|(name, ty)| format!("`{name}` ({ty})"))
            .collect();
        if missing.is_empty() {
            Ok((inputs, states))
        } else {
            Err(RunError::MissingInputs(missing.join(", ")).into())
        }
    }
}

/// Where outputs are written.
#[derive(Clone, Debug)]
struct Destination {
    /// The output; all of them, where there is none.
    name: Option<String>,
    path: PathBuf,
}

impl Destination {
    /// Writes the output of its name as an array, or all of them as an archive.
    fn write(&self, outputs: &[(String, Tensor)]) -> Result<(), Error> {
        let mut bytes = Vec::new();
        let encoded = match &self.name {
            None => {
                npy::npz::encode(outputs.iter().map(|(name, tensor)| (name.as_str(), tensor)), &mut bytes)
            }
            Some(name) => {
                let Some((_, tensor)) = outputs.iter().find(|(known, _)| known == name) else {
                    let help =
                        choices(name, "its outputs are", outputs.iter().map(|(name, _)| name.as_str()));
                    return Err(Error::invalid(
                        format!("--output {name}"),
                        "the program has no output of this name",
                        help,
                    ));
                };
                npy::encode(tensor, &mut bytes)
            }
        };
        encoded.map_err(|source| Error::io(&self.path, "write", source))?;
        streams::write(&self.path, &bytes)
    }

    /// `2 outputs written to out.npz`
    fn written(&self, outputs: usize) -> String {
        let name = self.name.as_ref().map(|name| format!("`{}`", printable(name)));
        let what = name.unwrap_or_else(|| format!("{outputs} outputs"));
        format!("{what} written to {}", shown_path(&self.path))
    }
}

/// `FILE`, or `NAME=FILE`
fn parse_destination(text: &str) -> Result<Destination, String> {
    if !text.contains('=') {
        return Ok(Destination { name: None, path: text.into() });
    }
    parse_binding(text).map(|(name, path)| Destination { name: Some(name), path })
}

/// `NAME=FILE`
fn parse_binding(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => Ok((name.to_owned(), file.into())),
        _ => Err("write a name, `=`, and a file".into()),
    }
}

/// `y: f32[2, 3] = 1, 2, 3, 4, 5, 6`
fn summary(name: &str, tensor: &Tensor) -> String {
    let count = tensor.shape().elements();
    let shown: Vec<String> = (0..count.min(SHOWN_ELEMENTS)).map(|i| element_text(tensor.get(i))).collect();
    let more = if count > SHOWN_ELEMENTS { ", .." } else { "" };
    format!("{}: {} = {}{more}\n", printable(name), tensor.ty(), shown.join(", "))
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
