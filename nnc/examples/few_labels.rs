//! What greedy layer-wise pre-training is worth where few digits have labels. Classifiers of the same shape, fine-tuned on the same labelled
//! digits, start from layers of restricted Boltzmann machines, from layers of denoising autoencoders (both trained on all digits of the
//! training part without their labels), and at random. Sigmoid networks, which such layers were made for, gain more than those
//! of relu, which start well at random; layers of Boltzmann machines are sigmoid.
//!
//! The table has the mean and the standard deviation over seeds of the accuracy on the test part. A seed decides which digits have labels,
//! the initial weights and all draws. Nothing but the number of epochs ends training. Settings were chosen with every fifth digit of the
//! training part held out; those of fine-tuning are the same for all networks of an activation.

use nn::{Activation, Corruption};
use nnc::Error;
use nnc::data::digits;
use nnc::layerwise::few_labels::{FineTuning, accuracies};
use nnc::layerwise::{Method, Pretraining};

/// The number of runs of each kind, where no other is given as an argument.
const SEEDS: u64 = 10;
/// A digit, the hidden layers, the classes.
const SIZES: [usize; 4] = [64, 256, 128, 10];

fn main() -> Result<(), Error> {
    let seeds = std::env::args().nth(1).and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    let (train, test) = digits();
    let (train, test) = (train.reshaped([64])?, test.reshaped([64])?);
    let sigmoid = FineTuning::new(&SIZES);
    let relu = FineTuning { activation: Activation::Relu, learning_rate: 1e-3, ..sigmoid.clone() };
    let masking = Corruption::Masking { rate: 0.3 };
    let of_relu = Method::Autoencoder { activation: Activation::Relu.into(), corruption: masking };
    let of_relu = Pretraining { learning_rate: 1e-3, epochs: 50, ..Pretraining::new(&SIZES[..3], of_relu) };
    let starts = [
        ("random, relu", None, &relu),
        ("denoising autoencoders, relu", Some(of_relu), &relu),
        ("random, sigmoid", None, &sigmoid),
        ("denoising autoencoders, sigmoid", Some(Pretraining::denoising(&SIZES[..3])), &sigmoid),
        ("Boltzmann machines, sigmoid", Some(Pretraining::machines(&SIZES[..3])), &sigmoid),
    ];
    println!("test accuracy, mean and standard deviation of {seeds} seeds");
    println!("{:<32} {:>16} {:>16}", "start, activation", "100 labels", "1,000 labels");
    for (name, pretraining, fine_tuning) in starts {
        let found = accuracies(&train, &test, &[100, 1000], 0..seeds, pretraining.as_ref(), fine_tuning)?;
        let [few, more] = [0, 1].map(|number| {
            format!("{:.2} +- {:.2} %", 100.0 * found[number].mean(), 100.0 * found[number].deviation())
        });
        println!("{name:<32} {few:>16} {more:>16}");
    }
    Ok(())
}
