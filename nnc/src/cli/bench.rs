//! `nnc bench WORKLOAD`

use std::path::{Path, PathBuf};
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use nnc::bench::data::Data;
use nnc::bench::{Prepared, Report, Workload, kernel_bytes, prepare};
use nnc::{Error, Executable, KernelTime, Memory, Options, PhaseTime};
use serde_json::{Value, json};

use super::Status;
use super::output::Output;
use super::target::TargetArg;

/// How many steps a profile is taken over, at the least.
const PROFILED_STEPS: u32 = 20;
/// How long a profile is taken, unless the steps above take longer.
const PROFILE_TIME_MS: f64 = 300.0;

/// Arguments of `nnc bench`.
#[derive(clap::Args)]
pub struct Args {
    /// What to measure; see `nnc list workloads`
    workload: String,
    /// The number of threads
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// An archive of parameters and data (p0, p1, .., x, y0); without it, they are drawn
    #[arg(long, value_name = "FILE.npz")]
    inputs: Option<PathBuf>,
    /// Show the time of each kernel
    #[arg(long)]
    profile: bool,
    /// Show the time of each pass, and of what follows after the passes
    #[arg(long)]
    time_passes: bool,
    /// Compile without optimising
    #[arg(long)]
    no_optimize: bool,
    #[command(flatten)]
    target: TargetArg,
    /// Measure for this long, in seconds, instead of the usual time
    #[arg(long, value_name = "SECONDS")]
    budget: Option<f64>,
}

/// Measures a workload.
pub fn run(args: &Args, output: &Output) -> Result<Status, Error> {
    if Path::new(&args.workload).extension().is_some_and(|extension| extension == "nnir") {
        let help =
            "run the file with `nnc run FILE --steps N`; the workloads are shown by `nnc list workloads`";
        return Err(Error::invalid(&args.workload, "workloads are measured, not files", help));
    }
    let workload = Workload::find(&args.workload)?;
    let budget = match args.budget {
        None => workload.budget,
        Some(seconds) => Duration::try_from_secs_f64(seconds).map_err(|error| {
            Error::invalid("--budget", format!("{seconds} is no time ({error})"), "give a number of seconds")
        })?,
    };
    let data = match &args.inputs {
        Some(path) => Data::read(path)?,
        None => Data::draw(&workload.model()?.graph),
    };
    let options = Options { threads: args.threads, optimize: !args.no_optimize, ..args.target.options() };
    output.report(&format!(
        "{}: compiling, then measuring for about {} s",
        workload.name,
        budget.as_secs_f64()
    ));
    let mut prepared = prepare(workload, data, &options)?;
    let report = prepared.measure(workload, budget)?;
    let steps = PROFILED_STEPS.max((PROFILE_TIME_MS / report.measurement.median_ms.max(1e-4)) as u32);
    let times = if args.profile { prepared.profile(steps)? } else { Vec::new() };
    let json = || {
        let mut object = report_json(&report);
        object["target"] = json!(args.target.get().name);
        object["phases"] = prepared.program.compile_phases().iter().map(phase_json).collect();
        if args.profile {
            object["kernels"] = times.iter().map(|time| kernel_json(&prepared, time)).collect();
        }
        object
    };
    let text = || {
        let mut text = report_text(&report) + &memory_text(&report);
        if args.time_passes {
            text += &phases_text(&prepared.program);
        }
        if args.profile {
            let is_of_steps = |time: &KernelTime| times.iter().any(|other| other.kernel == time.kernel);
            let mut first_run = prepared.first_run.clone();
            first_run.retain(|time| !is_of_steps(time));
            text += &profile_text(&prepared, "kernel", &times, steps);
            text += &profile_text(&prepared, "kernel of the first run alone", &first_run, 1);
        }
        text
    };
    output.result(json, text)?;
    Ok(Status::Done)
}

/// `compile_ms` is what the peers' benchmark takes for the time of compiling: until the first step has been done.
fn report_json(report: &Report) -> Value {
    json!({
        "workload": report.workload,
        "threads": report.threads,
        "median_ms": report.measurement.median_ms,
        "min_ms": report.measurement.min_ms,
        "samples": report.measurement.samples,
        "steps_per_sample": report.measurement.steps_per_sample,
        "compile_ms": report.compile_ms + report.first_run_ms,
        "compiler_ms": report.compile_ms,
        "first_run_ms": report.first_run_ms,
        "rss_mb": report.rss_mb,
        "memory": memory_json(report),
        "loss_first": report.loss_first,
        "gflops": report.gflops,
        "gbs": report.gigabytes_per_s,
    })
}

/// What the memory of the process is for, in bytes.
fn memory_json(report: &Report) -> Value {
    let Memory { arena_bytes, prepared_bytes, reordered_bytes, output_bytes, scratch_bytes, code_bytes } =
        report.memory;
    json!({
        "state_bytes": report.state_bytes,
        "arena_bytes": arena_bytes,
        "prepared_bytes": prepared_bytes,
        "reordered_bytes": reordered_bytes,
        "output_bytes": output_bytes,
        "scratch_bytes": scratch_bytes,
        "code_bytes": code_bytes,
    })
}

