//! Convolutions that make images of codes, and that judge them: DCGAN's networks, and the parts of BigGAN's at the size of digits.

use ir::{Error, Init, Shape, Value};

use crate::models::features;
use crate::{
    Activation, BatchNorm, ConditionalBatchNorm, Context, Conv2d, ConvTranspose2d, Embedding, Flatten, Layer,
    Linear, Relu,
};

/// A filter and its stride: each convolution halves a side, each transposed one doubles it.
const KERNEL: usize = 4;
const STRIDE: usize = 2;
/// The slope of what follows convolutions of a discriminator.
const SLOPE: f64 = 0.2;
/// The deviation of initial weights in DCGAN's paper, section 4.
const DEVIATION: f64 = 0.02;

/// An image, `f32[rows, ..image]`, of values, `f32[rows, inputs]`: a dense layer to a small image of many channels, then transposed
/// convolutions that double its sides, with batch normalisation and relu before each (A. Radford, L. Metz and S. Chintala,
/// "Unsupervised representation learning with deep convolutional generative adversarial networks", 2016, figure 1). What is beyond
/// the sides of the image is cut off.
///
/// Where it has classes, those of rows are the context's: an embedding stands beside the values, and weight and bias of each normalisation
/// are those of the class (A. Brock, J. Donahue and K. Simonyan, "Large scale GAN training for high fidelity natural image synthesis",
/// 2019, section 3).
///
/// ```
/// use nn::{Context, Layer, models::gan::ConvGenerator};
/// let mut cx = Context::training("generator");
/// let z = cx.input("z", ir::DType::F32, [16, 32])?;
/// let made = ConvGenerator::new([1, 28, 28], &[32, 64]).forward(&mut cx, z)?;
/// assert_eq!(cx.ty(made).to_string(), "f32[16, 1, 28, 28]");
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ConvGenerator {
    /// Channels, height and width.
    pub image: [usize; 3],
    /// The channels of each scale, from the largest one on.
    pub channels: Vec<usize>,
    /// What follows the last layer.
    pub output_activation: Option<Activation>,
    /// The number of classes, and of values of the embedding of one; `None` where nothing depends on classes.
    pub classes: Option<(usize, usize)>,
}

impl ConvGenerator {
    /// For images of values from 0 to 1, without classes.
    pub fn new(image: [usize; 3], channels: &[usize]) -> ConvGenerator {
        let output_activation = Some(Activation::Sigmoid);
        ConvGenerator { image, channels: channels.to_vec(), output_activation, classes: None }
    }

    fn normalised(&self, cx: &mut Context, name: String, channels: usize, x: Value) -> Result<Value, Error> {
        match self.classes {
            Some((classes, _)) => cx.layer(name, &ConditionalBatchNorm::new(channels, classes), x),
            None => cx.layer(name, &BatchNorm::new(channels), x),
        }
    }
}

impl Layer for ConvGenerator {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        let scales = self.channels.len();
        let [channels, height, width] = self.image;
        let mut x = x;
        if let Some((classes, features)) = self.classes {
            let labels = labels(cx)?;
            let embedded = cx.layer("labels", &Embedding::new(classes, features), labels)?;
            x = cx.concat(&[x, embedded], 1)?;
        }
        let [rows, inputs] = [0, 1].map(|axis| cx.shape(x).get(axis).copied().unwrap_or(1));
        let first = self.channels.last().copied().unwrap_or(channels);
        let small = [height, width].map(|side| side.div_ceil(1 << scales));
        let dense = Linear::new(inputs, first * small[0] * small[1]).weight_init(weights());
        x = cx.layer("fc", &dense, x)?;
        x = cx.reshape(x, [rows, first, small[0], small[1]])?;
        for scale in (0..scales).rev() {
            let inputs = self.channels[scale];
            x = self.normalised(cx, format!("bn{}", scales - scale), inputs, x)?;
            x = cx.layer(format!("relu{}", scales - scale), &Relu, x)?;
            let outputs = if scale == 0 { channels } else { self.channels[scale - 1] };
            let up = ConvTranspose2d::new(inputs, outputs, KERNEL).stride(STRIDE).padding(1);
            x = cx.layer(format!("up{}", scales - scale), &up.weight_init(weights()), x)?;
        }
        x = cx.slice(x, &[0; 4], &[rows, channels, height, width], &[1; 4])?;
        match self.output_activation {
            Some(activation) => activation.apply(cx, x),
            None => Ok(x),
        }
    }

    fn description(&self) -> String {
        format!("ConvGenerator {} of {:?}", Shape::from(&self.image[..]), self.channels)
    }
}

/// Scores `f32[rows, 1]` of images, `f32[rows, channels, height, width]`: convolutions that halve the sides, with leaky relu, then a dense
/// layer (DCGAN's discriminator; see [`ConvGenerator`]).
///
/// Where it has classes, the score has `<embedding of the class, features>` added: T. Miyato and M. Koyama, "cGANs with projection
/// discriminator", 2018, equation 3.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvDiscriminator {
    /// The channels of each scale, from the largest one on.
    pub channels: Vec<usize>,
    /// Whether values are normalised over the batch after each convolution but the first.
    pub batch_norm: bool,
    /// The number of classes; `None` where nothing depends on them.
    pub classes: Option<usize>,
}

impl ConvDiscriminator {
    /// With batch normalisation, without classes.
    pub fn new(channels: &[usize]) -> ConvDiscriminator {
        ConvDiscriminator { channels: channels.to_vec(), batch_norm: true, classes: None }
    }
}

impl Layer for ConvDiscriminator {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        let mut x = x;
        for (number, &outputs) in (1..).zip(&self.channels) {
            let inputs = cx.shape(x).get(1).copied().unwrap_or(1);
            let conv = Conv2d::new(inputs, outputs, KERNEL).stride(STRIDE).padding(1);
            x = cx.layer(format!("conv{number}"), &conv.weight_init(weights()), x)?;
            if self.batch_norm && number > 1 {
                x = cx.layer(format!("bn{number}"), &BatchNorm::new(outputs), x)?;
            }
            x = cx.layer(format!("relu{number}"), &Activation::LeakyRelu { slope: SLOPE }, x)?;
        }
        x = cx.layer("flatten", &Flatten, x)?;
        let inputs = features(cx, x);
        let score = cx.layer("fc", &Linear::new(inputs, 1).weight_init(weights()), x)?;
        let Some(classes) = self.classes else { return Ok(score) };
        let labels = labels(cx)?;
        let embedded = cx.layer("projection", &Embedding::new(classes, inputs), labels)?;
        let rows = cx.shape(x)[0];
        let projected = cx.eval((embedded * x).sum(&[1]))?;
        let projected = cx.reshape(projected, [rows, 1])?;
        cx.add(score, projected)
    }

    fn description(&self) -> String {
        format!("ConvDiscriminator {:?}", self.channels)
    }
}

fn weights() -> Init {
    crate::init::normal(DEVIATION)
}

/// The classes of the rows.
fn labels(cx: &Context) -> Result<Value, Error> {
    cx.labels().ok_or_else(|| {
        let help = "build it within `cx.with_labels(labels, ..)`";
        Error::new("a network of images of classes", "there are no classes of rows", help)
    })
}
