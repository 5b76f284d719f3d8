//! What the weights of a restricted Boltzmann machine mean.

use ir::{Error, Init, Value};

use super::softplus;
use crate::loss::binary_cross_entropy;
use crate::{Context, Domain, init};

/// What the visible units of a machine are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VisibleUnits {
    /// 0 or 1.
    Binary,
    /// Any number; given the hidden units, normal with variance 1. For standardised data.
    Gaussian,
}

impl VisibleUnits {
    /// The numbers that rows have to be, where they are of some alone.
    ///
    /// ```
    /// use nn::{Domain, models::VisibleUnits};
    /// assert_eq!(VisibleUnits::Binary.domain(), Some(Domain::Probabilities));
    /// ```
    pub fn domain(self) -> Option<Domain> {
        (self == VisibleUnits::Binary).then_some(Domain::Probabilities)
    }
}

/// The parameters of a restricted Boltzmann machine: `W`, `[hidden, visible]`, `c`, `[hidden]`, and `b`, `[visible]`. States `v` and `h`
/// of the layers have the energy
///
/// ```text
/// E(v, h) = -b'v - c'h - h'Wv               of binary visible units
/// E(v, h) = |v - b|^2 / 2 - c'h - h'Wv      of Gaussian ones
/// ```
///
/// and the probability (or density) `exp(-E(v, h)) / Z` (P. Smolensky, 1986; G. Hinton, "A practical guide to training restricted Boltzmann
/// machines", 2010, sections 2 and 13.2). Given one layer the units of the other are independent.
///
/// ```
/// use ir::DType;
/// use nn::{Context, models::Rbm};
/// let mut cx = Context::new("energies");
/// let v = cx.input("v", DType::F32, [32, 6])?;
/// let weights = Rbm::new(6, 4).weights(&mut cx)?;
/// let energies = weights.free_energy(&mut cx, v)?;
/// assert_eq!(cx.ty(energies).to_string(), "f32[32]");
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RbmWeights {
    /// What the visible units are.
    pub units: VisibleUnits,
    /// `W`, `[hidden, visible]`.
    pub weight: Value,
    /// `c`, `[hidden]`.
    pub hidden_bias: Value,
    /// `b`, `[visible]`.
    pub visible_bias: Value,
}

impl RbmWeights {
    /// Parameters `weight`, `hidden_bias` and `visible_bias` in the open scope, the first of which starts like this, the others at 0.
    ///
    /// # Errors
    /// Where a layer has no units, or the scope has parameters of these names.
    pub(crate) fn made(
        cx: &mut Context,
        units: VisibleUnits,
        [visible, hidden]: [usize; 2],
        weight: Init,
    ) -> Result<RbmWeights, Error> {
        if visible == 0 || hidden == 0 {
            let problem = format!("it has {visible} visible and {hidden} hidden units");
            return Err(Error::new(cx.scoped("weight"), problem, "give each layer at least one"));
        }
        Ok(RbmWeights {
            units,
            weight: cx.parameter("weight", [hidden, visible], weight)?,
            hidden_bias: cx.parameter("hidden_bias", [hidden], init::zeros())?,
            visible_bias: cx.parameter("visible_bias", [visible], init::zeros())?,
        })
    }

    /// `E(v, h)` of each row of `v`, `[rows, visible]`, and `h`, `[rows, hidden]`: `[rows]`.
    ///
    /// # Errors
    /// Where their types do not fit.
    pub fn energy(&self, cx: &mut Context, v: Value, h: Value) -> Result<Value, Error> {
        let fields = self.hidden_fields(cx, v)?;
        let of_visible = self.visible_energy(cx, v)?;
        cx.eval(of_visible - (h * fields).sum(&[1]))
    }

    /// The free energy, `F(v) = -log sum_h exp(-E(v, h))`, of each row of `v`, `[rows, visible]`: `[rows]`. It is
    ///
    /// ```text
    /// F(v) = -b'v - sum_j log(1 + exp(c + W v)_j)
    /// ```
    ///
    /// with `|v - b|^2 / 2` in the place of `-b'v` where units are Gaussian.
    ///
    /// # Errors
    /// Where the type does not fit.
    pub fn free_energy(&self, cx: &mut Context, v: Value) -> Result<Value, Error> {
        let fields = self.hidden_fields(cx, v)?;
        let of_hidden = softplus(cx, fields)?;
        let of_visible = self.visible_energy(cx, v)?;
        cx.eval(of_visible - of_hidden.sum(&[1]))
    }

    /// What does not depend on hidden units, of each row: `-b'v`, or `|v - b|^2 / 2`.
    fn visible_energy(&self, cx: &mut Context, v: Value) -> Result<Value, Error> {
        match self.units {
            VisibleUnits::Binary => cx.eval(-(v * self.visible_bias).sum(&[1])),
            VisibleUnits::Gaussian => cx.eval((v - self.visible_bias).square().sum(&[1]) * 0.5),
        }
    }

    /// `c + W v` of each row of `v`, `[rows, visible]`: `[rows, hidden]`.
    ///
    /// # Errors
    /// Where the type does not fit.
    pub fn hidden_fields(&self, cx: &mut Context, v: Value) -> Result<Value, Error> {
        let product = cx.matmul_transposed(v, self.weight, false, true)?;
        cx.add(product, self.hidden_bias)
    }

    /// `P(h = 1 | v) = sigmoid(c + W v)` of each row of `v`, `[rows, visible]`: `[rows, hidden]`.
    ///
    /// # Errors
    /// Where the type does not fit.
    pub fn hidden_means(&self, cx: &mut Context, v: Value) -> Result<Value, Error> {
        let fields = self.hidden_fields(cx, v)?;
        cx.sigmoid(fields)
    }

    /// `b + W' h` of each row of `h`, `[rows, hidden]`: `[rows, visible]`.
    ///
    /// # Errors
    /// Where the type does not fit.
    pub fn visible_fields(&self, cx: &mut Context, h: Value) -> Result<Value, Error> {
        let product = cx.matmul(h, self.weight)?;
        cx.add(product, self.visible_bias)
    }

    /// `E(v | h)` of each row of `h`, `[rows, hidden]`: `[rows, visible]`. `sigmoid(b + W' h)` of binary units, `b + W' h` of Gaussian
    /// ones.
    ///
    /// # Errors
    /// Where the type does not fit.
    pub fn visible_means(&self, cx: &mut Context, h: Value) -> Result<Value, Error> {
        let fields = self.visible_fields(cx, h)?;
        match self.units {
            VisibleUnits::Binary => cx.sigmoid(fields),
            VisibleUnits::Gaussian => Ok(fields),
        }
    }

    /// What the reconstruction `visible_means` of these fields, `[rows, visible]`, lacks of `x`, of the same shape: the mean over the rows
    /// of the sum over all units of the cross entropy, or, of Gaussian ones, of the squared difference.
    ///
    /// # Errors
    /// Where the types do not fit.
    pub fn reconstruction_error(&self, cx: &mut Context, fields: Value, x: Value) -> Result<Value, Error> {
        let terms = match self.units {
            VisibleUnits::Binary => binary_cross_entropy(cx, fields, x)?,
            VisibleUnits::Gaussian => cx.eval((fields - x).square())?,
        };
        cx.eval(terms.sum(&[1]).mean_all())
    }
}
