//! Steps that compute element by element.

use ir::ops::Distribution;
use ir::{DType, Error, Value};

use crate::fuzz::Rng;
use crate::fuzz::build::{Known, Made, Maker};

impl Maker {
    /// A constant of the dtype of the graph.
    pub(super) fn number(&mut self, value: f64) -> Value {
        self.b.float(self.dtype, value)
    }

    pub(in crate::fuzz) fn unary(&mut self, rng: &mut Rng) -> Made {
        let x = self.float(rng);
        Ok(vec![self.function(x, rng)?])
    }

    /// A function of one value.
    fn function(&mut self, x: Known, rng: &mut Rng) -> Result<Known, Error> {
        let v = x.value;
        let one = self.number(1.0);
        let b = &mut self.b;
        let (value, bound) = match rng.below(18) {
            0 => (b.neg(v)?, x.bound),
            1 => (b.tanh(v)?, 1.0),
            2 => (b.sigmoid(v)?, 1.0),
            3 => (b.sin(v)?, 1.0),
            4 => (b.cos(v)?, 1.0),
            5 => (b.relu(v)?, x.bound),
            6 => (b.square(v)?, x.bound * x.bound),
            7 => (b.erf(v)?, 1.0),
            8 if x.bound < 4.0 => (b.exp(v)?, x.bound.exp()),
            9 if x.bound < 4.0 => (b.expm1(v)?, x.bound.exp()),
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
            13 => (b.abs(v)?, x.bound),
            14 => {
                let magnitude = b.abs(v)?;
                let above = b.add(magnitude, one)?;
                (b.log(above)?, (1.0 + x.bound).ln())
            }
            15 => {
                let magnitude = b.abs(v)?;
                let above = b.add(magnitude, one)?;
                let exponent = b.tanh(v)?;
                (b.pow(above, exponent)?, x.bound + 1.0)
            }
            16 => (b.stop_gradient(v)?, x.bound),
            _ => {
                let low = self.number(-0.7);
                let high = self.number(0.9);
                (self.b.clamp(v, low, high)?, 1.0)
            }
        };
        Ok(Known { value, bound, exact: false })
    }

    pub(in crate::fuzz) fn binary(&mut self, rng: &mut Rng) -> Made {
        let (x, y) = (self.float(rng), self.float(rng));
        Ok(vec![self.function_of_two(x, y, rng)?])
    }

    fn function_of_two(&mut self, x: Known, y: Known, rng: &mut Rng) -> Result<Known, Error> {
        let half = self.number(0.5);
        let b = &mut self.b;
        let (value, bound) = match rng.below(6) {
            0 => (b.add(x.value, y.value)?, x.bound + y.bound),
            1 => (b.sub(x.value, y.value)?, x.bound + y.bound),
            2 => (b.mul(x.value, y.value)?, x.bound * y.bound),
            3 => (b.max(x.value, y.value)?, x.bound.max(y.bound)),
            4 => (b.min(x.value, y.value)?, x.bound.max(y.bound)),
            _ => {
                let square = b.square(y.value)?;
                let below = b.add(square, half)?;
                (b.div(x.value, below)?, 2.0 * x.bound)
            }
        };
        Ok(Known { value, bound, exact: false })
    }

    /// A value used twice in the next, which is used twice in the one after it.
    pub(in crate::fuzz) fn ladder(&mut self, rng: &mut Rng) -> Made {
        let mut x = self.float(rng);
        for _ in 0..2 + rng.below(4) {
            let again = self.function(x, rng)?;
            x = self.function_of_two(x, again, rng)?;
            if x.bound > 8.0 {
                x = Known { value: self.b.sin(x.value)?, bound: 1.0, exact: false };
            }
        }
        Ok(vec![x])
    }

