//! Losses, their gradients and the metrics against PyTorch and against formulas written out by hand.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

mod support;

use std::collections::BTreeMap;

use ir::{Builder, DType, Tensor};
use nn::loss::at_labels;
use nn::{Loss, metric};
use support::{assert_close, draw, floats, run, tensor, torch};

const ROWS: usize = 5;
const CLASSES: usize = 7;
const LABELS: [i64; ROWS] = [0, 6, 3, 3, 1];

fn labels(labels: &[i64]) -> Tensor {
    Tensor::new([labels.len()], labels.to_vec()).unwrap()
}

/// A loss of predictions and its gradient, by the graph; a mean over `weights` where there are some.
fn differentiate(
    loss: &Loss,
    prediction: &Tensor,
    target: &Tensor,
    weights: Option<&Tensor>,
) -> (f64, Vec<f64>) {
    let mut b = Builder::new("loss");
    let z = b.input("z", DType::F64, prediction.shape().clone()).unwrap();
    let y = b.input("y", target.dtype(), target.shape().clone()).unwrap();
    assert_eq!(loss.target(b.ty(z)), target.ty());
    let mean = match weights {
        None => loss.mean(&mut b, z, y).unwrap(),
        Some(weights) => {
            let weights = b.constant(weights.clone());
            loss.weighted_mean(&mut b, z, y, weights).unwrap()
        }
    };
    let gradient = b.grad(mean, &[z]).unwrap()[0];
    b.output("loss", mean).unwrap();
    b.output("gradient", gradient).unwrap();
    let inputs = [("z", prediction.clone()), ("y", target.clone())];
    let outputs = run(&b.finish(), &inputs, &BTreeMap::new()).outputs;
    (outputs["loss"].get(0).as_f64(), floats(&outputs["gradient"]))
}

#[test]
fn losses_and_their_gradients_are_those_of_pytorch() {
    let list = |name: &str| tensor(&[4, 3], torch(name));
    let classes = labels(&[0, 2, 1, 2]);
    let cross_entropy = |class_weights: &[f64], label_smoothing: f64| Loss::CrossEntropy {
        class_weights: class_weights.to_vec(),
        label_smoothing,
    };
    let weights = [0.5, 2.0, 1.25];
    let cases = [
        ("cross_entropy", Loss::cross_entropy(), classes.clone()),
        ("cross_entropy_weighted", cross_entropy(&weights, 0.0), classes.clone()),
        ("cross_entropy_smooth", cross_entropy(&[], 0.1), classes.clone()),
        ("cross_entropy_both", cross_entropy(&weights, 0.1), classes.clone()),
        ("multi_class_hinge", Loss::MultiClassHinge, classes),
        ("squared_error", Loss::SquaredError, list("targets")),
        ("absolute_error", Loss::AbsoluteError, list("targets")),
        ("huber", Loss::Huber { delta: 0.7 }, list("targets")),
        ("binary_cross_entropy", Loss::BinaryCrossEntropy, list("probabilities")),
        ("kl_divergence", Loss::KlDivergence, list("distribution")),
        ("soft_cross_entropy", Loss::SoftCrossEntropy, list("distribution")),
    ];
    for (name, loss, target) in cases {
        let (value, gradient) = differentiate(&loss, &list("logits"), &target, None);
        assert_close(name, &[value], &torch(&format!("{name}.y")));
        assert_close(&format!("gradient of {name}"), &gradient, &torch(&format!("{name}.dx")));
    }
}

/// `-log softmax(z)[y]` as it is defined, and its gradient `(softmax(z) - onehot(y)) / rows`.
fn cross_entropy_by_hand(z: &[f64]) -> (f64, Vec<f64>) {
    let (mut loss, mut gradient) = (0.0, Vec::new());
    for (row, label) in z.chunks(CLASSES).zip(LABELS) {
        let sum: f64 = row.iter().map(|z| z.exp()).sum();
        loss -= (row[label as usize].exp() / sum).ln() / ROWS as f64;
        let onehot = |j: usize| f64::from(u8::from(j == label as usize));
        gradient.extend(row.iter().enumerate().map(|(j, z)| (z.exp() / sum - onehot(j)) / ROWS as f64));
    }
    (loss, gradient)
}

