//! The restricted Boltzmann machine: a layer of visible and a layer of hidden units, joined by weights between the two layers alone.
//!
//! | module | what it holds |
//! |---|---|
//! | `weights` | energy, free energy, and the distribution of either layer given the other |
//! | `gibbs` | samples of the layers, and chains of them |
//! | `pseudo_likelihood` | how well each unit is told from all others |
//! | `partition` | the logarithm of the partition function, by enumeration |

mod gibbs;
mod partition;
mod pseudo_likelihood;
mod weights;

use ir::{Error, Init, Value};

pub use gibbs::{bernoulli, next_key};
pub use partition::MOST_ENUMERATED;
pub use weights::{RbmWeights, VisibleUnits};

use crate::activation::softplus_parts;
use crate::supervised::ROWS;
use crate::{Context, Network, Outputs, Sampler, init};

pub use super::latent::{CODE, RECONSTRUCTION};
/// The name of the metric: see [`Rbm`].
pub const RECONSTRUCTION_ERROR: &str = "reconstruction_error";
/// The name of the metric: see [`Rbm`].
pub const FREE_ENERGY: &str = "free_energy";
/// The name of the metric: see [`Rbm`].
pub const PSEUDO_LOG_LIKELIHOOD: &str = "pseudo_log_likelihood";
/// The state that holds persistent chains, `[chains, visible]`.
pub const CHAINS: &str = "chains";

/// The deviation of the weights at first (G. Hinton, "A practical guide to training restricted Boltzmann machines", 2010,
/// section 8).
const INITIAL_DEVIATION: f64 = 0.01;

/// Where the chains start whose ends stand for samples of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain {
    /// At the rows of the batch, anew in each step: contrastive divergence, CD-k (G. Hinton, "Training products of experts by
    /// minimizing contrastive divergence", 2002).
    Contrastive {
        /// Steps of a chain: k.
        steps: usize,
    },
    /// Where they ended in the step before (T. Tieleman, "Training restricted Boltzmann machines using approximations to the
    /// likelihood gradient", 2008); with all visible units 0 at first.
    Persistent {
        /// The number of chains.
        chains: usize,
        /// By how many steps they go on in a step of training.
        steps: usize,
    },
}

/// A restricted Boltzmann machine as a [`Network`], of which a step of training follows an estimate of the gradient of the likelihood.
///
/// Its input is `x`, `[rows, visible]`: for binary units from 0 to 1 (a number between is the probability of a 1), for Gaussian ones
/// standardised values. Its parameters are `weight`, `[hidden, visible]`, `hidden_bias` and `visible_bias`; [`RbmWeights`] says what
/// they mean. As a [`Sampler`] it gives the means of the visible units at the ends of chains that start at fair coins, or, of Gaussian
/// units, at noise. Its results are `code`, `P(h = 1 | x)`, and `reconstruction`, `E(v | h = code)`.
///
/// In training, its loss is the mean [free energy](RbmWeights::free_energy) of the rows less that of the ends of [chains](Chain). No gradient
/// flows into the ends, so the gradient of the loss is the estimate that contrastive divergence makes, with hidden units at their
/// means; the loss itself says how far apart data and samples are, and is 0 where they are alike. In use nothing is drawn: there
/// the loss is the negative pseudo-log-likelihood of binary units, and the reconstruction error of Gaussian ones.
///
/// Its metrics, means over the rows in nats or squares of all units:
///
/// - `reconstruction_error`: the cross entropy of x and its reconstruction, or, of Gaussian units, the squared error;
/// - `free_energy`: that of the rows;
/// - `pseudo_log_likelihood`, of binary units: the sum over all of `log P(x_i | the others)`. Training estimates it from one unit of each
///   row, drawn at random; use goes through all.
///
/// ```
/// use nn::{Sgd, models::Rbm, network::training_graph};
/// let machine = Rbm::new(64, 100).persistent(100, 1);
/// let step = training_graph("rbm", &machine, 32, &Sgd::new(0.05))?;
/// let states: Vec<&str> = step.states().filter_map(|(_, node)| node.name.as_deref()).collect();
/// assert_eq!(states[..3], ["weight", "hidden_bias", "visible_bias"]);
/// assert!(states.contains(&"chains"));
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Rbm {
    /// The number of visible units.
    pub visible: usize,
    /// The number of hidden units, which are binary.
    pub hidden: usize,
    /// What the visible units are.
    pub units: VisibleUnits,
    /// Where samples of the model come from.
    pub chain: Chain,
}

impl Rbm {
    /// Of binary units, trained by contrastive divergence with chains of one step.
    pub fn new(visible: usize, hidden: usize) -> Rbm {
        Rbm { visible, hidden, units: VisibleUnits::Binary, chain: Chain::Contrastive { steps: 1 } }
    }

