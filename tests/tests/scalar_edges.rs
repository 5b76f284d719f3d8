//! Every elementwise function at the numbers where functions break: machine code, optimised and not, on every target, has
//! the bits of the interpreter of vector programs, and that is what the reference says.

use std::collections::BTreeMap;

use ir::{Builder, DType, Num, Scalar, ScalarFn, Tensor, Type, VectorProgram};
use nnc::Options;
use tests::compare::{execute, interpret};
use tests::targets::{for_each_target, options_for};

/// Zeros, subnormals, the ends of every dtype, what is just beyond them, halves, large angles, infinities and NaN.
const FLOATS: [f64; 37] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    1.5,
    -2.5,
    3.0,
    0.49999997,
    1e-7,
    -1e-30,
    1.5e-45,
    -1e-40,
    1.175_494_350_822_287_5e-38,
    1e-310,
    88.7,
    -104.1,
    1e6,
    -990_241.06,
    2_147_483_520.0,
    2_147_483_647.0,
    2_147_483_648.0,
    -2_147_483_648.0,
    -2_147_483_904.0,
    4_294_967_297.0,
    9_223_371_487_098_961_920.0,
    9_223_372_036_854_775_808.0,
    -9_223_372_036_854_775_808.0,
    -9.3e18,
    1e15,
    -1.7e9,
    3.402_823_466_385_288_6e38,
    f64::MAX,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
];

const INTEGERS: [i64; 16] = [
    0,
    1,
    -1,
    2,
    -3,
    31,
    32,
    33,
    16_777_217,
    i32::MAX as i64,
    i32::MIN as i64,
    i32::MAX as i64 + 1,
    4_294_967_297,
    9_007_199_254_740_993,
    i64::MAX,
    i64::MIN,
];

fn elements(dtype: DType) -> Vec<Scalar> {
    match dtype {
        DType::F32 | DType::F64 => FLOATS.iter().map(|&x| Scalar::from_f64(dtype, x)).collect(),
        DType::I32 | DType::I64 => INTEGERS.iter().map(|&x| Scalar::from_i64(dtype, x)).collect(),
        DType::Bool => [false, true].map(Scalar::Bool).to_vec(),
    }
}

/// The operand dtypes that a function takes.
fn signatures(function: ScalarFn) -> Vec<Vec<DType>> {
    let arity = function.row().arity;
    let candidates = DType::ALL.into_iter().flat_map(|dtype| {
        let alike = vec![dtype; arity];
        let mut selected = alike.clone();
        selected[0] = DType::Bool;
        [alike, selected]
    });
    let mut taken: Vec<Vec<DType>> =
        candidates.filter(|dtypes| function.result_dtype(dtypes).is_some()).collect();
    taken.dedup();
    taken
}

/// A function applied to every pair of elements, further operands being those of the pair in turn.
struct Case {
    function: ScalarFn,
    dtypes: Vec<DType>,
    operands: Vec<Tensor>,
}

impl Case {
    fn new(function: ScalarFn, dtypes: Vec<DType>) -> Case {
        let sets: Vec<Vec<Scalar>> = dtypes.iter().map(|&dtype| elements(dtype)).collect();
        let (first, second) = (sets[0].len(), sets[dtypes.len() - 1].len());
        let count = first * second;
        let operand = |(number, set): (usize, &Vec<Scalar>)| {
            let element = |i: usize| {
                if number == 0 { set[i % first] } else { set[(i / first + number - 1) % set.len()] }
            };
            Tensor::from_fn(&Type::new(dtypes[number], [count]), element)
        };
        let operands = sets.iter().enumerate().map(operand).collect();
        Case { function, dtypes, operands }
    }

    fn count(&self) -> usize {
        self.operands[0].shape().elements()
    }

    fn inputs(&self) -> BTreeMap<String, Tensor> {
        self.operands.iter().enumerate().map(|(i, tensor)| (format!("x{i}"), tensor.clone())).collect()
    }

    fn graph(&self) -> ir::Graph {
        let mut b = Builder::new("edges");
        let operands: Vec<_> = (self.dtypes.iter().enumerate())
            .map(|(i, &dtype)| b.input(&format!("x{i}"), dtype, [self.count()]).expect("a new name"))
            .collect();
        let y = b.apply(self.function, &operands).expect("it takes these dtypes");
        b.output("y", y).expect("the only output");
        b.finish()
    }

    fn operands_at(&self, i: usize) -> Vec<Scalar> {
        self.operands.iter().map(|operand| operand.get(i)).collect()
    }

