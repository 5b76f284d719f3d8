//! Layers against formulas written out by hand.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

mod support;

use std::collections::BTreeMap;

use ir::{DType, Tensor};
use nn::{Context, Embedding, Flatten, Layer, Linear, Mode, Relu, Sequential, Sigmoid, Tanh, models::Mlp};
use support::{assert_close, draw, floats, run};

/// `x W^T + b` for one row after the other.
fn dense(x: &[f64], weight: &[f64], bias: &[f64], in_features: usize) -> Vec<f64> {
    let row = |x: &[f64]| -> Vec<f64> {
        let rows = weight.chunks(in_features).zip(bias);
        rows.map(|(w, b)| w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + b).collect()
    };
    x.chunks(in_features).flat_map(row).collect()
}

/// Runs a model on x, f64[3, 4], with parameters drawn at random; returns x, the parameters and the result.
fn forward(model: &dyn Layer) -> (Vec<f64>, BTreeMap<String, Tensor>, Vec<f64>) {
    let mut cx = Context::with("model", Mode::Infer, DType::F64);
    let x = cx.input("x", DType::F64, [3, 4]).unwrap();
    let y = model.forward(&mut cx, x).unwrap();
    cx.output("y", y).unwrap();
    let parameters: BTreeMap<String, Tensor> = (cx.parameters().iter().zip(1..))
        .map(|(parameter, stream)| (parameter.name.clone(), draw(cx.shape(parameter.value), stream)))
        .collect();
    let x = draw(&[3, 4], 0);
    let evaluation = run(&cx.finish(), &[("x", x.clone())], &parameters);
    (floats(&x), parameters, floats(&evaluation.outputs["y"]))
}

#[test]
fn linear_is_x_times_the_transposed_weight_plus_the_bias() {
    let (x, parameters, y) = forward(&Linear::new(4, 5));
    assert_close("y", &y, &dense(&x, &floats(&parameters["weight"]), &floats(&parameters["bias"]), 4));
}

#[test]
fn linear_without_a_bias_adds_none() {
    let (x, parameters, y) = forward(&Linear::new(4, 5).without_bias());
    assert_close("y", &y, &dense(&x, &floats(&parameters["weight"]), &[0.0; 5], 4));
    assert_eq!(parameters.len(), 1);
}

#[test]
fn sequential_chains_its_layers() {
    let model = Sequential::new().add(Linear::new(4, 7)).add(Tanh).add(Linear::new(7, 2));
    let (x, p, y) = forward(&model);
    let hidden = dense(&x, &floats(&p["layers.0.weight"]), &floats(&p["layers.0.bias"]), 4);
    let hidden: Vec<f64> = hidden.iter().map(|x| x.tanh()).collect();
    assert_close("y", &y, &dense(&hidden, &floats(&p["layers.2.weight"]), &floats(&p["layers.2.bias"]), 7));
}

#[test]
fn mlp_has_an_activation_after_every_layer_but_the_last_unless_asked() {
    let sigmoid = |x: &f64| 1.0 / (1.0 + (-x).exp());
    for output in [None, Some(Sigmoid)] {
        let model = Mlp { output_activation: output, ..Mlp::new(&[4, 7, 2], Relu) };
        let (x, p, y) = forward(&model);
        let hidden = dense(&x, &floats(&p["fc1.weight"]), &floats(&p["fc1.bias"]), 4);
        let hidden: Vec<f64> = hidden.iter().map(|x| x.max(0.0)).collect();
        let last = dense(&hidden, &floats(&p["fc2.weight"]), &floats(&p["fc2.bias"]), 7);
        let expected = if output.is_some() { last.iter().map(sigmoid).collect() } else { last };
        assert_close("y", &y, &expected);
    }
}

/// PyTorch's default of `Linear`, that of the models here, and biases: by what the interpreter starts from.
#[test]
fn parameters_start_as_documented() {
    let mut cx = Context::new("model");
    let x = cx.input("x", DType::F32, [1, 64]).unwrap();
    cx.scope("plain", |cx| Linear::new(64, 256).forward(cx, x)).unwrap();
    Mlp::new(&[64, 256, 1], Relu).forward(&mut cx, x).unwrap();
    let states =
        run(&cx.finish(), &[("x", Tensor::zeros(&ir::Type::new(DType::F32, [1, 64])))], &BTreeMap::new())
            .states;
    let most = |name: &str| floats(&states[name]).iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    assert!((most("plain.weight") - 0.125).abs() < 1e-3 && (most("plain.bias") - 0.125).abs() < 3e-3);
    assert!((most("fc1.weight") - (6.0f64 / 64.0).sqrt()).abs() < 1e-3);
    assert_eq!(most("fc1.bias"), 0.0);
}

#[test]
fn embedding_picks_rows_and_its_gradient_adds_them_up() {
    let mut cx = Context::with("words", Mode::Train, DType::F64);
    let x = cx.input("x", DType::I64, [2, 2]).unwrap();
    let y = cx.layer("table", &Embedding::new(4, 3), x).unwrap();
    let sum = cx.reduce_sum(y, &[0, 1, 2], false).unwrap();
    let gradient = cx.gradients(sum).unwrap()[0];
    cx.output("y", y).unwrap();
    cx.output("gradient", gradient).unwrap();
    let weight = draw(&[4, 3], 1);
    let states = BTreeMap::from([("table.weight".to_owned(), weight.clone())]);
    let indices = Tensor::new([2, 2], vec![2i64, 0, 2, 9]).unwrap();
    let outputs = run(&cx.finish(), &[("x", indices)], &states).outputs;
    let rows = floats(&weight);
    let expected = [&rows[6..9], &rows[..3], &rows[6..9], &[0.0; 3]].concat(); // 9 is outside
    assert_close("y", &floats(&outputs["y"]), &expected);
    let counts = [[1.0; 3], [0.0; 3], [2.0; 3], [0.0; 3]].concat();
    assert_close("gradient", &floats(&outputs["gradient"]), &counts);
}

#[test]
fn flatten_keeps_rows_and_order() {
    let mut cx = Context::new("flat");
    let x = cx.input("x", DType::F32, [2, 2, 3]).unwrap();
    let y = Flatten.forward(&mut cx, x).unwrap();
    cx.output("y", y).unwrap();
    let x = Tensor::new([2, 2, 3], (0..12).map(|i| i as f32).collect()).unwrap();
    let y = &run(&cx.finish(), &[("x", x)], &BTreeMap::new()).outputs["y"];
    assert_eq!(y.shape()[..], [2, 6]);
    assert_eq!(floats(y), (0..12).map(f64::from).collect::<Vec<f64>>());
    let mut cx = Context::new("g");
    let x = cx.input("x", DType::F32, []).unwrap();
    let error = Flatten.forward(&mut cx, x).unwrap_err().to_string();
    assert_eq!(error, "flatten: x is f32[]; give x of [batch, ..]");
}
