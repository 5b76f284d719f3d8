//! What optimizers, losses and schedules are called on the command line, and what they are.

use clap::ValueEnum;
use nn::{AdaMax, Adagrad, Adam, AdamW, Lamb, Lion, Loss, Optimizer, RmsProp, Sgd};
use nnc::data::{Dataset, Normalisation};
use serde::{Deserialize, Serialize};

/// The momentum of `momentum`, `nesterov` and `average`.
const MOMENTUM: f64 = 0.9;

/// A rule by which weights follow their gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerName {
    /// Stochastic gradient descent; learning rate 0.1
    Sgd,
    /// The same with a heavy ball of momentum 0.9; learning rate 0.02
    Momentum,
    /// The same with Nesterov's momentum 0.9; learning rate 0.02
    Nesterov,
    /// The same along an exponential average of gradients, which forgets a tenth per step; learning rate 0.1
    Average,
    /// RMSProp; learning rate 0.001
    Rmsprop,
    /// Adagrad; learning rate 0.02
    Adagrad,
    /// Adam; learning rate 0.005
    Adam,
    /// Adam with decoupled weight decay; learning rate 0.005
    Adamw,
    /// Adam with the greatest gradient in the place of the root mean square; learning rate 0.005
    Adamax,
    /// Adam with steps in proportion to the norm of each weight, for large batches; learning rate 0.01
    Lamb,
    /// Steps of one size along the sign of an average of gradients; learning rate 0.0005
    Lion,
}

impl OptimizerName {
    /// The learning rate where none is given.
    pub fn default_rate(self) -> f64 {
        match self {
            OptimizerName::Sgd | OptimizerName::Average => 0.1,
            OptimizerName::Momentum | OptimizerName::Nesterov | OptimizerName::Adagrad => 0.02,
            OptimizerName::Rmsprop => 1e-3,
            OptimizerName::Adam | OptimizerName::Adamw | OptimizerName::Adamax => 5e-3,
            OptimizerName::Lamb => 0.01,
            OptimizerName::Lion => 5e-4,
        }
    }

    /// The weight decay where none is given.
    pub fn default_decay(self) -> f64 {
        if matches!(self, OptimizerName::Adamw | OptimizerName::Lamb) { 0.01 } else { 0.0 }
    }

    /// Whether it follows an average of gradients whose decay is `beta1`.
    pub fn has_beta1(self) -> bool {
        use OptimizerName::{Adam, Adamax, Adamw, Lamb, Lion};
        matches!(self, Adam | Adamw | Adamax | Lamb | Lion)
    }

    /// The rule with these settings; `beta1` is the rule's own where there is none.
    pub fn build(self, rate: f64, weight_decay: f64, beta1: Option<f64>) -> Box<dyn Optimizer> {
        let sgd = Sgd::new(rate).weight_decay(weight_decay);
        match self {
            OptimizerName::Sgd => Box::new(sgd),
            OptimizerName::Momentum => Box::new(sgd.momentum(MOMENTUM)),
            OptimizerName::Nesterov => Box::new(sgd.momentum(MOMENTUM).nesterov()),
            OptimizerName::Average => Box::new(sgd.average(MOMENTUM)),
            OptimizerName::Rmsprop => Box::new(RmsProp::new(rate).weight_decay(weight_decay)),
            OptimizerName::Adagrad => Box::new(Adagrad::new(rate).weight_decay(weight_decay)),
            OptimizerName::Adam => {
                let adam = Adam::new(rate).weight_decay(weight_decay);
                Box::new(Adam { beta1: beta1.unwrap_or(adam.beta1), ..adam })
            }
            OptimizerName::Adamw => {
                let AdamW(adam) = AdamW::new(rate).weight_decay(weight_decay);
                Box::new(AdamW(Adam { beta1: beta1.unwrap_or(adam.beta1), ..adam }))
            }
            OptimizerName::Adamax => {
                let adamax = AdaMax::new(rate).weight_decay(weight_decay);
                Box::new(AdaMax { beta1: beta1.unwrap_or(adamax.beta1), ..adamax })
            }
            OptimizerName::Lamb => {
                let Lamb(adam) = Lamb::new(rate).weight_decay(weight_decay);
                Box::new(Lamb(Adam { beta1: beta1.unwrap_or(adam.beta1), ..adam }))
            }
            OptimizerName::Lion => {
                let lion = Lion::new(rate).weight_decay(weight_decay);
                Box::new(Lion { beta1: beta1.unwrap_or(lion.beta1), ..lion })
            }
        }
    }
}

