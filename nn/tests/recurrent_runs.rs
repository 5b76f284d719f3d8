//! What recurrent layers do over time: lengths, directions, layers, states; and what they refuse.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

mod support;

use std::sync::Mutex;

use ir::{DType, Error, Scalar, Tensor, Value};
use nn::rnn::{Cell, ElmanCell, GruCell, JordanCell, LstmCell, MguCell, PeepholeCell, Recurrent};
use nn::{Context, Gru, Layer, Linear, Lstm, Mode, Outputs, RecurrentInputs, Summary};
use support::recurrent::{assert_alike, gradients};
use support::{draw, floats, run};

const STEPS: usize = 4;
const LENGTHS: [i64; 4] = [2, 4, 1, 3];

fn cells() -> Vec<Box<dyn Cell>> {
    vec![
        Box::new(ElmanCell::new(3).output(2, nn::Activation::Sigmoid)),
        Box::new(JordanCell::new(3, 2)),
        Box::new(MguCell::new(3)),
        Box::new(GruCell::new(3)),
        Box::new(GruCell::new(3).reset_after(false)),
        Box::new(LstmCell::new(3).projection(2).peepholes()),
        Box::new(PeepholeCell::new(3)),
    ]
}

/// A layer that may be applied again and notes the last states.
struct Noting<'a, C> {
    layer: &'a Recurrent<C>,
    lengths: Option<Value>,
    states: Mutex<Vec<Value>>,
}

impl<C: Cell> Layer for Noting<'_, C> {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        let inputs = RecurrentInputs::new(x);
        let inputs = self.lengths.map_or(inputs.clone(), |lengths| inputs.lengths(lengths));
        let found = self.layer.run(cx, inputs)?;
        *self.states.lock().unwrap() = found.states;
        Ok(found.outputs)
    }
}

/// Outputs and last states of a layer, which is applied again where it has been before.
fn apply<C: Cell>(
    cx: &mut Context,
    layer: &Recurrent<C>,
    x: Value,
    lengths: Option<Value>,
) -> Result<Vec<Value>, Error> {
    let noting = Noting { layer, lengths, states: Mutex::new(Vec::new()) };
    let outputs = match cx.parameters().is_empty() {
        true => cx.layer("rnn", &noting, x)?,
        false => cx.shared("rnn", &noting, x)?,
    };
    Ok([outputs].into_iter().chain(noting.states.into_inner().unwrap()).collect())
}

/// Compares values and gradients of a batch with lengths with those of each sample alone, as long as it is.
fn assert_is_each_sample_alone(layer: &Recurrent<Box<dyn Cell>>) {
    let x = draw(&[STEPS, LENGTHS.len(), 2], 1);
    let whole = gradients(&x, |cx, x| {
        let lengths = cx.constant(Tensor::new([LENGTHS.len()], LENGTHS.to_vec()).unwrap());
        apply(cx, layer, x, Some(lengths))
    });
    let alone = gradients(&x, |cx, x| {
        let mut samples: Vec<Vec<Value>> = Vec::new();
        for (sample, &length) in LENGTHS.iter().enumerate() {
            let own = cx.eval(x.slice_axis(1, sample..sample + 1).slice_axis(0, 0..length as usize))?;
            let mut values = apply(cx, layer, own, None)?;
            if cx.shape(values[0]).rank() == 3 {
                let missing = STEPS - length as usize;
                values[0] = cx.pad(values[0], &[0; 3], &[missing, 0, 0], &[0; 3], Scalar::F64(0.0))?;
            }
            samples.push(values);
        }
        let joined = |cx: &mut Context, index: usize| {
            let parts: Vec<Value> = samples.iter().map(|values| values[index]).collect();
            let batch = cx.shape(parts[0]).rank() - 2;
            cx.concat(&parts, batch)
        };
        (0..samples[0].len()).map(|index| joined(cx, index)).collect()
    });
    assert_alike(&layer.description(), &whole, &alone);
}

#[test]
fn a_sample_of_a_batch_is_what_it_is_alone() {
    for cell in cells() {
        assert_is_each_sample_alone(
            &Recurrent::with_cell(2, cell).layers(2).bidirectional().learned_states(),
        );
    }
}

#[test]
fn the_last_output_is_that_of_the_last_own_step_in_each_direction() {
    for cell in cells() {
        assert_is_each_sample_alone(&Recurrent::with_cell(2, cell).bidirectional().last());
    }
    for cell in cells() {
        let x = draw(&[STEPS, 3, 2], 1);
        let layer = Recurrent::with_cell(2, cell).bidirectional();
        let all = gradients(&x, |cx, x| {
            let y = layer.forward(cx, x)?;
            let size = layer.output_size() / 2;
            let forward = y.slice_axis(0, STEPS - 1..STEPS).slice_axis(2, 0..size);
            let reverse = y.slice_axis(0, 0..1).slice_axis(2, size..2 * size);
            let [forward, reverse] = [cx.eval(forward)?, cx.eval(reverse)?];
            let both = cx.concat(&[forward, reverse], 2)?;
            Ok(vec![cx.reshape(both, [3, 2 * size])?])
        });
        let layer = layer.last();
        assert_alike(&layer.description(), &gradients(&x, |cx, x| Ok(vec![layer.forward(cx, x)?])), &all);
    }
}

