//! AlexNet.

use ir::{Error, Value};

use super::{channels, features};
use crate::{Context, Conv2d, Dropout, Flatten, Layer, Linear, MaxPool2d, Relu, Sequential, init};

/// Five convolutions and three dense layers (A. Krizhevsky et al., "ImageNet classification with deep convolutional
/// neural networks", 2012), in the form of A. Krizhevsky, "One weird trick for parallelizing convolutional neural
/// networks", 2014, without normalisation, which is also PyTorch's: `features.0` .. `features.10`, `classifier.1`,
/// `classifier.4`, `classifier.6`.
///
/// ```
/// use nn::{Context, Layer, models::AlexNet};
/// let mut cx = Context::new("alexnet");
/// let x = cx.input("x", ir::DType::F32, [1, 3, 224, 224])?;
/// let logits = AlexNet::new(1000).forward(&mut cx, x)?;
/// assert_eq!(cx.ty(logits).to_string(), "f32[1, 1000]");
/// assert_eq!(cx.ty(cx.parameters()[10].value).to_string(), "f32[4096, 9216]"); // classifier.1.weight
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AlexNet {
    /// The number of logits.
    pub classes: usize,
    /// The size of the hidden dense layers.
    pub hidden: usize,
    /// The part of the values before the first two dense layers that is dropped in training.
    pub dropout: f64,
}

impl AlexNet {
    /// With hidden layers of 4096 and a dropout of one half.
    pub fn new(classes: usize) -> AlexNet {
        AlexNet { classes, hidden: 4096, dropout: 0.5 }
    }

    /// The five convolutions. Of images below 64 by 64, the first sees every place through 3 by 3, and pools are left
    /// out that do not fit.
    fn features(cx: &Context, x: Value) -> Sequential {
        let mut size = cx.shape(x).iter().skip(2).min().copied().unwrap_or(0);
        let first = match size {
            64.. => (64, 11, 4, 2, true),
            _ => (64, 3, 1, 1, true),
        };
        let rest = [(192, 5, 1, 2, true), (384, 3, 1, 1, false), (256, 3, 1, 1, false), (256, 3, 1, 1, true)];
        let mut layers = Sequential::new();
        let mut inputs = channels(cx, x);
        for (out, kernel, stride, padding, is_pooled) in [first].into_iter().chain(rest) {
            let conv = Conv2d::new(inputs, out, kernel).stride(stride).padding(padding);
            let init = init::he_uniform(conv.fan_in());
            layers = layers.add(conv.weight_init(init).bias_init(init::zeros())).add(Relu);
            size = (size + 2 * padding).saturating_sub(kernel) / stride + 1;
            if is_pooled && size >= 3 {
                layers = layers.add(MaxPool2d::new(3).stride(2));
                size = (size - 3) / 2 + 1;
            }
            inputs = out;
        }
        layers
    }
}

impl Layer for AlexNet {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        let layers = AlexNet::features(cx, x);
        let x = cx.layer("features", &layers, x)?;
        let x = cx.layer("flatten", &Flatten, x)?;
        let dense = |inputs: usize, outputs: usize| {
            Linear::new(inputs, outputs).weight_init(init::he_uniform(inputs)).bias_init(init::zeros())
        };
        let classifier = Sequential::new()
            .add(Dropout::new(self.dropout))
            .add(dense(features(cx, x), self.hidden))
            .add(Relu)
            .add(Dropout::new(self.dropout))
            .add(dense(self.hidden, self.hidden))
            .add(Relu)
            .add(dense(self.hidden, self.classes));
        cx.layer("classifier", &classifier, x)
    }
}
