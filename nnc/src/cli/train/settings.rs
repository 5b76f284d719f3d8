//! What a run is made with: what was given on the command line, else what a checkpoint says, else the defaults.

use nn::models::Likelihood;
use nn::schedule::{Decay, Plateau, Schedule};
use nn::supervised::TARGETS;
use nn::{Clip, Loss, Player, TrainStep};
use nnc::Error;
use nnc::checkpoint::{Description, Settings as Saved, differences};
use nnc::data::{Augment, Dataset, Normalisation, Source, Targets, check_domain};
use nnc::models::layerwise::RBM;
use nnc::models::{Architecture, Learns, ModelOptions};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::given::Given;
use super::names::{ClassWeights, LossName, Normalise, NormaliseTargets, OptimizerName, ScheduleName};
use crate::cli::table::TableArgs;

/// The part of the training rows that `--patience` holds out where `--validation` does not say.
const VALIDATION: f64 = 0.1;
/// The option of this name may change when a run goes on.
pub const EPOCHS: &str = "epochs";
/// What `--schedule step` multiplies the learning rate by after each third of the run.
const STEP_FACTOR: f64 = 0.1;
/// What `--schedule plateau` multiplies the learning rate by, and after more than how many epochs that were no better.
const PLATEAU: (f64, u64) = (0.3, 2);

/// All settings of a run, by the names of the options.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Settings {
    pub data: String,
    pub test_data: Option<String>,
    pub split_seed: u64,
    #[serde(flatten)]
    pub table: TableArgs,
    pub normalise: Normalise,
    /// Until the data are known, `None` is what suits them and the loss.
    pub normalise_targets: Option<NormaliseTargets>,
    pub augment: Augment,
    pub epochs: usize,
    pub batch: usize,
    pub seed: u64,
    pub optimizer: OptimizerName,
    pub lr: f64,
    pub schedule: ScheduleName,
    pub warmup: u64,
    pub weight_decay: f64,
    pub beta1: Option<f64>,
    pub clip: Option<f64>,
    pub clip_value: Option<f64>,
    pub average_weights: Option<f64>,
    pub accumulate: usize,
    /// Until the data are known, `None` is the one that suits them and the model.
    pub loss: Option<LossName>,
    pub class_weights: ClassWeights,
    pub validation: f64,
    pub patience: Option<usize>,
    #[serde(flatten)]
    pub model: ModelOptions,
}

impl Settings {
    /// What was given, else what was saved, else what suits the model, else the defaults.
    ///
    /// # Errors
    /// Where something was given that the model has not or that is out of range, or that differs from what was saved.
    pub fn resolve(
        model: &Architecture,
        given: &Given,
        saved: Option<&Description>,
    ) -> Result<Settings, Error> {
        let given = names_and_values(&Given { table: given.table.without_negation(), ..given.clone() });
        check_options_of_model(model, &given)?;
        let mut all = names_and_values(&Given::suiting(model));
        all.extend(suiting_data(model, &given)?);
        if given.contains_key("optimizer") {
            all.retain(|name, _| !["lr", "weight-decay", "beta1"].contains(&name.as_str())); // these suit another one
        }
        if let Some(saved) = saved {
            all = saved.settings.clone().into_iter().chain(saved.free.clone()).collect();
            check_nothing_differs(saved, &given)?;
        }
        all.extend(given);
        let settings: Given = from_map(&all)?;
        let settings = Settings::with_defaults(settings, from_map(&all)?)?;
        settings.check()?;
        let sizes = settings.model.hidden.len();
        if model.sequences.is_some() && sizes != 1 {
            let problem = format!("there are {sizes} sizes, and all layers have one");
            return Err(Error::invalid("--hidden", problem, "give one size, and --layers for their number"));
        }
        if model.name == RBM.name && sizes != 1 {
            let problem = format!("there are {sizes} sizes, and a machine has one hidden layer");
            return Err(Error::invalid("--hidden", problem, "give one size, or train a dbn"));
        }
        Ok(settings)
    }

