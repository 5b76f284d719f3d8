//! The builder that knows the states of a model and whether it is trained or used.
//!
//! Layers ask it for parameters (which are learned) and buffers (which are not) by short names (`weight`); it puts the
//! scopes in front of them that they are in (`fc1.weight`), gives each random one a stream of random numbers of its own,
//! and keeps the list from which an optimizer reads what it has to update. It remembers which layer built which nodes,
//! for [`Summary`](crate::Summary). Everything else it leaves to [`Builder`], as which it can be used.

mod draws;
mod labels;
mod loops;
mod states;
mod turns;
mod weights;

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut, Range};

use ir::{Builder, DType, Error, Expr, Graph, Type, Value};

use crate::Layer;

/// What a graph is built for. Dropout, batch normalisation and their kin differ between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// To train the model: there is noise, statistics are those of the batch, buffers follow them.
    Train,
    /// To use it: the result for a row depends on that row alone, and no state changes.
    Infer,
}

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
    mode: Mode,
    dtype: DType,
    parameters: Vec<Parameter>,
    scopes: Vec<String>,
    /// The number of random parameters so far, and of draws.
    initial_streams: u32,
    draws: u32,
    /// The key of this step's random numbers, once something has drawn.
    key: Option<Value>,
    /// Updates take place where all of these are true.
    conditions: Vec<Value>,
    /// What has to be finite for a step to take place, by name.
    required: Vec<(String, Value)>,
    calls: Vec<LayerCall>,
    depth: usize,
    /// The name of the optimizer that builds its step, where it has one.
    optimizer: Option<String>,
    /// The player of a game whose step the graph is, where it is one.
    player: Option<String>,
    /// Whether layers find parameters and buffers that are there already.
    is_shared: bool,
    /// Whether these are what the step makes of them.
    is_updated: bool,
    /// The classes of the rows, where layers are to know them.
    labels: Option<Value>,
    /// Whether weights are divided by their spectral norm.
    is_spectral: bool,
    /// Weights divided by their spectral norm, by the states that they are of.
    spectral: BTreeMap<Value, Value>,
    /// What buffers have become so far, by what they are at the start of the step.
    buffers: BTreeMap<Value, Value>,
}

/// A layer that has been built.
#[derive(Clone, Debug)]
pub(crate) struct LayerCall {
    /// Its scope: `encoder.fc1`.
    pub scope: String,
    /// What it says of itself.
    pub layer: String,
    /// How many layers it is within.
    pub depth: usize,
    /// What it gave, where that is a value of the whole graph: not of the body of a loop.
    pub output: Option<Value>,
    /// The type of that.
    pub output_type: Type,
    /// The nodes that it and the layers within it made in the whole graph.
    pub nodes: Range<u32>,
}

impl Context {
    /// The context of an empty graph of this name that uses a model, with parameters of `f32`.
    pub fn new(name: impl Into<String>) -> Context {
        Context::with(name, Mode::Infer, DType::F32)
    }

    /// The context of an empty graph of this name that trains a model, with parameters of `f32`.
    pub fn training(name: impl Into<String>) -> Context {
        Context::with(name, Mode::Train, DType::F32)
    }

    /// The context of an empty graph of this name and mode, with parameters of `dtype`, a float.
    pub fn with(name: impl Into<String>, mode: Mode, dtype: DType) -> Context {
        Context {
            builder: Builder::new(name),
            mode,
            dtype,
            parameters: Vec::new(),
            scopes: Vec::new(),
            initial_streams: 0,
            draws: 0,
            key: None,
            conditions: Vec::new(),
            required: Vec::new(),
            calls: Vec::new(),
            depth: 0,
            optimizer: None,
            player: None,
            is_shared: false,
            is_updated: false,
            labels: None,
            is_spectral: false,
            spectral: BTreeMap::new(),
            buffers: BTreeMap::new(),
        }
    }

    /// Whether the graph trains the model.
    pub fn is_training(&self) -> bool {
        self.mode == Mode::Train
    }

    /// What `build` builds, with `name.` before the names of its parameters.
    pub fn scope<T>(&mut self, name: impl Into<String>, build: impl FnOnce(&mut Context) -> T) -> T {
        self.scopes.push(name.into());
        let built = build(self);
        self.scopes.pop();
        built
    }

