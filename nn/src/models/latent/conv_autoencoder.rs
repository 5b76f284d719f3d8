//! Autoencoders of images.

use ir::{DType, Error, Value};

use super::autoencoder::{dense, outputs, reconstruction};
use crate::supervised::ROWS;
use crate::{
    Context, Conv2d, ConvTranspose2d, Corruption, Generative, Layer, Loss, Network, Nonlinearity, Outputs,
};

/// The extent of filters along each axis.
const TAPS: usize = 3;

/// An autoencoder of images of any size: convolutions that halve the sides of an image (an odd one rounded up) and a dense layer that
/// makes a code of what is left; a dense layer and transposed convolutions that go the same way back (J. Masci et al., "Stacked
/// convolutional auto-encoders for hierarchical feature extraction", 2011, with strides in the place of pools).
///
/// Its input is `x`, `[rows, channels, height, width]`; its results are `reconstruction`, of the same type, and `code`, `[rows, code]`. Loss
/// and metric are those of an [`Autoencoder`](super::Autoencoder) without penalties. Layers are `encoder.conv1`, .., `encoder.code`,
/// `decoder.fc` and `decoder.conv1`, .. in the order in which they are applied, with `act1`, .. after all but `encoder.code` and the last.
///
/// ```
/// use nn::models::ConvAutoencoder;
/// use nn::{Activation, network::inference_graph};
/// let network = ConvAutoencoder::new([1, 7, 10], &[8, 16], 4, Activation::Relu);
/// let graph = inference_graph("images", &network, 2)?;
/// let types: Vec<String> = graph.outputs.iter().map(|output| graph.ty(output.value).to_string()).collect();
/// assert_eq!(types, ["f32[2, 1, 7, 10]", "f32[2, 4]"]);
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ConvAutoencoder {
    /// Channels, height and width of an image.
    pub image: [usize; 3],
    /// The channels that each convolution of the encoder makes; the decoder has the same, backwards.
    pub channels: Vec<usize>,
    /// The number of values of a code.
    pub code: usize,
    /// What follows hidden layers.
    pub activation: Nonlinearity,
    /// How far a reconstruction is from its image, as of [`Autoencoder`](super::Autoencoder::loss).
    pub loss: Loss,
    /// What is done to images in training, which are to be told as they were before.
    pub noise: Corruption,
}

impl ConvAutoencoder {
    /// With squared error, and nothing done to images.
    pub fn new(
        image: [usize; 3],
        channels: &[usize],
        code: usize,
        activation: impl Into<Nonlinearity>,
    ) -> ConvAutoencoder {
        let (channels, activation) = (channels.to_vec(), activation.into());
        let (loss, noise) = (Loss::SquaredError, Corruption::None);
        ConvAutoencoder { image, channels, code, activation, loss, noise }
    }

    /// Channels, height and width before each convolution of the encoder, and after the last.
    fn images(&self) -> Vec<[usize; 3]> {
        let halved = |&[_, height, width]: &[usize; 3], &channels: &usize| {
            [channels, height.div_ceil(2), width.div_ceil(2)]
        };
        let mut images = vec![self.image];
        for channels in &self.channels {
            images.push(halved(&images[images.len() - 1], channels));
        }
        images
    }

    /// The code of images, `[rows, code]`.
    ///
    /// # Errors
    /// Where images are of another size.
    pub fn encode(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        let rows = cx.shape(x).first().copied().unwrap_or(0);
        cx.scope("encoder", |cx| {
            let x = self.images().windows(2).zip(1..).try_fold(x, |x, (pair, number)| {
                let layer = Conv2d::new(pair[0][0], pair[1][0], TAPS).stride(2).padding(TAPS / 2);
                let y = cx.layer(format!("conv{number}"), &layer, x)?;
                cx.layer(format!("act{number}"), &self.activation, y)
            })?;
            let values = cx.shape(x)[1..].iter().product();
            let x = cx.reshape(x, [rows, values])?;
            cx.layer("code", &dense(values, self.code), x)
        })
    }

    /// What the decoder makes of codes, `[rows, channels, height, width]`: of values from 0 to 1 their logits.
    ///
    /// # Errors
    /// Where codes are of another size.
    pub fn decode(&self, cx: &mut Context, code: Value) -> Result<Value, Error> {
        let rows = cx.shape(code).first().copied().unwrap_or(0);
        let images = self.images();
        let [channels, height, width] = images[images.len() - 1];
        cx.scope("decoder", |cx| {
            let x = cx.layer("fc", &dense(self.code, channels * height * width), code)?;
            let x = cx.reshape(x, [rows, channels, height, width])?;
            images.windows(2).rev().zip(1..).try_fold(x, |x, (pair, number)| {
                let x = cx.layer(format!("act{number}"), &self.activation, x)?;
                // A side of n was made of 2 n or of 2 n - 1.
                let [to, height, width] = pair[0];
                let even = [height, width].map(|side| usize::from(side.is_multiple_of(2)));
                let layer = ConvTranspose2d::new(pair[1][0], to, TAPS).stride(2).padding(TAPS / 2);
                cx.layer(format!("conv{number}"), &layer.output_padding_of(even), x)
            })
        })
    }
}

impl Network for ConvAutoencoder {
    fn build(&self, cx: &mut Context, rows: usize) -> Result<Outputs, Error> {
        let [channels, height, width] = self.image;
        let x = cx.input(ROWS, DType::F32, [rows, channels, height, width])?;
        let seen = self.noise.forward(cx, x)?;
        let code = self.encode(cx, seen)?;
        let decoded = self.decode(cx, code)?;
        outputs(cx, &self.loss, x, [code, decoded])
    }
}

impl Generative for ConvAutoencoder {
    fn code_size(&self) -> usize {
        self.code
    }

    fn has_prior(&self) -> bool {
        false
    }

    fn generate(&self, cx: &mut Context, code: Value) -> Result<Value, Error> {
        let decoded = self.decode(cx, code)?;
        reconstruction(cx, &self.loss, decoded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Activation;
    use crate::network::{evaluation_graph, generating_graph};

    #[test]
    fn images_of_any_size_come_back_in_their_size() {
        for image in [[1, 1, 1], [1, 2, 1], [3, 5, 8], [2, 13, 7], [1, 28, 28]] {
            for channels in [&[][..], &[2], &[2, 3, 5]] {
                let network = ConvAutoencoder::new(image, channels, 4, Activation::Relu);
                let graph = evaluation_graph("images", &network, 3).unwrap();
                let [channels, height, width] = image;
                let result = graph.ty(graph.outputs[0].value).to_string();
                assert_eq!(result, format!("f32[3, {channels}, {height}, {width}]"));
                let made = generating_graph("images", &network, 3).unwrap();
                assert_eq!(made.ty(made.outputs[0].value).to_string(), result);
            }
        }
    }
}
