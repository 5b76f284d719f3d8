//! Random graphs: a recipe of small choices, built into a graph that is right by construction.
//!
//! A recipe is a list of numbers, so that proptest can shrink it: each step picks an op and operands among the values
//! so far, and is left out where it does not fit. Values stay of moderate size (a bound is kept for each), and what is
//! discontinuous is applied only to values that every backend knows exactly, so that `f32` and `f64` may be compared.

pub mod convolutions;
mod windows;

use ir::ops::Distribution;
use ir::{Builder, DType, Error, Graph, Init, ReduceOp, Scalar, Shape, Value};
use proptest::prelude::*;

/// One choice: which op, and four numbers that select operands and attributes.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Which kind of op.
    pub kind: u8,
    /// Selectors.
    pub picks: [u16; 4],
}

/// What a random graph is built from.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The dtype of its floats.
    pub dtype: DType,
    /// Extents from which shapes are drawn.
    pub extents: Vec<usize>,
    /// The steps.
    pub choices: Vec<Choice>,
}

/// Recipes of up to `steps` steps. Most are of `f32`; extents are small, odd, 1, now and then 0 or that of a panel.
pub fn recipes(steps: usize) -> impl Strategy<Value = Recipe> {
    let dtype = prop_oneof![4 => Just(DType::F32), 1 => Just(DType::F64)];
    let extent = prop_oneof![6 => 1usize..8, 3 => 8usize..20, 1 => Just(33usize), 1 => Just(32usize), 1 => Just(0usize)];
    let choice = (any::<u8>(), any::<[u16; 4]>()).prop_map(|(kind, picks)| Choice { kind, picks });
    let choices = prop::collection::vec(choice, 1..steps);
    (dtype, prop::collection::vec(extent, 3), choices).prop_map(|(dtype, extents, choices)| Recipe {
        dtype,
        extents,
        choices,
    })
}

/// A value in the making.
#[derive(Clone, Copy)]
struct Known {
    value: Value,
    /// A bound on its magnitude.
    bound: f64,
    /// Whether every backend computes it without rounding.
    exact: bool,
}

struct Maker {
    b: Builder,
    dtype: DType,
    floats: Vec<Known>,
    ints: Vec<Value>,
    key: Value,
}

/// Values above this are squashed by `tanh`.
const BOUND: f64 = 30.0;
/// Values of more elements are not made.
const LARGEST: usize = 3000;

/// Builds the graph of a recipe: inputs, a state that stays, the steps, a scalar loss, its gradients with respect to the
/// float inputs and a parameter, and an update of that parameter.
pub fn build(recipe: &Recipe) -> Result<Graph, Error> {
    let mut b = Builder::new("random");
    let e = &recipe.extents;
    let dtype = recipe.dtype;
    let x = b.input("x", dtype, [e[0], e[1]])?;
    let y = b.input("y", dtype, [e[1], e[2]])?;
    let z = b.input("z", dtype, [e[1]])?;
    let i = b.input("i", DType::I32, [e[2]])?;
    let w = b.state("w", dtype, [e[0], e[1]], Init::Uniform { low: -1.0, high: 1.0, stream: 1 })?;
    let f = b.state("f", dtype, [e[1], e[2]], Init::Uniform { low: -1.0, high: 1.0, stream: 2 })?;
    let key = b.state("key", DType::I64, [], Init::Seed)?;
    let exact = |value| Known { value, bound: 1.0, exact: true };
    let mut maker = Maker { b, dtype, floats: [x, y, z, w, f].map(exact).to_vec(), ints: vec![i], key };
    for choice in &recipe.choices {
        if let Ok(made) = maker.step(choice) {
            for known in made {
                maker.keep(known)?;
            }
        }
    }
    maker.finish(&[x, y, z, w], w)
}

impl Maker {
    fn keep(&mut self, known: Known) -> Result<(), Error> {
        if self.b.shape(known.value).elements() > LARGEST {
            return Ok(());
        }
        let tamed = match known.bound > BOUND {
            true => Known { value: self.b.tanh(known.value)?, bound: 1.0, exact: false },
            false => known,
        };
        self.floats.push(tamed);
        Ok(())
    }

    /// A float value; recent ones are likelier, so that chains grow.
    fn float(&self, pick: u16) -> Known {
        let recent = self.floats.len().min(4);
        let index = match pick % 3 {
            0 => usize::from(pick / 3) % self.floats.len(),
            _ => self.floats.len() - 1 - usize::from(pick / 3) % recent,
        };
        self.floats[index]
    }

