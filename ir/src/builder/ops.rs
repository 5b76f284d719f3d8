//! A method per op, with the operands and attributes that it takes.

use smallvec::SmallVec;

use super::Builder;
use crate::ops::*;
use crate::{DType, Error, Expr, ReduceOp, Scalar, ScalarFn, Shape, Type, Value};

impl Builder {
    /// `function` of the operands, broadcast to a common shape as NumPy does: trailing axes are aligned, and an
    /// extent of 1 is repeated.
    pub fn apply(&mut self, function: ScalarFn, operands: &[Value]) -> Result<Value, Error> {
        self.check(function.name(), operands)?;
        let shapes: Vec<&Shape> = operands.iter().map(|&operand| self.shape(operand)).collect();
        let shape = broadcast_shapes(function.name(), &shapes)?;
        let operands: Vec<Value> =
            operands.iter().map(|&x| self.broadcast(x, shape.clone())).collect::<Result<_, _>>()?;
        self.op(Elementwise { function }, &operands)
    }

    /// Repeats `x` along leading axes and axes of extent 1 so that it has `shape`; `x` itself where it has it.
    pub fn broadcast(&mut self, x: Value, shape: impl Into<Shape>) -> Result<Value, Error> {
        self.check("broadcast", &[x])?;
        let shape = shape.into();
        if *self.shape(x) == shape {
            return Ok(x);
        }
        self.op(Broadcast { shape }, &[x])
    }

    /// The elements of `x` in the same order under another shape.
    pub fn reshape(&mut self, x: Value, shape: impl Into<Shape>) -> Result<Value, Error> {
        self.check("reshape", &[x])?;
        let shape = shape.into();
        if *self.shape(x) == shape {
            return Ok(x);
        }
        self.op(Reshape { shape }, &[x])
    }

    /// Axis `i` of the result is axis `permutation[i]` of `x`.
    pub fn transpose(&mut self, x: Value, permutation: &[usize]) -> Result<Value, Error> {
        self.op(Transpose { permutation: SmallVec::from_slice(permutation) }, &[x])
    }

    /// `x[starts[i] .. ends[i]]`, every `strides[i]`-th, along each axis `i`.
    pub fn slice(
        &mut self,
        x: Value,
        starts: &[usize],
        ends: &[usize],
        strides: &[usize],
    ) -> Result<Value, Error> {
        let list = SmallVec::from_slice;
        self.op(Slice { starts: list(starts), ends: list(ends), strides: list(strides) }, &[x])
    }

    /// `x` with `low[i]` elements of `value` before and `high[i]` after it along each axis `i`, and `interior[i]`
    /// between each two of its own (the gradient of a strided slice needs those).
    pub fn pad(
        &mut self,
        x: Value,
        low: &[usize],
        high: &[usize],
        interior: &[usize],
        value: Scalar,
    ) -> Result<Value, Error> {
        let list = SmallVec::from_slice;
        self.op(Pad { low: list(low), high: list(high), interior: list(interior), value }, &[x])
    }

    /// The operands one after the other along `axis`.
    pub fn concat(&mut self, operands: &[Value], axis: usize) -> Result<Value, Error> {
        self.op(Concat { axis }, operands)
    }

    /// `x` cut along `axis` into parts of these sizes, which add up to its extent.
    pub fn split(&mut self, x: Value, axis: usize, sizes: &[usize]) -> Result<Vec<Value>, Error> {
        let node = self.push(Split { axis, sizes: SmallVec::from_slice(sizes) }, &[x])?;
        Ok(self.graph.results(node).collect())
    }

    /// `x` reduced over `axes`. With `keep_dims` they stay, with extent 1.
    pub fn reduce(
        &mut self,
        op: ReduceOp,
        x: Value,
        axes: &[usize],
        keep_dims: bool,
    ) -> Result<Value, Error> {
        let mut sorted: SmallVec<[usize; 4]> = SmallVec::from_slice(axes);
        sorted.sort_unstable();
        let kept: Shape =
            self.shape(x).iter().enumerate().map(|(i, &n)| if axes.contains(&i) { 1 } else { n }).collect();
        let reduced = self.op(Reduce { op, axes: sorted }, &[x])?;
        if keep_dims { self.reshape(reduced, kept) } else { Ok(reduced) }
    }

