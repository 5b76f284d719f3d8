//! Winograd's convolution, the gradient for its input and that for its filters, on every target that this machine has, against
//! plain loops in f64: images of odd sizes, padding, several images, blocks and panels, epilogues that read what is on the lines.

mod convolution;
mod extremes;
mod filters;
mod gradient;
mod rounding;
#[path = "../support/mod.rs"]
mod support;

use codegen::Target;

use convolution::{Conv, PLAIN};
use gradient::Gradient;
use support::{numbers, run, run_shares};

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
