//! Winograd's convolution, the gradient for its input and that for its filters, on every target that this machine has, against plain loops in f64:
//! images of odd sizes, padding, several images, blocks and panels, epilogues that read what is on the lines.

mod support;

use codegen::Target;
use ir::winograd::{PRODUCTS, TAPS, filter_shape, filter_weights};
use support::{numbers, run, run_shares};

/// A convolution of three by three.
#[derive(Clone, Copy, Debug)]
struct Conv {
    images: usize,
    /// Of the image that is read, before padding.
    image: [usize; 2],
    channels: usize,
    columns: usize,
    pad: usize,
    /// Whether filters are read backwards, as the gradient does.
    is_backwards: bool,
}

impl Conv {
    fn output(&self) -> [usize; 2] {
        self.image.map(|extent| extent + 2 * self.pad + 1 - TAPS)
    }

    fn sizes(&self) -> [usize; 6] {
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
    fn text(&self) -> String {
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
    fn transformed(&self, w: &[f32]) -> Vec<f32> {
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
    fn expected(&self, x: &[f32], w: &[f32], b: &[f32], z: &[f32]) -> Vec<(f64, f64)> {
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

const PLAIN: Conv = Conv { images: 1, image: [8, 8], channels: 16, columns: 16, pad: 1, is_backwards: false };

const CONVS: [Conv; 12] = [
    PLAIN,
    Conv { image: [7, 10], ..PLAIN },
    Conv { image: [19, 19], channels: 64, columns: 64, images: 2, ..PLAIN },
    Conv { image: [5, 33], columns: 32, pad: 0, ..PLAIN },
    Conv { image: [6, 5], columns: 48, pad: 2, ..PLAIN },
    Conv { image: [1, 3], columns: 96, ..PLAIN },
    Conv { image: [3, 1], columns: 128, images: 3, ..PLAIN },
    Conv { image: [9, 11], channels: 32, columns: 80, images: 3, is_backwards: true, ..PLAIN },
    Conv { image: [10, 6], pad: 0, is_backwards: true, ..PLAIN },
    Conv { image: [4, 9], pad: 2, channels: 48, is_backwards: true, ..PLAIN },
    // Filters that are larger than caches, and several blocks.
    Conv { image: [14, 14], channels: 128, columns: 256, images: 3, ..PLAIN },
    Conv { image: [40, 70], channels: 64, columns: 64, ..PLAIN },
];

#[test]
fn a_convolution_is_that_of_plain_loops() {
    for conv in CONVS {
        let text = conv.text();
        let mut buffers: Vec<Vec<f32>> =
            conv.sizes().iter().enumerate().map(|(seed, &size)| numbers(size, seed as u64 + 1)).collect();
        buffers[4] = conv.transformed(&buffers[1]);
        let expected = conv.expected(&buffers[0], &buffers[1], &buffers[2], &buffers[3]);
        // What a tile rounds by depends on the largest of its elements: transforms add them all.
        let size = expected.iter().map(|expected| expected.1).fold(0.0, f64::max);
        for target in Target::available() {
            let results = run(&text, &target, &buffers);
            for (index, (&result, &(sum, _))) in results[5].iter().zip(&expected).enumerate() {
                let difference = (f64::from(result) - sum.max(0.0)).abs();
                assert!(
                    difference <= size * 2e-6,
                    "{}: {conv:?}: element {index} is {result}, not {sum}",
                    target.name
                );
            }
        }
    }
}

/// The gradient of filters.
#[derive(Clone, Copy, Debug)]
struct Gradient {
    images: usize,
    /// Of the image, before padding.
    image: [usize; 2],
    channels: usize,
    columns: usize,
    pad: usize,
}

impl Gradient {
    fn places(&self) -> [usize; 2] {
        self.image.map(|extent| extent + 2 * self.pad + 1 - TAPS)
    }

    fn sizes(&self) -> [usize; 5] {
        let Gradient { images, image: [h, w], channels, columns, .. } = *self;
        let [p, q] = self.places();
        let filters = 9 * channels * columns;
        [images * h * w * channels, images * p * q * columns, filters, 1, filters]
    }

    /// The kernel: the gradient, times a rate, is taken from what filters have been.
    fn text(&self) -> String {
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
    fn expected(&self, x: &[f32], y: &[f32], w: &[f32], rate: f32) -> Vec<(f64, f64)> {
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

#[test]
fn a_gradient_of_filters_is_that_of_plain_loops() {
    let small = Gradient { images: 2, image: [8, 12], channels: 32, columns: 32, pad: 1 };
    let gradients = [
        small,
        Gradient { image: [11, 13], channels: 64, columns: 64, ..small },
        Gradient { image: [9, 10], channels: 48, columns: 96, pad: 0, ..small },
        Gradient { image: [14, 15], channels: 80, columns: 32, pad: 2, images: 1 },
        Gradient { image: [16, 16], channels: 128, columns: 192, images: 3, ..small },
        Gradient { image: [40, 66], channels: 32, columns: 112, images: 1, ..small },
    ];
    for gradient in gradients {
        let text = gradient.text();
        let buffers: Vec<Vec<f32>> =
            gradient.sizes().iter().enumerate().map(|(seed, &size)| numbers(size, seed as u64 + 1)).collect();
        let expected = gradient.expected(&buffers[0], &buffers[1], &buffers[2], buffers[3][0]);
        let size = expected.iter().map(|expected| expected.1).fold(0.0, f64::max);
        for target in Target::available() {
            let results = run(&text, &target, &buffers);
            for (index, (&result, &(sum, _))) in results[4].iter().zip(&expected).enumerate() {
                let difference = (f64::from(result) - sum).abs();
                assert!(
                    difference <= size * 2e-6,
                    "{}: {gradient:?}: element {index} is {result}, not {sum}",
                    target.name
                );
            }
            let at_once = run_shares(&text, &target, &buffers, |chunks| vec![(0, chunks)]);
            assert_eq!(at_once, results, "{}: {gradient:?}", target.name);
        }
    }
}

/// What ARCHITECTURE.md says of rounding: `--nocapture` prints it.
#[test]
fn rounding_errors_are_a_few_times_those_of_the_direct_sum() {
    for channels in [64, 512] {
        let conv = Conv { image: [16, 16], channels, columns: 16, ..PLAIN };
        let even = |(seed, &size): (usize, &usize)| -> Vec<f32> {
            // The leading digits alone: all numbers are of about the same size.
            let digits = |x: f32| if x == 0.0 { x } else { x / x.abs().log2().ceil().exp2() };
            numbers(size, seed as u64 + 1).into_iter().map(digits).collect()
        };
        let mut buffers: Vec<Vec<f32>> = conv.sizes().iter().enumerate().map(even).collect();
        buffers[4] = conv.transformed(&buffers[1]);
        let expected = conv.expected(&buffers[0], &buffers[1], &buffers[2], &buffers[3]);
        for target in Target::available().iter().filter(|target| target.has_wide_vectors()) {
            let error = |text: &str| {
                let results = run(text, target, &buffers);
                let of = |(&x, &(sum, _)): (&f32, &(f64, f64))| (f64::from(x) - sum.max(0.0)).powi(2);
                results[5].iter().zip(&expected).map(of).sum::<f64>().sqrt()
            };
            let text = conv.text();
            let ratio = error(&text) / error(&text.replace("winograd %u of %w", ""));
            println!(
                "{}, {channels} channels: errors are {ratio:.1} times those of the direct sum",
                target.name
            );
            assert!(ratio < 3.0, "{}: {ratio}", target.name);
        }
    }
}

#[test]
fn results_do_not_depend_on_how_chunks_are_shared() {
    for conv in [Conv { image: [19, 19], images: 3, ..PLAIN }, Conv { image: [70, 9], columns: 64, ..PLAIN }]
    {
        let text = conv.text();
        let mut buffers: Vec<Vec<f32>> =
            conv.sizes().iter().enumerate().map(|(seed, &size)| numbers(size, seed as u64 + 1)).collect();
        buffers[4] = conv.transformed(&buffers[1]);
        for target in Target::available() {
            let one_by_one = run(&text, &target, &buffers);
            let in_shares = |parts: u64| {
                run_shares(&text, &target, &buffers, |chunks| {
                    (0..parts).map(|part| (chunks * part / parts, chunks * (part + 1) / parts)).collect()
                })
            };
            for parts in 1..4 {
                assert_eq!(in_shares(parts), one_by_one, "{}: {conv:?}", target.name);
            }
        }
    }
}

#[test]
fn transformed_filters_are_what_is_multiplied() {
    // So that the tests above are not those of the direct sum.
    let text = PLAIN.text();
    let mut buffers: Vec<Vec<f32>> = PLAIN.sizes().iter().map(|&size| vec![0.0; size]).collect();
    buffers[0].fill(1.0);
    buffers[4].fill(1.0);
    for target in Target::available() {
        let is_nothing = run(&text, &target, &buffers)[5].iter().all(|&x| x == 0.0);
        assert_eq!(is_nothing, target.name == "x86-64-v2", "{}", target.name);
    }
}
