//! Gradients of layers and losses, and gradients of these, against central differences.

use std::collections::BTreeMap;

use ir::{DType, Error, Graph, Tensor, Value};
use nn::{
    Activation, BatchNorm, Context, Dropout, Embedding, Layer, LayerNorm, Linear, Loss, Mode, PRelu, RRelu,
};
use tests::compare::seeded_tensor;
use tests::gradients::{check, gradient};

const ROWS: usize = 5;
const COLUMNS: usize = 3;

/// A function of `x`, floats, and the names by which it is differentiated: `x` and its parameters, all of them drawn.
fn check_function(name: &str, shape: &[usize], build: impl Fn(&mut Context, Value) -> Result<Value, Error>) {
    let mut cx = Context::with(name, Mode::Train, DType::F64);
    let x = cx.input("x", DType::F64, shape).expect("the name is free");
    let y = build(&mut cx, x).unwrap_or_else(|error| panic!("{error}"));
    cx.output("y", y).expect("the name is free");
    let names: Vec<String> =
        ["x".to_owned()].into_iter().chain(cx.parameters().iter().map(|p| p.name.clone())).collect();
    let graph: Graph = cx.finish();
    let tensors: BTreeMap<String, Tensor> = (names.iter().zip(0..))
        .map(|(name, stream)| {
            let node = graph.find(name).expect("it has just been made");
            (name.clone(), seeded_tensor(&graph.node(node).results[0], 11, stream))
        })
        .collect();
    check(&graph, &names, &tensors);
    check(&gradient(&graph, &names, 3), &names, &tensors);
}

fn check_layer(layer: &dyn Layer, shape: &[usize]) {
    check_function("layer", shape, |cx, x| layer.forward(cx, x));
}

#[test]
fn gradients_of_activations_agree_with_central_differences() {
    for activation in Activation::ALL {
        check_layer(&activation, &[ROWS, COLUMNS]);
    }
    check_layer(&PRelu::new(1), &[ROWS, COLUMNS]);
    check_layer(&PRelu::new(COLUMNS), &[2, COLUMNS, 4]);
    check_layer(&RRelu::default(), &[ROWS, COLUMNS]);
}

#[test]
fn gradients_of_layers_agree_with_central_differences() {
    check_layer(&Linear::new(COLUMNS, 2), &[ROWS, COLUMNS]);
    check_layer(&LayerNorm::new(COLUMNS), &[ROWS, COLUMNS]);
    check_layer(&BatchNorm::new(COLUMNS), &[ROWS, COLUMNS]);
    check_layer(&BatchNorm::new(COLUMNS), &[2, COLUMNS, 2, 3]);
    check_layer(&Dropout::new(0.4), &[ROWS, COLUMNS]);
    check_function("embedding", &[2, 2, 3], |cx, x| {
        let indices = cx.constant(Tensor::new([2, 2], vec![0i64, 3, 1, 3]).expect("four indices"));
        let rows = cx.layer("table", &Embedding::new(4, 3), indices)?;
        cx.mul(rows, x)
    });
}

#[test]
fn gradients_of_losses_agree_with_central_differences() {
    let of_classes = [
        Loss::cross_entropy(),
        Loss::CrossEntropy { class_weights: vec![0.5, 2.0, 1.0], label_smoothing: 0.1 },
        Loss::MultiClassHinge,
        Loss::MultiClassPerceptron,
    ];
    let of_elements = [
        Loss::SquaredError,
        Loss::AbsoluteError,
        Loss::Huber { delta: 0.4 },
        Loss::BinaryCrossEntropy,
        Loss::Hinge,
        Loss::Perceptron,
        Loss::KlDivergence,
        Loss::SoftCrossEntropy,
    ];
    for loss in of_classes.iter().chain(&of_elements) {
        check_function("loss", &[ROWS, COLUMNS], |cx, x| {
            let target = if loss.has_labels() {
                Tensor::new([ROWS], vec![2i64, 0, 1, 1, 2])
            } else {
                let signs = (0..ROWS * COLUMNS).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 });
                let scale =
                    if matches!(loss, Loss::BinaryCrossEntropy | Loss::KlDivergence) { 0.4 } else { 1.0 };
                Tensor::new([ROWS, COLUMNS], signs.map(|sign| scale * sign + 1.0 - scale).collect())
            };
            let target = cx.constant(target.expect("as many elements as the shape has"));
            let weights =
                cx.constant(Tensor::new([ROWS], vec![1.0, 0.5, 2.0, 0.0, 1.5]).expect("a weight per row"));
            loss.weighted_mean(cx, x, target, weights)
        });
    }
}
