//! Expressions are the ops that one would call, and say where they are wrong.

use super::*;
use crate::{DType, Graph, Shape};

/// A graph of three inputs, `x: f32[4, 3]`, `y: f32[3]`, `n: i64[4]`, and the output `z` that `build` makes.
fn graph(build: impl FnOnce(&mut Builder, Value, Value, Value) -> Result<Value, Error>) -> Graph {
    let mut b = Builder::new("g");
    let x = b.input("x", DType::F32, [4, 3]).unwrap();
    let y = b.input("y", DType::F32, [3]).unwrap();
    let n = b.input("n", DType::I64, [4]).unwrap();
    let z = build(&mut b, x, y, n).unwrap();
    b.output("z", z).unwrap();
    b.finish()
}

fn refused(build: impl FnOnce(Value, Value, Value) -> Expr) -> String {
    let mut b = Builder::new("g");
    let x = b.input("x", DType::F32, [4, 3]).unwrap();
    let y = b.input("y", DType::F32, [2]).unwrap();
    let n = b.input("n", DType::I64, [4]).unwrap();
    b.eval(build(x, y, n)).unwrap_err().to_string()
}

#[test]
fn an_expression_is_the_ops_in_the_order_in_which_it_is_written() {
    let written = graph(|b, x, y, _| {
        let mean = b.eval(x.mean_keep_dims(&[1]))?;
        b.eval((x - mean) / ((x - mean).square().mean_keep_dims(&[1]) + 1e-5).sqrt() * y + 1)
    });
    let called = graph(|b, x, y, _| {
        let mean = b.reduce_mean(x, &[1], true)?;
        let centred = b.sub(x, mean)?;
        let again = b.sub(x, mean)?;
        let square = b.square(again)?;
        let variance = b.reduce_mean(square, &[1], true)?;
        let eps = b.float(DType::F32, 1e-5);
        let sum = b.add(variance, eps)?;
        let root = b.sqrt(sum)?;
        let quotient = b.div(centred, root)?;
        let scaled = b.mul(quotient, y)?;
        let one = b.float(DType::F32, 1.0);
        b.add(scaled, one)
    });
    assert_eq!(written.to_string(), called.to_string());
}

