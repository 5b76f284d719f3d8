//! Models that take images, `[channels, height, width]`. Where a model is made for photographs, it is built smaller for
//! small images: without what would leave nothing of them to see, and with dense layers of fewer values.

use ir::Shape;
use nn::Loss;
use nn::models::{AlexNet, LeNet, ResNet, Stem, Vgg};

use super::{Architecture, Body, Build, Learns, ModelOptions};
use crate::Error;

/// The side of the images that the models for photographs are made for.
const PHOTOGRAPH: usize = 224;

/// The side of the images that the model of this name is made for, where it is one for photographs.
pub(super) fn native_side(model: &str) -> Option<usize> {
    let photographs = [ALEXNET, VGG11, VGG16, RESNET18, RESNET34, RESNET50];
    photographs.iter().any(|known| known.name == model).then_some(PHOTOGRAPH)
}

/// Images with a side below this are small.
const SMALL: usize = 64;
/// The size of the hidden dense layers of AlexNet and VGG for small images; the authors', for photographs, is 4096.
const SMALL_HIDDEN: usize = 512;

/// LeNet-5.
pub const LENET: Architecture = Architecture {
    name: "lenet",
    doc: "LeNet-5 of today: two convolutions with pools, three dense layers",
    options: &[],
    defaults: "--epochs 80 --optimizer adamw --lr 0.01 --weight-decay 0.3 --augment shift",
    learns: Learns::Targets(Loss::cross_entropy()),
    row: image,
    build: |_, outputs, _| LeNet::new(outputs).into(),
    generative: None,
    sampler: None,
    game: None,
    sequences: None,
};

/// AlexNet.
pub const ALEXNET: Architecture = Architecture {
    name: "alexnet",
    doc: "AlexNet: five convolutions, three dense layers with dropout",
    options: &["dropout"],
    defaults: "--epochs 20 --lr 0.001 --augment shift --dropout 0.2",
    learns: Learns::Targets(Loss::cross_entropy()),
    row: image,
    build: |row, outputs, options| {
        let whole = AlexNet::new(outputs);
        let hidden = if is_small(row) { SMALL_HIDDEN } else { whole.hidden };
        AlexNet { hidden, dropout: options.dropout, ..whole }.into()
    },
    generative: None,
    sampler: None,
    game: None,
    sequences: None,
};

/// Configuration A of VGG.
pub const VGG11: Architecture = vgg_row(
    "vgg11",
    "VGG A: eight 3x3 convolutions, three dense layers with dropout",
    |row, outputs, options| vgg(row, Vgg::vgg11(outputs), options),
);

/// Configuration D of VGG.
pub const VGG16: Architecture = vgg_row(
    "vgg16",
    "VGG D: thirteen 3x3 convolutions, three dense layers with dropout",
    |row, outputs, options| vgg(row, Vgg::vgg16(outputs), options),
);

/// The residual network of 18 layers.
pub const RESNET18: Architecture = resnet_row(
    "resnet18",
    "a residual network of 18 layers, in four stages of 64 to 512 channels",
    |row, outputs, _| resnet(row, ResNet::resnet18(outputs)),
);

/// The residual network of 34 layers.
pub const RESNET34: Architecture = resnet_row(
    "resnet34",
    "a residual network of 34 layers, in four stages of 64 to 512 channels",
    |row, outputs, _| resnet(row, ResNet::resnet34(outputs)),
);

/// The residual network of 50 layers.
pub const RESNET50: Architecture = resnet_row(
    "resnet50",
    "a residual network of 50 layers, in four stages of bottlenecks",
    |row, outputs, _| resnet(row, ResNet::resnet50(outputs)),
);

/// The residual network of 8 layers for small images.
pub const RESNET8: Architecture = resnet_row(
    "resnet8",
    "a residual network of 8 layers for small images, in three stages of 16 to 64 channels",
    |_, outputs, _| ResNet::small(1, outputs).into(),
);

/// The residual network of 20 layers for small images.
pub const RESNET20: Architecture = resnet_row(
    "resnet20",
    "a residual network of 20 layers for small images, in three stages of 16 to 64 channels",
    |_, outputs, _| ResNet::small(3, outputs).into(),
);

/// A row of VGG.
const fn vgg_row(name: &'static str, doc: &'static str, build: Build) -> Architecture {
    Architecture {
        name,
        doc,
        options: &["dropout", "batch-norm"],
        defaults: "--epochs 10 --lr 0.0005 --augment shift --dropout 0.5 --batch-norm",
        learns: Learns::Targets(Loss::cross_entropy()),
        row: image,
        build,
        generative: None,
        sampler: None,
        game: None,
        sequences: None,
    }
}

/// A row of a residual network.
const fn resnet_row(name: &'static str, doc: &'static str, build: Build) -> Architecture {
    Architecture {
        name,
        doc,
        options: &[],
        defaults: "--epochs 10 --lr 0.003 --augment shift",
        learns: Learns::Targets(Loss::cross_entropy()),
        row: image,
        build,
        generative: None,
        sampler: None,
        game: None,
        sequences: None,
    }
}

fn vgg(row: &Shape, whole: Vgg, options: &ModelOptions) -> Body {
    let hidden = if is_small(row) { SMALL_HIDDEN } else { whole.hidden };
    Vgg { hidden, dropout: options.dropout, batch_norm: options.batch_norm, ..whole }.into()
}

/// A residual network that sees small images through 3 by 3 at first, without a pool.
fn resnet(row: &Shape, whole: ResNet) -> Body {
    let stem = if is_small(row) { Stem::Small } else { whole.stem };
    ResNet { stem, ..whole }.into()
}

fn is_small(row: &Shape) -> bool {
    row.iter().skip(1).any(|&side| side < SMALL)
}

/// The row itself where it is an image; one without an axis of channels has one channel.
pub(super) fn image(model: &str, row: &Shape) -> Result<Shape, Error> {
    match row[..] {
        [height, width] => Ok([1, height, width].into()),
        [_, _, _] => Ok(row.clone()),
        _ => {
            let problem = format!("rows are of {row}, the model takes images of [channels, height, width]");
            Err(Error::invalid(model, problem, "give images, or choose a model of vectors, such as mlp"))
        }
    }
}
