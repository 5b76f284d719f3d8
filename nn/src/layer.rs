//! What a layer is, and layers one after the other.

use ir::{Error, Value};

use crate::Context;

/// A part of a model with one input and one output. It is a description: `forward` makes its parameters, in the scope
/// that is open, and its ops. Threads may share it.
pub trait Layer: Send + Sync {
    /// Builds the layer on `x`.
    ///
    /// # Errors
    /// Where `x` is of a type that the layer does not take, or the scope has parameters of its names already.
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error>;

    /// What a reader of a table of layers sees of it: the name of the type, unless it says more.
    fn description(&self) -> String {
        let path = std::any::type_name::<Self>().split('<').next().unwrap_or_default();
        path.rsplit("::").next().unwrap_or_default().to_owned()
    }
}

impl<T: Layer + ?Sized> Layer for &T {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        (**self).forward(cx, x)
    }

    fn description(&self) -> String {
        (**self).description()
    }
}

impl<T: Layer + ?Sized> Layer for Box<T> {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        (**self).forward(cx, x)
    }

    fn description(&self) -> String {
        (**self).description()
    }
}

/// Layers of which each takes what the one before it gives.
///
/// Layer `i` is in scope `i`, so that parameters are called as in PyTorch; outside of all scopes, where a name cannot
/// begin with a digit, in scope `layers.i`.
///
/// ```
/// use ir::DType;
/// use nn::{Context, Layer, Linear, Sequential, Tanh};
/// let model = Sequential::new().add(Linear::new(4, 8)).add(Tanh).add(Linear::new(8, 1));
/// let mut cx = Context::new("model");
/// let x = cx.input("x", DType::F32, [5, 4])?;
/// let y = model.forward(&mut cx, x)?;
/// assert_eq!(cx.ty(y).to_string(), "f32[5, 1]");
/// assert_eq!(cx.parameters()[2].name, "layers.2.weight");
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Default)]
pub struct Sequential {
    layers: Vec<Box<dyn Layer>>,
}

impl Sequential {
    /// No layers yet: the identity.
    pub fn new() -> Sequential {
        Sequential::default()
    }

    /// These layers and then `layer`.
    #[expect(clippy::should_implement_trait, reason = "it appends, as `add` of containers does")]
    pub fn add(mut self, layer: impl Layer + 'static) -> Sequential {
        self.layers.push(Box::new(layer));
        self
    }
}

impl Layer for Sequential {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        let is_root = cx.is_at_root();
        let scope = |index: usize| if is_root { format!("layers.{index}") } else { index.to_string() };
        let mut layers = self.layers.iter().enumerate();
        layers.try_fold(x, |x, (index, layer)| cx.layer(scope(index), layer, x))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Linear;
    use ir::DType;

    #[test]
    fn names_of_nested_layers_are_those_of_pytorch() {
        let inner = Sequential::new().add(Linear::new(3, 3));
        let model = Sequential::new().add(Linear::new(2, 3)).add(inner);
        let mut cx = Context::new("g");
        let x = cx.input("x", DType::F32, [1, 2]).unwrap();
        model.forward(&mut cx, x).unwrap();
        assert_eq!(cx.parameters()[2].name, "layers.1.0.weight");
    }

    #[test]
    fn no_layers_are_the_identity() {
        let mut cx = Context::new("g");
        let x = cx.input("x", DType::F32, [1, 2]).unwrap();
        assert_eq!(Sequential::new().forward(&mut cx, x).unwrap(), x);
    }
}
