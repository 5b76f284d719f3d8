//! Graphs of as many nodes as one asks for, of the shapes that make a compiler's passes slow or deep: chains, ladders,
//! wide sums, unrolled cells. What is linear in one of them may be quadratic, or exponential, in another.

use ir::ops::Broadcast;
use ir::{Builder, DType, Error, Graph, Init, Scalar, Value};

/// A family of graphs that grow.
pub struct Family {
    /// Its name in tests and benchmarks.
    pub name: &'static str,
    /// What repeats.
    pub formula: &'static str,
    /// The graph of about this number of nodes.
    pub build: fn(usize) -> Result<Graph, Error>,
}

/// All families.
pub const FAMILIES: [Family; 19] = [
    Family { name: "chain", formula: "x = tanh(x)", build: |nodes| chain(nodes, 1, tanh) },
    Family { name: "rectified", formula: "x = relu(-x)", build: |nodes| chain(nodes, 2, rectified) },
    Family { name: "ladder", formula: "x = x + sin(x)", build: |nodes| chain(nodes, 2, ladder) },
    Family { name: "constants", formula: "x = x + 0.1", build: |nodes| chain(nodes, 3, add_constant) },
    Family { name: "swish", formula: "x = x * sigmoid(x), with its gradient", build: swish },
    Family { name: "sum", formula: "x0 + x1 + .. of inputs", build: wide_sum },
    Family { name: "powers", formula: "x + x^2 + .. of one input, with its gradient", build: powers },
    Family { name: "cells", formula: "h = tanh(h W + x), with its gradient", build: cells },
    Family { name: "mirrors", formula: "x = x + transpose(x)", build: mirrors },
    Family { name: "shifts", formula: "x = shift(x, 1) + x", build: shifts },
    Family { name: "views", formula: "x = transpose(shift(x, 1)), and the sum of all", build: views },
    Family { name: "broadcasts", formula: "x = broadcast(x), and the sum of all", build: broadcasts },
    Family { name: "reshapes", formula: "x = reshape(-x)", build: reshapes },
    Family { name: "rows", formula: "x = x - mean(x, axis 1)", build: |nodes| centred(nodes, 1) },
    Family { name: "columns", formula: "x = x - mean(x, axis 0)", build: |nodes| centred(nodes, 0) },
    Family { name: "hub", formula: "h = tanh(h W + exp(x))", build: hub },
    Family { name: "states", formula: "s -= clipped gradient, of many states", build: states },
    Family { name: "parts", formula: "concat(parts), split again, and its gradient", build: parts },
    Family { name: "blocks", formula: "x = x + swish(layer_norm(x)), with its gradient", build: blocks },
];

const SHAPE: [usize; 2] = [4, 24];

fn tanh(b: &mut Builder, x: Value) -> Result<Value, Error> {
    b.tanh(x)
}

fn rectified(b: &mut Builder, x: Value) -> Result<Value, Error> {
    let negated = b.neg(x)?;
    b.relu(negated)
}

fn ladder(b: &mut Builder, x: Value) -> Result<Value, Error> {
    let sine = b.sin(x)?;
    b.add(x, sine)
}

fn add_constant(b: &mut Builder, x: Value) -> Result<Value, Error> {
    let constant = b.float(DType::F32, 0.1);
    b.add(x, constant)
}

/// `step` applied again and again to an input, as an output.
fn chain(
    nodes: usize,
    nodes_per_step: usize,
    step: fn(&mut Builder, Value) -> Result<Value, Error>,
) -> Result<Graph, Error> {
    let mut b = Builder::new("chain");
    let mut x = b.input("x", DType::F32, SHAPE)?;
    for _ in 0..nodes / nodes_per_step {
        x = step(&mut b, x)?;
    }
    b.output("y", x)?;
    Ok(b.finish())
}

/// The sum of `y`, and its gradient with respect to `x`, as outputs.
fn finish_with_gradient(mut b: Builder, y: Value, x: Value) -> Result<Graph, Error> {
    let loss = b.reduce_sum(y, &[0, 1], false)?;
    let gradient = b.grad(loss, &[x])?[0];
    b.output("loss", loss)?;
    b.output("gradient", gradient)?;
    Ok(b.finish())
}

