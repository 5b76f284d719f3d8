//! Larger images.

use ir::{Error, Value};

use crate::functional::{Interpolation, resize};
use crate::{Context, Layer};

/// `[batch, channels, height, width]` with each side `factor` times as long: [`resize()`].
///
/// ```
/// use nn::{Context, Layer, Upsample};
/// let mut cx = Context::new("up");
/// let x = cx.input("x", ir::DType::F32, [8, 16, 7, 5])?;
/// let y = Upsample::bilinear(2).forward(&mut cx, x)?;
/// assert_eq!(cx.ty(y).to_string(), "f32[8, 16, 14, 10]");
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upsample {
    /// By how much each side becomes longer.
    pub factor: usize,
    /// What is between the elements.
    pub how: Interpolation,
}

impl Upsample {
    /// Each element becomes a square.
    pub fn nearest(factor: usize) -> Upsample {
        Upsample { factor, how: Interpolation::Nearest }
    }

    /// On lines between the elements, with the outer edges where they were.
    pub fn bilinear(factor: usize) -> Upsample {
        Upsample { factor, how: Interpolation::Linear { align_corners: false } }
    }
}

impl Layer for Upsample {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        let extents: Vec<usize> = cx.shape(x).iter().skip(2).map(|extent| extent * self.factor).collect();
        resize(cx, x, &extents, self.how)
    }

    fn description(&self) -> String {
        format!("Upsample {}", self.factor)
    }
}
