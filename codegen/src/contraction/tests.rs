//! Which plans are made for which products.

use super::*;

fn host() -> Target {
    Target::host().expect("tests run where code can be made")
}

/// What `of` says of the plan of `out[i, j] = sum_k x[x_at] * w[w_at]`, with these extents of `i`, `j` and `k`.
fn of_product<T>(
    [x, w, out]: [[usize; 2]; 3],
    [i, j, k]: [usize; 3],
    [x_at, w_at]: [&str; 2],
    target: &Target,
    of: impl Fn(&ContractionPlan<'_>) -> T,
) -> T {
    let text = format!(
        "kernel @product(%x: f32{x:?}, %w: f32{w:?}) -> (%out: f32{out:?}) {{
           for i in {i}, j in {j} {{
             %2 = reduce add k in {k} {{
               %0 = load %x[{x_at}]
               %1 = load %w[{w_at}]
               %3 = mul %0, %1
               yield %3
             }}
             store %2, %out[i, j]
           }}
         }}"
    );
    let kernel = ir::text::parse_kernel(&text).unwrap_or_else(|error| panic!("{error}"));
    let nest = Nest::new(&kernel);
    of(&plan(&nest, target).expect("it is a contraction"))
}

#[test]
fn steps_that_do_not_fit_into_instructions_are_not_for_wide_tiles() {
    /// Elements of 4 bytes: a step of 2^24.
    const LONG: usize = 1 << 22;
    let target = host();
    // The rows of operands and result are this far apart in memory.
    let is_wide = |left: usize, right: usize, out: usize| {
        let shapes = [[64, left], [8, right], [64, out]];
        of_product(shapes, [64, 32, 8], ["i, k", "k, j"], &target, |plan| plan.wide.is_some())
    };
    let has_wide = target.wide().is_some();
    assert_eq!(is_wide(8, 32, 32), has_wide);
    assert_eq!(is_wide(LONG - 1, LONG - 1, LONG - 1), has_wide);
    for (left, right, out) in [(LONG, 32, 32), (8, LONG, 32), (8, 32, LONG), (8 * LONG, 8 * LONG, 8 * LONG)] {
        assert!(!is_wide(left, right, out), "{left}, {right}, {out}");
    }
}

#[test]
fn a_large_right_operand_of_few_rows_is_read_once() {
    let target = Target { l2_bytes: 32 << 10, ..host() };
    // Whether lanes are rows, where the right operand is read once.
    let crosswise = |rows: usize, right: [usize; 2], at: &str| {
        let shapes = [[rows, 100], right, [rows, 2000]];
        of_product(shapes, [rows, 2000, 100], ["i, k", at], &target, |plan| match plan.order {
            Order::Sweep(sweep) => Some(sweep.is_crosswise),
            Order::Panels | Order::RowsFirst => None,
        })
    };
    let has_wide = target.wide().is_some();
    for (right, at, is_crosswise) in [([100, 2000], "k, j", false), ([2000, 100], "j, k", true)] {
        for rows in [4, 16, 32] {
            assert_eq!(crosswise(rows, right, at), has_wide.then_some(is_crosswise), "{rows}, {at}");
        }
        assert_eq!(crosswise(33, right, at), None, "{at}");
    }
}

#[test]
fn large_results_of_short_sums_are_done_row_by_row() {
    let target = Target { l2_bytes: 1 << 20, ..host() };
    let has_rows_first = |rows: usize, columns: usize, depth: usize| {
        let shapes = [[depth, rows], [depth, columns], [rows, columns]];
        of_product(shapes, [rows, columns, depth], ["k, i", "k, j"], &target, |plan| {
            plan.order == Order::RowsFirst
        })
    };
    let has_wide = target.wide().is_some();
    assert_eq!(has_rows_first(1000, 4000, 16), has_wide);
    // A long sum, a small result, short rows, a large right operand.
    for (rows, columns, depth) in [(1000, 4000, 65), (100, 2000, 16), (10_000, 512, 16), (1000, 4000, 40)] {
        assert!(!has_rows_first(rows, columns, depth), "{rows} {columns} {depth}");
    }
}
