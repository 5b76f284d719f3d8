//! Every `f32` elementwise function in machine code against its reference in `f64`: within the bound of its row, and within
//! its range.
//!
//! The sweep over all 2^32 inputs is run by hand, once for each change of an expansion:
//! `cargo test --release -p nnc-tests --test ulp everywhere -- --ignored --nocapture`. It prints the greatest errors, which
//! `tests::worst` holds; they are tested with every change, as are strides over all inputs.

use std::ops::RangeInclusive;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use codegen::Target;
use ir::scalar::{Num, Signature};
use ir::{Builder, DType, ScalarFn, Tensor};
use nnc::{Executable, State};
use tests::targets::{for_each_target, options_for};
use tests::worst::WORST;

/// Elements of one run.
const BATCH: usize = 1 << 16;
const INFINITY: f32 = f32::INFINITY;

/// The distance of `found` from `exact` in units in the last place of `f32` at `exact`.
fn ulps(found: f32, exact: f64) -> f64 {
    let rounded = exact as f32;
    if found == rounded || (found.is_nan() && rounded.is_nan()) {
        return if found == 0.0 && exact == 0.0 && found.is_sign_negative() != exact.is_sign_negative() {
            f64::INFINITY
        } else if rounded.is_finite() {
            distance(found, exact)
        } else {
            0.0
        };
    }
    if !found.is_finite() || !rounded.is_finite() {
        // Overflow is an error of one unit where the exact value is within half a unit of the largest number.
        return if found.abs() == f32::MAX || rounded.abs() == f32::MAX { 1.0 } else { f64::INFINITY };
    }
    distance(found, exact)
}

/// As [`ulps`] of finite numbers. The unit is that of the binade of `exact`.
fn distance(found: f32, exact: f64) -> f64 {
    const MANTISSA: i64 = 52;
    let exponent = ((exact.abs().to_bits() >> MANTISSA) as i64 - 1023).clamp(-126, 127);
    let units_per_one = f64::from_bits(((1023 + 23 - exponent) as u64) << MANTISSA);
    (f64::from(found) - exact).abs() * units_per_one
}

/// Where all results of a function lie.
fn range(function: ScalarFn) -> RangeInclusive<f32> {
    match function {
        ScalarFn::Sin | ScalarFn::Cos | ScalarFn::Tanh | ScalarFn::Erf | ScalarFn::Sign => -1.0..=1.0,
        ScalarFn::Sigmoid => 0.0..=1.0,
        ScalarFn::Expm1 => -1.0..=INFINITY,
        ScalarFn::Exp | ScalarFn::Abs | ScalarFn::Relu | ScalarFn::Square | ScalarFn::Sqrt => 0.0..=INFINITY,
        _ => -INFINITY..=INFINITY,
    }
}

/// The functions of one `f32` that give one.
fn functions() -> impl Iterator<Item = ScalarFn> {
    ScalarFn::ALL.iter().copied().filter(|function| {
        let row = function.row();
        row.arity == 1 && matches!(row.signature, Signature::Float | Signature::Number)
    })
}

/// A program that applies a function to operands of `count` elements.
struct Applied {
    executable: Executable,
    state: State,
    count: usize,
}

impl Applied {
    fn new(function: ScalarFn, target: &Target, count: usize) -> Applied {
        let mut b = Builder::new(function.name());
        let operands: Vec<_> = (0..function.row().arity)
            .map(|i| b.input(&format!("x{i}"), DType::F32, [count]).expect("a new name"))
            .collect();
        let y = b.apply(function, &operands).expect("a function of floats");
        b.output("y", y).expect("the only output");
        let executable = nnc::compile(&b.finish(), &options_for(target)).expect("one kernel");
        let state = State::new(executable.plan(), 0).expect("no states");
        Applied { executable, state, count }
    }

    /// The results for operands of at most `count` elements.
    fn run(&mut self, operands: &[&[f32]]) -> &[f32] {
        let tensors: Vec<Tensor> = (operands.iter())
            .map(|operand| {
                let mut padded = operand.to_vec();
                padded.resize(self.count, 1.0);
                Tensor::new([self.count], padded).expect("as many as fit")
            })
            .collect();
        self.executable.run(&mut self.state, &tensors.iter().collect::<Vec<_>>()).expect("the inputs fit");
        let found = self.executable.output("y").and_then(|y| y.as_slice::<f32>()).expect("floats");
        &found[..operands[0].len()]
    }
}

/// The exact value.
fn exact(function: ScalarFn, operands: &[f32]) -> f64 {
    let operands: Vec<Num> = operands.iter().map(|&x| Num::Float(f64::from(x))).collect();
    match (function.row().eval)(DType::F32, &operands) {
        Num::Float(exact) => exact,
        Num::Int(_) => panic!("{} gives a float", function.name()),
    }
}

/// What a sweep found.
#[derive(Clone, Copy)]
struct Found {
    /// The greatest error, in units in the last place, and its input.
    ulp: f64,
    at: f32,
    /// An input whose result is outside of the function's range.
    outside: Option<f32>,
}

