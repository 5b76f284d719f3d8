//! Greedy layer-wise training as a game: layers that learn one after the other, each from the codes of the one below, and a classifier that
//! is then trained on all of them (G. Hinton, S. Osindero and Y.-W. Teh, "A fast learning algorithm for deep belief nets", 2006; Y. Bengio et
//! al., "Greedy layer-wise training of deep networks", 2007; P. Vincent et al., "Stacked denoising autoencoders", 2010).

use ir::{DType, Error, Value};

use super::rbm::{
    CODE, Chain, RECONSTRUCTION, RECONSTRUCTION_ERROR, Rbm, RbmWeights, VisibleUnits, bernoulli,
};
use crate::supervised::{ACCURACY, PREDICTION, ROWS, TARGETS};
use crate::{
    Activation, Context, Corruption, Layer, Linear, Loss, Network, Nonlinearity, Outputs, Player, Sampler,
    TrainStep, init, metric,
};

/// The name of the player who moves the classifier, and of the scope of its parameters.
pub const CLASSIFIER: &str = "classifier";

/// What a layer is while it is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// A restricted Boltzmann machine: together a deep belief network. What a layer hands on are the means of its hidden units.
    Rbm {
        /// Where samples come from.
        chain: Chain,
    },
    /// An autoencoder of one layer with tied weights, which tells its input `x` from a noisy version `x~` of it:
    ///
    /// ```text
    /// code = f(c + W x~)      reconstruction = sigmoid(b + W' code), or b + W' code
    /// ```
    Autoencoder {
        /// The `f` of the code: one without parameters and draws.
        activation: Nonlinearity,
        /// The noise. In use there is none.
        corruption: Corruption,
    },
}

/// Layers that are trained one after another and, where there are classes, a classifier on top: a [game](crate::game) whose players are
/// `layer1`, `layer2`, .. and `classifier`, each with epochs of its own ([`LayerwiseStack::players`]).
///
/// A layer has the parameters of a machine ([`RbmWeights`]), `layer1.weight` and so on, and learns from the codes of the layers below, into
/// which no gradient flows. Its loss is that of an [`Rbm`], or the error of the reconstruction: the mean over the rows of the sum over all
/// values of the cross entropy, where these are [binary](VisibleUnits), otherwise of the squared difference. Metrics have the names
/// of those of [`Rbm`] after that of the layer: `layer1_reconstruction_error`.
///
/// Where layers have weights `W` and `c`, the classifier has `W + D` and `c + d`. It moves `D` and `d` (`classifier.layer1.weight`, ..), which
/// are 0 at first, and a dense layer of logits. So fine-tuning starts at the layers and changes all weights of the classifier, while
/// the layers stay what they are: machines still say how likely rows are, and codes can still be decoded (Hinton et al., section
/// 5, untie the weights of recognition from those of generation there, too). Its loss is the cross entropy.
///
/// Its inputs are `x`, `[rows, sizes[0]]`, and, with a classifier, the labels `y`, `i64[rows]`. Its results are `prediction`, the logits,
/// where there is a classifier; `code`, that of the last layer; and `reconstruction`, what all layers, downwards, make of this code. As a
/// [`Sampler`] it draws a state of the uppermost machine by Gibbs sampling, and of each layer below given the one above (Hinton et
/// al., section 4).
///
/// ```
/// use nn::models::rbm::Chain;
/// use nn::models::layerwise::{LayerwiseStack, Method};
/// use nn::{Adam, TrainStep, game::turn_graph};
/// let stack = LayerwiseStack::new(&[64, 100, 50], Method::Rbm { chain: Chain::Contrastive { steps: 1 } }).classifier(10);
/// let players = stack.players(20, || TrainStep::new(Adam::new(0.01)));
/// let names: Vec<&str> = players.iter().map(|player| player.name()).collect();
/// assert_eq!(names, ["layer1", "layer2", "classifier"]);
/// assert_eq!(players[1].its_epochs(), 20..40);
/// let step = turn_graph("dbn", &stack, 32, &players[1])?;
/// assert_eq!(step.outputs[1].name, "layer2_loss");
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LayerwiseStack {
    /// The number of values of a row, and of the code of each layer.
    pub sizes: Vec<usize>,
    /// What the values of a row are.
    pub units: VisibleUnits,
    /// What layers are.
    pub method: Method,
    /// The number of classes; `None` where there is no classifier.
    pub classes: Option<usize>,
}

