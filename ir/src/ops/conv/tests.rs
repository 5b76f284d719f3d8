//! Convolutions: what they refuse, and what they lower to.

use crate::ops::testing::mistake;
use crate::ops::{Conv, ConvOf, Op, Windows};
use crate::{Builder, DType, Lowering, Value};

fn conv(op: &str, left: &str, right: &str, attrs: &str) -> String {
    mistake(&format!("%a = input : {left}\n%b = input : {right}\n%y = {op} %a, %b {attrs}"))
}

#[test]
fn extents_of_equal_letters_are_equal() {
    let help = "give 4 axes each, and make the extents of equal letters equal";
    for (op, left, right, letters) in [
        ("conv", "f32[2, 1, 3, 9]", "f32[1, 5, 4, 3]", "[n, g, c, ..] and [g, o, c, ..]"),
        ("conv", "f32[2, 2, 3, 9]", "f32[1, 5, 3, 3]", "[n, g, c, ..] and [g, o, c, ..]"),
        ("conv", "f32[2, 3, 9]", "f32[5, 3, 3]", "[n, g, c, ..] and [g, o, c, ..]"),
        ("conv_transpose", "f32[2, 1, 3, 9]", "f32[1, 5, 3, 3]", "[n, g, o, ..] and [g, o, c, ..]"),
        ("conv_weight", "f32[2, 1, 3, 9]", "f32[1, 1, 3, 3]", "[n, g, c, ..] and [n, g, o, ..]"),
    ] {
        let expected = format!("{op}: {left} and {right} are not {letters}; {help}");
        assert_eq!(conv(op, left, right, "extents=[7]"), expected);
    }
}

#[test]
fn factors_are_numbers_of_one_dtype() {
    let help = "give numbers of one dtype; `cast_f32` converts";
    for (left, right) in [("f32[1, 1, 1, 2]", "f64[1, 1, 1, 2]"), ("bool[1, 1, 1, 2]", "bool[1, 1, 1, 2]")] {
        assert_eq!(
            conv("conv", left, right, "extents=[1]"),
            format!("conv: {left} and {right} differ in dtype or are no numbers; {help}")
        );
    }
}

#[test]
fn windows_have_an_entry_per_spatial_axis() {
    assert_eq!(
        conv("conv", "f32[1, 1, 1, 5]", "f32[1, 1, 1, 2]", "stride=[1, 2] extents=[4]"),
        "conv: stride, dilation and low have [2, 1, 1] entries for 1 axes; give an entry for each axis that windows run along"
    );
}

#[test]
fn windows_move_on() {
    let help = "keep strides and dilations above 0, and all of them below 268435456";
    for (attr, said) in [
        ("stride=[0]", "stride [0], dilation [1] and low [0]"),
        ("dilation=[0]", "stride [1], dilation [0] and low [0]"),
        ("low=[-300000000]", "stride [1], dilation [1] and low [-300000000]"),
    ] {
        assert_eq!(
            conv("conv", "f32[1, 1, 1, 5]", "f32[1, 1, 1, 2]", &format!("{attr} extents=[4]")),
            format!("conv: {said}; {help}")
        );
    }
}

/// The elements of the weights of all transposed convolutions that one with this stride stands for.
fn taps(kernel: usize, stride: usize) -> (usize, usize) {
    let mut b = Builder::new("g");
    let y = b.input("y", DType::F32, [1, 1, 2, 5, 5]).unwrap();
    let w = b.input("w", DType::F32, [1, 2, 3, kernel, kernel]).unwrap();
    let windows = Windows::new(2).stride(&[stride, stride]);
    let op = Conv { of: ConvOf::Input, windows, extents: [11, 11].as_slice().into() };
    let types = [b.ty(y), b.ty(w)];
    let results = Op::from(op.clone()).infer(&types, None).unwrap();
    let Lowering::Expand(expand) = Op::from(op).lower(&types, &results) else { panic!("it is expanded") };
    expand(&mut b, &[y, w]).unwrap();
    let weight = |(_, node): (_, &crate::Node)| match node.op {
        Op::Conv(_) => Some(b.ty(node.operands[1]).shape.elements()),
        _ => None,
    };
    let weights: Vec<usize> = b.graph().nodes().filter_map(weight).collect();
    (weights.len(), weights.iter().sum())
}

#[test]
fn a_strided_transposed_convolution_uses_each_weight_once() {
    for (kernel, stride, convolutions) in
        [(3, 2, 4), (4, 2, 1), (2, 2, 1), (1, 2, 1), (11, 4, 4), (16, 16, 1)]
    {
        assert_eq!(taps(kernel, stride), (convolutions, 2 * 3 * kernel * kernel), "{kernel} by {stride}");
    }
}

#[test]
fn a_convolution_is_a_sum_over_windows() {
    let mut b = Builder::new("g");
    let x = b.constant(crate::Tensor::new([1, 1, 1, 4], vec![1.0f32, 2.0, 3.0, 4.0]).unwrap());
    let w = b.constant(crate::Tensor::new([1, 1, 1, 3], vec![1.0f32, 10.0, 100.0]).unwrap());
    let y = b.conv(x, w, &Windows::new(1).stride(&[2]).low(&[1]), &[2]).unwrap();
    let back = b.conv_transpose(y, w, &Windows::new(1).stride(&[2]).low(&[1]), &[4]).unwrap();
    let values = |value: Value, b: &Builder| {
        let mut graph = b.graph().clone();
        graph.outputs.push(crate::Output { name: "y".into(), value });
        let outputs = crate::eval::evaluate(&graph, &Default::default()).unwrap().outputs;
        outputs["y"].as_slice::<f32>().unwrap().to_vec()
    };
    assert_eq!(values(y, &b), [210.0, 432.0]);
    assert_eq!(values(back, &b), [2100.0, 21432.0, 4320.0, 43200.0]);
}
