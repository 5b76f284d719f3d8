//! The models that have a name, one row each: `nnc train`, `dump`, `eval`, `predict` and `list models` read this table
//! and nothing else of them.
//!
//! | module | what it holds |
//! |---|---|
//! | [`vectors`] | models of rows of any shape |
//! | [`images`] | models of images |
//! | [`boards`] | models of boards, which have several results |
//! | [`adversarial`] | models that learn to make rows in a game |
//! | [`latent`] | models that learn a code of rows |
//! | [`layerwise`] | Boltzmann machines, and layers that are trained one after another |
//! | [`sequences`] | models that read a row step by step |
//! | [`options`] | what a user can choose of a model |

pub mod adversarial;
pub mod boards;
pub mod images;
pub mod latent;
pub mod layerwise;
pub mod options;
pub mod sequences;
pub mod vectors;

use std::sync::Arc;

use ir::names::choices;
use ir::{Graph, Shape};
use nn::sequence::LOGITS;
use nn::{Context, Generative, Layer, Loss, Network, Player, Sampler, Supervised, TrainStep};

use crate::Error;
use crate::checkpoint::Description;
use crate::data::sequences::Tokens;
pub use options::{CellName, ChainName, ModelOptions};

/// A model by its name: how it is built, without weights.
pub struct Architecture {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub doc: &'static str,
    /// The options of [`ModelOptions`] that it has, by their names.
    pub options: &'static [&'static str],
    /// The options of `nnc train` that suit it where others are not given, as on the command line.
    pub defaults: &'static str,
    /// What of a data set it learns from.
    pub learns: Learns,
    /// The shape in which the model of this name takes rows of this shape.
    pub row: fn(&str, &Shape) -> Result<Shape, Error>,
    /// The model for rows of a shape that `row` has returned, with so many outputs.
    pub build: Build,
    /// The same model as one that makes rows of codes; `None` where it makes none.
    pub generative: Option<BuildGenerative>,
    /// The same model as one that draws rows by chains; `None` where it draws none.
    pub sampler: Option<BuildSampler>,
    /// The players, where it is a game.
    pub game: Option<Players>,
    /// The model for rows of tokens with a class to be told at each step; `None` where it is none of sequences.
    pub sequences: Option<BuildSequences>,
}

/// What of a data set a model learns from.
#[derive(Clone, Debug, PartialEq)]
pub enum Learns {
    /// Rows with a target each; this is the loss for classes where none is chosen.
    Targets(Loss),
    /// Rows alone, by a loss of its own.
    Rows,
    /// Rows with the labels of their classes, by a loss of its own.
    Labels,
    /// What no data set of one target per row has.
    Several,
}

/// What makes the players of a game, from what gives each what it does with its gradients.
pub type Players = fn(&ModelOptions, &dyn Fn() -> TrainStep) -> Vec<Player>;

/// What builds a model that makes rows of a shape, of so many classes.
pub type BuildGenerative = fn(&Shape, usize, &ModelOptions) -> Arc<dyn Generative>;

/// What builds a model that draws rows of a shape, of so many classes.
pub type BuildSampler = fn(&Shape, usize, &ModelOptions) -> Arc<dyn Sampler>;

/// What builds a model for rows of a shape, with so many outputs.
pub type Build = fn(&Shape, usize, &ModelOptions) -> Body;

/// What builds a model of these tokens, with one of so many classes at each of so many steps.
pub type BuildSequences = fn(&Tokens, usize, usize, &ModelOptions) -> Arc<dyn Network>;

/// What a model is, before it has a loss.
pub enum Body {
    /// A layer from rows to predictions.
    Layer(Box<dyn Layer>),
    /// A network with a loss of its own.
    Network(Arc<dyn Network>),
}

impl<L: Layer + 'static> From<L> for Body {
    fn from(layer: L) -> Body {
        Body::Layer(Box::new(layer))
    }
}

/// All of them.
pub const ARCHITECTURES: &[Architecture] = &[
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
    boards::AGZ19,
    boards::AGZ39,
    sequences::RNN,
    latent::AUTOENCODER,
    latent::DENOISING,
    latent::SPARSE,
    latent::CONTRACTIVE,
    latent::VAE,
    latent::BETA_VAE,
    latent::CVAE,
    latent::CONV_AUTOENCODER,
    latent::SS_VAE,
    latent::VIB,
    layerwise::RBM,
    layerwise::DBN,
    layerwise::STACKED_AUTOENCODER,
    adversarial::GAN,
    adversarial::FGAN,
    adversarial::WGAN,
    adversarial::WGAN_GP,
    adversarial::CGAN,
    adversarial::BIGAN,
    adversarial::DCGAN,
    adversarial::BIGGAN,
];

impl Architecture {
    /// The side of the images that it is made for, where these are photographs; smaller ones it takes, too.
    ///
    /// ```
    /// use nnc::models::Architecture;
    /// assert_eq!(Architecture::find("alexnet")?.native_side(), Some(224));
    /// assert_eq!(Architecture::find("lenet")?.native_side(), None);
    /// # Ok::<(), nnc::Error>(())
    /// ```
    pub fn native_side(&self) -> Option<usize> {
        images::native_side(self.name)
    }

