//! How a workload is measured: as the peers' benchmark measures them, so that the figures can be compared.
//!
//! A sample is the time of `steps_per_sample` steps, more than one where a step is shorter than 3 ms; the result is the
//! median over samples and the least one.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Where a step is shorter than this, a sample is of several.
const MIN_SAMPLE: Duration = Duration::from_millis(3);
/// A measurement ends after this much time whatever the number of samples.
const MAX_TIME: Duration = Duration::from_secs(25);
/// The most steps to warm up with, and the most samples.
const MAX_WARM_UP_STEPS: u32 = 100_000;
const MAX_SAMPLES: usize = 2000;

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// The median over samples of the time of a step, in milliseconds.
    pub median_ms: f64,
    /// The least.
    pub min_ms: f64,
    /// The number of samples.
    pub samples: usize,
    /// The number of steps in each.
    pub steps_per_sample: u32,
}

impl Measurement {
    /// As members of a JSON object.
    pub fn to_json(&self) -> Value {
        let Measurement { median_ms, min_ms, samples, steps_per_sample } = self;
        json!({ "median_ms": median_ms, "min_ms": min_ms, "samples": samples, "steps_per_sample": steps_per_sample })
    }
}

/// Measures `step` for about `budget`, after a warm-up of half as long (a second at most).
///
/// ```
/// use std::time::Duration;
/// let mut sum = 0u64;
/// let measured = nnc::bench::measure::measure(Duration::from_millis(5), || {
///     sum = std::hint::black_box(sum + 1);
///     Ok::<(), ()>(())
/// });
/// assert!(measured.unwrap().min_ms < 1.0);
/// ```
///
/// # Errors
/// The first error of `step`.
pub fn measure<E>(budget: Duration, mut step: impl FnMut() -> Result<(), E>) -> Result<Measurement, E> {
    let start = Instant::now();
    let warm_up = (budget / 2).min(Duration::from_secs(1));
    let mut steps = 0;
    while steps < 1 || (start.elapsed() < warm_up && steps < MAX_WARM_UP_STEPS) {
        step()?;
        steps += 1;
    }
    let trial_steps = if steps > 3 { 3 } else { 1 };
    let estimate = time_of(trial_steps, &mut step)?;
    let steps_per_sample = if estimate > MIN_SAMPLE {
        1
    } else {
        (MIN_SAMPLE.as_secs_f64() / estimate.as_secs_f64().max(1e-9)) as u32
    };
    let steps_per_sample = steps_per_sample.max(1);
    let min_samples = if estimate < Duration::from_secs(1) { 7 } else { 5 };
    let mut samples = Vec::with_capacity(MAX_SAMPLES);
    let start = Instant::now();
    while samples.len() < min_samples || (start.elapsed() < budget && samples.len() < MAX_SAMPLES) {
        samples.push(time_of(steps_per_sample, &mut step)?);
        if start.elapsed() > MAX_TIME {
            break;
        }
    }
    samples.sort_unstable();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    Ok(Measurement {
        median_ms: milliseconds(samples[samples.len() / 2]),
        min_ms: milliseconds(samples[0]),
        samples: samples.len(),
        steps_per_sample,
    })
}

/// The mean time of a step over `steps` of them.
fn time_of<E>(steps: u32, step: &mut impl FnMut() -> Result<(), E>) -> Result<Duration, E> {
    let start = Instant::now();
    for _ in 0..steps {
        step()?;
    }
    Ok(start.elapsed() / steps)
}

/// The greatest size that the memory of this process has had, in MiB; `None` where the system does not tell.
pub fn peak_memory_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some((kilobytes / 1024.0 * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_steps_are_measured_in_bundles() {
        let measured = measure(Duration::from_millis(20), || Ok::<(), ()>(())).unwrap();
        assert!(measured.steps_per_sample > 1000, "{measured:?}");
        assert!(measured.samples >= 7 && measured.min_ms <= measured.median_ms, "{measured:?}");
    }

    #[test]
    fn long_steps_are_measured_one_by_one() {
        let step = || {
            std::thread::sleep(Duration::from_millis(4));
            Ok::<(), ()>(())
        };
        let measured = measure(Duration::from_millis(20), step).unwrap();
        assert_eq!((measured.steps_per_sample, measured.samples), (1, 7));
        assert!(measured.min_ms >= 4.0, "{measured:?}");
    }

    #[test]
    fn an_error_of_a_step_ends_the_measurement() {
        assert_eq!(measure(Duration::from_secs(1), || Err("no")), Err("no"));
    }
}
