//! Rounding to integers.

use super::{Derivative, Num, Row, Signature};

fn float(num: Num) -> f64 {
    let Num::Float(x) = num else { panic!("a float function of {num:?}") };
    x
}

macro_rules! rounding {
    ($constant:ident, $name:literal, $primitive:ident, $reference:expr, $doc:literal) => {
        #[doc = $doc]
        pub const $constant: Row = Row {
            name: $name,
            arity: 1,
            signature: Signature::Float,
            doc: $doc,
            eval: |_, x| Num::Float($reference(float(x[0]))),
            derivative: Derivative::Zero,
            expand: |p, _, x| p.$primitive(x[0]),
            domain: &[(-9.0, 9.0)],
            ulp: 0.0,
            source: "exact",
        };
    };
}

rounding!(FLOOR, "floor", floor, f64::floor, "The greatest integer not above x.");
rounding!(CEIL, "ceil", ceil, f64::ceil, "The least integer not below x.");
rounding!(ROUND, "round", round, f64::round_ties_even, "The nearest integer, of two the even one.");
