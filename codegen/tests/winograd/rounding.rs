//! How much is lost by rounding.

use codegen::Target;

use crate::convolution::{Conv, PLAIN};
use crate::support::{numbers, run};

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

/// What README.md says of images with a wide range of numbers: `--nocapture` prints it.
#[test]
fn rounding_errors_are_relative_to_the_largest_number_around() {
    let conv = Conv { image: [16, 16], channels: 64, columns: 16, ..PLAIN };
    let [line, place] = [9, 6];
    let text = conv.text().replace("%8 = relu %7", "").replace("store %8", "store %7");
    let even = |(seed, &size): (usize, &usize)| -> Vec<f32> {
        numbers(size, seed as u64 + 1).into_iter().map(|x| x / 256.0).map(f32::sin).collect()
    };
    let mut plain: Vec<Vec<f32>> = conv.sizes().iter().enumerate().map(even).collect();
    plain[2].fill(0.0);
    plain[3].fill(0.0);
    plain[4] = conv.transformed(&plain[1]);
    let is_outside = |index: usize| {
        let (i, j) = (index / 16 / 16, index / 16 % 16);
        i.abs_diff(line) > 1 || j.abs_diff(place) > 1
    };
    for range in [1.0f32, 1e2, 1e4, 1e6] {
        let mut buffers = plain.clone();
        let pixel = (line * 16 + place) * 64..(line * 16 + place + 1) * 64;
        buffers[0][pixel.clone()].iter_mut().for_each(|x| *x *= range);
        let mut alone = buffers.clone();
        alone[0].fill(0.0);
        alone[0][pixel.clone()].copy_from_slice(&buffers[0][pixel.clone()]);
        let largest = buffers[0][pixel].iter().fold(0.0f32, |most, x| most.max(x.abs()));
        let expected = conv.expected(&buffers[0], &buffers[1], &buffers[2], &buffers[3]);
        let outside = || expected.iter().enumerate().filter(|&(index, _)| is_outside(index));
        let size = (outside().map(|(_, x)| x.0.powi(2)).sum::<f64>() / outside().count() as f64).sqrt();
        for target in Target::available().iter().filter(|target| target.has_wide_vectors()) {
            let worst = |text: &str| {
                let found = run(text, target, &buffers).swap_remove(5);
                outside().map(|(index, x)| (f64::from(found[index]) - x.0).abs()).fold(0.0, f64::max)
            };
            let worst = [&text, &text.replace("winograd %u of %w", "")].map(|text| worst(text));
            let zeros = run(&text, target, &alone).swap_remove(5);
            let zero = zeros.iter().enumerate().filter(|&(index, _)| is_outside(index));
            let zero = zero.map(|(_, x)| x.abs()).fold(0.0, f32::max);
            println!(
                "{}, a pixel of {largest:.0e}: worst error beside it {:.1e} ({:.0e} of the pixel, {:.0e} of the results; direct {:.1e}), zeros up to {zero:.1e}",
                target.name,
                worst[0],
                worst[0] / f64::from(largest),
                worst[0] / size,
                worst[1]
            );
            assert!(worst[0] < 1e-5 * f64::from(largest.max(1.0)), "{}: {range}", target.name);
        }
    }
}
