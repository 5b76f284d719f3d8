//! Variational autoencoders.

use ir::ops::Distribution::Normal;
use ir::{DType, Error, Value};

use super::gaussian::{hidden, log_prior};
use super::{CODE, Gaussian, KL, Likelihood, RECONSTRUCTION, SQUARED_ERROR};
use crate::network::Generative;
use crate::supervised::{ROWS, TARGETS};
use crate::{Context, Domain, Linear, Network, Nonlinearity, Outputs};

/// A variational autoencoder (D. Kingma and M. Welling, "Auto-encoding variational Bayes", 2014): an encoder tells a normal
/// distribution of codes for each row, a decoder the distribution of rows for each code, and codes are standard normal before a
/// row is seen.
///
/// Its input is `x`, `[rows, values]`; its results are `reconstruction`, the mean of rows for the mean code, and `code`, the means,
/// `[rows, code]`. The loss is `-log p(x | z) + beta KL(q(z | x) || p(z))` in nats per row, a mean over the rows, with one code `z` drawn for
/// each row (equation 10, one sample); beta other than 1 is I. Higgins et al., "beta-VAE", 2017, equation 4. In use beta counts as 1:
/// the loss is minus the evidence lower bound. Metrics are `kl` and `squared_error`.
///
/// With [classes](Vae::classes) encoder and decoder know the label of a row, the input `y`, `i64[rows]` (K. Sohn et al., "Learning
/// structured output representation using deep conditional generative models", 2015).
///
/// ```
/// use nn::models::{Likelihood, Vae};
/// use nn::{Activation, Adam, network::training_graph};
/// let network = Vae::new(64, &[32], 4, Activation::Relu, Likelihood::Bernoulli);
/// let step = training_graph("vae", &network, 16, &Adam::default())?;
/// assert_eq!(step.inputs().count(), 1);
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Vae {
    /// The number of values of a row.
    pub values: usize,
    /// The sizes of the hidden layers of the encoder; the decoder has the same, backwards.
    pub hidden: Vec<usize>,
    /// The number of values of a code.
    pub code: usize,
    /// What follows hidden layers.
    pub activation: Nonlinearity,
    /// What the decoder says of a row.
    pub likelihood: Likelihood,
    /// What the divergence from the prior counts in training.
    pub beta: f64,
    /// The number of classes whose labels are known; 0 for none.
    pub classes: usize,
}

impl Vae {
    /// A plain one.
    pub fn new(
        values: usize,
        hidden: &[usize],
        code: usize,
        activation: impl Into<Nonlinearity>,
        likelihood: Likelihood,
    ) -> Vae {
        let (hidden, activation) = (hidden.to_vec(), activation.into());
        Vae { values, hidden, code, activation, likelihood, beta: 1.0, classes: 0 }
    }

    /// The labels as an input, one-hot, `[rows, classes]`; `None` where there are none.
    fn labels(&self, cx: &mut Context, rows: usize) -> Result<Option<Value>, Error> {
        if self.classes == 0 {
            return Ok(None);
        }
        let labels = cx.input(TARGETS, DType::I64, [rows])?;
        let classes = cx.iota(DType::I64, [rows, self.classes], 1)?;
        cx.eval(classes.eq(labels.reshape([rows, 1])).cast(DType::F32)).map(Some)
    }

    /// The distribution of codes for rows, whose labels stand beside them.
    ///
    /// # Errors
    /// Where rows are of another size.
    pub fn encode(&self, cx: &mut Context, x: Value, labels: Option<Value>) -> Result<Gaussian, Error> {
        cx.scope("encoder", |cx| {
            let x = with_labels(cx, x, labels)?;
            let seen = hidden(cx, &self.hidden, &self.activation, x)?;
            Gaussian::of(cx, seen, self.code)
        })
    }

    /// What the decoder makes of codes, `[rows, values]`: logits, or means.
    ///
    /// # Errors
    /// Where codes are of another size.
    pub fn decode(&self, cx: &mut Context, code: Value, labels: Option<Value>) -> Result<Value, Error> {
        let sizes: Vec<usize> = self.hidden.iter().rev().copied().collect();
        cx.scope("decoder", |cx| {
            let code = with_labels(cx, code, labels)?;
            let seen = hidden(cx, &sizes, &self.activation, code)?;
            cx.layer("out", &Linear::new(cx.shape(seen)[1], self.values), seen)
        })
    }

