//! Steps that move elements.

use ir::Scalar;

use crate::fuzz::Rng;
use crate::fuzz::build::{Known, Made, Maker, RANK};

impl Maker {
    pub(in crate::fuzz) fn rearrange(&mut self, rng: &mut Rng) -> Made {
        let x = self.float(rng);
        let shape = self.b.shape(x.value).clone();
        let rank = shape.rank();
        let value = match rng.below(6) {
            0 if rank > 0 => {
                let mut permutation: Vec<usize> = (0..rank).collect();
                permutation.rotate_left(rng.below(rank));
                self.b.transpose(x.value, &permutation)?
            }
            1 if rank > 1 => {
                let mut permutation: Vec<usize> = (0..rank).collect();
                (1..rank).for_each(|axis| permutation.swap(axis, rng.below(axis + 1)));
                self.b.transpose(x.value, &permutation)?
            }
            2 => self.b.reshape(x.value, [shape.elements()])?,
            3 if rank < RANK => {
                let mut extents = shape.to_vec();
                extents.insert(rng.below(rank + 1), 1);
                self.b.reshape(x.value, extents.as_slice())?
            }
            4 if rank > 1 => {
                // Two neighbouring axes become one.
                let axis = rng.below(rank - 1);
                let mut extents = shape.to_vec();
                extents[axis] *= extents.remove(axis + 1);
                self.b.reshape(x.value, extents.as_slice())?
            }
            _ if rank < RANK => {
                let extents = [&[1 + rng.below(3)], &shape[..]].concat();
                self.b.broadcast(x.value, extents.as_slice())?
            }
            _ => return Ok(vec![]),
        };
        Ok(vec![Known { value, ..x }])
    }

    pub(in crate::fuzz) fn cut(&mut self, rng: &mut Rng) -> Made {
        let x = self.float(rng);
        let axis = self.axis(x.value, rng)?;
        let shape = self.b.shape(x.value).clone();
        let rank = shape.rank();
        let value = match rng.below(4) {
            0 => {
                let (mut starts, mut strides) = (vec![0; rank], vec![1; rank]);
                starts[axis] = rng.below(shape[axis] + 1);
                strides[axis] = 1 + rng.below(3);
                self.b.slice(x.value, &starts, &shape, &strides)?
            }
            1 => {
                // Every axis at once.
                let starts: Vec<usize> = shape.iter().map(|&extent| rng.below(extent / 2 + 1)).collect();
                let strides: Vec<usize> = shape.iter().map(|_| 1 + rng.below(3)).collect();
                self.b.slice(x.value, &starts, &shape, &strides)?
            }
            2 => {
                let (mut low, mut high, mut interior) = (vec![0; rank], vec![0; rank], vec![0; rank]);
                low[axis] = rng.below(3);
                high[axis] = rng.below(3);
                interior[axis] = rng.below(2);
                self.b.pad(x.value, &low, &high, &interior, Scalar::from_f64(self.dtype, 0.25))?
            }
            _ => {
                let first = rng.below(shape[axis] + 1);
                let parts = self.b.split(x.value, axis, &[first, shape[axis] - first])?;
                return Ok(parts.into_iter().map(|value| Known { value, ..x }).collect());
            }
        };
        Ok(vec![Known { value, ..x }])
    }

    pub(in crate::fuzz) fn join(&mut self, rng: &mut Rng) -> Made {
        let x = self.float(rng);
        let y = if rng.one_in(2) { x } else { self.float(rng) };
        let axis = self.axis(x.value, rng)?;
        let value = self.b.concat(&[x.value, y.value], axis)?;
        Ok(vec![Known { value, bound: x.bound.max(y.bound), exact: x.exact && y.exact }])
    }

    pub(in crate::fuzz) fn gather(&mut self, rng: &mut Rng) -> Made {
        let x = self.float(rng);
        let axis = self.axis(x.value, rng)?;
        let indices = rng.pick(&self.ints);
        let value = self.b.gather(x.value, indices, axis)?;
        if !self.fits(value) {
            return Ok(vec![]);
        }
        if rng.one_in(2) {
            return Ok(vec![Known { value, ..x }]);
        }
        let extent = self.b.shape(indices).elements();
        let value = self.b.scatter_add(x.value, indices, value, axis)?;
        Ok(vec![Known { value, bound: x.bound * (1.0 + extent as f64), exact: false }])
    }
}
