//! The gated recurrent unit.

use ir::{Error, Value};

use super::weights::{blend, cut, project, recur};
use super::{Cell, Prepared, Recurrent, Weights};
use crate::{Activation, Context};

/// A layer of [`GruCell`]s.
pub type Gru = Recurrent<GruCell>;

impl Gru {
    /// From `input_size` to `hidden_size` values: PyTorch's `GRU`. For the other form, see [`GruCell::reset_after`].
    pub fn new(input_size: usize, hidden_size: usize) -> Gru {
        Recurrent::with_cell(input_size, GruCell::new(hidden_size))
    }
}

/// The fully gated unit (K. Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014), with a gate `f`
/// that says how much of the last output stays, and one, `r`, that says how much of it the new value sees:
///
/// - `r_t = sigma_g(W_r x_t + U_r o_{t-1} + b_r)`
/// - `f_t = sigma_g(W_f x_t + U_f o_{t-1} + b_f)`, which PyTorch calls z
/// - `n_t = sigma_o(W_n x_t + b_n + r_t (U_n o_{t-1} + c_n))`, PyTorch's form, which resets after the product; or
///   `n_t = sigma_o(W_n x_t + U_n (r_t o_{t-1}) + b_n + c_n)`, that of the paper, with [`GruCell::reset_after`] false
/// - `o_t = f_t o_{t-1} + (1 - f_t) n_t`
///
/// `sigma_g` is the sigmoid and `sigma_o` is tanh unless they are chosen. As in PyTorch, `weight_ih`, `[3 hidden, in]`, holds
/// `W_r`, `W_f` and `W_n`; `weight_hh`, `[3 hidden, hidden]`, is alike; `bias_ih` holds a part of `b_r` and `b_f`, then
/// `b_n`, and `bias_hh` the other part, then `c_n`.
///
/// PyTorch's form has one product per step, the other two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GruCell {
    hidden_size: usize,
    gate_activation: Activation,
    activation: Activation,
    reset_after: bool,
}

impl GruCell {
    /// With so many outputs, in PyTorch's form.
    pub fn new(hidden_size: usize) -> GruCell {
        let (gate_activation, activation) = (Activation::Sigmoid, Activation::Tanh);
        GruCell { hidden_size, gate_activation, activation, reset_after: true }
    }

    /// Whether what is reset is the product of the last output, as in PyTorch, or the last output before the product.
    pub fn reset_after(self, reset_after: bool) -> GruCell {
        GruCell { reset_after, ..self }
    }

    /// With this `sigma_g`.
    pub fn gate_activation(self, gate_activation: Activation) -> GruCell {
        GruCell { gate_activation, ..self }
    }

    /// With this `sigma_o`.
    pub fn activation(self, activation: Activation) -> GruCell {
        GruCell { activation, ..self }
    }

    /// The part of the biases that is added before the loop, and the one that is added to `U_n o_{t-1}`.
    fn biases(&self, cx: &mut Context, weights: &Weights) -> Result<(Option<Value>, Option<Value>), Error> {
        let size = self.hidden_size;
        if !self.reset_after {
            return Ok((weights.both_biases(cx, 3 * size)?, None));
        }
        let Some(input) = weights.bias(cx, "bias_ih", 3 * size)? else { return Ok((None, None)) };
        let Some(hidden) = weights.bias(cx, "bias_hh", 3 * size)? else { return Ok((Some(input), None)) };
        let parts = cx.split(hidden, 0, &[2 * size, size])?;
        let zeros = cx.zeros_like(parts[1])?;
        let of_gates = cx.concat(&[parts[0], zeros], 0)?;
        Ok((Some(cx.add(input, of_gates)?), Some(parts[1])))
    }

    /// The step that resets after the product: all that follows that one is elementwise, gate by gate.
    fn step_of_one_product(
        &self,
        cx: &mut Context,
        constants: &[Value],
        from_input: Value,
        last: Value,
    ) -> Result<Value, Error> {
        let product = recur(cx, last, constants[0])?;
        let [reset_x, keep_x, new_x] = cut(cx, from_input, self.hidden_size)?;
        let [reset_h, keep_h, new_h] = cut(cx, product, self.hidden_size)?;
        let [reset, keep] = [cx.add(reset_x, reset_h)?, cx.add(keep_x, keep_h)?];
        let [reset, keep] = [self.gate_activation.apply(cx, reset)?, self.gate_activation.apply(cx, keep)?];
        let new_h = constants.get(1).map_or(Ok(new_h), |&bias| cx.add(new_h, bias))?;
        let new = cx.eval(new_x + reset * new_h)?;
        let new = self.activation.apply(cx, new)?;
        blend(cx, keep, last, new)
    }

    /// The step that resets before the second product: both gates follow the first one.
    fn step_of_two_products(
        &self,
        cx: &mut Context,
        constants: &[Value],
        from_input: Value,
        last: Value,
    ) -> Result<Value, Error> {
        let size = self.hidden_size;
        let parts = cx.split(from_input, 1, &[2 * size, size])?;
        let seen = recur(cx, last, constants[0])?;
        let gates = cx.add(parts[0], seen)?;
        let gates = self.gate_activation.apply(cx, gates)?;
        let [reset, keep] = cut(cx, gates, size)?;
        let kept = cx.mul(reset, last)?;
        let seen = recur(cx, kept, constants[1])?;
        let new = cx.add(parts[1], seen)?;
        let new = self.activation.apply(cx, new)?;
        blend(cx, keep, last, new)
    }
}

impl Cell for GruCell {
    fn name(&self) -> &'static str {
        "Gru"
    }

    fn states(&self) -> Vec<(&'static str, usize)> {
        vec![("h", self.hidden_size)]
    }

    fn hidden_size(&self) -> usize {
        self.hidden_size
    }

    fn prepare(&self, cx: &mut Context, weights: &Weights, x: Value) -> Result<Prepared, Error> {
        let size = self.hidden_size;
        let weight = weights.of_input(cx, "weight_ih", x, 3 * size)?;
        let recurrent = weights.parameter(cx, "weight_hh", [3 * size, size])?;
        let (bias, inner_bias) = self.biases(cx, weights)?;
        let items = vec![project(cx, x, weight, bias)?];
        let constants = match self.reset_after {
            true => [recurrent].into_iter().chain(inner_bias).collect(),
            false => cx.split(recurrent, 0, &[2 * size, size])?,
        };
        Ok(Prepared { items, constants })
    }

    fn step(
        &self,
        cx: &mut Context,
        constants: &[Value],
        items: &[Value],
        states: &[Value],
    ) -> Result<Vec<Value>, Error> {
        let next = match self.reset_after {
            true => self.step_of_one_product(cx, constants, items[0], states[0])?,
            false => self.step_of_two_products(cx, constants, items[0], states[0])?,
        };
        Ok(vec![next])
    }
}
