//! The options of `nnc train` that make a run what it is.

use clap::Parser;
use nn::Corruption;
use nn::Nonlinearity;
use nn::models::gan::Divergence;
use nn::models::{Likelihood, Sparsity};
use nnc::data::Augment;
use nnc::data::source::SourceKind;
use nnc::models::options::as_text;
use nnc::models::{Architecture, CellName, ChainName};
use serde::{Deserialize, Serialize};

use super::names::{ClassWeights, LossName, Normalise, NormaliseTargets, OptimizerName, ScheduleName};
use crate::cli::table::TableArgs;

/// Those that are not given come from the checkpoint, or else are what suits the model, or else the defaults.
#[derive(Clone, Debug, Default, clap::Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Given {
    /// What to train and test on: digits, idx:DIR, zip:FILE, csv:FILE, ..; see `nnc list datasets` [default: digits]
    #[arg(long, value_name = "SOURCE")]
    pub data: Option<String>,
    /// What to test on, all of it: a data set, or a .csv file with the columns of that which is trained on [default: what --data has for
    /// testing, or a fifth of its rows]
    #[arg(long, value_name = "SOURCE")]
    pub test_data: Option<String>,
    /// What chooses the fifth of the rows for testing where a file does not say which these are; of each class a fifth [default: 0]
    #[arg(long, value_name = "SEED")]
    pub split_seed: Option<u64>,
    #[command(flatten)]
    #[serde(flatten)]
    pub table: TableArgs,
    /// How features are scaled before training, and before use [default: none; of csv and npz standard]
    #[arg(long, value_enum)]
    pub normalise: Option<Normalise>,
    /// How target values are scaled before training, and predictions scaled back [default: none; of csv and npz standard, but
    /// with binary-cross-entropy]
    #[arg(long, value_enum)]
    pub normalise_targets: Option<NormaliseTargets>,
    /// Changes of images that are drawn anew each time they are trained on: shift (by up to a sixteenth of their side),
    /// shift=PIXELS, flip (left to right, which is wrong for digits and letters), with commas in between, or none
    /// [default: none; of models of images shift]
    #[arg(long, value_name = "LIST", value_parser = str::parse::<Augment>)]
    pub augment: Option<Augment>,
    /// How often to go through the training data [default: 30, or what suits the model; see `nnc list models`]
    #[arg(long)]
    pub epochs: Option<usize>,
    /// The number of examples per step [default: 32]
    #[arg(long)]
    pub batch: Option<usize>,
    /// What initial weights and the order of examples depend on [default: 0]
    #[arg(long)]
    pub seed: Option<u64>,
    /// How weights follow their gradients [default: adam]
    #[arg(long, value_enum)]
    pub optimizer: Option<OptimizerName>,
    /// The learning rate [default: that of the optimizer, see above]
    #[arg(long, allow_hyphen_values = true, value_parser = finite)]
    pub lr: Option<f64>,
    /// How the learning rate changes [default: cosine]
    #[arg(long, value_enum)]
    pub schedule: Option<ScheduleName>,
    /// The number of steps in which the learning rate rises to its value at first [default: 0]
    #[arg(long, value_name = "STEPS")]
    pub warmup: Option<u64>,
    /// How fast weights decay [default: 0; of adamw 0.01]
    #[arg(long, allow_hyphen_values = true, value_parser = finite)]
    pub weight_decay: Option<f64>,
    /// The decay of the average of gradients that adam and its like follow [default: the optimizer's own, 0.9]
    #[arg(long, value_name = "DECAY", allow_hyphen_values = true, value_parser = finite)]
    pub beta1: Option<f64>,
    /// The greatest norm of all gradients together
    #[arg(long, value_name = "NORM", allow_hyphen_values = true, value_parser = finite, conflicts_with = "clip_value")]
    pub clip: Option<f64>,
    /// The greatest magnitude of an element of a gradient
    #[arg(long, value_name = "BOUND", allow_hyphen_values = true, value_parser = finite)]
    pub clip_value: Option<f64>,
    /// Test and save with moving averages of the weights, of this decay: 0.999 is over about 1,000 steps, 1 over all
    #[arg(long, value_name = "DECAY", value_parser = finite)]
    pub average_weights: Option<f64>,
    /// The number of batches whose gradients are averaged for one step of the optimizer; they are counted on over the ends of epochs,
    /// and those after the last step of the run change nothing [default: 1]
    #[arg(long, value_name = "BATCHES")]
    pub accumulate: Option<usize>,
    /// What is minimised [default: that of the model; where targets are values, squared-error]
    #[arg(long, value_enum)]
    pub loss: Option<LossName>,
    /// How much the examples of each class count in cross entropy [default: equal]
    #[arg(long, value_enum)]
    pub class_weights: Option<ClassWeights>,
    /// The part of the training data to hold out, by which the best weights are chosen [default: 0; with --patience 0.1]
    #[arg(long, value_name = "PART", allow_hyphen_values = true, value_parser = finite)]
    pub validation: Option<f64>,
    /// End when no epoch of so many was the best on the held-out data
    #[arg(long, value_name = "EPOCHS")]
    pub patience: Option<usize>,
    /// The sizes of the hidden layers [default: 128,64]
    #[arg(long, value_name = "SIZES", value_delimiter = ',')]
    pub hidden: Option<Vec<usize>>,
    /// What follows each hidden layer: relu, tanh, sigmoid, leaky_relu, prelu, rrelu, .. [default: relu]
    #[arg(long, value_name = "NAME", value_parser = activation_name)]
    pub activation: Option<String>,
    /// The part of the hidden values to drop in training [default: 0]
    #[arg(long, value_name = "PART", allow_hyphen_values = true, value_parser = finite)]
    pub dropout: Option<f64>,
    /// The recurrent cell: elman, jordan, mgu, gru, lstm or peephole [default: lstm]
    #[arg(long, value_name = "NAME", value_parser = str::parse::<CellName>)]
    pub cell: Option<CellName>,
    /// The number of recurrent layers [default: 1]
    #[arg(long, value_name = "N")]
    pub layers: Option<usize>,
    /// Read rows in both directions
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub bidirectional: Option<bool>,
    /// Of a text, the number of characters in a row, after which back-propagation is cut off [default: 64]
    #[arg(long, value_name = "N")]
    pub steps: Option<usize>,
    /// The channels of convolutions, from those of the largest images on [default: 24,48]
    #[arg(long, value_name = "SIZES", value_delimiter = ',')]
    pub channels: Option<Vec<usize>>,
    /// The number of values of a code [default: 16]
    #[arg(long, value_name = "N")]
    pub code: Option<usize>,
    /// Decode with the weights of the encoder, transposed
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub tied: Option<bool>,
    /// What a decoder says of a row: bernoulli (values from 0 to 1 as probabilities) or gaussian [default: bernoulli where all values
    /// are from 0 to 1]
    #[arg(long, value_name = "NAME", value_parser = str::parse::<Likelihood>)]
    #[serde(with = "as_text")]
    pub likelihood: Option<Likelihood>,
    /// What is done to rows in training, which are to be told as they were: none, gaussian:DEVIATION, masking:PART or
    /// salt-and-pepper:PART
    #[arg(long, value_name = "KIND", value_parser = str::parse::<Corruption>)]
    #[serde(with = "as_text")]
    pub noise: Option<Corruption>,
    /// What keeps codes sparse: none, l1:WEIGHT or kl:WEIGHT:TARGET
    #[arg(long, value_name = "KIND", value_parser = str::parse::<Sparsity>)]
    #[serde(with = "as_text")]
    pub sparsity: Option<Sparsity>,
    /// How much the squared derivative of the code counts in the loss [default: 0]
    #[arg(long, value_name = "WEIGHT", allow_hyphen_values = true, value_parser = finite)]
    pub contraction: Option<f64>,
    /// How much the divergence of codes from their prior counts in the loss [default: 1]
    #[arg(long, value_name = "WEIGHT", allow_hyphen_values = true, value_parser = finite)]
    pub beta: Option<f64>,
    /// The number of training rows that keep their labels, of each class as many, chosen by the seed [default: all]
    #[arg(long, value_name = "N")]
    pub labels: Option<usize>,
    /// How much the cross entropy of a row with a label counts beside the bound of its likelihood [default: 10]
    #[arg(long, value_name = "WEIGHT", allow_hyphen_values = true, value_parser = finite)]
    pub alpha: Option<f64>,
    /// The steps of a critic for one of the generator [default: 1]
    #[arg(long, value_name = "N")]
    pub critic_steps: Option<usize>,
    /// Where the chains of a Boltzmann machine start: cd (at the rows of the batch) or pcd (where they ended in the step before)
    /// [default: cd]
    #[arg(long, value_name = "NAME", value_parser = str::parse::<ChainName>)]
    pub chain: Option<ChainName>,
    /// The steps of these chains for one of training [default: 1]
    #[arg(long, value_name = "K")]
    pub cd_steps: Option<usize>,
    /// The epochs of each layer by itself, before those of --epochs in which all are trained together; each has a schedule of
    /// its own [default: 30]
    #[arg(long, value_name = "N")]
    pub pretrain_epochs: Option<usize>,
    /// Which divergence from the data samples are to make small: kl, reverse-kl, pearson, hellinger or gan [default: gan]
    #[arg(long, value_name = "NAME", value_parser = str::parse::<Divergence>)]
    #[serde(with = "as_text")]
    pub divergence: Option<Divergence>,
    /// How much it counts that the weights of a generator be orthogonal [default: 0]
    #[arg(long, value_name = "WEIGHT", allow_hyphen_values = true, value_parser = finite)]
    pub orthogonality: Option<f64>,
    /// Normalise hidden values over the batch
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub batch_norm: Option<bool>,
}

