//! Convolutional layers.

use ir::{Error, Init, Value};

use crate::functional::{self, ConvOptions, Padding};
use crate::{Context, Layer, init};

/// A convolution along the last axis of `[batch, channels, extent]`.
pub type Conv1d = Conv<1>;
/// A convolution of images, `[batch, channels, height, width]`.
pub type Conv2d = Conv<2>;
/// A transposed convolution of images, `[batch, channels, height, width]`.
pub type ConvTranspose2d = ConvTranspose<2>;

/// A convolution over `AXES` spatial axes with a bias per output channel: [`functional::conv()`]. `weight` is
/// `[out_channels, in_channels / groups, ..]`, `bias` is `[out_channels]`.
///
/// Both start uniform on +-1/sqrt(fan_in), with fan_in = in_channels / groups * taps: PyTorch's default.
///
/// ```
/// use ir::DType;
/// use nn::{Context, Conv2d, Layer};
/// let mut cx = Context::new("features");
/// let x = cx.input("x", DType::F32, [8, 3, 32, 32])?;
/// let y = cx.layer("conv1", &Conv2d::new(3, 16, 3).stride(2).padding(1), x)?;
/// let y = cx.layer("depthwise", &Conv2d::new(16, 16, 5).same().groups(16).without_bias(), y)?;
/// assert_eq!(cx.ty(y).to_string(), "f32[8, 16, 16, 16]");
/// assert_eq!(cx.ty(cx.parameters()[2].value).to_string(), "f32[16, 1, 5, 5]");
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Conv<const AXES: usize> {
    /// The channels of the image.
    pub in_channels: usize,
    /// The channels of the result.
    pub out_channels: usize,
    /// The extents of the filters.
    pub kernel: [usize; AXES],
    /// How the filters go over the image.
    pub options: ConvOptions,
    /// How the weight starts; `None` is PyTorch's default.
    pub weight_init: Option<Init>,
    /// How the bias starts.
    pub bias: Bias,
}

/// Whether a layer has a bias, and how it starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bias {
    /// None.
    Without,
    /// Uniform as the default weights are.
    Default,
    /// This.
    Init(Init),
}

impl<const AXES: usize> Conv<AXES> {
    /// Filters of `kernel` elements along each axis, at every place within the image.
    pub fn new(in_channels: usize, out_channels: usize, kernel: usize) -> Conv<AXES> {
        let (kernel, options) = ([kernel; AXES], ConvOptions::new(AXES));
        Conv { in_channels, out_channels, kernel, options, weight_init: None, bias: Bias::Default }
    }

    /// From a place of the filters to the next, along each axis.
    pub fn stride(mut self, stride: usize) -> Conv<AXES> {
        self.options.stride = vec![stride; AXES];
        self
    }

    /// With so many zeros at each side of the image.
    pub fn padding(mut self, padding: usize) -> Conv<AXES> {
        self.options.padding = Padding::even(&[padding; AXES]);
        self
    }

    /// With as many zeros around the image as keep its size, or that over the stride: [`Padding::Same`].
    pub fn same(mut self) -> Conv<AXES> {
        self.options.padding = Padding::Same;
        self
    }

    /// From an element of the filters to the next, along each axis.
    pub fn dilation(mut self, dilation: usize) -> Conv<AXES> {
        self.options.dilation = vec![dilation; AXES];
        self
    }

    /// With the channels cut into so many groups, each with its own filters.
    pub fn groups(mut self, groups: usize) -> Conv<AXES> {
        self.options.groups = groups;
        self
    }

    /// With a weight that starts so. The stream of a random init is chosen by the context.
    pub fn weight_init(self, init: Init) -> Conv<AXES> {
        Conv { weight_init: Some(init), ..self }
    }

    /// With a bias that starts so.
    pub fn bias_init(self, init: Init) -> Conv<AXES> {
        Conv { bias: Bias::Init(init), ..self }
    }

    /// Without a bias.
    pub fn without_bias(self) -> Conv<AXES> {
        Conv { bias: Bias::Without, ..self }
    }

    /// The number of elements that go into one of the result.
    pub fn fan_in(&self) -> usize {
        self.in_channels / self.options.groups.max(1) * self.kernel.iter().product::<usize>()
    }

    /// The name of the layer at the scope that is open.
    fn subject(&self, cx: &Context) -> String {
        format!("conv{AXES}d {}", cx.scoped("weight"))
    }
}

