//! Lengths per sample: which steps are a sample's own.

use ir::{DType, Error, Scalar, Tensor, Value};

use crate::Context;

/// A mask of `[steps, batch, 1]` with elements of type `dtype`: 1 where a step is within the sample's length, 0 elsewhere.
pub(super) fn mask(
    cx: &mut Context,
    lengths: Value,
    dtype: DType,
    [steps, batch]: [usize; 2],
) -> Result<Value, Error> {
    let ty = cx.ty(lengths).clone();
    if ty.shape[..] != [batch] || !matches!(ty.dtype, DType::I64 | DType::I32) {
        let problem = format!("lengths are {ty}, and there are {batch} samples");
        return Err(Error::new(cx.scoped("lengths"), problem, format!("give i64[{batch}]")));
    }
    let step = cx.iota(ty.dtype, [steps, batch, 1], 0)?;
    cx.eval(step.lt(lengths.reshape([1, batch, 1])).cast(dtype))
}

/// `inside` where the mask is 1, `outside` where it is 0. The mask has one element per row.
pub(super) fn choose(
    cx: &mut Context,
    mask: Value,
    inside: Value,
    outside: impl Into<ir::Expr>,
) -> Result<Value, Error> {
    let is_inside = cx.float_like(mask, 0.5);
    cx.eval(mask.gt(is_inside).select(inside, outside))
}

/// Checks lengths before they are given to a program: each is from 0 to `steps`. A program itself does not fail where one is
/// beyond that: it takes it as `steps`, and one below 0 as 0.
///
/// ```
/// use ir::Tensor;
/// use nn::rnn::check_lengths;
/// let lengths = Tensor::new([3], vec![5i64, 0, 9]).expect("three elements");
/// assert!(check_lengths(&lengths, 9).is_ok());
/// assert_eq!(
///     check_lengths(&lengths, 8).unwrap_err().to_string(),
///     "lengths: sample 2 has length 9 of 8 steps; cut it, or give sequences of more steps"
/// );
/// ```
///
/// # Errors
/// The first that is not; and lengths that are no integers of rank 1.
pub fn check_lengths(lengths: &Tensor, steps: usize) -> Result<(), Error> {
    if lengths.shape().rank() != 1 || !matches!(lengths.dtype(), DType::I64 | DType::I32) {
        let problem = format!("they are {}", lengths.ty());
        return Err(Error::new("lengths", problem, "give i64[batch]"));
    }
    for sample in 0..lengths.shape().elements() {
        let length = match lengths.get(sample) {
            Scalar::I64(length) => length,
            Scalar::I32(length) => i64::from(length),
            _ => unreachable!("the dtype has been checked"),
        };
        if usize::try_from(length).ok().is_none_or(|length| length > steps) {
            let problem = format!("sample {sample} has length {length} of {steps} steps");
            return Err(Error::new("lengths", problem, "cut it, or give sequences of more steps"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_that_no_sample_has_are_refused() {
        let refused = |lengths: Option<Tensor>| check_lengths(&lengths.unwrap(), 4).unwrap_err().to_string();
        assert_eq!(
            refused(Tensor::new([2], vec![4i32, -1])),
            "lengths: sample 1 has length -1 of 4 steps; cut it, or give sequences of more steps"
        );
        assert_eq!(refused(Tensor::new([1], vec![1.0f32])), "lengths: they are f32[1]; give i64[batch]");
        assert_eq!(refused(Tensor::new([1, 1], vec![1i64])), "lengths: they are i64[1, 1]; give i64[batch]");
    }
}
