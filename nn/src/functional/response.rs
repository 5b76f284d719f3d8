//! Local response normalisation.

use ir::ops::Windows;
use ir::{Builder, Error, Value};

/// `x / (k + alpha / size * s)^beta`, where `s` is the sum of squares over `size` neighbouring channels, of which half are before
/// (A. Krizhevsky et al., "ImageNet classification with deep convolutional neural networks", 2012, section 3.3, with alpha
/// divided by the size as PyTorch has it; AlexNet's own settings are there size 5, alpha 5e-4, beta 0.75, k 2). `x` is
/// `[batch, channels, ..]`, floats.
///
/// ```
/// let mut b = ir::Builder::new("response");
/// let x = b.input("x", ir::DType::F32, [8, 96, 55, 55])?;
/// let y = nn::functional::local_response_norm(&mut b, x, 5, 5e-4, 0.75, 2.0)?;
/// assert_eq!(b.shape(y), b.shape(x));
/// # Ok::<(), ir::Error>(())
/// ```
///
/// # Errors
/// Where `x` has no channels or holds no floats, or the size is 0.
pub fn local_response_norm(
    b: &mut Builder,
    x: Value,
    size: usize,
    alpha: f64,
    beta: f64,
    k: f64,
) -> Result<Value, Error> {
    b.check("local_response_norm", &[x])?;
    let shape = b.shape(x).clone();
    if shape.rank() < 2 || size == 0 || !b.dtype(x).is_float() {
        let problem = format!("x is {}, the size is {size}", b.ty(x));
        return Err(Error::new(
            "local_response_norm",
            problem,
            "give floats of [batch, channels, ..] and a size above 0",
        ));
    }
    // A sum over windows along all axes but the batch, of one element along all but the channels.
    let axes = shape.rank() - 1;
    let (mut sizes, mut low) = (vec![1; axes], vec![0; axes]);
    (sizes[0], low[0]) = (size, (size / 2) as i64);
    let squares = b.square(x)?;
    let image = b.reshape(squares, [&[shape[0], 1, 1], &shape[1..]].concat().as_slice())?;
    let one = b.float_like(x, 1.0);
    let ones = b.broadcast(one, [&[1, 1, 1], &sizes[..]].concat().as_slice())?;
    let sums = b.conv(image, ones, &Windows::new(axes).low(&low), &shape[1..])?;
    let sums = b.reshape(sums, shape)?;
    let [scale, k, exponent] = [alpha / size as f64, k, -beta].map(|number| b.float_like(x, number));
    b.eval(x * (sums * scale + k).pow(exponent))
}
