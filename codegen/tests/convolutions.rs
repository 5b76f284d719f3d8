//! Convolutions and their gradients, as the layouts that the compiler chooses make them, on every target that this machine
//! has, against plain loops in f64: strides, dilations, padding (also where windows lie outside of the image), odd sizes,
//! filters with depths that are done in blocks.

mod support;

use codegen::Target;
use support::{numbers, run};

/// A convolution along two axes.
#[derive(Clone, Copy, Debug)]
struct Conv {
    batch: usize,
    channels: usize,
    filters: usize,
    /// Of the image, before padding.
    image: [usize; 2],
    kernel: [usize; 2],
    stride: usize,
    dilation: usize,
    padding: usize,
}

impl Conv {
    fn output(&self) -> [usize; 2] {
        [0, 1].map(|axis| {
            let reach = self.dilation * (self.kernel[axis] - 1) + 1;
            (self.image[axis] + 2 * self.padding - reach) / self.stride + 1
        })
    }

    /// The place in the image of a place of the result and a tap, where it is inside.
    fn source(&self, axis: usize, at: usize, tap: usize) -> Option<usize> {
        let place = (at * self.stride + tap * self.dilation).checked_sub(self.padding)?;
        (place < self.image[axis]).then_some(place)
    }

    /// The index into the image along an axis, as text.
    fn index(&self, at: &str, tap: &str) -> String {
        let Conv { stride, dilation, padding, .. } = self;
        let scaled = |name: &str, factor: usize| match factor {
            1 => name.to_owned(),
            _ => format!("{factor}*{name}"),
        };
        let constant = if *padding > 0 { format!(" - {padding}") } else { String::new() };
        format!("{} + {}{constant}", scaled(at, *stride), scaled(tap, *dilation))
    }

    /// Calls `visit` for each product of the sum: batch, channel, filter, place of the result, tap, place in the image.
    fn products(&self, mut visit: impl FnMut(usize, usize, usize, [usize; 2], [usize; 2], [usize; 2])) {
        let [height, width] = self.output();
        for n in 0..self.batch {
            for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
                for (k, l) in (0..self.kernel[0]).flat_map(|k| (0..self.kernel[1]).map(move |l| (k, l))) {
                    let (Some(h), Some(w)) = (self.source(0, y, k), self.source(1, x, l)) else { continue };
                    for c in 0..self.channels {
                        for o in 0..self.filters {
                            visit(n, c, o, [y, x], [k, l], [h, w]);
                        }
                    }
                }
            }
        }
    }
}

/// Row-major offset.
fn at(shape: &[usize], index: &[usize]) -> usize {
    shape.iter().zip(index).fold(0, |offset, (extent, index)| offset * extent + index)
}

/// Runs a kernel of operands `x`, `w` and result `r`, and compares with `sum` of products at `place(..)`.
fn check(conv: &Conv, text: &str, sizes: [usize; 3], place: impl Fn([usize; 9]) -> [usize; 3]) {
    let [x, w] = [(sizes[0], 1), (sizes[1], 2)].map(|(size, seed)| numbers(size, seed));
    let mut expected = vec![(0.0f64, 0.0f64); sizes[2]];
    conv.products(|n, c, o, [y, z], [k, l], [h, v]| {
        let [left, right, result] = place([n, c, o, y, z, k, l, h, v]);
        let product = f64::from(x[left]) * f64::from(w[right]);
        expected[result].0 += product;
        expected[result].1 += product.abs();
    });
    for target in Target::available() {
        let buffers = run(text, &target, &[x.clone(), w.clone(), vec![7.0; sizes[2]]]);
        for (index, (&result, &(sum, size))) in buffers[2].iter().zip(&expected).enumerate() {
            // Each of the additions rounds by 2^-24 of what it has so far, at most the sum of sizes.
            let bound = size * 1e-5;
            let difference = (f64::from(result) - sum).abs();
            assert!(
                difference <= bound,
                "{}: {conv:?}: element {index} is {result}, not {sum}\n{text}",
                target.name
            );
        }
    }
}

/// Channels last: `y[n, h, w, o] = sum of x[n, .., .., c] w[k, l, c, o]`.
fn forward_channels_last(conv: &Conv) {
    let Conv { batch, channels, filters, image: [h, w], kernel: [k, l], .. } = *conv;
    let [p, q] = conv.output();
    let text = format!(
        "kernel @k(%x: f32[{batch}, {h}, {w}, {channels}], %w: f32[{k}, {l}, {channels}, {filters}]) -> (%r: f32[{batch}, {p}, {q}, {filters}]) {{
           for n in {batch}, i in {p}, j in {q}, o in {filters} {{
             %0 = reduce add k in {k}, l in {l}, c in {channels} {{
               %1 = load %x[n, {}, {}, c] fill 0.0
               %2 = load %w[k, l, c, o]
               %3 = mul %1, %2
               yield %3
             }}
             store %0, %r[n, i, j, o]
           }}
         }}",
        conv.index("i", "k"),
        conv.index("j", "l")
    );
    let sizes = [batch * h * w * channels, k * l * channels * filters, batch * p * q * filters];
    check(conv, &text, sizes, |[n, c, o, y, z, kk, ll, hh, ww]| {
        [
            at(&[batch, h, w, channels], &[n, hh, ww, c]),
            at(&[k, l, channels, filters], &[kk, ll, c, o]),
            at(&[batch, p, q, filters], &[n, y, z, o]),
        ]
    });
}

