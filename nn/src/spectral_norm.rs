//! Spectral normalisation: layers whose weights have a spectral norm of 1.

use ir::{Error, Value};

use crate::{Context, Layer};

/// A layer, or a whole model, in which every parameter called `weight` of two axes or more is divided by its spectral norm, the
/// greatest singular value of the matrix `W` of `[first extent, product of the others]` (T. Miyato et al., "Spectral
/// normalization for generative adversarial networks", 2018, algorithm 1). So each of these layers is about 1-Lipschitz; what
/// else is in the model counts besides.
///
/// In training each step does one step of the power iteration from the buffer `weight_u`, which starts standard normal:
///
/// ```text
/// v = W^T u / |W^T u|,  u = W v / |W v|,  norm = u^T W v
/// ```
///
/// No gradient goes through `u` and `v`, and where a layer is applied several times in a step, all see one norm. In use, where no
/// state changes, the norm is `|W^T u| / |u|`.
///
/// ```
/// use nn::{Context, Layer, Relu, SpectralNorm, models::Mlp};
/// let critic = SpectralNorm::new(Mlp::new(&[2, 64, 1], Relu));
/// let mut cx = Context::training("critic");
/// let x = cx.input("x", ir::DType::F32, [32, 2])?;
/// let score = critic.forward(&mut cx, x)?;
/// assert_eq!(cx.ty(score).to_string(), "f32[32, 1]");
/// assert!(cx.graph().find("fc1.weight_u").is_some());
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpectralNorm<L> {
    /// What is normalised.
    pub layer: L,
}

impl<L: Layer> SpectralNorm<L> {
    /// Around a layer.
    pub fn new(layer: L) -> SpectralNorm<L> {
        SpectralNorm { layer }
    }
}

impl<L: Layer> Layer for SpectralNorm<L> {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        cx.with_spectral_norm(|cx| self.layer.forward(cx, x))
    }

    fn description(&self) -> String {
        format!("SpectralNorm {}", self.layer.description())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ir::{DType, Tensor};

    use super::*;
    use crate::{Linear, Optimizer, Sgd};

    /// The columns of the layer's weight, as unit vectors see them, with states as they are.
    fn through(cx: Context, x: &Tensor, states: &BTreeMap<String, Tensor>) -> ir::eval::Evaluation {
        let inputs = [("x".to_owned(), x.clone())].into();
        let bindings = ir::eval::Bindings { inputs, states: states.clone(), ..Default::default() };
        ir::eval::evaluate(&cx.finish(), &bindings).unwrap()
    }

    fn context(is_training: bool) -> Context {
        let mut cx = if is_training { Context::training("g") } else { Context::new("g") };
        let x = cx.input("x", DType::F32, [2, 2]).unwrap();
        let layer = SpectralNorm::new(Linear::new(2, 2).without_bias());
        let y = cx.layer("fc", &layer, x).unwrap();
        let again = cx.shared("fc", &layer, x).unwrap();
        cx.output("y", y).unwrap();
        cx.output("again", again).unwrap();
        cx
    }

    #[test]
    fn a_few_steps_find_the_greatest_singular_value_and_use_keeps_it() {
        let unit = Tensor::new([2, 2], vec![1.0f32, 0.0, 0.0, 1.0]).unwrap();
        // Singular values 4 and 2: a rotation by 45 degrees of diag(4, 2).
        let root = std::f32::consts::FRAC_1_SQRT_2;
        let weight = [4.0 * root, -2.0 * root, 4.0 * root, 2.0 * root];
        let weight = Tensor::new([2, 2], weight.to_vec()).unwrap();
        let mut states: BTreeMap<String, Tensor> = [("fc.weight".to_owned(), weight)].into();
        for _ in 0..20 {
            let after = through(context(true), &unit, &states).states;
            states.extend(after);
        }
        for is_training in [true, false] {
            let outputs = through(context(is_training), &unit, &states).outputs;
            assert_eq!(outputs["y"], outputs["again"]);
            let y = outputs["y"].as_slice::<f32>().unwrap();
            // y = W^T / 4.
            for (y, expected) in y.iter().zip([root, root, -0.5 * root, 0.5 * root]) {
                assert!((y - expected).abs() < 1e-5, "{y}, {expected}");
            }
        }
    }

    #[test]
    fn the_weight_itself_is_what_optimizers_move() {
        let mut cx = context(true);
        let y = cx.graph().outputs[0].value;
        let loss = cx.eval(y.square().mean_all()).unwrap();
        Sgd::new(0.1).step(&mut cx, loss).unwrap();
        let graph = cx.finish();
        let updated: Vec<&str> =
            graph.updates.iter().filter_map(|update| graph.node(update.state).name.as_deref()).collect();
        assert_eq!(updated, ["fc.weight_u", "fc.weight"]);
    }
}
