//! Training end to end with the library.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::ops::ControlFlow;

use codegen::Target;
use ir::Tensor;
use nn::models::{Mlp, mlp};
use nn::schedule::{Decay, Schedule};
use nn::{Activation, Adam, Clip, Loss, Relu, Sgd, Supervised, TrainStep};
use nnc::data::{Dataset, Targets, digits};
use nnc::trainer::{Event, FitOptions, silent};
use nnc::weights::Weights;
use nnc::{Error, Options, Trainer, TrainerOptions, checkpoint};

fn options(batch: usize, seed: u64, threads: usize) -> TrainerOptions {
    let compile = Options { threads, ..Options::default() };
    TrainerOptions { batch, seed, compile, ..TrainerOptions::default() }
}

fn options_on(target: &Target, batch: usize, seed: u64, threads: usize) -> TrainerOptions {
    let compile = Options { threads, target: Some(target.clone()), ..Options::default() };
    TrainerOptions { batch, seed, compile, ..TrainerOptions::default() }
}

fn classifier(model: Mlp) -> Supervised<Mlp> {
    Supervised::new([64], model, Loss::cross_entropy())
}

fn small() -> Supervised<Mlp> {
    classifier(Mlp::new(&[64, 16, 10], Relu))
}

/// The hash of the weights of a small model after two epochs.
fn trained_hash(options: TrainerOptions) -> String {
    let (train, _) = digits();
    let mut trainer = Trainer::new("small", small(), Adam::default(), options).unwrap();
    trainer.fit(&train, None, &FitOptions::epochs(2), &mut silent).unwrap();
    checkpoint::hash(trainer.state(), trainer.weights()).unwrap()
}

#[test]
fn the_default_model_reaches_97_percent_on_the_held_out_fifth() {
    let (train, test) = digits();
    for target in Target::available() {
        let options = options_on(&target, 32, 1, 1);
        let mut trainer = Trainer::new("mlp", classifier(mlp()), Adam::new(5e-3), options).unwrap();
        let history = trainer.fit(&train, Some(&test), &FitOptions::epochs(30), &mut silent).unwrap();
        let evaluation = trainer.evaluate(&test).unwrap();
        assert!(evaluation.accuracy >= Some(0.97), "{}: {evaluation:?}", target.name);
        assert_eq!(history.epochs.last().unwrap().held_out.as_ref(), Some(&evaluation));
        assert!(history.epochs[29].loss < 0.1 * history.epochs[0].loss);
    }
}

/// Batches so large that kernels are shared among threads, and the usual ones.
#[test]
fn weights_have_the_same_bits_on_any_number_of_threads() {
    for target in Target::available() {
        for batch in [32, 700] {
            let hash = |threads| trained_hash(options_on(&target, batch, 3, threads));
            let expected = hash(1);
            assert_eq!(hash(2), expected, "{}, batch {batch}", target.name);
            assert_eq!(hash(1), expected, "{}, batch {batch}", target.name);
        }
    }
}

#[test]
fn another_seed_gives_other_weights() {
    assert_ne!(trained_hash(options(700, 3, 1)), trained_hash(options(700, 4, 1)));
}

/// A batch that divides the rows, one that does not, and all rows at once.
#[test]
fn every_row_is_trained_on_once_per_epoch() {
    let (train, _) = digits();
    for (batch, steps) in [(479, 3), (480, 3), (1437, 1)] {
        let mut trainer = Trainer::new("small", small(), Sgd::new(0.1), options(batch, 0, 1)).unwrap();
        let mut seen = 0;
        let mut count = |event: &Event, _: &Trainer| {
            seen += usize::from(matches!(event, Event::Step(_)));
            ControlFlow::Continue(())
        };
        trainer.fit(&train, None, &FitOptions::epochs(1), &mut count).unwrap();
        assert_eq!(seen, steps, "batch {batch}");
    }
}

/// The short last batch works on the weights that the whole batches have trained.
#[test]
fn both_sizes_of_batches_share_their_states() {
    let (train, _) = digits();
    let mut trainer = Trainer::new("small", small(), Adam::default(), options(1000, 0, 1)).unwrap();
    trainer.fit(&train, None, &FitOptions::epochs(3), &mut silent).unwrap();
    assert_eq!(trainer.state().get("adam.step").unwrap().as_slice::<i64>().unwrap(), [6]);
}