    fn with_defaults(given: Given, model: ModelOptions) -> Result<Settings, Error> {
        let optimizer = given.optimizer.unwrap_or(OptimizerName::Adam);
        let validation = if given.patience.is_some() { VALIDATION } else { 0.0 };
        let data = given.data.unwrap_or_else(|| "digits".into());
        let is_scaled = data.parse::<Source>()?.is_scaled();
        Ok(Settings {
            normalise: given.normalise.unwrap_or(if is_scaled {
                Normalise::None
            } else {
                Normalise::Standard
            }),
            data,
            test_data: given.test_data,
            split_seed: given.split_seed.unwrap_or(0),
            table: given.table,
            normalise_targets: given.normalise_targets,
            augment: given.augment.unwrap_or_default(),
            epochs: given.epochs.unwrap_or(30),
            batch: given.batch.unwrap_or(32),
            seed: given.seed.unwrap_or(0),
            optimizer,
            lr: given.lr.unwrap_or_else(|| optimizer.default_rate()),
            schedule: given.schedule.unwrap_or(ScheduleName::Cosine),
            warmup: given.warmup.unwrap_or(0),
            weight_decay: given.weight_decay.unwrap_or_else(|| optimizer.default_decay()),
            beta1: given.beta1,
            clip: given.clip,
            clip_value: given.clip_value,
            average_weights: given.average_weights,
            accumulate: given.accumulate.unwrap_or(1),
            loss: given.loss,
            class_weights: given.class_weights.unwrap_or(ClassWeights::Equal),
            validation: given.validation.unwrap_or(validation),
            patience: given.patience,
            model,
        })
    }

    /// Checks what the library would report in other words, or not at all.
    fn check(&self) -> Result<(), Error> {
        let at_least_1 = [
            ("--epochs", Some(self.epochs)),
            ("--accumulate", Some(self.accumulate)),
            ("--patience", self.patience),
            ("--hidden", self.model.hidden.iter().copied().min()),
            ("--channels", self.model.channels.iter().copied().min()),
            ("--labels", self.model.labels),
            ("--layers", Some(self.model.layers)),
            ("--steps", Some(self.model.steps)),
            ("--code", Some(self.model.code)),
            ("--critic-steps", Some(self.model.critic_steps)),
            ("--cd-steps", Some(self.model.cd_steps)),
        ];
        for (name, value) in at_least_1 {
            if value == Some(0) {
                return Err(Error::invalid(name, "it is 0", "give at least 1"));
            }
        }
        let above_0 = [("--lr", Some(self.lr)), ("--clip", self.clip), ("--clip-value", self.clip_value)];
        for (name, value) in above_0 {
            if let Some(value) = value.filter(|value| !value.is_finite() || *value <= 0.0) {
                return Err(Error::invalid(name, format!("it is {value}"), "give a finite number above 0"));
            }
        }
        if !self.weight_decay.is_finite() || self.weight_decay < 0.0 {
            let problem = format!("it is {}", self.weight_decay);
            return Err(Error::invalid("--weight-decay", problem, "give a finite number of at least 0"));
        }
        if let Some(beta1) = self.beta1 {
            if !self.optimizer.has_beta1() {
                let problem = "the optimizer has no such average";
                return Err(Error::invalid("--beta1", problem, "leave it out, or choose adam"));
            }
            if !(0.0..1.0).contains(&beta1) {
                let help = "give a number of at least 0 and below 1";
                return Err(Error::invalid("--beta1", format!("it is {beta1}"), help));
            }
        }
        let at_least_0 = [
            ("--contraction", self.model.contraction),
            ("--beta", self.model.beta),
            ("--alpha", self.model.alpha),
            ("--orthogonality", self.model.orthogonality),
        ];
        for (name, value) in at_least_0 {
            if value < 0.0 {
                return Err(Error::invalid(name, format!("it is {value}"), "give a number of at least 0"));
            }
        }
        for (name, value) in [("--dropout", self.model.dropout), ("--validation", self.validation)] {
            if !(0.0..1.0).contains(&value) {
                let problem = format!("it is {value}");
                return Err(Error::invalid(name, problem, "give a number of at least 0 and below 1"));
            }
        }
        Ok(())
    }

