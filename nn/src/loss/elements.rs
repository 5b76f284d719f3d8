//! Losses of numbers: a term per element of the prediction and of the target, which have one shape.

use ir::{Builder, Error, Value};

/// `(f - y)^2`
pub fn squared_error(b: &mut Builder, prediction: Value, target: Value) -> Result<Value, Error> {
    b.eval((prediction - target).square())
}

/// `|f - y|`
pub fn absolute_error(b: &mut Builder, prediction: Value, target: Value) -> Result<Value, Error> {
    b.eval((prediction - target).abs())
}

/// With `d = f - y` and `c` as `d` within -delta..delta: `c (d - c / 2)`, which is `d^2 / 2` inside and
/// `delta (|d| - delta / 2)` outside.
pub fn huber(b: &mut Builder, prediction: Value, target: Value, delta: f64) -> Result<Value, Error> {
    if !delta.is_finite() || delta <= 0.0 {
        let problem = format!("delta is {delta}");
        return Err(Error::new("huber", problem, "give a finite number above 0"));
    }
    let [low, high, half] = [-delta, delta, 0.5].map(|number| b.float_like(prediction, number));
    let difference = b.eval(prediction - target)?;
    let clamped = b.eval(difference.clamp(low, high))?;
    b.eval(clamped * (difference - clamped * half))
}

/// `max(z, 0) - z y + log(1 + exp(-|z|))`
pub fn binary_cross_entropy(b: &mut Builder, logits: Value, target: Value) -> Result<Value, Error> {
    let (positive, log) = crate::activation::softplus_parts(b, logits)?;
    b.eval(positive - logits * target + log)
}

/// `max(0, 1 - y f)`
pub fn hinge(b: &mut Builder, scores: Value, target: Value) -> Result<Value, Error> {
    b.eval((1.0 - scores * target).relu())
}

/// `-y f` where `y f <= 0`, else 0. A score of 0 counts as misclassified, so that weights which start at 0 move.
pub fn perceptron(b: &mut Builder, scores: Value, target: Value) -> Result<Value, Error> {
    let agreement = b.eval(scores * target)?;
    let zero = b.float_like(agreement, 0.0);
    b.eval(agreement.gt(zero).select(zero, -agreement))
}

/// Checks that both are floats of one type, with an axis for the batch.
pub fn check(subject: &str, b: &Builder, prediction: Value, target: Value) -> Result<(), Error> {
    b.check(subject, &[prediction, target])?;
    let (prediction, target) = (b.ty(prediction), b.ty(target));
    if prediction == target && prediction.dtype.is_float() && prediction.shape.rank() > 0 {
        return Ok(());
    }
    let problem = format!("the prediction is {prediction}, the target {target}");
    Err(Error::new(subject, problem, "give two floats of one shape, with an axis for the batch"))
}
