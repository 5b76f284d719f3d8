//! Sums that are cut into blocks, on every target that this machine has: of small integers, so that they are exact in any order
//! and what is left out, or added twice, shows. Errors of long sums of other numbers are in the tests across the crates.

mod support;

use codegen::Target;
use support::{numbers, run, run_shares};

/// A cache so small that small operands are larger.
const CACHE_BYTES: usize = 16 << 10;

/// Integers from -2 to 2.
fn integers(len: usize, seed: u64) -> Vec<f32> {
    numbers(len, seed).into_iter().map(|x| (x.to_bits() % 5) as f32 - 2.0).collect()
}

/// Checks the last buffer on every target, with caches of either size, chunk by chunk and all at once.
fn check(text: &str, buffers: &[Vec<f32>], expected: &[f32]) {
    let host = Target::with_verifier(true).expect("tests run where code can be made");
    for target in Target::available().into_iter().chain([host]) {
        for l2_bytes in [target.l2_bytes, CACHE_BYTES] {
            let mut target = target.clone();
            target.l2_bytes = l2_bytes;
            for results in
                [run(text, &target, buffers), run_shares(text, &target, buffers, |chunks| vec![(0, chunks)])]
            {
                let found = results.last().expect("a kernel has buffers");
                let wrong = found.iter().zip(expected).position(|(x, y)| x != y);
                let wrong = wrong.map(|at| (at, found[at], expected[at]));
                assert_eq!(wrong, None, "{} (element, found, expected) of\n{text}", target.name);
            }
        }
    }
}

#[test]
fn sums_of_columns() {
    for (outer, rows, columns) in [
        (1, 1025, 1),
        (1, 4103, 6),
        (1, 5000, 24),
        (3, 1700, 16),
        (700, 3, 20),
        (1, 2049, 1030),
        (1, 6000, 100),
        (5, 999, 70),
    ] {
        let text = format!(
            "kernel @k(%x: f32[{outer}, {rows}, {columns}], %w: f32[{rows}]) -> (%m: f32[{columns}], %r: f32[{columns}]) {{
               for j in {columns} {{
                 %0, %7, %8 = reduce (add, max, add) n in {outer}, i in {rows} {{
                   %1 = load %x[n, i, j]
                   %2 = load %w[i]
                   %3 = mul %1, %2
                   %4 = mul %1, %1
                   yield %3, %1, %4
                 }}
                 store %7, %m[j]
                 %9 = sub %0, %8
                 store %9, %r[j]
               }}
             }}"
        );
        let (x, w) = (integers(outer * rows * columns, 1), integers(rows, 2));
        let expected: Vec<f32> = (0..columns)
            .map(|j| {
                let terms = (0..outer * rows).map(|i| (w[i % rows], x[i * columns + j]));
                terms.map(|(w, x)| w * x - x * x).sum()
            })
            .collect();
        check(&text, &[x, w, vec![0.0; columns], vec![0.0; columns]], &expected);
    }
}

#[test]
fn sums_along_the_lanes() {
    for (rows, outer, columns) in [(3, 1, 16_385), (2, 5, 40_003), (5, 3000, 7), (2, 70, 70), (1, 1, 65_536)]
    {
        let text = format!(
            "kernel @k(%x: f32[{rows}, {outer}, {columns}]) -> (%m: f32[{rows}], %r: f32[{rows}]) {{
               for i in {rows} {{
                 %0, %7 = reduce (add, min) n in {outer}, j in {columns} {{
                   %1 = load %x[i, n, j]
                   %2 = axis j : f32
                   yield %1, %2
                 }}
                 store %7, %m[i]
                 store %0, %r[i]
               }}
             }}"
        );
        let x = integers(rows * outer * columns, 3);
        let expected: Vec<f32> = x.chunks(outer * columns).map(|row| row.iter().sum()).collect();
        check(&text, &[x, vec![0.0; rows], vec![0.0; rows]], &expected);
    }
}

