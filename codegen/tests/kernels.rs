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

/// Whole numbers, whose sums are the same in any order.
fn whole_numbers(len: usize, seed: u64) -> Vec<f32> {
    numbers(len, seed).into_iter().map(|x| (x * 8.0).round()).collect()
}

#[test]
fn rows_shorter_than_a_vector_are_summed_and_stored_whole() {
    for (images, rows, columns) in [(3, 112, 6), (2, 70, 5), (1, 64, 7), (2, 97, 3), (5, 128, 17), (4, 3, 6)]
    {
        let text = format!(
            "kernel @k(%x: f32[{images}, {rows}, {columns}], %w: f32[{images}])
               -> (%r: f32[{images}, {rows}, {columns}], %s: f32[{columns}]) {{
               for j in {columns} {{
                 %0, %1 = reduce (add, max) n in {images}, i in {rows} {{
                   %2 = load %x[n, i, j]
                   %3 = load %w[n]
                   %4 = max %2, %3
                   store %4, %r[n, i, j]
                   yield %4, %2
                 }}
                 %5 = sub %0, %1
                 store %5, %s[j]
               }}
             }}"
        );
        let (x, w) = (whole_numbers(images * rows * columns, 1), whole_numbers(images, 2));
        let larger: Vec<f32> = x.iter().enumerate().map(|(at, &x)| x.max(w[at / (rows * columns)])).collect();
        let expected: Vec<f32> = (0..columns)
            .map(|j| {
                let sum: f32 = larger.iter().skip(j).step_by(columns).sum();
                sum - x.iter().skip(j).step_by(columns).fold(f32::NEG_INFINITY, |max, &x| max.max(x))
            })
            .collect();
        let buffers = [x, w, vec![0.0; larger.len()], vec![0.0; columns]];
        check(&text, &buffers, &expected);
        for target in Target::available() {
            let result = run(&text, &target, &buffers);
            assert_eq!(result[2], larger, "{}", target.name);
        }
    }
}

#[test]
fn strips_take_rows_that_are_short() {
    for (images, width, channels) in [(3, 14, 6), (2, 5, 16), (1, 40, 3), (2, 7, 33)] {
        let text = format!(
            "kernel @k(%x: f32[{images}, {width}, {channels}], %t: f32[2, 2], %v: f32[{images}, {width}, {channels}])
               -> (%r: f32[{images}, 2, {width}, 2, {channels}]) {{
               for i in {images}, m in 2, l in {width}, n in 2, j in {channels} {{
                 %0 = load %x[i, l, j]
                 %1 = load %t[m, n]
                 %2 = gt %0, %1
                 %3 = load %v[i, l, j]
                 %4 = 0.5 : f32
                 %5 = select %2, %3, %4
                 store %5, %r[i, m, l, n, j]
               }}
             }}"
        );
        let len = images * width * channels;
        let (x, t, v) = (numbers(len, 1), numbers(4, 2), numbers(len, 3));
        let mut expected = Vec::new();
        for i in 0..images {
            for (m, l) in (0..2).flat_map(|m| (0..width).map(move |l| (m, l))) {
                for (n, j) in (0..2).flat_map(|n| (0..channels).map(move |j| (n, j))) {
                    let at = (i * width + l) * channels + j;
                    expected.push(if x[at] > t[2 * m + n] { v[at] } else { 0.5 });
                }
            }
        }
        check(&text, &[x, t, v, vec![0.0; 4 * len]], &expected);
    }
}

#[test]
fn strips_take_rows_with_reductions_of_few_rounds_in_them() {
    for (images, width, channels) in [(3, 14, 6), (2, 5, 16), (1, 40, 3)] {
        let text = format!(
            "kernel @k(%x: f32[{images}, {}, {channels}]) -> (%r: f32[{images}, {width}, {channels}]) {{
               for i in {images}, l in {width}, j in {channels} {{
                 %0 = reduce max n in 2 {{
                   %1 = load %x[i, 2*l + n, j]
                   yield %1
                 }}
                 %2 = reduce add m in 2 {{
                   %3 = load %x[i, 2*l + m, j]
                   %4 = sub %3, %0
                   yield %4
                 }}
                 store %2, %r[i, l, j]
               }}
             }}",
            2 * width
        );
        let x = numbers(2 * images * width * channels, 1);
        let at = |l: usize, n: usize, j: usize| x[(2 * l + n) * channels + j];
        let expected: Vec<f32> = (0..images * width * channels)
            .map(|index| {
                let (l, j) = (index / channels, index % channels);
                let max = at(l, 0, j).max(at(l, 1, j));
                0.0 + (at(l, 0, j) - max) + (at(l, 1, j) - max)
            })
            .collect();
        check(&text, &[x, vec![0.0; images * width * channels]], &expected);
    }
}

