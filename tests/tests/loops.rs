//! Loops over time: what passes `hoist` and `sink` make of them, and what gradients of loops are.

use std::collections::BTreeMap;

use ir::eval::{Bindings, evaluate};
use ir::ops::Op;
use ir::scalar::uniform;
use ir::{Builder, DType, Error, Graph, Scalar, Tensor, Type, Value};
use passes::pipeline::{Options, Pass, Program, run_until};
use tests::gradients::{check, gradient};

/// Steps, rows, inputs and units of a cell.
#[derive(Clone, Copy)]
struct Sizes {
    steps: usize,
    rows: usize,
    inputs: usize,
    units: usize,
}

const SMALL: Sizes = Sizes { steps: 4, rows: 3, inputs: 2, units: 5 };

/// The states of all steps of an LSTM on inputs `x`, from `h` and `c`, with weights `w` and `u` and bias `b`.
fn lstm(b: &mut Builder, sizes: Sizes, dtype: DType) -> Result<Value, Error> {
    let Sizes { steps, rows, inputs, units } = sizes;
    let mut input = |name: &str, shape: &[usize]| b.input(name, dtype, shape);
    let x = input("x", &[steps, rows, inputs])?;
    let (h, c) = (input("h", &[rows, units])?, input("c", &[rows, units])?);
    let (w, u) = (input("w", &[4 * units, inputs])?, input("u", &[4 * units, units])?);
    let bias = input("b", &[4 * units])?;
    let scanned = b.scan(steps, &[h, c], &[x], |b, carries, items| {
        let from_input = b.matmul_transposed(items[0], w, false, true)?;
        let from_state = b.matmul_transposed(carries[0], u, false, true)?;
        let gates = b.eval(from_input + bias + from_state)?;
        let gates = b.split(gates, 1, &[units; 4])?;
        let c = b.eval(gates[1].sigmoid() * carries[1] + gates[0].sigmoid() * gates[2].tanh())?;
        let h = b.eval(gates[3].sigmoid() * c.tanh())?;
        Ok((vec![h, c], vec![h]))
    })?;
    Ok(scanned.stacked[0])
}

/// A program that trains nothing and returns the gradients of an LSTM by all that is learned.
fn lstm_gradients(sizes: Sizes, wrt: &[&str]) -> Graph {
    lstm_gradients_in(DType::F64, sizes, wrt)
}

fn lstm_gradients_in(dtype: DType, sizes: Sizes, wrt: &[&str]) -> Graph {
    let mut b = Builder::new("lstm");
    let states = lstm(&mut b, sizes, dtype).expect("it is valid");
    let loss = b.eval(states.square().sum(&[0, 1, 2])).expect("it is valid");
    let values: Vec<Value> =
        wrt.iter().map(|name| Value::new(b.graph().find(name).expect("it is valid"), 0)).collect();
    for (name, gradient) in wrt.iter().zip(b.grad(loss, &values).expect("it is valid")) {
        b.output(&format!("d{name}"), gradient).expect("it is valid");
    }
    b.output("loss", loss).expect("it is valid");
    b.finish()
}

fn until(graph: &Graph, pass: &str, options: &Options) -> Graph {
    match run_until(graph.clone(), options, Pass::find(pass).expect("it is valid")).expect("it is valid") {
        Program::Graph(graph) => graph,
        Program::Plan(plan) => panic!("pass {pass} gives a plan:\n{plan}"),
    }
}

/// Seeded inputs of a graph in -1..1.
fn inputs(graph: &Graph) -> BTreeMap<String, Tensor> {
    let one = |(stream, (_, node)): (usize, (_, &ir::Node))| {
        let ty: &Type = &node.results[0];
        let element = |i: usize| {
            let x = 2.0 * uniform(3, stream as u32, i as u32, DType::F64) - 1.0;
            Scalar::from_f64(ty.dtype, x)
        };
        (node.name.clone().expect("it is valid"), Tensor::from_fn(ty, element))
    };
    graph.inputs().enumerate().map(one).collect()
}

fn outputs(graph: &Graph, inputs: &BTreeMap<String, Tensor>) -> BTreeMap<String, Tensor> {
    let bindings = Bindings { inputs: inputs.clone(), ..Bindings::default() };
    evaluate(graph, &bindings).unwrap_or_else(|error| panic!("{error}\n{graph}")).outputs
}

