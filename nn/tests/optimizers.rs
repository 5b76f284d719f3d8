//! Optimizers over several steps against plain code.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

mod support;

use std::collections::BTreeMap;

use ir::{DType, Graph, Init, Scalar, Tensor};
use nn::optimizer::{AVERAGE, LEARNING_RATE};
use nn::{
    AdaMax, Adagrad, Adam, AdamW, Clip, Context, Group, Lamb, Lion, Loss, Optimizer, RmsProp, Sgd,
    Supervised, TrainStep, network,
};
use support::{assert_close, floats, run, tensor, torch};

const START: [f64; 3] = [1.0, -2.0, 0.5];
const TARGET: [f64; 3] = [0.2, 0.1, 3.0];

/// The gradient of the toy loss `sum (p - target)^4 / 4`.
fn gradient(p: &[f64]) -> Vec<f64> {
    p.iter().zip(TARGET).map(|(p, t)| (p - t).powi(3)).collect()
}

/// A step on the toy loss, in f64.
fn toy(optimizer: &dyn Optimizer) -> Graph {
    let mut cx = Context::with("toy", nn::Mode::Train, DType::F64);
    let p = cx.parameter("p", [3], Init::Constant(0.0)).unwrap();
    let target = cx.input("target", DType::F64, [3]).unwrap();
    let difference = cx.sub(p, target).unwrap();
    let square = cx.square(difference).unwrap();
    let fourth = cx.square(square).unwrap();
    let sum = cx.reduce_sum(fourth, &[0], false).unwrap();
    let quarter = cx.float_like(sum, 0.25);
    let loss = cx.mul(sum, quarter).unwrap();
    optimizer.step(&mut cx, loss).unwrap();
    cx.finish()
}

/// The states after each of `steps` steps on the toy loss, by the graph, in f64.
fn train(optimizer: &dyn Optimizer, steps: usize) -> Vec<BTreeMap<String, Tensor>> {
    let graph = toy(optimizer);
    let mut states = BTreeMap::from([("p".to_owned(), tensor(&[3], START.to_vec()))]);
    let mut history = Vec::new();
    for _ in 0..steps {
        states = run(&graph, &[("target", tensor(&[3], TARGET.to_vec()))], &states).states;
        history.push(states.clone());
    }
    history
}

/// The number of steps over which a rule is compared with its formula.
const STEPS: usize = 50;

/// Runs an optimizer for some steps next to a formula, which from the step's number, from 1, and the gradient changes the
/// parameter and its moments, and compares all of them after each step.
fn assert_follows(
    optimizer: &dyn Optimizer,
    moments: &[&str],
    formula: impl Fn(i32, f64, &mut f64, &mut [f64; 2]),
) {
    let (mut p, mut kept) = (START.to_vec(), [[0.0; 2]; 3]);
    for (states, step) in train(optimizer, STEPS).iter().zip(1..) {
        let g = gradient(&p);
        for i in 0..3 {
            formula(step, g[i], &mut p[i], &mut kept[i]);
        }
        assert_close("p", &floats(&states["p"]), &p);
        for (moment, name) in moments.iter().enumerate() {
            let expected = kept.map(|kept| kept[moment]);
            assert_close(name, &floats(&states[&format!("p.{name}")]), &expected);
        }
        let of_parameter = states.keys().filter(|name| name.starts_with("p."));
        assert_eq!(of_parameter.count(), moments.len(), "there are no other moments");
    }
}

#[test]
fn gradient_descent_is_its_formula() {
    assert_follows(&Sgd::new(0.02), &[], |_, g, p, _| *p -= 0.02 * g);
    let decayed = Sgd::new(0.02).weight_decay(0.1);
    assert_follows(&decayed, &[], |_, g, p, _| *p -= 0.02 * (g + 0.1 * *p));
}

#[test]
fn the_heavy_ball_is_its_formula() {
    assert_follows(&Sgd::new(0.02).momentum(0.9).weight_decay(0.1), &["momentum"], |_, g, p, [v, _]| {
        *v = 0.9 * *v + g + 0.1 * *p;
        *p -= 0.02 * *v;
    });
}

