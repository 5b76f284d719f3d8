//! Models of images: their parameters, and the images that they take.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

use nn::models::{AlexNet, AlphaGoZero, LeNet, ResNet, Vgg};
use nn::{Context, Layer};

/// The type of what a model makes of images of this shape, and its parameters with their shapes.
fn built(model: &dyn Layer, images: [usize; 4]) -> (String, Vec<(String, Vec<usize>)>) {
    let mut cx = Context::training("model");
    let x = cx.input("x", ir::DType::F32, images).unwrap();
    let y = model.forward(&mut cx, x).unwrap();
    let parameters =
        cx.parameters().iter().map(|parameter| (parameter.name.clone(), cx.shape(parameter.value).to_vec()));
    (cx.ty(y).to_string(), parameters.collect())
}

/// The numbers of elements that PyTorch's models have.
#[test]
fn models_have_as_many_parameters_as_pytorchs() {
    let models: [(&dyn Layer, usize); 6] = [
        (&AlexNet::new(1000), 61_100_840),
        (&Vgg::vgg11(1000), 132_863_336),
        (&Vgg::vgg16(1000), 138_357_544),
        (&ResNet::resnet18(1000), 11_689_512),
        (&ResNet::resnet34(1000), 21_797_672),
        (&ResNet::resnet50(1000), 25_557_032),
    ];
    let elements = |parameters: &[(String, Vec<usize>)]| -> usize {
        parameters.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
    };
    for (model, expected) in models {
        let (y, parameters) = built(model, [2, 3, 224, 224]);
        assert_eq!(
            (y.as_str(), elements(&parameters)),
            ("f32[2, 1000]", expected),
            "{}",
            model.description()
        );
    }
    let (y, parameters) = built(&LeNet::new(10), [2, 1, 28, 28]);
    assert_eq!((y.as_str(), elements(&parameters)), ("f32[2, 10]", 61_706));
}

#[test]
fn small_images_leave_something_to_see() {
    for size in [8, 12, 16, 28, 32] {
        for model in
            [&LeNet::new(10) as &dyn Layer, &AlexNet::new(10), &Vgg::vgg11(10), &ResNet::small(1, 10)]
        {
            let (y, _) = built(model, [3, 1, size, size]);
            assert_eq!(y, "f32[3, 10]", "{} of {size} by {size}", model.description());
        }
    }
}

#[test]
fn parameters_come_in_the_order_of_layers() {
    let names = |model: &dyn Layer, size| -> Vec<String> {
        built(model, [1, 1, size, size]).1.into_iter().map(|(name, _)| name).collect()
    };
    let layers = ["conv1", "conv2", "fc1", "fc2", "fc3"];
    let expected: Vec<String> =
        layers.iter().flat_map(|layer| [format!("{layer}.weight"), format!("{layer}.bias")]).collect();
    assert_eq!(names(&LeNet::new(10), 28), expected);
    let found = names(&ResNet::resnet18(10), 64);
    let start = found.iter().position(|name| name == "layer2.0.conv1.weight").unwrap();
    let of_layer = |name: &str| format!("layer2.0.{name}");
    let expected = [
        "conv1.weight",
        "bn1.weight",
        "bn1.bias",
        "conv2.weight",
        "bn2.weight",
        "bn2.bias",
        "downsample.0.weight",
        "downsample.1.weight",
        "downsample.1.bias",
    ];
    assert_eq!(found[start..start + expected.len()], expected.map(of_layer));
    assert_eq!(names(&AlexNet::new(10), 64)[10..12], ["classifier.1.weight", "classifier.1.bias"]);
    assert_eq!(names(&Vgg::vgg11(10), 64)[2..4], ["features.3.weight", "features.3.bias"]);
}

#[test]
fn a_plain_net_is_its_residual_twin_without_shortcuts() {
    let count = |model: &ResNet| built(model, [1, 3, 32, 32]).1.len();
    let residual = ResNet::small(3, 10);
    // Two of the three stages begin with a projection: a convolution and its normalisation.
    assert_eq!(count(&residual) - count(&residual.clone().plain()), 2 * 3);
    let convolutions = built(&residual.plain(), [1, 3, 32, 32]).1;
    assert_eq!(convolutions.iter().filter(|(_, shape)| shape.len() == 4).count(), 6 * 3 + 1);
}

/// The sizes of the paper: a policy over 19 by 19 points and the pass, and a value.
#[test]
fn the_towers_of_alphago_zero_have_two_heads() {
    for blocks in [19, 39] {
        let mut cx = Context::new("agz");
        let x = cx.input("x", ir::DType::F32, [1, 17, 19, 19]).unwrap();
        let [policy, value] = AlphaGoZero { blocks, channels: 256 }.forward(&mut cx, x).unwrap();
        assert_eq!((cx.shape(policy)[..].to_vec(), cx.shape(value)[..].to_vec()), (vec![1, 362], vec![1, 1]));
        let names: Vec<&str> = cx.parameters().iter().map(|parameter| parameter.name.as_str()).collect();
        assert_eq!(names.len(), 3 * (1 + 2 * blocks) + 5 + 7);
        assert_eq!(names[3..5], ["blocks.0.body.0.weight", "blocks.0.body.1.weight"]);
        assert_eq!(names[names.len() - 1], "value.6.bias");
    }
}

#[test]
fn the_loss_of_alphago_zero_is_that_of_its_heads() {
    let mut cx = Context::training("agz");
    let x = cx.input("x", ir::DType::F32, [2, 17, 5, 5]).unwrap();
    let heads = AlphaGoZero { blocks: 1, channels: 4 }.forward(&mut cx, x).unwrap();
    let probabilities = cx.input("p", ir::DType::F32, [2, 26]).unwrap();
    let outcome = cx.input("z", ir::DType::F32, [2, 1]).unwrap();
    let loss = AlphaGoZero::loss(&mut cx, heads, [probabilities, outcome]).unwrap();
    assert_eq!(cx.ty(loss).to_string(), "f32[]");
    let error = AlphaGoZero::loss(&mut cx, heads, [outcome, probabilities]).unwrap_err().to_string();
    assert!(
        error.starts_with("soft_cross_entropy: the prediction is f32[2, 26], the target f32[2, 1]"),
        "{error}"
    );
}
