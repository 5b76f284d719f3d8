//! Jordan's cell.

use ir::{Error, Value};

use super::weights::{project, recur};
use super::{Cell, Prepared, Recurrent, Weights};
use crate::{Activation, Context};

/// A layer of [`JordanCell`]s.
pub type Jordan = Recurrent<JordanCell>;

impl Jordan {
    /// From `input_size` values by `hidden_size` to `output_size`.
    pub fn new(input_size: usize, hidden_size: usize, output_size: usize) -> Jordan {
        Recurrent::with_cell(input_size, JordanCell::new(hidden_size, output_size))
    }
}

/// What is hidden sees the last output: `s_t = sigma_s(U o_{t-1} + W x_t + b)`, `o_t = sigma_o(V s_t + b_o)` (M. I. Jordan,
/// "Serial order: a parallel distributed processing approach", 1986). Both activations are tanh unless they are chosen.
///
/// W is `weight_ih`, `[hidden, in]`, U is `weight_oh`, `[hidden, out]`, b is `bias_ih`; V is `weight_ho`, `[out, hidden]`,
/// and `b_o` is `bias_ho`.
///
/// ```
/// use nn::{Context, Jordan, Layer};
/// let mut cx = Context::new("jordan");
/// let x = cx.input("x", ir::DType::F32, [7, 4, 3])?;
/// let y = Jordan::new(3, 32, 2).forward(&mut cx, x)?;
/// assert_eq!(cx.ty(y).to_string(), "f32[7, 4, 2]");
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JordanCell {
    hidden_size: usize,
    output_size: usize,
    activation: Activation,
    output_activation: Activation,
}

impl JordanCell {
    /// With so many hidden values and so many outputs.
    pub fn new(hidden_size: usize, output_size: usize) -> JordanCell {
        let (activation, output_activation) = (Activation::Tanh, Activation::Tanh);
        JordanCell { hidden_size, output_size, activation, output_activation }
    }

    /// With this `sigma_s`.
    pub fn activation(self, activation: Activation) -> JordanCell {
        JordanCell { activation, ..self }
    }

    /// With this `sigma_o`.
    pub fn output_activation(self, output_activation: Activation) -> JordanCell {
        JordanCell { output_activation, ..self }
    }
}

impl Cell for JordanCell {
    fn name(&self) -> &'static str {
        "Jordan"
    }

    fn states(&self) -> Vec<(&'static str, usize)> {
        vec![("o", self.output_size)]
    }

    fn hidden_size(&self) -> usize {
        self.hidden_size
    }

    fn prepare(&self, cx: &mut Context, weights: &Weights, x: Value) -> Result<Prepared, Error> {
        let (hidden, outputs) = (self.hidden_size, self.output_size);
        let weight = weights.of_input(cx, "weight_ih", x, hidden)?;
        let recurrent = weights.parameter(cx, "weight_oh", [hidden, outputs])?;
        let output = weights.parameter(cx, "weight_ho", [outputs, hidden])?;
        let bias = weights.bias(cx, "bias_ih", hidden)?;
        let output_bias = weights.bias(cx, "bias_ho", outputs)?;
        let constants = [recurrent, output].into_iter().chain(output_bias).collect();
        Ok(Prepared { items: vec![project(cx, x, weight, bias)?], constants })
    }

    fn step(
        &self,
        cx: &mut Context,
        constants: &[Value],
        items: &[Value],
        states: &[Value],
    ) -> Result<Vec<Value>, Error> {
        let seen = recur(cx, states[0], constants[0])?;
        let sum = cx.add(items[0], seen)?;
        let hidden = self.activation.apply(cx, sum)?;
        let mut sum = recur(cx, hidden, constants[1])?;
        if let Some(&bias) = constants.get(2) {
            sum = cx.add(sum, bias)?;
        }
        Ok(vec![self.output_activation.apply(cx, sum)?])
    }
}