/// `memory 259.7 MiB: 233.1 states, 2.3 arena, ..`
fn memory_text(report: &Report) -> String {
    let mib = |bytes: usize| format!("{:.1}", bytes as f64 / (1 << 20) as f64);
    let Memory { arena_bytes, prepared_bytes, reordered_bytes, output_bytes, scratch_bytes, code_bytes } =
        report.memory;
    let peak = report.rss_mb.map_or(String::new(), |peak| format!("at most {peak:.1} MiB of memory: "));
    let parts = [
        (report.state_bytes, "states"),
        (arena_bytes, "arena"),
        (prepared_bytes, "prepared"),
        (reordered_bytes, "reordered"),
        (output_bytes, "outputs"),
        (scratch_bytes, "scratch"),
        (code_bytes, "code"),
    ];
    let parts: Vec<String> = parts.iter().map(|(bytes, name)| format!("{} {name}", mib(*bytes))).collect();
    format!("{peak}{}\n", parts.join(", "))
}

fn report_text(report: &Report) -> String {
    let rate =
        |rate: Option<f64>, unit: &str| rate.map_or(String::new(), |rate| format!(", {rate:.1} {unit}"));
    format!(
        "{} on {} thread{}: {:.4} ms (least {:.4}){}{}, compiled in {:.1} ms, first run {:.1} ms, first loss {:.6}\n",
        report.workload,
        report.threads,
        if report.threads == 1 { "" } else { "s" },
        report.measurement.median_ms,
        report.measurement.min_ms,
        rate(report.gflops, "GFLOP/s"),
        rate(report.gigabytes_per_s, "GB/s"),
        report.compile_ms,
        report.first_run_ms,
        report.loss_first,
    )
}

/// What is known of a kernel's calls: microseconds per call, GFLOP/s, GB/s.
fn rates(prepared: &Prepared, time: &KernelTime) -> (f64, f64, f64) {
    let seconds = time.time.as_secs_f64() / time.calls as f64;
    let kernel = time.kernel.map(|kernel| prepared.program.plan().kernel(kernel));
    let flops = kernel.map_or(0.0, nnc::bench::kernel_flops);
    (seconds * 1e6, flops / seconds * 1e-9, kernel_bytes(&prepared.program, time) as f64 / seconds * 1e-9)
}

fn kernel_json(prepared: &Prepared, time: &KernelTime) -> Value {
    let (microseconds, gflops, gigabytes_per_s) = rates(prepared, time);
    json!({ "kernel": time.name, "calls": time.calls, "us_per_call": microseconds, "gflops": gflops, "gbs": gigabytes_per_s })
}

/// The phases of compiling, in their order; under the one that runs on several threads, what these did.
fn phases_text(program: &Executable) -> String {
    let total = program.compile_time().as_secs_f64();
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY);
    table.set_header(["phase", "ms", "% of compiling"]);
    let mut row = |name: &str, time: Duration| {
        let seconds = time.as_secs_f64();
        table.add_row([
            name.to_owned(),
            format!("{:.2}", seconds * 1e3),
            format!("{:.1}", 100.0 * seconds / total),
        ]);
    };
    for phase in program.compile_phases() {
        row(phase.name, phase.time);
        if let ("kernels", Some(code)) = (phase.name, program.code()) {
            row("  emit, all threads", code.times.emit);
            row("  cranelift, all threads", code.times.cranelift);
        }
    }
    row("all", program.compile_time());
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    format!("{table}\n")
}

fn phase_json(phase: &PhaseTime) -> Value {
    json!({ "phase": phase.name, "ms": phase.time.as_secs_f64() * 1e3 })
}

/// The kernels of a step, slowest first.
fn profile_text(prepared: &Prepared, title: &str, times: &[KernelTime], steps: u32) -> String {
    if times.is_empty() {
        return String::new();
    }
    let total: Duration = times.iter().map(|time| time.time).sum();
    let mut sorted: Vec<&KernelTime> = times.iter().collect();
    sorted.sort_by_key(|time| std::cmp::Reverse(time.time));
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY);
    table.set_header([title, "calls/step", "us/call", "% of step", "GFLOP/s", "GB/s"]);
    for time in sorted {
        let (microseconds, gflops, gigabytes_per_s) = rates(prepared, time);
        let share = 100.0 * time.time.as_secs_f64() / total.as_secs_f64();
        table.add_row([
            time.name.clone(),
            format!("{}", time.calls / u64::from(steps)),
            format!("{microseconds:.1}"),
            format!("{share:.1}"),
            format!("{gflops:.1}"),
            format!("{gigabytes_per_s:.1}"),
        ]);
    }
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    format!("{table}\n")
}
