//! What a user can choose of a model.

use nn::{Activation, Nonlinearity};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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
}

impl Default for ModelOptions {
    /// Layers of 128 and 64 with relu, nothing dropped or normalised.
    fn default() -> ModelOptions {
        let activation = Activation::Relu.into();
        ModelOptions { hidden: vec![128, 64], activation, dropout: 0.0, batch_norm: false }
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
}