#[test]
fn the_exponential_average_is_its_formula() {
    for decay in [0.0, 0.1] {
        let optimizer = Sgd::new(0.02).average(0.9).weight_decay(decay);
        assert_follows(&optimizer, &["momentum"], |_, g, p, [m, _]| {
            *m = 0.9 * *m + (1.0 - 0.9) * (g + decay * *p);
            *p -= 0.02 * *m;
        });
    }
}

#[test]
fn nesterovs_momentum_is_its_formula() {
    for decay in [0.0, 0.1] {
        let optimizer = Sgd::new(0.02).momentum(0.9).nesterov().weight_decay(decay);
        assert_follows(&optimizer, &["momentum"], |_, g, p, [v, _]| {
            let g = g + decay * *p;
            *v = 0.9 * *v + g;
            *p -= 0.02 * (g + 0.9 * *v);
        });
    }
}

#[test]
fn rmsprop_is_its_formula() {
    assert_follows(&RmsProp::new(0.02).weight_decay(0.1), &["square_avg"], |_, g, p, [v, _]| {
        let g = g + 0.1 * *p;
        *v = 0.99 * *v + (1.0 - 0.99) * g * g;
        *p -= 0.02 * g / (v.sqrt() + 1e-8);
    });
}

#[test]
fn adagrad_is_its_formula() {
    assert_follows(&Adagrad::new(0.3).weight_decay(0.1), &["square_sum"], |_, g, p, [s, _]| {
        let g = g + 0.1 * *p;
        *s += g * g;
        *p -= 0.3 * g / (s.sqrt() + 1e-10);
    });
}

/// A step of Adam at the rate 0.1 with a gradient that may hold the weight decay.
fn adam_step(t: i32, g: f64, p: &mut f64, [m, v]: &mut [f64; 2]) {
    let Adam { beta1, beta2, eps, .. } = Adam::default();
    let (c1, c2) = (1.0 - beta1.powi(t), 1.0 - beta2.powi(t));
    *m = beta1 * *m + (1.0 - beta1) * g;
    *v = beta2 * *v + (1.0 - beta2) * g * g;
    *p -= 0.1 / c1 * *m / (v.sqrt() / c2.sqrt() + eps);
}

#[test]
fn adam_is_its_formula() {
    let moments = ["exp_avg", "exp_avg_sq"];
    assert_follows(&Adam::new(0.1), &moments, adam_step);
    let decayed = Adam::new(0.1).weight_decay(0.1);
    assert_follows(&decayed, &moments, |t, g, p, moments| adam_step(t, g + 0.1 * *p, p, moments));
    let states = train(&Adam::new(0.1), 5);
    assert_eq!(states[4]["adam.step"].as_slice::<i64>().unwrap(), [5]);
}

#[test]
fn adamw_is_its_formula() {
    let optimizer = AdamW::new(0.1).weight_decay(0.1);
    assert_follows(&optimizer, &["exp_avg", "exp_avg_sq"], |t, g, p, moments| {
        *p -= 0.1 * 0.1 * *p;
        adam_step(t, g, p, moments);
    });
}

#[test]
fn lion_is_its_formula() {
    for decay in [0.0, 0.1] {
        assert_follows(&Lion::new(0.02).weight_decay(decay), &["exp_avg"], |_, g, p, [m, _]| {
            *p -= 0.02 * ((0.9 * *m + (1.0 - 0.9) * g).signum() + decay * *p);
            *m = 0.99 * *m + (1.0 - 0.99) * g;
        });
    }
}

#[test]
fn adamax_is_its_formula() {
    for decay in [0.0, 0.1] {
        let optimizer = AdaMax::new(0.1).weight_decay(decay);
        assert_follows(&optimizer, &["exp_avg", "exp_inf"], |t, g, p, [m, u]| {
            let g = g + decay * *p;
            *m = 0.9 * *m + (1.0 - 0.9) * g;
            *u = (0.999 * *u).max(g.abs() + 1e-8);
            *p -= 0.1 / (1.0 - 0.9f64.powi(t)) * *m / *u;
        });
    }
}