#[test]
fn a_restored_trainer_evaluates_as_the_saved_one() {
    let (train, test) = digits();
    let mut trainer = Trainer::new("small", small(), Adam::default(), options(32, 0, 1)).unwrap();
    trainer.fit(&train, None, &FitOptions::epochs(1), &mut silent).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.safetensors");
    Weights::of_names(trainer.state(), trainer.weights()).unwrap().write(&path).unwrap();
    let mut restored = Trainer::new("small", small(), Adam::default(), options(32, 9, 1)).unwrap();
    let names = restored.weights().to_vec();
    Weights::read(&path).unwrap().load_names(restored.state_mut().unwrap(), &names).unwrap();
    assert_eq!(restored.evaluate(&test).unwrap(), trainer.evaluate(&test).unwrap());
}

/// Evaluation packs weights, which training changes in between. Without optimisation nothing is packed.
#[test]
fn evaluation_sees_the_weights_of_each_epoch() {
    let (train, test) = digits();
    let evaluations = |optimize: bool| -> Vec<f64> {
        let compile = Options { optimize, ..Options::default() };
        let options = TrainerOptions { batch: 64, seed: 2, compile, ..TrainerOptions::default() };
        let model = Mlp::new(&[64, 64, 10], Relu);
        let mut trainer = Trainer::new("wide", classifier(model), Sgd::new(0.05), options).unwrap();
        let history = trainer.fit(&train, Some(&test), &FitOptions::epochs(3), &mut silent).unwrap();
        history.epochs.iter().map(|epoch| epoch.held_out.as_ref().unwrap().loss).collect()
    };
    let (found, expected) = (evaluations(true), evaluations(false));
    assert!(found[2] < found[1] && found[1] < found[0], "{found:?}");
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-4 * expected, "{found} instead of {expected}");
    }
}

/// Where the gradient g is the same in each step, the averages are g (1 - beta1^t) and g^2 (1 - beta2^t), so that with
/// exact corrections every step is of the size of the learning rate. f32 averages drift by about 1e-8 per step.
#[test]
fn adam_in_machine_code_corrects_its_averages_from_the_first_step_on() {
    const RATE: f64 = 1e-3;
    let gradient = [3.0f32, -0.25, 1e-3];
    let mut cx = nn::Context::new("linear_loss");
    let p = cx.parameter("p", [3], ir::Init::Constant(0.0)).unwrap();
    let g = cx.constant(Tensor::new([3], gradient.to_vec()).unwrap());
    let product = cx.mul(p, g).unwrap();
    let loss = cx.reduce_sum(product, &[0], false).unwrap();
    nn::Optimizer::step(&Adam::new(RATE), &mut cx, loss).unwrap();
    let mut program = nnc::compile(&cx.finish(), &Options::default()).unwrap();
    let mut state = nnc::State::new(program.plan(), 0).unwrap();
    for step in 1..=3000 {
        program.run(&mut state, &[]).unwrap();
        let p = state.get("p").unwrap();
        for (p, g) in p.as_slice::<f32>().unwrap().iter().zip(gradient) {
            let expected = -RATE * f64::from(step) * f64::from(g.signum());
            let tolerance = if step == 1 { 1.2e-5 } else { 1e-4 }; // eps is 1e-5 of the least gradient
            assert!(
                (f64::from(*p) / expected - 1.0).abs() < tolerance,
                "step {step}: {p}, expected {expected}"
            );
        }
    }
}

/// All states of a trainer.
fn states(trainer: &Trainer) -> Vec<(String, Tensor)> {
    trainer.state().iter().map(|(name, _)| (name.to_owned(), trainer.state().get(name).unwrap())).collect()
}

