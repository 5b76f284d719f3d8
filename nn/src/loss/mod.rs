//! Losses: what is minimised, a mean over the batch.
//!
//! | module | its predictions are |
//! |---|---|
//! | `classes` | scores of classes, one of which is the label |
//! | `elements` | numbers, each with a target of its own |
//! | `sequence` | scores of classes at each step of a sequence |
//! | `custom` | what one says |

mod classes;
mod custom;
mod elements;
mod sequence;

use ir::{Builder, DType, Error, Expr, Type, Value};

use crate::{Domain, metric};

pub use classes::at_labels;
pub(crate) use classes::check_classes;
pub use custom::CustomLoss;
pub(crate) use elements::binary_cross_entropy;
pub use sequence::{Counted, SequenceCrossEntropy};

/// A loss.
///
/// ```
/// use ir::DType;
/// use nn::Loss;
/// let mut b = ir::Builder::new("loss");
/// let logits = b.input("logits", DType::F32, [8, 10])?;
/// let labels = b.input("labels", DType::I64, [8])?;
/// let loss = Loss::cross_entropy().mean(&mut b, logits, labels)?;
/// assert_eq!(b.ty(loss).to_string(), "f32[]");
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Loss {
    /// `-log softmax(z)[label]`, with `z` of `[batch, classes]` and labels of `i64[batch]`; it overflows for no finite
    /// logits. PyTorch calls it `cross_entropy`. Of a label outside of the classes, `z[label]` is `max z` and the class has
    /// the weight 0; where batches come in (data sets, `nnc::Trainer::step`), such labels are errors.
    CrossEntropy {
        /// What the loss of an example of each class counts; empty for 1 each. The mean is over these weights, and 0 over a
        /// batch of which all weights are 0.
        class_weights: Vec<f64>,
        /// The part of the target that goes to all classes alike instead of the label (C. Szegedy et al., "Rethinking the
        /// Inception architecture for computer vision", 2016, section 7), from 0 to 1.
        label_smoothing: f64,
    },
    /// The hinge of several classes: `sum_j max(0, 1 - z[label] + z[j]) / classes` over the other classes `j`. Types as for
    /// `CrossEntropy`. PyTorch calls it `multi_margin_loss`.
    MultiClassHinge,
    /// The perceptron criterion of several classes: `max_j z[j] - z[label]`, 0 where the label has the greatest score. Types
    /// as for `CrossEntropy`.
    MultiClassPerceptron,
    /// `(f - y)^2` per element; both are floats of one shape, as for all that follow.
    SquaredError,
    /// `|f - y|` per element, of derivative 0 where it is 0.
    AbsoluteError,
    /// `(f - y)^2 / 2` up to a difference of `delta`, `delta (|f - y| - delta / 2)` beyond (P. J. Huber, "Robust estimation
    /// of a location parameter", 1964).
    Huber {
        /// Where the parabola goes on as a line; above 0.
        delta: f64,
    },
    /// `-y log sigmoid(z) - (1 - y) log(1 - sigmoid(z))` per element, for targets from 0 to 1; it overflows for no finite
    /// logits. PyTorch calls it `binary_cross_entropy_with_logits`.
    BinaryCrossEntropy,
    /// `max(0, 1 - y f)` per element, for targets of -1 and 1.
    Hinge,
    /// `-y f` of elements that are misclassified, which are those with `y f <= 0`, and 0 of others; for targets of -1 and 1.
    /// The perceptron criterion is the sum of these terms (F. Rosenblatt, 1958); their mean has another learning rate and
    /// the same minimum.
    Perceptron,
    /// `sum_j y[j] (log y[j] - log softmax(z)[j])` per row, the Kullback-Leibler divergence of the distribution that the
    /// logits stand for from that of the target; `z` and `y` are `[batch, classes]`, `y` probabilities.
    KlDivergence,
    /// `-sum_j y[j] log softmax(z)[j]` per row: cross entropy with a distribution in the place of a label. Types as for
    /// `KlDivergence`, from which it differs by the entropy of the target. PyTorch calls it `cross_entropy`, too.
    SoftCrossEntropy,
    /// A loss of one's own: [`Loss::custom`] and [`Loss::custom_of_classes`].
    Custom(CustomLoss),
}

/// The losses of examples or elements, and what they count.
struct Terms {
    /// `[batch, ..]`, with their weights in them.
    losses: Value,
    /// `[batch]`; 1 each where there are none.
    weights: Option<Value>,
}

