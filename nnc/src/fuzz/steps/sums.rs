//! Steps that add up: reductions and matrix products, also of what does not vary.

use ir::{Error, ReduceOp, Shape, Value};

use crate::fuzz::Rng;
use crate::fuzz::build::{Known, Made, Maker, RANK};

impl Maker {
    pub(in crate::fuzz) fn matmul(&mut self, rng: &mut Rng) -> Made {
        let (x, y) = (self.float(rng), self.float(rng));
        let (left, right) = (rng.one_in(2), rng.one_in(2));
        let shape = self.b.shape(x.value);
        let depth = if shape.rank() < 2 { 1 } else { shape[shape.rank() - if left { 2 } else { 1 }] };
        let value = self.b.matmul_transposed(x.value, y.value, left, right)?;
        Ok(vec![Known { value, bound: x.bound * y.bound * depth.max(1) as f64, exact: false }])
    }

    pub(in crate::fuzz) fn reduce(&mut self, rng: &mut Rng) -> Made {
        let x = self.float(rng);
        Ok(vec![self.reduced(x, rng)?])
    }

    /// A value reduced over random axes.
    fn reduced(&mut self, x: Known, rng: &mut Rng) -> Result<Known, Error> {
        let shape = self.b.shape(x.value).clone();
        let axes: Vec<usize> = (0..shape.rank()).filter(|_| rng.one_in(2)).collect();
        let count: usize = axes.iter().map(|&axis| shape[axis]).product();
        let keep = rng.one_in(2);
        let b = &mut self.b;
        let (value, bound) = match rng.below(6) {
            2 if count > 0 => (b.reduce_max(x.value, &axes, keep)?, x.bound),
            3 if count > 0 => (b.reduce(ReduceOp::Min, x.value, &axes, keep)?, x.bound),
            4 if count > 0 && count < 6 => {
                (b.reduce(ReduceOp::Mul, x.value, &axes, keep)?, x.bound.powi(count as i32))
            }
            5 if count > 0 => (b.reduce_mean(x.value, &axes, keep)?, x.bound),
            _ => (b.reduce_sum(x.value, &axes, keep)?, x.bound * count as f64),
        };
        Ok(Known { value, bound, exact: false })
    }

    /// An `iota` of the shape of a value.
    pub(in crate::fuzz) fn count(&mut self, rng: &mut Rng) -> Made {
        let x = self.float(rng);
        let axis = self.axis(x.value, rng)?;
        let shape = self.b.shape(x.value).clone();
        let bound = shape[axis] as f64 / 8.0;
        let value = self.counted(shape, axis, rng)?;
        Ok(vec![Known { value, bound, exact: true }])
    }

    /// Eighths of the index along an axis.
    fn counted(&mut self, shape: Shape, axis: usize, rng: &mut Rng) -> Result<Value, Error> {
        let dtype = if rng.one_in(2) { ir::DType::I32 } else { self.dtype };
        let iota = self.b.iota(dtype, shape, axis)?;
        let value = self.b.cast(iota, self.dtype)?;
        let scale = self.number(0.125);
        self.b.mul(value, scale)
    }

    /// Something that does not vary along some axes (an `iota`, a row over time), reduced along one axis after the other, or
    /// with something that does vary.
    pub(in crate::fuzz) fn repeat(&mut self, rng: &mut Rng) -> Made {
        let x = self.float(rng);
        let shape = self.b.shape(x.value).clone();
        let wide = match rng.below(3) {
            0 => {
                let axis = self.axis(x.value, rng)?;
                let bound = shape[axis] as f64 / 8.0;
                Known { value: self.counted(shape, axis, rng)?, bound, exact: true }
            }
            1 if shape.rank() < RANK => {
                let extents = [&[1 + rng.below(5)], &shape[..]].concat();
                Known { value: self.b.broadcast(x.value, extents.as_slice())?, ..x }
            }
            _ => {
                // One row for all of them.
                let axis = self.axis(x.value, rng)?;
                let row = self.b.reduce_sum(x.value, &[axis], true)?;
                let bound = x.bound * shape[axis].max(1) as f64;
                Known { value: self.b.broadcast(row, shape)?, bound, exact: false }
            }
        };
        if !self.fits(wide.value) {
            return Ok(vec![]);
        }
        let mixed = match rng.below(3) {
            0 => wide,
            1 => Known { value: self.b.sin(wide.value)?, bound: 1.0, exact: false },
            _ => {
                let value = self.b.mul(wide.value, x.value)?;
                Known { value, bound: wide.bound * x.bound, exact: false }
            }
        };
        let once = self.reduced(mixed, rng)?;
        let twice = self.reduced(once, rng)?;
        Ok(vec![wide, once, twice])
    }
}
