//! Dropout: what its masks depend on, and that it keeps the mean.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

mod support;

use std::collections::BTreeMap;

use ir::eval::{Bindings, evaluate};
use ir::{DType, Graph, Tensor};
use nn::{Context, Dropout, Layer, Linear, Mode, Sequential};
use support::{differentiate, floats, tensor};

const COUNT: usize = 10_000;

/// Two dropouts next to each other on ones; the results are the masks.
fn two_masks(rate: f64) -> Graph {
    let mut cx = Context::training("masks");
    let x = cx.input("x", DType::F32, [COUNT]).unwrap();
    for name in ["first", "second"] {
        let y = cx.layer(name, &Dropout::new(rate), x).unwrap();
        cx.output(name, y).unwrap();
    }
    cx.finish()
}

/// The masks of a step from these states, and the states after it.
fn step(
    graph: &Graph,
    seed: u64,
    states: &BTreeMap<String, Tensor>,
) -> ([Vec<f64>; 2], BTreeMap<String, Tensor>) {
    let ones = Tensor::new([COUNT], vec![1f32; COUNT]).unwrap();
    let bindings =
        Bindings { inputs: BTreeMap::from([("x".to_owned(), ones)]), states: states.clone(), seed };
    let evaluation = evaluate(graph, &bindings).unwrap();
    (["first", "second"].map(|name| floats(&evaluation.outputs[name])), evaluation.states)
}

#[test]
fn elements_are_dropped_at_the_rate_and_the_mean_stays() {
    for rate in [0.1, 0.5, 0.8] {
        let ([mask, _], _) = step(&two_masks(rate), 1, &BTreeMap::new());
        let kept = f64::from(1.0 / (1.0 - rate) as f32);
        assert!(mask.iter().all(|&x| x == 0.0 || x == kept), "rate {rate}");
        // Four deviations of the mean of the factors, sqrt(rate / (1 - rate) / COUNT) each.
        let mean = mask.iter().sum::<f64>() / COUNT as f64;
        let tolerance = 4.0 * (rate / (1.0 - rate) / COUNT as f64).sqrt();
        assert!((mean - 1.0).abs() < tolerance, "rate {rate}: the mean factor is {mean}");
    }
}

#[test]
fn masks_depend_on_seed_step_and_layer() {
    let graph = two_masks(0.5);
    let ([first, second], states) = step(&graph, 1, &BTreeMap::new());
    let ([next, _], _) = step(&graph, 1, &states);
    let ([other, _], _) = step(&graph, 2, &BTreeMap::new());
    let differing =
        |a: &[f64], b: &[f64]| a.iter().zip(b).filter(|(a, b)| a != b).count() as f64 / COUNT as f64;
    // Independent masks differ in half of their elements; the deviation of that part is 0.005.
    for (what, mask) in [("layer", &second), ("step", &next), ("seed", &other)] {
        let part = differing(&first, mask);
        assert!((part - 0.5).abs() < 0.02, "another {what}: {part} of the elements differ");
    }
}

#[test]
fn a_resumed_run_goes_on_with_the_same_masks() {
    let graph = two_masks(0.5);
    let (_, saved) = step(&graph, 7, &BTreeMap::new());
    // The seed of the run that resumes does not matter: that of the first is among the states.
    let (mut going_on, mut resumed) = (saved.clone(), saved);
    for _ in 0..3 {
        let (expected, states) = step(&graph, 7, &going_on);
        going_on = states;
        let (masks, states) = step(&graph, 99, &resumed);
        resumed = states;
        assert_eq!(masks, expected);
    }
}

#[test]
fn dropout_is_the_identity_in_use_and_at_rate_0() {
    let mut cx = Context::new("in_use");
    let x = cx.input("x", DType::F32, [3]).unwrap();
    assert_eq!(Dropout::new(0.5).forward(&mut cx, x).unwrap(), x);
    let mut cx = Context::training("rate_0");
    let x = cx.input("x", DType::F32, [3]).unwrap();
    assert_eq!(Dropout::new(0.0).forward(&mut cx, x).unwrap(), x);
}

/// With the gradient of the sum, which is the mask.
#[test]
fn the_gradient_passes_where_the_value_did() {
    let x = tensor(&[100], (1..=100).map(f64::from).collect());
    let ones = tensor(&[100], vec![1.0; 100]);
    let outputs = differentiate(&Dropout::new(0.3), Mode::Train, &x, &ones, &BTreeMap::new()).outputs;
    let (y, dx) = (floats(&outputs["y"]), floats(&outputs["dx"]));
    assert!(y.iter().zip(&dx).zip(1..).all(|((y, dx), x)| *y == dx * f64::from(x)));
    assert!(dx.contains(&0.0) && dx.contains(&(1.0 / 0.7)));
}

#[test]
fn initial_weights_are_the_same_with_and_without_dropout() {
    let inits = |model: &dyn Layer, mode: Mode| -> Vec<String> {
        let mut cx = Context::with("g", mode, DType::F32);
        let x = cx.input("x", DType::F32, [2, 3]).unwrap();
        model.forward(&mut cx, x).unwrap();
        let parameters = cx.parameters().iter().map(|p| format!("{:?}", cx.graph().node(p.value.node).op));
        parameters.collect()
    };
    let plain = Sequential::new().add(Linear::new(3, 4)).add(Linear::new(4, 2));
    let noisy = Sequential::new().add(Linear::new(3, 4)).add(Dropout::new(0.5)).add(Linear::new(4, 2));
    let expected = inits(&plain, Mode::Train);
    assert_eq!(expected.len(), 4);
    assert_eq!(inits(&noisy, Mode::Train), expected);
    assert_eq!(inits(&noisy, Mode::Infer), expected);
}

#[test]
fn rates_out_of_range_are_errors() {
    for rate in [1.0, -0.1, f64::NAN] {
        let mut cx = Context::new("g");
        let x = cx.input("x", DType::F32, [3]).unwrap();
        let error = Dropout::new(rate).forward(&mut cx, x).unwrap_err().to_string();
        assert_eq!(error, format!("dropout: the rate is {rate}; give a number of at least 0 and below 1"));
    }
}
