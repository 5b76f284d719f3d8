//! The long short-term memory.

use ir::{Error, Value};

use super::weights::{cut, project, recur, shift};
use super::{Cell, Prepared, Recurrent, Weights};
use crate::{Activation, Context};

/// A layer of [`LstmCell`]s.
pub type Lstm = Recurrent<LstmCell>;

impl Lstm {
    /// From `input_size` to `hidden_size` values: PyTorch's `LSTM`.
    pub fn new(input_size: usize, hidden_size: usize) -> Lstm {
        Recurrent::with_cell(input_size, LstmCell::new(hidden_size))
    }
}

/// The long short-term memory (S. Hochreiter and J. Schmidhuber, "Long short-term memory", 1997, with the forget gate of F.
/// A. Gers et al., "Learning to forget", 2000). Its state `c` changes by sums alone; gates say how much of it stays, how much
/// is added, and how much of it is seen:
///
/// - `i_t = sigma_g(W_i x_t + U_i o_{t-1} + b_i)`, the input gate, also called r
/// - `f_t = sigma_g(W_f x_t + U_f o_{t-1} + b_f)`, the forget gate
/// - `g_t = sigma_c(W_c x_t + U_c o_{t-1} + b_c)`
/// - `c_t = f_t c_{t-1} + i_t g_t`
/// - `o_t = sigma_g(W_o x_t + U_o o_{t-1} + b_o) sigma_h(c_t)`
///
/// With a [projection](LstmCell::projection) P the output is `P` times that (H. Sak et al., "Long short-term memory recurrent
/// neural network architectures", 2014). With [peepholes](LstmCell::peepholes) gates see the cell, each value its own:
/// `p_i c_{t-1}`, `p_f c_{t-1}` and `p_o c_t` are added in the gates (F. A. Gers et al., "Learning precise timing with LSTM
/// recurrent networks", 2002; ONNX's `LSTM`). For the form in which `c_{t-1}` takes the place of `o_{t-1}`, see
/// [`PeepholeCell`](super::PeepholeCell).
///
/// `sigma_g` is the sigmoid, `sigma_c` and `sigma_h` are tanh unless they are chosen. As in PyTorch, `weight_ih`,
/// `[4 hidden, in]`, holds `W_i`, `W_f`, `W_c` and `W_o`; `weight_hh`, `[4 hidden, out]`, is alike; b is the sum of `bias_ih`
/// and `bias_hh`; P is `weight_hr`, `[out, hidden]`. `weight_ch`, `[3 hidden]`, holds `p_i`, `p_f` and `p_o`.
///
/// ```
/// use nn::rnn::{LstmCell, Recurrent, RecurrentInputs};
/// let cell = LstmCell::new(32).projection(8);
/// let mut cx = nn::Context::new("lstm");
/// let x = cx.input("x", ir::DType::F32, [7, 4, 3])?;
/// let y = Recurrent::with_cell(3, cell).run(&mut cx, RecurrentInputs::new(x))?;
/// assert_eq!(cx.ty(y.outputs).to_string(), "f32[7, 4, 8]");
/// assert_eq!(cx.ty(y.states[1]).to_string(), "f32[1, 4, 32]"); // c after the last step
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LstmCell {
    hidden_size: usize,
    projection: Option<usize>,
    has_peepholes: bool,
    forget_bias: f64,
    gate_activation: Activation,
    cell_activation: Activation,
    activation: Activation,
}

impl LstmCell {
    /// With so many outputs.
    pub fn new(hidden_size: usize) -> LstmCell {
        LstmCell {
            hidden_size,
            projection: None,
            has_peepholes: false,
            forget_bias: 0.0,
            gate_activation: Activation::Sigmoid,
            cell_activation: Activation::Tanh,
            activation: Activation::Tanh,
        }
    }

    /// With outputs that are projected to so many values: PyTorch's `proj_size`.
    pub fn projection(self, size: usize) -> LstmCell {
        LstmCell { projection: Some(size), ..self }
    }

