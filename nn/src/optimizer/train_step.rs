//! What is done around an optimizer: a name, a choice of parameters, what becomes of gradients before it follows them, and
//! averages of weights after.

use ir::{Error, Scalar, Value};

use super::average::average;
use super::states::{counter, own_name};
use super::{Gradient, Optimizer, check, check_size, moment, scaled};
use crate::Context;
use crate::pattern::captures;

/// What keeps the division by the norm from zero; PyTorch's `clip_grad_norm_` has the same.
const NORM_EPS: f64 = 1e-6;

/// The name of the norm of all gradients where they are clipped by it: an output of a training step. Of an optimizer with a
/// name it is [`own_name`] of this.
pub const GRADIENT_NORM: &str = "gradient_norm";

/// A bound on gradients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clip {
    /// Each element is moved into -bound..bound.
    Value(f64),
    /// All gradients are scaled by one factor such that the root of the sum of all their squares is at most this much
    /// (R. Pascanu et al., "On the difficulty of training recurrent neural networks", 2013, algorithm 1):
    /// `min(1, bound / (norm + 1e-6))`. A step whose norm is not finite does not take place: with a bound
    /// that no norm reaches, only those are left out in which a gradient is not finite.
    Norm(f64),
}

/// Settings for the parameters of which the name matches a pattern.
///
/// ```
/// use nn::Group;
/// let backbone = Group::frozen("encoder.*");
/// let biases = Group::new("*.bias").weight_decay(0.0);
/// assert_eq!((backbone.learning_rate, biases.learning_rate), (0.0, 1.0));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The names that it is for; a `*` stands for any number of any characters.
    pub pattern: String,
    /// What the learning rate is multiplied by; 0 freezes the parameters: they have no gradients and no moments.
    pub learning_rate: f64,
    /// What the weight decay is multiplied by.
    pub weight_decay: f64,
}

impl Group {
    /// The parameters of names like `pattern`, with nothing changed.
    pub fn new(pattern: impl Into<String>) -> Group {
        Group { pattern: pattern.into(), learning_rate: 1.0, weight_decay: 1.0 }
    }

    /// The parameters of names like `pattern`, which stay as they are.
    pub fn frozen(pattern: impl Into<String>) -> Group {
        Group::new(pattern).learning_rate(0.0)
    }

    /// With so many times the learning rate.
    pub fn learning_rate(self, factor: f64) -> Group {
        Group { learning_rate: factor, ..self }
    }

    /// With so many times the weight decay.
    pub fn weight_decay(self, factor: f64) -> Group {
        Group { weight_decay: factor, ..self }
    }
}

/// An optimizer with what is done around it: it has a name and parameters of its own, gradients are added up over some batches,
/// then bounded, parameters in groups have settings of their own, and averages of weights are kept.
///
/// ```
/// use nn::{Adam, Clip, Group, TrainStep};
/// let step = TrainStep::new(Adam::new(1e-3).weight_decay(1e-4))
///     .clip(Clip::Norm(1.0))
///     .accumulate(4)
///     .group(Group::new("*.bias").weight_decay(0.0));
/// assert_eq!(step.accumulate, 4);
/// ```
pub struct TrainStep {
    /// The rule.
    pub optimizer: Box<dyn Optimizer>,
    /// What the states of the optimizer are told apart by; see [`Optimizer::named`].
    pub name: Option<String>,
    /// Patterns of the names of the parameters that the optimizer updates, in which a `*` stands for any characters; none for
    /// all. Others stay as they are.
    pub only: Vec<String>,
    /// The bound, if any, on the gradients that the rule sees.
    pub clip: Option<Clip>,
    /// The number of batches over which gradients are averaged for one step of the optimizer. In the others, parameters and
    /// moments stay; the sums are the state `gradient_sum` of each parameter. With equal batches the step is that on one
    /// batch of all their rows, up to rounding. Batches are counted on over the ends of epochs; those after the last step of a run
    /// change nothing.
    pub accumulate: usize,
    /// Settings by name; of several groups that a parameter is in, the last counts.
    pub groups: Vec<Group>,
    /// The greatest size of an element of a parameter after a step, where there is one; see [`TrainStep::clip_weights`].
    pub weight_bound: Option<f64>,
    /// The decay of a moving average of each parameter, from 0 to 1, where averages are kept; see [`TrainStep::average_weights`].
    pub average: Option<f64>,
}

