//! Dropout: noise that keeps the mean.

use ir::ops::Distribution;
use ir::{Error, Value};

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
        if !(0.0..1.0).contains(&self.rate) {
            let problem = format!("the rate is {}", self.rate);
            return Err(Error::new("dropout", problem, "give a number of at least 0 and below 1"));
        }
        if self.rate == 0.0 || !cx.is_training() {
            return Ok(x);
        }
        let uniform = cx.draw(Distribution::Uniform, cx.shape(x).clone())?;
        let [rate, scale, zero] =
            [self.rate, 1.0 / (1.0 - self.rate), 0.0].map(|number| cx.float_like(x, number));
        let is_kept = cx.ge(uniform, rate)?;
        let factor = cx.select(is_kept, scale, zero)?;
        cx.mul(x, factor)
    }

    fn description(&self) -> String {
        format!("Dropout {}", self.rate)
    }
}
