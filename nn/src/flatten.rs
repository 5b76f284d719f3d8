//! All axes after the first as one.

use ir::{Error, Value};

use crate::{Context, Layer};

/// `[batch, ..]` as `[batch, elements of a row]`, in row-major order.
///
/// ```
/// use nn::{Context, Flatten, Layer};
/// let mut cx = Context::new("flat");
/// let x = cx.input("x", ir::DType::F32, [8, 1, 28, 28])?;
/// let y = Flatten.forward(&mut cx, x)?;
/// assert_eq!(cx.shape(y)[..], [8, 784]);
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flatten;

impl Layer for Flatten {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        let shape = cx.shape(x);
        let Some(&rows) = shape.first() else {
            let problem = format!("x is {}", cx.ty(x));
            return Err(Error::new("flatten", problem, "give x of [batch, ..]"));
        };
        let elements = shape[1..].iter().product();
        cx.reshape(x, [rows, elements])
    }
}
