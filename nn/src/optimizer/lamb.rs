//! LAMB: Adam's direction with a step in proportion to the norm of each parameter, for large batches.

use ir::{Error, Value};

use super::adam::{bias_correction, count_steps, moments};
use super::{Gradient, Optimizer, descend, learning_rate, scaled};
use crate::{Adam, Context};

/// LAMB (Y. You et al., "Large batch optimization for deep learning: training BERT in 76 minutes", 2020, algorithm 2), with the
/// norm itself as its function phi. With the moments `m` and `v`, corrected as in [`Adam`], in step t = 1, 2, ..:
///
/// ```text
/// u = m / (sqrt(v) + eps) + weight_decay p
/// p -= learning_rate |p| / |u| * u
/// ```
///
/// `|p|` is the Euclidean norm of the whole parameter. Where one of the two norms is 0 their ratio is 1. The uncorrected moments
/// are the states `exp_avg` and `exp_avg_sq` of each parameter; t is the state `adam.step`.
///
/// ```
/// let optimizer = nn::Lamb::new(3e-3);
/// assert_eq!((optimizer.0.eps, optimizer.0.weight_decay), (1e-6, 0.01));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lamb(pub Adam);

impl Default for Lamb {
    /// The settings of the paper for BERT: Adam's decays, an eps of 1e-6, and a weight decay of 0.01, at a rate of 0.001.
    fn default() -> Lamb {
        Lamb::new(1e-3)
    }
}

impl Lamb {
    /// The default but for the learning rate.
    pub fn new(learning_rate: f64) -> Lamb {
        Lamb(Adam { eps: 1e-6, ..Adam::new(learning_rate).weight_decay(0.01) })
    }

    /// With another weight decay.
    pub fn weight_decay(self, weight_decay: f64) -> Lamb {
        Lamb(self.0.weight_decay(weight_decay))
    }
}

impl Optimizer for Lamb {
    fn follow(&self, cx: &mut Context, gradients: &[Gradient]) -> Result<(), Error> {
        let adam = &self.0;
        adam.check("lamb")?;
        let rate = learning_rate(cx, gradients, adam.learning_rate)?;
        let step = count_steps(cx, cx.dtype(rate))?;
        let c1 = bias_correction(cx, step, adam.beta1)?;
        let c2 = bias_correction(cx, step, adam.beta2)?;
        let eps = cx.float_like(rate, adam.eps);
        for gradient in gradients {
            let p = gradient.parameter.value;
            let (mean, square) = moments(cx, adam, &gradient.parameter, gradient.value)?;
            let mut direction = (mean / c1) / ((square / c2).sqrt() + eps);
            let decay = adam.weight_decay * gradient.weight_decay;
            if decay != 0.0 {
                direction = direction + scaled(p, decay);
            }
            let direction = cx.eval(direction)?;
            let ratio = ratio_of_norms(cx, p, direction)?;
            descend(cx, gradient, direction, rate * ratio)?;
        }
        Ok(())
    }
}

/// `|p| / |u|`, of rank 0; 1 where one of them is 0.
fn ratio_of_norms(cx: &mut Context, p: Value, u: Value) -> Result<Value, Error> {
    let [p, u] = [cx.eval(p.square().sum_all().sqrt())?, cx.eval(u.square().sum_all().sqrt())?];
    let [zero, one] = [0.0, 1.0].map(|number| cx.float_like(p, number));
    let ratio = cx.eval(p / u)?;
    cx.eval(p.min(u).gt(zero).select(ratio, one))
}
