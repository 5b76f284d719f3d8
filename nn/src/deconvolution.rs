//! What a feature map of a trained model looks for: deconvolution (M. D. Zeiler and R. Fergus, "Visualizing and
//! understanding convolutional networks", 2014, section 2.1).
//!
//! The strongest activation of a feature map, with 0 in the place of all others, is sent back through the layers to the
//! image: maxima return to where pools have found them, a signal passes each relu by a relu of its own, and filters are
//! transposed. All of these but the relu are gradients of the layers. So the way back is a gradient from each relu to
//! those before it, with a relu between them, and the model's graph is all that must be known. Where ways part, behind a
//! shortcut and what it is around, what comes back on each is added, and a relu takes the sum, as gradients have it.
//!
//! Gradients end at relus because the nodes up to the features are written anew, with a `stop_gradient` behind each relu;
//! nothing needs the first ones any more. They end at each value of several users, too, so that every op is on the way of
//! one gradient only, however many relus a shortcut passes by.

use std::collections::{BTreeMap, BTreeSet};

use ir::names::choices;
use ir::{DType, Error, Graph, NodeId, Op, Operands, ScalarFn, Value};

use crate::network::needed_part;
use crate::supervised::ROWS;
use crate::{Context, Network};

/// The feature maps of a layer, and the patterns that excite them.
///
/// Inputs are `x`, `[rows, ..row]`, and `map`, `i64[rows]`, the number of a feature map for each row. Outputs are
/// `features`, `[rows, maps, ..]`, what the layer of this scope (`features.3`; empty for the whole model) gives, and
/// `pattern`, of the type of `x`, which the strongest activation in feature map `map[i]` of row `i` sends back; 0 for
/// numbers of no feature map. Feature maps may be of any number of axes; those of a dense layer have none.
///
/// States are those of the model in use. What comes back to one element on several ways (from the windows of a pool that
/// overlap, from a shortcut and what it is around) is added. Functions other than relu are differentiated where they are,
/// and so is what a model computes with a gradient of its own, with all that this gradient is of.
///
/// ```
/// use nn::{Loss, Supervised, deconvolution::deconvolution_graph, models::LeNet};
/// let network = Supervised::new([1, 28, 28], LeNet::new(10), Loss::cross_entropy());
/// let graph = deconvolution_graph("lenet", &network, 16, "relu2")?;
/// let types: Vec<String> = graph.outputs.iter().map(|output| graph.ty(output.value).to_string()).collect();
/// assert_eq!(types, ["f32[16, 16, 10, 10]", "f32[16, 1, 28, 28]"]);
/// # Ok::<(), ir::Error>(())
/// ```
///
/// # Errors
/// Where the network cannot be built or has no input `x`, there is no layer of this scope, or it has no feature maps.
pub fn deconvolution_graph(
    name: &str,
    network: &dyn Network,
    rows: usize,
    layer: &str,
) -> Result<Graph, Error> {
    let mut cx = Context::new(format!("{name}_deconvolution"));
    network.build(&mut cx, rows)?;
    let features = output_of(&cx, layer)?;
    let Some(x) = cx.graph().find(ROWS) else {
        return Err(Error::new(name, "it has no input `x`", "give a network of images, which are called x"));
    };
    let x = first_result(x);
    let (features, segments) = segments(&mut cx, x, features)?;
    let map = cx.input("map", DType::I64, [rows])?;
    let strongest = strongest(&mut cx, features, map, layer)?;
    let pattern = way_back(&mut cx, (features, strongest), &segments, x)?;
    cx.output("features", features)?;
    cx.output("pattern", pattern)?;
    Ok(needed_part(&cx.finish()))
}

/// What `signal` at `features` is at `x`: each segment sends back the sum of what arrives at its end.
fn way_back(
    cx: &mut Context,
    (features, signal): (Value, Value),
    segments: &BTreeMap<Value, Segment>,
    x: Value,
) -> Result<Value, Error> {
    let mut arriving = BTreeMap::from([(features, signal)]);
    for (end, segment) in segments.iter().rev() {
        // The features do not depend on every end.
        let Some(&(mut signal)) = arriving.get(end) else { continue };
        if segment.is_before_relu {
            signal = cx.relu(signal)?;
        }
        let sources: Vec<Value> = segment.sources.iter().copied().collect();
        let gradients = send_back(cx, segment.last, signal, &sources)?;
        for (source, gradient) in sources.into_iter().zip(gradients) {
            let sum = match arriving.get(&source) {
                Some(&known) => cx.add(known, gradient)?,
                None => gradient,
            };
            arriving.insert(source, sum);
        }
    }
    arriving.get(&x).map_or_else(|| cx.zeros_like(x), |&pattern| Ok(pattern))
}

