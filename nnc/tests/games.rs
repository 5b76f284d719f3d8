//! Games in the trainer: several players on one set of states, with all that training has, and generative adversarial networks
//! that cover the modes of a mixture.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::ops::ControlFlow;

use ir::scalar;
use nn::models::Mlp;
use nn::models::gan::{DISCRIMINATOR, Gan, NOISE, Objective, SAMPLE};
use nn::{Activation, Adam, Conditioned, Decay, Player, RmsProp, Schedule, TrainStep};
use nnc::checkpoint::Checkpoint;
use nnc::data::synthetic::{RING_DEVIATION, ring, ring_centres};
use nnc::data::{Arrays, Dataset, Examples};
use nnc::generative::Modes;
use nnc::trainer::{Event, FitOptions, silent};
use nnc::{Error, Options, Trainer, TrainerOptions};

const LATENT: usize = 4;

fn gan(width: usize, objective: Objective) -> Gan<Mlp, Mlp> {
    let generator = Mlp::new(&[LATENT, width, width, 2], Activation::Tanh);
    let discriminator = Mlp::new(&[2, width, width, 1], Activation::Tanh);
    Gan::new([2], LATENT, generator, discriminator, objective)
}

fn options(batch: usize, threads: usize) -> TrainerOptions {
    let compile = Options { threads, ..Options::default() };
    TrainerOptions { batch, seed: 3, compile, ..TrainerOptions::default() }
}

/// A small game: three steps of a critic whose gradients are of gradients, then one of a generator whose weights are averaged.
fn small(threads: usize) -> Trainer {
    let gan = gan(8, Objective::wgan_gp());
    let generator = TrainStep::new(Adam::new(0.01)).average_weights(0.9);
    let players = gan.players(generator, RmsProp::new(0.005), 3);
    Trainer::of_game("small", gan, players, options(20, threads)).unwrap()
}

fn data() -> (Dataset, Dataset) {
    ring(8, 170, 0).unwrap().split_off_every_fifth()
}

