//! Steps with windows: convolutions, windows, pooling.

use ir::ops::Windows;
use ir::{Error, Scalar, Value};

use super::{Known, Maker};

/// Small numbers from the bits of a choice, one after the other.
struct Digits(u32);

impl Digits {
    fn below(&mut self, bound: usize) -> usize {
        let digit = self.0 as usize % bound;
        self.0 /= bound as u32;
        digit
    }
}

impl Maker {
    /// Windows along the last axis or two of a value: their number of axes, sizes, places and counts.
    fn windows(&self, x: Value, digits: &mut Digits) -> Option<(Vec<usize>, Windows, Vec<usize>)> {
        let shape = self.b.shape(x);
        let axes = (1 + digits.below(2)).min(shape.rank());
        let mut each = |first: usize, bound: usize| -> Vec<usize> {
            (0..axes).map(|_| first + digits.below(bound)).collect()
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
    pub(super) fn convolve(&mut self, x: Known, y: Known, r: u16, s: u16) -> Result<Vec<Known>, Error> {
        let mut digits = Digits(u32::from(r) << 16 | u32::from(s));
        let Some((sizes, windows, counts)) = self.windows(x.value, &mut digits) else { return Ok(vec![]) };
        let axes = sizes.len();
        let shape = self.b.shape(x.value).clone();
        let (leading, spatial) = shape.split_at(shape.rank() - axes);
        let channels = leading.last().copied().unwrap_or(1);
        let batch: usize = leading.iter().rev().skip(1).product();
        let is_grouped = digits.below(3) == 0;
        let [groups, own] = if is_grouped { [channels, 1] } else { [1, channels] };
        let others = 1 + digits.below(3);
        let is_transposed = digits.below(2) == 1;
        let dilation: Vec<usize> = (0..axes).map(|_| 1 + digits.below(2)).collect();
        let windows = windows.dilation(&dilation);
        let pair = if is_transposed { [own, others] } else { [others, own] };
        let wanted = [&[groups], &pair[..], &sizes].concat();
        let elements: usize = wanted.iter().product();
        if elements > self.b.shape(y.value).elements() {
            return Ok(vec![]);
        }
        let all = self.b.shape(y.value).elements();
        let flat = self.b.reshape(y.value, [all])?;
        let first = self.b.slice(flat, &[0], &[elements], &[1])?;
        let w = self.b.reshape(first, wanted.as_slice())?;
        let x5 = self.b.reshape(x.value, [&[batch, groups, own], spatial].concat().as_slice())?;
        let value = match is_transposed {
            false => self.b.conv(x5, w, &windows, &counts)?,
            true => {
                let extents: Vec<usize> = spatial.iter().map(|extent| extent + digits.below(3)).collect();
                self.b.conv_transpose(x5, w, &windows, &extents)?
            }
        };
        let terms = own * sizes.iter().product::<usize>();
        Ok(vec![Known { value, bound: x.bound * y.bound * terms.max(1) as f64, exact: false }])
    }

    /// The elements of windows, or their maximum where that is the same on every backend.
    pub(super) fn slide(&mut self, x: Known, q: u16, r: u16) -> Result<Vec<Known>, Error> {
        let mut digits = Digits(u32::from(r) << 16 | u32::from(q));
        let is_maximum = digits.below(2) == 0;
        let x = if is_maximum { self.exact(q) } else { x };
        let Some((sizes, windows, counts)) = self.windows(x.value, &mut digits) else { return Ok(vec![]) };
        if !is_maximum {
            let fill = Scalar::from_f64(self.dtype, 0.25);
            let value = self.b.window(x.value, &sizes, &windows, &counts, fill)?;
            return Ok(vec![Known { value, ..x }]);
        }
        let [maxima, indices] = self.b.max_pool(x.value, &sizes, &windows, &counts)?;
        // A window may lie outside: its maximum is the least value there is.
        let low = self.b.float(self.dtype, -1.0);
        let value = self.b.max(maxima, low)?;
        let shape = self.b.shape(x.value).clone();
        let extents = &shape[shape.rank() - sizes.len()..];
        let up = self.b.max_unpool(value, indices, &sizes, &windows, extents)?;
        Ok(vec![Known { value, ..x }, Known { value: up, bound: 9.0 * x.bound, exact: false }])
    }
}
