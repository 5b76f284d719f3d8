//! Numbers that have left the finite ones: found at the loss, then traced to where they are.

use ir::names::printable;
use ir::{Elements, Tensor};
use nn::optimizer::GRADIENT_NORM;
use runtime::State;
use thiserror::Error;

use crate::Error;

/// The error that a step gave NaN or infinity.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("step {step}: {}; {help}", printable(.found))]
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
/// Where states are no longer finite: gradients overflowed in an earlier step, whose loss did not.
const FINITE_AGAIN: &str =
    "go on from the last checkpoint with a lower learning rate, or with gradients clipped by their norm";

/// Checks what comes into a step, by name.
pub fn check_inputs(step: u64, inputs: &[(&str, &Tensor)]) -> Result<(), Error> {
    for &(name, tensor) in inputs {
        if let Some((element, place)) = first_not_finite(tensor) {
            let found = format!("input `{name}` holds {element} at {place}");
            return Err(NotFinite { step, value: name.to_owned(), found, help: "give finite numbers" }.into());
        }
    }
    Ok(())
}

/// Checks the loss of a step on finite inputs, and the norm of its gradients where they are clipped by it. Where one is not
/// finite, the value at fault is the first weight that holds such an element, as they were before the step and are now;
/// else it is the loss or the norm itself.
pub fn check_step(
    step: u64,
    loss: f64,
    gradient_norm: Option<f64>,
    state: &State,
    weights: &[String],
) -> Result<(), Error> {
    let norm = gradient_norm.unwrap_or(0.0);
    if loss.is_finite() && norm.is_finite() {
        return Ok(());
    }
    let (value, what) = match loss.is_finite() {
        false => ("loss", format!("the loss is {loss}")),
        true => (GRADIENT_NORM, format!("the loss is {loss}, the norm of its gradients {norm}")),
    };
    let (mut greatest, mut of) = (0.0, "");
    for name in weights {
        let weight = state.get(name)?;
        if let Some((element, place)) = first_not_finite(&weight) {
            let found = format!("{what}: weight `{name}` holds {element} at {place}");
            let help = FINITE_AGAIN;
            return Err(NotFinite { step, value: name.clone(), found, help }.into());
        }
        let size = greatest_size(&weight);
        if size > greatest {
            (greatest, of) = (size, name);
        }
    }
    let found = format!(
        "{what}: the inputs and weights are finite (the largest, in `{of}`, is of size {greatest:.3e}), what is computed \
         from them overflows"
    );
    Err(NotFinite { step, value: value.to_owned(), found, help: LOWER_THE_RATE }.into())
}

/// Checks states as they are after a step.
pub fn check_states<'a>(state: &State, names: impl Iterator<Item = &'a str>, step: u64) -> Result<(), Error> {
    for name in names {
        if let Some((element, place)) = first_not_finite(&state.get(name)?) {
            let found = format!("state `{name}` holds {element} at {place} after the step");
            return Err(NotFinite { step, value: name.to_owned(), found, help: FINITE_AGAIN }.into());
        }
    }
    Ok(())
}

/// The greatest absolute value of an element.
fn greatest_size(tensor: &Tensor) -> f64 {
    (0..tensor.shape().elements()).map(|index| tensor.get(index).as_f64().abs()).fold(0.0, f64::max)
}

/// Whether all elements are finite.
fn is_finite(tensor: &Tensor) -> bool {
    // The greatest exponent alone is that of infinities and NaN. Integers are compared, which takes vectors.
    match tensor.elements() {
        Elements::F32(elements) => {
            let size = |x: &f32| (x.to_bits() & !(1 << 31)) as i32;
            elements.iter().map(size).fold(0, i32::max) < f32::INFINITY.to_bits() as i32
        }
        Elements::F64(elements) => elements.iter().all(|x| x.is_finite()),
        Elements::I32(_) | Elements::I64(_) | Elements::Bool(_) => true,
    }
}

/// The first element that is not finite, and its index.
fn first_not_finite(tensor: &Tensor) -> Option<(f64, String)> {
    if is_finite(tensor) {
        return None;
    }
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
    fn any_element_can_be_at_fault() {
        for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in 0..19 {
                let mut elements = vec![-f32::MAX; 19];
                assert!(is_finite(&Tensor::new([19], elements.clone()).unwrap()));
                elements[at] = bad;
                let (_, place) = first_not_finite(&Tensor::new([19], elements).unwrap()).unwrap();
                assert_eq!(place, format!("[{at}]"));
            }
        }
        assert!(!is_finite(&Tensor::new([2], vec![0.0, f64::NAN]).unwrap()));
    }

    #[test]
    fn an_input_at_fault_is_named_with_the_step() {
        let x = Tensor::new([1, 2], vec![0.0f32, f32::NAN]).unwrap();
        let error = check_inputs(7, &[("x", &x)]).unwrap_err();
        assert_eq!(error.to_string(), "step 7: input `x` holds NaN at [0, 1]; give finite numbers");
    }

    #[test]
    fn a_loss_or_a_norm_that_overflows_by_itself_is_named() {
        let message = |loss, norm| check_step(7, loss, norm, &State::empty(), &[]).unwrap_err().to_string();
        let error = message(f64::INFINITY, None);
        assert!(error.starts_with("step 7: the loss is inf: the inputs and weights are finite"), "{error}");
        let error = message(2.5, Some(f64::INFINITY));
        assert!(error.starts_with("step 7: the loss is 2.5, the norm of its gradients inf: "), "{error}");
    }
}
