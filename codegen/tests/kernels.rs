//! Kernels on every target that this machine has, against plain loops: the bits are the same.

mod support;

use codegen::Target;
use support::{numbers, run};

/// Checks that the last buffer holds `expected` on every target.
fn check(text: &str, buffers: &[Vec<f32>], expected: &[f32]) {
    for target in Target::available() {
        let result = run(text, &target, buffers);
        let result = result.last().expect("a kernel has buffers");
        for (at, (&x, &y)) in result.iter().zip(expected).enumerate() {
            let is_same = x.to_bits() == y.to_bits() || (x.is_nan() && y.is_nan());
            assert!(is_same, "{}: element {at} is {x:e}, not {y:e}, of\n{text}", target.name);
        }
    }
}

const SHAPES: [(usize, usize); 9] =
    [(2, 5), (7, 16), (16, 33), (17, 7), (31, 64), (41, 129), (19, 1024), (9, 1100), (35, 2051)];

#[test]
fn columns_are_summed_in_ascending_order_of_rows() {
    for (rows, columns) in SHAPES {
        let text = format!(
            "kernel @k(%x: f32[{rows}, {columns}], %w: f32[{rows}], %s: f32[{columns}]) -> (%r: f32[{columns}]) {{
               for j in {columns} {{
                 %0 = reduce add i in {rows} {{
                   %1 = load %x[i, j]
                   %2 = load %w[i]
                   %3 = mul %2, %1
                   %9 = square %3
                   yield %9
                 }}
                 %4 = load %s[j]
                 %5 = sub %0, %4
                 store %5, %r[j]
               }}
             }}"
        );
        let (x, w, s) = (numbers(rows * columns, 1), numbers(rows, 2), numbers(columns, 3));
        let expected: Vec<f32> = (0..columns)
            .map(|j| {
                let terms = (0..rows).map(|i| (w[i] * x[i * columns + j]) * (w[i] * x[i * columns + j]));
                terms.fold(0.0f32, |sum, term| sum + term) - s[j]
            })
            .collect();
        check(&text, &[x, w, s, vec![0.0; columns]], &expected);
    }
}

#[test]
fn a_reduction_of_columns_reads_what_another_gives() {
    for (rows, columns) in SHAPES {
        let text = format!(
            "kernel @k(%x: f32[3, {rows}, {columns}]) -> (%r: f32[{columns}]) {{
               for j in {columns} {{
                 %0 = reduce max n in 3, i in {rows} {{
                   %1 = load %x[n, i, j]
                   yield %1
                 }}
                 %2 = reduce add n1 in 3, i1 in {rows} {{
                   %3 = load %x[n1, i1, j]
                   %4 = sub %3, %0
                   yield %4
                 }}
                 store %2, %r[j]
               }}
             }}"
        );
        let mut x = numbers(3 * rows * columns, 4);
        (x[columns - 1], x[0]) = (f32::NAN, f32::NEG_INFINITY);
        let column = |j: usize| x.iter().copied().skip(j).step_by(columns);
        let expected: Vec<f32> = (0..columns)
            .map(|j| {
                let greatest =
                    column(j).fold(f32::NEG_INFINITY, |a, b| if a > b || a.is_nan() { a } else { b });
                column(j).map(|x| x - greatest).fold(0.0, |sum, term| sum + term)
            })
            .collect();
        check(&text, &[x.clone(), vec![0.0; columns]], &expected);
    }
}

#[test]
fn copies_that_transpose_move_each_element() {
    const BATCH: usize = 3;
    let shapes = [
        (4, 2),
        (5, 3),
        (7, 16),
        (16, 33),
        (17, 7),
        (31, 64),
        (68, 129),
        (196, 40),
        (131, 15),
        (3, 5),
        (300, 1),
    ];
    for (depth, columns) in shapes {
        // Source and copy have more than is read and written.
        let (wide, broad) = (depth + 1, columns + 1);
        let text = format!(
            "kernel @k(%x: f32[{columns}, {BATCH}, {wide}]) -> (%r: f32[{BATCH}, {wide}, {broad}]) {{
               for n in {BATCH}, i in {depth}, j in {columns} {{
                 %0 = load %x[j, n, i + 1]
                 store %0, %r[n, i, j]
               }}
             }}"
        );
        let x = numbers(columns * BATCH * wide, 5);
        let mut expected = vec![7.0; BATCH * wide * broad];
        for (n, i, j) in (0..BATCH)
            .flat_map(|n| (0..depth).map(move |i| (n, i)))
            .flat_map(|(n, i)| (0..columns).map(move |j| (n, i, j)))
        {
            expected[(n * wide + i) * broad + j] = x[(j * BATCH + n) * wide + i + 1];
        }
        check(&text, &[x, vec![7.0; BATCH * wide * broad]], &expected);
    }
}
