//! Codes of two values that cover a plane.

use std::f64::consts::TAU;

use ir::{DType, Scalar, Tensor, Type};

/// The number of codes along each axis.
pub const SIDE: usize = 20;
/// The least and the greatest are so many standard deviations from the mean.
const EXTENT: f64 = 2.0;

/// Codes `f32[SIDE * SIDE, 2]` in lines, of which the first value grows to the right and the second upwards: the quantiles of a normal
/// distribution between -2 and 2 standard deviations that have equal probabilities between them, as D. Kingma and M. Welling,
/// "Auto-encoding variational Bayes", 2014, figure 4, has them. The distribution is the standard normal one, or, with
/// codes `f32[rows, 2]` that have been `seen`, that of their means and deviations.
///
/// ```
/// use nnc::generative::plane::{SIDE, codes_of_plane};
/// let codes = codes_of_plane(None);
/// let codes = codes.as_slice::<f32>().expect("codes are f32");
/// assert_eq!(codes[..2], [-2.0, 2.0]); // upper left
/// assert_eq!(codes[2 * (SIDE * SIDE - 1)..], [2.0, -2.0]);
/// ```
pub fn codes_of_plane(seen: Option<&Tensor>) -> Tensor {
    let seen = seen.and_then(|codes| codes.as_slice::<f32>()).unwrap_or_default();
    let axes = [0, 1].map(|axis| mean_and_deviation(seen.iter().skip(axis).step_by(2)));
    let probability = |place: usize| {
        let part = place as f64 / (SIDE - 1) as f64;
        cumulative(-EXTENT) + part * (cumulative(EXTENT) - cumulative(-EXTENT))
    };
    let quantiles: Vec<f64> = (0..SIDE).map(|place| quantile(probability(place))).collect();
    Tensor::from_fn(&Type::new(DType::F32, [SIDE * SIDE, 2]), |index| {
        let (code, axis) = (index / 2, index % 2);
        let place = if axis == 0 { code % SIDE } else { SIDE - 1 - code / SIDE };
        let (mean, deviation) = axes[axis];
        Scalar::F32((mean + deviation * quantiles[place]) as f32)
    })
}

/// Of no numbers, those of the standard normal distribution.
fn mean_and_deviation<'a>(numbers: impl Iterator<Item = &'a f32> + Clone) -> (f64, f64) {
    let count = numbers.clone().count() as f64;
    if count == 0.0 {
        return (0.0, 1.0);
    }
    let mean = numbers.clone().map(|&x| f64::from(x)).sum::<f64>() / count;
    let variance = numbers.map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

/// The standard normal distribution function within [`EXTENT`]: `1/2 + phi(x) (x + x^3 / 3 + x^5 / (3 5) + ..)` (G. Marsaglia, "Evaluating the
/// normal distribution", 2004), whose terms are below 1e-16 after the 40th.
fn cumulative(x: f64) -> f64 {
    let term = |term: &mut f64, k: u32| {
        *term *= x * x / f64::from(2 * k + 1);
        Some(*term)
    };
    let sum: f64 = x + (1..40).scan(x, term).sum::<f64>();
    0.5 + (-x * x / 2.0).exp() / TAU.sqrt() * sum
}

/// Where the distribution function within [`EXTENT`] has this value, by bisection.
fn quantile(probability: f64) -> f64 {
    let (mut low, mut high) = (-EXTENT, EXTENT);
    // The interval becomes as small as an f64 can be told from the next.
    for _ in 0..54 {
        let middle = (low + high) / 2.0;
        if cumulative(middle) < probability { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the distribution function: 0.97724987 at 2, 0.84134475 at 1.
    #[test]
    fn quantiles_are_those_of_the_normal_distribution() {
        for (x, p) in [(-2.0, 0.022_750_13), (0.0, 0.5), (1.0, 0.841_344_75), (2.0, 0.977_249_87)] {
            assert!((cumulative(x) - p).abs() < 1e-8, "{x}");
            assert!((quantile(cumulative(x)) - x).abs() < 1e-14, "{x}");
        }
    }

    #[test]
    fn codes_that_have_been_seen_say_where_the_plane_is() {
        let seen = Tensor::new([2, 2], vec![1.0f32, 5.0, 3.0, 5.0]).unwrap();
        let codes = codes_of_plane(Some(&seen));
        let codes = codes.as_slice::<f32>().unwrap();
        assert_eq!([codes[0], codes[1], codes[2 * (SIDE - 1)]], [0.0, 5.0, 4.0]);
    }
}