fn swish(nodes: usize) -> Result<Graph, Error> {
    const NODES_PER_STEP: usize = 8;
    let mut b = Builder::new("swish");
    let x = b.input("x", DType::F32, SHAPE)?;
    let mut y = x;
    for _ in 0..nodes / NODES_PER_STEP {
        let gate = b.sigmoid(y)?;
        y = b.mul(y, gate)?;
    }
    finish_with_gradient(b, y, x)
}

fn wide_sum(nodes: usize) -> Result<Graph, Error> {
    let mut b = Builder::new("sum");
    let mut total = b.input("x", DType::F32, SHAPE)?;
    for index in 0..nodes / 2 {
        let x = b.input(&format!("x{index}"), DType::F32, SHAPE)?;
        total = b.add(total, x)?;
    }
    b.output("y", total)?;
    Ok(b.finish())
}

fn powers(nodes: usize) -> Result<Graph, Error> {
    const NODES_PER_STEP: usize = 6;
    let mut b = Builder::new("powers");
    let x = b.input("x", DType::F32, SHAPE)?;
    let (mut power, mut total) = (x, x);
    for _ in 0..nodes / NODES_PER_STEP {
        power = b.mul(power, x)?;
        total = b.add(total, power)?;
    }
    finish_with_gradient(b, total, x)
}

fn cells(nodes: usize) -> Result<Graph, Error> {
    const NODES_PER_STEP: usize = 9;
    let mut b = Builder::new("cells");
    let x = b.input("x", DType::F32, SHAPE)?;
    let w = b.state("w", DType::F32, [SHAPE[1]; 2], Init::Uniform { low: -0.2, high: 0.2, stream: 0 })?;
    let mut h = x;
    for _ in 0..nodes / NODES_PER_STEP {
        let product = b.matmul(h, w)?;
        let sum = b.add(product, x)?;
        h = b.tanh(sum)?;
    }
    finish_with_gradient(b, h, w)
}

fn blocks(nodes: usize) -> Result<Graph, Error> {
    const NODES_PER_STEP: usize = 50;
    let mut b = Builder::new("blocks");
    let x = b.input("x", DType::F32, SHAPE)?;
    let mut y = x;
    for _ in 0..nodes.div_ceil(NODES_PER_STEP) {
        let mean = b.reduce_mean(y, &[1], true)?;
        let centred = b.sub(y, mean)?;
        let square = b.square(centred)?;
        let variance = b.reduce_mean(square, &[1], true)?;
        let epsilon = b.float(DType::F32, 1e-5);
        let above = b.add(variance, epsilon)?;
        let scale = b.rsqrt(above)?;
        let normal = b.mul(centred, scale)?;
        let gate = b.sigmoid(normal)?;
        let swish = b.mul(normal, gate)?;
        y = b.add(y, swish)?;
    }
    finish_with_gradient(b, y, x)
}

const SQUARE: [usize; 2] = [16, 16];

fn mirrors(nodes: usize) -> Result<Graph, Error> {
    let mut b = Builder::new("mirrors");
    let mut x = b.input("x", DType::F32, SQUARE)?;
    for _ in 0..nodes / 2 {
        let mirrored = b.transpose(x, &[1, 0])?;
        x = b.add(x, mirrored)?;
    }
    b.output("y", x)?;
    Ok(b.finish())
}

/// `x` moved by one along the last axis: a zero comes in, the last element goes out.
fn shift(b: &mut Builder, x: Value) -> Result<Value, Error> {
    let shape = b.shape(x).clone();
    let padded = b.pad(x, &[0, 1], &[0, 0], &[0, 0], Scalar::F32(0.0))?;
    b.slice(padded, &[0, 0], &shape, &[1, 1])
}

fn shifts(nodes: usize) -> Result<Graph, Error> {
    let mut b = Builder::new("shifts");
    let mut x = b.input("x", DType::F32, SQUARE)?;
    for _ in 0..nodes / 3 {
        let shifted = shift(&mut b, x)?;
        x = b.add(x, shifted)?;
    }
    b.output("y", x)?;
    Ok(b.finish())
}

