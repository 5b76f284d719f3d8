//! The builder that knows the parameters of a model.
//!
//! Layers ask it for parameters by short names (`weight`); it puts the scopes in front of them that they are in
//! (`fc1.weight`), gives each random one a stream of random numbers of its own, and keeps the list from which an
//! optimizer reads what it has to update. Everything else it leaves to [`Builder`], as which it can be used.

use std::ops::{Deref, DerefMut};

use ir::{Builder, DType, Error, Graph, Init, Shape, Value};

/// A state that is learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name with its scopes: `fc1.weight`.
    pub name: String,
    /// Its value at the start of a step.
    pub value: Value,
}

/// A [`Builder`] that also collects parameters.
///
/// ```
/// use ir::{DType, Init};
/// let mut cx = nn::Context::new("scaled");
/// let x = cx.input("x", DType::F32, [2, 3])?;
/// let scale = cx.scope("norm", |cx| cx.parameter("scale", [3], Init::Constant(1.0)))?;
/// let y = cx.mul(x, scale)?;
/// cx.output("y", y)?;
/// assert_eq!(cx.parameters()[0].name, "norm.scale");
/// # Ok::<(), ir::Error>(())
/// ```
pub struct Context {
    builder: Builder,
    parameters: Vec<Parameter>,
    scopes: Vec<String>,
    next_stream: u32,
    dtype: DType,
}

impl Context {
    /// The context of an empty graph of this name, with parameters of `f32`.
    pub fn new(name: impl Into<String>) -> Context {
        Context::with_dtype(name, DType::F32)
    }

    /// The context of an empty graph of this name, with parameters of `dtype`, a float.
    pub fn with_dtype(name: impl Into<String>, dtype: DType) -> Context {
        let builder = Builder::new(name);
        Context { builder, parameters: Vec::new(), scopes: Vec::new(), next_stream: 0, dtype }
    }

    /// A parameter of this name in the current scope. The stream of a random `init` is replaced by one that no other
    /// parameter of this context has.
    ///
    /// # Errors
    /// Where the scope has a parameter of this name already, or the name cannot stand in the text form.
    pub fn parameter(&mut self, name: &str, shape: impl Into<Shape>, init: Init) -> Result<Value, Error> {
        let name = self.scoped(name);
        if self.parameters.iter().any(|parameter| parameter.name == name) {
            let help = "give each layer a scope of its own: `cx.scope(\"fc1\", |cx| layer.forward(cx, x))`";
            return Err(Error::new(name, "there is a parameter of this name", help));
        }
        let init = match init {
            Init::Uniform { low, high, .. } => Init::Uniform { low, high, stream: self.next_stream() },
            Init::Normal { mean, deviation, .. } => {
                Init::Normal { mean, deviation, stream: self.next_stream() }
            }
            fixed => fixed,
        };
        let dtype = self.dtype;
        let value = self.builder.state(&name, dtype, shape, init)?;
        self.parameters.push(Parameter { name, value });
        Ok(value)
    }

    /// What `build` builds, with `name.` before the names of its parameters.
    pub fn scope<T>(&mut self, name: impl Into<String>, build: impl FnOnce(&mut Context) -> T) -> T {
        self.scopes.push(name.into());
        let built = build(self);
        self.scopes.pop();
        built
    }

    /// Whether no scope is open.
    pub fn is_at_root(&self) -> bool {
        self.scopes.is_empty()
    }

    /// `name` with the open scopes before it: `encoder.fc1.weight`.
    pub fn scoped(&self, name: &str) -> String {
        let parts: Vec<&str> = self.scopes.iter().map(String::as_str).chain([name]).collect();
        parts.join(".")
    }

    /// A stream of random numbers that nothing else in this context draws from.
    pub fn next_stream(&mut self) -> u32 {
        self.next_stream += 1;
        self.next_stream - 1
    }

    /// The parameters so far, in the order of their creation.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The gradients of `loss` with respect to all parameters, in their order: one `grad` node for all.
    ///
    /// # Errors
    /// Where there are no parameters, or `loss` is no float of rank 0.
    pub fn gradients(&mut self, loss: Value) -> Result<Vec<Value>, Error> {
        if self.parameters.is_empty() {
            let help = "run the forward pass of a layer with parameters first";
            return Err(Error::new(self.graph().name.clone(), "the model has no parameters to train", help));
        }
        let values: Vec<Value> = self.parameters.iter().map(|parameter| parameter.value).collect();
        self.builder.grad(loss, &values)
    }

    /// The finished graph.
    pub fn finish(self) -> Graph {
        self.builder.finish()
    }
}

// A context is a builder that keeps a list besides: ops are written `cx.matmul(a, b)`, and functions that take a
// `&mut Builder` take a `&mut Context`.
impl Deref for Context {
    type Target = Builder;

    fn deref(&self) -> &Builder {
        &self.builder
    }
}

impl DerefMut for Context {
    fn deref_mut(&mut self) -> &mut Builder {
        &mut self.builder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_nest_and_end() {
        let mut cx = Context::new("g");
        let inner = |cx: &mut Context| cx.scope("fc1", |cx| cx.parameter("weight", [2], Init::Constant(0.0)));
        cx.scope("encoder", inner).unwrap();
        assert!(cx.is_at_root());
        cx.parameter("bias", [2], Init::Constant(0.0)).unwrap();
        let names: Vec<&str> = cx.parameters().iter().map(|parameter| parameter.name.as_str()).collect();
        assert_eq!(names, ["encoder.fc1.weight", "bias"]);
    }

    #[test]
    fn random_parameters_have_streams_of_their_own() {
        let mut cx = Context::new("g");
        for name in ["a", "b"] {
            cx.parameter(name, [2], Init::Uniform { low: 0.0, high: 1.0, stream: 7 }).unwrap();
        }
        let graph = cx.finish();
        let streams: Vec<u32> = (graph.states())
            .filter_map(|(_, node)| match &node.op {
                ir::Op::State(ir::ops::State { init: Init::Uniform { stream, .. }, .. }) => Some(*stream),
                _ => None,
            })
            .collect();
        assert_eq!(streams, [0, 1]);
    }

    #[test]
    fn a_second_parameter_of_a_name_is_an_error_that_shows_how_to_open_a_scope() {
        let mut cx = Context::new("g");
        cx.parameter("weight", [2], Init::Constant(0.0)).unwrap();
        let error = cx.parameter("weight", [2], Init::Constant(0.0)).unwrap_err().to_string();
        assert!(
            error.starts_with("weight: there is a parameter of this name; give each layer a scope"),
            "{error}"
        );
    }

    #[test]
    fn a_model_without_parameters_has_no_gradients() {
        let mut cx = Context::new("empty");
        let loss = cx.float(DType::F32, 1.0);
        let error = cx.gradients(loss).unwrap_err().to_string();
        assert!(error.starts_with("empty: the model has no parameters to train"), "{error}");
    }
}