/// What is minimised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossName {
    /// Of classes: the negative log of the probability of the right one
    CrossEntropy,
    /// Of classes: how far the others come within a margin of 1 of the right one
    Hinge,
    /// Of classes: how far the right one is behind the greatest
    Perceptron,
    /// Of values: the square of the difference
    SquaredError,
    /// Of values: the magnitude of the difference
    AbsoluteError,
    /// Of values: squared up to a difference of 1, linear beyond
    Huber,
    /// Of values from 0 to 1: the negative log of the probability of the target
    BinaryCrossEntropy,
}

impl LossName {
    /// The loss; the weights of classes are for cross entropy.
    pub fn build(self, class_weights: Vec<f64>) -> Loss {
        match self {
            LossName::CrossEntropy => Loss::CrossEntropy { class_weights, label_smoothing: 0.0 },
            LossName::Hinge => Loss::MultiClassHinge,
            LossName::Perceptron => Loss::MultiClassPerceptron,
            LossName::SquaredError => Loss::SquaredError,
            LossName::AbsoluteError => Loss::AbsoluteError,
            LossName::Huber => Loss::Huber { delta: 1.0 },
            LossName::BinaryCrossEntropy => Loss::BinaryCrossEntropy,
        }
    }

    /// The name of a loss, where it has one.
    pub fn of(loss: &Loss) -> Option<LossName> {
        LossName::value_variants().iter().copied().find(|name| name.build(Vec::new()) == *loss)
    }

    /// What the option has to be to get it.
    pub fn text(self) -> String {
        self.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned())
    }
}

/// How the learning rate changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleName {
    /// Not at all
    Constant,
    /// To a tenth after each third of the run
    Step,
    /// Along half a cosine to 0 at the end of the run
    Cosine,
    /// To 0.3 of itself when more than two epochs in a row were no better
    Plateau,
}

/// How much the examples of each class count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassWeights {
    /// All alike
    Equal,
    /// So that each class counts as much as any other: in inverse proportion to its number of examples
    Balanced,
}

impl ClassWeights {
    /// The weights for examples of these classes: none where all count alike. A class without examples has weight 0.
    pub fn build(self, labels: &[i64], classes: usize) -> Vec<f64> {
        if self == ClassWeights::Equal {
            return Vec::new();
        }
        let mut counts = vec![0usize; classes];
        labels.iter().for_each(|&label| counts[label as usize] += 1);
        let weight = |&count: &usize| {
            if count == 0 { 0.0 } else { labels.len() as f64 / (classes * count) as f64 }
        };
        counts.iter().map(weight).collect()
    }
}

/// How features are scaled before training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalise {
    /// Not at all
    None,
    /// To mean 0 and deviation 1 over the training rows, each feature (of images, each channel) for itself
    Standard,
    /// To 0..1 over the training rows
    Range,
}

impl Normalise {
    /// The scaling that these rows call for.
    pub fn of(self, train: &Dataset) -> Option<Normalisation> {
        match self {
            Normalise::None => None,
            Normalise::Standard => Some(Normalisation::standardise(train)),
            Normalise::Range => Some(Normalisation::to_unit_range(train)),
        }
    }
}

/// How target values are scaled before training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormaliseTargets {
    /// Not at all
    None,
    /// To mean 0 and deviation 1 over the training rows, each value for itself
    Standard,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_found_by_what_they_are() {
        for &name in LossName::value_variants() {
            assert_eq!(LossName::of(&name.build(Vec::new())), Some(name));
        }
        assert_eq!(LossName::of(&Loss::KlDivergence), None);
    }

    #[test]
    fn balanced_weights_give_each_class_the_same_sum() {
        let weights = ClassWeights::Balanced.build(&[0, 0, 0, 2], 3);
        assert_eq!(weights, [4.0 / 9.0, 0.0, 4.0 / 3.0]);
        assert!(ClassWeights::Equal.build(&[0, 1], 2).is_empty());
    }
}
