//! Numbers that have left the finite ones: found at the loss, then traced to where they are.

use ir::Tensor;
use runtime::State;
use thiserror::Error;

use crate::Error;

/// The error that a step gave NaN or infinity.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("step {step}: {found}; {help}")]
pub struct NotFinite {
    /// The number of the step, from 1.
    pub step: u64,
    /// The name of the value at fault: an input, a weight, or `loss`.
    pub value: String,
    /// What was found, in words.
    pub found: String,
    /// What to do about it.
    pub help: &'static str,
}

const LOWER_THE_RATE: &str = "lower the learning rate";

/// Checks the loss of a step. Where it is not finite, the value at fault is the first of `inputs` that holds such an
/// element; else the first of the weights, as they are after the step; else the loss itself.
pub fn check_loss(
    loss: f64,
    step: u64,
    inputs: &[(&str, &Tensor)],
    state: &State,
    weights: &[String],
) -> Result<(), Error> {
    if loss.is_finite() {
        return Ok(());
    }
    for &(name, tensor) in inputs {
        if let Some((element, place)) = first_not_finite(tensor) {
            let found = format!("the loss is {loss}: input `{name}` holds {element} at {place}");
            return Err(NotFinite { step, value: name.to_owned(), found, help: "give finite numbers" }.into());
        }
    }
    for name in weights {
        if let Some((element, place)) = first_not_finite(&state.get(name)?) {
            let found =
                format!("the loss is {loss}: weight `{name}` holds {element} at {place} after the step");
            return Err(NotFinite { step, value: name.clone(), found, help: LOWER_THE_RATE }.into());
        }
    }
    let found = format!(
        "the loss is {loss}: the inputs and weights are finite, what is computed from them overflows"
    );
    Err(NotFinite { step, value: "loss".into(), found, help: LOWER_THE_RATE }.into())
}

/// Checks the weights as they are after a step.
pub fn check_weights(state: &State, weights: &[String], step: u64) -> Result<(), Error> {
    for name in weights {
        if let Some((element, place)) = first_not_finite(&state.get(name)?) {
            let found = format!("weight `{name}` holds {element} at {place} after the step");
            return Err(NotFinite { step, value: name.clone(), found, help: LOWER_THE_RATE }.into());
        }
    }
    Ok(())
}

/// The first element that is not finite, and its index.
fn first_not_finite(tensor: &Tensor) -> Option<(f64, String)> {
    let elements = 0..tensor.shape().elements();
    let position = elements.into_iter().find(|&index| !tensor.get(index).as_f64().is_finite())?;
    let strides = tensor.shape().strides();
    let index: ir::Shape = strides
        .iter()
        .zip(tensor.shape().iter())
        .map(|(stride, extent)| position / stride % extent)
        .collect();
    Some((tensor.get(position).as_f64(), index.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_element_at_fault_is_named_by_its_index() {
        let tensor = Tensor::new([2, 3], vec![0.0f32, 1.0, 2.0, 3.0, f32::INFINITY, f32::NAN]).unwrap();
        assert_eq!(first_not_finite(&tensor), Some((f64::INFINITY, "[1, 1]".into())));
        assert_eq!(first_not_finite(&Tensor::new([2], vec![1i64, 2]).unwrap()), None);
    }

    #[test]
    fn an_input_at_fault_is_named_with_the_step() {
        let x = Tensor::new([1, 2], vec![0.0f32, f32::NAN]).unwrap();
        let error = check_loss(f64::NAN, 7, &[("x", &x)], &State::empty(), &[]).unwrap_err();
        let message = "step 7: the loss is NaN: input `x` holds NaN at [0, 1]; give finite numbers";
        assert_eq!(error.to_string(), message);
    }

    #[test]
    fn a_loss_that_overflows_by_itself_is_named() {
        let error = check_loss(f64::INFINITY, 7, &[], &State::empty(), &[]).unwrap_err().to_string();
        assert!(error.starts_with("step 7: the loss is inf: the inputs and weights are finite"), "{error}");
    }
}
