//! From a recipe to a graph that is right by construction.
//!
//! Each step picks an op and operands among the values so far, and is left out where it does not fit. Finite inputs stay of
//! moderate size (a bound is kept for each value), so that not everything becomes infinite. What is discontinuous is mostly
//! applied to values that are known without rounding errors: where a comparison could go either way, the judge accepts both.

use ir::{Builder, DType, Error, Graph, Init, Value};

use super::recipe::FLAVOURS;
use super::{Choice, Kind, Recipe, Rng};

/// A value in the making.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub value: Value,
    /// A bound on its magnitude, where inputs are tame.
    pub bound: f64,
    /// Whether it is computed without rounding.
    pub exact: bool,
}

pub(super) struct Maker {
    pub b: Builder,
    pub dtype: DType,
    pub floats: Vec<Known>,
    /// Indices, and what is computed of integers: `i32` and `i64`.
    pub ints: Vec<Value>,
    pub bools: Vec<Value>,
    pub key: Value,
    /// The number of loops around.
    pub loops: usize,
    largest: usize,
}

/// What a step adds.
pub(super) type Made = Result<Vec<Known>, Error>;

/// Values above this are squashed by `tanh`.
const BOUND: f64 = 30.0;
/// The greatest rank.
pub(super) const RANK: usize = 8;