impl Given {
    /// Those that suit a model.
    pub fn suiting(model: &Architecture) -> Given {
        Given::of_line(model.defaults)
    }

    /// Those that suit a source of data.
    pub fn suiting_data(kind: &SourceKind) -> Given {
        Given::of_line(kind.defaults)
    }

    /// Those on a command line.
    fn of_line(line: &str) -> Given {
        #[derive(Parser)]
        struct Line {
            #[command(flatten)]
            given: Given,
        }
        let words = ["nnc"].into_iter().chain(line.split_whitespace());
        Line::try_parse_from(words).expect("a test parses those of all models and data").given
    }
}

/// A name that an activation has.
fn activation_name(name: &str) -> Result<String, String> {
    let activation: Nonlinearity = name.parse().map_err(|error: ir::Error| error.to_string())?;
    Ok(activation.name().to_owned())
}

/// A number that JSON can hold, as settings are compared and saved.
fn finite(number: &str) -> Result<f64, String> {
    let value: f64 = number.parse().map_err(|_| "it is no number".to_owned())?;
    if value.is_finite() { Ok(value) } else { Err("give a finite number".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nnc::data::source::SOURCES;
    use nnc::models::ARCHITECTURES;

    #[test]
    fn what_suits_data_can_be_given() {
        for source in SOURCES {
            let given = Given::suiting_data(&source);
            assert_eq!(given.epochs.is_some(), !source.defaults.is_empty(), "{}", source.name);
        }
    }

    #[test]
    fn what_suits_models_can_be_given_and_is_what_they_have() {
        for model in ARCHITECTURES {
            let given = Given::suiting(model);
            for (name, is_given) in [
                ("hidden", given.hidden.is_some()),
                ("activation", given.activation.is_some()),
                ("dropout", given.dropout.is_some()),
                ("batch-norm", given.batch_norm.is_some()),
                ("cell", given.cell.is_some()),
                ("layers", given.layers.is_some()),
                ("bidirectional", given.bidirectional.is_some()),
                ("steps", given.steps.is_some()),
                ("channels", given.channels.is_some()),
                ("code", given.code.is_some()),
                ("tied", given.tied.is_some()),
                ("likelihood", given.likelihood.is_some()),
                ("noise", given.noise.is_some()),
                ("sparsity", given.sparsity.is_some()),
                ("contraction", given.contraction.is_some()),
                ("beta", given.beta.is_some()),
                ("labels", given.labels.is_some()),
                ("alpha", given.alpha.is_some()),
                ("critic-steps", given.critic_steps.is_some()),
                ("chain", given.chain.is_some()),
                ("cd-steps", given.cd_steps.is_some()),
                ("pretrain-epochs", given.pretrain_epochs.is_some()),
                ("divergence", given.divergence.is_some()),
                ("orthogonality", given.orthogonality.is_some()),
            ] {
                assert!(!is_given || model.options.contains(&name), "{}: --{name}", model.name);
            }
        }
    }
}
