//! Random convolutions, their gradients for the input and for the filters, on every target that this machine has, cut into
//! random shares of chunks, against plain loops in f64.
//!
//! What is random is what Winograd's algorithm has to look at: extents, padding on each side, the order of axes in memory and
//! of loops, images of which a part is read, and what follows from the sum.

mod case;
mod epilogue;
#[path = "../support/mod.rs"]
mod support;

use codegen::Target;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use case::{Case, Kind, Side, buffers};
use epilogue::Epilogue;
use support::{run, run_shares};

/// At most so many products are summed up in a case.
const MOST_PRODUCTS: usize = 2_000_000;

/// The image and the result along an axis.
fn side() -> impl Strategy<Value = Side> {
    let extent = prop_oneof![8 => 1usize..31, 1 => 31usize..71];
    (extent, 0usize..3, -3i64..4, 0usize..8, any::<bool>()).prop_map(
        |(image, before, after, rest, is_inside)| {
            // Padding on both sides; or none, so that some of the image may be left over.
            match is_inside && image >= 3 {
                true => Side {
                    image,
                    first: (rest % 2).min(image - 3) as i64,
                    outputs: (image - 2 - rest % 2).saturating_sub(rest / 2).max(1),
                },
                false => {
                    let outputs = image as i64 + before as i64 + after - 2;
                    Side { image, first: -(before as i64), outputs: outputs.max(1) as usize }
                }
            }
        },
    )
}

fn cases(kinds: &'static [Kind]) -> impl Strategy<Value = Case> {
    let columns = || prop_oneof![3 => 1usize..5, 1 => 5usize..11].prop_map(|count| 16 * count);
    // Vectors of 256 bits take half of 16 channels, too.
    let channels = (columns(), 0usize..8).prop_map(|(count, half)| count - if half == 7 { 8 } else { 0 });
    let sizes = (prop::collection::vec(1usize..4, 0..3), side(), side(), channels, columns());
    let orders = (shuffled(5), shuffled(5), shuffled(4), shuffled(5), shuffled(4), any::<bool>());
    let others = (prop::sample::select(&Epilogue::ALL[..]), 0usize..6, 0usize..6, any::<u64>());
    (prop::sample::select(kinds), sizes, orders, others).prop_map(
        |(kind, (images, vertical, horizontal, channels, columns), orders, (epilogue, left, right, seed))| {
            let (image_order, loop_order, filter_order, result_order, reduce_order, is_swapped) = orders;
            let mut case = Case {
                kind,
                images,
                sides: [vertical, horizontal],
                channels,
                columns,
                // Now and then there are more channels than are read; filters have all of them.
                more: [left, right].map(|more| [0, 0, 0, 0, 1, 16][more]),
                is_mirrored: seed.is_multiple_of(16),
                image_order,
                loop_order,
                filter_order,
                result_order,
                reduce_order,
                is_swapped,
                epilogue,
                seed,
            };
            case.shrink_to(MOST_PRODUCTS);
            case
        },
    )
}

/// A random order of so many things.
fn shuffled(count: usize) -> impl Strategy<Value = Vec<usize>> {
    let all: Vec<usize> = (0..count).collect();
    prop_oneof![Just(all.clone()), Just(all).prop_shuffle()]
}

/// Chunks cut into shares at random, in a random order.
fn random_shares(chunks: u64, seed: u64) -> Vec<(u64, u64)> {
    let mut state = seed | 1;
    let mut below = |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    let mut shares = Vec::new();
    let mut begin = 0;
    while begin < chunks {
        let end = begin + 1 + below(chunks - begin);
        shares.push((begin, end));
        begin = end;
    }
    for last in (1..shares.len()).rev() {
        shares.swap(last, below(last as u64 + 1) as usize);
    }
    shares
}

fn bits(buffers: &[Vec<f32>]) -> Vec<Vec<u32>> {
    buffers.iter().map(|buffer| buffer.iter().map(|x| x.to_bits()).collect()).collect()
}