#[test]
fn cross_entropy_and_its_gradient_are_the_formulas() {
    let logits = draw(&[ROWS, CLASSES], 1);
    let (loss, gradient) = differentiate(&Loss::cross_entropy(), &logits, &labels(&LABELS), None);
    let (expected_loss, expected_gradient) = cross_entropy_by_hand(&floats(&logits));
    assert_close("loss", &[loss], &[expected_loss]);
    assert_close("gradient", &gradient, &expected_gradient);
}

/// exp(1000) is infinite, and so is log(0); the shift by the maximum keeps both away.
#[test]
fn cross_entropy_of_huge_logits_is_finite() {
    let mut z = vec![0.0; ROWS * CLASSES];
    z[0] = 1000.0; // row 0: certain, and right
    z[CLASSES] = 1000.0; // row 1: certain, and wrong: the loss is 1000
    let z = tensor(&[ROWS, CLASSES], z);
    let (loss, gradient) = differentiate(&Loss::cross_entropy(), &z, &labels(&LABELS), None);
    assert_close("loss", &[loss], &[(1000.0 + 3.0 * (CLASSES as f64).ln()) / ROWS as f64]);
    assert_close("gradient", &gradient[..2], &[0.0, 0.0]);
    assert_close("gradient", &gradient[CLASSES..CLASSES + 1], &[1.0 / ROWS as f64]);
}

/// The low 32 bits of most of these are a class.
#[test]
fn a_label_that_is_no_class_is_none_and_not_another_one() {
    const NONE: [i64; 6] = [-1, CLASSES as i64, (1 << 32) + 1, 1 - (1 << 32), i64::MIN, i64::MAX - 1];
    let z = draw(&[NONE.len(), CLASSES], 1);
    let weights = (1..=CLASSES).map(|weight| weight as f64).collect();
    let losses = [
        Loss::cross_entropy(),
        Loss::CrossEntropy { class_weights: weights, label_smoothing: 0.1 },
        Loss::MultiClassHinge,
        Loss::MultiClassPerceptron,
    ];
    for loss in losses {
        let expected = differentiate(&loss, &z, &labels(&[-1; NONE.len()]), None);
        assert_eq!(differentiate(&loss, &z, &labels(&NONE), None), expected, "{loss:?}");
        let of_classes = differentiate(&loss, &z, &labels(&[1; NONE.len()]), None);
        assert_ne!(of_classes, expected, "{loss:?}");
    }
    let mut b = Builder::new("correct");
    let (logits, y) = (b.constant(z), b.constant(labels(&NONE)));
    let correct = metric::correct_count(&mut b, logits, y).unwrap();
    b.output("correct", correct).unwrap();
    let outputs = run(&b.finish(), &[], &BTreeMap::new()).outputs;
    assert_eq!(outputs["correct"].as_slice::<i64>(), Some(&[0][..]));
}

/// PyTorch divides 0 by 0 there, and all weights of the model are NaN after the step.
#[test]
fn a_batch_in_which_nothing_counts_has_a_loss_and_gradients_of_0() {
    let z = draw(&[2, 3], 1);
    let gradient_of_zero = (0.0, vec![0.0; 6]);
    for label_smoothing in [0.0, 0.1] {
        let loss = Loss::CrossEntropy { class_weights: vec![1.0, 0.0, 0.0], label_smoothing };
        assert_eq!(differentiate(&loss, &z, &labels(&[1, 2]), None), gradient_of_zero);
        assert_ne!(differentiate(&loss, &z, &labels(&[1, 0]), None), gradient_of_zero);
    }
    let none = tensor(&[2], vec![0.0; 2]);
    for (loss, target) in [(Loss::cross_entropy(), labels(&[0, 1])), (Loss::SquaredError, draw(&[2, 3], 2))] {
        let (value, gradient) = differentiate(&loss, &z, &target, Some(&none));
        assert_eq!((value, gradient.iter().all(|&g| g == 0.0)), (0.0, true), "{loss:?}");
    }
}

