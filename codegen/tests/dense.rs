//! Products of few rows with a right operand that is larger than the second level of cache, and short sums with a result that
//! is: on every target that adds products in one instruction, the bits are those of plain loops, however the chunks are shared.

mod support;

use codegen::Target;
use support::{numbers, run, run_shares};

/// A cache so small that small operands are larger.
const CACHE_BYTES: usize = 16 << 10;
/// What the epilogue subtracts.
const SHIFT: f32 = 0.7;
/// Rows, columns and depth.
const SHAPES: [[usize; 3]; 12] = [
    [4, 16, 1040],
    [5, 70, 257],
    [7, 1040, 33],
    [8, 1029, 65],
    [9, 2053, 97],
    [15, 100, 300],
    [16, 64, 512],
    [16, 1200, 100],
    [17, 49, 555],
    [21, 1100, 64],
    [31, 33, 1031],
    [32, 1031, 40],
];

/// Checks `batch` products against plain loops, on targets with so small a cache; the right operand is contiguous along the
/// columns, or along the depth.
fn check([rows, columns, depth]: [usize; 3], batch: usize, along_depth: bool, cache_bytes: usize) {
    let (right, at) = match along_depth {
        true => (format!("{batch}, {columns}, {depth}"), "b, j, k"),
        false => (format!("{batch}, {depth}, {columns}"), "b, k, j"),
    };
    let text = format!(
        "kernel @k(%x: f32[{batch}, {rows}, {depth}], %w: f32[{right}], %s: f32[{columns}], %t: f32[{rows}, {columns}], %u: f32[])
           -> (%r: f32[{batch}, {rows}, {columns}]) {{
           for b in {batch}, i in {rows}, j in {columns} {{
             %0 = reduce add k in {depth} {{
               %1 = load %x[b, i, k]
               %2 = load %w[{at}]
               %3 = mul %1, %2
               yield %3
             }}
             %4 = load %s[j]
             %5 = add %0, %4
             %6 = load %t[i, j]
             %7 = mul %5, %6
             %8 = load %u[]
             %9 = sub %7, %8
             store %9, %r[b, i, j]
           }}
         }}"
    );
    let x = numbers(batch * rows * depth, 1);
    let w = numbers(batch * depth * columns, 2);
    let (s, t) = (numbers(columns, 3), numbers(rows * columns, 4));
    let element = |b: usize, i: usize, j: usize| {
        let product = |k: usize| {
            let right = if along_depth { j * depth + k } else { k * columns + j };
            (x[(b * rows + i) * depth + k], w[b * depth * columns + right])
        };
        let sum = (0..depth).map(product).fold(0.0f32, |sum, (x, w)| x.mul_add(w, sum));
        (sum + s[j]) * t[i * columns + j] - SHIFT
    };
    let expected: Vec<f32> = (0..batch)
        .flat_map(|b| (0..rows).flat_map(move |i| (0..columns).map(move |j| (b, i, j))))
        .map(|(b, i, j)| element(b, i, j))
        .collect();
    let buffers = [x.clone(), w.clone(), s.clone(), t.clone(), vec![SHIFT], vec![0.0; expected.len()]];
    // Cranelift's verifier looks at the code for the last one.
    let host = Target::with_verifier(true).expect("tests run where code can be made");
    for mut target in Target::available().into_iter().chain([host]) {
        if !target.has_fma {
            continue;
        }
        target.l2_bytes = cache_bytes;
        let all: fn(u64) -> Vec<(u64, u64)> = |chunks| vec![(0, chunks)];
        let two: fn(u64) -> Vec<(u64, u64)> = |chunks| vec![(0, chunks / 2), (chunks / 2, chunks)];
        let results = [
            run(&text, &target, &buffers),
            run_shares(&text, &target, &buffers, all),
            run_shares(&text, &target, &buffers, two),
        ];
        for result in results {
            let result = result.last().expect("a kernel has buffers");
            for (at, (x, y)) in result.iter().zip(&expected).enumerate() {
                let is_same = x.to_bits() == y.to_bits();
                assert!(is_same, "{}: element {at} is {x:e}, not {y:e}, of\n{text}", target.name);
            }
        }
    }
}

#[test]
fn rows_of_the_right_operand_are_read_side_by_side() {
    for shape in SHAPES {
        check(shape, 1, false, CACHE_BYTES);
    }
    check([6, 1028, 40], 3, false, CACHE_BYTES);
}

#[test]
fn a_right_operand_that_runs_along_the_depth_is_read_in_place() {
    for shape in SHAPES {
        check(shape, 1, true, CACHE_BYTES);
    }
    check([6, 30, 200], 3, true, CACHE_BYTES);
}

#[test]
fn large_results_of_short_sums_are_done_row_by_row() {
    /// It holds the right operand, not the result.
    const CACHE_BYTES: usize = 256 << 10;
    for shape in [[70, 1031, 7], [75, 1030, 16], [126, 1024, 21], [70, 1100, 28], [257, 1056, 3]] {
        check(shape, 1, false, CACHE_BYTES);
    }
    check([71, 1025, 16], 2, false, CACHE_BYTES);
}
