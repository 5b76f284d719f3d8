//! Every row against its own reference: special values, and strided sweeps over bit patterns, with the error in units
//! in the last place.

use super::*;
use crate::Scalar;

/// Every so many bit patterns of f32: a prime, fewer in debug builds, which interpret slowly.
const STRIDE: usize = if cfg!(debug_assertions) { 131_071 } else { 4_099 };
/// Random tuples for functions of several operands.
const TUPLES: usize = if cfg!(debug_assertions) { 10_000 } else { 300_000 };
/// What f64 expansions may differ from the machine's functions, which are themselves within one unit.
const F64_ULP: f64 = 4.0;

/// Numbers at which functions break.
const SPECIAL: [f64; 48] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    2.0,
    -2.0,
    3.0,
    -3.0,
    2.5,
    -1.5,
    0.3,
    1e-7,
    -1e-7,
    1e-20,
    -1e-20,
    1e-30,
    1.5e-45,
    -1.5e-45,
    1e-40,
    -1e-40,
    1.175_494_350_822_287_5e-38,
    3.402_823_466_385_288_6e38,
    -3.402_823_466_385_288_6e38,
    1e-310,
    f64::MIN_POSITIVE,
    f64::MAX,
    f64::MIN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
    88.7,
    88.73,
    -87.4,
    -103.9,
    -104.1,
    709.7,
    709.8,
    -745.1,
    -745.2,
    127.0,
    1e15,
    9_007_199_254_740_993.0,
    2_147_483_648.0,
    -9.3e18,
    1.7e9,
    -1e20,
];

/// A pseudo-random sequence (xorshift64*, S. Vigna 2016).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number of the dtype: of random bits, or uniform in the interval.
    fn scalar(&mut self, dtype: DType, interval: Option<(f64, f64)>) -> Scalar {
        if let (Some((low, high)), true) = (interval, dtype != DType::Bool) {
            let unit = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
            return Scalar::from_f64(dtype, low + (high - low) * unit);
        }
        let bits = self.next();
        match dtype {
            DType::F32 => Scalar::F32(f32::from_bits(bits as u32)),
            DType::F64 => Scalar::F64(f64::from_bits(bits)),
            DType::I32 => Scalar::I32(bits as i32),
            DType::I64 => Scalar::I64(bits as i64),
            DType::Bool => Scalar::Bool(bits & 1 == 1),
        }
    }
}

/// A function compiled to its vector program for operands of these dtypes.
struct Compiled {
    function: ScalarFn,
    dtypes: Vec<DType>,
    program: VectorProgram,
    result: VectorValue,
}

impl Compiled {
    fn new(function: ScalarFn, dtypes: &[DType]) -> Compiled {
        let mut program = VectorProgram::new();
        let arguments: Vec<VectorValue> =
            dtypes.iter().enumerate().map(|(i, &dtype)| program.argument(i as u32, dtype)).collect();
        let last = dtypes[dtypes.len() - 1];
        let result = (function.row().expand)(&mut program, last, &arguments);
        Compiled { function, dtypes: dtypes.to_vec(), program, result }
    }

    fn run(&self, operands: &[Scalar]) -> Scalar {
        self.program.run(operands)[self.result.0 as usize]
    }

    /// The error in units in the last place; infinite where the kind of result is another.
    fn error(&self, operands: &[Scalar]) -> f64 {
        let nums: Vec<Num> = operands.iter().map(|&operand| Num::from_scalar(operand)).collect();
        let want = (self.function.row().eval)(self.dtypes[0], &nums);
        match (self.run(operands), want) {
            (Scalar::F32(got), Num::Float(want)) => ulp_error(f64::from(got), want, 23, -126, 128),
            (Scalar::F64(got), Num::Float(want)) => ulp_error(got, want, 52, -1022, 1024),
            (got, Num::Int(want)) if got == Scalar::from_i64(got.dtype(), want) => 0.0,
            _ => f64::INFINITY,
        }
    }

    /// The largest error over these operands, and where it is.
    fn worst(&self, operands: impl Iterator<Item = Vec<Scalar>>) -> (f64, Vec<Scalar>) {
        operands.fold((0.0, Vec::new()), |worst, operands| {
            let error = self.error(&operands);
            if error > worst.0 { (error, operands) } else { worst }
        })
    }

    /// What the row allows. An exact function is off by half a unit at most: the reference is not rounded.
    fn bound(&self) -> f64 {
        let ulp = self.function.row().ulp;
        match self.dtypes[self.dtypes.len() - 1] {
            DType::F64 if ulp > 0.0 => F64_ULP,
            DType::F64 => 0.0,
            _ if ulp > 0.0 => ulp,
            _ => 0.5 + 1e-6,
        }
    }

    fn check(&self, operands: impl Iterator<Item = Vec<Scalar>>) {
        let (error, at) = self.worst(operands);
        let name = self.function.name();
        assert!(
            error <= self.bound(),
            "{name} of {at:?}: {error} ulp, not {}; {:?}",
            self.bound(),
            self.run(&at)
        );
    }
}

