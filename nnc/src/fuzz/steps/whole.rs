//! Steps on integers and truth values.

use ir::{DType, ReduceOp, Value};

use crate::fuzz::Rng;
use crate::fuzz::build::{Known, Made, Maker};

impl Maker {
    pub(in crate::fuzz) fn whole(&mut self, rng: &mut Rng) -> Made {
        let x = rng.pick(&self.ints);
        let y = rng.pick(&self.ints);
        if rng.one_in(4) {
            self.truth(rng)?;
        }
        let made = match rng.below(10) {
            0 => self.b.neg(x)?,
            1 => self.b.abs(x)?,
            2 => {
                let other = if self.b.dtype(x) == DType::I32 { DType::I64 } else { DType::I32 };
                self.b.cast(x, other)?
            }
            3 => {
                let axis = self.axis(x, rng)?;
                self.b.reduce_sum(x, &[axis], rng.one_in(2))?
            }
            4 => {
                let axis = self.long_axis(x, rng)?;
                self.b.reduce(rng.pick(&[ReduceOp::Max, ReduceOp::Min, ReduceOp::Mul]), x, &[axis], true)?
            }
            5 => {
                let shape = self.b.shape(self.float(rng).value).clone();
                let dtype = rng.pick(&[DType::I32, DType::I64]);
                let axis = rng.below(shape.rank().max(1));
                self.b.iota(dtype, shape, axis)?
            }
            6 => {
                let condition = rng.pick(&self.bools);
                self.b.select(condition, x, y)?
            }
            7 => {
                let value = self.exact(rng).value;
                self.b.cast(value, rng.pick(&[DType::I32, DType::I64]))?
            }
            8 => self.b.mul(x, y)?,
            _ => match rng.below(3) {
                0 => self.b.add(x, y)?,
                1 => self.b.sub(x, y)?,
                _ => self.b.max(x, y)?,
            },
        };
        if self.fits(made) {
            self.ints.push(made);
        }
        self.small_float(rng.pick(&self.ints))
    }

    /// An integer as a float, moved into -8..8.
    fn small_float(&mut self, x: Value) -> Made {
        let dtype = self.b.dtype(x);
        let (low, high) = (self.b.float(dtype, -8.0), self.b.float(dtype, 8.0));
        let small = self.b.clamp(x, low, high)?;
        let value = self.b.cast(small, self.dtype)?;
        Ok(vec![Known { value, bound: 8.0, exact: true }])
    }

    /// One more truth value, from those that there are or of integers.
    fn truth(&mut self, rng: &mut Rng) -> Made {
        let (x, y) = (rng.pick(&self.bools), rng.pick(&self.bools));
        let (i, j) = (rng.pick(&self.ints), rng.pick(&self.ints));
        let made = match rng.below(7) {
            0 => self.b.logical_and(x, y)?,
            1 => self.b.logical_or(x, y)?,
            2 => self.b.logical_xor(x, y)?,
            3 => self.b.logical_not(x)?,
            4 => self.b.lt(i, j)?,
            5 => self.b.eq(i, j)?,
            _ => self.b.cast(i, DType::Bool)?,
        };
        if self.fits(made) {
            self.bools.push(made);
        }
        Ok(vec![])
    }
}