/// The names of inputs, states and outputs, in the order of their use.
struct Names {
    inputs: [&'static str; 5],
    states: [&'static str; 4],
    outputs: &'static str,
}

const PLAIN: Names =
    Names { inputs: ["x", "y", "z", "i", "c"], states: ["w", "f", "key", "t"], outputs: "y" };
/// Names like those that the text form and passes give to what has none.
const GENERATED: Names =
    Names { inputs: ["v1", "r0", "a", "out", "in0"], states: ["s0", "v0", "k0", "v2"], outputs: "v" };

/// Builds the graph of a recipe: inputs, states, the steps, a loss, its gradients for the float inputs and a parameter, and
/// an update of that parameter.
///
/// # Errors
/// Where what every graph has cannot be built: a mistake of this module.
pub fn build(recipe: &Recipe) -> Result<Graph, Error> {
    let mut b = Builder::new("random");
    let names = if recipe.generated_names { GENERATED } else { PLAIN };
    let e = &recipe.extents;
    let dtype = recipe.dtype;
    let with_lead = |own: &[usize]| [&recipe.lead, own].concat();
    // The second operand lacks some of the leading axes, or has 1 there.
    let other_lead: Vec<usize> = match recipe.lead.len() {
        0 | 1 => vec![],
        _ => recipe.lead.iter().enumerate().map(|(i, &n)| if i % 2 == 0 { 1 } else { n }).collect(),
    };
    let float_name = |index: usize| match FLAVOURS[recipe.flavours[index]] {
        "" => names.inputs[index].to_owned(),
        flavour => format!("{flavour}_{}", names.inputs[index]),
    };
    let x = b.input(&float_name(0), dtype, with_lead(&e[..2]).as_slice())?;
    let y = b.input(&float_name(1), dtype, [&other_lead, &e[1..]].concat().as_slice())?;
    let z = b.input(&float_name(2), dtype, [e[1]])?;
    let i = b.input(names.inputs[3], DType::I32, [e[2]])?;
    let c = b.input(names.inputs[4], DType::Bool, [e[0], 1])?;
    let uniform = |stream| Init::Uniform { low: -1.0, high: 1.0, stream };
    let w = b.state(names.states[0], dtype, with_lead(&e[..2]).as_slice(), uniform(1))?;
    let f = b.state(names.states[1], dtype, [e[1], e[2]], uniform(2))?;
    let key = b.state(names.states[2], DType::I64, [], Init::Seed)?;
    let counter = b.state(names.states[3], DType::I64, [], Init::Constant(3.0))?;
    let exact = |value| Known { value, bound: 3.0, exact: true };
    let floats = [x, y, z, w, f].map(exact).to_vec();
    let largest = recipe.largest;
    let mut maker =
        Maker { b, dtype, floats, ints: vec![i, counter], bools: vec![c], key, loops: 0, largest };
    for choice in &recipe.choices {
        maker.step(choice)?;
    }
    maker.finish(recipe, &names, &[x, y, z, w, f], counter)
}

impl Maker {
    /// Does a step, where it fits.
    pub(super) fn step(&mut self, choice: &Choice) -> Result<(), Error> {
        let mut rng = Rng::new(choice.seed);
        let rng = &mut rng;
        let made = match choice.kind {
            Kind::Unary => self.unary(rng),
            Kind::Binary => self.binary(rng),
            Kind::Ladder => self.ladder(rng),
            Kind::MatMul => self.matmul(rng),
            Kind::Reduce => self.reduce(rng),
            Kind::Rearrange => self.rearrange(rng),
            Kind::Cut => self.cut(rng),
            Kind::Join => self.join(rng),
            Kind::Pick => self.gather(rng),
            Kind::Choose => self.choose(rng),
            Kind::Softmax => self.softmax(rng),
            Kind::Normalise => self.normalise(rng),
            Kind::Count => self.count(rng),
            Kind::Repeat => self.repeat(rng),
            Kind::Row => self.row(rng),
            Kind::Convolve => self.convolve(rng),
            Kind::Slide => self.slide(rng),
            Kind::Draw => self.random(rng),
            Kind::Attend => self.attend(rng),
            Kind::Whole => self.whole(rng),
            Kind::Convert => self.convert(rng),
            Kind::Loop => self.scan(rng),
        };
        // What does not fit is an error of the builder, and no fault.
        for known in made.unwrap_or_default() {
            self.keep(known)?;
        }
        Ok(())
    }

    /// Keeps a value for the steps that follow, if it is not too large.
    fn keep(&mut self, known: Known) -> Result<(), Error> {
        if !self.fits(known.value) {
            return Ok(());
        }
        let tamed = match known.bound > BOUND {
            true => Known { value: self.b.tanh(known.value)?, bound: 1.0, exact: false },
            false => known,
        };
        self.floats.push(tamed);
        Ok(())
    }

    /// Whether a value is small enough to be worked on.
    pub(super) fn fits(&self, value: Value) -> bool {
        let shape = self.b.shape(value);
        shape.elements() <= self.largest && shape.rank() <= RANK
    }

    /// A float value; recent ones are likelier, so that chains grow.
    pub(super) fn float(&self, rng: &mut Rng) -> Known {
        let recent = self.floats.len().min(4);
        let index = match rng.below(3) {
            0 => rng.below(self.floats.len()),
            _ => self.floats.len() - 1 - rng.below(recent),
        };
        self.floats[index]
    }

    /// A value for something discontinuous: one without rounding errors, but for one time in eight.
    pub(super) fn exact(&self, rng: &mut Rng) -> Known {
        if rng.one_in(8) {
            return self.float(rng);
        }
        let exact: Vec<Known> = self.floats.iter().copied().filter(|known| known.exact).collect();
        rng.pick(&exact)
    }

    /// An axis of a value.
    pub(super) fn axis(&self, value: Value, rng: &mut Rng) -> Result<usize, Error> {
        match self.b.shape(value).rank() {
            0 => Err(unfit("a scalar has no axis")),
            rank => Ok(rng.below(rank)),
        }
    }

    /// An axis of a value that has elements along it.
    pub(super) fn long_axis(&self, value: Value, rng: &mut Rng) -> Result<usize, Error> {
        let axis = self.axis(value, rng)?;
        if self.b.shape(value)[axis] == 0 { Err(unfit("an axis of extent 0")) } else { Ok(axis) }
    }

    /// Outputs, the loss, its gradients and the updates.
    fn finish(
        mut self,
        recipe: &Recipe,
        names: &Names,
        wanted: &[Value],
        counter: Value,
    ) -> Result<Graph, Error> {
        let dtype = self.dtype;
        let last: Vec<Known> = self.floats.iter().rev().take(3).copied().collect();
        let mut count = 0;
        let mut output = |b: &mut Builder, value: Value| {
            count += 1;
            b.output(&format!("{}{}", names.outputs, count - 1), value)
        };
        let mut loss = self.b.float(dtype, 0.0);
        for known in &last {
            output(&mut self.b, known.value)?;
            let weighted = self.b.sin(known.value)?;
            let sum = self.sum_of_all(weighted)?;
            loss = self.b.add(loss, sum)?;
        }
        for value in self.ints.iter().skip(2).chain(self.bools.iter().skip(1)).rev().take(2) {
            output(&mut self.b, *value)?;
        }
        let one = self.b.scalar(ir::Scalar::I64(1));
        let next = self.b.add(counter, one)?;
        self.b.update(counter, next)?;
        if !recipe.ending.gradients {
            return Ok(self.b.finish());
        }
        self.b.output("loss", loss)?;
        let mut gradients = self.b.grad(loss, wanted)?;
        if recipe.ending.second {
            let norm = self.norm_of(&gradients)?;
            gradients = self.b.grad(norm, wanted)?;
        }
        if recipe.ending.clip {
            let norm = self.norm_of(&gradients)?;
            let bound = self.b.float(dtype, 0.5);
            let least = self.b.float(dtype, 1e-6);
            let above = self.b.add(norm, least)?;
            let factor = self.b.div(bound, above)?;
            let one = self.b.float(dtype, 1.0);
            let factor = self.b.min(factor, one)?;
            gradients = gradients.into_iter().map(|g| self.b.mul(g, factor)).collect::<Result<_, _>>()?;
        }
        for &gradient in &gradients[..3] {
            output(&mut self.b, gradient)?;
        }
        let mut step = gradients[3];
        if recipe.ending.moments {
            step = self.adam(wanted[3], step)?;
        }
        self.descend(wanted[3], step)?;
        self.descend(wanted[4], gradients[4])?;
        Ok(self.b.finish())
    }

    fn sum_of_all(&mut self, value: Value) -> Result<Value, Error> {
        let axes: Vec<usize> = (0..self.b.shape(value).rank()).collect();
        self.b.reduce_sum(value, &axes, false)
    }

    /// The root of one and the sum of all squares.
    fn norm_of(&mut self, values: &[Value]) -> Result<Value, Error> {
        let mut total = self.b.float(self.dtype, 1.0);
        for &value in values {
            let square = self.b.square(value)?;
            let sum = self.sum_of_all(square)?;
            total = self.b.add(total, sum)?;
        }
        self.b.sqrt(total)
    }

    /// A step of Adam without its corrections.
    fn adam(&mut self, parameter: Value, gradient: Value) -> Result<Value, Error> {
        let shape = self.b.shape(parameter).clone();
        let average = |maker: &mut Maker, name: &str, value: Value, decay: f64| {
            let moment = maker.b.state(name, maker.dtype, shape.clone(), Init::Constant(0.25))?;
            let kept = maker.b.float(maker.dtype, decay);
            let kept = maker.b.mul(moment, kept)?;
            let new = maker.b.float(maker.dtype, 1.0 - decay);
            let new = maker.b.mul(value, new)?;
            let next = maker.b.add(kept, new)?;
            maker.b.update(moment, next)?;
            Ok::<Value, Error>(next)
        };
        let mean = average(self, "moment1", gradient, 0.875)?;
        let square = self.b.square(gradient)?;
        let variance = average(self, "moment2", square, 0.9375)?;
        let root = self.b.sqrt(variance)?;
        let least = self.b.float(self.dtype, 1e-3);
        let above = self.b.add(root, least)?;
        self.b.div(mean, above)
    }

    /// `parameter - 0.01 * step`, as its next value.
    fn descend(&mut self, parameter: Value, step: Value) -> Result<(), Error> {
        let rate = self.b.float(self.dtype, 0.01);
        let step = self.b.mul(step, rate)?;
        let next = self.b.sub(parameter, step)?;
        self.b.update(parameter, next)
    }
}

/// The error that a step cannot be done on the values that it has picked.
pub(super) fn unfit(problem: &str) -> Error {
    Error::new("random graph", problem, "pick another")
}
