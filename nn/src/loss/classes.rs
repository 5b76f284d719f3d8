//! Losses of scores of classes, `[batch, classes]`: a term per row.

use ir::{Builder, DType, Error, Scalar, Tensor, Type, Value};

use super::Terms;

/// `log sum_j exp(s_j) - s_label` with `s = z - max z`, so that nothing overflows; see [`Loss::CrossEntropy`].
///
/// [`Loss::CrossEntropy`]: super::Loss::CrossEntropy
pub fn cross_entropy(
    b: &mut Builder,
    logits: Value,
    labels: Value,
    class_weights: &[f64],
    label_smoothing: f64,
) -> Result<Terms, Error> {
    let classes = b.shape(logits)[1];
    check_settings(class_weights, label_smoothing, b.ty(logits))?;
    let (shifted, log_sum) = log_softmax(b, logits)?;
    let is_label = is_label(b, logits, labels)?;
    let at_label = sum_where(b, is_label, shifted)?;
    let losses = b.eval(log_sum - at_label)?;
    if class_weights.is_empty() && label_smoothing == 0.0 {
        return Ok(Terms { losses, weights: None });
    }
    let weight_of_class = if class_weights.is_empty() { vec![1.0; classes] } else { class_weights.to_vec() };
    let dtype = b.dtype(logits);
    let table = Tensor::from_fn(&Type::new(dtype, [1, classes]), |class| {
        Scalar::from_f64(dtype, weight_of_class[class])
    });
    let table = b.constant(table);
    let table = b.broadcast(table, b.shape(logits).clone())?;
    let weights = sum_where(b, is_label, table)?;
    let losses = b.eval(losses * weights)?;
    let losses = if label_smoothing == 0.0 {
        losses
    } else {
        // The mean over all classes of -w_c log softmax_c.
        let all = b.eval((table * shifted).sum(&[1]))?;
        let all = b.eval(log_sum * weight_of_class.iter().sum::<f64>() - all)?;
        let [kept, spread] =
            [1.0 - label_smoothing, label_smoothing / classes as f64].map(|part| b.float_like(all, part));
        b.eval(losses * kept + all * spread)?
    };
    let weights = (!class_weights.is_empty()).then_some(weights);
    Ok(Terms { losses, weights })
}

/// `sum_j y_j (log y_j - log softmax(z)_j)`, a term of 0 where `y_j` is 0.
pub fn kl_divergence(b: &mut Builder, logits: Value, target: Value) -> Result<Value, Error> {
    let log_softmax = log_softmax_rows("kl_divergence", b, logits)?;
    let [zero, one] = [0.0, 1.0].map(|number| b.float_like(target, number));
    let positive = target.gt(zero).select(target, one);
    b.eval((target * (positive.log() - log_softmax)).sum(&[1]))
}

/// `-sum_j y_j log softmax(z)_j`
pub fn soft_cross_entropy(b: &mut Builder, logits: Value, target: Value) -> Result<Value, Error> {
    let log_softmax = log_softmax_rows("soft_cross_entropy", b, logits)?;
    b.eval(-(target * log_softmax).sum(&[1]))
}

/// `log softmax(z)` of each row of logits, which are to be `[batch, classes]`.
fn log_softmax_rows(subject: &str, b: &mut Builder, logits: Value) -> Result<Value, Error> {
    b.check(subject, &[logits])?;
    if b.shape(logits).rank() != 2 {
        let problem = format!("the prediction is {}", b.ty(logits));
        return Err(Error::new(subject, problem, "give f32[batch, classes]"));
    }
    b.log_softmax(logits, 1)
}

/// `sum_j max(0, 1 - z_label + z_j) / classes` over j other than the label.
pub fn hinge(b: &mut Builder, scores: Value, labels: Value) -> Result<Value, Error> {
    let (rows, classes) = (b.shape(scores)[0], b.shape(scores)[1]);
    let is_label = is_label(b, scores, labels)?;
    let at_label = sum_where(b, is_label, scores)?;
    let at_label = b.reshape(at_label, [rows, 1])?;
    let [zero, one] = [0.0, 1.0].map(|number| b.float_like(scores, number));
    let margins = b.eval((scores - at_label + one).relu())?;
    b.eval(is_label.select(zero, margins).sum(&[1]) * (1.0 / classes as f64))
}

/// `max_j z_j - z_label`
pub fn perceptron(b: &mut Builder, scores: Value, labels: Value) -> Result<Value, Error> {
    let is_label = is_label(b, scores, labels)?;
    let at_label = sum_where(b, is_label, scores)?;
    b.eval(scores.amax(&[1]) - at_label)
}