fn assert_near(found: &BTreeMap<String, Tensor>, expected: &BTreeMap<String, Tensor>, text: &str) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, expected) in expected {
        let found = &found[name];
        assert_eq!(found.ty(), expected.ty());
        for i in 0..expected.shape().elements() {
            let (a, b) = (found.get(i).as_f64(), expected.get(i).as_f64());
            assert!((a - b).abs() <= 1e-12 * (1.0 + b.abs()), "{name}[{i}] is {a}, not {b}\n{text}");
        }
    }
}

/// How many products of matrices there are outside and inside of loops.
fn products(graph: &Graph) -> (usize, usize) {
    let is_product = |node: &ir::Node| usize::from(matches!(node.op, Op::MatMul(_)));
    let outside = graph.nodes().map(|(_, node)| is_product(node)).sum();
    let loops = graph.nodes().filter_map(|(_, node)| node.body.as_ref());
    (outside, loops.map(|body| products(body)).map(|(outside, inside)| outside + inside).sum())
}

fn loops(graph: &Graph) -> usize {
    graph.nodes().filter(|(_, node)| matches!(node.op, Op::Scan(_))).count()
}

#[test]
fn an_lstm_trains_with_as_many_products_as_its_formulas() {
    let graph = lstm_gradients(SMALL, &["w", "u", "b"]);
    let canonical = until(&graph, "dce", &Options { verify: true, ..Options::default() });
    assert_eq!(loops(&canonical), 2, "one forward and one backward\n{canonical}");
    // x W, and the gradients of W and U; h U and its gradient for h in each step.
    assert_eq!(products(&canonical), (3, 2), "{canonical}");
    let with_inputs = lstm_gradients(SMALL, &["w", "u", "b", "x", "h", "c"]);
    let canonical = until(&with_inputs, "dce", &Options { verify: true, ..Options::default() });
    assert_eq!(products(&canonical), (4, 2), "{canonical}");
}

#[test]
fn what_is_moved_out_of_loops_means_the_same() {
    let graph = lstm_gradients(SMALL, &["w", "u", "b", "x", "h", "c"]);
    let inputs = inputs(&graph);
    let expected = outputs(&until(&graph, "autodiff", &Options::default()), &inputs);
    for pass in ["hoist", "sink", "dce"] {
        let found = until(&graph, pass, &Options { verify: true, ..Options::default() });
        assert_near(&outputs(&found, &inputs), &expected, &found.to_string());
    }
}

#[test]
fn gradients_of_a_cell_agree_with_differences_and_so_do_theirs() {
    let mut b = Builder::new("lstm");
    let states =
        lstm(&mut b, Sizes { steps: 3, rows: 2, inputs: 2, units: 2 }, DType::F64).expect("it is valid");
    b.output("y", states).expect("it is valid");
    let function = b.finish();
    let inputs = inputs(&function);
    let names: Vec<String> = inputs.keys().cloned().collect();
    check(&function, &names, &inputs);
    check(&gradient(&function, &names, 1), &names, &inputs);
}

/// A loop in a loop, with a carry that exchanges its place with another, and one that stays.
fn nested() -> Graph {
    let mut b = Builder::new("nested");
    let xs = b.input("xs", DType::F64, [3, 2, 4]).expect("it is valid");
    let [a, c, w] = ["a", "c", "w"].map(|name| b.input(name, DType::F64, [4]).expect("it is valid"));
    let scanned = b.scan(ir::builder::Steps::new(3).reversed(), &[a, c, w], &[xs], |b, carries, items| {
        let (w, outer) = (carries[2], carries[0]);
        let inner = b.scan(2, &[outer], &[items[0]], |b, carries, items| {
            let next = b.eval((carries[0] * w + items[0]).tanh())?;
            Ok((vec![next], vec![carries[0]]))
        })?;
        let sum = b.eval(inner.stacked[0].sum(&[0]) * carries[1])?;
        Ok((vec![carries[1], inner.carries[0], w], vec![sum, w]))
    });
    let scanned = scanned.expect("it is valid");
    for (index, &value) in scanned.carries.iter().chain(&scanned.stacked).enumerate() {
        b.output(&format!("y{index}"), value).expect("it is valid");
    }
    b.finish()
}

#[test]
fn loops_in_loops_have_gradients() {
    let function = nested();
    let inputs = inputs(&function);
    let names: Vec<String> = inputs.keys().cloned().collect();
    check(&function, &names, &inputs);
    let once = gradient(&function, &names, 1);
    check(&once, &names, &inputs);
    let expected = outputs(&once, &inputs);
    let canonical = until(&once, "dce", &Options { verify: true, ..Options::default() });
    assert_near(&outputs(&canonical, &inputs), &expected, &canonical.to_string());
}

