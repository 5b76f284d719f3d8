//! Workloads of one operation or a few: `x`, and where there is a second operand `y0`, to `y`. The second operand of a
//! product is an input; that of a convolution is its filter, a parameter, as it is one in the peers' programs.

use ir::{DType, Error, Init, Value};
use nn::functional::{ConvOptions, Padding, conv};
use nn::{Context, Layer, LayerNorm};

/// `tanh(1.1 x + 0.3) sigmoid(0.7 x) + exp(-x x)` of this many elements.
pub fn elementwise_chain(name: &str, elements: usize) -> Result<Context, Error> {
    unary(name, &[elements], |cx, x| {
        let [slope, offset, scale] = [1.1, 0.3, 0.7].map(|c| cx.float(DType::F32, c));
        let product = cx.mul(slope, x)?;
        let sum = cx.add(product, offset)?;
        let left = cx.tanh(sum)?;
        let scaled = cx.mul(scale, x)?;
        let right = cx.sigmoid(scaled)?;
        let square = cx.mul(x, x)?;
        let negative = cx.neg(square)?;
        let bell = cx.exp(negative)?;
        let gated = cx.mul(left, right)?;
        cx.add(gated, bell)
    })
}

/// Softmax over the last axis.
pub fn softmax(name: &str, shape: [usize; 2]) -> Result<Context, Error> {
    unary(name, &shape, |cx, x| cx.softmax(x, 1))
}

/// Layer normalisation over the last axis.
pub fn layer_norm(name: &str, shape: [usize; 2]) -> Result<Context, Error> {
    unary(name, &shape, |cx, x| LayerNorm::new(shape[1]).forward(cx, x))
}

/// The sum over an axis.
pub fn sum(name: &str, shape: [usize; 2], axis: usize) -> Result<Context, Error> {
    unary(name, &shape, |cx, x| cx.reduce_sum(x, &[axis], false))
}

/// `x[m, k] @ y0[k, n]`
pub fn product(name: &str, m: usize, n: usize, k: usize) -> Result<Context, Error> {
    unary(name, &[m, k], |cx, x| {
        let y = cx.input("y0", DType::F32, [k, n])?;
        cx.matmul(x, y)
    })
}

/// The convolution of images with `filters` filters of 3 by 3, which keeps their size. The images are an input; the filters
/// are a parameter, which is packed once and not in each run.
pub fn conv3x3(name: &str, images: [usize; 4], filters: usize) -> Result<Context, Error> {
    unary(name, &images, |cx, x| {
        let init = Init::Normal { mean: 0.0, deviation: 1.0, stream: 0 };
        let w = cx.parameter("y0", [filters, images[1], 3, 3], init)?;
        conv(cx, x, w, &ConvOptions { padding: Padding::even(&[1, 1]), ..ConvOptions::new(2) })
    })
}

/// What `build` makes of `x`, floats of this shape.
fn unary(
    name: &str,
    x: &[usize],
    build: impl FnOnce(&mut Context, Value) -> Result<Value, Error>,
) -> Result<Context, Error> {
    let mut cx = Context::new(name);
    let x = cx.input("x", DType::F32, x)?;
    let y = build(&mut cx, x)?;
    cx.output("y", y)?;
    Ok(cx)
}
