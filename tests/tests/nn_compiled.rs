//! Layers, losses and optimizers as machine code: whole training steps against the interpreter, and that what is a function
//! of each element is one kernel.

use std::collections::BTreeMap;

use ir::eval::{Bindings, evaluate};
use ir::{DType, Error, Graph, Tensor, Value};
use nn::deconvolution::deconvolution_graph;
use nn::models::{Block, LeNet, Mlp, ResNet, Stem, Vgg};
use nn::{
    Activation, AdaMax, Adagrad, Adam, AdamW, Clip, Context, Dropout, Group, Lamb, Layer, LayerNorm, Linear,
    Lion, Loss, Mode, Optimizer, PRelu, RRelu, RmsProp, Sgd, Supervised, TrainStep, network,
};
use nnc::State;
use tests::compare::tensor_difference;
use tests::targets::{for_each_target, options_for};

const SEED: u64 = 5;
/// Steps that are compared.
const STEPS: usize = 3;
const BATCH: usize = 6;
const FEATURES: usize = 7;
const CLASSES: usize = 3;

/// Inputs of a step: features, targets that the loss takes, and weights where there are some.
fn inputs(graph: &Graph, loss: &Loss) -> BTreeMap<String, Tensor> {
    let mut inputs = tests::compare::seeded_inputs(graph, SEED);
    let y = inputs.get_mut("y").expect("a step has targets");
    if let Some(labels) = y.as_mut_slice::<i64>() {
        labels.iter_mut().for_each(|label| *label = label.rem_euclid(CLASSES as i64));
    } else if let Some(targets) = y.as_mut_slice::<f32>() {
        let is_part = matches!(loss, Loss::BinaryCrossEntropy | Loss::KlDivergence);
        let is_sign = matches!(loss, Loss::Hinge | Loss::Perceptron);
        for target in targets {
            *target = if is_part {
                target.abs()
            } else if is_sign {
                target.signum()
            } else {
                *target
            };
        }
    }
    if let Some(weights) = inputs.get_mut("w") {
        let weights = weights.as_mut_slice::<f32>().expect("weights are f32");
        weights.iter_mut().for_each(|weight| *weight = weight.abs());
    }
    inputs
}

/// Runs some steps as machine code for each target and in the interpreter, and compares all outputs and states.
fn compare_steps(what: &str, model: &dyn Layer, loss: &Loss, optimizer: &dyn Optimizer) {
    compare_steps_of(&Supervised::new([FEATURES], model, loss.clone()), BATCH, what, optimizer);
}

fn compare_steps_of(network: &Supervised<&dyn Layer>, rows: usize, what: &str, optimizer: &dyn Optimizer) {
    let graph = network::training_graph("model", network, rows, optimizer)
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let inputs = inputs(&graph, &network.loss);
    let differentiated = passes::autodiff::autodiff(&graph).unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut bindings = Bindings { inputs: inputs.clone(), states: BTreeMap::new(), seed: SEED };
    let mut expected = Vec::new();
    for _ in 0..STEPS {
        let evaluation =
            evaluate(&differentiated, &bindings).unwrap_or_else(|error| panic!("{what}: {error}"));
        bindings.states = evaluation.states.clone();
        expected.push(evaluation);
    }
    for_each_target(|target| {
        let mut program =
            nnc::compile(&graph, &options_for(target)).unwrap_or_else(|error| panic!("{what}: {error}"));
        let mut state = State::new(program.plan(), SEED).unwrap_or_else(|error| panic!("{what}: {error}"));
        let named: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, x)| (name.as_str(), x)).collect();
        for (step, expected) in expected.iter().enumerate() {
            program.run_named(&mut state, &named).unwrap_or_else(|error| panic!("{what}: {error}"));
            for (name, tensor) in &expected.outputs {
                let found = program.output(name).expect("every output of the graph is one of the plan");
                // Sums of seven terms, and a few steps.
                let difference = tensor_difference(found, tensor, 1e-4);
                assert_eq!(difference, None, "{what}: {name} in step {step}");
            }
            for (name, tensor) in &expected.states {
                let found = state.get(name).unwrap_or_else(|error| panic!("{what}: {error}"));
                let difference = tensor_difference(&found, tensor, 1e-4);
                assert_eq!(difference, None, "{what}: {name} in step {step}");
            }
        }
    });
}

