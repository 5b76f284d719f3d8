//! The graphs of a classifier: one that trains it, one that uses it. Both make the same parameters under the same
//! names, so they can share their states.

use ir::{DType, Error, Graph};

use crate::{Context, Layer, Optimizer, loss, metric};

/// A whole training step (forward, backward, optimizer) on batches of this size: from `x`, `f32[batch, features]`,
/// and the classes `y`, `i64[batch]`, the outputs `loss`, `f32[]` (softmax cross entropy, the mean over the batch,
/// before the step), and `correct`, `i64[]` (how many of the batch were classified right).
///
/// ```
/// let graph = nn::classifier::training_graph("mlp", &nn::models::mlp(), 64, 32, &nn::Adam::default())?;
/// assert_eq!(graph.outputs[0].name, "loss");
/// # Ok::<(), ir::Error>(())
/// ```
///
/// # Errors
/// Where the model takes another number of features, or does not return [batch, classes].
pub fn training_graph(
    name: &str,
    model: &dyn Layer,
    features: usize,
    batch: usize,
    optimizer: &dyn Optimizer,
) -> Result<Graph, Error> {
    let mut cx = Context::new(format!("{name}_train"));
    let x = cx.input("x", DType::F32, [batch, features])?;
    let labels = cx.input("y", DType::I64, [batch])?;
    let logits = model.forward(&mut cx, x)?;
    let loss = loss::softmax_cross_entropy(&mut cx, logits, labels)?;
    let correct = metric::correct_count(&mut cx, logits, labels)?;
    cx.output("loss", loss)?;
    cx.output("correct", correct)?;
    optimizer.step(&mut cx, loss)?;
    Ok(cx.finish())
}

/// The model on batches of this size: from `x`, `f32[batch, features]`, the output `logits`,
/// `f32[batch, classes]`.
///
/// ```
/// let graph = nn::classifier::inference_graph("mlp", &nn::models::mlp(), 64, 1)?;
/// assert_eq!(graph.ty(graph.outputs[0].value).to_string(), "f32[1, 10]");
/// # Ok::<(), ir::Error>(())
/// ```
///
/// # Errors
/// Where the model takes another number of features.
pub fn inference_graph(name: &str, model: &dyn Layer, features: usize, batch: usize) -> Result<Graph, Error> {
    let mut cx = Context::new(name);
    let x = cx.input("x", DType::F32, [batch, features])?;
    let logits = model.forward(&mut cx, x)?;
    cx.output("logits", logits)?;
    Ok(cx.finish())
}
