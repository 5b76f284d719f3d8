//! What the last layer of a decoder says of a row.

use std::f64::consts::TAU;
use std::fmt;
use std::str::FromStr;

use ir::names::choices;
use ir::{Builder, Error, Expr, Value};

use crate::Domain;

/// The distribution of the values of a row, which are independent of each other given the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likelihood {
    /// Values from 0 to 1 as probabilities of 1; the decoder gives their logits.
    Bernoulli,
    /// Normal values of variance 1; the decoder gives their means.
    Gaussian,
}

impl Likelihood {
    /// Both.
    pub const ALL: [Likelihood; 2] = [Likelihood::Bernoulli, Likelihood::Gaussian];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Likelihood::Bernoulli => "bernoulli",
            Likelihood::Gaussian => "gaussian",
        }
    }

    /// `-log p(x | z)` of each row in nats, `[rows]`, from what the decoder gives, `[rows, values]`, and the rows `x`.
    ///
    /// - Bernoulli: `sum_i -x_i log sigmoid(z_i) - (1 - x_i) log(1 - sigmoid(z_i))`, which overflows for no finite logits
    /// - Gaussian: `sum_i (x_i - z_i)^2 / 2 + log(2 pi) / 2`
    ///
    /// # Errors
    /// Where the two are of different types.
    pub fn negative_log(self, b: &mut Builder, decoded: Value, x: Value) -> Result<Value, Error> {
        let terms: Expr = match self {
            Likelihood::Bernoulli => {
                let magnitude = decoded.abs();
                decoded.relu() - decoded * x + (-magnitude).exp().log1p()
            }
            Likelihood::Gaussian => (decoded - x).square() * 0.5 + TAU.ln() / 2.0,
        };
        let terms = b.eval(terms)?;
        b.reduce_sum(terms, &[1], false)
    }

    /// The numbers that values have to be, where it is of some alone.
    ///
    /// ```
    /// use nn::{Domain, models::Likelihood};
    /// assert_eq!(Likelihood::Bernoulli.domain(), Some(Domain::Probabilities));
    /// assert_eq!(Likelihood::Gaussian.domain(), None);
    /// ```
    pub fn domain(self) -> Option<Domain> {
        (self == Likelihood::Bernoulli).then_some(Domain::Probabilities)
    }

    /// The mean of the values, from what the decoder gives.
    ///
    /// # Errors
    /// Where that is no float.
    pub fn mean(self, b: &mut Builder, decoded: Value) -> Result<Value, Error> {
        match self {
            Likelihood::Bernoulli => b.sigmoid(decoded),
            Likelihood::Gaussian => Ok(decoded),
        }
    }
}

impl fmt::Display for Likelihood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Likelihood {
    type Err = Error;

    fn from_str(text: &str) -> Result<Likelihood, Error> {
        Likelihood::ALL.into_iter().find(|likelihood| likelihood.name() == text).ok_or_else(|| {
            let help = choices(text, "the likelihoods are", Likelihood::ALL.map(Likelihood::name));
            Error::new(text, "there is no likelihood of this name", help)
        })
    }
}
