//! Expressions: formulas of values, written with operators and methods, of which a builder makes ops.
//!
//! An expression is a flat list in postfix order: operands first, in the order in which they are written, then what is done
//! with them. So its ops come in the order in which one would call the methods of [`Builder`], and nothing
//! calls itself along its depth.
//!
//! | module | what it holds |
//! |---|---|
//! | `operators` | `+`, `-`, `*`, `/`, and `-x` |
//! | `methods` | the elementwise functions, reductions, shapes and products |
//! | `evaluate` | the ops of an expression |

mod evaluate;
mod methods;
mod operators;

use std::collections::VecDeque;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use crate::{Builder, Error, ScalarFn, Value};

/// A formula of values and numbers, which [`Builder::eval`] appends to a graph.
///
/// Operators and methods of [`Value`] and of expressions make it. Operands are broadcast as in [`Builder::apply`], and numbers
/// take the element type of what they meet. A mistake is the error of the op at fault, with the place in the source where it
/// is written: `add at src/main.rs:12:17`.
///
/// ```
/// use ir::{Builder, DType};
/// let mut b = Builder::new("norm");
/// let x = b.input("x", DType::F32, [32, 64])?;
/// let [weight, bias] = [b.input("weight", DType::F32, [64])?, b.input("bias", DType::F32, [64])?];
/// let centred = b.eval(x - x.mean_keep_dims(&[1]))?;
/// let variance = centred.square().mean_keep_dims(&[1]);
/// let y = b.eval(centred / (variance + 1e-5).sqrt() * weight + bias)?;
/// assert_eq!(b.ty(y).to_string(), "f32[32, 64]");
/// # Ok::<(), ir::Error>(())
/// ```
///
/// A [`Value`] is computed once, however often it is used. An expression is a formula, and a clone of it is evaluated anew;
/// pass `cse` merges the two where the program is optimised.
#[derive(Clone)]
#[must_use = "an expression is in no graph before `Builder::eval` puts it there"]
pub struct Expr {
    /// Never empty.
    steps: VecDeque<Step>,
}

/// An element of the postfix list.
#[derive(Clone)]
enum Step {
    /// Puts a value on the stack.
    Value(Value),
    /// Puts a number on the stack.
    Number(f64),
    /// Takes operands from the stack, the last one first, and puts what it makes of them there.
    Apply(Function, &'static Location<'static>),
}

/// What is done with operands.
#[derive(Clone)]
enum Function {
    /// A function of elements of broadcast operands.
    Elementwise(ScalarFn),
    /// Any other, with the number of its operands.
    Other(usize, Arc<OtherFn>),
}

/// What makes a value of operands.
type OtherFn = dyn Fn(&mut Builder, &[Value]) -> Result<Value, Error> + Send + Sync;

impl Expr {
    /// The value that it is, where there is nothing to compute.
    pub fn as_value(&self) -> Option<Value> {
        match self.steps.front() {
            Some(&Step::Value(value)) if self.steps.len() == 1 => Some(value),
            _ => None,
        }
    }

    /// `function` of these operands, which is written where the caller is.
    #[track_caller]
    fn apply<const N: usize>(function: Function, operands: [Expr; N]) -> Expr {
        let place = Location::caller();
        let mut steps = operands.into_iter().map(|operand| operand.steps).reduce(joined).unwrap_or_default();
        steps.push_back(Step::Apply(function, place));
        Expr { steps }
    }
}

/// `left` and then `right`. The shorter list is moved, so that a formula of n terms is built in n log n moves however its
/// operators are nested.
fn joined(mut left: VecDeque<Step>, mut right: VecDeque<Step>) -> VecDeque<Step> {
    if left.len() >= right.len() {
        left.append(&mut right);
        return left;
    }
    left.into_iter().rev().for_each(|step| right.push_front(step));
    right
}

impl From<Value> for Expr {
    fn from(value: Value) -> Expr {
        Expr { steps: VecDeque::from([Step::Value(value)]) }
    }
}

impl From<f64> for Expr {
    fn from(number: f64) -> Expr {
        Expr { steps: VecDeque::from([Step::Number(number)]) }
    }
}

impl From<i32> for Expr {
    fn from(number: i32) -> Expr {
        Expr::from(f64::from(number))
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expr of {} operands and ops", self.steps.len())
    }
}

#[cfg(test)]
mod tests;
