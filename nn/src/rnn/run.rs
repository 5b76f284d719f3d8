//! The layer that runs a cell over time: its graph.

use ir::{Error, Shape, Steps, Value};

use super::lengths::{choose, mask};
use super::{Cell, Prepared, Recurrent, Weights};
use crate::{Context, Dropout, Layer, init};

/// What a recurrent layer runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecurrentInputs {
    x: Value,
    lengths: Option<Value>,
    states: Option<Vec<Value>>,
}

impl RecurrentInputs {
    /// Sequences, `[steps, batch, in]`, or `[batch, steps, in]` for a layer that is [`batch_first`](Recurrent::batch_first).
    pub fn new(x: Value) -> RecurrentInputs {
        RecurrentInputs { x, lengths: None, states: None }
    }

    /// With the length of each sample, `i64[batch]`. Steps beyond it keep the sample's states, and their outputs are 0. In
    /// the reverse direction a sample begins at its own last element. Lengths beyond the sequence are taken as its own: who
    /// has them as a tensor checks them with [`check_lengths`](super::check_lengths).
    pub fn lengths(self, lengths: Value) -> RecurrentInputs {
        RecurrentInputs { lengths: Some(lengths), ..self }
    }

    /// From these states, which [`RecurrentOutputs::states`] of another run may be: of each of the
    /// [states of the cell](Cell::states) one, `[layers * directions, batch, size]`.
    pub fn states(self, states: &[Value]) -> RecurrentInputs {
        RecurrentInputs { states: Some(states.to_vec()), ..self }
    }
}

/// What a recurrent layer gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecurrentOutputs {
    /// The outputs of the last layer: `[steps, batch, out]`, `[batch, steps, out]` or `[batch, out]`, as the layer says.
    pub outputs: Value,
    /// The states after the last step, in the order of [`Cell::states`]: `[layers * directions, batch, size]`, the forward
    /// direction of a layer before the reverse one. PyTorch calls them `h_n` and `c_n`.
    pub states: Vec<Value>,
}

/// One layer in one direction.
struct Pass<'a> {
    weights: Weights,
    is_reverse: bool,
    /// `[steps, batch, 1]`.
    mask: Option<Value>,
    initial: &'a [Value],
}

impl<C: Cell> Recurrent<C> {
    /// Builds the layer on sequences, with lengths and states where there are some.
    ///
    /// ```
    /// use ir::DType;
    /// use nn::rnn::RecurrentInputs;
    /// use nn::{Context, Gru};
    /// // The step of one character, from the state that it left before.
    /// let mut cx = Context::new("next");
    /// let x = cx.input("x", DType::F32, [1, 1, 64])?;
    /// let h = cx.input("h", DType::F32, [1, 1, 128])?;
    /// let y = Gru::new(64, 128).run(&mut cx, RecurrentInputs::new(x).states(&[h]))?;
    /// assert_eq!(cx.ty(y.states[0]).to_string(), "f32[1, 1, 128]");
    /// # Ok::<(), ir::Error>(())
    /// ```
    ///
    /// # Errors
    /// Where x, lengths or states do not fit the layer or each other, or the scope has parameters of its names already.
    pub fn run(&self, cx: &mut Context, inputs: RecurrentInputs) -> Result<RecurrentOutputs, Error> {
        let mut x = self.time_first(cx, inputs.x)?;
        let [steps, batch] = [cx.shape(x)[0], cx.shape(x)[1]];
        let dtype = cx.dtype(x);
        let mask = inputs.lengths.map(|lengths| mask(cx, lengths, dtype, [steps, batch])).transpose()?;
        let given = inputs.states.map(|states| self.given_states(cx, &states, batch)).transpose()?;
        let directions = self.direction.each();
        let mut states = Vec::new();
        for layer in 0..self.layers {
            let is_last = layer + 1 == self.layers;
            let mut outputs = Vec::new();
            for (index, &is_reverse) in directions.iter().enumerate() {
                let suffix = is_reverse && directions.len() > 1;
                let weights = Weights::new(layer, suffix, self.cell.hidden_size(), self.has_bias);
                let initial = match &given {
                    Some(given) => given[layer * directions.len() + index].clone(),
                    None => self.initial_states(cx, &weights, x, batch)?,
                };
                let pass = Pass { weights, is_reverse, mask, initial: &initial };
                let (all, last) = self.pass(cx, &pass, x)?;
                outputs.push(self.outputs(cx, &pass, all, last[0], is_last)?);
                states.push(last);
            }
            x = joined(cx, &outputs)?;
            if !is_last {
                x = Dropout::new(self.dropout).forward(cx, x)?;
            }
        }
        if self.is_batch_first && !self.is_last_only {
            x = cx.transpose(x, &[1, 0, 2])?;
        }
        Ok(RecurrentOutputs { outputs: x, states: self.stacked_states(cx, &states)? })
    }

    /// x as `[steps, batch, in]`, checked.
    fn time_first(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        cx.check(self.cell.name(), &[x])?;
        let (size, ty) = (self.input_size, cx.ty(x).clone());
        if ty.shape.rank() != 3 || ty.shape[2] != size {
            let axes = if self.is_batch_first { "batch, steps" } else { "steps, batch" };
            let problem = format!("x is {ty}, the layer takes {}[{axes}, {size}]", ty.dtype);
            return Err(self.error(cx, problem, "give a sequence of rows of this size per sample"));
        }
        if self.layers == 0 {
            return Err(self.error(cx, "it has no layers".into(), "give it one or more"));
        }
        if self.is_batch_first { cx.transpose(x, &[1, 0, 2]) } else { Ok(x) }
    }

