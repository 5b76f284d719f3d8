//! Recurrent layers after the passes on graphs: what is hoisted out of their loops and sunk behind them, and that values stay.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

mod support;

use std::collections::BTreeMap;

use ir::eval::{Bindings, evaluate};
use ir::{DType, Graph, Op, Tensor, Value};
use nn::rnn::{Cell, ElmanCell, GruCell, JordanCell, LstmCell, MguCell, PeepholeCell, Recurrent};
use nn::{Context, Layer, Mode, RecurrentInputs};
use passes::pipeline::{Options, Pass, Program, run_until};
use support::draw;
use support::recurrent::assert_alike;

/// The outputs of a layer and all gradients of the sum of their squares. x is a state, as the parameters are.
fn training_step<C: Cell>(layer: &Recurrent<C>, lengths: Option<Vec<i64>>) -> Graph {
    let build = || -> Result<Graph, ir::Error> {
        let mut cx = Context::with("step", Mode::Train, DType::F64);
        let x = cx.state("x", DType::F64, [5, 2, 3], nn::init::zeros())?;
        let mut inputs = RecurrentInputs::new(x);
        if let Some(lengths) = lengths {
            inputs = inputs.lengths(cx.constant(Tensor::new([2], lengths).unwrap()));
        }
        let found = layer.run(&mut cx, inputs)?;
        let loss = cx.eval((found.outputs * found.outputs).sum_all())?;
        cx.output("y", found.outputs)?;
        let parameters = cx.parameters().to_vec();
        let values: Vec<Value> = [x].into_iter().chain(parameters.iter().map(|it| it.value)).collect();
        let gradients = cx.grad(loss, &values)?;
        cx.output("dx", gradients[0])?;
        for (parameter, &gradient) in parameters.iter().zip(&gradients[1..]) {
            cx.output(&format!("d{}", parameter.name), gradient)?;
        }
        Ok(cx.finish())
    };
    build().unwrap()
}

/// The graph after these passes.
fn after(graph: &Graph, pass: &str) -> Graph {
    match run_until(graph.clone(), &Options::default(), Pass::find(pass).unwrap()).unwrap() {
        Program::Graph(graph) => graph,
        Program::Plan(_) => unreachable!("`{pass}` is a pass on graphs"),
    }
}

fn outputs(graph: &Graph) -> BTreeMap<String, Tensor> {
    let drawn = graph
        .states()
        .enumerate()
        .map(|(index, (_, node))| (node.name.clone().unwrap(), draw(&node.results[0].shape, index as u32)));
    evaluate(graph, &Bindings { states: drawn.collect(), ..Bindings::default() }).unwrap().outputs
}

fn cells() -> Vec<Box<dyn Cell>> {
    vec![
        Box::new(ElmanCell::new(4).output(2, nn::Activation::Sigmoid)),
        Box::new(JordanCell::new(4, 2)),
        Box::new(MguCell::new(4)),
        Box::new(GruCell::new(4)),
        Box::new(GruCell::new(4).reset_after(false)),
        Box::new(LstmCell::new(4)),
        Box::new(LstmCell::new(4).projection(2).peepholes()),
        Box::new(PeepholeCell::new(4)),
    ]
}

#[test]
fn passes_on_graphs_keep_values_and_gradients() {
    for cell in cells() {
        let layer = Recurrent::with_cell(3, cell).layers(2).bidirectional().learned_states();
        for lengths in [None, Some(vec![2, 5])] {
            let graph = training_step(&layer, lengths);
            let source = after(&graph, "autodiff");
            assert_alike(&layer.description(), &outputs(&after(&graph, "dce")), &outputs(&source));
        }
    }
}

/// The products outside of loops, and in each loop.
fn products(graph: &Graph) -> (usize, Vec<usize>) {
    let count = |graph: &Graph| graph.nodes().filter(|(_, node)| matches!(node.op, Op::MatMul(_))).count();
    let bodies = graph.nodes().filter_map(|(_, node)| Some(count(node.body.as_ref()?)));
    (count(graph), bodies.collect())
}

/// Outside of loops: the projection of the input, its gradient, and the gradients of both weights. In the loops what the state
/// goes through, and its gradient.
#[test]
fn a_training_step_has_the_products_of_the_formulas() {
    let expected = [
        // V, its gradient and that of what it is applied to
        ("Elman", (4 + 3, vec![1, 1])),
        // U and V are in the loop, and so are three gradients of weights behind it
        ("Jordan", (5, vec![2, 2])),
        ("Mgu", (5, vec![2, 2])),
        ("Gru", (4, vec![1, 1])),
        ("Gru", (5, vec![2, 2])),
        ("Lstm", (4, vec![1, 1])),
        ("Lstm", (5, vec![2, 2])),
        ("Peephole", (4, vec![1, 1])),
    ];
    for (cell, (name, expected)) in cells().into_iter().zip(expected) {
        assert_eq!(cell.name(), name);
        let graph = after(&training_step(&Recurrent::with_cell(3, cell), None), "dce");
        assert_eq!(products(&graph), expected, "{name}:\n{graph}");
    }
}