#[test]
fn nan_in_a_batch_is_an_error_that_names_the_step_and_the_value() {
    let mut trainer = Trainer::new("small", small(), Adam::default(), options(2, 0, 1)).unwrap();
    let labels = Tensor::new([2], vec![3i64, 5]).unwrap();
    let mut x = Tensor::new([2, 64], vec![0.5f32; 128]).unwrap();
    trainer.step(&[("x", &x), ("y", &labels)]).unwrap();
    x.as_mut_slice::<f32>().unwrap()[64 + 7] = f32::NAN;
    let error = trainer.step(&[("x", &x), ("y", &labels)]).unwrap_err();
    assert_eq!(error.to_string(), "step 2: input `x` holds NaN at [1, 7]; give finite numbers");
    let Error::NotFinite(error) = error else { panic!("{error:?}") };
    assert_eq!((error.step, error.value.as_str()), (2, "x"));
}

/// What cannot be trained on, and what overflows on the way to the loss; with all kinds of states. The trainer goes on to the same bits as one that has never seen it.
#[test]
fn a_trainer_goes_on_after_an_error_as_if_there_had_been_none() {
    let (train, _) = digits();
    let train = train.one_hot();
    let model = || Mlp { dropout: 0.2, batch_norm: true, ..Mlp::new(&[64, 16, 10], Activation::Tanh) };
    let batch = |fill: f32, target: f32| {
        let x: Vec<f32> = train.rows()[..8 * 64].iter().map(|x| x * fill).collect();
        let mut y = train.values().unwrap()[..8 * 10].to_vec();
        y[7] = target;
        (Tensor::new([8, 64], x).unwrap(), Tensor::new([8, 10], y).unwrap())
    };
    fn adam() -> TrainStep {
        TrainStep::new(Adam::new(0.01))
    }
    let steps: [fn() -> TrainStep; 3] = [adam, || adam().accumulate(3), || adam().clip(Clip::Norm(1.0))];
    for target in Target::available() {
        for optimizer in steps {
            let trainer = || {
                let network = Supervised::new([64], model(), Loss::SquaredError);
                Trainer::new("small", network, optimizer(), options_on(&target, 8, 3, 1)).unwrap()
            };
            let (mut good, mut tried) = (trainer(), trainer());
            for step in 0..5 {
                let bad = [(f32::NAN, 0.0), (f32::INFINITY, 0.0), (1.0, f32::NAN), (1.0, 1e30)];
                let before = (states(&tried), tried.run().steps);
                for (fill, target) in bad {
                    let (x, y) = batch(fill, target);
                    let error = tried.step(&[("x", &x), ("y", &y)]).unwrap_err();
                    assert!(matches!(&error, Error::NotFinite(error) if error.step == step + 1), "{error}");
                    if step > 0 {
                        assert_eq!((states(&tried), tried.run().steps), before, "{error}");
                    }
                }
                let (x, y) = batch(1.0, 0.5);
                assert_eq!(
                    tried.step(&[("x", &x), ("y", &y)]).unwrap(),
                    good.step(&[("x", &x), ("y", &y)]).unwrap()
                );
                assert_eq!(states(&tried), states(&good), "step {step}");
            }
        }
    }
}

#[test]
fn gradients_whose_norm_overflows_are_an_error_that_names_it() {
    let network = Supervised::new([2], nn::Linear::new(2, 1), Loss::SquaredError);
    let step = TrainStep::new(Adam::new(0.1)).clip(Clip::Norm(1.0));
    let mut trainer = Trainer::new("line", network, step, options(1, 0, 1)).unwrap();
    let x = Tensor::new([1, 2], vec![0.5f32; 2]).unwrap();
    let [half, huge] = [0.5f32, 1.8e19].map(|y| Tensor::new([1, 1], vec![y]).unwrap());
    trainer.step(&[("x", &x), ("y", &half)]).unwrap();
    let before = states(&trainer);
    let error = trainer.step(&[("x", &x), ("y", &huge)]).unwrap_err();
    let Error::NotFinite(error) = error else { panic!("{error:?}") };
    assert_eq!((error.step, error.value.as_str()), (2, "gradient_norm"));
    assert_eq!(states(&trainer), before);
}