/// Logits less their maximum in the row, and the logarithm of the sum of the exponentials of these. No gradient flows
/// through the maximum: it cancels.
fn log_softmax(b: &mut Builder, logits: Value) -> Result<(Value, Value), Error> {
    let shifted = b.eval(logits - logits.amax_keep_dims(&[1]).stop_gradient())?;
    Ok((shifted, b.eval(shifted.exp().sum(&[1]).log())?))
}

/// Whether a class is the label of the row, `bool[batch, classes]`; no class is where the label is none.
fn is_label(b: &mut Builder, scores: Value, labels: Value) -> Result<Value, Error> {
    let shape = b.shape(scores).clone();
    let classes = b.iota(DType::I32, shape.clone(), 1)?;
    // Classes are compared in 32 bits, of which vectors hold more. A cast keeps the low bits alone, in which 2^32 + 1 is 1.
    let labels = labels.clamp(-1, shape[1] as f64).cast(DType::I32);
    b.eval(classes.eq(labels.reshape([shape[0], 1])))
}

/// `x[i, labels[i]]` for each row `i`, as a sum over the row: so it is computed together with other sums over rows,
/// and its gradient is a comparison where that of a gather is a scatter.
fn sum_where(b: &mut Builder, is_label: Value, x: Value) -> Result<Value, Error> {
    b.eval(is_label.select(x, 0.0).sum(&[1]))
}

/// `scores[i, labels[i]]` for each row `i`: of scores of classes, floats `[batch, classes]`, those at the labels, which are
/// `i64[batch]`; 0 where a label is no class.
///
/// ```
/// use ir::{Builder, DType};
/// let mut b = Builder::new("likelihood");
/// let logits = b.input("logits", DType::F32, [8, 10])?;
/// let labels = b.input("labels", DType::I64, [8])?;
/// let log_p = b.log_softmax(logits, 1)?;
/// let at_labels = nn::loss::at_labels(&mut b, log_p, labels)?;
/// assert_eq!(b.ty(at_labels).to_string(), "f32[8]");
/// # Ok::<(), ir::Error>(())
/// ```
///
/// # Errors
/// Where the types are others.
pub fn at_labels(b: &mut Builder, scores: Value, labels: Value) -> Result<Value, Error> {
    check_classes("at_labels", b, scores, labels)?;
    let is_label = is_label(b, scores, labels)?;
    sum_where(b, is_label, scores)
}

/// Checks that `logits` are floats [batch, classes] and `labels` i64[batch].
pub fn check_classes(subject: &str, b: &Builder, logits: Value, labels: Value) -> Result<(), Error> {
    b.check(subject, &[logits, labels])?;
    let (logits, labels) = (b.ty(logits), b.ty(labels));
    let fits = logits.dtype.is_float() && logits.shape.rank() == 2 && labels.dtype == DType::I64;
    if fits && labels.shape[..] == logits.shape[..1] {
        return Ok(());
    }
    let problem = format!("the logits are {logits}, the labels {labels}");
    Err(Error::new(subject, problem, "give logits f32[batch, classes] and labels i64[batch]"))
}

fn check_settings(class_weights: &[f64], label_smoothing: f64, logits: &Type) -> Result<(), Error> {
    let error = |problem: String, help: &str| Err(Error::new("cross_entropy", problem, help));
    let classes = logits.shape[1];
    if !(0.0..=1.0).contains(&label_smoothing) {
        return error(format!("the label smoothing is {label_smoothing}"), "give a number from 0 to 1");
    }
    if !class_weights.is_empty() && class_weights.len() != classes {
        let problem = format!("there are {} class weights, and {classes} classes", class_weights.len());
        return error(problem, "give one per class");
    }
    if let Some(class) = class_weights.iter().position(|&weight| !weight.is_finite() || weight < 0.0) {
        let problem = format!("the weight of class {class} is {}", class_weights[class]);
        return error(problem, "give finite numbers of at least 0");
    }
    // Each is finite in the dtype of the logits where their sum is.
    let sum: f64 = class_weights.iter().sum();
    if !Scalar::from_f64(logits.dtype, sum).as_f64().is_finite() {
        let problem = format!("the class weights sum to {sum:e}, which overflows in {}", logits.dtype);
        return error(problem, "give smaller ones: their ratios count");
    }
    if !class_weights.is_empty() && Scalar::from_f64(logits.dtype, sum).as_f64() == 0.0 {
        return error("the weights of all classes are 0".into(), "give one above 0");
    }
    Ok(())
}
