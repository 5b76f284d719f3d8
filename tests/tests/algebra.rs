//! What the compiler rewrites, and what it does not: docs/IR.md, "Algebra".

use std::collections::BTreeMap;

use ir::text::parse_graph;
use ir::{Graph, Tensor};
use nnc::Options;
use tests::compare::{difference, execute, interpret, seeded_inputs};
use tests::targets::{for_each_target, options_for};

const SEED: u64 = 3;

/// Numbers at which functions change what they do.
const EDGES: [f32; 19] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.1,
    -2.5,
    8.0,
    1e-45,
    -3e-39,
    1.1754944e-38,
    7e-30,
    -1e20,
    3e38,
    -3.4028235e38,
    16777217.0,
    0.99999994,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
];

fn graph(text: &str) -> Graph {
    parse_graph(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The output `r` of a graph as compiled so.
fn result(graph: &Graph, inputs: &[(&str, Vec<f32>)], options: &Options) -> Vec<f32> {
    let types = graph.inputs().map(|(_, node)| (node.name.clone().expect("it has one"), &node.results[0]));
    let shapes: BTreeMap<String, _> = types.map(|(name, ty)| (name, ty.shape.clone())).collect();
    let tensor = |(name, values): &(&str, Vec<f32>)| {
        let tensor = Tensor::new(shapes[*name].clone(), values.clone()).expect("there is a value for each");
        ((*name).to_owned(), tensor)
    };
    let inputs = inputs.iter().map(tensor).collect();
    let results = execute(graph, &inputs, SEED, options).expect("it runs");
    results.outputs["r"].as_slice::<f32>().expect("it is of f32").to_vec()
}

/// The bits of numbers, all NaN being one.
fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }).collect()
}

/// `(x . w) * s` for a product whose weight and factor are fixed, written with these numbers.
fn scaled_product(w: &str, s: &str) -> Graph {
    graph(&format!(
        "graph @g {{ %x = input : f32[5, 1]\n%w = state init=constant({w}) : f32[1, 3]\n{s}\n\
         %y = matmul %x, %w : f32[5, 3]\n%s2 = broadcast %s shape=[5, 3]\n%r = mul %y, %s2\noutput r = %r }}"
    ))
}

#[test]
fn a_factor_stays_behind_a_product_whose_weight_it_would_ruin() {
    let factors = |s: f32| {
        [format!("%s = constant value={s:?} : f32[]"), format!("%s = state init=constant({s:?}) : f32[3]")]
    };
    // w * s is infinite, 0, and subnormal.
    for (x, w, s) in [(1e-30f32, "1e30", 1e20f32), (1e30, "1e-30", 1e-20), (1e25, "1e-25", 1e-17)] {
        for factor in factors(s) {
            let graph = scaled_product(w, &factor);
            for_each_target(|target| {
                let found = result(&graph, &[("x", vec![x; 5])], &options_for(target));
                let is_right = |&found: &f32| (found / s - 1.0).abs() < 1e-6;
                assert!(found.iter().all(is_right), "{}: {factor}: {found:?}", target.name);
            });
        }
    }
}

#[test]
fn what_is_added_behind_a_product_is_added_in_order() {
    let addends = [
        "%a = constant value=100000000.0 : f32[5, 3]\n%z = add %y, %a\n%r = sub %z, %a",
        "%a = state init=constant(100000000.0) : f32[3]\n%b = broadcast %a shape=[5, 3]\n%z = add %y, %b\n%r = sub %z, %b",
        "%a = constant value=3e38 : f32[5, 3]\n%n = constant value=-3e38 : f32[5, 3]\n%z = sub %y, %n\n%r = add %z, %n",
    ];
    for addends in addends {
        let graph = graph(&format!(
            "graph @g {{ %x = input : f32[5, 1]\n%w = state init=constant(3.0) : f32[1, 3]\n\
             %y = matmul %x, %w : f32[5, 3]\n{addends}\noutput r = %r }}"
        ));
        for_each_target(|target| {
            let options = options_for(target);
            let plain = Options { optimize: false, ..options.clone() };
            let x = || [("x", vec![1.0f32, 2.0, 3.0, 100.0, -7.0])];
            let [found, expected] = [options, plain].map(|options| result(&graph, &x(), &options));
            assert_eq!(found, expected, "{}: {addends}", target.name);
            assert_eq!(found[0], 0.0);
        });
    }
}