/// Batch last: `y[o, h, w, n] = sum of w[o, c, k, l] x[c, .., .., n]`.
fn forward_batch_last(conv: &Conv) {
    let Conv { batch, channels, filters, image: [h, w], kernel: [k, l], .. } = *conv;
    let [p, q] = conv.output();
    let text = format!(
        "kernel @k(%x: f32[{channels}, {h}, {w}, {batch}], %w: f32[{filters}, {channels}, {k}, {l}]) -> (%r: f32[{filters}, {p}, {q}, {batch}]) {{
           for o in {filters}, i in {p}, j in {q}, n in {batch} {{
             %0 = reduce add c in {channels}, k in {k}, l in {l} {{
               %1 = load %x[c, {}, {}, n] fill 0.0
               %2 = load %w[o, c, k, l]
               %3 = mul %1, %2
               yield %3
             }}
             store %0, %r[o, i, j, n]
           }}
         }}",
        conv.index("i", "k"),
        conv.index("j", "l")
    );
    let sizes = [batch * h * w * channels, k * l * channels * filters, batch * p * q * filters];
    check(conv, &text, sizes, |[n, c, o, y, z, kk, ll, hh, ww]| {
        [
            at(&[channels, h, w, batch], &[c, hh, ww, n]),
            at(&[filters, channels, k, l], &[o, c, kk, ll]),
            at(&[filters, p, q, batch], &[o, y, z, n]),
        ]
    });
}

/// The gradient of the weights, channels last: `r[k, l, c, o] = sum of x[n, .., .., c] y[n, h, w, o]`.
fn weight_gradient(conv: &Conv) {
    let Conv { batch, channels, filters, image: [h, w], kernel: [k, l], .. } = *conv;
    let [p, q] = conv.output();
    let text = format!(
        "kernel @k(%x: f32[{batch}, {h}, {w}, {channels}], %y: f32[{batch}, {p}, {q}, {filters}]) -> (%r: f32[{k}, {l}, {channels}, {filters}]) {{
           for k in {k}, l in {l}, c in {channels}, o in {filters} {{
             %0 = reduce add n in {batch}, i in {p}, j in {q} {{
               %1 = load %x[n, {}, {}, c] fill 0.0
               %2 = load %y[n, i, j, o]
               %3 = mul %1, %2
               yield %3
             }}
             store %0, %r[k, l, c, o]
           }}
         }}",
        conv.index("i", "k"),
        conv.index("j", "l")
    );
    let sizes = [batch * h * w * channels, batch * p * q * filters, k * l * channels * filters];
    check(conv, &text, sizes, |[n, c, o, y, z, kk, ll, hh, ww]| {
        [
            at(&[batch, h, w, channels], &[n, hh, ww, c]),
            at(&[batch, p, q, filters], &[n, y, z, o]),
            at(&[k, l, channels, filters], &[kk, ll, c, o]),
        ]
    });
}

