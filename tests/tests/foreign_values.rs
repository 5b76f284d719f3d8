//! A value belongs to the graph whose builder made it: every method that takes one of another graph is an error, and none
//! looks at nodes that are not there.

use ir::ops::{Op, Windows};
use ir::{Builder, DType, Error, Init, ReduceOp, Scalar, ScalarFn, Value};
use nn::functional::{ConvOptions, Interpolation, PoolOptions};
use nn::{Activation, Context, Linear, Loss, functional, metric};

/// The last of some values of a graph called `teacher`, which is far beyond the nodes of small graphs.
fn foreign(dtype: DType, shape: &[usize]) -> Value {
    let mut teacher = Builder::new("teacher");
    let inputs = (0..100).map(|i| teacher.input(&format!("x{i}"), dtype, shape).expect("names differ"));
    inputs.last().expect("there are some")
}

/// The first value of a graph called `teacher`: its position is one of every graph.
fn foreign_first(dtype: DType, shape: &[usize]) -> Value {
    Builder::new("teacher").input("x", dtype, shape).expect("it is a name")
}

/// What the error says of an operand that is the last of [`foreign`].
fn complaint(subject: &str, operand: usize, node: usize) -> String {
    format!(
        "{subject}: operand {operand} is result 0 of node {node} of graph `teacher`, which is not in graph `student`; \
         build both in one graph, or make an input or a state of it"
    )
}

#[test]
fn every_op_refuses_every_operand_of_another_graph() {
    for sample in Op::samples() {
        for at in 0..sample.operands.len() {
            let mut b = Builder::new("student");
            let mut operands: Vec<Value> = (sample.operands.iter().enumerate())
                .map(|(i, operand)| b.input(&format!("x{i}"), operand.ty.dtype, operand.ty.shape.clone()))
                .collect::<Result<_, _>>()
                .expect("names differ");
            let ty = &sample.operands[at].ty;
            operands[at] = foreign_first(ty.dtype, &ty.shape);
            let nodes = b.graph().len();
            let error = sample.push(&mut b, &operands).unwrap_err().to_string();
            assert_eq!(error, complaint(sample.op.name(), at, 0));
            assert_eq!(b.graph().len(), nodes);
        }
    }
}