impl TrainStep {
    /// The optimizer as it is.
    pub fn new(optimizer: impl Optimizer + 'static) -> TrainStep {
        TrainStep {
            optimizer: Box::new(optimizer),
            name: None,
            only: Vec::new(),
            clip: None,
            accumulate: 1,
            groups: Vec::new(),
            weight_bound: None,
            average: None,
        }
    }

    /// With states of its own, under this name: see [`Optimizer::named`].
    pub fn named(self, name: impl Into<String>) -> TrainStep {
        TrainStep { name: Some(name.into()), ..self }
    }

    /// For the parameters of names like `pattern` and like those given before; others have no gradients and no moments.
    ///
    /// ```
    /// use nn::{Adam, TrainStep};
    /// let step = TrainStep::new(Adam::new(1e-3)).only("decoder.*").only("bridge.weight");
    /// assert_eq!(step.only.len(), 2);
    /// ```
    pub fn only(mut self, pattern: impl Into<String>) -> TrainStep {
        self.only.push(pattern.into());
        self
    }

    /// With a moving average of each parameter that it updates: the state `<parameter>.average`
    /// ([`AVERAGE`](super::AVERAGE)), updated in the same step. In step t = 1, 2, .. it moves by the share
    /// `max(1 / t, 1 - decay)` towards the parameter: it is the mean of all values so far (B. T. Polyak and A. B. Juditsky, 1992)
    /// until `1 / (1 - decay)` steps have been made, then exponential. With a decay of 1 it is always that mean. Buffers, such as
    /// the statistics of batch normalisation, have none.
    ///
    /// ```
    /// use nn::{Optimizer, Sgd, TrainStep};
    /// let mut cx = nn::Context::training("step");
    /// let loss = cx.parameter("p", [], ir::Init::Constant(1.0))?;
    /// TrainStep::new(Sgd::new(0.1)).average_weights(0.999).step(&mut cx, loss)?;
    /// assert!(cx.graph().find("p.average").is_some());
    /// # Ok::<(), ir::Error>(())
    /// ```
    pub fn average_weights(self, decay: f64) -> TrainStep {
        TrainStep { average: Some(decay), ..self }
    }

    /// With each element of the parameters that it updates moved into -bound..bound after the step, as the critic's of a
    /// Wasserstein GAN are (M. Arjovsky et al., "Wasserstein GAN", 2017, algorithm 1).
    ///
    /// ```
    /// use nn::{RmsProp, TrainStep};
    /// let step = TrainStep::new(RmsProp::new(5e-5)).clip_weights(0.01);
    /// assert_eq!(step.weight_bound, Some(0.01));
    /// ```
    pub fn clip_weights(self, bound: f64) -> TrainStep {
        TrainStep { weight_bound: Some(bound), ..self }
    }

    /// With a bound on gradients.
    pub fn clip(self, clip: Clip) -> TrainStep {
        TrainStep { clip: Some(clip), ..self }
    }

    /// With one step of the optimizer for so many batches.
    pub fn accumulate(self, batches: usize) -> TrainStep {
        TrainStep { accumulate: batches, ..self }
    }

    /// With settings for some parameters.
    pub fn group(mut self, group: Group) -> TrainStep {
        self.groups.push(group);
        self
    }
}