/// Each method of expressions beside the call of the builder.
#[test]
fn methods_are_the_ops_of_the_builder() {
    macro_rules! same {
        ($(|$b:ident, $x:ident, $y:ident, $n:ident| $written:expr => $called:expr;)+) => { $(
            let written = graph(|$b, $x, $y, $n| { let _ = ($x, $y, $n); $b.eval($written) });
            let called = graph(|$b, $x, $y, $n| { let _ = ($x, $y, $n); $called });
            assert_eq!(written.to_string(), called.to_string(), "{}", stringify!($written));
        )+ };
    }
    same! {
        |b, x, y, n| x + y => b.add(x, y);
        |b, x, y, n| x - y => b.sub(x, y);
        |b, x, y, n| x * y => b.mul(x, y);
        |b, x, y, n| x / y => b.div(x, y);
        |b, x, y, n| -x => b.neg(x);
        |b, x, y, n| -(x.abs()) => { let a = b.abs(x)?; b.neg(a) };
        |b, x, y, n| x.sign() => b.sign(x);
        |b, x, y, n| x.max(y) => b.max(x, y);
        |b, x, y, n| x.min(y) => b.min(x, y);
        |b, x, y, n| x.clamp(y, y) => b.clamp(x, y, y);
        |b, x, y, n| x.relu() => b.relu(x);
        |b, x, y, n| x.square() => b.square(x);
        |b, x, y, n| x.sqrt() => b.sqrt(x);
        |b, x, y, n| x.rsqrt() => b.rsqrt(x);
        |b, x, y, n| x.exp() => b.exp(x);
        |b, x, y, n| x.expm1() => b.expm1(x);
        |b, x, y, n| x.log() => b.log(x);
        |b, x, y, n| x.log1p() => b.log1p(x);
        |b, x, y, n| x.pow(y) => b.pow(x, y);
        |b, x, y, n| x.tanh() => b.tanh(x);
        |b, x, y, n| x.sigmoid() => b.sigmoid(x);
        |b, x, y, n| x.erf() => b.erf(x);
        |b, x, y, n| x.sin() => b.sin(x);
        |b, x, y, n| x.cos() => b.cos(x);
        |b, x, y, n| x.floor() => b.floor(x);
        |b, x, y, n| x.ceil() => b.ceil(x);
        |b, x, y, n| x.round() => b.round(x);
        |b, x, y, n| x.eq(y) => b.eq(x, y);
        |b, x, y, n| x.ne(y) => b.ne(x, y);
        |b, x, y, n| x.lt(y) => b.lt(x, y);
        |b, x, y, n| x.le(y) => b.le(x, y);
        |b, x, y, n| x.gt(y) => b.gt(x, y);
        |b, x, y, n| x.ge(y) => b.ge(x, y);
        |b, x, y, n| x.gt(y).logical_and(x.lt(y)) => {
            let [above, below] = [b.gt(x, y)?, b.lt(x, y)?];
            b.logical_and(above, below)
        };
        |b, x, y, n| x.gt(y).logical_or(x.lt(y)) => {
            let [above, below] = [b.gt(x, y)?, b.lt(x, y)?];
            b.logical_or(above, below)
        };
        |b, x, y, n| x.gt(y).logical_xor(x.lt(y)) => {
            let [above, below] = [b.gt(x, y)?, b.lt(x, y)?];
            b.logical_xor(above, below)
        };
        |b, x, y, n| x.gt(y).logical_not() => { let above = b.gt(x, y)?; b.logical_not(above) };
        |b, x, y, n| x.gt(y).select(x, 0.0) => {
            let above = b.gt(x, y)?;
            let zero = b.float_like(x, 0.0);
            b.select(above, x, zero)
        };
        |b, x, y, n| x.sum(&[0]) => b.reduce_sum(x, &[0], false);
        |b, x, y, n| x.sum_keep_dims(&[1]) => b.reduce_sum(x, &[1], true);
        |b, x, y, n| x.sum_all() => b.reduce_sum(x, &[0, 1], false);
        |b, x, y, n| x.mean(&[0]) => b.reduce_mean(x, &[0], false);
        |b, x, y, n| x.mean_all() => b.reduce_mean(x, &[0, 1], false);
        |b, x, y, n| x.amax(&[0]) => b.reduce_max(x, &[0], false);
        |b, x, y, n| x.amax_keep_dims(&[0]) => b.reduce_max(x, &[0], true);
        |b, x, y, n| x.softmax(1) => b.softmax(x, 1);
        |b, x, y, n| x.log_softmax(1) => b.log_softmax(x, 1);
        |b, x, y, n| x.matmul(x.t()) => { let t = b.transpose(x, &[1, 0])?; b.matmul(x, t) };
        |b, x, y, n| x.transpose(&[1, 0]) => b.transpose(x, &[1, 0]);
        |b, x, y, n| x.reshape([2, 6]) => b.reshape(x, [2, 6]);
        |b, x, y, n| y.broadcast([5, 3]) => b.broadcast(y, [5, 3]);
        |b, x, y, n| x.slice_axis(1, 1..3) => b.slice(x, &[0, 1], &[4, 3], &[1, 1]);
        |b, x, y, n| n.cast(DType::F32) => b.cast(n, DType::F32);
        |b, x, y, n| x.stop_gradient() => b.stop_gradient(x);
        |b, x, y, n| x.then(|b, x| b.argmax(x, 1)) => b.argmax(x, 1);
        |b, x, y, n| 1.0 - x => { let one = b.float_like(x, 1.0); b.sub(one, x) };
        |b, x, y, n| 2 / (x * x) => {
            let square = b.mul(x, x)?;
            let two = b.float_like(x, 2.0);
            b.div(two, square)
        };
    }
}

#[test]
fn numbers_take_the_element_type_of_what_they_meet() {
    let text = graph(|b, x, _, n| {
        let shifted = b.eval(n * 2 + 1)?;
        b.eval(shifted.cast(DType::F64).clamp(-1, 0.5).mean_all() + x.cast(DType::F64))
    })
    .to_string();
    for constant in ["value=2 : i64[]", "value=1 : i64[]", "value=-1.0 : f64[]", "value=0.5 : f64[]"] {
        assert!(text.contains(constant), "{constant}:\n{text}");
    }
}

#[test]
fn outputs_and_updates_take_expressions() {
    let mut b = Builder::new("g");
    let w = b.state("w", DType::F32, [2], crate::Init::Constant(0.0)).unwrap();
    b.update(w, w * 0.5 + 1.0).unwrap();
    b.output("y", w.sum_all()).unwrap();
    let graph = b.finish();
    assert_eq!((graph.ty(graph.outputs[0].value).shape.rank(), graph.updates.len()), (0, 1));
}

#[test]
fn errors_name_the_op_and_the_place_where_it_is_written() {
    let line = line!() + 1;
    let message = refused(|x, y, _| x * 2.0 + (x - y).relu());
    let column = 47;
    assert_eq!(
        message,
        format!(
            "sub at {}:{line}:{column}: shapes [4, 3] and [2] cannot be broadcast together; \
             make extents equal or 1, aligned from the last axis",
            file!()
        )
    );
    let starts = |message: String, op: &str| {
        assert!(message.starts_with(&format!("{op} at {}:", file!())), "{message}");
    };
    starts(refused(|x, y, _| x.matmul(y)), "matmul");
    starts(refused(|x, _, _| x.sum(&[2])), "reduce_sum");
    starts(refused(|_, _, n| n.mean(&[0])), "reduce_mean");
    starts(refused(|_, _, n| n.exp()), "exp");
    starts(refused(|x, _, n| x + n), "add");
    starts(refused(|x, _, _| x.reshape([5])), "reshape");
    starts(refused(|x, _, _| x.transpose(&[0])), "transpose");
    starts(refused(|x, _, _| x.slice_axis(1, 2..5)), "slice");
    assert!(
        refused(|x, _, _| x.slice_axis(2, 0..1))
            .ends_with("it is f32[4, 3], and there is no axis 2; give one of its axes, counted from 0")
    );
    assert!(refused(|_, y, _| y.t()).ends_with("it is f32[2]; give a matrix, or several"));
}