/// A product of powers of two is exact unless something overflows on the way.
#[test]
fn factors_are_not_multiplied_with_each_other() {
    let graph = graph(
        "graph @g { %x = input : f32[3]\n%two = constant value=2.0 : f32[3]\n%half = constant value=0.5 : f32[3]\n\
         %d = mul %x, %two\n%r = mul %d, %half\noutput r = %r }",
    );
    for_each_target(|target| {
        let found = result(&graph, &[("x", vec![3e38, 1.0, -3e38])], &options_for(target));
        assert_eq!(found, [f32::INFINITY, 1.0, f32::NEG_INFINITY], "{}", target.name);
    });
}

/// What the rules of pass `simplify` are about: those that keep all bits, and those that do not.
const KEEP: [&str; 22] = [
    "%c = constant value=-0.0 : f32[N]\n%r = add %x, %c",
    "%c = constant value=0.0 : f32[N]\n%r = add %x, %c",
    "%c = constant value=0.0 : f32[N]\n%r = sub %x, %c",
    "%c = constant value=0.0 : f32[N]\n%r = mul %x, %c",
    "%c = constant value=1.0 : f32[N]\n%r = mul %c, %x",
    "%c = constant value=-1.0 : f32[N]\n%r = mul %c, %x",
    "%c = constant value=1.0 : f32[N]\n%r = div %x, %c",
    "%c = constant value=8.0 : f32[N]\n%r = div %x, %c",
    "%c = constant value=1e-30 : f32[N]\n%r = div %x, %c",
    "%c = constant value=8.507059e37 : f32[N]\n%r = div %x, %c",
    "%n = neg %x\n%r = neg %n",
    "%n = neg %y\n%r = add %x, %n",
    "%n = neg %y\n%r = sub %x, %n",
    "%n = neg %y\n%m = neg %x\n%r = mul %m, %n",
    "%n = neg %y\n%m = neg %x\n%r = div %m, %n",
    "%r = mul %x, %x",
    "%n = abs %x\n%r = square %n",
    "%n = relu %x\n%r = relu %n",
    "%n = sign %x\n%r = sign %n",
    "%r = max %x, %x",
    "%n = cast_f64 %x\n%r = cast_f32 %n",
    "%p = mul %x, %y\n%r = add %p, %x",
];
const ROUND: [&str; 3] = [
    "%c = constant value=1.0 : f32[N]\n%s = sqrt %x\n%r = div %c, %s",
    "%c = constant value=2.0 : f32[N]\n%r = pow %x, %c",
    "%c = constant value=1.0 : f32[N]\n%r = pow %x, %c",
];

/// A graph of all pairs of edges, and what it is compiled to in three ways: unoptimised, strictly, and as usual.
fn three_ways(body: &str, options: &Options) -> [Vec<f32>; 3] {
    let pairs = || EDGES.iter().flat_map(|&x| EDGES.iter().map(move |&y| (x, y)));
    let count = EDGES.len() * EDGES.len();
    let text = format!("graph @g {{ %x = input : f32[N]\n%y = input : f32[N]\n{body}\noutput r = %r }}");
    let graph = graph(&text.replace('N', &count.to_string()));
    let inputs = [("x", pairs().map(|pair| pair.0).collect()), ("y", pairs().map(|pair| pair.1).collect())];
    let plain = Options { optimize: false, ..options.clone() };
    let strict = Options { strict: true, ..options.clone() };
    [plain, strict, options.clone()].map(|options| result(&graph, &inputs, &options))
}

#[test]
fn elementwise_functions_have_the_same_bits_with_and_without_optimisation() {
    for body in KEEP {
        for_each_target(|target| {
            let [plain, strict, usual] = three_ways(body, &options_for(target)).map(|found| bits(&found));
            assert_eq!(strict, plain, "{}: {body}", target.name);
            assert_eq!(usual, plain, "{}: {body}", target.name);
        });
    }
}

#[test]
fn rules_that_round_otherwise_are_left_out_where_programs_are_strict() {
    for body in ROUND {
        for_each_target(|target| {
            let [plain, strict, usual] = three_ways(body, &options_for(target));
            assert_eq!(bits(&strict), bits(&plain), "{}: {body}", target.name);
            for (&x, &y) in usual.iter().zip(&plain) {
                let is_near = (x - y).abs() <= 3e-7 * y.abs() || x == y || (x.is_nan() && y.is_nan());
                assert!(is_near, "{}: {body}: {x} {y}", target.name);
            }
        });
    }
}