impl Optimizer for TrainStep {
    fn follow(&self, cx: &mut Context, gradients: &[Gradient]) -> Result<(), Error> {
        if let Some(name) = &self.name {
            check_name(name)?;
        }
        let gradients = grouped(chosen(gradients, &self.only)?, &self.groups)?;
        if self.accumulate == 0 {
            return Err(Error::new("accumulate", "the number of batches is 0", "give at least 1"));
        }
        cx.with_optimizer(self.name(), |cx| {
            if self.accumulate == 1 {
                return self.follow_bounded(cx, gradients);
            }
            let is_last = count_batches(cx, self.accumulate)?;
            let means = gradients
                .into_iter()
                .map(|gradient| accumulated(cx, gradient, self.accumulate, is_last))
                .collect::<Result<_, _>>()?;
            cx.when(is_last, |cx| self.follow_bounded(cx, means))
        })
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref().or_else(|| self.optimizer.name())
    }

    fn batches_per_step(&self) -> usize {
        self.accumulate.saturating_mul(self.optimizer.batches_per_step())
    }
}

impl TrainStep {
    /// The step of the optimizer on these gradients within the bound, and of the averages.
    fn follow_bounded(&self, cx: &mut Context, gradients: Vec<Gradient>) -> Result<(), Error> {
        let gradients = clipped(cx, gradients, self.clip)?;
        self.optimizer.follow(cx, &gradients)?;
        if let Some(bound) = self.weight_bound {
            clip_weights(cx, &gradients, bound)?;
        }
        self.average.map_or(Ok(()), |decay| average(cx, &gradients, decay))
    }
}

/// Checks the name of an optimizer, which is part of names of states.
fn check_name(name: &str) -> Result<(), Error> {
    let is_word = name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    if is_word && !name.is_empty() {
        return Ok(());
    }
    Err(Error::new("optimizer", format!("its name is `{name}`"), "use letters, digits and `_`"))
}

/// The gradients of parameters of names like one of `patterns`; all where there is no pattern.
fn chosen(gradients: &[Gradient], patterns: &[String]) -> Result<Vec<Gradient>, Error> {
    patterns.iter().try_for_each(|pattern| check_pattern(gradients, pattern))?;
    let is_chosen = |gradient: &&Gradient| {
        patterns.is_empty() || patterns.iter().any(|pattern| matches(pattern, &gradient.parameter.name))
    };
    Ok(gradients.iter().filter(is_chosen).cloned().collect())
}

/// Checks that some parameter is of a name like `pattern`.
fn check_pattern(gradients: &[Gradient], pattern: &str) -> Result<(), Error> {
    if gradients.iter().any(|gradient| matches(pattern, &gradient.parameter.name)) {
        return Ok(());
    }
    let names: Vec<&str> = gradients.iter().map(|gradient| gradient.parameter.name.as_str()).collect();
    let help = format!("the parameters are {}", names.join(", "));
    Err(Error::new(pattern, "no parameter has such a name", help))
}

/// The gradients with the settings of their groups, without those of frozen parameters.
fn grouped(gradients: Vec<Gradient>, groups: &[Group]) -> Result<Vec<Gradient>, Error> {
    for group in groups {
        check_size(&group.pattern, "the factor of the learning rate", group.learning_rate)?;
        check_size(&group.pattern, "the factor of the weight decay", group.weight_decay)?;
        check_pattern(&gradients, &group.pattern)?;
    }
    let with_settings = gradients.into_iter().map(|gradient| {
        let is_its = |group: &&Group| matches(&group.pattern, &gradient.parameter.name);
        match groups.iter().rfind(is_its) {
            Some(group) => Gradient {
                learning_rate: gradient.learning_rate * group.learning_rate,
                weight_decay: gradient.weight_decay * group.weight_decay,
                ..gradient
            },
            None => gradient,
        }
    });
    let kept: Vec<Gradient> = with_settings.filter(|gradient| gradient.learning_rate != 0.0).collect();
    if kept.is_empty() {
        return Err(Error::new("train_step", "all parameters are frozen", "leave one to be trained"));
    }
    Ok(kept)
}

