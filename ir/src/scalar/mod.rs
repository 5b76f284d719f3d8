//! Elementwise functions: the one table. A row is all there is to know of a function; graph ops, text, autodiff,
//! the interpreter, code generation, the ulp sweeps and the documentation read it from here.

mod arithmetic;
mod bits;
mod cast;
mod compare;
mod error_function;
mod expansion;
mod exponential;
mod logarithm;
mod payne_hanek;
mod power;
mod random;
mod rounding;
#[cfg(test)]
mod tests;
mod trigonometric;

use std::fmt;
use std::str::FromStr;

pub use random::{normal, philox4x32_10, uniform};
pub(crate) use trigonometric::sine_of_large;

use crate::{Builder, DType, Error, Value, VectorProgram, VectorValue};

/// An element on the reference side: floats are computed in `f64`, integers and `bool` (0 or 1) in `i64`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Num {
    /// An `f32` or `f64`, held in `f64`.
    Float(f64),
    /// An `i32`, `i64` or `bool`, held in `i64`.
    Int(i64),
}

/// Which operand dtypes a function takes, and what it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// Operands and result of one and the same float dtype.
    Float,
    /// Operands and result of one and the same number dtype (float or integer).
    Number,
    /// Two operands of one and the same dtype, any; the result is `bool`.
    Compare,
    /// Operands and result are `bool`.
    Logic,
    /// `(bool, T, T) -> T` for any dtype T.
    Select,
    /// One operand of any dtype; the result is of this one.
    Cast(DType),
    /// Operands and result are `i32`.
    I32,
    /// One `i64`; the result is `i32`.
    HighWord,
}

/// Everything known of one elementwise function.
pub struct Row {
    /// Its name in the text form and in the builder.
    pub name: &'static str,
    /// The number of operands.
    pub arity: usize,
    /// Dtypes of operands and result.
    pub signature: Signature,
    /// One sentence: the formula and its special cases.
    pub doc: &'static str,
    /// The meaning. `dtype` is that of the first operand (wrap-around of integers depends on it).
    pub eval: fn(dtype: DType, operands: &[Num]) -> Num,
    /// The gradient rule.
    pub derivative: Derivative,
    /// The same function as a vector program for operands of `dtype` (that of the last operand).
    pub expand: fn(program: &mut VectorProgram, dtype: DType, operands: &[VectorValue]) -> VectorValue,
    /// Where `f32` and `f64` operands are sampled by tests: an interval per operand.
    pub domain: &'static [(f64, f64)],
    /// The bound on the error in units in the last place, over all `f32` inputs (not only the domain); 0 is exact. What
    /// sweeps found is in docs/IR.md.
    pub ulp: f64,
    /// Where the expansion comes from: paper, equation, or how its constants were fitted.
    pub source: &'static str,
}

/// A gradient rule: from operands, result and the gradient of the result, the gradient of each operand.
pub type DerivativeRule = fn(
    builder: &mut Builder,
    operands: &[Value],
    result: Value,
    gradient: Value,
) -> Result<Vec<Option<Value>>, Error>;

/// How a function is differentiated.
pub enum Derivative {
    /// The derivative is 0 wherever it exists, or the result is no float: no gradient flows.
    Zero,
    /// By this rule.
    Rule(DerivativeRule),
}

macro_rules! scalar_functions {
    ($($variant:ident = $row:path,)+) => {
        /// An elementwise function: the name of a row of the table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "the row documents its function")]
        pub enum ScalarFn { $($variant,)+ }

        impl ScalarFn {
            /// Every function, in the order of the table.
            pub const ALL: &'static [ScalarFn] = &[$(ScalarFn::$variant,)+];

            /// What the table says of this function.
            pub fn row(self) -> &'static Row {
                static ROWS: &[&Row] = &[$(&$row,)+];
                ROWS[self as usize]
            }
        }
    };
}

scalar_functions! {
    Neg = arithmetic::NEG,
    Abs = arithmetic::ABS,
    Sign = arithmetic::SIGN,
    Add = arithmetic::ADD,
    Sub = arithmetic::SUB,
    Mul = arithmetic::MUL,
    Div = arithmetic::DIV,
    Fma = arithmetic::FMA,
    Max = arithmetic::MAX,
    Min = arithmetic::MIN,
    Clamp = arithmetic::CLAMP,
    Relu = arithmetic::RELU,
    Square = arithmetic::SQUARE,
    Sqrt = arithmetic::SQRT,
    Rsqrt = arithmetic::RSQRT,
    Exp = exponential::EXP,
    Expm1 = exponential::EXPM1,
    Log = logarithm::LOG,
    Log1p = logarithm::LOG1P,
    Pow = power::POW,
    Tanh = exponential::TANH,
    Sigmoid = exponential::SIGMOID,
    Erf = error_function::ERF,
    Sin = trigonometric::SIN,
    Cos = trigonometric::COS,
    Floor = rounding::FLOOR,
    Ceil = rounding::CEIL,
    Round = rounding::ROUND,
    Eq = compare::EQ,
    Ne = compare::NE,
    Lt = compare::LT,
    Le = compare::LE,
    Gt = compare::GT,
    Ge = compare::GE,
    And = compare::AND,
    Or = compare::OR,
    Xor = compare::XOR,
    Not = compare::NOT,
    Select = compare::SELECT,
    CastF32 = cast::CAST_F32,
    CastF64 = cast::CAST_F64,
    CastI32 = cast::CAST_I32,
    CastI64 = cast::CAST_I64,
    CastBool = cast::CAST_BOOL,
    HighWord = bits::HIGH_WORD,
    ShiftRight = bits::SHIFT_RIGHT,
    Philox0 = random::PHILOX0,
    Philox1 = random::PHILOX1,
}

impl ScalarFn {
    /// The name in the text form.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The number of its operands.
    pub fn arity(self) -> usize {
        self.row().arity
    }

    /// The function that converts to `dtype`.
    pub fn cast(dtype: DType) -> ScalarFn {
        match dtype {
            DType::F32 => ScalarFn::CastF32,
            DType::F64 => ScalarFn::CastF64,
            DType::I32 => ScalarFn::CastI32,
            DType::I64 => ScalarFn::CastI64,
            DType::Bool => ScalarFn::CastBool,
        }
    }

    /// The dtype of the result for operands of these dtypes; `None` where the function does not take them.
    pub fn result_dtype(self, operands: &[DType]) -> Option<DType> {
        if operands.len() != self.arity() {
            return None;
        }
        let first = operands[0];
        let alike = operands.iter().all(|&dtype| dtype == first);
        match self.row().signature {
            Signature::Float => (alike && first.is_float()).then_some(first),
            Signature::Number => (alike && first != DType::Bool).then_some(first),
            Signature::Compare => alike.then_some(DType::Bool),
            Signature::Logic => (alike && first == DType::Bool).then_some(first),
            Signature::Select => (first == DType::Bool && operands[1] == operands[2]).then(|| operands[1]),
            Signature::Cast(to) => Some(to),
            Signature::I32 => (alike && first == DType::I32).then_some(first),
            Signature::HighWord => (first == DType::I64).then_some(DType::I32),
        }
    }
}

impl fmt::Display for ScalarFn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ScalarFn {
    type Err = ();

    fn from_str(name: &str) -> Result<ScalarFn, ()> {
        ScalarFn::ALL.iter().copied().find(|f| f.name() == name).ok_or(())
    }
}
