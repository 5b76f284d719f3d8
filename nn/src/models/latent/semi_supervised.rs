//! Variational autoencoders that classify, with labels for some of the rows.

use ir::{DType, Error, Value};

use super::gaussian::hidden;
use super::{CODE, KL, RECONSTRUCTION, SQUARED_ERROR, Vae};
use crate::supervised::{PREDICTION, ROWS, TARGETS};
use crate::{Context, Generative, Linear, Network, Outputs};

/// The label `y` of a row whose class is not known.
pub const UNLABELLED: i64 = -1;

/// A variational autoencoder that knows the label of a row where there is one, and else infers it (D. P. Kingma et al., "Semi-supervised
/// learning with deep generative models", 2014, model M2): a classifier `q(y | x)` of the same hidden sizes stands beside encoder and decoder,
/// which see the label. With `L(x, y)` for minus the bound of a row whose label is known, all classes being alike before,
///
/// ```text
/// L(x, y) = -log p(x | y, z) - log p(y) + beta KL(q(z | x, y) || p(z))     (equation 6, with one z that is drawn)
/// U(x)    = sum_y q(y | x) L(x, y) - H(q(y | x))                           (equation 7)
/// ```
///
/// the loss is the mean over the rows of `L(x, y) - alpha log q(y | x)` of those that have a label, and of `U(x)` of the others (equation 9).
/// In use alpha is 0 and beta 1: the loss is minus the bound.
///
/// Its inputs are `x`, `[rows, values]`, and the labels `y`, `i64[rows]`, of which [`UNLABELLED`] is that of a row without one; others out of
/// range are errors where batches come in, as for other losses. Its results, for which no labels are needed, are `prediction`, the logits of the
/// classes, `[rows, classes]`, and, for the class of the greatest one, `reconstruction` and `code`, the mean. Metrics are `kl` and
/// `squared_error`.
///
/// ```
/// use nn::models::{Likelihood, SemiSupervisedVae, Vae};
/// use nn::{Activation, network::inference_graph};
/// let vae = Vae { classes: 10, ..Vae::new(64, &[32], 4, Activation::Relu, Likelihood::Bernoulli) };
/// let graph = inference_graph("m2", &SemiSupervisedVae { vae, alpha: 1.0 }, 2)?;
/// let types: Vec<String> = graph.outputs.iter().map(|output| graph.ty(output.value).to_string()).collect();
/// assert_eq!(types, ["f32[2, 10]", "f32[2, 64]", "f32[2, 4]"]);
/// assert_eq!(graph.inputs().count(), 1);
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SemiSupervisedVae {
    /// Encoder and decoder, with at least one class.
    pub vae: Vae,
    /// How much the cross entropy of a row that has a label counts beside its bound. The paper's alpha is 0.1 for each row, which is
    /// `0.1 rows / labelled rows` here.
    pub alpha: f64,
}

impl SemiSupervisedVae {
    /// The logits of `q(y | x)`, `[rows, classes]`.
    ///
    /// # Errors
    /// Where rows are of another size.
    pub fn classify(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        cx.scope("classifier", |cx| {
            let seen = hidden(cx, &self.vae.hidden, &self.vae.activation, x)?;
            cx.layer("out", &Linear::new(cx.shape(seen)[1], self.vae.classes), seen)
        })
    }

    /// Of each row and class, `[rows, classes]`: `-log p(x | y, z) - log p(y)`, and the divergence of the codes.
    fn bounds(&self, cx: &mut Context, x: Value) -> Result<[Value; 2], Error> {
        let (rows, classes) = (cx.shape(x)[0], self.vae.classes);
        // A row for each pair: that of row i and class j is i * classes + j.
        let x = cx.reshape(x, [rows, 1, self.vae.values])?;
        let x = cx.broadcast(x, [rows, classes, self.vae.values])?;
        let x = cx.reshape(x, [rows * classes, self.vae.values])?;
        let [class, place] = [1, 2].map(|axis| cx.iota(DType::I64, [rows, classes, classes], axis));
        let labels = cx.eval(class?.eq(place?).cast(DType::F32).reshape([rows * classes, classes]))?;
        let posterior = self.vae.encode(cx, x, Some(labels))?;
        let code = posterior.draw(cx)?;
        let decoded = self.vae.decode(cx, code, Some(labels))?;
        let surprise = self.vae.likelihood.negative_log(cx, decoded, x)?;
        let divergence = posterior.divergence(cx)?;
        let surprise = cx.eval(surprise.reshape([rows, classes]) + (classes as f64).ln())?;
        Ok([surprise, cx.reshape(divergence, [rows, classes])?])
    }

