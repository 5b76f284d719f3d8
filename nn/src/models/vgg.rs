//! VGG.

use ir::{Error, Value};

use super::{channels, features};
use crate::{BatchNorm, Context, Conv2d, Dropout, Flatten, Layer, Linear, MaxPool2d, Relu, Sequential, init};

/// Blocks of 3 by 3 convolutions with a 2 by 2 pool after each, and three dense layers (K. Simonyan and A. Zisserman,
/// "Very deep convolutional networks for large-scale image recognition", 2015), named as PyTorch names them:
/// `features.0` .., `classifier.0`, `classifier.3`, `classifier.6`. A pool is left out where the image has come down to
/// one row or column.
///
/// ```
/// use nn::{Context, Layer, models::Vgg};
/// let mut cx = Context::new("vgg16");
/// let x = cx.input("x", ir::DType::F32, [1, 3, 224, 224])?;
/// let logits = Vgg::vgg16(1000).forward(&mut cx, x)?;
/// assert_eq!(cx.ty(logits).to_string(), "f32[1, 1000]");
/// assert_eq!(cx.parameters().len(), 2 * 16);
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Vgg {
    /// The output channels of the convolutions of each block.
    pub blocks: Vec<Vec<usize>>,
    /// The size of the hidden dense layers.
    pub hidden: usize,
    /// The number of logits.
    pub classes: usize,
    /// The part of the values after each hidden dense layer that is dropped in training.
    pub dropout: f64,
    /// Whether each convolution is followed by batch normalisation, as its authors did not have it; it has no bias
    /// then.
    pub batch_norm: bool,
}

impl Vgg {
    /// Configuration A of the paper: eight convolutions.
    pub fn vgg11(classes: usize) -> Vgg {
        Vgg::new(&[&[64], &[128], &[256; 2], &[512; 2], &[512; 2]], classes)
    }

    /// Configuration D: thirteen convolutions.
    pub fn vgg16(classes: usize) -> Vgg {
        Vgg::new(&[&[64; 2], &[128; 2], &[256; 3], &[512; 3], &[512; 3]], classes)
    }

    /// With hidden layers of 4096, a dropout of one half, no batch normalisation.
    pub fn new(blocks: &[&[usize]], classes: usize) -> Vgg {
        let blocks = blocks.iter().map(|block| block.to_vec()).collect();
        Vgg { blocks, hidden: 4096, classes, dropout: 0.5, batch_norm: false }
    }

    fn features(&self, cx: &Context, x: Value) -> Sequential {
        let mut size = cx.shape(x).iter().skip(2).min().copied().unwrap_or(0);
        let mut inputs = channels(cx, x);
        let mut layers = Sequential::new();
        for block in &self.blocks {
            for &out in block {
                let conv = Conv2d::new(inputs, out, 3).padding(1);
                let init = init::he_uniform(conv.fan_in());
                let conv = conv.weight_init(init);
                layers = match self.batch_norm {
                    true => layers.add(conv.without_bias()).add(BatchNorm::new(out)),
                    false => layers.add(conv.bias_init(init::zeros())),
                };
                layers = layers.add(Relu);
                inputs = out;
            }
            if size >= 2 {
                layers = layers.add(MaxPool2d::new(2));
                size /= 2;
            }
        }
        layers
    }
}

impl Layer for Vgg {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        let layers = self.features(cx, x);
        let x = cx.layer("features", &layers, x)?;
        let x = cx.layer("flatten", &Flatten, x)?;
        let dense = |inputs: usize, outputs: usize| {
            Linear::new(inputs, outputs).weight_init(init::he_uniform(inputs)).bias_init(init::zeros())
        };
        let classifier = Sequential::new()
            .add(dense(features(cx, x), self.hidden))
            .add(Relu)
            .add(Dropout::new(self.dropout))
            .add(dense(self.hidden, self.hidden))
            .add(Relu)
            .add(Dropout::new(self.dropout))
            .add(dense(self.hidden, self.classes));
        cx.layer("classifier", &classifier, x)
    }
}
