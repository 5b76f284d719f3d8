//! A model from a table, in a file, and back: it is trained, saved, loaded from the file alone, and two threads predict with
//! the one copy of its weights.

mod support;

use std::path::Path;
use std::process::ExitCode;

use nn::{Adam, Loss, Relu, Supervised, models::Mlp};
use nnc::data::{Normalisation, Source};
use nnc::trainer::{FitOptions, silent};
use nnc::{Error, Trainer, TrainerOptions};

fn main() -> ExitCode {
    support::run("csv_model", csv_model)
}

fn csv_model(out: &Path) -> Result<(), Error> {
    // 64 columns of pixels and one of labels; every fifth row is for testing.
    let table = concat!("csv:", env!("CARGO_MANIFEST_DIR"), "/data/digits.csv.gz");
    let (train, test) = table.parse::<Source>()?.load()?;
    let scaled = Normalisation::standardise(&train).apply(&train)?;
    let layers = Mlp { dropout: 0.2, ..Mlp::new(&[train.features(), 128, 64, train.outputs()], Relu) };
    let network = Supervised::new([train.features()], layers, Loss::cross_entropy());
    let mut trainer = Trainer::new("digits", network, Adam::new(2e-3), TrainerOptions::default())?;
    trainer.fit(&scaled, None, &FitOptions::epochs(20), &mut silent)?;
    trainer.save(out.join("digits.safetensors"))?;

    // The file knows the network, its weights, how rows were scaled, and the names of classes.
    let model = nnc::load(out.join("digits.safetensors"))?;
    print!("{}", model.summary());
    let middle = test.len() / 2 * test.features();
    let (first, second) = test.rows().split_at(middle);
    let (first, second) = std::thread::scope(|scope| {
        let other = scope.spawn(|| model.predict(second));
        (model.predict(first), other.join().expect("it does not panic"))
    });
    let (first, second) = (first?, second?);
    let predicted = first.classes().chain(second.classes()).map(|(class, _)| class.to_owned());
    let labels = test.labels().expect("digits are classes").iter().map(i64::to_string);
    let right = predicted.zip(labels).filter(|(predicted, label)| predicted == label).count();
    println!("two threads predict {right} of {} right", test.len());
    Ok(())
}
