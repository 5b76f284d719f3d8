//! Restricted Boltzmann machines: gradients and partition functions against enumeration, likelihoods of digits, and runs that go on.

#![cfg(feature = "data-csv")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::ops::ControlFlow;

use ir::{DType, Tensor, scalar};
use nn::models::{Rbm, VisibleUnits};
use nn::{Context, Decay, Mode, Network, Schedule, Sgd};
use nnc::checkpoint::Checkpoint;
use nnc::data::{Arrays, digits};
use nnc::generative::likelihood::{Annealing, Machine, factorised_log_likelihood};
use nnc::trainer::{Event, FitOptions, silent};
use nnc::{Options, State, Trainer, TrainerOptions, compile};

/// Normal numbers of this deviation.
fn drawn(shape: &[usize], deviation: f64, stream: u32) -> Tensor {
    let count: usize = shape.iter().product();
    let number = |index| deviation * scalar::normal(11, stream, index as u32, DType::F64);
    Tensor::new(shape, (0..count).map(number).collect()).unwrap()
}

fn weights(rbm: &Rbm, deviation: f64) -> [Tensor; 3] {
    let shapes: [&[usize]; 3] = [&[rbm.hidden, rbm.visible], &[rbm.hidden], &[rbm.visible]];
    let mut streams = 0..;
    shapes.map(|shape| drawn(shape, deviation, streams.next().unwrap()))
}

fn numbers(tensor: &Tensor) -> &[f64] {
    tensor.as_slice().unwrap()
}

const VISIBLE: usize = 4;
const HIDDEN: usize = 3;

/// Rows of the data of the machine of 4 x 3.
const DATA: [[f64; VISIBLE]; 5] = [
    [1.0, 0.0, 1.0, 0.0],
    [1.0, 1.0, 0.0, 0.0],
    [0.0, 0.0, 0.0, 1.0],
    [1.0, 1.0, 1.0, 0.0],
    [0.0, 1.0, 0.0, 1.0],
];

/// All states of so many binary units.
fn states(units: usize) -> Vec<Vec<f64>> {
    (0..1usize << units).map(|state| (0..units).map(|unit| (state >> unit & 1) as f64).collect()).collect()
}

/// The machine of 4 x 3, by hand.
struct ByHand {
    weight: Vec<f64>,
    hidden_bias: Vec<f64>,
    visible_bias: Vec<f64>,
}

impl ByHand {
    fn new(weights: &[Tensor; 3]) -> ByHand {
        let [weight, hidden_bias, visible_bias] = weights.each_ref().map(|tensor| numbers(tensor).to_vec());
        ByHand { weight, hidden_bias, visible_bias }
    }

    fn energy(&self, v: &[f64], h: &[f64]) -> f64 {
        let gradient = energy_gradient(v, h);
        let all = self.weight.iter().chain(&self.hidden_bias).chain(&self.visible_bias);
        all.zip(gradient).map(|(parameter, slope)| parameter * slope).sum()
    }

    /// The mean of the gradient of the energy over hidden units given `v`: that of the free energy.
    fn free_energy_gradient(&self, v: &[f64]) -> Vec<f64> {
        let all = states(HIDDEN).into_iter().map(|h| ((-self.energy(v, &h)).exp(), energy_gradient(v, &h)));
        expectation(all)
    }

    /// The probability of each visible state.
    fn visible_states(&self) -> Vec<(f64, Vec<f64>)> {
        let weight = |v: &[f64]| states(HIDDEN).iter().map(|h| (-self.energy(v, h)).exp()).sum::<f64>();
        let all: Vec<(f64, Vec<f64>)> = states(VISIBLE).into_iter().map(|v| (weight(&v), v)).collect();
        let sum: f64 = all.iter().map(|(weight, _)| weight).sum();
        all.into_iter().map(|(weight, v)| (weight / sum, v)).collect()
    }
}

/// The derivatives of `E(v, h)` by `W`, `c` and `b`.
fn energy_gradient(v: &[f64], h: &[f64]) -> Vec<f64> {
    let products = h.iter().flat_map(|h| v.iter().map(move |v| -h * v));
    products.chain(h.iter().map(|h| -h)).chain(v.iter().map(|v| -v)).collect()
}

