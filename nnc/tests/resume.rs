//! Runs that are broken off and go on, with the library: to the same bits, on any number of threads.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::ops::ControlFlow;

use nn::models::Mlp;
use nn::schedule::{Decay, Plateau, Schedule};
use nn::{
    Activation, AdaMax, Adagrad, Adam, AdamW, Clip, Lamb, Lion, Loss, Optimizer, RmsProp, Sgd, Supervised,
    TrainStep,
};
use nnc::checkpoint::{Checkpoint, Description};
use nnc::data::{Dataset, digits};
use nnc::trainer::{Event, FitOptions, History, silent};
use nnc::{Options, Trainer, TrainerOptions};

/// A run: its model, its optimizer, and when its learning rate falls and it ends.
struct Case {
    name: &'static str,
    model: Mlp,
    optimizer: fn() -> TrainStep,
    fit: FitOptions,
}

fn case(name: &'static str, optimizer: fn() -> TrainStep, fit: FitOptions) -> Case {
    Case { name, model: Mlp::new(&[64, 16, 10], Activation::Relu), optimizer, fit }
}

fn cases() -> Vec<Case> {
    let epochs = FitOptions::epochs(4);
    let adam = || TrainStep::new(Adam::new(0.01));
    let model = Mlp { dropout: 0.3, batch_norm: true, ..Mlp::new(&[64, 16, 10], Activation::Tanh) };
    let warm_up = Schedule { warm_up: 5, decay: Decay::Cosine { steps: 40, least: 0.0 } };
    let plateau = Plateau { factor: 0.5, patience: 0, ..Plateau::default() };
    // So high a rate that losses rise: the rate falls, and patience ends.
    let wild = || TrainStep::new(Sgd::new(3.0).momentum(0.9));
    let with_plateau = FitOptions { plateau: Some(plateau), keep_best: true, ..FitOptions::epochs(6) };
    let impatient = FitOptions { patience: Some(1), keep_best: true, ..FitOptions::epochs(50) };
    vec![
        Case { model: model.clone(), ..case("dropout and batch norm", adam, epochs.clone()) },
        case("gradients added up over batches", || adam_of(Clip::Norm(0.5)).accumulate(4), epochs.clone()),
        case("schedule", || adam_of(Clip::Value(0.01)), FitOptions { schedule: warm_up, ..epochs.clone() }),
        case("plateau", wild, with_plateau),
        case("early end", wild, impatient),
        case("nesterov", || TrainStep::new(Sgd::new(0.05).momentum(0.9).nesterov()), epochs.clone()),
        case("average", || TrainStep::new(Sgd::new(0.1).average(0.9)), epochs.clone()),
        case("rmsprop", || TrainStep::new(RmsProp::new(0.002).weight_decay(0.01)), epochs.clone()),
        case("adagrad", || TrainStep::new(Adagrad::new(0.05)), epochs.clone()),
        case("adamw", || TrainStep::new(AdamW::new(0.01).weight_decay(0.1)), epochs.clone()),
        case("adamax", || TrainStep::new(AdaMax::new(0.01)), epochs.clone()),
        case("lamb", || TrainStep::new(Lamb::new(0.01)), epochs.clone()),
        case("lion, averaged", || TrainStep::new(Lion::new(0.001)).average_weights(0.9), epochs),
    ]
}

fn adam_of(clip: Clip) -> TrainStep {
    TrainStep::new(Adam::new(0.01)).clip(clip)
}

const BATCH: usize = 100;

impl Case {
    fn trainer(&self, threads: usize) -> Trainer {
        let compile = Options { threads, ..Options::default() };
        let options = TrainerOptions { batch: BATCH, seed: 5, compile, ..TrainerOptions::default() };
        Trainer::new("m", self.network(), (self.optimizer)(), options).unwrap()
    }

    fn network(&self) -> Supervised<Mlp> {
        Supervised::new([64], self.model.clone(), Loss::cross_entropy())
    }

    /// Goes on until the end, or until so many steps have been done in all.
    fn fit(&self, trainer: &mut Trainer, until: Option<u64>) -> History {
        let (train, test) = digits();
        let mut stop = |event: &Event, trainer: &Trainer| match event {
            Event::Step(_) if until == Some(trainer.run().steps) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        };
        trainer.fit(&train, Some(&test), &self.fit, &mut stop).unwrap()
    }
}