    fn exact(&self, pick: u16) -> Known {
        let exact: Vec<Known> = self.floats.iter().copied().filter(|known| known.exact).collect();
        exact[usize::from(pick) % exact.len()]
    }

    fn axis(&self, value: Value, pick: u16) -> Result<usize, Error> {
        match self.b.shape(value).rank() {
            0 => Err(Error::new("random graph", "a scalar has no axis", "pick another")),
            rank => Ok(usize::from(pick) % rank),
        }
    }

    fn step(&mut self, choice: &Choice) -> Result<Vec<Known>, Error> {
        let [p, q, r, s] = choice.picks;
        let x = self.float(p);
        match choice.kind % 23 {
            0..=3 => self.unary(x, q),
            4..=7 => self.binary(x, self.float(q), r),
            8 => self.matmul(x, self.float(q), r),
            9 | 10 => self.reduce(x, q, r, s),
            11 => self.rearrange(x, q, r),
            12 => self.cut(x, q, r, s),
            13 => self.join(x, self.float(q), r),
            14 => self.index(x, q),
            15 => self.choose(p, q, r, s),
            16 => self.softmax(x, q),
            17 => self.normalise(x, q),
            18 => self.count(x, q),
            19 | 20 => self.convolve(x, self.float(q), r, s),
            21 => self.slide(x, q, r),
            _ => self.draw(x, q, r),
        }
    }

    fn unary(&mut self, x: Known, pick: u16) -> Result<Vec<Known>, Error> {
        let b = &mut self.b;
        let v = x.value;
        let one = b.float(self.dtype, 1.0);
        let (value, bound) = match pick % 14 {
            0 => (b.neg(v)?, x.bound),
            1 => (b.tanh(v)?, 1.0),
            2 => (b.sigmoid(v)?, 1.0),
            3 => (b.sin(v)?, 1.0),
            4 => (b.cos(v)?, 1.0),
            5 => (b.relu(v)?, x.bound),
            6 => (b.square(v)?, x.bound * x.bound),
            7 => (b.erf(v)?, 1.0),
            8 if x.bound < 3.0 => (b.exp(v)?, x.bound.exp()),
            9 if x.bound < 3.0 => (b.expm1(v)?, x.bound.exp()),
            10 => {
                let square = b.square(v)?;
                (b.log1p(square)?, (1.0 + x.bound * x.bound).ln())
            }
            11 => {
                let square = b.square(v)?;
                let above = b.add(square, one)?;
                (b.sqrt(above)?, x.bound + 1.0)
            }
            12 => {
                let square = b.square(v)?;
                let above = b.add(square, one)?;
                (b.rsqrt(above)?, 1.0)
            }
            _ => {
                let low = b.float(self.dtype, -0.7);
                let high = b.float(self.dtype, 0.9);
                (b.clamp(v, low, high)?, 1.0)
            }
        };
        Ok(vec![Known { value, bound, exact: false }])
    }

    fn binary(&mut self, x: Known, y: Known, pick: u16) -> Result<Vec<Known>, Error> {
        let b = &mut self.b;
        let (value, bound) = match pick % 6 {
            0 => (b.add(x.value, y.value)?, x.bound + y.bound),
            1 => (b.sub(x.value, y.value)?, x.bound + y.bound),
            2 => (b.mul(x.value, y.value)?, x.bound * y.bound),
            3 => (b.max(x.value, y.value)?, x.bound.max(y.bound)),
            4 => (b.min(x.value, y.value)?, x.bound.max(y.bound)),
            _ => {
                let square = b.square(y.value)?;
                let half = b.float(self.dtype, 0.5);
                let below = b.add(square, half)?;
                (b.div(x.value, below)?, 2.0 * x.bound)
            }
        };
        Ok(vec![Known { value, bound, exact: false }])
    }

    fn matmul(&mut self, x: Known, y: Known, pick: u16) -> Result<Vec<Known>, Error> {
        let (left, right) = (pick & 1 == 1, pick & 2 == 2);
        let shape = self.b.shape(x.value);
        let depth = if shape.rank() < 2 { 1 } else { shape[shape.rank() - if left { 2 } else { 1 }] };
        let value = self.b.matmul_transposed(x.value, y.value, left, right)?;
        Ok(vec![Known { value, bound: x.bound * y.bound * depth.max(1) as f64, exact: false }])
    }

