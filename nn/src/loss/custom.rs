//! Losses of one's own.

use std::fmt;
use std::sync::Arc;

use ir::{Builder, Error, Expr, Value};

/// What is computed from a prediction and a target.
type LossFn = dyn Fn(&mut Builder, Value, Value) -> Result<Expr, Error> + Send + Sync;

/// A loss of one's own: [`Loss::custom`](super::Loss::custom). Two are equal where one is a clone of the other.
#[derive(Clone)]
pub struct CustomLoss {
    name: Arc<str>,
    has_labels: bool,
    function: Arc<LossFn>,
}

impl CustomLoss {
    /// The loss of this name that `function` computes.
    pub(super) fn new<E: Into<Expr>>(
        name: impl Into<String>,
        has_labels: bool,
        function: impl Fn(&mut Builder, Value, Value) -> Result<E, Error> + Send + Sync + 'static,
    ) -> CustomLoss {
        let function: Arc<LossFn> =
            Arc::new(move |b: &mut Builder, prediction, target| Ok(function(b, prediction, target)?.into()));
        CustomLoss { name: name.into().into(), has_labels, function }
    }

    /// What errors call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether targets are labels, `i64[batch]`, rather than values like those of the prediction.
    pub fn has_labels(&self) -> bool {
        self.has_labels
    }

    /// The losses of rows or elements.
    pub(super) fn losses(&self, b: &mut Builder, prediction: Value, target: Value) -> Result<Value, Error> {
        let losses = (self.function)(b, prediction, target)?;
        let losses = b.eval(losses)?;
        let (ty, of) = (b.ty(losses), b.ty(prediction));
        if ty.dtype == of.dtype && ty.shape.first().is_some_and(|rows| Some(rows) == of.shape.first()) {
            return Ok(losses);
        }
        let problem = format!("it gives {ty}, and the prediction is {of}");
        Err(Error::new(self.name(), problem, "give the losses of rows or elements, floats of [batch, ..]"))
    }
}

impl PartialEq for CustomLoss {
    fn eq(&self, other: &CustomLoss) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.function, &other.function)
    }
}

impl fmt::Debug for CustomLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CustomLoss").field(&self.name).finish()
    }
}
