//! The right results of a graph, and how far machine code may be from them.
//!
//! The values are those of the reference interpreter, each rounded to its dtype, so that what overflows or underflows in
//! machine code does so here. The tolerances come from running the same graph again with *disturbed* values: after each node,
//! every element is moved by a random part of what rounding may do to it there, some tens of times as much as one rounding
//! does. How far outputs move then, times a factor, is how far they may be apart. So errors are followed through the whole
//! graph, by the meaning of its ops alone:
//!
//! - where nothing is rounded (views, choices, correctly rounded functions whose result is a float), nothing is disturbed, and
//!   nothing is tolerated;
//! - an element of a sum or of a contraction is disturbed relative to the sum of the magnitudes of its terms, so terms that
//!   cancel make large tolerances, and where they leave no more than that, some runs have them cancel to nothing: what is
//!   multiplied by 0 is another thing than what is multiplied by next to nothing, where it overflows;
//! - where a comparison, a rounding or an index could go either way, some runs take the other way;
//! - where the order of a sum decides whether it overflows, runs disagree whether an element is finite.
//!
//! An element for which runs disagree whether it is a number, an infinity or NaN is not compared.

use std::collections::BTreeMap;

use ir::eval::{Array, Data};
use ir::ops::{Distribution, PoolOf};
use ir::{DType, Error, Graph, Lowering, Node, NodeId, Op, ReduceOp, ScalarFn, Tensor, Type, Value};

use super::Rng;

/// By how many roundings a value is disturbed at most.
const DISTURBANCE: f64 = 32.0;
/// How many times what disturbed runs show is tolerated.
const FACTOR: f64 = 8.0;

/// The results of all nodes that something needs; those of others are empty.
type Results = Vec<Vec<Array>>;

/// A graph with its inputs, and the right values of outputs and states.
pub struct Reference<'a> {
    graph: &'a Graph,
    inputs: &'a BTreeMap<String, Tensor>,
    seed: u64,
    needed: Vec<bool>,
    results: Results,
}

/// How far elements of a tensor may be from the right ones; `None` where an element is not compared.
pub type Tolerances = BTreeMap<String, Vec<Option<f64>>>;

