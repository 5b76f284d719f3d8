//! Pass `scale_weights`: the factor of a batch normalisation that follows a contraction moves into its weight, and what is
//! added becomes one bias, where weight, factor and addends are the same in each run.
//!
//! In and out: a graph without `grad`. A value is *fixed* where it follows from constants and from states that the graph
//! never writes. `y * s = conv(x, w * s)` for a fixed weight `w` and a fixed factor `s` per output channel, so batch
//! normalisation in use, `(conv(x, w) - mean) * scale + shift`, becomes `conv(x, w * scale) + (shift - mean * scale)`: the
//! scaled weight and the bias are computed once (pass `prepack`), and a run has the sum alone. Results differ by rounding.
//!
//! No other factor moves, and no constants are added up: `w * s` can overflow or become 0 where `y * s` does not, and
//! `(y + c) - c` is not `y`. A batch normalisation is known by its factor, which has a `1 / sqrt(variance + eps)` in it, with
//! a constant `eps` above 0, and by its addends, which are states. Its variance is that of `y`, so `y * s` is about 1 and
//! `w * s` about `1 / x`: a number like others unless the image is none. Whatever the variance is, `|s|` is at most
//! `|gain| / sqrt(eps)`, so nothing overflows where `|w * gain| < 3e38 * sqrt(eps)`. Where that is not enough, programs are
//! compiled strictly, without this pass.
//!
//! Each contraction is looked at once, with the fixed steps that follow it as its only use: at most two addends (a bias of
//! its own, and the mean), the factor, and an addend. What nothing needs any more is left for pass `dce`.

use std::collections::BTreeMap;
use std::ops::Range;

use ir::{
    Affine, AxisId, Builder, Error, Graph, Lowering, Node, NodeId, Op, Operands, ScalarFn, Shape, Value,
};

use crate::access::lowering;
use crate::rewrite::rebuild;

/// Moves the factors of batch normalisations into fixed weights.
pub fn scale_weights(graph: &Graph) -> Result<Graph, Error> {
    let chains = chains(graph);
    let mut operands_of: Vec<Operands> = Vec::with_capacity(graph.len());
    rebuild(graph, |builder, _, operands| {
        let id = NodeId(operands_of.len() as u32);
        operands_of.push(Operands::from_slice(operands));
        let Some(chain) = chains.get(&id) else { return Ok(None) };
        Ok(Some(Operands::from_elem(chain.write(graph, builder, &operands_of)?, 1)))
    })
}

/// A contraction with what follows it.
struct Chain {
    contraction: NodeId,
    /// Which of its operands is the weight.
    weight: usize,
    /// The axes of the weight along which factors run.
    weight_axes: Vec<usize>,
    /// The reshapes of its result.
    reshapes: Vec<NodeId>,
    /// What follows.
    steps: Vec<Step>,
    /// The axes of the result along which factors and addends run; none where all of them have one value everywhere.
    axes: Range<usize>,
}

/// `y * term`, `y + term` or `y - term`.
struct Step {
    node: NodeId,
    function: ScalarFn,
    /// Which operand the term is.
    term: usize,
}

/// The chains that are worth rewriting, by their last node.
fn chains(graph: &Graph) -> BTreeMap<NodeId, Chain> {
    let is_fixed = fixed_nodes(graph);
    let is_parameter = parameters(graph, &is_fixed);
    let mut is_root = vec![false; graph.len()];
    graph.roots().for_each(|value| is_root[value.node.0 as usize] = true);
    let only_user = |id: NodeId| -> Option<NodeId> {
        let mut users = graph.users(id);
        let (Some((user, _)), None) = (users.next(), users.next()) else { return None };
        (!is_root[id.0 as usize]).then_some(user)
    };
    let chain = |(id, node): (NodeId, &Node)| {
        let Lowering::Contract(_) = lowering(graph, node) else { return None };
        let fixed = |at: usize| is_fixed[node.operands[at].node.0 as usize];
        let weight = match (fixed(0), fixed(1)) {
            (true, false) => 0,
            (false, true) => 1,
            _ => return None,
        };
        let mut chain = Chain::new(id, weight);
        while let Some(user) = only_user(chain.last())
            && chain.extend(graph, user, &is_parameter)
        {}
        let is_normalisation =
            chain.has_factor() && node.results[0].dtype.is_float() && node.results[0].shape.elements() > 0;
        is_normalisation.then(|| (chain.last(), chain))
    };
    graph.nodes().filter_map(chain).collect()
}