#[test]
fn training_that_diverges_is_an_error_that_leaves_finite_states() {
    let (train, _) = digits();
    let mut trainer = Trainer::new("small", small(), Sgd::new(1e30), options(32, 0, 1)).unwrap();
    let error = trainer.fit(&train, None, &FitOptions::epochs(1), &mut silent).unwrap_err();
    let message = error.to_string();
    let Error::NotFinite(error) = error else { panic!("{error:?}") };
    assert!(error.value == "loss" && error.help == "lower the learning rate", "{message}");
    assert!(message.contains("the inputs and weights are finite (the largest, in `fc"), "{message}");
    assert_eq!(trainer.run().steps + 1, error.step);
    let is_finite =
        |tensor: &Tensor| (0..tensor.shape().elements()).all(|at| tensor.get(at).as_f64().is_finite());
    assert!(states(&trainer).iter().all(|(_, tensor)| is_finite(tensor)));
}

#[test]
fn schedules_that_give_no_learning_rate_are_errors_before_the_step() {
    let (train, _) = digits();
    for (decay, shown) in [
        (Decay::Cosine { steps: 2, least: -1.0 }, "-0.1"),
        (Decay::Cosine { steps: 2, least: f64::NAN }, "NaN"),
        (Decay::Step { steps: 1, factor: 1e300 }, "inf"),
        (Decay::Step { steps: 1, factor: 1e40 }, "1e39"),
    ] {
        let mut trainer = Trainer::new("small", small(), Sgd::new(0.1), options(500, 0, 1)).unwrap();
        let fit = FitOptions { schedule: Schedule { warm_up: 0, decay }, ..FitOptions::epochs(2) };
        let error = trainer.fit(&train, None, &fit, &mut silent).unwrap_err().to_string();
        let expected =
            format!("the learning rate: in step {} its schedule makes it", trainer.run().steps + 1);
        assert!(error.starts_with(&expected), "{shown}: {error}");
        let rate = trainer.state().get("optimizer.learning_rate").unwrap().get(0).as_f64();
        assert!(rate.is_finite() && rate >= 0.0, "{shown}: {rate}");
    }
}

#[test]
fn data_that_do_not_fit_the_model_are_errors() {
    let dataset = |columns: usize, classes: usize, rows: usize| {
        Dataset::new("toy", [columns], vec![0.0; rows * columns], Targets::classes(vec![0; rows], classes))
            .unwrap()
    };
    let mut trainer = Trainer::new("small", small(), Adam::default(), options(4, 0, 1)).unwrap();
    let mut message = |data: &Dataset| {
        trainer.fit(data, None, &FitOptions::epochs(1), &mut silent).unwrap_err().to_string()
    };
    let wide = message(&dataset(65, 10, 8));
    assert!(wide.starts_with("toy: a row has 65 values, the model takes 64"), "{wide}");
    let classes = message(&dataset(64, 11, 8));
    assert!(classes.starts_with("toy: there are 11 classes, the model returns 10 logits"), "{classes}");
    let empty = message(&dataset(64, 10, 0));
    assert!(empty.starts_with("toy: there are no rows"), "{empty}");
    let few = message(&dataset(64, 10, 3));
    assert_eq!(few, "batch: it is 4, and there are 3 rows to train on; give from 1 to 3");
    let values = Dataset::new("toy", [64], vec![0.0; 512], Targets::values(vec![0.0; 8], 1)).unwrap();
    let expected = "toy: its targets are values, the loss is one of classes; choose a loss of values";
    assert_eq!(message(&values), expected);
    let y = Tensor::new([1], vec![10i64]).unwrap();
    let x = Tensor::new([1, 64], vec![0.0f32; 64]).unwrap();
    let error = trainer.step(&[("x", &x), ("y", &y)]).unwrap_err().to_string();
    assert_eq!(error, "y: the label of row 0 is 10; give labels from 0 to 9");
    for (given, names) in [(vec![("x", &x)], "x"), (vec![("x", &x), ("z", &x)], "x, z")] {
        let error = trainer.step(&given).unwrap_err().to_string();
        assert_eq!(error, format!("batch: the arrays {names} are given; give x, y"));
    }
    let error = Trainer::new("small", small(), Adam::default(), options(0, 0, 1)).err().unwrap().to_string();
    assert_eq!(error, "batch: it is 0; give at least 1");
}
