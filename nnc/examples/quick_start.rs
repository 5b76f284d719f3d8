//! The shortest way from data to a trained model: a multilayer perceptron learns handwritten digits.

mod support;

use std::path::Path;
use std::process::ExitCode;

use nn::models::Mlp;
use nn::{Activation, Adam, Loss, Supervised};
use nnc::report::{ModelSummary, confusion_plot, history_plot};
use nnc::trainer::{ConfusionMatrix, FitOptions, silent};
use nnc::{Error, Trainer, TrainerOptions, data, files, load};

fn main() -> ExitCode {
    support::run("quick_start", quick_start)
}

fn quick_start(out: &Path) -> Result<(), Error> {
    // 1,797 images of 8x8 pixels are part of the library; every fifth is held out.
    let (train, test) = data::digits();
    println!("{train}");

    // A model is a description. What it costs is known before anything is compiled.
    let model = Mlp { dropout: 0.1, ..Mlp::new(&[64, 128, 64, 10], Activation::Relu) };
    let network = Supervised::new([64], model, Loss::cross_entropy());
    println!("{}", ModelSummary::new(&network, 32)?);

    // Forward pass, backward pass and optimizer become one program of machine code.
    let mut trainer = Trainer::new("mlp", network, Adam::new(2e-3), TrainerOptions::default())?;
    let history = trainer.fit(&train, Some(&test), &FitOptions::epochs(30), &mut silent)?;

    let (logits, evaluation) = trainer.predict_and_evaluate(&test)?;
    let (right, rows) = (evaluation.correct.unwrap_or_default(), evaluation.rows);
    println!("test accuracy {:.2} % ({right} of {rows})", 100.0 * right as f64 / rows as f64);
    let compile_ms = 1e3 * trainer.compile_time().as_secs_f64();
    println!(
        "compiled in {compile_ms:.0} ms, trained on {:.0} images/s with one thread",
        history.samples_per_s
    );

    // What training leaves: pictures and weights.
    let labels = test.labels().expect("digits are classes");
    let confusion = ConfusionMatrix::new(&logits, labels, test.targets().names());
    files::write_text(&out.join("history.svg"), &history_plot("mlp on digits", "test", &history))?;
    files::write_text(&out.join("confusion.svg"), &confusion_plot("mlp on digits", &confusion))?;
    let file = out.join("mlp.safetensors");
    trainer.save(&file)?;

    // The model comes back from the file alone, as it was.
    let model = load(&file)?;
    let (digit, probability) =
        model.predict(test.row(0))?.class(0).map(|(name, p)| (name.to_owned(), p)).expect("classes");
    println!("the first held-out image is a {digit}, with a probability of {probability:.3}");
    Ok(())
}
