//! Every `f32` elementwise function in machine code, on every target, against its reference in `f64`, within the bound of
//! its row.

use codegen::Target;
use ir::scalar::{Num, Signature};
use ir::{Builder, DType, ScalarFn, Tensor};
use nnc::{Executable, State};
use tests::targets::{for_each_target, options_for};

/// Elements of one run.
const BATCH: usize = 1 << 16;

/// The distance of `found` from `exact` in units in the last place of `f32` at `exact`.
fn ulps(found: f32, exact: f64) -> f64 {
    let rounded = exact as f32;
    if found == rounded || (found.is_nan() && rounded.is_nan()) {
        return 0.0;
    }
    if !found.is_finite() || !rounded.is_finite() {
        // Overflow is an error of one unit where the exact value is within half a unit of the largest number.
        return if found.abs() == f32::MAX || rounded.abs() == f32::MAX { 1.0 } else { f64::INFINITY };
    }
    let exponent = rounded.abs().max(f32::MIN_POSITIVE).log2().floor().clamp(-126.0, 127.0);
    (f64::from(found) - exact).abs() / f64::from(exponent - 23.0).exp2()
}

/// A program that applies a function of one operand to a batch.
fn program(function: ScalarFn, target: &Target) -> (Executable, State) {
    let mut b = Builder::new(function.name());
    let x = b.input("x", DType::F32, [BATCH]).expect("the only input");
    let y = b.apply(function, &[x]).expect("a function of floats");
    b.output("y", y).expect("the only output");
    let executable = nnc::compile(&b.finish(), &options_for(target)).expect("one kernel");
    let state = State::new(executable.plan(), 0).expect("no states");
    (executable, state)
}

/// The greatest error on each target over `f32`s whose bits are `0, step, 2 step, ..`, and where it is.
fn worst(function: ScalarFn, targets: &[Target], step: usize) -> Vec<(f64, f32)> {
    let mut programs: Vec<_> = targets.iter().map(|target| program(function, target)).collect();
    let row = function.row();
    let mut worst = vec![(0.0, 0.0); targets.len()];
    let mut bits = (0..=u64::from(u32::MAX)).step_by(step);
    loop {
        let inputs: Vec<f32> = bits.by_ref().take(BATCH).map(|bits| f32::from_bits(bits as u32)).collect();
        if inputs.is_empty() {
            return worst;
        }
        let reference: Vec<f64> = inputs.iter().map(|&x| exact(function, x)).collect();
        let mut padded = inputs.clone();
        padded.resize(BATCH, 1.0);
        let tensor = Tensor::new([BATCH], padded).expect("a whole batch");
        for ((executable, state), worst) in programs.iter_mut().zip(&mut worst) {
            executable.run(state, &[&tensor]).expect("the input fits");
            let found = executable.output("y").and_then(|y| y.as_slice::<f32>()).expect("floats");
            for ((&x, &exact), &y) in inputs.iter().zip(&reference).zip(found) {
                let error = ulps(y, exact);
                let is_checked =
                    row.accurate.0 <= f64::from(x) && f64::from(x) <= row.accurate.1 || x.is_nan();
                if is_checked && error > worst.0 {
                    *worst = (error, x);
                }
            }
        }
    }
}

/// The reference.
fn exact(function: ScalarFn, x: f32) -> f64 {
    match (function.row().eval)(DType::F32, &[Num::Float(f64::from(x))]) {
        Num::Float(exact) => exact,
        Num::Int(_) => panic!("{} gives a float", function.name()),
    }
}

fn check(step: usize) {
    let targets = Target::available();
    assert!(!targets.is_empty(), "this machine runs no code that can be generated");
    let mut over = Vec::new();
    for &function in ScalarFn::ALL {
        let row = function.row();
        if row.arity == 1 && matches!(row.signature, Signature::Float | Signature::Number) {
            for (target, (error, at)) in targets.iter().zip(worst(function, &targets, step)) {
                println!("{} {:10} {error:.3} ulp at {at:e}", target.name, row.name);
                if error > row.ulp.max(0.5) {
                    let name = format!("{} on {}", row.name, target.name);
                    over.push(format!("{name}: {error:.3} ulp at {at:e}, the row says {}", row.ulp));
                }
            }
        }
    }
    assert!(over.is_empty(), "{}", over.join("\n"));
}

#[test]
fn functions_of_one_operand_stay_within_their_bounds() {
    check(4099);
}

#[test]
#[ignore = "takes minutes: all 2^32 inputs"]
fn functions_of_one_operand_stay_within_their_bounds_everywhere() {
    check(1);
}

#[test]
fn powers_stay_within_their_bound() {
    let bases: Vec<f32> =
        (-40..40).map(|i| (i as f32 * 0.37).exp2()).flat_map(|x| [x, -x]).chain([0.0, -0.0, 1.0]).collect();
    let exponents: Vec<f32> =
        (-60..=60).map(|i| i as f32 * 0.5).chain([0.1, 1e-3, 7.3, f32::INFINITY]).collect();
    let pairs: Vec<(f32, f32)> = bases.iter().flat_map(|&a| exponents.iter().map(move |&b| (a, b))).collect();
    let mut b = Builder::new("pow");
    let x = b.input("x", DType::F32, [pairs.len()]).expect("first");
    let y = b.input("y", DType::F32, [pairs.len()]).expect("second");
    let z = b.pow(x, y).expect("floats");
    b.output("z", z).expect("the only output");
    let graph = b.finish();
    let [x, y] = [0, 1].map(|side| {
        let elements = pairs.iter().map(|&(a, b)| if side == 0 { a } else { b }).collect::<Vec<f32>>();
        Tensor::new([pairs.len()], elements).expect("as many as pairs")
    });
    for_each_target(|target| {
        let mut executable = nnc::compile(&graph, &options_for(target)).expect("one kernel");
        let mut state = State::new(executable.plan(), 0).expect("no states");
        executable.run(&mut state, &[&x, &y]).expect("the inputs fit");
        let found = executable.output("z").and_then(|z| z.as_slice::<f32>()).expect("floats");
        for (&(a, b), &found) in pairs.iter().zip(found) {
            let exact = f64::from(a).powf(f64::from(b));
            let error = ulps(found, exact);
            let bound = ScalarFn::Pow.row().ulp;
            assert!(error <= bound, "{a:e} ^ {b}: {found:e} instead of {exact:e}, {error} ulp");
        }
    });
}