    /// The sum over `axes`.
    pub fn reduce_sum(&mut self, x: Value, axes: &[usize], keep_dims: bool) -> Result<Value, Error> {
        self.reduce(ReduceOp::Add, x, axes, keep_dims)
    }

    /// The maximum over `axes`.
    pub fn reduce_max(&mut self, x: Value, axes: &[usize], keep_dims: bool) -> Result<Value, Error> {
        self.reduce(ReduceOp::Max, x, axes, keep_dims)
    }

    /// The mean over `axes` (floats).
    pub fn reduce_mean(&mut self, x: Value, axes: &[usize], keep_dims: bool) -> Result<Value, Error> {
        self.check("reduce_mean", &[x])?;
        if !self.dtype(x).is_float() {
            let problem = format!("it is not defined for {}", self.ty(x));
            return Err(Error::new("reduce_mean", problem, "convert with `cast_f32` first"));
        }
        let count: usize = axes.iter().filter_map(|&axis| self.shape(x).get(axis)).product();
        let sum = self.reduce_sum(x, axes, keep_dims)?;
        let scale = self.float_like(sum, 1.0 / count as f64);
        self.mul(sum, scale)
    }

    /// `exp(x - max x) / sum exp(x - max x)` along an axis: positive values that sum to 1. The shape is that of `x`.
    ///
    /// One division makes the reciprocal of the sum, which each exponential is multiplied by: within a unit in the last
    /// place of the quotient, at a fraction of its time.
    ///
    /// ```
    /// use ir::{Builder, DType};
    /// let mut b = Builder::new("probabilities");
    /// let logits = b.input("logits", DType::F32, [32, 10])?;
    /// let probabilities = b.softmax(logits, 1)?;
    /// assert_eq!(b.shape(probabilities)[..], [32, 10]);
    /// # Ok::<(), ir::Error>(())
    /// ```
    ///
    /// # Errors
    /// Where `x` has no such axis, or holds no floats.
    pub fn softmax(&mut self, x: Value, axis: usize) -> Result<Value, Error> {
        let exponentials = self.own((x - x.amax_keep_dims(&[axis])).exp())?;
        self.own(exponentials * (1.0 / exponentials.sum_keep_dims(&[axis])))
    }

    /// `s - log sum exp(s)` along an axis, with `s = x - max x`, so that nothing overflows: the logarithm of
    /// [`Builder::softmax`]. No gradient flows through the maximum: it cancels.
    ///
    /// # Errors
    /// As [`Builder::softmax`].
    pub fn log_softmax(&mut self, x: Value, axis: usize) -> Result<Value, Error> {
        let shifted = self.own(x - x.amax_keep_dims(&[axis]).stop_gradient())?;
        let log_sum = self.own(shifted.exp().sum(&[axis]).log())?;
        let mut column = self.shape(x).to_vec();
        column[axis] = 1;
        self.own(shifted - log_sum.reshape(column.as_slice()))
    }

    /// The value of an expression that is written here, which is no place in the user's source.
    fn own(&mut self, expr: Expr) -> Result<Value, Error> {
        self.eval(expr).map_err(|error| Error { place: None, ..error })
    }

    /// The index of the greatest element along `axis`, the first of several (a NaN is the greatest); `i64`.
    pub fn argmax(&mut self, x: Value, axis: usize) -> Result<Value, Error> {
        self.op(ArgMax { axis }, &[x])
    }

    /// `a @ b` over the last two axes; leading (batch) axes are broadcast to a common shape.
    pub fn matmul(&mut self, a: Value, b: Value) -> Result<Value, Error> {
        self.matmul_transposed(a, b, false, false)
    }

    /// `a @ b` with the last two axes of either operand swapped first where its flag says so.
    pub fn matmul_transposed(
        &mut self,
        a: Value,
        b: Value,
        transpose_left: bool,
        transpose_right: bool,
    ) -> Result<Value, Error> {
        self.check("matmul", &[a, b])?;
        let [a, b] = self.broadcast_batch(a, b)?;
        self.op(MatMul { transpose_left, transpose_right }, &[a, b])
    }

