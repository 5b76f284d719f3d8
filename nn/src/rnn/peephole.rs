//! The long short-term memory whose gates see the cell's state alone.

use ir::{Error, Value};

use super::weights::{cut, project, recur, shift};
use super::{Cell, Prepared, Recurrent, Weights};
use crate::{Activation, Context};

/// A layer of [`PeepholeCell`]s.
pub type Peephole = Recurrent<PeepholeCell>;

impl Peephole {
    /// From `input_size` to `hidden_size` values.
    pub fn new(input_size: usize, hidden_size: usize) -> Peephole {
        Recurrent::with_cell(input_size, PeepholeCell::new(hidden_size))
    }
}

/// The long short-term memory in which the last state of the cell takes the place of the last output, in the gates and in the
/// cell (after F. A. Gers and J. Schmidhuber, "LSTM recurrent networks learn simple context-free and context-sensitive
/// languages", 2001):
///
/// - `i_t = sigma_g(W_i x_t + U_i c_{t-1} + b_i)`, also called r
/// - `f_t = sigma_g(W_f x_t + U_f c_{t-1} + b_f)`
/// - `g_t = sigma_c(W_c x_t + U_c c_{t-1} + b_c)`
/// - `c_t = f_t c_{t-1} + i_t g_t`
/// - `o_t = sigma_g(W_o x_t + U_o c_{t-1} + b_o) sigma_h(c_t)`
///
/// The state `h`, which is the output, is what no step reads. `sigma_g` is the sigmoid, `sigma_c` and `sigma_h` are tanh
/// unless they are chosen. `weight_ih`, `[4 hidden, in]`, holds `W_i`, `W_f`, `W_c` and `W_o`; `weight_hh`,
/// `[4 hidden, hidden]`, and `bias_ih` are alike. For peepholes beside the last output, one per value, see
/// [`LstmCell::peepholes`](super::LstmCell::peepholes).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PeepholeCell {
    hidden_size: usize,
    forget_bias: f64,
    gate_activation: Activation,
    cell_activation: Activation,
    activation: Activation,
}

impl PeepholeCell {
    /// With so many outputs.
    pub fn new(hidden_size: usize) -> PeepholeCell {
        PeepholeCell {
            hidden_size,
            forget_bias: 0.0,
            gate_activation: Activation::Sigmoid,
            cell_activation: Activation::Tanh,
            activation: Activation::Tanh,
        }
    }

    /// With this number added to `b_f`, as [`LstmCell::forget_bias`](super::LstmCell::forget_bias).
    pub fn forget_bias(self, forget_bias: f64) -> PeepholeCell {
        PeepholeCell { forget_bias, ..self }
    }

    /// With this `sigma_g`.
    pub fn gate_activation(self, gate_activation: Activation) -> PeepholeCell {
        PeepholeCell { gate_activation, ..self }
    }

    /// With this `sigma_c`.
    pub fn cell_activation(self, cell_activation: Activation) -> PeepholeCell {
        PeepholeCell { cell_activation, ..self }
    }

    /// With this `sigma_h`.
    pub fn activation(self, activation: Activation) -> PeepholeCell {
        PeepholeCell { activation, ..self }
    }
}

impl Cell for PeepholeCell {
    fn name(&self) -> &'static str {
        "Peephole"
    }

    fn states(&self) -> Vec<(&'static str, usize)> {
        vec![("h", self.hidden_size), ("c", self.hidden_size)]
    }

    fn hidden_size(&self) -> usize {
        self.hidden_size
    }

    fn prepare(&self, cx: &mut Context, weights: &Weights, x: Value) -> Result<Prepared, Error> {
        let size = self.hidden_size;
        let weight = weights.of_input(cx, "weight_ih", x, 4 * size)?;
        let recurrent = weights.parameter(cx, "weight_hh", [4 * size, size])?;
        let bias = weights.bias(cx, "bias_ih", 4 * size)?;
        Ok(Prepared { items: vec![project(cx, x, weight, bias)?], constants: vec![recurrent] })
    }

    fn step(
        &self,
        cx: &mut Context,
        constants: &[Value],
        items: &[Value],
        states: &[Value],
    ) -> Result<Vec<Value>, Error> {
        let cell = states[1];
        let seen = recur(cx, cell, constants[0])?;
        let sums = cx.add(items[0], seen)?;
        let [input, forget, new, output] = cut(cx, sums, self.hidden_size)?;
        let forget = shift(cx, forget, self.forget_bias)?;
        let [input, forget, output] = [input, forget, output].map(|sum| self.gate_activation.apply(cx, sum));
        let new = self.cell_activation.apply(cx, new)?;
        let cell = cx.eval(forget? * cell + input? * new)?;
        let seen = self.activation.apply(cx, cell)?;
        Ok(vec![cx.mul(output?, seen)?, cell])
    }
}