    /// `layer` on `x`, in a scope of this name.
    ///
    /// ```
    /// use nn::{Context, Linear};
    /// let mut cx = Context::new("one_layer");
    /// let x = cx.input("x", ir::DType::F32, [2, 3])?;
    /// let y = cx.layer("fc1", &Linear::new(3, 5), x)?;
    /// assert_eq!(cx.parameters()[0].name, "fc1.weight");
    /// # Ok::<(), ir::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of the layer.
    pub fn layer(
        &mut self,
        name: impl Into<String>,
        layer: &dyn Layer,
        x: impl Into<Expr>,
    ) -> Result<Value, Error> {
        let x = x.into();
        let x = x.as_value().map_or_else(|| self.eval(x), Ok)?;
        self.scope(name, |cx| cx.call(layer, x))
    }

    /// `layer` on `x`, with the parameters that the layer of this name has already: it is applied again. What it keeps track
    /// of (as batch normalisation of its statistics) goes on from one application to the next.
    ///
    /// ```
    /// use nn::{Context, Linear};
    /// let mut cx = Context::new("twice");
    /// let x = cx.input("x", ir::DType::F32, [2, 3])?;
    /// let layer = Linear::new(3, 3);
    /// let y = cx.layer("fc", &layer, x)?;
    /// let z = cx.shared("fc", &layer, y)?;
    /// assert_eq!(cx.parameters().len(), 2);
    /// # let _ = z;
    /// # Ok::<(), ir::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of the layer; and where there is no layer of this name, or it has parameters of other shapes.
    pub fn shared(&mut self, name: impl Into<String>, layer: &dyn Layer, x: Value) -> Result<Value, Error> {
        self.again(|cx| cx.layer(name, layer, x))
    }

    /// What `build` builds, with the parameters that the layers of its names have already: [`Context::shared`] for several layers.
    pub fn again<T>(&mut self, build: impl FnOnce(&mut Context) -> T) -> T {
        let before = std::mem::replace(&mut self.is_shared, true);
        let built = build(self);
        self.is_shared = before;
        built
    }

    /// `layer` on `x` in the scope that is open, noted as a call.
    pub(crate) fn call(&mut self, layer: &dyn Layer, x: Value) -> Result<Value, Error> {
        let (position, depth, start) = (self.calls.len(), self.depth, self.root().len() as u32);
        self.check_layer(layer, x)?;
        self.depth += 1;
        let output = layer.forward(self, x);
        self.depth -= 1;
        let output = output?;
        self.check_layer(layer, output)?;
        let call = LayerCall {
            scope: self.scopes.join("."),
            layer: layer.description(),
            depth,
            output: (!self.is_in_body()).then_some(output),
            output_type: self.ty(output).clone(),
            nodes: start..self.root().len() as u32,
        };
        self.calls.insert(position, call); // before those within it
        Ok(output)
    }

    /// Checks that what a layer takes or gives is a value of this graph.
    fn check_layer(&self, layer: &dyn Layer, value: Value) -> Result<(), Error> {
        let subject = || match self.scopes.join(".") {
            scope if scope.is_empty() => layer.description(),
            scope => format!("{scope} ({})", layer.description()),
        };
        self.check("layer", &[value]).map_err(|error| Error { subject: subject(), ..error })
    }