/// Checks a case on every target; whether Winograd's algorithm ran on one, as far as that can be seen.
fn agrees(case: &Case) -> Result<bool, TestCaseError> {
    let text = case.text();
    let start = case.buffers();
    let expected = case.expected(&start);
    let mut is_winograd = false;
    for target in Target::available() {
        let fail = |what: String| TestCaseError::fail(format!("{}: {what}\n{case:?}\n{text}", target.name));
        let results = run(&text, &target, &start);
        if let Some(problem) = expected.difference(&results) {
            return Err(fail(problem));
        }
        let in_shares = run_shares(&text, &target, &start, |chunks| random_shares(chunks, case.seed));
        if bits(&in_shares) != bits(&results) {
            return Err(fail("bits depend on how chunks are shared".to_owned()));
        }
        if case.kind != Kind::Gradient && target.name != "x86-64-v2" {
            // The kernel may transform filters itself.
            let of_taps = text.replace("winograd %transformed of %right", "winograd %right");
            let results_of_taps = run(&of_taps, &target, &start);
            if let Some(problem) = expected.difference(&results_of_taps) {
                return Err(fail(format!("filters that are transformed in the kernel: {problem}")));
            }
            let mut without = start.clone();
            without[buffers::TRANSFORMED].fill(0.0);
            is_winograd |=
                bits(&run(&text, &target, &without))[buffers::RESULT..] != bits(&results)[buffers::RESULT..];
        }
    }
    Ok(is_winograd)
}

/// Checks random cases, the same in every run; how many of them Winograd's algorithm ran for.
fn check(kinds: &'static [Kind], count: u32, seed: u8) -> usize {
    let config =
        Config { cases: count, failure_persistence: None, max_shrink_iters: 300, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]));
    let chosen = std::cell::Cell::new(0);
    let result = runner.run(&cases(kinds), |case| {
        chosen.set(chosen.get() + usize::from(agrees(&case)?));
        Ok(())
    });
    if let Err(failure) = result {
        match failure {
            TestError::Fail(why, case) => panic!("{why}\n{}", case.text()),
            TestError::Abort(why) => panic!("{why}"),
        }
    }
    chosen.get()
}

/// A case that is small, but large enough for Winograd's algorithm.
fn plain(kind: Kind) -> Case {
    let side = Side { image: 8, first: -1, outputs: 8 };
    Case {
        kind,
        images: vec![],
        sides: [side; 2],
        channels: 32,
        columns: 32,
        more: [0, 0],
        is_mirrored: false,
        image_order: vec![0, 1, 2, 3],
        loop_order: vec![0, 1, 2, 3],
        filter_order: vec![0, 1, 2, 3],
        result_order: vec![0, 1, 2, 3],
        reduce_order: vec![0, 1, 2, 3],
        is_swapped: false,
        epilogue: Epilogue::None,
        seed: 1,
    }
}

#[test]
fn cases_that_once_failed_agree() {
    let (forwards, gradient) = (plain(Kind::Forwards), plain(Kind::Gradient));
    let odd = Side { image: 10, first: -1, outputs: 10 };
    let cases = [
        // A line of zeros is no whole number of 64 bytes.
        Case { more: [1, 0], ..gradient.clone() },
        Case { channels: 24, sides: [odd; 2], ..forwards.clone() },
        // Places go backwards.
        Case { is_mirrored: true, ..gradient.clone() },
        // What differs from row to row has 64 bits on the way.
        Case { epilogue: Epilogue::Wide, ..gradient.clone() },
        Case { epilogue: Epilogue::Wide, ..forwards.clone() },
        // There are more pointers than registers for them.
        Case { epilogue: Epilogue::Pointers, ..gradient },
        Case { epilogue: Epilogue::Pointers, ..forwards },
    ];
    for case in cases {
        agrees(&case).unwrap_or_else(|failure| panic!("{failure}"));
    }
}

#[test]
fn random_convolutions_agree() {
    let chosen = check(&[Kind::Forwards, Kind::Backwards], 200, 1);
    let has_wide = Target::available().iter().any(|target| target.name != "x86-64-v2");
    assert!(!has_wide || chosen >= 60, "Winograd's algorithm ran for {chosen} of 200");
}

#[test]
fn random_gradients_of_filters_agree() {
    check(&[Kind::Gradient], 200, 2);
}