impl<'a> Reference<'a> {
    /// Interprets a graph without `grad`.
    ///
    /// # Errors
    /// Where an input is missing or of another type.
    pub fn new(
        graph: &'a Graph,
        inputs: &'a BTreeMap<String, Tensor>,
        seed: u64,
    ) -> Result<Reference<'a>, Error> {
        let needed = needed(graph);
        let mut reference = Reference { graph, inputs, seed, needed, results: Vec::new() };
        reference.results = reference.run(|_, _, results| results)?;
        Ok(reference)
    }

    /// The right value of each output and state, by name. States are named `state NAME`, for an output may have the same name.
    pub fn values(&self) -> BTreeMap<String, Tensor> {
        self.named(&self.results).map(|(name, array)| (name, array.to_tensor())).collect()
    }

    /// How far each of these may be off, by so many disturbed runs.
    pub fn tolerances(&self, runs: usize) -> Tolerances {
        let noise: Vec<Vec<Option<Vec<f64>>>> =
            self.graph.nodes().map(|(id, node)| self.noise(id.0 as usize, node)).collect();
        let mut spread: BTreeMap<String, Vec<Option<f64>>> = self
            .named(&self.results)
            .map(|(name, array)| (name, vec![Some(0.0); array.ty.shape.elements()]))
            .collect();
        for run in 0..runs {
            let mut rng = Rng::of_case(0x0D15_7012, run as u64);
            let disturbed = self.run(|id, operands, mut results| {
                // What is disturbed may be infinite or NaN where the right value is a number.
                let is_open = multiplies_zeros(self.graph.node(id), operands);
                for (array, noise) in results.iter_mut().zip(&noise[id.0 as usize]) {
                    match noise {
                        Some(noise) if is_open => disturb(array, &vec![f64::INFINITY; noise.len()], &mut rng),
                        Some(noise) => disturb(array, noise, &mut rng),
                        None => {}
                    }
                }
                results
            });
            let disturbed = disturbed.expect("`new` has run the same graph on the same inputs");
            for ((name, right), (_, array)) in self.named(&self.results).zip(self.named(&disturbed)) {
                let spread = spread.get_mut(&name).expect("every run has the same results");
                for (position, spread) in spread.iter_mut().enumerate() {
                    let moved = distance(number(right, position), number(array, position));
                    *spread = spread.zip(moved).map(|(a, b)| a.max(b));
                }
            }
        }
        let tolerated = |(name, spread): (String, Vec<Option<f64>>)| {
            (name, spread.into_iter().map(|x| x.map(|x| FACTOR * x)).collect())
        };
        spread.into_iter().map(tolerated).collect()
    }

    fn named<'r>(&'r self, results: &'r Results) -> impl Iterator<Item = (String, &'r Array)> + 'r {
        roots(self.graph).map(|(name, value)| (name, &results[value.node.0 as usize][value.result as usize]))
    }

    /// Interprets the nodes that are needed; `change` is given the operands and the results of each.
    fn run(
        &self,
        mut change: impl FnMut(NodeId, &[&Array], Vec<Array>) -> Vec<Array>,
    ) -> Result<Results, Error> {
        let mut values: Results = Vec::with_capacity(self.graph.len());
        for (id, node) in self.graph.nodes() {
            let index = id.0 as usize;
            if !self.needed[index] {
                values.push(Vec::new());
                continue;
            }
            let name = node.name.as_deref().unwrap_or_default();
            let mut results = match &node.op {
                Op::Input(_) => match self.inputs.get(name) {
                    Some(tensor) => vec![Array::from(tensor)],
                    None => return Err(Error::new(name, "the input is missing", "give a tensor for it")),
                },
                Op::State(state) => {
                    vec![Array::from(&state.init.materialize(&node.results[0], self.seed))]
                }
                Op::Grad(_) => {
                    return Err(Error::new(
                        "grad",
                        "`grad` cannot be interpreted",
                        "run pass autodiff first",
                    ));
                }
                op => op.eval(&operands(node, &values), &node.results, node.body.as_deref()),
            };
            results.iter_mut().for_each(round);
            let changed = change(id, &operands(node, &values), results);
            values.push(changed);
        }
        Ok(values)
    }

    /// What one rounding may do to each element of the results of a node; `None` where nothing is rounded.
    fn noise(&self, index: usize, node: &Node) -> Vec<Option<Vec<f64>>> {
        let results = &self.results[index];
        let is_float = results.first().is_some_and(|array| array.ty.dtype.is_float());
        if !is_float {
            return vec![None; results.len()];
        }
        let operands = operands(node, &self.results);
        let types: Vec<&Type> = operands.iter().map(|operand| &operand.ty).collect();
        let result = &results[0];
        let noise = match node.op.lower(&types, &node.results) {
            Lowering::Apply(function) => Some(noise_of_function(function, &operands, result)),
            Lowering::Reduce { op: ReduceOp::Max | ReduceOp::Min, .. } => None,
            Lowering::Reduce { .. } | Lowering::Contract(_) => Some(noise_of_sum(node, &operands, result)),
            Lowering::Kernel(_) => Some(noise_of_sum(node, &operands, result)),
            Lowering::Expand(_) => match &node.op {
                Op::Random(random) if random.distribution == Distribution::Normal => {
                    let unit = unit(result.ty.dtype);
                    Some(floats(result).iter().map(|x| 4.0 * unit * x.abs().max(1.0)).collect())
                }
                Op::Random(_) | Op::StopGradient(_) => None,
                Op::Pool(pool) if pool.of != PoolOf::Unpooled => None,
                _ => Some(noise_of_sum(node, &operands, result)),
            },
            _ => None,
        };
        let mut all = vec![None; results.len()];
        all[0] = noise;
        all
    }
}

/// Whether an output or a state, by name, depends on no sum: then it has the same bits on all targets. What a loop carries may be
/// a sum over its steps.
pub fn is_free_of_sums(graph: &Graph) -> BTreeMap<String, bool> {
    let mut free: Vec<bool> = Vec::with_capacity(graph.len());
    for (_, node) in graph.nodes() {
        let types: Vec<&Type> = node.operands.iter().map(|&operand| graph.ty(operand)).collect();
        let sums = match node.op.lower(&types, &node.results) {
            Lowering::Reduce { .. } | Lowering::Contract(_) | Lowering::Kernel(_) | Lowering::Scan => true,
            Lowering::Expand(_) => !matches!(node.op, Op::StopGradient(_) | Op::Random(_)),
            _ => false,
        };
        free.push(!sums && node.operands.iter().all(|operand| free[operand.node.0 as usize]));
    }
    roots(graph).map(|(name, value)| (name, free[value.node.0 as usize])).collect()
}

