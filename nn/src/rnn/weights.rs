//! The parameters of one layer in one direction, under PyTorch's names, and products with them.

use ir::{Error, Shape, Value};

use crate::{Context, init};

/// Makes the parameters of a cell: `weight_ih` becomes `weight_ih_l0`, or `weight_ih_l0_reverse`. All start uniform on
/// +-1/sqrt(hidden size).
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    suffix: String,
    bound: f64,
    has_bias: bool,
}

impl Weights {
    /// Those of this layer, from 0, in this direction.
    pub(super) fn new(layer: usize, is_reverse: bool, hidden_size: usize, has_bias: bool) -> Weights {
        let suffix = format!("_l{layer}{}", if is_reverse { "_reverse" } else { "" });
        Weights { suffix, bound: 1.0 / (hidden_size.max(1) as f64).sqrt(), has_bias }
    }

    /// The name that a parameter has in its scope: `weight_ih_l0`.
    pub fn full_name(&self, name: &str) -> String {
        format!("{name}{}", self.suffix)
    }

    /// A parameter of this shape.
    ///
    /// # Errors
    /// As [`Context::parameter`].
    pub fn parameter(&self, cx: &mut Context, name: &str, shape: impl Into<Shape>) -> Result<Value, Error> {
        cx.parameter(&self.full_name(name), shape, init::uniform(self.bound))
    }

    /// The weight `[size, in]` of products with x, `[.., in]`.
    ///
    /// # Errors
    /// As [`Context::parameter`].
    pub fn of_input(&self, cx: &mut Context, name: &str, x: Value, size: usize) -> Result<Value, Error> {
        let inputs = cx.shape(x).last().copied().unwrap_or(1);
        self.parameter(cx, name, [size, inputs])
    }

    /// A bias of this size; `None` where the layer has no biases.
    ///
    /// # Errors
    /// As [`Context::parameter`].
    pub fn bias(&self, cx: &mut Context, name: &str, size: usize) -> Result<Option<Value>, Error> {
        self.has_bias.then(|| self.parameter(cx, name, [size])).transpose()
    }

    /// The sum of `bias_ih` and `bias_hh`, of this size, which PyTorch has both; `None` where the layer has no biases.
    ///
    /// # Errors
    /// As [`Context::parameter`].
    pub fn both_biases(&self, cx: &mut Context, size: usize) -> Result<Option<Value>, Error> {
        let Some(input) = self.bias(cx, "bias_ih", size)? else { return Ok(None) };
        let Some(hidden) = self.bias(cx, "bias_hh", size)? else { return Ok(None) };
        Ok(Some(cx.add(input, hidden)?))
    }
}

/// `x W^T + b` for x of `[.., in]` and a weight of `[out, in]`: one product over all leading axes.
pub(super) fn project(
    cx: &mut Context,
    x: Value,
    weight: Value,
    bias: Option<Value>,
) -> Result<Value, Error> {
    let (shape, outputs) = (cx.shape(x).clone(), cx.shape(weight)[0]);
    let (inputs, leading) = shape.split_last().map_or((1, &[][..]), |(&last, leading)| (last, leading));
    let rows = cx.reshape(x, [leading.iter().product(), inputs])?;
    let mut y = cx.matmul_transposed(rows, weight, false, true)?;
    if let Some(bias) = bias {
        y = cx.add(y, bias)?;
    }
    cx.reshape(y, leading.iter().copied().chain([outputs]).collect::<Shape>())
}

/// `x W^T` in a loop, for x of `[batch, in]` and a weight of `[out, in]`. Pass `hoist` transposes W before the loop, and the
/// gradient of W has its own order of axes.
pub(super) fn recur(cx: &mut Context, x: Value, weight: Value) -> Result<Value, Error> {
    cx.matmul_transposed(x, weight, false, true)
}

/// `x`, `[batch, parts * size]`, cut into so many parts of the same size.
pub(super) fn cut<const PARTS: usize>(
    cx: &mut Context,
    x: Value,
    size: usize,
) -> Result<[Value; PARTS], Error> {
    let parts = cx.split(x, 1, &[size; PARTS])?;
    Ok(parts.try_into().expect("`split` gives a part for each size"))
}

/// `x + by`, which is `x` itself where that is 0.
pub(super) fn shift(cx: &mut Context, x: Value, by: f64) -> Result<Value, Error> {
    if by == 0.0 { Ok(x) } else { cx.eval(x + by) }
}

/// `gate old + (1 - gate) new`
pub(super) fn blend(cx: &mut Context, gate: Value, old: Value, new: Value) -> Result<Value, Error> {
    cx.eval(gate * (old - new) + new)
}
