//! Cells against graphs that are unrolled by hand from their formulas: values and all gradients, in f64.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

mod support;

use ir::{Error, Expr, Value};
use nn::rnn::{Cell, ElmanCell, GruCell, JordanCell, LstmCell, MguCell, PeepholeCell, Recurrent};
use nn::{Activation, Context, Layer};
use support::draw;
use support::recurrent::{assert_alike, gradients};

const STEPS: usize = 5;
const BATCH: usize = 2;
const INPUTS: usize = 3;
const HIDDEN: usize = 4;

/// The parameters of a cell, `weight_ih` for `weight_ih_l0`.
struct Parameters(Vec<(&'static str, Value)>);

impl Parameters {
    fn new(cx: &mut Context, shapes: &[(&'static str, &[usize])]) -> Result<Parameters, Error> {
        let parameter = |cx: &mut Context, name: &str, shape: &[usize]| {
            cx.parameter(&format!("{name}_l0"), shape, nn::init::zeros())
        };
        let all = shapes.iter().map(|&(name, shape)| Ok((name, parameter(cx, name, shape)?)));
        Ok(Parameters(all.collect::<Result<_, Error>>()?))
    }

    fn get(&self, name: &str) -> Value {
        self.0.iter().find(|(known, _)| *known == name).unwrap().1
    }

    /// Part `index` of a parameter that is cut into parts of `HIDDEN` rows.
    fn part(&self, name: &str, index: usize) -> Expr {
        self.get(name).slice_axis(0, index * HIDDEN..(index + 1) * HIDDEN)
    }

    /// `W_gate x`
    fn times(&self, name: &str, gate: usize, x: impl Into<Expr>) -> Expr {
        x.into().matmul(self.part(name, gate).t())
    }

    /// `W_gate x + U_gate h + b_gate`, with the sum of both biases as b.
    fn gate(&self, gate: usize, x: Value, h: Value) -> Expr {
        let bias = self.part("bias_ih", gate) + self.part("bias_hh", gate);
        self.times("weight_ih", gate, x) + self.times("weight_hh", gate, h) + bias
    }

    /// The same with `bias_ih` alone.
    fn gate_of_one_bias(&self, gate: usize, x: Value, h: impl Into<Expr>) -> Expr {
        self.times("weight_ih", gate, x) + self.times("weight_hh", gate, h) + self.part("bias_ih", gate)
    }
}

/// The outputs of all steps; the step gives the next states and its output.
fn unrolled(
    cx: &mut Context,
    x: Value,
    initial: &[Value],
    step: impl Fn(&mut Context, Value, &[Value]) -> Result<(Vec<Value>, Value), Error>,
) -> Result<Value, Error> {
    let mut states: Vec<Value> = Vec::new();
    for &start in initial {
        let size = cx.shape(start)[0];
        states.push(cx.broadcast(start, [BATCH, size])?);
    }
    let mut outputs = Vec::new();
    for t in 0..STEPS {
        let item = cx.eval(x.slice_axis(0, t..t + 1).reshape([BATCH, INPUTS]))?;
        let (next, output) = step(cx, item, &states)?;
        let size = cx.shape(output)[1];
        outputs.push(cx.reshape(output, [1, BATCH, size])?);
        states = next;
    }
    cx.concat(&outputs, 0)
}

/// Compares a cell from learned initial states with the same by hand.
fn assert_is_by_hand<C: Cell>(cell: C, by_hand: impl Fn(&mut Context, Value) -> Result<Value, Error>) {
    let layer = Recurrent::with_cell(INPUTS, cell).learned_states();
    let x = draw(&[STEPS, BATCH, INPUTS], 1);
    let found = gradients(&x, |cx, x| Ok(vec![layer.forward(cx, x)?]));
    let expected = gradients(&x, |cx, x| Ok(vec![by_hand(cx, x)?]));
    assert_alike(layer.description().as_str(), &found, &expected);
}

const fn square() -> &'static [usize] {
    &[HIDDEN, HIDDEN]
}

#[test]
fn elman_is_by_hand() {
    assert_is_by_hand(ElmanCell::new(HIDDEN), |cx, x| {
        let shapes: [(&str, &[usize]); 5] = [
            ("h0", &[HIDDEN]),
            ("weight_ih", &[HIDDEN, INPUTS]),
            ("weight_hh", square()),
            ("bias_ih", &[HIDDEN]),
            ("bias_hh", &[HIDDEN]),
        ];
        let p = Parameters::new(cx, &shapes)?;
        unrolled(cx, x, &[p.get("h0")], |cx, x, states| {
            let h = cx.eval(p.gate(0, x, states[0]).tanh())?;
            Ok((vec![h], h))
        })
    });
}

#[test]
fn elman_with_an_output_of_its_own_is_by_hand() {
    let cell = ElmanCell::new(HIDDEN).activation(Activation::Sigmoid).output(2, Activation::Softmax);
    assert_is_by_hand(cell, |cx, x| {
        let shapes: [(&str, &[usize]); 7] = [
            ("h0", &[HIDDEN]),
            ("weight_ih", &[HIDDEN, INPUTS]),
            ("weight_hh", square()),
            ("bias_ih", &[HIDDEN]),
            ("bias_hh", &[HIDDEN]),
            ("weight_ho", &[2, HIDDEN]),
            ("bias_ho", &[2]),
        ];
        let p = Parameters::new(cx, &shapes)?;
        unrolled(cx, x, &[p.get("h0")], |cx, x, states| {
            let s = cx.eval(p.gate(0, x, states[0]).sigmoid())?;
            let o = cx.eval((s.matmul(p.get("weight_ho").t()) + p.get("bias_ho")).softmax(1))?;
            Ok((vec![s], o))
        })
    });
}

#[test]
fn jordan_is_by_hand() {
    let cell = JordanCell::new(HIDDEN, 2).output_activation(Activation::Sigmoid);
    assert_is_by_hand(cell, |cx, x| {
        let shapes: [(&str, &[usize]); 6] = [
            ("o0", &[2]),
            ("weight_ih", &[HIDDEN, INPUTS]),
            ("weight_oh", &[HIDDEN, 2]),
            ("weight_ho", &[2, HIDDEN]),
            ("bias_ih", &[HIDDEN]),
            ("bias_ho", &[2]),
        ];
        let p = Parameters::new(cx, &shapes)?;
        unrolled(cx, x, &[p.get("o0")], |cx, x, states| {
            let from_output = states[0].matmul(p.get("weight_oh").t());
            let s = cx.eval((from_output + p.times("weight_ih", 0, x) + p.get("bias_ih")).tanh())?;
            let o = cx.eval((s.matmul(p.get("weight_ho").t()) + p.get("bias_ho")).sigmoid())?;
            Ok((vec![o], o))
        })
    });
}

#[test]
fn the_minimal_gated_unit_is_by_hand() {
    assert_is_by_hand(MguCell::new(HIDDEN), |cx, x| {
        let shapes: [(&str, &[usize]); 4] = [
            ("h0", &[HIDDEN]),
            ("weight_ih", &[2 * HIDDEN, INPUTS]),
            ("weight_hh", &[2 * HIDDEN, HIDDEN]),
            ("bias_ih", &[2 * HIDDEN]),
        ];
        let p = Parameters::new(cx, &shapes)?;
        unrolled(cx, x, &[p.get("h0")], |cx, x, states| {
            let last = states[0];
            let f = cx.eval(p.gate_of_one_bias(0, x, last).sigmoid())?;
            let new = p.gate_of_one_bias(1, x, f * last).tanh();
            let o = cx.eval(f * last + (1.0 - f) * new)?;
            Ok((vec![o], o))
        })
    });
}

fn gru_shapes() -> [(&'static str, &'static [usize]); 5] {
    [
        ("h0", &[HIDDEN]),
        ("weight_ih", &[3 * HIDDEN, INPUTS]),
        ("weight_hh", &[3 * HIDDEN, HIDDEN]),
        ("bias_ih", &[3 * HIDDEN]),
        ("bias_hh", &[3 * HIDDEN]),
    ]
}

#[test]
fn the_gru_that_resets_after_the_product_is_by_hand() {
    assert_is_by_hand(GruCell::new(HIDDEN), |cx, x| {
        let p = Parameters::new(cx, &gru_shapes())?;
        unrolled(cx, x, &[p.get("h0")], |cx, x, states| {
            let last = states[0];
            let r = p.gate(0, x, last).sigmoid();
            let z = cx.eval(p.gate(1, x, last).sigmoid())?;
            let hidden = p.times("weight_hh", 2, last) + p.part("bias_hh", 2);
            let n = (p.times("weight_ih", 2, x) + p.part("bias_ih", 2) + r * hidden).tanh();
            let h = cx.eval((1.0 - z) * n + z * last)?;
            Ok((vec![h], h))
        })
    });
}

#[test]
fn the_gru_that_resets_before_the_product_is_by_hand() {
    assert_is_by_hand(GruCell::new(HIDDEN).reset_after(false).activation(Activation::Softplus), |cx, x| {
        let p = Parameters::new(cx, &gru_shapes())?;
        unrolled(cx, x, &[p.get("h0")], |cx, x, states| {
            let last = states[0];
            let r = p.gate(0, x, last).sigmoid();
            let f = cx.eval(p.gate(1, x, last).sigmoid())?;
            let seen = cx.eval(r * last)?;
            let n = cx.eval(p.gate(2, x, seen))?;
            let n = Activation::Softplus.apply(cx, n)?;
            let h = cx.eval(f * last + (1.0 - f) * n)?;
            Ok((vec![h], h))
        })
    });
}

fn lstm_shapes(outputs: usize) -> Vec<(&'static str, &'static [usize])> {
    let recurrent: &[usize] = if outputs == 2 { &[4 * HIDDEN, 2] } else { &[4 * HIDDEN, HIDDEN] };
    let start: &[usize] = if outputs == 2 { &[2] } else { &[HIDDEN] };
    vec![
        ("h0", start),
        ("c0", &[HIDDEN]),
        ("weight_ih", &[4 * HIDDEN, INPUTS]),
        ("weight_hh", recurrent),
        ("bias_ih", &[4 * HIDDEN]),
        ("bias_hh", &[4 * HIDDEN]),
    ]
}

#[test]
fn the_lstm_is_by_hand_with_and_without_a_projection() {
    for outputs in [HIDDEN, 2] {
        let mut shapes = lstm_shapes(outputs);
        let (mut cell, mut forget_bias) = (LstmCell::new(HIDDEN), 0.0);
        if outputs == 2 {
            forget_bias = 1.5;
            cell = cell.projection(2).forget_bias(forget_bias);
            shapes.push(("weight_hr", &[2, HIDDEN]));
        }
        assert_is_by_hand(cell, |cx, x| {
            let p = Parameters::new(cx, &shapes)?;
            unrolled(cx, x, &[p.get("h0"), p.get("c0")], |cx, x, states| {
                let (h, c) = (states[0], states[1]);
                let [i, o] = [0, 3].map(|gate| p.gate(gate, x, h).sigmoid());
                let f = (p.gate(1, x, h) + forget_bias).sigmoid();
                let c = cx.eval(f * c + i * p.gate(2, x, h).tanh())?;
                let mut h = cx.eval(o * c.tanh())?;
                if outputs == 2 {
                    h = cx.eval(h.matmul(p.get("weight_hr").t()))?;
                }
                Ok((vec![h, c], h))
            })
        });
    }
}

#[test]
fn the_lstm_with_a_peephole_per_value_is_by_hand() {
    assert_is_by_hand(LstmCell::new(HIDDEN).peepholes(), |cx, x| {
        let mut shapes = lstm_shapes(HIDDEN);
        shapes.push(("weight_ch", &[3 * HIDDEN]));
        let p = Parameters::new(cx, &shapes)?;
        unrolled(cx, x, &[p.get("h0"), p.get("c0")], |cx, x, states| {
            let (h, c) = (states[0], states[1]);
            let i = (p.gate(0, x, h) + p.part("weight_ch", 0) * c).sigmoid();
            let f = (p.gate(1, x, h) + p.part("weight_ch", 1) * c).sigmoid();
            let c = cx.eval(f * c + i * p.gate(2, x, h).tanh())?;
            let o = (p.gate(3, x, h) + p.part("weight_ch", 2) * c).sigmoid();
            let h = cx.eval(o * c.tanh())?;
            Ok((vec![h, c], h))
        })
    });
}

#[test]
fn the_lstm_whose_gates_see_the_cell_alone_is_by_hand() {
    let cell = PeepholeCell::new(HIDDEN).forget_bias(0.5).cell_activation(Activation::Elu { alpha: 1.0 });
    assert_is_by_hand(cell, |cx, x| {
        let shapes: [(&str, &[usize]); 5] = [
            ("h0", &[HIDDEN]),
            ("c0", &[HIDDEN]),
            ("weight_ih", &[4 * HIDDEN, INPUTS]),
            ("weight_hh", &[4 * HIDDEN, HIDDEN]),
            ("bias_ih", &[4 * HIDDEN]),
        ];
        let p = Parameters::new(cx, &shapes)?;
        unrolled(cx, x, &[p.get("h0"), p.get("c0")], |cx, x, states| {
            let c = states[1];
            let [i, o] = [0, 3].map(|gate| p.gate_of_one_bias(gate, x, c).sigmoid());
            let f = (p.gate_of_one_bias(1, x, c) + 0.5).sigmoid();
            let new = cx.eval(p.gate_of_one_bias(2, x, c))?;
            let new = Activation::Elu { alpha: 1.0 }.apply(cx, new)?;
            let c = cx.eval(f * c + i * new)?;
            let h = cx.eval(o * c.tanh())?;
            Ok((vec![h, c], h))
        })
    });
}