#[test]
fn losses_of_elements_are_their_formulas() {
    type Formula = fn(f64, f64) -> f64;
    let formulas: [(Loss, Formula); 6] = [
        (Loss::SquaredError, |f, y| (f - y) * (f - y)),
        (Loss::AbsoluteError, |f, y| (f - y).abs()),
        (Loss::Huber { delta: 1.5 }, |f, y| match (f - y).abs() {
            d if d <= 1.5 => d * d / 2.0,
            d => 1.5 * (d - 0.75),
        }),
        (Loss::BinaryCrossEntropy, |z, y| {
            let p = 1.0 / (1.0 + (-z).exp());
            -y * p.ln() - (1.0 - y) * (1.0 - p).ln()
        }),
        (Loss::Hinge, |f, y| (1.0 - y * f).max(0.0)),
        (Loss::Perceptron, |f, y| (-y * f).max(0.0)),
    ];
    let prediction = draw(&[ROWS, 3], 1);
    for (loss, formula) in formulas {
        let drawn = floats(&draw(&[ROWS, 3], 2)).into_iter();
        let target: Vec<f64> = match loss {
            Loss::BinaryCrossEntropy => drawn.map(|y| (y + 2.0) / 4.0).collect(),
            Loss::Hinge | Loss::Perceptron => drawn.map(f64::signum).collect(),
            _ => drawn.collect(),
        };
        let pairs = floats(&prediction).into_iter().zip(target.clone());
        let expected = pairs.map(|(f, y)| formula(f, y)).sum::<f64>() / (3 * ROWS) as f64;
        let (value, _) = differentiate(&loss, &prediction, &tensor(&[ROWS, 3], target), None);
        assert_close(&format!("{loss:?}"), &[value], &[expected]);
    }
}

/// The sum of `-y x.w` over misclassified points has the gradient `-sum y x`, which is `-y` per score; so has a point on the
/// boundary.
#[test]
fn the_perceptron_criterion_pulls_at_misclassified_points_alone() {
    let scores = tensor(&[5], vec![2.0, -0.5, 0.25, 0.0, 0.0]);
    let y = tensor(&[5], vec![1.0, 1.0, -1.0, 1.0, -1.0]);
    let (loss, gradient) = differentiate(&Loss::Perceptron, &scores, &y, None);
    assert_close("loss", &[loss], &[0.75 / 5.0]);
    assert_close("gradient", &gradient, &[0.0, -0.2, 0.2, -0.2, 0.2]);
}

#[test]
fn the_perceptron_criterion_of_classes_is_the_lead_of_the_greatest_score() {
    let scores = tensor(&[2, 3], vec![1.0, 3.0, 2.0, 0.5, -1.0, 0.0]);
    let (loss, gradient) = differentiate(&Loss::MultiClassPerceptron, &scores, &labels(&[2, 0]), None);
    assert_close("loss", &[loss], &[0.5]);
    assert_close("gradient", &gradient, &[0.0, 0.5, -0.5, 0.0, 0.0, 0.0]);
}

/// At 0, where weights that start at zero put all logits, a naive composition has the derivative 0 or 1.
#[test]
fn binary_cross_entropy_pulls_evenly_at_0_and_is_finite_far_from_it() {
    let z = tensor(&[4], vec![0.0, 0.0, 1e4, -1e4]);
    let y = tensor(&[4], vec![1.0, 0.0, 0.0, 1.0]);
    let (loss, gradient) = differentiate(&Loss::BinaryCrossEntropy, &z, &y, None);
    assert_close("loss", &[loss], &[(2.0 * 2f64.ln() + 2e4) / 4.0]);
    assert_close("gradient", &gradient, &[-0.125, 0.125, 0.25, -0.25]);
}

/// A row of weight 2 counts as one that is there twice, and one of weight 0 as one that is not there.
#[test]
fn weights_of_examples_are_how_often_they_count() {
    let z = floats(&draw(&[3, CLASSES], 1));
    let repeated = [&z[..CLASSES], &z[..CLASSES], &z[2 * CLASSES..]].concat();
    let weights = tensor(&[3], vec![2.0, 0.0, 1.0]);
    let (y, twice) = (labels(&[4, 0, 2]), labels(&[4, 4, 2]));
    let class_weights =
        Loss::CrossEntropy { class_weights: vec![1.0, 2.0, 0.5, 1.5, 3.0, 1.0, 1.0], label_smoothing: 0.0 };
    for loss in [Loss::cross_entropy(), class_weights, Loss::MultiClassHinge] {
        let rows = |z: &[f64]| tensor(&[3, CLASSES], z.to_vec());
        let (weighted, gradient) = differentiate(&loss, &rows(&z), &y, Some(&weights));
        let (expected, expected_gradient) = differentiate(&loss, &rows(&repeated), &twice, None);
        assert_close(&format!("{loss:?}"), &[weighted], &[expected]);
        assert_close("gradient", &gradient[2 * CLASSES..], &expected_gradient[2 * CLASSES..]);
        assert_close("gradient", &gradient[CLASSES..2 * CLASSES], &[0.0; CLASSES]);
    }
    let (y, twice) = (draw(&[3, CLASSES], 2), draw(&[3, CLASSES], 2));
    let mut twice = floats(&twice);
    twice.copy_within(..CLASSES, CLASSES);
    let rows = |z: &[f64]| tensor(&[3, CLASSES], z.to_vec());
    let (weighted, _) = differentiate(&Loss::AbsoluteError, &rows(&z), &y, Some(&weights));
    let (expected, _) = differentiate(&Loss::AbsoluteError, &rows(&repeated), &rows(&twice), None);
    assert_close("absolute error", &[weighted], &[expected]);
}

