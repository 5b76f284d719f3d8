//! The layer that runs a cell over time: what it is.

use ir::{Error, Value};

use super::{Cell, RecurrentInputs};
use crate::{Context, Layer};

/// In which order steps run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the first to the last.
    Forward,
    /// From the last to the first.
    Reverse,
    /// Both, with parameters of their own: outputs stand side by side, those of the reverse direction second.
    Both,
}

impl Direction {
    /// Whether each of the directions is the reverse one.
    pub(super) fn each(self) -> &'static [bool] {
        match self {
            Direction::Forward => &[false],
            Direction::Reverse => &[true],
            Direction::Both => &[false, true],
        }
    }
}

/// A cell over time, `[steps, batch, in]` -> `[steps, batch, out]`.
///
/// As a [`Layer`] it starts from its initial states, takes all sequences as of one length, and gives the outputs;
/// [`Recurrent::run`] takes states and lengths, too, and gives the last states.
///
/// ```
/// use nn::{Context, Layer, Linear, Gru, Sequential};
/// let rows = Gru::new(8, 64).batch_first().last(); // an image row by row, and what is left in the end
/// let model = Sequential::new().add(rows).add(Linear::new(64, 10));
/// let mut cx = Context::new("digits");
/// let x = cx.input("x", ir::DType::F32, [32, 8, 8])?;
/// let y = model.forward(&mut cx, x)?;
/// assert_eq!(cx.ty(y).to_string(), "f32[32, 10]");
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recurrent<C> {
    pub(super) cell: C,
    pub(super) input_size: usize,
    pub(super) layers: usize,
    pub(super) direction: Direction,
    pub(super) dropout: f64,
    pub(super) has_bias: bool,
    pub(super) is_batch_first: bool,
    pub(super) is_last_only: bool,
    pub(super) has_learned_states: bool,
}

impl<C: Cell> Recurrent<C> {
    /// One layer of this cell on `input_size` values per step, in the forward direction, from states of zero.
    pub fn with_cell(input_size: usize, cell: C) -> Recurrent<C> {
        Recurrent {
            cell,
            input_size,
            layers: 1,
            direction: Direction::Forward,
            dropout: 0.0,
            has_bias: true,
            is_batch_first: false,
            is_last_only: false,
            has_learned_states: false,
        }
    }

    /// So many layers, of which each reads the outputs of the one before it.
    pub fn layers(self, layers: usize) -> Recurrent<C> {
        Recurrent { layers, ..self }
    }

    /// In both directions.
    pub fn bidirectional(self) -> Recurrent<C> {
        self.direction(Direction::Both)
    }

    /// In this direction.
    pub fn direction(self, direction: Direction) -> Recurrent<C> {
        Recurrent { direction, ..self }
    }

    /// With [dropout](crate::Dropout) of this rate between layers, other elements in each step of time.
    pub fn dropout(self, rate: f64) -> Recurrent<C> {
        Recurrent { dropout: rate, ..self }
    }

    /// Without biases.
    pub fn without_bias(self) -> Recurrent<C> {
        Recurrent { has_bias: false, ..self }
    }

    /// On `[batch, steps, in]`, with outputs of `[batch, steps, out]`. States stay `[layers * directions, batch, size]`.
    pub fn batch_first(self) -> Recurrent<C> {
        Recurrent { is_batch_first: true, ..self }
    }

    /// With the output of the last step alone, `[batch, out]`: the last within a sample's length, and the first step in the
    /// reverse direction, which is the last that runs.
    pub fn last(self) -> Recurrent<C> {
        Recurrent { is_last_only: true, ..self }
    }

    /// With initial states that are learned, the same for each sample: parameters `h0_l0` and so on, which start as zeros.
    pub fn learned_states(self) -> Recurrent<C> {
        Recurrent { has_learned_states: true, ..self }
    }

    /// The number of values that it gives out per step.
    pub fn output_size(&self) -> usize {
        self.cell.output_size() * self.direction.each().len()
    }

    /// The number of values that it reads per step.
    pub fn input_size(&self) -> usize {
        self.input_size
    }

    /// The states that it runs from and ends with, by name: `[layers * directions, batch, size]` each.
    pub fn state_shapes(&self, batch: usize) -> Vec<(&'static str, [usize; 3])> {
        let count = self.layers * self.direction.each().len();
        self.cell.states().into_iter().map(|(name, size)| (name, [count, batch, size])).collect()
    }

    /// Whether it runs in the forward direction alone, so that a step depends on those before it.
    pub fn is_forward(&self) -> bool {
        self.direction == Direction::Forward
    }

    /// The cell.
    pub fn cell(&self) -> &C {
        &self.cell
    }
}

impl<C: Cell> Layer for Recurrent<C> {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        Ok(self.run(cx, RecurrentInputs::new(x))?.outputs)
    }

    fn description(&self) -> String {
        let layers = if self.layers == 1 { String::new() } else { format!(", {} layers", self.layers) };
        let direction = match self.direction {
            Direction::Forward => "",
            Direction::Reverse => ", reverse",
            Direction::Both => ", bidirectional",
        };
        let (name, inputs, outputs) = (self.cell.name(), self.input_size, self.output_size());
        format!("{name} {inputs} -> {outputs}{layers}{direction}")
    }
}
