//! Random graphs of fixed seeds, judged as `nnc fuzz` judges those of fresh ones. What fails is made small and written to
//! `tests/golden/fuzz/`, to stay a test.

use std::fs;
use std::path::{Path, PathBuf};

use ir::Graph;
use ir::text::parse_graph;
use nnc::Options;
use nnc::fuzz::networks::{Network, network};
use nnc::fuzz::{Fault, Judge, Recipe, Rng, graph_of_case, reduce};

/// The seeds, in two halves that run at the same time.
const SEEDS: [[u64; 10]; 2] = [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [11, 12, 13, 14, 15, 16, 17, 18, 19, 20]];
/// The graphs of each seed.
const CASES: u64 = 30;

/// The folder of graphs that once failed.
fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/fuzz")
}

/// Makes a graph that fails small, and fails.
fn fail(judge: &Judge, what: &str, (recipe, graph): (Option<Recipe>, Graph), fault: Fault) -> ! {
    let (graph, fault) = reduce(judge, recipe.as_ref(), graph, fault);
    let path = golden().join(format!("{}.nnir", what.replace(' ', "_")));
    let written = fs::write(&path, graph.to_string());
    panic!("{what}: {fault}\n{graph}in {} ({written:?})", path.display());
}

fn random_graphs_hold(seeds: [u64; 10]) {
    let judge = Judge::new().expect("threads can be started");
    for seed in seeds {
        for case in 0..CASES {
            let (recipe, graph) = graph_of_case(seed, case).unwrap_or_else(|fault| panic!("{fault}"));
            if let Err(fault) = judge.judge(&graph) {
                fail(&judge, &format!("seed {seed} case {case}"), (recipe, graph), fault);
            }
        }
    }
}

#[test]
fn random_graphs_hold_first_half() {
    random_graphs_hold(SEEDS[0]);
}

#[test]
fn random_graphs_hold_second_half() {
    random_graphs_hold(SEEDS[1]);
}

#[test]
fn graphs_that_once_failed_hold() {
    let judge = Judge::new().expect("threads can be started");
    let files = fs::read_dir(golden()).expect("the folder is part of the repository");
    let mut paths: Vec<PathBuf> = files.map(|file| file.expect("the folder is readable").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "nnir"));
    paths.sort();
    assert!(!paths.is_empty(), "no golden graphs");
    for path in paths {
        let text = fs::read_to_string(&path).expect("the file is readable");
        let graph = parse_graph(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        judge.judge(&graph).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
    }
}

/// Whether a convolution of a graph has transformed filters.
fn has_winograd(graph: &Graph) -> bool {
    let plan = passes::run(graph.clone(), &Options::default().for_passes());
    plan.is_ok_and(|plan| plan.kernels.iter().any(|kernel| kernel.winograd.is_some()))
}

#[test]
fn random_networks_of_convolutions_hold() {
    const CASES: u64 = 2;
    let judge = Judge::new().expect("threads can be started");
    let mut chosen = 0;
    for case in 0..CASES {
        let recipe = Network::draw(&mut Rng::of_case(3, case));
        let graph = network(&recipe).unwrap_or_else(|error| panic!("{recipe:?}: {error}"));
        chosen += u64::from(has_winograd(&graph));
        if let Err(fault) = judge.judge(&graph) {
            fail(&judge, &format!("network {case}"), (None, graph), fault);
        }
    }
    assert!(chosen >= CASES / 2, "{chosen} of {CASES} have transformed filters");
}
