//! Optimizers over several steps against plain code.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

mod support;

use std::collections::BTreeMap;

use ir::{DType, Init, Tensor};
use nn::{Adam, Batch, Context, Loss, Optimizer, Sgd, supervised};
use support::{assert_close, floats, run};

const START: [f64; 3] = [1.0, -2.0, 0.5];
const TARGET: [f64; 3] = [0.2, 0.1, 3.0];

/// The gradient of the toy loss `sum (p - target)^4 / 4`.
fn gradient(p: &[f64]) -> Vec<f64> {
    p.iter().zip(TARGET).map(|(p, t)| (p - t).powi(3)).collect()
}

/// The states after each of `steps` steps on the toy loss, by the graph, in `dtype`.
fn train(optimizer: &dyn Optimizer, dtype: DType, steps: usize) -> Vec<BTreeMap<String, Tensor>> {
    let mut cx = Context::with("toy", nn::Mode::Train, dtype);
    let p = cx.parameter("p", [3], Init::Constant(0.0)).unwrap();
    let target = cx.input("target", dtype, [3]).unwrap();
    let difference = cx.sub(p, target).unwrap();
    let square = cx.square(difference).unwrap();
    let fourth = cx.square(square).unwrap();
    let sum = cx.reduce_sum(fourth, &[0], false).unwrap();
    let quarter = cx.float_like(sum, 0.25);
    let loss = cx.mul(sum, quarter).unwrap();
    optimizer.step(&mut cx, loss).unwrap();
    let graph = cx.finish();
    let tensor =
        |x: &[f64]| Tensor::from_fn(&ir::Type::new(dtype, [3]), |i| ir::Scalar::from_f64(dtype, x[i]));
    let mut states = BTreeMap::from([("p".to_owned(), tensor(&START))]);
    let mut history = Vec::new();
    for _ in 0..steps {
        states = run(&graph, &[("target", tensor(&TARGET))], &states).states;
        history.push(states.clone());
    }
    history
}

#[test]
fn sgd_is_its_formula() {
    let mut p = START.to_vec();
    for states in train(&Sgd::new(0.05), DType::F64, 5) {
        let g = gradient(&p);
        p.iter_mut().zip(g).for_each(|(p, g)| *p -= 0.05 * g);
        assert_close("p", &floats(&states["p"]), &p);
        assert_eq!(states.len(), 2, "without momentum there is no state but the learning rate");
    }
}

#[test]
fn sgd_with_momentum_is_its_formula() {
    let (mut p, mut v) = (START.to_vec(), [0.0; 3]);
    for states in train(&Sgd::new(0.05).momentum(0.9), DType::F64, 5) {
        let g = gradient(&p);
        for i in 0..3 {
            v[i] = 0.9 * v[i] + g[i];
            p[i] -= 0.05 * v[i];
        }
        assert_close("p", &floats(&states["p"]), &p);
        assert_close("p.momentum", &floats(&states["p.momentum"]), &v);
    }
}

#[test]
fn adam_is_its_formula() {
    let Adam { beta1, beta2, eps, .. } = Adam::default();
    let (mut p, mut m, mut v) = (START.to_vec(), [0.0; 3], [0.0; 3]);
    for (states, t) in train(&Adam::new(0.1), DType::F64, 5).iter().zip(1..) {
        let g = gradient(&p);
        let (c1, c2) = (1.0 - beta1.powi(t), 1.0 - beta2.powi(t));
        for i in 0..3 {
            m[i] = beta1 * m[i] + (1.0 - beta1) * g[i];
            v[i] = beta2 * v[i] + (1.0 - beta2) * g[i] * g[i];
            p[i] -= 0.1 / c1 * m[i] / (v[i].sqrt() / c2.sqrt() + eps);
        }
        assert_close("p", &floats(&states["p"]), &p);
        assert_close("p.exp_avg", &floats(&states["p.exp_avg"]), &m);
        assert_close("p.exp_avg_sq", &floats(&states["p.exp_avg_sq"]), &v);
        assert_eq!(states["adam.step"].as_slice::<i64>().unwrap(), [i64::from(t)]);
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
    let adam = Adam::default();
    let cases: [(Box<dyn Optimizer>, &str); 6] = [
        (Box::new(Sgd::new(f64::NAN)), "sgd: the learning rate is NaN; give a finite number of at least 0"),
        (
            Box::new(Sgd::new(0.1).momentum(1.0)),
            "sgd: the momentum is 1; give a number of at least 0 and below 1",
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
        (Box::new(Adam { eps: -1.0, ..adam }), "adam: eps is -1; give a finite number of at least 0"),
    ];
    for (optimizer, message) in cases {
        let mut cx = Context::new("g");
        let p = cx.parameter("p", [], Init::Constant(0.0)).unwrap();
        assert_eq!(optimizer.step(&mut cx, p).unwrap_err().to_string(), message);
    }
}

#[test]
fn all_gradients_come_from_one_grad_node() {
    let graph = supervised::training_graph(
        "mlp",
        &nn::models::mlp(),
        &Batch::new(8, [64]),
        &Loss::cross_entropy(),
        &Sgd::new(0.1),
    )
    .unwrap();
    assert_eq!(graph.nodes().filter(|(_, node)| node.op.name() == "grad").count(), 1);
}

#[test]
fn a_second_optimizer_is_an_error() {
    let mut cx = Context::new("g");
    let p = cx.parameter("p", [], Init::Constant(0.0)).unwrap();
    Sgd::new(0.1).step(&mut cx, p).unwrap();
    let error = Sgd::new(0.1).step(&mut cx, p).unwrap_err().to_string();
    assert_eq!(error, "g: it has an optimizer already; minimise one loss: add the others to it");
}