    /// What the vector program gives.
    fn expected(&self) -> Vec<Scalar> {
        let mut program = VectorProgram::new();
        let arguments: Vec<_> =
            self.dtypes.iter().enumerate().map(|(i, &dtype)| program.argument(i as u32, dtype)).collect();
        let last = self.dtypes[self.dtypes.len() - 1];
        let result = (self.function.row().expand)(&mut program, last, &arguments);
        (0..self.count()).map(|i| program.run(&self.operands_at(i))[result.0 as usize]).collect()
    }

    /// Compares bits; NaNs are alike.
    fn check(&self, found: &Tensor, expected: &[Scalar], how: &str) {
        for (i, &expected) in expected.iter().enumerate() {
            let found = found.get(i);
            let is_nan = found.dtype().is_float() && found.as_f64().is_nan() && expected.as_f64().is_nan();
            let at = self.operands_at(i);
            assert!(
                is_nan || found.dtype() == expected.dtype() && found.bits() == expected.bits(),
                "{} of {at:?}: {found:?} {how}, not {expected:?}",
                self.function
            );
        }
    }
}

fn cases() -> impl Iterator<Item = Case> {
    let functions = ScalarFn::ALL.iter();
    functions.flat_map(|&f| signatures(f).into_iter().map(move |dtypes| Case::new(f, dtypes)))
}

#[test]
fn machine_code_has_the_bits_of_the_vector_program() {
    for case in cases() {
        let (graph, inputs, expected) = (case.graph(), case.inputs(), case.expected());
        for_each_target(|target| {
            for optimize in [false, true] {
                let options = Options { optimize, ..options_for(target) };
                let result = execute(&graph, &inputs, 0, &options).unwrap_or_else(|error| panic!("{error}"));
                case.check(
                    &result.outputs["y"],
                    &expected,
                    &format!("on {}, optimize {optimize}", target.name),
                );
            }
        });
    }
}

#[test]
fn the_interpreter_gives_what_exact_functions_give() {
    for case in cases().filter(|case| case.function.row().ulp == 0.0 && case.function != ScalarFn::Fma) {
        let result = interpret(&case.graph(), &case.inputs(), 0).unwrap_or_else(|error| panic!("{error}"));
        case.check(&result.outputs["y"], &case.expected(), "by the interpreter");
    }
}

/// What IR.md says of conversions, in numbers.
#[test]
fn conversions_saturate_wrap_and_send_nan_to_0() {
    let cast = |x: Scalar, to: DType| {
        let found = (ScalarFn::cast(to).row().eval)(x.dtype(), &[Num::from_scalar(x)]);
        match found {
            Num::Int(x) => Scalar::from_i64(to, x),
            Num::Float(x) => Scalar::from_f64(to, x),
        }
    };
    let (f, d) = (Scalar::F32, Scalar::F64);
    for (x, to, expected) in [
        (f(f32::NAN), DType::I32, Scalar::I32(0)),
        (f(f32::NAN), DType::I64, Scalar::I64(0)),
        (f(f32::NAN), DType::Bool, Scalar::Bool(true)),
        (f(-0.0), DType::Bool, Scalar::Bool(false)),
        (f(1e-45), DType::Bool, Scalar::Bool(true)),
        (f(f32::INFINITY), DType::I32, Scalar::I32(i32::MAX)),
        (f(f32::NEG_INFINITY), DType::I64, Scalar::I64(i64::MIN)),
        (f(3e9), DType::I32, Scalar::I32(i32::MAX)),
        (f(-3e9), DType::I32, Scalar::I32(i32::MIN)),
        (f(-1.9), DType::I32, Scalar::I32(-1)),
        (d(-0.9), DType::I64, Scalar::I64(0)),
        (d(1e19), DType::I64, Scalar::I64(i64::MAX)),
        (d(1e39), DType::F32, f(f32::INFINITY)),
        (d(1e-46), DType::F32, f(0.0)),
        (d(16_777_217.0), DType::F32, f(16_777_216.0)),
        (Scalar::I64(4_294_967_297), DType::I32, Scalar::I32(1)),
        (Scalar::I64(9_007_199_254_740_993), DType::F64, d(9_007_199_254_740_992.0)),
        (Scalar::I64(i64::MAX), DType::F32, f(9.223_372e18)),
        (Scalar::I32(i32::MIN), DType::I64, Scalar::I64(-2_147_483_648)),
        (Scalar::I32(-7), DType::Bool, Scalar::Bool(true)),
        (Scalar::Bool(true), DType::F64, d(1.0)),
    ] {
        assert_eq!(cast(x, to), expected, "{x:?} to {to}");
    }
}
