//! What the players of a generative adversarial network make small, as means over rows. `D(x)` is the discriminator's score of a
//! row, `G(z)` a row made of noise, and `softplus(s) = log(1 + exp(s))`.

use ir::{Error, Value};

use super::Divergence;
use crate::{Activation, Context};

/// Which game the two play. Scores have no bounds; where a paper's discriminator gives a probability, that is their sigmoid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Objective {
    /// I. Goodfellow et al., "Generative adversarial nets", 2014, equation 1:
    /// the discriminator makes `softplus(-D(x)) + softplus(D(G(z)))` small, the generator `-softplus(D(G(z)))`.
    Minimax,
    /// The same with the generator's loss of section 3, which does not vanish where the discriminator is sure:
    /// `softplus(-D(G(z)))`.
    NonSaturating,
    /// M. Arjovsky et al., "Wasserstein GAN", 2017, algorithm 1: `D(G(z)) - D(x)` and `-D(G(z))`, where each weight of the
    /// critic is moved into `-bound..bound` after each of its steps. The paper's bound is 0.01.
    WeightClipping {
        /// The greatest size of a weight.
        bound: f64,
    },
    /// I. Gulrajani et al., "Improved training of Wasserstein GANs", 2017, equation 3: `D(G(z)) - D(x) + weight (|grad D(u)| - 1)^2`
    /// with `u` uniform on the line from `x` to `G(z)`, and `-D(G(z))`. The paper's weight is 10.
    GradientPenalty {
        /// How much the penalty counts.
        weight: f64,
    },
    /// T. Miyato et al., "Spectral normalization for generative adversarial networks", 2018, equations 16 and 17, and A. Brock et
    /// al., "Large scale GAN training for high fidelity natural image synthesis", 2019: `relu(1 - D(x)) + relu(1 + D(G(z)))` and
    /// `-D(G(z))`.
    Hinge,
    /// S. Nowozin et al., "f-GAN", 2016, equation 6, with `T(x) = g(D(x))`: `-T(x) + f*(T(G(z)))` and `-f*(T(G(z)))`.
    Divergence(Divergence),
}

impl Objective {
    /// Those of one divergence each, with the settings of their papers.
    pub const ALL: [Objective; 5] = [
        Objective::Minimax,
        Objective::NonSaturating,
        Objective::WeightClipping { bound: 0.01 },
        Objective::GradientPenalty { weight: 10.0 },
        Objective::Hinge,
    ];

    /// The Wasserstein distance with the gradient penalty of the paper's weight, 10.
    pub fn wgan_gp() -> Objective {
        Objective::GradientPenalty { weight: 10.0 }
    }

    /// What the discriminator makes small, but for a penalty: `f32[]`, of its scores of rows and of made rows.
    ///
    /// # Errors
    /// Where the scores are no floats.
    pub fn discriminator_loss(self, cx: &mut Context, real: Value, made: Value) -> Result<Value, Error> {
        match self {
            Objective::Minimax | Objective::NonSaturating => {
                let negative = cx.eval(-real)?;
                let [missed, mistaken] = [softplus(cx, negative)?, softplus(cx, made)?];
                cx.eval(missed.mean_all() + mistaken.mean_all())
            }
            Objective::WeightClipping { .. } | Objective::GradientPenalty { .. } => {
                cx.eval(made.mean_all() - real.mean_all())
            }
            Objective::Hinge => cx.eval((1.0 - real).relu().mean_all() + (1.0 + made).relu().mean_all()),
            Objective::Divergence(divergence) => {
                let [real, made] =
                    [divergence.activation(cx, real)?, divergence.conjugate_of_score(cx, made)?];
                cx.eval(made.mean_all() - real.mean_all())
            }
        }
    }

    /// What the generator makes small: `f32[]`, of the scores of made rows.
    ///
    /// # Errors
    /// As [`Objective::discriminator_loss`].
    pub fn generator_loss(self, cx: &mut Context, made: Value) -> Result<Value, Error> {
        let gained = match self {
            Objective::Minimax => softplus(cx, made)?,
            Objective::NonSaturating => {
                let negative = cx.eval(-made)?;
                let missed = softplus(cx, negative)?;
                return cx.eval(missed.mean_all());
            }
            Objective::WeightClipping { .. } | Objective::GradientPenalty { .. } | Objective::Hinge => made,
            Objective::Divergence(divergence) => divergence.conjugate_of_score(cx, made)?,
        };
        cx.eval(-gained.mean_all())
    }

    /// How far made rows are from those of the data as far as this discriminator can tell: its loss without a penalty, negated,
    /// `f32[]`. It is a bound from below on the distance or divergence that the objective stands for, up to constants, and
    /// worth as much as the discriminator is.
    ///
    /// # Errors
    /// As [`Objective::discriminator_loss`].
    pub fn distance(self, cx: &mut Context, real: Value, made: Value) -> Result<Value, Error> {
        let loss = self.discriminator_loss(cx, real, made)?;
        cx.neg(loss)
    }

    /// The bound on the weights of the critic, where there is one.
    pub fn weight_bound(self) -> Option<f64> {
        match self {
            Objective::WeightClipping { bound } => Some(bound),
            _ => None,
        }
    }

    /// How much the gradient penalty counts, where there is one.
    pub fn penalty_weight(self) -> Option<f64> {
        match self {
            Objective::GradientPenalty { weight } => Some(weight),
            _ => None,
        }
    }
}

/// `log(1 + exp(x))` of each element.
pub(super) fn softplus(cx: &mut Context, x: Value) -> Result<Value, Error> {
    Activation::Softplus.apply(cx, x)
}