fn fit(trainer: &mut Trainer, until: Option<u64>) -> nnc::trainer::History {
    let (train, test) = data();
    let mut stop = |event: &Event, trainer: &Trainer| match event {
        Event::Step(_) if until == Some(trainer.run().steps) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let options = FitOptions { keep_best: true, ..FitOptions::epochs(4) };
    trainer.fit(&train, Some(&test), &options, &mut stop).unwrap()
}

#[test]
fn a_game_resumes_in_the_middle_of_a_round_to_the_same_bits_on_other_threads() {
    let mut whole = small(1);
    let history = fit(&mut whole, None);
    let hash = whole.weights_hash().unwrap();
    let mut on_two_threads = small(2);
    assert_eq!(fit(&mut on_two_threads, None).epochs, history.epochs);
    assert_eq!(on_two_threads.weights_hash().unwrap(), hash);
    let folder = tempfile::tempdir().unwrap();
    for steps in [1, 3, 7, 14] {
        let mut broken_off = small(1);
        fit(&mut broken_off, Some(steps));
        let path = folder.path().join(format!("{steps}.safetensors"));
        broken_off.run_checkpoint().unwrap().write(&path).unwrap();
        let mut resumed = small(2);
        resumed.resume(&Checkpoint::read(&path).unwrap()).unwrap();
        assert_eq!(fit(&mut resumed, None).epochs, history.epochs, "after {steps} steps");
        assert_eq!(resumed.weights_hash().unwrap(), hash, "after {steps} steps");
    }
}

#[test]
fn a_run_with_other_turns_is_another_run() {
    let mut trainer = small(1);
    fit(&mut trainer, Some(2));
    let checkpoint = trainer.run_checkpoint().unwrap();
    let gan = gan(8, Objective::wgan_gp());
    let generator = TrainStep::new(Adam::new(0.01)).average_weights(0.9);
    let players = gan.players(generator, RmsProp::new(0.005), 2);
    let mut other = Trainer::of_game("small", gan, players, options(20, 1)).unwrap();
    other.resume(&checkpoint).unwrap_err();
}

#[test]
fn a_step_moves_the_parameters_of_its_player_alone() {
    let mut trainer = small(1);
    fit(&mut trainer, Some(1)); // so that states are there
    let (train, _) = data();
    let batch = train.subset(&(0..20).collect::<Vec<u32>>()).arrays();
    let x = batch.column("x").unwrap();
    let x = ir::Tensor::new([20, 2], x.elements().as_slice::<f32>().unwrap().to_vec()).unwrap();
    for _ in 0..8 {
        let player = trainer.next_player().unwrap().to_owned();
        let parameters = trainer.weights().to_vec();
        let values = |trainer: &Trainer| -> Vec<ir::Tensor> {
            parameters.iter().map(|name| trainer.state().get(name).unwrap()).collect()
        };
        let before = values(&trainer);
        let result = trainer.step(&[("x", &x)]).unwrap();
        assert_eq!(result.loss, result.metrics[&format!("{player}_loss")]);
        for ((name, before), after) in parameters.iter().zip(before).zip(values(&trainer)) {
            let is_its = name.starts_with(&format!("{player}."));
            // A bias of a linear score has no gradient in a Wasserstein distance.
            let may_stay = name == "discriminator.fc3.bias";
            assert!((before != after) == is_its || may_stay, "{name} in a step of {player}");
        }
    }
}

#[test]
fn history_and_evaluation_have_the_losses_of_all_players() {
    let mut trainer = small(1);
    let history = fit(&mut trainer, None);
    let epoch = history.epochs.last().unwrap();
    let held_out = epoch.held_out.as_ref().unwrap();
    for player in ["discriminator_loss", "generator_loss"] {
        assert!(epoch.metrics[player].is_finite() && held_out.metrics[player].is_finite(), "{player}");
    }
    assert_eq!(epoch.value(), held_out.loss);
    assert!(history.best_epoch.is_some() && history.step_time.as_nanos() > 0);
}

#[test]
fn a_saved_game_makes_samples_of_noise() {
    let mut trainer = small(1);
    fit(&mut trainer, None);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gan.safetensors");
    trainer.save(&path).unwrap();
    let model = nnc::load(&path).unwrap();
    let results = model.results(&noise(7)).unwrap();
    assert_eq!((results[0].0.as_str(), results[0].1.ty().to_string().as_str()), (SAMPLE, "f32[7, 2]"));
    assert_eq!(results, trainer.results(&noise(7)).unwrap());
}

#[test]
fn players_that_are_not_those_of_the_network_are_errors() {
    let message = |players: Vec<Player>| {
        let trainer = Trainer::of_game("g", gan(8, Objective::Hinge), players, options(20, 1));
        trainer.err().map(|error: Error| error.to_string()).unwrap()
    };
    let critic = || Player::new(DISCRIMINATOR, Adam::new(0.01)).moves("discriminator.*");
    let error = message(vec![critic()]);
    assert!(error.starts_with("g: player `generator` of the network is not given; "), "{error}");
    let error = message(vec![critic(), Player::new("generator", Adam::new(0.01)).moves("painter.*")]);
    assert!(error.starts_with("painter.*: no parameter has such a name; "), "{error}");
    let error = Trainer::new("g", gan(8, Objective::Hinge), Adam::new(0.01), options(20, 1));
    let error = error.err().unwrap().to_string();
    assert!(error.contains("the network is a game of discriminator, generator; give each"), "{error}");
}

/// Rows of standard normal noise.
fn noise(rows: usize) -> Arrays {
    let draw = |index| scalar::normal(11, 0, index, ir::DType::F32) as f32;
    let values = (0..(rows * LATENT) as u32).map(draw).collect();
    Arrays::new("noise", [(NOISE, ir::Tensor::new([rows, LATENT], values).unwrap())]).unwrap()
}

/// What 2,000 samples make of the modes of a ring of 8 after so many epochs of 20 steps, by both players at this rate, which falls to
/// a hundredth of it.
fn modes_after(epochs: usize, objective: Objective, rate: f64, critic_steps: usize) -> Modes {
    let adam = || TrainStep::new(Adam { beta1: 0.5, ..Adam::new(rate) });
    let gan = gan(64, objective);
    let players = gan.players(adam().average_weights(0.99), adam(), critic_steps);
    let mut trainer = Trainer::of_game("ring", gan, players, options(200, 1)).unwrap();
    let train = ring(8, 4000, 0).unwrap();
    let decay = Decay::Cosine { steps: 20 * epochs as u64, least: 0.01 };
    let fit = FitOptions { schedule: Schedule { warm_up: 0, decay }, ..FitOptions::epochs(epochs) };
    let history = trainer.fit(&train, None, &fit, &mut silent).unwrap();
    let (_, samples) = trainer.results(&noise(2000)).unwrap().swap_remove(0);
    let samples = samples.as_slice::<f32>().unwrap();
    let modes = Modes::of_samples(samples, &ring_centres(8), 10.0 * RING_DEVIATION).unwrap();
    println!("{objective:?}: {modes:?}, {} near, a step {:?}", modes.share_near(), history.step_time);
    modes
}

#[test]
fn a_wasserstein_gan_with_gradient_penalty_covers_all_modes_of_a_ring() {
    let modes = modes_after(300, Objective::GradientPenalty { weight: 0.1 }, 5e-3, 2);
    assert_eq!(modes.covered(125), 8, "{modes:?}");
    assert!(modes.share_near() > 0.8 && modes.mean_distance < 0.15, "{modes:?}");
}

#[test]
fn the_hinge_loss_covers_all_modes_of_a_ring() {
    let modes = modes_after(250, Objective::Hinge, 2e-3, 1);
    assert_eq!(modes.covered(125), 8, "{modes:?}");
    assert!(modes.share_near() > 0.8 && modes.mean_distance < 0.15, "{modes:?}");
}

#[test]
fn a_conditional_gan_makes_the_modes_that_are_asked_for() {
    const FEATURES: usize = 8;
    let mlp =
        |inputs: usize, outputs: usize| Mlp::new(&[inputs + FEATURES, 64, 64, outputs], Activation::Tanh);
    let generator = Conditioned::new(mlp(LATENT, 2), 8, FEATURES);
    let discriminator = Conditioned::new(mlp(2, 1), 8, FEATURES);
    let gan = Gan::new([2], LATENT, generator, discriminator, Objective::Hinge).conditional();
    let adam = || TrainStep::new(Adam { beta1: 0.5, ..Adam::new(2e-3) });
    let players = gan.players(adam().average_weights(0.99), adam(), 1);
    let mut trainer = Trainer::of_game("ring", gan, players, options(200, 1)).unwrap();
    let (train, test) = ring(8, 5000, 0).unwrap().split_off_every_fifth();
    trainer.fit(&train, Some(&test), &FitOptions::epochs(100), &mut silent).unwrap();
    let labels: Vec<i64> = (0..800).map(|row| row % 8).collect();
    let z = noise(800).column(NOISE).unwrap().elements().as_slice::<f32>().unwrap().to_vec();
    let z = ir::Tensor::new([800, LATENT], z).unwrap();
    let asked = Arrays::new("asked", [(NOISE, z), ("y", ir::Tensor::new([800], labels).unwrap())]).unwrap();
    let (_, samples) = trainer.results(&asked).unwrap().swap_remove(0);
    let samples = samples.as_slice::<f32>().unwrap();
    for (mode, centre) in ring_centres(8).into_iter().enumerate() {
        let its = samples.chunks(2).skip(mode).step_by(8).flatten().copied().collect::<Vec<f32>>();
        let modes = Modes::of_samples(&its, &[centre], 10.0 * RING_DEVIATION).unwrap();
        println!("mode {mode}: {} near, {}", modes.share_near(), modes.mean_distance);
        assert!(modes.share_near() > 0.9, "mode {mode}: {modes:?}");
    }
}
