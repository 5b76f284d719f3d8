//! What a step does with gradients before the optimizer follows them: on a linear regression.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

mod support;

use std::collections::BTreeMap;

use ir::{DType, Graph, Tensor};
use nn::{Adam, AdamW, Clip, Context, Group, Layer, Linear, Loss, Mode, Optimizer, Sgd, TrainStep};
use support::{assert_close, draw, floats, run};

type States = BTreeMap<String, Tensor>;

const FEATURES: usize = 3;

/// A step of two dense layers on so many rows.
fn network(optimizer: &dyn Optimizer, rows: usize) -> Graph {
    let mut cx = Context::with("regression", Mode::Train, DType::F64);
    let x = cx.input("x", DType::F64, [rows, FEATURES]).unwrap();
    let y = cx.input("y", DType::F64, [rows, 1]).unwrap();
    let hidden = cx.layer("fc1", &Linear::new(FEATURES, 2), x).unwrap();
    let prediction = cx.layer("fc2", &Linear::new(2, 1), hidden).unwrap();
    let loss = Loss::SquaredError.mean(&mut cx, prediction, y).unwrap();
    optimizer.step(&mut cx, loss).unwrap();
    cx.finish()
}

/// Rows `from..to` of the data.
fn rows(from: usize, to: usize) -> [(&'static str, Tensor); 2] {
    let part = |columns: usize, stream: u32| {
        let all = floats(&draw(&[12, columns], stream));
        Tensor::new([to - from, columns], all[from * columns..to * columns].to_vec()).unwrap()
    };
    [("x", part(FEATURES, 1)), ("y", part(1, 2))]
}

/// The states after steps on these ranges of rows, one after the other.
fn train(optimizer: &dyn Optimizer, batches: &[(usize, usize)]) -> States {
    let mut states = States::new();
    for &(from, to) in batches {
        states = run(&network(optimizer, to - from), &rows(from, to), &states).states;
    }
    states
}

fn initial() -> States {
    train(&Sgd::new(0.0), &[(0, 1)])
}

#[test]
fn accumulated_batches_are_one_large_batch() {
    type Make = fn() -> TrainStep;
    let makes: [Make; 3] = [
        || TrainStep::new(Adam::new(0.1)),
        || TrainStep::new(Sgd::new(0.1).momentum(0.9).nesterov()),
        || TrainStep::new(AdamW::new(0.1)).clip(Clip::Norm(0.1)),
    ];
    for make in makes {
        let whole = train(&make(), &[(0, 6), (6, 12)]);
        let parts = train(&make().accumulate(3), &[(0, 2), (2, 4), (4, 6), (6, 8), (8, 10), (10, 12)]);
        for (name, expected) in &whole {
            assert_close(name, &floats(&parts[name]), &floats(expected));
        }
        assert_eq!(parts["accumulate.batches"].as_slice::<i64>().unwrap(), [0]);
        assert_eq!(floats(&parts["fc1.weight.gradient_sum"]), [0.0; 6]);
    }
}

#[test]
fn nothing_but_sums_changes_before_the_last_batch() {
    let initial = initial();
    let states = train(&TrainStep::new(Adam::new(0.1)).accumulate(3), &[(0, 2), (2, 4)]);
    for name in ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"] {
        assert_eq!(states[name], initial[name]);
        assert!(floats(&states[&format!("{name}.exp_avg")]).iter().all(|&m| m == 0.0));
        assert!(floats(&states[&format!("{name}.gradient_sum")]).iter().any(|&sum| sum != 0.0));
    }
    assert_eq!(states["adam.step"].as_slice::<i64>().unwrap(), [0]);
    assert_eq!(states["accumulate.batches"].as_slice::<i64>().unwrap(), [2]);
}

#[test]
fn averages_follow_the_steps_of_the_optimizer_and_not_every_batch() {
    let step = || TrainStep::new(Adam::new(0.1)).average_weights(0.5);
    let whole = train(&step(), &[(0, 6), (6, 12)]);
    let parts = train(&step().accumulate(2), &[(0, 3), (3, 6), (6, 9), (9, 12)]);
    for name in ["fc1.weight.average", "fc2.bias.average"] {
        assert_close(name, &floats(&parts[name]), &floats(&whole[name]));
    }
    let unfinished = train(&step().accumulate(2), &[(0, 3), (3, 6), (6, 9)]);
    assert_eq!(unfinished["fc1.weight.average"], unfinished["fc1.weight"]);
    assert_eq!(parts["optimizer.average_step"].as_slice::<i64>().unwrap(), [2]);
}

#[test]
fn what_is_not_chosen_stays_and_has_no_moments_and_no_average() {
    let initial = initial();
    let states = train(&TrainStep::new(Adam::new(0.1)).only("fc2.*").average_weights(0.9), &[(0, 6)]);
    assert_eq!(states["fc1.weight"], initial["fc1.weight"]);
    assert_ne!(states["fc2.weight"], initial["fc2.weight"]);
    assert!(!states.keys().any(|name| name.starts_with("fc1.weight.")), "{:?}", states.keys());
}

