//! Transformed filters: which convolutions get them, that they are what Winograd's algorithm asks for, and when they are made.

use ir::winograd::{INPUT, OUTPUT, OUTPUTS, POINTS, TAPS, filter_shape};
use ir::{Builder, DType, Error, Graph, Init, Kernel, Place, Plan, Step, Tensor, Value, Winograd};
use nn::functional::{ConvOptions, Padding, conv, conv_transpose};
use passes::pipeline::{Options, Pass, Program, run_until};
use tests::compare::{difference, execute, interpret, same_bits, seeded_inputs};
use tests::run_plan::run_plan;
use tests::targets::{for_each_target, options_for};

const SEED: u64 = 9;

/// A convolution of an input with filters that are a state, a bias and `relu`.
#[derive(Clone, Debug)]
struct Convolution {
    images: usize,
    image: [usize; 2],
    channels: usize,
    columns: usize,
    taps: usize,
    is_transposed: bool,
    options: ConvOptions,
}

impl Convolution {
    /// One of three by three with 64 channels and filters, of stride 1.
    fn plain() -> Convolution {
        Convolution {
            images: 1,
            image: [25, 26],
            channels: 64,
            columns: 64,
            taps: 3,
            is_transposed: false,
            options: ConvOptions { padding: Padding::even(&[1, 1]), ..ConvOptions::new(2) },
        }
    }

    fn graph(&self, epilogue: impl Fn(&mut Builder, Value) -> Result<Value, Error>) -> Result<Graph, Error> {
        let mut b = Builder::new("convolution");
        let [height, width] = self.image;
        let x = b.input("x", DType::F32, [self.images, self.channels, height, width])?;
        let shape = match self.is_transposed {
            true => [self.channels, self.columns, self.taps, self.taps],
            false => [self.columns, self.channels / self.options.groups, self.taps, self.taps],
        };
        let w = b.state("w", DType::F32, shape, Init::Uniform { low: -1.0, high: 1.0, stream: 1 })?;
        let y = match self.is_transposed {
            true => conv_transpose(&mut b, x, w, &self.options, &[0, 0])?,
            false => conv(&mut b, x, w, &self.options)?,
        };
        let y = epilogue(&mut b, y)?;
        b.output("y", y)?;
        Ok(b.finish())
    }

    /// With a bias and `relu`.
    fn layer(&self) -> Graph {
        let epilogue = |b: &mut Builder, y| {
            let bias = b.state("b", DType::F32, [self.columns, 1, 1], Init::Constant(0.25))?;
            let y = b.add(y, bias)?;
            b.relu(y)
        };
        self.graph(epilogue).expect("the shapes fit")
    }
}

fn plan_after(pass: &str, graph: &Graph) -> Plan {
    let pass = Pass::find(pass).expect("there is such a pass");
    let options = Options { verify: true, ..Options::default() };
    match run_until(graph.clone(), &options, pass).expect("it compiles") {
        Program::Plan(plan) => plan,
        Program::Graph(graph) => panic!("this is no plan yet:\n{graph}"),
    }
}

/// The kernels that have transformed filters.
fn chosen(plan: &Plan) -> Vec<&Kernel> {
    let has_transformed = |kernel: &&Kernel| kernel.winograd.and_then(Winograd::transformed).is_some();
    plan.kernels.iter().filter(has_transformed).collect()
}

/// The names of the slots of each call of a kernel whose name starts so.
fn calls<'a>(plan: &'a Plan, steps: &'a [Step], kernel_name: &str) -> Vec<Vec<&'a str>> {
    let slots_of = |step: &'a Step| match step {
        Step::Call { kernel, slots } if plan.kernel(*kernel).name.starts_with(kernel_name) => {
            Some(slots.iter().map(|&slot| plan.slot(slot).name.as_str()).collect())
        }
        _ => None,
    };
    steps.iter().filter_map(slots_of).collect()
}

#[test]
fn a_layer_of_three_by_three_gets_transformed_filters() {
    let plan = plan_after("winograd", &Convolution::plain().layer());
    let [kernel] = chosen(&plan)[..] else { panic!("it is one convolution:\n{plan}") };
    assert!(kernel.name.contains("conv_add_relu"), "{kernel}");
    assert_eq!(calls(&plan, &plan.steps, "transform"), [["winograd.forwards", "w", "w.transformed"]]);
}

