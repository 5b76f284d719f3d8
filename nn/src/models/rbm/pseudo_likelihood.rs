//! The pseudo-likelihood of binary visible units: how well each is told from all others (J. Besag, "Statistical analysis of non-lattice
//! data", 1975). It needs no partition function: with `v^i` as `v` with unit i flipped,
//! `P(v_i | the others) = sigmoid(F(v^i) - F(v))`.

use ir::ops::Distribution;
use ir::{DType, Error, Value};

use super::{RbmWeights, softplus};
use crate::Context;

impl RbmWeights {
    /// The mean over the rows of `v`, `[rows, visible]`, of `sum_i log P(v_i | the others)`, in nats; a loop over all units.
    ///
    /// # Errors
    /// Where the type does not fit.
    pub fn pseudo_log_likelihood(&self, cx: &mut Context, v: Value) -> Result<Value, Error> {
        let [rows, visible] = [cx.shape(v)[0], cx.shape(v)[1]];
        let fields = self.hidden_fields(cx, v)?;
        let of_hidden = softplus(cx, fields)?;
        let of_hidden = cx.eval(of_hidden.sum(&[1]))?;
        // Flipping unit i adds 1 - 2 v_i to it.
        let change = cx.eval((1.0 - v * 2.0).transpose(&[1, 0]))?;
        let columns = cx.transpose(self.weight, &[1, 0])?;
        let start = cx.zeros_like(of_hidden)?;
        let items = [change, columns, self.visible_bias];
        let sum = cx.scan(visible, &[start], &items, |cx, carries, items| {
            let [change, column, bias] = items[..] else { unreachable!("there are three items") };
            let flipped = cx.eval(fields + change.reshape([rows, 1]) * column)?;
            let flipped = softplus(cx, flipped)?;
            // F(v^i) - F(v)
            let difference = cx.eval(of_hidden - flipped.sum(&[1]) - change * bias)?;
            let surprise = minus_log_sigmoid(cx, difference)?;
            Ok((vec![cx.eval(carries[0] - surprise)?], vec![]))
        })?;
        cx.eval(sum.carries[0].mean_all())
    }

    /// An estimate of it from one unit of each row, drawn at random: `visible log P(v_i | the others)`. `energies` are those of the rows.
    pub(super) fn drawn_pseudo_log_likelihood(
        &self,
        cx: &mut Context,
        v: Value,
        energies: Value,
    ) -> Result<Value, Error> {
        let (rows, visible, dtype) = (cx.shape(v)[0], cx.shape(v)[1], cx.dtype(v));
        let uniform = cx.draw(Distribution::Uniform, [rows, 1])?;
        let chosen =
            cx.eval((uniform * visible as f64).floor().min((visible - 1) as f64).cast(DType::I64))?;
        let units = cx.iota(DType::I64, [1, visible], 1)?;
        let is_chosen = cx.eval(units.eq(chosen).cast(dtype))?;
        let flipped = cx.eval(v + is_chosen * (1.0 - v * 2.0))?;
        let of_flipped = self.free_energy(cx, flipped)?;
        let difference = cx.sub(of_flipped, energies)?;
        let surprise = minus_log_sigmoid(cx, difference)?;
        cx.eval(surprise.mean_all() * -(visible as f64))
    }
}

/// `-log sigmoid(x)`
fn minus_log_sigmoid(cx: &mut Context, x: Value) -> Result<Value, Error> {
    let minus = cx.neg(x)?;
    softplus(cx, minus)
}
