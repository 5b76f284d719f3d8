//! Comparisons, logic and selection.

use super::{Derivative, Num, Row, Signature};
use crate::{Comparison, Primitive};

const DOMAIN: &[(f64, f64)] = &[(-4.0, 4.0)];
const EXACT: &str = "exact";

fn truth(num: Num) -> bool {
    num == Num::Int(1)
}

macro_rules! comparison {
    ($constant:ident, $name:literal, $comparison:ident, $operator:tt, $doc:literal) => {
        #[doc = $doc]
        pub const $constant: Row = Row {
            name: $name,
            arity: 2,
            signature: Signature::Compare,
            doc: $doc,
            eval: |_, x| {
                Num::Int(i64::from(match (x[0], x[1]) {
                    (Num::Float(a), Num::Float(b)) => a $operator b,
                    (Num::Int(a), Num::Int(b)) => a $operator b,
                    _ => panic!("operands of one function are of one kind"),
                }))
            },
            derivative: Derivative::Zero,
            expand: |p, _, x| p.apply(Primitive::Compare(Comparison::$comparison), x),
            domain: DOMAIN,
            ulp: 0.0,
            source: EXACT,
        };
    };
}

comparison!(EQ, "eq", Eq, ==, "`a == b`; false where either is NaN.");
comparison!(NE, "ne", Ne, !=, "`a != b`; true where either is NaN.");
comparison!(LT, "lt", Lt, <, "`a < b`; false where either is NaN.");
comparison!(LE, "le", Le, <=, "`a <= b`; false where either is NaN.");
comparison!(GT, "gt", Gt, >, "`a > b`; false where either is NaN.");
comparison!(GE, "ge", Ge, >=, "`a >= b`; false where either is NaN.");

macro_rules! logic {
    ($constant:ident, $name:literal, $primitive:ident, $operator:tt, $doc:literal) => {
        #[doc = $doc]
        pub const $constant: Row = Row {
            name: $name,
            arity: 2,
            signature: Signature::Logic,
            doc: $doc,
            eval: |_, x| Num::Int(i64::from(truth(x[0]) $operator truth(x[1]))),
            derivative: Derivative::Zero,
            expand: |p, _, x| p.apply(Primitive::$primitive, x),
            domain: DOMAIN,
            ulp: 0.0,
            source: EXACT,
        };
    };
}

logic!(AND, "and", And, &, "Logical and.");
logic!(OR, "or", Or, |, "Logical or.");
logic!(XOR, "xor", Xor, ^, "Logical exclusive or.");

/// Logical complement.
pub const NOT: Row = Row {
    name: "not",
    arity: 1,
    signature: Signature::Logic,
    doc: "Logical complement.",
    eval: |_, x| Num::Int(i64::from(!truth(x[0]))),
    derivative: Derivative::Zero,
    expand: |p, _, x| p.not(x[0]),
    domain: DOMAIN,
    ulp: 0.0,
    source: EXACT,
};

/// `condition ? a : b`.
pub const SELECT: Row = Row {
    name: "select",
    arity: 3,
    signature: Signature::Select,
    doc: "The second operand where the first is true, else the third. The gradient is that of the one that is taken.",
    eval: |_, x| if truth(x[0]) { x[1] } else { x[2] },
    derivative: Derivative::Rule(|b, x, _, g| {
        let zero = b.zeros_like(g)?;
        Ok(vec![None, Some(b.select(x[0], g, zero)?), Some(b.select(x[0], zero, g)?)])
    }),
    expand: |p, _, x| p.select(x[0], x[1], x[2]),
    domain: DOMAIN,
    ulp: 0.0,
    source: EXACT,
};