    /// Checks the batch against the number of rows to train on.
    ///
    /// # Errors
    /// Where there is no such batch.
    pub fn check_batch(&self, rows: usize) -> Result<(), Error> {
        if self.batch == 0 || self.batch > rows {
            let problem = format!("it is {}, and there are {rows} examples to train on", self.batch);
            return Err(Error::invalid("--batch", problem, format!("give from 1 to {rows}")));
        }
        Ok(())
    }

    /// The loss for such data; `None` of a model that has a loss of its own.
    ///
    /// # Errors
    /// Where the one that was chosen is not for their kind of targets, or has no weights of classes; where the model does not learn
    /// from such data.
    pub fn loss(&mut self, model: &Architecture, data: &Dataset) -> Result<Option<Loss>, Error> {
        let usual = match &model.learns {
            Learns::Targets(usual) => usual,
            Learns::Rows | Learns::Labels => return self.own_loss(model, data).map(|()| None),
            Learns::Several => {
                let help =
                    "train it with the library (`nnc::Trainer` takes any network), or see it with `nnc dump`";
                let problem = "it has several results, and data have one target per row";
                return Err(Error::invalid(model.name, problem, help));
            }
        };
        let suitable = match data.targets() {
            Targets::Classes { .. } => LossName::of(usual).unwrap_or(LossName::CrossEntropy),
            Targets::Values { .. } => LossName::SquaredError,
        };
        let name = *self.loss.get_or_insert(suitable);
        let weights = match data.targets() {
            Targets::Classes { labels, names } => self.class_weights.build(labels, names.len()),
            Targets::Values { .. } => Vec::new(),
        };
        if self.class_weights == ClassWeights::Balanced
            && (weights.is_empty() || name != LossName::CrossEntropy)
        {
            let problem = format!("the loss is {}", name.text());
            return Err(Error::invalid(
                "--class-weights",
                problem,
                "only cross-entropy has weights of classes",
            ));
        }
        let loss = name.build(weights);
        if loss.has_labels() != matches!(data.targets(), Targets::Classes { .. }) {
            let kind = if loss.has_labels() { "values, not classes" } else { "classes, not values" };
            let problem = format!("the targets of {} are {kind}", data.name());
            return Err(Error::invalid(
                format!("--loss {}", name.text()),
                problem,
                format!("give {}", suitable.text()),
            ));
        }
        // Before some rows are held out, after which they have other numbers.
        if let Some(domain) = loss.domain() {
            check_domain(data, TARGETS, domain)?;
        }
        Ok(Some(loss))
    }

    /// How target values are scaled, of a model that predicts some.
    ///
    /// # Errors
    /// Where they are to be scaled and the loss is one of values from 0 to 1, or there are none.
    pub fn target_normalisation(&mut self, train: &Dataset) -> Result<Option<Normalisation>, Error> {
        let is_of_probabilities = self.loss == Some(LossName::BinaryCrossEntropy);
        let has_values = self.loss.is_some() && train.values().is_some();
        let wanted = self.normalise_targets;
        if wanted == Some(NormaliseTargets::Standard) && (is_of_probabilities || !has_values) {
            let problem = match has_values {
                true => "binary-cross-entropy takes targets from 0 to 1".to_owned(),
                false => "there are no target values that are predicted".to_owned(),
            };
            return Err(Error::invalid("--normalise-targets", problem, "leave it out"));
        }
        if !has_values {
            return Ok(None);
        }
        let is_scaled = self.data.parse::<Source>()?.is_scaled();
        let suitable = match is_of_probabilities || is_scaled {
            true => NormaliseTargets::None,
            false => NormaliseTargets::Standard,
        };
        match *self.normalise_targets.get_or_insert(suitable) {
            NormaliseTargets::None => Ok(None),
            NormaliseTargets::Standard => Ok(Normalisation::of_targets(train)),
        }
    }

