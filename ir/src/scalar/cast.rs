//! Conversions between element types.

use super::arithmetic::wrap;
use super::{Derivative, Num, Row, Signature};
use crate::{DType, Primitive};

/// The reference: floats to integers saturate toward zero and send NaN to 0; integers wrap; `bool` is "not 0".
fn convert(to: DType, x: Num) -> Num {
    match (to, x) {
        (DType::F32, Num::Float(x)) => Num::Float(f64::from(x as f32)),
        (DType::F64, Num::Float(x)) => Num::Float(x),
        (DType::F32, Num::Int(x)) => Num::Float(f64::from(x as f32)),
        (DType::F64, Num::Int(x)) => Num::Float(x as f64),
        (DType::I32, Num::Float(x)) => Num::Int(i64::from(x as i32)),
        (DType::I64, Num::Float(x)) => Num::Int(x as i64),
        (DType::I32 | DType::I64, Num::Int(x)) => wrap(to, x),
        (DType::Bool, Num::Float(x)) => Num::Int(i64::from(x != 0.0)),
        (DType::Bool, Num::Int(x)) => Num::Int(i64::from(x != 0)),
    }
}

macro_rules! cast {
    ($constant:ident, $name:literal, $to:ident, $derivative:expr, $doc:literal) => {
        #[doc = $doc]
        pub const $constant: Row = Row {
            name: $name,
            arity: 1,
            signature: Signature::Cast(DType::$to),
            doc: $doc,
            eval: |_, x| convert(DType::$to, x[0]),
            derivative: $derivative,
            expand: |p, from, x| match from == DType::$to {
                true => x[0],
                false => p.apply(Primitive::Convert(DType::$to), x),
            },
            domain: &[(-100.0, 100.0)],
            ulp: 0.0,
            source: "exact: one rounding",
        };
    };
}

/// Between floats, the gradient is converted back; from integers none flows.
const BACK: Derivative = Derivative::Rule(|b, x, _, g| {
    let dtype = b.dtype(x[0]);
    Ok(vec![if dtype.is_float() { Some(b.cast(g, dtype)?) } else { None }])
});

cast!(CAST_F32, "cast_f32", F32, BACK, "To `f32`, to nearest, ties to even; `true` is 1.");
cast!(CAST_F64, "cast_f64", F64, BACK, "To `f64`, to nearest, ties to even; `true` is 1.");
cast!(
    CAST_I32,
    "cast_i32",
    I32,
    Derivative::Zero,
    "To `i32`: floats toward 0, saturating, NaN to 0; integers wrap."
);
cast!(CAST_I64, "cast_i64", I64, Derivative::Zero, "To `i64`: floats toward 0, saturating, NaN to 0.");
cast!(CAST_BOOL, "cast_bool", Bool, Derivative::Zero, "Whether the operand is not 0 (a NaN is not).");