    /// Broadcasts the axes before the last two to a common shape.
    fn broadcast_batch(&mut self, a: Value, b: Value) -> Result<[Value; 2], Error> {
        let (left, right) = (self.shape(a).clone(), self.shape(b).clone());
        if left.rank() < 2 || right.rank() < 2 || left[..left.rank() - 2] == right[..right.rank() - 2] {
            return Ok([a, b]); // where a rank is too small, the shape rule of matmul says so
        }
        let batch_of = |shape: &Shape| Shape::new(&shape[..shape.rank() - 2]);
        let batch = broadcast_shapes("matmul", &[&batch_of(&left), &batch_of(&right)])?;
        let full =
            |shape: &Shape| -> Shape { batch.iter().chain(&shape[shape.rank() - 2..]).copied().collect() };
        Ok([self.broadcast(a, full(&left))?, self.broadcast(b, full(&right))?])
    }

    /// The convolution of `x[n, g, c, ..]` with `w[g, o, c, ..]`, as `[n, g, o, ..]` with these spatial extents; zeros
    /// around `x`. See [`Conv`].
    pub fn conv(&mut self, x: Value, w: Value, windows: &Windows, extents: &[usize]) -> Result<Value, Error> {
        self.op(Conv { of: ConvOf::Output, windows: windows.clone(), extents: extents.into() }, &[x, w])
    }

    /// The transposed convolution of `y[n, g, o, ..]` with `w[g, o, c, ..]`, as `[n, g, c, ..]` with these spatial extents:
    /// the gradient of the sum of [`Builder::conv`] times `y` with respect to `x`.
    pub fn conv_transpose(
        &mut self,
        y: Value,
        w: Value,
        windows: &Windows,
        extents: &[usize],
    ) -> Result<Value, Error> {
        self.op(Conv { of: ConvOf::Input, windows: windows.clone(), extents: extents.into() }, &[y, w])
    }

    /// Windows of these sizes along the last axes of `x`: `[.., r.., k..]` with `r` below `extents`; `fill` where they
    /// reach beyond `x`.
    pub fn window(
        &mut self,
        x: Value,
        sizes: &[usize],
        windows: &Windows,
        extents: &[usize],
        fill: Scalar,
    ) -> Result<Value, Error> {
        let (windows, sizes, extents) = (windows.clone(), sizes.into(), extents.into());
        self.op(Window { sizes, windows, extents, fill }, &[x])
    }

    /// The greatest element of each window of these sizes along the last axes of `x`, `[.., r..]` with `r` below `extents`,
    /// and its index in the window, `i32`; of several the first. See [`Pool`].
    pub fn max_pool(
        &mut self,
        x: Value,
        sizes: &[usize],
        windows: &Windows,
        extents: &[usize],
    ) -> Result<[Value; 2], Error> {
        let (windows, sizes, extents) = (windows.clone(), sizes.into(), extents.into());
        let node = self.push(Pool { of: PoolOf::Maxima, sizes, windows, extents }, &[x])?;
        Ok([0, 1].map(|result| self.value(node, result)))
    }

    /// Each element of `y`, of a window of these sizes, added to the element of that window that `indices` name, in a tensor
    /// with these extents: what undoes [`Builder::max_pool`] but for the elements that were not maxima.
    pub fn max_unpool(
        &mut self,
        y: Value,
        indices: Value,
        sizes: &[usize],
        windows: &Windows,
        extents: &[usize],
    ) -> Result<Value, Error> {
        let (windows, sizes, extents) = (windows.clone(), sizes.into(), extents.into());
        self.op(Pool { of: PoolOf::Unpooled, sizes, windows, extents }, &[y, indices])
    }

    /// `result[a.., i.., b..] = x[a.., indices[i..], b..]` with the index on `axis`; 0 where an index is outside.
    pub fn gather(&mut self, x: Value, indices: Value, axis: usize) -> Result<Value, Error> {
        self.op(Gather { axis }, &[x, indices])
    }

    /// `x` with `updates[a.., i.., b..]` added to `x[a.., indices[i..], b..]`; an index outside is left out.
    pub fn scatter_add(
        &mut self,
        x: Value,
        indices: Value,
        updates: Value,
        axis: usize,
    ) -> Result<Value, Error> {
        self.op(ScatterAdd { axis }, &[x, indices, updates])
    }