/// Sweeps a function over the `f32`s whose bits are `0, step, 2 step, ..` on one target, on all processors.
fn sweep(function: ScalarFn, target: &Target, step: u64) -> Found {
    let inputs = (1u64 << 32).div_ceil(step);
    let next = AtomicU64::new(0);
    let worst = Mutex::new(Found { ulp: 0.0, at: 0.0, outside: None });
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut applied = Applied::new(function, target, BATCH);
                loop {
                    let start = next.fetch_add(BATCH as u64, Ordering::Relaxed);
                    if start >= inputs {
                        return;
                    }
                    let numbers = start..inputs.min(start + BATCH as u64);
                    let batch: Vec<f32> = numbers.map(|i| f32::from_bits((i * step) as u32)).collect();
                    let found = worst_of(function, &batch, applied.run(&[&batch]));
                    let mut worst = worst.lock().expect("no thread panics with it");
                    worst.outside = worst.outside.or(found.outside);
                    // Of equal ones the least input, whichever thread comes first.
                    let is_first = found.ulp == worst.ulp && found.at.to_bits() < worst.at.to_bits();
                    if found.ulp > worst.ulp || is_first {
                        (worst.ulp, worst.at) = (found.ulp, found.at);
                    }
                }
            });
        }
    });
    worst.into_inner().expect("all threads have ended")
}

/// The greatest error of a batch.
fn worst_of(function: ScalarFn, inputs: &[f32], results: &[f32]) -> Found {
    let range = range(function);
    let mut worst = Found { ulp: 0.0, at: 0.0, outside: None };
    for (&x, &y) in inputs.iter().zip(results) {
        let ulp = ulps(y, exact(function, &[x]));
        if ulp > worst.ulp {
            (worst.ulp, worst.at) = (ulp, x);
        }
        if !y.is_nan() && !range.contains(&y) {
            worst.outside = Some(x);
        }
    }
    worst
}

