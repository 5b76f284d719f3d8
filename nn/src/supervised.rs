//! The graphs of a model that learns from examples with targets: one that trains it, one that uses it. Both make the
//! same parameters and buffers under the same names, so they can share their states.

use ir::{Builder, DType, Error, Graph, Shape, Value};

use crate::{Context, Layer, Loss, Optimizer};

/// What comes in at once.
///
/// ```
/// use nn::supervised::Batch;
/// let digits = Batch::new(32, [64]);
/// let weighted = Batch { is_weighted: true, ..Batch::new(32, [1, 28, 28]) };
/// let sentences = Batch { dtype: ir::DType::I64, ..Batch::new(8, [100]) };
/// # let _ = (digits, weighted, sentences);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The number of examples.
    pub rows: usize,
    /// The shape of an example.
    pub row: Shape,
    /// The dtype of its elements.
    pub dtype: DType,
    /// Whether each example has a weight in the loss.
    pub is_weighted: bool,
}

impl Batch {
    /// So many examples, `f32` of shape `row`, that count alike.
    pub fn new(rows: usize, row: impl Into<Shape>) -> Batch {
        Batch { rows, row: row.into(), dtype: DType::F32, is_weighted: false }
    }
}

/// A whole training step (forward, backward, optimizer). Its inputs are `x`, `[rows, ..row]`, the targets `y`, of which
/// the type is [`Loss::target`] of the model's result, and, in a weighted batch, the weights `w`, `f32[rows]`. Its outputs
/// are `loss`, `f32[]` (the mean over the batch, before the step), and, where the loss is one of classification, `correct`,
/// `i64[]` (how many were classified right).
///
/// The step takes place where its loss is finite, and so is every value that the optimizer
/// [requires to be](Context::require_finite); each of these is an output under its own name. Elsewhere all states keep
/// their values: parameters, moments, statistics of batches, counters.
///
/// ```
/// use nn::supervised::{Batch, training_graph};
/// use nn::{Adam, Loss, models};
/// let batch = Batch::new(32, [64]);
/// let graph = training_graph("mlp", &models::mlp(), &batch, &Loss::cross_entropy(), &Adam::default())?;
/// assert_eq!(graph.outputs[0].name, "loss");
/// # Ok::<(), ir::Error>(())
/// ```
///
/// # Errors
/// Where the model does not take such rows, the loss does not take what it returns, or a setting is out of its range.
pub fn training_graph(
    name: &str,
    model: &dyn Layer,
    batch: &Batch,
    loss: &Loss,
    optimizer: &dyn Optimizer,
) -> Result<Graph, Error> {
    let mut cx = Context::training(format!("{name}_train"));
    let prediction = prediction(&mut cx, model, batch)?;
    let ty = loss.target(cx.ty(prediction));
    let target = cx.input("y", ty.dtype, ty.shape)?;
    let mean = if batch.is_weighted {
        let weights = cx.input("w", DType::F32, [batch.rows])?;
        loss.weighted_mean(&mut cx, prediction, target, weights)?
    } else {
        loss.mean(&mut cx, prediction, target)?
    };
    cx.output("loss", mean)?;
    if let Some(correct) = loss.correct_count(&mut cx, prediction, target)? {
        cx.output("correct", correct)?;
    }
    optimizer.step(&mut cx, mean)?;
    cx.require_finite("loss", mean);
    finish_guarded(cx)
}

/// The finished graph, in which states change where all that is required to be finite is.
fn finish_guarded(mut cx: Context) -> Result<Graph, Error> {
    let mut is_finite: Option<Value> = None;
    for (name, value) in cx.required().to_vec() {
        if !cx.graph().outputs.iter().any(|output| output.name == name) {
            cx.output(&name, value)?;
        }
        let this = self::is_finite(&mut cx, value)?;
        is_finite = Some(is_finite.map_or(Ok(this), |others| cx.logical_and(others, this))?);
    }
    let mut graph = cx.finish();
    let Some(is_finite) = is_finite else { return Ok(graph) };
    let updates = std::mem::take(&mut graph.updates);
    let mut b = Builder::resume(graph);
    for update in updates {
        let state = Value::new(update.state, 0);
        let next = b.select(is_finite, update.value, state)?;
        b.update(state, next)?;
    }
    Ok(b.finish())
}

/// `|x| <= the greatest number`, which a NaN is not.
fn is_finite(b: &mut Builder, x: Value) -> Result<Value, Error> {
    let greatest = if b.dtype(x) == DType::F32 { f64::from(f32::MAX) } else { f64::MAX };
    let greatest = b.float_like(x, greatest);
    let size = b.abs(x)?;
    b.le(size, greatest)
}

/// The model in use: from `x`, `[rows, ..row]`, the output `prediction`, which is what the model returns (of a classifier,
/// logits).
///
/// ```
/// use nn::supervised::{Batch, inference_graph};
/// let graph = inference_graph("mlp", &nn::models::mlp(), &Batch::new(1, [64]))?;
/// assert_eq!(graph.ty(graph.outputs[0].value).to_string(), "f32[1, 10]");
/// # Ok::<(), ir::Error>(())
/// ```
///
/// # Errors
/// Where the model does not take such rows.
pub fn inference_graph(name: &str, model: &dyn Layer, batch: &Batch) -> Result<Graph, Error> {
    let mut cx = Context::new(name);
    let prediction = prediction(&mut cx, model, batch)?;
    cx.output("prediction", prediction)?;
    Ok(cx.finish())
}

/// What `model` returns for the input `x`.
pub(crate) fn prediction(cx: &mut Context, model: &dyn Layer, batch: &Batch) -> Result<Value, Error> {
    let shape: Shape = [batch.rows].into_iter().chain(batch.row.iter().copied()).collect();
    let x = cx.input("x", batch.dtype, shape)?;
    cx.call(model, x)
}