fn mlp() -> Mlp {
    Mlp::new(&[FEATURES, 5, CLASSES], Activation::Tanh)
}

#[test]
fn every_activation_trains_as_in_the_interpreter() {
    for activation in Activation::ALL {
        let model = Mlp::new(&[FEATURES, 5, CLASSES], activation);
        compare_steps(activation.name(), &model, &Loss::cross_entropy(), &Sgd::new(0.1));
    }
}

#[test]
fn every_loss_trains_as_in_the_interpreter() {
    for loss in [
        Loss::CrossEntropy { class_weights: vec![0.5, 2.0, 1.0], label_smoothing: 0.1 },
        Loss::MultiClassHinge,
        Loss::MultiClassPerceptron,
        Loss::SquaredError,
        Loss::AbsoluteError,
        Loss::Huber { delta: 0.4 },
        Loss::BinaryCrossEntropy,
        Loss::Hinge,
        Loss::Perceptron,
        Loss::KlDivergence,
        Loss::SoftCrossEntropy,
    ] {
        compare_steps(&format!("{loss:?}"), &mlp(), &loss, &Sgd::new(0.1));
    }
}

#[test]
fn weighted_examples_train_as_in_the_interpreter() {
    for loss in [Loss::cross_entropy(), Loss::SquaredError] {
        let (what, model) = (format!("weighted {loss:?}"), mlp());
        let network = Supervised::new([FEATURES], &model as &dyn Layer, loss).weighted();
        compare_steps_of(&network, BATCH, &what, &Sgd::new(0.1));
    }
}

#[test]
fn every_optimizer_trains_as_in_the_interpreter() {
    let sgd = Sgd::new(0.1);
    let optimizers: [(&str, Box<dyn Optimizer>); 12] = [
        ("nesterov", Box::new(sgd.momentum(0.9).nesterov().weight_decay(0.01))),
        ("average", Box::new(sgd.average(0.9))),
        ("rmsprop", Box::new(RmsProp::new(0.01))),
        ("adagrad", Box::new(Adagrad::new(0.1))),
        ("adam", Box::new(Adam::new(0.01).weight_decay(0.01))),
        ("adamw", Box::new(AdamW::new(0.01))),
        ("adamax", Box::new(AdaMax::new(0.01).weight_decay(0.01))),
        ("lamb", Box::new(Lamb::new(0.01))),
        ("lion", Box::new(Lion::new(0.01).weight_decay(0.01))),
        ("named and averaged", Box::new(Adam::new(0.01).named("mine").average_weights(0.9))),
        ("accumulated", Box::new(TrainStep::new(Adam::new(0.01)).accumulate(2).clip(Clip::Norm(0.1)))),
        (
            "grouped",
            Box::new(
                TrainStep::new(sgd.momentum(0.9))
                    .clip(Clip::Value(0.01))
                    .group(Group::frozen("fc1.weight"))
                    .group(Group::new("*.bias").learning_rate(2.0)),
            ),
        ),
    ];
    for (name, optimizer) in optimizers {
        compare_steps(name, &mlp(), &Loss::cross_entropy(), &optimizer);
    }
}

#[test]
fn dropout_and_batch_norm_train_as_in_the_interpreter() {
    let model = Mlp { dropout: 0.3, batch_norm: true, ..mlp() };
    compare_steps("dropout and batch norm", &model, &Loss::cross_entropy(), &Adam::new(0.01));
}

/// Two blocks of causal attention with shortcuts around them, and the mean over time. In one step, rows of a mask of any length
/// are unrolled, and an update has as many uniform values as a clipped optimizer asks for.
struct Attention {
    length: usize,
    width: usize,
    heads: usize,
}