    /// The tensor whose elements are their own index along `axis`.
    pub fn iota(&mut self, dtype: DType, shape: impl Into<Shape>, axis: usize) -> Result<Value, Error> {
        self.op(Iota { ty: Type::new(dtype, shape), axis }, &[])
    }

    /// Random numbers from Philox4x32-10; `key` is an `i64[]`, and two draws with the same key and different
    /// `stream`s are independent. See [`Random`].
    pub fn random(
        &mut self,
        key: Value,
        distribution: Distribution,
        dtype: DType,
        shape: impl Into<Shape>,
        stream: u32,
    ) -> Result<Value, Error> {
        self.op(Random { distribution, stream, ty: Type::new(dtype, shape) }, &[key])
    }

    /// `x`, through which no gradient flows.
    pub fn stop_gradient(&mut self, x: Value) -> Result<Value, Error> {
        self.op(StopGradient, &[x])
    }

    /// The gradients of the scalar `loss` with respect to each of `values`.
    pub fn grad(&mut self, loss: impl Into<Expr>, values: &[Value]) -> Result<Vec<Value>, Error> {
        let loss = self.append(loss.into())?;
        let operands: Vec<Value> = std::iter::once(loss).chain(values.iter().copied()).collect();
        let node = self.push(Grad, &operands)?;
        Ok(self.graph.results(node).collect())
    }

    /// `x` converted to `dtype`; `x` itself where it is of it.
    pub fn cast(&mut self, x: Value, dtype: DType) -> Result<Value, Error> {
        let function = ScalarFn::cast(dtype);
        self.check(function.name(), &[x])?;
        if self.dtype(x) == dtype { Ok(x) } else { self.apply(function, &[x]) }
    }
}

/// Methods of [`Builder`] with the name of the elementwise function that they apply.
macro_rules! elementwise_methods {
    ($($name:ident($($operand:ident),+) = $function:ident;)+) => {
        #[allow(missing_docs, reason = "the row of the table documents each function")]
        impl Builder {
            $(pub fn $name(&mut self, $($operand: Value),+) -> Result<Value, Error> {
                self.apply(ScalarFn::$function, &[$($operand),+])
            })+
        }
    };
}
elementwise_methods! {
    neg(x) = Neg;
    abs(x) = Abs;
    sign(x) = Sign;
    add(a, b) = Add;
    sub(a, b) = Sub;
    mul(a, b) = Mul;
    div(a, b) = Div;
    max(a, b) = Max;
    min(a, b) = Min;
    clamp(x, low, high) = Clamp;
    relu(x) = Relu;
    square(x) = Square;
    sqrt(x) = Sqrt;
    rsqrt(x) = Rsqrt;
    exp(x) = Exp;
    expm1(x) = Expm1;
    log(x) = Log;
    log1p(x) = Log1p;
    pow(a, b) = Pow;
    tanh(x) = Tanh;
    sigmoid(x) = Sigmoid;
    erf(x) = Erf;
    sin(x) = Sin;
    cos(x) = Cos;
    floor(x) = Floor;
    ceil(x) = Ceil;
    round(x) = Round;
    eq(a, b) = Eq;
    ne(a, b) = Ne;
    lt(a, b) = Lt;
    le(a, b) = Le;
    gt(a, b) = Gt;
    ge(a, b) = Ge;
    logical_and(a, b) = And;
    logical_or(a, b) = Or;
    logical_xor(a, b) = Xor;
    logical_not(x) = Not;
    select(condition, a, b) = Select;
}

/// The shape to which all of `shapes` are broadcast.
fn broadcast_shapes(subject: &str, shapes: &[&Shape]) -> Result<Shape, Error> {
    let rank = shapes.iter().map(|shape| shape.rank()).max().unwrap_or(0);
    let mut extents = vec![1; rank];
    for shape in shapes {
        for (extent, &own) in extents[rank - shape.rank()..].iter_mut().zip(shape.iter()) {
            if *extent == 1 {
                *extent = own;
            } else if own != 1 && own != *extent {
                let list: Vec<String> = shapes.iter().map(|shape| shape.to_string()).collect();
                let problem = format!("shapes {} cannot be broadcast together", list.join(" and "));
                return Err(Error::new(
                    subject,
                    problem,
                    "make extents equal or 1, aligned from the last axis",
                ));
            }
        }
    }
    Ok(extents.into_iter().collect())
}