    /// With Gaussian visible units of variance 1.
    pub fn gaussian(self) -> Rbm {
        Rbm { units: VisibleUnits::Gaussian, ..self }
    }

    /// Trained by contrastive divergence with chains of so many steps.
    pub fn contrastive(self, steps: usize) -> Rbm {
        Rbm { chain: Chain::Contrastive { steps }, ..self }
    }

    /// Trained with so many persistent chains, which a step moves on by `steps`.
    pub fn persistent(self, chains: usize, steps: usize) -> Rbm {
        Rbm { chain: Chain::Persistent { chains, steps }, ..self }
    }

    /// Its parameters, made in the open scope.
    ///
    /// # Errors
    /// Where a layer has no units, or the scope has parameters of these names.
    pub fn weights(&self, cx: &mut Context) -> Result<RbmWeights, Error> {
        let start = init::normal(INITIAL_DEVIATION);
        RbmWeights::made(cx, self.units, [self.visible, self.hidden], start)
    }

    /// The ends of the chains, `[chains, visible]`.
    fn samples(&self, cx: &mut Context, weights: &RbmWeights, x: Value) -> Result<Value, Error> {
        let (Chain::Contrastive { steps } | Chain::Persistent { steps, .. }) = self.chain;
        let chains = if let Chain::Persistent { chains, .. } = self.chain { chains } else { 1 };
        if steps == 0 || chains == 0 {
            let problem = format!("it has {chains} chains of {steps} steps");
            return Err(Error::new(cx.scoped("rbm"), problem, "give at least one of each"));
        }
        let Chain::Persistent { chains, .. } = self.chain else { return weights.gibbs(cx, x, steps) };
        let before = cx.buffer(CHAINS, [chains, self.visible], Init::Constant(0.0))?;
        let after = weights.gibbs(cx, before, steps)?;
        cx.update(before, after)?;
        Ok(after)
    }

    /// What it makes of rows `x`, `[rows, visible]`, with these parameters, as [`Rbm`] says. States of chains are made in the open scope.
    pub(crate) fn outputs(&self, cx: &mut Context, weights: &RbmWeights, x: Value) -> Result<Outputs, Error> {
        let code = weights.hidden_means(cx, x)?;
        let field = weights.visible_fields(cx, code)?;
        let reconstruction = weights.visible_means(cx, code)?;
        let outputs = Outputs::new().result(CODE, code).result(RECONSTRUCTION, reconstruction);
        let energies = weights.free_energy(cx, x)?;
        let energy = cx.eval(energies.mean_all())?;
        let error = weights.reconstruction_error(cx, field, x)?;
        let outputs = outputs.metric(RECONSTRUCTION_ERROR, error).metric(FREE_ENERGY, energy);
        let pseudo = match self.units {
            VisibleUnits::Gaussian => None,
            VisibleUnits::Binary if cx.is_training() => {
                Some(weights.drawn_pseudo_log_likelihood(cx, x, energies)?)
            }
            VisibleUnits::Binary => Some(weights.pseudo_log_likelihood(cx, x)?),
        };
        let outputs = match pseudo {
            Some(pseudo) => outputs.metric(PSEUDO_LOG_LIKELIHOOD, pseudo),
            None => outputs,
        };
        if cx.is_training() {
            let samples = self.samples(cx, weights, x)?;
            let samples = cx.stop_gradient(samples)?;
            let of_samples = weights.free_energy(cx, samples)?;
            let loss = cx.eval(energy - of_samples.mean_all())?;
            return Ok(outputs.loss(loss));
        }
        let loss = match pseudo {
            Some(pseudo) => cx.neg(pseudo)?,
            None => error,
        };
        Ok(outputs.loss(loss))
    }
}

impl Network for Rbm {
    fn build(&self, cx: &mut Context, rows: usize) -> Result<Outputs, Error> {
        let weights = self.weights(cx)?;
        let dtype = cx.dtype(weights.weight);
        let x = cx.input(ROWS, dtype, [rows, self.visible])?;
        Ok(self.outputs(cx, &weights, x)?.of_domain(ROWS, self.units.domain()))
    }
}

impl Sampler for Rbm {
    fn draw_rows(&self, cx: &mut Context, chains: usize, steps: usize) -> Result<Value, Error> {
        self.weights(cx)?.draw_means(cx, chains, steps)
    }
}

/// `log(1 + exp(x))` of each element.
fn softplus(cx: &mut Context, x: Value) -> Result<Value, Error> {
    let (positive, log) = softplus_parts(cx, x)?;
    cx.eval(positive + log)
}

#[cfg(test)]
mod tests;
