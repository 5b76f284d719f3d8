//! Losses: scalars to minimise, means over the batch.

use ir::{Builder, DType, Error, Value};

/// The mean over the batch of `-log softmax(logits)[label]`: `logits` are floats `[batch, classes]`, `labels`
/// the classes, `i64[batch]`. PyTorch calls it `cross_entropy`.
///
/// It is `log sum_j exp(z_j) - z_label` with `z = logits - max logits`, which overflows for no finite logits. No
/// gradient flows through the maximum: it cancels. A label outside of the classes picks 0; data sets are checked for
/// that where they are made.
///
/// ```
/// use ir::DType;
/// let mut b = ir::Builder::new("loss");
/// let logits = b.input("logits", DType::F32, [8, 10])?;
/// let labels = b.input("labels", DType::I64, [8])?;
/// let loss = nn::loss::softmax_cross_entropy(&mut b, logits, labels)?;
/// assert_eq!(b.ty(loss).to_string(), "f32[]");
/// # Ok::<(), ir::Error>(())
/// ```
///
/// # Errors
/// Where the types do not fit together as above.
pub fn softmax_cross_entropy(b: &mut Builder, logits: Value, labels: Value) -> Result<Value, Error> {
    check_classes("softmax_cross_entropy", b, logits, labels)?;
    let most = b.reduce_max(logits, &[1], true)?;
    let most = b.stop_gradient(most)?;
    let shifted = b.sub(logits, most)?;
    let exponentials = b.exp(shifted)?;
    let sum = b.reduce_sum(exponentials, &[1], false)?;
    let log_sum = b.log(sum)?;
    let picked = pick(b, shifted, labels)?;
    let losses = b.sub(log_sum, picked)?;
    b.reduce_mean(losses, &[0], false)
}

/// The mean of `(prediction - target)^2` over all elements, which have one shape.
///
/// ```
/// let mut b = ir::Builder::new("loss");
/// let prediction = b.input("prediction", ir::DType::F32, [8, 3])?;
/// let target = b.input("target", ir::DType::F32, [8, 3])?;
/// let loss = nn::loss::mse_loss(&mut b, prediction, target)?;
/// assert_eq!(b.ty(loss).to_string(), "f32[]");
/// # Ok::<(), ir::Error>(())
/// ```
///
/// # Errors
/// Where the two are of different types, or hold no floats.
pub fn mse_loss(b: &mut Builder, prediction: Value, target: Value) -> Result<Value, Error> {
    if b.ty(prediction) != b.ty(target) || !b.dtype(prediction).is_float() {
        let problem = format!("the prediction is {}, the target {}", b.ty(prediction), b.ty(target));
        return Err(Error::new("mse_loss", problem, "give two floats of one shape"));
    }
    let difference = b.sub(prediction, target)?;
    let squares = b.square(difference)?;
    let axes: Vec<usize> = (0..b.shape(squares).rank()).collect();
    b.reduce_mean(squares, &axes, false)
}

/// `x[i, labels[i]]` for each row `i`, as a sum over the row: so it is computed together with other sums over rows,
/// and its gradient is a comparison where that of a gather is a scatter.
fn pick(b: &mut Builder, x: Value, labels: Value) -> Result<Value, Error> {
    let shape = b.shape(x).clone();
    let classes = b.iota(DType::I32, shape.clone(), 1)?;
    let labels = b.cast(labels, DType::I32)?;
    let labels = b.reshape(labels, [shape[0], 1])?;
    let is_label = b.eq(classes, labels)?;
    let zero = b.float_like(x, 0.0);
    let selected = b.select(is_label, x, zero)?;
    b.reduce_sum(selected, &[1], false)
}

/// Checks that `logits` are floats [batch, classes] and `labels` i64[batch].
pub(crate) fn check_classes(subject: &str, b: &Builder, logits: Value, labels: Value) -> Result<(), Error> {
    let (logits, labels) = (b.ty(logits), b.ty(labels));
    let fits = logits.dtype.is_float() && logits.shape.rank() == 2 && labels.dtype == DType::I64;
    if fits && labels.shape[..] == logits.shape[..1] {
        return Ok(());
    }
    let problem = format!("the logits are {logits}, the labels {labels}");
    Err(Error::new(subject, problem, "give logits f32[batch, classes] and labels i64[batch]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_do_not_fit_are_errors_that_show_both() {
        let mut b = Builder::new("g");
        let logits = b.input("z", DType::F32, [8, 10]).unwrap();
        let labels = b.input("y", DType::I64, [7]).unwrap();
        let error = softmax_cross_entropy(&mut b, logits, labels).unwrap_err().to_string();
        let expected = "softmax_cross_entropy: the logits are f32[8, 10], the labels i64[7]; \
                        give logits f32[batch, classes] and labels i64[batch]";
        assert_eq!(error, expected);
        let target = b.input("t", DType::F32, [8, 9]).unwrap();
        let error = mse_loss(&mut b, logits, target).unwrap_err().to_string();
        assert_eq!(
            error,
            "mse_loss: the prediction is f32[8, 10], the target f32[8, 9]; give two floats of one shape"
        );
    }
}
