//! Sums of ten million terms: their errors stay within the bound that docs/IR.md states, on every target, optimised or not, and
//! the bits are the same on one, two and eight threads.
//!
//! What is added is nearly always 0.1, the worst case of a plain loop: its rounding errors have one sign for as long as the sum
//! stays between two powers of two.

use std::collections::BTreeMap;

use ir::text::parse_graph;
use ir::{Graph, Tensor};
use nnc::Options;
use tests::compare::{execute, same_bits};
use tests::targets::{for_each_target, options_for};

const SEED: u64 = 3;
/// Ten million, and many factors.
const MANY: usize = 10_080_000;
/// The additions on the way of a term into its sum, at most: see docs/IR.md, "Sums".
const ADDITIONS: f64 = 5200.0 + 24.0;
/// Half of the distance from 1 to the next `f32`.
const UNIT: f64 = 1.0 / (1 << 24) as f64;

type Inputs = BTreeMap<String, Tensor>;

/// Tensors for the inputs of a graph, all of them of this element.
fn splats(graph: &Graph, element: f32) -> Inputs {
    let tensor = |shape: &ir::Shape| {
        Tensor::new(shape.clone(), vec![element; shape.elements()])
            .expect("as many elements as the shape has")
    };
    let of_node =
        |node: &ir::Node| (node.name.clone().expect("inputs have names"), tensor(&node.results[0].shape));
    graph.inputs().map(|(_, node)| of_node(node)).collect()
}

/// `len` numbers of [0, 1) without a period.
fn drawn(len: usize) -> Vec<f32> {
    (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32).collect()
}

fn parse(nodes: &str) -> Graph {
    let text = format!("graph @g {{ {nodes} }}");
    parse_graph(&text).unwrap_or_else(|error| panic!("{}", error.render(&text, "graph")))
}

/// Checks output `y`: each element is what `expected` says but for an error of `bound`.
fn check(graph: &Graph, inputs: &Inputs, bound: f64, expected: impl Fn(usize) -> f64) {
    for_each_target(|target| {
        for optimize in [true, false] {
            let options = |threads| Options { threads, optimize, ..options_for(target) };
            let run = |threads| execute(graph, inputs, SEED, &options(threads)).expect("it runs");
            let one = run(1);
            let found = &one.outputs["y"];
            for at in 0..found.shape().elements() {
                let (found, expected) = (found.get(at).as_f64(), expected(at));
                assert!(
                    found == expected || (found - expected).abs() <= bound,
                    "{} (optimised: {optimize}): element {at} is {found}, not {expected} within {bound:e}\n{graph}",
                    target.name
                );
            }
            for threads in [2, 8] {
                assert!(same_bits(&one, &run(threads)), "{} on {threads} threads\n{graph}", target.name);
            }
        }
    });
}

/// Checks a sum of `terms` terms of 0.1, or of 0.1 times 0.1 and so on, `factors` of them.
fn check_tenths(nodes: &str, terms: usize, factors: i32) {
    let graph = parse(nodes);
    let sum = terms as f64 * f64::from(0.1f32).powi(factors);
    check(&graph, &splats(&graph, 0.1), ADDITIONS * UNIT * sum, |_| sum);
}

#[test]
fn sums_along_the_innermost_axis() {
    for rows in [1, 7] {
        let columns = MANY / rows;
        check_tenths(
            &format!("%x = input : f32[{rows}, {columns}] %y = reduce_sum %x axes=[1] output y = %y"),
            columns,
            1,
        );
    }
}

#[test]
fn sums_along_the_outermost_axis() {
    for columns in [1, 2, 3, 8, 64, 1500] {
        let rows = MANY / columns;
        check_tenths(
            &format!("%x = input : f32[{rows}, {columns}] %y = reduce_sum %x axes=[0] output y = %y"),
            rows,
            1,
        );
    }
}

#[test]
fn sums_of_ones_are_exact() {
    let graph = parse("%x = input : f32[20000000, 2] %y = reduce_sum %x axes=[0] output y = %y");
    check(&graph, &splats(&graph, 1.0), 0.0, |_| 2e7);
}