#[test]
fn lamb_is_its_formula() {
    for decay in [0.0, 0.1] {
        let (mut p, mut m, mut v) = (START.to_vec(), [0.0; 3], [0.0; 3]);
        let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
        for (states, t) in train(&Lamb::new(0.1).weight_decay(decay), STEPS).iter().zip(1..) {
            let (c1, c2) = (1.0 - 0.9f64.powi(t), 1.0 - 0.999f64.powi(t));
            let mut u = [0.0; 3];
            for (i, g) in gradient(&p).into_iter().enumerate() {
                m[i] = 0.9 * m[i] + (1.0 - 0.9) * g;
                v[i] = 0.999 * v[i] + (1.0 - 0.999) * g * g;
                u[i] = m[i] / c1 / ((v[i] / c2).sqrt() + 1e-6) + decay * p[i];
            }
            let ratio = norm(&p) / norm(&u);
            p.iter_mut().zip(u).for_each(|(p, u)| *p -= 0.1 * ratio * u);
            assert_close("p", &floats(&states["p"]), &p);
            assert_close("exp_avg", &floats(&states["p.exp_avg"]), &m);
            assert_close("exp_avg_sq", &floats(&states["p.exp_avg_sq"]), &v);
        }
    }
}

/// Of a parameter that is zero the step is that of the plain direction; without a gradient there is none.
#[test]
fn lamb_moves_parameters_without_a_norm_and_stays_where_there_is_no_gradient() {
    let graph = toy(&Lamb::new(0.1).weight_decay(0.0));
    let step = |start: [f64; 3], target: [f64; 3]| {
        let states = BTreeMap::from([("p".to_owned(), tensor(&[3], start.to_vec()))]);
        floats(&run(&graph, &[("target", tensor(&[3], target.to_vec()))], &states).states["p"])
    };
    assert_close("from zero", &step([0.0; 3], [1.0; 3]), &[0.1 / (1.0 + 1e-6); 3]);
    assert_eq!(step(TARGET, TARGET), TARGET);
}

#[test]
fn an_average_is_the_mean_of_the_first_steps_and_exponential_from_then_on() {
    for (decay, count) in [(0.9, 10), (1.0, STEPS), (0.0, 1)] {
        let optimizer = TrainStep::new(Sgd::new(0.02).momentum(0.9)).average_weights(decay);
        let (mut sum, mut average) = ([0.0; 3], [0.0; 3]);
        for (states, t) in train(&optimizer, STEPS).iter().zip(1..) {
            let p = floats(&states["p"]);
            for i in 0..3 {
                sum[i] += p[i];
                average[i] =
                    if t <= count { sum[i] / t as f64 } else { decay * average[i] + (1.0 - decay) * p[i] };
            }
            assert_close("average", &floats(&states[&format!("p{AVERAGE}")]), &average);
        }
        let plain = train(&Sgd::new(0.02).momentum(0.9), STEPS);
        let averaged = train(&optimizer, STEPS);
        assert_eq!(averaged[STEPS - 1]["p"], plain[STEPS - 1]["p"], "averages change no step");
    }
}

#[test]
fn an_average_starts_as_its_parameter_does() {
    let mut cx = Context::training("g");
    let init = Init::Uniform { low: -1.0, high: 1.0, stream: 0 };
    let p = cx.parameter("p", [3], init).unwrap();
    let loss = cx.reduce_sum(p, &[0], false).unwrap();
    TrainStep::new(Sgd::new(0.1)).average_weights(0.9).step(&mut cx, loss).unwrap();
    let states = run(&cx.finish(), &[], &BTreeMap::new()).states;
    assert_eq!(states["p"], states["p.average"], "after one step it is the parameter");
}

/// Two players on one loss, each with parameters of its own.
fn players(first: &dyn Optimizer, second: &dyn Optimizer) -> Result<Graph, ir::Error> {
    let mut cx = Context::with("players", nn::Mode::Train, DType::F64);
    let [a, b] =
        ["a", "b"].map(|name| cx.scope(name, |cx| cx.parameter("w", [], Init::Constant(1.0))).unwrap());
    let product = cx.mul(a, b)?;
    let negated = cx.neg(product)?;
    first.step(&mut cx, product)?;
    second.step(&mut cx, negated)?;
    Ok(cx.finish())
}

