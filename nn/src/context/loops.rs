//! Loops over time whose bodies have layers and parameters.

use ir::{Error, Scanned, Steps, Value};

use super::Context;

impl Context {
    /// A loop: `step(cx, carries, items)` builds one step, from the carries so far and element `t` of each stacked operand
    /// (`[length, ..]`), and gives the next carries, of the same types, and what is stacked. It is
    /// [`Builder::scan`](ir::Builder::scan) for a context.
    ///
    /// A parameter that is made in the body is a state of the graph around: there is one, for all steps. A layer in the body is
    /// one layer that each step applies. A draw, as of dropout, gives the same numbers in each step, unless the loop carries
    /// a key: [`Context::with_key`]. States are updated outside of the loop, so batch normalisation cannot be trained in one.
    ///
    /// ```
    /// use ir::DType;
    /// use nn::{Context, Linear};
    /// let mut cx = Context::new("euler");
    /// let x = cx.input("x", DType::F32, [8, 3])?;
    /// // 100 steps of dx/dt = tanh(A x + b)
    /// let path = cx.scan(100, &[x], &[], |cx, carries, _| {
    ///     let slope = cx.layer("slope", &Linear::new(3, 3), carries[0])?;
    ///     let next = cx.eval(carries[0] + slope.tanh() * 0.01)?;
    ///     Ok((vec![next], vec![next]))
    /// })?;
    /// assert_eq!(cx.ty(path.stacked[0]).to_string(), "f32[100, 8, 3]");
    /// assert_eq!(cx.parameters()[0].name, "slope.weight");
    /// # Ok::<(), ir::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of the step; operands without `length` as first extent; carries that change their type.
    pub fn scan(
        &mut self,
        steps: impl Into<Steps>,
        carries: &[Value],
        stacked: &[Value],
        step: impl FnOnce(&mut Context, &[Value], &[Value]) -> Result<(Vec<Value>, Vec<Value>), Error>,
    ) -> Result<Scanned, Error> {
        let inputs = self.builder.open_scan(steps, carries, stacked)?;
        let (carries, items) = inputs.split_at(carries.len());
        let built = step(self, carries, items);
        self.builder.close_scan(built)
    }

    /// Checks that no loop's body is being built, where a state is to be updated.
    pub(super) fn check_is_outside(&self) -> Result<(), Error> {
        if !self.is_in_body() {
            return Ok(());
        }
        let help =
            "in use it stays as it is; in training, update it after the loop with what the loop carries out";
        Err(Error::new(self.scoped("update"), "a loop's body updates no state", help))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BatchNorm, Dropout, Layer, Linear};
    use ir::{DType, Init};

    #[test]
    fn parameters_of_a_body_are_states_around_with_names_of_their_own() {
        let mut cx = Context::training("g");
        let x = cx.input("x", DType::F32, [2, 3]).unwrap();
        let step = |cx: &mut Context, carries: &[Value], _: &[Value]| {
            let y = cx.layer("fc", &Linear::new(3, 3), carries[0])?;
            let y = cx.shared("fc", &Linear::new(3, 3), y)?;
            let taken = cx.layer("fc", &Linear::new(3, 3), y).unwrap_err().to_string();
            assert!(taken.starts_with("net.fc.weight: this name is taken"), "{taken}");
            Ok((vec![y], vec![]))
        };
        let y = cx.scope("net", |cx| cx.scan(5, &[x], &[], step)).unwrap().carries[0];
        let z = cx.shared("net.fc", &Linear::new(3, 3), y).unwrap();
        let loss = cx.eval(z.sum_all()).unwrap();
        assert_eq!(cx.gradients(loss).unwrap().len(), 2);
        let names: Vec<&str> = cx.parameters().iter().map(|parameter| parameter.name.as_str()).collect();
        assert_eq!(names, ["net.fc.weight", "net.fc.bias"]);
        let calls: Vec<(bool, String)> =
            cx.calls().iter().map(|call| (call.output.is_some(), call.output_type.to_string())).collect();
        assert_eq!(calls[0], (false, "f32[2, 3]".into()));
        assert!(calls[2].0);
    }

    #[test]
    fn draws_of_a_body_have_their_key_from_outside() {
        let mut cx = Context::training("g");
        let x = cx.input("x", DType::F32, [4]).unwrap();
        let step = |cx: &mut Context, carries: &[Value], _: &[Value]| {
            let y = Dropout::new(0.5).forward(cx, carries[0])?;
            Ok((vec![y], vec![y]))
        };
        let y = cx.scan(3, &[x], &[], step).unwrap().carries[0];
        Dropout::new(0.5).forward(&mut cx, y).unwrap();
        let graph = cx.finish();
        assert_eq!(graph.updates.len(), 1, "steps are counted once");
        let names: Vec<&str> = graph.states().filter_map(|(_, node)| node.name.as_deref()).collect();
        assert_eq!(names, ["random.seed", "random.step"]);
    }

    #[test]
    fn statistics_cannot_follow_the_steps_of_a_loop() {
        let mut cx = Context::training("g");
        let x = cx.input("x", DType::F32, [4, 3]).unwrap();
        let norm = |cx: &mut Context, carries: &[Value], _: &[Value]| {
            Ok((vec![cx.layer("bn", &BatchNorm::new(3), carries[0])?], vec![]))
        };
        assert_eq!(
            cx.scan(5, &[x], &[], norm).unwrap_err().to_string(),
            "bn.update: a loop's body updates no state; \
             in use it stays as it is; in training, update it after the loop with what the loop carries out"
        );
        let mut used = Context::new("g");
        let x = used.input("x", DType::F32, [4, 3]).unwrap();
        assert!(used.scan(5, &[x], &[], norm).is_ok());
    }

    #[test]
    fn a_state_may_be_made_and_read_in_a_loop_within_a_loop() {
        let mut cx = Context::new("g");
        let x = cx.input("x", DType::F32, [2]).unwrap();
        let inner = |cx: &mut Context, carries: &[Value], _: &[Value]| {
            let w = cx.parameter("w", [2], Init::Constant(0.5))?;
            Ok((vec![cx.eval(carries[0] * w)?], vec![]))
        };
        let outer = |cx: &mut Context, carries: &[Value], _: &[Value]| {
            Ok((cx.scan(2, carries, &[], inner)?.carries, vec![]))
        };
        cx.scan(3, &[x], &[], outer).unwrap();
        assert_eq!(cx.finish().states().count(), 1);
    }
}
