//! Algebra as a table of rules, by family. A rule looks at a node and the few nodes below it, and answers with what
//! may stand in their place; it changes nothing itself.
//!
//! A rule keeps every bit of the result, infinities, NaN and the sign of zero included: `x + 0.0` stays (it turns -0.0
//! into 0.0), as does `x * 0.0`. The rules of family [`rounding`] do not, and are left out where a program is compiled
//! strictly. No rule moves a factor or an addend past another operation on floats: that changes what overflows, what
//! becomes 0, and which digits cancel.

mod arithmetic;
mod boolean;
mod conversion;
mod layout;
mod matmul;
mod reduce;
pub mod rounding;

use ir::ops::{Broadcast, Constant, Elementwise};
use ir::{Graph, Node, Op, Scalar, ScalarFn, Shape, Tensor, Type, Value};

/// All rules that keep every bit; of several that match, the first that gives something cheaper is taken.
pub static FAMILIES: &[&[Rule]] =
    &[arithmetic::RULES, boolean::RULES, conversion::RULES, layout::RULES, matmul::RULES, reduce::RULES];

/// A rewrite rule. What it gives is used only where it costs less than what it matches; see [`crate::cost`].
pub struct Rule {
    /// The name, for messages and tests.
    pub name: &'static str,
    /// What becomes what.
    pub formula: &'static str,
    /// The replacement for the one result of a node, where the rule matches.
    pub apply: fn(&Match<'_>) -> Option<Expr>,
}

/// What may stand in the place of a node: a value that is there, or ops applied to such.
#[derive(Clone, Debug)]
pub enum Expr {
    /// A value of the graph.
    Value(Value),
    /// An op of one result.
    Op(Op, Vec<Expr>),
}

impl From<Value> for Expr {
    fn from(value: Value) -> Expr {
        Expr::Value(value)
    }
}

/// `op` of `operands`.
fn op<const N: usize>(op: impl Into<Op>, operands: [Expr; N]) -> Expr {
    Expr::Op(op.into(), operands.into())
}

/// `function` of `operands`.
fn apply<const N: usize>(function: ScalarFn, operands: [Value; N]) -> Expr {
    op(Elementwise { function }, operands.map(Expr::Value))
}

/// `value` everywhere in a tensor of `shape`.
fn splat(value: Scalar, shape: &Shape) -> Expr {
    broadcast(op(Constant { tensor: Tensor::scalar(value) }, []), &Shape::scalar(), shape)
}

/// `x`, which is of shape `from`, broadcast to shape `to`.
fn broadcast(x: Expr, from: &Shape, to: &Shape) -> Expr {
    if from == to { x } else { op(Broadcast { shape: to.clone() }, [x]) }
}

/// A node that is about to be added to a graph, and the graph, in which its operands are simplified already.
pub struct Match<'a> {
    /// The graph.
    pub graph: &'a Graph,
    /// The node. It has one result.
    pub node: &'a Node,
}

impl<'a> Match<'a> {
    /// Operand number `index`.
    fn operand(&self, index: usize) -> Value {
        self.node.operands[index]
    }

    /// The type of a value.
    fn ty(&self, value: Value) -> &'a Type {
        self.graph.ty(value)
    }

    /// The shape of a value.
    fn shape(&self, value: Value) -> &'a Shape {
        &self.ty(value).shape
    }

    /// The type of the result.
    fn result(&self) -> &'a Type {
        &self.node.results[0]
    }

    /// The operands, where the node applies `function`.
    fn operands_of<const N: usize>(&self, function: ScalarFn) -> Option<[Value; N]> {
        operands_of(self.node, function)
    }

    /// The operands of the node that computes `value`, where it applies `function`.
    fn computed_by<const N: usize>(&self, value: Value, function: ScalarFn) -> Option<[Value; N]> {
        operands_of(self.graph.node(value.node), function)
    }

    /// The elementwise function of the node.
    fn function(&self) -> Option<ScalarFn> {
        function(self.node)
    }

    /// The op that computes `value`, and its first operand.
    fn definition(&self, value: Value) -> (&'a Op, Option<Value>) {
        let node = self.graph.node(value.node);
        (&node.op, node.operands.first().copied())
    }

    /// The source of a broadcast.
    fn broadcast_source(&self, value: Value) -> Option<Value> {
        match self.definition(value) {
            (Op::Broadcast(_), source) => source,
            _ => None,
        }
    }

    /// The value of a constant of one element, or of one that was broadcast; pass `fold` leaves no others of one value.
    fn splat(&self, value: Value) -> Option<Scalar> {
        let source = self.broadcast_source(value).unwrap_or(value);
        match self.definition(source) {
            (Op::Constant(Constant { tensor }), _) => (tensor.shape().elements() == 1).then(|| tensor.get(0)),
            _ => None,
        }
    }

    /// Whether each element of `value` is the number `number` (for floats, also in the sign of zero).
    fn is_splat(&self, value: Value, number: f64) -> bool {
        self.splat(value).is_some_and(|splat| splat == Scalar::from_f64(splat.dtype(), number))
    }
}

/// The elementwise function of a node.
fn function(node: &Node) -> Option<ScalarFn> {
    match &node.op {
        Op::Elementwise(elementwise) => Some(elementwise.function),
        _ => None,
    }
}

/// The operands of a node that applies `wanted`.
fn operands_of<const N: usize>(node: &Node, wanted: ScalarFn) -> Option<[Value; N]> {
    if function(node) != Some(wanted) {
        return None;
    }
    node.operands.as_slice().try_into().ok()
}
