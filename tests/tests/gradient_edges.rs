//! Gradients where functions have corners, poles or ties: what each row of the table says of them.

use std::collections::BTreeMap;

use ir::{Builder, DType, ScalarFn, Tensor};
use passes::autodiff::autodiff;
use tests::gradients::run;

const NAN: f64 = f64::NAN;
const INFINITY: f64 = f64::INFINITY;

/// The gradient of `sum(weights * f(operands))` for each operand, element by element.
fn gradients(function: ScalarFn, operands: &[&[f64]], weights: &[f64]) -> Vec<Vec<f64>> {
    let mut b = Builder::new("edge");
    let mut inputs = BTreeMap::new();
    let shape = [weights.len()];
    let values: Vec<_> = (operands.iter().enumerate())
        .map(|(number, elements)| {
            let name = format!("x{number}");
            inputs.insert(name.clone(), Tensor::new(shape, elements.to_vec()).expect("as many as weights"));
            b.input(&name, DType::F64, shape).expect("a new name")
        })
        .collect();
    let y = b.apply(function, &values).expect("a function of floats");
    let weights = b.constant(Tensor::new(shape, weights.to_vec()).expect("one extent"));
    let weighted = b.mul(y, weights).expect("of one shape");
    let loss = b.reduce_sum(weighted, &[0], false).expect("one axis");
    let gradients = b.grad(loss, &values).expect("a loss of rank 0");
    for (number, gradient) in gradients.into_iter().enumerate() {
        b.output(&format!("d{number}"), gradient).expect("a new name");
    }
    let outputs = run(&autodiff(b.graph()).expect("it has a gradient"), &inputs);
    let gradient = |number| outputs[&format!("d{number}")].as_slice::<f64>().expect("f64").to_vec();
    (0..operands.len()).map(gradient).collect()
}

/// Compares numbers, of which NaNs and zeros are alike.
#[track_caller]
fn assert_same(found: &[f64], expected: &[f64]) {
    let is_same = |(x, y): (&f64, &f64)| x == y || (x.is_nan() && y.is_nan());
    let is_equal = found.len() == expected.len() && found.iter().zip(expected).all(is_same);
    assert!(is_equal, "{found:?}, not {expected:?}");
}

