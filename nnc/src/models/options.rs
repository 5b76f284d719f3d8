//! What a user can choose of a model.

use std::fmt;
use std::str::FromStr;

use ir::names::choices;
use nn::Corruption;
use nn::models::gan::Divergence;
use nn::models::{Likelihood, Sparsity};
use nn::rnn::{Cell, ElmanCell, GruCell, JordanCell, LstmCell, MguCell, PeepholeCell};
use nn::{Activation, Nonlinearity};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Error;

/// What a user can choose of a model, by the names of the options of `nnc train`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct ModelOptions {
    /// The sizes of the hidden layers.
    pub hidden: Vec<usize>,
    /// What follows each of them.
    #[serde(serialize_with = "activation_name", deserialize_with = "activation_of_name")]
    pub activation: Nonlinearity,
    /// The part of their values that is dropped in training; 0 for none.
    pub dropout: f64,
    /// Whether their values are normalised over the batch.
    pub batch_norm: bool,
    /// The recurrent cell.
    pub cell: CellName,
    /// The number of recurrent layers.
    pub layers: usize,
    /// Whether they run in both directions.
    pub bidirectional: bool,
    /// The number of characters in a row of a text.
    pub steps: usize,
    /// The channels of convolutions, from those of the largest images on.
    pub channels: Vec<usize>,
    /// The number of values of a code.
    pub code: usize,
    /// Whether a decoder has the weights of its encoder.
    pub tied: bool,
    /// What a decoder says of a row; `None` until the data are known, and then what suits them.
    #[serde(with = "as_text", skip_serializing_if = "Option::is_none")]
    pub likelihood: Option<Likelihood>,
    /// The noise that rows are to be cleaned of.
    #[serde(with = "as_text", skip_serializing_if = "Option::is_none")]
    pub noise: Option<Corruption>,
    /// What keeps codes sparse.
    #[serde(with = "as_text", skip_serializing_if = "Option::is_none")]
    pub sparsity: Option<Sparsity>,
    /// How much the derivative of a code counts.
    pub contraction: f64,
    /// How much the divergence of codes from their prior counts.
    pub beta: f64,
    /// The number of training rows that keep their labels; `None` for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<usize>,
    /// How much the cross entropy of a row with a label counts.
    pub alpha: f64,
    /// The steps of a critic for one of the generator.
    pub critic_steps: usize,
    /// Where the chains of a Boltzmann machine start.
    pub chain: ChainName,
    /// Their steps for one of training.
    pub cd_steps: usize,
    /// The epochs of each layer before all are trained together.
    pub pretrain_epochs: usize,
    /// Which divergence from the data samples are to make small.
    #[serde(with = "as_text", skip_serializing_if = "Option::is_none")]
    pub divergence: Option<Divergence>,
    /// How much the orthogonality of a generator's weights counts.
    pub orthogonality: f64,
}

/// What has a text of its own, as that text.
pub mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes the text.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<T: Display, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    /// Reads it.
    ///
    /// # Errors
    /// Where it is no such text.
    pub fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
    }
}

impl Default for ModelOptions {
    /// Layers of 128 and 64 with relu, nothing dropped or normalised; one layer of LSTM in the forward direction, 64 characters.
    fn default() -> ModelOptions {
        ModelOptions {
            hidden: vec![128, 64],
            activation: Activation::Relu.into(),
            dropout: 0.0,
            batch_norm: false,
            cell: CellName::Lstm,
            layers: 1,
            bidirectional: false,
            steps: 64,
            channels: vec![24, 48],
            code: 16,
            tied: false,
            likelihood: None,
            noise: None,
            sparsity: None,
            contraction: 0.0,
            beta: 1.0,
            labels: None,
            alpha: 10.0,
            critic_steps: 1,
            chain: ChainName::Cd,
            cd_steps: 1,
            pretrain_epochs: 30,
            divergence: None,
            orthogonality: 0.0,
        }
    }
}

/// Where the chains start by which a Boltzmann machine is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChainName {
    /// At the rows of the batch: contrastive divergence.
    Cd,
    /// Where they ended in the step before: persistent contrastive divergence.
    Pcd,
}

