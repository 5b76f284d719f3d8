//! Activations and their gradients against PyTorch and against formulas written out by hand.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

mod support;

use std::collections::BTreeMap;

use ir::{DType, Tensor};
use nn::{Activation, Context, Layer, Mode, PRelu, RRelu};
use support::{assert_close, differentiate, draw, floats, tensor, torch};

/// What [`differentiate`] gives for a layer as it starts.
fn outputs(layer: &dyn Layer, mode: Mode, x: &Tensor, weights: &Tensor) -> BTreeMap<String, Vec<f64>> {
    let outputs = differentiate(layer, mode, x, weights, &BTreeMap::new()).outputs;
    outputs.iter().map(|(name, tensor)| (name.clone(), floats(tensor))).collect()
}

/// An activation at points: values and derivatives.
fn at_points(activation: Activation, points: &[f64]) -> BTreeMap<String, Vec<f64>> {
    let shape = [points.len()];
    let ones = tensor(&shape, vec![1.0; points.len()]);
    outputs(&activation, Mode::Infer, &tensor(&shape, points.to_vec()), &ones)
}

#[test]
fn activations_and_their_derivatives_are_those_of_pytorch() {
    for activation in Activation::ALL.into_iter().filter(|&activation| activation != Activation::Softmax) {
        let name = activation.name();
        let found = at_points(activation, &torch("points"));
        assert_close(name, &found["y"], &torch(&format!("{name}.y")));
        assert_close(&format!("derivative of {name}"), &found["dx"], &torch(&format!("{name}.dx")));
    }
}

#[test]
fn activations_are_their_formulas() {
    type Formula = fn(f64) -> f64;
    let formulas: [(Activation, Formula); 8] = [
        (Activation::Relu, |x| x.max(0.0)),
        (Activation::Tanh, f64::tanh),
        (Activation::Sigmoid, |x| 1.0 / (1.0 + (-x).exp())),
        (Activation::LeakyRelu { slope: 0.2 }, |x| if x > 0.0 { x } else { 0.2 * x }),
        (Activation::Elu { alpha: 1.5 }, |x| if x > 0.0 { x } else { 1.5 * (x.exp() - 1.0) }),
        (Activation::Selu, |x| {
            1.0507009873554805 * if x > 0.0 { x } else { 1.6732632423543772 * (x.exp() - 1.0) }
        }),
        (Activation::GeluTanh, |x| {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            x * (1.0 + inner.tanh()) / 2.0
        }),
        (Activation::Softplus, |x| (1.0 + x.exp()).ln()),
    ];
    let points = floats(&draw(&[40], 3));
    for (activation, formula) in formulas {
        let expected: Vec<f64> = points.iter().map(|&x| formula(x)).collect();
        assert_close(activation.name(), &at_points(activation, &points)["y"], &expected);
    }
}

#[test]
fn softplus_is_precise_in_both_tails() {
    let found = at_points(Activation::Softplus, &[-300.0, -40.0, 40.0, 1e300]);
    let expected = [(-300f64).exp(), (-40f64).exp(), 40.0, 1e300];
    for (found, expected) in found["y"].iter().zip(expected) {
        assert!((found / expected - 1.0).abs() < 1e-14, "{found}, expected {expected}");
    }
    assert_close("derivative", &found["dx"], &[(-300f64).exp(), (-40f64).exp(), 1.0, 1.0]);
}

#[test]
fn nothing_overflows_where_the_other_branch_would() {
    for activation in [Activation::Elu { alpha: 1.0 }, Activation::Selu, Activation::Softplus] {
        let found = at_points(activation, &[1e4, -1e4]);
        assert!(found.values().flatten().all(|x| x.is_finite()), "{activation:?}: {found:?}");
    }
}

fn assert_as_torch(name: &str, layer: &dyn Layer, parameter: &str) {
    let [x, weights] = ["rows", "row_weights"].map(|name| tensor(&[3, 5], torch(name)));
    let found = outputs(layer, Mode::Infer, &x, &weights);
    assert_close(name, &found["y"], &torch(&format!("{name}.y")));
    assert_close(name, &found["dx"], &torch(&format!("{name}.dx")));
    if !parameter.is_empty() {
        assert_close(name, &found[parameter], &torch(&format!("{name}.dslopes")));
    }
}

#[test]
fn softmax_is_along_the_last_axis() {
    assert_as_torch("softmax", &Activation::Softmax, "");
}

#[test]
fn prelu_learns_one_slope_or_one_per_channel() {
    assert_as_torch("prelu_1", &PRelu::new(1), "dweight");
    assert_as_torch("prelu_5", &PRelu::new(5), "dweight");
    let mut cx = Context::new("g");
    let x = cx.input("x", DType::F32, [3, 5]).unwrap();
    let error = cx.layer("act1", &PRelu::new(4), x).unwrap_err().to_string();
    let expected = "prelu act1.weight: x is f32[3, 5], and there are 4 slopes; \
                    give one slope, or as many as axis 1 has values";
    assert_eq!(error, expected);
}

#[test]
fn rrelu_has_the_mean_slope_in_use() {
    assert_as_torch("rrelu_in_use", &RRelu::default(), "");
}

#[test]
fn rrelu_draws_a_slope_for_each_element_in_training() {
    let x = tensor(&[2000], (0..2000).map(|i| if i % 2 == 0 { -1.0 } else { 2.0 }).collect());
    let ones = tensor(&[2000], vec![1.0; 2000]);
    let found = outputs(&RRelu::default(), Mode::Train, &x, &ones);
    let slopes: Vec<f64> = found["dx"].iter().copied().step_by(2).collect();
    assert!(found["y"].iter().skip(1).step_by(2).all(|&y| y == 2.0));
    assert!(found["y"].iter().step_by(2).zip(&slopes).all(|(y, slope)| *y == -slope));
    let (low, high) = (1.0 / 8.0, 1.0 / 3.0);
    assert!(slopes.iter().all(|slope| (low..high).contains(slope)));
    // The deviation of the mean of 1000 slopes is (high - low) / sqrt(12 * 1000) = 0.0019.
    let mean = slopes.iter().sum::<f64>() / 1000.0;
    assert!((mean - (low + high) / 2.0).abs() < 0.008, "{mean}");
}

#[test]
fn bounds_of_rrelu_are_checked() {
    let mut cx = Context::new("g");
    let x = cx.input("x", DType::F32, [3, 5]).unwrap();
    let error = RRelu { low: 0.5, high: 0.25 }.forward(&mut cx, x).unwrap_err().to_string();
    assert_eq!(error, "rrelu: slopes are drawn from 0.5 to 0.25; give finite bounds in ascending order");
}