    /// Checks what has no meaning for a model with a loss of its own, and says what suits the data.
    fn own_loss(&mut self, model: &Architecture, data: &Dataset) -> Result<(), Error> {
        let wrong = [
            ("--loss", self.loss.is_some()),
            ("--class-weights", self.class_weights != ClassWeights::Equal),
            ("--augment", self.augment != Augment::default()),
        ];
        if let Some((name, _)) = wrong.into_iter().find(|(_, is_wrong)| *is_wrong) {
            return Err(Error::invalid(
                name,
                format!("the model {} has no such option", model.name),
                "leave it out",
            ));
        }
        if model.learns == Learns::Labels && !matches!(data.targets(), Targets::Classes { .. }) {
            let problem = format!("{} learns from labels, and the targets are values", model.name);
            return Err(Error::invalid(data.name(), problem, "give data of classes, or another model"));
        }
        Ok(())
    }

    /// Says what a decoder says of rows, where the model has one and nobody has said it.
    ///
    /// # Errors
    /// Where values of the rows to train on are no probabilities and are to be some.
    pub fn choose_likelihood(&mut self, model: &Architecture, train: &Dataset) -> Result<(), Error> {
        if !model.options.contains(&"likelihood") {
            return Ok(());
        }
        let rows = train.rows();
        let outside = rows.iter().position(|value| !(0.0..=1.0).contains(value));
        let suitable = if outside.is_some() { Likelihood::Gaussian } else { Likelihood::Bernoulli };
        match (*self.model.likelihood.get_or_insert(suitable), outside) {
            (Likelihood::Bernoulli, Some(at)) => {
                let (row, value) = (at / train.features().max(1), rows[at]);
                let problem =
                    format!("`x` holds {value} in row {row} (from 0) to train on, which is no probability");
                Err(Error::invalid("--likelihood bernoulli", problem, "give gaussian, or values from 0 to 1"))
            }
            _ => Ok(()),
        }
    }

    /// Checks what has no meaning for sequences with a target at each step, and says what their loss is.
    ///
    /// # Errors
    /// Where something of the kind was chosen.
    pub fn check_sequences(&mut self) -> Result<(), Error> {
        let loss = *self.loss.get_or_insert(LossName::CrossEntropy);
        let wrong = [
            ("--loss", loss != LossName::CrossEntropy, "give cross-entropy"),
            ("--class-weights", self.class_weights != ClassWeights::Equal, "leave it out"),
            ("--normalise", self.normalise != Normalise::None, "leave it out: tokens have no scale"),
            ("--augment", self.augment != Augment::default(), "leave it out: there are no images"),
        ];
        match wrong.into_iter().find(|(_, is_wrong, _)| *is_wrong) {
            None => Ok(()),
            Some((name, _, help)) => {
                let problem = format!("{} has a target at each step of its rows", self.data);
                Err(Error::invalid(name, problem, help))
            }
        }
    }

    /// The optimizer with what is done to gradients before it.
    pub fn optimizer(&self) -> TrainStep {
        let step = TrainStep::new(self.optimizer.build(self.lr, self.weight_decay, self.beta1))
            .accumulate(self.accumulate);
        let step = match self.average_weights {
            Some(decay) => step.average_weights(decay),
            None => step,
        };
        match (self.clip, self.clip_value) {
            (Some(norm), _) => step.clip(Clip::Norm(norm)),
            (None, Some(bound)) => step.clip(Clip::Value(bound)),
            (None, None) => step,
        }
    }

    /// How the learning rate changes in a run of so many steps.
    pub fn schedule(&self, steps: u64) -> (Schedule, Option<Plateau>) {
        let after_warmup = steps.saturating_sub(self.warmup).max(1);
        let decay = match self.schedule {
            ScheduleName::Constant | ScheduleName::Plateau => Decay::Constant,
            ScheduleName::Step => Decay::Step { steps: after_warmup.div_ceil(3), factor: STEP_FACTOR },
            ScheduleName::Cosine => Decay::Cosine { steps: after_warmup, least: 0.0 },
        };
        let (factor, patience) = PLATEAU;
        let plateau = Plateau { factor, patience, ..Plateau::default() };
        let is_plateau = self.schedule == ScheduleName::Plateau;
        (Schedule { warm_up: self.warmup, decay }, is_plateau.then_some(plateau))
    }

