//! Building graphs: every method infers types, checks them, and returns a typed error.

mod ops;
mod scan;

use std::collections::HashSet;
use std::sync::LazyLock;

use smallvec::SmallVec;

use crate::ops::{Constant, Input, State};
use crate::text::{MAX_ELEMENTS, MAX_RANK};
use crate::value::GraphId;
use crate::{DType, Error, Expr, Graph, Init, Node, NodeId, Op, Output, Scalar, Shape, Tensor, Type};
use crate::{Types, Update, Value};

/// Appends checked nodes to a graph.
///
/// A value belongs to the graph of the builder that made it: every method that takes a value of another graph is an error.
///
/// ```
/// use ir::{Builder, DType};
/// # fn main() -> Result<(), ir::Error> {
/// let mut b = Builder::new("scaled");
/// let x = b.input("x", DType::F32, [2, 3])?;
/// let half = b.float(DType::F32, 0.5);
/// let y = b.mul(x, half)?; // the scalar is broadcast
/// b.output("y", y)?;
/// assert_eq!(b.finish().outputs.len(), 1);
/// # Ok(())
/// # }
/// ```
pub struct Builder {
    graph: Graph,
    output_names: HashSet<String>,
    updated: HashSet<NodeId>,
    /// What is around the body that is being built.
    around: Option<Box<scan::Around>>,
}

pub use scan::{Scanned, Steps};

impl Builder {
    /// A builder of an empty graph of this name.
    pub fn new(name: impl Into<String>) -> Builder {
        Builder::resume(Graph::new(name))
    }

    /// A builder that appends to `graph`, of which values stay valid.
    pub fn resume(graph: Graph) -> Builder {
        let output_names = graph.outputs.iter().map(|output| output.name.clone()).collect();
        let updated = graph.updates.iter().map(|update| update.state).collect();
        Builder { graph, output_names, updated, around: None }
    }

    /// The graph so far.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The finished graph.
    pub fn finish(self) -> Graph {
        self.graph
    }

    /// The type of a value; `f32[]` for one of another graph, which [`Builder::check`] and every op refuse.
    pub fn ty(&self, value: Value) -> &Type {
        static UNKNOWN: LazyLock<Type> = LazyLock::new(|| Type::new(DType::F32, []));
        self.known(value).unwrap_or_else(|| &UNKNOWN)
    }

    /// The element type of a value.
    pub fn dtype(&self, value: Value) -> DType {
        self.ty(value).dtype
    }

    /// The shape of a value.
    pub fn shape(&self, value: Value) -> &Shape {
        &self.ty(value).shape
    }

    /// Checks that all of `operands` are values of this graph. Every op does so; who looks at shapes before, does it first.
    ///
    /// ```
    /// use ir::{Builder, DType};
    /// let [mut teacher, mut student] = ["teacher", "student"].map(Builder::new);
    /// let logits = teacher.input("logits", DType::F32, [8, 10])?;
    /// let own = student.input("logits", DType::F32, [8, 10])?;
    /// assert_eq!(
    ///     student.sub(own, logits).unwrap_err().to_string(),
    ///     "sub: operand 1 is result 0 of node 0 of graph `teacher`, which is not in graph `student`; \
    ///      build both in one graph, or make an input or a state of it"
    /// );
    /// # Ok::<(), ir::Error>(())
    /// ```
    ///
    /// # Errors
    /// The first that is of another graph; `subject` is the op that wants it.
    pub fn check(&self, subject: &str, operands: &[Value]) -> Result<(), Error> {
        self.types(|| subject, operands).map(drop)
    }