impl Attention {
    /// `x[batch, time, width]` attended to by each later time.
    fn block(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        let (rows, length, width) = (cx.shape(x)[0], self.length, self.width);
        let split = [rows, length, self.heads, width / self.heads];
        let normal = cx.layer("norm", &LayerNorm::new(width), x)?;
        let mut parts = Vec::new();
        for name in ["q", "k", "v"] {
            // A bias of keys changes no weight: its gradient is rounding errors alone.
            let linear = Linear::new(width, width);
            let part = cx.layer(name, &if name == "k" { linear.without_bias() } else { linear }, normal)?;
            let part = cx.reshape(part, split)?;
            parts.push(cx.transpose(part, &[0, 2, 1, 3])?);
        }
        let scores = cx.matmul_transposed(parts[0], parts[1], false, true)?;
        let shape = cx.shape(scores).clone();
        let [now, before] = [2, 3].map(|axis| cx.iota(DType::F32, shape.clone(), axis));
        let is_past = cx.le(before?, now?)?;
        let hidden = cx.float(DType::F32, -1e9);
        let masked = cx.select(is_past, scores, hidden)?;
        let weights = cx.layer("softmax", &Activation::Softmax, masked)?;
        let sums = cx.matmul(weights, parts[2])?;
        let sums = cx.transpose(sums, &[0, 2, 1, 3])?;
        let sums = cx.reshape(sums, [rows, length, width])?;
        let y = cx.layer("out", &Linear::new(width, width), sums)?;
        cx.add(x, y)
    }
}

impl Layer for Attention {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        let x = cx.scope("first", |cx| self.block(cx, x))?;
        let x = cx.scope("second", |cx| self.block(cx, x))?;
        let mean = cx.reduce_mean(x, &[1], false)?;
        cx.layer("classes", &Linear::new(self.width, CLASSES), mean)
    }
}

#[test]
fn causal_attention_trains_with_every_clipped_optimizer() {
    let optimizers: [(usize, TrainStep); 8] = [
        (13, TrainStep::new(Sgd::new(0.1).momentum(0.9).nesterov().weight_decay(0.01))),
        (16, TrainStep::new(RmsProp::new(0.01).weight_decay(0.01))),
        (31, TrainStep::new(Adagrad::new(0.1).weight_decay(0.01))),
        (17, TrainStep::new(Adam::new(0.01).weight_decay(0.01))),
        (20, TrainStep::new(AdamW::new(0.01))),
        (11, TrainStep::new(AdaMax::new(0.01))),
        (9, TrainStep::new(Lamb::new(0.01))),
        (10, TrainStep::new(Lion::new(0.01))),
    ];
    for (length, optimizer) in optimizers {
        let model = Attention { length, width: 6, heads: 2 };
        let optimizer = optimizer.clip(Clip::Norm(0.5));
        let network = Supervised::new([length, 6], &model as &dyn Layer, Loss::cross_entropy());
        compare_steps_of(&network, 2, &format!("{length}"), &optimizer);
    }
}

/// Filters, pools, shortcuts, normalisation and both kinds of stem, with as few channels as show them.
#[test]
fn models_of_images_train_as_in_the_interpreter() {
    let shape = |block, stem, has_shortcuts| ResNet {
        stages: vec![1, 1],
        width: 2,
        block,
        stem,
        has_shortcuts,
        classes: CLASSES,
    };
    let vgg = Vgg { hidden: 5, dropout: 0.2, ..Vgg::new(&[&[2], &[3, 2]], CLASSES) };
    let models: [(&str, &dyn Layer); 6] = [
        ("lenet", &LeNet::new(CLASSES)),
        ("vgg", &vgg),
        ("normalised vgg", &Vgg { batch_norm: true, ..vgg.clone() }),
        ("resnet", &shape(Block::Basic, Stem::Small, true)),
        ("plain net", &shape(Block::Basic, Stem::Small, false)),
        ("bottlenecks", &shape(Block::Bottleneck, Stem::Large, true)),
    ];
    for (name, model) in models {
        let network = Supervised::new([2, 9, 8], model, Loss::cross_entropy());
        compare_steps_of(&network, 3, name, &Sgd::new(0.01).momentum(0.9));
    }
}