/// The gradient of the image without dilation, channels last, by phases of the stride: place `stride q + phase - padding`
/// of the image takes tap `stride j + phase` of place `q - j` of the result.
fn image_gradient(conv: &Conv) {
    let Conv { batch, channels, filters, image: [h, w], kernel: [k, l], stride, padding, .. } = *conv;
    let [p, q] = conv.output();
    let phases = [h, w].map(|extent| (extent + padding).div_ceil(stride));
    let taps = [k, l].map(|extent| extent.div_ceil(stride));
    let tap = |tap: &str, phase: &str| match stride {
        1 => tap.to_owned(),
        _ => format!("{stride}*{tap} + {phase}"),
    };
    let text = format!(
        "kernel @k(%y: f32[{batch}, {p}, {q}, {filters}], %w: f32[{k}, {l}, {channels}, {filters}]) -> (%r: f32[{batch}, {}, {stride}, {}, {stride}, {channels}]) {{
           for n in {batch}, i in {}, a in {stride}, j in {}, b in {stride}, c in {channels} {{
             %0 = reduce add k in {}, l in {}, o in {filters} {{
               %1 = load %y[n, i - k, j - l, o] fill 0.0
               %2 = load %w[{}, {}, c, o] fill 0.0
               %3 = mul %1, %2
               yield %3
             }}
             store %0, %r[n, i, a, j, b, c]
           }}
         }}",
        phases[0],
        phases[1],
        phases[0],
        phases[1],
        taps[0],
        taps[1],
        tap("k", "a"),
        tap("l", "b"),
    );
    let padded = phases.map(|count| count * stride);
    let sizes =
        [batch * p * q * filters, k * l * channels * filters, batch * padded[0] * padded[1] * channels];
    // What is in the padding has a gradient, too: no bound of the image is left out.
    let unbounded = Conv { image: padded, padding: 0, ..*conv };
    let visible = Conv { ..unbounded };
    let mut sums = vec![(0.0f64, 0.0f64); sizes[2]];
    let [y, weights] = [(sizes[0], 1), (sizes[1], 2)].map(|(size, seed)| numbers(size, seed));
    for n in 0..batch {
        for (i, j) in (0..p).flat_map(|i| (0..q).map(move |j| (i, j))) {
            for (kk, ll) in (0..k).flat_map(|kk| (0..l).map(move |ll| (kk, ll))) {
                let (Some(hh), Some(ww)) = (visible.source(0, i, kk), visible.source(1, j, ll)) else {
                    continue;
                };
                for c in 0..channels {
                    for o in 0..filters {
                        let product = f64::from(y[at(&[batch, p, q, filters], &[n, i, j, o])])
                            * f64::from(weights[at(&[k, l, channels, filters], &[kk, ll, c, o])]);
                        let sum = &mut sums[at(&[batch, padded[0], padded[1], channels], &[n, hh, ww, c])];
                        sum.0 += product;
                        sum.1 += product.abs();
                    }
                }
            }
        }
    }
    // The kernel has the phase behind the place along each axis, which is the order of the padded image.
    for target in Target::available() {
        let buffers = run(&text, &target, &[y.clone(), weights.clone(), vec![7.0; sizes[2]]]);
        for (index, (&result, &(sum, size))) in buffers[2].iter().zip(&sums).enumerate() {
            let difference = (f64::from(result) - sum).abs();
            assert!(
                difference <= size * 1e-5,
                "{}: {conv:?}: element {index} is {result}, not {sum}\n{text}",
                target.name
            );
        }
    }
}

const PLAIN: Conv = Conv {
    batch: 2,
    channels: 5,
    filters: 33,
    image: [9, 17],
    kernel: [3, 3],
    stride: 1,
    dilation: 1,
    padding: 1,
};

/// Sizes around those of tiles and vectors.
fn cases() -> Vec<Conv> {
    vec![
        PLAIN,
        Conv { padding: 0, ..PLAIN },
        Conv { stride: 2, ..PLAIN },
        Conv { stride: 2, image: [7, 31], kernel: [5, 5], padding: 2, ..PLAIN },
        Conv { stride: 3, kernel: [1, 1], padding: 0, ..PLAIN },
        Conv { stride: 2, kernel: [1, 1], padding: 0, filters: 64, ..PLAIN },
        Conv { stride: 4, kernel: [11, 11], padding: 2, channels: 3, image: [23, 39], filters: 16, ..PLAIN },
        Conv { dilation: 2, padding: 2, ..PLAIN },
        Conv { dilation: 3, padding: 1, image: [11, 40], ..PLAIN },
        Conv { padding: 4, image: [3, 2], kernel: [5, 4], ..PLAIN },
        Conv { image: [1, 1], ..PLAIN },
        Conv { image: [4, 1], batch: 1, ..PLAIN },
        Conv { image: [1, 45], batch: 1, ..PLAIN },
        Conv { channels: 1, filters: 6, kernel: [5, 5], padding: 2, batch: 37, image: [8, 8], ..PLAIN },
        Conv { batch: 1, channels: 19, filters: 96, image: [19, 19], ..PLAIN },
        Conv { batch: 3, channels: 31, filters: 40, image: [14, 14], ..PLAIN },
        Conv { batch: 5, channels: 2, filters: 4, image: [30, 13], kernel: [2, 3], ..PLAIN },
    ]
}

#[test]
fn convolutions_with_channels_last_agree_with_plain_loops() {
    cases().iter().for_each(forward_channels_last);
}

#[test]
fn convolutions_with_the_batch_last_agree_with_plain_loops() {
    cases().iter().for_each(forward_batch_last);
}

#[test]
fn gradients_of_weights_agree_with_plain_loops() {
    cases().iter().for_each(weight_gradient);
}

#[test]
fn gradients_of_images_agree_with_plain_loops() {
    cases().iter().filter(|conv| conv.dilation == 1).for_each(image_gradient);
}

#[test]
fn long_sums_are_done_in_blocks() {
    // Both operands are larger than the second level of cache of any CPU.
    weight_gradient(&Conv { batch: 3, channels: 17, filters: 35, image: [70, 64], kernel: [2, 3], ..PLAIN });
    forward_channels_last(&Conv {
        batch: 1,
        channels: 2100,
        filters: 33,
        image: [3, 5],
        kernel: [3, 3],
        ..PLAIN
    });
}