/// The number that a graph counts from a prediction and a target.
fn count(loss: &Loss, prediction: Tensor, target: Tensor) -> i64 {
    let mut b = Builder::new("metric");
    let z = b.input("z", prediction.dtype(), prediction.shape().clone()).unwrap();
    let y = b.input("y", target.dtype(), target.shape().clone()).unwrap();
    let correct = loss.correct_count(&mut b, z, y).unwrap().unwrap();
    b.output("correct", correct).unwrap();
    let outputs = run(&b.finish(), &[("z", prediction), ("y", target)], &BTreeMap::new()).outputs;
    outputs["correct"].as_slice::<i64>().unwrap()[0]
}

#[test]
fn correct_count_counts_rows_that_are_greatest_at_their_label() {
    let mut logits = vec![0.0; ROWS * CLASSES]; // equal logits: the first class is chosen, which is right in row 0
    logits[CLASSES + 6] = 1.0; // right
    logits[2 * CLASSES + 2] = 1.0; // wrong
    logits[3 * CLASSES + 3] = -1.0; // wrong
    logits[4 * CLASSES + 1] = 0.5; // right
    assert_eq!(count(&Loss::cross_entropy(), tensor(&[ROWS, CLASSES], logits), labels(&LABELS)), 3);
}

#[test]
fn correct_count_counts_scores_on_the_side_of_their_target() {
    let scores = || tensor(&[4], vec![0.5, -3.0, 0.0, 2.0]);
    assert_eq!(count(&Loss::Hinge, scores(), tensor(&[4], vec![1.0, 1.0, -1.0, -1.0])), 2);
    assert_eq!(count(&Loss::BinaryCrossEntropy, scores(), tensor(&[4], vec![1.0, 0.0, 0.0, 0.25])), 3);
    let mut b = Builder::new("metric");
    let z = b.input("z", DType::F64, [4]).unwrap();
    assert_eq!(Loss::SquaredError.correct_count(&mut b, z, z).unwrap(), None);
}

#[test]
fn metrics_show_types_that_do_not_fit() {
    let mut b = Builder::new("metric");
    let z = b.input("z", DType::F64, [4]).unwrap();
    let error = metric::correct_count(&mut b, z, z).unwrap_err().to_string();
    assert!(error.starts_with("correct_count: the logits are f64[4], the labels f64[4]"), "{error}");
}

/// `-(1 - p)^gamma log p` with the probability `p` of the label (T.-Y. Lin et al., 2017).
fn focal(gamma: f64) -> Loss {
    Loss::custom_of_classes("focal", move |b, logits, labels| {
        let log_p = b.log_softmax(logits, 1)?;
        let log_p = at_labels(b, log_p, labels)?;
        Ok(-(-log_p.expm1()).pow(gamma) * log_p)
    })
}

