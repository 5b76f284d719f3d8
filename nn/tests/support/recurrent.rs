//! Values and gradients of recurrent layers.

use std::collections::BTreeMap;

use ir::{DType, Error, Graph, Tensor, Value};
use nn::{Context, Mode};

use super::{draw, run};

/// Of what `build` makes of x: its values `y0`, `y1` and so on, and the gradients of their sum, each times fixed weights, for x and
/// all parameters. A parameter has the same value wherever it has the same name and shape.
#[allow(dead_code, reason = "not every test file has recurrent layers")]
pub fn gradients(
    x: &Tensor,
    build: impl Fn(&mut Context, Value) -> Result<Vec<Value>, Error>,
) -> BTreeMap<String, Tensor> {
    let graph = differentiated(x, build).expect("the layer can be built");
    let stream = |name: &str| name.bytes().fold(7, |sum: u32, byte| sum.wrapping_mul(31) + u32::from(byte));
    let states = graph.states().map(|(_, node)| {
        let name = node.name.clone().expect("states have names");
        let tensor = draw(&node.results[0].shape, stream(&name));
        let tensor = if name.ends_with("running_var") { squares(&tensor) } else { tensor };
        (name, tensor)
    });
    run(&graph, &[("x", x.clone())], &states.collect()).outputs
}

/// Variances are not negative.
fn squares(tensor: &Tensor) -> Tensor {
    let squares = super::floats(tensor).into_iter().map(|x| x * x).collect();
    super::tensor(tensor.shape(), squares)
}

fn differentiated(
    x: &Tensor,
    build: impl Fn(&mut Context, Value) -> Result<Vec<Value>, Error>,
) -> Result<Graph, Error> {
    let mut cx = Context::with("layer", Mode::Infer, DType::F64);
    let input = cx.input("x", DType::F64, x.shape().clone())?;
    let mut loss = cx.float(DType::F64, 0.0);
    for (index, y) in build(&mut cx, input)?.into_iter().enumerate() {
        cx.output(&format!("y{index}"), y)?;
        let weights = draw(cx.shape(y), 100 + index as u32);
        let weights = cx.constant(weights);
        loss = cx.eval(loss + (y * weights).sum_all())?;
    }
    let parameters = cx.parameters().to_vec();
    let values: Vec<Value> = [input].into_iter().chain(parameters.iter().map(|it| it.value)).collect();
    let gradients = cx.grad(loss, &values)?;
    cx.output("dx", gradients[0])?;
    for (parameter, &gradient) in parameters.iter().zip(&gradients[1..]) {
        cx.output(&format!("d{}", parameter.name), gradient)?;
    }
    Ok(cx.finish())
}

/// Asserts that two sets of values and gradients are of the same names and agree to 1e-10.
#[allow(dead_code, reason = "not every test file has recurrent layers")]
pub fn assert_alike(what: &str, found: &BTreeMap<String, Tensor>, expected: &BTreeMap<String, Tensor>) {
    assert!(found.keys().eq(expected.keys()), "{what}: {:?} and {:?}", found.keys(), expected.keys());
    for (name, expected) in expected {
        let found = &found[name];
        assert_eq!(found.shape(), expected.shape(), "{what}: {name}");
        for i in 0..expected.shape().elements() {
            let (a, b) = (found.get(i).as_f64(), expected.get(i).as_f64());
            assert!((a - b).abs() <= 1e-10 * (1.0 + b.abs()), "{what}: {name}[{i}] is {a}, expected {b}");
        }
    }
}