impl FromStr for ChainName {
    type Err = Error;

    fn from_str(text: &str) -> Result<ChainName, Error> {
        match text {
            "cd" => Ok(ChainName::Cd),
            "pcd" => Ok(ChainName::Pcd),
            _ => Err(Error::invalid(
                text,
                "there are no chains of this name",
                choices(text, "they are", ["cd", "pcd"]),
            )),
        }
    }
}

/// A recurrent cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CellName {
    /// Elman's: the state sees itself.
    Elman,
    /// Jordan's: the state sees the output.
    Jordan,
    /// The minimal gated unit.
    Mgu,
    /// The gated recurrent unit.
    Gru,
    /// The long short-term memory.
    Lstm,
    /// The same with the cell's state in the place of its output.
    Peephole,
}

/// What is added to the biases of forget gates.
const FORGET_BIAS: f64 = 1.0;

impl CellName {
    /// All of them.
    pub const ALL: [CellName; 6] =
        [CellName::Elman, CellName::Jordan, CellName::Mgu, CellName::Gru, CellName::Lstm, CellName::Peephole];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            CellName::Elman => "elman",
            CellName::Jordan => "jordan",
            CellName::Mgu => "mgu",
            CellName::Gru => "gru",
            CellName::Lstm => "lstm",
            CellName::Peephole => "peephole",
        }
    }

    /// The cell with so many hidden values and its usual activations. Forget gates start open, with a
    /// [bias of 1](LstmCell::forget_bias).
    pub fn build(self, hidden: usize) -> Box<dyn Cell> {
        match self {
            CellName::Elman => Box::new(ElmanCell::new(hidden)),
            CellName::Jordan => Box::new(JordanCell::new(hidden, hidden)),
            CellName::Mgu => Box::new(MguCell::new(hidden)),
            CellName::Gru => Box::new(GruCell::new(hidden)),
            CellName::Lstm => Box::new(LstmCell::new(hidden).forget_bias(FORGET_BIAS)),
            CellName::Peephole => Box::new(PeepholeCell::new(hidden).forget_bias(FORGET_BIAS)),
        }
    }
}

impl fmt::Display for CellName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for CellName {
    type Err = Error;

    fn from_str(text: &str) -> Result<CellName, Error> {
        CellName::ALL.into_iter().find(|cell| cell.name() == text).ok_or_else(|| {
            let help = choices(text, "the cells are", CellName::ALL.map(CellName::name));
            Error::invalid(text, "there is no recurrent cell of this name", help)
        })
    }
}

fn activation_name<S: Serializer>(activation: &Nonlinearity, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(activation.name())
}

fn activation_of_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Nonlinearity, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_the_same_after_they_were_text() {
        for activation in Nonlinearity::all() {
            let options = ModelOptions { activation, dropout: 0.1, ..ModelOptions::default() };
            let text = serde_json::to_string(&options).unwrap();
            assert_eq!(serde_json::from_str::<ModelOptions>(&text).unwrap(), options);
        }
    }

    #[test]
    fn chains_are_found_by_their_names() {
        assert_eq!("pcd".parse::<ChainName>().unwrap(), ChainName::Pcd);
        assert_eq!(serde_json::to_value(ChainName::Cd).unwrap(), "cd");
        let error = "cdd".parse::<ChainName>().unwrap_err().to_string();
        assert!(error.starts_with("cdd: there are no chains of this name; did you mean `cd`?"), "{error}");
    }

    #[test]
    fn cells_are_found_by_their_names() {
        for cell in CellName::ALL {
            assert_eq!(cell.name().parse::<CellName>().unwrap(), cell);
            assert_eq!(serde_json::to_value(cell).unwrap(), cell.name());
            assert_eq!(cell.build(3).name().to_lowercase(), cell.name());
        }
        let error = "lsmt".parse::<CellName>().unwrap_err().to_string();
        assert!(
            error.starts_with("lsmt: there is no recurrent cell of this name; did you mean `lstm`?"),
            "{error}"
        );
    }
}