/// Whether `name` is like `pattern`.
fn matches(pattern: &str, name: &str) -> bool {
    captures(pattern, name).is_some()
}

/// Whether this is the last of `batches` batches, a `bool[]`, and the counting of them.
fn count_batches(cx: &mut Context, batches: usize) -> Result<Value, Error> {
    let before = counter(cx, "accumulate.batches")?;
    let [zero, one, last] = [0, 1, batches as i64].map(|number| cx.scalar(Scalar::I64(number)));
    let count = cx.eval(before + one)?;
    let is_last = cx.eval(count.ge(last))?;
    cx.update(before, is_last.select(zero, count))?;
    Ok(is_last)
}

/// The mean of this gradient and those of the batches before it, and the update of their sum.
fn accumulated(
    cx: &mut Context,
    gradient: Gradient,
    batches: usize,
    is_last: Value,
) -> Result<Gradient, Error> {
    let before = moment(cx, &gradient.parameter, "gradient_sum")?;
    let sum = cx.eval(before + gradient.value)?;
    cx.update(before, is_last.select(0.0, sum))?;
    let value = cx.eval(scaled(sum, 1.0 / batches as f64))?;
    Ok(Gradient { value, ..gradient })
}

/// The gradients within the bound.
fn clipped(cx: &mut Context, gradients: Vec<Gradient>, clip: Option<Clip>) -> Result<Vec<Gradient>, Error> {
    let Some(clip) = clip else { return Ok(gradients) };
    let (Clip::Value(bound) | Clip::Norm(bound)) = clip;
    check("clip", "the bound", bound, bound.is_finite() && bound > 0.0, "a finite number above 0")?;
    let scale = match clip {
        Clip::Value(_) => None,
        Clip::Norm(_) => Some(norm_scale(cx, &gradients, bound)?),
    };
    let clip = |gradient: Gradient| {
        let value = match scale {
            Some(scale) => cx.mul(gradient.value, scale)?,
            None => {
                let [low, high] = [-bound, bound].map(|bound| cx.float_like(gradient.value, bound));
                cx.clamp(gradient.value, low, high)?
            }
        };
        Ok(Gradient { value, ..gradient })
    };
    gradients.into_iter().map(clip).collect()
}

/// Moves the elements of these parameters, whose updates have been built, into -bound..bound.
fn clip_weights(cx: &mut Context, gradients: &[Gradient], bound: f64) -> Result<(), Error> {
    let is_valid = bound.is_finite() && bound > 0.0;
    check("clip_weights", "the bound", bound, is_valid, "a finite number above 0")?;
    for Gradient { parameter, .. } in gradients {
        let update = cx.graph().updates.iter().find(|update| update.state == parameter.value.node);
        let Some(next) = update.map(|update| update.value) else { continue };
        let [low, high] = [-bound, bound].map(|bound| cx.float_like(next, bound));
        let clipped = cx.clamp(next, low, high)?;
        cx.replace_update(parameter.value, clipped)?;
    }
    Ok(())
}

/// `min(1, bound / (norm + eps))`, of rank 0.
fn norm_scale(cx: &mut Context, gradients: &[Gradient], bound: f64) -> Result<Value, Error> {
    let mut total: Option<Value> = None;
    for gradient in gradients {
        let sum = cx.eval(gradient.value.square().sum_all())?;
        total = Some(total.map_or(Ok(sum), |total| cx.add(total, sum))?);
    }
    let total = total.expect("an optimizer has gradients to follow");
    let norm = cx.sqrt(total)?;
    // An infinite norm would make the scale 0, and of infinite gradients NaN.
    let name = own_name(GRADIENT_NORM, cx.optimizer());
    cx.require_finite(&name, norm);
    let [eps, bound, one] = [NORM_EPS, bound, 1.0].map(|number| cx.float_like(norm, number));
    cx.eval((bound / (norm + eps)).min(one))
}