impl<const AXES: usize> Layer for Conv<AXES> {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        let Conv { in_channels, out_channels, options, .. } = self;
        let subject = self.subject(cx);
        check_image::<AXES>(cx, &subject, x, *in_channels)?;
        check_groups(&subject, [*in_channels, *out_channels], options.groups)?;
        let shape = [&[*out_channels, in_channels / options.groups], &self.kernel[..]].concat();
        let default = init::uniform(1.0 / (self.fan_in().max(1) as f64).sqrt());
        let weight = cx.parameter("weight", shape.as_slice(), self.weight_init.unwrap_or(default))?;
        let bias = bias(cx, self.bias, default, *out_channels)?;
        let y = functional::conv(cx, x, weight, options).map_err(|error| Error { subject, ..error })?;
        add_bias::<AXES>(cx, y, bias)
    }

    fn description(&self) -> String {
        let sides: Vec<String> = self.kernel.iter().map(usize::to_string).collect();
        format!("Conv{AXES}d {} -> {}, {}", self.in_channels, self.out_channels, sides.join("x"))
    }
}

/// A transposed convolution over `AXES` spatial axes with a bias per output channel: [`functional::conv_transpose`].
/// `weight` is `[in_channels, out_channels / groups, ..]`, `bias` is `[out_channels]`.
///
/// Both start uniform on +-1/sqrt(out_channels / groups * taps), PyTorch's default.
///
/// ```
/// use nn::{Context, ConvTranspose2d, Layer};
/// let mut cx = Context::new("decoder");
/// let x = cx.input("x", ir::DType::F32, [8, 64, 7, 7])?;
/// let y = ConvTranspose2d::new(64, 32, 4).stride(2).padding(1).forward(&mut cx, x)?;
/// assert_eq!(cx.ty(y).to_string(), "f32[8, 32, 14, 14]");
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ConvTranspose<const AXES: usize> {
    /// The convolution whose gradient it is, from `out_channels` to `in_channels`, but for the order of channels in the weight.
    conv: Conv<AXES>,
    /// How many elements more the result has at the end of each axis, below the stride.
    output_padding: [usize; AXES],
}

impl<const AXES: usize> ConvTranspose<AXES> {
    /// Filters of `kernel` elements along each axis, one after the other.
    pub fn new(in_channels: usize, out_channels: usize, kernel: usize) -> ConvTranspose<AXES> {
        ConvTranspose { conv: Conv::new(in_channels, out_channels, kernel), output_padding: [0; AXES] }
    }

    /// From the place of a filter to the next in the result, along each axis.
    pub fn stride(self, stride: usize) -> ConvTranspose<AXES> {
        ConvTranspose { conv: self.conv.stride(stride), ..self }
    }

    /// With so many elements cut off at each side of the result.
    pub fn padding(self, padding: usize) -> ConvTranspose<AXES> {
        ConvTranspose { conv: self.conv.padding(padding), ..self }
    }

    /// With so many elements more at the end of each axis, fewer than the stride.
    pub fn output_padding(self, output_padding: usize) -> ConvTranspose<AXES> {
        ConvTranspose { output_padding: [output_padding; AXES], ..self }
    }

    /// The same, of each axis another.
    pub fn output_padding_of(self, output_padding: [usize; AXES]) -> ConvTranspose<AXES> {
        ConvTranspose { output_padding, ..self }
    }

    /// From an element of the filters to the next, along each axis.
    pub fn dilation(self, dilation: usize) -> ConvTranspose<AXES> {
        ConvTranspose { conv: self.conv.dilation(dilation), ..self }
    }

    /// With the channels cut into so many groups, each with its own filters.
    pub fn groups(self, groups: usize) -> ConvTranspose<AXES> {
        ConvTranspose { conv: self.conv.groups(groups), ..self }
    }

    /// With a weight that starts so. The stream of a random init is chosen by the context.
    pub fn weight_init(self, init: Init) -> ConvTranspose<AXES> {
        ConvTranspose { conv: self.conv.weight_init(init), ..self }
    }

    /// With a bias that starts so.
    pub fn bias_init(self, init: Init) -> ConvTranspose<AXES> {
        ConvTranspose { conv: self.conv.bias_init(init), ..self }
    }

    /// Without a bias.
    pub fn without_bias(self) -> ConvTranspose<AXES> {
        ConvTranspose { conv: self.conv.without_bias(), ..self }
    }
}

impl<const AXES: usize> Layer for ConvTranspose<AXES> {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        let Conv { in_channels, out_channels, kernel, options, .. } = &self.conv;
        let subject = format!("conv_transpose{AXES}d {}", cx.scoped("weight"));
        check_image::<AXES>(cx, &subject, x, *in_channels)?;
        check_groups(&subject, [*in_channels, *out_channels], options.groups)?;
        let out_channels_of_group = out_channels / options.groups;
        let fan = out_channels_of_group * kernel.iter().product::<usize>();
        let default = init::uniform(1.0 / (fan.max(1) as f64).sqrt());
        let shape = [&[*in_channels, out_channels_of_group], &kernel[..]].concat();
        let weight = cx.parameter("weight", shape.as_slice(), self.conv.weight_init.unwrap_or(default))?;
        let bias = bias(cx, self.conv.bias, default, *out_channels)?;
        let y = functional::conv_transpose(cx, x, weight, options, &self.output_padding)
            .map_err(|error| Error { subject, ..error })?;
        add_bias::<AXES>(cx, y, bias)
    }

    fn description(&self) -> String {
        format!("ConvTranspose{}", self.conv.description().trim_start_matches("Conv"))
    }
}

