//! A loss of one's own: the focal loss (T.-Y. Lin et al., "Focal loss for dense object detection", 2017), cross entropy in
//! which a row counts the less the surer the model is of its class. Digits are learned with and without it.

mod support;

use std::path::Path;
use std::process::ExitCode;

use nn::loss::at_labels;
use nn::models::Mlp;
use nn::{Activation, Adam, Loss, Supervised};
use nnc::report::history_plot;
use nnc::trainer::{FitOptions, silent};
use nnc::{Error, Trainer, TrainerOptions, data, files};

/// `-(1 - p)^gamma log p` with the probability `p` of the label; `gamma` is at least 1.
fn focal(gamma: f64) -> Loss {
    Loss::custom_of_classes("focal", move |b, logits, labels| {
        let log_p = b.log_softmax(logits, 1)?;
        let log_p = at_labels(b, log_p, labels)?;
        Ok(-(-log_p.expm1()).pow(gamma) * log_p)
    })
}

fn main() -> ExitCode {
    support::run("focal_loss", focal_loss)
}

fn focal_loss(out: &Path) -> Result<(), Error> {
    let (train, test) = data::digits();
    println!("loss           loss at the end  test accuracy");
    for (name, loss) in [("cross entropy", Loss::cross_entropy()), ("focal", focal(2.0))] {
        let model = Mlp::new(&[64, 64, 10], Activation::Relu);
        let network = Supervised::new([64], model, loss);
        let mut trainer = Trainer::new("mlp", network, Adam::new(2e-3), TrainerOptions::default())?;
        let history = trainer.fit(&train, Some(&test), &FitOptions::epochs(10), &mut silent)?;
        let (_, evaluation) = trainer.predict_and_evaluate(&test)?;
        let accuracy = 100.0 * evaluation.correct.unwrap_or_default() as f64 / evaluation.rows as f64;
        println!("{name:<13}  {:>15.4}  {accuracy:>13.1} %", evaluation.loss);
        let file = format!("{}.svg", name.replace(' ', "_"));
        files::write_text(&out.join(file), &history_plot(&format!("digits, {name}"), "test", &history))?;
    }
    Ok(())
}
