//! Steps with windows: convolutions, windows, pooling.

use ir::ops::Windows;
use ir::{Scalar, Value};

use crate::fuzz::Rng;
use crate::fuzz::build::{Known, Made, Maker};

impl Maker {
    /// Windows along the last axes of a value, up to four: their sizes, places and counts.
    fn windows(&self, x: Value, rng: &mut Rng) -> Option<(Vec<usize>, Windows, Vec<usize>)> {
        let shape = self.b.shape(x);
        let axes = rng.pick(&[1, 1, 2, 2, 2, 3, 4]).min(shape.rank());
        let mut each = |first: usize, bound: usize| -> Vec<usize> {
            (0..axes).map(|_| first + rng.below(bound)).collect()
        };
        let (sizes, stride) = (each(1, 3), each(1, 3));
        let low: Vec<i64> = each(0, 3).into_iter().map(|low| low as i64 - 1).collect();
        let high = each(0, 2);
        let windows = Windows::new(axes).stride(&stride).low(&low);
        let first = shape.rank() - axes;
        let count = |i: usize| windows.count(i, shape[first + i], sizes[i], high[i] as i64);
        let counts = (0..axes).map(count).collect::<Option<Vec<usize>>>()?;
        (axes > 0).then_some((sizes, windows, counts))
    }

    /// A convolution or a transposed one, of a value with the first elements of another.
    pub(in crate::fuzz) fn convolve(&mut self, rng: &mut Rng) -> Made {
        let (x, y) = (self.float(rng), self.float(rng));
        let Some((sizes, windows, counts)) = self.windows(x.value, rng) else { return Ok(vec![]) };
        let axes = sizes.len();
        let shape = self.b.shape(x.value).clone();
        let (leading, spatial) = shape.split_at(shape.rank() - axes);
        let channels = leading.last().copied().unwrap_or(1);
        let batch: usize = leading.iter().rev().skip(1).product();
        let [groups, own] = if rng.one_in(3) { [channels, 1] } else { [1, channels] };
        let others = 1 + rng.below(3);
        let is_transposed = rng.one_in(2);
        let dilation: Vec<usize> = (0..axes).map(|_| 1 + rng.below(2)).collect();
        let windows = windows.dilation(&dilation);
        let pair = if is_transposed { [own, others] } else { [others, own] };
        let wanted = [&[groups], &pair[..], &sizes].concat();
        let elements: usize = wanted.iter().product();
        let all = self.b.shape(y.value).elements();
        if elements > all {
            return Ok(vec![]);
        }
        let flat = self.b.reshape(y.value, [all])?;
        let first = self.b.slice(flat, &[0], &[elements], &[1])?;
        let w = self.b.reshape(first, wanted.as_slice())?;
        let x5 = self.b.reshape(x.value, [&[batch, groups, own], spatial].concat().as_slice())?;
        let value = match is_transposed {
            false => self.b.conv(x5, w, &windows, &counts)?,
            true => {
                let extents: Vec<usize> = spatial.iter().map(|extent| extent + rng.below(3)).collect();
                self.b.conv_transpose(x5, w, &windows, &extents)?
            }
        };
        let terms = own * sizes.iter().product::<usize>();
        Ok(vec![Known { value, bound: x.bound * y.bound * terms.max(1) as f64, exact: false }])
    }

    /// The elements of windows, or their maximum and what undoes it.
    pub(in crate::fuzz) fn slide(&mut self, rng: &mut Rng) -> Made {
        let is_maximum = rng.one_in(2);
        let x = if is_maximum { self.exact(rng) } else { self.float(rng) };
        let Some((sizes, windows, counts)) = self.windows(x.value, rng) else { return Ok(vec![]) };
        if !is_maximum {
            let fill = Scalar::from_f64(self.dtype, 0.25);
            let value = self.b.window(x.value, &sizes, &windows, &counts, fill)?;
            return Ok(vec![Known { value, ..x }]);
        }
        let [maxima, indices] = self.b.max_pool(x.value, &sizes, &windows, &counts)?;
        self.ints.push(indices);
        // A window may lie outside: its maximum is the least value there is.
        let low = self.number(-1.0);
        let value = self.b.max(maxima, low)?;
        let shape = self.b.shape(x.value).clone();
        let extents = &shape[shape.rank() - sizes.len()..];
        let up = self.b.max_unpool(value, indices, &sizes, &windows, extents)?;
        Ok(vec![Known { value, ..x }, Known { value: up, bound: 81.0 * x.bound, exact: false }])
    }
}
