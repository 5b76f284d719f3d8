//! What greedy layer-wise pre-training is worth where few digits have labels. Three classifiers of the same shape, fine-tuned alike on
//! the same labelled digits, start from layers of restricted Boltzmann machines, from layers of denoising autoencoders (both trained
//! on all digits of the training part without their labels), and at random.
//!
//! The table has the mean and the standard deviation over seeds of the accuracy on the test part. A seed decides which digits have labels,
//! the initial weights and all draws. Nothing but the number of epochs ends training. Settings were chosen with every fifth digit of the
//! training part held out, those of fine-tuning so that the random start is at its best.

use nnc::Error;
use nnc::data::digits;
use nnc::layerwise::Pretraining;
use nnc::layerwise::few_labels::{FineTuning, accuracies};

/// The number of runs of each kind, where no other is given as an argument.
const SEEDS: u64 = 10;
/// A digit, the hidden layers, the classes.
const SIZES: [usize; 4] = [64, 256, 128, 10];

fn main() -> Result<(), Error> {
    let seeds = std::env::args().nth(1).and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    let (train, test) = digits();
    let (train, test) = (train.reshaped([64])?, test.reshaped([64])?);
    let machines = Pretraining::machines(&SIZES[..3]);
    let autoencoders = Pretraining::denoising(&SIZES[..3]);
    println!("test accuracy, mean and standard deviation of {seeds} seeds");
    println!("{:<26} {:>16} {:>16}", "start", "100 labels", "1,000 labels");
    let starts = [
        ("Boltzmann machines", Some(&machines)),
        ("denoising autoencoders", Some(&autoencoders)),
        ("random", None),
    ];
    for (name, pretraining) in starts {
        let fine_tuning = FineTuning::new(&SIZES);
        let found = accuracies(&train, &test, &[100, 1000], 0..seeds, pretraining, &fine_tuning)?;
        let [few, more] = [0, 1].map(|number| {
            format!("{:.2} +- {:.2} %", 100.0 * found[number].mean(), 100.0 * found[number].deviation())
        });
        println!("{name:<26} {few:>16} {more:>16}");
    }
    Ok(())
}
