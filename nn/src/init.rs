//! How parameters start. The stream of each is chosen by the [`Context`](crate::Context) that makes the parameter.
//!
//! `fan_in` is the number of values that go into one output (of a dense layer: its inputs), `fan_out` the number of
//! outputs that one input goes to.

use ir::Init;

/// Zeros.
pub fn zeros() -> Init {
    Init::Constant(0.0)
}

/// Uniform on [-bound, bound).
pub fn uniform(bound: f64) -> Init {
    Init::Uniform { low: -bound, high: bound, stream: 0 }
}

/// Normal with mean 0.
pub fn normal(deviation: f64) -> Init {
    Init::Normal { mean: 0.0, deviation, stream: 0 }
}

/// Normal with variance 2 / fan_in: keeps the variance through relu layers. K. He et al., "Delving deep into
/// rectifiers", 2015, equation 10. PyTorch calls it `kaiming_normal_`.
///
/// ```
/// assert_eq!(nn::init::he_normal(8), nn::init::normal(0.5));
/// ```
pub fn he_normal(fan_in: usize) -> Init {
    normal((2.0 / fan_in.max(1) as f64).sqrt())
}

/// Uniform with the variance of [`he_normal`]: on +-sqrt(6 / fan_in). PyTorch calls it `kaiming_uniform_`.
///
/// ```
/// assert_eq!(nn::init::he_uniform(24), nn::init::uniform(0.5));
/// ```
pub fn he_uniform(fan_in: usize) -> Init {
    uniform((6.0 / fan_in.max(1) as f64).sqrt())
}

/// Uniform on +-sqrt(6 / (fan_in + fan_out)): keeps the variance of activations and gradients near 1 through layers
/// that are linear around 0. X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward
/// neural networks", 2010, equation 16. PyTorch calls it `xavier_uniform_`.
///
/// ```
/// assert_eq!(nn::init::glorot_uniform(8, 16), nn::init::uniform(0.5));
/// ```
pub fn glorot_uniform(fan_in: usize, fan_out: usize) -> Init {
    uniform((6.0 / (fan_in + fan_out).max(1) as f64).sqrt())
}

/// Normal with the variance of [`glorot_uniform`], 2 / (fan_in + fan_out) (equation 12 of the same). PyTorch calls it
/// `xavier_normal_`.
pub fn glorot_normal(fan_in: usize, fan_out: usize) -> Init {
    normal((2.0 / (fan_in + fan_out).max(1) as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::{DType, Type};

    const COUNT: usize = 30_000;

    /// Mean, variance and greatest magnitude of many draws.
    fn statistics(init: Init) -> (f64, f64, f64) {
        let tensor = init.materialize(&Type::new(DType::F32, [COUNT]), 17);
        let x: Vec<f64> = tensor.as_slice::<f32>().unwrap().iter().map(|&x| f64::from(x)).collect();
        let mean = x.iter().sum::<f64>() / COUNT as f64;
        let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / COUNT as f64;
        (mean, variance, x.iter().fold(0.0, |most, x| x.abs().max(most)))
    }

    /// The standard error of the variance of n normal draws is sqrt(2/n) of it, 0.8 % here; 4 % are five of them.
    #[test]
    fn draws_have_the_variance_of_the_papers() {
        for (name, init, variance) in [
            ("he_normal", he_normal(50), 2.0 / 50.0),
            ("he_uniform", he_uniform(50), 2.0 / 50.0),
            ("glorot_normal", glorot_normal(30, 70), 2.0 / 100.0),
            ("glorot_uniform", glorot_uniform(30, 70), 2.0 / 100.0),
        ] {
            let (mean, drawn, _) = statistics(init);
            assert!((drawn / variance - 1.0).abs() < 0.04, "{name}: variance {drawn}, expected {variance}");
            assert!(mean.abs() < 5.0 * (variance / COUNT as f64).sqrt(), "{name}: mean {mean}");
        }
    }

    #[test]
    fn uniform_draws_stay_within_the_bound_and_come_near_it() {
        let (_, _, most) = statistics(he_uniform(6));
        assert!(most <= 1.0 && most > 0.999, "{most}");
    }
}
