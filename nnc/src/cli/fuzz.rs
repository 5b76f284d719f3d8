//! `nnc fuzz`

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ir::Graph;
use nnc::fuzz::{Event, Failure, Fault, Judge, Settings, panics, reduce, session};
use nnc::{Error, Pool, files, modules};
use passes::Program;
use serde_json::{Value, json};

use super::output::Output;
use super::{Status, streams};

/// How many cases there are where neither a number nor a time is given.
const CASES: u64 = 1000;
/// Where progress is not a bar, there is a line this often.
const LINE_PERIOD: Duration = Duration::from_secs(30);

/// Arguments of `nnc fuzz`.
#[derive(clap::Args)]
pub struct Args {
    /// Judge these graphs, and make those that fail small, instead of random ones; - is stdin
    #[arg(value_name = "FILE.nnir", conflicts_with_all = ["cases", "minutes", "seed", "case"])]
    files: Vec<PathBuf>,
    /// How many random graphs to judge [default: 1000, or what the time allows]
    #[arg(long, value_name = "N")]
    cases: Option<u64>,
    /// Stop after this many minutes
    #[arg(long, value_name = "M")]
    minutes: Option<f64>,
    /// What the graphs depend on [default: another each time]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Judge the graph of this number alone, of the seed that is given
    #[arg(long, value_name = "N", requires = "seed", conflicts_with_all = ["cases", "minutes"])]
    case: Option<u64>,
    /// How many graphs are judged at the same time [default: the number of cores]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Where to write the smallest graph of each failure; without it, it is printed
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

/// Judges random graphs, or those in files.
pub fn run(args: &Args, output: &Output) -> Result<Status, Error> {
    panics::quiet();
    let found = if args.files.is_empty() { random(args, output)? } else { given(args, output)? };
    Ok(if found == 0 { Status::Done } else { Status::Failed })
}

/// Judges random graphs; how many failed.
fn random(args: &Args, output: &Output) -> Result<usize, Error> {
    let settings = settings(args)?;
    output.report(&format!("seed {}, {} at a time", settings.seed, settings.jobs));
    let mut progress = Progress::new(&settings, args.case.is_none());
    let mut failures: Vec<Failure> = Vec::new();
    let mut problem = None;
    let judged = session::run(&settings, |event| match event {
        Event::Judged => progress.judged(failures.len(), output),
        Event::Found(case, fault) => {
            progress.say(&format!("case {case} fails ({}); making it small", fault.title()), output);
        }
        Event::Failed(failure) => {
            let shown = show(&settings, &failure, args.output.as_deref());
            progress.say(
                &shown.unwrap_or_else(|error| {
                    let text = error.to_string();
                    problem.get_or_insert(error);
                    text
                }),
                output,
            );
            failures.push(*failure);
        }
    })?;
    progress.end();
    if let Some(error) = problem {
        return Err(error);
    }
    let seconds = progress.start.elapsed().as_secs_f64();
    let kinds = kinds(&failures);
    let json = || {
        let failures: Vec<Value> = failures.iter().map(failure_json).collect();
        json!({ "seed": settings.seed, "cases": judged, "seconds": seconds, "failures": failures })
    };
    let text = || {
        let mut text = format!(
            "{judged} cases of seed {} in {seconds:.0} s ({:.1} a second): {} failed\n",
            settings.seed,
            judged as f64 / seconds.max(1e-9),
            failures.len()
        );
        for (kind, count) in &kinds {
            text += &format!("{count:6} {kind}\n");
        }
        text
    };
    output.result(json, text)?;
    Ok(failures.len())
}

/// Judges the graphs of files; how many failed.
fn given(args: &Args, output: &Output) -> Result<usize, Error> {
    let judge = Judge::new()?;
    let mut failures = Vec::new();
    for path in &args.files {
        let name = streams::name(path);
        let Program::Graph(graph) = modules::parse_program(&streams::read_text(path)?, &name)? else {
            let help = "give a graph of stage source, from which all passes start";
            return Err(Error::invalid(name, "the file holds a plan", help));
        };
        match judge.judge(&graph) {
            Ok(()) => output.report(&format!("{name}: holds")),
            Err(fault) => {
                output.report(&format!("{name}: {}", fault.title()));
                let (graph, fault) = reduce(&judge, None, graph, fault);
                output.report(&format!("{}\n{graph}", fault.title()));
                failures.push(json!({
                    "file": name, "kind": fault.kind, "at": fault.at, "problem": fault.problem,
                    "graph": graph.to_string(),
                }));
            }
        }
    }
    let (cases, failed) = (args.files.len(), failures.len());
    output.result(
        || json!({ "cases": cases, "failures": failures }),
        || format!("{cases} graphs: {failed} failed"),
    )?;
    Ok(failed)
}

fn settings(args: &Args) -> Result<Settings, Error> {
    let time = match args.minutes {
        None => None,
        Some(minutes) => Some(Duration::try_from_secs_f64(60.0 * minutes).map_err(|error| {
            let problem = format!("{minutes} is no time ({error})");
            Error::invalid("--minutes", problem, "give a number of minutes")
        })?),
    };
    let cases = match (args.case, args.cases, time) {
        (Some(_), ..) => 1,
        (None, Some(cases), _) => cases,
        (None, None, Some(_)) => u64::MAX,
        (None, None, None) => CASES,
    };
    let seed = args.seed.unwrap_or_else(fresh_seed);
    let jobs = args.jobs.unwrap_or_else(Pool::available_threads).clamp(1, 256);
    Ok(Settings {
        seed,
        first: args.case.unwrap_or(0),
        cases,
        time,
        jobs: jobs.min(cases.clamp(1, 256) as usize),
    })
}

/// Another seed each time: of the clock, short enough to be typed.
fn fresh_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    nnc::fuzz::Rng::of_case(now.as_nanos() as u64, u64::from(std::process::id())).bits() % 1_000_000_000
}