    /// Reconstruction and mean code of rows, for the class of the greatest logit.
    fn reconstruct(&self, cx: &mut Context, x: Value, logits: Value) -> Result<[Value; 2], Error> {
        let class = cx.argmax(logits, 1)?;
        let label = one_hot(cx, class, self.vae.classes)?;
        let posterior = self.vae.encode(cx, x, Some(label))?;
        let decoded = self.vae.decode(cx, posterior.mean, Some(label))?;
        Ok([self.vae.likelihood.mean(cx, decoded)?, posterior.mean])
    }
}

/// `f32[rows, classes]`: 1 at the label of a row, and nowhere where it has none.
fn one_hot(cx: &mut Context, labels: Value, classes: usize) -> Result<Value, Error> {
    let rows = cx.shape(labels)[0];
    let places = cx.iota(DType::I64, [rows, classes], 1)?;
    cx.eval(places.eq(labels.reshape([rows, 1])).cast(DType::F32))
}

impl Network for SemiSupervisedVae {
    fn build(&self, cx: &mut Context, rows: usize) -> Result<Outputs, Error> {
        if self.vae.classes == 0 {
            let help = "give the number of classes that labels are of";
            return Err(Error::new("vae.classes", "it is 0, and rows are to be classified", help));
        }
        let (beta, alpha) = if cx.is_training() { (self.vae.beta, self.alpha) } else { (1.0, 0.0) };
        let x = cx.input(ROWS, DType::F32, [rows, self.vae.values])?;
        let labels = cx.input(TARGETS, DType::I64, [rows])?;
        let logits = self.classify(cx, x)?;
        let log_q = cx.log_softmax(logits, 1)?;
        let label = one_hot(cx, labels, self.vae.classes)?;
        let [surprise, divergence] = self.bounds(cx, x)?;
        // What each class counts: 1 of the label, or what the classifier says; and then its entropy, too.
        let unknown = cx.eval(1.0 - label.sum(&[1]))?;
        let weights = cx.eval(label + log_q.exp() * unknown.reshape([rows, 1]))?;
        let bound = cx.eval((weights * (surprise + divergence * beta)).sum(&[1]))?;
        let negative_entropy = cx.eval((log_q.exp() * log_q).sum(&[1]) * unknown)?;
        let cross_entropy = cx.eval(-(label * log_q).sum(&[1]))?;
        let loss = cx.eval((bound + negative_entropy + cross_entropy * alpha).mean_all())?;
        let kl = cx.eval((weights * divergence).sum(&[1]).mean_all())?;
        let [reconstruction, code] = cx.again(|cx| self.reconstruct(cx, x, logits))?;
        let squared_error = cx.eval((reconstruction - x).square().mean_all())?;
        let outputs = Outputs::new().result(PREDICTION, logits).result(RECONSTRUCTION, reconstruction);
        let outputs = outputs.result(CODE, code).loss(loss).takes_unlabelled();
        let outputs = outputs.of_domain(ROWS, self.vae.likelihood.domain());
        Ok(outputs.metric(KL, kl).metric(SQUARED_ERROR, squared_error))
    }
}

impl Generative for SemiSupervisedVae {
    fn code_size(&self) -> usize {
        self.vae.code_size()
    }

    fn generate(&self, cx: &mut Context, code: Value) -> Result<Value, Error> {
        self.vae.generate(cx, code)
    }
}