    /// The types of operands, which must be values of this graph; of the op that `subject` names.
    fn types<'a>(
        &self,
        subject: impl Fn() -> &'a str,
        operands: &[Value],
    ) -> Result<SmallVec<[&Type; 3]>, Error> {
        let type_of = |(index, &operand): (usize, &Value)| {
            self.known(operand).ok_or_else(|| self.foreign(subject(), index, operand))
        };
        operands.iter().enumerate().map(type_of).collect()
    }

    /// The error that an operand is of another graph.
    #[cold]
    fn foreign(&self, subject: &str, index: usize, operand: Value) -> Error {
        let id = operand.graph();
        let origin = if [self.graph.id(), GraphId::ANY].contains(&id) {
            String::new() // of a clone that went on otherwise, or a position that was made up
        } else {
            format!(" of {}", id.describe())
        };
        let name = &self.graph.name;
        let problem = format!("operand {index} is {operand:?}{origin}, which is not in graph `{name}`");
        Error::new(subject, problem, "build both in one graph, or make an input or a state of it")
    }

    /// Appends `op` applied to `operands`, which get no implicit broadcast. All other methods come down to this one.
    ///
    /// # Errors
    /// Operands that the op does not take, and results of more than [`MAX_ELEMENTS`] elements or [`MAX_RANK`] axes.
    pub fn push(&mut self, op: impl Into<Op>, operands: &[Value]) -> Result<NodeId, Error> {
        let op = op.into();
        let results = self.infer(&op, operands, None)?;
        check_sizes(&op, &results)?;
        let operands = self.own_values(operands)?;
        Ok(self.graph.push(Node { op, operands, results, name: None, body: None }))
    }

    /// Appends an op with a name or a body.
    pub fn push_with_body(
        &mut self,
        op: impl Into<Op>,
        operands: &[Value],
        name: Option<String>,
        body: Option<Box<Graph>>,
    ) -> Result<NodeId, Error> {
        let op = op.into();
        let results = self.infer(&op, operands, body.as_deref())?;
        let operands = self.own_values(operands)?;
        Ok(self.graph.push(Node { op, operands, results, name, body }))
    }

    fn infer(&self, op: &Op, operands: &[Value], body: Option<&Graph>) -> Result<Types, Error> {
        op.infer(&self.types(|| op.name(), operands)?, body)
    }

    /// Appends an op of one result.
    pub fn op(&mut self, op: impl Into<Op>, operands: &[Value]) -> Result<Value, Error> {
        let node = self.push(op, operands)?;
        Ok(self.value(node, 0))
    }

    /// A result of a node of this graph.
    fn value(&self, node: NodeId, result: u32) -> Value {
        Value::new(node, result).of(self.graph.id())
    }

    fn named(&mut self, op: impl Into<Op>, name: &str) -> Result<Value, Error> {
        check_name(name)?;
        if self.graph.find(name).is_some() {
            return Err(Error::new(
                name,
                "this name is taken",
                "give each input and state a name of its own",
            ));
        }
        let node = self.push(op, &[])?;
        self.graph.set_name(node, name);
        Ok(self.value(node, 0))
    }

    /// A tensor that the caller gives at each run.
    pub fn input(&mut self, name: &str, dtype: DType, shape: impl Into<Shape>) -> Result<Value, Error> {
        if self.is_in_body() {
            let help = "declare it before the loop, and use it in the body or give it as a stacked operand";
            return Err(Error::new(name, "a loop's body declares no inputs", help));
        }
        self.named(Input { ty: Type::new(dtype, shape) }, name)
    }

    /// A tensor that is kept from run to run; see [`Builder::update`].
    pub fn state(
        &mut self,
        name: &str,
        dtype: DType,
        shape: impl Into<Shape>,
        init: Init,
    ) -> Result<Value, Error> {
        self.root_mut().named(State { ty: Type::new(dtype, shape), init, is_private: false }, name)
    }

    /// As [`Builder::state`], for programs of this graph's name alone: what would mean another thing to another program, such
    /// as a count of this program's runs.
    pub fn private_state(
        &mut self,
        name: &str,
        dtype: DType,
        shape: impl Into<Shape>,
        init: Init,
    ) -> Result<Value, Error> {
        self.root_mut().named(State { ty: Type::new(dtype, shape), init, is_private: true }, name)
    }

    /// Returns `value` from each run under this name.
    pub fn output(&mut self, name: &str, value: impl Into<Expr>) -> Result<(), Error> {
        if self.is_in_body() {
            let help = "return it from the body among what is stacked, and make an output of that";
            return Err(Error::new(name, "a loop's body has no outputs by name", help));
        }
        check_name(name)?;
        let value = self.append(value.into())?;
        self.push_output(name, value)
    }

    fn push_output(&mut self, name: &str, value: Value) -> Result<(), Error> {
        self.check(&format!("output `{name}`"), &[value])?;
        let value = self.own_value(value)?;
        if !self.output_names.insert(name.to_owned()) {
            return Err(Error::new(
                name,
                "there is an output of this name",
                "give each output a name of its own",
            ));
        }
        self.graph.outputs.push(Output { name: name.to_owned(), value: value.of(GraphId::ANY) });
        Ok(())
    }

    /// Makes `value` the value of `state` from the next run on.
    pub fn update(&mut self, state: Value, value: impl Into<Expr>) -> Result<(), Error> {
        let value = self.append(value.into())?;
        self.check("update", &[state, value])?;
        if self.is_in_body() {
            let help = "return what it becomes from the body, and update it after the loop";
            return Err(Error::new("update", "a loop's body updates no state", help));
        }
        let node = self.graph.node(state.node);
        let name = node.name.clone().unwrap_or_default();
        if !matches!(node.op, Op::State(_)) {
            return Err(Error::new(name, "only a state can be updated", "make it a state"));
        }
        if self.ty(state) != self.ty(value) {
            let problem = format!("the state is {}, its update {}", self.ty(state), self.ty(value));
            return Err(Error::new(name, problem, "give an update of the state's own type"));
        }
        if !self.updated.insert(state.node) {
            return Err(Error::new(name, "the state is updated twice", "update each state once"));
        }
        self.graph.updates.push(Update { state: state.node, value: value.of(GraphId::ANY) });
        Ok(())
    }

    /// Makes `value` the update of a state in the place of the one that it has.
    ///
    /// # Errors
    /// Where the state has no update, or `value` is of another type.
    pub fn replace_update(&mut self, state: Value, value: Value) -> Result<(), Error> {
        let before = self.graph.updates.iter().position(|update| update.state == state.node);
        let Some(before) = before else {
            let name = self.graph.node(state.node).name.clone().unwrap_or_default();
            return Err(Error::new(name, "it has no update to replace", "update it first"));
        };
        self.updated.remove(&state.node);
        let old = self.graph.updates.remove(before);
        if let Err(error) = self.update(state, value) {
            self.graph.updates.insert(before, old);
            self.updated.insert(state.node);
            return Err(error);
        }
        let new = self.graph.updates.pop().expect("it has just been pushed");
        self.graph.updates.insert(before, new);
        Ok(())
    }

    /// A constant tensor.
    pub fn constant(&mut self, tensor: Tensor) -> Value {
        let node = self.push_with_body(Constant { tensor }, &[], None, None);
        self.value(node.expect("a constant takes no operands that could be wrong"), 0)
    }

    /// A constant of rank 0.
    pub fn scalar(&mut self, value: Scalar) -> Value {
        self.constant(Tensor::scalar(value))
    }

    /// A constant of rank 0 of a number dtype.
    pub fn float(&mut self, dtype: DType, value: f64) -> Value {
        self.scalar(Scalar::from_f64(dtype, value))
    }

    /// A constant of rank 0 with the dtype of `like`.
    pub fn float_like(&mut self, like: Value, value: f64) -> Value {
        self.float(self.dtype(like), value)
    }

    /// Zeros of the type of `like`.
    pub fn zeros_like(&mut self, like: Value) -> Result<Value, Error> {
        self.check("zeros_like", &[like])?;
        let shape = self.shape(like).clone();
        let zero = self.float_like(like, 0.0);
        self.broadcast(zero, shape)
    }
}

/// Checks that results are of a size that indices of 32 bits reach, and of as many axes as a text may state.
fn check_sizes(op: &Op, results: &Types) -> Result<(), Error> {
    if let Some(ty) = results.iter().find(|ty| ty.shape.rank() > MAX_RANK) {
        let problem = format!("a result of {} axes", ty.shape.rank());
        return Err(Error::new(op.name(), problem, format!("use at most {MAX_RANK}")));
    }
    match results.iter().find(|ty| !ty.is_within_limit()) {
        None => Ok(()),
        Some(ty) => {
            let help = format!("use at most {MAX_ELEMENTS}");
            Err(Error::new(op.name(), format!("a result of too many elements, {ty}"), help))
        }
    }
}

/// Checks that `name` can stand in the text form: letters, digits, `_`, `.` and `-`, not starting with a digit.
pub fn check_name(name: &str) -> Result<(), Error> {
    let follows = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_';
    if name.starts_with(starts) && name.chars().all(follows) {
        return Ok(());
    }
    let help = "use letters, digits, `_`, `.` and `-`, and start with a letter";
    Err(Error::new(format!("{name:?}"), "this is no name", help))
}

#[cfg(test)]
mod tests;
