//! Networks of one hidden layer come as near to a function as one likes, if they are wide enough (G. Cybenko, "Approximation by
//! superpositions of a sigmoidal function", 1989): the greatest and the mean error by width.

mod support;

use std::path::Path;
use std::process::ExitCode;

use nn::schedule::{Decay, Schedule};
use nn::{Activation, Adam, Linear, Loss, Sequential, Supervised, init};
use nnc::data::{Dataset, Targets};
use nnc::report::{Axis, Corner, Line, PALETTE, Panel, Scale, figure};
use nnc::trainer::{FitOptions, silent};
use nnc::{Error, Trainer, TrainerOptions, files};

const WIDTHS: [usize; 6] = [4, 8, 16, 32, 64, 128];
const POINTS: usize = 512;
const EPOCHS: usize = 1000;
/// Of so many runs the best counts: that there are good weights is what is shown, not that each run finds them.
const SEEDS: u64 = 3;

/// The function that is to be told, from -1 to 1.
fn function(x: f64) -> f64 {
    (20.0 * x).sin() * (-x * x).exp() + 0.5 * x
}

/// Points of the function, evenly spread.
fn points() -> Result<Dataset, Error> {
    let xs: Vec<f64> = (0..POINTS).map(|i| 2.0 * i as f64 / (POINTS - 1) as f64 - 1.0).collect();
    let values = xs.iter().map(|&x| function(x) as f32).collect();
    let targets = Targets::Values { values, names: vec!["f".into()] };
    Dataset::new("function", [1], xs.iter().map(|&x| x as f32).collect(), targets)
}

/// The mean squared and the greatest error of a network of this width.
fn errors(width: usize, seed: u64, data: &Dataset) -> Result<(f64, f64), Error> {
    // Steep sigmoids in many places: the weights of one value's layer are else all near 0.
    let steep = Linear::new(1, width).weight_init(init::uniform(25.0)).bias_init(init::uniform(25.0));
    let layers = Sequential::new().add(steep).add(Activation::Tanh).add(Linear::new(width, 1));
    let network = Supervised::new([1], layers, Loss::SquaredError);
    let options = TrainerOptions { batch: 32, seed, ..TrainerOptions::default() };
    let mut trainer = Trainer::new("one_layer", network, Adam::new(0.01), options)?;
    let steps = (EPOCHS * POINTS / 32) as u64;
    let schedule = Schedule { warm_up: 0, decay: Decay::Cosine { steps, least: 0.0 } };
    trainer.fit(data, None, &FitOptions { schedule, ..FitOptions::epochs(EPOCHS) }, &mut silent)?;
    let told = trainer.predict(data)?;
    let differences =
        told.iter().zip(data.values().unwrap_or_default()).map(|(a, b)| f64::from((a - b).abs()));
    let (square, greatest) = differences.fold((0.0, 0.0f64), |(s, g), d| (s + d * d, g.max(d)));
    Ok((square / POINTS as f64, greatest))
}

fn main() -> ExitCode {
    support::run("universal_approximation", universal_approximation)
}

fn universal_approximation(out: &Path) -> Result<(), Error> {
    let data = points()?;
    let (mut squares, mut greatest) = (Vec::new(), Vec::new());
    println!("width   mean squared error   greatest error");
    for width in WIDTHS {
        let runs: Vec<(f64, f64)> =
            (0..SEEDS).map(|seed| errors(width, seed, &data)).collect::<Result<_, Error>>()?;
        let best = runs.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or_default();
        println!("{width:>5}   {:>18.2e}   {:>14.4}", best.0, best.1);
        squares.push((width as f64, best.0));
        greatest.push((width as f64, best.1));
    }
    let lines =
        vec![Line::new("mean squared", PALETTE[0], squares), Line::new("greatest", PALETTE[1], greatest)];
    let axes = (Axis::new("width of the hidden layer", Scale::Log), Axis::new("error", Scale::Log));
    let panel = Panel::new("one hidden layer of tanh", axes.0, axes.1, lines).legend(Corner::UpperRight);
    files::write_text(
        &out.join("universal_approximation.svg"),
        &figure("the error falls with the width", 1, (620, 480), vec![panel]),
    )
}
