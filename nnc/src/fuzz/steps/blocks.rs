//! Steps that are the building blocks of networks: softmax, normalisation, attention.

use ir::{DType, Error, Value};

use crate::fuzz::Rng;
use crate::fuzz::build::{Known, Made, Maker, unfit};

impl Maker {
    pub(in crate::fuzz) fn softmax(&mut self, rng: &mut Rng) -> Made {
        let x = self.float(rng);
        let axis = self.axis(x.value, rng)?;
        Ok(vec![Known { value: self.softmax_along(x.value, axis)?, bound: 1.0, exact: false }])
    }

    fn softmax_along(&mut self, x: Value, axis: usize) -> Result<Value, Error> {
        let b = &mut self.b;
        let top = b.reduce_max(x, &[axis], true)?;
        let shifted = b.sub(x, top)?;
        let e = b.exp(shifted)?;
        let total = b.reduce_sum(e, &[axis], true)?;
        b.div(e, total)
    }

    /// Layer norm (the last axis), or batch statistics (all axes but one).
    pub(in crate::fuzz) fn normalise(&mut self, rng: &mut Rng) -> Made {
        let x = self.float(rng);
        let rank = self.b.shape(x.value).rank();
        let one = self.long_axis(x.value, rng)?;
        let axes: Vec<usize> = match rng.below(3) {
            0 => vec![rank - 1],
            1 => vec![one],
            _ => (0..rank).filter(|&axis| axis != one).collect(),
        };
        if axes.iter().any(|&axis| self.b.shape(x.value)[axis] == 0) {
            return Ok(vec![]);
        }
        let small = self.number(0.1);
        let b = &mut self.b;
        let mean = b.reduce_mean(x.value, &axes, true)?;
        let centred = b.sub(x.value, mean)?;
        let square = b.square(centred)?;
        let variance = b.reduce_mean(square, &axes, true)?;
        let above = b.add(variance, small)?;
        let scale = b.rsqrt(above)?;
        let mut value = b.mul(centred, scale)?;
        if rng.one_in(2) {
            let (gamma, beta) = (self.float(rng), self.float(rng));
            let kept = self.b.shape(value).clone();
            if let Ok(scaled) = self.b.mul(value, gamma.value)
                && let Ok(shifted) = self.b.add(scaled, beta.value)
                && *self.b.shape(shifted) == kept
            {
                value = shifted;
            }
        }
        Ok(vec![Known { value, bound: 12.0, exact: false }])
    }

    /// Causal attention of a value with itself, over its last two axes: time and features.
    pub(in crate::fuzz) fn attend(&mut self, rng: &mut Rng) -> Made {
        let x = self.float(rng);
        let shape = self.b.shape(x.value).clone();
        let rank = shape.rank();
        if rank < 2 || shape[rank - 2] == 0 {
            return Err(unfit("no time or no features"));
        }
        let keys = if rng.one_in(2) { x.value } else { self.b.tanh(x.value)? };
        let scores = self.b.matmul_transposed(x.value, keys, false, true)?;
        if !self.fits(scores) {
            return Err(unfit("the scores are many"));
        }
        let kept = match rng.below(4) {
            0 => scores,
            _ => self.masked(scores, rng)?,
        };
        let weights = self.softmax_along(kept, rank - 1)?;
        let value = self.b.matmul(weights, x.value)?;
        Ok(vec![Known { value, bound: x.bound, exact: false }])
    }

    /// Scores below the diagonal, a large negative number above it.
    fn masked(&mut self, scores: Value, rng: &mut Rng) -> Result<Value, Error> {
        let shape = self.b.shape(scores).clone();
        let rank = shape.rank();
        let (mask_shape, axes) = match rng.below(2) {
            0 => (shape, [rank - 1, rank - 2]),
            _ => (shape[rank - 2..].into(), [1, 0]),
        };
        let dtype = rng.pick(&[DType::I32, DType::I64, self.dtype]);
        let column = self.b.iota(dtype, mask_shape.clone(), axes[0])?;
        let row = self.b.iota(dtype, mask_shape, axes[1])?;
        let is_kept = self.b.le(column, row)?;
        let far = rng.pick(&[-1e9, -1e4, f64::NEG_INFINITY]);
        let far = self.number(far);
        self.b.select(is_kept, scores, far)
    }
}