/// The name of the player who moves a layer, counted from 0, and of the scope of its parameters: `layer1` for 0.
pub fn layer_name(number: usize) -> String {
    format!("layer{}", number + 1)
}

impl LayerwiseStack {
    /// Layers of these sizes for rows from 0 to 1, without a classifier.
    pub fn new(sizes: &[usize], method: Method) -> LayerwiseStack {
        LayerwiseStack { sizes: sizes.to_vec(), units: VisibleUnits::Binary, method, classes: None }
    }

    /// With a classifier of so many classes.
    pub fn classifier(self, classes: usize) -> LayerwiseStack {
        LayerwiseStack { classes: Some(classes), ..self }
    }

    /// The number of layers.
    pub fn layer_count(&self) -> usize {
        self.sizes.len().saturating_sub(1)
    }

    /// The players, each with what it does with its gradients: each layer for so many epochs, and then the classifier.
    pub fn players(&self, epochs: usize, step: impl Fn() -> TrainStep) -> Vec<Player> {
        let player = |name: String| Player::new(name.clone(), step()).moves(format!("{name}.*"));
        let layer = |number| player(layer_name(number)).epochs(number * epochs..(number + 1) * epochs);
        let layers = (0..self.layer_count()).map(layer);
        let classifier =
            self.classes.map(|_| player(CLASSIFIER.into()).epochs(self.layer_count() * epochs..));
        layers.chain(classifier).collect()
    }

    /// What the visible units of a layer are.
    fn units_of(&self, number: usize) -> VisibleUnits {
        const SIGMOID: Nonlinearity = Nonlinearity::Activation(Activation::Sigmoid);
        match self.method {
            _ if number == 0 => self.units,
            Method::Rbm { .. } | Method::Autoencoder { activation: SIGMOID, .. } => VisibleUnits::Binary,
            Method::Autoencoder { .. } => VisibleUnits::Gaussian,
        }
    }

    /// The parameters of all layers.
    fn layers(&self, cx: &mut Context) -> Result<Vec<RbmWeights>, Error> {
        let invalid = |problem: String, help: &str| Err(Error::new("layer-wise stack", problem, help));
        if self.sizes.len() < 2 {
            let problem = format!("the sizes are {:?}", self.sizes);
            return invalid(problem, "give the size of a row and of at least one layer");
        }
        if let Method::Autoencoder { activation, .. } = self.method
            && !matches!(activation, Nonlinearity::Activation(_))
        {
            let problem = format!("{} has a slope of its own in each place", activation.name());
            return invalid(problem, "choose an activation that has none, such as sigmoid or relu");
        }
        let sizes = self.sizes.windows(2).map(|sizes| [sizes[0], sizes[1]]);
        let layer = |(number, [visible, hidden]): (usize, [usize; 2])| {
            cx.scope(layer_name(number), |cx| match self.method {
                Method::Rbm { chain } => self.machine(number, chain).weights(cx),
                Method::Autoencoder { .. } => {
                    let weight = init::glorot_uniform(visible, hidden);
                    RbmWeights::made(cx, self.units_of(number), [visible, hidden], weight)
                }
            })
        };
        sizes.enumerate().map(layer).collect()
    }

    fn machine(&self, number: usize, chain: Chain) -> Rbm {
        let (visible, hidden) = (self.sizes[number], self.sizes[number + 1]);
        Rbm { visible, hidden, units: self.units_of(number), chain }
    }

    /// What a layer makes of what it takes, `[rows, visible]`: `[rows, hidden]`.
    fn code(&self, cx: &mut Context, layer: &RbmWeights, x: Value) -> Result<Value, Error> {
        match self.method {
            Method::Rbm { .. } => layer.hidden_means(cx, x),
            Method::Autoencoder { activation, .. } => {
                let fields = layer.hidden_fields(cx, x)?;
                activation.forward(cx, fields)
            }
        }
    }