#[test]
fn frozen_parameters_stay_and_have_no_moments() {
    let initial = initial();
    let step = || TrainStep::new(Adam::new(0.1)).group(Group::frozen("fc1.*"));
    for states in [train(&step(), &[(0, 6)]), train(&step().accumulate(2), &[(0, 6), (6, 12)])] {
        assert_eq!(states["fc1.weight"], initial["fc1.weight"]);
        assert_ne!(states["fc2.weight"], initial["fc2.weight"]);
        assert!(!states.keys().any(|name| name.starts_with("fc1.weight.")), "{:?}", states.keys());
    }
    let graph = network(&step(), 6);
    assert_eq!(graph.updates.len(), 2 * 3 + 1);
}

#[test]
fn the_factor_of_a_group_scales_steps() {
    let initial = initial();
    let plain = train(&Sgd::new(0.1), &[(0, 6)]);
    let grouped = TrainStep::new(Sgd::new(0.1))
        .group(Group::new("fc1.*").learning_rate(0.5))
        .group(Group::new("*.bias").learning_rate(3.0));
    let states = train(&grouped, &[(0, 6)]);
    for (name, factor) in [("fc1.weight", 0.5), ("fc1.bias", 3.0), ("fc2.weight", 1.0), ("fc2.bias", 3.0)] {
        let [start, plain, found] = [&initial, &plain, &states].map(|states| floats(&states[name]));
        let expected: Vec<f64> = start.iter().zip(plain).map(|(x, y)| x + factor * (y - x)).collect();
        assert_close(name, &found, &expected);
    }
}

#[test]
fn a_group_can_be_left_out_of_weight_decay() {
    let batches = [(0, 6), (6, 12)];
    let grouped = |optimizer: Box<dyn Optimizer>| {
        train(&TrainStep::new(optimizer).group(Group::new("*").weight_decay(0.0)), &batches)
    };
    let expected = train(&Adam::new(0.1), &batches);
    assert_eq!(grouped(Box::new(Adam::new(0.1).weight_decay(0.3))), expected);
    assert_eq!(grouped(Box::new(AdamW::new(0.1).weight_decay(0.3))), expected);
    assert_ne!(train(&AdamW::new(0.1).weight_decay(0.3), &batches), expected);
}

#[test]
fn the_norm_is_that_of_all_gradients_that_are_followed() {
    let initial = initial();
    let moved = |step: TrainStep| -> f64 {
        let states = train(&step, &[(0, 12)]);
        let changes = initial.iter().filter(|(name, _)| !name.contains("optimizer")).map(|(name, start)| {
            let pairs = floats(start).into_iter().zip(floats(&states[name]));
            pairs.map(|(x, y)| (x - y).powi(2)).sum::<f64>()
        });
        changes.sum::<f64>().sqrt()
    };
    let step = || TrainStep::new(Sgd::new(1.0));
    let whole = moved(step());
    let bound = whole / 10.0;
    let shrunk = |norm: f64| bound * norm / (norm + 1e-6);
    assert_close("clipped", &[moved(step().clip(Clip::Norm(bound)))], &[shrunk(whole)]);
    assert_close("not clipped", &[moved(step().clip(Clip::Norm(2.0 * whole)))], &[whole]);
    let frozen = Group::frozen("*.bias");
    let part = moved(step().group(frozen.clone()));
    assert_close("frozen", &[moved(step().group(frozen).clip(Clip::Norm(bound)))], &[shrunk(part)]);
}

/// The gradients of a model with noise are accumulated with the noise of each batch.
#[test]
fn layers_draw_in_every_batch_of_an_accumulation() {
    let mut cx = Context::with("noisy", Mode::Train, DType::F64);
    let x = cx.input("x", DType::F64, [4, FEATURES]).unwrap();
    let y = nn::Dropout::new(0.5).forward(&mut cx, x).unwrap();
    let y = cx.layer("fc", &Linear::new(FEATURES, 1), y).unwrap();
    let target = cx.zeros_like(y).unwrap();
    let loss = Loss::SquaredError.mean(&mut cx, y, target).unwrap();
    TrainStep::new(Sgd::new(0.1)).accumulate(2).step(&mut cx, loss).unwrap();
    let graph = cx.finish();
    let x = ("x", draw(&[4, FEATURES], 1));
    let first = run(&graph, std::slice::from_ref(&x), &States::new()).states;
    let second = run(&graph, &[x], &first).states;
    assert_eq!(second["random.step"].as_slice::<i64>().unwrap(), [2]);
    assert_ne!(second["fc.weight"], first["fc.weight"]);
}
