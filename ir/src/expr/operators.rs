//! The arithmetic operators: between expressions and values, and with numbers on either side.

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::{Expr, Function};
use crate::{ScalarFn, Value};

macro_rules! binary {
    ($($operator:ident::$method:ident for $($left:ty),+;)+) => { $($(
        impl<R: Into<Expr>> $operator<R> for $left {
            type Output = Expr;

            #[track_caller]
            fn $method(self, right: R) -> Expr {
                Expr::apply(Function::Elementwise(ScalarFn::$operator), [self.into(), right.into()])
            }
        }
    )+)+ };
}
binary! {
    Add::add for Expr, Value;
    Sub::sub for Expr, Value;
    Mul::mul for Expr, Value;
    Div::div for Expr, Value;
}

/// With a number on the left, which the language wants to be said for each type on the right.
macro_rules! number_first {
    ($($operator:ident::$method:ident($($right:ident),+) for $number:ident;)+) => { $($(
        impl $operator<$right> for $number {
            type Output = Expr;

            #[track_caller]
            fn $method(self, right: $right) -> Expr {
                Expr::apply(Function::Elementwise(ScalarFn::$operator), [self.into(), right.into()])
            }
        }
    )+)+ };
}
number_first! {
    Add::add(Expr, Value) for f64;
    Sub::sub(Expr, Value) for f64;
    Mul::mul(Expr, Value) for f64;
    Div::div(Expr, Value) for f64;
    Add::add(Expr, Value) for i32;
    Sub::sub(Expr, Value) for i32;
    Mul::mul(Expr, Value) for i32;
    Div::div(Expr, Value) for i32;
}

impl Neg for Expr {
    type Output = Expr;

    #[track_caller]
    fn neg(self) -> Expr {
        Expr::apply(Function::Elementwise(ScalarFn::Neg), [self])
    }
}

impl Neg for Value {
    type Output = Expr;

    #[track_caller]
    fn neg(self) -> Expr {
        -Expr::from(self)
    }
}
