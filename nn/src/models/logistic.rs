//! Multinomial logistic regression.

use ir::{Error, Value};

use crate::{Context, Layer, Linear, Loss, init};

/// Logits `x W^T + b`, one per class, that are linear in the features: with cross entropy as the loss, multinomial logistic
/// regression. Rows of any shape are flattened. All parameters start at zero, which is as good as anything: the loss is
/// convex.
///
/// ```
/// use nn::{Context, Layer, models::Logistic};
/// let mut cx = Context::new("logistic");
/// let x = cx.input("x", ir::DType::F32, [32, 64])?;
/// let logits = Logistic::new(64, 10).forward(&mut cx, x)?;
/// assert_eq!(cx.ty(logits).to_string(), "f32[32, 10]");
/// assert_eq!(cx.parameters()[0].name, "fc.weight");
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logistic {
    /// The number of values in a row.
    pub features: usize,
    /// The number of classes.
    pub classes: usize,
}

impl Logistic {
    /// The loss that goes with the model.
    pub const LOSS: Loss = Loss::cross_entropy();

    /// From `features` values to `classes` logits.
    pub fn new(features: usize, classes: usize) -> Logistic {
        Logistic { features, classes }
    }
}

impl Layer for Logistic {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        linear_scores(cx, x, self.features, self.classes)
    }
}

/// A dense layer `fc` on flattened rows, with all parameters zero at first.
pub(super) fn linear_scores(
    cx: &mut Context,
    x: Value,
    features: usize,
    classes: usize,
) -> Result<Value, Error> {
    let x = crate::Flatten.forward(cx, x)?;
    let linear = Linear::new(features, classes).weight_init(init::zeros()).bias_init(init::zeros());
    cx.layer("fc", &linear, x)
}