/// A call of a method that takes values, by the subject of its error and the operand at fault.
type Call = (&'static str, usize, fn(&mut Context, Value, Value) -> Result<(), Error>);

/// Every method of [`Builder`] and [`Context`] that takes values, with an own value `x` and a foreign `y`, both `f32[2, 3]`.
const CALLS: &[Call] = &[
    ("add", 1, |b, x, y| b.add(x, y).map(drop)),
    ("select", 0, |b, x, y| b.select(y, x, x).map(drop)),
    ("relu", 0, |b, _, y| b.apply(ScalarFn::Relu, &[y]).map(drop)),
    ("broadcast", 0, |b, _, y| b.broadcast(y, [2, 3]).map(drop)),
    ("broadcast", 0, |b, _, y| b.broadcast(y, []).map(drop)),
    ("reshape", 0, |b, _, y| b.reshape(y, [2, 3]).map(drop)),
    ("cast_f32", 0, |b, _, y| b.cast(y, DType::F32).map(drop)),
    ("cast_i64", 0, |b, _, y| b.cast(y, DType::I64).map(drop)),
    ("transpose", 0, |b, _, y| b.transpose(y, &[1, 0]).map(drop)),
    ("slice", 0, |b, _, y| b.slice(y, &[0, 0], &[1, 1], &[1, 1]).map(drop)),
    ("pad", 0, |b, _, y| b.pad(y, &[0, 0], &[1, 1], &[0, 0], Scalar::F32(0.0)).map(drop)),
    ("concat", 1, |b, x, y| b.concat(&[x, y, x], 0).map(drop)),
    ("split", 0, |b, _, y| b.split(y, 0, &[1, 1]).map(drop)),
    ("reduce_max", 0, |b, _, y| b.reduce(ReduceOp::Max, y, &[0], true).map(drop)),
    ("reduce_sum", 0, |b, _, y| b.reduce_sum(y, &[0], false).map(drop)),
    ("reduce_max", 0, |b, _, y| b.reduce_max(y, &[0], false).map(drop)),
    ("reduce_mean", 0, |b, _, y| b.reduce_mean(y, &[0], false).map(drop)),
    ("argmax", 0, |b, _, y| b.argmax(y, 1).map(drop)),
    ("matmul", 0, |b, x, y| b.matmul(y, x).map(drop)),
    ("matmul", 1, |b, x, y| b.matmul_transposed(x, y, false, true).map(drop)),
    ("conv", 1, |b, x, y| b.conv(x, y, &Windows::new(1), &[1]).map(drop)),
    ("conv_transpose", 0, |b, x, y| b.conv_transpose(y, x, &Windows::new(1), &[1]).map(drop)),
    ("window", 0, |b, _, y| b.window(y, &[2], &Windows::new(1), &[2], Scalar::F32(0.0)).map(drop)),
    ("max_pool", 0, |b, _, y| b.max_pool(y, &[2], &Windows::new(1), &[2]).map(drop)),
    ("max_unpool", 1, |b, x, y| b.max_unpool(x, y, &[2], &Windows::new(1), &[2]).map(drop)),
    ("gather", 1, |b, x, y| b.gather(x, y, 0).map(drop)),
    ("scatter_add", 2, |b, x, y| b.scatter_add(x, x, y, 0).map(drop)),
    ("random", 0, |b, _, y| b.random(y, ir::ops::Distribution::Uniform, DType::F32, [2], 0).map(drop)),
    ("stop_gradient", 0, |b, _, y| b.stop_gradient(y).map(drop)),
    ("grad", 0, |b, x, y| b.grad(y, &[x]).map(drop)),
    ("grad", 1, |b, x, y| b.grad(x, &[y]).map(drop)),
    ("zeros_like", 0, |b, _, y| b.zeros_like(y).map(drop)),
    ("output `y`", 0, |b, _, y| b.output("y", y)),
    ("update", 0, |b, x, y| b.update(y, x)),
    ("update", 1, |b, x, y| b.update(x, y)),
    ("select", 0, |b, x, y| b.when(y, |b| b.update(x, x))),
    ("grad", 0, |b, _, y| b.gradients(y).map(drop)),
    ("fc1 (Linear 3 -> 5)", 0, |b, _, y| b.layer("fc1", &Linear::new(3, 5), y).map(drop)),
    ("resize", 0, |b, _, y| functional::resize(b, y, &[4], Interpolation::Nearest).map(drop)),
    ("conv", 1, |b, x, y| functional::conv(b, x, y, &ConvOptions::new(0)).map(drop)),
    ("max_pool", 0, |b, _, y| functional::max_pool(b, y, &PoolOptions::new(&[2], &[2])).map(drop)),
    ("avg_pool", 0, |b, _, y| functional::avg_pool(b, y, &PoolOptions::new(&[2], &[2]), true).map(drop)),
    ("global_avg_pool", 0, |b, _, y| functional::global_avg_pool(b, y).map(drop)),
    ("adaptive_avg_pool", 0, |b, _, y| functional::adaptive_avg_pool(b, y, &[1]).map(drop)),
    ("local_response_norm", 0, |b, _, y| functional::local_response_norm(b, y, 5, 1e-4, 0.75, 1.0).map(drop)),
    ("relu", 0, |b, _, y| Activation::Relu.apply(b, y).map(drop)),
    ("squared_error", 1, |b, x, y| Loss::SquaredError.mean(b, x, y).map(drop)),
    ("cross_entropy", 1, |b, x, y| Loss::cross_entropy().mean(b, x, y).map(drop)),
    ("hinge", 2, |b, x, y| Loss::Hinge.weighted_mean(b, x, x, y).map(drop)),
    ("correct_count", 0, |b, x, y| metric::correct_count(b, y, x).map(drop)),
    ("same_side_count", 1, |b, x, y| metric::same_side_count(b, x, y, 0.0).map(drop)),
];

#[test]
fn every_method_that_takes_values_refuses_those_of_another_graph() {
    for &(subject, operand, call) in CALLS {
        for (y, node) in [(foreign(DType::F32, &[2, 3]), 99), (foreign_first(DType::F32, &[2, 3]), 0)] {
            let mut cx = Context::new("student");
            let x = cx.parameter("w", [2, 3], Init::Constant(0.0)).expect("it is the first");
            let error = call(&mut cx, x, y).unwrap_err().to_string();
            assert_eq!(error, complaint(subject, operand, node));
        }
    }
}

#[test]
fn the_type_of_a_value_of_another_graph_is_no_panic() {
    let mut b = Builder::new("student");
    b.input("x", DType::I64, [5]).unwrap();
    for y in [foreign(DType::I64, &[2, 3]), foreign_first(DType::I64, &[2, 3])] {
        assert_eq!((b.ty(y).to_string(), b.dtype(y), b.shape(y).rank()), ("f32[]".into(), DType::F32, 0));
        let one = b.float_like(y, 1.0);
        assert_eq!(b.ty(one).to_string(), "f32[]");
    }
}

#[test]
fn values_stay_valid_where_their_graph_is_finished_cloned_and_resumed() {
    let mut b = Builder::new("student");
    let x = b.input("x", DType::F32, [2]).unwrap();
    let graph = b.finish();
    let mut again = Builder::resume(graph.clone());
    let y = again.neg(x).unwrap();
    again.output("y", y).unwrap();
    let error = Builder::resume(graph).neg(y).unwrap_err().to_string();
    let expected = "neg: operand 0 is result 0 of node 1, which is not in graph `student`; \
                    build both in one graph, or make an input or a state of it";
    assert_eq!(error, expected);
    let stored = again.graph().outputs[0].value;
    assert_eq!(again.ty(stored).to_string(), "f32[2]");
}

#[test]
fn a_position_is_a_value_of_every_graph_that_has_it() {
    let mut b = Builder::new("student");
    b.input("x", DType::F32, [2]).unwrap();
    let id = b.graph().find("x").unwrap();
    assert!(b.neg(Value::new(id, 0)).is_ok());
    let error = b.neg(Value::new(id, 1)).unwrap_err().to_string();
    assert!(
        error.starts_with("neg: operand 0 is result 1 of node 0, which is not in graph `student`"),
        "{error}"
    );
}