#[test]
fn a_repeated_sum_is_not_multiplied_where_programs_are_strict() {
    let graph = graph(
        "graph @g { %x = input : f32[3]\n%b = broadcast %x shape=[7, 3]\n%r = reduce_sum %b axes=[0]\noutput r = %r }",
    );
    let reduces = |strict: bool| {
        let options = passes::Options { strict, ..passes::Options::default() };
        let last = passes::Pass::find("dce").expect("there is such a pass");
        let program = passes::run_until(graph.clone(), &options, last).expect("it compiles");
        program.to_string().contains("reduce_sum")
    };
    assert!(reduces(true) && !reduces(false));
}

#[test]
fn strict_programs_have_no_transformed_filters_and_no_scaled_weights() {
    let graph = graph(
        "graph @g { %x = input : f32[1, 1, 64, 24, 24]\n%w = state init=uniform(-1.0, 1.0, 1) : f32[1, 64, 64, 3, 3]\n\
         %v = state init=uniform(0.5, 1.5, 2) : f32[64, 1, 1]\n%eps = constant value=0.001 : f32[64, 1, 1]\n\
         %p = add %v, %eps\n%s = rsqrt %p\n%y = conv %x, %w low=[1, 1] extents=[24, 24]\n\
         %s2 = broadcast %s shape=[1, 1, 64, 24, 24]\n%r = mul %y, %s2\noutput r = %r }",
    );
    let plan = |strict: bool| {
        let options = passes::Options { strict, ..passes::Options::default() };
        passes::run(graph.clone(), &options).expect("it compiles")
    };
    let [usual, strict] = [false, true].map(plan);
    assert!(usual.kernels.iter().any(|kernel| kernel.winograd.is_some()));
    assert!(strict.kernels.iter().all(|kernel| kernel.winograd.is_none()));
    let multiplies_result =
        |plan: &ir::Plan| plan.kernels.iter().any(|kernel| kernel.name.contains("conv_mul"));
    assert!(multiplies_result(&strict) && !multiplies_result(&usual), "{strict}");
}

/// In a convolution whose filters are computed by Winograd's algorithm, as in others.
#[test]
fn a_number_that_is_none_concerns_the_results_that_depend_on_it_alone() {
    let (height, width) = (24, 22);
    let graph = graph(&format!(
        "graph @g {{ %x = input : f32[1, 1, 64, {height}, {width}]\n\
         %w = state init=uniform(-1.0, 1.0, 1) : f32[1, 64, 64, 3, 3]\n\
         %r = conv %x, %w low=[1, 1] extents=[{height}, {width}]\noutput r = %r }}"
    ));
    let plan = passes::run(graph.clone(), &passes::Options::default()).expect("it compiles");
    assert!(plan.kernels.iter().any(|kernel| kernel.winograd.is_some()));
    let (line, place) = (13, 10);
    for extreme in [f32::NAN, f32::INFINITY, 3e38] {
        let mut x = vec![0.5f32; 64 * height * width];
        x[(5 * height + line) * width + place] = extreme;
        for_each_target(|target| {
            for threads in [1, 2] {
                let options = Options { threads, ..options_for(target) };
                let found = result(&graph, &[("x", x.clone())], &options);
                for (index, found) in found.iter().enumerate() {
                    let (i, j) = (index / width % height, index % width);
                    let is_near = i.abs_diff(line) <= 1 && j.abs_diff(place) <= 1;
                    let is_as_it_should = match extreme.is_finite() {
                        true => found.is_finite() && (is_near || found.abs() < 600.0),
                        false => found.is_finite() != is_near,
                    };
                    assert!(is_as_it_should, "{}: {extreme}: {found} at {i}, {j}", target.name);
                }
            }
        });
    }
}