#[test]
fn named_optimizers_have_rates_moments_and_counts_of_their_own() {
    let first = Adam::new(0.1).named("first").only("a.*");
    let second = TrainStep::new(Sgd::new(0.2).momentum(0.5).named("second")).only("b.*").accumulate(2);
    let graph = players(&first, &second.clip(Clip::Norm(1.0)).average_weights(0.9)).unwrap();
    let names: Vec<&str> = graph.states().filter_map(|(_, node)| node.name.as_deref()).collect();
    let expected = [
        "a.w",
        "b.w",
        "optimizer.first.learning_rate",
        "optimizer.first.step",
        "a.w.first.exp_avg",
        "a.w.first.exp_avg_sq",
        "optimizer.second.batches",
        "b.w.second.gradient_sum",
        "optimizer.second.learning_rate",
        "b.w.second.momentum",
        "optimizer.second.average_step",
        "b.w.average",
    ];
    assert_eq!(names, expected);
    assert!(!graph.to_string().contains("private"), "named optimizers may be shared by programs");
    let states = run(&graph, &[], &BTreeMap::new()).states;
    assert_close("a", &floats(&states["a.w"]), &[1.0 - 0.1 / (1.0 + 1e-8)]);
    assert_close("b before its last batch", &floats(&states["b.w"]), &[1.0]);
    let states = run(&graph, &[], &states).states;
    assert!(floats(&states["b.w"])[0] > 1.0, "b climbs");
}

#[test]
fn a_named_optimizer_takes_the_steps_of_one_without_a_name() {
    let (plain, named) = (train(&Adam::new(0.1), 5), train(&Adam::new(0.1).named("mine"), 5));
    assert_eq!(plain[4]["p"], named[4]["p"]);
    assert_eq!(plain[4]["p.exp_avg"], named[4]["p.mine.exp_avg"]);
    assert_eq!(plain[4]["adam.step"], named[4]["optimizer.mine.step"]);
}

#[test]
fn states_that_count_and_set_steps_are_private_where_the_optimizer_has_no_name() {
    let optimizer = TrainStep::new(Adam::new(0.1)).accumulate(2).average_weights(0.9);
    let text = toy(&optimizer).to_string();
    let private: Vec<&str> =
        text.lines().filter(|line| line.contains("private=true")).map(str::trim_start).collect();
    let names: Vec<&str> = private.iter().filter_map(|line| line.split(" = ").next()).collect();
    let expected =
        ["%accumulate.batches", "%optimizer.learning_rate", "%adam.step", "%optimizer.average_step"];
    assert_eq!(names, expected, "{text}");
}

/// Runs the heavy ball on bounded gradients next to its formula; `bounded` bounds those of all elements together.
fn assert_follows_bounded(clip: Clip, bounded: impl Fn(&[f64]) -> Vec<f64>) {
    let optimizer = TrainStep::new(Sgd::new(0.02).momentum(0.9).weight_decay(0.1)).clip(clip);
    let (mut p, mut v) = (START.to_vec(), [0.0; 3]);
    for states in train(&optimizer, STEPS) {
        let g = bounded(&gradient(&p));
        for i in 0..3 {
            v[i] = 0.9 * v[i] + g[i] + 0.1 * p[i];
            p[i] -= 0.02 * v[i];
        }
        assert_close("p", &floats(&states["p"]), &p);
        assert_close("momentum", &floats(&states["p.momentum"]), &v);
    }
}

#[test]
fn clipping_is_its_formula() {
    assert_follows_bounded(Clip::Value(2.0), |g| g.iter().map(|g| g.clamp(-2.0, 2.0)).collect());
    assert_follows_bounded(Clip::Norm(2.0), |g| {
        let norm = g.iter().map(|g| g * g).sum::<f64>().sqrt();
        g.iter().map(|g| g * (2.0 / (norm + 1e-6)).min(1.0)).collect()
    });
}

