//! Programs with operands that are packed once: they have the bits of programs that pack nothing, and they see every
//! change of their states.

use std::collections::BTreeMap;

use ir::{AxisOrder, Builder, DType, Error, Graph, Init, Place, Plan, Slot, Tensor, Value};
use nn::functional::{ConvOptions, Padding, conv};
use nnc::{Executable, Options, State};
use tests::compare::{execute_program, plan_without, same_bits, seeded_inputs, tensor_difference};
use tests::targets::{for_each_target, options_for};

const SEED: u64 = 3;

/// A weight, of a stream of its own.
fn weight(b: &mut Builder, name: &str, shape: [usize; 2], stream: u32) -> Result<Value, Error> {
    b.state(name, DType::F32, shape, Init::Uniform { low: -1.0, high: 1.0, stream })
}

/// The extents of a network of two layers.
#[derive(Clone, Copy, Debug)]
struct Layers {
    rows: usize,
    depth: usize,
    columns: usize,
    is_transposed: bool,
}

impl Layers {
    /// `h = relu(x w + b) + r`, `y = tanh(h u)`, `z = x (w gain)`: an epilogue that reads a row, one that reads a matrix, a
    /// second layer, and a weight that is computed from states.
    fn graph(self) -> Result<Graph, Error> {
        let Layers { rows, depth, columns, is_transposed } = self;
        let mut b = Builder::new("layers");
        let x = b.input("x", DType::F32, [rows, depth])?;
        let r = b.input("r", DType::F32, [rows, columns])?;
        let shape = if is_transposed { [columns, depth] } else { [depth, columns] };
        let w = weight(&mut b, "w", shape, 1)?;
        let u = weight(&mut b, "u", [columns, columns], 2)?;
        let bias = weight(&mut b, "b", [1, columns], 3)?;
        let gain = weight(&mut b, "gain", shape, 4)?;
        let h = b.matmul_transposed(x, w, false, is_transposed)?;
        let h = b.add(h, bias)?;
        let h = b.relu(h)?;
        let h = b.add(h, r)?;
        let y = b.matmul(h, u)?;
        let y = b.tanh(y)?;
        b.output("y", y)?;
        let scaled = b.mul(w, gain)?;
        let z = b.matmul_transposed(x, scaled, false, is_transposed)?;
        b.output("z", z)?;
        Ok(b.finish())
    }
}

#[test]
fn bits_are_those_without_the_pass_on_every_target_and_number_of_threads() {
    let mut layers = Vec::new();
    for (rows, depth, columns) in [(4, 7, 64), (5, 1, 96), (37, 65, 64), (128, 33, 320), (9, 128, 32)] {
        layers.extend([false, true].map(|is_transposed| Layers { rows, depth, columns, is_transposed }));
    }
    for layers in &layers {
        bits_are_those_without_the_pass(&layers.graph().expect("the shapes fit"), &format!("{layers:?}"));
    }
}

/// In which order the states of a plan lie in memory.
fn orders(plan: &Plan) -> Vec<AxisOrder> {
    let order = |slot: &Slot| match &slot.place {
        Place::State { order, .. } => Some(order.clone()),
        _ => None,
    };
    plan.slots.iter().filter_map(order).collect()
}

fn bits_are_those_without_the_pass(graph: &Graph, what: &str) {
    let inputs = seeded_inputs(graph, SEED);
    for_each_target(|target| {
        for threads in [1, 2] {
            let options = Options { threads, ..options_for(target) };
            let packed = nnc::compile(graph, &options).expect("it compiles");
            let plan = plan_without("prepack", graph, &options.for_passes()).expect("it compiles");
            assert!(plan.prepare.is_empty(), "{what}");
            let is_packed = !packed.plan().prepare.is_empty() || orders(packed.plan()) != orders(&plan);
            assert!(is_packed, "{what}: nothing is packed");
            let plain = nnc::driver::compile_plan(plan, &options, packed.pool().clone());
            let [packed, plain] = [packed, plain.expect("it compiles")]
                .map(|program| execute_program(graph, &inputs, SEED, program).expect("it runs"));
            assert!(same_bits(&packed, &plain), "{what} on {}, {threads} threads", target.name);
        }
    });
}

/// Two convolutions, one after the other, and what follows.
#[derive(Clone, Copy, Debug)]
struct Convolutions {
    batch: usize,
    image: [usize; 2],
    channels: [usize; 3],
    taps: [usize; 2],
    stride: usize,
    groups: usize,
}