/// Broken off in the middle of an epoch, among batches whose gradients are added up, after an epoch, and soon after that;
/// each time through a file, and on another number of threads.
#[test]
fn a_run_that_is_broken_off_goes_on_to_the_same_bits() {
    let (train, _) = digits();
    let steps_per_epoch = train.len().div_ceil(BATCH) as u64;
    let folder = tempfile::tempdir().unwrap();
    for case in cases() {
        let mut whole = case.trainer(1);
        let history = case.fit(&mut whole, None);
        let steps = whole.run().steps;
        let mut trainer = case.trainer(1);
        for (number, break_after) in
            [7, steps_per_epoch, steps_per_epoch + 2, steps - 3].into_iter().enumerate()
        {
            case.fit(&mut trainer, Some(break_after));
            let path = folder.path().join("a.safetensors");
            trainer.run_checkpoint().unwrap().write(&path).unwrap();
            trainer = case.trainer(1 + (number + 1) % 2);
            trainer.describe(Description::of(&train));
            trainer.resume(&Checkpoint::read(&path).unwrap()).unwrap();
            assert_eq!(trainer.run().steps, break_after, "{}", case.name);
        }
        let resumed = case.fit(&mut trainer, None);
        assert_eq!(
            (resumed.epochs, resumed.best_epoch),
            (history.epochs, history.best_epoch),
            "{}",
            case.name
        );
        assert_eq!(trainer.weights_hash().unwrap(), whole.weights_hash().unwrap(), "{}", case.name);
    }
}

/// The cases above do what they are named after.
#[test]
fn rates_fall_and_runs_end_where_losses_rise() {
    let history = |name: &str| {
        let case = cases().into_iter().find(|case| case.name == name).unwrap();
        case.fit(&mut case.trainer(1), None)
    };
    let rates: Vec<f64> = history("plateau").epochs.iter().filter_map(|epoch| epoch.learning_rate).collect();
    assert!(rates[5] < rates[0], "{rates:?}");
    let ended = history("early end");
    let epochs = ended.epochs.len();
    assert!(
        epochs < 50 && ended.best_epoch == Some(epochs - 1),
        "{epochs} epochs, best {:?}",
        ended.best_epoch
    );
}

/// A run that has ended can be made longer: it goes on as if it had been longer from the start.
#[test]
fn a_run_that_has_ended_can_be_made_longer() {
    let (train, _) = digits();
    let case = &cases()[0];
    let mut whole = case.trainer(1);
    case.fit(&mut whole, None);
    let mut short = case.trainer(1);
    short.fit(&train, None, &FitOptions::epochs(2), &mut silent).unwrap();
    let mut longer = case.trainer(2);
    longer.resume(&short.run_checkpoint().unwrap()).unwrap();
    longer.fit(&train, None, &FitOptions::epochs(4), &mut silent).unwrap();
    assert_eq!(longer.weights_hash().unwrap(), whole.weights_hash().unwrap());
}

/// With another optimizer, another model, another seed, or on other data, it is another run.
#[test]
fn another_run_does_not_go_on_from_a_checkpoint() {
    let (train, test) = digits();
    let case = &cases()[0];
    let mut trainer = case.trainer(1);
    case.fit(&mut trainer, Some(3));
    let checkpoint = trainer.run_checkpoint().unwrap();
    let message = |optimizer: Box<dyn Optimizer>, seed: u64, data: &Dataset| {
        let options = TrainerOptions { batch: BATCH, seed, ..TrainerOptions::default() };
        let mut other = Trainer::new("m", case.network(), optimizer, options).unwrap();
        other.describe(Description::of(data));
        let before = other.weights_hash().unwrap();
        let error = other.resume(&checkpoint).unwrap_err().to_string();
        assert_eq!((other.weights_hash().unwrap(), other.run().steps), (before, 0));
        error
    };
    let adam = |rate| Box::new(Adam::new(rate));
    let another_step = "the checkpoint: the program of its training step is another: ";
    assert!(message(adam(0.02), 5, &train).starts_with(another_step));
    assert!(message(Box::new(Sgd::new(0.01)), 5, &train).starts_with(another_step));
    assert!(message(adam(0.01), 6, &train).starts_with(another_step));
    assert!(message(adam(0.01), 5, &test).starts_with("the checkpoint: it was trained on other data: "));
    let finished = trainer.model_checkpoint().unwrap();
    let error = trainer.resume(&finished).unwrap_err().to_string();
    assert!(
        error.starts_with("the checkpoint: it holds a finished model, and no run to go on from; "),
        "{error}"
    );
}