#[test]
fn convolutions_are_direct_where_that_is_asked_for() {
    let pass = Pass::find("winograd").expect("there is such a pass");
    let options = Options { convolution: passes::Convolution::Direct, ..Options::default() };
    for graph in [Convolution::plain().layer(), training_step().expect("the shapes fit")] {
        let plan = run_until(graph, &options, pass).expect("it compiles").into_plan().expect("it is a plan");
        assert!(plan.kernels.iter().all(|kernel| kernel.winograd.is_none()), "{plan}");
    }
}

#[test]
fn what_is_no_such_convolution_is_left_alone() {
    let plain = Convolution::plain();
    let with = |options: ConvOptions| Convolution { options, ..plain.clone() };
    let options = || plain.options.clone();
    let others = [
        ("stride 2", with(ConvOptions { stride: vec![2, 2], ..options() })),
        ("stride 2 along an axis", with(ConvOptions { stride: vec![1, 2], ..options() })),
        ("dilation", with(ConvOptions { dilation: vec![2, 2], ..options() })),
        ("groups", with(ConvOptions { groups: 2, ..options() })),
        ("5x5", Convolution { taps: 5, ..plain.clone() }),
        ("17 channels", Convolution { channels: 17, ..plain.clone() }),
        ("24 columns", Convolution { columns: 24, ..plain.clone() }),
        ("a small image", Convolution { image: [7, 7], ..plain.clone() }),
        ("wide padding", with(ConvOptions { padding: Padding::even(&[3, 3]), ..options() })),
        (
            "stride 2 transposed",
            Convolution { is_transposed: true, ..with(ConvOptions { stride: vec![2, 2], ..options() }) },
        ),
    ];
    for (what, convolution) in others {
        let plan = plan_after("winograd", &convolution.layer());
        assert!(chosen(&plan).is_empty(), "{what}:\n{plan}");
        assert!(calls(&plan, &plan.steps, "transform").is_empty(), "{what}");
    }
}

#[test]
fn inference_transforms_filters_once_and_packs_no_others() {
    let plan = plan_after("prepack", &Convolution::plain().layer());
    let transform = vec!["winograd.forwards", "w", "w.transformed"];
    assert_eq!(calls(&plan, &plan.prepare, ""), [transform]);
    let [convolution] = &calls(&plan, &plan.steps, "k0_conv")[..] else { panic!("one call:\n{plan}") };
    assert!(convolution.contains(&"w") && convolution.contains(&"w.transformed"), "{convolution:?}");
}

/// Filters that are large beside the image that meets them.
fn large_filters() -> Convolution {
    Convolution { image: [14, 13], channels: 256, columns: 256, ..Convolution::plain() }
}

#[test]
fn large_filters_of_a_small_image_are_transformed_where_they_are_used() {
    let convolution = large_filters();
    let plan = plan_after("prepack", &convolution.layer());
    let winograd = plan.kernels[0].winograd;
    assert!(matches!(winograd, Some(Winograd::Convolution { transformed: None, .. })), "{plan}");
    assert!(plan.prepare.is_empty() && calls(&plan, &plan.steps, "transform").is_empty(), "{plan}");
    let filters = plan.slots.iter().find(|slot| slot.name == "w").expect("they are a state");
    let Place::State { order, .. } = &filters.place else { panic!("they are a state:\n{plan}") };
    assert_eq!(*order, ir::AxisOrder::new(&[1, 2, 3, 0]), "channels come before taps");
    // Those that many tiles meet, or that are computed from others, are transformed once.
    let many = Convolution { images: 20, ..convolution.clone() }.layer();
    let computed = || {
        let mut b = Builder::new("computed");
        let x = b.input("x", DType::F32, [1, 256, 14, 13])?;
        let w = b.state("w", DType::F32, [256, 256, 3, 3], Init::Constant(1.0))?;
        let w = b.mul(w, w)?;
        let y = conv(&mut b, x, w, &convolution.options)?;
        b.output("y", y)?;
        Ok::<_, Error>(b.finish())
    };
    for graph in [many, computed().expect("the shapes fit")] {
        let plan = plan_after("prepack", &graph);
        assert_eq!(calls(&plan, &plan.prepare, "transform").len(), 1, "{plan}");
    }
}

#[test]
fn filters_that_are_transformed_where_they_are_used_give_the_convolution() {
    let graph = large_filters().layer();
    let inputs = seeded_inputs(&graph, SEED);
    for_each_target(|target| {
        let run = |threads: usize, convolution: passes::Convolution| {
            let options = nnc::Options { threads, convolution, ..options_for(target) };
            execute(&graph, &inputs, SEED, &options).expect("it runs")
        };
        let [one, two] = [1, 2].map(|threads| run(threads, passes::Convolution::Auto));
        assert!(same_bits(&one, &two), "bits depend on threads on {}", target.name);
        // Sums of some thousand products, transformed or not.
        let problem = difference(&one, &run(1, passes::Convolution::Direct), |_| 1e-3);
        assert_eq!(problem, None, "on {}", target.name);
    });
}