    /// The layers built so far, each before those within it.
    pub(crate) fn calls(&self) -> &[LayerCall] {
        &self.calls
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

    /// The parameters so far, in the order of their creation.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// What `build` builds, with updates of states that take place where `condition`, a `bool[]`, is true; where it is
    /// false the states keep their values.
    pub fn when<T>(&mut self, condition: Value, build: impl FnOnce(&mut Context) -> T) -> T {
        self.conditions.push(condition);
        let built = build(self);
        self.conditions.pop();
        built
    }

    /// Makes `value` the value of `state` from the next run on; within [`Context::when`], where its condition holds.
    ///
    /// # Errors
    /// As [`Builder::update`]; in the body of a [loop](Context::scan).
    pub fn update(&mut self, state: Value, value: impl Into<Expr>) -> Result<(), Error> {
        self.check_is_outside()?;
        let value = value.into();
        let mut value = value.as_value().map_or_else(|| self.eval(value), Ok)?;
        for condition in self.conditions.clone() {
            value = self.builder.select(condition, value, state)?;
        }
        // A layer that is applied again goes on from what the state has become.
        let became = self.is_shared.then(|| self.buffers.iter().find(|(_, became)| **became == state));
        let start = became.flatten().map_or(state, |(&start, _)| start);
        if start != state {
            self.builder.replace_update(start, value)?;
        } else {
            self.builder.update(state, value)?;
        }
        self.buffers.insert(start, value);
        Ok(())
    }

    /// States that a training step takes place where `value`, a float of rank 0, is finite, and changes nothing elsewhere.
    /// [`training_graph`](crate::network::training_graph) makes an output of it, of this name.
    pub fn require_finite(&mut self, name: &str, value: Value) {
        self.required.push((name.to_owned(), value));
    }

    /// What has to be finite, by name.
    pub(crate) fn required(&self) -> &[(String, Value)] {
        &self.required
    }

    /// What `build` builds for the optimizer of this name; without a name, for the one that is around it.
    pub(crate) fn with_optimizer<T>(
        &mut self,
        name: Option<&str>,
        build: impl FnOnce(&mut Context) -> T,
    ) -> T {
        let outer = self.optimizer.clone();
        self.optimizer = name.map(str::to_owned).or_else(|| outer.clone());
        let built = build(self);
        self.optimizer = outer;
        built
    }

    /// The name of the optimizer that builds its step, where it has one.
    pub(crate) fn optimizer(&self) -> Option<&str> {
        self.optimizer.as_deref()
    }

    /// The gradients of `loss` with respect to all parameters, in their order: one `grad` node for all.
    ///
    /// # Errors
    /// Where there are no parameters, or `loss` is no float of rank 0.
    pub fn gradients(&mut self, loss: impl Into<Expr>) -> Result<Vec<Value>, Error> {
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
    use ir::Init;

    use super::*;
    use crate::{BatchNorm, Linear};

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
        assert!(error.starts_with("weight: this name is taken; give each layer a scope"), "{error}");
    }

    #[test]
    fn a_layer_is_applied_again_with_its_own_parameters_alone() {
        let mut cx = Context::new("g");
        let x = cx.input("x", DType::F32, [2, 3]).unwrap();
        let error = cx.shared("fc", &Linear::new(3, 3), x).unwrap_err().to_string();
        let help = "apply the layer with `cx.layer` first, under the same name";
        assert_eq!(error, format!("fc.weight: there is no such parameter to be shared; {help}"));
        cx.layer("fc", &Linear::new(3, 3), x).unwrap();
        let error = cx.shared("fc", &Linear::new(3, 4), x).unwrap_err().to_string();
        let help = "share one layer, or give each a scope of its own";
        assert_eq!(error, format!("fc.weight: it is f32[3, 3] there, and f32[4, 3] here; {help}"));
        assert!(cx.layer("fc", &Linear::new(3, 3), x).is_err(), "sharing has ended");
    }

    #[test]
    fn statistics_follow_one_application_after_the_other() {
        let mut cx = Context::training("g");
        let [a, b] = ["a", "b"].map(|name| cx.input(name, DType::F32, [4, 3]).unwrap());
        cx.layer("bn", &BatchNorm::new(3), a).unwrap();
        let first = cx.graph().updates.clone();
        cx.shared("bn", &BatchNorm::new(3), b).unwrap();
        let graph = cx.finish();
        assert_eq!(graph.updates.len(), 2);
        for (first, second) in first.iter().zip(&graph.updates) {
            assert_eq!(first.state, second.state);
            let mut depends = vec![false; graph.len()];
            depends[second.value.node.0 as usize] = true;
            for (id, node) in graph.nodes().rev().filter(|(id, _)| id.0 > first.value.node.0) {
                if depends[id.0 as usize] {
                    node.operands.iter().for_each(|operand| depends[operand.node.0 as usize] = true);
                }
            }
            assert!(depends[first.value.node.0 as usize], "the second does not go on from the first");
        }
    }

    #[test]
    fn a_model_without_parameters_has_no_gradients() {
        let mut cx = Context::new("empty");
        let loss = cx.float(DType::F32, 1.0);
        let error = cx.gradients(loss).unwrap_err().to_string();
        assert!(error.starts_with("empty: the model has no parameters to train"), "{error}");
    }
}
