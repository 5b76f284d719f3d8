//! `nnc dump PROGRAM`

use std::path::PathBuf;
use std::str::FromStr;

use ir::text::Module;
use ir::{Kernel, Plan, Stage, VerifiedPlan};
use nnc::{Error, Options, dump};
use passes::{Pass, Program};
use serde_json::{Value, json};

use super::output::Output;
use super::program::{self, Wanted};
use super::target::TargetArg;
use super::{Status, streams};

/// Arguments of `nnc dump`.
#[derive(clap::Args)]
pub struct Args {
    /// A model (mlp), a workload of `nnc bench`, or a .nnir file; - is stdin
    program: String,
    /// The stage to print: source, differentiated, canonical, fused, kernels, plan, clif or asm; the program's own
    /// where neither this nor --after is given
    #[arg(long, conflicts_with = "after")]
    stage: Option<View>,
    /// Print what this pass leaves
    #[arg(long, value_name = "PASS")]
    after: Option<String>,
    /// The whole training step of a model instead of its inference
    #[arg(long)]
    train: bool,
    /// Of a game, the player whose step is wanted [default: the first]
    #[arg(long, value_name = "NAME", requires = "train")]
    player: Option<String>,
    /// The batch of a model
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// How to print it (dot: graphs only)
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The file to write to instead of stdout, which - is
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Compile without optimising
    #[arg(long)]
    no_optimize: bool,
    #[command(flatten)]
    target: TargetArg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Dot,
    Json,
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    /// A stage of the IR.
    Ir(Stage),
    /// Cranelift's IR of the kernels.
    Clif,
    /// The machine code of the kernels.
    Asm,
}

impl FromStr for View {
    type Err = String;

    fn from_str(name: &str) -> Result<View, String> {
        match name {
            "clif" => Ok(View::Clif),
            "asm" => Ok(View::Asm),
            stage => stage.parse().map(View::Ir).map_err(|error: String| format!("{error}, clif, asm")),
        }
    }
}

/// Prints a program at a stage.
pub fn run(args: &Args, output: &Output) -> Result<Status, Error> {
    let wanted = if args.train { Wanted::Training(args.player.as_deref()) } else { Wanted::Inference };
    let module = program::load(&args.program, &wanted, args.batch as usize)?;
    let format = if output.is_json { Format::Json } else { args.format };
    let options = Options { optimize: !args.no_optimize, ..args.target.options() };
    let text = match args.stage {
        Some(view @ (View::Clif | View::Asm)) => {
            let plan = plan_of(module, &options)?;
            let kernels = &plan.kernels;
            let options = codegen::CompileOptions { keep_clif: true };
            let code = codegen::compile_with(&plan, args.target.get(), options)?;
            let texts = match view {
                View::Clif => (0..kernels.len()).map(|index| code.clif(index).to_owned()).collect(),
                _ => (0..kernels.len())
                    .map(|index| dump::disassemble(&code.functions(index)))
                    .collect::<Result<_, _>>()?,
            };
            machine_text(kernels, texts, format)?
        }
        stage => {
            let module = at_stage(module, stage, args.after.as_deref(), &options)?;
            if let Module::Plan(plan) = &module {
                output.report(&memory_text(plan));
            }
            module_text(&module, format)?
        }
    };
    match &args.output {
        Some(path) if !streams::is_stream(path) => streams::write(path, text.as_bytes())?,
        _ => output.print(&text)?,
    }
    Ok(Status::Done)
}

/// The program after the passes that lead to a stage, or up to a pass; as it is where neither is asked for, or where the
/// stage is its own.
fn at_stage(
    module: Module,
    view: Option<View>,
    after: Option<&str>,
    options: &Options,
) -> Result<Module, Error> {
    let program = match module {
        Module::Graph(graph) => Program::Graph(graph),
        Module::Plan(plan) => Program::Plan(plan),
        Module::Kernel(kernel) if view.is_none() && after.is_none() => return Ok(Module::Kernel(kernel)),
        Module::Kernel(kernel) => {
            let help = "leave out --stage and --after, or give --stage clif or asm";
            return Err(Error::invalid(
                format!("@{}", kernel.name),
                "a kernel alone goes through no passes",
                help,
            ));
        }
    };
    let own = program.stage();
    let last = match (view, after) {
        (_, Some(pass)) => Some(Pass::find(pass)?),
        (Some(View::Ir(stage)), None) if stage < own => return Err(is_past(stage, own)),
        (Some(View::Ir(stage)), None) if stage > own => Pass::last_of(stage),
        _ => None,
    };
    let program = match last {
        Some(last) => passes::run_until(program, &options.for_passes(), last)?,
        None => program,
    };
    Ok(match program {
        Program::Graph(graph) => Module::Graph(graph),
        Program::Plan(plan) => Module::Plan(plan),
    })
}

/// The error that a program of stage `own` cannot be shown at an earlier stage.
fn is_past(stage: Stage, own: Stage) -> Error {
    let later: Vec<&str> = Stage::ALL.into_iter().filter(|&later| later >= own).map(Stage::name).collect();
    let problem = format!("the program is of stage {own}, which is past it");
    Error::invalid(format!("--stage {stage}"), problem, format!("give {}, clif or asm", later.join(", ")))
}

/// The plan whose kernels a program becomes; of a kernel, the plan that calls it.
fn plan_of(module: Module, options: &Options) -> Result<VerifiedPlan, Error> {
    let plan = match module {
        Module::Graph(graph) => passes::run(graph, &options.for_passes())?,
        Module::Plan(plan) => passes::run(plan, &options.for_passes())?,
        Module::Kernel(kernel) => Plan::of_kernel(kernel),
    };
    Ok(VerifiedPlan::new(plan)?)
}

fn module_text(module: &Module, format: Format) -> Result<String, Error> {
    Ok(match (module, format) {
        (Module::Graph(graph), Format::Text) => graph.to_string(),
        (Module::Kernel(kernel), Format::Text) => kernel.to_string(),
        (Module::Plan(plan), Format::Text) => plan.to_string(),
        (Module::Graph(graph), Format::Dot) => dump::graph_dot(graph),
        (_, Format::Dot) => return Err(no_dot()),
        (Module::Graph(graph), Format::Json) => dump::graph_json(graph).to_string(),
        (Module::Kernel(kernel), Format::Json) => {
            json!({ "kind": "kernel", "name": kernel.name, "text": kernel.to_string() }).to_string()
        }
        (Module::Plan(plan), Format::Json) => dump::plan_json(plan).to_string(),
    })
}

/// What became of each kernel.
fn machine_text(kernels: &[Kernel], texts: Vec<String>, format: Format) -> Result<String, Error> {
    let named = kernels.iter().map(|kernel| &kernel.name).zip(texts);
    match format {
        Format::Text => Ok(named.map(|(name, text)| format!("; kernel @{name}\n{text}\n")).collect()),
        Format::Json => {
            let rows: Vec<Value> =
                named.map(|(name, text)| json!({ "kernel": name, "text": text })).collect();
            Ok(json!({ "kernels": rows }).to_string())
        }
        Format::Dot => Err(no_dot()),
    }
}

fn no_dot() -> Error {
    Error::invalid("--format dot", "only graphs can be drawn", "choose a stage up to fused, or --format text")
}

/// How much memory the values of a plan take, and how much they would take without reuse.
fn memory_text(plan: &Plan) -> String {
    let kernels = plan.kernels.len();
    let values = dump::value_bytes(plan);
    format!(
        "{kernels} kernels, {} steps; arena {} bytes for values of {values} bytes",
        plan.steps.len(),
        plan.arena_bytes
    )
}