impl Loss {
    /// Cross entropy without weights and smoothing.
    pub const fn cross_entropy() -> Loss {
        Loss::CrossEntropy { class_weights: Vec::new(), label_smoothing: 0.0 }
    }

    /// The loss of one's own that `function` computes of a prediction and a target of its type, both floats `[batch, ..]`: the
    /// losses of rows, `[batch]`, or of elements, of which [`Loss::mean`] and [`Loss::weighted_mean`] take the mean.
    ///
    /// ```
    /// use nn::Loss;
    /// // The logarithm of the hyperbolic cosine of the error, without overflow: |d| + log((1 + exp(-2 |d|)) / 2).
    /// let log_cosh = Loss::custom("log_cosh", |b, prediction, target| {
    ///     let size = b.eval((prediction - target).abs())?;
    ///     Ok(size + (size * -2.0).exp().log1p() - 2f64.ln())
    /// });
    /// let mut b = ir::Builder::new("loss");
    /// let [f, y] = [b.input("f", ir::DType::F32, [8, 3])?, b.input("y", ir::DType::F32, [8, 3])?];
    /// let loss = log_cosh.mean(&mut b, f, y)?;
    /// assert_eq!(b.ty(loss).to_string(), "f32[]");
    /// # Ok::<(), ir::Error>(())
    /// ```
    pub fn custom<E: Into<Expr>>(
        name: impl Into<String>,
        function: impl Fn(&mut Builder, Value, Value) -> Result<E, Error> + Send + Sync + 'static,
    ) -> Loss {
        Loss::Custom(CustomLoss::new(name, false, function))
    }

    /// As [`Loss::custom`], of logits `[batch, classes]` and labels `i64[batch]`.
    ///
    /// ```
    /// use nn::loss::{Loss, at_labels};
    /// // Cross entropy.
    /// let likelihood = Loss::custom_of_classes("likelihood", |b, logits, labels| {
    ///     let log_p = b.log_softmax(logits, 1)?;
    ///     Ok(-at_labels(b, log_p, labels)?)
    /// });
    /// assert!(likelihood.has_labels());
    /// ```
    pub fn custom_of_classes<E: Into<Expr>>(
        name: impl Into<String>,
        function: impl Fn(&mut Builder, Value, Value) -> Result<E, Error> + Send + Sync + 'static,
    ) -> Loss {
        Loss::Custom(CustomLoss::new(name, true, function))
    }

    /// The loss without class weights and label smoothing, as models are compared by it.
    pub fn plain(&self) -> Loss {
        match self {
            Loss::CrossEntropy { .. } => Loss::cross_entropy(),
            other => other.clone(),
        }
    }

    /// The type of the targets for predictions of this type.
    ///
    /// ```
    /// use ir::{DType, Type};
    /// let logits = Type::new(DType::F32, [8, 10]);
    /// assert_eq!(nn::Loss::cross_entropy().target(&logits).to_string(), "i64[8]");
    /// assert_eq!(nn::Loss::SquaredError.target(&logits), logits);
    /// ```
    pub fn target(&self, prediction: &Type) -> Type {
        if self.has_labels() {
            return Type::new(DType::I64, &prediction.shape[..prediction.shape.rank().min(1)]);
        }
        prediction.clone()
    }

    /// The numbers that targets have to be, where the loss is for some alone. Labels are checked against the classes besides.
    ///
    /// ```
    /// use nn::{Domain, Loss};
    /// assert_eq!(Loss::BinaryCrossEntropy.domain(), Some(Domain::Probabilities));
    /// assert_eq!(Loss::SquaredError.domain(), None);
    /// ```
    pub fn domain(&self) -> Option<Domain> {
        match self {
            Loss::BinaryCrossEntropy => Some(Domain::Probabilities),
            Loss::Hinge | Loss::Perceptron => Some(Domain::Signs),
            Loss::KlDivergence | Loss::SoftCrossEntropy => Some(Domain::Distribution),
            _ => None,
        }
    }

    /// Whether targets are labels, `i64[batch]`.
    pub fn has_labels(&self) -> bool {
        match self {
            Loss::CrossEntropy { .. } | Loss::MultiClassHinge | Loss::MultiClassPerceptron => true,
            Loss::Custom(custom) => custom.has_labels(),
            _ => false,
        }
    }

