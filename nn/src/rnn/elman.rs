//! Elman's cell.

use ir::{Error, Value};

use super::weights::{project, recur};
use super::{Cell, Prepared, Recurrent, Weights};
use crate::{Activation, Context};

/// A layer of [`ElmanCell`]s.
pub type Elman = Recurrent<ElmanCell>;

impl Elman {
    /// From `input_size` to `hidden_size` values: PyTorch's `RNN`.
    pub fn new(input_size: usize, hidden_size: usize) -> Elman {
        Recurrent::with_cell(input_size, ElmanCell::new(hidden_size))
    }
}

/// The state sees itself: `s_t = sigma_s(U s_{t-1} + W x_t + b)`, and the output is the state or, with
/// [`ElmanCell::output`], `o_t = sigma_o(V s_t + b_o)` (J. L. Elman, "Finding structure in time", 1990). `sigma_s` is tanh
/// unless it is chosen.
///
/// W is `weight_ih`, `[hidden, in]`, U is `weight_hh`, `[hidden, hidden]`, and b the sum of `bias_ih` and `bias_hh`, as
/// PyTorch's `RNN` has them; V is `weight_ho`, `[out, hidden]`, and `b_o` is `bias_ho`.
///
/// ```
/// use nn::rnn::{ElmanCell, Recurrent};
/// use nn::{Activation, Context, Layer};
/// let cell = ElmanCell::new(32).activation(Activation::Relu).output(10, Activation::Softmax);
/// let mut cx = Context::new("elman");
/// let x = cx.input("x", ir::DType::F32, [7, 4, 3])?;
/// let y = Recurrent::with_cell(3, cell).without_bias().forward(&mut cx, x)?;
/// assert_eq!(cx.ty(y).to_string(), "f32[7, 4, 10]");
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ElmanCell {
    hidden_size: usize,
    activation: Activation,
    output: Option<(usize, Activation)>,
}

impl ElmanCell {
    /// With a state of so many values.
    pub fn new(hidden_size: usize) -> ElmanCell {
        ElmanCell { hidden_size, activation: Activation::Tanh, output: None }
    }

    /// With this `sigma_s`.
    pub fn activation(self, activation: Activation) -> ElmanCell {
        ElmanCell { activation, ..self }
    }

    /// With outputs of so many values: `sigma_o(V s_t + b_o)`.
    pub fn output(self, size: usize, activation: Activation) -> ElmanCell {
        ElmanCell { output: Some((size, activation)), ..self }
    }
}

impl Cell for ElmanCell {
    fn name(&self) -> &'static str {
        "Elman"
    }

    fn states(&self) -> Vec<(&'static str, usize)> {
        vec![("h", self.hidden_size)]
    }

    fn hidden_size(&self) -> usize {
        self.hidden_size
    }

    fn output_size(&self) -> usize {
        self.output.map_or(self.hidden_size, |(size, _)| size)
    }

    fn prepare(&self, cx: &mut Context, weights: &Weights, x: Value) -> Result<Prepared, Error> {
        let size = self.hidden_size;
        let weight = weights.of_input(cx, "weight_ih", x, size)?;
        let recurrent = weights.parameter(cx, "weight_hh", [size, size])?;
        let bias = weights.both_biases(cx, size)?;
        Ok(Prepared { items: vec![project(cx, x, weight, bias)?], constants: vec![recurrent] })
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
        Ok(vec![self.activation.apply(cx, sum)?])
    }

    fn outputs(&self, cx: &mut Context, weights: &Weights, states: Value) -> Result<Value, Error> {
        let Some((size, activation)) = self.output else { return Ok(states) };
        let weight = weights.of_input(cx, "weight_ho", states, size)?;
        let bias = weights.bias(cx, "bias_ho", size)?;
        let y = project(cx, states, weight, bias)?;
        activation.apply(cx, y)
    }
}
