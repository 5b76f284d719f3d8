//! Gradients of gradients of recurrent layers, against central differences of their gradients.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

mod support;

use std::collections::BTreeMap;

use ir::eval::{Bindings, evaluate};
use ir::{DType, Error, Graph, Tensor, Value};
use nn::rnn::{Cell, ElmanCell, GruCell, JordanCell, LstmCell, MguCell, PeepholeCell, Recurrent};
use nn::{Context, Mode, RecurrentInputs};
use passes::autodiff::autodiff;
use support::draw;

/// How far elements are moved to either side. Differences of values of about 1 are good to about 1e-10 over this.
const STEP: f64 = 1e-6;
/// A wrong rule is wrong by more.
const TOLERANCE: f64 = 1e-6;
/// How many elements of each tensor are moved.
const MOVED: usize = 4;

/// The sum of all gradients of a layer, each times fixed weights; and, where `order` is 2, the gradients of that.
fn graph<C: Cell>(layer: &Recurrent<C>, has_lengths: bool, order: usize) -> Result<Graph, Error> {
    let mut cx = Context::with("second_order", Mode::Infer, DType::F64);
    let x = cx.state("x", DType::F64, [3, 2, 2], nn::init::zeros())?;
    let mut inputs = RecurrentInputs::new(x);
    if has_lengths {
        inputs = inputs.lengths(cx.constant(Tensor::new([2], vec![2i64, 3]).unwrap()));
    }
    let found = layer.run(&mut cx, inputs)?;
    let values: Vec<Value> = [x].into_iter().chain(cx.parameters().iter().map(|it| it.value)).collect();
    let mut outputs = vec![found.outputs];
    outputs.extend(found.states);
    let loss = weighted_sum(&mut cx, &outputs, 100)?;
    let gradients = cx.grad(loss, &values)?;
    let sum = weighted_sum(&mut cx, &gradients, 200)?;
    cx.output("sum", sum)?;
    if order == 2 {
        let names: Vec<String> =
            [String::from("x")].into_iter().chain(cx.parameters().iter().map(|it| it.name.clone())).collect();
        for (name, gradient) in names.iter().zip(cx.grad(sum, &values)?) {
            cx.output(&format!("d{name}"), gradient)?;
        }
    }
    autodiff(&cx.finish())
}

fn weighted_sum(cx: &mut Context, values: &[Value], stream: u32) -> Result<Value, Error> {
    let mut sum = cx.float(DType::F64, 0.0);
    for (index, &value) in values.iter().enumerate() {
        let weights = draw(cx.shape(value), stream + index as u32);
        let weights = cx.constant(weights);
        sum = cx.eval(sum + (value * value * weights + value * weights).sum_all())?;
    }
    Ok(sum)
}

fn outputs(graph: &Graph, states: &BTreeMap<String, Tensor>) -> BTreeMap<String, Tensor> {
    evaluate(graph, &Bindings { states: states.clone(), ..Bindings::default() }).unwrap().outputs
}

fn assert_is_by_differences<C: Cell>(layer: &Recurrent<C>, has_lengths: bool) {
    let [first, second] = [1, 2].map(|order| graph(layer, has_lengths, order).unwrap());
    let states = second.states().enumerate().map(|(index, (_, node))| {
        let drawn = draw(&node.results[0].shape, index as u32);
        let halves = support::floats(&drawn).into_iter().map(|x| x / 2.0).collect();
        (node.name.clone().unwrap(), support::tensor(&node.results[0].shape, halves))
    });
    let states: BTreeMap<String, Tensor> = states.collect();
    let found = outputs(&second, &states);
    for (name, tensor) in &states {
        let count = tensor.shape().elements();
        for element in (0..count).step_by(count.div_ceil(MOVED)) {
            let moved = |step: f64| {
                let mut states = states.clone();
                states.get_mut(name).unwrap().as_mut_slice::<f64>().unwrap()[element] += step;
                outputs(&first, &states)["sum"].get(0).as_f64()
            };
            let expected = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
            let found = found[&format!("d{name}")].get(element).as_f64();
            let layer = nn::Layer::description(layer);
            assert!(
                (found - expected).abs() <= TOLERANCE * (1.0 + expected.abs()),
                "{layer}: d{name}[{element}] is {found}, by differences {expected}"
            );
        }
    }
}

#[test]
fn gradients_of_gradients_are_by_differences() {
    let cells: [Box<dyn Cell>; 7] = [
        Box::new(ElmanCell::new(2).output(2, nn::Activation::Sigmoid)),
        Box::new(JordanCell::new(2, 2)),
        Box::new(MguCell::new(2)),
        Box::new(GruCell::new(2)),
        Box::new(GruCell::new(2).reset_after(false)),
        Box::new(LstmCell::new(2).projection(1).peepholes()),
        Box::new(PeepholeCell::new(2)),
    ];
    for cell in cells {
        assert_is_by_differences(&Recurrent::with_cell(2, cell).learned_states(), false);
    }
}

#[test]
fn gradients_of_gradients_hold_with_layers_directions_and_lengths() {
    let layer = Recurrent::with_cell(2, LstmCell::new(2)).layers(2).bidirectional();
    assert_is_by_differences(&layer, true);
    assert_is_by_differences(&Recurrent::with_cell(2, GruCell::new(2)).bidirectional().last(), true);
}