/// For each node, whether its results are the same in each run.
fn fixed_nodes(graph: &Graph) -> Vec<bool> {
    let mut is_fixed = Vec::with_capacity(graph.len());
    for (id, node) in graph.nodes() {
        is_fixed.push(match &node.op {
            Op::State(_) => graph.updates.iter().all(|update| update.state != id),
            Op::Constant(_) | Op::Iota(_) => true,
            _ => {
                let mut operands = node.operands.iter();
                !node.operands.is_empty() && operands.all(|operand| is_fixed[operand.node.0 as usize])
            }
        });
    }
    is_fixed
}

/// For each node, whether its results follow from states that the graph never writes, not from constants alone.
fn parameters(graph: &Graph, is_fixed: &[bool]) -> Vec<bool> {
    let mut has_state: Vec<bool> = Vec::with_capacity(graph.len());
    for (_, node) in graph.nodes() {
        let mut operands = node.operands.iter();
        let has =
            matches!(node.op, Op::State(_)) || operands.any(|operand| has_state[operand.node.0 as usize]);
        has_state.push(has);
    }
    has_state.iter().zip(is_fixed).map(|(&has_state, &is_fixed)| has_state && is_fixed).collect()
}

/// Whether a factor has the inverse root of a sum with a constant above 0 in it, as that of a batch normalisation has.
fn has_inverse_deviation(graph: &Graph, factor: Value) -> bool {
    /// How far below the factor it is looked for, views not counted.
    const DEPTH: usize = 4;
    let mut candidates = vec![(factor, DEPTH)];
    while let Some((value, depth)) = candidates.pop() {
        let node = graph.node(view_source(graph, value).node);
        let Lowering::Apply(function) = lowering(graph, node) else { continue };
        match function {
            ScalarFn::Rsqrt if is_variance(graph, node.operands[0]) => return true,
            ScalarFn::Div => {
                let divisor = graph.node(view_source(graph, node.operands[1]).node);
                let is_root = matches!(lowering(graph, divisor), Lowering::Apply(ScalarFn::Sqrt));
                if is_root && is_variance(graph, divisor.operands[0]) {
                    return true;
                }
            }
            ScalarFn::Mul if depth > 0 => {
                candidates.extend(node.operands.iter().map(|&operand| (operand, depth - 1)));
            }
            _ => {}
        }
    }
    false
}

/// Whether a value is a sum with a constant above 0.
fn is_variance(graph: &Graph, value: Value) -> bool {
    let node = graph.node(view_source(graph, value).node);
    let is_eps = |&operand: &Value| match &graph.node(view_source(graph, operand).node).op {
        Op::Constant(constant) => {
            let tensor = &constant.tensor;
            (0..tensor.shape().elements()).all(|at| tensor.get(at).as_f64() > 0.0)
        }
        _ => false,
    };
    matches!(lowering(graph, node), Lowering::Apply(ScalarFn::Add)) && node.operands.iter().any(is_eps)
}

/// What a value is a reshape or a broadcast of.
fn view_source(graph: &Graph, mut value: Value) -> Value {
    while let Op::Broadcast(_) | Op::Reshape(_) = &graph.node(value.node).op {
        value = graph.node(value.node).operands[0];
    }
    value
}

impl Chain {
    fn new(contraction: NodeId, weight: usize) -> Chain {
        Chain { contraction, weight, weight_axes: vec![], reshapes: vec![], steps: vec![], axes: 0..0 }
    }

    /// The node whose result is that of the chain.
    fn last(&self) -> NodeId {
        let steps = self.steps.last().map(|step| step.node);
        steps.or(self.reshapes.last().copied()).unwrap_or(self.contraction)
    }

    /// Whether the factor is among the steps.
    fn has_factor(&self) -> bool {
        self.steps.iter().any(|step| step.function == ScalarFn::Mul)
    }

    /// Whether a step is the one that a batch normalisation goes on with.
    fn takes(&self, graph: &Graph, function: ScalarFn, term: Value) -> bool {
        let is_last_addend = |step: &Step| step.function != ScalarFn::Mul && self.has_factor();
        match function {
            ScalarFn::Mul => !self.has_factor() && has_inverse_deviation(graph, term),
            _ if self.has_factor() => !self.steps.last().is_some_and(is_last_addend),
            _ => self.steps.len() < 2,
        }
    }

