//! Networks that learn from examples with targets.

use ir::{DType, Error, Shape, Value};

use crate::{Context, Domain, Layer, Loss, Network, Outputs, metric};

/// A layer that predicts something of each row, and a loss that says how good that is: the [`Network`] of most models.
///
/// Its inputs are `x`, `[rows, ..row]`, the targets `y`, of which the type is [`Loss::target`] of the layer's result, and,
/// where examples have weights in the loss, these as `w`, `f32[rows]`, of at least 0. Its result is `prediction`, what the layer returns (of a
/// classifier, logits). Where the loss is one of classification, it has the metric `accuracy`: the part of the rows, or of
/// the elements where each has a target of its own, that are classified right.
///
/// What is reported in use is the loss [without class weights and label smoothing](Loss::plain).
///
/// ```
/// use nn::{Context, Loss, Network, Supervised, models};
/// let network = Supervised::new([64], models::mlp(), Loss::cross_entropy());
/// let mut cx = Context::training("mlp");
/// let outputs = network.build(&mut cx, 32)?;
/// assert_eq!(cx.ty(outputs.results[0].1).to_string(), "f32[32, 10]");
/// assert_eq!(outputs.metrics[0].0, "accuracy");
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Supervised<L> {
    /// The shape of a row of `x`.
    pub row: Shape,
    /// The dtype of its elements.
    pub dtype: DType,
    /// What predicts.
    pub layer: L,
    /// What is made small.
    pub loss: Loss,
    /// Whether each example has a weight in the loss.
    pub is_weighted: bool,
}

/// The name of the rows among the inputs.
pub const ROWS: &str = "x";
/// The name of the targets among the inputs.
pub const TARGETS: &str = "y";
/// The name of the weights of examples among the inputs.
pub const WEIGHTS: &str = "w";
/// The name of the result.
pub const PREDICTION: &str = "prediction";
/// The name of the metric.
pub const ACCURACY: &str = "accuracy";

impl<L: Layer> Supervised<L> {
    /// A layer that takes rows of this shape, `f32`, all of which count alike.
    pub fn new(row: impl Into<Shape>, layer: L, loss: Loss) -> Supervised<L> {
        Supervised { row: row.into(), dtype: DType::F32, layer, loss, is_weighted: false }
    }

    /// With rows of another dtype, as of tokens.
    pub fn dtype(self, dtype: DType) -> Supervised<L> {
        Supervised { dtype, ..self }
    }

    /// With a weight for each example.
    pub fn weighted(self) -> Supervised<L> {
        Supervised { is_weighted: true, ..self }
    }

    /// The part that is classified right, where something is classified.
    fn accuracy(&self, cx: &mut Context, prediction: Value, target: Value) -> Result<Option<Value>, Error> {
        let Some(correct) = self.loss.correct_count(cx, prediction, target)? else { return Ok(None) };
        let decisions = cx.shape(target).elements();
        metric::part_of(cx, correct, decisions).map(Some)
    }
}

impl<L: Layer> Network for Supervised<L> {
    fn build(&self, cx: &mut Context, rows: usize) -> Result<Outputs, Error> {
        let shape: Shape = [rows].into_iter().chain(self.row.iter().copied()).collect();
        let x = cx.input(ROWS, self.dtype, shape)?;
        let prediction = cx.call(&self.layer, x)?;
        let plain;
        let loss = if cx.is_training() {
            &self.loss
        } else {
            plain = self.loss.plain();
            &plain
        };
        let ty = loss.target(cx.ty(prediction));
        let target = cx.input(TARGETS, ty.dtype, ty.shape)?;
        let mean = if self.is_weighted {
            let weights = cx.input(WEIGHTS, DType::F32, [rows])?;
            loss.weighted_mean(cx, prediction, target, weights)?
        } else {
            loss.mean(cx, prediction, target)?
        };
        let weights = self.is_weighted.then_some(Domain::NotNegative);
        let outputs = Outputs::new().result(PREDICTION, prediction).loss(mean);
        let outputs = outputs.of_domain(TARGETS, loss.domain()).of_domain(WEIGHTS, weights);
        Ok(match self.accuracy(cx, prediction, target)? {
            Some(accuracy) => outputs.metric(ACCURACY, accuracy),
            None => outputs,
        })
    }
}
