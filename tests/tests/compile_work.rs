//! The work of every pass, as the number of nodes, slots and kernels that it looks at, is a bounded number per node,
//! whatever the shape of the graph.

use ir::Graph;
use passes::{Options, PASSES, Pass, Program};
use tests::large_graphs::{FAMILIES, Family};

/// The visits of each pass on a graph.
fn visits_of_passes(graph: Graph, options: &Options) -> Vec<(&'static str, u64)> {
    let mut before = ir::visits::count();
    let mut visits = Vec::new();
    let mut observe = |pass: &'static Pass, _, _: &Program| {
        let now = ir::visits::count();
        visits.push((pass.name, now - before));
        before = now;
    };
    passes::run_observed(graph, options, None, &mut observe).expect("the graph compiles");
    visits
}

fn build(family: &Family, nodes: usize) -> Graph {
    (family.build)(nodes).expect("the family is well-formed")
}

#[test]
fn the_work_of_every_pass_is_linear_in_the_graph() {
    const SMALL: usize = 3000;
    const TIMES: u64 = 4;
    for optimize in [true, false] {
        for family in &FAMILIES {
            let options = Options { optimize, verify: false, ..Options::default() };
            let small = visits_of_passes(build(family, SMALL), &options);
            let large = visits_of_passes(build(family, SMALL * TIMES as usize), &options);
            for ((pass, few), (_, many)) in small.into_iter().zip(large) {
                // A quadratic pass would visit TIMES^2 as many. What is decided at limits of groups varies a little.
                let bound = few * TIMES * 5 / 4 + 1000;
                assert!(
                    many <= bound,
                    "pass {pass} on {} ({}), optimize {optimize}: {few} visits, and {many} on a graph {TIMES} times as large",
                    family.name,
                    family.formula
                );
            }
        }
    }
}

#[test]
fn a_pass_visits_each_node_a_bounded_number_of_times() {
    const NODES: usize = 3000;
    const MOST_PER_NODE: u64 = 300;
    for family in &FAMILIES {
        let options = Options { verify: false, ..Options::default() };
        let graph = build(family, NODES);
        let differentiated = passes::run_until(graph.clone(), &options, &PASSES[0]).expect("it compiles");
        let Program::Graph(differentiated) = differentiated else { panic!("pass autodiff gives a graph") };
        let nodes = differentiated.len() as u64;
        for (pass, visits) in visits_of_passes(graph, &options) {
            assert!(
                visits <= MOST_PER_NODE * nodes,
                "pass {pass} on {}: {visits} visits of {nodes} nodes",
                family.name
            );
        }
    }
}

/// From the graph to machine code on a stack that holds no recursion over so many nodes: a frame has hundreds of bytes.
#[test]
fn depth_costs_no_stack_when_it_is_compiled() {
    const NODES: usize = 50_000;
    for name in ["chain", "rectified", "constants", "sum", "reshapes"] {
        let family = FAMILIES.iter().find(|family| family.name == name).expect("there is such a family");
        let work = || {
            let options = nnc::Options { verify: true, ..nnc::Options::default() };
            let program = nnc::compile(&build(family, NODES), &options);
            program.unwrap_or_else(|error| panic!("{name}: {error}"));
        };
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(1 << 20).spawn_scoped(scope, work);
            thread.expect("a thread").join().unwrap_or_else(|_| panic!("{name} fails"));
        });
    }
}
