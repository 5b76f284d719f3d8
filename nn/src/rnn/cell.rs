//! What a cell is: one step of a recurrent network.

use ir::{Error, Value};

use super::Weights;
use crate::Context;

/// What a cell computes before the loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// What steps read of the input, `[steps, batch, ..]` each: element `t` is for step `t`.
    pub items: Vec<Value>,
    /// What is the same in each step: recurrent weights.
    pub constants: Vec<Value>,
}

/// One step of a recurrent network. [`Recurrent`](super::Recurrent) runs it over time.
///
/// A cell is a description, as a [`Layer`](crate::Layer) is. It knows its hidden size; the size of its input is that of the
/// values it is given, since the cells of upper layers have others.
pub trait Cell: Send + Sync {
    /// What it is called: `Lstm`.
    fn name(&self) -> &'static str;

    /// The states that go from step to step, `[batch, size]` each, with a name. The first is what the cell gives out, or what
    /// [`Cell::outputs`] makes that of.
    fn states(&self) -> Vec<(&'static str, usize)>;

    /// Parameters start uniform on +-1/sqrt of this: PyTorch's rule.
    fn hidden_size(&self) -> usize;

    /// The size of what it gives out.
    fn output_size(&self) -> usize {
        self.states()[0].1
    }

    /// Makes the parameters, and computes what does not depend on the state: of all steps at once, from x,
    /// `[steps, batch, in]`.
    ///
    /// # Errors
    /// Where x is of another type than the parameters.
    fn prepare(&self, cx: &mut Context, weights: &Weights, x: Value) -> Result<Prepared, Error>;

    /// The next states, from the constants that the cell has prepared, its items at this step, `[batch, ..]`, and the states.
    ///
    /// # Errors
    /// Where the states do not fit.
    fn step(
        &self,
        cx: &mut Context,
        constants: &[Value],
        items: &[Value],
        states: &[Value],
    ) -> Result<Vec<Value>, Error>;

    /// What the cell gives out, from values of the first state, `[.., size]`: after the loop, for all steps at once.
    ///
    /// # Errors
    /// Where that cannot be built.
    fn outputs(&self, cx: &mut Context, weights: &Weights, states: Value) -> Result<Value, Error> {
        let _ = (cx, weights);
        Ok(states)
    }
}

impl<C: Cell + ?Sized> Cell for Box<C> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn states(&self) -> Vec<(&'static str, usize)> {
        (**self).states()
    }

    fn hidden_size(&self) -> usize {
        (**self).hidden_size()
    }

    fn output_size(&self) -> usize {
        (**self).output_size()
    }

    fn prepare(&self, cx: &mut Context, weights: &Weights, x: Value) -> Result<Prepared, Error> {
        (**self).prepare(cx, weights, x)
    }

    fn step(
        &self,
        cx: &mut Context,
        constants: &[Value],
        items: &[Value],
        states: &[Value],
    ) -> Result<Vec<Value>, Error> {
        (**self).step(cx, constants, items, states)
    }

    fn outputs(&self, cx: &mut Context, weights: &Weights, states: Value) -> Result<Value, Error> {
        (**self).outputs(cx, weights, states)
    }
}