    fn reduce(&mut self, x: Known, q: u16, r: u16, s: u16) -> Result<Vec<Known>, Error> {
        let shape = self.b.shape(x.value).clone();
        let axes: Vec<usize> = (0..shape.rank()).filter(|axis| q >> axis & 1 == 1).collect();
        let count: usize = axes.iter().map(|&axis| shape[axis]).product();
        let keep = r & 1 == 1;
        let (value, bound) = match s % 5 {
            0 | 1 => (self.b.reduce_sum(x.value, &axes, keep)?, x.bound * count as f64),
            2 if count > 0 => (self.b.reduce_max(x.value, &axes, keep)?, x.bound),
            3 if count > 0 => (self.b.reduce(ReduceOp::Min, x.value, &axes, keep)?, x.bound),
            4 if count > 0 && count < 6 => {
                (self.b.reduce(ReduceOp::Mul, x.value, &axes, keep)?, x.bound.powi(count as i32))
            }
            _ if count > 0 => (self.b.reduce_mean(x.value, &axes, keep)?, x.bound),
            _ => return Ok(vec![]),
        };
        Ok(vec![Known { value, bound, exact: false }])
    }

    fn rearrange(&mut self, x: Known, q: u16, r: u16) -> Result<Vec<Known>, Error> {
        let shape = self.b.shape(x.value).clone();
        let rank = shape.rank();
        let value = match q % 4 {
            0 if rank > 0 => {
                let mut permutation: Vec<usize> = (0..rank).collect();
                permutation.rotate_left(usize::from(r) % rank);
                self.b.transpose(x.value, &permutation)?
            }
            1 => self.b.reshape(x.value, [shape.elements()])?,
            2 if rank < 4 => {
                let mut extents = shape.to_vec();
                extents.insert(usize::from(r) % (rank + 1), 1);
                self.b.reshape(x.value, extents.as_slice())?
            }
            _ if rank < 4 => {
                let extents: Vec<usize> =
                    std::iter::once(1 + usize::from(r) % 3).chain(shape.iter().copied()).collect();
                self.b.broadcast(x.value, extents.as_slice())?
            }
            _ => return Ok(vec![]),
        };
        Ok(vec![Known { value, ..x }])
    }

    fn cut(&mut self, x: Known, q: u16, r: u16, s: u16) -> Result<Vec<Known>, Error> {
        let axis = self.axis(x.value, q)?;
        let shape = self.b.shape(x.value).clone();
        let rank = shape.rank();
        let value = match r % 3 {
            0 => {
                let mut starts = vec![0; rank];
                let mut strides = vec![1; rank];
                starts[axis] = usize::from(s) % (shape[axis] + 1);
                strides[axis] = 1 + usize::from(s / 7) % 3;
                self.b.slice(x.value, &starts, &shape, &strides)?
            }
            1 => {
                let mut low = vec![0; rank];
                let mut high = vec![0; rank];
                let mut interior = vec![0; rank];
                low[axis] = usize::from(s) % 3;
                high[axis] = usize::from(s / 3) % 3;
                interior[axis] = usize::from(s / 9) % 2;
                self.b.pad(x.value, &low, &high, &interior, Scalar::from_f64(self.dtype, 0.25))?
            }
            _ => {
                let first = usize::from(s) % (shape[axis] + 1);
                let parts = self.b.split(x.value, axis, &[first, shape[axis] - first])?;
                return Ok(parts.into_iter().map(|value| Known { value, ..x }).collect());
            }
        };
        Ok(vec![Known { value, ..x }])
    }

    fn join(&mut self, x: Known, y: Known, q: u16) -> Result<Vec<Known>, Error> {
        let axis = self.axis(x.value, q)?;
        let value = self.b.concat(&[x.value, y.value], axis)?;
        Ok(vec![Known { value, bound: x.bound.max(y.bound), exact: x.exact && y.exact }])
    }

    fn index(&mut self, x: Known, q: u16) -> Result<Vec<Known>, Error> {
        let axis = self.axis(x.value, q)?;
        let indices = self.ints[usize::from(q) % self.ints.len()];
        let value = self.b.gather(x.value, indices, axis)?;
        if q & 4 == 4 {
            return Ok(vec![Known { value, ..x }]);
        }
        let extent = self.b.shape(indices).elements();
        let value = self.b.scatter_add(x.value, indices, value, axis)?;
        Ok(vec![Known { value, bound: x.bound * (1.0 + extent as f64), exact: false }])
    }