fn expectation(weighted: impl Iterator<Item = (f64, Vec<f64>)>) -> Vec<f64> {
    let (mut sum, mut sums) = (0.0, Vec::new());
    for (weight, values) in weighted {
        sum += weight;
        sums.resize(values.len(), 0.0);
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * value);
    }
    sums.iter().map(|it| it / sum).collect()
}

/// The gradients by all parameters of what `build` gives, of rows of the data.
fn gradients(
    weights: &[Tensor; 3],
    rows: usize,
    build: impl FnOnce(&mut Context) -> Result<ir::Value, ir::Error>,
) -> Vec<f64> {
    let mut cx = Context::with("gradients", Mode::Train, DType::F64);
    let loss = build(&mut cx).unwrap();
    for (number, gradient) in cx.gradients(loss).unwrap().into_iter().enumerate() {
        cx.output(&format!("gradient{number}"), gradient).unwrap();
    }
    let mut program = compile(&cx.finish(), &Options::default()).unwrap();
    let mut state = State::new(program.plan(), 3).unwrap();
    for (name, tensor) in ["weight", "hidden_bias", "visible_bias"].iter().zip(weights) {
        state.set(name, tensor).unwrap();
    }
    let x: Vec<f64> = DATA.iter().cycle().take(rows).flatten().copied().collect();
    program.run(&mut state, &[&Tensor::new([rows, VISIBLE], x).unwrap()]).unwrap();
    program.outputs().iter().flat_map(|gradient| numbers(gradient).to_vec()).collect()
}

/// The gradient of the negative average log-likelihood is the difference of two expectations of the energy's gradient: with visible
/// units at the data, and with both layers as the model has them.
#[test]
fn the_gradient_of_the_exact_likelihood_is_a_difference_of_expectations() {
    let rbm = Rbm::new(VISIBLE, HIDDEN);
    let weights = weights(&rbm, 0.7);
    let computed = gradients(&weights, DATA.len(), |cx| {
        let weights = rbm.weights(cx)?;
        let x = cx.input("x", DType::F64, [DATA.len(), VISIBLE])?;
        let (energies, log_partition) = (weights.free_energy(cx, x)?, weights.log_partition(cx)?);
        cx.eval(energies.mean_all() + log_partition)
    });
    let by_hand = ByHand::new(&weights);
    let of_data = expectation(DATA.iter().map(|v| (1.0, by_hand.free_energy_gradient(v))));
    let of_model = expectation(states(VISIBLE).into_iter().flat_map(|v| {
        let by_hand = &by_hand;
        states(HIDDEN).into_iter().map(move |h| ((-by_hand.energy(&v, &h)).exp(), energy_gradient(&v, &h)))
    }));
    assert_eq!(computed.len(), VISIBLE * HIDDEN + VISIBLE + HIDDEN);
    for ((computed, of_data), of_model) in computed.iter().zip(of_data).zip(of_model) {
        let expected = of_data - of_model;
        assert!((computed - expected).abs() < 1e-10, "{computed}, expected {expected}");
    }
}

/// With chains so long that they have forgotten the data, contrastive divergence is that gradient, but for the error of a mean of
/// so many samples, of which the model's own distribution says how large it is.
#[test]
fn contrastive_divergence_of_long_chains_is_the_gradient_of_the_likelihood() {
    const ROWS: usize = 20_000;
    const STEPS: usize = 50;
    let rbm = Rbm::new(VISIBLE, HIDDEN).contrastive(STEPS);
    let weights = weights(&rbm, 0.7);
    let computed = gradients(&weights, ROWS, |cx| {
        let outputs = rbm.build(cx, ROWS)?;
        Ok(outputs.loss.unwrap())
    });
    let by_hand = ByHand::new(&weights);
    let of_data = expectation(DATA.iter().map(|v| (1.0, by_hand.free_energy_gradient(v))));
    let all: Vec<(f64, Vec<f64>)> = (by_hand.visible_states().into_iter())
        .map(|(probability, v)| (probability, by_hand.free_energy_gradient(&v)))
        .collect();
    let means = expectation(all.iter().cloned());
    let squares = expectation(all.into_iter().map(|(p, values)| (p, values.iter().map(|x| x * x).collect())));
    for (index, computed) in computed.iter().enumerate() {
        let expected = of_data[index] - means[index];
        let error = ((squares[index] - means[index].powi(2)) / ROWS as f64).sqrt();
        let off = (computed - expected) / error;
        assert!(
            off.abs() < 4.5,
            "parameter {index}: {computed}, expected {expected}: {off:.1} standard errors"
        );
    }
}