impl Convolutions {
    /// `h = relu(conv(x, w) + b)`, `y = conv(h, u) + r`
    fn graph(self) -> Result<Graph, Error> {
        let Convolutions { batch, image: [height, width], channels, taps, stride, groups } = self;
        let mut b = Builder::new("convolutions");
        let filter = |b: &mut Builder, name: &str, at: usize| {
            let shape = [channels[at + 1], channels[at] / groups, taps[at], taps[at]];
            let init = Init::Uniform { low: -1.0, high: 1.0, stream: at as u32 };
            b.state(name, DType::F32, shape, init)
        };
        let x = b.input("x", DType::F32, [batch, channels[0], height, width])?;
        let (w, u) = (filter(&mut b, "w", 0)?, filter(&mut b, "u", 1)?);
        let bias = b.state("b", DType::F32, [channels[1], 1, 1], Init::Constant(0.25))?;
        let options = ConvOptions { padding: Padding::Same, groups, ..ConvOptions::new(2) };
        let h = conv(&mut b, x, w, &options)?;
        let h = b.add(h, bias)?;
        let h = b.relu(h)?;
        let padding = Padding::even(&[taps[1] / 2; 2]);
        let y = conv(&mut b, h, u, &ConvOptions { padding, stride: vec![stride; 2], ..options })?;
        let r = b.input("r", DType::F32, b.shape(y).clone())?;
        let y = b.add(y, r)?;
        b.output("y", y)?;
        Ok(b.finish())
    }
}

#[test]
fn bits_of_convolutions_are_those_without_the_pass() {
    let plain =
        Convolutions { batch: 1, image: [7, 7], channels: [3, 128, 32], taps: [3, 3], stride: 1, groups: 1 };
    let all = [
        plain,
        Convolutions { batch: 2, channels: [32, 32, 96], ..plain },
        Convolutions { image: [6, 19], channels: [5, 64, 128], stride: 2, ..plain },
        Convolutions { batch: 3, channels: [64, 256, 32], taps: [3, 1], ..plain },
        // Sums so long that panels are narrow.
        Convolutions { image: [4, 4], channels: [16, 256, 64], taps: [1, 3], ..plain },
        Convolutions { image: [16, 5], channels: [8, 128, 64], groups: 2, taps: [1, 5], ..plain },
    ];
    for convolutions in all {
        let graph = convolutions.graph().expect("the shapes fit");
        bits_are_those_without_the_pass(&graph, &format!("{convolutions:?}"));
    }
}

const ROWS: usize = 5;
const FEATURES: usize = 8;
const UNITS: usize = 128;

/// The units of one layer, and with `trains` a step of gradient descent on its weight.
fn layer(trains: bool) -> Result<Graph, Error> {
    let mut b = Builder::new("layer");
    let x = b.input("x", DType::F32, [ROWS, FEATURES])?;
    let w = weight(&mut b, "w", [FEATURES, UNITS], 1)?;
    let product = b.matmul(x, w)?;
    let y = b.tanh(product)?;
    b.output("y", y)?;
    if trains {
        let loss = b.reduce_sum(y, &[0, 1], false)?;
        let gradient = b.grad(loss, &[w])?[0];
        let rate = b.float(DType::F32, 0.1);
        let step = b.mul(gradient, rate)?;
        let next = b.sub(w, step)?;
        b.update(w, next)?;
    }
    Ok(b.finish())
}

/// A program that trains and one that infers, on one state.
struct Pair {
    training: Executable,
    inference: Executable,
    state: State,
    inputs: BTreeMap<String, Tensor>,
}

impl Pair {
    fn new(options: &Options) -> Pair {
        let [training, inference] = [true, false].map(|trains| layer(trains).expect("the shapes fit"));
        let inputs = seeded_inputs(&inference, SEED);
        let [training, inference] =
            [training, inference].map(|graph| nnc::compile(&graph, options).expect("it compiles"));
        let state = State::new(training.plan(), SEED).expect("there is memory");
        Pair { training, inference, state, inputs }
    }

    fn train(&mut self) {
        self.training.run(&mut self.state, &[&self.inputs["x"]]).expect("it runs");
    }

    fn infer(&mut self) -> Tensor {
        self.inference.run(&mut self.state, &[&self.inputs["x"]]).expect("it runs");
        self.inference.outputs()[0].clone()
    }
}