    /// Comparisons, rounding and argmax: of values without rounding errors only.
    fn choose(&mut self, p: u16, q: u16, r: u16, s: u16) -> Result<Vec<Known>, Error> {
        let (x, y) = (self.exact(p), self.exact(q));
        let b = &mut self.b;
        match r % 5 {
            0 => {
                let condition = b.lt(x.value, y.value)?;
                let (yes, no) = (self.float(s), self.float(p));
                let value = self.b.select(condition, yes.value, no.value)?;
                Ok(vec![Known { value, bound: yes.bound.max(no.bound), exact: false }])
            }
            1 => {
                let value = b.floor(x.value)?;
                Ok(vec![Known { value, bound: x.bound + 1.0, exact: true }])
            }
            2 => {
                let value = b.sign(x.value)?;
                Ok(vec![Known { value, bound: 1.0, exact: true }])
            }
            3 => {
                let axis = self.axis(x.value, s)?;
                if self.b.shape(x.value)[axis] == 0 {
                    return Ok(vec![]);
                }
                let at = self.b.argmax(x.value, axis)?;
                self.ints.push(at);
                let value = self.b.cast(at, self.dtype)?;
                Ok(vec![Known { value, bound: 40.0, exact: false }])
            }
            _ => {
                let both = b.ge(x.value, y.value)?;
                let flipped = b.logical_not(both)?;
                let value = b.cast(flipped, self.dtype)?;
                Ok(vec![Known { value, bound: 1.0, exact: true }])
            }
        }
    }

    fn softmax(&mut self, x: Known, q: u16) -> Result<Vec<Known>, Error> {
        let axis = self.axis(x.value, q)?;
        let b = &mut self.b;
        let top = b.reduce_max(x.value, &[axis], true)?;
        let shifted = b.sub(x.value, top)?;
        let e = b.exp(shifted)?;
        let total = b.reduce_sum(e, &[axis], true)?;
        let value = b.div(e, total)?;
        Ok(vec![Known { value, bound: 1.0, exact: false }])
    }

    fn normalise(&mut self, x: Known, q: u16) -> Result<Vec<Known>, Error> {
        let axis = self.axis(x.value, q)?;
        if self.b.shape(x.value)[axis] == 0 {
            return Ok(vec![]);
        }
        let b = &mut self.b;
        let mean = b.reduce_mean(x.value, &[axis], true)?;
        let centred = b.sub(x.value, mean)?;
        let square = b.square(centred)?;
        let variance = b.reduce_mean(square, &[axis], true)?;
        let small = b.float(self.dtype, 0.1);
        let above = b.add(variance, small)?;
        let scale = b.rsqrt(above)?;
        let value = b.mul(centred, scale)?;
        Ok(vec![Known { value, bound: 6.0, exact: false }])
    }

    fn count(&mut self, x: Known, q: u16) -> Result<Vec<Known>, Error> {
        let axis = self.axis(x.value, q)?;
        let shape: Shape = self.b.shape(x.value).clone();
        let iota = self.b.iota(DType::I32, shape, axis)?;
        let value = self.b.cast(iota, self.dtype)?;
        let scale = self.b.float(self.dtype, 0.125);
        let scaled = self.b.mul(value, scale)?;
        Ok(vec![Known { value: scaled, bound: 5.0, exact: true }])
    }

    fn draw(&mut self, x: Known, q: u16, r: u16) -> Result<Vec<Known>, Error> {
        let shape = self.b.shape(x.value).clone();
        let (distribution, bound) = match q & 1 {
            0 => (Distribution::Uniform, 1.0),
            _ => (Distribution::Normal, 6.0),
        };
        let noise = self.b.random(self.key, distribution, self.dtype, shape, u32::from(r))?;
        let value = self.b.mul(x.value, noise)?;
        Ok(vec![Known { value, bound: x.bound * bound, exact: false }])
    }

    /// The loss, its gradients, outputs and the update.
    fn finish(mut self, wanted: &[Value], parameter: Value) -> Result<Graph, Error> {
        let mut loss = self.b.float(self.dtype, 0.0);
        let last: Vec<Known> = self.floats.iter().rev().take(3).copied().collect();
        for (index, known) in last.iter().enumerate() {
            self.b.output(&format!("v{index}"), known.value)?;
            let axes: Vec<usize> = (0..self.b.shape(known.value).rank()).collect();
            let weighted = self.b.sin(known.value)?;
            let sum = self.b.reduce_sum(weighted, &axes, false)?;
            loss = self.b.add(loss, sum)?;
        }
        self.b.output("loss", loss)?;
        let gradients = self.b.grad(loss, wanted)?;
        for (index, &gradient) in gradients.iter().enumerate() {
            self.b.output(&format!("g{index}"), gradient)?;
        }
        let rate = self.b.float(self.dtype, 0.01);
        let step = self.b.mul(gradients[wanted.len() - 1], rate)?;
        let next = self.b.sub(parameter, step)?;
        self.b.update(parameter, next)?;
        Ok(self.b.finish())
    }
}