    /// Adds the one user of the chain to it, if that is possible.
    fn extend(&mut self, graph: &Graph, user: NodeId, is_parameter: &[bool]) -> bool {
        let node = graph.node(user);
        let function = match lowering(graph, node) {
            Lowering::Alias if self.steps.is_empty() && matches!(node.op, Op::Reshape(_)) => {
                self.reshapes.push(user);
                return true;
            }
            Lowering::Apply(function) => function,
            _ => return false,
        };
        let is_term = |&at: &usize| {
            let operand = node.operands[at];
            is_parameter[operand.node.0 as usize] && self.takes(graph, function, operand)
        };
        let terms = match function {
            ScalarFn::Mul | ScalarFn::Add => 0..2,
            ScalarFn::Sub => 1..2,
            _ => return false,
        };
        let Some(term) = terms.into_iter().find(is_term) else { return false };
        let (_, source) = broadcast_source(graph, node.operands[term]);
        let Some(axes) = varying_axes(source, &node.results[0].shape) else { return false };
        let axes = match (self.axes.is_empty(), axes.is_empty()) {
            (_, true) => self.axes.clone(),
            (true, _) => axes,
            (false, false) if axes == self.axes => axes,
            _ => return false,
        };
        let Some(weight_axes) = self.axes_of_weight(graph, axes.clone()) else { return false };
        self.steps.push(Step { node: user, function, term });
        (self.axes, self.weight_axes) = (axes, weight_axes);
        true
    }

    /// The axes of the weight that axes of the result are, in the same order.
    fn axes_of_weight(&self, graph: &Graph, axes: Range<usize>) -> Option<Vec<usize>> {
        let node = graph.node(self.contraction);
        let Lowering::Contract(contraction) = lowering(graph, node) else { return None };
        let shape = |id: NodeId| &graph.node(id).results[0].shape;
        let mut axes = axes;
        for (at, &reshape) in self.reshapes.iter().enumerate().rev() {
            let below = if at == 0 { self.contraction } else { self.reshapes[at - 1] };
            axes = axes_below(axes, shape(reshape), shape(below))?;
        }
        let view = if self.weight == 0 { &contraction.left } else { &contraction.right };
        let weight_axis = |axis: usize| {
            let uses = |index: &Affine| index.coefficient(AxisId(axis as u32)) != 0;
            let at = view.indices.iter().position(uses)?;
            let is_alone = view.indices[at] == Affine::axis(AxisId(axis as u32))
                && !view.indices[at + 1..].iter().any(uses)
                && graph.ty(node.operands[self.weight]).shape[at] == node.results[0].shape[axis];
            is_alone.then_some(at)
        };
        let extents = &node.results[0].shape;
        let found: Vec<usize> =
            axes.filter(|&axis| extents[axis] != 1).map(weight_axis).collect::<Option<_>>()?;
        found.is_sorted().then_some(found)
    }

    /// The contraction with a scaled weight, and its bias.
    fn write(&self, graph: &Graph, builder: &mut Builder, operands_of: &[Operands]) -> Result<Value, Error> {
        let result = &graph.node(self.last()).results[0].shape;
        let count: usize = result[self.axes.clone()].iter().product();
        let (mut scale, mut bias): (Option<Value>, Option<Value>) = (None, None);
        for step in &self.steps {
            let term = vector(builder, operands_of[step.node.0 as usize][step.term], count)?;
            let mut applied = |to: Option<Value>, function: ScalarFn| match to {
                Some(value) => builder.apply(function, &[value, term]).map(Some),
                None if function == ScalarFn::Sub => builder.neg(term).map(Some),
                None => Ok(Some(term)),
            };
            if step.function == ScalarFn::Mul {
                bias = if bias.is_some() { applied(bias, ScalarFn::Mul)? } else { None };
                scale = applied(scale, ScalarFn::Mul)?;
            } else {
                bias = applied(bias, step.function)?;
            }
        }
        let mut operands = operands_of[self.contraction.0 as usize].clone();
        if let Some(scale) = scale {
            let weight = operands[self.weight];
            let along = along(builder, scale, &builder.shape(weight).clone(), &self.weight_axes)?;
            operands[self.weight] = builder.mul(weight, along)?;
        }
        let mut value = builder.op(graph.node(self.contraction).op.clone(), &operands)?;
        for &reshape in &self.reshapes {
            value = builder.reshape(value, graph.node(reshape).results[0].shape.clone())?;
        }
        match bias {
            None => Ok(value),
            Some(bias) => {
                let axes: Vec<usize> = self.axes.clone().collect();
                let bias = along(builder, bias, result, &axes)?;
                builder.add(value, bias)
            }
        }
    }
}