    /// With Gers' peepholes.
    pub fn peepholes(self) -> LstmCell {
        LstmCell { has_peepholes: true, ..self }
    }

    /// With this number added to `b_f`, so that the cell starts by keeping its state (R. Jozefowicz, W. Zaremba and I.
    /// Sutskever, "An empirical exploration of recurrent network architectures", 2015: 1 is what most problems want). It is no
    /// parameter: weights of other programs fit a cell without it, which is the default.
    pub fn forget_bias(self, forget_bias: f64) -> LstmCell {
        LstmCell { forget_bias, ..self }
    }

    /// With this `sigma_g`.
    pub fn gate_activation(self, gate_activation: Activation) -> LstmCell {
        LstmCell { gate_activation, ..self }
    }

    /// With this `sigma_c`.
    pub fn cell_activation(self, cell_activation: Activation) -> LstmCell {
        LstmCell { cell_activation, ..self }
    }

    /// With this `sigma_h`.
    pub fn activation(self, activation: Activation) -> LstmCell {
        LstmCell { activation, ..self }
    }

    /// A gate from its sum, and from a cell's state where it has a peephole for it.
    fn gate(&self, cx: &mut Context, sum: Value, peephole: Option<(Value, Value)>) -> Result<Value, Error> {
        let sum = match peephole {
            None => sum,
            Some((weight, state)) => cx.eval(sum + weight * state)?,
        };
        self.gate_activation.apply(cx, sum)
    }
}

impl Cell for LstmCell {
    fn name(&self) -> &'static str {
        "Lstm"
    }

    fn states(&self) -> Vec<(&'static str, usize)> {
        vec![("h", self.projection.unwrap_or(self.hidden_size)), ("c", self.hidden_size)]
    }

    fn hidden_size(&self) -> usize {
        self.hidden_size
    }

    fn prepare(&self, cx: &mut Context, weights: &Weights, x: Value) -> Result<Prepared, Error> {
        let (size, outputs) = (self.hidden_size, self.output_size());
        let weight = weights.of_input(cx, "weight_ih", x, 4 * size)?;
        let mut constants = vec![weights.parameter(cx, "weight_hh", [4 * size, outputs])?];
        let bias = weights.both_biases(cx, 4 * size)?;
        if self.projection.is_some() {
            constants.push(weights.parameter(cx, "weight_hr", [outputs, size])?);
        }
        if self.has_peepholes {
            let peepholes = weights.parameter(cx, "weight_ch", [3 * size])?;
            constants.extend(cx.split(peepholes, 0, &[size; 3])?);
        }
        Ok(Prepared { items: vec![project(cx, x, weight, bias)?], constants })
    }

    fn step(
        &self,
        cx: &mut Context,
        constants: &[Value],
        items: &[Value],
        states: &[Value],
    ) -> Result<Vec<Value>, Error> {
        let (last, cell) = (states[0], states[1]);
        let (recurrent, constants) = (constants[0], &constants[1..]);
        let (projection, peepholes) = constants.split_at(usize::from(self.projection.is_some()));
        let peephole = |gate: usize, state: Value| peepholes.get(gate).map(|&weight| (weight, state));
        let seen = recur(cx, last, recurrent)?;
        let sums = cx.add(items[0], seen)?;
        let [input, forget, new, output] = cut(cx, sums, self.hidden_size)?;
        let forget = shift(cx, forget, self.forget_bias)?;
        let input = self.gate(cx, input, peephole(0, cell))?;
        let forget = self.gate(cx, forget, peephole(1, cell))?;
        let new = self.cell_activation.apply(cx, new)?;
        let cell = cx.eval(forget * cell + input * new)?;
        let output = self.gate(cx, output, peephole(2, cell))?;
        let seen = self.activation.apply(cx, cell)?;
        let mut output = cx.mul(output, seen)?;
        if let Some(&projection) = projection.first() {
            output = recur(cx, output, projection)?;
        }
        Ok(vec![output, cell])
    }
}
