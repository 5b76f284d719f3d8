//! Pooling layers.

use ir::{Error, Value};

use crate::functional::{self, PoolOptions};
use crate::{Context, Layer};

/// The greatest element of each window of `[.., height, width]`; the gradient goes to the first of several.
///
/// ```
/// use nn::{Context, Layer, MaxPool2d};
/// let mut cx = Context::new("pool");
/// let x = cx.input("x", ir::DType::F32, [8, 64, 112, 112])?;
/// let y = MaxPool2d::new(3).stride(2).padding(1).forward(&mut cx, x)?;
/// assert_eq!(cx.ty(y).to_string(), "f32[8, 64, 56, 56]");
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaxPool2d {
    /// Where the windows lie.
    pub options: PoolOptions,
}

/// The mean of each window of `[batch, channels, height, width]`.
///
/// ```
/// use nn::{AvgPool2d, Context, Layer};
/// let mut cx = Context::new("pool");
/// let x = cx.input("x", ir::DType::F32, [8, 64, 14, 14])?;
/// let y = AvgPool2d::new(2).forward(&mut cx, x)?;
/// assert_eq!(cx.ty(y).to_string(), "f32[8, 64, 7, 7]");
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvgPool2d {
    /// Where the windows lie.
    pub options: PoolOptions,
    /// Whether zeros around the image count as elements.
    pub count_include_pad: bool,
}

macro_rules! window_methods {
    ($($layer:ident),+) => {
        $(impl $layer {
            /// From a window to the next, along both axes.
            pub fn stride(mut self, stride: usize) -> $layer {
                self.options.stride = vec![stride; 2];
                self
            }

            /// With so much around the image; at most half of a window.
            pub fn padding(mut self, padding: usize) -> $layer {
                self.options.padding = vec![padding; 2];
                self
            }

            /// With windows at the end that reach beyond the image and its padding.
            pub fn ceil_mode(mut self) -> $layer {
                self.options.ceil_mode = true;
                self
            }
        })+
    };
}
window_methods! { MaxPool2d, AvgPool2d }

impl MaxPool2d {
    /// Windows of `size` by `size` side by side.
    pub fn new(size: usize) -> MaxPool2d {
        MaxPool2d { options: PoolOptions::new(&[size; 2], &[size; 2]) }
    }
}

impl AvgPool2d {
    /// Windows of `size` by `size` side by side; padding would count.
    pub fn new(size: usize) -> AvgPool2d {
        AvgPool2d { options: PoolOptions::new(&[size; 2], &[size; 2]), count_include_pad: true }
    }

    /// Means over the elements of the image alone.
    pub fn without_padding_in_the_count(self) -> AvgPool2d {
        AvgPool2d { count_include_pad: false, ..self }
    }
}

impl Layer for MaxPool2d {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        let [maxima, _] = named(cx, "max_pool2d", |cx| functional::max_pool(cx, x, &self.options))?;
        Ok(maxima)
    }

    fn description(&self) -> String {
        let PoolOptions { sizes, stride, .. } = &self.options;
        format!("MaxPool2d {}x{}, stride {}", sizes[0], sizes[1], stride[0])
    }
}

impl Layer for AvgPool2d {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        named(cx, "avg_pool2d", |cx| functional::avg_pool(cx, x, &self.options, self.count_include_pad))
    }

    fn description(&self) -> String {
        let PoolOptions { sizes, stride, .. } = &self.options;
        format!("AvgPool2d {}x{}, stride {}", sizes[0], sizes[1], stride[0])
    }
}

/// Means of windows of `[batch, channels, height, width]` that are chosen so that there are as many as asked for:
/// [`functional::adaptive_avg_pool`].
///
/// ```
/// use nn::{AdaptiveAvgPool2d, Context, Layer};
/// let mut cx = Context::new("pool");
/// let x = cx.input("x", ir::DType::F32, [8, 64, 13, 10])?;
/// let y = AdaptiveAvgPool2d::new(6).forward(&mut cx, x)?;
/// assert_eq!(cx.ty(y).to_string(), "f32[8, 64, 6, 6]");
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdaptiveAvgPool2d {
    /// Height and width of the result.
    pub extents: [usize; 2],
}

impl AdaptiveAvgPool2d {
    /// A result of `extent` by `extent`; of 1, the mean of each channel.
    pub fn new(extent: usize) -> AdaptiveAvgPool2d {
        AdaptiveAvgPool2d { extents: [extent; 2] }
    }
}

impl Layer for AdaptiveAvgPool2d {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        named(cx, "adaptive_avg_pool2d", |cx| functional::adaptive_avg_pool(cx, x, &self.extents))
    }

    fn description(&self) -> String {
        format!("AdaptiveAvgPool2d {}x{}", self.extents[0], self.extents[1])
    }
}

/// What `build` gives; an error of it names the layer at the scope that is open.
fn named<T>(
    cx: &mut Context,
    name: &str,
    build: impl FnOnce(&mut Context) -> Result<T, Error>,
) -> Result<T, Error> {
    let subject = format!("{name} {}", cx.scoped("")).trim_end_matches(['.', ' ']).to_owned();
    build(cx).map_err(|error| Error { subject, ..error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::DType;

    #[test]
    fn windows_larger_than_the_padded_image_are_an_error_that_shows_both() {
        let mut cx = Context::new("g");
        let x = cx.input("x", DType::F32, [2, 3, 4, 9]).unwrap();
        assert_eq!(
            cx.layer("features.3", &MaxPool2d::new(7).padding(1), x).unwrap_err().to_string(),
            "max_pool2d features.3: windows of [7, 7] are larger than x of f32[2, 3, 4, 9] with padding [1, 1]; \
             give larger images, more padding, or smaller windows"
        );
        assert_eq!(
            cx.layer("features.4", &AvgPool2d::new(2).padding(2), x).unwrap_err().to_string(),
            "avg_pool2d features.4: windows of [2, 2], strides [2, 2], padding [2, 2]; \
             give sizes and strides above 0, and padding of at most half of a window"
        );
    }

    #[test]
    fn images_have_two_axes_besides_batch_and_channels() {
        let mut cx = Context::new("g");
        let x = cx.input("x", DType::F32, [3, 4, 9]).unwrap();
        assert_eq!(
            AdaptiveAvgPool2d::new(2).forward(&mut cx, x).unwrap_err().to_string(),
            "adaptive_avg_pool2d: x is f32[3, 4, 9], the result is to have [2, 2]; \
             give x of [batch, channels, ..] and an extent above 0 per axis"
        );
        assert_eq!(
            AvgPool2d::new(2).forward(&mut cx, x).unwrap_err().to_string(),
            "avg_pool2d: x is f32[3, 4, 9], windows are [2, 2]; give x of [batch, channels, ..]"
        );
    }
}