#[test]
fn annealing_finds_the_exact_partition_function_within_its_error() {
    let cases = [
        (Rbm::new(12, 8), 0.5),
        (Rbm::new(6, 12), 0.8),
        (Rbm::new(5, 4).gaussian(), 0.4),
        (Rbm::new(10, 10).gaussian(), 0.3),
    ];
    for (rbm, deviation) in cases {
        let machine = Machine::new(rbm.clone(), weights(&rbm, deviation)).unwrap();
        let rows = match rbm.units {
            VisibleUnits::Binary => Tensor::new([4, rbm.visible], vec![0.5; 4 * rbm.visible]).unwrap(),
            VisibleUnits::Gaussian => drawn(&[4, rbm.visible], 0.3, 9),
        };
        let exact = machine.exact_log_partition().unwrap();
        let annealing = Annealing { chains: 400, temperatures: 500, seed: 1, threads: 1 };
        let estimate = machine.annealed_log_partition(&rows, &annealing).unwrap();
        let (value, error) = (estimate.value, estimate.standard_error);
        let what = format!("{rbm:?}: {value:.4} +- {error:.4}, exactly {exact:.4}");
        println!("{what}");
        assert!((value - exact).abs() < 4.0 * error && error < 0.1, "{what}");
        let threads = Annealing { threads: 2, ..annealing };
        assert_eq!(machine.annealed_log_partition(&rows, &threads).unwrap(), estimate, "{what}");
    }
}

/// The digits with pixels above the middle as 1, for training and for testing.
fn binary_digits() -> (Tensor, Tensor) {
    let (train, test) = digits();
    let binary = |rows: &[f32]| {
        let pixels: Vec<f32> = rows.iter().map(|&pixel| f32::from(u8::from(pixel > 0.5))).collect();
        Tensor::new([pixels.len() / 64, 64], pixels).unwrap()
    };
    (binary(train.rows()), binary(test.rows()))
}

fn rows(tensor: &Tensor) -> Arrays {
    Arrays::new("binary digits", [("x", tensor.clone())]).unwrap()
}

const BATCH: usize = 20;

fn trainer(rbm: Rbm, threads: usize) -> Trainer {
    let compile = Options { threads, ..Options::default() };
    let options = TrainerOptions { batch: BATCH, seed: 2, compile, ..TrainerOptions::default() };
    Trainer::new("rbm", rbm, Sgd::new(0.2).weight_decay(1e-3), options).unwrap()
}

#[test]
fn a_machine_of_digits_is_far_better_than_independent_pixels() {
    const EPOCHS: usize = 200;
    let (train, test) = binary_digits();
    let rbm = Rbm::new(64, 100).persistent(100, 1);
    let mut trainer = trainer(rbm.clone(), 1);
    let steps = (train.shape()[0].div_ceil(BATCH) * EPOCHS) as u64;
    let schedule = Schedule { decay: Decay::Cosine { steps, least: 0.0 }, ..Schedule::default() };
    let fit = FitOptions { schedule, ..FitOptions::epochs(EPOCHS) };
    trainer.fit(&rows(&train), None, &fit, &mut silent).unwrap();
    let machine = Machine::of_state(rbm, trainer.state()).unwrap();
    let annealing = Annealing { chains: 200, temperatures: 2000, threads: 2, ..Annealing::default() };
    let log_partition = machine.annealed_log_partition(&train, &annealing).unwrap();
    let [of_train, of_test] =
        [&train, &test].map(|rows| machine.log_likelihood(rows, log_partition.value).unwrap());
    let baseline = factorised_log_likelihood(&train, &test, 1.0).unwrap();
    let evaluation = trainer.evaluate(&rows(&test)).unwrap();
    let what = format!(
        "log Z {:.2} +- {:.2}; log-likelihood {of_test:.2} nats on the test part ({of_train:.2} on the training part), \
         of independent pixels {baseline:.2}; {:?}",
        log_partition.value, log_partition.standard_error, evaluation.metrics
    );
    println!("{what}");
    assert!(log_partition.standard_error < 0.5, "{what}");
    assert!(of_test > baseline + 8.0, "{what}");
}

