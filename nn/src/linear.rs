//! The dense layer.

use ir::{Error, Init, Value};

use crate::{Context, Layer, init};

/// `y = x W^T + b`, with `x` of shape `[.., in]`, `weight` of `[out, in]` and `bias` of `[out]`, as PyTorch has
/// them.
///
/// Both start uniform on +-1/sqrt(in), PyTorch's default (which it writes as `kaiming_uniform_(a=sqrt(5))`).
///
/// ```
/// use ir::DType;
/// use nn::{Context, Linear, init};
/// let mut cx = Context::new("dense");
/// let x = cx.input("x", DType::F32, [32, 784])?;
/// let fc1 = Linear::new(784, 128).weight_init(init::he_uniform(784)).bias_init(init::zeros());
/// let y = cx.layer("fc1", &fc1, x)?;
/// assert_eq!(cx.ty(y).to_string(), "f32[32, 128]");
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    in_features: usize,
    out_features: usize,
    weight_init: Init,
    bias_init: Option<Init>,
}

impl Linear {
    /// A layer from `in_features` to `out_features` values.
    pub fn new(in_features: usize, out_features: usize) -> Linear {
        let init = init::uniform(1.0 / (in_features.max(1) as f64).sqrt());
        Linear { in_features, out_features, weight_init: init, bias_init: Some(init) }
    }

    /// With a weight that starts so. The stream of a random init is chosen by the context.
    pub fn weight_init(self, init: Init) -> Linear {
        Linear { weight_init: init, ..self }
    }

    /// With a bias that starts so.
    pub fn bias_init(self, init: Init) -> Linear {
        Linear { bias_init: Some(init), ..self }
    }

    /// Without a bias.
    pub fn without_bias(self) -> Linear {
        Linear { bias_init: None, ..self }
    }
}

impl Layer for Linear {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        let Linear { in_features, out_features, .. } = *self;
        let shape = cx.shape(x).clone();
        if shape.last() != Some(&in_features) || shape.rank() < 2 {
            let problem = format!("x is {}, the layer takes f32[.., {in_features}]", cx.ty(x));
            let help =
                format!("give rows of {in_features} values, or make it Linear::new(n, {out_features})");
            return Err(Error::new(format!("linear {}", cx.scoped("weight")), problem, help));
        }
        let weight = cx.parameter("weight", [out_features, in_features], self.weight_init)?;
        let bias = self.bias_init.map(|init| cx.parameter("bias", [out_features], init)).transpose()?;
        // Leading axes are rows of one product.
        let rows: usize = shape[..shape.rank() - 1].iter().product();
        let x = cx.reshape(x, [rows, in_features])?;
        let mut y = cx.matmul_transposed(x, weight, false, true)?;
        if let Some(bias) = bias {
            y = cx.add(y, bias)?;
        }
        let kept = shape[..shape.rank() - 1].iter().copied();
        cx.reshape(y, kept.chain([out_features]).collect::<ir::Shape>())
    }

    fn description(&self) -> String {
        format!("Linear {} -> {}", self.in_features, self.out_features)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::DType;

    #[test]
    fn rows_of_another_length_are_an_error_that_shows_both() {
        let mut cx = Context::new("g");
        let x = cx.input("x", DType::F32, [2, 5]).unwrap();
        let error = cx.scope("fc1", |cx| Linear::new(4, 3).forward(cx, x)).unwrap_err().to_string();
        let expected = "linear fc1.weight: x is f32[2, 5], the layer takes f32[.., 4]; give rows of 4 values";
        assert!(error.starts_with(expected), "{error}");
        let x = cx.input("v", DType::F32, [4]).unwrap();
        assert!(Linear::new(4, 3).forward(&mut cx, x).is_err());
    }

    #[test]
    fn leading_axes_stay() {
        let mut cx = Context::new("g");
        let x = cx.input("x", DType::F32, [2, 5, 4]).unwrap();
        let y = Linear::new(4, 3).without_bias().forward(&mut cx, x).unwrap();
        assert_eq!(cx.ty(y).to_string(), "f32[2, 5, 3]");
        assert_eq!(cx.parameters().len(), 1);
    }
}