/// Filters that are computed from states, as `scale_weights` makes them, are as fixed as states.
#[test]
fn images_pay_with_fewer_tiles_where_filters_are_made_once() {
    let graph = |trains: bool| {
        let mut b = Builder::new("layer");
        let x = b.input("x", DType::F32, [1, 64, 16, 16])?;
        let w =
            b.state("w", DType::F32, [64, 64, 3, 3], Init::Uniform { low: -1.0, high: 1.0, stream: 1 })?;
        let gain = b.state("gain", DType::F32, [64, 1, 1, 1], Init::Constant(0.5))?;
        let scaled = b.mul(w, gain)?;
        let options = ConvOptions { padding: Padding::Same, ..ConvOptions::new(2) };
        let y = conv(&mut b, x, scaled, &options)?;
        b.output("y", y)?;
        if trains {
            let next = b.mul(gain, gain)?;
            b.update(gain, next)?;
        }
        Ok::<_, Error>(b.finish())
    };
    for trains in [false, true] {
        let plan = plan_after("prepack", &graph(trains).expect("the shapes fit"));
        assert_eq!(chosen(&plan).is_empty(), trains, "{plan}");
        assert_eq!(calls(&plan, &plan.prepare, "transform").is_empty(), trains, "{plan}");
    }
}

/// Forwards through two layers with one filter, backwards to the image, and a step of gradient descent.
fn training_step() -> Result<Graph, Error> {
    let mut b = Builder::new("training");
    let x = b.input("x", DType::F32, [2, 64, 24, 24])?;
    let w = b.state("w", DType::F32, [64, 64, 3, 3], Init::Uniform { low: -1.0, high: 1.0, stream: 1 })?;
    let options = ConvOptions { padding: Padding::Same, ..ConvOptions::new(2) };
    let h = conv(&mut b, x, w, &options)?;
    let h = b.relu(h)?;
    let y = conv(&mut b, h, w, &options)?;
    let y = b.square(y)?;
    let loss = b.reduce_mean(y, &[0, 1, 2, 3], false)?;
    let gradients = b.grad(loss, &[x, w])?;
    let rate = b.float(DType::F32, 0.01);
    let step = b.mul(gradients[1], rate)?;
    let next = b.sub(w, step)?;
    b.update(w, next)?;
    b.output("gradient", gradients[0])?;
    Ok(b.finish())
}

#[test]
fn calls_share_filters_of_the_same_direction() {
    let plan = plan_after("prepack", &training_step().expect("the shapes fit"));
    assert_eq!(chosen(&plan).len(), 4, "{plan}");
    let gradients = plan.kernels.iter().filter(|kernel| kernel.winograd == Some(Winograd::Gradient));
    assert_eq!(gradients.count(), 2, "{plan}");
    let made = calls(&plan, &plan.steps, "transform");
    let directions: Vec<&str> = made.iter().map(|slots| slots[0]).collect();
    assert_eq!(directions, ["winograd.forwards", "winograd.backwards"]);
    assert!(plan.prepare.is_empty(), "filters that are trained are transformed in each run");
}

#[test]
fn results_are_those_of_the_interpreter_on_every_target() {
    let backwards = Convolution { is_transposed: true, columns: 80, ..Convolution::plain() };
    let graphs = [Convolution::plain().layer(), backwards.layer(), training_step().expect("the shapes fit")];
    for graph in &graphs {
        let inputs = seeded_inputs(graph, SEED);
        let reference = interpret(graph, &inputs, SEED).expect("it runs");
        for_each_target(|target| {
            let [one, two] = [1, 2].map(|threads| {
                let options = nnc::Options { threads, ..options_for(target) };
                execute(graph, &inputs, SEED, &options).expect("it runs")
            });
            assert!(same_bits(&one, &two), "bits depend on threads on {}", target.name);
            // Sums of some hundred products, in another order or transformed.
            let problem = difference(&one, &reference, |_| 1e-4);
            assert_eq!(problem, None, "{} on {}", graph.name, target.name);
        });
    }
}

