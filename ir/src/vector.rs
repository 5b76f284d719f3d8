//! Vector programs: straight-line SSA over vectors whose number of lanes is a parameter of whoever emits it.
//!
//! The expansion of an elementwise function (`scalar::Row::expand`) builds one; so do the innermost parts of
//! kernels. A program of one lane is scalar code with the same meaning, so every width gives the same bits.

mod cold;
mod interpret;

pub use cold::ColdFn;
use smallvec::SmallVec;

use crate::{DType, Scalar};

/// A value of a [`VectorProgram`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VectorValue(pub u32);

/// How two numbers compare. Float comparisons with NaN are false, except `Ne`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `a == b`
    Eq,
    /// `a != b`
    Ne,
    /// `a < b`, signed
    Lt,
    /// `a <= b`, signed
    Le,
    /// `a > b`, signed
    Gt,
    /// `a >= b`, signed
    Ge,
}

/// A primitive: what one machine instruction, or a few, do to each lane. A lane of dtype `bool` is a truth value
/// (a mask); all other operands of one primitive have the same dtype unless the primitive says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Primitive {
    /// Argument number `i` of the program.
    Argument(u32),
    /// The same value in each lane.
    Constant(Scalar),
    /// `a + b`; integers wrap.
    Add,
    /// `a - b`; integers wrap.
    Sub,
    /// `a * b`; integers wrap (low half).
    Mul,
    /// The high half of the product of two `i32` taken as unsigned.
    MulHighUnsigned,
    /// `a / b`; floats only.
    Div,
    /// `a * b + c` rounded once; floats only.
    Fma,
    /// IEEE 754-2019 minimum: NaN where either is NaN, -0 below +0 (floats); signed minimum (integers).
    Min,
    /// IEEE 754-2019 maximum: NaN where either is NaN, +0 above -0 (floats); signed maximum (integers).
    Max,
    /// `-a` (sign bit flipped); integers wrap.
    Neg,
    /// `|a|` (sign bit cleared); integers wrap.
    Abs,
    /// Correctly rounded square root; floats only.
    Sqrt,
    /// Toward negative infinity; floats only.
    Floor,
    /// Toward positive infinity; floats only.
    Ceil,
    /// To nearest, ties to even; floats only.
    Round,
    /// `(a, n)`: `a * 2^n` rounded once, for a float n that is an integer, of at most twice the exponent's range in
    /// size, and an `a` between 1/4 and 4 in size; NaN where a is NaN. Floats only.
    Scale,
    /// Bitwise (integers) or logical (`bool`) and.
    And,
    /// Bitwise or logical or.
    Or,
    /// Bitwise or logical exclusive or.
    Xor,
    /// Bitwise or logical complement.
    Not,
    /// Left shift of integers by a constant number of bits.
    ShiftLeft(u32),
    /// Right shift of integers by a constant number of bits, zeros in.
    ShiftRightLogical(u32),
    /// Right shift of integers by a constant number of bits, sign in.
    ShiftRightArithmetic(u32),
    /// A comparison; the result is `bool`.
    Compare(Comparison),
    /// `(bool, a, b)`: a where true, else b.
    Select,
    /// `(bool, usual, x)`: the cold function of x where true, else `usual`. Emitters branch around the function where it is
    /// true in no lane.
    Cold(ColdFn),
    /// The same bits as a dtype of the same size (`f32` and `i32`, `f64` and `i64`).
    Bitcast(DType),
    /// Conversion as [`Scalar::from_f64`] and [`Scalar::from_i64`] define it: floats to integers saturate and send
    /// NaN to 0, integers to narrower integers wrap, numbers to `bool` ask "not 0", `bool` to numbers gives 0 or 1.
    Convert(DType),
}

/// One instruction: a primitive, what it is applied to, and the dtype of the result.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VectorInst {
    /// What is computed.
    pub primitive: Primitive,
    /// Its operands, each an earlier instruction.
    pub operands: SmallVec<[VectorValue; 3]>,
    /// The dtype of each lane of the result.
    pub dtype: DType,
}

/// A straight-line program. Equal instructions are kept once, so the builder methods may be called freely.
#[derive(Clone, Debug, Default)]
pub struct VectorProgram {
    insts: Vec<VectorInst>,
    known: std::collections::HashMap<VectorInst, VectorValue>,
}

impl VectorProgram {
    /// The empty program.
    pub fn new() -> VectorProgram {
        VectorProgram::default()
    }

    /// The instructions in order; instruction `i` defines `VectorValue(i)`.
    pub fn insts(&self) -> &[VectorInst] {
        &self.insts
    }

    /// The dtype of a value.
    pub fn dtype(&self, value: VectorValue) -> DType {
        self.insts[value.0 as usize].dtype
    }

    /// Argument number `index` of the program.
    pub fn argument(&mut self, index: u32, dtype: DType) -> VectorValue {
        self.push(Primitive::Argument(index), &[], dtype)
    }

    /// The same `value` in each lane.
    pub fn constant(&mut self, value: Scalar) -> VectorValue {
        self.push(Primitive::Constant(value), &[], value.dtype())
    }

    /// A float constant of `dtype` (rounded to nearest).
    pub fn float(&mut self, dtype: DType, value: f64) -> VectorValue {
        self.constant(Scalar::from_f64(dtype, value))
    }

    /// An integer constant of `dtype`.
    pub fn int(&mut self, dtype: DType, value: i64) -> VectorValue {
        self.constant(Scalar::from_i64(dtype, value))
    }

    /// Applies `primitive`; the dtype of the result follows from it and from its last operand.
    pub fn apply(&mut self, primitive: Primitive, operands: &[VectorValue]) -> VectorValue {
        let dtype = match primitive {
            Primitive::Compare(_) => DType::Bool,
            Primitive::Bitcast(to) | Primitive::Convert(to) => to,
            _ => self.dtype(*operands.last().expect("arguments and constants have methods of their own")),
        };
        self.push(primitive, operands, dtype)
    }

    fn push(&mut self, primitive: Primitive, operands: &[VectorValue], dtype: DType) -> VectorValue {
        let inst = VectorInst { primitive, operands: SmallVec::from_slice(operands), dtype };
        *self.known.entry(inst).or_insert_with_key(|inst| {
            self.insts.push(inst.clone());
            VectorValue(self.insts.len() as u32 - 1)
        })
    }
}

/// Methods of [`VectorProgram`] with the name of the primitive that they apply.
macro_rules! primitive_methods {
    ($($name:ident($($operand:ident),+) = $primitive:ident;)+) => {
        #[allow(missing_docs, reason = "each applies the primitive of its name")]
        impl VectorProgram {
            $(pub fn $name(&mut self, $($operand: VectorValue),+) -> VectorValue {
                self.apply(Primitive::$primitive, &[$($operand),+])
            })+
        }
    };
}
primitive_methods! {
    add(a, b) = Add;
    sub(a, b) = Sub;
    mul(a, b) = Mul;
    mul_high_unsigned(a, b) = MulHighUnsigned;
    div(a, b) = Div;
    fma(a, b, c) = Fma;
    min(a, b) = Min;
    max(a, b) = Max;
    neg(a) = Neg;
    abs(a) = Abs;
    sqrt(a) = Sqrt;
    floor(a) = Floor;
    ceil(a) = Ceil;
    round(a) = Round;
    scale(a, n) = Scale;
    and(a, b) = And;
    or(a, b) = Or;
    xor(a, b) = Xor;
    not(a) = Not;
    select(condition, a, b) = Select;
}
