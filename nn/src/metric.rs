//! What is reported of a model and not minimised.

use ir::{Builder, DType, Error, Value};

use crate::loss::check_classes;

/// How many rows of `logits`, floats `[batch, classes]`, are greatest at the label of the row: an `i64[]`. A row that
/// holds a NaN counts as wrong unless the first NaN stands at the label.
///
/// ```
/// use ir::DType;
/// let mut b = ir::Builder::new("metric");
/// let logits = b.input("logits", DType::F32, [8, 10])?;
/// let labels = b.input("labels", DType::I64, [8])?;
/// let correct = nn::metric::correct_count(&mut b, logits, labels)?;
/// assert_eq!(b.ty(correct).to_string(), "i64[]");
/// # Ok::<(), ir::Error>(())
/// ```
///
/// # Errors
/// Where the types do not fit together.
pub fn correct_count(b: &mut Builder, logits: Value, labels: Value) -> Result<Value, Error> {
    check_classes("correct_count", b, logits, labels)?;
    let predicted = b.argmax(logits, 1)?;
    b.eval(predicted.eq(labels).cast(DType::I64).sum_all())
}

/// The part of the rows of `logits`, floats `[batch, classes]`, that are greatest at their label: an `f32[]`. What a network
/// reports as a metric.
///
/// # Errors
/// As [`correct_count`].
pub fn accuracy(b: &mut Builder, logits: Value, labels: Value) -> Result<Value, Error> {
    let correct = correct_count(b, logits, labels)?;
    let rows = b.shape(labels).elements();
    part_of(b, correct, rows)
}

/// A mean cross entropy, which is in nats, in bits: of text, what a character takes when it is coded by the model.
///
/// ```
/// let mut b = ir::Builder::new("metric");
/// let nats = b.float(ir::DType::F32, 2f64.ln());
/// let bits = nn::metric::bits(&mut b, nats)?;
/// # let graph = { b.output("bits", bits)?; b.finish() };
/// # let bits = &ir::eval::evaluate(&graph, &Default::default()).unwrap().outputs["bits"];
/// # assert_eq!(bits.get(0).as_f64(), 1.0);
/// # Ok::<(), ir::Error>(())
/// ```
///
/// # Errors
/// Where it is a value of another graph.
pub fn bits(b: &mut Builder, nats: Value) -> Result<Value, Error> {
    b.eval(nats * std::f64::consts::LOG2_E)
}

/// The perplexity of a mean cross entropy: its exponential, the number of classes that are as hard to choose from.
///
/// # Errors
/// Where it is a value of another graph.
pub fn perplexity(b: &mut Builder, nats: Value) -> Result<Value, Error> {
    b.exp(nats)
}

/// `count / all` as an `f32[]`.
pub(crate) fn part_of(b: &mut Builder, count: Value, all: usize) -> Result<Value, Error> {
    let count = b.cast(count, DType::F32)?;
    let part = b.float(DType::F32, 1.0 / all.max(1) as f64);
    b.mul(count, part)
}

/// How many elements of `scores` are above 0 where that of `target` is above `middle`, and not where it is not: an
/// `i64[]`.
///
/// # Errors
/// Where the two cannot be broadcast together.
pub fn same_side_count(b: &mut Builder, scores: Value, target: Value, middle: f64) -> Result<Value, Error> {
    b.check("same_side_count", &[scores, target])?;
    let [zero, middle] = [0.0, middle].map(|number| b.float_like(scores, number));
    let is_correct = scores.gt(zero).eq(target.gt(middle));
    b.eval(is_correct.cast(DType::I64).sum_all())
}
