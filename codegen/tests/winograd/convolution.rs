//! The convolution, and its gradient for the input.

use ir::winograd::{PRODUCTS, TAPS, filter_shape, filter_weights};

/// A convolution of three by three.
#[derive(Clone, Copy, Debug)]
pub struct Conv {
    pub images: usize,
    /// Of the image that is read, before padding.
    pub image: [usize; 2],
    pub channels: usize,
    pub columns: usize,
    pub pad: usize,
    /// Whether filters are read backwards, as the gradient does.
    pub is_backwards: bool,
}

impl Conv {
    pub fn output(&self) -> [usize; 2] {
        self.image.map(|extent| extent + 2 * self.pad + 1 - TAPS)
    }

    pub fn sizes(&self) -> [usize; 6] {
        let Conv { images, image: [h, w], channels, columns, .. } = *self;
        let [p, q] = self.output();
        let result = images * p * q * columns;
        [
            images * h * w * channels,
            9 * channels * columns,
            columns,
            result,
            4 * 9 * channels * columns,
            result,
        ]
    }

    /// The kernel: a convolution, then a bias, another image and a rectifier.
    pub fn text(&self) -> String {
        let Conv { images, image: [h, w], channels, columns, pad, is_backwards } = *self;
        let [p, q] = self.output();
        let shape = filter_shape(channels, columns).expect("columns are multiples of 16");
        let index = |at: &str, tap: &str| match is_backwards {
            false if pad == 0 => format!("{at} + {tap}"),
            false => format!("{at} + {tap} - {pad}"),
            true => format!("{at} - {tap} + {}", 2 - pad),
        };
        let fill = if pad > 0 { " fill 0.0" } else { "" };
        let (x, y) = (index("i", "k"), index("j", "l"));
        let result = format!("f32[{images}, {p}, {q}, {columns}]");
        format!(
            "kernel @k(%x: f32[{images}, {h}, {w}, {channels}], %w: f32[3, 3, {channels}, {columns}], %b: f32[{columns}], %z: {result}, %u: f32[{shape}]) -> (%r: {result}) {{
               winograd %u of %w
               for n in {images}, i in {p}, j in {q}, o in {columns} {{
                 %0 = reduce add k in 3, l in 3, c in {channels} {{
                   %1 = load %x[n, {x}, {y}, c]{fill}
                   %2 = load %w[k, l, c, o]
                   %3 = mul %1, %2
                   yield %3
                 }}
                 %4 = load %b[o]
                 %5 = add %0, %4
                 %6 = load %z[n, i, j, o]
                 %7 = add %5, %6
                 %8 = relu %7
                 store %8, %r[n, i, j, o]
               }}
             }}",
            shape = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
        )
    }

    /// The transformed filters.
    pub fn transformed(&self, w: &[f32]) -> Vec<f32> {
        let shape = filter_shape(self.channels, self.columns).expect("columns are multiples of 16");
        let [panels, panel] = [shape[1], shape[3]];
        let weights = filter_weights(self.is_backwards);
        let mut u = vec![0.0; PRODUCTS * self.channels * self.columns];
        for point in 0..PRODUCTS {
            for c in 0..self.channels {
                for o in 0..self.columns {
                    let taps = 0..TAPS * TAPS;
                    let sum: f64 = taps
                        .map(|tap| {
                            let w = w[(tap * self.channels + c) * self.columns + o];
                            f64::from(weights[point * TAPS * TAPS + tap]) * f64::from(w)
                        })
                        .sum();
                    let at = ((point * panels + o / panel) * self.channels + c) * panel + o % panel;
                    u[at] = sum as f32;
                }
            }
        }
        u
    }

    /// For each element of the result, the sum of all, and of their sizes.
    pub fn expected(&self, x: &[f32], w: &[f32], b: &[f32], z: &[f32]) -> Vec<(f64, f64)> {
        let Conv { images, image: [height, width], channels, columns, pad, is_backwards } = *self;
        let [p, q] = self.output();
        let mut all = Vec::new();
        for (n, i, j) in (0..images).flat_map(|n| (0..p).flat_map(move |i| (0..q).map(move |j| (n, i, j)))) {
            for o in 0..columns {
                let at = ((n * p + i) * q + j) * columns + o;
                let start = f64::from(b[o]) + f64::from(z[at]);
                let mut sum = (start, start.abs());
                for (k, l) in (0..TAPS).flat_map(|k| (0..TAPS).map(move |l| (k, l))) {
                    let place = |at: usize, tap: usize, extent: usize| {
                        let tap = if is_backwards { TAPS - 1 - tap } else { tap };
                        (at + tap).checked_sub(pad).filter(|&place| place < extent)
                    };
                    let (Some(y), Some(x_at)) = (place(i, k, height), place(j, l, width)) else { continue };
                    for c in 0..channels {
                        let x = x[((n * height + y) * width + x_at) * channels + c];
                        let w = w[((k * TAPS + l) * channels + c) * columns + o];
                        let product = f64::from(x) * f64::from(w);
                        sum.0 += product;
                        sum.1 += product.abs();
                    }
                }
                all.push(sum);
            }
        }
        all
    }
}

/// A small one.
pub const PLAIN: Conv =
    Conv { images: 1, image: [8, 8], channels: 16, columns: 16, pad: 1, is_backwards: false };