#[test]
fn deconvolution_is_as_in_the_interpreter() {
    let resnet = ResNet { stages: vec![1, 2], width: 3, ..ResNet::small(1, CLASSES) };
    compare_deconvolution(&LeNet::new(CLASSES), [1, 8, 8], "relu2", [3, 15]);
    compare_deconvolution(&resnet, [2, 7, 6], "layer2.1.bn2", [0, 5]);
    compare_deconvolution(&resnet, [2, 7, 6], "", [2, 0]);
}

fn compare_deconvolution(model: &dyn Layer, row: [usize; 3], layer: &str, maps: [i64; 2]) {
    let network = Supervised::new(row, model, Loss::SquaredError);
    let graph = deconvolution_graph("model", &network, 2, layer).unwrap_or_else(|error| panic!("{error}"));
    let differentiated = passes::autodiff::autodiff(&graph).unwrap_or_else(|error| panic!("{error}"));
    let mut inputs = tests::compare::seeded_inputs(&graph, SEED);
    inputs.insert("map".into(), Tensor::new([2], maps.to_vec()).expect("two rows"));
    let bindings = Bindings { inputs: inputs.clone(), states: BTreeMap::new(), seed: SEED };
    let expected = evaluate(&differentiated, &bindings).unwrap_or_else(|error| panic!("{error}"));
    for_each_target(|target| {
        let mut program =
            nnc::compile(&graph, &options_for(target)).unwrap_or_else(|error| panic!("{error}"));
        let mut state = State::new(program.plan(), SEED).unwrap_or_else(|error| panic!("{error}"));
        let named: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, x)| (name.as_str(), x)).collect();
        program.run_named(&mut state, &named).unwrap_or_else(|error| panic!("{error}"));
        for (name, tensor) in &expected.outputs {
            let found = program.output(name).expect("every output of the graph is one of the plan");
            // Sums of 54 terms, one layer after the other.
            assert_eq!(tensor_difference(found, tensor, 1e-4), None, "{name} of {layer:?}");
        }
    });
}

/// The number of kernels of a layer in this mode, with its gradient where asked for.
fn kernels(layer: &dyn Layer, mode: Mode, with_gradient: bool) -> usize {
    let build = || -> Result<Graph, Error> {
        let mut cx = Context::with("layer", mode, DType::F32);
        let x = cx.input("x", DType::F32, [37, 5])?;
        let y = layer.forward(&mut cx, x)?;
        if !with_gradient {
            cx.output("y", y)?;
            return Ok(cx.finish());
        }
        let weights = cx.input("weights", DType::F32, [37, 5])?;
        let product = cx.mul(y, weights)?;
        let sum = cx.reduce_sum(product, &[0, 1], false)?;
        let gradient = cx.grad(sum, &[x])?;
        cx.output("dx", gradient[0])?;
        Ok(cx.finish())
    };
    let graph = build().unwrap_or_else(|error| panic!("{error}"));
    let plan = passes::pipeline::run(graph, &passes::Options::default());
    plan.unwrap_or_else(|error| panic!("{error}")).kernels.len()
}

#[test]
fn functions_of_each_element_are_one_kernel_and_so_are_their_gradients() {
    let mut layers: Vec<Box<dyn Layer>> = vec![Box::new(PRelu::new(5)), Box::new(RRelu::default())];
    let is_elementwise = |activation: &Activation| *activation != Activation::Softmax;
    layers.extend(Activation::ALL.into_iter().filter(is_elementwise).map(|a| Box::new(a) as Box<dyn Layer>));
    for layer in &layers {
        for with_gradient in [false, true] {
            let found = kernels(layer, Mode::Infer, with_gradient);
            assert_eq!(found, 1, "{}, with gradient: {with_gradient}", layer.description());
        }
    }
    assert_eq!(kernels(&Activation::Softmax, Mode::Infer, true), 1);
}

/// One for the elements, and one for the key of the step.
#[test]
fn noise_costs_no_kernel_but_that_of_its_key() {
    for layer in [&Dropout::new(0.5) as &dyn Layer, &RRelu::default()] {
        for with_gradient in [false, true] {
            let found = kernels(layer, Mode::Train, with_gradient);
            assert!(found <= 2, "{}, with gradient {with_gradient}: {found}", layer.description());
        }
    }
}