/// Checks that x is `[batch, channels, ..]`.
fn check_image<const AXES: usize>(
    cx: &Context,
    subject: &str,
    x: Value,
    channels: usize,
) -> Result<(), Error> {
    let shape = cx.shape(x);
    if shape.rank() == 2 + AXES && shape[1] == channels {
        return Ok(());
    }
    let places = ", ..".repeat(AXES);
    let problem = format!("x is {}, the layer takes f32[.., {channels}{places}]", cx.ty(x));
    Err(Error::new(
        subject,
        problem,
        "give images of as many axes and channels, or make the layer for those of x",
    ))
}

/// Checks that channels divide into groups.
fn check_groups(subject: &str, [from, to]: [usize; 2], groups: usize) -> Result<(), Error> {
    if groups > 0 && from.is_multiple_of(groups) && to.is_multiple_of(groups) {
        return Ok(());
    }
    let problem = format!("{from} channels to {to} in {groups} groups");
    Err(Error::new(subject, problem, "give a number of groups that divides both numbers of channels"))
}

fn bias(cx: &mut Context, bias: Bias, default: Init, channels: usize) -> Result<Option<Value>, Error> {
    let init = match bias {
        Bias::Without => return Ok(None),
        Bias::Default => default,
        Bias::Init(init) => init,
    };
    cx.parameter("bias", [channels], init).map(Some)
}

/// Adds a value per channel.
fn add_bias<const AXES: usize>(cx: &mut Context, y: Value, bias: Option<Value>) -> Result<Value, Error> {
    let Some(bias) = bias else { return Ok(y) };
    let channels = cx.shape(bias)[0];
    let bias = cx.reshape(bias, [&[channels], &[1; AXES][..]].concat().as_slice())?;
    cx.add(y, bias)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::DType;

    fn problem(shape: &[usize], layer: &dyn Layer) -> String {
        let mut cx = Context::new("g");
        let x = cx.input("x", DType::F32, shape).unwrap();
        cx.layer("features.0", layer, x).unwrap_err().to_string()
    }

    #[test]
    fn images_of_another_kind_are_an_error_that_shows_both() {
        let layer = Conv2d::new(4, 8, 3);
        for shape in [&[2, 3, 8, 8][..], &[2, 4, 8], &[4, 8, 8]] {
            let shown = ir::Type::new(DType::F32, shape);
            let help = "give images of as many axes and channels, or make the layer for those of x";
            assert_eq!(
                problem(shape, &layer),
                format!("conv2d features.0.weight: x is {shown}, the layer takes f32[.., 4, .., ..]; {help}")
            );
        }
    }

    #[test]
    fn a_filter_larger_than_the_padded_image_is_an_error_that_shows_both() {
        assert_eq!(
            problem(&[2, 3, 4, 9], &Conv2d::new(3, 8, 5).dilation(2).padding(1)),
            "conv2d features.0.weight: filters that span [9, 9] are larger than an image of [6, 11] with its padding; \
             give larger images, more padding, or smaller filters"
        );
        assert_eq!(
            problem(&[2, 3, 1, 1], &ConvTranspose2d::new(3, 8, 3).padding(2)),
            "conv_transpose2d features.0.weight: 3 elements along axis 2 of the result, the padding is 2 and 2; \
             give less padding"
        );
    }

    #[test]
    fn channels_divide_into_groups() {
        for (from, to, groups) in [(4, 6, 4), (3, 6, 2), (4, 4, 0)] {
            assert_eq!(
                problem(&[2, from, 8, 8], &Conv2d::new(from, to, 3).groups(groups)),
                format!(
                    "conv2d features.0.weight: {from} channels to {to} in {groups} groups; \
                     give a number of groups that divides both numbers of channels"
                )
            );
        }
    }

    #[test]
    fn steps_are_above_zero_and_output_padding_below_the_stride() {
        assert_eq!(
            problem(&[2, 3, 8, 8], &Conv2d::new(3, 6, 3).stride(0)),
            "conv2d features.0.weight: 1 groups, strides [0, 0], dilations [1, 1]; give numbers above 0"
        );
        assert_eq!(
            problem(&[2, 3, 8, 8], &ConvTranspose2d::new(3, 6, 3).stride(2).output_padding(2)),
            "conv_transpose2d features.0.weight: the output padding is [2, 2], the stride [2, 2]; \
             give a number below the stride or the dilation for each axis"
        );
    }
}
