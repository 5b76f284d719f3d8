//! What a feature map of a trained model looks for: deconvolution (M. D. Zeiler and R. Fergus, "Visualizing and
//! understanding convolutional networks", 2014, section 2.1).
//!
//! The strongest activation of a feature map, with 0 in the place of all others, is sent back through the layers to the
//! image: maxima return to where pools have found them, a signal passes each relu by a relu of its own, and filters are
//! transposed. All of these but the relu are gradients of the layers. So the way back is a gradient from each relu to
//! the one before it, with a relu between them, and the model's graph is all that must be known: it need not be a chain
//! of layers of certain types, as long as its relus follow one another.

use ir::{DType, Error, Graph, NodeId, Op, ScalarFn, Value};

use crate::{Batch, Context, Layer, supervised};

/// The feature maps of a layer, and the patterns that excite them.
///
/// Inputs are `x`, `[rows, ..row]`, and `map`, `i64[rows]`, the number of a feature map for each row. Outputs are
/// `features`, `[rows, maps, ..]`, what the layer of this scope (`features.3`; empty for the whole model) gives, and
/// `pattern`, of the type of `x`, which the strongest activation in feature map `map[i]` of row `i` sends back; 0 for
/// numbers of no feature map. Feature maps may be of any number of axes; those of a dense layer have none.
///
/// States are those of the model in use. Where windows of a pool overlap, what they send back to one element is added.
/// Functions other than relu are differentiated where they are.
///
/// ```
/// use nn::{Batch, deconvolution::deconvolution_graph, models::LeNet};
/// let graph = deconvolution_graph("lenet", &LeNet::new(10), &Batch::new(16, [1, 28, 28]), "relu2")?;
/// let types: Vec<String> = graph.outputs.iter().map(|output| graph.ty(output.value).to_string()).collect();
/// assert_eq!(types, ["f32[16, 16, 10, 10]", "f32[16, 1, 28, 28]"]);
/// # Ok::<(), ir::Error>(())
/// ```
///
/// # Errors
/// Where the model does not take such rows, has no layer of this scope, or two ways to the layer pass different relus, as a
/// shortcut and what it is around do.
pub fn deconvolution_graph(
    name: &str,
    model: &dyn Layer,
    batch: &Batch,
    layer: &str,
) -> Result<Graph, Error> {
    let mut cx = Context::new(format!("{name}_deconvolution"));
    supervised::prediction(&mut cx, model, batch)?;
    let features = output_of(&cx, layer)?;
    let x = first_result(cx.graph().find("x").expect("`prediction` has made it"));
    let relus = relus(cx.graph(), x, features, layer)?;
    let map = cx.input("map", DType::I64, [batch.rows])?;
    let mut signal = strongest(&mut cx, features, map, layer)?;
    let mut place = features;
    for relu in relus {
        let arriving = send_back(&mut cx, place, signal, relu)?;
        signal = cx.relu(arriving)?;
        place = cx.graph().node(relu.node).operands[0];
    }
    let pattern = send_back(&mut cx, place, signal, x)?;
    cx.output("features", features)?;
    cx.output("pattern", pattern)?;
    Ok(cx.finish())
}

/// What the layer of this scope gives.
fn output_of(cx: &Context, layer: &str) -> Result<Value, Error> {
    let call = cx.calls().iter().find(|call| call.scope == layer);
    call.map(|call| call.output).ok_or_else(|| {
        let scopes = cx.calls().iter().map(|call| call.scope.as_str()).filter(|scope| !scope.is_empty());
        let help = format!("the layers are {}", scopes.collect::<Vec<&str>>().join(", "));
        Error::new(layer, "the model has no layer of this name", help)
    })
}

/// The relus between `x` and `features`, the last one first.
fn relus(graph: &Graph, x: Value, features: Value, layer: &str) -> Result<Vec<Value>, Error> {
    let mut is_needed = vec![false; graph.len()];
    is_needed[features.node.0 as usize] = true;
    for (id, node) in graph.nodes().rev().filter(|(id, _)| *id <= features.node) {
        if is_needed[id.0 as usize] {
            node.operands.iter().for_each(|operand| is_needed[operand.node.0 as usize] = true);
        }
    }
    // Of each node that depends on x, the last relu on all ways to it, or x.
    let mut sources: Vec<Option<Value>> = vec![None; graph.len()];
    sources[x.node.0 as usize] = Some(x);
    let mut found = Vec::new();
    for (id, node) in graph.nodes().filter(|(id, _)| is_needed[id.0 as usize] && *id != x.node) {
        let mut own = node.operands.iter().filter_map(|operand| sources[operand.node.0 as usize]);
        let first = own.next();
        if own.any(|other| Some(other) != first) {
            let problem = format!("`{}` on the way to it joins ways through different relus", node.op.name());
            return Err(Error::new(layer, problem, "choose a layer before that"));
        }
        let is_relu = matches!(&node.op, Op::Elementwise(op) if op.function == ScalarFn::Relu);
        sources[id.0 as usize] = match first {
            Some(_) if is_relu => {
                found.push(first_result(id));
                found.last().copied()
            }
            other => other,
        };
    }
    found.reverse();
    Ok(found)
}

fn first_result(node: NodeId) -> Value {
    Value { node, result: 0 }
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

/// What `signal` at `from` is at `to`, on which `from` depends: the gradient of `sum from * signal`.
fn send_back(cx: &mut Context, from: Value, signal: Value, to: Value) -> Result<Value, Error> {
    let signal = cx.stop_gradient(signal)?;
    let product = cx.mul(from, signal)?;
    let axes: Vec<usize> = (0..cx.shape(product).rank()).collect();
    let sum = cx.reduce_sum(product, &axes, false)?;
    Ok(cx.grad(sum, &[to])?[0])
}