/// The distance in units in the last place of a format of so many bits and exponents; equal infinities and NaNs have
/// none. A result that overflowed counts as the power of two above the greatest number.
fn ulp_error(got: f64, want: f64, mantissa: i32, least: i32, above: i32) -> f64 {
    if got.is_nan() || want.is_nan() {
        return if got.is_nan() && want.is_nan() { 0.0 } else { f64::INFINITY };
    }
    if want == 0.0 || got == want {
        let is_same = got == want && (want != 0.0 || got.is_sign_negative() == want.is_sign_negative());
        return if is_same { 0.0 } else { f64::INFINITY };
    }
    // Halved, so that the power of two above the greatest f64 is a number.
    let finite = |x: f64| (x / 2.0).clamp(-2f64.powi(above - 1), 2f64.powi(above - 1));
    let (got, want) = (finite(got), finite(want));
    let exponent = (want.abs().log2().floor() as i32).clamp(least - 1, above - 2);
    (got - want).abs() / 2f64.powi(exponent) * 2f64.powi(mantissa)
}

/// The operand dtypes that a function takes.
fn signatures(function: ScalarFn) -> Vec<Vec<DType>> {
    let arity = function.row().arity;
    let candidates = DType::ALL.into_iter().flat_map(|dtype| {
        let mut last = vec![dtype; arity];
        let alike = last.clone();
        last[0] = DType::Bool;
        [alike, last]
    });
    let mut taken: Vec<Vec<DType>> =
        candidates.filter(|dtypes| function.result_dtype(dtypes).is_some()).collect();
    taken.dedup();
    taken
}

fn all() -> impl Iterator<Item = Compiled> {
    ScalarFn::ALL.iter().flat_map(|&f| signatures(f).into_iter().map(move |dtypes| Compiled::new(f, &dtypes)))
}

/// All tuples of special values, of no more than two different ones per tuple.
fn special_tuples(dtypes: &[DType]) -> Vec<Vec<Scalar>> {
    let mut tuples = Vec::new();
    for a in SPECIAL {
        for b in SPECIAL {
            let value = |i: usize, dtype| Scalar::from_f64(dtype, if i.is_multiple_of(2) { a } else { b });
            tuples.push(dtypes.iter().enumerate().map(|(i, &dtype)| value(i, dtype)).collect());
        }
    }
    tuples
}

#[test]
fn each_row_says_where_it_comes_from() {
    for function in ScalarFn::ALL {
        let row = function.row();
        assert!(!row.doc.is_empty() && !row.source.is_empty(), "{function}");
        assert!(row.domain.len() == 1 || row.domain.len() == row.arity, "{function}");
        assert_eq!(row.name.parse(), Ok(*function));
    }
}

#[test]
fn rows_are_right_at_special_values() {
    for compiled in all() {
        let tuples = special_tuples(&compiled.dtypes).into_iter();
        compiled.check(tuples);
    }
}

#[test]
fn rows_of_one_operand_are_right_over_all_f32() {
    for compiled in all().filter(|compiled| compiled.dtypes == [DType::F32]) {
        let patterns = (0..=u32::MAX).step_by(STRIDE).map(|bits| vec![Scalar::F32(f32::from_bits(bits))]);
        compiled.check(patterns);
    }
}

#[test]
fn rows_are_right_at_random_operands() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for compiled in all() {
        let domain = compiled.function.row().domain;
        for interval in [false, true] {
            let count = if compiled.dtypes == [DType::F32] { TUPLES / 10 } else { TUPLES };
            let tuples: Vec<Vec<Scalar>> = (0..count / 2)
                .map(|_| {
                    let draw = |(i, &dtype)| {
                        let bounds = domain[if domain.len() == 1 { 0 } else { i }];
                        random.scalar(dtype, interval.then_some(bounds))
                    };
                    compiled.dtypes.iter().enumerate().map(draw).collect()
                })
                .collect();
            compiled.check(tuples.into_iter());
        }
    }
}

#[test]
#[ignore = "prints the errors that the rows promise"]
fn print_errors() {
    for compiled in all().filter(|compiled| compiled.function.row().ulp > 0.0) {
        let function = compiled.function;
        let mut random = Random(7);
        let operands: Vec<Vec<Scalar>> = match compiled.dtypes[..] {
            [DType::F32] => {
                (0..=u32::MAX).step_by(1009).map(|bits| vec![Scalar::F32(f32::from_bits(bits))]).collect()
            }
            _ => (0..2_000_000)
                .map(|i| {
                    let draw = |(j, &dtype): (usize, &DType)| {
                        let domain = function.row().domain;
                        let bounds = domain[if domain.len() == 1 { 0 } else { j }];
                        let wide = [1.0, 1.0, 3.0, 10.0, 30.0][i % 5];
                        random.scalar(dtype, (i % 3 > 0).then_some((bounds.0 * wide, bounds.1 * wide)))
                    };
                    compiled.dtypes.iter().enumerate().map(draw).collect::<Vec<_>>()
                })
                .collect(),
        };
        let (error, at) = compiled.worst(operands.into_iter());
        println!(
            "{} {:?}: {error:.4} ulp at {at:?}, {} instructions",
            function,
            compiled.dtypes[0],
            compiled.program.insts().len()
        );
    }
}
