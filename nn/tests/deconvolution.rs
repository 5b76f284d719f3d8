//! The patterns that deconvolution finds, by hand and composed of transposed layers.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

mod support;

use std::collections::BTreeMap;

use ir::{DType, Error, Scalar, Tensor, Type, Value};
use nn::deconvolution::deconvolution_graph;
use nn::functional::{ConvOptions, Padding, PoolOptions, conv_transpose, max_pool, max_unpool};
use nn::models::{AlexNet, AlphaGoZero, LeNet, ResNet, Vgg};
use nn::{Context, Conv2d, Layer, Loss, MaxPool2d, Relu, Sequential, Supervised};
use support::{draw, floats, run};

fn tensor(shape: &[usize], elements: &[f32]) -> Tensor {
    Tensor::new(shape, elements.to_vec()).unwrap()
}

/// Features and patterns of these feature maps, for rows `x` in a model with these states.
fn deconvolve(
    model: &dyn Layer,
    layer: &str,
    x: &Tensor,
    maps: &[i64],
    states: &BTreeMap<String, Tensor>,
) -> [Vec<f64>; 2] {
    let network = Supervised::new(&x.shape()[1..], model, Loss::SquaredError);
    let graph = deconvolution_graph("model", &network, x.shape()[0], layer).unwrap();
    let maps = Tensor::new([maps.len()], maps.to_vec()).unwrap();
    let outputs = run(&graph, &[("x", x.clone()), ("map", maps)], states).outputs;
    ["features", "pattern"].map(|name| floats(&outputs[name]))
}

/// A filter, a relu and a pool over one window:
///
/// ```text
/// x = 1 2 0    filter = 1 -1    filtered = -1 8    maximum = 8, at row 0, column 1
///     0 3 1             2  0                1 2
///     2 0 1
/// ```
#[test]
fn a_maximum_returns_to_where_it_was_through_the_filter() {
    let model =
        || Sequential::new().add(Conv2d::new(1, 1, 2).without_bias()).add(Relu).add(MaxPool2d::new(2));
    let x = tensor(&[1, 1, 3, 3], &[1.0, 2.0, 0.0, 0.0, 3.0, 1.0, 2.0, 0.0, 1.0]);
    let mut states =
        BTreeMap::from([("layers.0.weight".into(), tensor(&[1, 1, 2, 2], &[1.0, -1.0, 2.0, 0.0]))]);
    let [features, pattern] = deconvolve(&model(), "layers.2", &x, &[0], &states);
    assert_eq!(features, [8.0]);
    assert_eq!(pattern, [0.0, 8.0, -8.0, 0.0, 16.0, 0.0, 0.0, 0.0, 0.0]);

    // Two more filters, of which one sends back what a relu lets through, and the other, -1 (8) + 10 = 2, what it does
    // not: this is where the pattern is no gradient.
    let model = || model().add(Conv2d::new(1, 2, 1)).add(Relu);
    states.insert("layers.3.weight".into(), tensor(&[2, 1, 1, 1], &[0.5, -1.0]));
    states.insert("layers.3.bias".into(), tensor(&[2], &[1.0, 10.0]));
    let [features, pattern] = deconvolve(&model(), "layers.4", &x, &[0], &states);
    assert_eq!(features, [5.0, 2.0]);
    assert_eq!(pattern, [0.0, 2.5, -2.5, 0.0, 5.0, 0.0, 0.0, 0.0, 0.0]);
    for no_pattern in [1, 2, -1] {
        assert_eq!(deconvolve(&model(), "layers.4", &x, &[no_pattern], &states)[1], [0.0; 9]);
    }
}

/// Rows choose their own feature maps, and of equal activations the first one counts.
#[test]
fn each_row_has_the_first_of_the_strongest_activations_in_its_own_map() {
    let model = Sequential::new().add(Conv2d::new(1, 2, 1).without_bias());
    let states = BTreeMap::from([("layers.0.weight".into(), tensor(&[2, 1, 1, 1], &[2.0, -3.0]))]);
    let x = tensor(&[2, 1, 1, 3], &[1.0, 4.0, 4.0, -1.0, -2.0, 0.5]);
    let [_, pattern] = deconvolve(&model, "layers.0", &x, &[0, 1], &states);
    assert_eq!(pattern, [0.0, 16.0, 0.0, 0.0, -18.0, 0.0]);
}