    /// A player of a game of so many epochs, of so many steps each, whose learning rate changes by the schedule over its own epochs.
    pub fn scheduled(&self, player: Player, epochs: usize, steps_per_epoch: usize) -> Player {
        let its = player.its_epochs();
        let steps = its.end.min(epochs).saturating_sub(its.start) * steps_per_epoch;
        player.schedule(self.schedule(steps as u64).0)
    }

    /// What a checkpoint says of them: those that a run depends on to the bit, and those that may change when it goes on.
    /// Options that the model has not are left out.
    pub fn saved(&self, model: &Architecture) -> (Saved, Saved) {
        let mut settings = names_and_values(self);
        let absent = MODEL_OPTIONS.iter().filter(|name| !model.options.contains(name));
        absent.for_each(|name| drop(settings.remove(*name)));
        settings.into_iter().partition(|(name, _)| !["data", "test-data", EPOCHS].contains(&name.as_str()))
    }

    /// Whether the learning rate of a step depends on the number of steps of the whole run.
    pub fn has_schedule_of_length(&self) -> bool {
        matches!(self.schedule, ScheduleName::Step | ScheduleName::Cosine)
    }
}

/// The options that only some models have.
const MODEL_OPTIONS: [&str; 24] = [
    "hidden",
    "activation",
    "dropout",
    "batch-norm",
    "cell",
    "layers",
    "bidirectional",
    "steps",
    "channels",
    "code",
    "tied",
    "likelihood",
    "noise",
    "sparsity",
    "contraction",
    "beta",
    "labels",
    "alpha",
    "critic-steps",
    "chain",
    "cd-steps",
    "pretrain-epochs",
    "divergence",
    "orthogonality",
];

/// What suits the data that are given, of the options that the model has.
fn suiting_data(model: &Architecture, given: &Saved) -> Result<Saved, Error> {
    let Some(data) = given.get("data").and_then(Value::as_str) else { return Ok(Saved::new()) };
    let mut suiting = names_and_values(&Given::suiting_data(data.parse::<Source>()?.kind()));
    suiting
        .retain(|name, _| !MODEL_OPTIONS.contains(&name.as_str()) || model.options.contains(&name.as_str()));
    Ok(suiting)
}

fn check_options_of_model(model: &Architecture, given: &Saved) -> Result<(), Error> {
    let unknown =
        MODEL_OPTIONS.iter().find(|name| given.contains_key(**name) && !model.options.contains(name));
    match unknown {
        None => Ok(()),
        Some(name) => {
            let problem = format!("the model {} has no such option", model.name);
            Err(Error::invalid(format!("--{name}"), problem, "leave it out"))
        }
    }
}

/// Checks that what is given is what the run was started with, but for what may change.
fn check_nothing_differs(saved: &Description, given: &Saved) -> Result<(), Error> {
    let fixed: Saved = given.iter().filter(|(name, _)| !saved.free.contains_key(*name)).map(owned).collect();
    let there = saved.settings.iter().filter(|(name, _)| fixed.contains_key(*name)).map(owned).collect();
    let found = differences(&there, &fixed);
    if found.is_empty() {
        return Ok(());
    }
    let problem = format!("the run was started with other settings: {}", found.join("; "));
    let help = match found.iter().any(|found| found.starts_with("lr is ")) {
        true => {
            "leave these options out (--change-lr RATE goes on at another learning rate), or start another run"
        }
        false => "leave these options out, or start another run",
    };
    Err(Error::invalid("--resume", problem, help))
}

fn owned((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}

/// Options by name, without those that are not set.
fn names_and_values(options: &impl Serialize) -> Saved {
    let Ok(Value::Object(map)) = serde_json::to_value(options) else {
        unreachable!("options are a struct of numbers, names and lists")
    };
    map.into_iter().filter(|(_, value)| !value.is_null()).collect()
}

/// The options of these names and values.
fn from_map<T: for<'de> Deserialize<'de>>(all: &Saved) -> Result<T, Error> {
    let map = Value::Object(all.clone().into_iter().collect());
    serde_json::from_value(map).map_err(|error| {
        let problem = format!("its settings cannot be understood: {error}");
        Error::invalid("the checkpoint", problem, "give one that this version of nnc has written")
    })
}
