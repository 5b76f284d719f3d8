//! Losses, their gradients and the metric against formulas written out by hand.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

mod support;

use std::collections::BTreeMap;

use ir::{Builder, DType, Tensor};
use nn::{Loss, metric};
use support::{assert_close, draw, floats, run};

const ROWS: usize = 5;
const CLASSES: usize = 7;
const LABELS: [i64; ROWS] = [0, 6, 3, 3, 1];

fn labels() -> Tensor {
    Tensor::new([ROWS], LABELS.to_vec()).unwrap()
}

/// Loss and gradient of the logits by the graph.
fn cross_entropy(logits: &Tensor) -> (f64, Vec<f64>) {
    let mut b = Builder::new("loss");
    let z = b.input("z", DType::F64, [ROWS, CLASSES]).unwrap();
    let y = b.input("y", DType::I64, [ROWS]).unwrap();
    let loss = Loss::cross_entropy().mean(&mut b, z, y).unwrap();
    let gradient = b.grad(loss, &[z]).unwrap()[0];
    b.output("loss", loss).unwrap();
    b.output("gradient", gradient).unwrap();
    let outputs = run(&b.finish(), &[("z", logits.clone()), ("y", labels())], &BTreeMap::new()).outputs;
    (outputs["loss"].get(0).as_f64(), floats(&outputs["gradient"]))
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
fn softmax_cross_entropy_and_its_gradient_are_the_formulas() {
    let logits = draw(&[ROWS, CLASSES], 1);
    let (loss, gradient) = cross_entropy(&logits);
    let (expected_loss, expected_gradient) = cross_entropy_by_hand(&floats(&logits));
    assert_close("loss", &[loss], &[expected_loss]);
    assert_close("gradient", &gradient, &expected_gradient);
}

/// exp(1000) is infinite, and so is log(0); the shift by the maximum keeps both away.
#[test]
fn softmax_cross_entropy_of_huge_logits_is_finite() {
    let mut z = vec![0.0; ROWS * CLASSES];
    z[0] = 1000.0; // row 0: certain, and right
    z[CLASSES] = 1000.0; // row 1: certain, and wrong: the loss is 1000
    let (loss, gradient) = cross_entropy(&Tensor::new([ROWS, CLASSES], z).unwrap());
    assert_close("loss", &[loss], &[(1000.0 + 3.0 * (CLASSES as f64).ln()) / ROWS as f64]);
    assert_close("gradient", &gradient[..2], &[0.0, 0.0]);
    assert_close("gradient", &gradient[CLASSES..CLASSES + 1], &[1.0 / ROWS as f64]);
}

#[test]
fn mse_loss_and_its_gradient_are_the_formulas() {
    let mut b = Builder::new("loss");
    let p = b.input("p", DType::F64, [3, 2]).unwrap();
    let t = b.input("t", DType::F64, [3, 2]).unwrap();
    let loss = Loss::SquaredError.mean(&mut b, p, t).unwrap();
    let gradient = b.grad(loss, &[p]).unwrap()[0];
    b.output("loss", loss).unwrap();
    b.output("gradient", gradient).unwrap();
    let (p, t) = (draw(&[3, 2], 1), draw(&[3, 2], 2));
    let outputs = run(&b.finish(), &[("p", p.clone()), ("t", t.clone())], &BTreeMap::new()).outputs;
    let differences: Vec<f64> = floats(&p).iter().zip(floats(&t)).map(|(p, t)| p - t).collect();
    let expected = differences.iter().map(|d| d * d).sum::<f64>() / 6.0;
    assert_close("loss", &floats(&outputs["loss"]), &[expected]);
    assert_close(
        "gradient",
        &floats(&outputs["gradient"]),
        &differences.iter().map(|d| d / 3.0).collect::<Vec<_>>(),
    );
}

#[test]
fn correct_count_counts_rows_that_are_greatest_at_their_label() {
    let mut b = Builder::new("metric");
    let z = b.input("z", DType::F64, [ROWS, CLASSES]).unwrap();
    let y = b.input("y", DType::I64, [ROWS]).unwrap();
    let correct = metric::correct_count(&mut b, z, y).unwrap();
    b.output("correct", correct).unwrap();
    let graph = b.finish();
    let mut logits = vec![0.0; ROWS * CLASSES]; // equal logits: the first class is chosen, which is right in row 0
    logits[CLASSES + 6] = 1.0; // right
    logits[2 * CLASSES + 2] = 1.0; // wrong
    logits[3 * CLASSES + 3] = -1.0; // wrong
    logits[4 * CLASSES + 1] = 0.5; // right
    let logits = Tensor::new([ROWS, CLASSES], logits).unwrap();
    let outputs = run(&graph, &[("z", logits), ("y", labels())], &BTreeMap::new()).outputs;
    assert_eq!(outputs["correct"].as_slice::<i64>().unwrap(), [3]);
}
