//! Whole models: that they learn what they can, the graphs of training and of use, and summaries.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

mod support;

use std::collections::BTreeMap;

use ir::{Error, Tensor, Value};
use nn::models::{Logistic, Mlp, Perceptron};
use nn::network::{inference_graph, training_graph};
use nn::{
    Activation, Adam, Clip, Context, Layer, Linear, Loss, Optimizer, Sequential, Sgd, Summary, Supervised,
    TrainStep,
};
use support::{draw, floats, run};

const ROWS: usize = 30;

/// Points in the plane, and which of three sectors they are in: classes that lines separate.
fn sectors() -> (Tensor, Tensor) {
    let points: Vec<f32> = floats(&draw(&[ROWS, 2], 1)).iter().map(|&x| x as f32).collect();
    let sector = |p: &[f32]| ((p[1].atan2(p[0]) + std::f32::consts::PI) / 2.0943952).clamp(0.0, 2.0) as i64;
    let labels = points.chunks(2).map(sector).collect();
    (Tensor::new([ROWS, 2], points).unwrap(), Tensor::new([ROWS], labels).unwrap())
}

/// The losses of steps on all points, and how many the model then has right.
fn fit(model: &dyn Layer, loss: &Loss, optimizer: &dyn Optimizer, steps: usize) -> (Vec<f64>, i64) {
    let (x, y) = sectors();
    let network = Supervised::new([2], model, loss.clone());
    let graph = training_graph("model", &network, ROWS, optimizer).unwrap();
    let (mut states, mut losses, mut correct) = (BTreeMap::new(), Vec::new(), 0);
    for _ in 0..steps {
        let evaluation = run(&graph, &[("x", x.clone()), ("y", y.clone())], &states);
        states = evaluation.states;
        losses.push(evaluation.outputs["loss"].get(0).as_f64());
        correct = (evaluation.outputs["accuracy"].get(0).as_f64() * ROWS as f64).round() as i64;
    }
    (losses, correct)
}

#[test]
fn the_perceptron_stops_where_all_points_are_right() {
    let (losses, correct) = fit(&Perceptron::new(2, 3), &Perceptron::LOSS, &Sgd::new(0.5), 200);
    assert_eq!(correct, ROWS as i64);
    assert_eq!(losses[199], 0.0);
}

#[test]
fn logistic_regression_starts_even_and_learns() {
    let (losses, correct) = fit(&Logistic::new(2, 3), &Logistic::LOSS, &Sgd::new(1.0), 200);
    assert!((losses[0] - 3f64.ln()).abs() < 1e-6, "{}", losses[0]);
    assert!(losses.is_sorted_by(|a, b| a > b), "a convex loss falls in small steps");
    assert!(correct >= ROWS as i64 - 1, "{correct}");
}

/// Inputs that are not finite, and a loss that overflows; also in the second of two batches whose gradients are added up.
#[test]
fn a_step_that_is_not_finite_changes_no_state() {
    let model = Mlp { dropout: 0.1, batch_norm: true, ..Mlp::new(&[2, 16, 1], Activation::Tanh) };
    let adam = || TrainStep::new(Adam::new(0.05));
    for (step, accumulate) in [(adam(), 1), (adam().accumulate(2), 2), (adam().clip(Clip::Norm(1.0)), 1)] {
        let network = Supervised::new([2], &model, Loss::SquaredError);
        let graph = training_graph("model", &network, ROWS, &step).unwrap();
        let run = |x: f32, y: f32, states: &BTreeMap<String, Tensor>| {
            let fill = |columns, first| {
                let elements = (0..ROWS * columns).map(|at| if at == 0 { first } else { 0.01 * at as f32 });
                Tensor::new([ROWS, columns], elements.collect::<Vec<f32>>()).unwrap()
            };
            run(&graph, &[("x", fill(2, x)), ("y", fill(1, y))], states)
        };
        let before = run(0.5, 0.5, &BTreeMap::new()).states;
        let bad: &[(f32, f32)] = &[(f32::NAN, 0.0), (f32::INFINITY, 0.0), (0.0, 1e30), (0.0, f32::NAN)];
        for &(x, y) in bad {
            let evaluation = run(x, y, &before);
            assert!(!evaluation.outputs["loss"].get(0).as_f64().is_finite(), "{x} {y}");
            assert_eq!(evaluation.states, before, "{x} {y}, {accumulate} batches");
        }
        assert_ne!(run(0.5, 0.5, &before).states, before);
    }
}