/// Around an image there are zeros, which a program may multiply or leave out: where a filter is not finite, results at the edge
/// are NaN or the sum over what is inside, and no others differ from the interpreter's.
#[test]
fn a_filter_that_is_not_finite_is_multiplied_inside_of_the_image() {
    let side = 12;
    for (channels, filters) in [(1, 3), (3, 16), (17, 5), (64, 64)] {
        let count = filters * channels * 9;
        let types = format!("f32[1, 1, {channels}, {side}, {side}]");
        let graph = graph(&format!(
            "graph @g {{ %x = input : {types}\n%w = input : f32[1, {filters}, {channels}, 3, 3]\n\
             %r = conv %x, %w low=[1, 1] extents=[{side}, {side}]\noutput r = %r }}"
        ));
        for extreme in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            let mut w = vec![0.25f32; count];
            w[count / 2] = extreme;
            let inputs = [("x", vec![1.0f32; channels * side * side]), ("w", w)];
            let of_interpreter = {
                let tensor = |index: usize, shape: &[usize]| {
                    Tensor::new(ir::Shape::new(shape), inputs[index].1.clone()).expect("they fit")
                };
                let x = tensor(0, &[1, 1, channels, side, side]);
                let w = tensor(1, &[1, filters, channels, 3, 3]);
                let bound = BTreeMap::from([("x".to_owned(), x), ("w".to_owned(), w)]);
                interpret(&graph, &bound, SEED).expect("it runs").outputs["r"].clone()
            };
            let expected = of_interpreter.as_slice::<f32>().expect("it is of f32");
            for_each_target(|target| {
                for optimize in [false, true] {
                    let options = Options { optimize, ..options_for(target) };
                    let found = result(&graph, &inputs, &options);
                    for (index, (&x, &y)) in found.iter().zip(expected).enumerate() {
                        let at_edge =
                            [index / side % side, index % side].iter().any(|at| [0, side - 1].contains(at));
                        let is_same = x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() < 1e-3;
                        let is_right = is_same || (at_edge && x.is_nan());
                        assert!(
                            is_right,
                            "{}: {channels} channels: {extreme}: {index}: {x} {y}",
                            target.name
                        );
                    }
                }
            });
        }
    }
}

/// Zeros around an image, strides, batches that lie last, transforms: an infinity or a NaN in the image, or in the gradient that is
/// carried back, goes where the interpreter has it, and nowhere else.
#[test]
fn an_image_that_is_not_finite_gives_what_the_interpreter_gives() {
    let side = 11;
    let image =
        |images: usize, channels: usize, side: usize| format!("f32[{images}, 1, {channels}, {side}, {side}]");
    let filters = |channels: usize, filters: usize| format!("f32[1, {filters}, {channels}, 3, 3]");
    for (images, channels, outputs) in [(1, 1, 3), (2, 3, 8), (1, 17, 5), (16, 8, 2), (1, 32, 32)] {
        let [x, y, w] =
            [image(images, channels, side), image(images, outputs, side), filters(channels, outputs)];
        let strided = image(images, outputs, 6);
        let cases = [
            (&x, &w, "conv", "low=[1, 1] extents=[11, 11]"),
            (&x, &w, "conv", "stride=[2, 2] low=[1, 1] extents=[6, 6]"),
            (&y, &w, "conv_transpose", "low=[1, 1] extents=[11, 11]"),
            (&strided, &w, "conv_transpose", "stride=[2, 2] low=[1, 1] extents=[11, 11]"),
            (&x, &y, "conv_weight", "low=[1, 1] extents=[3, 3]"),
            (&x, &strided, "conv_weight", "stride=[2, 2] low=[1, 1] extents=[3, 3]"),
        ];
        for (left, right, op, attributes) in cases {
            let graph = graph(&format!(
                "graph @g {{ %x = input : {left}\n%w = input : {right}\n%r = {op} %x, %w {attributes}\noutput r = %r }}"
            ));
            let mut inputs = seeded_inputs(&graph, SEED);
            let count = inputs["x"].shape().elements();
            for (number, extreme) in [f32::INFINITY, f32::NAN].into_iter().enumerate() {
                let at = [count / 2 + side / 2, 0][number];
                let given = inputs["x"].clone();
                let elements =
                    (0..count).map(|i| if i == at { extreme } else { given.get(i).as_f64() as f32 });
                let spoilt =
                    Tensor::new(given.shape().clone(), elements.collect::<Vec<f32>>()).expect("they fit");
                inputs.insert("x".to_owned(), spoilt);
                let expected = interpret(&graph, &inputs, SEED).expect("it runs");
                for_each_target(|target| {
                    for optimize in [false, true] {
                        let options = Options { optimize, ..options_for(target) };
                        let found = execute(&graph, &inputs, SEED, &options).expect("it runs");
                        let problem = difference(&found, &expected, |_| 1e-4);
                        assert_eq!(problem, None, "{}: {optimize}: {extreme}: {graph}", target.name);
                    }
                });
                inputs.insert("x".to_owned(), given);
            }
        }
    }
}
