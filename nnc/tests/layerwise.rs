//! Layers that are trained one after another: where classifiers start, what they are worth with few labels, and samples.

#![cfg(feature = "data-csv")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use ir::Tensor;
use nn::models::rbm::Chain;
use nn::models::{Mlp, VisibleUnits};
use nn::{Activation, Adam, Corruption, Loss, Nonlinearity, Supervised};
use nnc::data::{Dataset, digits};
use nnc::layerwise::few_labels::{FineTuning, accuracies};
use nnc::layerwise::{Method, Pretrained, Pretraining, pretrain};
use nnc::{Options, Trainer, TrainerOptions};

const MACHINES: Method = Method::Rbm { chain: Chain::Contrastive { steps: 1 } };
const DENOISING: Method = Method::Autoencoder {
    activation: Nonlinearity::Activation(Activation::Sigmoid),
    corruption: Corruption::Masking { rate: 0.3 },
};

fn rows_of_digits() -> (Dataset, Dataset) {
    let (train, test) = digits();
    (train.reshaped([64]).unwrap(), test.reshaped([64]).unwrap())
}

fn pretrained(sizes: &[usize], method: Method, epochs: usize, threads: usize) -> Pretrained {
    let (train, _) = rows_of_digits();
    let compile = Options { threads, ..Options::default() };
    pretrain(&train.tensor(), &Pretraining { epochs, compile, ..Pretraining::new(sizes, method) }).unwrap()
}

fn message<T>(result: Result<T, nnc::Error>) -> String {
    result.err().map_or(String::new(), |error| error.to_string())
}

#[test]
fn layers_have_the_same_bits_on_1_and_2_threads_and_a_classifier_starts_from_them() {
    for method in [MACHINES, DENOISING] {
        let layers = pretrained(&[64, 20, 12], method, 2, 1);
        assert!(layers == pretrained(&[64, 20, 12], method, 2, 2), "{method:?}");
        let network =
            Supervised::new([64], Mlp::new(&[64, 20, 12, 10], Activation::Sigmoid), Loss::cross_entropy());
        let mut trainer = Trainer::new("m", network, Adam::default(), TrainerOptions::default()).unwrap();
        layers.start(&mut trainer).unwrap();
        assert_eq!(trainer.state().get("fc1.weight").unwrap(), layers.layers[0].weight);
        assert_eq!(trainer.state().get("fc2.bias").unwrap(), layers.layers[1].hidden_bias);
    }
}

/// The same rows have labels for each start, so differences between starts are those of pairs.
#[test]
fn pretraining_beats_a_random_start_on_the_mean_with_100_labels() {
    let (train, test) = rows_of_digits();
    let sizes = [64, 256, 128, 10];
    let found = |pretraining: Option<Pretraining>| {
        let tuning = FineTuning::new(&sizes);
        let found = accuracies(&train, &test, &[100], 0..4, pretraining.as_ref(), &tuning).unwrap();
        println!("{:.4} +- {:.4}: {:?}", found[0].mean(), found[0].deviation(), found[0].all);
        found[0].mean()
    };
    let random = found(None);
    let machines = found(Some(Pretraining::machines(&sizes[..3])));
    let denoising = found(Some(Pretraining::denoising(&sizes[..3])));
    let what = format!("random {random:.4}, machines {machines:.4}, denoising autoencoders {denoising:.4}");
    assert!(machines > random && denoising > random, "{what}");
}

/// Pixels of samples are as bright, on average and each for itself, as those of digits.
#[test]
fn samples_of_a_belief_network_look_like_digits() {
    let (train, _) = rows_of_digits();
    let layers =
        pretrained(&[64, 100, 60], Method::Rbm { chain: Chain::Persistent { chains: 50, steps: 1 } }, 30, 1);
    let samples = layers.sample(500, 200, 3, &Options::default()).unwrap();
    assert_eq!(samples.ty().to_string(), "f32[500, 64]");
    let means = |pixels: &[f32]| -> Vec<f64> {
        let rows = (pixels.len() / 64) as f64;
        (0..64)
            .map(|pixel| pixels.iter().skip(pixel).step_by(64).map(|&x| f64::from(x)).sum::<f64>() / rows)
            .collect()
    };
    let (of_samples, of_digits) = (means(samples.as_slice().unwrap()), means(train.rows()));
    let distance =
        |a: &[f64], b: &[f64]| (a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / 64.0).sqrt();
    let (off, half) = (distance(&of_samples, &of_digits), distance(&[0.5; 64], &of_digits));
    println!("means of pixels are off by {off:.3}, those of noise by {half:.3}");
    assert!(off < half / 3.0, "means of pixels are off by {off:.3}, those of noise by {half:.3}");
    assert_eq!(layers.sample(500, 200, 3, &Options { threads: 2, ..Options::default() }).unwrap(), samples);
    assert_ne!(layers.sample(500, 200, 4, &Options::default()).unwrap(), samples);
}

#[test]
fn what_cannot_be_trained_or_drawn_is_an_error() {
    let rows = Tensor::new([4, 3], vec![0.5f32; 12]).unwrap();
    let layers = |sizes: &[usize]| Pretraining { batch: 2, epochs: 1, ..Pretraining::new(sizes, DENOISING) };
    assert_eq!(
        message(pretrain(&rows, &layers(&[3]))),
        "layer-wise stack: the sizes are [3]; give the size of a row and of at least one layer"
    );
    let error = message(pretrain(&rows, &layers(&[5, 2])));
    assert!(error.starts_with("pretraining: rows of `x` are f32[3], the model takes f32[5]"), "{error}");
    let autoencoders = pretrain(&rows, &layers(&[3, 2])).unwrap();
    assert_eq!(
        message(autoencoders.sample(1, 1, 0, &Options::default())),
        "layer-wise stack: its layers are autoencoders; train layers by `Method::Rbm`, which say how likely each state is"
    );
    let machines = Pretraining { units: VisibleUnits::Gaussian, method: MACHINES, ..layers(&[3, 2]) };
    let machines = pretrain(&rows, &machines).unwrap();
    assert_eq!(
        message(machines.sample(0, 1, 0, &Options::default())),
        "samples: 0 chains of 1 steps are asked for; give at least one of each"
    );
    let (train, test) = rows_of_digits();
    let tuning = FineTuning::new(&[64, 10]);
    assert_eq!(
        message(accuracies(&train, &test, &[100, 5000], 0..1, None, &tuning)),
        "few labels: 5000 of 1437 rows are to have labels; give from 1 to 1437"
    );
    assert_eq!(
        message(accuracies(&train, &test, &[100], 0..0, None, &tuning)),
        "few labels: there are no seeds; give at least one"
    );
}