#[test]
fn a_loop_without_carries_is_no_loop() {
    let mut b = Builder::new("map");
    let xs = b.input("xs", DType::F64, [5, 2, 3]).expect("it is valid");
    let w = b.input("w", DType::F64, [3, 4]).expect("it is valid");
    let mapped = b.scan(5, &[], &[xs], |b, _, items| Ok((vec![], vec![b.matmul(items[0], w)?, items[0], w])));
    for (index, &value) in mapped.expect("it is valid").stacked.iter().enumerate() {
        b.output(&format!("y{index}"), value).expect("it is valid");
    }
    let graph = b.finish();
    let canonical = until(&graph, "dce", &Options { verify: true, ..Options::default() });
    assert_eq!((loops(&canonical), products(&canonical)), (0, (1, 0)), "{canonical}");
    let inputs = inputs(&graph);
    assert_near(&outputs(&canonical, &inputs), &outputs(&graph, &inputs), &canonical.to_string());
}

#[test]
fn a_loop_is_its_steps() {
    for graph in [nested(), lstm_gradients(SMALL, &["w", "u", "b", "x", "h", "c"])] {
        let graph = until(&graph, "autodiff", &Options::default());
        let unrolled = passes::loops::unroll(&graph).expect("it is valid");
        assert_eq!(loops(&unrolled), 0);
        let inputs = inputs(&graph);
        assert_eq!(outputs(&unrolled, &inputs), outputs(&graph, &inputs));
    }
}

#[test]
fn segments_are_computed_again_and_mean_the_same() {
    let graph = lstm_gradients(Sizes { steps: 6, ..SMALL }, &["w", "u", "b", "x", "h", "c"]);
    let inputs = inputs(&graph);
    let expected = outputs(&until(&graph, "autodiff", &Options::default()), &inputs);
    for every in [1, 2, 3, 4, 5, 6, 7] {
        let options = Options { checkpoint_every: Some(every), verify: true, ..Options::default() };
        let found = until(&graph, "autodiff", &options);
        assert_near(&outputs(&found, &inputs), &expected, &found.to_string());
        let canonical = until(&graph, "dce", &options);
        assert_near(&outputs(&canonical, &inputs), &expected, &canonical.to_string());
        // The sums over time are those without segments. With segments of one step, what a step gives to the next is one product.
        assert_eq!(products(&canonical).0, if every == 1 { 5 } else { 4 }, "{canonical}");
    }
}

#[test]
fn threads_and_segments_change_no_bit_of_machine_code() {
    let sizes = Sizes { steps: 12, rows: 5, inputs: 3, units: 24 };
    let graph = lstm_gradients_in(DType::F32, sizes, &["w", "u", "b", "x", "h", "c"]);
    let given = inputs(&graph);
    let named: Vec<(&str, &Tensor)> = given.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let run = |checkpoint_every: Option<usize>, threads: usize| -> Vec<Tensor> {
        let options = nnc::Options { threads, checkpoint_every, verify: true, ..nnc::Options::default() };
        let mut program = nnc::compile(&graph, &options).expect("it compiles");
        let mut state = nnc::State::new(program.plan(), 0).expect("there is memory");
        program.run_named(&mut state, &named).expect("it runs");
        program.outputs().to_vec()
    };
    let expected = run(None, 1);
    for every in [None, Some(1), Some(3), Some(4), Some(5), Some(6)] {
        for threads in [1, 2] {
            assert_eq!(run(every, threads), expected, "{every:?} on {threads} threads");
        }
    }
}

#[test]
fn code_and_compile_work_do_not_depend_on_the_number_of_steps() {
    let kernels = |steps: usize| {
        let graph = lstm_gradients_in(DType::F32, Sizes { steps, ..SMALL }, &["w", "u", "b"]);
        let plan = passes::run(graph, &Options::default()).expect("it compiles");
        (plan.kernels.len(), ir::plan::flat_steps(&plan.steps).count())
    };
    // Long sums over time are cut into parts; nothing else knows how many steps there are.
    let (few, many) = (kernels(16), kernels(4096));
    assert!(
        few <= many && many.0 <= few.0 + 6 && many.1 <= few.1 + 6,
        "{few:?} for 16 steps, {many:?} for 4096"
    );
}