/// What the layer of this scope gives.
fn output_of(cx: &Context, layer: &str) -> Result<Value, Error> {
    let call = cx.calls().iter().find(|call| call.scope == layer);
    call.and_then(|call| call.output).ok_or_else(|| {
        let scopes = cx.calls().iter().map(|call| call.scope.as_str()).filter(|scope| !scope.is_empty());
        let help = choices(layer, "the layers are", scopes);
        Error::new(layer, "the model has no layer of this name", help)
    })
}

/// What is between a value at which signals arrive and those at which they arrive next.
struct Segment {
    /// Whether the relu is what follows, through which signals come.
    is_before_relu: bool,
    /// The last value of it.
    last: Value,
    /// The values that it starts from: `x`, and ends of other segments. None of them depends on another in it.
    sources: BTreeSet<Value>,
}

/// Writes the nodes between `x` and `features` anew, with a `stop_gradient` behind each relu, each value of several users,
/// and the features: what stands for the features, and the segments by these ends, in the order in which they are computed.
fn segments(cx: &mut Context, x: Value, features: Value) -> Result<(Value, BTreeMap<Value, Segment>), Error> {
    let mut segments = BTreeMap::new();
    // Of each value that depends on x, what stands for it, and the sources of its segment.
    let mut anew = BTreeMap::from([(x, (x, BTreeSet::from([x])))]);
    for id in (x.node.0 + 1..=features.node.0).map(NodeId) {
        let node = cx.graph().node(id).clone();
        let known = |operand: &Value| anew.get(operand);
        let sources: BTreeSet<Value> =
            node.operands.iter().filter_map(known).flat_map(|(_, sources)| sources).copied().collect();
        if sources.is_empty() {
            continue;
        }
        let results: Operands = cx.graph().results(id).collect();
        if matches!(node.op, Op::Grad(_)) {
            // There must be no end within what it is a gradient of, so it stays, and gradients go on through it to x.
            anew.extend(results.into_iter().map(|result| (result, (result, BTreeSet::from([x])))));
            continue;
        }
        let operands: Operands = node
            .operands
            .iter()
            .map(|operand| known(operand).map_or(*operand, |&(value, _)| value))
            .collect();
        let is_relu = matches!(&node.op, Op::Elementwise(op) if op.function == ScalarFn::Relu);
        let is_shared = cx.graph().users(id).nth(1).is_some();
        let copy = cx.push_with_body(node.op, &operands, None, node.body)?;
        for result in results {
            let value = Value::new(copy, result.result);
            let is_end = result == features || ((is_relu || is_shared) && cx.dtype(value).is_float());
            if !is_end {
                anew.insert(result, (value, sources.clone()));
                continue;
            }
            let end = cx.stop_gradient(value)?;
            let last = if is_relu { operands[0] } else { value };
            segments.insert(end, Segment { is_before_relu: is_relu, last, sources: sources.clone() });
            anew.insert(result, (end, BTreeSet::from([end])));
        }
    }
    Ok((anew.get(&features).map_or(features, |&(value, _)| value), segments))
}

fn first_result(node: NodeId) -> Value {
    Value::new(node, 0)
}

/// `features`, `[rows, maps, ..]`, with 0 for all but the first of the strongest activations in feature map `map[i]` of
/// row `i`.
fn strongest(cx: &mut Context, features: Value, map: Value, layer: &str) -> Result<Value, Error> {
    let shape = cx.shape(features).clone();
    let [rows, maps, ref places @ ..] = shape[..] else {
        let problem = format!("it gives {}", cx.ty(features));
        return Err(Error::new(layer, problem, "choose a layer that gives [rows, maps, ..]"));
    };
    let places: usize = places.iter().product();
    let flat = cx.reshape(features, [rows, maps, places])?;
    let maps_in_order = cx.iota(DType::I64, [1, maps, 1], 1)?;
    let wanted = cx.reshape(map, [rows, 1, 1])?;
    let is_map = cx.eq(maps_in_order, wanted)?;
    let places_in_order = cx.iota(DType::I64, [1, 1, places], 2)?;
    let greatest = cx.argmax(flat, 2)?;
    let greatest = cx.reshape(greatest, [rows, maps, 1])?;
    let is_greatest = cx.eq(places_in_order, greatest)?;
    let is_strongest = cx.logical_and(is_map, is_greatest)?;
    let zero = cx.float_like(flat, 0.0);
    let chosen = cx.select(is_strongest, flat, zero)?;
    cx.reshape(chosen, shape)
}

/// What `signal` at `from` is at each of `to`: the gradients of `sum from * signal`.
fn send_back(cx: &mut Context, from: Value, signal: Value, to: &[Value]) -> Result<Vec<Value>, Error> {
    let signal = cx.stop_gradient(signal)?;
    let product = cx.mul(from, signal)?;
    let axes: Vec<usize> = (0..cx.shape(product).rank()).collect();
    let sum = cx.reduce_sum(product, &axes, false)?;
    cx.grad(sum, to)
}
