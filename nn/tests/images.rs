//! Convolutions, pooling, resizing and local response normalisation against PyTorch, with their gradients.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

mod support;

use std::collections::BTreeMap;

use ir::{Builder, DType, Error, Value};
use nn::functional::{
    ConvOptions, Interpolation, Padding, PoolOptions, adaptive_avg_pool, avg_pool, conv, conv_transpose,
    local_response_norm, max_pool, resize,
};
use support::{assert_close, floats, run, tensor, torch_images};

/// Compares a function of operands of these shapes, and its gradients, with a case of PyTorch's.
fn check(name: &str, shapes: &[&[usize]], function: impl Fn(&mut Builder, &[Value]) -> Result<Value, Error>) {
    let known = |what: &str| torch_images(&format!("{name}.{what}"));
    let mut b = Builder::new(name);
    let letters = &["x", "w"][..shapes.len()];
    let operands: Vec<Value> = letters
        .iter()
        .zip(shapes)
        .map(|(letter, shape)| b.input(letter, DType::F64, *shape).unwrap())
        .collect();
    let y = function(&mut b, &operands).unwrap_or_else(|error| panic!("{name}: {error}"));
    let weights = b.constant(tensor(b.shape(y), known("c")));
    let product = b.mul(y, weights).unwrap();
    let sum = b.reduce_sum(product, &(0..b.shape(y).rank()).collect::<Vec<_>>(), false).unwrap();
    let gradients = b.grad(sum, &operands).unwrap();
    b.output("y", y).unwrap();
    for (letter, gradient) in letters.iter().zip(gradients) {
        b.output(&format!("d{letter}"), gradient).unwrap();
    }
    let inputs: Vec<_> =
        letters.iter().zip(shapes).map(|(&letter, shape)| (letter, tensor(shape, known(letter)))).collect();
    let outputs = run(&b.finish(), &inputs, &BTreeMap::new()).outputs;
    for (what, found) in &outputs {
        assert_close(&format!("{name}.{what}"), &floats(found), &known(what));
    }
}

#[test]
fn convolutions_are_pytorchs() {
    let one = ConvOptions::new(1);
    let strided = ConvOptions { stride: vec![2], padding: Padding::even(&[1]), dilation: vec![2], ..one };
    check("conv1d", &[&[2, 3, 9], &[4, 3, 3]], |b, v| conv(b, v[0], v[1], &strided));
    let two = || ConvOptions::new(2);
    let same = ConvOptions { padding: Padding::Same, dilation: vec![1, 2], ..two() };
    check("same", &[&[1, 2, 5, 6], &[3, 2, 2, 3]], |b, v| conv(b, v[0], v[1], &same));
    let groups = ConvOptions { stride: vec![2, 1], padding: Padding::even(&[1, 0]), groups: 2, ..two() };
    check("groups", &[&[2, 4, 5, 4], &[6, 2, 3, 2]], |b, v| conv(b, v[0], v[1], &groups));
    let depthwise = ConvOptions { padding: Padding::even(&[1, 1]), groups: 3, ..two() };
    check("depthwise", &[&[1, 3, 4, 5], &[6, 1, 3, 3]], |b, v| conv(b, v[0], v[1], &depthwise));
}

#[test]
fn transposed_convolutions_are_pytorchs() {
    let even = Padding::even(&[1, 1]);
    let options = ConvOptions { stride: vec![2, 2], padding: even, groups: 2, ..ConvOptions::new(2) };
    let shapes: [&[usize]; 2] = [&[2, 4, 3, 2], &[4, 3, 3, 3]];
    check("transpose", &shapes, |b, v| conv_transpose(b, v[0], v[1], &options, &[1, 1]));
    let options = ConvOptions { stride: vec![3, 3], dilation: vec![2, 2], ..ConvOptions::new(2) };
    let shapes: [&[usize]; 2] = [&[1, 2, 3, 2], &[2, 2, 2, 3]];
    check("dilated", &shapes, |b, v| conv_transpose(b, v[0], v[1], &options, &[0, 0]));
}

#[test]
fn maxima_of_windows_are_pytorchs_and_ties_go_to_the_first() {
    let options = PoolOptions { padding: vec![1, 1], ceil_mode: true, ..PoolOptions::new(&[3, 3], &[2, 2]) };
    check("max", &[&[2, 2, 6, 5]], |b, v| Ok(max_pool(b, v[0], &options)?[0]));
    let tiles = PoolOptions::new(&[2, 2], &[2, 2]);
    check("max_tiles", &[&[1, 3, 7, 6]], |b, v| Ok(max_pool(b, v[0], &tiles)?[0]));
}

