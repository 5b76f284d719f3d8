//! AlphaGo Zero's network.

use ir::{DType, Error, Value};

use super::channels;
use crate::{
    BatchNorm, Context, Conv2d, Flatten, Linear, Loss, Network, Outputs, Relu, Residual, Sequential, Tanh,
    init,
};

/// A tower of residual blocks, and two heads on it: a policy over all points and the pass, and a value (D. Silver et
/// al., "Mastering the game of Go without human knowledge", 2017, methods: neural network architecture). The paper has
/// 19 and 39 blocks of 256 channels, and 17 planes of 19 by 19 as input.
///
/// ```
/// use nn::{Context, models::AlphaGoZero};
/// let mut cx = Context::new("agz");
/// let x = cx.input("x", ir::DType::F32, [8, 17, 19, 19])?;
/// let [policy, value] = AlphaGoZero { blocks: 2, channels: 32 }.forward(&mut cx, x)?;
/// assert_eq!(cx.ty(policy).to_string(), "f32[8, 362]");
/// assert_eq!(cx.ty(value).to_string(), "f32[8, 1]");
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlphaGoZero {
    /// The number of residual blocks.
    pub blocks: usize,
    /// The channels of the tower.
    pub channels: usize,
}

impl AlphaGoZero {
    /// The logits of the policy, `[batch, height width + 1]`, and the value from -1 to 1, `[batch, 1]`, for positions
    /// `[batch, planes, height, width]`.
    ///
    /// # Errors
    /// Where `x` has other axes, or the scope has parameters of the model's names already.
    pub fn forward(&self, cx: &mut Context, x: Value) -> Result<[Value; 2], Error> {
        let width = self.channels;
        let entry = normalised(channels(cx, x), width, 3).add(Relu);
        let mut tower = cx.layer("entry", &entry, x)?;
        for block in 0..self.blocks {
            let body = normalised(width, width, 3).add(Relu).add(normalised(width, width, 3));
            tower = cx.layer(format!("blocks.{block}"), &Residual::new(body), tower)?;
            tower = cx.relu(tower)?;
        }
        let points: usize = cx.shape(tower).iter().skip(2).product();
        let policy = normalised(width, 2, 1).add(Relu).add(Flatten).add(dense(2 * points, points + 1));
        let policy = cx.layer("policy", &policy, tower)?;
        let value = normalised(width, 1, 1).add(Relu).add(Flatten).add(dense(points, 256)).add(Relu);
        let value = cx.layer("value", &value.add(dense(256, 1)).add(Tanh), tower)?;
        Ok([policy, value])
    }

    /// The network for positions `x` of `[planes, height, width]`. To be trained, it takes the `probabilities` of a search,
    /// `[batch, height width + 1]`, and the `outcome` of the game, `[batch, 1]`; its results are `policy` and `value`, its metrics
    /// the two parts of its [loss](AlphaGoZero::loss).
    ///
    /// ```
    /// use nn::{models::AlphaGoZero, network::inference_graph};
    /// let network = AlphaGoZero { blocks: 2, channels: 32 }.network([17, 9, 9]);
    /// let graph = inference_graph("agz", &network, 8)?;
    /// assert_eq!(graph.ty(graph.outputs[0].value).to_string(), "f32[8, 82]");
    /// # Ok::<(), ir::Error>(())
    /// ```
    pub fn network(self, [planes, height, width]: [usize; 3]) -> impl Network + use<> {
        move |cx: &mut Context, rows: usize| {
            let x = cx.input("x", DType::F32, [rows, planes, height, width])?;
            let heads @ [policy, value] = self.forward(cx, x)?;
            let probabilities = cx.input("probabilities", DType::F32, [rows, height * width + 1])?;
            let outcome = cx.input("outcome", DType::F32, [rows, 1])?;
            let [policy_loss, value_loss] = AlphaGoZero::losses(cx, heads, [probabilities, outcome])?;
            let outputs = Outputs::new().result("policy", policy).result("value", value);
            let outputs = outputs.of_domain("probabilities", Loss::SoftCrossEntropy.domain());
            let loss = cx.add(policy_loss, value_loss)?;
            Ok(outputs.loss(loss).metric("policy_loss", policy_loss).metric("value_loss", value_loss))
        }
    }

    /// What training makes small: the cross entropy of the policy with the probabilities `[batch, points + 1]` that a
    /// search has found, and the squared error of the value to the outcome `[batch, 1]`, each a mean over the batch.
    /// The paper's equation 1 has a weight decay besides, which is the optimizer's.
    ///
    /// # Errors
    /// Where the types of predictions and targets differ.
    pub fn loss(cx: &mut Context, heads: [Value; 2], targets: [Value; 2]) -> Result<Value, Error> {
        let [policy_loss, value_loss] = AlphaGoZero::losses(cx, heads, targets)?;
        cx.add(policy_loss, value_loss)
    }

    fn losses(
        cx: &mut Context,
        [policy, value]: [Value; 2],
        [probabilities, outcome]: [Value; 2],
    ) -> Result<[Value; 2], Error> {
        let policy_loss = Loss::SoftCrossEntropy.mean(cx, policy, probabilities)?;
        Ok([policy_loss, Loss::SquaredError.mean(cx, value, outcome)?])
    }
}

/// A convolution without a bias that keeps the size, and batch normalisation.
fn normalised(inputs: usize, outputs: usize, kernel: usize) -> Sequential {
    let conv = Conv2d::new(inputs, outputs, kernel).padding(kernel / 2).without_bias();
    let init = init::he_normal(conv.fan_in());
    Sequential::new().add(conv.weight_init(init)).add(BatchNorm::new(outputs))
}

fn dense(inputs: usize, outputs: usize) -> Linear {
    Linear::new(inputs, outputs).weight_init(init::he_uniform(inputs)).bias_init(init::zeros())
}