/// The values of outputs and the next ones of states, by name.
fn roots(graph: &Graph) -> impl Iterator<Item = (String, Value)> + '_ {
    let outputs = graph.outputs.iter().map(|output| (output.name.clone(), output.value));
    let states = graph.states().map(|(id, node)| {
        let update = graph.updates.iter().find(|update| update.state == id);
        let value = update.map_or(Value::new(id, 0), |update| update.value);
        (format!("state {}", node.name.as_deref().unwrap_or_default()), value)
    });
    outputs.chain(states)
}

/// The nodes that outputs and updates depend on, and all inputs and states.
fn needed(graph: &Graph) -> Vec<bool> {
    let mut needed: Vec<bool> = graph.nodes().map(|(_, node)| matches!(node.op, Op::State(_))).collect();
    graph.roots().for_each(|value| needed[value.node.0 as usize] = true);
    for (id, node) in graph.nodes().rev() {
        if needed[id.0 as usize] {
            node.operands.iter().for_each(|operand| needed[operand.node.0 as usize] = true);
        }
    }
    needed
}

fn operands<'r>(node: &Node, values: &'r Results) -> Vec<&'r Array> {
    let operands = node.operands.iter();
    operands.map(|operand| &values[operand.node.0 as usize][operand.result as usize]).collect()
}

/// Rounds the elements to the dtype.
fn round(array: &mut Array) {
    if array.ty.dtype == DType::F32
        && let Data::Float(elements) = &mut array.data
    {
        elements.iter_mut().for_each(|x| *x = f64::from(*x as f32));
    }
}

fn floats(array: &Array) -> &[f64] {
    match &array.data {
        Data::Float(elements) => elements,
        Data::Int(_) => &[],
    }
}

fn number(array: &Array, position: usize) -> f64 {
    match &array.data {
        Data::Float(elements) => elements[position],
        Data::Int(elements) => elements[position] as f64,
    }
}

/// How far apart two elements are; `None` where they are not numbers of one kind (finite, infinite with one sign, NaN).
pub fn distance(a: f64, b: f64) -> Option<f64> {
    match a == b || (a.is_nan() && b.is_nan()) {
        true => Some(0.0),
        false => Some((a - b).abs()).filter(|distance| distance.is_finite()),
    }
}

/// The rounding error of a number near 1: half a unit in the last place.
pub fn unit(dtype: DType) -> f64 {
    if dtype == DType::F32 { f64::from(f32::EPSILON) / 2.0 } else { f64::EPSILON / 2.0 }
}

/// The least number above 0.
fn least(dtype: DType) -> f64 {
    if dtype == DType::F32 { f64::from(f32::from_bits(1)) } else { f64::from_bits(1) }
}

fn largest(dtype: DType) -> f64 {
    if dtype == DType::F32 { f64::from(f32::MAX) } else { f64::MAX }
}

/// Moves elements by a random part of the noise, or to 0 where that is within it; now and then none. Where the noise is infinite,
/// the element may be anything: something of its own, or the same as all such elements, which sums of some of them would not meet
/// otherwise.
fn disturb(array: &mut Array, noise: &[f64], rng: &mut Rng) {
    const ANYTHING: [f64; 4] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0];
    let Data::Float(elements) = &mut array.data else { return };
    // What is rounded may be right all the same: 1 where tanh is saturated, and then 1 less that is 0.
    let is_right = rng.one_in(4);
    let all = rng.one_in(2).then(|| rng.pick(&ANYTHING));
    for (x, &noise) in elements.iter_mut().zip(noise) {
        if noise.is_infinite() {
            *x = all.unwrap_or_else(|| if rng.one_in(4) { *x } else { rng.pick(&ANYTHING) });
        } else if noise > 0.0 && !is_right {
            let most = DISTURBANCE * noise;
            let cancels = x.abs() <= most && rng.one_in(4);
            *x = if cancels { 0.0 } else { *x + (2.0 * rng.unit() - 1.0) * most };
        }
    }
    round(array);
}