    /// The mean over the batch, of rank 0; over all elements where each has a loss of its own.
    ///
    /// # Errors
    /// Where the types do not fit together, or a setting is out of its range.
    pub fn mean(&self, b: &mut Builder, prediction: Value, target: Value) -> Result<Value, Error> {
        let terms = self.terms(b, prediction, target)?;
        match terms.weights {
            None => b.eval(terms.losses.mean_all()),
            Some(weights) => quotient_of_sums(b, terms.losses, weights),
        }
    }

    /// The mean over the batch with a weight for each example: `sum_i w_i loss_i / sum_i w_i`. `weights` are floats
    /// `[batch]`, of at least 0. Where all of them are 0, so are the mean and its gradients.
    ///
    /// # Errors
    /// As [`Loss::mean`].
    pub fn weighted_mean(
        &self,
        b: &mut Builder,
        prediction: Value,
        target: Value,
        weights: Value,
    ) -> Result<Value, Error> {
        b.check(self.name(), &[prediction, target, weights])?;
        let rows = b.shape(prediction)[..b.shape(prediction).rank().min(1)].to_vec();
        if b.shape(weights)[..] != rows || b.dtype(weights) != b.dtype(prediction) {
            let problem = format!("the weights are {}, the predictions {}", b.ty(weights), b.ty(prediction));
            return Err(Error::new(self.name(), problem, "give a float of their dtype per row"));
        }
        let terms = self.terms(b, prediction, target)?;
        let extents = b.shape(terms.losses).iter().enumerate();
        let column: ir::Shape = extents.map(|(axis, &extent)| if axis == 0 { extent } else { 1 }).collect();
        let per_loss = b.reshape(weights, column)?;
        let losses = b.eval(terms.losses * per_loss)?;
        let weights = terms.weights.map_or(Ok(weights), |own| b.eval(own * weights))?;
        quotient_of_sums(b, losses, weights)
    }

    /// How many of the batch were classified right, an `i64[]`: rows with the greatest score at their label, or elements
    /// with a score on their target's side of 0 (of a target from 0 to 1, of 1/2). `None` where nothing is classified.
    ///
    /// # Errors
    /// As [`Loss::mean`].
    pub fn correct_count(
        &self,
        b: &mut Builder,
        prediction: Value,
        target: Value,
    ) -> Result<Option<Value>, Error> {
        let middle = match self {
            Loss::BinaryCrossEntropy => 0.5,
            Loss::Hinge | Loss::Perceptron => 0.0,
            _ if self.has_labels() => return metric::correct_count(b, prediction, target).map(Some),
            _ => return Ok(None),
        };
        metric::same_side_count(b, prediction, target, middle).map(Some)
    }

    /// What errors call it.
    fn name(&self) -> &str {
        match self {
            Loss::CrossEntropy { .. } => "cross_entropy",
            Loss::MultiClassHinge => "multi_class_hinge",
            Loss::MultiClassPerceptron => "multi_class_perceptron",
            Loss::SquaredError => "squared_error",
            Loss::AbsoluteError => "absolute_error",
            Loss::Huber { .. } => "huber",
            Loss::BinaryCrossEntropy => "binary_cross_entropy",
            Loss::Hinge => "hinge",
            Loss::Perceptron => "perceptron",
            Loss::KlDivergence => "kl_divergence",
            Loss::SoftCrossEntropy => "soft_cross_entropy",
            Loss::Custom(custom) => custom.name(),
        }
    }

    fn terms(&self, b: &mut Builder, prediction: Value, target: Value) -> Result<Terms, Error> {
        if self.has_labels() {
            check_classes(self.name(), b, prediction, target)?;
        } else {
            elements::check(self.name(), b, prediction, target)?;
        }
        let losses = match self {
            Loss::CrossEntropy { class_weights, label_smoothing } => {
                return classes::cross_entropy(b, prediction, target, class_weights, *label_smoothing);
            }
            Loss::MultiClassHinge => classes::hinge(b, prediction, target)?,
            Loss::MultiClassPerceptron => classes::perceptron(b, prediction, target)?,
            Loss::SquaredError => elements::squared_error(b, prediction, target)?,
            Loss::AbsoluteError => elements::absolute_error(b, prediction, target)?,
            Loss::Huber { delta } => elements::huber(b, prediction, target, *delta)?,
            Loss::BinaryCrossEntropy => binary_cross_entropy(b, prediction, target)?,
            Loss::Hinge => elements::hinge(b, prediction, target)?,
            Loss::Perceptron => elements::perceptron(b, prediction, target)?,
            Loss::KlDivergence => classes::kl_divergence(b, prediction, target)?,
            Loss::SoftCrossEntropy => classes::soft_cross_entropy(b, prediction, target)?,
            Loss::Custom(custom) => custom.losses(b, prediction, target)?,
        };
        Ok(Terms { losses, weights: None })
    }
}

