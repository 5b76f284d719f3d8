//! Shortcuts around layers.

use ir::{Error, Value};

use crate::{Context, Layer};

/// `body(x) + x`, or `body(x) + projection(x)` where the body changes the shape (K. He et al., "Deep residual learning for image
/// recognition", 2016). The body is in scope `body`, the projection in scope `shortcut`.
///
/// ```
/// use nn::{Context, Conv2d, Layer, Residual};
/// let mut cx = Context::new("block");
/// let x = cx.input("x", ir::DType::F32, [8, 16, 14, 14])?;
/// let x = cx.layer("block1", &Residual::new(Conv2d::new(16, 16, 3).padding(1)), x)?;
/// let wider = Residual::new(Conv2d::new(16, 32, 3).stride(2).padding(1));
/// let y = cx.layer("block2", &wider.projection(Conv2d::new(16, 32, 1).stride(2)), x)?;
/// assert_eq!(cx.ty(y).to_string(), "f32[8, 32, 7, 7]");
/// # Ok::<(), ir::Error>(())
/// ```
pub struct Residual {
    body: Box<dyn Layer>,
    projection: Option<Box<dyn Layer>>,
}

impl Residual {
    /// A shortcut that is the identity.
    pub fn new(body: impl Layer + 'static) -> Residual {
        Residual { body: Box::new(body), projection: None }
    }

    /// With this layer on the shortcut.
    pub fn projection(self, projection: impl Layer + 'static) -> Residual {
        Residual { projection: Some(Box::new(projection)), ..self }
    }
}

impl Layer for Residual {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        let y = cx.layer("body", &self.body, x)?;
        let shortcut = match &self.projection {
            None => x,
            Some(projection) => cx.layer("shortcut", projection, x)?,
        };
        if cx.ty(y) != cx.ty(shortcut) {
            let problem = format!("the body gives {}, the shortcut {}", cx.ty(y), cx.ty(shortcut));
            let help = "make the body keep the shape of x, or give a projection that changes it alike";
            return Err(Error::new(format!("residual {}", cx.scoped("body")), problem, help));
        }
        cx.add(y, shortcut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Linear;
    use ir::DType;

    #[test]
    fn a_body_that_changes_the_shape_needs_a_projection() {
        let mut cx = Context::new("g");
        let x = cx.input("x", DType::F32, [2, 3]).unwrap();
        assert_eq!(
            cx.layer("block1", &Residual::new(Linear::new(3, 4)), x).unwrap_err().to_string(),
            "residual block1.body: the body gives f32[2, 4], the shortcut f32[2, 3]; \
             make the body keep the shape of x, or give a projection that changes it alike"
        );
        let projected = Residual::new(Linear::new(3, 4)).projection(Linear::new(3, 4));
        assert!(cx.layer("block2", &projected, x).is_ok());
    }
}