/// How many failures there are of each kind.
fn kinds(failures: &[Failure]) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for Failure { fault, .. } in failures {
        *kinds.entry(format!("{} ({})", fault.kind, fault.signature)).or_default() += 1;
    }
    kinds
}

fn failure_json(failure: &Failure) -> Value {
    let Fault { kind, at, problem, .. } = &failure.fault;
    let graph = failure.graph.as_ref().map(Graph::to_string);
    json!({ "case": failure.case, "kind": kind, "at": at, "problem": problem, "graph": graph })
}

/// What is said of a failure; its graph is part of it or in a file.
fn show(settings: &Settings, failure: &Failure, folder: Option<&Path>) -> Result<String, Error> {
    let Failure { case, fault, graph, is_known } = failure;
    let again = format!("nnc fuzz --seed {} --case {case}", settings.seed);
    let title = format!("case {case}: {}\n  again: {again}", fault.title());
    let Some(graph) = graph.as_ref().filter(|_| !is_known) else { return Ok(title) };
    let comment: String = format!("{fault}\n{again}").lines().map(|line| format!("// {line}\n")).collect();
    match folder {
        None => Ok(format!("{title}\n{graph}")),
        Some(folder) => {
            let path = folder.join(format!("{}_{}_{case}.nnir", fault.kind, settings.seed));
            std::fs::create_dir_all(folder).map_err(|error| Error::io(folder, "create", error))?;
            files::write_text(&path, &format!("{comment}{graph}"))?;
            Ok(format!("{title}\n  graph: {}", path.display()))
        }
    }
}

/// A bar on a terminal, lines elsewhere.
struct Progress {
    bar: Option<ProgressBar>,
    is_shown: bool,
    start: Instant,
    line: Instant,
    judged: u64,
}

impl Progress {
    fn new(settings: &Settings, is_shown: bool) -> Progress {
        let is_bar = is_shown && std::io::stderr().is_terminal();
        let bar = is_bar.then(|| {
            let length = Some(settings.cases).filter(|&cases| cases < u64::MAX);
            let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
            let template = "{bar:20.cyan/238} {pos} cases  {per_sec}  {msg}";
            bar.with_style(ProgressStyle::with_template(template).expect("the template is well-formed"))
        });
        let now = Instant::now();
        Progress { bar, is_shown, start: now, line: now, judged: 0 }
    }

    fn judged(&mut self, failed: usize, output: &Output) {
        self.judged += 1;
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{failed} failed"));
            bar.set_position(self.judged);
        } else if self.is_shown && self.line.elapsed() >= LINE_PERIOD {
            self.line = Instant::now();
            let rate = self.judged as f64 / self.start.elapsed().as_secs_f64();
            output.report(&format!("{} cases, {rate:.1} a second, {failed} failed", self.judged));
        }
    }

    /// Says something above the bar.
    fn say(&self, text: &str, output: &Output) {
        match &self.bar {
            Some(bar) => bar.suspend(|| output.report(text)),
            None => output.report(text),
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