/// Broken off in the middle of an epoch, written to a file, and gone on with on another number of threads: chains go on, too.
#[test]
fn runs_with_chains_go_on_to_the_same_bits_on_any_number_of_threads() {
    let (train, test) = binary_digits();
    let (train, test) = (rows(&train), rows(&test));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let fit = |trainer: &mut Trainer, until: Option<u64>| {
        let mut stop = |event: &Event, trainer: &Trainer| match event {
            Event::Step(_) if until == Some(trainer.run().steps) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        };
        trainer.fit(&train, Some(&test), &FitOptions::epochs(2), &mut stop).unwrap()
    };
    let machines =
        [Rbm::new(64, 20).persistent(30, 2), Rbm::new(64, 20).contrastive(3), Rbm::new(64, 20).gaussian()];
    for rbm in machines {
        let mut whole = trainer(rbm.clone(), 1);
        let history = fit(&mut whole, None);
        let mut broken_off = trainer(rbm.clone(), 2);
        fit(&mut broken_off, Some(37));
        broken_off.run_checkpoint().unwrap().write(&path).unwrap();
        let mut resumed = trainer(rbm.clone(), 1);
        resumed.resume(&Checkpoint::read(&path).unwrap()).unwrap();
        assert_eq!(resumed.run().steps, 37);
        let epochs = fit(&mut resumed, None).epochs;
        assert_eq!(epochs, history.epochs, "{rbm:?}");
        for (name, _) in whole.state().iter() {
            assert_eq!(
                resumed.state().get(name).unwrap(),
                whole.state().get(name).unwrap(),
                "{rbm:?}: {name}"
            );
        }
    }
}

/// What is estimated in training is what use computes: of one step that changes nothing, over many rows.
#[test]
fn the_drawn_pseudo_likelihood_is_the_exact_one_on_average() {
    let (train, _) = binary_digits();
    let options = TrainerOptions { batch: 1437, seed: 4, ..TrainerOptions::default() };
    let mut trainer = Trainer::new("rbm", Rbm::new(64, 30), Sgd::new(0.0), options).unwrap();
    let shape = trainer.state_mut().unwrap().get("weight").unwrap().shape().clone();
    let weight: Vec<f32> = numbers(&drawn(&shape, 0.1, 5)).iter().map(|&x| x as f32).collect();
    trainer.state_mut().unwrap().set("weight", &Tensor::new(shape, weight).unwrap()).unwrap();
    let name = "pseudo_log_likelihood";
    let drawn: Vec<f64> = (0..40).map(|_| trainer.step(&[("x", &train)]).unwrap().metrics[name]).collect();
    let mean = drawn.iter().sum::<f64>() / 40.0;
    let error = (drawn.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 39.0 / 40.0).sqrt();
    let exact = trainer.evaluate(&rows(&train)).unwrap().metrics[name];
    assert!((mean - exact).abs() < 4.0 * error, "{mean:.3} +- {error:.3}, exactly {exact:.3}");
}

