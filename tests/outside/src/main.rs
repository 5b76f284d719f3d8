//! A small program that trains and predicts, with `nnc` as its one dependency.

use nnc::data::synthetic;
use nnc::prelude::*;

fn main() -> Result<(), Error> {
    println!("{} of the points of two spirals are on the arm that the model says", percent(accuracy()?));
    Ok(())
}

/// The part of held-out points that a model gets right.
fn accuracy() -> Result<f64, Error> {
    let (train, test) = synthetic::spirals(2, 600, 0)?.split_off_every_fifth();
    let layers = Sequential::new().add(Linear::new(2, 32)).add(Tanh).add(Linear::new(32, 2));
    let network = Supervised::new([2], layers, Loss::cross_entropy());
    let mut trainer = Trainer::new("spirals", network, Adam::new(0.02), TrainerOptions::default())?;
    trainer.fit(&train, None, &FitOptions::epochs(60), &mut silent)?;
    let scores = trainer.predict(&test)?;
    let labels = test.labels().expect("arms are classes");
    let right =
        scores.chunks(2).zip(labels).filter(|(scores, label)| i64::from(scores[1] > scores[0]) == **label);
    Ok(right.count() as f64 / test.len() as f64)
}

fn percent(part: f64) -> String {
    format!("{:.0} %", 100.0 * part)
}

#[test]
fn a_program_that_depends_on_nnc_alone_trains_and_predicts() {
    assert!(accuracy().expect("the data fit the model") > 0.9);
}
