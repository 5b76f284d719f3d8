//! The minimal gated unit.

use ir::{Error, Value};

use super::weights::{blend, cut, project, recur};
use super::{Cell, Prepared, Recurrent, Weights};
use crate::{Activation, Context};

/// A layer of [`MguCell`]s.
pub type Mgu = Recurrent<MguCell>;

impl Mgu {
    /// From `input_size` to `hidden_size` values.
    pub fn new(input_size: usize, hidden_size: usize) -> Mgu {
        Recurrent::with_cell(input_size, MguCell::new(hidden_size))
    }
}

/// The minimal gated unit (G.-B. Zhou et al., "Minimal gated unit for recurrent neural networks", 2016), with one gate that
/// says how much of the last output stays:
///
/// - `f_t = sigma_g(W_f x_t + U_f o_{t-1} + b_f)`
/// - `o_t = f_t o_{t-1} + (1 - f_t) sigma_o(W_h x_t + U_h (f_t o_{t-1}) + b_h)`
///
/// `sigma_g` is the sigmoid and `sigma_o` is tanh unless they are chosen. `weight_ih`, `[2 hidden, in]`, holds `W_f` and then
/// `W_h`; `weight_hh`, `[2 hidden, hidden]`, and `bias_ih` are alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MguCell {
    hidden_size: usize,
    gate_activation: Activation,
    activation: Activation,
}

impl MguCell {
    /// With so many outputs.
    pub fn new(hidden_size: usize) -> MguCell {
        MguCell { hidden_size, gate_activation: Activation::Sigmoid, activation: Activation::Tanh }
    }

    /// With this `sigma_g`.
    pub fn gate_activation(self, gate_activation: Activation) -> MguCell {
        MguCell { gate_activation, ..self }
    }

    /// With this `sigma_o`.
    pub fn activation(self, activation: Activation) -> MguCell {
        MguCell { activation, ..self }
    }
}

impl Cell for MguCell {
    fn name(&self) -> &'static str {
        "Mgu"
    }

    fn states(&self) -> Vec<(&'static str, usize)> {
        vec![("h", self.hidden_size)]
    }

    fn hidden_size(&self) -> usize {
        self.hidden_size
    }

    fn prepare(&self, cx: &mut Context, weights: &Weights, x: Value) -> Result<Prepared, Error> {
        let size = self.hidden_size;
        let weight = weights.of_input(cx, "weight_ih", x, 2 * size)?;
        let recurrent = weights.parameter(cx, "weight_hh", [2 * size, size])?;
        let constants = cx.split(recurrent, 0, &[size, size])?;
        let bias = weights.bias(cx, "bias_ih", 2 * size)?;
        Ok(Prepared { items: vec![project(cx, x, weight, bias)?], constants })
    }

    fn step(
        &self,
        cx: &mut Context,
        constants: &[Value],
        items: &[Value],
        states: &[Value],
    ) -> Result<Vec<Value>, Error> {
        let last = states[0];
        let [of_gate, of_new] = cut(cx, items[0], self.hidden_size)?;
        let seen = recur(cx, last, constants[0])?;
        let sum = cx.add(of_gate, seen)?;
        let gate = self.gate_activation.apply(cx, sum)?;
        let kept = cx.mul(gate, last)?;
        let seen = recur(cx, kept, constants[1])?;
        let sum = cx.add(of_new, seen)?;
        let new = self.activation.apply(cx, sum)?;
        Ok(vec![blend(cx, gate, last, new)?])
    }
}