    /// The loss and the metrics of a layer on what it takes.
    fn learn(&self, cx: &mut Context, number: usize, layer: &RbmWeights, x: Value) -> Result<Outputs, Error> {
        match self.method {
            Method::Rbm { chain } => self.machine(number, chain).outputs(cx, layer, x),
            Method::Autoencoder { corruption, .. } => {
                let noisy = corruption.forward(cx, x)?;
                let code = self.code(cx, layer, noisy)?;
                let fields = layer.visible_fields(cx, code)?;
                let error = layer.reconstruction_error(cx, fields, x)?;
                Ok(Outputs::new().loss(error).metric(RECONSTRUCTION_ERROR, error))
            }
        }
    }

    /// The logits of the classifier, `[rows, classes]`.
    fn logits(
        &self,
        cx: &mut Context,
        layers: &[RbmWeights],
        x: Value,
        classes: usize,
    ) -> Result<Value, Error> {
        let mut h = x;
        for (number, layer) in layers.iter().enumerate() {
            let corrected = cx.scope(layer_name(number), |cx| {
                let mut corrected = |name: &str, value: Value| {
                    let correction = cx.parameter(name, cx.shape(value).clone(), init::zeros())?;
                    cx.add(value, correction)
                };
                let weight = corrected("weight", layer.weight)?;
                let hidden_bias = corrected("bias", layer.hidden_bias)?;
                Ok::<_, Error>(RbmWeights { weight, hidden_bias, ..*layer })
            })?;
            h = self.code(cx, &corrected, h)?;
        }
        let codes = self.sizes.last().copied().unwrap_or(0);
        cx.layer("output", &Linear::new(codes, classes), h)
    }
}

impl Network for LayerwiseStack {
    fn build(&self, cx: &mut Context, rows: usize) -> Result<Outputs, Error> {
        let layers = self.layers(cx)?;
        let dtype = cx.dtype(layers[0].weight);
        let x = cx.input(ROWS, dtype, [rows, self.sizes[0]])?;
        let classifier = match self.classes {
            Some(classes) => {
                let labels = cx.input(TARGETS, DType::I64, [rows])?;
                let logits = cx.scope(CLASSIFIER, |cx| self.logits(cx, &layers, x, classes))?;
                Some((logits, labels))
            }
            None => None,
        };
        let mut outputs = Outputs::new();
        let mut code = x;
        for (number, layer) in layers.iter().enumerate() {
            let name = layer_name(number);
            if cx.is_turn_of(&name) {
                let learned = cx.scope(&name, |cx| self.learn(cx, number, layer, code))?;
                for (metric, value) in learned.metrics {
                    outputs = outputs.metric(format!("{name}_{metric}"), value);
                }
                outputs.players.extend(learned.loss.map(|loss| (name, loss)));
            }
            let next = self.code(cx, layer, code)?;
            code = cx.stop_gradient(next)?;
        }
        if let Some((logits, labels)) = classifier {
            outputs = outputs.result(PREDICTION, logits);
            if cx.is_turn_of(CLASSIFIER) {
                let loss = Loss::cross_entropy().mean(cx, logits, labels)?;
                let accuracy = metric::accuracy(cx, logits, labels)?;
                outputs = outputs.player(CLASSIFIER, loss).metric(ACCURACY, accuracy);
            }
        }
        let reconstruction =
            layers.iter().rev().try_fold(code, |made, layer| layer.visible_means(cx, made))?;
        let outputs = outputs.result(CODE, code).result(RECONSTRUCTION, reconstruction);
        Ok(outputs.of_domain(ROWS, self.units.domain()))
    }
}

impl Sampler for LayerwiseStack {
    fn draw_rows(&self, cx: &mut Context, chains: usize, steps: usize) -> Result<Value, Error> {
        if let Method::Autoencoder { .. } = self.method {
            let help = "train layers by `Method::Rbm`, which say how likely each state is";
            return Err(Error::new("layer-wise stack", "its layers are autoencoders", help));
        }
        let layers = self.layers(cx)?;
        let (top, below) = layers.split_last().expect("there is at least one layer");
        let means = top.draw_means(cx, chains, steps)?;
        below.iter().rev().try_fold(means, |means, machine| {
            let h = bernoulli(cx, means)?;
            machine.visible_means(cx, h)
        })
    }
}
