//! The gradient for the filters.

use ir::winograd::TAPS;

/// The gradient of filters.
#[derive(Clone, Copy, Debug)]
pub struct Gradient {
    pub images: usize,
    /// Of the image, before padding.
    pub image: [usize; 2],
    pub channels: usize,
    pub columns: usize,
    pub pad: usize,
}

impl Gradient {
    pub fn places(&self) -> [usize; 2] {
        self.image.map(|extent| extent + 2 * self.pad + 1 - TAPS)
    }

    pub fn sizes(&self) -> [usize; 5] {
        let Gradient { images, image: [h, w], channels, columns, .. } = *self;
        let [p, q] = self.places();
        let filters = 9 * channels * columns;
        [images * h * w * channels, images * p * q * columns, filters, 1, filters]
    }

    /// The kernel: the gradient, times a rate, is taken from what filters have been.
    pub fn text(&self) -> String {
        let Gradient { images, image: [h, w], channels, columns, pad } = *self;
        let [p, q] = self.places();
        let (back, fill) = if pad > 0 { (format!(" - {pad}"), " fill 0.0") } else { (String::new(), "") };
        let filters = format!("f32[3, 3, {channels}, {columns}]");
        format!(
            "kernel @k(%x: f32[{images}, {h}, {w}, {channels}], %y: f32[{images}, {p}, {q}, {columns}], %w: {filters}, %rate: f32[]) -> (%r: {filters}) {{
               winograd gradient
               for k in 3, l in 3, c in {channels}, o in {columns} {{
                 %0 = reduce add n in {images}, i in {p}, j in {q} {{
                   %1 = load %x[n, k + i{back}, l + j{back}, c]{fill}
                   %2 = load %y[n, i, j, o]
                   %3 = mul %1, %2
                   yield %3
                 }}
                 %4 = load %rate[]
                 %5 = mul %0, %4
                 %6 = load %w[k, l, c, o]
                 %7 = sub %6, %5
                 store %7, %r[k, l, c, o]
               }}
             }}"
        )
    }

    /// For each element of the result, the sum of all, and of their sizes.
    pub fn expected(&self, x: &[f32], y: &[f32], w: &[f32], rate: f32) -> Vec<(f64, f64)> {
        let Gradient { images, image: [height, width], channels, columns, pad } = *self;
        let [p, q] = self.places();
        let mut sums: Vec<(f64, f64)> = vec![(0.0, 0.0); 9 * channels * columns];
        for (n, i, j) in (0..images).flat_map(|n| (0..p).flat_map(move |i| (0..q).map(move |j| (n, i, j)))) {
            for (k, l) in (0..TAPS).flat_map(|k| (0..TAPS).map(move |l| (k, l))) {
                let place = |at: usize, tap: usize, extent: usize| {
                    (at + tap).checked_sub(pad).filter(|&at| at < extent)
                };
                let (Some(line), Some(at)) = (place(i, k, height), place(j, l, width)) else { continue };
                for c in 0..channels {
                    let x = f64::from(x[((n * height + line) * width + at) * channels + c]);
                    let from = ((n * p + i) * q + j) * columns;
                    let to = ((k * TAPS + l) * channels + c) * columns;
                    for o in 0..columns {
                        let product = x * f64::from(y[from + o]);
                        sums[to + o].0 += product;
                        sums[to + o].1 += product.abs();
                    }
                }
            }
        }
        let rate = f64::from(rate);
        let step = |(&w, (sum, size)): (&f32, (f64, f64))| (f64::from(w) - rate * sum, size * rate.abs());
        w.iter().zip(sums).map(step).collect()
    }
}
