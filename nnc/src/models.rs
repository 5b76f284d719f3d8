//! The models that have a name, one row each: `nnc train`, `dump`, `eval`, `predict` and `list models` read this table
//! and nothing else of them.

use ir::Shape;
use nn::models::{Logistic, Mlp, Perceptron};
use nn::{Activation, Layer, Loss};
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
    pub activation: Activation,
    /// The part of their values that is dropped in training; 0 for none.
    pub dropout: f64,
    /// Whether their values are normalised over the batch.
    pub batch_norm: bool,
}

impl Default for ModelOptions {
    /// Layers of 128 and 64 with relu, nothing dropped or normalised.
    fn default() -> ModelOptions {
        ModelOptions { hidden: vec![128, 64], activation: Activation::Relu, dropout: 0.0, batch_norm: false }
    }
}

/// A model by its name.
pub struct Model {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub doc: &'static str,
    /// The options of [`ModelOptions`] that it has, by their names.
    pub options: &'static [&'static str],
    /// The loss that it has for classes where none is chosen.
    pub loss: Loss,
    /// The shape in which it takes rows of this shape.
    pub row: fn(&Shape) -> Result<Shape, Error>,
    /// The model for rows of a shape that `row` has returned, with so many outputs.
    pub build: fn(&Shape, usize, &ModelOptions) -> Box<dyn Layer>,
}

/// All of them.
pub const MODELS: &[Model] = &[
    Model {
        name: "mlp",
        doc: "a multilayer perceptron: dense layers with an activation after each but the last",
        options: &["hidden", "activation", "dropout", "batch-norm"],
        loss: Loss::cross_entropy(),
        row: flat,
        build: |row, outputs, options| {
            let sizes: Vec<usize> =
                [row.elements()].into_iter().chain(options.hidden.iter().copied()).chain([outputs]).collect();
            let ModelOptions { activation, dropout, batch_norm, .. } = *options;
            Box::new(Mlp { dropout, batch_norm, ..Mlp::new(&sizes, activation) })
        },
    },
    Model {
        name: "logistic",
        doc: "multinomial logistic regression: a dense layer, and cross entropy as the loss",
        options: &[],
        loss: Logistic::LOSS,
        row: flat,
        build: |row, outputs, _| Box::new(Logistic::new(row.elements(), outputs)),
    },
    Model {
        name: "perceptron",
        doc: "Rosenblatt's perceptron: a dense layer, and the perceptron criterion as the loss",
        options: &[],
        loss: Perceptron::LOSS,
        row: flat,
        build: |row, outputs, _| Box::new(Perceptron::new(row.elements(), outputs)),
    },
];

impl Model {
    /// The model of this name.
    ///
    /// ```
    /// use nnc::models::{Model, ModelOptions};
    /// let row = [1, 8, 8].into();
    /// let model = Model::find("mlp")?;
    /// let layer = (model.build)(&(model.row)(&row)?, 10, &ModelOptions::default());
    /// assert!(nn::Summary::new(&*layer, &nn::Batch::new(1, [64]))?.parameters() > 17_000);
    /// # Ok::<(), nnc::Error>(())
    /// ```
    ///
    /// # Errors
    /// Where there is none; the error lists those that there are.
    pub fn find(name: &str) -> Result<&'static Model, Error> {
        MODELS.iter().find(|model| model.name == name).ok_or_else(|| {
            let names: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
            let help = format!("the models are {}", names.join(", "));
            Error::invalid(name, "there is no model of this name", help)
        })
    }
}

/// All values of a row along one axis.
fn flat(row: &Shape) -> Result<Shape, Error> {
    Ok([row.elements()].into())
}

fn activation_name<S: Serializer>(activation: &Activation, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(activation.name())
}

fn activation_of_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Activation, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nn::{Batch, Summary};

    #[test]
    fn every_model_takes_rows_of_images_and_of_vectors() {
        for model in MODELS {
            for row in [Shape::from([1, 8, 8]), [5].into()] {
                let row = (model.row)(&row).unwrap();
                let layer = (model.build)(&row, 3, &ModelOptions::default());
                let summary = Summary::new(&*layer, &Batch::new(2, row)).unwrap();
                assert_eq!(summary.rows.last().unwrap().output.to_string(), "f32[2, 3]", "{}", model.name);
            }
        }
    }

    #[test]
    fn options_are_the_same_after_they_were_text() {
        for activation in Activation::ALL {
            let options = ModelOptions { activation, dropout: 0.1, ..ModelOptions::default() };
            let text = serde_json::to_string(&options).unwrap();
            assert_eq!(serde_json::from_str::<ModelOptions>(&text).unwrap(), options);
        }
    }
}