#[test]
fn an_mlp_with_batch_norm_and_dropout_learns() {
    let model =
        Mlp { dropout: 0.1, batch_norm: true, ..Mlp::new(&[2, 16, 3], Activation::Elu { alpha: 1.0 }) };
    let (losses, correct) = fit(&model, &Loss::cross_entropy(), &Adam::new(0.05), 60);
    assert!(losses[59] < 0.3 * losses[0] && correct >= ROWS as i64 - 3, "{} {correct}", losses[59]);
}

/// Training has inputs and outputs by the loss; use has the parameters and buffers of training and nothing else.
#[test]
fn graphs_of_training_and_use_fit_together() {
    let model = Mlp { dropout: 0.5, batch_norm: true, ..Mlp::new(&[4, 5, 2], Activation::Relu) };
    let network = Supervised::new([4], &model, Loss::SquaredError).weighted();
    let trained = training_graph("m", &network, 6, &Sgd::new(0.1)).unwrap();
    let types: Vec<String> = (trained.inputs())
        .map(|(_, node)| format!("{}: {}", node.name.clone().unwrap(), node.results[0]))
        .collect();
    assert_eq!(types, ["x: f32[6, 4]", "y: f32[6, 2]", "w: f32[6]"]);
    assert_eq!(trained.outputs.len(), 1, "nothing is classified");
    let used = inference_graph("m", &network, 6).unwrap();
    let names: Vec<&str> = used.states().map(|(_, node)| node.name.as_deref().unwrap()).collect();
    let expected = [
        "fc1.weight",
        "bn1.weight",
        "bn1.bias",
        "bn1.running_mean",
        "bn1.running_var",
        "fc2.weight",
        "fc2.bias",
    ];
    assert_eq!(names, expected);
    assert!(used.updates.is_empty());
    for name in names {
        let [in_training, in_use] =
            [&trained, &used].map(|graph| graph.node(graph.find(name).unwrap()).op.clone());
        assert_eq!(in_training, in_use, "{name} starts the same in both");
    }
}

/// Rows of any shape, and predictions of any shape, as convolutions will have them.
#[test]
fn rows_may_have_any_shape() {
    let trained = |layer: &dyn Layer, loss| {
        training_graph("m", &Supervised::new([2, 4], layer, loss), 3, &Sgd::new(0.1))
    };
    let graph = trained(&Linear::new(4, 2), Loss::AbsoluteError).unwrap();
    let y = graph.node(graph.find("y").unwrap());
    assert_eq!(y.results[0].to_string(), "f32[3, 2, 2]");
    assert!(trained(&Logistic::new(8, 2), Loss::cross_entropy()).is_ok());
    let error = trained(&Linear::new(4, 2), Loss::cross_entropy());
    assert!(error.unwrap_err().to_string().starts_with("cross_entropy: the logits are f32[3, 2, 2]"));
}

/// A layer with a parameter of its own around another.
struct Scaled(Linear);

impl Layer for Scaled {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        let y = cx.layer("inner", &self.0, x)?;
        let scale = cx.parameter("scale", [1], ir::Init::Constant(1.0))?;
        cx.mul(y, scale)
    }
}

#[test]
fn a_summary_has_a_row_for_each_layer_that_computes() {
    let model = Sequential::new()
        .add(Linear::new(4, 8))
        .add(Activation::LeakyRelu { slope: 0.1 })
        .add(Sequential::new().add(Scaled(Linear::new(8, 2).without_bias())));
    let summary = Summary::new(&Supervised::new([4], model, Loss::SquaredError), 3).unwrap();
    let rows: Vec<String> = (summary.rows.iter())
        .map(|row| {
            let output = row.output.to_string();
            format!("{:?}", (&row.scope, &row.layer, output, row.parameters, row.multiply_adds))
        })
        .collect();
    let expected = [
        r#"("layers.0", "Linear 4 -> 8", "f32[3, 8]", 40, 96)"#,
        r#"("layers.1", "LeakyRelu { slope: 0.1 }", "f32[3, 8]", 0, 0)"#,
        r#"("layers.2.0", "Scaled", "f32[3, 2]", 1, 0)"#,
        r#"("layers.2.0.inner", "Linear 8 -> 2", "f32[3, 2]", 16, 48)"#,
    ];
    assert_eq!(rows, expected);
    assert_eq!((summary.parameters(), summary.multiply_adds()), (57, 144));
}

#[test]
fn a_model_of_one_layer_has_one_row() {
    let summary = Summary::new(&Supervised::new([4], Linear::new(4, 8), Loss::SquaredError), 1).unwrap();
    assert_eq!(summary.rows.len(), 1);
    assert_eq!((summary.rows[0].scope.as_str(), summary.rows[0].parameters), ("", 40));
}
