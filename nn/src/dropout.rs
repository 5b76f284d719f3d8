//! Dropout: noise that keeps the mean.

use ir::ops::Distribution;
use ir::{Error, Shape, Value};

use crate::{Context, Layer};

/// In training, each element is 0 with probability `rate` and divided by `1 - rate` otherwise, drawn anew for each
/// element in each step, so that its mean stays; in use, the identity (N. Srivastava et al., "Dropout: a simple way to
/// prevent neural networks from overfitting", 2014, in the form that scales while training).
///
/// ```
/// use nn::{Context, Dropout, Layer};
/// let mut cx = Context::new("in_use");
/// let x = cx.input("x", ir::DType::F32, [8, 16])?;
/// assert_eq!(Dropout::new(0.5).forward(&mut cx, x)?, x);
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// The part of the elements that is dropped, from 0 to below 1.
    pub rate: f64,
}

impl Dropout {
    /// With this part of the elements dropped.
    pub fn new(rate: f64) -> Dropout {
        Dropout { rate }
    }
}

impl Layer for Dropout {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        drop_some(cx, x, self.rate, |shape| shape.clone())
    }

    fn description(&self) -> String {
        format!("Dropout {}", self.rate)
    }
}

/// [`Dropout`] of whole channels of `[batch, channels, ..]`: neighbours in an image say much the same, so that what one of them
/// lost the others would still tell (J. Tompson et al., "Efficient object localization using convolutional networks", 2015).
///
/// ```
/// use nn::{Context, Dropout2d, Layer};
/// let mut cx = Context::training("features");
/// let x = cx.input("x", ir::DType::F32, [8, 16, 5, 5])?;
/// let y = Dropout2d::new(0.2).forward(&mut cx, x)?;
/// assert_eq!(cx.shape(y), cx.shape(x));
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout2d {
    /// The part of the channels that is dropped, from 0 to below 1.
    pub rate: f64,
}

impl Dropout2d {
    /// With this part of the channels dropped.
    pub fn new(rate: f64) -> Dropout2d {
        Dropout2d { rate }
    }
}

impl Layer for Dropout2d {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        drop_some(cx, x, self.rate, |shape| {
            shape.iter().enumerate().map(|(axis, &extent)| if axis < 2 { extent } else { 1 }).collect()
        })
    }

    fn description(&self) -> String {
        format!("Dropout2d {}", self.rate)
    }
}

/// x times 0 or `1 / (1 - rate)`, drawn for each element of the shape that `drawn` makes of that of x.
fn drop_some(
    cx: &mut Context,
    x: Value,
    rate: f64,
    drawn: impl FnOnce(&Shape) -> Shape,
) -> Result<Value, Error> {
    if !(0.0..1.0).contains(&rate) {
        let problem = format!("the rate is {rate}");
        return Err(Error::new("dropout", problem, "give a number of at least 0 and below 1"));
    }
    if rate == 0.0 || !cx.is_training() {
        return Ok(x);
    }
    let uniform = cx.draw(Distribution::Uniform, drawn(cx.shape(x)))?;
    let [rate, scale, zero] = [rate, 1.0 / (1.0 - rate), 0.0].map(|number| cx.float_like(x, number));
    cx.eval(x * uniform.ge(rate).select(scale, zero))
}
