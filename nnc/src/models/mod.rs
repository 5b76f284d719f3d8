//! The models that have a name, one row each: `nnc train`, `dump`, `eval`, `predict` and `list models` read this table
//! and nothing else of them.
//!
//! | module | what it holds |
//! |---|---|
//! | [`vectors`] | models of rows of any shape |
//! | [`images`] | models of images |
//! | [`two_heads`] | models that are built and not trained |
//! | [`options`] | what a user can choose of a model |

pub mod images;
pub mod options;
pub mod two_heads;
pub mod vectors;

use ir::Shape;
use ir::names::choices;
use nn::{Layer, Loss};

use crate::Error;
pub use options::ModelOptions;
pub use two_heads::{TWO_HEADED, TwoHeaded};

/// A model by its name.
pub struct Model {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub doc: &'static str,
    /// The options of [`ModelOptions`] that it has, by their names.
    pub options: &'static [&'static str],
    /// The options of `nnc train` that suit it where others are not given, as on the command line.
    pub defaults: &'static str,
    /// The loss that it has for classes where none is chosen.
    pub loss: Loss,
    /// The shape in which the model of this name takes rows of this shape.
    pub row: fn(&str, &Shape) -> Result<Shape, Error>,
    /// The model for rows of a shape that `row` has returned, with so many outputs.
    pub build: fn(&Shape, usize, &ModelOptions) -> Box<dyn Layer>,
}

/// All of them.
pub const MODELS: &[Model] = &[
    vectors::MLP,
    vectors::LOGISTIC,
    vectors::PERCEPTRON,
    images::LENET,
    images::ALEXNET,
    images::VGG11,
    images::VGG16,
    images::RESNET8,
    images::RESNET20,
    images::RESNET18,
    images::RESNET34,
    images::RESNET50,
];

impl Model {
    /// The model of this name.
    ///
    /// ```
    /// use nnc::models::{Model, ModelOptions};
    /// let model = Model::find("mlp")?;
    /// let layer = (model.build)(&model.row_of(&[1, 8, 8].into())?, 10, &ModelOptions::default());
    /// assert!(nn::Summary::new(&*layer, &nn::Batch::new(1, [64]))?.parameters() > 17_000);
    /// # Ok::<(), nnc::Error>(())
    /// ```
    ///
    /// # Errors
    /// Where there is none; the error lists those that there are.
    pub fn find(name: &str) -> Result<&'static Model, Error> {
        MODELS.iter().find(|model| model.name == name).ok_or_else(|| {
            if TwoHeaded::find(name).is_some() {
                let help = "see it with `nnc dump`, or train a model of one result";
                return Error::invalid(name, "it has two results, and data have one target per row", help);
            }
            let help = choices(name, "the models are", MODELS.iter().map(|model| model.name));
            Error::invalid(name, "there is no model of this name", help)
        })
    }

    /// The shape in which it takes rows of this shape: those of vectors along one axis, images as
    /// `[channels, height, width]`.
    ///
    /// # Errors
    /// Where it takes images, and the rows are none.
    pub fn row_of(&self, row: &Shape) -> Result<Shape, Error> {
        (self.row)(self.name, row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nn::{Batch, Summary};

    /// The result of a model for two rows of this shape, with three classes.
    fn result(model: &Model, row: &Shape) -> Result<String, Error> {
        let row = model.row_of(row)?;
        let layer = (model.build)(&row, 3, &ModelOptions::default());
        let summary = Summary::new(&*layer, &Batch::new(2, row))?;
        Ok(summary.rows.last().expect("a model has layers").output.to_string())
    }

    #[test]
    fn every_model_takes_the_images_that_nnc_reads_and_photographs() {
        for model in MODELS {
            for row in [&[1, 8, 8][..], &[1, 16, 16], &[1, 28, 28], &[28, 28], &[3, 224, 224]] {
                assert_eq!(result(model, &row.into()).unwrap(), "f32[2, 3]", "{} of {row:?}", model.name);
            }
        }
    }

    #[test]
    fn vectors_are_taken_by_models_of_vectors_alone() {
        for model in MODELS {
            let problem = format!(
                "{}: rows are of [5], the model takes images of [channels, height, width]; \
                 give images, or choose a model of vectors, such as mlp",
                model.name
            );
            match result(model, &[5].into()) {
                Ok(ty) => assert!(ty == "f32[2, 3]" && (model.row)("", &[2, 2].into()).unwrap().rank() == 1),
                Err(error) => assert_eq!(error.to_string(), problem),
            }
        }
    }

    /// The numbers of parameters of PyTorch's models of these names (torchvision) with ImageNet's classes.
    #[test]
    fn models_for_photographs_are_those_of_their_authors() {
        let parameters = |name: &str| {
            let model = Model::find(name).unwrap();
            let (row, options) = ([3, 224, 224].into(), ModelOptions::default());
            Summary::new(&*(model.build)(&row, 1000, &options), &Batch::new(1, row)).unwrap().parameters()
        };
        for (name, count) in [
            ("alexnet", 61_100_840),
            ("vgg11", 132_863_336),
            ("vgg16", 138_357_544),
            ("resnet18", 11_689_512),
            ("resnet34", 21_797_672),
            ("resnet50", 25_557_032),
        ] {
            assert_eq!(parameters(name), count, "{name}");
        }
    }

    #[test]
    fn images_too_small_to_pool_are_an_error_that_names_the_layer_and_both_shapes() {
        assert_eq!(
            result(Model::find("lenet").unwrap(), &[1, 1].into()).unwrap_err().to_string(),
            "max_pool2d pool1: windows of [2, 2] are larger than x of f32[2, 6, 1, 1] with padding [0, 0]; \
             give larger images, more padding, or smaller windows"
        );
    }

    #[test]
    fn a_model_of_two_results_is_built_and_not_trained() {
        let error = Model::find("agz19").err().unwrap().to_string();
        assert!(error.starts_with("agz19: it has two results"), "{error}");
        let outputs = |is_training| TWO_HEADED[0].graph(is_training, 1).unwrap().outputs.len();
        assert_eq!((outputs(false), outputs(true)), (2, 1));
    }
}