/// Winograd's algorithm with the filters as the plan transforms them gives what the plan computes directly, forwards and
/// backwards, whatever is around the image.
#[test]
fn transformed_filters_give_the_convolution() {
    let cases = [
        (false, [1, 1], 64),
        (false, [0, 2], 64),
        (true, [0, 0], 64),
        (true, [2, 1], 64),
        // Five panels of filters.
        (false, [2, 0], 80),
        (true, [1, 1], 80),
    ];
    for (is_transposed, [low, high], columns) in cases {
        let sides = [[low, high], [high, low]];
        let options = ConvOptions { padding: Padding::Sides(sides.into()), ..ConvOptions::new(2) };
        let plain = Convolution::plain();
        let convolution = Convolution { image: [21, 22], columns, is_transposed, options, ..plain };
        let graph = convolution.graph(|_, y| Ok(y)).expect("the shapes fit");
        let mut plan = plan_after("winograd", &graph);
        assert_eq!(chosen(&plan).len(), 1, "{plan}");
        let transformed = plan.slots.iter_mut().find(|slot| slot.name == "w.transformed");
        transformed.expect("it is transformed").place = Place::Output;
        let result = run_plan(&plan, SEED).expect("it runs");
        let (y, u) = (&result.outputs["y"], &result.outputs["w.transformed"]);
        assert_eq!(Some(u.shape()), filter_shape(64, columns).as_ref());
        // Without padding, the first row of a gradient reads two rows of zeros.
        let rows_before = |low: usize| if is_transposed { TAPS - 1 - low } else { low };
        let x = &seeded_inputs(&graph, SEED)["x"];
        compare(x, u, y, [rows_before(low), rows_before(high)], &format!("{convolution:?}"));
    }
}

/// Checks `y[n, k, ..]` against the algorithm on `x[n, c, ..]` with so many rows and columns of zeros before the first.
fn compare(x: &Tensor, u: &Tensor, y: &Tensor, before: [usize; 2], what: &str) {
    let ([_, channels, height, width], [images, columns, rows, row_length]) = (extents(x), extents(y));
    let [_, panels, _, panel] = extents(u);
    let element = |n: usize, c: usize, at: [usize; 2]| {
        let [i, j] = [0, 1].map(|axis| at[axis].wrapping_sub(before[axis]));
        let is_within = i < height && j < width;
        if is_within { x.get(((n * channels + c) * height + i) * width + j).as_f64() } else { 0.0 }
    };
    for (n, i, j) in (0..images).flat_map(|n| tiles(rows, row_length).map(move |(i, j)| (n, i, j))) {
        let inputs: Vec<[[f64; POINTS]; POINTS]> = (0..channels)
            .map(|c| on_both_sides(&INPUT, &array(|a, b| element(n, c, [i + a, j + b]))))
            .collect();
        for k in 0..columns {
            let filter = |product: usize, c: usize| {
                u.get(((product * panels + k / panel) * channels + c) * panel + k % panel).as_f64()
            };
            let sums: [[f64; POINTS]; POINTS] = array(|a, b| {
                inputs.iter().enumerate().map(|(c, x)| x[a][b] * filter(a * POINTS + b, c)).sum()
            });
            let tile: [[f64; OUTPUTS]; OUTPUTS] = on_both_sides(&OUTPUT, &sums);
            for (a, b) in (0..OUTPUTS).flat_map(|a| (0..OUTPUTS).map(move |b| (a, b))) {
                if i + a < rows && j + b < row_length {
                    let direct = y.get(((n * columns + k) * rows + i + a) * row_length + j + b).as_f64();
                    // Sums of 576 products below 1, and transformed filters that are rounded.
                    assert!((tile[a][b] - direct).abs() < 1e-4, "{what}: {} {direct}", tile[a][b]);
                }
            }
        }
    }
}

fn extents(tensor: &Tensor) -> [usize; 4] {
    std::array::from_fn(|axis| tensor.shape()[axis])
}

/// Where tiles of a result begin.
fn tiles(rows: usize, row_length: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).step_by(OUTPUTS).flat_map(move |i| (0..row_length).step_by(OUTPUTS).map(move |j| (i, j)))
}

fn array<const N: usize>(element: impl Fn(usize, usize) -> f64) -> [[f64; N]; N] {
    std::array::from_fn(|a| std::array::from_fn(|b| element(a, b)))
}

/// `matrix x matrix^T`
fn on_both_sides<const N: usize, const M: usize>(matrix: &[[f32; M]; N], x: &[[f64; M]; M]) -> [[f64; N]; N] {
    array(|a, b| {
        let terms = (0..M).flat_map(|i| (0..M).map(move |j| (i, j)));
        terms.map(|(i, j)| f64::from(matrix[a][i]) * x[i][j] * f64::from(matrix[b][j])).sum()
    })
}