/// Sweeps every function of one operand, and compares with the rows.
fn check(targets: &[Target], step: u64) {
    assert!(!targets.is_empty(), "this machine runs no code that can be generated");
    let mut problems = Vec::new();
    for function in functions() {
        let row = function.row();
        for target in targets {
            let Found { ulp, at, outside } = sweep(function, target, step);
            println!("{} {:10} {ulp:.3} ulp at {at:e}", target.name, row.name);
            // Half a unit is the rounding of the reference.
            if ulp > row.ulp.max(0.5) {
                let name = format!("{} on {}", row.name, target.name);
                problems.push(format!("{name}: {ulp:.3} ulp at {at:e}, the row says {}", row.ulp));
            }
            if let Some(x) = outside {
                problems.push(format!("{} of {x:e} is outside of {:?}", row.name, range(function)));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn functions_of_one_operand_stay_within_their_bounds_and_ranges() {
    check(&Target::available(), 4099);
}

/// On the widest target alone: bits are those of the others, which the stride above checks.
#[test]
#[ignore = "takes hours: all 2^32 inputs"]
fn functions_of_one_operand_stay_within_their_bounds_and_ranges_everywhere() {
    check(&[Target::host().expect("this machine runs code")], 1);
}

#[test]
fn the_worst_inputs_have_the_errors_that_are_stated() {
    for_each_target(|target| {
        for worst in WORST.iter().filter(|worst| worst.dtype == DType::F32) {
            let operands: Vec<f32> = worst.operands.iter().map(|&x| x as f32).collect();
            let columns: Vec<&[f32]> = operands.iter().map(std::slice::from_ref).collect();
            let found = Applied::new(worst.function, target, 1).run(&columns)[0];
            let ulp = ulps(found, exact(worst.function, &operands));
            let name = worst.function.name();
            assert!((ulp - worst.ulp).abs() < 1e-3, "{name} of {:?}: {ulp} ulp", worst.operands);
            assert!(ulp <= worst.function.row().ulp, "{name} of {:?}: {ulp} ulp", worst.operands);
        }
    });
}

#[test]
fn every_function_that_is_not_exact_has_its_worst_input() {
    for &function in ScalarFn::ALL {
        for dtype in [DType::F32, DType::F64] {
            let stated = WORST.iter().filter(|worst| worst.function == function && worst.dtype == dtype);
            let expected = usize::from(function.row().ulp > 0.0);
            assert_eq!(stated.count(), expected, "{} of {dtype}", function.name());
        }
    }
}

/// The angles that outside reports named, the ends of both reductions, and the `f32` next to a multiple of pi/2.
#[test]
fn sines_of_large_angles_keep_their_bound_and_stay_between_minus_1_and_1() {
    let angles = [
        1.7e9,
        -1.7e9,
        1e15,
        990_241.06,
        1_000_157.56,
        131_072.0,
        131_072.02,
        16_367_173.0 * 2f32.powi(72),
        1e22,
        1e38,
        f32::MAX,
        f32::MIN,
        3.0e5,
    ];
    let angles: Vec<f32> =
        angles.into_iter().chain((0..2000).map(|i| 1.0e5 * 1.0423f32.powi(i % 1900))).collect();
    for_each_target(|target| {
        for function in [ScalarFn::Sin, ScalarFn::Cos] {
            let found = Applied::new(function, target, angles.len()).run(&[&angles]).to_vec();
            for (&x, &y) in angles.iter().zip(&found) {
                let ulp = ulps(y, exact(function, &[x]));
                assert!(ulp <= function.row().ulp, "{} of {x:e}: {y:e}, {ulp} ulp", function.name());
                assert!(
                    (y.is_nan() && x.is_infinite()) || y.abs() <= 1.0,
                    "{} of {x:e}: {y}",
                    function.name()
                );
            }
        }
    });
}

/// Pairs at which powers are hardest: results near 1 and near the ends of the exponent, integers, halves, subnormals, and
/// random bits.
fn powers() -> [Vec<f32>; 2] {
    let bases = (-40..40).map(|i| (i as f32 * 0.37).exp2()).flat_map(|x| [x, -x]).chain([0.0, -0.0, 1.0]);
    let exponents: Vec<f32> =
        (-60..=60).map(|i| i as f32 * 0.5).chain([0.1, 1e-3, 7.3, INFINITY, -INFINITY, f32::NAN]).collect();
    let mut pairs: Vec<(f32, f32)> = bases.flat_map(|a| exponents.iter().map(move |&b| (a, b))).collect();
    for i in 0..100_000u32 {
        let [random, other] = [0, 1].map(|side| ir::scalar::philox4x32_10([i, side, 0, 0], [3, 5]));
        let base = f32::from_bits(random[0] & 0x7fff_ffff);
        pairs.push((base, f32::from_bits(random[1])));
        // A result of any size: `base^b = 2^e` for an e between -150 and 129.
        let exponent = 279.0 * (f64::from(other[0]) / 4_294_967_296.0) - 150.0;
        pairs.push((base, (exponent / f64::from(base).log2()) as f32));
        // A base near 1.
        let near = f32::from_bits(1f32.to_bits() - 4096 + (random[2] & 8191));
        pairs.push((near, (exponent / f64::from(near).log2()) as f32));
    }
    pairs.into_iter().unzip().into()
}

#[test]
fn powers_stay_within_their_bound() {
    let [a, b] = powers();
    for_each_target(|target| {
        let found = Applied::new(ScalarFn::Pow, target, a.len()).run(&[&a, &b]).to_vec();
        let mut worst = (0.0, [0.0; 2]);
        for ((&a, &b), &found) in a.iter().zip(&b).zip(&found) {
            let ulp = ulps(found, exact(ScalarFn::Pow, &[a, b]));
            if ulp > worst.0 {
                worst = (ulp, [a, b]);
            }
        }
        println!("{} pow {:.3} ulp at {:?}", target.name, worst.0, worst.1);
        assert!(worst.0 <= ScalarFn::Pow.row().ulp, "pow of {:?}: {} ulp", worst.1, worst.0);
    });
}

/// Softmax of rows with extremes in them.
#[test]
fn softmax_stays_between_0_and_1() {
    const ROWS: usize = 64;
    for length in [1usize, 2, 7, 33] {
        let mut b = Builder::new("softmax");
        let shape = [ROWS, length];
        let x = b.input("x", DType::F32, shape).expect("the only input");
        let top = b.reduce_max(x, &[1], true).expect("an axis");
        let top = b.broadcast(top, shape).expect("a column");
        let shifted = b.sub(x, top).expect("alike");
        let power = b.exp(shifted).expect("floats");
        let sum = b.reduce_sum(power, &[1], true).expect("an axis");
        let sum = b.broadcast(sum, shape).expect("a column");
        let y = b.div(power, sum).expect("alike");
        b.output("y", y).expect("the only output");
        let graph = b.finish();
        let element = |i: usize| {
            let random = ir::scalar::philox4x32_10([i as u32, 0, 0, 0], [7, 11]);
            let x = f32::from_bits(random[0]);
            // Half of the rows have numbers of any size, the others small ones.
            if (i / length).is_multiple_of(2) && x.is_finite() {
                x
            } else {
                (random[1] >> 20) as f32 / 64.0 - 32.0
            }
        };
        let x = Tensor::new(shape, (0..ROWS * length).map(element).collect::<Vec<f32>>()).expect("all");
        for_each_target(|target| {
            let mut executable = nnc::compile(&graph, &options_for(target)).expect("one kernel");
            let mut state = State::new(executable.plan(), 0).expect("no states");
            executable.run(&mut state, &[&x]).expect("the input fits");
            let y = executable.output("y").and_then(|y| y.as_slice::<f32>()).expect("floats");
            assert!(y.iter().all(|y| (0.0..=1.0).contains(y)), "{y:?}");
        });
    }
}
