//! Numbers that are none, and those near the largest: they concern the results that depend on them alone.

use codegen::Target;

use crate::convolution::{Conv, PLAIN};
use crate::gradient::Gradient;
use crate::support::{numbers, run};

/// Numbers that direct sums of a convolution can be, and what they would be with others around.
const EXTREMES: [f32; 5] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3e38, -3e38];

/// The results of a kernel by Winograd's algorithm and as sums of products.
fn both_ways(text: &str, target: &Target, buffers: &[Vec<f32>], result: usize) -> [Vec<f32>; 2] {
    let direct = text.replace("winograd %u of %w", "").replace("winograd gradient", "");
    [text, &direct].map(|text| run(text, target, buffers).swap_remove(result))
}

/// Whether both are NaN, the same infinity, or numbers that differ by at most so much.
fn agree(x: f32, y: f32, most: f32) -> bool {
    (x.is_nan() && y.is_nan()) || x == y || (x - y).abs() <= most
}

#[test]
fn an_extreme_number_in_an_image_concerns_the_results_that_depend_on_it_alone() {
    let convs = [
        Conv { image: [19, 18], channels: 32, columns: 80, images: 2, ..PLAIN },
        Conv { image: [9, 11], channels: 32, columns: 48, pad: 0, ..PLAIN },
        Conv { image: [13, 10], columns: 64, is_backwards: true, ..PLAIN },
        // One block has all tiles, and its filters are far: chunks are panels.
        Conv { image: [8, 8], channels: 128, columns: 128, ..PLAIN },
    ];
    for conv in convs {
        let text = conv.text();
        let sizes = conv.sizes();
        let small = |(seed, &size): (usize, &usize)| -> Vec<f32> {
            numbers(size, seed as u64 + 1).into_iter().map(|x| x / 512.0).collect()
        };
        let plain: Vec<Vec<f32>> = sizes.iter().enumerate().map(small).collect();
        for (number, extreme) in EXTREMES.into_iter().enumerate() {
            let mut buffers = plain.clone();
            // In the middle of the image, in its first and in its last place.
            let at = [sizes[0] / 2 + 3, 0, sizes[0] - 1][number % 3];
            buffers[0][at] = extreme;
            buffers[4] = conv.transformed(&buffers[1]);
            for target in Target::available() {
                let [found, direct] = both_ways(&text, &target, &buffers, 5);
                for (index, (&x, &y)) in found.iter().zip(&direct).enumerate() {
                    let most = 1e-4 * y.abs().max(1.0);
                    assert!(agree(x, y, most), "{}: {conv:?}: {extreme}: {index}: {x} {y}", target.name);
                }
                let spoilt = direct.iter().filter(|x| !x.is_finite()).count();
                assert!(extreme.is_finite() || (1..=9 * conv.columns).contains(&spoilt), "{spoilt}");
            }
        }
    }
}

#[test]
fn filters_that_are_not_finite_when_transformed_give_what_the_direct_sum_gives() {
    let conv = Conv { image: [10, 9], columns: 32, ..PLAIN };
    let mut plain: Vec<Vec<f32>> =
        conv.sizes().iter().enumerate().map(|(seed, &size)| numbers(size, seed as u64 + 1)).collect();
    plain[0].iter_mut().for_each(|x| *x *= 1e-3);
    for extreme in EXTREMES {
        let mut buffers = plain.clone();
        buffers[1][32 * 16 * 4 + 7] = extreme;
        buffers[4] = conv.transformed(&buffers[1]);
        for target in Target::available() {
            let [found, direct] = both_ways(&conv.text(), &target, &buffers, 5);
            for (index, (&x, &y)) in found.iter().zip(&direct).enumerate() {
                let most = 1e-4 * y.abs().max(1.0);
                assert!(agree(x, y, most), "{}: {extreme}: {index}: {x} {y}", target.name);
            }
        }
    }
}

#[test]
fn an_extreme_number_concerns_the_gradients_that_depend_on_it_alone() {
    let small = Gradient { images: 2, image: [8, 12], channels: 32, columns: 32, pad: 1 };
    let wide = Gradient { image: [11, 13], channels: 48, columns: 96, pad: 0, images: 1 };
    for gradient in [small, wide, Gradient { channels: 80, columns: 64, ..small }] {
        let text = gradient.text();
        let sizes = gradient.sizes();
        let plain: Vec<Vec<f32>> =
            sizes.iter().enumerate().map(|(seed, &size)| numbers(size, seed as u64 + 1)).collect();
        for (number, extreme) in EXTREMES.into_iter().enumerate() {
            // The last corner of an image meets four taps; a place in the middle of a gradient, all of them.
            for (operand, at) in [(0, sizes[0] - 1), (0, 1), (1, sizes[1] / 2 + number)] {
                let mut buffers = plain.clone();
                buffers[operand][at] = extreme;
                if extreme.is_finite() {
                    buffers[1 - operand].iter_mut().for_each(|x| *x *= 1e-4);
                }
                for target in Target::available() {
                    let [found, direct] = both_ways(&text, &target, &buffers, 4);
                    // Rounding is relative to the largest of nine taps.
                    let largest =
                        direct.iter().filter(|x| x.is_finite()).fold(0.0, |most, x| x.abs().max(most));
                    for (index, (&x, &y)) in found.iter().zip(&direct).enumerate() {
                        let most = 1e-5 * largest;
                        assert!(
                            agree(x, y, most),
                            "{}: {gradient:?}: {extreme}: {index}: {x} {y}",
                            target.name
                        );
                    }
                }
            }
        }
    }
}