#[test]
fn sums_over_axes_around_and_inside() {
    for (outer, columns, inner) in [(2500, 3, 5), (5, 4, 1700), (1100, 33, 2)] {
        let text = format!(
            "kernel @k(%x: f32[{outer}, {columns}, {inner}]) -> (%r: f32[{columns}]) {{
               for j in {columns} {{
                 %0 = reduce add n in {outer}, i in {inner} {{
                   %1 = load %x[n, j, i]
                   yield %1
                 }}
                 store %0, %r[j]
               }}
             }}"
        );
        let x = integers(outer * columns * inner, 4);
        let row = |n: usize, j: usize| x[(n * columns + j) * inner..][..inner].iter().sum::<f32>();
        let expected: Vec<f32> = (0..columns).map(|j| (0..outer).map(|n| row(n, j)).sum()).collect();
        check(&text, &[x, vec![0.0; columns]], &expected);
    }
}

/// Products of matrices: of one row, of few with a large right operand, and others; the right operand in both orders.
#[test]
fn sums_of_products() {
    for [rows, columns, depth] in [
        [1, 16, 9001],
        [3, 1031, 4611],
        [17, 40, 12_289],
        [33, 19, 9_221],
        [40, 7, 4609],
        [2, 3, 8195],
        [6, 64, 20_011],
    ] {
        for along_depth in [false, true] {
            let (shape, at) = match along_depth {
                true => ([columns, depth], "j, k"),
                false => ([depth, columns], "k, j"),
            };
            let text = format!(
                "kernel @k(%x: f32[{rows}, {depth}], %w: f32{shape:?}, %s: f32[{columns}]) -> (%r: f32[{rows}, {columns}]) {{
                   for i in {rows}, j in {columns} {{
                     %0 = reduce add k in {depth} {{
                       %1 = load %x[i, k]
                       %2 = load %w[{at}]
                       %3 = mul %1, %2
                       yield %3
                     }}
                     %4 = load %s[j]
                     %5 = add %0, %4
                     store %5, %r[i, j]
                   }}
                 }}"
            );
            let (x, w, s) = (integers(rows * depth, 5), integers(depth * columns, 6), integers(columns, 7));
            let right = |k: usize, j: usize| if along_depth { w[j * depth + k] } else { w[k * columns + j] };
            let element =
                |i: usize, j: usize| (0..depth).map(|k| x[i * depth + k] * right(k, j)).sum::<f32>() + s[j];
            let expected: Vec<f32> = (0..rows)
                .flat_map(|i| (0..columns).map(move |j| (i, j)))
                .map(|(i, j)| element(i, j))
                .collect();
            check(&text, &[x, w, s, vec![0.0; expected.len()]], &expected);
        }
    }
}

/// The gradient of filters of three by three around which there is padding: bounds limit the loops that are cut.
#[test]
fn gradients_of_filters() {
    for (images, extent, channels, columns) in [(2, 71, 3, 20), (9, 37, 18, 33), (1, 83, 5, 16)] {
        let text = format!(
            "kernel @k(%x: f32[{images}, {extent}, {extent}, {channels}], %g: f32[{images}, {extent}, {extent}, {columns}])
               -> (%r: f32[3, 3, {channels}, {columns}]) {{
               for k in 3, l in 3, c in {channels}, o in {columns} {{
                 %0 = reduce add n in {images}, i in {extent}, j in {extent} {{
                   %1 = load %x[n, i + k - 1, j + l - 1, c] fill 0.0
                   %2 = load %g[n, i, j, o]
                   %3 = mul %1, %2
                   yield %3
                 }}
                 store %0, %r[k, l, c, o]
               }}
             }}"
        );
        let places = images * extent * extent;
        let (x, g) = (integers(places * channels, 8), integers(places * columns, 9));
        let mut expected = vec![0.0; 9 * channels * columns];
        for (place, (k, l)) in
            (0..places).flat_map(|place| (0..3).flat_map(move |k| (0..3).map(move |l| (place, (k, l)))))
        {
            let (i, j) = (place / extent % extent + k, place % extent + l);
            if !(1..=extent).contains(&i) || !(1..=extent).contains(&j) {
                continue;
            }
            let source = (place / (extent * extent) * extent + i - 1) * extent + j - 1;
            for (c, o) in (0..channels).flat_map(|c| (0..columns).map(move |o| (c, o))) {
                expected[((k * 3 + l) * channels + c) * columns + o] +=
                    x[source * channels + c] * g[place * columns + o];
            }
        }
        check(&text, &[x, g, vec![0.0; expected.len()]], &expected);
    }
}