#[test]
fn means_of_windows_are_pytorchs() {
    let options = PoolOptions { padding: vec![1, 1], ceil_mode: true, ..PoolOptions::new(&[3, 3], &[2, 2]) };
    check("avg", &[&[1, 2, 6, 5]], |b, v| avg_pool(b, v[0], &options, true));
    check("avg_excluded", &[&[1, 2, 6, 5]], |b, v| avg_pool(b, v[0], &options, false));
    let tiles = PoolOptions::new(&[2, 2], &[2, 2]);
    check("avg_tiles", &[&[1, 2, 4, 6]], |b, v| avg_pool(b, v[0], &tiles, true));
    check("adaptive", &[&[2, 2, 7, 5]], |b, v| adaptive_avg_pool(b, v[0], &[3, 2]));
    check("adaptive_tiles", &[&[1, 2, 6, 4]], |b, v| adaptive_avg_pool(b, v[0], &[3, 2]));
}

#[test]
fn resized_images_are_pytorchs() {
    let linear = |align_corners| Interpolation::Linear { align_corners };
    for (name, extents, how) in [
        ("nearest", [6, 12], Interpolation::Nearest),
        ("nearest_odd", [7, 3], Interpolation::Nearest),
        ("bilinear", [7, 8], linear(false)),
        ("bilinear_aligned", [7, 3], linear(true)),
    ] {
        check(name, &[&[1, 2, 3, 4]], |b, v| resize(b, v[0], &extents, how));
    }
    check("linear", &[&[2, 1, 4]], |b, v| resize(b, v[0], &[9], linear(false)));
}

#[test]
fn local_response_normalisation_is_pytorchs() {
    for size in [3, 4] {
        check(&format!("response{size}"), &[&[2, 5, 2, 3]], |b, v| {
            local_response_norm(b, v[0], size, 0.3, 0.75, 2.0)
        });
    }
}

/// The message of a mistake with images of this shape.
fn mistake(shape: &[usize], function: impl Fn(&mut Builder, Value) -> Result<Value, Error>) -> String {
    let mut b = Builder::new("mistake");
    let x = b.input("x", DType::F32, shape).unwrap();
    function(&mut b, x).unwrap_err().to_string()
}

#[test]
fn mistakes_show_both_shapes() {
    assert_eq!(
        mistake(&[2, 3, 8, 8], |b, x| {
            let w = b.input("w", DType::F32, [4, 2, 3, 3])?;
            conv(b, x, w, &ConvOptions::new(2))
        }),
        "conv: x is f32[2, 3, 8, 8], the filters are f32[4, 2, 3, 3], in 1 groups; give x of [batch, channels, ..] and \
         filters of [out_channels, channels / groups, ..], with both numbers of channels divisible by the groups"
    );
    assert_eq!(
        mistake(&[2, 3, 8, 8], |b, x| {
            let w = b.input("w", DType::F32, [4, 2, 3, 3])?;
            conv_transpose(b, x, w, &ConvOptions::new(2), &[0, 0])
        }),
        "conv_transpose: x is f32[2, 3, 8, 8], the filters are f32[4, 2, 3, 3], in 1 groups; give x of [batch, channels, ..] \
         and filters of [channels, out_channels / groups, ..], with the channels divisible by the groups"
    );
    assert_eq!(
        mistake(&[2, 3, 8, 8], |b, x| {
            let w = b.input("w", DType::F32, [3, 3, 3, 3])?;
            let options = ConvOptions { padding: Padding::Same, ..ConvOptions::new(2) };
            conv_transpose(b, x, w, &options, &[0, 0])
        }),
        "conv_transpose: the padding is `Same`; give the padding of each side; a stride does not tell how long the image was"
    );
    assert_eq!(
        mistake(&[2, 3, 8], |b, x| {
            let w = b.input("w", DType::F32, [4, 3, 3, 3])?;
            conv(b, x, w, &ConvOptions::new(2))
        }),
        "conv: x is f32[2, 3, 8], the filters are f32[4, 3, 3, 3], strides are [1, 1]; give both two axes and one per stride"
    );
    assert_eq!(
        mistake(&[2, 3, 8], |b, x| {
            let w = b.input("w", DType::F32, [4, 3, 3])?;
            conv(b, x, w, &ConvOptions { padding: Padding::even(&[1, 1]), ..ConvOptions::new(1) })
        }),
        "conv: 2 entries of padding, 1 dilations, 1 strides; give one of each per spatial axis"
    );
    assert_eq!(
        mistake(&[2, 3, 8], |b, x| Ok(max_pool(b, x, &PoolOptions::new(&[2, 2], &[2]))?[0])),
        "max_pool: windows of [2, 2], strides [2], padding [0, 0] for x of f32[2, 3, 8]; \
         give an entry of each for each of the last axes of x"
    );
    assert_eq!(
        mistake(&[2, 3, 0], |b, x| resize(b, x, &[4], Interpolation::Nearest)),
        "resize: x is f32[2, 3, 0], the result is to have [4]; give x of [batch, channels, ..] with one or two spatial \
         axes, and an extent above 0 for each"
    );
    assert_eq!(
        mistake(&[2], nn::functional::global_avg_pool),
        "global_avg_pool: x is f32[2]; give x of [batch, channels, ..]"
    );
    assert_eq!(
        mistake(&[2], |b, x| local_response_norm(b, x, 5, 1e-4, 0.75, 1.0)),
        "local_response_norm: x is f32[2], the size is 5; give floats of [batch, channels, ..] and a size above 0"
    );
}
