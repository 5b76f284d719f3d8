//! Recurrent layers against PyTorch, with the parameters of its state dicts, and against ONNX's backend tests.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

mod support;

use std::collections::BTreeMap;

use ir::{DType, Tensor, Value};
use nn::rnn::{Cell, Direction, ElmanCell, GruCell, LstmCell, Recurrent};
use nn::{Activation, Context, Mode, RecurrentInputs};
use support::{assert_close, floats, run, tensor};

/// The sizes in nn/tests/torch_recurrent.py.
const STEPS: usize = 4;
const BATCH: usize = 3;
const INPUTS: usize = 2;
const HIDDEN: usize = 3;
const LENGTHS: [i64; BATCH] = [2, 4, 1];

/// The lists of a file, by name.
fn lists(file: &'static str) -> BTreeMap<&'static str, Vec<f64>> {
    let lists = file.lines().filter_map(|line| line.split_once(" = "));
    lists.map(|(name, list)| (name, list.split(' ').map(|it| it.parse().unwrap()).collect())).collect()
}

/// Compares outputs, last states and all gradients of a layer with PyTorch's.
fn assert_is_pytorch<C: Cell>(case: &str, layer: &Recurrent<C>, has_lengths: bool) {
    let lists = lists(include_str!("torch_recurrent.txt"));
    let get = |name: &str| lists.get(format!("{case}.{name}").as_str());
    let mut cx = Context::with("layer", Mode::Train, DType::F64);
    let x = cx.input("x", DType::F64, [STEPS, BATCH, INPUTS]).unwrap();
    let mut inputs = vec![("x", tensor(&[STEPS, BATCH, INPUTS], get("x").unwrap().clone()))];
    let mut sources = vec![("x".to_owned(), x)];
    let mut given = RecurrentInputs::new(x);
    if has_lengths {
        given = given.lengths(cx.input("lengths", DType::I64, [BATCH]).unwrap());
        inputs.push(("lengths", Tensor::new([BATCH], LENGTHS.to_vec()).unwrap()));
    }
    let mut states = Vec::new();
    for (name, (_, size)) in ["state0", "state1"].into_iter().zip(layer.cell().states()) {
        let Some(list) = get(name) else { continue };
        let shape = [list.len() / BATCH / size, BATCH, size];
        states.push(cx.input(name, DType::F64, shape).unwrap());
        sources.push((name.to_owned(), *states.last().unwrap()));
        inputs.push((name, tensor(&shape, list.clone())));
    }
    if !states.is_empty() {
        given = given.states(&states);
    }
    let found = layer.run(&mut cx, given).unwrap();
    let mut loss = cx.float(DType::F64, 0.0);
    let outputs = [found.outputs].into_iter().chain(found.states);
    for (name, value) in ["y", "h_n", "c_n"].into_iter().zip(outputs) {
        let weights = tensor(cx.shape(value), get(&format!("weights_{name}")).unwrap().clone());
        let weights = cx.constant(weights);
        loss = cx.eval(loss + (value * weights).sum_all()).unwrap();
        cx.output(name, value).unwrap();
    }
    let parameters = cx.parameters().to_vec();
    sources.extend(parameters.iter().map(|parameter| (parameter.name.clone(), parameter.value)));
    let values: Vec<Value> = sources.iter().map(|(_, value)| *value).collect();
    let gradients = cx.grad(loss, &values).unwrap();
    for ((name, _), gradient) in sources.iter().zip(gradients) {
        cx.output(&format!("d{name}"), gradient).unwrap();
    }
    let state = |parameter: &nn::Parameter| {
        let list = get(&format!("parameter.{}", parameter.name)).expect("PyTorch has it");
        (parameter.name.clone(), tensor(cx.shape(parameter.value), list.clone()))
    };
    let states: BTreeMap<String, Tensor> = parameters.iter().map(state).collect();
    let of_pytorch = lists.keys().filter(|name| name.starts_with(&format!("{case}.parameter."))).count();
    assert_eq!(states.len(), of_pytorch, "{case}: the parameters of PyTorch's state dict");
    let evaluation = run(&cx.finish(), &inputs, &states);
    for (name, output) in &evaluation.outputs {
        assert_close(&format!("{case}.{name}"), &floats(output), get(name).unwrap());
    }
}

/// A layer and the cases with several layers, both directions and lengths.
fn assert_all_are_pytorch<C: Cell + Clone>(name: &str, cell: C) {
    let layer = || Recurrent::with_cell(INPUTS, cell.clone());
    let case = |suffix: &str| format!("{name}.{suffix}");
    assert_is_pytorch(&case("one"), &layer(), false);
    assert_is_pytorch(&case("two"), &layer().layers(2), false);
    assert_is_pytorch(&case("both"), &layer().bidirectional().without_bias(), false);
    assert_is_pytorch(&case("lengths"), &layer(), true);
    assert_is_pytorch(&case("two_both_lengths"), &layer().layers(2).bidirectional(), true);
}

#[test]
fn elman_is_the_rnn_of_pytorch() {
    assert_all_are_pytorch("rnn", ElmanCell::new(HIDDEN));
    let relu = Recurrent::with_cell(INPUTS, ElmanCell::new(HIDDEN).activation(Activation::Relu));
    assert_is_pytorch("rnn_relu.one", &relu, false);
}

#[test]
fn gru_is_that_of_pytorch() {
    assert_all_are_pytorch("gru", GruCell::new(HIDDEN));
}

#[test]
fn lstm_is_that_of_pytorch_with_and_without_a_projection() {
    assert_all_are_pytorch("lstm", LstmCell::new(HIDDEN));
    assert_all_are_pytorch("lstm_proj", LstmCell::new(HIDDEN).projection(2));
}

/// A case of nn/tests/onnx_recurrent.txt.
struct Onnx {
    lists: BTreeMap<&'static str, Vec<f64>>,
    case: &'static str,
}

impl Onnx {
    fn get(&self, operand: &str) -> Option<&Vec<f64>> {
        self.lists.get(format!("{}.{operand}", self.case).as_str())
    }

    fn shape(&self, operand: &str) -> Vec<usize> {
        self.get(&format!("{operand} shape")).unwrap().iter().map(|&extent| extent as usize).collect()
    }

    /// Of direction `d`, the rows of a weight or the elements of a bias, in blocks of which `order` says where each is.
    fn gates(&self, list: &[f64], directions: usize, d: usize, order: &[usize]) -> Vec<f64> {
        let whole = list.len() / directions;
        let of_direction = &list[d * whole..(d + 1) * whole];
        let block = whole / order.len();
        order
            .iter()
            .flat_map(|&gate| of_direction[gate * block..(gate + 1) * block].iter().copied())
            .collect()
    }

    /// The parameters under PyTorch's names. ONNX has the gates in another order, which `order` undoes.
    fn parameters(&self, directions: usize, order: &[usize]) -> BTreeMap<String, Vec<f64>> {
        let mut parameters = BTreeMap::new();
        for d in 0..directions {
            let suffix = ["_l0", "_l0_reverse"][d];
            for (operand, name) in [("W", "weight_ih"), ("R", "weight_hh")] {
                let list = self.gates(self.get(operand).unwrap(), directions, d, order);
                parameters.insert(format!("{name}{suffix}"), list);
            }
            if let Some(biases) = self.get("B") {
                let count = order.len();
                for (name, first) in [("bias_ih", 0), ("bias_hh", count)] {
                    let order: Vec<usize> = order.iter().map(|&gate| gate + first).collect();
                    let mut whole: Vec<usize> = (0..2 * count).collect();
                    whole[..count].copy_from_slice(&order);
                    let list = self.gates(biases, directions, d, &whole);
                    parameters.insert(format!("{name}{suffix}"), list[..list.len() / 2].to_vec());
                }
            }
            if let Some(peepholes) = self.get("P") {
                // i, o, f -> i, f, o
                let list = self.gates(peepholes, directions, d, &[0, 2, 1]);
                parameters.insert(format!("weight_ch{suffix}"), list);
            }
        }
        parameters
    }
}

/// Compares a layer with a case. Results are f32 there, computed in f32.
fn assert_is_onnx<C: Cell>(case: &'static str, cell: impl Fn(usize) -> C, order: &[usize]) {
    let onnx = Onnx { lists: lists(include_str!("onnx_recurrent.txt")), case };
    let (x_shape, weight) = (onnx.shape("X"), onnx.shape("R"));
    let (directions, hidden) = (weight[0], weight[2]);
    let is_batch_first = case.ends_with("_batchwise");
    let mut layer = Recurrent::with_cell(x_shape[2], cell(hidden));
    if is_batch_first {
        layer = layer.batch_first();
    }
    if onnx.get("B").is_none() {
        layer = layer.without_bias();
    }
    layer = match case {
        _ if directions == 2 => layer.bidirectional(),
        _ if case.ends_with("_reverse") => layer.direction(Direction::Reverse),
        _ => layer,
    };
    let mut cx = Context::with("layer", Mode::Infer, DType::F64);
    let x = cx.input("X", DType::F64, x_shape.as_slice()).unwrap();
    let mut inputs = vec![("X", tensor(&x_shape, onnx.get("X").unwrap().clone()))];
    let mut given = RecurrentInputs::new(x);
    if let Some(lengths) = onnx.get("sequence_lens") {
        given = given.lengths(cx.input("sequence_lens", DType::I64, [lengths.len()]).unwrap());
        let lengths: Vec<i64> = lengths.iter().map(|&length| length as i64).collect();
        inputs.push(("sequence_lens", Tensor::new([lengths.len()], lengths).unwrap()));
    }
    let mut states = Vec::new();
    for name in ["initial_h", "initial_c"] {
        if let Some(list) = onnx.get(name) {
            let shape = onnx.shape(name);
            states.push(cx.input(name, DType::F64, shape.as_slice()).unwrap());
            inputs.push((name, tensor(&shape, list.clone())));
        }
    }
    if !states.is_empty() {
        given = given.states(&states);
    }
    let found = layer.run(&mut cx, given).unwrap();
    let (steps_axis, batch_axis) = if is_batch_first { (1, 0) } else { (0, 1) };
    let (steps, batch) = (x_shape[steps_axis], x_shape[batch_axis]);
    // [steps, batch, directions * hidden] -> [steps, directions, batch, hidden], or the batch first in both
    let shape = [x_shape[0], x_shape[1], directions, hidden];
    let y = cx.reshape(found.outputs, shape.as_slice()).unwrap();
    let y = if is_batch_first { y } else { cx.transpose(y, &[0, 2, 1, 3]).unwrap() };
    assert_eq!(cx.shape(y).elements(), steps * batch * directions * hidden);
    cx.output("Y", y).unwrap();
    for (name, &state) in ["Y_h", "Y_c"].iter().zip(&found.states) {
        let state = if is_batch_first { cx.transpose(state, &[1, 0, 2]).unwrap() } else { state };
        cx.output(name, state).unwrap();
    }
    let lists = onnx.parameters(directions, order);
    let state = |parameter: &nn::Parameter| {
        let list = lists[&parameter.name].clone();
        (parameter.name.clone(), tensor(cx.shape(parameter.value), list))
    };
    let states: BTreeMap<String, Tensor> = cx.parameters().iter().map(state).collect();
    assert_eq!(states.len(), lists.len(), "{case}: {:?} and {:?}", states.keys(), lists.keys());
    let outputs = run(&cx.finish(), &inputs, &states).outputs;
    let mut compared = 0;
    for name in ["Y", "Y_h", "Y_c"] {
        let Some(expected) = onnx.get(name) else { continue };
        let found = floats(&outputs[name]);
        assert_eq!(outputs[name].shape()[..], onnx.shape(name), "{case}.{name}");
        for (i, (a, b)) in found.iter().zip(expected).enumerate() {
            assert!((a - b).abs() <= 2e-6 * (1.0 + b.abs()), "{case}.{name}[{i}]: {a}, expected {b}");
        }
        compared += 1;
    }
    assert!(compared > 0, "{case} has results");
}

#[test]
fn elman_is_the_rnn_of_onnx() {
    for case in [
        "rnn_seq_length",
        "simple_rnn_batchwise",
        "simple_rnn_bidirectional",
        "simple_rnn_defaults",
        "simple_rnn_reverse",
        "simple_rnn_with_initial_bias",
    ] {
        assert_is_onnx(case, ElmanCell::new, &[0]);
    }
}

/// Gates are in the order z, r, h there; its reset is before the product unless it says otherwise.
#[test]
fn gru_is_that_of_onnx() {
    for case in [
        "gru_batchwise",
        "gru_bidirectional",
        "gru_defaults",
        "gru_reverse",
        "gru_seq_length",
        "gru_with_initial_bias",
    ] {
        assert_is_onnx(case, |hidden| GruCell::new(hidden).reset_after(false), &[1, 0, 2]);
    }
}

/// Gates are in the order i, o, f, c there.
#[test]
fn lstm_is_that_of_onnx() {
    for case in
        ["lstm_batchwise", "lstm_bidirectional", "lstm_defaults", "lstm_reverse", "lstm_with_initial_bias"]
    {
        assert_is_onnx(case, LstmCell::new, &[0, 2, 3, 1]);
    }
    assert_is_onnx("lstm_with_peepholes", |hidden| LstmCell::new(hidden).peepholes(), &[0, 2, 3, 1]);
}
