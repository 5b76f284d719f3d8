//! How long a run will take, by its arithmetic, and whether its model is made for such images: said before it starts.

use ir::Shape;
use nn::{Network, Summary};
use nnc::Error;
use nnc::models::Architecture;

/// Floating-point operations per second of a thread: what convolutions of small images and few channels do at the least.
const FLOPS_PER_S: f64 = 10e9;
/// Bytes per second that weights, their gradients and moments go through memory with.
const BYTES_PER_S: f64 = 5e9;
/// Bytes of a parameter that an optimizer's step reads and writes: it, its gradient and two moments.
const BYTES_PER_PARAMETER: f64 = 28.0;
/// A multiplication and an addition.
const FLOPS: f64 = 2.0;
/// What a step computes for each product of the model in use: it, and the gradients of both factors.
const PRODUCTS: f64 = 3.0;

/// Images with sides below this part of what a model is made for are small.
const SMALL_PART: usize = 4;
/// From this time on, it is said that a model is far too large for the images.
const LONG_FOR_IMAGES_S: f64 = 20.0;
/// From this time on, it is said in any case.
const LONG_S: f64 = 1200.0;

/// How many seconds a step of training takes on so many threads, roughly.
///
/// # Errors
/// Where the network cannot be built.
pub fn step_time_s(network: &dyn Network, batch: usize, threads: usize) -> Result<f64, Error> {
    let summary = Summary::new(network, batch)?;
    let flops = FLOPS * PRODUCTS * summary.multiply_adds() as f64;
    let bytes = BYTES_PER_PARAMETER * summary.parameters() as f64;
    Ok(flops / FLOPS_PER_S / threads.max(1) as f64 + bytes / BYTES_PER_S)
}

/// What is to be said of a run that takes so many seconds, of a model on rows of this shape.
pub fn warning(model: &Architecture, row: &Shape, time_s: f64) -> Option<String> {
    let sides = &row[row.rank().saturating_sub(2)..];
    let is_small = |native: &usize| sides.iter().all(|side| side * SMALL_PART <= *native);
    if let Some(native) = model.native_side().filter(is_small).filter(|_| time_s >= LONG_FOR_IMAGES_S) {
        let size = sides.iter().map(usize::to_string).collect::<Vec<String>>().join("x");
        return Some(format!(
            "warning: this takes about {}: {} is made for images of {native}x{native}, these are {size}; lenet or resnet8 suit them",
            in_words(time_s),
            model.name
        ));
    }
    (time_s >= LONG_S).then(|| {
        let help = "give fewer --epochs, more --threads or a smaller model where that is too long";
        format!("warning: this takes about {}; {help}", in_words(time_s))
    })
}

/// `45.0 s`, `3.5 min`, `2.1 h`.
pub fn in_words(time_s: f64) -> String {
    match time_s {
        seconds if seconds < 100.0 => format!("{seconds:.1} s"),
        seconds if seconds < 100.0 * 60.0 => format!("{:.1} min", seconds / 60.0),
        seconds if seconds < 100.0 * 3600.0 => format!("{:.1} h", seconds / 3600.0),
        seconds => format!("{:.0} days", seconds / 86400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nn::models::Mlp;
    use nn::{Loss, Supervised};

    #[test]
    fn the_time_follows_from_products_and_parameters() {
        let network = Supervised::new([1000], Mlp::new(&[1000, 1000], nn::Relu), Loss::SquaredError);
        let one = step_time_s(&network, 100, 1).unwrap();
        let expected = 6.0 * 100e6 / 10e9 + 28.0 * 1.001e6 / 5e9;
        assert!((one - expected).abs() < 1e-6, "{one} {expected}");
        let half = step_time_s(&network, 100, 2).unwrap();
        assert!(half > 0.5 * one && half < one, "memory is shared: {half} {one}");
    }

    #[test]
    fn large_models_on_small_images_and_long_runs_are_told() {
        let warn = |name: &str, row: &[usize], time_s: f64| {
            warning(Architecture::find(name).unwrap(), &Shape::from(row), time_s)
        };
        let text = warn("alexnet", &[1, 8, 8], 150.0).unwrap();
        let expected = "warning: this takes about 2.5 min: alexnet is made for images of 224x224, these are 8x8; lenet or resnet8 suit them";
        assert_eq!(text, expected);
        assert_eq!(warn("alexnet", &[1, 8, 8], 5.0), None);
        assert_eq!(warn("alexnet", &[3, 224, 224], 150.0), None);
        assert_eq!(warn("resnet8", &[1, 8, 8], 150.0), None);
        assert!(
            warn("resnet8", &[1, 8, 8], 7200.0)
                .unwrap()
                .starts_with("warning: this takes about 2.0 h; give fewer")
        );
        assert!(warn("mlp", &[64], 7200.0).is_some() && warn("mlp", &[64], 60.0).is_none());
    }

    #[test]
    fn times_are_told_in_their_units() {
        for (seconds, text) in
            [(0.04, "0.0 s"), (99.0, "99.0 s"), (150.0, "2.5 min"), (7200.0, "2.0 h"), (1e6, "12 days")]
        {
            assert_eq!(in_words(seconds), text);
        }
    }
}
