//! A trainer whose optimizer has a name trains as one whose optimizer has none.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use ir::Tensor;
use nn::schedule::{Decay, Schedule};
use nn::{Clip, Loss, Relu, Sgd, Supervised, TrainStep};
use nnc::data::digits;
use nnc::trainer::{FitOptions, silent};
use nnc::{Error, Trainer, TrainerOptions, checkpoint};

/// The same rule without a name and with one.
fn steps() -> [TrainStep; 2] {
    let step = || TrainStep::new(Sgd::new(0.1).momentum(0.9)).clip(Clip::Norm(1.0));
    [step(), step().named("mine")]
}

#[test]
fn a_schedule_sets_the_rate_of_an_optimizer_with_a_name() {
    let (train, _) = digits();
    let schedule = Schedule { warm_up: 0, decay: Decay::Cosine { steps: 6, least: 0.0 } };
    let fit = FitOptions { schedule, ..FitOptions::epochs(2) };
    let [plain, named] = steps().map(|step| {
        let options = TrainerOptions { batch: 500, ..TrainerOptions::default() };
        let model = nn::models::Mlp::new(&[64, 16, 10], Relu);
        let network = Supervised::new([64], model, Loss::cross_entropy());
        let mut trainer = Trainer::new("small", network, step, options).unwrap();
        let history = trainer.fit(&train, None, &fit, &mut silent).unwrap();
        let hash = checkpoint::hash(trainer.state(), trainer.weights()).unwrap();
        (hash, history.epochs.iter().map(|epoch| epoch.learning_rate).collect::<Vec<_>>())
    });
    assert_eq!(plain, named);
    assert!(named.1[0] < Some(0.1) && named.1[1] < named.1[0], "{:?}", named.1);
}

#[test]
fn norms_of_an_optimizer_with_a_name_are_looked_at() {
    for step in steps() {
        let options = TrainerOptions { batch: 1, ..TrainerOptions::default() };
        let network = Supervised::new([2], nn::Linear::new(2, 1), Loss::SquaredError);
        let mut trainer = Trainer::new("line", network, step, options).unwrap();
        let x = Tensor::new([1, 2], vec![0.5f32; 2]).unwrap();
        let y = Tensor::new([1, 1], vec![1.8e19f32]).unwrap();
        let error = trainer.step(&[("x", &x), ("y", &y)]).unwrap_err();
        let Error::NotFinite(error) = error else { panic!("{error:?}") };
        assert_eq!(error.value, "gradient_norm");
    }
}