#[test]
fn a_sequence_in_two_parts_that_hand_on_the_states_is_the_whole() {
    for cell in cells() {
        let x = draw(&[STEPS, 3, 2], 1);
        let layer = Recurrent::with_cell(2, cell).layers(2);
        let whole = gradients(&x, |cx, x| apply(cx, &layer, x, None));
        // The first part has one step, which is no loop.
        let parts = gradients(&x, |cx, x| {
            let [first, second] = [cx.eval(x.slice_axis(0, 0..1))?, cx.eval(x.slice_axis(0, 1..STEPS))?];
            let first = apply(cx, &layer, first, None)?;
            let going_on = GoingOn { layer: &layer, from: &first[1..], states: Mutex::new(Vec::new()) };
            let second = cx.shared("rnn", &going_on, second)?;
            let y = cx.concat(&[first[0], second], 0)?;
            Ok([y].into_iter().chain(going_on.states.into_inner().unwrap()).collect())
        });
        assert_alike(&layer.description(), &parts, &whole);
    }
}

/// A layer from given states.
struct GoingOn<'a, C> {
    layer: &'a Recurrent<C>,
    from: &'a [Value],
    states: Mutex<Vec<Value>>,
}

impl<C: Cell> Layer for GoingOn<'_, C> {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        let found = self.layer.run(cx, RecurrentInputs::new(x).states(self.from))?;
        *self.states.lock().unwrap() = found.states;
        Ok(found.outputs)
    }
}

#[test]
fn batch_first_is_the_same_with_axes_in_another_order() {
    let x = draw(&[3, STEPS, 2], 1);
    let layer = Lstm::new(2, 3).layers(2);
    let found = gradients(&x, |cx, x| Ok(vec![layer.batch_first().forward(cx, x)?]));
    let expected = gradients(&x, |cx, x| {
        let x = cx.transpose(x, &[1, 0, 2])?;
        let y = layer.forward(cx, x)?;
        Ok(vec![cx.transpose(y, &[1, 0, 2])?])
    });
    assert_alike("batch first", &found, &expected);
}

#[test]
fn without_steps_the_states_pass_through() {
    let mut cx = Context::with("empty", Mode::Infer, DType::F64);
    let x = cx.input("x", DType::F64, [0, 3, 2]).unwrap();
    let h = cx.input("h", DType::F64, [1, 3, 5]).unwrap();
    let found = Gru::new(2, 5).run(&mut cx, RecurrentInputs::new(x).states(&[h])).unwrap();
    assert_eq!(cx.ty(found.outputs).to_string(), "f64[0, 3, 5]");
    cx.output("last", found.states[0]).unwrap();
    let state = draw(&[1, 3, 5], 2);
    let empty = Tensor::new([0, 3, 2], Vec::<f64>::new()).unwrap();
    let inputs = [("x", empty), ("h", state.clone())];
    let outputs = run(&cx.finish(), &inputs, &Default::default()).outputs;
    assert_eq!(floats(&outputs["last"]), floats(&state));
}

/// A sample of length 0 gives zeros and keeps its state.
#[test]
fn a_sample_may_be_empty() {
    let mut cx = Context::with("empty", Mode::Infer, DType::F64);
    let x = cx.input("x", DType::F64, [STEPS, 2, 2]).unwrap();
    let h = cx.input("h", DType::F64, [1, 2, 3]).unwrap();
    let lengths = cx.input("lengths", DType::I32, [2]).unwrap();
    let inputs = RecurrentInputs::new(x).states(&[h]).lengths(lengths);
    let found = Gru::new(2, 3).run(&mut cx, inputs).unwrap();
    cx.output("y", found.outputs).unwrap();
    cx.output("last", found.states[0]).unwrap();
    let state = draw(&[1, 2, 3], 2);
    let lengths = Tensor::new([2], vec![0i32, 4]).unwrap();
    let inputs = [("x", draw(&[STEPS, 2, 2], 1)), ("h", state.clone()), ("lengths", lengths)];
    let outputs = run(&cx.finish(), &inputs, &Default::default()).outputs;
    let [y, last] = ["y", "last"].map(|name| floats(&outputs[name]));
    assert_eq!(last[..3], floats(&state)[..3]);
    assert!(y.chunks(6).all(|step| step[..3] == [0.0; 3] && step[3..].iter().all(|&y| y != 0.0)));
    assert_eq!(y[y.len() - 3..], last[3..]);
}

