//! Loops of one's own: layers in their bodies, and what dropout draws there.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

mod support;

use std::collections::BTreeMap;

use ir::{DType, Error, Value};
use nn::{BatchNorm, Context, Dropout, Layer, LayerNorm, Linear, Mode};
use support::recurrent::{assert_alike, gradients};
use support::{draw, floats, run, tensor};

/// Two layers, one of which is applied twice.
fn body(cx: &mut Context, x: Value, item: Value, is_first: bool) -> Result<Value, Error> {
    let dense = Linear::new(3, 3);
    let apply = |cx: &mut Context, name: &str, layer: &dyn Layer, x: Value, is_first: bool| {
        if is_first { cx.layer(name, layer, x) } else { cx.shared(name, layer, x) }
    };
    let y = cx.eval(x + item)?;
    let y = apply(cx, "fc", &dense, y, is_first)?;
    let y = apply(cx, "norm", &LayerNorm::new(3), y, is_first)?;
    let y = apply(cx, "fc", &dense, y, false)?;
    apply(cx, "bn", &BatchNorm::new(3), y, is_first)
}

#[test]
fn a_loop_with_layers_is_the_same_layers_applied_again_and_again() {
    let x = draw(&[4, 2, 3], 1);
    let first = |cx: &mut Context, x: Value| cx.eval(x.slice_axis(0, 0..1).reshape([2, 3]));
    let looped = gradients(&x, |cx, x| {
        let start = first(cx, x)?;
        let scanned = cx.scope("net", |cx| {
            cx.scan(4, &[start], &[x], |cx, carries, items| {
                let y = body(cx, carries[0], items[0], true)?;
                Ok((vec![y], vec![y]))
            })
        })?;
        Ok(vec![scanned.carries[0], scanned.stacked[0]])
    });
    let unrolled = gradients(&x, |cx, x| {
        let mut y = first(cx, x)?;
        let mut all = Vec::new();
        for t in 0..4 {
            let item = cx.eval(x.slice_axis(0, t..t + 1).reshape([2, 3]))?;
            y = cx.scope("net", |cx| body(cx, y, item, t == 0))?;
            all.push(cx.reshape(y, [1, 2, 3])?);
        }
        Ok(vec![y, cx.concat(&all, 0)?])
    });
    assert_alike("a loop", &looped, &unrolled);
}

/// What dropout leaves of ones in each of three steps, with a key that is carried or not.
fn dropped(is_carried: bool) -> Vec<Vec<f64>> {
    let mut cx = Context::with("dropout", Mode::Train, DType::F64);
    let x = cx.input("x", DType::F64, [64]).unwrap();
    let key = cx.key().unwrap();
    let scanned = cx.scan(3, &[key], &[], |cx, carries, _| {
        let dropout = |cx: &mut Context| Dropout::new(0.5).forward(cx, x);
        let y = if is_carried { cx.with_key(carries[0], dropout)? } else { dropout(cx)? };
        Ok((vec![cx.eval(carries[0] + 1)?], vec![y]))
    });
    let after = Dropout::new(0.5).forward(&mut cx, x).unwrap();
    cx.output("steps", scanned.unwrap().stacked[0]).unwrap();
    cx.output("after", after).unwrap();
    let ones = tensor(&[64], vec![1.0; 64]);
    let outputs = run(&cx.finish(), &[("x", ones)], &BTreeMap::new()).outputs;
    let steps = floats(&outputs["steps"]);
    steps.chunks(64).map(<[f64]>::to_vec).chain([floats(&outputs["after"])]).collect()
}

#[test]
fn dropout_draws_the_same_numbers_in_each_step_unless_its_key_is_carried() {
    let same = dropped(false);
    assert!(same[0] == same[1] && same[1] == same[2] && same[2] != same[3]);
    let other = dropped(true);
    assert!(other[0] != other[1] && other[1] != other[2] && other[0] != other[2]);
    assert!(other.iter().flatten().all(|&y| y == 0.0 || y == 2.0));
}
