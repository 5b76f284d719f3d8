//! LeNet-5.

use ir::{Error, Value};

use super::{channels, features};
use crate::{Context, Conv2d, Flatten, Layer, Linear, MaxPool2d, Relu, init};

/// Two convolutions with a pool after each, three dense layers (Y. LeCun et al., "Gradient-based learning applied to
/// document recognition", 1998), with relu and maxima in the place of the paper's functions, as it is built today:
/// `conv1`, `conv2`, `fc1`, `fc2`, `fc3`.
///
/// Images of at least 12 by 12 are seen through filters of 5 by 5, which suits 28 by 28; smaller ones through 3 by 3, and
/// have one pool.
///
/// ```
/// use nn::{Context, Layer, models::LeNet};
/// let mut cx = Context::new("lenet");
/// let x = cx.input("x", ir::DType::F32, [128, 1, 28, 28])?;
/// let logits = LeNet::new(10).forward(&mut cx, x)?;
/// assert_eq!(cx.ty(logits).to_string(), "f32[128, 10]");
/// assert_eq!(cx.ty(cx.parameters()[4].value).to_string(), "f32[120, 400]"); // fc1.weight
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeNet {
    /// The number of logits.
    pub classes: usize,
}

impl LeNet {
    /// With this number of logits.
    pub fn new(classes: usize) -> LeNet {
        LeNet { classes }
    }
}

impl Layer for LeNet {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        let is_large = cx.shape(x).iter().skip(2).all(|&extent| extent >= 12);
        let (kernel, paddings) = if is_large { (5, [2, 0]) } else { (3, [1, 1]) };
        let mut x = x;
        for (number, (out, padding)) in (1..).zip([(6, paddings[0]), (16, paddings[1])]) {
            let conv = Conv2d::new(channels(cx, x), out, kernel).padding(padding);
            let conv = conv.clone().weight_init(init::he_uniform(conv.fan_in())).bias_init(init::zeros());
            x = cx.layer(format!("conv{number}"), &conv, x)?;
            x = cx.layer(format!("relu{number}"), &Relu, x)?;
            if number == 1 || is_large {
                x = cx.layer(format!("pool{number}"), &MaxPool2d::new(2), x)?;
            }
        }
        x = cx.layer("flatten", &Flatten, x)?;
        for (number, out) in (1..).zip([120, 84, self.classes]) {
            let inputs = features(cx, x);
            let fc = Linear::new(inputs, out).weight_init(init::he_uniform(inputs)).bias_init(init::zeros());
            x = cx.layer(format!("fc{number}"), &fc, x)?;
            if number < 3 {
                x = cx.layer(format!("relu{}", number + 2), &Relu, x)?;
            }
        }
        Ok(x)
    }
}