#[test]
fn padded_rows_are_read_where_they_are_and_filled_elsewhere() {
    for (rows, columns, left, right) in [(3, 28, 2, 2), (5, 70, 1, 9), (4, 3, 0, 40), (2, 33, 5, 0)] {
        let (wide, high) = (columns + left + right, rows + 2);
        let text = format!(
            "kernel @k(%x: f32[{rows}, {columns}], %w: f32[{wide}]) -> (%r: f32[{high}, {wide}]) {{
               for i in {high}, j in {wide} {{
                 %0 = load %x[i - 1, j - {left}] fill 1.5
                 %1 = load %w[j]
                 %2 = mul %0, %1
                 store %2, %r[i, j]
               }}
             }}"
        );
        let (x, w) = (numbers(rows * columns, 1), numbers(wide, 2));
        let expected: Vec<f32> = (0..high * wide)
            .map(|at| {
                let (i, j) = (at / wide, at % wide);
                let is_inside = (1..=rows).contains(&i) && (left..left + columns).contains(&j);
                w[j] * if is_inside { x[(i - 1) * columns + j - left] } else { 1.5 }
            })
            .collect();
        check(&text, &[x, w, vec![0.0; high * wide]], &expected);
    }
}

#[test]
fn additions_to_memory_run_in_loops_that_are_on_lanes_otherwise() {
    let (rows, columns, depth) = (9, 70, 5);
    let sums = |text: &str| {
        format!(
            "kernel @k(%x: f32[{rows}, {depth}], %w: f32[{depth}, {columns}]) -> (%r: f32[{rows}, {columns}]) {{ {text} }}"
        )
    };
    let plain = sums(
        "for i in 9, j in 70 {
           %0 = load %w[0, j]
           store add %0, %r[i, j + 1]
         }",
    );
    let product = sums(
        "for i in 9, j in 70 {
           %0 = reduce add k in 5 {
             %1 = load %x[i, k]
             %2 = load %w[k, j]
             %3 = mul %1, %2
             yield %3
           }
           store add %0, %r[i, j]
         }",
    );
    // Whole numbers, so that the order of additions does not show.
    let (x, w, r) =
        (whole_numbers(rows * depth, 1), whole_numbers(depth * columns, 2), whole_numbers(rows * columns, 3));
    let of = |sum: &dyn Fn(f32, usize, usize) -> f32| -> Vec<f32> {
        (0..rows * columns).map(|at| sum(r[at], at / columns, at % columns)).collect()
    };
    let buffers = [x.clone(), w.clone(), r.clone()];
    check(&plain, &buffers, &of(&|r, _, j| if j > 0 { r + w[j - 1] } else { r }));
    let dot = |i: usize, j: usize| (0..depth).map(|k| x[i * depth + k] * w[k * columns + j]).sum::<f32>();
    check(&product, &buffers, &of(&|r, i, j| r + dot(i, j)));
}

#[test]
fn causal_masks_of_any_length_need_one_register_for_the_index() {
    for length in (12..=16).chain([31, 32, 48, 63, 64]) {
        let text = format!(
            "kernel @k(%s: f32[3, {length}, {length}]) -> (%r: f32[3, {length}, {length}]) {{
               for n in 3, i in {length}, j in {length} {{
                 %0 = axis j : f32
                 %1 = axis i : f32
                 %2 = le %0, %1
                 %3 = load %s[n, i, j]
                 %4 = -1e9 : f32
                 %5 = select %2, %3, %4
                 store %5, %r[n, i, j]
               }}
             }}"
        );
        let s = numbers(3 * length * length, 1);
        let is_masked = |at: usize| at % length > at / length % length;
        let expected: Vec<f32> =
            s.iter().enumerate().map(|(at, &s)| if is_masked(at) { -1e9 } else { s }).collect();
        check(&text, &[s, vec![0.0; 3 * length * length]], &expected);
    }
}