#[test]
fn sums_along_several_axes() {
    for (shape, axes) in [
        ([MANY / 3000, 3000, 1], "0, 1, 2"),
        ([MANY / 2, 2, 1], "0, 1"),
        ([2, MANY / 2, 1], "0, 1"),
        ([4, MANY / 8, 2], "1"),
        ([MANY / 9, 3, 3], "0, 1"),
        ([MANY / 9, 3, 3], "0, 2"),
        ([3, MANY / 9, 3], "1, 2"),
        ([MANY / 100, 5, 20], "0, 2"),
    ] {
        let [a, b, c] = shape;
        let reduced = axes.split(", ").map(|axis| shape[axis.parse::<usize>().expect("a number")]);
        check_tenths(
            &format!("%x = input : f32[{a}, {b}, {c}] %y = reduce_sum %x axes=[{axes}] output y = %y"),
            reduced.product(),
            1,
        );
    }
}

#[test]
fn sums_of_what_is_cut_out_turned_round_and_converted() {
    let rows = MANY / 6;
    check_tenths(
        &format!(
            "%x = input : f32[6, {rows}] %t = transpose %x permutation=[1, 0] : f32[{rows}, 6]
             %s = slice %t starts=[0, 1] ends=[{rows}, 6] strides=[1, 2] : f32[{rows}, 3]
             %y = reduce_sum %s axes=[0] output y = %y"
        ),
        rows,
        1,
    );
    // Every second column, which no vector loads.
    let half = MANY / 4;
    check_tenths(
        &format!(
            "%x = input : f32[2, {}] %s = slice %x starts=[0, 0] ends=[2, {}] strides=[1, 2] : f32[2, {half}]
             %y = reduce_sum %s axes=[1] output y = %y",
            2 * half,
            2 * half
        ),
        half,
        1,
    );
}

#[test]
fn sums_of_f64() {
    for (shape, axis) in [([MANY / 2, 2], 0), ([2, MANY / 2], 1)] {
        let [a, b] = shape;
        let graph = parse(&format!(
            "%x = input : f32[{a}, {b}] %d = cast_f64 %x %y = reduce_sum %d axes=[{axis}] output y = %y"
        ));
        let sum = (MANY / 2) as f64 * f64::from(0.1f32);
        let unit = f64::EPSILON / 2.0;
        check(&graph, &splats(&graph, 0.1), ADDITIONS * unit * sum, |_| sum);
    }
}

#[test]
fn a_mean_and_a_variance() {
    let graph = parse(&format!(
        "%x = input : f32[{MANY}] %sum = reduce_sum %x axes=[0]
         %count = constant value={} : f32[] %mean = div %sum, %count
         %means = broadcast %mean shape=[{MANY}] %centred = sub %x, %means %squares = mul %centred, %centred
         %total = reduce_sum %squares axes=[0] %variance = div %total, %count
         %a = reshape %mean shape=[1] %b = reshape %variance shape=[1] %y = concat %a, %b axis=0 output y = %y",
        MANY as f64
    ));
    let x = drawn(MANY);
    let count = MANY as f64;
    let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
    let variance = x.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count;
    let inputs = Inputs::from([("x".to_owned(), Tensor::new([MANY], x).expect("as many elements"))]);
    check(&graph, &inputs, ADDITIONS * UNIT, |at| [mean, variance][at]);
}

#[test]
fn statistics_of_a_batch() {
    for (shape, axes) in [([105, 3, 32_000], "0, 2"), ([105, 320, 300], "0, 1"), ([21, 20, 24_000], "0, 2")] {
        let [a, b, c] = shape;
        let kept = if axes == "0, 1" { c } else { b };
        let count = a * b * c / kept;
        let rows = if axes == "0, 1" { format!("1, 1, {kept}") } else { format!("1, {kept}, 1") };
        check_tenths(
            &format!(
                "%x = input : f32[{a}, {b}, {c}] %sum = reduce_sum %x axes=[{axes}]
                 %count = constant value={count}.0 : f32[{kept}] %mean = div %sum, %count
                 %flat = reshape %mean shape=[{rows}]
                 %means = broadcast %flat shape=[{a}, {b}, {c}] %both = add %x, %means
                 %y = reduce_sum %both axes=[{axes}] output y = %y"
            ),
            2 * count,
            1,
        );
    }
}