#[test]
fn fifty_steps_are_those_of_pytorch() {
    let sgd = Sgd::new(0.02);
    let heavy = || TrainStep::new(sgd.momentum(0.9));
    let cases: [(&str, Box<dyn Optimizer>); 12] = [
        ("sgd", Box::new(sgd)),
        ("sgd_decay", Box::new(sgd.weight_decay(0.1))),
        ("sgd_momentum", Box::new(sgd.momentum(0.9).weight_decay(0.1))),
        ("sgd_average", Box::new(sgd.average(0.9))),
        ("sgd_nesterov", Box::new(sgd.momentum(0.9).nesterov())),
        ("rmsprop", Box::new(RmsProp::new(0.02).weight_decay(0.1))),
        ("adagrad", Box::new(Adagrad::new(0.3).weight_decay(0.1))),
        ("adam", Box::new(Adam::new(0.1))),
        ("adam_decay", Box::new(Adam::new(0.1).weight_decay(0.1))),
        ("adamw", Box::new(AdamW::new(0.1).weight_decay(0.1))),
        ("clip_norm", Box::new(heavy().clip(Clip::Norm(2.0)))),
        ("clip_value", Box::new(heavy().clip(Clip::Value(2.0)))),
    ];
    for (name, optimizer) in cases {
        let states = train(&optimizer, STEPS);
        assert_close(name, &floats(&states[0]["p"]), &torch(&format!("{name}.first")));
        assert_close(name, &floats(&states[STEPS - 1]["p"]), &torch(&format!("{name}.last")));
    }
}

#[test]
fn the_learning_rate_is_a_state_that_every_step_reads() {
    let cases: [Box<dyn Optimizer>; 8] = [
        Box::new(Sgd::new(0.02)),
        Box::new(RmsProp::new(0.02)),
        Box::new(Adagrad::new(0.02)),
        Box::new(Adam::new(0.02)),
        Box::new(AdamW::new(0.02)),
        Box::new(Lion::new(0.02)),
        Box::new(AdaMax::new(0.02)),
        Box::new(Lamb::new(0.02)),
    ];
    for optimizer in cases {
        let graph = toy(&optimizer);
        let target = ("target", tensor(&[3], TARGET.to_vec()));
        let mut states = BTreeMap::from([("p".to_owned(), tensor(&[3], START.to_vec()))]);
        states = run(&graph, std::slice::from_ref(&target), &states).states;
        assert_close("rate", &floats(&states[LEARNING_RATE]), &[0.02]);
        let before = floats(&states["p"]);
        assert_ne!(before, START);
        states.insert(LEARNING_RATE.to_owned(), Tensor::scalar(Scalar::F64(0.0)));
        states = run(&graph, &[target], &states).states;
        assert_close("p", &floats(&states["p"]), &before);
        assert_close("rate", &floats(&states[LEARNING_RATE]), &[0.0]);
    }
}

/// The formula of the bias correction in f32, rounded after every operation as machine code does, against f64.
/// A counter in f32 would stop at 2^24 steps; the one here is an i64, and by then the correction is 1.
#[test]
fn the_bias_correction_holds_for_millions_of_steps_in_f32() {
    for beta in [0.9f64, 0.999, 0.9999] {
        for t in [1i64, 2, 3, 10, 100, 999, 10_000, 123_457, 10_000_000, 1 << 40] {
            let exponent = t as f32 * beta.ln() as f32;
            let computed = -f64::from(f64::from(exponent).exp_m1() as f32);
            let exact = -(t as f64 * beta.ln()).exp_m1();
            assert!((computed / exact - 1.0).abs() < 3e-7, "beta {beta}, t {t}: {computed}, exactly {exact}");
        }
    }
}

