//! The states of a model: parameters, which are learned, and buffers, which are not.

use ir::{Error, Init, Shape, Type, Value};

use super::{Context, Parameter};

impl Context {
    /// A parameter of this name in the current scope: a state that an optimizer updates. The stream of a random `init` is
    /// replaced by one that no other parameter of this context has.
    ///
    /// # Errors
    /// Where the scope has a parameter of this name already, or the name cannot stand in the text form; in a layer that is
    /// [applied again](Context::shared), where it has none, or one of another shape.
    pub fn parameter(&mut self, name: &str, shape: impl Into<Shape>, init: Init) -> Result<Value, Error> {
        let shape = shape.into();
        if self.is_shared {
            let state = self.known_state(name, shape)?;
            return self.weight_again(name, state);
        }
        let (short_name, name) = (name, self.free_name(name)?);
        let init = match init {
            Init::Uniform { low, high, .. } => Init::Uniform { low, high, stream: self.initial_stream() },
            Init::Normal { mean, deviation, .. } => {
                Init::Normal { mean, deviation, stream: self.initial_stream() }
            }
            fixed => fixed,
        };
        let dtype = self.dtype;
        let value = self.builder.state(&name, dtype, shape, init)?;
        self.parameters.push(Parameter { name, value });
        self.weight(short_name, value)
    }

    /// A buffer of this name in the current scope: a state that belongs to the model, is kept with its parameters, and that
    /// no optimizer updates; who makes it does, by [`Context::update`].
    ///
    /// # Errors
    /// As [`Context::parameter`].
    pub fn buffer(&mut self, name: &str, shape: impl Into<Shape>, init: Init) -> Result<Value, Error> {
        let shape = shape.into();
        if self.is_shared {
            let state = self.known_state(name, shape)?;
            return Ok(self.buffers.get(&state).copied().unwrap_or(state));
        }
        let name = self.free_name(name)?;
        let dtype = self.dtype;
        self.builder.state(&name, dtype, shape, init)
    }

    /// `name` with its scopes, where no state has it yet.
    fn free_name(&self, name: &str) -> Result<String, Error> {
        let name = self.scoped(name);
        if self.root().find(&name).is_some() {
            let help = "give each layer a scope of its own: `cx.layer(\"fc1\", &layer, x)`";
            return Err(Error::new(name, "this name is taken", help));
        }
        Ok(name)
    }

    /// The state `name` of the current scope, which has been made before.
    pub(super) fn known_state(&self, name: &str, shape: Shape) -> Result<Value, Error> {
        let name = self.scoped(name);
        let found = self.root().find(&name).and_then(|node| self.root().results(node).next());
        let Some(value) = found else {
            let help = "apply the layer with `cx.layer` first, under the same name";
            return Err(Error::new(name, "there is no such parameter to be shared", help));
        };
        let wanted = Type::new(self.dtype, shape);
        if *self.ty(value) != wanted {
            let problem = format!("it is {} there, and {wanted} here", self.ty(value));
            return Err(Error::new(name, problem, "share one layer, or give each a scope of its own"));
        }
        Ok(value)
    }

    pub(super) fn initial_stream(&mut self) -> u32 {
        self.initial_streams += 1;
        self.initial_streams - 1
    }
}