#[test]
fn softmax_of_a_long_row() {
    let columns = MANY / 4;
    let graph = parse(&format!(
        "%x = input : f32[2, {columns}] %0 = reduce_max %x axes=[1] %1 = reshape %0 shape=[2, 1]
         %2 = broadcast %1 shape=[2, {columns}] %3 = sub %x, %2 %4 = exp %3 %5 = reduce_sum %4 axes=[1]
         %6 = reshape %5 shape=[2, 1] %7 = broadcast %6 shape=[2, {columns}] %8 = div %4, %7
         %y = slice %8 starts=[0, 0] ends=[2, 1] strides=[1, 1] output y = %y output all = %8"
    ));
    let element = 1.0 / columns as f64;
    check(&graph, &splats(&graph, 0.1), ADDITIONS * UNIT * element, |_| element);
}

#[test]
fn products_of_vectors() {
    check_tenths(
        &format!(
            "%a = input : f32[1, {MANY}] %b = input : f32[{MANY}, 1] %y = matmul %a, %b : f32[1, 1] output y = %y"
        ),
        MANY,
        2,
    );
}

/// Products of matrices with long sums, each operand in both orders.
#[test]
fn products_of_matrices() {
    for (m, n, k) in [
        (1, 16, 500_000),
        (3, 3, 1_000_000),
        (5, 33, 200_003),
        (4, 1040, 8209),
        (40, 17, 150_001),
        (24, 64, 65_537),
    ] {
        for (transpose_left, transpose_right) in [(false, false), (true, false), (false, true), (true, true)]
        {
            let left = if transpose_left { [k, m] } else { [m, k] };
            let right = if transpose_right { [n, k] } else { [k, n] };
            check_tenths(
                &format!(
                    "%a = input : f32[{}, {}] %b = input : f32[{}, {}]
                     %y = matmul %a, %b transpose_left={transpose_left} transpose_right={transpose_right} : f32[{m}, {n}]
                     output y = %y",
                    left[0], left[1], right[0], right[1]
                ),
                k,
                2,
            );
        }
    }
}

#[test]
fn gradients_of_filters() {
    // Directly and, where there are channels enough, by Winograd's algorithm.
    for (images, channels, columns, extent) in
        [(3, 4, 8, 300), (1, 5, 3, 500), (64, 3, 16, 64), (3, 32, 32, 150)]
    {
        let graph = parse(&format!(
            "%x = input : f32[{images}, 1, {channels}, {extent}, {extent}]
             %g = input : f32[{images}, 1, {columns}, {extent}, {extent}]
             %y = conv_weight %x, %g low=[1, 1] extents=[3, 3] : f32[1, {columns}, {channels}, 3, 3] output y = %y"
        ));
        let whole = (images * extent * extent) as f64 * 0.01;
        let inside = |tap: usize| if tap == 1 { extent } else { extent - 1 };
        let factor = f64::from(0.1f32) * f64::from(0.1f32);
        let sum = |at: usize| (images * inside(at % 3) * inside(at / 3 % 3)) as f64 * factor;
        let mut inputs = splats(&graph, 0.1);
        check(&graph, &inputs, ADDITIONS * UNIT * whole, sum);
        // What depends on one channel of the image is infinite; the rest is as before.
        let image = inputs.get_mut("x").and_then(|x| x.as_mut_slice::<f32>()).expect("an input of f32");
        image[extent + 1] = f32::INFINITY;
        check(&graph, &inputs, ADDITIONS * UNIT * whole, |at| {
            if at / 9 % channels == 0 { f64::INFINITY } else { sum(at) }
        });
    }
}