/// The numbers are those of PyTorch 2 but where x and both bounds are equal: there PyTorch gives the gradient to x and a
/// second time to the upper bound.
#[test]
fn the_gradient_of_clamp_goes_to_what_it_returns() {
    // Apart, crossed and equal bounds; x below, at, between and above them.
    let x = [-3.0, -2.0, 0.0, 1.0, 5.0, -3.0, -2.0, 0.0, 1.0, 5.0, 0.0, 2.0, 3.0, NAN];
    let low = [-2.0, -2.0, -2.0, -2.0, -2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, -2.0];
    let high = [1.0, 1.0, 1.0, 1.0, 1.0, -2.0, -2.0, -2.0, -2.0, -2.0, 2.0, 2.0, 2.0, 1.0];
    let found = gradients(ScalarFn::Clamp, &[&x, &low, &high], &[1.0; 14]);
    assert_same(&found[0], &[0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
    assert_same(&found[1], &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    assert_same(&found[2], &[0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0]);
}

#[test]
fn gradients_of_clamp_sum_to_that_of_the_result() {
    let numbers = [-2.0, -1.0, 0.0, 1.0, 2.0];
    let (mut x, mut low, mut high) = (Vec::new(), Vec::new(), Vec::new());
    for a in numbers {
        for b in numbers {
            for c in numbers {
                x.push(a);
                low.push(b);
                high.push(c);
            }
        }
    }
    let weights = vec![3.0; x.len()];
    let found = gradients(ScalarFn::Clamp, &[&x, &low, &high], &weights);
    let sums: Vec<f64> = (0..x.len()).map(|i| found.iter().map(|gradient| gradient[i]).sum()).collect();
    assert_same(&sums, &weights);
    // Each goes to an operand that is the result.
    for i in 0..x.len() {
        let result = x[i].max(low[i]).min(high[i]);
        for (gradient, operand) in found.iter().zip([x[i], low[i], high[i]]) {
            assert!(gradient[i] == 0.0 || operand == result, "clamp({}, {}, {})", x[i], low[i], high[i]);
        }
    }
}

#[test]
fn at_ties_the_gradient_of_an_extreme_is_the_firsts() {
    for function in [ScalarFn::Max, ScalarFn::Min] {
        let found = gradients(function, &[&[1.0, 0.0, INFINITY], &[1.0, -0.0, INFINITY]], &[1.0; 3]);
        assert_same(&found[0], &[1.0; 3]);
        assert_same(&found[1], &[0.0; 3]);
    }
}

#[test]
fn at_their_corner_the_gradients_of_relu_abs_and_sign_are_0() {
    for function in [ScalarFn::Relu, ScalarFn::Abs, ScalarFn::Sign] {
        assert_same(&gradients(function, &[&[0.0, -0.0]], &[1.0; 2])[0], &[0.0; 2]);
    }
    assert_same(&gradients(ScalarFn::Relu, &[&[1e-300, -1e-300]], &[1.0; 2])[0], &[1.0, 0.0]);
    assert_same(&gradients(ScalarFn::Abs, &[&[1e-300, -1e-300]], &[1.0; 2])[0], &[1.0, -1.0]);
}

#[test]
fn at_their_poles_gradients_are_infinite() {
    assert_same(&gradients(ScalarFn::Sqrt, &[&[0.0, 0.0, 4.0]], &[1.0, 0.0, 1.0])[0], &[INFINITY, NAN, 0.25]);
    assert_same(
        &gradients(ScalarFn::Rsqrt, &[&[0.0, 0.0, 4.0]], &[1.0, 0.0, 1.0])[0],
        &[-INFINITY, NAN, -0.0625],
    );
    assert_same(&gradients(ScalarFn::Log, &[&[0.0, -2.0]], &[1.0; 2])[0], &[INFINITY, -0.5]);
    assert_same(&gradients(ScalarFn::Log1p, &[&[-1.0, 0.0]], &[1.0; 2])[0], &[INFINITY, 1.0]);
    let found = gradients(ScalarFn::Div, &[&[1.0, 0.0], &[0.0, 0.0]], &[1.0; 2]);
    assert_same(&found[0], &[INFINITY, INFINITY]);
    assert_same(&found[1], &[-INFINITY, NAN]);
}

#[test]
fn the_gradient_of_a_power_at_0_is_that_of_its_limit_or_0() {
    let base = [0.0, 0.0, 0.0, 0.0, 0.0, -2.0, -2.0];
    let exponent = [0.0, 1.0, 2.0, 0.5, -1.0, 3.0, 0.0];
    let found = gradients(ScalarFn::Pow, &[&base, &exponent], &[1.0; 7]);
    assert_same(&found[0], &[0.0, 1.0, 0.0, INFINITY, -INFINITY, 12.0, 0.0]);
    assert_same(&found[1], &[0.0, 0.0, 0.0, 0.0, 0.0, NAN, NAN]);
}

#[test]
fn saturated_functions_have_gradient_0() {
    for function in [ScalarFn::Tanh, ScalarFn::Sigmoid, ScalarFn::Erf] {
        assert_same(&gradients(function, &[&[INFINITY, -INFINITY, 1e300]], &[1.0; 3])[0], &[0.0; 3]);
    }
    assert_same(&gradients(ScalarFn::Exp, &[&[-INFINITY, -1e300]], &[1.0; 2])[0], &[0.0; 2]);
    assert_same(&gradients(ScalarFn::Expm1, &[&[-INFINITY, 0.0]], &[1.0; 2])[0], &[0.0, 1.0]);
}

#[test]
fn the_gradients_of_sine_and_cosine_keep_their_digits_for_large_angles() {
    let x = [1e15, -1e22, 1.7e308, INFINITY];
    let found = gradients(ScalarFn::Sin, &[&x], &[1.0; 4]);
    assert_same(&found[0], &[1e15f64.cos(), 1e22f64.cos(), 1.7e308f64.cos(), NAN]);
    let found = gradients(ScalarFn::Cos, &[&x], &[1.0; 4]);
    assert_same(&found[0], &[-1e15f64.sin(), 1e22f64.sin(), -1.7e308f64.sin(), NAN]);
}

#[test]
fn a_selection_passes_the_gradient_to_what_it_takes() {
    let mut b = Builder::new("select");
    let [x, y] = ["x", "y"].map(|name| b.input(name, DType::F64, [3]).expect("a new name"));
    let condition = b.lt(x, y).expect("alike");
    let least = b.select(condition, x, y).expect("alike");
    let loss = b.reduce_sum(least, &[0], false).expect("one axis");
    let gradients = b.grad(loss, &[x, y]).expect("a loss");
    for (name, gradient) in ["dx", "dy"].into_iter().zip(gradients) {
        b.output(name, gradient).expect("a new name");
    }
    let tensor = |elements: [f64; 3]| Tensor::new([3], elements.to_vec()).expect("three");
    let inputs = [("x", tensor([1.0, 2.0, NAN])), ("y", tensor([2.0, 2.0, 1.0]))];
    let inputs = inputs.map(|(name, tensor)| (name.to_owned(), tensor)).into_iter().collect();
    let outputs = run(&autodiff(b.graph()).expect("it has a gradient"), &inputs);
    assert_same(outputs["dx"].as_slice::<f64>().expect("f64"), &[1.0, 0.0, 0.0]);
    assert_same(outputs["dy"].as_slice::<f64>().expect("f64"), &[0.0, 1.0, 1.0]);
}