/// The focal loss as it is defined; its gradient with respect to a logit `j` is that of `p`, `p ([j = label] - p_j)`, times
/// `gamma (1 - p)^(gamma - 1) log p - (1 - p)^gamma / p`.
#[test]
fn a_focal_loss_is_its_formula_and_so_is_its_gradient() {
    let (z, gamma) = (draw(&[ROWS, CLASSES], 0), 2.5);
    let rows = floats(&z);
    let (mut expected, mut slopes) = (0.0, Vec::new());
    for (row, &label) in rows.chunks(CLASSES).zip(&LABELS) {
        let sum: f64 = row.iter().map(|z| z.exp()).sum();
        let p = row[label as usize].exp() / sum;
        expected -= (1.0 - p).powf(gamma) * p.ln() / ROWS as f64;
        let slope = gamma * (1.0 - p).powf(gamma - 1.0) * p.ln() - (1.0 - p).powf(gamma) / p;
        slopes.extend((0..CLASSES).map(|class| {
            let is_label = f64::from(u8::from(class == label as usize));
            slope * p * (is_label - row[class].exp() / sum) / ROWS as f64
        }));
    }
    let (loss, gradient) = differentiate(&focal(gamma), &z, &labels(&LABELS), None);
    assert_close("focal", &[loss], &[expected]);
    assert_close("gradient of focal", &gradient, &slopes);
}

#[test]
fn a_custom_loss_has_the_means_of_the_others() {
    let [f, y] = [0, 1].map(|stream| draw(&[ROWS, 3], stream));
    let weights = tensor(&[ROWS], vec![1.0, 0.0, 2.0, 0.5, 3.0]);
    let custom = Loss::custom("square", |_, prediction, target| Ok((prediction - target).square()));
    for weights in [None, Some(&weights)] {
        let expected = differentiate(&Loss::SquaredError, &f, &y, weights);
        assert_eq!(differentiate(&custom, &f, &y, weights), expected);
    }
    let z = draw(&[ROWS, CLASSES], 2);
    for weights in [None, Some(&weights)] {
        let (expected, _) = differentiate(&Loss::cross_entropy(), &z, &labels(&LABELS), weights);
        let likelihood = Loss::custom_of_classes("likelihood", |b, logits, labels| {
            let log_p = b.log_softmax(logits, 1)?;
            Ok(-at_labels(b, log_p, labels)?)
        });
        let (found, _) = differentiate(&likelihood, &z, &labels(&LABELS), weights);
        assert_close("likelihood", &[found], &[expected]);
    }
}

#[test]
fn a_custom_loss_of_classes_counts_what_is_right() {
    let mut b = Builder::new("count");
    let z = b.input("z", DType::F64, [ROWS, CLASSES]).unwrap();
    let y = b.input("y", DType::I64, [ROWS]).unwrap();
    assert!(focal(2.0).correct_count(&mut b, z, y).unwrap().is_some());
    let custom = Loss::custom("square", |_, f, y| Ok((f - y).square()));
    assert!(custom.correct_count(&mut b, z, z).unwrap().is_none());
}

#[test]
fn a_custom_loss_that_is_none_is_an_error() {
    let mut b = Builder::new("wrong");
    let f = b.input("f", DType::F32, [8, 3]).unwrap();
    let y = b.input("y", DType::I64, [8]).unwrap();
    let mean = Loss::custom("total", |_, f, y| Ok((f - y).square().mean_all()));
    assert_eq!(
        mean.mean(&mut b, f, f).unwrap_err().to_string(),
        "total: it gives f32[], and the prediction is f32[8, 3]; \
         give the losses of rows or elements, floats of [batch, ..]"
    );
    assert_eq!(
        mean.mean(&mut b, f, y).unwrap_err().to_string(),
        "total: the prediction is f32[8, 3], the target i64[8]; \
         give two floats of one shape, with an axis for the batch"
    );
    let truth = Loss::custom("truth", |_, f, y| Ok(f.gt(y)));
    let message = truth.mean(&mut b, f, f).unwrap_err().to_string();
    assert!(
        message.starts_with("truth: it gives bool[8, 3], and the prediction is f32[8, 3]; "),
        "{message}"
    );
    let misfit = Loss::custom("misfit", |_, f, y| Ok(f.matmul(y)));
    let message = misfit.mean(&mut b, f, f).unwrap_err().to_string();
    assert!(message.starts_with(&format!("matmul at {}:", file!())), "{message}");
}

#[test]
fn custom_losses_are_equal_where_one_is_a_clone_of_the_other() {
    fn is_shared<T: Send + Sync + Clone + std::fmt::Debug>(_: &T) {}
    let loss = focal(2.0);
    is_shared(&loss);
    assert_eq!(loss.clone(), loss);
    assert_ne!(focal(2.0), loss);
    assert_eq!(format!("{loss:?}"), "Custom(CustomLoss(\"focal\"))");
}