fn views(nodes: usize) -> Result<Graph, Error> {
    let mut b = Builder::new("views");
    let mut x = b.input("x", DType::F32, SQUARE)?;
    let mut total = x;
    for _ in 0..nodes / 4 {
        let shifted = shift(&mut b, x)?;
        x = b.transpose(shifted, &[1, 0])?;
        total = b.add(total, x)?;
    }
    b.output("y", total)?;
    Ok(b.finish())
}

fn broadcasts(nodes: usize) -> Result<Graph, Error> {
    let mut b = Builder::new("broadcasts");
    let mut x = b.input("x", DType::F32, [SQUARE[1]])?;
    let mut total = b.broadcast(x, SQUARE)?;
    for _ in 0..nodes / 2 {
        x = b.op(Broadcast { shape: SQUARE.into() }, &[x])?;
        total = b.add(total, x)?;
    }
    b.output("y", total)?;
    Ok(b.finish())
}

fn reshapes(nodes: usize) -> Result<Graph, Error> {
    let mut b = Builder::new("reshapes");
    let mut x = b.input("x", DType::F32, [6, 4])?;
    for step in 0..nodes / 2 {
        let negated = b.neg(x)?;
        x = b.reshape(negated, if step % 2 == 0 { [8, 3] } else { [6, 4] })?;
    }
    b.output("y", x)?;
    Ok(b.finish())
}

fn centred(nodes: usize, axis: usize) -> Result<Graph, Error> {
    let mut b = Builder::new("centred");
    let mut x = b.input("x", DType::F32, SHAPE)?;
    for _ in 0..nodes / 6 {
        let mean = b.reduce_mean(x, &[axis], true)?;
        x = b.sub(x, mean)?;
    }
    b.output("y", x)?;
    Ok(b.finish())
}

fn hub(nodes: usize) -> Result<Graph, Error> {
    let mut b = Builder::new("hub");
    let x = b.input("x", DType::F32, SHAPE)?;
    let w = b.state("w", DType::F32, [SHAPE[1]; 2], Init::Uniform { low: -0.2, high: 0.2, stream: 0 })?;
    let hub = b.exp(x)?;
    let mut h = x;
    for _ in 0..nodes / 3 {
        let product = b.matmul(h, w)?;
        let sum = b.add(product, hub)?;
        h = b.tanh(sum)?;
    }
    b.output("y", h)?;
    Ok(b.finish())
}

fn states(nodes: usize) -> Result<Graph, Error> {
    const NODES_PER_STATE: usize = 16;
    let mut b = Builder::new("states");
    let x = b.input("x", DType::F32, SHAPE)?;
    let mut states = Vec::new();
    let mut y = x;
    for index in 0..nodes / NODES_PER_STATE {
        let init = Init::Uniform { low: -1.0, high: 1.0, stream: index as u32 };
        let state = b.state(&format!("s{index}"), DType::F32, SHAPE, init)?;
        let product = b.mul(y, state)?;
        y = b.tanh(product)?;
        states.push(state);
    }
    let loss = b.reduce_sum(y, &[0, 1], false)?;
    let gradients = b.grad(loss, &states)?;
    let mut norm = b.float(DType::F32, 1.0);
    for &gradient in &gradients {
        let square = b.square(gradient)?;
        let sum = b.reduce_sum(square, &[0, 1], false)?;
        norm = b.add(norm, sum)?;
    }
    let factor = b.rsqrt(norm)?;
    for (&state, gradient) in states.iter().zip(gradients) {
        let step = b.mul(gradient, factor)?;
        let next = b.sub(state, step)?;
        b.update(state, next)?;
    }
    b.output("loss", loss)?;
    Ok(b.finish())
}

fn parts(nodes: usize) -> Result<Graph, Error> {
    const NODES_PER_PART: usize = 8;
    let mut b = Builder::new("parts");
    let x = b.input("x", DType::F32, SHAPE)?;
    let count = nodes.div_ceil(NODES_PER_PART);
    let mut made = Vec::new();
    for index in 0..count {
        let factor = b.float(DType::F32, index as f64);
        let product = b.mul(x, factor)?;
        made.push(b.sin(product)?);
    }
    let all = b.concat(&made, 0)?;
    let mut total = x;
    for part in b.split(all, 0, &vec![SHAPE[0]; count])? {
        let square = b.square(part)?;
        total = b.add(total, square)?;
    }
    finish_with_gradient(b, total, x)
}
