//! Cross entropy of sequences: which steps count, its gradients, and the metrics of it.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

mod support;

use std::collections::BTreeMap;

use ir::{Builder, DType, Tensor, Value};
use nn::loss::{Counted, SequenceCrossEntropy};
use nn::metric;
use support::{assert_close, draw, floats, run, tensor};

const STEPS: usize = 4;
const BATCH: usize = 3;
const CLASSES: usize = 5;
/// The target at step 2 of the first sequence is none.
const TARGETS: [i64; STEPS * BATCH] = [0, 4, 1, 3, 3, 2, -1, 0, 0, 4, 1, 2];

/// What decides which steps count.
type Choose = fn(&mut Builder) -> Counted;

/// The mean, the accuracy, the bits and the gradient of the logits.
fn differentiate(choose: Choose) -> [Vec<f64>; 4] {
    let logits = draw(&[STEPS, BATCH, CLASSES], 1);
    let mut b = Builder::new("loss");
    let z = b.input("z", DType::F64, logits.shape().clone()).unwrap();
    let targets = b.constant(Tensor::new([STEPS, BATCH], TARGETS.to_vec()).unwrap());
    let counted = choose(&mut b);
    let entropy = SequenceCrossEntropy::new(&mut b, z, targets, counted).unwrap();
    let mean = entropy.mean(&mut b).unwrap();
    let outputs = [
        ("mean", mean),
        ("accuracy", entropy.accuracy(&mut b).unwrap()),
        ("bits", metric::bits(&mut b, mean).unwrap()),
        ("gradient", b.grad(mean, &[z]).unwrap()[0]),
    ];
    outputs.iter().for_each(|(name, value)| b.output(name, *value).unwrap());
    let result = run(&b.finish(), &[("z", logits)], &BTreeMap::new()).outputs;
    outputs.map(|(name, _)| floats(&result[name]))
}

/// The same by the definition, of these steps.
fn by_hand(is_counted: impl Fn(usize, usize) -> bool) -> [Vec<f64>; 4] {
    let logits = floats(&draw(&[STEPS, BATCH, CLASSES], 1));
    let places: Vec<usize> =
        (0..STEPS * BATCH).filter(|&at| TARGETS[at] >= 0 && is_counted(at / BATCH, at % BATCH)).collect();
    let count = places.len().max(1) as f64;
    let (mut mean, mut right, mut gradient) = (0.0, 0.0, vec![0.0; logits.len()]);
    for at in places {
        let (row, target) = (&logits[at * CLASSES..][..CLASSES], TARGETS[at] as usize);
        let sum: f64 = row.iter().map(|z| z.exp()).sum();
        mean -= (row[target].exp() / sum).ln() / count;
        right += if row.iter().all(|&z| z <= row[target]) { 1.0 / count } else { 0.0 };
        for class in 0..CLASSES {
            let is_target = f64::from(u8::from(class == target));
            gradient[at * CLASSES + class] = (row[class].exp() / sum - is_target) / count;
        }
    }
    [vec![mean], vec![right], vec![mean / 2f64.ln()], gradient]
}

fn check(choose: Choose, is_counted: impl Fn(usize, usize) -> bool) {
    let (found, expected) = (differentiate(choose), by_hand(is_counted));
    for (what, (found, expected)) in
        ["mean", "accuracy", "bits", "gradient"].iter().zip(found.iter().zip(&expected))
    {
        assert_close(what, found, expected);
    }
}

fn constant(b: &mut Builder, tensor: Tensor) -> Value {
    b.constant(tensor)
}

#[test]
fn steps_without_a_target_do_not_count() {
    check(|_| Counted::All, |_, _| true);
}

#[test]
fn steps_beyond_the_length_do_not_count() {
    const LENGTHS: [i64; BATCH] = [4, 0, 2];
    check(
        |b| Counted::Lengths(constant(b, Tensor::new([BATCH], LENGTHS.to_vec()).unwrap())),
        |step, row| (step as i64) < LENGTHS[row],
    );
}

#[test]
fn masked_steps_do_not_count_whatever_the_dtype_of_the_mask() {
    let is_counted = |step: usize, row: usize| !(step + row).is_multiple_of(3);
    const MASK: [bool; STEPS * BATCH] =
        [false, true, true, true, true, false, true, false, true, false, true, true];
    check(|b| Counted::Mask(constant(b, Tensor::new([STEPS, BATCH], MASK.to_vec()).unwrap())), is_counted);
    check(
        |b| {
            let mask = MASK.map(|is_counted| if is_counted { 0.5 } else { 0.0 });
            Counted::Mask(constant(b, tensor(&[STEPS, BATCH], mask.to_vec())))
        },
        is_counted,
    );
}

#[test]
fn where_nothing_counts_all_is_0() {
    check(|b| Counted::Lengths(constant(b, Tensor::new([BATCH], vec![0i64; BATCH]).unwrap())), |_, _| false);
}

#[test]
fn the_perplexity_of_equal_chances_is_the_number_of_classes() {
    let mut b = Builder::new("perplexity");
    let logits = b.constant(tensor(&[1, 1, CLASSES], vec![0.3; CLASSES]));
    let targets = b.constant(Tensor::new([1, 1], vec![2i64]).unwrap());
    let entropy = SequenceCrossEntropy::new(&mut b, logits, targets, Counted::All).unwrap();
    let mean = entropy.mean(&mut b).unwrap();
    let perplexity = metric::perplexity(&mut b, mean).unwrap();
    b.output("perplexity", perplexity).unwrap();
    let outputs = run(&b.finish(), &[], &BTreeMap::new()).outputs;
    assert_close("perplexity", &floats(&outputs["perplexity"]), &[CLASSES as f64]);
}