#[test]
fn dropout_is_between_layers_and_in_training_alone() {
    let build = |mode: Mode, layers: usize| {
        let mut cx = Context::with("dropout", mode, DType::F32);
        let x = cx.input("x", DType::F32, [STEPS, 2, 2]).unwrap();
        Gru::new(2, 3).layers(layers).dropout(0.5).forward(&mut cx, x).unwrap();
        let draws = |(_, node): &(ir::NodeId, &ir::Node)| matches!(node.op, ir::Op::Random(_));
        let graph = cx.finish();
        let shapes = graph.nodes().filter(draws).map(|(_, node)| node.results[0].shape.to_string());
        shapes.collect::<Vec<String>>()
    };
    assert_eq!(build(Mode::Train, 3), ["[4, 2, 3]", "[4, 2, 3]"]);
    assert!(build(Mode::Train, 1).is_empty() && build(Mode::Infer, 3).is_empty());
}

/// As many products as the formulas have: one for all inputs of a layer, one in its loop.
#[test]
fn the_input_is_projected_once_for_all_steps() {
    let mut cx = Context::new("products");
    let x = cx.input("x", DType::F32, [7, 2, 5]).unwrap();
    Lstm::new(5, 3).forward(&mut cx, x).unwrap();
    let products = |graph: &ir::Graph| -> Vec<String> {
        let products = graph.nodes().filter(|(_, node)| matches!(node.op, ir::Op::MatMul(_)));
        products.map(|(_, node)| node.results[0].to_string()).collect()
    };
    let graph = cx.finish();
    assert_eq!(products(&graph), ["f32[14, 12]"]);
    let bodies: Vec<Vec<String>> =
        graph.nodes().filter_map(|(_, node)| Some(products(node.body.as_ref()?))).collect();
    assert_eq!(bodies, [["f32[2, 12]"]]);
}

#[test]
fn a_summary_counts_the_parameters_and_all_steps() {
    let network = |cx: &mut Context, rows: usize| {
        let x = cx.input("x", DType::F32, [rows, 7, 5])?;
        let y = cx.layer("rnn", &Lstm::new(5, 3).batch_first().last(), x)?;
        let z = cx.scan(10, &[y], &[], |cx, carries, _| {
            Ok((vec![cx.layer("step", &Linear::new(3, 3), carries[0])?], vec![]))
        })?;
        Ok(Outputs::new().result("z", cx.layer("fc", &Linear::new(3, 2), z.carries[0])?))
    };
    let rows = Summary::new(&network, 2).unwrap().rows;
    let rows: Vec<String> = rows
        .iter()
        .map(|row| format!("{}: {}, {}, {}", row.layer, row.output, row.parameters, row.multiply_adds))
        .collect();
    let lstm = 2 * 7 * 12 * (5 + 3);
    assert_eq!(
        rows,
        [
            format!("Lstm 5 -> 3: f32[2, 3], {}, {lstm}", 12 * (5 + 3 + 2)),
            "Linear 3 -> 3: f32[2, 3], 12, 0".into(),
            "Linear 3 -> 2: f32[2, 2], 8, 12".into(),
        ]
    );
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused = |layer: Lstm, x: [usize; 3], states: &[[usize; 3]], lengths: Option<[usize; 1]>| {
        let mut cx = Context::new("refused");
        let value = cx.input("x", DType::F32, x).unwrap();
        let mut inputs = RecurrentInputs::new(value);
        let named = ["h", "c"].iter().zip(states);
        let states: Vec<Value> =
            named.map(|(name, &shape)| cx.input(name, DType::F32, shape).unwrap()).collect();
        if !states.is_empty() {
            inputs = inputs.states(&states);
        }
        if let Some(lengths) = lengths {
            inputs = inputs.lengths(cx.input("lengths", DType::I64, lengths).unwrap());
        }
        cx.scope("encoder", |cx| layer.run(cx, inputs)).unwrap_err().to_string()
    };
    let lstm = Lstm::new(5, 3).bidirectional();
    assert_eq!(
        refused(lstm, [7, 2, 4], &[], None),
        "lstm encoder.weight_ih_l0: x is f32[7, 2, 4], the layer takes f32[steps, batch, 5]; \
         give a sequence of rows of this size per sample"
    );
    assert_eq!(
        refused(lstm, [7, 2, 5], &[[2, 3, 3], [2, 2, 3]], None),
        "lstm encoder.weight_ih_l0: the initial state h is f32[2, 3, 3]; give h of [2, 2, 3] and c of [2, 2, 3]: \
         layers times directions, samples of the batch, values"
    );
    assert_eq!(
        refused(lstm, [7, 2, 5], &[[2, 2, 3]], None),
        "lstm encoder.weight_ih_l0: 1 initial states are given, and the cell has 2; \
         give h of [2, 2, 3] and c of [2, 2, 3]"
    );
    assert_eq!(
        refused(lstm, [7, 2, 5], &[], Some([7])),
        "encoder.lengths: lengths are i64[7], and there are 2 samples; give i64[2]"
    );
    assert_eq!(
        refused(lstm.layers(0), [7, 2, 5], &[], None),
        "lstm encoder.weight_ih_l0: it has no layers; give it one or more"
    );
    assert_eq!(
        refused(lstm.layers(2).dropout(1.0), [7, 2, 5], &[], None),
        "dropout: the rate is 1; give a number of at least 0 and below 1"
    );
}
