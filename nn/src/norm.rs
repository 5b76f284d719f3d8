//! Normalisation: of each channel over the batch, and of each row over its own elements.

use ir::{Builder, Error, Init, Value};

use crate::activation::along_axis_1;
use crate::{Context, Layer};

/// What both layers add to a variance, as PyTorch has it.
const EPS: f64 = 1e-5;

/// Batch normalisation (S. Ioffe and C. Szegedy, 2015), as PyTorch has it: for x of `[batch, channels, ..]`, over the batch
/// and all axes after the channels, `(x - mean) / sqrt(variance + eps) * weight + bias` with a weight and a bias per channel.
///
/// In training, mean and variance (biased) are those of the batch, and the buffers `running_mean` and `running_var` move by
/// `momentum` of the way towards them, the latter towards the unbiased variance. In use, mean and variance are the buffers.
///
/// ```
/// use nn::{BatchNorm, Context, Layer};
/// let mut cx = Context::training("bn");
/// let x = cx.input("x", ir::DType::F32, [32, 3, 28, 28])?;
/// let y = BatchNorm::new(3).forward(&mut cx, x)?;
/// assert_eq!(cx.shape(y), cx.shape(x));
/// assert_eq!(cx.finish().updates.len(), 2); // the buffers
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNorm {
    /// The extent of axis 1.
    pub channels: usize,
    /// How far the buffers move in a step, from 0 to 1.
    pub momentum: f64,
    /// What is added to a variance.
    pub eps: f64,
}

impl BatchNorm {
    /// With PyTorch's settings: a momentum of 0.1, an eps of 1e-5.
    pub fn new(channels: usize) -> BatchNorm {
        BatchNorm { channels, momentum: 0.1, eps: EPS }
    }
}

impl Layer for BatchNorm {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        self.check(cx, x)?;
        let parameter =
            |cx: &mut Context, name, start| cx.parameter(name, [self.channels], Init::Constant(start));
        let weight = parameter(cx, "weight", 1.0)?;
        let bias = parameter(cx, "bias", 0.0)?;
        let [mean, variance] = self.statistics(cx, x)?;
        let [weight, bias] = [along_axis_1(cx, weight, x)?, along_axis_1(cx, bias, x)?];
        cx.eval((x - mean) * ((variance + self.eps).rsqrt() * weight) + bias)
    }

    fn description(&self) -> String {
        format!("BatchNorm {}", self.channels)
    }
}

impl BatchNorm {
    /// Checks that `x` has the channels and, in training, more than one value of each.
    pub(crate) fn check(&self, cx: &Context, x: Value) -> Result<(), Error> {
        let shape = cx.shape(x);
        let subject = || format!("batch_norm {}", cx.scoped("weight"));
        if shape.get(1) != Some(&self.channels) {
            let problem = format!("x is {}, and there are {} channels", cx.ty(x), self.channels);
            return Err(Error::new(subject(), problem, "give x of [batch, channels, ..]"));
        }
        if cx.is_training() && self.count(cx, x) < 2 {
            let problem = format!("x is {}, one value per channel, which has no variance", cx.ty(x));
            return Err(Error::new(subject(), problem, "choose a batch that leaves no row alone"));
        }
        Ok(())
    }

    /// The number of values of a channel.
    fn count(&self, cx: &Context, x: Value) -> usize {
        cx.shape(x).elements() / self.channels.max(1)
    }

    /// Mean and variance of each channel of an `x` that has been checked, to be broadcast with it: of the batch in training, which
    /// the buffers follow; else the buffers.
    pub(crate) fn statistics(&self, cx: &mut Context, x: Value) -> Result<[Value; 2], Error> {
        let running_mean = cx.buffer("running_mean", [self.channels], Init::Constant(0.0))?;
        let running_var = cx.buffer("running_var", [self.channels], Init::Constant(1.0))?;
        if !cx.is_training() {
            return Ok([along_axis_1(cx, running_mean, x)?, along_axis_1(cx, running_var, x)?]);
        }
        let (rank, count) = (cx.shape(x).rank(), self.count(cx, x));
        let axes: Vec<usize> = (0..rank).filter(|&axis| axis != 1).collect();
        let Moments { mean, variance, .. } = moments(cx, x, &axes)?;
        self.follow(cx, running_mean, mean, 1.0)?;
        self.follow(cx, running_var, variance, count as f64 / (count - 1) as f64)?;
        Ok([mean, variance])
    }

    /// Moves a buffer towards `factor` times the statistic of the batch.
    fn follow(&self, cx: &mut Context, buffer: Value, statistic: Value, factor: f64) -> Result<(), Error> {
        let statistic = cx.reshape(statistic, [self.channels])?;
        let [kept, moved] =
            [1.0 - self.momentum, self.momentum * factor].map(|part| cx.float_like(buffer, part));
        cx.update(buffer, buffer * kept + statistic * moved)
    }
}

/// Layer normalisation (J. L. Ba et al., 2016), as PyTorch has it: for each index into the leading axes, over the last axis,
/// `(x - mean) / sqrt(variance + eps) * weight + bias` with a weight and a bias per element of that axis.
///
/// ```
/// use nn::{Context, Layer, LayerNorm};
/// let mut cx = Context::new("ln");
/// let x = cx.input("x", ir::DType::F32, [8, 100, 64])?;
/// let y = LayerNorm::new(64).forward(&mut cx, x)?;
/// assert_eq!(cx.shape(y), cx.shape(x));
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerNorm {
    /// The extent of the last axis.
    pub features: usize,
    /// What is added to a variance.
    pub eps: f64,
}

impl LayerNorm {
    /// With PyTorch's eps, 1e-5.
    pub fn new(features: usize) -> LayerNorm {
        LayerNorm { features, eps: EPS }
    }
}

impl Layer for LayerNorm {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        let shape = cx.shape(x);
        if shape.last() != Some(&self.features) {
            let problem = format!("x is {}, and there are {} features", cx.ty(x), self.features);
            let subject = format!("layer_norm {}", cx.scoped("weight"));
            return Err(Error::new(subject, problem, "give x of [.., features]"));
        }
        let axis = shape.rank() - 1;
        let weight = cx.parameter("weight", [self.features], Init::Constant(1.0))?;
        let bias = cx.parameter("bias", [self.features], Init::Constant(0.0))?;
        let Moments { centred, variance, .. } = moments(cx, x, &[axis])?;
        cx.eval(centred * (variance + self.eps).rsqrt() * weight + bias)
    }

    fn description(&self) -> String {
        format!("LayerNorm {}", self.features)
    }
}

/// Mean and biased variance over some axes, which stay with extent 1; and x less its mean.
struct Moments {
    mean: Value,
    centred: Value,
    variance: Value,
}

/// The variance is the mean square of what is centred already: the difference of `mean x^2` and `(mean x)^2` would lose
/// all digits where the mean is large beside the deviation.
fn moments(b: &mut Builder, x: Value, axes: &[usize]) -> Result<Moments, Error> {
    let mean = b.reduce_mean(x, axes, true)?;
    let centred = b.eval(x - mean)?;
    let variance = b.eval(centred.square().mean_keep_dims(axes))?;
    Ok(Moments { mean, centred, variance })
}