/// Two clouds of variance 1, of which a machine with Gaussian units knows more than the mean and variance of each value.
#[test]
fn a_machine_of_gaussian_units_finds_two_clouds() {
    const UNITS: usize = 6;
    let noise = drawn(&[1000, UNITS], 1.0, 21);
    let centre = |row: usize, unit: usize| if (row + unit).is_multiple_of(2) { 2.0 } else { -2.0 };
    let values = numbers(&noise).iter().enumerate().map(|(at, noise)| noise + centre(at / UNITS, at % UNITS));
    let rows = Tensor::new([1000, UNITS], values.clone().map(|x| x as f32).collect()).unwrap();
    let rbm = Rbm::new(UNITS, 4).gaussian().persistent(100, 1);
    let options = TrainerOptions { batch: 50, ..TrainerOptions::default() };
    let mut trainer = Trainer::new("clouds", rbm.clone(), Sgd::new(0.02), options).unwrap();
    let arrays = Arrays::new("clouds", [("x", rows.clone())]).unwrap();
    trainer.fit(&arrays, None, &FitOptions::epochs(60), &mut silent).unwrap();
    let machine = Machine::of_state(rbm, trainer.state()).unwrap();
    let log_partition = machine.exact_log_partition().unwrap();
    let found = machine.log_likelihood(&rows, log_partition).unwrap();
    // Of independent normal values with the mean and variance that each has.
    let independent: f64 = (0..UNITS)
        .map(|unit| {
            let values: Vec<f64> = values.clone().skip(unit).step_by(UNITS).collect();
            let mean = values.iter().sum::<f64>() / 1000.0;
            let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 1000.0;
            -0.5 * ((std::f64::consts::TAU * variance).ln() + 1.0)
        })
        .sum();
    let what = format!("log-likelihood {found:.3} nats, of independent values {independent:.3}");
    println!("{what}");
    assert!(found > independent + 2.0, "{what}");
    let annealed = machine.annealed_log_partition(&rows, &Annealing::default()).unwrap();
    let off = annealed.value - log_partition;
    assert!(off.abs() < 4.0 * annealed.standard_error, "{annealed:?}, exactly {log_partition}");
}

#[test]
fn what_does_not_fit_a_machine_is_an_error_that_says_what_does() {
    fn message<T>(result: Result<T, nnc::Error>) -> String {
        result.err().map_or(String::new(), |error| error.to_string())
    }
    let rbm = Rbm::new(4, 3);
    let [weight, hidden_bias, visible_bias] = weights(&rbm, 1.0);
    let swapped = Machine::new(rbm.clone(), [weight.clone(), visible_bias.clone(), hidden_bias.clone()]);
    assert_eq!(message(swapped), "hidden_bias: it is f64[4]; give floats [3]");
    let machine = Machine::new(rbm, [weight, hidden_bias, visible_bias]).unwrap();
    let wide = drawn(&[2, 5], 1.0, 0);
    let expected = "the rows: they are f64[2, 5]; give floats [rows, 4]";
    assert_eq!(message(machine.log_likelihood(&wide, 0.0)), expected);
    assert_eq!(message(machine.annealed_log_partition(&wide, &Annealing::default())), expected);
    let rows = Tensor::new([2, 4], vec![0.5; 8]).unwrap();
    let cold = Annealing { temperatures: 1, ..Annealing::default() };
    assert_eq!(
        message(machine.annealed_log_partition(&rows, &cold)),
        "annealing: there are 100 chains of 1 temperatures; give at least 1 of 2"
    );
    let row = Tensor::new([2, 4], vec![0.0, 0.5, 1.0, 1.0, 0.0, 2.0, 1.0, 1.0]).unwrap();
    assert_eq!(
        message(machine.free_energies(&row)),
        "the rows: row 1 holds 2; give numbers from 0 to 1 to binary units, finite ones to Gaussian ones"
    );
    let error = message(factorised_log_likelihood(&rows, &wide, 1.0));
    assert!(error.starts_with("the rows: there are f64[2, 4] to fit to, f64[2, 5] to test on; "), "{error}");
    let error = message(factorised_log_likelihood(&rows, &rows, 0.0));
    assert_eq!(error, "the smoothing: it is 0; give a finite number above 0");
}

#[test]
fn a_saved_machine_comes_back_with_its_codes_and_its_likelihood() {
    let (_, test) = binary_digits();
    let test = rows(&test);
    let mut trainer = trainer(Rbm::new(64, 20).persistent(30, 1), 1);
    trainer.fit(&test, None, &FitOptions::epochs(1), &mut silent).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rbm.safetensors");
    trainer.save(&path).unwrap();
    let model = nnc::load(&path).unwrap();
    assert_eq!(model.results(&test).unwrap(), trainer.results(&test).unwrap());
    assert_eq!(model.evaluate(&test).unwrap(), trainer.evaluate(&test).unwrap());
}
