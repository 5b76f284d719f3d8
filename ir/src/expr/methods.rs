//! What is written as a method: `x.relu()`. [`Value`] and [`Expr`] have the same.

use std::ops::Range;
use std::sync::Arc;

use super::{Expr, Function};
use crate::{Builder, DType, Error, ReduceOp, ScalarFn, Shape, Value};

impl Expr {
    /// `function` of this expression, as an op or several.
    #[track_caller]
    fn unary(
        self,
        function: impl Fn(&mut Builder, Value) -> Result<Value, Error> + Send + Sync + 'static,
    ) -> Expr {
        let function = Arc::new(move |b: &mut Builder, operands: &[Value]| function(b, operands[0]));
        Expr::apply(Function::Other(1, function), [self])
    }

    #[track_caller]
    fn reduced(self, op: ReduceOp, axes: &[usize], keep_dims: bool) -> Expr {
        let axes = axes.to_vec();
        self.unary(move |b, x| b.reduce(op, x, &axes, keep_dims))
    }
}

/// Methods of expressions, and of values, which are expressions of nothing else.
macro_rules! methods {
    ($($(#[$attribute:meta])* fn $name:ident($this:ident $(, $argument:ident: $type:ty)*) $body:block)+) => {
        impl Expr { $(
            $(#[$attribute])*
            #[track_caller]
            pub fn $name($this $(, $argument: $type)*) -> Expr $body
        )+ }

        impl Value { $(
            $(#[$attribute])*
            #[track_caller]
            pub fn $name($this $(, $argument: $type)*) -> Expr {
                Expr::from($this).$name($($argument),*)
            }
        )+ }
    };
}

methods! {
    /// The sum over `axes`, which are gone.
    fn sum(self, axes: &[usize]) {
        self.reduced(ReduceOp::Add, axes, false)
    }

    /// The sum over `axes`, which stay with extent 1.
    fn sum_keep_dims(self, axes: &[usize]) {
        self.reduced(ReduceOp::Add, axes, true)
    }

    /// The sum of all elements, of rank 0.
    fn sum_all(self) {
        self.unary(|b, x| b.reduce_sum(x, &all_axes(b, x), false))
    }

    /// The mean over `axes`, which are gone; floats.
    fn mean(self, axes: &[usize]) {
        let axes = axes.to_vec();
        self.unary(move |b, x| b.reduce_mean(x, &axes, false))
    }

    /// The mean over `axes`, which stay with extent 1; floats.
    fn mean_keep_dims(self, axes: &[usize]) {
        let axes = axes.to_vec();
        self.unary(move |b, x| b.reduce_mean(x, &axes, true))
    }

    /// The mean of all elements, of rank 0; floats.
    fn mean_all(self) {
        self.unary(|b, x| b.reduce_mean(x, &all_axes(b, x), false))
    }

    /// The greatest over `axes`, which are gone.
    fn amax(self, axes: &[usize]) {
        self.reduced(ReduceOp::Max, axes, false)
    }

    /// The greatest over `axes`, which stay with extent 1.
    fn amax_keep_dims(self, axes: &[usize]) {
        self.reduced(ReduceOp::Max, axes, true)
    }

    /// Positive values that sum to 1 along `axis`: [`Builder::softmax`].
    fn softmax(self, axis: usize) {
        self.unary(move |b, x| b.softmax(x, axis))
    }

    /// The logarithms of these: [`Builder::log_softmax`].
    fn log_softmax(self, axis: usize) {
        self.unary(move |b, x| b.log_softmax(x, axis))
    }

    /// The product of matrices over the last two axes: [`Builder::matmul`].
    fn matmul(self, right: impl Into<Expr>) {
        let function = Arc::new(|b: &mut Builder, operands: &[Value]| b.matmul(operands[0], operands[1]));
        Expr::apply(Function::Other(2, function), [self, right.into()])
    }

    /// Axis `i` of the result is axis `permutation[i]` of this.
    fn transpose(self, permutation: &[usize]) {
        let permutation = permutation.to_vec();
        self.unary(move |b, x| b.transpose(x, &permutation))
    }

    /// With its last two axes swapped.
    fn t(self) {
        self.unary(|b, x| {
            let rank = b.shape(x).rank();
            let mut permutation: Vec<usize> = (0..rank).collect();
            if rank < 2 {
                let problem = format!("it is {}", b.ty(x));
                return Err(Error::new("t", problem, "give a matrix, or several"));
            }
            permutation.swap(rank - 2, rank - 1);
            b.transpose(x, &permutation)
        })
    }

    /// The same elements in the same order under another shape.
    fn reshape(self, shape: impl Into<Shape>) {
        let shape = shape.into();
        self.unary(move |b, x| b.reshape(x, shape.clone()))
    }

    /// Repeated along leading axes and axes of extent 1, so that it has `shape`.
    fn broadcast(self, shape: impl Into<Shape>) {
        let shape = shape.into();
        self.unary(move |b, x| b.broadcast(x, shape.clone()))
    }

    /// Of `axis` the elements of `range`; of the other axes all.
    fn slice_axis(self, axis: usize, range: Range<usize>) {
        self.unary(move |b, x| {
            let mut ends = b.shape(x).to_vec();
            let (mut starts, strides) = (vec![0; ends.len()], vec![1; ends.len()]);
            if axis >= ends.len() {
                let problem = format!("it is {}, and there is no axis {axis}", b.ty(x));
                return Err(Error::new("slice", problem, "give one of its axes, counted from 0"));
            }
            (starts[axis], ends[axis]) = (range.start, range.end);
            b.slice(x, &starts, &ends, &strides)
        })
    }

    /// Converted to `dtype`.
    fn cast(self, dtype: DType) {
        self.unary(move |b, x| b.cast(x, dtype))
    }

    /// The same, through which no gradient flows.
    fn stop_gradient(self) {
        self.unary(|b, x| b.stop_gradient(x))
    }

    /// What `function` makes of it, for instance one of the functions of `nn`: `x.then(global_avg_pool)`.
    fn then(self, function: impl Fn(&mut Builder, Value) -> Result<Value, Error> + Send + Sync + 'static) {
        self.unary(function)
    }
}

fn all_axes(b: &Builder, x: Value) -> Vec<usize> {
    (0..b.shape(x).rank()).collect()
}

/// Methods with the name of the elementwise function that they apply.
macro_rules! elementwise {
    ($($name:ident(self $(, $operand:ident)*) = $function:ident;)+) => {
        methods! { $(
            #[allow(missing_docs, reason = "the row of the table documents each function")]
            fn $name(self $(, $operand: impl Into<Expr>)*) {
                Expr::apply(Function::Elementwise(ScalarFn::$function), [self $(, $operand.into())*])
            }
        )+ }
    };
}
elementwise! {
    abs(self) = Abs;
    sign(self) = Sign;
    max(self, other) = Max;
    min(self, other) = Min;
    clamp(self, low, high) = Clamp;
    relu(self) = Relu;
    square(self) = Square;
    sqrt(self) = Sqrt;
    rsqrt(self) = Rsqrt;
    exp(self) = Exp;
    expm1(self) = Expm1;
    log(self) = Log;
    log1p(self) = Log1p;
    pow(self, exponent) = Pow;
    tanh(self) = Tanh;
    sigmoid(self) = Sigmoid;
    erf(self) = Erf;
    sin(self) = Sin;
    cos(self) = Cos;
    floor(self) = Floor;
    ceil(self) = Ceil;
    round(self) = Round;
    eq(self, other) = Eq;
    ne(self, other) = Ne;
    lt(self, other) = Lt;
    le(self, other) = Le;
    gt(self, other) = Gt;
    ge(self, other) = Ge;
    logical_and(self, other) = And;
    logical_or(self, other) = Or;
    logical_xor(self, other) = Xor;
    logical_not(self) = Not;
    select(self, then, otherwise) = Select;
}
