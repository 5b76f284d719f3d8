//! Gradients against central differences in the interpreter.
//!
//! A *function* here is a graph whose outputs are floats. Its gradient, of the sum of its outputs times fixed random
//! weights, is another such graph, so that checking a gradient of a gradient is checking the gradient of a function.

use std::collections::BTreeMap;

use ir::eval::{Bindings, evaluate};
use ir::scalar::uniform;
use ir::{Builder, DType, Graph, Scalar, Tensor, Type, Value};
use passes::autodiff::autodiff;

/// How far operands are moved to either side.
const STEP: f64 = 1e-6;
/// Differences of `f64` values below about 10^4 that are `2 * STEP` apart are good to about 10^-6.
const ABSOLUTE: f64 = 1e-5;
/// The relative error that is let through: a wrong rule is wrong by more.
const RELATIVE: f64 = 1e-3;
/// How many elements of one operand are moved; of larger operands every so many.
const MOVED_ELEMENTS: usize = 12;

/// The fixed weights of an output.
fn weights(output: usize, ty: &Type, seed: u64) -> Tensor {
    let ty = Type { dtype: DType::F64, shape: ty.shape.clone() };
    Tensor::from_fn(&ty, |i| Scalar::F64(2.0 * uniform(seed, output as u32, i as u32, DType::F64) - 1.0))
}

/// The gradient of the weighted sum of the outputs of `function` with respect to these inputs or states, an output for each.
///
/// # Panics
/// Where it has none.
pub fn gradient(function: &Graph, names: &[String], seed: u64) -> Graph {
    let mut source = function.clone();
    let outputs = std::mem::take(&mut source.outputs);
    let mut builder = Builder::resume(source);
    let differentiate = |builder: &mut Builder| {
        let mut loss = builder.float(DType::F64, 0.0);
        for (i, output) in outputs.iter().enumerate() {
            let ty = builder.ty(output.value).clone();
            let value = builder.cast(output.value, DType::F64)?;
            let weights = builder.constant(weights(i, &ty, seed));
            let weighted = builder.mul(value, weights)?;
            let axes: Vec<usize> = (0..ty.shape.rank()).collect();
            let sum = builder.reduce_sum(weighted, &axes, false)?;
            loss = builder.add(loss, sum)?;
        }
        let find = |name: &String| builder.graph().find(name).map(|node| Value::new(node, 0));
        let values: Vec<Value> = names.iter().filter_map(find).collect();
        for (name, gradient) in names.iter().zip(builder.grad(loss, &values)?) {
            builder.output(&format!("d{name}"), gradient)?;
        }
        autodiff(builder.graph())
    };
    differentiate(&mut builder).unwrap_or_else(|error| panic!("{error}\n{function}"))
}

/// Compares the gradient of `function` with respect to these inputs or states with central differences.
///
/// # Panics
/// Where they differ.
pub fn check(function: &Graph, names: &[String], inputs: &BTreeMap<String, Tensor>) {
    const SEED: u64 = 2;
    let gradient = gradient(function, names, SEED);
    let found = run(&gradient, inputs);
    for name in names {
        let found = &found[&format!("d{name}")];
        let count = found.shape().elements();
        for element in (0..count).step_by(count.div_ceil(MOVED_ELEMENTS).max(1)) {
            let moved = |step: f64| {
                let mut inputs = inputs.clone();
                let tensor = inputs.get_mut(name).expect("the input is there");
                tensor.as_mut_slice::<f64>().expect("it is of f64")[element] += step;
                run(function, &inputs)
            };
            let (up, down) = (moved(STEP), moved(-STEP));
            let expected = weighted_difference(function, &up, &down, SEED) / (2.0 * STEP);
            let found = found.get(element).as_f64();
            assert!(
                (found - expected).abs() <= ABSOLUTE + RELATIVE * expected.abs(),
                "d{name}[{element}] is {found}, by differences {expected}\n{function}\n{gradient}"
            );
        }
    }
}

/// The difference of the weighted sums of two results, summed element by element so that equal elements cancel.
fn weighted_difference(
    function: &Graph,
    up: &BTreeMap<String, Tensor>,
    down: &BTreeMap<String, Tensor>,
    seed: u64,
) -> f64 {
    let outputs = function.outputs.iter().enumerate().map(|(i, output)| {
        let (up, down) = (&up[&output.name], &down[&output.name]);
        let weights = weights(i, &up.ty(), seed);
        let elements = 0..up.shape().elements();
        let difference = |i: usize| weights.get(i).as_f64() * (up.get(i).as_f64() - down.get(i).as_f64());
        elements.map(difference).sum::<f64>()
    });
    outputs.sum()
}

/// The outputs of a graph from inputs, and states where there are some, of these names.
///
/// # Panics
/// Where a tensor is missing.
pub fn run(graph: &Graph, inputs: &BTreeMap<String, Tensor>) -> BTreeMap<String, Tensor> {
    let bindings = Bindings { inputs: inputs.clone(), states: inputs.clone(), ..Bindings::default() };
    evaluate(graph, &bindings).unwrap_or_else(|error| panic!("{error}\n{graph}")).outputs
}