    /// `log p(x | z) + log p(z) - log q(z | x)` of each row, `[rows]`, for one more code that is drawn.
    fn log_weight(
        &self,
        cx: &mut Context,
        (x, labels): (Value, Option<Value>),
        posterior: Gaussian,
    ) -> Result<Value, Error> {
        let shape = cx.shape(posterior.mean).clone();
        let noise = cx.draw(Normal, shape)?;
        let code = posterior.with_noise(cx, noise)?;
        let decoded = self.decode(cx, code, labels)?;
        let surprise = self.likelihood.negative_log(cx, decoded, x)?;
        let prior = log_prior(cx, code)?;
        let density = posterior.log_density(cx, code)?;
        cx.eval(prior - surprise - density)
    }

    /// The importance weighted bound of each row in nats, `[rows]`: `log 1/k sum_i p(x, z_i) / q(z_i | x)` over `samples` codes (Y. Burda, R.
    /// Grosse and R. Salakhutdinov, "Importance weighted autoencoders", 2016, equation 8), which is the evidence lower bound for one
    /// code and comes nearer to `log p(x)` with each. A loop draws the codes, so memory does not grow with them. It declares the
    /// inputs of the network.
    ///
    /// # Errors
    /// As [`Network::build`].
    pub fn importance_bound(&self, cx: &mut Context, rows: usize, samples: usize) -> Result<Value, Error> {
        let x = cx.input(ROWS, DType::F32, [rows, self.values])?;
        let labels = self.labels(cx, rows)?;
        let posterior = self.encode(cx, x, labels)?;
        let first = self.log_weight(cx, (x, labels), posterior)?;
        let key = cx.key()?;
        let sums = cx.scan(samples.saturating_sub(1), &[first, key], &[], |cx, carries, _| {
            let key = cx.eval(carries[1] + 1)?;
            let weight = cx.with_key(key, |cx| cx.again(|cx| self.log_weight(cx, (x, labels), posterior)))?;
            // log(exp a + exp b) = max + log(1 + exp(-|a - b|))
            let difference = cx.eval((carries[0] - weight).abs())?;
            let sum = cx.eval(carries[0].max(weight) + (-difference).exp().log1p())?;
            Ok((vec![sum, key], vec![]))
        })?;
        cx.eval(sums.carries[0] - (samples.max(1) as f64).ln())
    }
}

/// `x` with labels beside it, where there are some.
fn with_labels(cx: &mut Context, x: Value, labels: Option<Value>) -> Result<Value, Error> {
    labels.map_or(Ok(x), |labels| cx.concat(&[x, labels], 1))
}

impl Network for Vae {
    fn build(&self, cx: &mut Context, rows: usize) -> Result<Outputs, Error> {
        let x = cx.input(ROWS, DType::F32, [rows, self.values])?;
        let labels = self.labels(cx, rows)?;
        let posterior = self.encode(cx, x, labels)?;
        let code = posterior.draw(cx)?;
        let decoded = self.decode(cx, code, labels)?;
        let surprise = self.likelihood.negative_log(cx, decoded, x)?;
        let divergence = posterior.divergence(cx)?;
        let kl = cx.eval(divergence.mean_all())?;
        let beta = if cx.is_training() { self.beta } else { 1.0 };
        let loss = cx.eval(surprise.mean_all() + kl * beta)?;
        let classes = labels.map(|_| Domain::Classes(self.classes));
        let outputs = Outputs::new().loss(loss).metric(KL, kl);
        let outputs = outputs.of_domain(ROWS, self.likelihood.domain()).of_domain(TARGETS, classes);
        let reconstruction = if cx.is_training() {
            self.likelihood.mean(cx, decoded)?
        } else {
            let decoded = cx.again(|cx| self.decode(cx, posterior.mean, labels))?;
            self.likelihood.mean(cx, decoded)?
        };
        let squared_error = cx.eval((reconstruction - x).square().mean_all())?;
        let outputs = outputs.metric(SQUARED_ERROR, squared_error);
        Ok(outputs.result(RECONSTRUCTION, reconstruction).result(CODE, posterior.mean))
    }
}

impl Generative for Vae {
    fn code_size(&self) -> usize {
        self.code
    }

    fn generate(&self, cx: &mut Context, code: Value) -> Result<Value, Error> {
        let rows = cx.shape(code)[0];
        let labels = self.labels(cx, rows)?;
        let decoded = self.decode(cx, code, labels)?;
        self.likelihood.mean(cx, decoded)
    }
}