/// After each change of the weight, inference gives what an unoptimised program gives, which packs nothing.
#[test]
fn inference_sees_the_weights_of_each_step_of_training() {
    for_each_target(|target| {
        let mut packed = Pair::new(&options_for(target));
        let mut plain = Pair::new(&Options { optimize: false, ..options_for(target) });
        let [of_packed, of_plain] = [&packed, &plain].map(|pair| orders(pair.inference.plan()));
        assert_ne!(of_packed, of_plain, "the weight is packed");
        let mut before = packed.infer();
        let mut check = |packed: &mut Pair, plain: &mut Pair, what: &str| {
            let (found, expected) = (packed.infer(), plain.infer());
            assert_eq!(tensor_difference(&found, &expected, 1e-5), None, "{what} on {}", target.name);
            let change = tensor_difference(&found, &before, 1e-3);
            assert!(change.is_some(), "{what} on {} changes nothing", target.name);
            before = found;
        };
        for step in ["the first step", "the second step"] {
            [&mut packed, &mut plain].into_iter().for_each(Pair::train);
            check(&mut packed, &mut plain, step);
        }
        let ones = Tensor::new([FEATURES, UNITS], vec![1.0f32; FEATURES * UNITS]).expect("as many elements");
        for pair in [&mut packed, &mut plain] {
            pair.state.set("w", &ones).expect("it is a state");
        }
        check(&mut packed, &mut plain, "State::set");
        [&mut packed, &mut plain].into_iter().for_each(Pair::train);
        check(&mut packed, &mut plain, "a step after State::set");
    });
}

/// Two layers without weights that are computed from others.
fn two_layers() -> Result<Graph, Error> {
    let mut b = Builder::new("layers");
    let x = b.input("x", DType::F32, [ROWS, FEATURES])?;
    let w = weight(&mut b, "w", [UNITS, FEATURES], 1)?;
    let u = weight(&mut b, "u", [UNITS, UNITS], 2)?;
    let h = b.matmul_transposed(x, w, false, true)?;
    let h = b.tanh(h)?;
    let y = b.matmul(h, u)?;
    b.output("y", y)?;
    Ok(b.finish())
}

/// What an unoptimised program has as states are the weights as they are given.
#[test]
fn there_is_one_copy_of_a_weight_that_is_packed() {
    let graph = two_layers().expect("the shapes fit");
    let weight_bytes = 4 * UNITS * (FEATURES + UNITS);
    let x = &seeded_inputs(&graph, SEED)["x"];
    for_each_target(|target| {
        let options = options_for(target);
        let mut packed = nnc::compile(&graph, &options).expect("it compiles");
        let plain = nnc::compile(&graph, &Options { optimize: false, ..options }).expect("it compiles");
        let own = State::new(packed.plan(), SEED).expect("there is memory");
        assert_eq!(own.bytes(), weight_bytes);
        packed.infer(&own, &[x]).expect("it runs");
        let expected = packed.outputs()[0].clone();
        let memory = packed.memory();
        assert_eq!((memory.prepared_bytes, memory.reordered_bytes), (0, 0), "{}", target.name);
        assert!(memory.arena_bytes + memory.output_bytes < weight_bytes / 4, "{memory:?}");

        // So have others that run it.
        let mut fork = packed.fork(packed.pool().clone()).expect("there is memory");
        fork.infer(&own, &[x]).expect("it runs");
        assert_eq!(fork.outputs()[0], expected);
        assert_eq!(fork.memory().prepared_bytes + fork.memory().reordered_bytes, 0);

        // States of another program lie as that one wants them: then there is a copy, until they lie so again.
        let others = State::new(plain.plan(), SEED).expect("there is memory");
        packed.infer(&others, &[x]).expect("it runs");
        assert_eq!(packed.outputs()[0], expected, "{}", target.name);
        assert_eq!(packed.memory().reordered_bytes, weight_bytes);
        packed.infer(&own, &[x]).expect("it runs");
        assert_eq!(packed.memory().reordered_bytes, 0);
        for name in ["w", "u"] {
            assert_eq!(own.get(name).expect("it is a state"), others.get(name).expect("it is a state"));
        }
    });
}

/// A program that trains writes its states, and would have to reorder them before each run.
#[test]
fn a_program_that_trains_leaves_states_as_they_are() {
    let options = Options::default();
    let training = nnc::compile(&layer(true).expect("the shapes fit"), &options).expect("it compiles");
    assert!(orders(training.plan()).iter().all(AxisOrder::is_row_major), "{}", training.plan().name);
}
