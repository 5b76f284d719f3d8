//! Rectifiers with a slope below 0 that is learned or drawn.

use ir::ops::Distribution;
use ir::{Builder, Error, Init, Shape, Value};

use crate::{Context, Layer};

/// `x` where it is above 0, `weight x` elsewhere, with a learned slope `weight` (K. He et al., "Delving deep into
/// rectifiers", 2015): one for all elements, or one per channel, which is axis 1. Slopes start at 1/4.
///
/// ```
/// use nn::{Context, Layer, PRelu};
/// let mut cx = Context::new("prelu");
/// let x = cx.input("x", ir::DType::F32, [8, 16])?;
/// PRelu::new(16).forward(&mut cx, x)?;
/// assert_eq!(cx.shape(cx.parameters()[0].value)[..], [16]);
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PRelu {
    slopes: usize,
}

impl PRelu {
    /// With so many slopes: 1, or as many as there are channels.
    pub fn new(slopes: usize) -> PRelu {
        PRelu { slopes }
    }
}

impl Layer for PRelu {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        if self.slopes != 1 && cx.shape(x).get(1) != Some(&self.slopes) {
            let problem = format!("x is {}, and there are {} slopes", cx.ty(x), self.slopes);
            let help = "give one slope, or as many as axis 1 has values";
            return Err(Error::new(format!("prelu {}", cx.scoped("weight")), problem, help));
        }
        let weight = cx.parameter("weight", [self.slopes], Init::Constant(0.25))?;
        let slope = along_axis_1(cx, weight, x)?;
        sloped(cx, x, slope)
    }

    fn description(&self) -> String {
        format!("PRelu {}", self.slopes)
    }
}

/// `x` where it is above 0, `a x` elsewhere. In training, `a` is drawn uniformly from `low..high` for each element in each
/// step; in use it is their mean (B. Xu et al., "Empirical evaluation of rectified activations in convolutional network",
/// 2015).
///
/// ```
/// assert_eq!(nn::RRelu::default(), nn::RRelu { low: 1.0 / 8.0, high: 1.0 / 3.0 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RRelu {
    /// The least slope.
    pub low: f64,
    /// The bound of slopes above.
    pub high: f64,
}

impl Default for RRelu {
    /// From 1/8 to 1/3, as in the paper.
    fn default() -> RRelu {
        RRelu { low: 1.0 / 8.0, high: 1.0 / 3.0 }
    }
}

impl Layer for RRelu {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        let RRelu { low, high } = *self;
        if !(low.is_finite() && high.is_finite() && low <= high) {
            let problem = format!("slopes are drawn from {low} to {high}");
            return Err(Error::new("rrelu", problem, "give finite bounds in ascending order"));
        }
        let slope = if cx.is_training() {
            let uniform = cx.draw(Distribution::Uniform, cx.shape(x).clone())?;
            let [low, width] = [low, high - low].map(|number| cx.float_like(x, number));
            cx.eval(uniform * width + low)?
        } else {
            cx.float_like(x, (low + high) / 2.0)
        };
        sloped(cx, x, slope)
    }

    fn description(&self) -> String {
        format!("{self:?}")
    }
}

/// `x` where it is above 0, `slope x` elsewhere.
pub fn sloped(b: &mut Builder, x: Value, slope: Value) -> Result<Value, Error> {
    b.eval(x.gt(0.0).select(x, x * slope))
}

/// `v`, of as many elements as axis 1 of `x` or of one, so that it is broadcast along the other axes of `x`.
pub(crate) fn along_axis_1(b: &mut Builder, v: Value, x: Value) -> Result<Value, Error> {
    let count = b.shape(v).elements();
    let axes = 0..b.shape(x).rank();
    b.reshape(v, axes.map(|axis| if axis == 1 { count } else { 1 }).collect::<Shape>())
}
