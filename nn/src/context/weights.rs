//! What layers see of parameters that are there already, or that are divided by their spectral norm.

use ir::{Error, Init, Value};

use super::Context;
use crate::Layer;

/// What a parameter is called that is divided by its spectral norm.
const WEIGHT: &str = "weight";
/// What the vector of the power iteration is called beside it.
const LEFT_VECTOR: &str = "weight_u";
/// What keeps a division by the length of a vector from zero; PyTorch's `spectral_norm` has the same.
const NORM_EPS: f64 = 1e-12;

impl Context {
    /// `layer` on `x`, as [`Context::shared`], with the parameters that the step has after the updates built so far. They are
    /// constants here: no gradient goes through them. So one graph can hold several steps, of which each sees what those
    /// before it have changed.
    ///
    /// ```
    /// use nn::{Context, Linear, Optimizer, Sgd};
    /// let mut cx = Context::training("twice");
    /// let x = cx.input("x", ir::DType::F32, [2, 3])?;
    /// let layer = Linear::new(3, 1);
    /// let y = cx.layer("fc", &layer, x)?;
    /// let loss = cx.eval(y.square().mean_all())?;
    /// Sgd::new(0.1).step(&mut cx, loss)?;
    /// let after = cx.updated("fc", &layer, x)?;
    /// cx.output("y_after_the_step", after)?;
    /// # Ok::<(), ir::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Context::shared`].
    pub fn updated(&mut self, name: impl Into<String>, layer: &dyn Layer, x: Value) -> Result<Value, Error> {
        let before = std::mem::replace(&mut self.is_updated, true);
        let result = self.shared(name, layer, x);
        self.is_updated = before;
        result
    }

    /// What a state is after the updates built so far, as a constant.
    fn constant_after_step(&mut self, state: Value) -> Result<Value, Error> {
        let updates = &self.root().updates;
        let update = updates.iter().find(|update| update.state == state.node);
        let next = update.map_or(state, |update| update.value);
        self.builder.root_mut().stop_gradient(next)
    }

    /// What `build` builds, with each parameter called `weight` that has two axes or more divided by its spectral norm, as
    /// [`SpectralNorm`](crate::SpectralNorm) says.
    pub fn with_spectral_norm<T>(&mut self, build: impl FnOnce(&mut Context) -> T) -> T {
        let before = std::mem::replace(&mut self.is_spectral, true);
        let built = build(self);
        self.is_spectral = before;
        built
    }

    /// What a layer sees of a parameter that it has just made.
    pub(super) fn weight(&mut self, name: &str, state: Value) -> Result<Value, Error> {
        if !self.divides(name, state) {
            return Ok(state);
        }
        let stream = self.initial_stream();
        let start = Init::Normal { mean: 0.0, deviation: 1.0, stream };
        let rows = self.shape(state)[0];
        let left = self.buffer(LEFT_VECTOR, [rows], start)?;
        let Divided { weight, left: next } = self.divided(state, left)?;
        if self.is_training() {
            self.update(left, next)?;
        }
        if !self.is_in_body() {
            self.spectral.insert(state, weight); // a value of a loop's body is none outside of it
        }
        Ok(weight)
    }

    /// What a layer that is applied again sees of a parameter: in one step a weight is divided by one norm.
    pub(super) fn weight_again(&mut self, name: &str, state: Value) -> Result<Value, Error> {
        let is_divided = self.divides(name, state);
        if let Some(&divided) = self.spectral.get(&state).filter(|_| is_divided && !self.is_updated) {
            return Ok(divided);
        }
        let now = if self.is_updated { self.constant_after_step(state)? } else { state };
        if !is_divided {
            return Ok(now);
        }
        let mut left = self.known_state(LEFT_VECTOR, [self.shape(state)[0]].into())?;
        if self.is_updated {
            left = self.constant_after_step(left)?;
        }
        Ok(self.divided(now, left)?.weight)
    }

    fn divides(&self, name: &str, state: Value) -> bool {
        self.is_spectral && name == WEIGHT && self.shape(state).rank() >= 2
    }

    /// A step of the power iteration from `left`, and the weight over the norm that it gives. No gradient goes through the vectors.
    fn divided(&mut self, weight: Value, left: Value) -> Result<Divided, Error> {
        let shape = self.shape(weight).clone();
        let (rows, columns) = (shape[0], shape[1..].iter().product::<usize>());
        let matrix = self.reshape(weight, [rows, columns])?;
        let is_training = self.is_training();
        let row = self.reshape(left, [1, rows])?;
        let fixed = self.stop_gradient(matrix)?;
        let product = self.matmul(row, fixed)?;
        let right = self.unit(product)?; // [1, columns]
        let next = if is_training {
            let product = self.matmul_transposed(right, fixed, false, true)?;
            self.unit(product)?
        } else {
            self.unit(row)?
        };
        let [next, right] = [self.stop_gradient(next)?, self.stop_gradient(right)?];
        let product = self.matmul_transposed(right, matrix, false, true)?;
        let norm = self.eval((next * product).sum_all())?;
        let weight = self.eval(weight / norm)?;
        Ok(Divided { weight, left: self.reshape(next, [rows])? })
    }

    /// A vector over its length.
    fn unit(&mut self, x: Value) -> Result<Value, Error> {
        self.eval(x / (x.square().sum_all().sqrt() + NORM_EPS))
    }
}

/// A weight over its spectral norm, and the vector from which the next step goes on.
struct Divided {
    weight: Value,
    left: Value,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Linear;
    use ir::DType;

    #[test]
    fn no_gradient_goes_through_what_a_step_has_made_of_parameters() {
        let mut cx = Context::training("g");
        let x = cx.input("x", DType::F32, [2, 3]).unwrap();
        let y = cx.layer("fc", &Linear::new(3, 1).without_bias(), x).unwrap();
        let start = cx.parameters()[0].value;
        cx.update(start, start * 2.0).unwrap();
        let after = cx.updated("fc", &Linear::new(3, 1).without_bias(), x).unwrap();
        let next = cx.graph().updates[0].value;
        let stops = cx
            .graph()
            .nodes()
            .filter(|(_, node)| matches!(node.op, ir::Op::StopGradient(_)) && node.operands[0] == next);
        assert_eq!(stops.count(), 1);
        let again = cx.shared("fc", &Linear::new(3, 1).without_bias(), x).unwrap();
        assert!(after != y && again != after);
    }
}
