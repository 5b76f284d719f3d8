//! Large graphs as text: printing, parsing, verifying and interpreting them is linear work, and depth costs no stack.

use std::collections::BTreeMap;

use ir::eval::{Bindings, evaluate};
use ir::text::parse_graph;
use ir::verify::{Stage, verify_graph};
use ir::{Builder, DType, Graph, Init};
use tests::large_graphs::{FAMILIES, Family};

fn build(family: &Family, nodes: usize) -> Graph {
    (family.build)(nodes).expect("the family is well-formed")
}

/// The visits of nodes that `work` makes.
fn visits(work: impl FnOnce()) -> u64 {
    let before = ir::visits::count();
    work();
    ir::visits::count() - before
}

/// Printing, parsing and verifying a graph.
fn round_trip(graph: &Graph) {
    let text = graph.to_string();
    let again = parse_graph(&text).unwrap_or_else(|error| panic!("{}", error.render(&text, "text")));
    assert_eq!(verify_graph(&again, Stage::Source), Ok(()));
    assert!(again == *graph, "the text reads back as another graph");
}

#[test]
fn the_work_on_texts_is_linear_in_the_graph() {
    const SMALL: usize = 2000;
    const TIMES: u64 = 4;
    for family in &FAMILIES {
        let work = |nodes: usize| {
            visits(|| {
                let graph = build(family, nodes);
                round_trip(&graph);
            })
        };
        let (few, many) = (work(SMALL), work(SMALL * TIMES as usize));
        assert!(many <= few * TIMES * 5 / 4 + 1000, "{}: {few} visits, then {many}", family.name);
    }
}

#[test]
fn many_names_are_looked_up_in_linear_work() {
    let work = |count: usize| {
        visits(|| {
            let mut b = Builder::new("names");
            for index in 0..count {
                let x = b.input(&format!("x{index}"), DType::F32, [2]).expect("the names differ");
                let s =
                    b.state(&format!("s{index}"), DType::F32, [2], Init::Constant(0.0)).expect("they differ");
                b.output(&format!("y{index}"), x).expect("the names differ");
                b.update(s, x).expect("each state is updated once");
            }
            let graph = b.finish();
            assert!((0..count).all(|index| graph.find(&format!("s{index}")).is_some()));
        })
    };
    let (few, many) = (work(1000), work(4000));
    assert!(many <= few * 5, "{few} visits, then {many}");
}

/// 100,000 nodes, one after the other, on a stack that holds no recursion over them.
#[test]
fn depth_costs_no_stack() {
    const NODES: usize = 100_000;
    let names = ["chain", "rectified", "constants", "sum", "reshapes"];
    for family in FAMILIES.iter().filter(|family| names.contains(&family.name)) {
        let work = || {
            let graph = build(family, NODES);
            round_trip(&graph);
            let inputs: BTreeMap<String, ir::Tensor> = (graph.inputs())
                .map(|(_, node)| (node.name.clone().unwrap_or_default(), ir::Tensor::zeros(&node.results[0])))
                .collect();
            let bindings = Bindings { inputs, ..Bindings::default() };
            let evaluation = evaluate(&graph, &bindings).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(evaluation.outputs.len(), graph.outputs.len());
        };
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, work);
            thread.expect("a thread").join().unwrap_or_else(|_| panic!("{} fails", family.name));
        });
    }
}
