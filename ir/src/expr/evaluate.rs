//! The ops of an expression, by a stack of operands.

use smallvec::SmallVec;

use super::{Expr, Function, Step};
use crate::{Builder, DType, Error, Scalar, ScalarFn, Value};

/// An operand: numbers become constants where it is known what they meet.
#[derive(Clone, Copy)]
enum Operand {
    Value(Value),
    Number(f64),
}

impl Builder {
    /// Appends the ops of an expression, in the order in which they are written.
    ///
    /// ```
    /// use ir::{Builder, DType};
    /// let mut b = Builder::new("line");
    /// let [x, w] = [b.input("x", DType::F32, [8, 3])?, b.input("w", DType::F32, [3, 2])?];
    /// let y = b.eval(2.0 * x.matmul(w) + 1.0)?;
    /// assert_eq!(b.ty(y).to_string(), "f32[8, 2]");
    /// # Ok::<(), ir::Error>(())
    /// ```
    ///
    /// # Errors
    /// The first mistake, with the place of the operator or method; and numbers that meet nothing which says of which element
    /// type they are, or one of which they are not.
    pub fn eval(&mut self, expr: impl Into<Expr>) -> Result<Value, Error> {
        let value = self.append(expr.into())?;
        self.check("eval", &[value])?;
        Ok(value)
    }

    /// The value of an expression. One that is a value already may be of another graph.
    pub(crate) fn append(&mut self, expr: Expr) -> Result<Value, Error> {
        let mut stack: Vec<Operand> = Vec::new();
        for step in expr.steps {
            let operand = match step {
                Step::Value(value) => Operand::Value(value),
                Step::Number(number) => Operand::Number(number),
                Step::Apply(function, place) => {
                    let operands: SmallVec<[Operand; 3]> =
                        stack.drain(stack.len() - function.arity()..).collect();
                    let value = function.append(self, &operands);
                    Operand::Value(value.map_err(|error| Error { place: Some(place), ..error })?)
                }
            };
            stack.push(operand);
        }
        match stack.pop().expect("an expression has a last step, which puts its value on the stack") {
            Operand::Value(value) => Ok(value),
            Operand::Number(number) => Err(no_dtype("eval", &[number])),
        }
    }
}

impl Function {
    /// The number of operands.
    fn arity(&self) -> usize {
        match self {
            Function::Elementwise(function) => function.arity(),
            Function::Other(arity, _) => *arity,
        }
    }

    /// How errors call it, where there is no op yet that says so.
    fn name(&self) -> &'static str {
        match self {
            Function::Elementwise(function) => function.name(),
            Function::Other(..) => "expression",
        }
    }

    fn append(&self, b: &mut Builder, operands: &[Operand]) -> Result<Value, Error> {
        let values = self.values(b, operands)?;
        match self {
            Function::Elementwise(function) => b.apply(*function, &values),
            Function::Other(_, function) => function(b, &values),
        }
    }

    /// The operands, numbers as constants of the element type of the first operand that has one. (The condition of a `select`
    /// says nothing of what it selects.)
    fn values(&self, b: &mut Builder, operands: &[Operand]) -> Result<SmallVec<[Value; 3]>, Error> {
        let conditions = usize::from(matches!(self, Function::Elementwise(ScalarFn::Select)));
        let like = operands[conditions..].iter().find_map(|operand| match operand {
            Operand::Value(value) => Some(*value),
            Operand::Number(_) => None,
        });
        let values = operands.iter().map(|&operand| match (operand, like) {
            (Operand::Value(value), _) => Ok(value),
            (Operand::Number(number), Some(like)) => constant(self.name(), b, number, like),
            (Operand::Number(_), None) => {
                let numbers = operands.iter().filter_map(|operand| match operand {
                    Operand::Number(number) => Some(*number),
                    Operand::Value(_) => None,
                });
                Err(no_dtype(self.name(), &numbers.collect::<Vec<_>>()))
            }
        });
        values.collect()
    }
}

/// A constant of rank 0 of the element type of `like`, which must have such a number.
fn constant(subject: &str, b: &mut Builder, number: f64, like: Value) -> Result<Value, Error> {
    b.check(subject, &[like])?;
    let dtype = b.dtype(like);
    let scalar = Scalar::from_f64(dtype, number);
    let fits = match dtype {
        DType::F32 | DType::F64 => scalar.as_f64().is_finite() || !number.is_finite(),
        DType::I32 | DType::I64 => scalar.as_f64() == number,
        DType::Bool => false,
    };
    if fits {
        return Ok(b.scalar(scalar));
    }
    let problem = format!("the number {number:?} meets {}, which has no such element", b.ty(like));
    Err(Error::new(subject, problem, "give a number of that type, or `cast` the other operand"))
}

fn no_dtype(subject: &str, numbers: &[f64]) -> Error {
    let list: Vec<String> = numbers.iter().map(|number| format!("{number:?}")).collect();
    let problem = format!("nothing says of which element type {} is", list.join(" and "));
    Error::new(subject, problem, "make a value of it: `b.float(DType::F32, ..)`, or `b.float_like(x, ..)`")
}
