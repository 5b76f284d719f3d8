//! Samples of a deep belief network: the two upper layers are a Boltzmann machine, from which a state is drawn by Gibbs sampling; each layer
//! below is drawn given the one above it (G. Hinton, S. Osindero and Y.-W. Teh, 2006, section 4).

use ir::{DType, Tensor};
use nn::models::rbm::bernoulli;
use nn::models::{Rbm, RbmWeights};
use nn::{Context, Mode};
use runtime::State;

use super::{Method, Pretrained};
use crate::{Error, Options, compile};

impl Pretrained {
    /// The means of the visible units of `count` samples of stacked Boltzmann machines, `f32[count, visible]`: each after `steps` steps of a
    /// chain in the uppermost machine, which starts at units that are 1 with probability 1/2. They depend on the seed and on
    /// nothing else.
    ///
    /// # Errors
    /// Where the layers are no Boltzmann machines, or there is nothing to draw.
    pub fn sample(&self, count: usize, steps: usize, seed: u64, options: &Options) -> Result<Tensor, Error> {
        let invalid = |problem: String, help| Error::invalid("sampling", problem, help);
        let Method::Rbm { .. } = self.method else {
            let help = "train layers by `Method::Rbm`, which say how likely each state is";
            return Err(invalid("the layers are autoencoders".into(), help));
        };
        if count == 0 || steps == 0 {
            return Err(invalid(format!("{count} chains of {steps} steps"), "ask for at least one of each"));
        }
        let mut cx = Context::with("belief_network", Mode::Infer, DType::F32);
        let samples = self.build_samples(&mut cx, count, steps)?;
        cx.output("samples", samples)?;
        let mut program = compile(&cx.finish(), options)?;
        let mut state = State::new(program.plan(), seed)?;
        for (number, layer) in self.layers.iter().enumerate() {
            let tensors = [
                ("weight", &layer.weight),
                ("hidden_bias", &layer.hidden_bias),
                ("visible_bias", &layer.visible_bias),
            ];
            for (name, tensor) in tensors {
                let name = format!("{}.{name}", scope(number));
                if state.contains(&name) {
                    state.set(&name, tensor)?;
                }
            }
        }
        program.run(&mut state, &[])?;
        Ok(program.outputs()[0].clone())
    }

    fn build_samples(&self, cx: &mut Context, count: usize, steps: usize) -> Result<ir::Value, ir::Error> {
        let mut machines = Vec::new();
        for (number, layer) in self.layers.iter().enumerate() {
            let [hidden, visible] = [layer.weight.shape()[0], layer.weight.shape()[1]];
            let units = if number == 0 { self.units } else { self.method.code_units() };
            let rbm = Rbm { units, ..Rbm::new(visible, hidden) };
            machines.push(cx.scope(scope(number), |cx| rbm.weights(cx))?);
        }
        let (top, below): (&RbmWeights, &[RbmWeights]) =
            machines.split_last().expect("there is at least one layer");
        let visible = cx.shape(top.visible_bias)[0];
        let half = cx.float(DType::F32, 0.5);
        let half = cx.broadcast(half, [count, visible])?;
        let start = bernoulli(cx, half)?;
        // The last step ends at the means that are asked for, or at a state of the layer between.
        let v = top.gibbs(cx, start, steps)?;
        let mut h = top.sample_hidden(cx, v)?;
        let mut means = top.visible_means(cx, h)?;
        for machine in below.iter().rev() {
            h = bernoulli(cx, means)?;
            means = machine.visible_means(cx, h)?;
        }
        Ok(means)
    }
}

/// The scope of a layer, counted from 0.
fn scope(number: usize) -> String {
    format!("layer{}", number + 1)
}