    /// Comparisons, rounding and `argmax`.
    pub(in crate::fuzz) fn choose(&mut self, rng: &mut Rng) -> Made {
        let (x, y) = (self.exact(rng), self.exact(rng));
        let exact = x.exact;
        match rng.below(7) {
            0 => {
                let condition = match rng.below(3) {
                    0 => self.b.lt(x.value, y.value)?,
                    1 => self.b.le(x.value, y.value)?,
                    _ => self.b.ne(x.value, y.value)?,
                };
                self.bools.push(condition);
                let (yes, no) = (self.float(rng), self.float(rng));
                let value = self.b.select(condition, yes.value, no.value)?;
                Ok(vec![Known { value, bound: yes.bound.max(no.bound), exact: false }])
            }
            1 => Ok(vec![Known { value: self.b.floor(x.value)?, bound: x.bound + 1.0, exact }]),
            2 => Ok(vec![Known { value: self.b.ceil(x.value)?, bound: x.bound + 1.0, exact }]),
            3 => Ok(vec![Known { value: self.b.round(x.value)?, bound: x.bound + 1.0, exact }]),
            4 => Ok(vec![Known { value: self.b.sign(x.value)?, bound: 1.0, exact }]),
            5 => {
                let axis = self.long_axis(x.value, rng)?;
                let at = self.b.argmax(x.value, axis)?;
                self.ints.push(at);
                let value = self.b.cast(at, self.dtype)?;
                Ok(vec![Known { value, bound: self.b.shape(x.value)[axis] as f64, exact: false }])
            }
            _ => {
                let both = self.b.ge(x.value, y.value)?;
                let flipped = self.b.logical_not(both)?;
                let value = self.b.cast(flipped, self.dtype)?;
                Ok(vec![Known { value, bound: 1.0, exact: exact && y.exact }])
            }
        }
    }

    /// `clamp` by a row, or a choice by a comparison of a row: truth values that are broadcast.
    pub(in crate::fuzz) fn row(&mut self, rng: &mut Rng) -> Made {
        let x = self.float(rng);
        let shape = self.b.shape(x.value).clone();
        let Some(&last) = shape.last() else { return Ok(vec![]) };
        let is_row = |known: &&Known| {
            let own = self.b.shape(known.value);
            own.rank() == 1 && own[0] == last
        };
        let rows: Vec<Known> = self.floats.iter().filter(is_row).copied().collect();
        let row = match rows.is_empty() {
            true => {
                let numbers = self.b.iota(self.dtype, [last], 0)?;
                let scale = self.number(0.0625);
                self.b.mul(numbers, scale)?
            }
            false => rng.pick(&rows).value,
        };
        let wide = self.b.broadcast(row, shape)?;
        let bound = x.bound.max(8.0);
        let (low, high) = (self.number(-0.25), self.number(0.5));
        let b = &mut self.b;
        let value = match rng.below(6) {
            0 => b.clamp(wide, low, x.value)?,
            1 => b.clamp(wide, x.value, high)?,
            2 => b.clamp(x.value, wide, high)?,
            3 => {
                let condition = b.gt(row, low)?;
                let no = b.mul(x.value, high)?;
                b.select(condition, x.value, no)?
            }
            4 => {
                let is_above = b.gt(row, low)?;
                let is_below = b.lt(row, high)?;
                let both = b.logical_and(is_above, is_below)?;
                let number = b.cast(both, self.dtype)?;
                b.mul(x.value, number)?
            }
            _ => {
                let most = b.max(wide, x.value)?;
                b.min(most, high)?
            }
        };
        Ok(vec![Known { value, bound, exact: false }])
    }

    pub(in crate::fuzz) fn random(&mut self, rng: &mut Rng) -> Made {
        let x = self.float(rng);
        let shape = self.b.shape(x.value).clone();
        let (distribution, bound) = match rng.below(2) {
            0 => (Distribution::Uniform, 1.0),
            _ => (Distribution::Normal, 6.0),
        };
        let stream = rng.below(1000) as u32;
        let noise = self.b.random(self.key, distribution, self.dtype, shape, stream)?;
        let value = self.b.mul(x.value, noise)?;
        Ok(vec![Known { value, bound: x.bound * bound, exact: false }])
    }

    /// To the other float type, and back after a function.
    pub(in crate::fuzz) fn convert(&mut self, rng: &mut Rng) -> Made {
        let x = self.float(rng);
        let other = if self.dtype == DType::F32 { DType::F64 } else { DType::F32 };
        let there = self.b.cast(x.value, other)?;
        let changed = match rng.below(3) {
            0 => self.b.sin(there)?,
            1 => self.b.neg(there)?,
            _ => {
                let axis = self.axis(there, rng)?;
                self.b.reduce_sum(there, &[axis], true)?
            }
        };
        let extent = self.b.shape(x.value).elements().max(1) as f64;
        let value = self.b.cast(changed, self.dtype)?;
        Ok(vec![Known { value, bound: x.bound * extent, exact: false }])
    }
}