#[test]
fn settings_out_of_range_are_errors() {
    let (adam, sgd) = (Adam::default(), Sgd::new(0.1));
    let heavy = || TrainStep::new(sgd);
    let cases: [(Box<dyn Optimizer>, &str); 21] = [
        (Box::new(Sgd::new(f64::NAN)), "sgd: the learning rate is NaN; give a finite number of at least 0"),
        (Box::new(sgd.momentum(1.0)), "sgd: the momentum is 1; give a number of at least 0 and below 1"),
        (Box::new(Sgd { dampening: 2.0, ..sgd }), "sgd: the dampening is 2; give a number from 0 to 1"),
        (Box::new(sgd.weight_decay(-1.0)), "sgd: the weight decay is -1; give a finite number of at least 0"),
        (
            Box::new(RmsProp { alpha: 1.0, ..RmsProp::default() }),
            "rmsprop: alpha is 1; give a number of at least 0 and below 1",
        ),
        (
            Box::new(Adagrad { eps: f64::INFINITY, ..Adagrad::default() }),
            "adagrad: eps is inf; give a finite number of at least 0",
        ),
        (
            Box::new(Adam::new(f64::INFINITY)),
            "adam: the learning rate is inf; give a finite number of at least 0",
        ),
        (
            Box::new(Adam { beta1: 1.5, ..adam }),
            "adam: beta1 is 1.5; give a number of at least 0 and below 1",
        ),
        (
            Box::new(Adam { beta2: -0.1, ..adam }),
            "adam: beta2 is -0.1; give a number of at least 0 and below 1",
        ),
        (Box::new(AdamW(Adam { eps: -1.0, ..adam })), "adamw: eps is -1; give a finite number of at least 0"),
        (
            Box::new(Lion { beta2: 1.0, ..Lion::default() }),
            "lion: beta2 is 1; give a number of at least 0 and below 1",
        ),
        (
            Box::new(AdaMax { eps: -1.0, ..AdaMax::default() }),
            "adamax: eps is -1; give a finite number of at least 0",
        ),
        (Box::new(Lamb::new(f64::NAN)), "lamb: the learning rate is NaN; give a finite number of at least 0"),
        (Box::new(heavy().average_weights(1.5)), "average: the decay is 1.5; give a number from 0 to 1"),
        (Box::new(sgd.named("a.b")), "optimizer: its name is `a.b`; use letters, digits and `_`"),
        (Box::new(sgd.named("")), "optimizer: its name is ``; use letters, digits and `_`"),
        (Box::new(heavy().only("q*")), "q*: no parameter has such a name; the parameters are p"),
        (Box::new(heavy().clip(Clip::Norm(0.0))), "clip: the bound is 0; give a finite number above 0"),
        (Box::new(heavy().accumulate(0)), "accumulate: the number of batches is 0; give at least 1"),
        (Box::new(heavy().group(Group::new("q*"))), "q*: no parameter has such a name; the parameters are p"),
        (
            Box::new(heavy().group(Group::frozen("*"))),
            "train_step: all parameters are frozen; leave one to be trained",
        ),
    ];
    for (optimizer, message) in cases {
        let mut cx = Context::new("g");
        let p = cx.parameter("p", [], Init::Constant(0.0)).unwrap();
        assert_eq!(optimizer.step(&mut cx, p).unwrap_err().to_string(), message);
    }
}

#[test]
fn all_gradients_come_from_one_grad_node() {
    let network = Supervised::new([64], nn::models::mlp(), Loss::cross_entropy());
    let graph = network::training_graph("mlp", &network, 8, &Sgd::new(0.1)).unwrap();
    assert_eq!(graph.nodes().filter(|(_, node)| node.op.name() == "grad").count(), 1);
}

#[test]
fn a_second_optimizer_of_a_name_is_an_error_that_says_how_to_name_it() {
    let help = "give each a name of its own, as in `Adam::new(1e-3).named(\"critic\")`; or minimise one loss: add the \
        others to it";
    let sgd = Sgd::new(0.1);
    let error = players(&TrainStep::new(sgd).only("a.w"), &TrainStep::new(sgd).only("b.w")).unwrap_err();
    assert_eq!(error.to_string(), format!("players: it has an optimizer already; {help}"));
    let error = players(&sgd.named("x").only("a.w"), &sgd.named("x").only("b.w")).unwrap_err();
    assert_eq!(error.to_string(), format!("players: it has an optimizer `x` already; {help}"));
    players(&sgd.named("x").only("a.w"), &TrainStep::new(sgd).only("b.w")).unwrap();
}
