//! Many cases, on several threads: each is drawn from the seed and its number, built and judged, and made small where it
//! fails.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ir::Graph;

use super::Rng;
use super::build::build;
use super::judge::{Fault, Judge};
use super::networks::{Network, network};
use super::panics::catch;
use super::recipe::Recipe;
use super::reduce::reduce;
use crate::Error;

/// What is run.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What all cases depend on.
    pub seed: u64,
    /// The number of the first case.
    pub first: u64,
    /// How many cases there are at most.
    pub cases: u64,
    /// No case begins later than this after the start.
    pub time: Option<Duration>,
    /// How many cases are judged at the same time.
    pub jobs: usize,
}

/// A case that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its number.
    pub case: u64,
    /// What is wrong with `graph`.
    pub fault: Fault,
    /// The smallest graph that was found to fail in the same way.
    pub graph: Option<Graph>,
    /// Whether a failure before had the same signature: then this one has not been made small.
    pub is_known: bool,
}

/// What happens while cases run.
#[derive(Clone, Debug)]
pub enum Event {
    /// A case has been judged.
    Judged,
    /// A case has failed; it is still to be made small.
    Found(u64, Fault),
    /// A case has failed, and has been made small where it is the first of its kind.
    Failed(Box<Failure>),
}

/// Kernels of so many cases are kept compiled at most, so that memory does not grow with the number of cases.
const FORGOTTEN: u64 = 128;
/// One case in so many is a network of convolutions, which takes the interpreter seconds.
const NETWORKS: usize = 2000;

/// The graph of a case, with its recipe where it has one.
///
/// # Errors
/// Where it cannot be built, a fault of kind `panic` or `error`.
pub fn graph_of_case(seed: u64, case: u64) -> Result<(Option<Recipe>, Graph), Fault> {
    let rng = &mut Rng::of_case(seed, case);
    let recipe = (!rng.one_in(NETWORKS)).then(|| Recipe::draw(rng));
    let built = catch(|| match &recipe {
        Some(recipe) => build(recipe),
        None => network(&Network::draw(rng)),
    });
    let built = built.map_err(|panic| Fault::panic("builder", panic))?;
    let graph = built.map_err(|error| Fault::new("error", "builder", error.to_string()))?;
    Ok((recipe, graph))
}

/// Runs cases and tells `observe` what happens; how many were judged.
///
/// # Errors
/// Where threads cannot be started.
pub fn run(settings: &Settings, mut observe: impl FnMut(Event)) -> Result<u64, Error> {
    let judges = (0..settings.jobs.max(1)).map(|_| Judge::new()).collect::<Result<Vec<Judge>, Error>>()?;
    let work = Work {
        settings: *settings,
        start: Instant::now(),
        next: AtomicU64::new(0),
        judged: AtomicU64::new(0),
        is_stopped: AtomicBool::new(false),
        known: Mutex::new(BTreeSet::new()),
    };
    std::thread::scope(|scope| {
        let (sender, receiver) = channel();
        for judge in judges {
            let (sender, work) = (sender.clone(), &work);
            scope.spawn(move || work.run(&judge, &sender));
        }
        drop(sender);
        receiver.iter().for_each(&mut observe);
    });
    Ok(work.judged.into_inner())
}

/// What the threads share.
struct Work {
    settings: Settings,
    start: Instant,
    next: AtomicU64,
    judged: AtomicU64,
    is_stopped: AtomicBool,
    /// The signatures of failures so far.
    known: Mutex<BTreeSet<String>>,
}

impl Work {
    fn run(&self, judge: &Judge, events: &Sender<Event>) {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let is_late = self.settings.time.is_some_and(|time| self.start.elapsed() >= time);
            if number >= self.settings.cases || is_late || self.is_stopped.load(Ordering::Relaxed) {
                return;
            }
            if number % FORGOTTEN == FORGOTTEN - 1 {
                codegen::forget_compiled();
            }
            let failure = self.case(judge, self.settings.first + number, events);
            self.judged.fetch_add(1, Ordering::Relaxed);
            let failed = failure.map(|failure| events.send(Event::Failed(Box::new(failure))));
            if events.send(Event::Judged).is_err() || failed.is_some_and(|sent| sent.is_err()) {
                self.is_stopped.store(true, Ordering::Relaxed);
            }
        }
    }

    fn case(&self, judge: &Judge, case: u64, events: &Sender<Event>) -> Option<Failure> {
        let (recipe, graph) = match graph_of_case(self.settings.seed, case) {
            Ok(built) => built,
            Err(fault) => return Some(Failure { case, fault, graph: None, is_known: false }),
        };
        let fault = judge.judge(&graph).err()?;
        let signature = format!("{}: {}", fault.kind, fault.signature);
        let is_known = !self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(signature);
        // Values that are wrong have all one signature, and causes of their own.
        if is_known && fault.kind == "panic" {
            return Some(Failure { case, fault, graph: Some(graph), is_known });
        }
        let _ = events.send(Event::Found(case, fault.clone()));
        let (graph, fault) = reduce(judge, recipe.as_ref(), graph, fault);
        Some(Failure { case, fault, graph: Some(graph), is_known: false })
    }
}