/// `sum losses / (sum weights * losses per weight)`; 0, with gradients of 0, where the weights sum to 0: a batch in which
/// nothing counts changes nothing. (PyTorch has 0 / 0 there.)
fn quotient_of_sums(b: &mut Builder, losses: Value, weights: Value) -> Result<Value, Error> {
    let over = b.eval(losses.sum_all())?;
    let losses_per_weight = b.shape(losses).elements() / b.shape(weights).elements().max(1);
    let under = b.eval(weights.sum_all() * losses_per_weight as f64)?;
    let [zero, one] = [0.0, 1.0].map(|number| b.float_like(under, number));
    let is_empty = b.eval(under.eq(zero))?;
    let divisor = is_empty.select(one, under);
    let quotient = b.eval(over / divisor)?;
    b.eval(is_empty.select(zero, quotient))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_do_not_fit_are_errors_that_show_both() {
        let mut b = Builder::new("g");
        let logits = b.input("z", DType::F32, [8, 10]).unwrap();
        let labels = b.input("y", DType::I64, [7]).unwrap();
        let error = Loss::cross_entropy().mean(&mut b, logits, labels).unwrap_err().to_string();
        let expected = "cross_entropy: the logits are f32[8, 10], the labels i64[7]; \
                        give logits f32[batch, classes] and labels i64[batch]";
        assert_eq!(error, expected);
        let target = b.input("t", DType::F32, [8, 9]).unwrap();
        let error = Loss::SquaredError.mean(&mut b, logits, target).unwrap_err().to_string();
        let expected = "squared_error: the prediction is f32[8, 10], the target f32[8, 9]; \
                        give two floats of one shape, with an axis for the batch";
        assert_eq!(error, expected);
        let target = b.input("same", DType::F32, [8, 10]).unwrap();
        let weights = b.input("w", DType::F32, [10]).unwrap();
        let error = Loss::Hinge.weighted_mean(&mut b, logits, target, weights).unwrap_err().to_string();
        let expected = "hinge: the weights are f32[10], the predictions f32[8, 10]; \
                        give a float of their dtype per row";
        assert_eq!(error, expected);
    }

    #[test]
    fn settings_out_of_range_are_errors() {
        let mut b = Builder::new("g");
        let z = b.input("z", DType::F32, [8, 3]).unwrap();
        let y = b.input("y", DType::I64, [8]).unwrap();
        let mut message = |loss: Loss, target| loss.mean(&mut b, z, target).unwrap_err().to_string();
        let smooth = Loss::CrossEntropy { class_weights: vec![], label_smoothing: 1.5 };
        let expected = "cross_entropy: the label smoothing is 1.5; give a number from 0 to 1";
        assert_eq!(message(smooth, y), expected);
        let weighted = |class_weights| Loss::CrossEntropy { class_weights, label_smoothing: 0.0 };
        let expected = "cross_entropy: there are 2 class weights, and 3 classes; give one per class";
        assert_eq!(message(weighted(vec![1.0, 2.0]), y), expected);
        let expected = "cross_entropy: the weight of class 1 is -1; give finite numbers of at least 0";
        assert_eq!(message(weighted(vec![1.0, -1.0, 0.0]), y), expected);
        let expected = "cross_entropy: the class weights sum to 1e39, which overflows in f32; \
                        give smaller ones: their ratios count";
        assert_eq!(message(weighted(vec![1e39, 0.0, 0.0]), y), expected);
        for zeros in [[0.0; 3], [1e-60; 3]] {
            let expected = "cross_entropy: the weights of all classes are 0; give one above 0";
            assert_eq!(message(weighted(zeros.to_vec()), y), expected);
        }
        let expected = "huber: delta is 0; give a finite number above 0";
        assert_eq!(message(Loss::Huber { delta: 0.0 }, z), expected);
    }
}
