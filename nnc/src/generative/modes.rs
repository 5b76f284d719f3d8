//! Modes of a mixture: which of them samples cover, and how far samples are from their mode.

use crate::Error;

/// What samples make of the modes of a mixture whose centres are known. The mode of a sample is the nearest centre, and it is near
/// its mode where it is within a given distance of it.
///
/// ```
/// use nnc::generative::Modes;
/// let centres = [[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]];
/// let samples = [0.0, 0.1, 9.7, 0.4, 9.0, 0.0, 0.0, 0.2];
/// let modes = Modes::of_samples(&samples, &centres, 0.6)?;
/// assert_eq!(modes.near, [2, 1, 0]);
/// assert_eq!((modes.covered(1), modes.share_near()), (2, 0.75));
/// # Ok::<(), nnc::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Modes {
    /// The number of samples near each mode.
    pub near: Vec<usize>,
    /// The number of samples.
    pub samples: usize,
    /// The mean Euclidean distance of all samples to their mode.
    pub mean_distance: f64,
}

impl Modes {
    /// Of samples, `[samples, N]`, row-major, and the centres of the modes; those within `distance` of their mode are near it.
    ///
    /// # Errors
    /// Where there are no samples or modes, a part of a sample is left over, or a sample is not finite.
    pub fn of_samples<const N: usize>(
        samples: &[f32],
        centres: &[[f64; N]],
        distance: f64,
    ) -> Result<Modes, Error> {
        let invalid = |problem: String, help: &str| Err(Error::invalid("samples", problem, help));
        if samples.is_empty() || centres.is_empty() || N == 0 {
            let problem = format!("there are {} numbers and {} modes", samples.len(), centres.len());
            return invalid(problem, "give at least one sample and one mode");
        }
        if !samples.len().is_multiple_of(N) {
            return invalid(
                format!("there are {} numbers for rows of {N}", samples.len()),
                "give whole rows",
            );
        }
        if let Some(position) = samples.iter().position(|value| !value.is_finite()) {
            let problem = format!("sample {} holds {}", position / N, samples[position]);
            return invalid(problem, "give finite numbers");
        }
        let mut modes =
            Modes { near: vec![0; centres.len()], samples: samples.len() / N, mean_distance: 0.0 };
        let mut sum = 0.0;
        for sample in samples.chunks_exact(N) {
            let distances = centres.iter().map(|centre| distance_between(sample, centre));
            let nearest = distances.enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b));
            let (mode, least) = nearest.expect("there is a mode");
            sum += least;
            modes.near[mode] += usize::from(least <= distance);
        }
        modes.mean_distance = sum / modes.samples as f64;
        Ok(modes)
    }

    /// The number of modes that at least so many samples are near.
    pub fn covered(&self, samples: usize) -> usize {
        self.near.iter().filter(|&&near| near >= samples).count()
    }

    /// The part of the samples that are near their mode.
    pub fn share_near(&self) -> f64 {
        self.near.iter().sum::<usize>() as f64 / self.samples as f64
    }
}

/// The Euclidean distance.
fn distance_between(sample: &[f32], centre: &[f64]) -> f64 {
    let squares = sample.iter().zip(centre).map(|(x, c)| (f64::from(*x) - c).powi(2));
    squares.sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::synthetic::{RING_DEVIATION, ring, ring_centres};

    #[test]
    fn data_cover_their_own_modes() {
        let data = ring(8, 2000, 3).unwrap();
        let modes = Modes::of_samples(data.rows(), &ring_centres(8), 4.0 * RING_DEVIATION).unwrap();
        assert_eq!(modes.covered(150), 8);
        assert!(modes.share_near() > 0.99, "{modes:?}");
        // The mean of a Rayleigh distribution: deviation sqrt(pi / 2).
        let expected = RING_DEVIATION * (std::f64::consts::PI / 2.0).sqrt();
        assert!((modes.mean_distance / expected - 1.0).abs() < 0.05, "{modes:?}");
    }

    #[test]
    fn samples_that_cannot_be_measured_are_errors() {
        let message = |samples: &[f32], centres: &[[f64; 2]]| {
            Modes::of_samples(samples, centres, 1.0).unwrap_err().to_string()
        };
        let error = message(&[], &[[0.0, 0.0]]);
        assert!(error.starts_with("samples: there are 0 numbers and 1 modes; give at least one"), "{error}");
        let error = message(&[1.0], &[[0.0, 0.0]]);
        assert_eq!(error, "samples: there are 1 numbers for rows of 2; give whole rows");
        let error = message(&[1.0, 0.0, f32::NAN, 0.0], &[[0.0, 0.0]]);
        assert_eq!(error, "samples: sample 1 holds NaN; give finite numbers");
    }
}