/// What a value is a broadcast of, and the shape of that; the value itself where it is none.
/// At most as many broadcasts of broadcasts are looked through, so that a chain of them costs no more than its length.
fn broadcast_source(graph: &Graph, mut value: Value) -> (Value, &Shape) {
    const MOST_BROADCASTS: usize = 4;
    for _ in 0..MOST_BROADCASTS {
        match &graph.node(value.node).op {
            Op::Broadcast(_) => value = graph.node(value.node).operands[0],
            _ => break,
        }
    }
    (value, &graph.ty(value).shape)
}

/// The axes of `wide` along which `narrow`, broadcast to it, runs; `None` where one between them is repeated.
fn varying_axes(narrow: &Shape, wide: &Shape) -> Option<Range<usize>> {
    let added = wide.rank() - narrow.rank();
    let mut varying = (0..narrow.rank()).filter(|&axis| narrow[axis] != 1);
    let Some(first) = varying.next() else { return Some(0..0) };
    let end = varying.next_back().unwrap_or(first) + 1;
    (narrow[first..end] == wide[first + added..end + added]).then_some(first + added..end + added)
}

/// The axes of `below` that have the elements of some axes of `above`, a reshape of it.
fn axes_below(axes: Range<usize>, above: &Shape, below: &Shape) -> Option<Range<usize>> {
    let outside: usize = above[..axes.start].iter().product();
    let inside: usize = above[axes].iter().product();
    if inside <= 1 {
        return Some(0..0);
    }
    let elements = |range: Range<usize>| below[range].iter().product::<usize>();
    // Of several such places, which differ by axes of extent 1, the last.
    let start = (0..below.rank()).rfind(|&start| elements(0..start) == outside)?;
    let end = (start..=below.rank()).find(|&end| elements(start..end) == inside)?;
    Some(start..end)
}

/// The elements of a term, `count` of them or one.
fn vector(builder: &mut Builder, term: Value, count: usize) -> Result<Value, Error> {
    let (source, shape) = broadcast_source(builder.graph(), term);
    let is_one = shape.elements() == 1;
    builder.reshape(source, if is_one { Shape::scalar() } else { Shape::from([count]) })
}

/// A vector, or a scalar, in a shape that can be broadcast to `shape`: it runs along these axes.
fn along(builder: &mut Builder, vector: Value, shape: &Shape, axes: &[usize]) -> Result<Value, Error> {
    if builder.shape(vector).rank() == 0 {
        return Ok(vector);
    }
    let extents = shape.iter().enumerate();
    let extents = extents.map(|(axis, &extent)| if axes.contains(&axis) { extent } else { 1 });
    builder.reshape(vector, extents.collect::<Shape>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_found_below_reshapes() {
        let (above, below) = (Shape::from([8, 6, 5, 5]), Shape::from([8, 2, 3, 5, 5]));
        assert_eq!(axes_below(1..2, &above, &below), Some(1..3));
        assert_eq!(axes_below(2..3, &above, &below), Some(3..4));
        assert_eq!(axes_below(1..2, &Shape::from([1, 64, 7]), &Shape::from([1, 1, 64, 7])), Some(2..3));
        assert_eq!(axes_below(1..2, &Shape::from([4, 6]), &Shape::from([3, 8])), None);
    }

    #[test]
    fn a_vector_runs_along_neighbouring_axes() {
        let wide = Shape::from([8, 6, 5, 7]);
        let varying = |narrow: &[usize]| varying_axes(&Shape::new(narrow), &wide);
        assert_eq!(varying(&[6, 1, 1]), Some(1..2));
        assert_eq!(varying(&[1, 6, 5, 1]), Some(1..3));
        assert_eq!(varying(&[6, 1, 7]), None);
        assert_eq!(varying(&[]), Some(0..0));
        assert_eq!(varying(&[1, 1]), Some(0..0));
    }
}