/// The second convolution of LeNet, with its way back written out layer by layer.
#[test]
fn patterns_of_lenet_are_those_of_its_transposed_layers() {
    let x = draw(&[2, 1, 16, 16], 1);
    let f32_type = Type::new(DType::F32, x.shape().clone());
    let x = Tensor::from_fn(&f32_type, |i| Scalar::from_f64(DType::F32, x.get(i).as_f64()));
    let map = 5;
    let [features, pattern] = deconvolve(&LeNet::new(10), "relu2", &x, &[map; 2], &BTreeMap::new());

    let mut cx = Context::new("by_hand");
    let image = cx.input("x", DType::F32, x.shape().clone()).unwrap();
    let seed = cx.input("seed", DType::F32, [2, 16, 4, 4]).unwrap();
    let pool = PoolOptions::new(&[2, 2], &[2, 2]);
    let conv1 =
        Conv2d::new(1, 6, 5).padding(2).weight_init(nn::init::he_uniform(25)).bias_init(nn::init::zeros());
    let filtered = cx.layer("conv1", &conv1, image).unwrap();
    let rectified = cx.relu(filtered).unwrap();
    let [pooled, indices] = max_pool(&mut cx, rectified, &pool).unwrap();
    let conv2 = Conv2d::new(6, 16, 5).weight_init(nn::init::he_uniform(150)).bias_init(nn::init::zeros());
    cx.layer("conv2", &conv2, pooled).unwrap();
    let [first, second] = ["conv1.weight", "conv2.weight"]
        .map(|name| cx.parameters().iter().find(|parameter| parameter.name == name).unwrap().value);
    let y = conv_transpose(&mut cx, seed, second, &ConvOptions::new(2), &[0, 0]).unwrap();
    let y = max_unpool(&mut cx, y, indices, &pool, &[16, 16]).unwrap();
    let y = cx.relu(y).unwrap();
    let padded = ConvOptions { padding: Padding::even(&[2, 2]), ..ConvOptions::new(2) };
    let y = conv_transpose(&mut cx, y, first, &padded, &[0, 0]).unwrap();
    cx.output("pattern", y).unwrap();

    // 16 maps of 4 by 4 in a row; the strongest activation of map 5 alone.
    let mut strongest = vec![0.0f32; features.len()];
    for row in 0..2 {
        let map = (row * 16 + map as usize) * 16..(row * 16 + map as usize + 1) * 16;
        let at = map.max_by(|&a, &b| features[a].total_cmp(&features[b])).unwrap();
        strongest[at] = features[at] as f32;
        assert!(strongest[at] > 0.0, "the map of row {row} is not all 0");
    }
    let inputs = [("x", x), ("seed", tensor(&[2, 16, 4, 4], &strongest))];
    let expected = floats(&run(&cx.finish(), &inputs, &BTreeMap::new()).outputs["pattern"]);
    assert!(expected.iter().any(|&element| element != 0.0));
    // Sums of f32 in another order.
    for (found, expected) in pattern.iter().zip(&expected) {
        assert!((found - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "{found} and {expected}");
    }
}

#[test]
fn layers_of_all_models_have_patterns() {
    let (photograph, board) = ([3, 224, 224], [17, 19, 19]);
    let normalised = Vgg { batch_norm: true, ..Vgg::vgg11(10) };
    let cases: [(&dyn Layer, &str, &str); 8] = [
        (&AlexNet::new(10), "features.0", "f32[1, 64, 55, 55]"),
        (&AlexNet::new(10), "features.12", "f32[1, 256, 6, 6]"),
        (&Vgg::vgg16(10), "features.29", "f32[1, 512, 14, 14]"),
        (&normalised, "features", "f32[1, 512, 7, 7]"),
        (&LeNet::new(10), "", "f32[1, 10]"),
        (&ResNet::resnet18(10), "layer2.0.downsample.1", "f32[1, 128, 28, 28]"),
        (&ResNet::resnet50(10), "layer4.2.bn3", "f32[1, 2048, 7, 7]"),
        (&ResNet::small(3, 10), "", "f32[1, 10]"),
    ];
    for (model, layer, features) in cases {
        check(model, photograph, layer, features);
    }
    let go = Policy(AlphaGoZero { blocks: 2, channels: 8 });
    for (layer, features) in
        [("blocks.1", "f32[1, 8, 19, 19]"), ("value.0", "f32[1, 1, 19, 19]"), ("", "f32[1, 362]")]
    {
        check(&go, board, layer, features);
    }
}

/// Asserts that features of this type send back an image.
fn check(model: &dyn Layer, row: [usize; 3], layer: &str, features: &str) {
    let network = Supervised::new(row, model, Loss::SquaredError);
    let graph = deconvolution_graph("model", &network, 1, layer).unwrap();
    let image = graph.ty(Value::new(graph.find("x").unwrap(), 0)).to_string();
    let types: Vec<String> = graph.outputs.iter().map(|output| graph.ty(output.value).to_string()).collect();
    assert_eq!(types, [features, &image], "{} {layer}", model.description());
    assert!(passes::autodiff::autodiff(&graph).is_ok());
}

/// AlphaGo Zero's network with its first result.
struct Policy(AlphaGoZero);

impl Layer for Policy {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        Ok(self.0.forward(cx, x)?[0])
    }
}

#[test]
fn layers_without_a_pattern_are_errors_that_name_them() {
    let problem = |model: &dyn Layer, layer: &str| {
        let network = Supervised::new([3, 32, 32], model, Loss::SquaredError);
        deconvolution_graph("model", &network, 1, layer).unwrap_err().to_string()
    };
    assert_eq!(
        problem(&LeNet::new(10), "conv3"),
        "conv3: the model has no layer of this name; did you mean `conv1`? the layers are conv1, relu1, pool1, conv2, relu2, pool2, flatten, fc1, \
         relu3, fc2, relu4, fc3"
    );
    assert_eq!(
        problem(&Sequential::new().add(Row), "layers.0"),
        "layers.0: it gives f32[3072]; choose a layer that gives [rows, maps, ..]"
    );
}

/// All elements of a batch.
struct Row;

impl Layer for Row {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        let elements = cx.shape(x).elements();
        cx.reshape(x, [elements])
    }
}