    /// The model of this name.
    ///
    /// ```
    /// use nnc::models::{Architecture, ModelOptions};
    /// let mlp = Architecture::find("mlp")?;
    /// let network = mlp.network(&mlp.row_of(&[1, 8, 8].into())?, 10, &ModelOptions::default(), None);
    /// assert!(nn::Summary::new(&*network, 1)?.parameters() > 17_000);
    /// # Ok::<(), nnc::Error>(())
    /// ```
    ///
    /// # Errors
    /// Where there is none; the error lists those that there are.
    pub fn find(name: &str) -> Result<&'static Architecture, Error> {
        ARCHITECTURES.iter().find(|architecture| architecture.name == name).ok_or_else(|| {
            let names = ARCHITECTURES.iter().map(|architecture| architecture.name);
            let help = choices(name, "the models are", names);
            Error::invalid(name, "there is no model of this name", help)
        })
    }

    /// The network for rows of a shape that [`Architecture::row_of`] has returned, with so many outputs. `None` is the loss that
    /// it has where none is chosen; one that has a loss of its own has no other.
    pub fn network(
        &self,
        row: &Shape,
        outputs: usize,
        options: &ModelOptions,
        loss: Option<Loss>,
    ) -> Arc<dyn Network> {
        match (self.build)(row, outputs, options) {
            Body::Network(network) => network,
            Body::Layer(layer) => {
                let usual = match &self.learns {
                    Learns::Targets(usual) => usual.clone(),
                    _ => Loss::cross_entropy(),
                };
                let loss = loss.unwrap_or(usual);
                Arc::new(Supervised::new(row.clone(), layer, loss))
            }
        }
    }

    /// How many epochs go before those of `--epochs`: those in which layers are trained one after another.
    pub fn pretraining_epochs(&self, options: &ModelOptions) -> usize {
        let has_layers = self.options.contains(&"pretrain-epochs");
        if has_layers { options.pretrain_epochs * options.hidden.len() } else { 0 }
    }

    /// The network for sequences like these.
    ///
    /// # Errors
    /// Where it is no model of sequences.
    pub fn sequence_network(
        &self,
        tokens: &Tokens,
        outputs: usize,
        steps: usize,
        options: &ModelOptions,
    ) -> Result<Arc<dyn Network>, Error> {
        let Some(build) = self.sequences else {
            let problem = "it tells one thing of each row, and the data have a target at each step";
            return Err(Error::invalid(self.name, problem, "choose a model of sequences, such as rnn"));
        };
        Ok(build(tokens, outputs, steps, options))
    }

    /// Whether rows can be drawn from it: it makes some of codes that are standard normal where nothing is known of a row.
    pub fn draws_rows(&self) -> bool {
        let of_image = |build: BuildGenerative| build(&Shape::from([1, 2, 2]), 1, &ModelOptions::default());
        self.generative.is_some_and(|build| of_image(build).has_prior())
    }

    /// The names of the models that rows can be drawn from, in words.
    pub(crate) fn that_draw_rows() -> String {
        let names = ARCHITECTURES.iter().filter(|it| it.draws_rows()).map(|it| it.name);
        names.collect::<Vec<_>>().join(", ")
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

/// The network of a model of this name that was trained with these settings, as files of `nnc train` hold them.
///
/// # Errors
/// Where there is no model of this name, or the settings are none of its.
pub fn network_of(name: &str, description: &Description) -> Result<Arc<dyn Network>, Error> {
    let architecture = Architecture::find(name)?;
    let options = options_of(name, description)?;
    let data = &description.data;
    if let Some(tokens) = &data.tokens {
        let steps = data.row_shape.first().copied().unwrap_or(0);
        return architecture.sequence_network(tokens, data.outputs.len(), steps, &options);
    }
    let row = architecture.row_of(&Shape::from(&data.row_shape[..]))?;
    Ok(architecture.network(&row, data.outputs.len(), &options, None))
}

/// The model of this name as one that makes rows of codes, as it was trained with these settings.
///
/// # Errors
/// Where it makes none, there is no model of this name, or the settings are none of its.
pub fn generative_of(name: &str, description: &Description) -> Result<Arc<dyn Generative>, Error> {
    let Some(build) = Architecture::find(name)?.generative else {
        let help = format!("give one of {}", Architecture::that_draw_rows());
        return Err(Error::invalid(name, "it makes no rows of codes", help));
    };
    let (row, outputs, options) = trained_with(name, description)?;
    Ok(build(&row, outputs, &options))
}

/// The model of this name as one that draws rows by chains, as it was trained with these settings.
///
/// # Errors
/// Where it draws none, there is no model of this name, or the settings are none of its.
pub fn sampler_of(name: &str, description: &Description) -> Result<Arc<dyn Sampler>, Error> {
    let Some(build) = Architecture::find(name)?.sampler else {
        let named = ARCHITECTURES.iter().filter(|it| it.sampler.is_some()).map(|it| it.name);
        let help = format!("give one of {}", named.collect::<Vec<_>>().join(", "));
        return Err(Error::invalid(name, "it draws no rows by chains", help));
    };
    let (row, outputs, options) = trained_with(name, description)?;
    Ok(build(&row, outputs, &options))
}

/// The shape of rows, the number of outputs and the options of a model that was trained with these settings.
fn trained_with(name: &str, description: &Description) -> Result<(Shape, usize, ModelOptions), Error> {
    let row = Architecture::find(name)?.row_of(&Shape::from(&description.data.row_shape[..]))?;
    Ok((row, description.data.outputs.len(), options_of(name, description)?))
}

/// The program of one step of a model of this name that was trained on a text: a character, `x` of `i64[1]`, gives `logits`, and
/// what has been read stays in states.
///
/// # Errors
/// Where it is no model of a text.
pub fn step_of(name: &str, description: &Description) -> Result<Graph, Error> {
    let data = &description.data;
    let Some(tokens) = data.tokens.filter(|tokens| tokens.is_text && name == sequences::RNN.name) else {
        let problem = "it was not trained on a text";
        return Err(Error::invalid(name, problem, "give a model of `nnc train rnn --data text`"));
    };
    let options = options_of(name, description)?;
    let steps = data.row_shape.first().copied().unwrap_or(0);
    let model = sequences::sequence_model(&tokens, data.outputs.len(), steps, &options);
    let mut cx = Context::new(format!("{name}_step"));
    let logits = model.step(&mut cx, 1)?;
    cx.output(LOGITS, logits)?;
    Ok(cx.finish())
}

fn options_of(name: &str, description: &Description) -> Result<ModelOptions, Error> {
    let settings = description.settings.clone().into_iter().collect::<serde_json::Map<_, _>>();
    serde_json::from_value(settings.into()).map_err(|error| {
        let problem = format!("its settings cannot be understood: {error}");
        Error::invalid(name, problem, "give a model that `nnc train` has written")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use nn::Summary;

    /// The result of a model for two rows of this shape, with three classes.
    fn result(model: &Architecture, row: &Shape) -> Result<String, Error> {
        let row = model.row_of(row)?;
        let summary = Summary::new(&*model.network(&row, 3, &ModelOptions::default(), None), 2)?;
        Ok(summary.rows.last().expect("a model has layers").output.to_string())
    }

    #[test]
    fn every_model_takes_the_images_that_nnc_reads_and_photographs() {
        for model in ARCHITECTURES.iter().filter(|model| matches!(model.learns, Learns::Targets(_))) {
            for row in [&[1, 8, 8][..], &[1, 16, 16], &[1, 28, 28], &[28, 28], &[3, 224, 224]] {
                assert_eq!(result(model, &row.into()).unwrap(), "f32[2, 3]", "{} of {row:?}", model.name);
            }
        }
    }

    #[test]
    fn vectors_are_taken_by_models_of_vectors_alone() {
        for model in ARCHITECTURES.iter().filter(|model| matches!(model.learns, Learns::Targets(_))) {
            let problem = format!(
                "{}: rows are of [5], the model takes images of [channels, height, width]; \
                 give images, or choose a model of vectors, such as mlp",
                model.name
            );
            match result(model, &[5].into()) {
                Ok(ty) => assert!(ty == "f32[2, 3]" && (model.row)("", &[2, 2].into()).unwrap().rank() < 3),
                Err(error) => assert_eq!(error.to_string(), problem),
            }
        }
    }

    /// The numbers of parameters of PyTorch's models of these names (torchvision) with ImageNet's classes.
    #[test]
    fn models_for_photographs_are_those_of_their_authors() {
        let parameters = |name: &str| {
            let model = Architecture::find(name).unwrap();
            let (row, options) = ([3, 224, 224].into(), ModelOptions::default());
            Summary::new(&*model.network(&row, 1000, &options, None), 1).unwrap().parameters()
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
            result(Architecture::find("lenet").unwrap(), &[1, 1].into()).unwrap_err().to_string(),
            "max_pool2d pool1: windows of [2, 2] are larger than x of f32[2, 6, 1, 1] with padding [0, 0]; \
             give larger images, more padding, or smaller windows"
        );
    }

    /// The paper's network has 17 planes of 19 by 19, and its policy a place for each point and the pass.
    #[test]
    fn a_model_of_boards_has_two_results_and_a_loss_of_its_own() {
        let agz = Architecture::find("agz19").unwrap();
        let network = agz.network(&[17, 19, 19].into(), 0, &ModelOptions::default(), None);
        let used = nn::network::inference_graph("agz19", &*network, 1).unwrap();
        let results: Vec<String> =
            used.outputs.iter().map(|output| format!("{} {}", output.name, used.ty(output.value))).collect();
        assert_eq!(results, ["policy f32[1, 362]", "value f32[1, 1]"]);
        let step = nn::network::training_graph("agz19", &*network, 2, &nn::Adam::default()).unwrap();
        assert_eq!(step.inputs().count(), 3);
    }
}