#[test]
fn numbers_that_are_not_of_the_element_type_are_errors() {
    let problem = |message: String| message.split(": ").skip(1).collect::<Vec<_>>().join(": ");
    let help = "give a number of that type, or `cast` the other operand";
    assert_eq!(
        problem(refused(|_, _, n| n + 0.5)),
        format!("the number 0.5 meets i64[4], which has no such element; {help}")
    );
    assert_eq!(
        problem(refused(|x, _, _| x + 1e39)),
        format!("the number 1e39 meets f32[4, 3], which has no such element; {help}")
    );
    assert_eq!(
        problem(refused(|x, _, _| x.gt(0.0) * 2.0)),
        format!("the number 2.0 meets bool[4, 3], which has no such element; {help}")
    );
    let mut b = Builder::new("g");
    let x = b.input("x", DType::F32, [2]).unwrap();
    assert!(b.eval(x.min(f64::INFINITY)).is_ok());
}

#[test]
fn numbers_that_meet_nothing_but_numbers_are_errors() {
    let help = "make a value of it: `b.float(DType::F32, ..)`, or `b.float_like(x, ..)`";
    assert_eq!(
        Builder::new("g").eval(2.0).unwrap_err().to_string(),
        format!("eval: nothing says of which element type 2.0 is; {help}")
    );
    let message = refused(|x, _, _| x.gt(0.0).select(1.0, 0));
    let expected = format!(": nothing says of which element type 1.0 and 0.0 is; {help}");
    assert!(message.starts_with("select at ") && message.ends_with(&expected), "{message}");
}

#[test]
fn values_of_another_graph_are_errors_of_the_op_that_takes_them() {
    let mut b = Builder::new("student");
    let x = b.input("x", DType::F32, [2]).unwrap();
    let foreign = Builder::new("teacher").input("x", DType::F32, [2]).unwrap();
    let starts = |result: Result<Value, Error>, op: &str| {
        let message = result.unwrap_err().to_string();
        assert!(message.starts_with(op) && message.contains("of graph `teacher`"), "{message}");
    };
    starts(b.eval(x * (foreign + 1.0)), &format!("add at {}:", file!()));
    starts(b.eval(x - foreign), &format!("sub at {}:", file!()));
    starts(b.eval(foreign.reshape([2])), &format!("reshape at {}:", file!()));
    starts(b.eval(foreign), "eval: ");
}

#[test]
fn a_value_is_computed_once_and_a_clone_anew() {
    let nodes = |build: fn(&mut Builder, Value) -> Result<Value, Error>| {
        graph(|b, x, _, _| build(b, x)).nodes().filter(|(_, node)| node.op.name() == "exp").count()
    };
    let value = nodes(|b, x| {
        let exponential = b.eval(x.exp())?;
        b.eval(exponential / exponential.sum_all())
    });
    let clone = nodes(|b, x| {
        let exponential = x.exp();
        b.eval(exponential.clone() / exponential.sum_all())
    });
    assert_eq!((value, clone), (1, 2));
}

#[test]
fn long_formulas_need_no_stack_however_they_are_nested() {
    const TERMS: usize = 100_000;
    let nests: [fn(Value) -> Expr; 3] = [
        |x| (0..TERMS).fold(Expr::from(x), |sum, _| sum + x * 2.0),
        |x| (0..TERMS).fold(Expr::from(x), |sum, _| x * 2.0 + sum),
        |x| {
            let mut terms: Vec<Expr> = (0..TERMS).map(|_| x * 2.0).collect();
            while terms.len() > 1 {
                let mut pairs = terms.into_iter();
                let mut halves = Vec::new();
                while let Some(left) = pairs.next() {
                    halves.push(match pairs.next() {
                        Some(right) => left + right,
                        None => left,
                    });
                }
                terms = halves;
            }
            terms.pop().unwrap()
        },
    ];
    let build = move || {
        for nest in nests {
            let mut b = Builder::new("long");
            let x = b.input("x", DType::F32, Shape::scalar()).unwrap();
            let sum = nest(x);
            drop(sum.clone());
            b.eval(sum).unwrap();
            assert!(b.graph().len() > 3 * TERMS - 3);
        }
    };
    std::thread::Builder::new().stack_size(64 << 10).spawn(build).unwrap().join().unwrap();
}