#[test]
fn more_reductions_than_registers_are_reduced() {
    for (accumulators, columns) in [(7, 50), (8, 33), (9, 17), (15, 70), (24, 40), (33, 66)] {
        let list =
            |name: &str| (0..accumulators).map(|at| format!("%{name}{at}")).collect::<Vec<_>>().join(", ");
        let ops = (0..accumulators)
            .map(|at| if at % 3 == 0 { "add" } else { "max" })
            .collect::<Vec<_>>()
            .join(", ");
        let terms: String = (0..accumulators)
            .map(|at| format!("%c{at} = {at}.0 : f32\n %t{at} = mul %x, %c{at}\n"))
            .collect();
        let total: String =
            (1..accumulators).map(|at| format!("%y{at} = add %y{}, %s{at}\n", at - 1)).collect();
        let text = format!(
            "kernel @k(%v: f32[5, {columns}]) -> (%r: f32[5]) {{
               for i in 5 {{
                 {} = reduce ({ops}) j in {columns} {{
                   %x = load %v[i, j]
                   {terms}
                   yield {}
                 }}
                 %zero = 0.0 : f32
                 %y0 = add %zero, %s0
                 {total}
                 store %y{}, %r[i]
               }}
             }}",
            list("s"),
            list("t"),
            accumulators - 1
        );
        let v = whole_numbers(5 * columns, 1).iter().map(|x| x % 64.0).collect::<Vec<f32>>();
        let expected: Vec<f32> = v
            .chunks(columns)
            .map(|row| {
                let (sum, max) =
                    (row.iter().sum::<f32>(), row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
                (0..accumulators).map(|at| at as f32 * if at % 3 == 0 { sum } else { max }).sum()
            })
            .collect();
        check(&text, &[v, vec![0.0; 5]], &expected);
    }
}

#[test]
fn what_is_the_same_in_all_rows_is_summed_for_each_column() {
    for (rows, columns) in [(32, 42), (17, 6), (64, 6), (70, 5), (128, 33), (20, 1100)] {
        let text = format!(
            "kernel @k(%x: f32[{columns}]) -> (%r: f32[{columns}], %m: f32[{columns}]) {{
               for j in {columns} {{
                 %0 = load %x[j]
                 %1 = axis j : f32
                 %2 = add %0, %1
                 %3, %4 = reduce (add, max) i in {rows} {{
                   yield %2, %1
                 }}
                 %5 = reduce add i1 in {rows} {{
                   yield %4
                 }}
                 store %3, %r[j]
                 store %5, %m[j]
               }}
             }}"
        );
        let x: Vec<f32> = whole_numbers(columns, 1).iter().map(|x| x % 64.0).collect();
        let sums: Vec<f32> = x.iter().enumerate().map(|(j, x)| rows as f32 * (x + j as f32)).collect();
        let expected: Vec<f32> = (0..columns).map(|j| (rows * j) as f32).collect();
        let buffers = [x, vec![0.0; columns], vec![0.0; columns]];
        check(&text, &buffers, &expected);
        for target in Target::available() {
            assert_eq!(run(&text, &target, &buffers)[1], sums, "{} of {rows} x {columns}", target.name);
        }
    }
}

#[test]
fn truth_values_are_kept_for_rows() {
    for (rows, columns) in [(19, 4), (17, 7), (40, 33), (64, 6), (18, 1100)] {
        let text = format!(
            "kernel @k(%x: f32[{rows}, {columns}], %b: f32[{columns}], %y: f32[{rows}, {columns}]) -> (%r: f32[{columns}]) {{
               for j in {columns} {{
                 %0 = load %b[j]
                 %1 = 0.0 : f32
                 %2 = lt %0, %1
                 %3 = reduce max i in {rows} {{
                   %4 = load %x[i, j]
                   %5 = select %2, %4, %0
                   yield %5
                 }}
                 %6 = gt %3, %1
                 %7 = xor %6, %2
                 %8 = reduce max i1 in {rows} {{
                   %9 = load %y[i1, j]
                   %10 = select %7, %9, %3
                   yield %10
                 }}
                 store %8, %r[j]
               }}
             }}"
        );
        let (x, b, y) = (numbers(rows * columns, 1), numbers(columns, 2), numbers(rows * columns, 3));
        let greatest = |x: &[f32], j: usize| {
            x.iter().skip(j).step_by(columns).copied().fold(f32::NEG_INFINITY, f32::max)
        };
        let expected: Vec<f32> = (0..columns)
            .map(|j| {
                let first = if b[j] < 0.0 { greatest(&x, j) } else { b[j] };
                if (first > 0.0) != (b[j] < 0.0) { greatest(&y, j) } else { first }
            })
            .collect();
        check(&text, &[x, b, y, vec![0.0; columns]], &expected);
    }
}

#[test]
fn rows_that_are_gigabytes_apart_are_reduced() {
    // Too large to run: the machine code of it is made.
    let text = "kernel @k(%x: f32[20, 100000000]) -> (%r: f32[100000000]) {
      for j in 100000000 {
        %0 = reduce add i in 20 {
          %1 = load %x[i, j]
          yield %1
        }
        store %0, %r[j]
      }
    }";
    let kernel = ir::text::parse_kernel(text).expect("the kernel is well-formed");
    let plan = ir::VerifiedPlan::new(ir::Plan::of_kernel(kernel)).expect("the kernel is valid");
    for target in Target::available() {
        let code = codegen::compile(&plan, &target);
        assert!(code.is_ok(), "{}: {code:?}", target.name);
    }
}
