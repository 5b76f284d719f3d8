//! Filters that a convolution transforms itself.

use codegen::Target;
use ir::winograd::{PRODUCTS, TAPS, filter_shape, filter_weights};

use super::CONVS;
use super::convolution::{Conv, PLAIN};
use super::support::{numbers, run, run_shares};

/// The kernel with nothing but filters.
fn text_of_taps(conv: &Conv) -> String {
    conv.text().replace("winograd %u of %w", "winograd %w")
}

/// The same with the channels of filters before their taps.
fn text_with_channels_first(conv: &Conv) -> String {
    let Conv { channels, columns, .. } = conv;
    text_of_taps(conv)
        .replace(
            &format!("%w: f32[3, 3, {channels}, {columns}]"),
            &format!("%w: f32[{channels}, 3, 3, {columns}]"),
        )
        .replace("load %w[k, l, c, o]", "load %w[c, k, l, o]")
}

fn channels_first(conv: &Conv, w: &[f32]) -> Vec<f32> {
    let taps = TAPS * TAPS;
    let rows = (0..conv.channels).flat_map(|c| (0..taps).map(move |tap| tap * conv.channels + c));
    rows.flat_map(|row| w[row * conv.columns..][..conv.columns].iter().copied()).collect()
}

/// Filters as a step of a plan transforms them: a fused multiply-add per tap, in ascending order.
fn transformed(conv: &Conv, w: &[f32]) -> Vec<f32> {
    let shape = filter_shape(conv.channels, conv.columns).expect("columns are multiples of 16");
    let [panels, panel] = [shape[1], shape[3]];
    let weights = filter_weights(conv.is_backwards);
    let mut u = vec![0.0; PRODUCTS * conv.channels * conv.columns];
    for point in 0..PRODUCTS {
        for (c, o) in (0..conv.channels).flat_map(|c| (0..conv.columns).map(move |o| (c, o))) {
            let taps = weights[point * TAPS * TAPS..][..TAPS * TAPS].iter().enumerate();
            let sum = taps.fold(0.0_f32, |sum, (tap, weight)| {
                weight.mul_add(w[(tap * conv.channels + c) * conv.columns + o], sum)
            });
            u[((point * panels + o / panel) * conv.channels + c) * panel + o % panel] = sum;
        }
    }
    u
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn they_have_the_bits_of_filters_that_are_transformed_before() {
    let large = Conv { image: [14, 14], channels: 512, columns: 128, ..PLAIN };
    let others = [
        // Several blocks of channels.
        large,
        Conv { channels: 384, columns: 192, is_backwards: true, ..large },
        Conv { channels: 208, columns: 48, image: [28, 13], ..large },
    ];
    for conv in CONVS.into_iter().chain(others) {
        let mut buffers: Vec<Vec<f32>> =
            conv.sizes().iter().enumerate().map(|(seed, &size)| numbers(size, seed as u64 + 1)).collect();
        buffers[4] = transformed(&conv, &buffers[1]);
        let mut first = buffers.clone();
        first[1] = channels_first(&conv, &buffers[1]);
        for target in Target::available() {
            let expected = bits(&run(&conv.text(), &target, &buffers)[5]);
            let results = [
                run(&text_of_taps(&conv), &target, &buffers),
                run(&text_with_channels_first(&conv), &target, &first),
                run_shares(&text_of_taps(&conv), &target, &buffers, |chunks| vec![(0, chunks)]),
            ];
            for (number, result) in results.iter().enumerate() {
                assert!(bits(&result[5]) == expected, "{}: {conv:?}, {number}", target.name);
            }
        }
    }
}

/// So that the test above is not that of the direct sum.
#[test]
fn they_are_what_is_multiplied() {
    let conv = Conv { channels: 64, columns: 64, ..PLAIN };
    let buffers: Vec<Vec<f32>> =
        conv.sizes().iter().enumerate().map(|(seed, &size)| numbers(size, seed as u64 + 1)).collect();
    let text = text_of_taps(&conv);
    let direct = text.replace("winograd %w", "");
    for target in Target::available() {
        let is_direct = run(&text, &target, &buffers) == run(&direct, &target, &buffers);
        assert_eq!(is_direct, target.name == "x86-64-v2", "{}", target.name);
    }
}

/// Results that do not depend on an infinite tap or a NaN have the bits of the direct sum.
#[test]
fn what_is_not_finite_spoils_no_other_result() {
    let conv = Conv { channels: 64, columns: 64, ..PLAIN };
    let mut buffers: Vec<Vec<f32>> =
        conv.sizes().iter().enumerate().map(|(seed, &size)| numbers(size, seed as u64 + 1)).collect();
    for (tap, element) in [(0, f32::INFINITY), (4, f32::NAN), (8, f32::NEG_INFINITY)] {
        // Of column `tap`, in one channel.
        buffers[1][(tap * conv.channels + 3) * conv.columns + tap] = element;
    }
    let text = text_of_taps(&conv);
    for target in Target::available() {
        let result = &run(&text, &target, &buffers)[5];
        let finite = |column: usize| result.iter().skip(column).step_by(conv.columns).all(|x| x.is_finite());
        for column in 0..conv.columns {
            assert_eq!(finite(column), ![0, 4, 8].contains(&column), "{}: column {column}", target.name);
        }
    }
}
