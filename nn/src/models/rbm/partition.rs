//! The partition function of a restricted Boltzmann machine with a layer so small that all its states can be gone through.

use std::f64::consts::TAU;

use ir::{DType, Error, Tensor, Value};

use super::{RbmWeights, VisibleUnits, softplus};
use crate::Context;

/// The most units whose states are enumerated.
pub const MOST_ENUMERATED: usize = 20;

impl RbmWeights {
    /// `log Z`, of rank 0: the logarithm of the sum of `exp(-E(v, h))` over all states of both layers (the integral over those of Gaussian
    /// units). The states of the smaller layer are enumerated (of a machine with Gaussian units, of the hidden one), those of the other
    /// are summed in closed form:
    ///
    /// ```text
    /// Z = sum_v exp(-F(v))
    /// Z = sum_h exp(c'h) prod_i (1 + exp(b + W'h)_i)               of binary visible units
    /// Z = (2 pi)^(visible / 2) sum_h exp(c'h + b'W'h + |W'h|^2 / 2)      of Gaussian ones
    /// ```
    ///
    /// It has a gradient, so with it the likelihood itself can be followed:
    ///
    /// ```
    /// use ir::DType;
    /// use nn::{Context, models::Rbm};
    /// let mut cx = Context::training("likelihood");
    /// let v = cx.input("v", DType::F32, [32, 6])?;
    /// let weights = Rbm::new(6, 4).weights(&mut cx)?;
    /// let [energies, log_partition] = [weights.free_energy(&mut cx, v)?, weights.log_partition(&mut cx)?];
    /// let loss = cx.eval(energies.mean_all() + log_partition)?;
    /// assert_eq!(cx.gradients(loss)?.len(), 3);
    /// # Ok::<(), ir::Error>(())
    /// ```
    ///
    /// # Errors
    /// Where the layer to be enumerated has more than [`MOST_ENUMERATED`] units.
    pub fn log_partition(&self, cx: &mut Context) -> Result<Value, Error> {
        let [hidden, visible] = [cx.shape(self.weight)[0], cx.shape(self.weight)[1]];
        let is_over_visible = self.units == VisibleUnits::Binary && visible < hidden;
        let units = if is_over_visible { visible } else { hidden };
        if units > MOST_ENUMERATED {
            let problem = format!("it has {visible} visible and {hidden} hidden units");
            let help = format!(
                "enumerate a layer of at most {MOST_ENUMERATED}, or estimate by annealed importance sampling"
            );
            return Err(Error::new("the partition function", problem, help));
        }
        let dtype = cx.dtype(self.weight);
        let states = all_states(cx, units, dtype)?;
        let terms = if is_over_visible {
            let energies = self.free_energy(cx, states)?;
            cx.neg(energies)?
        } else {
            self.sums_over_visible(cx, states, visible)?
        };
        let most = cx.eval(terms.amax(&[0]).stop_gradient())?;
        cx.eval((terms - most).exp().sum_all().log() + most)
    }

    /// The logarithm of the sum over visible states for each row of `h`, `[rows, hidden]`: `[rows]`.
    fn sums_over_visible(&self, cx: &mut Context, h: Value, visible: usize) -> Result<Value, Error> {
        let of_hidden = cx.eval((h * self.hidden_bias).sum(&[1]))?;
        match self.units {
            VisibleUnits::Binary => {
                let fields = self.visible_fields(cx, h)?;
                let of_visible = softplus(cx, fields)?;
                cx.eval(of_hidden + of_visible.sum(&[1]))
            }
            VisibleUnits::Gaussian => {
                let product = cx.matmul(h, self.weight)?;
                let of_visible = product * self.visible_bias + product.square() * 0.5;
                cx.eval(of_hidden + of_visible.sum(&[1]) + 0.5 * visible as f64 * TAU.ln())
            }
        }
    }
}

/// All states of so many binary units, `[2^units, units]`: unit j of state s is bit j of s. All numbers on the way are exact in `f32`.
fn all_states(cx: &mut Context, units: usize, dtype: DType) -> Result<Value, Error> {
    let states = 1usize << units;
    let number = cx.iota(dtype, [states, units], 0)?;
    let powers: Vec<f64> = (0..units).map(|bit| 0.5f64.powi(bit as i32)).collect();
    let powers = Tensor::new([units], powers).expect("one for each unit");
    let powers = cx.constant(powers);
    let powers = cx.cast(powers, dtype)?;
    let shifted = cx.eval((number * powers).floor())?;
    cx.eval(shifted - (shifted * 0.5).floor() * 2.0)
}
