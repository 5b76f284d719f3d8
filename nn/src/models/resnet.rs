//! Residual networks, and the plain networks that they were made from.

use ir::{Error, Value};

use super::{channels, features};
use crate::{AdaptiveAvgPool2d, BatchNorm, Context, Conv2d, Flatten, Layer, Linear, MaxPool2d, init};

/// Stages of blocks of convolutions, each convolution with batch normalisation, and a shortcut around each block (K. He
/// et al., "Deep residual learning for image recognition", 2016), named as PyTorch names them: `conv1`, `bn1`,
/// `layer1.0.conv1`, .., `fc`. Every stage but the first halves the image, in its first 3 by 3 convolution, and doubles
/// the channels; there, and where else the shape changes, the shortcut is a projection.
///
/// ```
/// use nn::{Context, Layer, models::ResNet};
/// let mut cx = Context::new("resnet18");
/// let x = cx.input("x", ir::DType::F32, [1, 3, 224, 224])?;
/// let logits = ResNet::resnet18(1000).forward(&mut cx, x)?;
/// assert_eq!(cx.ty(logits).to_string(), "f32[1, 1000]");
/// assert_eq!(cx.parameters()[3].name, "layer1.0.conv1.weight");
/// let elements: usize = cx.parameters().iter().map(|parameter| cx.shape(parameter.value).elements()).sum();
/// assert_eq!(elements, 11_689_512);
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResNet {
    /// The number of blocks of each stage.
    pub stages: Vec<usize>,
    /// The channels of the first stage.
    pub width: usize,
    /// What a block is.
    pub block: Block,
    /// What comes before the first stage.
    pub stem: Stem,
    /// Whether there are shortcuts.
    pub has_shortcuts: bool,
    /// The number of logits.
    pub classes: usize,
}

/// What a block of a [`ResNet`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Two 3 by 3 convolutions.
    Basic,
    /// 1 by 1, 3 by 3, 1 by 1, the last with four times as many channels.
    Bottleneck,
}

/// What comes before the first stage of a [`ResNet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stem {
    /// 7 by 7 and a pool, each of which halves the image: for photographs.
    Large,
    /// 3 by 3: for small images.
    Small,
}

impl ResNet {
    /// 18 layers.
    pub fn resnet18(classes: usize) -> ResNet {
        ResNet::large(&[2, 2, 2, 2], Block::Basic, classes)
    }

    /// 34 layers.
    pub fn resnet34(classes: usize) -> ResNet {
        ResNet::large(&[3, 4, 6, 3], Block::Basic, classes)
    }

    /// 50 layers, with the stride in the 3 by 3 convolution of a block, as PyTorch has it.
    pub fn resnet50(classes: usize) -> ResNet {
        ResNet::large(&[3, 4, 6, 3], Block::Bottleneck, classes)
    }

    /// `6 blocks + 2` layers for small images (section 4.2 of the paper): three stages of so many blocks, of 16, 32 and
    /// 64 channels.
    pub fn small(blocks: usize, classes: usize) -> ResNet {
        let (block, stem) = (Block::Basic, Stem::Small);
        ResNet { stages: vec![blocks; 3], width: 16, block, stem, has_shortcuts: true, classes }
    }

    /// The same layers without shortcuts, to compare with.
    pub fn plain(self) -> ResNet {
        ResNet { has_shortcuts: false, ..self }
    }

    fn large(stages: &[usize], block: Block, classes: usize) -> ResNet {
        ResNet { stages: stages.to_vec(), width: 64, block, stem: Stem::Large, has_shortcuts: true, classes }
    }

    /// A block of `out` channels (of a bottleneck, a quarter of those that it gives).
    fn block(&self, cx: &mut Context, x: Value, out: usize, stride: usize) -> Result<Value, Error> {
        // (channels, kernel, stride)
        let convolutions = match self.block {
            Block::Basic => vec![(out, 3, stride), (out, 3, 1)],
            Block::Bottleneck => vec![(out, 1, 1), (out, 3, stride), (4 * out, 1, 1)],
        };
        let mut y = x;
        for (number, &(out, kernel, stride)) in (1..).zip(&convolutions) {
            y = normalised(cx, [&format!("conv{number}"), &format!("bn{number}")], y, (out, kernel, stride))?;
            if number < convolutions.len() {
                y = cx.relu(y)?;
            }
        }
        if self.has_shortcuts {
            let mut shortcut = x;
            if cx.ty(y) != cx.ty(x) {
                let out = channels(cx, y);
                shortcut = cx.scope("downsample", |cx| normalised(cx, ["0", "1"], x, (out, 1, stride)))?;
            }
            y = cx.add(y, shortcut)?;
        }
        cx.relu(y)
    }
}

/// A convolution without a bias that keeps the size but for its stride, and batch normalisation.
fn normalised(
    cx: &mut Context,
    names: [&str; 2],
    x: Value,
    (out, kernel, stride): (usize, usize, usize),
) -> Result<Value, Error> {
    let conv = Conv2d::new(channels(cx, x), out, kernel).stride(stride).padding(kernel / 2).without_bias();
    let init = init::he_normal(conv.fan_in());
    let y = cx.layer(names[0], &conv.weight_init(init), x)?;
    cx.layer(names[1], &BatchNorm::new(out), y)
}

impl Layer for ResNet {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        let (kernel, stride) = match self.stem {
            Stem::Large => (7, 2),
            Stem::Small => (3, 1),
        };
        let mut x = normalised(cx, ["conv1", "bn1"], x, (self.width, kernel, stride))?;
        x = cx.relu(x)?;
        if self.stem == Stem::Large {
            x = cx.layer("maxpool", &MaxPool2d::new(3).stride(2).padding(1), x)?;
        }
        for (stage, &blocks) in self.stages.iter().enumerate() {
            for block in 0..blocks {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                let name = format!("layer{}.{block}", stage + 1);
                x = cx.scope(name, |cx| self.block(cx, x, self.width << stage, stride))?;
            }
        }
        x = cx.layer("avgpool", &AdaptiveAvgPool2d::new(1), x)?;
        x = cx.layer("flatten", &Flatten, x)?;
        let inputs = features(cx, x);
        cx.layer("fc", &Linear::new(inputs, self.classes), x)
    }
}