/// The noise of an elementwise function: none where it is correctly rounded and the result is a float as it is, or one of
/// the operands.
fn noise_of_function(function: ScalarFn, operands: &[&Array], result: &Array) -> Vec<f64> {
    let dtype = result.ty.dtype;
    let (unit, least) = (unit(dtype), least(dtype));
    let row = function.row();
    let exact = |position: usize, x: f64| {
        let given: Vec<f64> = operands.iter().map(|operand| number(operand, position)).collect();
        let is_given = given.iter().any(|y| y.abs() == x.abs() || (y.is_nan() && x.is_nan()));
        let is_short = |y: f64| y == f64::from(y as f32);
        is_given || dtype == DType::F64 && row.ulp == 0.0 && is_short(x) && given.iter().all(|&y| is_short(y))
    };
    let first = operands[0].ty.dtype;
    floats(result)
        .iter()
        .enumerate()
        .map(|(position, &x)| {
            if !x.is_finite() || (row.ulp == 0.0 && exact(position, x)) {
                return 0.0;
            }
            if row.ulp == 0.0 && dtype == DType::F32 {
                // The meaning in double precision shows whether anything was rounded.
                let given: Vec<ir::Num> = operands.iter().map(|operand| operand.get(position)).collect();
                if (row.eval)(first, &given) == ir::Num::Float(x) {
                    return 0.0;
                }
            }
            (1.0 + row.ulp) * unit * x.abs() + least
        })
        .collect()
}

/// The noise of a sum: relative to the sum of the magnitudes of its terms, and growing with the logarithm of their number;
/// none where all terms are multiples of a power of two such that no order of them is rounded.
fn noise_of_sum(node: &Node, operands: &[&Array], result: &Array) -> Vec<f64> {
    let dtype = result.ty.dtype;
    let magnitudes: Vec<Array> = operands.iter().map(|operand| magnitude(operand)).collect();
    let given: Vec<&Array> = magnitudes.iter().collect();
    let bounds = node.op.eval(&given, &node.results, node.body.as_deref());
    let terms: usize = operands.iter().map(|operand| operand.ty.shape.elements()).max().unwrap_or(1);
    let count = terms as f64 / result.ty.shape.elements().max(1) as f64;
    let growth = 2.0 + count.max(1.0).log2();
    let bits = if dtype == DType::F32 { 24 } else { 53 };
    let grain: Option<f64> = operands.iter().map(|operand| grain(operand)).product();
    let is_tiled = matches!(node.op, Op::Conv(_));
    if multiplies_zeros(node, operands) {
        return vec![f64::INFINITY; result.ty.shape.elements()];
    }
    let most = floats(&bounds[0]).iter().copied().fold(0.0, f64::max);
    floats(&bounds[0])
        .iter()
        .map(|&bound| {
            // What Winograd's algorithm rounds is relative to the largest sums.
            let bound = if is_tiled { most } else { bound };
            let is_exact = !is_tiled && grain.is_some_and(|grain| bound <= grain * 2f64.powi(bits));
            match () {
                () if bound > largest(dtype) => f64::INFINITY,
                () if is_exact => 0.0,
                () => growth * unit(dtype) * bound + least(dtype),
            }
        })
        .collect()
}

/// Whether a convolution may multiply what is not finite by a zero of its own, or leave it out: the zeros around an image by a
/// filter, and those that a stride and a dilation of one axis put between the elements of a filter by an image (docs/IR.md,
/// "Algebra").
fn multiplies_zeros(node: &Node, operands: &[&Array]) -> bool {
    let Op::Conv(conv) = &node.op else { return false };
    let is_finite = |array: &&Array| floats(array).iter().all(|x| x.is_finite());
    let is_spread = conv.windows.stride.iter().zip(&conv.windows.dilation).any(|(&s, &d)| s > 1 && d > 1);
    !operands[1..].iter().all(is_finite) || (is_spread && !is_finite(&operands[0]))
}

/// The magnitudes of the finite elements; 0 for the others.
fn magnitude(array: &Array) -> Array {
    let mut array = array.clone();
    if let Data::Float(elements) = &mut array.data {
        elements.iter_mut().for_each(|x| *x = if x.is_finite() { x.abs() } else { 0.0 });
    }
    array
}

/// A power of two that all elements are multiples of, at least 2^-20; `None` where there is none.
fn grain(array: &Array) -> Option<f64> {
    let elements = floats(array);
    let is_multiple = |grain: f64| elements.iter().all(|x| x.is_finite() && (x / grain).fract() == 0.0);
    [1.0, 0.125, 2f64.powi(-8), 2f64.powi(-20)].into_iter().find(|&grain| is_multiple(grain))
}