    fn error(&self, cx: &Context, problem: String, help: &str) -> Error {
        let subject = format!("{} {}", self.cell.name().to_lowercase(), cx.scoped("weight_ih_l0"));
        Error::new(subject, problem, help)
    }

    /// The states that are given, of each layer and direction those of the cell, `[batch, size]`.
    fn given_states(
        &self,
        cx: &mut Context,
        given: &[Value],
        batch: usize,
    ) -> Result<Vec<Vec<Value>>, Error> {
        let (states, count) = (self.cell.states(), self.layers * self.direction.each().len());
        let wanted = || {
            let each = states.iter().map(|(name, size)| format!("{name} of [{count}, {batch}, {size}]"));
            each.collect::<Vec<String>>().join(" and ")
        };
        if given.len() != states.len() {
            let problem =
                format!("{} initial states are given, and the cell has {}", given.len(), states.len());
            return Err(self.error(cx, problem, &format!("give {}", wanted())));
        }
        for (&value, &(name, size)) in given.iter().zip(&states) {
            cx.check(self.cell.name(), &[value])?;
            if cx.shape(value)[..] != [count, batch, size] {
                let problem = format!("the initial state {name} is {}", cx.ty(value));
                let help =
                    format!("give {}: layers times directions, samples of the batch, values", wanted());
                return Err(self.error(cx, problem, &help));
            }
        }
        let row = |cx: &mut Context, index: usize, value: Value, size: usize| {
            cx.eval(value.slice_axis(0, index..index + 1).reshape([batch, size]))
        };
        (0..count)
            .map(|index| {
                let states = given.iter().zip(&states);
                states.map(|(&value, &(_, size))| row(cx, index, value, size)).collect()
            })
            .collect()
    }

    /// Zeros or what is learned, of each state of the cell `[batch, size]`.
    fn initial_states(
        &self,
        cx: &mut Context,
        weights: &Weights,
        x: Value,
        batch: usize,
    ) -> Result<Vec<Value>, Error> {
        let mut initial = Vec::new();
        for (name, size) in self.cell.states() {
            let start = match self.has_learned_states {
                true => cx.parameter(&weights.full_name(&format!("{name}0")), [size], init::zeros())?,
                false => cx.float_like(x, 0.0),
            };
            initial.push(cx.broadcast(start, [batch, size])?);
        }
        Ok(initial)
    }

    /// All values of the first state, `[steps, batch, size]`, and the states after the last step.
    fn pass(&self, cx: &mut Context, pass: &Pass<'_>, x: Value) -> Result<(Value, Vec<Value>), Error> {
        let Prepared { items, constants } = self.cell.prepare(cx, &pass.weights, x)?;
        let stacked: Vec<Value> = items.iter().copied().chain(pass.mask).collect();
        let step = |cx: &mut Context, states: &[Value], items: &[Value]| {
            let (items, mask) = items.split_at(items.len() - usize::from(pass.mask.is_some()));
            let mut next = self.cell.step(cx, &constants, items, states)?;
            if let Some(&mask) = mask.first() {
                for (next, &state) in next.iter_mut().zip(states) {
                    *next = choose(cx, mask, *next, state)?;
                }
            }
            Ok(next)
        };
        let length = cx.shape(x)[0];
        if length == 1 {
            let rows: Vec<Value> =
                stacked.iter().map(|&stack| without_first_axis(cx, stack)).collect::<Result<_, _>>()?;
            let next = step(cx, pass.initial, &rows)?;
            return Ok((with_first_axis(cx, next[0])?, next));
        }
        let steps = if pass.is_reverse { Steps::new(length).reversed() } else { Steps::new(length) };
        let scanned = cx.scan(steps, pass.initial, &stacked, |cx, states, items| {
            let next = step(cx, states, items)?;
            let first = next[0];
            Ok((next, vec![first]))
        })?;
        Ok((scanned.stacked[0], scanned.carries))
    }

    /// The outputs of a layer in one direction: of all steps, or of the last step alone.
    fn outputs(
        &self,
        cx: &mut Context,
        pass: &Pass<'_>,
        all: Value,
        last: Value,
        is_last_layer: bool,
    ) -> Result<Value, Error> {
        if is_last_layer && self.is_last_only {
            return self.cell.outputs(cx, &pass.weights, last);
        }
        let outputs = self.cell.outputs(cx, &pass.weights, all)?;
        let Some(mask) = pass.mask else { return Ok(outputs) };
        let zero = cx.float_like(outputs, 0.0);
        choose(cx, mask, outputs, zero)
    }

    /// Of each state of the cell those of all layers and directions.
    fn stacked_states(&self, cx: &mut Context, states: &[Vec<Value>]) -> Result<Vec<Value>, Error> {
        let count = self.cell.states().len();
        (0..count)
            .map(|state| {
                let parts: Vec<Value> = states
                    .iter()
                    .map(|states| with_first_axis(cx, states[state]))
                    .collect::<Result<_, _>>()?;
                if parts.len() == 1 { Ok(parts[0]) } else { cx.concat(&parts, 0) }
            })
            .collect()
    }
}

/// The outputs of both directions side by side.
fn joined(cx: &mut Context, outputs: &[Value]) -> Result<Value, Error> {
    let last = cx.shape(outputs[0]).rank() - 1;
    if outputs.len() == 1 { Ok(outputs[0]) } else { cx.concat(outputs, last) }
}

fn with_first_axis(cx: &mut Context, x: Value) -> Result<Value, Error> {
    let shape: Shape = [1].iter().chain(cx.shape(x).iter()).copied().collect();
    cx.reshape(x, shape)
}

fn without_first_axis(cx: &mut Context, x: Value) -> Result<Value, Error> {
    let shape: Shape = cx.shape(x)[1..].iter().copied().collect();
    cx.reshape(x, shape)
}
